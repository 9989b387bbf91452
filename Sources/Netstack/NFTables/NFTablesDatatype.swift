// The data types of nftables: their names in set declarations, the words their values are spelled with, and the numbers
// those stand for. Mirrors src/datatype.c, src/ct.c, src/fib.c and src/proto.c of nft 1.0.6 for the words.

public import Addressing

/// A constant as nft prints it, with what it stands for.
public enum NFTablesValue: Hashable, Sendable {
    case address(IPAddress)
    case prefix(IPPrefix)
    case number(UInt64)
    /// Eight hexadecimal digits.
    case mark(UInt32)
    case symbol(String, UInt64)
    /// A quoted name; a trailing `*` stands for any suffix.
    case name(String)
    /// `established,related`.
    case flags([NFTablesValue])
    /// `syn / syn,ack`: these bits of those.
    indirect case masked(NFTablesValue, mask: NFTablesValue)
    indirect case range(NFTablesValue, NFTablesValue)
    case concatenation([NFTablesValue])
    case verdict(NFTablesVerdict)
    /// `*`: whatever no other element holds.
    case any
}

/// What kind of value a field has or a set holds.
public enum NFTablesDatatype: String, Hashable, Sendable, CaseIterable {
    case ipv4Address = "ipv4_addr"
    case ipv6Address = "ipv6_addr"
    case inetProtocol = "inet_proto"
    case inetService = "inet_service"
    case mark
    case integer
    case dscp
    case tcpFlag = "tcp_flag"
    case icmpType = "icmp_type"
    case icmpCode = "icmp_code"
    case icmpv6Type = "icmpv6_type"
    case icmpv6Code = "icmpv6_code"
    case etherType = "ether_type"
    case networkFamily = "nf_proto"
    case interfaceName = "ifname"
    case interfaceIndex = "iface_index"
    case userID = "uid"
    case groupID = "gid"
    case packetType = "pkt_type"
    case connectionState = "ct_state"
    case connectionStatus = "ct_status"
    case connectionDirection = "ct_dir"
    case addressType = "fib_addrtype"
    case boolean
    case verdict

    static func address(_ family: AddressFamily) -> NFTablesDatatype {
        family == .ipv4 ? .ipv4Address : .ipv6Address
    }

    /// Values that are bits: `established,related` means one of them.
    var isBitmask: Bool { self == .connectionState || self == .connectionStatus || self == .tcpFlag }

    /// The words of the type, in nft's order.
    var symbols: [(String, UInt64)] { Self.symbolTables[self] ?? [] }

    private static let symbolTables = Dictionary(uniqueKeysWithValues: allCases.map { ($0, $0.words) })

