// What a node's rules lack, and have too much, against those kube-proxy should have written. Both are brought into one
// order first: kube-proxy walks its Services in random order, so in the chains all of them share only the order of one
// Service port's rules means anything; sets and maps have no order at all; everything else is compared as it stands.

/// The rules of one chain, or the elements of one set, in canonical order.
public struct RuleSection: Hashable, Sendable {
    /// `nat KUBE-SERVICES`
    public var name: String
    public var lines: [String]

    public init(_ name: String, _ lines: [String]) {
        self.name = name
        self.lines = lines
    }
}

/// How one chain or set differs.
public struct RuleDrift: Hashable, Sendable {
    public let section: String
    /// What kube-proxy would have written and the node does not have.
    public let missing: [String]
    public let extra: [String]
    /// The same lines in another order, from this line on.
    public let firstMoved: String?

    /// The sections that differ, by name.
    public static func between(expected: [RuleSection], actual: [RuleSection]) -> [RuleDrift] {
        let wanted = Dictionary(expected.map { ($0.name, $0.lines) }) { $0 + $1 }
        let found = Dictionary(actual.map { ($0.name, $0.lines) }) { $0 + $1 }
        let names = Set(wanted.keys).union(found.keys).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return names.compactMap { RuleDrift($0, expected: wanted[$0] ?? [], actual: found[$0] ?? []) }
    }

    private init?(_ section: String, expected: [String], actual: [String]) {
        guard expected != actual else { return nil }
        self.section = section
        missing = Self.lines(of: expected, notIn: actual)
        extra = Self.lines(of: actual, notIn: expected)
        firstMoved = missing.isEmpty && extra.isEmpty ? zip(expected, actual).first { $0 != $1 }?.1 : nil
    }

    /// Lines the other list has not, or has fewer times.
    private static func lines(of list: [String], notIn other: [String]) -> [String] {
        var left: [String: Int] = [:]
        for line in other { left[line, default: 0] += 1 }
        return list.filter { line in
            guard let count = left[line], count > 0 else { return true }
            left[line] = count - 1
            return false
        }
    }

    /// The differences as people read them: `-` for what is missing, `+` for what is too much.
    public static func text(_ drifts: [RuleDrift]) -> String {
        var text = ""
        for drift in drifts {
            text += "\(drift.section)\n"
            for line in drift.missing { text += "- \(line)\n" }
            for line in drift.extra { text += "+ \(line)\n" }
            if let moved = drift.firstMoved { text += "~ in another order from: \(moved)\n" }
        }
        return text
    }
}
