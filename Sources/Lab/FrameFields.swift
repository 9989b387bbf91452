// A frame as fields, each a name and a value, with names for what a kernel draws at random. Two worlds are equal when
// all fields of all frames are, for the same number always gets the same name. Read from octets, without the headers of
// Wire, so that a mistake there cannot hide itself.

/// Turns the frames of one world into fields. Every frame must be learned before the first is read.
struct FrameReader {
    typealias Field = (name: String, value: String)

    /// Ports somebody chose; all others are drawn.
    let fixedPorts: Set<UInt16>
    private var ports: [UInt16: Int] = [:]
    private var tunnelPorts: [String: Int] = [:]
    private var echoes: [UInt16: Int] = [:]
    private var initialSequences: [UInt32] = []
    private var clocks: Set<UInt32> = []
    private var identifications: [String: UInt16] = [:]
    private var fields: [Field] = []
    private var place = ""

    init(fixedPorts: Set<UInt16>) { self.fixedPorts = fixedPorts }

    // MARK: learning

    /// Notes where sequence numbers and time stamps begin.
    mutating func learn(_ frame: ArraySlice<UInt8>) {
        guard frame.count >= 34 else { return }
        let network = frame.startIndex + 14
        var transport = network + 40
        var transportProtocol = frame.count > 54 ? frame[network + 6] : 0
        if word(frame, network - 2) == 0x0800 {
            guard word(frame, network + 6) & 0x1fff == 0 else { return }
            transport = network + Int(frame[network] & 15) * 4
            transportProtocol = frame[network + 9]
        } else if word(frame, network - 2) != 0x86dd {
            return
        }
        if transportProtocol == 17, frame.endIndex >= transport + 50, word(frame, transport + 2) == 8472 {
            learn(frame[(transport + 16)...])
        } else if transportProtocol == 6, frame.endIndex >= transport + 20 {
            let sequence = long(frame, transport + 4)
            if frame[transport + 13] & 2 != 0, !initialSequences.contains(sequence) {
                initialSequences.append(sequence)
            }
            let end = min(frame.endIndex, transport + Int(frame[transport + 12] >> 4) * 4)
            for (kind, value) in options(frame, transport + 20, end) where kind == 8 && value.count == 8 {
                clocks.insert(long(value, value.startIndex))
            }
        }
    }

    // MARK: reading

    /// The fields of a frame seen at an interface.
    mutating func fields(of frame: [UInt8], isIngress: Bool, at interface: String) -> [Field] {
        fields = [("direction", isIngress ? "in" : "out")]
        place = interface
        ethernet(frame[...], "")
        return fields
    }

    private mutating func add(_ name: String, _ value: some CustomStringConvertible) {
        fields.append((name, value.description))
    }

    private mutating func ethernet(_ frame: ArraySlice<UInt8>, _ prefix: String) {
        guard frame.count >= 14 else { return add(prefix + "octets", text(frame)) }
        let start = frame.startIndex
        add(prefix + "eth.destination", hardwareAddress(frame, start))
        add(prefix + "eth.source", hardwareAddress(frame, start + 6))
        let type = word(frame, start + 12)
        add(prefix + "eth.type", "0x" + String(type, radix: 16))
        switch type {
        case 0x0806 where frame.count >= 42: arp(frame, prefix)
        case 0x0800: ipv4(frame[(start + 14)...], prefix, isQuote: false)
        case 0x86dd: ipv6(frame[(start + 14)...], prefix, isQuote: false)
        default: add(prefix + "octets", text(frame[(start + 14)...]))
        }
    }

    private mutating func arp(_ frame: ArraySlice<UInt8>, _ prefix: String) {
        let start = frame.startIndex + 14
        add(prefix + "arp.operation", word(frame, start + 6))
        add(prefix + "arp.sender", hardwareAddress(frame, start + 8))
        add(prefix + "arp.sender.ip", address(frame, start + 14))
        add(prefix + "arp.target", hardwareAddress(frame, start + 18))
        add(prefix + "arp.target.ip", address(frame, start + 24))
        add(prefix + "length", frame.count)
    }

