// What a rule does with a packet it matches. Mirrors net/netfilter/xt_*.c and net/ipv4/netfilter/ipt_REJECT.c;
// the text is that of iptables 1.8.9.

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
    /// The IPv6 default.
    case portUnreachableIPv6 = "icmp6-port-unreachable"
}

extension RejectKind {
    /// ICMP type and code of the answer; nil for a reset.
    public var answer: (type: UInt8, code: UInt8)? {
        switch self {
        case .networkUnreachable: (3, 0)
        case .hostUnreachable: (3, 1)
        case .protocolUnreachable: (3, 2)
        case .portUnreachable: (3, 3)
        case .networkProhibited: (3, 9)
        case .hostProhibited: (3, 10)
        case .administrativelyProhibited: (3, 13)
        case .portUnreachableIPv6: (1, 4)
        case .tcpReset: nil
        }
    }
}

/// The target of a rule.
public enum Target: Hashable, Sendable {
    case accept
    case drop
    case `return`
    /// `-j CHAIN`: evaluation comes back when the chain ends.
    case jump(String)
    /// `-g CHAIN`: evaluation does not come back here.
    case goto(String)
    /// `MARK --set-xmark value/mask`: clear the mask's bits, then exclusive-or the value.
    case setMark(value: UInt32, mask: UInt32)
    /// `DNAT --to-destination ADDRESS[:PORT]`.
    case destinationNAT(address: IPAddress, port: UInt16?)
    /// `SNAT --to-source ADDRESS`.
    case sourceNAT(address: IPAddress, randomFully: Bool)
    case masquerade(randomFully: Bool)
    case reject(RejectKind)
}

extension Target {
    /// How it answers, when it rejects.
    public var reject: RejectKind? {
        if case .reject(let kind) = self { return kind }
        return nil
    }
}

extension Target: CustomStringConvertible {
    public var description: String {
        switch self {
        case .accept: return "-j ACCEPT"
        case .drop: return "-j DROP"
        case .return: return "-j RETURN"
        case .jump(let chain): return "-j \(chain)"
        case .goto(let chain): return "-g \(chain)"
        case .setMark(let value, let mask):
            return "-j MARK --set-xmark 0x\(String(value, radix: 16))/0x\(String(mask, radix: 16))"
        case .destinationNAT(let address, let port):
            let destination = port.map { SocketAddress(address, $0).description } ?? address.description
            return "-j DNAT --to-destination \(destination)"
        case .sourceNAT(let address, let randomFully):
            return "-j SNAT --to-source \(address)" + (randomFully ? " --random-fully" : "")
        case .masquerade(let randomFully):
            return "-j MASQUERADE" + (randomFully ? " --random-fully" : "")
        case .reject(let kind): return "-j REJECT --reject-with \(kind.rawValue)"
        }
    }
}
