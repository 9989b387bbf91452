// Rules as the path evaluates them: plain structs in one array, chains as ranges, jumps as positions. Everything most
// rules ask (addresses, interfaces, protocol, ports, connection state, mark) is a masked comparison in the struct; the
// rest stands beside it as a list of matches. Rule positions are those of the Ruleset, so an event can name its rule.

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
        static let chance = Flags(rawValue: 1 << 24)
    }

    enum Verdict: UInt8 {
        case none, accept, drop, `return`, jump, goto, nat, reject
        /// Does something to the packet or beside it, and evaluation goes on.
        case effect
    }

    var flags: Flags = []
    var source = PackedPrefix()
    var destination = PackedPrefix()
    var sourceLength: UInt8 = 0
    var destinationLength: UInt8 = 0
    var `protocol` = IPProtocol(rawValue: 0)
    var states = ConnectionStateSet()
    var sourcePorts: ClosedRange<UInt16> = 0...UInt16.max
    var destinationPorts: ClosedRange<UInt16> = 0...UInt16.max
    var mark = MarkBits(0, mask: 0)
    var sourceTypes: AddressTypeSet = []
    var destinationTypes: AddressTypeSet = []
    /// Places in `CompiledRuleset.links`.
    var ingress: Int32 = -1
    var egress: Int32 = -1
    /// In units of 2^-31.
    var chance: UInt32 = 0
    /// Where the other criteria lie in `CompiledRuleset.matches`.
    var firstMatch: Int32 = 0
    var matchCount: Int32 = 0
    var verdict = Verdict.none
    /// The chain to jump to, by its place in the table, or the place of the target in `CompiledRuleset.targets`.
    var argument: Int32 = -1
}

/// The leading bits of an address that count, of either family: an IPv4 address stands in the last 32 bits.
struct PackedPrefix {
    var high: UInt64 = 0
    var low: UInt64 = 0

    /// Whether the first `length` of 128 bits are those of the address.
    @inline(__always)
    func contains(_ address: IPAddress, length: UInt8) -> Bool {
        let (high, low) = (address.high ^ high, address.low ^ low)
        if length <= 64 { return length == 0 || high >> UInt64(64 - length) == 0 }
        return high == 0 && low >> UInt64(128 - length) == 0
    }
}

/// An interface pattern: the name, and a mask over the octets that count.
struct CompiledLink {
    var name: PackedName
    var mask: PackedName

    /// All sixteen octets count (the closing zero included) unless a `+` ends the pattern.
    init(_ pattern: InterfacePattern) {
        let text = pattern.isPrefix ? String(pattern.text.dropLast()) : pattern.text
        name = PackedName(text)
        mask = PackedName(maskOfLength: pattern.isPrefix ? text.utf8.count : 16)
    }
}

struct CompiledChain {
    var rules: Range<Int32>
    /// The place in `CompiledRuleset.indexes`, for long chains whose rules differ in an exact match; else -1.
    var index: Int32
    /// Nil for user chains.
    var policy: ChainPolicy?
}

/// All tables, compiled.
struct CompiledRuleset {
    var rules = SharedArray<CompiledRule>()
    /// The criteria too rare to have a field of their own in every rule.
    var matches = SharedArray<Match>()
    var links: [CompiledLink] = []
    private var linkPositions: [InterfacePattern: Int32] = [:]
    var targets = SharedArray<Target>()
    /// The chains of all tables, one table behind the other.
    var chains: [CompiledChain] = []
    var indexes: [ChainIndex] = []
    /// Where each table's chains begin.
    private(set) var firstChains = Array(repeating: Int32(0), count: TableName.allCases.count)
    /// The built-in chain of each table at each hook; -1 where nothing would happen: no rule, policy ACCEPT.
    private var entries = Array(repeating: Int32(-1), count: TableName.allCases.count * Hook.allCases.count)
    /// Some rule needs connection tracking, or NAT does: the kernel then tracks every packet of the namespace.
    var tracksConnections = false
    /// Whose rules these are.
    let system: RuleSystem

    init() { system = .iptables }

    init(compiling ruleset: Ruleset, for system: RuleSystem = .iptables, madeFrom shared: SharedRuleset? = nil) {
        self.system = system
        if let compiled = shared?.compiled {
            rules = SharedArray(sharing: compiled.rules)
            matches = SharedArray(sharing: compiled.matches)
            targets = SharedArray(sharing: compiled.targets)
            links = compiled.links
            linkPositions = compiled.linkPositions
            indexes = compiled.indexes
            tracksConnections = compiled.tracksConnections
        } else {
            rules.reserveCapacity(ruleset.tables.reduce(0) { $0 + $1.chains.reduce(0) { $0 + $1.rules.count } })
        }
        for (number, table) in ruleset.tables.enumerated() { compile(table, number, madeFrom: shared) }
    }

    /// The chain where a table begins at a hook; -1 where it has nothing to say.
    func entry(table: Int, _ hook: Hook) -> Int32 { entries[table * Hook.allCases.count + hook.rawValue] }

    private mutating func compile(_ table: Table, _ number: Int, madeFrom shared: SharedRuleset?) {
        let firstChain = Int32(chains.count)
        firstChains[number] = firstChain
        let known = shared?.ruleset.tables[number].chains ?? []
        chains.reserveCapacity(chains.count + table.chains.count)
        for (position, chain) in table.chains.enumerated() {
            if let shared, position < known.count, known[position].hasSameRules(as: chain) {
                var compiled = shared.compiled.chains[Int(shared.compiled.firstChains[number]) + position]
                compiled.policy = chain.policy
                chains.append(compiled)
            } else {
                chains.append(compile(chain, in: table))
            }
            guard chain.policy != nil, let hook = Hook.allCases.first(where: { $0.chainName == chain.name }),
                !chain.rules.isEmpty || chain.policy == .drop
            else { continue }
            entries[number * Hook.allCases.count + hook.rawValue] = firstChain + Int32(position)
        }
        if table.name == .nat, table.chains.contains(where: { !$0.rules.isEmpty }) { tracksConnections = true }
    }

