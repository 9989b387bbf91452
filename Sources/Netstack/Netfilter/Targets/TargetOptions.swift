// What REJECT, CONNMARK, LOG, NFLOG and TTL may be told. Mirrors net/ipv4/netfilter/ipt_REJECT.c,
// net/ipv6/netfilter/ip6t_REJECT.c, net/netfilter/xt_connmark.c, xt_LOG.c, xt_NFLOG.c and xt_HL.c.

public import Addressing

/// How REJECT answers.
public enum RejectKind: String, Hashable, Sendable, CaseIterable {
    case networkUnreachable = "icmp-net-unreachable"
    case hostUnreachable = "icmp-host-unreachable"
    case protocolUnreachable = "icmp-proto-unreachable"
    case portUnreachable = "icmp-port-unreachable"
    case networkProhibited = "icmp-net-prohibited"
    case hostProhibited = "icmp-host-prohibited"
    case administrativelyProhibited = "icmp-admin-prohibited"
    case tcpReset = "tcp-reset"
    case noRouteIPv6 = "icmp6-no-route"
    case administrativelyProhibitedIPv6 = "icmp6-adm-prohibited"
    case addressUnreachableIPv6 = "icmp6-addr-unreachable"
    /// The IPv6 default.
    case portUnreachableIPv6 = "icmp6-port-unreachable"
    case policyFailIPv6 = "icmp6-policy-fail"
    case rejectRouteIPv6 = "icmp6-reject-route"

    /// The family it answers for; nil for both.
    public var family: AddressFamily? {
        if self == .tcpReset { return nil }
        return rawValue.hasPrefix("icmp6") ? .ipv6 : .ipv4
    }

    /// The code of ICMP destination unreachable, type 3 in IPv4 and 1 in IPv6; nil for a reset.
    public var code: UInt8? {
        switch self {
        case .networkUnreachable, .noRouteIPv6: 0
        case .hostUnreachable, .administrativelyProhibitedIPv6: 1
        case .protocolUnreachable: 2
        case .portUnreachable, .addressUnreachableIPv6: 3
        case .portUnreachableIPv6: 4
        case .policyFailIPv6: 5
        case .rejectRouteIPv6: 6
        case .networkProhibited: 9
        case .hostProhibited: 10
        case .administrativelyProhibited: 13
        case .tcpReset: nil
        }
    }
}

/// What CONNMARK does.
public enum ConnectionMarkChange: Hashable, Sendable, CustomStringConvertible {
    /// Changes the connection's mark as MARK changes the packet's.
    case set(MarkBits)
    /// Copies the packet's mark to the connection.
    case save(packetMask: UInt32, connectionMask: UInt32)
    /// Copies the connection's mark to the packet.
    case restore(packetMask: UInt32, connectionMask: UInt32)

    public var description: String {
        switch self {
        case .set(let bits): "--set-xmark \(bits.fullText)"
        case .save(let packet, let connection):
            "--save-mark --nfmask \(hexadecimal(packet)) --ctmask \(hexadecimal(connection))"
        case .restore(let packet, let connection):
            "--restore-mark --nfmask \(hexadecimal(packet)) --ctmask \(hexadecimal(connection))"
        }
    }
}

/// What LOG writes into the kernel's log.
public struct LogOptions: Hashable, Sendable, CustomStringConvertible {
    public struct Details: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        static let printed: [(Details, String)] = [
            (Details(rawValue: 1), "--log-tcp-sequence"), (Details(rawValue: 2), "--log-tcp-options"),
            (Details(rawValue: 4), "--log-ip-options"), (Details(rawValue: 8), "--log-uid"),
            (Details(rawValue: 32), "--log-macdecode"),
        ]
    }

    /// Of syslog; 4, a warning, is not printed.
    public var level: UInt8
    /// Twenty-nine octets at most.
    public var prefix: String
    public var details: Details

    public init(prefix: String = "", level: UInt8 = 4, details: Details = []) {
        self.prefix = prefix
        self.level = level
        self.details = details
    }

    public var description: String {
        var text = prefix.isEmpty ? "" : " --log-prefix \(quoted(prefix))"
        if level != 4 { text += " --log-level \(level)" }
        return text + Details.printed.filter { details.contains($0.0) }.map { " \($0.1)" }.joined()
    }
}

/// What NFLOG hands to a program.
public struct NetlinkLogOptions: Hashable, Sendable, CustomStringConvertible {
    public var prefix: String
    public var group: UInt16
    /// Octets of a packet that are copied; nil for all.
    public var size: UInt32?
    /// Packets that are collected first.
    public var threshold: UInt16

    public init(prefix: String = "", group: UInt16 = 0, size: UInt32? = nil, threshold: UInt16 = 0) {
        self.prefix = prefix
        self.group = group
        self.size = size
        self.threshold = threshold
    }

    public var description: String {
        var text = prefix.isEmpty ? "" : " --nflog-prefix \(quoted(prefix))"
        if group != 0 { text += " --nflog-group \(group)" }
        if let size { text += " --nflog-size \(size)" }
        if threshold != 0 { text += " --nflog-threshold \(threshold)" }
        return text
    }
}

/// What TTL and HL do.
public enum TimeToLiveChange: Hashable, Sendable, CustomStringConvertible {
    case set(UInt8)
    case increase(UInt8)
    case decrease(UInt8)

    public var description: String {
        switch self {
        case .set(let value): "set \(value)"
        case .increase(let value): "inc \(value)"
        case .decrease(let value): "dec \(value)"
        }
    }

    /// Never past either end.
    func applied(to value: UInt8) -> UInt8 {
        switch self {
        case .set(let value): value
        case .increase(let count): UInt8(clamping: Int(value) + Int(count))
        case .decrease(let count): UInt8(clamping: Int(value) - Int(count))
        }
    }
}
