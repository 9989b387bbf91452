// Which packets something concerns, in the spelling of `podnet.dev/listen`: `udp/8472`, `tcp`, `icmp`, `arp`, `all`.
// A port is the destination's, as in a rule of a firewall.

/// A choice among packets.
public enum TrafficSelector: Hashable, Sendable, BitwiseCopyable {
    case all
    case arp
    case ip(IPProtocol, port: UInt16?)
}

extension TrafficSelector: LosslessStringConvertible {
    public init?(_ text: some StringProtocol) {
        switch text {
        case "all": self = .all
        case "arp": self = .arp
        default:
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard let transport = IPProtocol(parts[0].lowercased()) else { return nil }
            guard parts.count == 2 else {
                self = .ip(transport, port: nil)
                return
            }
            guard transport.hasPorts, parts[1].utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
                let port = UInt16(parts[1]), port > 0
            else { return nil }
            self = .ip(transport, port: port)
        }
    }

    public var description: String {
        switch self {
        case .all: "all"
        case .arp: "arp"
        case .ip(let transport, let port): port.map { "\(transport)/\($0)" } ?? "\(transport)"
        }
    }
}
