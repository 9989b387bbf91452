// Rules as the path evaluates them: plain structs in one array, chains as ranges, jumps as positions. Everything most
// rules ask (addresses, interfaces, protocol, ports, connection state, mark) is a masked comparison in the struct;
// the rest stands beside it as a list of matches. Rule positions are those of the Ruleset, so an event can name its rule.

internal import Addressing

/// One rule, compiled.
struct CompiledRule {
    struct Flags: OptionSet {
        let rawValue: UInt32
        static let source = Flags(rawValue: 1)
        static let notSource = Flags(rawValue: 2)
        static let destination = Flags(rawValue: 4)
        static let notDestination = Flags(rawValue: 8)
        static let ingress = Flags(rawValue: 16)
        static let notIngress = Flags(rawValue: 32)
        static let egress = Flags(rawValue: 64)
        static let notEgress = Flags(rawValue: 128)
        static let `protocol` = Flags(rawValue: 256)
        static let notProtocol = Flags(rawValue: 512)
        static let sourcePort = Flags(rawValue: 1 << 10)
        static let notSourcePort = Flags(rawValue: 1 << 11)
        static let destinationPort = Flags(rawValue: 1 << 12)
        static let notDestinationPort = Flags(rawValue: 1 << 13)
        static let state = Flags(rawValue: 1 << 14)
        static let notState = Flags(rawValue: 1 << 15)
        static let mark = Flags(rawValue: 1 << 16)
        static let notMark = Flags(rawValue: 1 << 17)
        static let sourceType = Flags(rawValue: 1 << 18)
        static let notSourceType = Flags(rawValue: 1 << 19)
        static let destinationType = Flags(rawValue: 1 << 20)
        static let notDestinationType = Flags(rawValue: 1 << 21)
        /// Holds what podnet does not evaluate, or leads nowhere: never matches.
        static let never = Flags(rawValue: 1 << 22)
        /// Asks the transport header, which later fragments do not have.
        static let transport = Flags(rawValue: 1 << 23)
    }

    enum Verdict: UInt8 {
        case none, accept, drop, `return`, jump, goto, nat, reject
        /// Does something to the packet or beside it, and evaluation goes on.
        case effect
    }

    var flags: Flags = []
    var source = IPAddress.any(.ipv4)
    var sourceMask: (high: UInt64, low: UInt64) = (0, 0)
    var destination = IPAddress.any(.ipv4)
    var destinationMask: (high: UInt64, low: UInt64) = (0, 0)
    var ingress = PackedName("")
    var ingressMask = PackedName("")
    var egress = PackedName("")
    var egressMask = PackedName("")
    var `protocol` = IPProtocol(rawValue: 0)
    var sourcePorts: ClosedRange<UInt16> = 0...UInt16.max
    var destinationPorts: ClosedRange<UInt16> = 0...UInt16.max
    var states = ConnectionStateSet()
    var mark = MarkBits(0, mask: 0)
    var sourceTypes: AddressTypeSet = []
    var destinationTypes: AddressTypeSet = []
    /// Where the rare criteria lie in `CompiledRuleset.matches`.
    var firstMatch: Int32 = 0
    var matchCount: Int32 = 0
    var verdict = Verdict.none
    /// The chain to jump to, or the place of the target in `CompiledRuleset.targets`.
    var argument: Int32 = -1
}

struct CompiledChain {
    var rules: Range<Int32>
    /// The place in `CompiledRuleset.indexes`, for long chains whose rules differ in an exact match; else -1.
    var index: Int32
    /// Nil for user chains.
    var policy: ChainPolicy?
}

struct CompiledTable {
    var chains: [CompiledChain] = []
    /// Position of the built-in chain for each hook, -1 where the table has none.
    var entry: [Int32] = Array(repeating: -1, count: Hook.allCases.count)
    /// Nothing would happen there: no rule, policy ACCEPT.
    var isIdle: [Bool] = Array(repeating: true, count: Hook.allCases.count)
}

/// All tables, compiled.
struct CompiledRuleset {
    var rules: [CompiledRule] = []
    /// The criteria too rare to have a field of their own in every rule.
    var matches: [Match] = []
    var targets: [Target] = []
    var indexes: [ChainIndex] = []
    var tables: [CompiledTable] = TableName.allCases.map { _ in CompiledTable() }
    /// Some rule needs connection tracking, or NAT does: the kernel then tracks every packet of the namespace.
    var tracksConnections = false

    init() {}

    init(compiling ruleset: Ruleset) {
        for (number, table) in ruleset.tables.enumerated() { compile(table, number) }
    }

    private mutating func compile(_ table: Table, _ number: Int) {
        for (position, chain) in table.chains.enumerated() {
            let first = Int32(rules.count)
            for rule in chain.rules { rules.append(compile(rule, in: table)) }
            let range = first..<Int32(rules.count)
            let index = ChainIndex(range, of: rules)
            tables[number].chains.append(
                CompiledChain(rules: range, index: index == nil ? -1 : Int32(indexes.count), policy: chain.policy))
            if let index { indexes.append(index) }
            guard chain.policy != nil, let hook = Hook.allCases.first(where: { $0.chainName == chain.name }) else {
                continue
            }
            tables[number].entry[hook.rawValue] = Int32(position)
            tables[number].isIdle[hook.rawValue] = chain.rules.isEmpty && chain.policy == .accept
        }
        if table.name == .nat, table.chains.contains(where: { !$0.rules.isEmpty }) { tracksConnections = true }
    }

