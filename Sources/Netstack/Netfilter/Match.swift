// The match extensions a rule may carry, one case each, named as the -m module is. Mirrors net/netfilter/xt_*.c
// for the meaning and iptables 1.8.9 extensions/libxt_*.c for the text.

public import Addressing

/// Connection tracking states as `-m conntrack --ctstate` names them.
public struct ConnectionStateSet: OptionSet, Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let invalid = ConnectionStateSet(rawValue: 1)
    public static let new = ConnectionStateSet(rawValue: 2)
    public static let related = ConnectionStateSet(rawValue: 4)
    public static let established = ConnectionStateSet(rawValue: 8)
    public static let untracked = ConnectionStateSet(rawValue: 16)
    public static let sourceTranslated = ConnectionStateSet(rawValue: 32)
    public static let destinationTranslated = ConnectionStateSet(rawValue: 64)

    /// In the order iptables-save prints them.
    static let printed: [(ConnectionStateSet, String)] = [
        (.invalid, "INVALID"), (.new, "NEW"), (.related, "RELATED"), (.established, "ESTABLISHED"),
        (.untracked, "UNTRACKED"), (.sourceTranslated, "SNAT"), (.destinationTranslated, "DNAT"),
    ]

    public var description: String {
        Self.printed.filter { contains($0.0) }.map(\.1).joined(separator: ",")
    }
}

/// Address types as `-m addrtype` names them, from the routing table's route types.
public enum AddressType: String, Hashable, Sendable, CaseIterable {
    case unspecified = "UNSPEC"
    case unicast = "UNICAST"
    case local = "LOCAL"
    case broadcast = "BROADCAST"
    case multicast = "MULTICAST"
    case blackhole = "BLACKHOLE"
    case unreachable = "UNREACHABLE"
    case prohibit = "PROHIBIT"
}

/// A mark criterion or change: value under a mask.
public struct MarkBits: Hashable, Sendable, BitwiseCopyable {
    public var value: UInt32
    public var mask: UInt32

    public init(_ value: UInt32, mask: UInt32 = .max) {
        self.value = value
        self.mask = mask
    }

    var text: String {
        let value = "0x" + String(value, radix: 16)
        return mask == .max ? value : value + "/0x" + String(mask, radix: 16)
    }
}

/// A match extension.
public enum Match: Hashable, Sendable {
    /// `-m comment`: matches always.
    case comment(String)
    /// `-m tcp`, `-m udp` or `-m sctp`: ports, where given. SYN-only etc. come with the rules people write by hand.
    case transport(
        IPProtocol, source: Negatable<ClosedRange<UInt16>>? = nil, destination: Negatable<ClosedRange<UInt16>>? = nil)
    /// `-m conntrack --ctstate`.
    case connectionState(Negatable<ConnectionStateSet>)
    /// `-m mark --mark`.
    case mark(Negatable<MarkBits>)
    /// `-m addrtype`.
    case addressType(source: Negatable<AddressType>? = nil, destination: Negatable<AddressType>? = nil)
    /// `-m statistic --mode random`: the chance in units of 2^-31, as the kernel keeps it.
    case random(chance: UInt32)
    /// `-m recent --rcheck --seconds S --reap --name N`, by source address. The family decides the mask printed.
    case recentCheck(name: String, seconds: UInt32, family: AddressFamily = .ipv4)
    /// `-m recent --set --name N`, by source address.
    case recentSet(name: String, family: AddressFamily = .ipv4)
    /// `-m set --match-set NAME src,dst`: each part of an entry from the end of the packet named for it.
    case set(Negatable<String>, [SetDirection])
    /// `-m ipvs`.
    case ipvs(VirtualServerMatch)
    /// `-m physdev --physdev-is-in`: the packet came in by a bridge port.
    case physicalIngress(isNegated: Bool)
    /// `-m nfacct`: counts, and matches always.
    case accounting(name: String)
}

extension Match: CustomStringConvertible {
    public var description: String {
        switch self {
        case .comment(let text):
            return "-m comment --comment \(quoted(text))"
        case .transport(let `protocol`, let source, let destination):
            var text = "-m \(`protocol`)"
            if let source { text += " \(source.sign)--sport \(portText(source.value))" }
            if let destination { text += " \(destination.sign)--dport \(portText(destination.value))" }
            return text
        case .connectionState(let states):
            return "-m conntrack \(states.sign)--ctstate \(states.value)"
        case .mark(let mark):
            return "-m mark \(mark.sign)--mark \(mark.value.text)"
        case .addressType(let source, let destination):
            var text = "-m addrtype"
            if let source { text += " \(source.sign)--src-type \(source.value.rawValue)" }
            if let destination { text += " \(destination.sign)--dst-type \(destination.value.rawValue)" }
            return text
        case .random(let chance):
            return "-m statistic --mode random --probability \(probabilityText(chance))"
        case .recentCheck(let name, let seconds, let family):
            return "-m recent --rcheck --seconds \(seconds) --reap --name \(name) --mask \(fullMask(family)) --rsource"
        case .recentSet(let name, let family):
            return "-m recent --set --name \(name) --mask \(fullMask(family)) --rsource"
        case .set(let name, let directions):
            return "-m set \(name.sign)--match-set \(name.value) "
                + directions.map(\.rawValue).joined(separator: ",")
        case .ipvs(let match): return "-m ipvs \(match.text)"
        case .physicalIngress(let isNegated): return "-m physdev \(isNegated ? "! " : "")--physdev-is-in"
        case .accounting(let name):
            // Two blanks: iptables 1.8.9 prints it so.
            return "-m nfacct --nfacct-name  \(name)"
        }
    }
}

/// iptables quotes a string unless it is made of letters, digits, underscore and hyphen only.
private func quoted(_ text: String) -> String {
    let plain = text.utf8.allSatisfy {
        ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x41 && $0 <= 0x5a) || ($0 >= 0x61 && $0 <= 0x7a) || $0 == 0x5f
            || $0 == 0x2d
    }
    if plain && !text.isEmpty { return text }
    let escaped = text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined()
    return "\"\(escaped)\""
}

/// The mask iptables prints for a list keyed by whole addresses.
private func fullMask(_ family: AddressFamily) -> String {
    family == .ipv4 ? "255.255.255.255" : "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
}

func portText(_ range: ClosedRange<UInt16>) -> String {
    range.lowerBound == range.upperBound ? "\(range.lowerBound)" : "\(range.lowerBound):\(range.upperBound)"
}

/// Eleven decimals of chance / 2^31, as iptables prints the kernel's number.
private func probabilityText(_ chance: UInt32) -> String {
    let scale: UInt64 = 100_000_000_000
    // Round to nearest, ties to even as printf does on the exact binary fraction.
    let product = UInt64(chance).multipliedFullWidth(by: scale)
    var digits = product.high << 33 | product.low >> 31
    let rest = product.low & 0x7fff_ffff
    if rest > 0x4000_0000 || (rest == 0x4000_0000 && digits & 1 == 1) { digits += 1 }
    let text = String(digits % scale)
    return "\(digits / scale)." + String(repeating: "0", count: 11 - text.utf8.count) + text
}
