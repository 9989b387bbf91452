// What nftables rules match and what their statements do, written as nft lists them. Every row of the first table sends
// one packet from 10.0.0.2 through a router, from in0 to out0, or shows a chain one of IPv6.

import Addressing
import Testing
import Wire

@testable import Netstack

/// A ruleset with one table `inet t`: its sets, and chains given by their first line and rules.
func nftables(sets: String = "", _ chains: (head: String, rules: [String])...) throws -> NFTablesRuleset {
    let text = chains.enumerated().map { number, chain in
        let name = chain.head.hasPrefix("type") ? "chain base\(number) {\n\t\t\(chain.head)" : "chain \(chain.head) {"
        return "\t\(name)\n" + chain.rules.map { "\t\t\($0)\n" }.joined() + "\t}\n"
    }
    return try NFTablesRuleset(listing: "table inet t {\n\(sets)\(text.joined(separator: "\n"))}\n")
}

let forwardFilter = "type filter hook forward priority filter; policy accept;"

@Suite struct NFTablesRuleTests {
    private static let from = PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9")
    private static let udp = from.udp(from: 5000, to: 53)
    private static let tcp = from.tcp(from: 5000, to: 80, flags: .syn)
    private static let sctp = from.sctp(from: 5000, to: 90, verificationTag: 0, chunks: [1, 0, 0, 4])
    private static let echo = from.echoRequest(identifier: 1, sequence: 1)
    private static let laterFragment: [UInt8] = {
        let whole = from.with(dontFragment: false).udp(from: 5000, to: 53, payload: [UInt8](repeating: 0, count: 900))
        return (try? PacketBuilder.fragments(of: whole, mtu: 500))?[1] ?? []
    }()
    private static let from6 = PacketBuilder(.peer, "fd00::2", .own, "2001:db8::9")
    private static let tcp6 = from6.tcp(from: 5000, to: 80, flags: .syn)
    private static let echo6 = from6.echoRequest(identifier: 1, sequence: 1)

    struct Row: Sendable, CustomTestStringConvertible {
        var criteria: String
        var frame: [UInt8]
        var matches: Bool
        var testDescription: String { "\(criteria) \(matches)" }

        init(_ criteria: String, _ frame: [UInt8] = NFTablesRuleTests.udp, _ matches: Bool = true) {
            self.criteria = criteria
            self.frame = frame
            self.matches = matches
        }
    }

    private static func no(_ criteria: String, _ frame: [UInt8] = udp) -> Row { Row(criteria, frame, false) }

    static let addressRows: [Row] = [
        Row("ip saddr 10.0.0.2"), no("ip saddr 10.0.0.3"), no("ip saddr != 10.0.0.2"), Row("ip saddr != 10.0.0.3"),
        Row("ip daddr 192.0.2.0/24"), no("ip daddr != 192.0.2.0/24"), Row("ip saddr 10.0.0.1-10.0.0.3"),
        no("ip saddr 10.0.0.3-10.0.0.9"), Row("ip saddr < 10.0.0.3"), no("ip saddr > 10.0.0.3"),
        Row("ip saddr <= 10.0.0.2"), Row("ip saddr >= 10.0.0.2"), Row("ip saddr & 0.0.0.255 == 0.0.0.2"),
        no("ip saddr & 0.0.0.255 == 0.0.0.3"), Row("ip protocol udp"), no("ip protocol != udp"), Row("ip ttl 63"),
        Row("ip ttl > 5"), Row("ip dscp cs0"), no("ip dscp ef"), Row("ip length 20-100"),
        // A field of the other family is not there, whatever is asked of it.
        no("ip6 saddr fd00::2"), no("ip6 saddr != fd00::2"), Row("ip6 saddr fd00::2", tcp6), no("ip ttl 64", tcp6),
        Row("ip6 daddr 2001:db8::/32", tcp6), Row("ip6 nexthdr tcp", tcp6), Row("ip6 hoplimit 64", tcp6),
        Row("ip6 dscp cs0", tcp6),
    ]

