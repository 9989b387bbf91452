// NAT by nftables: what a connection's first packet is bound to, by which of several chains, and that all choices can
// be followed. The router of RuleTests.swift: 10.0.0.0/24 on in0, 192.0.2.0/24 on out0.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct NFTablesNATTests {
    private static let from = PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9")
    private static let udp = from.udp(from: 5000, to: 53)
    private static let prerouting = "type nat hook prerouting priority dstnat; policy accept;"
    private static let postrouting = "type nat hook postrouting priority srcnat; policy accept;"

    private func router(_ rules: NFTablesRuleset, _ iptables: Ruleset = Ruleset()) -> (NamespaceHarness, LinkID) {
        let (harness, inside) = filteringRouter(iptables)
        harness.host.setNFTables(rules)
        return (harness, inside)
    }

    @Test(
        "dnat and redirect bind the destination",
        arguments: [
            ("dnat ip to 10.0.0.3", "in0 udp 10.0.0.2:5000 > 10.0.0.3:53 ttl 63"),
            ("dnat ip to 10.0.0.3:5353", "in0 udp 10.0.0.2:5000 > 10.0.0.3:5353 ttl 63"),
            ("dnat ip to ip daddr map { 192.0.2.9 : 10.0.0.3 }", "in0 udp 10.0.0.2:5000 > 10.0.0.3:53 ttl 63"),
            (
                "dnat ip to numgen random mod 1 map { 0 : 10.0.0.3 . 80 }",
                "in0 udp 10.0.0.2:5000 > 10.0.0.3:80 ttl 63"
            ),
            ("dnat ip to ip daddr map { 192.0.2.8 : 10.0.0.3 }", "out0 udp 10.0.0.2:5000 > 192.0.2.9:53 ttl 63"),
            ("dnat ip6 to fd00::9", "out0 udp 10.0.0.2:5000 > 192.0.2.9:53 ttl 63"),
            ("udp dport 53 dnat to :54", "out0 udp 10.0.0.2:5000 > 192.0.2.9:54 ttl 63"),
            ("tcp dport 53 dnat ip to 10.0.0.3", "out0 udp 10.0.0.2:5000 > 192.0.2.9:53 ttl 63"),
        ])
    func destination(rule: String, frame: String) throws {
        let (harness, inside) = router(try nftables((Self.prerouting, [rule])))
        harness.receive(Self.udp, on: inside)
        #expect(harness.sent.map(\.text) == [frame])
    }

    @Test func `redirect brings a packet to the link it came in by`() throws {
        let (harness, inside) = router(try nftables((Self.prerouting, ["udp dport 53 redirect to :5353"])))
        harness.receive(Self.udp, on: inside)
        // Nobody listens there.
        #expect(harness.sent.map(\.text).count == 1)
        #expect(harness.sent[0].text.contains("icmp 3/3"))
        #expect(harness.host.connections.all(at: 0).isEmpty || harness.drops == [.noSocket])
        let translations = harness.steps.compactMap { step -> SocketAddress? in
            if case .translated(.destination, _, let to, _) = step { to } else { nil }
        }
        #expect(translations == [end("10.0.0.1:5353")])
    }

    @Test(
        "snat and masquerade bind the source",
        arguments: [
            ("snat ip to 192.0.2.77", "out0 udp 192.0.2.77:5000 > 192.0.2.9:53 ttl 63"),
            ("masquerade", "out0 udp 192.0.2.1:5000 > 192.0.2.9:53 ttl 63"),
            ("oifname \"out0\" masquerade", "out0 udp 192.0.2.1:5000 > 192.0.2.9:53 ttl 63"),
            ("oifname \"in0\" masquerade", "out0 udp 10.0.0.2:5000 > 192.0.2.9:53 ttl 63"),
            ("snat ip to ip saddr map { 10.0.0.2 : 192.0.2.5 }", "out0 udp 192.0.2.5:5000 > 192.0.2.9:53 ttl 63"),
        ])
    func source(rule: String, frame: String) throws {
        let (harness, inside) = router(try nftables((Self.postrouting, [rule])))
        harness.receive(Self.udp, on: inside)
        #expect(harness.sent.map(\.text) == [frame])
    }

    @Test func `masquerade fully-random draws the port`() throws {
        let (harness, inside) = router(try nftables((Self.postrouting, ["masquerade fully-random"])))
        harness.receive(Self.udp, on: inside)
        #expect(harness.sent[0].text.hasPrefix("out0 udp 192.0.2.1:"))
        #expect(!harness.sent[0].text.contains(":5000 "))
    }

    @Test(
        "The first chain that binds wins, iptables' nat table among them",
        arguments: [("-101", "10.0.0.3"), ("-100", "10.0.0.3"), ("-99", "10.0.0.4")])
    func firstBindingWins(priority: String, address: String) throws {
        var iptables = Ruleset()
        iptables[.nat].append(Rule(target: .destinationNAT(address: ip("10.0.0.4"), port: nil)), to: "PREROUTING")
        let (harness, inside) = router(
            try nftables(
                ("type nat hook prerouting priority \(priority); policy accept;", ["dnat ip to 10.0.0.3"]),
                ("type nat hook prerouting priority 5; policy accept;", ["dnat ip to 10.0.0.7"])), iptables)
        harness.know("10.0.0.4", .station(0x44), on: inside)
        harness.receive(Self.udp, on: inside)
        #expect(harness.sent.map(\.text) == ["in0 udp 10.0.0.2:5000 > \(address):53 ttl 63"])
    }

    @Test func `An accept in a NAT chain leaves the choice to the next`() throws {
        let (harness, inside) = router(
            try nftables(
                ("type nat hook prerouting priority -110; policy accept;", ["accept"]),
                (Self.prerouting, ["dnat ip to 10.0.0.3"])))
        harness.receive(Self.udp, on: inside)
        #expect(harness.sent.map(\.text) == ["in0 udp 10.0.0.2:5000 > 10.0.0.3:53 ttl 63"])
    }

    @Test func `Only a connection's first packet asks NAT, and answers are translated back`() throws {
        let (harness, inside) = router(
            try nftables(
                (Self.prerouting, ["numgen inc mod 2 vmap { 0 : jump one, 1 : drop }"]),
                ("one", ["dnat ip to 10.0.0.3:80"])))
        let hit = PacketBuilder(.station(0x33), "10.0.0.3", .own, "10.0.0.2").udp(from: 80, to: 5000)
        harness.receive(Self.udp, on: inside)
        harness.receive(hit, on: inside)
        harness.receive(Self.udp, on: inside)
        #expect(
            harness.sent.map(\.text) == [
                "in0 udp 10.0.0.2:5000 > 10.0.0.3:80 ttl 63", "in0 udp 192.0.2.9:53 > 10.0.0.2:5000 ttl 63",
                "in0 udp 10.0.0.2:5000 > 10.0.0.3:80 ttl 63",
            ])
    }

    @Test func `ct status dnat tells translated packets`() throws {
        let (harness, inside) = router(
            try nftables(
                (Self.prerouting, ["udp dport 53 dnat ip to 10.0.0.3"]),
                (forwardFilter, ["ct status dnat ct original ip daddr 192.0.2.9 drop"])))
        harness.receive(Self.udp, on: inside)
        harness.receive(Self.from.udp(from: 5000, to: 54), on: inside)
        #expect(harness.drops == [.netfilterDrop])
        #expect(harness.sent.map(\.text) == ["out0 udp 10.0.0.2:5000 > 192.0.2.9:54 ttl 63"])
    }

    @Test func `Every endpoint a random choice offers can be followed, with its probability`() throws {
        let rules = try nftables(
            (
                Self.prerouting,
                ["dnat ip to numgen random mod 3 map { 0 : 10.0.0.3 . 1, 1 : 10.0.0.3 . 2, 2 : 10.0.0.3 . 3 }"]
            ))
        var script: [Int]? = []
        var found: [String: Double] = [:]
        while let path = script {
            let (harness, inside) = router(rules)
            _ = harness.host.inject(Self.udp, on: inside, choosing: path, &harness.context)
            harness.settle()
            let made = harness.context.choices.made
            found[harness.sent[0].text] = made.reduce(1) { $0 * $1.probability }
            script = RuleChoices.next(after: made)
        }
        #expect(found.count == 3)
        #expect(found.values.allSatisfy { abs($0 - 1 / 3) < 1e-12 })
    }

    @Test func `Rules are recorded with table, chain and number, the way through a map included`() throws {
        let (harness, inside) = router(
            try nftables(
                (Self.prerouting, ["tcp dport 1 drop", "udp dport vmap { 53 : goto service }"]),
                ("service", ["meta mark set 0x00000001", "dnat ip to 10.0.0.3"])))
        harness.context.recording.keepsRuleMisses = true
        harness.receive(Self.udp, on: inside)
        func reference(_ chain: Int32, _ rule: Int32) -> RuleReference {
            RuleReference(system: .nftables, table: 0, chain: chain, rule: rule)
        }
        let expected: [(RuleReference, PathEvent.RuleVerdict)] = [
            (reference(0, 0), .noMatch), (reference(0, 1), .goto), (reference(1, 0), .setMark),
            (reference(1, 1), .destinationNAT),
        ]
        let seen = harness.steps.compactMap { step -> (RuleReference, PathEvent.RuleVerdict)? in
            if case .rule(let reference, let verdict) = step { (reference, verdict) } else { nil }
        }
        #expect(seen.elementsEqual(expected) { $0 == $1 })
        let hooks = harness.steps.filter { if case .hook(.prerouting, .nftables, 0) = $0 { true } else { false } }
        #expect(hooks.count == 1)
        let rules = harness.steps.compactMap { step -> RuleReference? in
            if case .translated(.destination, _, _, let rule) = step { rule } else { nil }
        }
        #expect(rules == [reference(1, 1)])
    }
}
