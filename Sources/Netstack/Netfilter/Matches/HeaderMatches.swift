// Criteria on addresses, links and the IP and Ethernet headers. Mirrors net/netfilter/xt_addrtype.c, xt_iprange.c,
// xt_physdev.c, xt_hl.c, xt_dscp.c, xt_pkttype.c, xt_owner.c, xt_ipvs.c and net/ipv4/netfilter/ipt_rpfilter.c.

public import Addressing

/// Address types as `-m addrtype` names them, from the routing table's route types.
public enum AddressType: String, Hashable, Sendable, CaseIterable {
    case unspecified = "UNSPEC"
    case unicast = "UNICAST"
    case local = "LOCAL"
    case broadcast = "BROADCAST"
    case anycast = "ANYCAST"
    case multicast = "MULTICAST"
    case blackhole = "BLACKHOLE"
    case unreachable = "UNREACHABLE"
    case prohibit = "PROHIBIT"
    case throwing = "THROW"
    case translated = "NAT"
    case external = "XRESOLVE"
}

/// Several address types, of which one is enough.
public struct AddressTypeSet: OptionSet, Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public init(_ type: AddressType) {
        rawValue = 1 << UInt16(AddressType.allCases.firstIndex(of: type) ?? 0)
    }

    public static let unicast = AddressTypeSet(.unicast)
    public static let local = AddressTypeSet(.local)
    public static let broadcast = AddressTypeSet(.broadcast)
    public static let multicast = AddressTypeSet(.multicast)

    public var description: String {
        AddressType.allCases.filter { contains(AddressTypeSet($0)) }.map(\.rawValue).joined(separator: ",")
    }
}

/// `-m addrtype`.
public struct AddressTypeMatch: Hashable, Sendable, CustomStringConvertible {
    /// Only addresses of the link the packet comes in by, or leaves by, count as local.
    public enum Limit: String, Hashable, Sendable {
        case ingress = "--limit-iface-in"
        case egress = "--limit-iface-out"
    }

    public var source: Negatable<AddressTypeSet>?
    public var destination: Negatable<AddressTypeSet>?
    public var limit: Limit?

    public init(
        source: Negatable<AddressTypeSet>? = nil, destination: Negatable<AddressTypeSet>? = nil, limit: Limit? = nil
    ) {
        self.source = source
        self.destination = destination
        self.limit = limit
    }

    public var description: String {
        var text = ""
        if let source { text += " \(source.sign)--src-type \(source.value)" }
        if let destination { text += " \(destination.sign)--dst-type \(destination.value)" }
        if let limit { text += " \(limit.rawValue)" }
        return text
    }
}

/// `-m iprange`.
public struct AddressRangeMatch: Hashable, Sendable, CustomStringConvertible {
    public var source: Negatable<ClosedRange<IPAddress>>?
    public var destination: Negatable<ClosedRange<IPAddress>>?

    public init(
        source: Negatable<ClosedRange<IPAddress>>? = nil, destination: Negatable<ClosedRange<IPAddress>>? = nil
    ) {
        self.source = source
        self.destination = destination
    }

    public var description: String {
        var text = ""
        for (option, range) in [("src-range", source), ("dst-range", destination)] {
            guard let range else { continue }
            text += " \(range.sign)--\(option) \(range.value.lowerBound)-\(range.value.upperBound)"
        }
        return text
    }
}

/// `-s` or `-d` with a mask that is no prefix, such as 10.0.0.5/255.0.0.255.
public struct MaskedAddressMatch: Hashable, Sendable, CustomStringConvertible {
    public var end: SetDirection
    public var address: IPAddress
    public var mask: IPAddress
    public var isNegated: Bool

    public init(_ end: SetDirection, _ address: IPAddress, mask: IPAddress, isNegated: Bool = false) {
        self.end = end
        self.address = address.masked(by: mask)
        self.mask = mask
        self.isNegated = isNegated
    }

    public var description: String {
        "\(isNegated ? "! " : "")\(end == .source ? "-s" : "-d") \(address)/\(mask)"
    }
}

/// `-m physdev`: of a bridged packet, or one that came in by a bridge port.
public struct BridgePortMatch: Hashable, Sendable, CustomStringConvertible {
    public var comesInByPort: Negatable<Bool>?
    public var ingress: Negatable<InterfacePattern>?
    public var leavesByPort: Negatable<Bool>?
    public var egress: Negatable<InterfacePattern>?
    public var isBridged: Negatable<Bool>?

    public init(
        ingress: Negatable<InterfacePattern>? = nil, egress: Negatable<InterfacePattern>? = nil,
        comesInByPort: Negatable<Bool>? = nil, leavesByPort: Negatable<Bool>? = nil, isBridged: Negatable<Bool>? = nil
    ) {
        self.ingress = ingress
        self.egress = egress
        self.comesInByPort = comesInByPort
        self.leavesByPort = leavesByPort
        self.isBridged = isBridged
    }

    public var description: String {
        var text = ""
        if let comesInByPort { text += " \(comesInByPort.sign)--physdev-is-in" }
        if let ingress { text += " \(ingress.sign)--physdev-in \(ingress.value)" }
        if let leavesByPort { text += " \(leavesByPort.sign)--physdev-is-out" }
        if let egress { text += " \(egress.sign)--physdev-out \(egress.value)" }
        if let isBridged { text += " \(isBridged.sign)--physdev-is-bridged" }
        return text
    }
}

