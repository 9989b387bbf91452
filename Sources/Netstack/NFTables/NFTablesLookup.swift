// Sets and maps as packets ask them. Exact keys are hashed, so a map of ten thousand Services answers like one of ten;
// intervals of one part are searched by halves, those of concatenations one by one. What rules change while packets
// pass (dynamic sets with timeouts) lives apart in NFTablesState. Mirrors nft_set_hash.c, nft_set_rbtree.c and
// nft_set_pipapo.c for the outcome, not for the structure.

internal import Addressing

/// What a map gives.
enum CompiledData: Sendable {
    case verdict(CompiledVerdict)
    /// One number, or an address and a port.
    case numbers(UInt128, UInt128?)
}

/// What rules remember from packet to packet.
struct NFTablesState: Sendable {
    struct Entry: Sendable {
        var expires: Nanoseconds
        /// The place of a map's data, -1 in a set.
        var data: Int32
    }

    /// The content of sets with timeouts.
    var sets: [[[UInt128]: Entry]] = []
    /// How often each `numgen inc` has counted.
    var turns: [UInt32] = []
    var buckets: [NFTablesBucket] = []
}

struct CompiledNFTablesSet: Sendable {
    private struct Interval: Sendable {
        var parts: [ClosedRange<UInt128>]
        var data: Int32
    }

    private var exact: [[UInt128]: Int32] = [:]
    /// The keys are 0, 1, 2 … and their number is this; a map behind `numgen`.
    private var denseCount = 0
    /// Sorted where there is one part; nft allows no overlap then.
    private var intervals: [Interval] = []
    private var data: [CompiledData] = []
    /// What `*` gives; nil without such an element.
    private var anything: Int32?
    /// The place of its content in NFTablesState; -1 for a set that does not change.
    var state = -1
    var timeout: Nanoseconds?
    var size = 65_535

    init(_ elements: [NFTablesElement], verdict: (NFTablesVerdict) -> CompiledVerdict?) {
        denseCount = Self.areDense(elements) ? elements.count : 0
        data.reserveCapacity(elements.count)
        if denseCount == 0 { exact.reserveCapacity(elements.count) }
        for element in elements {
            guard let place = add(element.data, verdict) else { continue }
            if denseCount > 0 { continue }
            if element.key == .any {
                anything = place
                continue
            }
            guard let parts = element.key.ranges else { continue }
            if parts.allSatisfy({ $0.lowerBound == $0.upperBound }) {
                exact[parts.map(\.lowerBound)] = place
            } else {
                intervals.append(Interval(parts: parts, data: place))
            }
        }
        if intervals.allSatisfy({ $0.parts.count == 1 }) {
            intervals.sort { $0.parts[0].lowerBound < $1.parts[0].lowerBound }
        }
    }

    private static func areDense(_ elements: [NFTablesElement]) -> Bool {
        for (position, element) in elements.enumerated() {
            guard case .number(let number) = element.key, number == position, element.data != nil else { return false }
        }
        return !elements.isEmpty
    }

    /// Keeps what a map gives and returns its place, -1 for an element of a set; nil when it means nothing.
    private mutating func add(_ value: NFTablesValue?, _ verdict: (NFTablesVerdict) -> CompiledVerdict?) -> Int32? {
        guard let value else { return -1 }
        if case .verdict(let target) = value {
            // Only a ruleset nobody checked can name a chain that is not there.
            data.append(.verdict(verdict(target) ?? CompiledVerdict(kind: .continue)))
        } else if let parts = value.ranges, let first = parts.first {
            data.append(.numbers(first.lowerBound, parts.count > 1 ? parts[1].lowerBound : nil))
        } else {
            data.append(.verdict(CompiledVerdict(kind: .continue)))
        }
        return Int32(data.count - 1)
    }

    /// Takes the elements out for NFTablesState, each with its end.
    mutating func moveElements(_ elements: [NFTablesElement]) -> [[UInt128]: NFTablesState.Entry] {
        var entries: [[UInt128]: NFTablesState.Entry] = [:]
        for element in elements {
            guard let key = element.key.ranges?.map(\.lowerBound), let place = exact[key] else { continue }
            let lifetime = element.expires ?? element.timeout ?? timeout
            entries[key] = NFTablesState.Entry(expires: lifetime ?? .max, data: place)
        }
        exact = [:]
        return entries
    }

