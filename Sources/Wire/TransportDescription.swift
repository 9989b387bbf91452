// TCP, UDP, SCTP and what is inside UDP, in tcpdump's words (print-tcp.c, print-udp.c, print-sctp.c).
// See PacketDescription.swift.

import Addressing

extension PacketDescriber {
    // MARK: TCP

    mutating func describeTCP(_ bytes: RawSpan, _ range: Range<Int>, _ envelope: Envelope, _ text: inout String) {
        let start = range.lowerBound
        guard range.count >= TCPHeader.length else {
            text += "\(envelope.ends())[|tcp]"
            return
        }
        let sourcePort = bytes.loadUInt16(at: start + TCPHeader.Offset.sourcePort)
        let destinationPort = bytes.loadUInt16(at: start + TCPHeader.Offset.destinationPort)
        text += envelope.ends(sourcePort, destinationPort)
        let headerLength = Int(bytes.loadUInt8(at: start + TCPHeader.Offset.dataOffset) >> 4) * 4
        guard headerLength >= TCPHeader.length else {
            text += "tcp \(envelope.length - headerLength) [bad hdr length \(headerLength) - too short, < 20]"
            return
        }
        let flags = TCPFlags(rawValue: bytes.loadUInt8(at: start + TCPHeader.Offset.flags))
        text += "Flags [\(flags.letters)]"
        guard headerLength <= envelope.length else {
            text += " [bad hdr length \(headerLength) - too long, > \(envelope.length)]"
            return
        }
        var sequence = bytes.loadUInt32(at: start + TCPHeader.Offset.sequence)
        var acknowledgment = bytes.loadUInt32(at: start + TCPHeader.Offset.acknowledgment)
        var base = SequenceBase()
        if !absoluteSequenceNumbers, flags.contains(.ack) {
            base = sequenceBase(
                from: SocketAddress(envelope.source, sourcePort),
                to: SocketAddress(envelope.destination, destinationPort),
                sequence: sequence, acknowledgment: acknowledgment, startsAnew: flags.contains(.syn))
            if base.isKnown {
                sequence &-= base.own
                acknowledgment &-= base.other
            }
        }
        let length = envelope.length - headerLength
        if length > 0 || !flags.isDisjoint(with: [.syn, .fin, .rst]) {
            text += ", seq \(sequence)"
            if length > 0 { text += ":\(sequence &+ UInt32(length))" }
        }
        if flags.contains(.ack) { text += ", ack \(acknowledgment)" }
        text += ", win \(bytes.loadUInt16(at: start + TCPHeader.Offset.window))"
        if flags.contains(.urg) {
            text += ", urg \(bytes.loadUInt16(at: start + TCPHeader.Offset.urgentPointer))"
        }
        if headerLength > TCPHeader.length {
            guard range.count >= headerLength else {
                text += ", options [|tcp]"
                return
            }
            let options = start + TCPHeader.length..<start + headerLength
            text += ", options ["
            guard describeOptions(bytes, options, base, &text) else { return }
        }
        text += ", length \(length)"
        if length > 0, [80, 8080, 3128].contains(sourcePort) || [80, 8080, 3128].contains(destinationPort) {
            text += ": HTTP"
            describeHTTP(bytes, min(start + headerLength, range.upperBound)..<range.upperBound, &text)
        }
    }

    /// What the numbers of one direction are printed relative to.
    struct SequenceBase {
        /// False for the packet a conversation is remembered by: it is printed with absolute numbers.
        var isKnown = false
        var own: UInt32 = 0
        var other: UInt32 = 0
    }

    private mutating func sequenceBase(
        from source: SocketAddress, to destination: SocketAddress, sequence: UInt32, acknowledgment: UInt32,
        startsAnew: Bool
    ) -> SequenceBase {
        let isReversed = (destination.port, destination.address) < (source.port, source.address)
        let conversation = Conversation(
            first: isReversed ? destination : source, second: isReversed ? source : destination)
        if !startsAnew, let known = conversations[conversation] {
            return SequenceBase(
                isKnown: true, own: isReversed ? known.second : known.first,
                other: isReversed ? known.first : known.second)
        }
        let other = acknowledgment &- 1
        conversations[conversation] = InitialNumbers(
            first: isReversed ? other : sequence, second: isReversed ? sequence : other)
        return SequenceBase(isKnown: false, own: sequence, other: other)
    }

