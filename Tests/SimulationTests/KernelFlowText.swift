// Frames in the notation of KernelFlows/README.md: every field a kernel chooses, with names for what differs from run
// to run. Written from octets, without the headers of Wire, so that both cannot be wrong in the same way.

import Addressing

/// The frames of one recording as text.
struct KernelFlowText {
    /// Names of MAC addresses.
    let stations: [MACAddress: String]
    private var ports: [UInt16: String] = [:]
    private var echoes: [UInt16: String] = [:]
    private var initialSequences: [UInt32] = []
    /// The last IP id of a stream at a place.
    private var identifications: [String: UInt16] = [:]

    private static let wellKnownPorts: Set<UInt16> = [7, 53, 80, 81, 443, 6443, 8080, 8472, 9100]

    init(stations: [MACAddress: String]) {
        self.stations = stations
    }

    // MARK: octets

    private func word(_ octets: ArraySlice<UInt8>, _ offset: Int) -> UInt16 {
        UInt16(octets[offset]) << 8 | UInt16(octets[offset + 1])
    }

    private func long(_ octets: ArraySlice<UInt8>, _ offset: Int) -> UInt32 {
        UInt32(word(octets, offset)) << 16 | UInt32(word(octets, offset + 2))
    }

    private func address(_ octets: ArraySlice<UInt8>, _ offset: Int) -> String {
        IPv4Address(rawValue: long(octets, offset)).description
    }

    private func station(_ octets: ArraySlice<UInt8>, _ offset: Int) -> String {
        let bits = octets[offset..<offset + 6].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return stations[MACAddress(rawValue: bits)] ?? "?"
    }

    /// Zero when a checksum among the octets is right (RFC 1071).
    private func sum(_ octets: [UInt8]) -> UInt16 {
        var total: UInt64 = 0
        for (index, octet) in octets.enumerated() { total += UInt64(octet) << (index % 2 == 0 ? 8 : 0) }
        while total > 0xffff { total = total >> 16 + total & 0xffff }
        return ~UInt16(total)
    }

    // MARK: names

    private mutating func name(port: UInt16) -> String {
        if Self.wellKnownPorts.contains(port) || (30_000..<30_100).contains(port) { return String(port) }
        return name(port, in: &ports, "p")
    }

    private func name(_ number: UInt16, in names: inout [UInt16: String], _ prefix: String) -> String {
        let name = names[number] ?? "\(prefix)\(names.count + 1)"
        names[number] = name
        return name
    }

    /// Counts from the initial sequence number it is nearest to.
    private func relative(_ sequence: UInt32) -> String {
        let distances = initialSequences.map { sequence &- $0 }.filter { $0 < 1 << 20 }
        return distances.min().map(String.init) ?? "?"
    }

    /// Notes the initial sequence numbers of a frame; every frame must be seen before the first is written.
    mutating func learn(_ frame: ArraySlice<UInt8>) {
        let network = frame.startIndex + 14
        guard word(frame, network - 2) == 0x0800, word(frame, network + 6) & 0x1fff == 0 else { return }
        let transport = network + Int(frame[network] & 15) * 4
        if frame[network + 9] == 17, word(frame, transport + 2) == 8472 {
            learn(frame[(transport + 16)...])
        } else if frame[network + 9] == 6, frame[transport + 13] & 2 != 0 {
            let sequence = long(frame, transport + 4)
            if !initialSequences.contains(sequence) { initialSequences.append(sequence) }
        }
    }

    // MARK: text

    mutating func text(_ frame: ArraySlice<UInt8>, at place: String) -> String {
        let start = frame.startIndex
        let body: String
        let length: Int
        if word(frame, start + 12) == 0x0806 {
            body = arp(frame, start + 14)
            length = 28
        } else {
            body = ip(frame, start + 14, at: place)
            length = Int(word(frame, start + 16))
        }
        let excess = frame.count == 14 + length ? "" : " frame \(frame.count)"
        return "\(station(frame, start + 6)) > \(station(frame, start)) \(body)\(excess)"
    }

    private func arp(_ frame: ArraySlice<UInt8>, _ start: Int) -> String {
        let sender = (address(frame, start + 14), station(frame, start + 8))
        let target = (address(frame, start + 24), station(frame, start + 18))
        return word(frame, start + 6) == 1
            ? "ARP who-has \(target.0) (\(target.1)) tell \(sender.0) (\(sender.1))"
            : "ARP \(sender.0) is-at \(sender.1) to \(target.0) (\(target.1))"
    }

    private mutating func ip(
        _ frame: ArraySlice<UInt8>, _ start: Int, at place: String, isQuote: Bool = false
    ) -> String {
        let transport = start + Int(frame[start] & 15) * 4
        let total = Int(word(frame, start + 2))
        let end = min(frame.endIndex, start + total)
        let transportProtocol = frame[start + 9]
        let fragment = word(frame, start + 6)
        let offset = Int(fragment & 0x1fff) * 8
        var (sourcePort, destinationPort) = ("", "")
        if transportProtocol == 6 || transportProtocol == 17, offset == 0 {
            let isTunnel = transportProtocol == 17 && word(frame, transport + 2) == 8472
            sourcePort = ":" + (isTunnel ? "v" : name(port: word(frame, transport)))
            destinationPort = ":" + name(port: word(frame, transport + 2))
        }
        let ends = address(frame, start + 12) + sourcePort + " > " + address(frame, start + 16) + destinationPort
        var text = "IP \(ends) ttl \(frame[start + 8])"
        if frame[start + 1] != 0 { text += " tos 0x" + String(frame[start + 1], radix: 16) }
        if fragment & 0x4000 != 0 { text += " DF" }
        let isNamed = isQuote || sourcePort == ":v"
        let identification = identification(frame, start, ends, place, isNamed: isNamed, isFirst: offset == 0)
        text += " id \(identification) len \(total)"
        if fragment & 0x3fff != 0 { text += " frag \(offset)" + (fragment & 0x2000 != 0 ? "+" : "") }
        if sum(Array(frame[start..<transport])) != 0 { text += " bad header checksum" }
        guard offset == 0 else { return text }
        let segment = frame[transport..<end]
        switch transportProtocol {
        case 6: text += tcp(segment, octets: total - (transport - start))
        case 17 where sourcePort == ":v":
            let header = "VXLAN flags \(frame[transport + 8]) vni \(long(frame, transport + 12) >> 8)"
            text += ": \(header) { \(self.text(frame[(transport + 16)..<end], at: place + " inner")) }"
        case 17: text += ": UDP data \(Int(word(frame, transport + 4)) - 8)"
        case 1: text += icmp(segment, octets: total - (transport - start), at: place)
        default: break
        }
        if fragment & 0x3fff == 0, end == start + total { text += checksum(frame, start, segment) }
        return text
    }

