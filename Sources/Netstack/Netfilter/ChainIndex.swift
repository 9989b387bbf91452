// Finds the rules of a long chain that a packet can match at all. kube-proxy's shared chains hold a rule for every
// Service, which differ in an exact match: a destination address and port, or a port alone. A packet need only meet the
// rules with its own values, and those that ask for none. The kernel has no such index; it walks.

internal import Addressing

/// The rules of one chain by an exact match they require.
struct ChainIndex: Sendable {
    /// Shorter chains are walked.
    static let smallestChain = 16

    /// What rules may require exactly. The one that leaves the fewest to look at is taken.
    enum Criterion: CaseIterable {
        case destinationAndPort, destination, destinationPort, source, sourcePort, mark
    }

    private struct Key: Hashable {
        var high: UInt64 = 0
        var low: UInt64 = 0
        var port: UInt16 = 0

        var hash: UInt64 {
            var hash = (low ^ UInt64(port) << 40) &* 0x9e37_79b9_7f4a_7c15 ^ high
            hash = (hash ^ hash >> 29) &* 0xbf58_476d_1ce4_e5b9
            return hash ^ hash >> 32
        }
    }

    /// The rules of one key: a stretch of `positions`. All that a lookup reads lies in one place.
    private struct Slot {
        var key = Key()
        var first: Int32 = 0
        /// 0 in a free slot.
        var count: Int32 = 0
    }

    let criterion: Criterion
    /// Open addressing, at most half full.
    private var slots: [Slot]
    /// Rule after rule, those of one key together and in order.
    private var positions: [Int32] = []
    /// Rules that do not require the match.
    private var others: [Int32] = []

    /// The index of a chain's rules; nil when it would not spare most of them.
    init?(_ range: Range<Int32>, of rules: SharedArray<CompiledRule>) {
        guard range.count >= Self.smallestChain else { return nil }
        let costs = Criterion.allCases.map { Self.cost($0, range, rules) }
        guard let least = costs.min(), least * 2 <= range.count, let best = costs.firstIndex(of: least) else {
            return nil
        }
        criterion = Criterion.allCases[best]
        var byKey: [Key: [Int32]] = [:]
        var keys: [Key] = []
        for position in range {
            if let key = Self.key(criterion, of: rules[Int(position)]) {
                byKey[key, default: []].append(position)
                if byKey[key]?.count == 1 { keys.append(key) }
            } else {
                others.append(position)
            }
        }
        var capacity = 32
        while capacity < keys.count * 2 { capacity *= 2 }
        slots = Array(repeating: Slot(), count: capacity)
        for key in keys {
            let list = byKey[key] ?? []
            slots[place(of: key)] = Slot(key: key, first: Int32(positions.count), count: Int32(list.count))
            positions += list
        }
    }

    /// How many rules a packet still meets: those that do not require the match, and those of one key. As many as there
    /// are when most do not.
    private static func cost(_ criterion: Criterion, _ range: Range<Int32>, _ rules: SharedArray<CompiledRule>) -> Int {
        let count = range.reduce(0) { key(criterion, of: rules[Int($1)]) == nil ? $0 : $0 + 1 }
        guard count * 2 >= range.count else { return range.count }
        let keys = range.reduce(into: Set<Key>()) { keys, position in
            if let key = key(criterion, of: rules[Int(position)]) { keys.insert(key) }
        }
        return range.count - count + (count + keys.count - 1) / keys.count
    }

    /// Where a key is, or would be.
    private func place(of key: Key) -> Int {
        let mask = slots.count - 1
        var place = Int(truncatingIfNeeded: key.hash) & mask
        while slots[place].count > 0, slots[place].key != key { place = (place + 1) & mask }
        return place
    }

    /// What a rule requires; nil when it takes more than one value.
    private static func key(_ criterion: Criterion, of rule: CompiledRule) -> Key? {
        func requires(_ flag: CompiledRule.Flags, not: CompiledRule.Flags) -> Bool {
            rule.flags.contains(flag) && !rule.flags.contains(not)
        }
        switch criterion {
        case .destinationAndPort:
            guard let address = key(.destination, of: rule), let port = key(.destinationPort, of: rule) else {
                return nil
            }
            return Key(high: address.high, low: address.low, port: port.port)
        case .destination:
            guard requires(.destination, not: .notDestination), rule.destinationLength == 128 else { return nil }
            return Key(high: rule.destination.high, low: rule.destination.low)
        case .source:
            guard requires(.source, not: .notSource), rule.sourceLength == 128 else { return nil }
            return Key(high: rule.source.high, low: rule.source.low)
        case .destinationPort:
            guard requires(.destinationPort, not: .notDestinationPort), rule.destinationPorts.count == 1 else {
                return nil
            }
            return Key(port: rule.destinationPorts.lowerBound)
        case .sourcePort:
            guard requires(.sourcePort, not: .notSourcePort), rule.sourcePorts.count == 1 else { return nil }
            return Key(port: rule.sourcePorts.lowerBound)
        case .mark:
            guard requires(.mark, not: .notMark), rule.mark.mask == .max else { return nil }
            return Key(low: UInt64(rule.mark.value))
        }
    }

    /// What a packet has. Rules that ask for ports also look whether it has any, so no rule is missed by that.
    private func key(of fields: RuleFields, mark: UInt32) -> Key? {
        switch criterion {
        case .destinationAndPort:
            fields.hasPorts
                ? Key(high: fields.destination.high, low: fields.destination.low, port: fields.destinationPort) : nil
        case .destination: Key(high: fields.destination.high, low: fields.destination.low)
        case .source: Key(high: fields.source.high, low: fields.source.low)
        case .destinationPort: fields.hasPorts ? Key(port: fields.destinationPort) : nil
        case .sourcePort: fields.hasPorts ? Key(port: fields.sourcePort) : nil
        case .mark: Key(low: UInt64(mark))
        }
    }

    /// The first rule at or behind `position` that the packet may match; nil when none is left.
    func next(from position: Int32, _ fields: RuleFields, mark: UInt32) -> Int32? {
        let other = Self.first(in: others[...], from: position)
        guard let key = key(of: fields, mark: mark) else { return other }
        let slot = slots[place(of: key)]
        let exact = positions[Int(slot.first)..<Int(slot.first + slot.count)]
        let first = Self.first(in: exact, from: position)
        guard let first, let other else { return first ?? other }
        return min(first, other)
    }

    /// The smallest element not below `position` of an ascending list.
    private static func first(in list: ArraySlice<Int32>, from position: Int32) -> Int32? {
        var low = list.startIndex
        var high = list.endIndex
        while low < high {
            let middle = (low + high) / 2
            if list[middle] < position { low = middle + 1 } else { high = middle }
        }
        return low < list.endIndex ? list[low] : nil
    }
}