    /// Prints the options up to the closing bracket. False when they cannot be read to their end.
    private func describeOptions(
        _ bytes: RawSpan, _ range: Range<Int>, _ base: SequenceBase, _ text: inout String
    ) -> Bool {
        var position = range.lowerBound
        var isFirst = true
        while position < range.upperBound {
            if !isFirst { text += "," }
            let kind = bytes.loadUInt8(at: position)
            let rest = range.upperBound - position
            let hasLength = kind != TCPOptions.Kind.endOfList && kind != TCPOptions.Kind.noOperation
            let length = !hasLength ? 1 : rest >= 2 ? Int(bytes.loadUInt8(at: position + 1)) : 0
            guard !hasLength || (length >= 2 && length <= rest) else {
                text += isFirst ? "[bad opt]" : "[bad opt]]"
                return false
            }
            let value = position + 2
            let valueLength = length - 2
            switch (kind, valueLength) {
            case (TCPOptions.Kind.endOfList, _): text += "eol"
            case (TCPOptions.Kind.noOperation, _): text += "nop"
            case (TCPOptions.Kind.maximumSegmentSize, 2): text += "mss \(bytes.loadUInt16(at: value))"
            case (TCPOptions.Kind.windowScale, 1): text += "wscale \(bytes.loadUInt8(at: value))"
            case (TCPOptions.Kind.sackPermitted, 0): text += "sackOK"
            case (TCPOptions.Kind.timestamps, 8):
                text += "TS val \(bytes.loadUInt32(at: value)) ecr \(bytes.loadUInt32(at: value + 4))"
            case (TCPOptions.Kind.sack, 8...) where valueLength % 8 == 0:
                text += "sack \(valueLength / 8) "
                for block in stride(from: value, to: value + valueLength, by: 8) {
                    // Blocks lie in the other side's sequence space.
                    let left = bytes.loadUInt32(at: block) &- base.other
                    let right = bytes.loadUInt32(at: block + 4) &- base.other
                    text += "{\(left):\(right)}"
                }
            default:
                text += "unknown-\(kind)"
                if valueLength > 0 { text += " 0x" }
                for offset in value..<value + valueLength { text += bytes.loadUInt8(at: offset).hexadecimal(2) }
            }
            isFirst = false
            position += length
            if kind == TCPOptions.Kind.endOfList { break }
        }
        text += "]"
        return true
    }