    private var words: [(String, UInt64)] {
        switch self {
        case .inetProtocol:
            [
                ("hopopt", 0), ("ip", 0), ("icmp", 1), ("igmp", 2), ("ggp", 3), ("ipencap", 4), ("st", 5), ("tcp", 6),
                ("egp", 8), ("igp", 9), ("pup", 12), ("udp", 17), ("hmp", 20), ("xns-idp", 22), ("rdp", 27),
                ("iso-tp4", 29), ("dccp", 33), ("xtp", 36), ("ddp", 37), ("idpr-cmtp", 38), ("ipv6", 41),
                ("ipv6-route", 43), ("ipv6-frag", 44), ("idrp", 45), ("rsvp", 46), ("gre", 47), ("esp", 50),
                ("ah", 51), ("skip", 57), ("ipv6-icmp", 58), ("icmpv6", 58), ("ipv6-nonxt", 59), ("ipv6-opts", 60),
                ("rspf", 73), ("vmtp", 81), ("eigrp", 88), ("ospf", 89), ("ax.25", 93), ("ipip", 94),
                ("etherip", 97), ("encap", 98), ("pim", 103), ("ipcomp", 108), ("comp", 108), ("vrrp", 112),
                ("l2tp", 115), ("isis", 124), ("sctp", 132), ("fc", 133), ("mobility-header", 135),
                ("udplite", 136), ("mpls-in-ip", 137), ("manet", 138), ("hip", 139), ("shim6", 140), ("wesp", 141),
                ("rohc", 142), ("ethernet", 143),
            ]
        case .dscp:
            (0..<8).map { ("cs\($0)", UInt64($0) << 3) }
                + [
                    ("be", 0), ("lephb", 1), ("af11", 0x0a), ("af12", 0x0c), ("af13", 0x0e), ("af21", 0x12),
                    ("af22", 0x14), ("af23", 0x16), ("af31", 0x1a), ("af32", 0x1c), ("af33", 0x1e), ("af41", 0x22),
                    ("af42", 0x24), ("af43", 0x26), ("va", 0x2c), ("ef", 0x2e),
                ]
        case .tcpFlag:
            [
                ("fin", 1), ("syn", 2), ("rst", 4), ("psh", 8), ("ack", 16), ("urg", 32), ("ecn", 64), ("cwr", 128),
            ]
        case .icmpType:
            [
                ("echo-reply", 0), ("destination-unreachable", 3), ("source-quench", 4), ("redirect", 5),
                ("echo-request", 8), ("router-advertisement", 9), ("router-solicitation", 10), ("time-exceeded", 11),
                ("parameter-problem", 12), ("timestamp-request", 13), ("timestamp-reply", 14), ("info-request", 15),
                ("info-reply", 16), ("address-mask-request", 17), ("address-mask-reply", 18),
            ]
        case .icmpCode:
            [
                ("net-unreachable", 0), ("host-unreachable", 1), ("prot-unreachable", 2), ("port-unreachable", 3),
                ("frag-needed", 4), ("net-prohibited", 9), ("host-prohibited", 10), ("admin-prohibited", 13),
            ]
        case .icmpv6Type:
            [
                ("destination-unreachable", 1), ("packet-too-big", 2), ("time-exceeded", 3), ("parameter-problem", 4),
                ("echo-request", 128), ("echo-reply", 129), ("mld-listener-query", 130), ("mld-listener-report", 131),
                ("mld-listener-done", 132), ("mld-listener-reduction", 132), ("nd-router-solicit", 133),
                ("nd-router-advert", 134), ("nd-neighbor-solicit", 135), ("nd-neighbor-advert", 136),
                ("nd-redirect", 137), ("router-renumbering", 138), ("ind-neighbor-solicit", 141),
                ("ind-neighbor-advert", 142), ("mld2-listener-report", 143),
            ]
        case .icmpv6Code:
            [
                ("no-route", 0), ("admin-prohibited", 1), ("addr-unreachable", 3), ("port-unreachable", 4),
                ("policy-fail", 5), ("reject-route", 6),
            ]
        case .etherType: [("ip", 0x0800), ("arp", 0x0806), ("vlan", 0x8100), ("8021q", 0x8100), ("ip6", 0x86dd)]
        case .networkFamily: [("ipv4", 2), ("ipv6", 10)]
        case .packetType: [("host", 0), ("unicast", 0), ("broadcast", 1), ("multicast", 2), ("other", 3)]
        case .connectionState:
            [("invalid", 1), ("established", 2), ("related", 4), ("new", 8), ("untracked", 64)]
        case .connectionStatus:
            [
                ("expected", 1), ("seen-reply", 2), ("assured", 4), ("confirmed", 8), ("snat", 16), ("dnat", 32),
                ("dying", 512),
            ]
        case .connectionDirection: [("original", 0), ("reply", 1)]
        case .addressType:
            [
                ("unspec", 0), ("unicast", 1), ("local", 2), ("broadcast", 3), ("anycast", 4), ("multicast", 5),
                ("blackhole", 6), ("unreachable", 7), ("prohibit", 8),
            ]
        case .boolean: [("missing", 0), ("exists", 1)]
        default: []
        }
    }

    /// How many elements of such a set nft puts on one line.
    var elementsPerLine: Int {
        switch self {
        case .ipv4Address: 2
        case .ipv6Address, .interfaceName, .integer, .userID, .groupID, .verdict: 1
        default: 5
        }
    }

