// Finds the rules of a long chain that a packet can match at all. kube-proxy's shared chains hold a rule for every
// Service, which differ in one exact match: a destination address, or a destination port. A packet need only meet the
// rules with its own address or port, and those that ask for neither. The kernel has no such index; it walks.

internal import Addressing

/// The rules of one chain by an exact match they require.
struct ChainIndex: Sendable {
    /// Shorter chains are walked.
    static let smallestChain: Int32 = 16

    private enum Criterion {
        case destination, destinationPort
    }

    private let criterion: Criterion
    private let byDestination: [IPAddress: [Int32]]
    private let byPort: [UInt16: [Int32]]
    /// Rules that do not require the match.
    private let others: [Int32]

    /// The index of a chain's rules; nil when it would not spare most of them.
    init?(_ range: Range<Int32>, of rules: [CompiledRule]) {
        guard range.count >= Self.smallestChain else { return nil }
        var byDestination: [IPAddress: [Int32]] = [:]
        var byPort: [UInt16: [Int32]] = [:]
        var withoutDestination: [Int32] = []
        var withoutPort: [Int32] = []
        for position in range {
            let rule = rules[Int(position)]
            if let destination = Self.exactDestination(rule) {
                byDestination[destination, default: []].append(position)
            } else {
                withoutDestination.append(position)
            }
            if let port = Self.exactPort(rule) {
                byPort[port, default: []].append(position)
            } else {
                withoutPort.append(position)
            }
        }
        if withoutDestination.count <= withoutPort.count {
            (criterion, others) = (.destination, withoutDestination)
            (self.byDestination, self.byPort) = (byDestination, [:])
        } else {
            (criterion, others) = (.destinationPort, withoutPort)
            (self.byDestination, self.byPort) = ([:], byPort)
        }
        guard others.count <= range.count / 2 else { return nil }
    }

    private static func exactDestination(_ rule: CompiledRule) -> IPAddress? {
        guard rule.flags.contains(.destination), !rule.flags.contains(.notDestination) else { return nil }
        let whole = IPPrefix.mask(length: rule.destination.family.bitWidth, family: rule.destination.family)
        return rule.destinationMask == whole ? rule.destination : nil
    }

    private static func exactPort(_ rule: CompiledRule) -> UInt16? {
        guard rule.flags.contains(.destinationPort), !rule.flags.contains(.notDestinationPort),
            rule.destinationPorts.count == 1
        else { return nil }
        return rule.destinationPorts.lowerBound
    }

    /// The first rule at or behind `position` that the packet may match; nil when none is left.
    func next(from position: Int32, _ fields: RuleFields) -> Int32? {
        let exact: [Int32]?
        switch criterion {
        case .destination: exact = byDestination[fields.destination]
        case .destinationPort: exact = fields.hasPorts ? byPort[fields.destinationPort] : nil
        }
        let first = exact.flatMap { Self.first(in: $0, from: position) }
        let other = Self.first(in: others, from: position)
        guard let first, let other else { return first ?? other }
        return min(first, other)
    }

    /// The smallest element not below `position` of an ascending list.
    private static func first(in list: [Int32], from position: Int32) -> Int32? {
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            if list[middle] < position { low = middle + 1 } else { high = middle }
        }
        return low < list.count ? list[low] : nil
    }
}