    private mutating func ipv4(_ packet: ArraySlice<UInt8>, _ prefix: String, isQuote: Bool) {
        let start = packet.startIndex
        guard packet.count >= 20, packet[start] >> 4 == 4, packet[start] & 15 >= 5 else {
            return add(prefix + "octets", text(packet))
        }
        let header = Int(packet[start] & 15) * 4
        let total = Int(word(packet, start + 2))
        let end = min(packet.endIndex, start + total)
        let transport = min(start + header, end)
        let fragment = word(packet, start + 6)
        add(prefix + "ip.source", address(packet, start + 12))
        add(prefix + "ip.destination", address(packet, start + 16))
        add(prefix + "ip.protocol", packet[start + 9])
        add(prefix + "ip.tos", packet[start + 1])
        add(prefix + "ip.length", total)
        add(prefix + "ip.ttl", packet[start + 8])
        add(prefix + "ip.df", fragment >> 14 & 1)
        add(prefix + "ip.more", fragment >> 13 & 1)
        add(prefix + "ip.offset", Int(fragment & 0x1fff) * 8)
        add(prefix + "ip.id", identification(packet, transport, isQuote: isQuote))
        if header > 20 { add(prefix + "ip.options", text(packet[(start + 20)..<transport])) }
        add(prefix + "ip.checksum", sum(packet[start..<transport]) == 0 ? "right" : "wrong")
        let pseudoHeader = packet[(start + 12)..<(start + 20)] + [0, packet[start + 9]]
        rest(
            packet[transport..<end], packet[start + 9], prefix, pseudoHeader: Array(pseudoHeader),
            length: total - header, isFirst: fragment & 0x1fff == 0,
            isWhole: fragment & 0x3fff == 0 && end == start + total, isQuote: isQuote)
        if !isQuote, packet.endIndex > end { add(prefix + "trailer", packet.endIndex - end) }
    }

    private mutating func ipv6(_ packet: ArraySlice<UInt8>, _ prefix: String, isQuote: Bool) {
        let start = packet.startIndex
        guard packet.count >= 40, packet[start] >> 4 == 6 else { return add(prefix + "octets", text(packet)) }
        let length = Int(word(packet, start + 4))
        let end = min(packet.endIndex, start + 40 + length)
        add(prefix + "ip.source", text(packet[(start + 8)..<(start + 24)]))
        add(prefix + "ip.destination", text(packet[(start + 24)..<(start + 40)]))
        add(prefix + "ip.protocol", packet[start + 6])
        add(prefix + "ip.class", (word(packet, start) >> 4) & 255)
        add(prefix + "ip.label", long(packet, start) & 0xfffff == 0 ? "0" : "drawn")
        add(prefix + "ip.length", length)
        add(prefix + "ip.ttl", packet[start + 7])
        let pseudoHeader = packet[(start + 8)..<(start + 40)] + [0, packet[start + 6]]
        rest(
            packet[(start + 40)..<end], packet[start + 6], prefix, pseudoHeader: Array(pseudoHeader), length: length,
            isFirst: true, isWhole: end == start + 40 + length, isQuote: isQuote)
    }

    private mutating func rest(
        _ segment: ArraySlice<UInt8>, _ transportProtocol: UInt8, _ prefix: String, pseudoHeader: [UInt8],
        length: Int, isFirst: Bool, isWhole: Bool, isQuote: Bool
    ) {
        if isFirst {
            switch transportProtocol {
            case 6 where segment.count >= 20: tcp(segment, prefix)
            case 6 where segment.count >= 8: ports(segment, prefix)
            case 17 where segment.count >= 8: udp(segment, prefix)
            case 1 where segment.count >= 8, 58 where segment.count >= 8: icmp(segment, prefix, transportProtocol)
            default: add(prefix + "payload", text(segment))
            }
        } else {
            add(prefix + "payload", text(segment))
        }
        guard isWhole, !isQuote, [1, 6, 17, 58].contains(transportProtocol) else { return }
        if transportProtocol == 17, segment.count >= 8, word(segment, segment.startIndex + 6) == 0 {
            return add(prefix + "checksum", "none")
        }
        let lead = transportProtocol == 1 ? [] : pseudoHeader + [UInt8(length >> 8 & 255), UInt8(length & 255)]
        add(prefix + "checksum", sum(lead + segment) == 0 ? "right" : "wrong")
    }

