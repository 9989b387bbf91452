// The values of netem in the spelling of tc(8): percentages, times and rates (tc/q_netem.c, lib/utils.c of iproute2).
// Absent: loss models (state, gemodel), delay distributions from tables, slots, cell overheads; a time needs its unit,
// which tc reads as microseconds or nanoseconds from one version to the other.

extension NetemSettings {
    mutating func read(_ word: FaultWord, _ values: [String]) throws(FaultError) {
        switch word {
        case .delay:
            guard (1...3).contains(values.count) else { throw word.error(values) }
            delay = try time(word, values, 0)
            if values.count > 1 { jitter = try min(time(word, values, 1), Int64(Int32.max)) }
            if values.count > 2 { delayCorrelation = try percent(word, values, 2) }
        case .loss: loss = try chance(word, values.first == "random" ? Array(values.dropFirst()) : values)
        case .duplicate: duplicate = try chance(word, values)
        case .corrupt: corrupt = try chance(word, values)
        case .reorder: reorder = try chance(word, values)
        case .gap: gap = UInt32(try count(word, values))
        case .limit: limit = try count(word, values)
        case .rate: rate = try octets(word, values)
        default: throw word.error(values)
        }
    }

    private func chance(_ word: FaultWord, _ values: [String]) throws(FaultError) -> NetemChance {
        guard (1...2).contains(values.count) else { throw word.error(values) }
        return NetemChance(
            share: try percent(word, values, 0), correlation: values.count > 1 ? try percent(word, values, 1) : 0)
    }

    private func count(_ word: FaultWord, _ values: [String]) throws(FaultError) -> Int {
        guard values.count == 1, let count = Int(values[0]), count > 0, count <= Int(Int32.max) else {
            throw word.error(values)
        }
        return count
    }

    /// `10%`, `0.1%`, and without the sign the same.
    private func percent(_ word: FaultWord, _ values: [String], _ place: Int) throws(FaultError) -> UInt32 {
        let text = values[place]
        let digits = text.hasSuffix("%") ? text.dropLast() : text[...]
        guard let number = decimal(digits) else { throw word.error(values) }
        guard number >= 0 else { throw word.error(values, "\(text) is negative") }
        guard number <= 100 else { throw word.error(values, "\(text) is more than 100%") }
        return UInt32((number / 100 * Double(UInt32.max)).rounded())
    }

    /// A number with a unit: 100ms, 1.5s, 20us.
    private func time(_ word: FaultWord, _ values: [String], _ place: Int) throws(FaultError) -> Int64 {
        let text = values[place]
        let (number, unit) = split(text)
        guard let number = decimal(number) else { throw word.error(values) }
        guard number >= 0 else { throw word.error(values, "\(text) is negative") }
        let scale: Double
        switch unit {
        case "s", "sec", "secs": scale = 1_000_000_000
        case "ms", "msec", "msecs": scale = 1_000_000
        case "us", "usec", "usecs": scale = 1_000
        case "ns", "nsec", "nsecs": scale = 1
        case "" where number == 0: scale = 1
        case "": throw word.error(values, "\(text) has no unit")
        default: throw word.error(values)
        }
        guard number * scale < 3_600_000_000_000 else { throw word.error(values, "\(text) is more than an hour") }
        return Int64((number * scale).rounded())
    }

    /// A rate in bits or octets a second, as octets.
    private func octets(_ word: FaultWord, _ values: [String]) throws(FaultError) -> Int64 {
        guard values.count == 1 else { throw word.error(values) }
        let (number, unit) = split(values[0])
        guard let number = decimal(number) else { throw word.error(values) }
        guard number >= 0 else { throw word.error(values, "\(values[0]) is negative") }
        var name = unit.lowercased()[...]
        var scale = 1.0
        if name.hasSuffix("bps") {
            name = name.dropLast(3)
            scale = 8
        } else if name.hasSuffix("bit") {
            name = name.dropLast(3)
        } else if !name.isEmpty {
            throw word.error(values)
        }
        let prefixes: [(name: Substring, size: Double)] = [
            ("", 1), ("k", 1e3), ("m", 1e6), ("g", 1e9), ("t", 1e12), ("ki", 1024), ("mi", 1_048_576),
            ("gi", 1_073_741_824), ("ti", 1_099_511_627_776),
        ]
        guard let size = prefixes.first(where: { $0.name == name })?.size else { throw word.error(values) }
        let bits = number * size * scale
        guard bits >= 8 else { throw word.error(values, "\(values[0]) is no rate anything passes at") }
        guard bits <= 1e15 else { throw word.error(values, "\(values[0]) is faster than any link") }
        return Int64(bits / 8)
    }

    private func split(_ text: String) -> (number: Substring, unit: String) {
        let end = text.firstIndex { !($0.isNumber || $0 == "." || $0 == "-" || $0 == "+") } ?? text.endIndex
        return (text[..<end], String(text[end...]))
    }

    /// A plain decimal number.
    private func decimal(_ text: Substring) -> Double? {
        guard !text.isEmpty, text.utf8.count <= 20,
            text.utf8.allSatisfy({ ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2e || $0 == 0x2d || $0 == 0x2b })
        else { return nil }
        return Double(text)
    }
}