/// `-m owner`: who sent a packet made here.
public struct OwnerMatch: Hashable, Sendable, CustomStringConvertible {
    public var hasSocket: Negatable<Bool>?
    public var user: Negatable<ClosedRange<UInt32>>?
    public var group: Negatable<ClosedRange<UInt32>>?
    public var countsSupplementaryGroups: Bool

    public init(
        user: Negatable<ClosedRange<UInt32>>? = nil, group: Negatable<ClosedRange<UInt32>>? = nil,
        hasSocket: Negatable<Bool>? = nil, countsSupplementaryGroups: Bool = false
    ) {
        self.user = user
        self.group = group
        self.hasSocket = hasSocket
        self.countsSupplementaryGroups = countsSupplementaryGroups
    }

    public var description: String {
        var text = ""
        if let hasSocket { text += " \(hasSocket.sign)--socket-exists" }
        if let user { text += " \(user.sign)--uid-owner \(rangeText(user.value, "-"))" }
        if let group { text += " \(group.sign)--gid-owner \(rangeText(group.value, "-"))" }
        if countsSupplementaryGroups { text += " --suppl-groups" }
        return text
    }
}

/// `-m ttl` of IPv4, `-m hl` of IPv6.
public struct TimeToLiveMatch: Hashable, Sendable, CustomStringConvertible {
    public enum Comparison: String, Hashable, Sendable {
        case equal = "eq"
        case less = "lt"
        case greater = "gt"
    }

    public var family: AddressFamily
    public var comparison: Comparison
    public var value: UInt8
    /// Only equality can be negated.
    public var isNegated: Bool

    public init(_ comparison: Comparison, _ value: UInt8, isNegated: Bool = false, family: AddressFamily = .ipv4) {
        self.comparison = comparison
        self.value = value
        self.isNegated = isNegated
        self.family = family
    }

    public var description: String {
        let module = family == .ipv4 ? "ttl" : "hl"
        return "\(module) \(isNegated ? "! " : "")--\(module)-\(comparison.rawValue) \(value)"
    }
}

/// An octet under a mask.
public struct OctetBits: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public var value: UInt8
    public var mask: UInt8

    public init(_ value: UInt8, mask: UInt8 = .max) {
        self.value = value
        self.mask = mask
    }

    public var description: String { "\(hexadecimal(value))/\(hexadecimal(mask))" }
}

/// Who a packet was for on its link.
public enum PacketTypeWord: String, Hashable, Sendable, CaseIterable {
    case unicast, broadcast, multicast
}

/// `-m rpfilter`.
public struct ReversePathFlags: OptionSet, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let loose = ReversePathFlags(rawValue: 1)
    /// Marks choose no route here, so this changes nothing.
    public static let validMark = ReversePathFlags(rawValue: 2)
    public static let acceptLocal = ReversePathFlags(rawValue: 4)
    public static let invert = ReversePathFlags(rawValue: 8)

    static let printed: [(ReversePathFlags, String)] = [
        (.loose, "--loose"), (.validMark, "--validmark"), (.acceptLocal, "--accept-local"), (.invert, "--invert"),
    ]

    public var description: String { Self.printed.filter { contains($0.0) }.map { " \($0.1)" }.joined() }
}

/// `-m ipvs`: the virtual service a packet belongs to.
public struct VirtualServiceMatch: Hashable, Sendable, CustomStringConvertible {
    public enum Method: String, Hashable, Sendable, CaseIterable {
        case direct = "GATE"
        case tunnel = "IPIP"
        case masquerade = "MASQ"
    }

    /// `--ipvs`: asks nothing but whether IPVS handles the packet.
    public var isHandled: Negatable<Bool>?
    public var `protocol`: Negatable<IPProtocol>?
    public var address: Negatable<IPPrefix>?
    public var port: Negatable<UInt16>?
    public var isReply: Bool?
    public var method: Negatable<Method>?
    public var controlPort: Negatable<UInt16>?

    public init(
        isHandled: Negatable<Bool>? = nil, address: Negatable<IPPrefix>? = nil,
        protocol: Negatable<IPProtocol>? = nil, port: Negatable<UInt16>? = nil
    ) {
        self.isHandled = isHandled
        self.address = address
        self.protocol = `protocol`
        self.port = port
    }

    public var description: String {
        var text = ""
        if let isHandled { text += " \(isHandled.sign)--ipvs" }
        if let `protocol` { text += " \(`protocol`.sign)--vproto \(`protocol`.value.rawValue)" }
        if let address {
            let value = address.value.isHost ? "\(address.value.address)" : "\(address.value)"
            text += " \(address.sign)--vaddr \(value)"
        }
        if let port { text += " \(port.sign)--vport \(port.value)" }
        if let isReply { text += " --vdir \(isReply ? "REPLY" : "ORIGINAL")" }
        if let method { text += " \(method.sign)--vmethod \(method.value.rawValue)" }
        if let controlPort { text += " \(controlPort.sign)--vportctl \(controlPort.value)" }
        return text
    }
}
