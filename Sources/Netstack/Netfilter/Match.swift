// The match extensions a rule may carry, one case for each module behind -m. Mirrors net/netfilter/xt_*.c for the
// meaning and iptables 1.8.9 extensions/libxt_*.c for the text; what a module can ask stands in Matches/. Modules that
// iptables knows and podnet does not evaluate are kept as they were written, and never match.

public import Addressing

/// A match extension. What rules of agents carry by the thousand lies in the enumeration itself.
public enum Match: Hashable, Sendable {
    /// `-m comment`: matches always.
    case comment(String)
    /// `-m tcp`, `-m udp`, `-m sctp` or `-m dccp`: ports, TCP's flags and options.
    case transport(TransportMatch)
    /// `-m icmp` or `-m icmp6`.
    case icmp(ICMPTypeMatch)
    /// `-m multiport`.
    indirect case multiport(MultiportMatch)
    /// `-m conntrack`.
    indirect case connection(ConnectionMatch)
    /// `-m state`, the older spelling of `-m conntrack --ctstate`.
    case state(Negatable<ConnectionStateSet>)
    /// `-m mark`.
    case mark(Negatable<MarkBits>)
    /// `-m connmark`: the mark of the packet's connection.
    case connectionMark(Negatable<MarkBits>)
    /// `-m addrtype`.
    case addressType(AddressTypeMatch)
    /// `-m statistic`: by chance, or every so many packets.
    case statistic(StatisticMatch)
    /// `-m recent`: a list of addresses that remembers when.
    indirect case recent(RecentMatch)
    /// `-m limit`.
    case limit(LimitMatch)
    /// `-m set --match-set NAME src,dst`: each part of an entry from the end of the packet named for it.
    case set(Negatable<String>, [SetDirection])
    /// `-m physdev`: the bridge ports of a bridged packet.
    indirect case bridgePort(BridgePortMatch)
    /// `-m iprange`.
    indirect case addressRange(AddressRangeMatch)
    /// `-m owner`.
    indirect case owner(OwnerMatch)
    /// `-m length`: octets of the packet with its IP header.
    case length(Negatable<ClosedRange<UInt16>>)
    /// `-m ttl` or `-m hl`.
    case timeToLive(TimeToLiveMatch)
    /// `-m dscp`.
    case codePoint(Negatable<UInt8>)
    /// `-m tos`.
    case typeOfService(Negatable<OctetBits>)
    /// `-m mac`.
    case sourceMAC(Negatable<MACAddress>)
    /// `-m pkttype`.
    case packetType(Negatable<PacketTypeWord>)
    /// `-m rpfilter`: whether the way back leaves by the link the packet came in by.
    case reversePath(ReversePathFlags)
    /// `-m ipvs`.
    indirect case virtualService(VirtualServiceMatch)
    /// `-m nfacct`: counts, and matches always.
    case accounting(name: String)
    /// `-f`: fragments behind the first; `! -f` everything else.
    case laterFragment(Negatable<Bool>)
    /// `-s` or `-d` with a mask that is no prefix.
    indirect case maskedAddress(MaskedAddressMatch)
    /// A module podnet does not evaluate, or options of one that it does not: the text from `-m` on.
    indirect case unevaluated(module: String, text: String)
}

extension Match {
    /// Ports of a protocol.
    public static func transport(
        _ `protocol`: IPProtocol, source: Negatable<ClosedRange<UInt16>>? = nil,
        destination: Negatable<ClosedRange<UInt16>>? = nil
    ) -> Match {
        .transport(TransportMatch(`protocol`, source: source, destination: destination))
    }

    /// `-m conntrack --ctstate`.
    public static func connectionState(_ states: Negatable<ConnectionStateSet>) -> Match {
        .connection(ConnectionMatch(states: states))
    }

    public static func addressType(
        source: Negatable<AddressTypeSet>? = nil, destination: Negatable<AddressTypeSet>? = nil
    ) -> Match {
        .addressType(AddressTypeMatch(source: source, destination: destination))
    }

    /// `-m statistic --mode random`: the chance in units of 2^-31, as the kernel keeps it.
    public static func random(chance: UInt32) -> Match { .statistic(StatisticMatch(.random(chance: chance))) }

    /// `-m recent --rcheck --seconds S --reap --name N`, by source address.
    public static func recentCheck(name: String, seconds: UInt32, family: AddressFamily = .ipv4) -> Match {
        .recent(RecentMatch(.check, name: name, family: family, seconds: seconds, reaps: true))
    }

    /// `-m recent --set --name N`, by source address.
    public static func recentSet(name: String, family: AddressFamily = .ipv4) -> Match {
        .recent(RecentMatch(.set, name: name, family: family))
    }

    /// Whether podnet knows what the match means.
    public var isEvaluated: Bool {
        if case .unevaluated = self { false } else { true }
    }
}

extension Match: CustomStringConvertible {
    public var description: String {
        switch self {
        case .comment(let text): "-m comment --comment \(quoted(text))"
        case .transport(let match): "-m \(match)"
        case .icmp(let match): "-m \(match)"
        case .multiport(let match): "-m multiport \(match)"
        case .connection(let match): "-m conntrack\(match)"
        case .state(let states): "-m state \(states.sign)--state \(states.value)"
        case .mark(let mark): "-m mark \(mark.sign)--mark \(mark.value.text)"
        case .connectionMark(let mark): "-m connmark \(mark.sign)--mark \(mark.value.text)"
        case .addressType(let match): "-m addrtype\(match)"
        case .statistic(let match): "-m statistic \(match)"
        case .recent(let match): "-m recent \(match)"
        case .limit(let match): "-m limit \(match)"
        case .set(let name, let directions):
            "-m set \(name.sign)--match-set \(name.value) " + directions.map(\.rawValue).joined(separator: ",")
        case .bridgePort(let match): "-m physdev\(match)"
        case .addressRange(let match): "-m iprange\(match)"
        case .owner(let match): "-m owner\(match)"
        case .length(let range): "-m length \(range.sign)--length \(portText(range.value))"
        case .timeToLive(let match): "-m \(match)"
        case .codePoint(let value): "-m dscp \(value.sign)--dscp \(hexadecimal(value.value))"
        case .typeOfService(let bits): "-m tos \(bits.sign)--tos \(bits.value)"
        case .sourceMAC(let address): "-m mac \(address.sign)--mac-source \(address.value)"
        case .packetType(let type): "-m pkttype \(type.sign)--pkt-type \(type.value.rawValue)"
        case .reversePath(let flags): "-m rpfilter\(flags)"
        case .virtualService(let match): "-m ipvs\(match)"
        // Two blanks: iptables 1.8.9 prints it so.
        case .accounting(let name): "-m nfacct --nfacct-name  \(quoted(name))"
        case .laterFragment(let isLater): "\(isLater.sign)-f"
        case .maskedAddress(let match): match.description
        case .unevaluated(_, let text): text
        }
    }
}
