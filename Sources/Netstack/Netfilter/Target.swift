// What a rule does with a packet it matches, one case for each target behind -j. Mirrors net/netfilter/xt_*.c and
// net/ipv4/netfilter/ipt_REJECT.c; the text is that of iptables 1.8.9. Targets that iptables knows and podnet does not
// carry out are kept as they were written, and their rules never match.

public import Addressing

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
    /// `CONNMARK`: the same on the mark of the connection, or a copy from or to the packet's.
    case connectionMark(ConnectionMarkChange)
    /// `DNAT --to-destination`.
    case destinationNAT(TranslationRange)
    /// `SNAT --to-source`.
    case sourceNAT(TranslationRange)
    /// `MASQUERADE`: SNAT to the address of the way out.
    case masquerade(TranslationRange)
    /// `REDIRECT`: DNAT to the address of the way in.
    case redirect(TranslationRange)
    case reject(RejectKind)
    /// `LOG`.
    indirect case log(LogOptions)
    /// `NFLOG`.
    indirect case netlinkLog(NetlinkLogOptions)
    /// `NOTRACK`, or `CT --notrack`.
    case noTrack(isCT: Bool)
    /// `TCPMSS`: nil clamps to the MTU of the path.
    case setSegmentSize(UInt16?)
    /// `DSCP --set-dscp`.
    case setCodePoint(UInt8)
    /// `TOS --set-tos`: clear the mask's bits, then exclusive-or the value.
    case setTypeOfService(OctetBits)
    /// `TTL` of IPv4, `HL` of IPv6.
    case setTimeToLive(TimeToLiveChange, family: AddressFamily)
    /// A target podnet does not carry out, or options of one that it does not: the text from `-j` on.
    indirect case unevaluated(name: String, text: String)
}

extension Target {
    /// `DNAT --to-destination ADDRESS[:PORT]`.
    public static func destinationNAT(address: IPAddress, port: UInt16?) -> Target {
        .destinationNAT(TranslationRange(addresses: address...address, ports: port.map { $0...$0 }))
    }

    /// `SNAT --to-source ADDRESS`.
    public static func sourceNAT(address: IPAddress, randomFully: Bool) -> Target {
        .sourceNAT(TranslationRange(addresses: address...address, options: randomFully ? .randomFully : []))
    }

    public static func masquerade(randomFully: Bool) -> Target {
        .masquerade(TranslationRange(options: randomFully ? .randomFully : []))
    }

    /// Whether podnet carries the target out.
    public var isEvaluated: Bool {
        if case .unevaluated = self { false } else { true }
    }
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
        case .accept: "-j ACCEPT"
        case .drop: "-j DROP"
        case .return: "-j RETURN"
        case .jump(let chain): "-j \(chain)"
        case .goto(let chain): "-g \(chain)"
        case .setMark(let value, let mask): "-j MARK --set-xmark \(MarkBits(value, mask: mask).fullText)"
        case .connectionMark(let change): "-j CONNMARK \(change)"
        case .destinationNAT(let target): "-j DNAT\(target.text("--to-destination"))"
        case .sourceNAT(let target): "-j SNAT\(target.text("--to-source"))"
        case .masquerade(let target): "-j MASQUERADE\(target.text("--to-ports"))"
        case .redirect(let target): "-j REDIRECT\(target.text("--to-ports"))"
        case .reject(let kind): "-j REJECT --reject-with \(kind.rawValue)"
        case .log(let options): "-j LOG\(options)"
        case .netlinkLog(let options): "-j NFLOG\(options)"
        case .noTrack(let isCT): isCT ? "-j CT --notrack" : "-j NOTRACK"
        case .setSegmentSize(let size): "-j TCPMSS " + (size.map { "--set-mss \($0)" } ?? "--clamp-mss-to-pmtu")
        case .setCodePoint(let value): "-j DSCP --set-dscp \(hexadecimal(value))"
        case .setTypeOfService(let bits): "-j TOS --set-tos \(bits)"
        case .setTimeToLive(let change, let family):
            family == .ipv4 ? "-j TTL --ttl-\(change)" : "-j HL --hl-\(change)"
        case .unevaluated(_, let text): text
        }
    }
}