    /// The first line of an HTTP message, when the octets start with one.
    private func describeHTTP(_ bytes: RawSpan, _ range: Range<Int>, _ text: inout String) {
        var line: [UInt8] = []
        var isWhole = false
        for offset in range {
            let byte = bytes.loadUInt8(at: offset)
            if byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "\n") {
                isWhole = true
                break
            }
            guard (0x20..<0x7f).contains(byte), line.count < 1000 else { return }
            line.append(byte)
        }
        let starts = ["HTTP/", "GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS ", "CONNECT ", "TRACE "]
        let string = String(decoding: line, as: UTF8.self)
        if isWhole, starts.contains(where: { string.hasPrefix($0) }) { text += ": \(string)" }
    }

    // MARK: UDP

    mutating func describeUDP(_ bytes: RawSpan, _ range: Range<Int>, _ envelope: Envelope, _ text: inout String) {
        let start = range.lowerBound
        guard range.count >= UDPHeader.length else {
            text += "\(envelope.ends())[|udp]"
            return
        }
        let sourcePort = bytes.loadUInt16(at: start + UDPHeader.Offset.sourcePort)
        let destinationPort = bytes.loadUInt16(at: start + UDPHeader.Offset.destinationPort)
        let datagramLength = Int(bytes.loadUInt16(at: start + UDPHeader.Offset.length))
        text += envelope.ends(sourcePort, destinationPort)
        guard datagramLength >= UDPHeader.length else {
            text += "truncated-udplength \(datagramLength)"
            return
        }
        let length = datagramLength - UDPHeader.length
        let payload = start + UDPHeader.length..<min(range.upperBound, start + datagramLength)
        func uses(_ port: UInt16) -> Bool { sourcePort == port || destinationPort == port }
        if uses(VXLANHeader.assignedPort) || uses(VXLANHeader.linuxPort) {
            describeVXLAN(bytes, payload, &text)
            return
        }
        if uses(53), length > 0 {
            text += describeDNS(bytes, payload, length: length)
            return
        }
        text += "UDP, "
        text +=
            datagramLength > envelope.length && !envelope.isFragment
            ? "bad length \(length) > \(envelope.length - UDPHeader.length)" : "length \(length)"
    }

    private mutating func describeVXLAN(_ bytes: RawSpan, _ range: Range<Int>, _ text: inout String) {
        guard range.count >= VXLANHeader.length else {
            text += "VXLAN (invalid)"
            return
        }
        let flags = bytes.loadUInt8(at: range.lowerBound)
        let identifier = bytes.loadUInt32(at: range.lowerBound + VXLANHeader.Offset.networkIdentifier) >> 8
        text += "VXLAN, flags [\(flags & 0x08 != 0 ? "I" : "invalid")] (0x\(flags.hexadecimal(2))), vni \(identifier)\n"
        describeFrame(bytes, range.lowerBound + VXLANHeader.length..<range.upperBound, &text)
    }

    // MARK: SCTP

    func describeSCTP(_ bytes: RawSpan, _ range: Range<Int>, _ envelope: Envelope, _ text: inout String) {
        guard range.count >= SCTPHeader.length, let header = try? SCTPHeader(parsing: bytes, at: range.lowerBound)
        else {
            text += "\(envelope.ends())[|sctp]"
            return
        }
        text += "\(envelope.ends(header.sourcePort, header.destinationPort))sctp"
        var position = range.lowerBound + SCTPHeader.length
        var number = 0
        while range.upperBound - position >= SCTPChunkHeader.length,
            let chunk = try? SCTPChunkHeader(parsing: bytes, at: position)
        {
            number += 1
            text += " (\(number)) [\(chunk.name)]"
            let isInitiation =
                chunk.type == SCTPChunkHeader.initiation || chunk.type == SCTPChunkHeader.initiationAcknowledgment
            if isInitiation, range.upperBound - position >= 20 {
                text +=
                    " [init tag: \(bytes.loadUInt32(at: position + 4))] [rwnd: \(bytes.loadUInt32(at: position + 8))]"
                text += " [OS: \(bytes.loadUInt16(at: position + 12))] [MIS: \(bytes.loadUInt16(at: position + 14))]"
                text += " [init TSN: \(bytes.loadUInt32(at: position + 16))]"
            }
            position += chunk.paddedLength
        }
        if number == 0 { text += " [|sctp]" }
    }
}

extension TCPFlags {
    /// tcpdump's letters in its order.
    var letters: String {
        let names: [(TCPFlags, String)] = [
            (.fin, "F"), (.syn, "S"), (.rst, "R"), (.psh, "P"), (.ack, "."), (.urg, "U"), (.ece, "E"), (.cwr, "W"),
        ]
        let letters = names.map { contains($0.0) ? $0.1 : "" }.joined()
        return letters.isEmpty ? "none" : letters
    }
}

extension SCTPChunkHeader {
    fileprivate var name: String {
        switch type {
        case Self.data: "DATA"
        case Self.initiation: "INIT"
        case Self.initiationAcknowledgment: "INIT ACK"
        case 3: "SACK"
        case 4: "HB REQ"
        case 5: "HB ACK"
        case Self.abort: "ABORT"
        case Self.shutdown: "SHUTDOWN"
        case 8: "SHUTDOWN ACK"
        case 9: "OP ERR"
        case Self.cookieEcho: "COOKIE ECHO"
        case Self.cookieAcknowledgment: "COOKIE ACK"
        default: "Unknown chunk type: 0x\(type.hexadecimal(2))"
        }
    }
}
