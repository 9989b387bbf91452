// How iptables-save(8) writes the small things: quotes, ports, marks, protocols, rates. Mirrors libxtables/xtables.c of
// iptables 1.8.9 (xtables_save_string, xtables_print_num, print_rate).

internal import Addressing

/// iptables quotes a string unless it is made of letters, digits, underscore and hyphen only.
func quoted(_ text: String) -> String {
    let plain = text.utf8.allSatisfy {
        ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x41 && $0 <= 0x5a) || ($0 >= 0x61 && $0 <= 0x7a) || $0 == 0x5f
            || $0 == 0x2d
    }
    if plain && !text.isEmpty { return text }
    let escaped = text.map { $0 == "\"" || $0 == "\\" || $0 == "'" ? "\\\($0)" : String($0) }.joined()
    return "\"\(escaped)\""
}

/// `80` or `80:90`.
func portText(_ range: ClosedRange<UInt16>) -> String { rangeText(range, ":") }

func rangeText(_ range: ClosedRange<some FixedWidthInteger>, _ separator: String) -> String {
    range.lowerBound == range.upperBound
        ? "\(range.lowerBound)" : "\(range.lowerBound)\(separator)\(range.upperBound)"
}

/// Two digits at least: `0x0a`.
func hexadecimal(_ octet: UInt8) -> String { "0x" + (octet < 16 ? "0" : "") + String(octet, radix: 16) }

func hexadecimal(_ word: UInt32) -> String { "0x" + String(word, radix: 16) }

/// Protocols by the names of Debian's /etc/protocols, which iptables-save asks.
private let protocolNames: [(UInt8, String)] = [
    (1, "icmp"), (2, "igmp"), (3, "ggp"), (4, "ipencap"), (5, "st"), (6, "tcp"), (8, "egp"), (9, "igp"), (12, "pup"),
    (17, "udp"), (20, "hmp"), (22, "xns-idp"), (27, "rdp"), (29, "iso-tp4"), (33, "dccp"), (36, "xtp"), (37, "ddp"),
    (38, "idpr-cmtp"), (41, "ipv6"), (43, "ipv6-route"), (44, "ipv6-frag"), (45, "idrp"), (46, "rsvp"), (47, "gre"),
    (50, "esp"), (51, "ah"), (57, "skip"), (58, "ipv6-icmp"), (59, "ipv6-nonxt"), (60, "ipv6-opts"), (73, "rspf"),
    (81, "vmtp"), (88, "eigrp"), (89, "ospf"), (93, "ax.25"), (94, "ipip"), (97, "etherip"), (98, "encap"),
    (103, "pim"), (108, "ipcomp"), (112, "vrrp"), (115, "l2tp"), (124, "isis"), (132, "sctp"), (133, "fc"),
    (135, "mobility-header"), (136, "udplite"), (137, "mpls-in-ip"), (138, "manet"), (139, "hip"), (140, "shim6"),
    (141, "wesp"), (142, "rohc"), (143, "ethernet"),
]

/// The word behind `-p`.
func protocolText(_ protocol: IPProtocol) -> String {
    switch `protocol` {
    case .tcp: "tcp"
    case .udp: "udp"
    default: protocolNames.first { $0.0 == `protocol`.rawValue }?.1 ?? String(`protocol`.rawValue)
    }
}

/// Reads the word behind `-p`: a name, or a number.
func protocolNamed(_ word: String) -> IPProtocol? {
    switch word {
    case "icmpv6": return .icmpv6
    case "mh", "ipv6-mh": return IPProtocol(rawValue: 135)
    default: break
    }
    if let (number, _) = protocolNames.first(where: { $0.1 == word }) { return IPProtocol(rawValue: number) }
    return IPProtocol(word)
}

/// A rate as `--limit` prints it, from the time between two packets in units of a ten-thousandth of a second.
func rateText(_ period: UInt32) -> String {
    let units: [(UInt32, String)] = [(864_000_000, "day"), (36_000_000, "hour"), (600_000, "min"), (10_000, "sec")]
    guard period > 0 else { return "inf" }
    let last = units.dropFirst().firstIndex { period > $0.0 || $0.0 / period < $0.0 % period } ?? units.count
    return "\(units[last - 1].0 / period)/\(units[last - 1].1)"
}

/// The mask of all ones, in full.
func fullMask(_ family: AddressFamily) -> IPAddress {
    let (high, low) = IPPrefix.mask(length: family.bitWidth, family: family)
    return IPAddress(high: high, low: low, family: family)
}

extension IPAddress {
    /// The bits that a mask keeps.
    func masked(by mask: IPAddress) -> IPAddress {
        IPAddress(high: high & mask.high, low: low & mask.low, family: family)
    }
}
