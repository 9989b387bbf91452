// An nftables ruleset as a value: tables with their sets, maps and chains, in the order nft lists them. kube-proxy's
// nftables mode writes such values, NFTablesListing.swift reads them from `nft list ruleset`, NFTablesText.swift prints
// them, and packets meet them compiled (CompiledNFTables.swift). Mirrors what include/uapi/linux/netfilter/nf_tables.h
// names. Stateful objects, flowtables and the families IP packets do not meet are kept as text.

public import Addressing

/// Which packets the chains of a table meet.
public enum NFTablesFamily: String, Hashable, Sendable, CaseIterable {
    case ip, ip6, inet, arp, bridge, netdev

    /// The address family of the table's packets; nil where both occur, or none.
    public var addresses: AddressFamily? {
        switch self {
        case .ip: .ipv4
        case .ip6: .ipv6
        case .inet, .arp, .bridge, .netdev: nil
        }
    }

    func meets(_ family: AddressFamily) -> Bool { self == .inet || addresses == family }
}

/// Where a base chain hangs in the packet path.
public struct NFTablesBaseChain: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case filter, nat, route
    }

    public var kind: Kind
    /// Nil for hooks IP packets do not meet (`ingress`, `egress`); `place` has its words then.
    public var hook: Hook?
    /// What stands between `hook` and `priority` where `hook` is nil.
    public var place: String
    public var priority: Int
    public var policy: ChainPolicy
    /// The line it was read from, where another version of nft printed it.
    var asRead: String?

    public init(_ kind: Kind, _ hook: Hook, priority: Int, policy: ChainPolicy = .accept) {
        self.init(kind, hook, place: hook.nftablesName, priority: priority, policy: policy)
    }

    init(_ kind: Kind, _ hook: Hook?, place: String, priority: Int, policy: ChainPolicy) {
        self.kind = kind
        self.hook = hook
        self.place = place
        self.priority = priority
        self.policy = policy
    }
}

extension Hook {
    var nftablesName: String { chainName.lowercased() }
}

/// One rule: statements from left to right until one does not match.
public struct NFTablesRule: Hashable, Sendable {
    public var statements: [NFTablesStatement]
    public var comment: String?
    /// The text it was read from, where printing the statements gives another one.
    var asRead: String?

    public init(_ statements: NFTablesStatement..., comment: String? = nil) {
        self.init(statements, comment: comment)
    }

    public init(_ statements: [NFTablesStatement], comment: String? = nil) {
        self.statements = statements
        self.comment = comment
    }
}

/// A named list of rules; a base chain has a place in the packet path.
public struct NFTablesChain: Hashable, Sendable {
    public let name: String
    public var base: NFTablesBaseChain?
    public var comment: String?
    public var rules: [NFTablesRule]

    public init(
        _ name: String, base: NFTablesBaseChain? = nil, comment: String? = nil, rules: [NFTablesRule] = []
    ) {
        self.name = name
        self.base = base
        self.comment = comment
        self.rules = rules
    }
}

/// One element of a set, or one entry of a map.
public struct NFTablesElement: Hashable, Sendable {
    public var key: NFTablesValue
    /// What a map gives for the key.
    public var data: NFTablesValue?
    public var comment: String?
    public var timeout: Nanoseconds?
    /// What is left of the timeout.
    public var expires: Nanoseconds?
    /// Statements bound to the element (`counter packets 0 bytes 0`), as text.
    var statements: String?

    public init(
        _ key: NFTablesValue, _ data: NFTablesValue? = nil, comment: String? = nil, timeout: Nanoseconds? = nil,
        expires: Nanoseconds? = nil
    ) {
        self.key = key
        self.data = data
        self.comment = comment
        self.timeout = timeout
        self.expires = expires
    }
}

/// A named set, or a map when it has a data type.
public struct NFTablesSet: Hashable, Sendable {
    public enum Flag: String, Hashable, Sendable, CaseIterable {
        case constant, dynamic, interval, timeout
    }

    public let name: String
    public var key: [NFTablesDatatype]
    /// What a map gives; nil for a set.
    public var data: [NFTablesDatatype]?
    /// The words behind `typeof`, where the types are given by example.
    var typeof: String?
    public var policy: String?
    public var size: Int?
    /// Statements every element gets (`counter`), as text.
    var statements: String?
    public var flags: [Flag]
    public var timeout: Nanoseconds?
    var collectionInterval: Nanoseconds?
    var mergesIntervals = false
    public var comment: String?
    public var elements: [NFTablesElement]
    /// The text it was read from, where printing gives another one. In a set without types, of which podnet knows
    /// nothing else, nothing is ever found.
    var asRead: String?

    public init(
        _ name: String, key: [NFTablesDatatype], data: [NFTablesDatatype]? = nil, size: Int? = nil,
        flags: [Flag] = [], timeout: Nanoseconds? = nil, comment: String? = nil, elements: [NFTablesElement] = []
    ) {
        self.name = name
        self.key = key
        self.data = data
        self.size = size
        self.flags = flags
        self.timeout = timeout
        self.comment = comment
        self.elements = elements
    }
}

/// A table: sets and maps, then chains, each in order of creation.
public struct NFTablesTable: Hashable, Sendable {
    public let family: NFTablesFamily
    public let name: String
    public var comment: String?
    /// Who wrote the table (`kube-proxy`); nil for one that was read.
    public var agent: String?
    /// Comment lines in front of it.
    var heading: [String] = []
    /// `flags` and other attributes of the table, stateful objects and flowtables, line by line.
    var attributes: [String] = []
    var objects: [String] = []
    /// A dormant table keeps its rules and evaluates none.
    var isDormant = false
    public var sets: [NFTablesSet]
    public var chains: [NFTablesChain]

    public init(
        _ family: NFTablesFamily, _ name: String, comment: String? = nil, agent: String? = nil,
        sets: [NFTablesSet] = [], chains: [NFTablesChain] = []
    ) {
        self.family = family
        self.name = name
        self.comment = comment
        self.agent = agent
        self.sets = sets
        self.chains = chains
    }

    /// `ip kube-proxy`.
    public var title: String { "\(family.rawValue) \(name)" }
}

/// Something a ruleset holds and podnet does not evaluate. A rule with it never matches.
public struct NFTablesNotice: Hashable, Sendable {
    public var line: Int
    public var message: String
}

/// All tables of one namespace.
public struct NFTablesRuleset: Hashable, Sendable {
    public var tables: [NFTablesTable]
    /// What of a listing is not evaluated, by line.
    public internal(set) var notices: [NFTablesNotice] = []

    public init(_ tables: [NFTablesTable] = []) { self.tables = tables }
}
