// DNS messages (RFC 1035 section 4) in tcpdump's words: `4660+ A? name. (33)` and `4660* 1/0/0 A 10.96.0.1 (49)`.
// Only describes; who asks and answers builds its own messages.

import Addressing

extension PacketDescriber {
    /// The part of a line behind the ports. `length` is the payload length the UDP header claims.
    func describeDNS(_ bytes: RawSpan, _ range: Range<Int>, length: Int) -> String {
        guard range.count >= 12 else { return "[|domain]" }
        let start = range.lowerBound
        let identifier = bytes.loadUInt16(at: start)
        let flags = bytes.loadUInt16(at: start + 2)
        let counts = (0..<4).map { Int(bytes.loadUInt16(at: start + 4 + 2 * $0)) }
        let isResponse = flags & 0x8000 != 0
        let operation = Int(flags >> 11 & 0xf)
        var text = "\(identifier)"
        if operation != 0 { text += operation == 4 ? " notify" : operation == 5 ? " update" : " op\(operation)" }
        var reader = DNSReader(start: start, end: range.upperBound)
        reader.position = start + 12
        if isResponse {
            text += DNSReader.responseCodes[Int(flags & 0xf)] ?? (flags & 0xf == 0 ? "" : " Resp\(flags & 0xf)")
            if flags & 0x0400 != 0 { text += "*" }
            if flags & 0x0080 == 0 { text += "-" }
            if flags & 0x0200 != 0 { text += "|" }
            if flags & 0x0020 != 0 { text += "$" }
            for _ in 0..<counts[0] {
                guard reader.name(bytes) != nil, reader.skip(4) else { return text + " [|domain]" }
            }
            text += " \(counts[1])/\(counts[2])/\(counts[3])"
            // Answers are always shown, authority only when there is nothing else, as tcpdump does without -v.
            for index in 0..<counts[1] {
                guard let record = reader.record(bytes) else { return text + " [|domain]" }
                text += (index == 0 ? " " : ", ") + record
            }
        } else {
            if flags & 0x0100 != 0 { text += "+" }
            if flags & 0x0010 != 0 { text += "%" }
            if counts[3] == 1 { text += " [1au]" } else if counts[3] > 1 { text += " [\(counts[3])au]" }
            for index in 0..<counts[0] {
                guard let name = reader.name(bytes), let type = reader.word(bytes), reader.skip(2) else {
                    return text + " [|domain]"
                }
                text += (index == 0 ? " " : ", ") + "\(DNSReader.name(ofType: type))? \(name)"
            }
        }
        return text + " (\(length))"
    }
}

/// Walks a DNS message; every step is nil when the octets end or lead nowhere.
private struct DNSReader {
    static let responseCodes = [
        1: " FormErr", 2: " ServFail", 3: " NXDomain", 4: " NotImp", 5: " Refused",
    ]
    let start: Int
    let end: Int
    var position = 0

    init(start: Int, end: Int) {
        self.start = start
        self.end = end
    }

    static func name(ofType type: UInt16) -> String {
        switch type {
        case 1: "A"
        case 2: "NS"
        case 5: "CNAME"
        case 6: "SOA"
        case 12: "PTR"
        case 15: "MX"
        case 16: "TXT"
        case 28: "AAAA"
        case 33: "SRV"
        case 41: "OPT"
        case 65: "HTTPS"
        case 255: "ANY"
        default: "Type\(type)"
        }
    }

    mutating func skip(_ count: Int) -> Bool {
        guard count <= end - position else { return false }
        position += count
        return true
    }

    mutating func word(_ bytes: RawSpan) -> UInt16? {
        guard end - position >= 2 else { return nil }
        position += 2
        return bytes.loadUInt16(at: position - 2)
    }

    /// A domain name with its dot at the end; `.` alone is the root.
    mutating func name(_ bytes: RawSpan) -> String? {
        var labels = ""
        var cursor = position
        var behind: Int?
        // Each pointer must lead backwards, so the walk ends.
        var limit = end
        while true {
            guard cursor < end else { return nil }
            let length = Int(bytes.loadUInt8(at: cursor))
            if length == 0 {
                position = behind ?? cursor + 1
                return labels.isEmpty ? "." : labels
            }
            if length & 0xc0 == 0xc0 {
                guard cursor + 2 <= end else { return nil }
                let target = start + Int(bytes.loadUInt16(at: cursor) & 0x3fff)
                guard target < min(limit, cursor) else { return nil }
                behind = behind ?? cursor + 2
                (cursor, limit) = (target, target)
                continue
            }
            guard length < 64, cursor + 1 + length <= end, labels.utf8.count < 256 else { return nil }
            for offset in cursor + 1...cursor + length {
                let byte = bytes.loadUInt8(at: offset)
                labels += (0x21..<0x7f).contains(byte) ? String(UnicodeScalar(byte)) : "?"
            }
            labels += "."
            cursor += 1 + length
        }
    }

    /// One resource record as type and data.
    mutating func record(_ bytes: RawSpan) -> String? {
        guard name(bytes) != nil, let type = word(bytes), skip(6), let size = word(bytes),
            Int(size) <= end - position
        else { return nil }
        let data = position
        let behind = position + Int(size)
        defer { position = behind }
        let typeName = DNSReader.name(ofType: type)
        switch (type, size) {
        case (1, 4): return "\(typeName) \(bytes.loadIPv4Address(at: data))"
        case (28, 16): return "\(typeName) \(bytes.loadIPv6Address(at: data))"
        case (2, _), (5, _), (12, _): return name(bytes).map { "\(typeName) \($0)" }
        case (33, 7...):
            let priority = bytes.loadUInt16(at: data)
            let weight = bytes.loadUInt16(at: data + 2)
            let port = bytes.loadUInt16(at: data + 4)
            position = data + 6
            return name(bytes).map { "\(typeName) \($0):\(port) \(priority) \(weight)" }
        default: return typeName
        }
    }
}
