// One iptables rule, typed, with the text iptables-save(8) prints for it. Rules are written by agents (kube-proxy,
// flannel), held in this form, and compiled into plain structs before a packet meets them (CompiledRuleset.swift).
// Mirrors struct ipt_entry and the print functions of iptables 1.8.9.

public import Addressing

/// A criterion that may stand behind an exclamation mark.
public struct Negatable<Value: Hashable & Sendable>: Hashable, Sendable {
    public var value: Value
    public var isNegated: Bool

    public init(_ value: Value, isNegated: Bool = false) {
        self.value = value
        self.isNegated = isNegated
    }

    public static func not(_ value: Value) -> Negatable { Negatable(value, isNegated: true) }

    /// `! ` or nothing, as iptables-save puts it in front of the option.
    var sign: String { isNegated ? "! " : "" }
}

/// An interface name as `-i` and `-o` take it; a trailing `+` matches any suffix.
public struct InterfacePattern: Hashable, Sendable, CustomStringConvertible {
    public let text: String
    public init(_ text: String) { self.text = text }

    public var isPrefix: Bool { text.last == "+" }
    public var description: String { text }

    public func matches(_ name: String) -> Bool {
        isPrefix ? name.hasPrefix(text.dropLast()) : name == text
    }
}

/// One rule of a chain: criteria, then what to do.
public struct Rule: Hashable, Sendable {
    public var source: Negatable<IPPrefix>?
    public var destination: Negatable<IPPrefix>?
    public var ingress: Negatable<InterfacePattern>?
    public var egress: Negatable<InterfacePattern>?
    public var `protocol`: Negatable<IPProtocol>?
    /// The `-m` extensions in the order they were given.
    public var matches: [Match]
    /// Nil for a rule that only counts (and shows its comment).
    public var target: Target?

    public init(
        source: Negatable<IPPrefix>? = nil, destination: Negatable<IPPrefix>? = nil,
        ingress: Negatable<InterfacePattern>? = nil, egress: Negatable<InterfacePattern>? = nil,
        protocol: Negatable<IPProtocol>? = nil, matches: [Match] = [], target: Target? = nil
    ) {
        self.source = source
        self.destination = destination
        self.ingress = ingress
        self.egress = egress
        self.protocol = `protocol`
        self.matches = matches
        self.target = target
    }

    /// The text of the rule's comment match, if it has one.
    public var comment: String? {
        for case .comment(let text) in matches { return text }
        return nil
    }

    /// The rule as iptables-save prints it behind `-A CHAIN `.
    public var description: String {
        var words: [String] = []
        if let source { words.append("\(source.sign)-s \(source.value)") }
        words += matches.compactMap { $0.headText(.source) }
        if let destination { words.append("\(destination.sign)-d \(destination.value)") }
        words += matches.compactMap { $0.headText(.destination) }
        if let ingress { words.append("\(ingress.sign)-i \(ingress.value)") }
        if let egress { words.append("\(egress.sign)-o \(egress.value)") }
        if let `protocol` { words.append("\(`protocol`.sign)-p \(protocolText(`protocol`.value))") }
        for case .laterFragment(let isLater) in matches { words.append("\(isLater.sign)-f") }
        words += matches.filter(\.isModule).map(\.description)
        if let target { words.append(target.description) }
        return words.joined(separator: " ")
    }
}

extension Rule: CustomStringConvertible {}

extension Rule {
    /// Modules and targets of the rule that podnet does not evaluate. A rule with one never matches.
    public var unevaluated: [(module: String, text: String)] {
        var result: [(module: String, text: String)] = []
        for case .unevaluated(let module, let text) in matches { result.append((module, text)) }
        if case .unevaluated(let name, let text) = target { result.append((name, text)) }
        return result
    }
}

extension Match {
    /// Whether it stands behind `-m`; the others stand among the criteria every rule may have.
    fileprivate var isModule: Bool {
        switch self {
        case .laterFragment, .maskedAddress: false
        default: true
        }
    }

    /// The text of an address criterion whose mask is no prefix.
    fileprivate func headText(_ end: SetDirection) -> String? {
        guard case .maskedAddress(let match) = self, match.end == end else { return nil }
        return match.description
    }
}
