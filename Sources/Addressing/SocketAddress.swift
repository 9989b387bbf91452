// An address with a port, and the protocol numbers that give ports a meaning (IANA protocol numbers).
// The text forms are those of `ss` and of URLs: IPv6 addresses stand in brackets.

/// An IP protocol number, for example 6 for TCP.
public struct IPProtocol: RawRepresentable, Hashable, Comparable, Sendable, BitwiseCopyable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let icmp = IPProtocol(rawValue: 1)
    public static let tcp = IPProtocol(rawValue: 6)
    public static let udp = IPProtocol(rawValue: 17)
    public static let icmpv6 = IPProtocol(rawValue: 58)
    public static let sctp = IPProtocol(rawValue: 132)

    /// TCP, UDP and SCTP carry ports at the same place.
    public var hasPorts: Bool { self == .tcp || self == .udp || self == .sctp }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension IPProtocol: LosslessStringConvertible {
    /// Reads the lower-case name as in /etc/protocols, or the number.
    public init?(_ text: some StringProtocol) {
        switch text {
        case "icmp": self = .icmp
        case "tcp": self = .tcp
        case "udp": self = .udp
        case "ipv6-icmp", "icmpv6": self = .icmpv6
        case "sctp": self = .sctp
        default:
            // UInt8's own reader would take a sign.
            guard text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = UInt8(text) else { return nil }
            rawValue = number
        }
    }

    /// The name iptables-save prints.
    public var description: String {
        switch self {
        case .icmp: "icmp"
        case .tcp: "tcp"
        case .udp: "udp"
        case .icmpv6: "ipv6-icmp"
        case .sctp: "sctp"
        default: String(rawValue)
        }
    }
}

/// An address and a port: `10.96.0.10:80` or `[fd00::1]:80`.
public struct SocketAddress: Hashable, Comparable, Sendable, BitwiseCopyable {
    public let address: IPAddress
    public let port: UInt16

    public init(_ address: IPAddress, _ port: UInt16) {
        self.address = address
        self.port = port
    }

    public static func < (left: Self, right: Self) -> Bool {
        (left.address, left.port) < (right.address, right.port)
    }
}

extension SocketAddress: LosslessStringConvertible {
    /// Reads `IPv4:PORT` or `[IPv6]:PORT`.
    public init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let port = UInt16(digits) else { return nil }
        let host = text[..<colon]
        if host.first == "[", host.last == "]", let address = IPv6Address(host.dropFirst().dropLast()) {
            self.init(IPAddress(address), port)
        } else if let address = IPv4Address(host) {
            self.init(IPAddress(address), port)
        } else {
            return nil
        }
    }

    public var description: String {
        address.family == .ipv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}
