// Tables and chains of rules as one value, written by agents or read from a dump, and printed as iptables-save(8)
// prints them: of generated rules user chains alphabetically and built-in ones in hook order, as iptables 1.8.9 does;
// of a dump everything in its own order.

/// The tables packets meet, in the order the kernel's hook priorities give them.
public enum TableName: String, Hashable, Sendable, CaseIterable {
    case raw, mangle, nat, filter, security

    /// The place among all tables.
    var number: Int {
        switch self {
        case .raw: 0
        case .mangle: 1
        case .nat: 2
        case .filter: 3
        case .security: 4
        }
    }

    /// The built-in chains of the table, in hook order.
    public var builtInChains: [Hook] {
        switch self {
        case .raw: [.prerouting, .output]
        case .mangle: [.prerouting, .input, .forward, .output, .postrouting]
        case .nat: [.prerouting, .input, .output, .postrouting]
        case .filter, .security: [.input, .forward, .output]
        }
    }
}

/// The five places of the packet path where netfilter looks.
public enum Hook: Int, Hashable, Sendable, CaseIterable, BitwiseCopyable {
    case prerouting, input, forward, output, postrouting

    /// The built-in chain of that hook.
    public var chainName: String {
        switch self {
        case .prerouting: "PREROUTING"
        case .input: "INPUT"
        case .forward: "FORWARD"
        case .output: "OUTPUT"
        case .postrouting: "POSTROUTING"
        }
    }
}

/// What a built-in chain does with a packet no rule decided on.
public enum ChainPolicy: String, Hashable, Sendable {
    case accept = "ACCEPT"
    case drop = "DROP"
}

/// Packets and octets that a dump had counted.
public struct RuleCounters: Hashable, Sendable, BitwiseCopyable {
    public var packets: UInt64
    public var bytes: UInt64

    public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
        self.packets = packets
        self.bytes = bytes
    }

    var text: String { "[\(packets):\(bytes)]" }
}

/// A named list of rules. Only built-in chains have a policy.
public struct Chain: Hashable, Sendable {
    public let name: String
    public var policy: ChainPolicy?
    public var rules: [Rule]
    /// Who wrote the chain (`kube-proxy`, `flannel`, ...); nil for built-in chains.
    public var agent: String?
    /// What a dump had counted at the policy; podnet counts nothing.
    public var counters = RuleCounters()
    /// How a dump wrote the rules, where it says more than they do; empty for rules made here.
    var written: [WrittenRule] = []

    public init(name: String, policy: ChainPolicy? = nil, rules: [Rule] = [], agent: String? = nil) {
        self.name = name
        self.policy = policy
        self.rules = rules
        self.agent = agent
    }
}

/// What a dump says of a rule besides what it is.
struct WrittenRule: Hashable, Sendable {
    var counters: RuleCounters?
    /// The rule in the words of another version of iptables-save.
    var text: String?
}

/// One table: built-in chains first, then user chains in order of creation; of a dump, its chains in its order.
public struct Table: Hashable, Sendable {
    public let name: TableName
    public private(set) var chains: [Chain]
    private(set) var positions: [String: Int]

    public init(_ name: TableName) {
        self.name = name
        chains = name.builtInChains.map { Chain(name: $0.chainName, policy: .accept) }
        positions = Dictionary(uniqueKeysWithValues: chains.enumerated().map { ($1.name, $0) })
    }

    /// A table without chains, to be filled from a dump.
    init(dumped name: TableName) {
        self.name = name
        chains = []
        positions = [:]
    }

    /// Adds a chain of a dump behind the others.
    mutating func add(_ chain: Chain) {
        positions[chain.name] = chains.count
        chains.append(chain)
    }

    /// Adds a rule of a dump.
    mutating func append(_ rule: Rule, to position: Int, counters: RuleCounters?, text: String?) {
        chains[position].rules.append(rule)
        chains[position].written.append(WrittenRule(counters: counters, text: text))
    }

    fileprivate mutating func assignAgents(_ agent: (String) -> String?) {
        for position in chains.indices where chains[position].policy == nil {
            chains[position].agent = agent(chains[position].name)
        }
    }

    /// The chain of that name; reading an absent one gives nil.
    public subscript(_ chain: String) -> Chain? { positions[chain].map { chains[$0] } }

    public func position(of chain: String) -> Int? { positions[chain] }