    static let transportRows: [Row] = [
        Row("udp dport 53"), no("udp dport 54"), no("tcp dport 53"), no("tcp dport != 53"), Row("udp sport 5000"),
        Row("tcp dport 80", tcp), Row("tcp sport 5000", tcp), Row("th dport 53"), Row("th sport 5000"),
        Row("sctp dport 90", sctp), Row("sctp sport 5000", sctp), no("sctp dport 90", tcp), Row("tcp dport 80", tcp6),
        Row("udp dport 1-1024"), no("udp dport != 1-1024"), Row("udp dport > 52"), Row("tcp flags syn", tcp),
        no("tcp flags ack", tcp), Row("tcp flags syn,ack", tcp), Row("tcp flags syn / fin,syn,rst,ack", tcp),
        no("tcp flags syn,ack / syn,ack", tcp), Row("tcp flags ! fin,rst", tcp), no("tcp flags ! fin,syn", tcp),
        no("tcp flags != syn", tcp), Row("tcp flags != 0x12", tcp), Row("icmp type echo-request", echo),
        no("icmp type echo-reply", echo), no("icmp type echo-request"), Row("icmp code 0", echo),
        Row("icmpv6 type echo-request", echo6), Row("icmpv6 code 0", echo6), no("icmp type echo-request", echo6),
        no("udp dport 53", laterFragment), no("udp dport != 1", laterFragment), Row("meta l4proto udp", laterFragment),
    ]

    static let metaRows: [Row] = [
        // Of a mark the highest bits, as many as the number behind the slash says.
        Row("meta mark 0x00000000/1"), no("meta mark != 0x00000000/1"), no("meta mark 0xf0000000/4"),
        Row("meta mark != 0xf0000000/4"), Row("ct mark 0x00000000/31"),
        Row("meta l4proto udp"), no("meta l4proto { tcp, sctp }"), Row("meta l4proto != tcp"), Row("meta protocol ip"),
        Row("meta protocol ip6", tcp6), Row("meta nfproto ipv4"), no("meta nfproto ipv6"), Row("meta mark 0x00000000"),
        no("meta mark & 0x00004000 != 0x00000000"), no("meta skuid 0"), no("meta skgid != 1"),
        Row("meta pkttype host"), Row("meta pkttype { host, broadcast }"), Row("meta length 28-100"),
        Row("meta random & 2147483647 < 2147483648"), no("meta random & 2147483647 < 0"), Row("iifname \"in0\""),
        no("iifname \"in\""), Row("iifname \"in*\""), no("iifname \"out*\""), Row("iifname != \"out*\""),
        Row("oifname \"out0\""), Row("oifname { \"eth0\", \"o*\" }"), Row("iif \"in0\""), Row("oif \"out0\""),
        no("oif \"in0\""), Row("fib daddr type unicast"), no("fib daddr type local"), Row("fib saddr type != local"),
        Row("fib saddr . iif oif \"in0\""), no("fib saddr . iif oif missing"), Row("fib saddr . iif oif exists"),
        Row("fib daddr oifname \"out0\""), Row("fib daddr type { unicast, local }"),
        Row("numgen inc mod 2 0"), no("numgen inc mod 2 1"), Row("numgen random mod 1 0"),
        Row("numgen inc mod 3 offset 5 { 5, 9 }"), Row("meta mark ^ 0x00000001 == 0x00000001"),
    ]

    static let connectionRows: [Row] = [
        Row("ct state new"), Row("ct state new,established"), no("ct state established,related"),
        no("ct state != new"), Row("ct state != established"), Row("ct state { new, established }"),
        Row("ct state ! established,related"), Row("ct state invalid", from.tcp(from: 1, to: 2, flags: [.syn, .ack])),
        no("ct status dnat"), Row("ct status ! snat,dnat"), Row("ct direction original"), no("ct direction reply"),
        Row("ct mark 0x00000000"), Row("ct protocol udp"), Row("ct original ip saddr 10.0.0.2"),
        Row("ct original ip daddr 192.0.2.9"), Row("ct reply ip saddr 192.0.2.9"),
        Row("ct reply ip daddr 10.0.0.2"), Row("ct original proto-src 5000"), Row("ct original proto-dst 53"),
        Row("ct reply proto-src 53"), Row("ct reply proto-dst 5000"), no("ct original ip6 saddr fd00::2"),
        no("ct original ip6 daddr fd00::2"), no("ct reply ip6 saddr fd00::2"), no("ct reply ip6 daddr fd00::2"),
    ]