    // MARK: transports

    private mutating func ports(_ segment: ArraySlice<UInt8>, _ prefix: String) {
        add(prefix + "source.port", name(port: word(segment, segment.startIndex)))
        add(prefix + "destination.port", name(port: word(segment, segment.startIndex + 2)))
    }

    private mutating func tcp(_ segment: ArraySlice<UInt8>, _ prefix: String) {
        ports(segment, prefix)
        let start = segment.startIndex
        let bits = segment[start + 13]
        let header = min(segment.count, Int(segment[start + 12] >> 4) * 4)
        add(prefix + "tcp.flags", String("FSRPAUEC".enumerated().filter { bits >> $0.offset & 1 == 1 }.map(\.element)))
        let sequence = long(segment, start + 4)
        // A SYN begins a connection: its number is one that was noted, or belongs to one no tap ever saw (in a quote).
        let isKnown = bits & 2 == 0 || initialSequences.contains(sequence)
        add(prefix + "tcp.sequence", isKnown ? relative(sequence) : "drawn")
        add(prefix + "tcp.acknowledgment", relative(long(segment, start + 8)))
        add(prefix + "tcp.window", word(segment, start + 14))
        for (kind, value) in options(segment, start + 20, start + header) {
            switch kind {
            case 2 where value.count == 2: add(prefix + "tcp.mss", word(value, value.startIndex))
            case 5:
                let blocks = stride(from: value.startIndex, to: value.endIndex - 3, by: 4).map {
                    relative(long(value, $0))
                }
                add(prefix + "tcp.sack", blocks.joined(separator: " "))
            case 8 where value.count == 8:
                let echo = long(value, value.startIndex + 4)
                add(prefix + "tcp.echo", echo == 0 ? "0" : clocks.contains(echo) ? "a clock" : "nobody's clock")
            default: add(prefix + "tcp.option.\(kind)", text(value))
            }
        }
        if segment.count > header { add(prefix + "payload", text(segment[(start + max(20, header))...])) }
    }

    private mutating func udp(_ segment: ArraySlice<UInt8>, _ prefix: String) {
        let start = segment.startIndex
        guard word(segment, start + 2) == 8472, segment.count >= 30 else {
            ports(segment, prefix)
            add(prefix + "udp.length", word(segment, start + 4))
            return add(prefix + "payload", text(segment[(start + 8)...]))
        }
        // Hosts have hash keys of their own: a number means something only from one of them.
        let sender = fields.last { $0.name == prefix + "ip.source" }?.value ?? ""
        let key = "\(sender) \(word(segment, start))"
        let number = tunnelPorts[key] ?? tunnelPorts.count + 1
        tunnelPorts[key] = number
        add(prefix + "source.port", "v\(number)")
        add(prefix + "udp.length", word(segment, start + 4))
        add(prefix + "vxlan.flags", segment[start + 8])
        add(prefix + "vxlan.vni", long(segment, start + 12) >> 8)
        ethernet(segment[(start + 16)...], prefix + "inner.")
    }