    private mutating func compile(_ rule: Rule, in table: Table) -> CompiledRule {
        var compiled = CompiledRule()
        if let source = rule.source {
            compiled.flags.insert(source.isNegated ? [.source, .notSource] : .source)
            compiled.source = source.value.address
            compiled.sourceMask = IPPrefix.mask(length: source.value.length, family: source.value.family)
        }
        if let destination = rule.destination {
            compiled.flags.insert(destination.isNegated ? [.destination, .notDestination] : .destination)
            compiled.destination = destination.value.address
            compiled.destinationMask = IPPrefix.mask(
                length: destination.value.length, family: destination.value.family)
        }
        if let ingress = rule.ingress {
            compiled.flags.insert(ingress.isNegated ? [.ingress, .notIngress] : .ingress)
            (compiled.ingress, compiled.ingressMask) = Self.pattern(ingress.value)
        }
        if let egress = rule.egress {
            compiled.flags.insert(egress.isNegated ? [.egress, .notEgress] : .egress)
            (compiled.egress, compiled.egressMask) = Self.pattern(egress.value)
        }
        if let `protocol` = rule.protocol {
            compiled.flags.insert(`protocol`.isNegated ? [.protocol, .notProtocol] : .protocol)
            compiled.protocol = `protocol`.value
        }
        compiled.firstMatch = Int32(matches.count)
        for match in rule.matches { compile(match, into: &compiled) }
        compiled.matchCount = Int32(matches.count) - compiled.firstMatch
        compile(rule.target, into: &compiled, in: table)
        return compiled
    }

    /// The name and the mask of the octets that count: all sixteen (the closing zero included) unless a `+` ends it.
    private static func pattern(_ pattern: InterfacePattern) -> (PackedName, PackedName) {
        let name = pattern.isPrefix ? String(pattern.text.dropLast()) : pattern.text
        return (PackedName(name), PackedName(maskOfLength: pattern.isPrefix ? name.utf8.count : 16))
    }

    /// Puts a criterion into the rule's fields where it has some and they are free, else beside the rule.
    private mutating func compile(_ match: Match, into compiled: inout CompiledRule) {
        switch match {
        case .comment, .accounting: return
        case .transport(let match) where compiled.flags.isDisjoint(with: [.sourcePort, .destinationPort]):
            compile(match, into: &compiled)
            if match.option == nil, match.flags == nil { return }
        case .connection(let match):
            tracksConnections = true
            if match.asksStateAlone, let states = match.states, !compiled.flags.contains(.state) {
                return compile(states, into: &compiled)
            }
        case .state(let states):
            tracksConnections = true
            if !compiled.flags.contains(.state) { return compile(states, into: &compiled) }
        case .connectionMark: tracksConnections = true
        case .mark(let mark) where !compiled.flags.contains(.mark):
            compiled.flags.insert(mark.isNegated ? [.mark, .notMark] : .mark)
            compiled.mark = mark.value
            return
        case .addressType(let match)
        where match.limit == nil && compiled.flags.isDisjoint(with: [.sourceType, .destinationType]):
            if let source = match.source {
                compiled.flags.insert(source.isNegated ? [.sourceType, .notSourceType] : .sourceType)
                compiled.sourceTypes = source.value
            }
            if let destination = match.destination {
                compiled.flags.insert(
                    destination.isNegated ? [.destinationType, .notDestinationType] : .destinationType)
                compiled.destinationTypes = destination.value
            }
            return
        case .unevaluated:
            compiled.flags.insert(.never)
            return
        default: break
        }
        matches.append(match)
    }

    private func compile(_ match: TransportMatch, into compiled: inout CompiledRule) {
        compiled.flags.insert([.protocol, .transport])
        compiled.protocol = match.protocol
        if let source = match.source {
            compiled.flags.insert(source.isNegated ? [.sourcePort, .notSourcePort] : .sourcePort)
            compiled.sourcePorts = source.value
        }
        if let destination = match.destination {
            compiled.flags.insert(destination.isNegated ? [.destinationPort, .notDestinationPort] : .destinationPort)
            compiled.destinationPorts = destination.value
        }
    }

    private func compile(_ states: Negatable<ConnectionStateSet>, into compiled: inout CompiledRule) {
        compiled.flags.insert(states.isNegated ? [.state, .notState] : .state)
        compiled.states = states.value
    }

    private mutating func compile(_ target: Target?, into compiled: inout CompiledRule, in table: Table) {
        switch target {
        case nil: compiled.verdict = .none
        case .accept: compiled.verdict = .accept
        case .drop: compiled.verdict = .drop
        case .return: compiled.verdict = .return
        case .jump(let chain):
            compiled.verdict = .jump
            compiled.argument = Int32(table.position(of: chain) ?? -1)
            if compiled.argument < 0 { compiled.flags.insert(.never) }
        case .goto(let chain):
            compiled.verdict = .goto
            compiled.argument = Int32(table.position(of: chain) ?? -1)
            if compiled.argument < 0 { compiled.flags.insert(.never) }
        case .unevaluated: compiled.flags.insert(.never)
        case .some(let other):
            switch other {
            case .reject: compiled.verdict = .reject
            case .destinationNAT, .sourceNAT, .masquerade, .redirect: compiled.verdict = .nat
            default: compiled.verdict = .effect
            }
            if case .connectionMark = other { tracksConnections = true }
            compiled.argument = Int32(targets.count)
            targets.append(other)
        }
    }
}
