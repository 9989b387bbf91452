// Rules that many namespaces begin with, compiled once for all of them: kube-proxy writes the same ones on every node
// whose view of the Services is the same, and other agents add a few of their own. The kernel shares nothing.

public import Addressing

/// Rules to make others from, by adding chains behind its own and changing its chains' rules.
public struct SharedRuleset: Sendable {
    public let ruleset: Ruleset
    let compiled: CompiledRuleset

    /// Every jump in it must lead to a chain of its own.
    public init(_ ruleset: Ruleset, family: AddressFamily = .ipv4) {
        self.ruleset = ruleset
        compiled = CompiledRuleset(compiling: ruleset, for: family == .ipv4 ? .iptables : .ip6tables)
    }
}

extension Chain {
    /// Whether both hold one list of rules. Lists that were made apart are not compared.
    func hasSameRules(as other: Chain) -> Bool {
        guard name == other.name, rules.count == other.rules.count else { return false }
        return rules.withUnsafeBufferPointer { own in
            other.rules.withUnsafeBufferPointer { own.baseAddress == $0.baseAddress }
        }
    }
}

/// An array whose first elements others hold too. What is appended is its own.
struct SharedArray<Element> {
    private let shared: [Element]
    private var own: [Element] = []

    init() { shared = [] }

    /// Begins with all elements of another one.
    init(sharing other: SharedArray) {
        shared = other.shared.isEmpty ? other.own : other.shared + other.own
    }

    var count: Int { shared.count + own.count }

    @inline(__always)
    subscript(_ position: Int) -> Element {
        position < shared.count ? shared[position] : own[position - shared.count]
    }

    mutating func append(_ element: Element) { own.append(element) }
    mutating func reserveCapacity(_ count: Int) { own.reserveCapacity(count - shared.count) }
}

extension SharedArray: Sendable where Element: Sendable {}