    static let setRows: [Row] = [
        Row("ip saddr { 10.0.0.2, 10.0.0.9 }"), no("ip saddr != { 10.0.0.2, 10.0.0.9 }"), Row("ip saddr @hosts"),
        no("ip daddr @hosts"), Row("ip daddr != @hosts"), Row("ip daddr @networks"), no("ip saddr @networks"),
        Row("ip saddr . udp dport @pairs"), no("ip daddr . udp dport @pairs"), Row("ip saddr . udp dport @ranges"),
        Row("ip daddr . meta l4proto . th dport { 192.0.2.9 . udp . 53 }"),
        no("ip daddr . meta l4proto . th dport { 192.0.2.9 . tcp . 53 }"),
        Row("ip daddr . meta l4proto . th dport { 192.0.2.0/24 . udp . 50-60 }"),
        // A key that is not there is in no set, and out of none.
        no("tcp dport { 53 }"), no("tcp dport != { 53 }"), Row("udp dport 53 ip saddr 10.0.0.2"),
        no("udp dport 53 ip saddr 10.0.0.3"),
    ]

    private static let sets = """
        \tset hosts {
        \t\ttype ipv4_addr
        \t\telements = { 10.0.0.2, 10.0.0.7 }
        \t}

        \tset networks {
        \t\ttype ipv4_addr
        \t\tflags interval
        \t\telements = { 172.16.0.0/12, 192.0.2.0/28,
        \t\t\t     198.51.100.7, 203.0.113.4-203.0.113.9 }
        \t}

        \tset pairs {
        \t\ttype ipv4_addr . inet_service
        \t\telements = { 10.0.0.2 . 53 }
        \t}

        \tset ranges {
        \t\ttype ipv4_addr . inet_service
        \t\tflags interval
        \t\telements = { 10.0.0.0/24 . 50-60 }
        \t}


        """

    @Test("A rule matches what it says", arguments: addressRows + transportRows + metaRows + connectionRows + setRows)
    func matching(row: Row) throws {
        let rules = try nftables(sets: Self.sets, (forwardFilter, [row.criteria + " drop"]))
        #expect(rules.notices == [])
        let (harness, inside) = filteringRouter()
        harness.host.setNFTables(rules)
        guard row.frame[12] == 0x86 else {
            harness.receive(row.frame, on: inside)
            #expect(harness.drops == (row.matches ? [.netfilterDrop] : []))
            return
        }
        let id = harness.context.newPacketID()
        var packet = row.frame.withUnsafeBytes { harness.context.arena.allocate(copying: $0, id: id) }
        let verdict = harness.host.evaluate(
            .chain(NFTablesChainReference(table: 0, chain: 0)), at: .forward, &packet, ingress: inside,
            egress: LinkID(2), &harness.context)
        if case .drop = verdict { #expect(row.matches) } else { #expect(!row.matches) }
        harness.context.arena.free(packet)
    }

    @Test func `Every field and operator occurs in the tables, in a rule that matches where it can`() {
        let rows = Self.addressRows + Self.transportRows + Self.metaRows + Self.connectionRows + Self.setRows
        let texts = rows.map(\.criteria)
        for field in NFTablesField.allCases {
            #expect(texts.contains { $0.contains(field.rawValue) }, "no row asks \(field.rawValue)")
        }
        for comparison in NFTablesComparison.allCases where comparison != .implicit {
            #expect(
                texts.contains { $0.contains(" \(comparison.rawValue) ") }, "no row compares \(comparison.rawValue)")
        }
        for fib in NFTablesFIB.Result.allCases { #expect(texts.contains { $0.contains(" \(fib.rawValue) ") }) }
        let matching = Set(rows.filter(\.matches).map(\.criteria))
        let silent: Set<NFTablesField> = [
            .userID, .groupID, .originalSource6, .originalDestination6, .replySource6, .replyDestination6,
        ]
        for field in NFTablesField.allCases where !silent.contains(field) {
            #expect(matching.contains { $0.contains(field.rawValue) }, "no row with \(field.rawValue) matches")
        }
    }

    @Test func `What podnet does not evaluate keeps its rule from matching, and is told with its line`() throws {
        let rules = try nftables((forwardFilter, ["ip saddr 10.0.0.2 xt match recent drop", "udp dport 53 queue"]))
        #expect(rules.notices.map(\.line) == [4, 5])
        #expect(rules.notices.map { $0.message.contains("xt match recent drop") } == [true, false])
        let (harness, inside) = filteringRouter()
        harness.host.setNFTables(rules)
        harness.receive(Self.udp, on: inside)
        #expect(harness.sent.count == 1)
    }
}
