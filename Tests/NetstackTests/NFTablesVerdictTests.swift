// What nftables rules do: verdicts, the order of base chains, marks, sets that change, answers. Rules are written as
// nft lists them; packets go from 10.0.0.2 through a router, from in0 to out0.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct NFTablesVerdictTests {
    private static let from = PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9")
    private static let udp = from.udp(from: 5000, to: 53)

    /// Whether a packet gets through.
    private func passes(
        _ ruleset: NFTablesRuleset, _ iptables: Ruleset = Ruleset(), _ frame: [UInt8] = udp
    ) -> Bool {
        let (harness, inside) = filteringRouter(iptables)
        harness.host.setNFTables(ruleset)
        harness.receive(frame, on: inside)
        #expect(harness.drops == (harness.sent.isEmpty ? [.netfilterDrop] : []))
        return !harness.sent.isEmpty
    }

    private static func chain(_ hook: String, _ priority: String, _ rules: String...) -> (String, [String]) {
        ("type filter hook \(hook) priority \(priority); policy accept;", rules)
    }

    // MARK: verdicts

    @Test(
        "Verdicts lead where they say",
        arguments: [
            (["accept", "drop"], [], true), (["drop", "accept"], [], false), (["continue", "drop"], [], false),
            (["return", "drop"], [], true), (["jump sub", "drop"], ["accept"], true),
            (["jump sub", "drop"], ["return"], false), (["jump sub", "drop"], [], false),
            (["goto sub", "drop"], ["return"], true), (["goto sub", "drop"], ["drop"], false),
            (["udp dport vmap { 53 : drop }"], [], false), (["udp dport vmap { 54 : drop }"], [], true),
            (["udp dport vmap { 53 : continue }", "drop"], [], false),
            (["udp dport vmap { 53 : jump sub }", "drop"], ["accept"], true),
            (["udp dport vmap { 53 : jump sub }", "drop"], [], false),
            (["udp dport vmap { 53 : goto sub }", "drop"], [], true),
            (["udp dport vmap { 1-60 : drop, 61-70 : accept }"], [], false),
            (["udp dport vmap { 54 : accept, * : drop }"], [], false),
            (["ip daddr . meta l4proto . th dport vmap { 192.0.2.9 . udp . 53 : drop }"], [], false),
            (["ip saddr vmap { 10.0.0.0/8 : drop }"], [], false),
            // A rule stops where it stops matching; what it did before stays done.
            (["meta mark set 0x00000001 tcp dport 1", "meta mark 0x00000001 drop"], [], false),
            (["counter packets 0 bytes 0 log prefix \"x\" drop"], [], false),
        ] as [([String], [String], Bool)])
    func verdicts(rules: [String], sub: [String], passes: Bool) throws {
        #expect(self.passes(try nftables((forwardFilter, rules), ("sub", sub))) == passes)
    }

    @Test func `The policy decides what no rule did`() throws {
        let policy = "type filter hook forward priority filter; policy drop;"
        #expect(!passes(try nftables((policy, []))))
        #expect(!passes(try nftables((policy, ["return"]))))
        #expect(passes(try nftables((policy, ["udp dport 53 accept"]))))
    }

    @Test func `A family meets its own packets, a dormant table none`() throws {
        func drop(_ head: String) throws -> NFTablesRuleset {
            try NFTablesRuleset(
                listing: "table \(head) {\n\(head.hasSuffix("zzz") ? "\tflags dormant\n" : "")"
                    + "\tchain c {\n\t\t\(forwardFilter)\n\t\tdrop\n\t}\n}\n")
        }
        #expect(!passes(try drop("ip t")))
        #expect(!passes(try drop("inet t")))
        #expect(passes(try drop("ip6 t")))
        #expect(passes(try drop("bridge t")))
        #expect(passes(try drop("ip zzz")))
    }

    // MARK: order

    @Test func `An accept ends its base chain only`() throws {
        #expect(!passes(try nftables(Self.chain("forward", "filter", "accept"), Self.chain("forward", "10", "drop"))))
        #expect(passes(try nftables(Self.chain("forward", "filter", "accept", "drop"))))
    }

    @Test(
        "Base chains run by priority, the later of two equal ones first",
        arguments: [("0", "1", true), ("1", "0", false), ("0", "0", false), ("-5", "5", true)])
    func order(first: String, second: String, isInOrder: Bool) throws {
        // The first chain marks, the second drops what is marked.
        let rules = try nftables(
            Self.chain("forward", first, "meta mark set 0x00000001"),
            Self.chain("forward", second, "meta mark 0x00000001 drop"))
        #expect(passes(rules) != isInOrder)
    }

    @Test(
        "Base chains stand among iptables' tables by priority",
        arguments: [("-151", false), ("-150", false), ("-149", true), ("0", true)])
    func orderAmongTables(priority: String, comesAfter: Bool) throws {
        var mangle = Ruleset()
        mangle[.mangle].append(Rule(target: .setMark(value: 1, mask: 1)), to: "FORWARD")
        let rules = try nftables(Self.chain("forward", priority, "meta mark 0x00000001 drop"))
        #expect(passes(rules, mangle) != comesAfter)
    }

    @Test(
        "Tracking happens at -200",
        arguments: [("-201", false), ("-300", false), ("-199", true), ("dstnat", true)])
    func tracking(priority: String, isTracked: Bool) throws {
        let rules = try nftables(Self.chain("prerouting", priority, "ct state new drop"))
        #expect(passes(rules) != isTracked)
    }

    @Test func `notrack before tracking leaves a packet untracked`() throws {
        let filter = Self.chain("forward", "filter", "ct state untracked drop", "ct status ! snat accept")
        #expect(!passes(try nftables(Self.chain("prerouting", "raw", "udp dport 53 notrack"), filter)))
        #expect(passes(try nftables(Self.chain("prerouting", "raw", "udp dport 54 notrack"), filter)))
        #expect(passes(try nftables(Self.chain("prerouting", "mangle", "udp dport 53 notrack"), filter)))
    }

    @Test func `POSTROUTING knows the link a packet came in by`() throws {
        #expect(!passes(try nftables(Self.chain("postrouting", "srcnat", "iifname \"in0\" oifname \"out0\" drop"))))
    }

    // MARK: marks

    @Test func `Marks of packets and connections`() throws {
        let rules = try nftables(
            Self.chain(
                "forward", "filter", "ct state new meta mark set 0x00000012",
                "ct state new meta mark set meta mark & 0x0000fff0 | 0x00000100",
                "ct state new meta mark 0x00000110 ct mark set meta mark",
                "ct direction reply meta mark set ct mark",
                "ct direction reply meta mark 0x00000110 drop",
                "ip saddr 10.0.0.2 meta mark set ip saddr map { 10.0.0.2 : 0x00000007 }",
                "meta mark << 2 == 0x0000001c meta mark >> 1 == 0x00000003 accept", "drop"))
        let (harness, inside) = filteringRouter()
        harness.host.setNFTables(rules)
        harness.receive(Self.udp, on: inside)
        #expect(harness.sent.count == 1)
        harness.clear()
        let answer = PacketBuilder(.station(0x99), "192.0.2.9", .station(0x12), "10.0.0.2").udp(from: 53, to: 5000)
        harness.receive(answer, on: LinkID(2))
        #expect(harness.drops == [.netfilterDrop])
    }

    // MARK: answers

    @Test(
        "reject answers as it says",
        arguments: [
            ("reject", "icmp 3/3"), ("reject with icmp net-unreachable", "icmp 3/0"),
            ("reject with icmp host-unreachable", "icmp 3/1"), ("reject with icmp prot-unreachable", "icmp 3/2"),
            ("reject with icmp port-unreachable", "icmp 3/3"), ("reject with icmp net-prohibited", "icmp 3/9"),
            ("reject with icmp host-prohibited", "icmp 3/10"), ("reject with icmp admin-prohibited", "icmp 3/13"),
            ("reject with icmpx admin-prohibited", "icmp 3/13"), ("reject with icmpx no-route", "icmp 3/0"),
            ("reject with icmpx host-unreachable", "icmp 3/1"), ("reject with tcp reset", "tcp"),
        ])
    func reject(rule: String, answer: String) throws {
        let (harness, inside) = filteringRouter()
        harness.host.setNFTables(try nftables((forwardFilter, ["meta l4proto tcp \(rule)"])))
        harness.receive(Self.from.tcp(from: 5000, to: 80, flags: .syn), on: inside)
        let frame = try #require(harness.sent.first)
        #expect(frame.text.hasPrefix("in0 \(answer) "))
        #expect(harness.drops == [.netfilterDrop])
    }

    @Test func `A reset is for TCP, an ICMPv6 answer for IPv6`() throws {
        #expect(passes(try nftables((forwardFilter, ["reject with tcp reset"]))))
        #expect(passes(try nftables((forwardFilter, ["reject with icmpv6 no-route"]))))
    }

    // MARK: what rules remember

    private static let dynamicSet = """
        \tset seen {
        \t\ttype ipv4_addr
        \t\tsize 2
        \t\tflags dynamic,timeout
        \t\ttimeout 10s
        \t}


        """

    /// Which of several packets get through: pause in seconds, then source.
    private func passing(_ rules: [String], _ packets: [(Double, String)]) throws -> [Bool] {
        let (harness, inside) = filteringRouter()
        harness.host.setNFTables(try nftables(sets: Self.dynamicSet, (forwardFilter, rules)))
        return packets.map { pause, source in
            harness.advance(seconds(pause))
            harness.clear()
            harness.receive(PacketBuilder(.peer, source, .own, "192.0.2.9").udp(from: 1, to: 2), on: inside)
            return !harness.sent.isEmpty
        }
    }

    @Test func `update begins an element's time anew, add does not`() throws {
        let packets = [(0.0, "10.0.0.2"), (6, "10.0.0.2"), (6, "10.0.0.2"), (11, "10.0.0.2")]
        // A known source is stopped.
        let added = try passing(["ip saddr @seen add @seen { ip saddr } drop", "add @seen { ip saddr }"], packets)
        #expect(added == [true, false, true, true])
        let updated = try passing(
            ["ip saddr @seen update @seen { ip saddr } drop", "update @seen { ip saddr }"], packets)
        #expect(updated == [true, false, false, true])
    }

    @Test func `A full set takes nothing, and a rule that wants to add does not match`() throws {
        let packets = [(0.0, "10.0.0.2"), (0, "10.0.0.3"), (0, "10.0.0.4"), (11, "10.0.0.4")]
        #expect(try passing(["add @seen { ip saddr } accept", "drop"], packets) == [true, true, false, true])
        let deleting = ["add @seen { ip saddr } delete @seen { ip saddr } accept", "drop"]
        #expect(try passing(deleting, packets) == [true, true, true, true])
    }

    @Test func `An element's own timeout counts, and ends`() throws {
        let packets = [(0.0, "10.0.0.2"), (1, "10.0.0.2"), (2, "10.0.0.2")]
        let rules = ["ip saddr @seen drop", "update @seen { ip saddr timeout 2s }"]
        #expect(try passing(rules, packets) == [true, false, true])
    }

    @Test(
        "limit lets its rate through after its burst",
        arguments: [
            ("limit rate 1/second burst 2 packets accept", [true, true, false, false, true, false]),
            ("limit rate over 1/second burst 2 packets drop", [true, true, false, false, true, false]),
            ("limit rate 60/minute accept", [true, true, true, true, true, true]),
            ("limit rate 29 bytes/second accept", [true, false, false, false, true, false]),
        ])
    func limit(rule: String, passing: [Bool]) throws {
        let pauses = [0, 0, 0, 0, 1.1, 0]
        let rules = rule.contains("over") ? [rule] : [rule, "drop"]
        #expect(try self.passing(rules, pauses.map { ($0, "10.0.0.2") }) == passing)
    }

    @Test func `numgen inc takes its turns`() throws {
        let rules = ["numgen inc mod 3 vmap { 0 : accept, 1 : drop, 2 : accept }"]
        let packets = (0..<6).map { _ in (0.0, "10.0.0.2") }
        #expect(try passing(rules, packets) == [true, false, true, true, false, true])
    }

    @Test func `Elements read from a listing end when it says`() throws {
        let sets = """
            \tset old {
            \t\ttype ipv4_addr
            \t\ttimeout 1h
            \t\telements = { 10.0.0.2 expires 5s, 10.0.0.3 timeout 2s expires 1s500ms }
            \t}


            """
        let (harness, inside) = filteringRouter()
        harness.host.setNFTables(try nftables(sets: sets, (forwardFilter, ["ip saddr @old drop"])))
        let passed = [0, 4.9, 0.2].map { pause in
            harness.advance(seconds(pause))
            harness.clear()
            harness.receive(Self.udp, on: inside)
            return !harness.sent.isEmpty
        }
        #expect(passed == [false, false, true])
    }
}