    private mutating func compile(_ chain: Chain, in table: Table) -> CompiledChain {
        let first = Int32(rules.count)
        for rule in chain.rules { rules.append(compile(rule, in: table)) }
        let range = first..<Int32(rules.count)
        let index = ChainIndex(range, of: rules)
        if let index { indexes.append(index) }
        return CompiledChain(rules: range, index: index == nil ? -1 : Int32(indexes.count - 1), policy: chain.policy)
    }

    private mutating func compile(_ rule: Rule, in table: Table) -> CompiledRule {
        var compiled = CompiledRule()
        if let source = rule.source {
            compiled.flags.insert(source.isNegated ? [.source, .notSource] : .source)
            (compiled.source, compiled.sourceLength) = Self.pack(source.value)
        }
        if let destination = rule.destination {
            compiled.flags.insert(destination.isNegated ? [.destination, .notDestination] : .destination)
            (compiled.destination, compiled.destinationLength) = Self.pack(destination.value)
        }
        if let ingress = rule.ingress {
            compiled.flags.insert(ingress.isNegated ? [.ingress, .notIngress] : .ingress)
            compiled.ingress = position(of: ingress.value)
        }
        if let egress = rule.egress {
            compiled.flags.insert(egress.isNegated ? [.egress, .notEgress] : .egress)
            compiled.egress = position(of: egress.value)
        }
        if let `protocol` = rule.protocol {
            compiled.flags.insert(`protocol`.isNegated ? [.protocol, .notProtocol] : .protocol)
            compiled.protocol = `protocol`.value
        }
        compiled.firstMatch = Int32(matches.count)
        // Behind a match that remembers packets the order counts: what it is asked for, it remembers.
        var orderCounts = false
        for match in rule.matches {
            let isPlaced = place(match, in: &compiled, behindMemory: orderCounts)
            if !isPlaced { matches.append(match) }
            orderCounts = orderCounts || match.hasMemory
        }
        compiled.matchCount = Int32(matches.count) - compiled.firstMatch
        compile(rule.target, into: &compiled, in: table)
        return compiled
    }

    private static func pack(_ prefix: IPPrefix) -> (PackedPrefix, UInt8) {
        let leading = 128 - prefix.family.bitWidth
        return (
            PackedPrefix(high: prefix.address.high, low: prefix.address.low), UInt8(leading + prefix.length)
        )
    }

    private mutating func position(of pattern: InterfacePattern) -> Int32 {
        if let known = linkPositions[pattern] { return known }
        let position = Int32(links.count)
        linkPositions[pattern] = position
        links.append(CompiledLink(pattern))
        return position
    }

    /// Puts a criterion into the rule's fields where it has some and they are free. False when it must stand beside.
    private mutating func place(_ match: Match, in compiled: inout CompiledRule, behindMemory: Bool) -> Bool {
        switch match {
        case .comment, .accounting: return true
        case .unevaluated:
            compiled.flags.insert(.never)
            return true
        case .connection, .state, .connectionMark: tracksConnections = true
        default: break
        }
        if behindMemory { return false }
        switch match {
        case .transport(let match) where compiled.flags.isDisjoint(with: [.sourcePort, .destinationPort]):
            compile(match, into: &compiled)
            return match.option == nil && match.flags == nil
        case .connection(let match) where match.asksStateAlone && !compiled.flags.contains(.state):
            if let states = match.states { compile(states, into: &compiled) }
            return true
        case .state(let states) where !compiled.flags.contains(.state):
            compile(states, into: &compiled)
            return true
        case .mark(let mark) where !compiled.flags.contains(.mark):
            compiled.flags.insert(mark.isNegated ? [.mark, .notMark] : .mark)
            compiled.mark = mark.value
            return true
        case .addressType(let match)
        where match.limit == nil && compiled.flags.isDisjoint(with: [.sourceType, .destinationType]):
            compile(match, into: &compiled)
            return true
        case .statistic(let match):
            guard case .random(let chance) = match.mode, !match.isNegated, !compiled.flags.contains(.chance),
                matches.count == Int(compiled.firstMatch)
            else { return false }
            compiled.flags.insert(.chance)
            compiled.chance = chance
            return true
        default: return false
        }
    }

    private func compile(_ match: AddressTypeMatch, into compiled: inout CompiledRule) {
        if let source = match.source {
            compiled.flags.insert(source.isNegated ? [.sourceType, .notSourceType] : .sourceType)
            compiled.sourceTypes = source.value
        }
        if let destination = match.destination {
            compiled.flags.insert(destination.isNegated ? [.destinationType, .notDestinationType] : .destinationType)
            compiled.destinationTypes = destination.value
        }
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
        case .jump(let chain), .goto(let chain):
            if case .jump = target { compiled.verdict = .jump } else { compiled.verdict = .goto }
            if let position = table.position(of: chain) {
                compiled.argument = Int32(position)
            } else {
                compiled.flags.insert(.never)
            }
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

extension Match {
    /// Whether asking changes what the next packet finds.
    fileprivate var hasMemory: Bool {
        switch self {
        case .recent, .limit: true
        case .statistic(let match): if case .nth = match.mode { true } else { false }
        default: false
        }
    }
}
