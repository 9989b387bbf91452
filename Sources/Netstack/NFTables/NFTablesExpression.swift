// What rules are made of: fields of a packet and of its connection, numbers, lookups, and the statements around them.
// Every case is printed by NFTablesText.swift as nft 1.0.6 prints it. Mirrors the expressions of net/netfilter/nft_*.c
// as nft shows them: a dependency (`tcp dport` asks for TCP first) belongs to the field and is not written down.

public import Addressing

/// Something a rule can ask of a packet. The raw value is nft's spelling.
public enum NFTablesField: String, Hashable, Sendable, CaseIterable {
    case ipSource = "ip saddr"
    case ipDestination = "ip daddr"
    case ipProtocol = "ip protocol"
    case ipTimeToLive = "ip ttl"
    case ipDSCP = "ip dscp"
    case ipLength = "ip length"
    case ip6Source = "ip6 saddr"
    case ip6Destination = "ip6 daddr"
    case ip6NextHeader = "ip6 nexthdr"
    case ip6HopLimit = "ip6 hoplimit"
    case ip6DSCP = "ip6 dscp"
    case tcpSourcePort = "tcp sport"
    case tcpDestinationPort = "tcp dport"
    case tcpFlags = "tcp flags"
    case udpSourcePort = "udp sport"
    case udpDestinationPort = "udp dport"
    case sctpSourcePort = "sctp sport"
    case sctpDestinationPort = "sctp dport"
    case transportSourcePort = "th sport"
    case transportDestinationPort = "th dport"
    case icmpType = "icmp type"
    case icmpCode = "icmp code"
    case icmpv6Type = "icmpv6 type"
    case icmpv6Code = "icmpv6 code"
    case transportProtocol = "meta l4proto"
    case etherType = "meta protocol"
    case networkFamily = "meta nfproto"
    case mark = "meta mark"
    case userID = "meta skuid"
    case groupID = "meta skgid"
    case packetType = "meta pkttype"
    case length = "meta length"
    case random = "meta random"
    case ingressName = "iifname"
    case egressName = "oifname"
    case ingressIndex = "iif"
    case egressIndex = "oif"
    case connectionState = "ct state"
    case connectionStatus = "ct status"
    case connectionMark = "ct mark"
    case connectionDirection = "ct direction"
    case connectionProtocol = "ct protocol"
    case originalSource = "ct original ip saddr"
    case originalDestination = "ct original ip daddr"
    case replySource = "ct reply ip saddr"
    case replyDestination = "ct reply ip daddr"
    case originalSource6 = "ct original ip6 saddr"
    case originalDestination6 = "ct original ip6 daddr"
    case replySource6 = "ct reply ip6 saddr"
    case replyDestination6 = "ct reply ip6 daddr"
    case originalSourcePort = "ct original proto-src"
    case originalDestinationPort = "ct original proto-dst"
    case replySourcePort = "ct reply proto-src"
    case replyDestinationPort = "ct reply proto-dst"

    public var datatype: NFTablesDatatype {
        switch self {
        case .ipSource, .ipDestination, .originalSource, .originalDestination, .replySource, .replyDestination:
            .ipv4Address
        case .ip6Source, .ip6Destination, .originalSource6, .originalDestination6, .replySource6, .replyDestination6:
            .ipv6Address
        case .ipProtocol, .ip6NextHeader, .transportProtocol, .connectionProtocol: .inetProtocol
        case .ipTimeToLive, .ip6HopLimit, .ipLength, .length, .random: .integer
        case .ipDSCP, .ip6DSCP: .dscp
        case .tcpSourcePort, .tcpDestinationPort, .udpSourcePort, .udpDestinationPort, .sctpSourcePort,
            .sctpDestinationPort, .transportSourcePort, .transportDestinationPort, .originalSourcePort,
            .originalDestinationPort, .replySourcePort, .replyDestinationPort:
            .inetService
        case .tcpFlags: .tcpFlag
        case .icmpType: .icmpType
        case .icmpCode: .icmpCode
        case .icmpv6Type: .icmpv6Type
        case .icmpv6Code: .icmpv6Code
        case .etherType: .etherType
        case .networkFamily: .networkFamily
        case .mark, .connectionMark: .mark
        case .userID: .userID
        case .groupID: .groupID
        case .packetType: .packetType
        case .ingressName, .egressName: .interfaceName
        case .ingressIndex, .egressIndex: .interfaceIndex
        case .connectionState: .connectionState
        case .connectionStatus: .connectionStatus
        case .connectionDirection: .connectionDirection
        }
    }

    /// Whether asking it makes the kernel track connections.
    var needsTracking: Bool { rawValue.hasPrefix("ct ") }
}

/// `fib`: asks the routing tables.
public struct NFTablesFIB: Hashable, Sendable {
    public enum Key: String, Hashable, Sendable, CaseIterable {
        case source = "saddr"
        case destination = "daddr"
        case mark
        case ingress = "iif"
        case egress = "oif"
    }

    public enum Result: String, Hashable, Sendable, CaseIterable {
        case type, oif, oifname
    }

    public var keys: [Key]
    public var result: Result

    public init(_ keys: [Key], _ result: Result) {
        self.keys = keys
        self.result = result
    }
}