    /// Nothing for a right checksum. An unfinished one holds the sum of the pseudo header.
    private func checksum(_ frame: ArraySlice<UInt8>, _ start: Int, _ segment: ArraySlice<UInt8>) -> String {
        let transportProtocol = frame[start + 9]
        guard transportProtocol == 6 || transportProtocol == 17 else {
            return sum(Array(segment)) == 0 ? "" : " bad checksum"
        }
        let field = word(segment, segment.startIndex + (transportProtocol == 6 ? 16 : 6))
        if transportProtocol == 17, field == 0 { return " bad checksum" }
        let length = segment.count
        let pseudoHeader =
            frame[(start + 12)..<(start + 20)] + [0, transportProtocol, UInt8(length >> 8), UInt8(length & 255)]
        if sum(Array(pseudoHeader) + Array(segment)) == 0 { return "" }
        return field == ~sum(Array(pseudoHeader)) ? " unfinished checksum" : " bad checksum"
    }

    /// TCP counts exactly; the generator the others share skips ids as time passes.
    private mutating func identification(
        _ frame: ArraySlice<UInt8>, _ start: Int, _ ends: String, _ place: String, isNamed: Bool, isFirst: Bool
    ) -> String {
        let value = word(frame, start + 4)
        if value == 0 { return "0" }
        if isNamed { return "x" }
        let transportProtocol = frame[start + 9]
        let pair = "\(place) \(address(frame, start + 12)) \(address(frame, start + 16)) \(transportProtocol)"
        let kind = transportProtocol == 1 ? "\(frame[start + Int(frame[start] & 15) * 4])" : ""
        let stream = "\(pair) \(ends) \(kind)"
        let last = isFirst ? identifications[stream] : identifications[pair]
        identifications[stream] = value
        identifications[pair] = value
        guard let last else { return "x" }
        let step = value &- last
        if transportProtocol == 6 || step == 0 { return "+\(step)" }
        return step < 3000 ? "+" : "x"
    }

    private func tcp(_ segment: ArraySlice<UInt8>, octets: Int) -> String {
        let start = segment.startIndex
        let bits = segment[start + 13]
        let flags = String("FSRPAUEC".enumerated().filter { bits >> $0.offset & 1 == 1 }.map(\.element))
        let sequence = long(segment, start + 4)
        var text = ": \(flags) seq \(sequence == 0 ? "0" : relative(sequence))"
        if bits & 16 != 0 { text += " ack " + relative(long(segment, start + 8)) }
        text += " win \(word(segment, start + 14))"
        let header = Int(segment[start + 12] >> 4) * 4
        if octets > header { text += " data \(octets - header)" }
        let options = options(segment[(start + 20)..<(start + header)])
        return options.isEmpty ? text : text + " [\(options.joined(separator: " "))]"
    }

    private func options(_ octets: ArraySlice<UInt8>) -> [String] {
        var names: [String] = []
        var rest = octets
        while let kind = rest.first, kind != 0 {
            if kind == 1 {
                names.append("nop")
                rest = rest.dropFirst()
                continue
            }
            guard rest.count >= 2, rest.count >= Int(rest[rest.startIndex + 1]) else { break }
            switch kind {
            case 2: names.append("mss \(word(rest, rest.startIndex + 2))")
            case 3: names.append("wscale \(rest[rest.startIndex + 2])")
            case 4: names.append("sackOK")
            case 5:
                let blocks = stride(
                    from: rest.startIndex + 2, to: rest.startIndex + Int(rest[rest.startIndex + 1]), by: 8)
                names += blocks.map { "sack \(relative(long(rest, $0)))-\(relative(long(rest, $0 + 4)))" }
            case 8: names.append("TS")
            default: names.append("option \(kind)")
            }
            rest = rest.dropFirst(max(2, Int(rest[rest.startIndex + 1])))
        }
        return names
    }

    private mutating func icmp(_ message: ArraySlice<UInt8>, octets: Int, at place: String) -> String {
        let start = message.startIndex
        let (type, code) = (message[start], message[start + 1])
        var text = ": ICMP \(type)/\(code)"
        if type == 0 || type == 8 {
            let id = name(word(message, start + 4), in: &echoes, "i")
            return text + " id \(id) seq \(word(message, start + 6)) data \(octets - 8)"
        }
        if type == 3, code == 4 { text += " mtu \(word(message, start + 6))" }
        if type == 5 { text += " gateway \(address(message, start + 4))" }
        let quote = ip(message, start + 8, at: place, isQuote: true)
        return text + " quotes \(message.count - 8) { \(quote) }"
    }
}