    func contains(_ key: [UInt128], _ state: NFTablesState, now: Nanoseconds) -> Bool {
        find(key, state, now: now) != nil
    }

    /// What the map gives for a key; nil when it has no such element.
    func lookup(_ key: [UInt128], _ state: NFTablesState, now: Nanoseconds) -> CompiledData? {
        guard let place = find(key, state, now: now), place >= 0 else { return nil }
        return data[Int(place)]
    }

    private func find(_ key: [UInt128], _ content: NFTablesState, now: Nanoseconds) -> Int32? {
        if denseCount > 0 {
            guard key.count == 1, key[0] < denseCount else { return nil }
            return Int32(key[0])
        }
        if state >= 0, let entry = content.sets[state][key], entry.expires > now { return entry.data }
        if let place = exact[key] { return place }
        return interval(holding: key)?.data ?? anything
    }

    private func interval(holding key: [UInt128]) -> Interval? {
        guard key.count == 1 else {
            return intervals.first { interval in
                interval.parts.count == key.count && zip(interval.parts, key).allSatisfy { $0.contains($1) }
            }
        }
        // The last one that begins at or before the key.
        var low = 0
        var high = intervals.count
        while low < high {
            let middle = (low + high) / 2
            if intervals[middle].parts[0].lowerBound <= key[0] { low = middle + 1 } else { high = middle }
        }
        guard low > 0, intervals[low - 1].parts[0].contains(key[0]) else { return nil }
        return intervals[low - 1]
    }
}

// MARK: - Values as numbers

extension NFTablesValue {
    /// From the smallest to the largest number the value stands for; nil for what is no number.
    var range: ClosedRange<UInt128>? {
        switch self {
        case .address(let address): return address.number...address.number
        case .prefix(let prefix): return prefix.address.number...prefix.last.number
        case .number(let number), .symbol(_, let number): return UInt128(number)...UInt128(number)
        case .mark(let mark): return UInt128(mark)...UInt128(mark)
        case .name(let name):
            guard name.hasSuffix("*"), !name.hasSuffix("\\*") else {
                let number = PackedName(name).number
                return number...number
            }
            let prefix = String(name.dropLast())
            let low = PackedName(prefix).number
            let rest = 16 - min(prefix.utf8.count, 16)
            return low...(rest == 16 ? .max : low | (UInt128(1) << UInt128(8 * rest) - 1))
        case .flags(let bits):
            var sum: UInt128 = 0
            for bit in bits {
                guard let number = bit.range?.lowerBound else { return nil }
                sum |= number
            }
            return sum...sum
        case .range(let low, let high):
            guard let low = low.range?.lowerBound, let high = high.range?.upperBound, low <= high else { return nil }
            return low...high
        case .masked, .concatenation, .verdict, .any: return nil
        }
    }

    /// The ranges of the parts of a concatenation, or the one of any other value.
    var ranges: [ClosedRange<UInt128>]? {
        guard case .concatenation(let parts) = self else { return range.map { [$0] } }
        let ranges = parts.compactMap(\.range)
        return ranges.count == parts.count ? ranges : nil
    }
}

extension IPAddress {
    var number: UInt128 { UInt128(high) << 64 | UInt128(low) }

    init(number: UInt128, _ family: AddressFamily) {
        switch family {
        case .ipv4: self.init(IPv4Address(rawValue: UInt32(truncatingIfNeeded: number)))
        case .ipv6:
            self.init(
                IPv6Address(
                    high: UInt64(truncatingIfNeeded: number >> 64), low: UInt64(truncatingIfNeeded: number)))
        }
    }
}

extension PackedName {
    /// The octets in their order, the first in front, so that names with one beginning lie together.
    var number: UInt128 { UInt128(first.byteSwapped) << 64 | UInt128(second.byteSwapped) }
}