public enum NFTablesOperator: String, Hashable, Sendable, CaseIterable {
    case and = "&"
    case or = "|"
    case exclusiveOr = "^"
    case shiftLeft = "<<"
    case shiftRight = ">>"
}

public enum NFTablesComparison: String, Hashable, Sendable, CaseIterable {
    /// Nothing is written: equal, one of, or one of the bits.
    case implicit = ""
    case equal = "=="
    case notEqual = "!="
    /// None of the bits.
    case none = "!"
    case less = "<"
    case greater = ">"
    case lessOrEqual = "<="
    case greaterOrEqual = ">="
}

/// A set or map a rule asks: one of the table's, or one written into the rule.
public enum NFTablesSetReference: Hashable, Sendable {
    case named(String)
    case anonymous([NFTablesElement])
}

/// What gives a value.
public indirect enum NFTablesExpression: Hashable, Sendable {
    case field(NFTablesField)
    case fib(NFTablesFIB)
    /// `numgen random mod N offset M`, or `inc`.
    case numgen(isRandom: Bool, modulus: UInt32, offset: UInt32)
    case concatenation([NFTablesExpression])
    case bitwise(NFTablesExpression, NFTablesOperator, NFTablesExpression)
    case map(NFTablesExpression, NFTablesSetReference)
    case set(NFTablesSetReference)
    case value(NFTablesValue)

    /// `ip daddr . meta l4proto . th dport`.
    public static func fields(_ fields: NFTablesField...) -> NFTablesExpression {
        fields.count == 1 ? .field(fields[0]) : .concatenation(fields.map(NFTablesExpression.field))
    }
}

/// Where a packet goes next.
public enum NFTablesVerdict: Hashable, Sendable {
    case accept, drop, `return`, `continue`
    case jump(String)
    case goto(String)
}

/// `dnat`, `snat`, `masquerade` and `redirect`.
public struct NFTablesTranslation: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case dnat, snat, masquerade, redirect
    }

    public enum Flag: String, Hashable, Sendable, CaseIterable {
        case random
        case fullyRandom = "fully-random"
        case persistent
    }

    public var kind: Kind
    /// `ip` or `ip6` in front of `to`, which nft writes where the table or a map leaves it open.
    public var family: AddressFamily?
    /// Nil where only the port changes, or the kernel chooses.
    public var address: NFTablesExpression?
    /// A port or a range of them, behind a colon.
    public var port: NFTablesValue?
    public var flags: [Flag]

    public init(
        _ kind: Kind, family: AddressFamily? = nil, to address: NFTablesExpression? = nil,
        port: NFTablesValue? = nil, flags: [Flag] = []
    ) {
        self.kind = kind
        self.family = family
        self.address = address
        self.port = port
        self.flags = flags
    }
}

/// `limit rate 10/second burst 5 packets`.
public struct NFTablesLimit: Hashable, Sendable {
    public var isOver: Bool
    public var rate: UInt64
    /// Nil for packets, else `bytes`, `kbytes` or `mbytes`.
    public var unit: String?
    /// `second`, `minute`, `hour`, `day` or `week`.
    public var period: String
    public var burst: UInt64?
    public var burstUnit: String?
}

/// How `reject` answers.
public enum NFTablesReject: Hashable, Sendable {
    /// Nothing is written: port unreachable.
    case portUnreachable
    case tcpReset
    /// `with icmp host-unreachable`; the protocol is `icmp`, `icmpv6` or `icmpx`.
    case icmp(protocol: String, code: String)
}

/// `add`, `update` and `delete` of an element from a rule.
public struct NFTablesSetUpdate: Hashable, Sendable {
    public enum Operation: String, Hashable, Sendable, CaseIterable {
        case add, update, delete
    }

    public var operation: Operation
    public var set: String
    public var key: NFTablesExpression
    public var timeout: Nanoseconds?

    public init(_ operation: Operation, set: String, key: NFTablesExpression, timeout: Nanoseconds? = nil) {
        self.operation = operation
        self.set = set
        self.key = key
        self.timeout = timeout
    }
}

/// One step of a rule.
public enum NFTablesStatement: Hashable, Sendable {
    case match(NFTablesExpression, NFTablesComparison, NFTablesExpression)
    case verdict(NFTablesVerdict)
    case verdictMap(NFTablesExpression, NFTablesSetReference)
    /// `meta mark set` or `ct mark set`.
    case set(NFTablesField, NFTablesExpression)
    case translate(NFTablesTranslation)
    case reject(NFTablesReject)
    case counter(packets: UInt64, bytes: UInt64)
    /// With what stands behind `log`.
    case log(String)
    case limit(NFTablesLimit)
    case notrack
    case update(NFTablesSetUpdate)
    /// The rest of a rule podnet does not evaluate, as it was read. The rule does not match.
    case unevaluated(String)

    /// `meta mark set meta mark | MARK` and its like.
    public static func setMark(_ change: NFTablesOperator, _ mark: UInt32) -> NFTablesStatement {
        .set(.mark, .bitwise(.field(.mark), change, .value(.mark(mark))))
    }

    /// A field that must have a value.
    public static func match(
        _ field: NFTablesField, _ comparison: NFTablesComparison = .implicit, _ value: NFTablesValue
    ) -> NFTablesStatement {
        .match(.field(field), comparison, .value(value))
    }
}