    private mutating func icmp(_ message: ArraySlice<UInt8>, _ prefix: String, _ transportProtocol: UInt8) {
        let start = message.startIndex
        let type = message[start]
        add(prefix + "icmp.type", type)
        add(prefix + "icmp.code", message[start + 1])
        let isEcho = transportProtocol == 1 ? type == 0 || type == 8 : type == 128 || type == 129
        if isEcho {
            let identifier = word(message, start + 4)
            let number = echoes[identifier] ?? echoes.count + 1
            echoes[identifier] = number
            add(prefix + "icmp.id", "i\(number)")
            add(prefix + "icmp.sequence", word(message, start + 6))
            return add(prefix + "payload", text(message[(start + 8)...]))
        }
        if transportProtocol == 58, type >= 128 { return add(prefix + "payload", text(message[(start + 4)...])) }
        add(prefix + "icmp.rest", long(message, start + 4))
        let quote = message[(start + 8)...]
        add(prefix + "quote.octets", quote.count)
        if transportProtocol == 1 {
            ipv4(quote, prefix + "quote.", isQuote: true)
        } else {
            ipv6(quote, prefix + "quote.", isQuote: true)
        }
    }

    // MARK: names

    private mutating func name(port: UInt16) -> String {
        if fixedPorts.contains(port) { return String(port) }
        let number = ports[port] ?? ports.count + 1
        ports[port] = number
        return "p\(number)"
    }

    private mutating func hardwareAddress(_ octets: ArraySlice<UInt8>, _ offset: Int) -> String {
        text(octets[offset..<offset + 6])
    }

    /// Counts from the initial sequence number it is nearest to.
    private func relative(_ sequence: UInt32) -> String {
        if sequence == 0 { return "0" }
        let distances = initialSequences.map { sequence &- $0 }.filter { $0 < 1 << 25 }
        return distances.min().map { "+\($0)" } ?? "a number of no connection"
    }

    /// TCP counts exactly; other generators skip ids as time passes, but not within the fragments of a packet.
    private mutating func identification(
        _ packet: ArraySlice<UInt8>, _ transport: Int, isQuote: Bool
    ) -> String {
        let start = packet.startIndex
        let value = word(packet, start + 4)
        if value == 0 { return "0" }
        if isQuote { return "drawn" }
        let transportProtocol = packet[start + 9]
        var stream = "\(place) \(transportProtocol) \(text(packet[(start + 12)..<(start + 20)]))"
        if transportProtocol == 6, packet.endIndex >= transport + 4 {
            stream += text(packet[transport..<transport + 4])
        }
        defer { identifications[stream] = value }
        guard let last = identifications[stream] else { return "first" }
        let step = value &- last
        if transportProtocol == 6 { return "+\(step)" }
        return step == 0 ? "same" : "next"
    }

    // MARK: octets

    private func word(_ octets: ArraySlice<UInt8>, _ offset: Int) -> UInt16 {
        UInt16(octets[offset]) << 8 | UInt16(octets[offset + 1])
    }

    private func long(_ octets: ArraySlice<UInt8>, _ offset: Int) -> UInt32 {
        UInt32(word(octets, offset)) << 16 | UInt32(word(octets, offset + 2))
    }

    private func address(_ octets: ArraySlice<UInt8>, _ offset: Int) -> String {
        octets[offset..<offset + 4].map(String.init).joined(separator: ".")
    }

    private func text(_ octets: ArraySlice<UInt8>) -> String {
        octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Kinds and values of TCP options up to the end of the list.
    private func options(
        _ octets: ArraySlice<UInt8>, _ start: Int, _ end: Int
    ) -> [(kind: UInt8, value: ArraySlice<UInt8>)] {
        var found: [(kind: UInt8, value: ArraySlice<UInt8>)] = []
        var position = start
        while position < end, octets[position] != 0 {
            if octets[position] == 1 {
                found.append((1, []))
                position += 1
                continue
            }
            guard position + 1 < end else { break }
            let length = Int(octets[position + 1])
            guard length >= 2, position + length <= end else { break }
            found.append((octets[position], octets[(position + 2)..<(position + length)]))
            position += length
        }
        return found
    }

    /// Zero when a checksum among the octets is right (RFC 1071).
    private func sum(_ octets: some Sequence<UInt8>) -> UInt16 {
        var total: UInt64 = 0
        for (index, octet) in octets.enumerated() { total += UInt64(octet) << (index % 2 == 0 ? 8 : 0) }
        while total > 0xffff { total = total >> 16 + total & 0xffff }
        return ~UInt16(total)
    }
}