    /// The value of that word, as `nft list` spells it; nil when the type has no such value.
    func value(_ text: Substring) -> NFTablesValue? {
        if text == "*" { return .any }
        if text.first == "\"" {
            guard text.count > 2, text.last == "\"" else { return nil }
            switch self {
            case .interfaceName, .interfaceIndex: return .name(String(text.dropFirst().dropLast()))
            default: return nil
            }
        }
        if isBitmask, text.contains(",") {
            var bits: [NFTablesValue] = []
            for word in text.split(separator: ",", omittingEmptySubsequences: false) {
                guard let bit = value(word) else { return nil }
                bits.append(bit)
            }
            return .flags(bits)
        }
        if let (name, number) = symbols.first(where: { $0.0 == text }) { return .symbol(name, number) }
        if let range = range(text) { return range }
        switch self {
        case .ipv4Address, .ipv6Address:
            let family = self == .ipv4Address ? AddressFamily.ipv4 : .ipv6
            if text.contains("/") { return IPPrefix(text).flatMap { $0.family == family ? .prefix($0) : nil } }
            return IPAddress(text).flatMap { $0.family == family ? .address($0) : nil }
        case .verdict: return nil
        case .mark where text.contains("/"):
            // The leading bits alone: `0x01000000/8`.
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, case .mark(let mark)? = value(parts[0]), let length = UInt32(parts[1]),
                (1...32).contains(length)
            else { return nil }
            let rest = length == 32 ? 0 : UInt32.max >> length
            return .range(.mark(mark & ~rest), .mark(mark | rest))
        case .mark:
            guard text.hasPrefix("0x") else { return UInt32(text).map { .mark($0) } }
            return UInt32(text.dropFirst(2), radix: 16).map { .mark($0) }
        default:
            if text.hasPrefix("0x") {
                return UInt64(text.dropFirst(2), radix: 16).flatMap { $0 <= greatest ? .symbol(String(text), $0) : nil }
            }
            return UInt64(text).flatMap { $0 <= greatest ? .number($0) : nil }
        }
    }

    /// The greatest number of the type.
    private var greatest: UInt64 {
        switch self {
        case .inetService, .etherType: UInt64(UInt16.max)
        case .inetProtocol, .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code, .tcpFlag: UInt64(UInt8.max)
        default: UInt64.max
        }
    }

    private func range(_ text: Substring) -> NFTablesValue? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let low = value(ends[0]), let high = value(ends[1]) else { return nil }
        return .range(low, high)
    }

    /// The value of a number.
    func symbol(_ number: UInt64) -> NFTablesValue {
        symbols.first { $0.1 == number }.map { .symbol($0.0, $0.1) } ?? .number(number)
    }
}

extension NFTablesValue {
    public static func port(_ port: UInt16) -> NFTablesValue { .number(UInt64(port)) }

    public static func ports(_ range: ClosedRange<UInt16>) -> NFTablesValue {
        range.count == 1 ? .port(range.lowerBound) : .range(.port(range.lowerBound), .port(range.upperBound))
    }

    public static func `protocol`(_ protocol: IPProtocol) -> NFTablesValue {
        NFTablesDatatype.inetProtocol.symbol(UInt64(`protocol`.rawValue))
    }

    /// A network, or an address when it has only one.
    public static func network(_ prefix: IPPrefix) -> NFTablesValue {
        prefix.isHost ? .address(prefix.address) : .prefix(prefix)
    }

    /// A mark and how many of its highest bits count: `0x80000000/1`.
    init?(maskedMark text: Substring) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, case .mark(let bits) = NFTablesDatatype.mark.value(parts[0]),
            let length = Int(parts[1]), (0...32).contains(length)
        else { return nil }
        self = .masked(.mark(bits), mask: .mark(~(UInt32.max >> UInt32(length))))
    }

    /// A connection state.
    public static let new = NFTablesValue.symbol("new", 8)
    /// A connection whose destination was translated.
    public static let destinationTranslated = NFTablesValue.symbol("dnat", 32)
    /// An address of this machine.
    public static let local = NFTablesValue.symbol("local", 2)
}