    /// Makes the chain if it is absent (`iptables -N`).
    public mutating func create(_ chain: String, agent: String? = nil) {
        guard positions[chain] == nil else { return }
        positions[chain] = chains.count
        chains.append(Chain(name: chain, agent: agent))
    }

    /// Adds a rule at the end of a chain (`iptables -A`), making the chain if needed.
    public mutating func append(_ rule: Rule, to chain: String) {
        create(chain)
        if let position = positions[chain] { chains[position].rules.append(rule) }
    }

    /// Makes a chain with all its rules, or adds them to one that is there.
    public mutating func append(_ rules: [Rule], to chain: String, agent: String? = nil) {
        guard let position = positions[chain] else {
            positions[chain] = chains.count
            chains.append(Chain(name: chain, rules: rules, agent: agent))
            return
        }
        chains[position].rules += rules
    }

    /// Makes room for so many more chains.
    public mutating func reserveCapacity(_ count: Int) {
        chains.reserveCapacity(chains.count + count)
        positions.reserveCapacity(positions.count + count)
    }

    /// Adds a rule at the head of a chain (`iptables -I`), making the chain if needed.
    public mutating func insert(_ rule: Rule, at index: Int = 0, in chain: String) {
        create(chain)
        if let position = positions[chain] { chains[position].rules.insert(rule, at: index) }
    }

    /// Adds a rule unless the chain has it already (`iptables -C`, then `-A` or `-I`).
    public mutating func ensure(_ rule: Rule, in chain: String, atHead: Bool = false) {
        if let position = positions[chain], chains[position].rules.contains(rule) { return }
        if atHead { insert(rule, in: chain) } else { append(rule, to: chain) }
    }

    public mutating func setPolicy(_ policy: ChainPolicy, of hook: Hook) {
        if let position = positions[hook.chainName] { chains[position].policy = policy }
    }
}

/// All tables of one namespace.
public struct Ruleset: Hashable, Sendable {
    public private(set) var tables: [Table]

    /// Tables without rules: every chain empty, every policy ACCEPT.
    public init() { tables = TableName.allCases.map { Table($0) } }

    /// The tables of a dump in its order; nil for rules made here.
    private(set) var dumpedTables: [TableName]?

    /// Without rules, to be filled from a dump.
    init(dumped tables: [TableName]) {
        self.init()
        dumpedTables = tables
    }

    /// Takes a table of a dump.
    mutating func take(_ table: Table) {
        dumpedTables?.append(table.name)
        self[table.name] = table
    }

    public subscript(_ name: TableName) -> Table {
        get { tables[name.number] }
        _modify { yield &tables[name.number] }
    }

    /// Says of every user chain who wrote it, by its name.
    public mutating func assignAgents(_ agent: (String) -> String?) {
        for position in tables.indices { tables[position].assignAgents(agent) }
    }

    public var isEmpty: Bool {
        tables.allSatisfy { table in
            table.chains.allSatisfy { $0.rules.isEmpty && $0.policy != .drop && $0.policy != nil }
        }
    }
}

extension Ruleset {
    /// The text of iptables-save without comment lines. Tables nobody touched are left out, as the kernel leaves out
    /// tables that were never asked for. A dump is printed as it was.
    public func savedText() -> String {
        var text = ""
        for name in dumpedTables ?? [TableName.mangle, .raw, .filter, .nat, .security] {
            let table = self[name]
            if dumpedTables == nil, table.isUntouched { continue }
            text += "*\(name.rawValue)\n"
            let chains = dumpedTables == nil ? table.printedChains : table.chains
            for chain in chains { text += ":\(chain.name) \(chain.policy?.rawValue ?? "-") \(chain.counters.text)\n" }
            for chain in chains {
                let written = chain.written.count == chain.rules.count ? chain.written : []
                for (number, rule) in chain.rules.enumerated() {
                    if !written.isEmpty, let counters = written[number].counters { text += "\(counters.text) " }
                    let description = (written.isEmpty ? nil : written[number].text) ?? rule.description
                    text += "-A \(chain.name)" + (description.isEmpty ? "\n" : " \(description)\n")
                }
            }
            text += "COMMIT\n"
        }
        return text
    }
}

extension Table {
    fileprivate var isUntouched: Bool { chains.allSatisfy { $0.policy == .accept && $0.rules.isEmpty } }

    /// Built-in chains in hook order, then user chains by name.
    fileprivate var printedChains: [Chain] {
        chains.filter { $0.policy != nil }
            + chains.filter { $0.policy == nil }.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }
}
