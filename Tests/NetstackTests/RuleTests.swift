// What each criterion of a rule matches and what each target does (net/ipv4/netfilter/ip_tables.c, net/netfilter/xt_*).
// Every row sends one packet from 10.0.0.2 through a router, from in0 to out0.

import Addressing
import Testing
import Wire

@testable import Netstack

/// A router with 10.0.0.0/24 on in0 and 192.0.2.0/24 on out0; both neighbors are known.
func filteringRouter(_ rules: Ruleset = Ruleset(), seed: UInt64 = 1) -> (harness: NamespaceHarness, inside: LinkID) {
    let harness = NamespaceHarness(seed: seed)
    let inside = harness.addEthernet("in0", mac: .own, address: "10.0.0.1/24")
    let outside = harness.addEthernet("out0", mac: .station(0x12), address: "192.0.2.1/24")
    harness.host.sysctls.ipForward = true
    harness.host.sysctls.sendRedirects = false
    harness.know("10.0.0.2", on: inside)
    harness.know("10.0.0.3", .station(0x33), on: inside)
    harness.know("192.0.2.9", .station(0x99), on: outside)
    harness.addRoute("0.0.0.0/0", via: "192.0.2.9", on: outside)
    harness.host.setRuleset(rules)
    harness.host.ipSets = testSets
    return (harness, inside)
}

/// Sets that hold an address of the packets sent here, or none.
private let testSets: [IPSet] = {
    var sources = IPSet("sources", .hashIP)
    sources.insert(.init(address: IPPrefix("10.0.0.2/32")))
    var services = IPSet("services", .hashIPPort)
    services.insert(.init(address: IPPrefix("192.0.2.9/32"), protocol: .udp, port: 53))
    return [sources, services]
}()

@Suite struct RuleTests {
    private static let from = PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9")
    private static let udp = from.udp(from: 5000, to: 53)
    private static let tcp = from.tcp(from: 5000, to: 80, flags: .syn)
    private static let echo = from.echoRequest(identifier: 1, sequence: 1)
    private static let laterFragment: [UInt8] = {
        let whole = from.with(dontFragment: false).udp(from: 5000, to: 53, payload: [UInt8](repeating: 0, count: 900))
        return (try? PacketBuilder.fragments(of: whole, mtu: 500))?[1] ?? []
    }()

    struct Row: Sendable, CustomTestStringConvertible {
        var rule: Rule
        var frame = RuleTests.udp
        var matches: Bool
        /// The mark mangle PREROUTING gives.
        var mark: UInt32 = 0
        var testDescription: String { "\(rule.description) mark \(mark) \(matches)" }
    }

    private static func rule(_ match: Match) -> Rule { Rule(matches: [match]) }
    private static func link(_ pattern: String, isNegated: Bool = false) -> Negatable<InterfacePattern> {
        Negatable(InterfacePattern(pattern), isNegated: isNegated)
    }
    private static func prefix(_ text: String, isNegated: Bool = false) -> Negatable<IPPrefix> {
        Negatable(IPPrefix(text)!, isNegated: isNegated)
    }

    static let rows: [Row] = [
        Row(rule: Rule(), matches: true),
        // Addresses.
        Row(rule: Rule(source: prefix("10.0.0.0/24")), matches: true),
        Row(rule: Rule(source: prefix("10.0.0.2/32")), matches: true),
        Row(rule: Rule(source: prefix("10.0.0.3/32")), matches: false),
        Row(rule: Rule(source: prefix("0.0.0.0/0")), matches: true),
        Row(rule: Rule(source: prefix("10.0.0.0/24", isNegated: true)), matches: false),
        Row(rule: Rule(source: prefix("10.0.1.0/24", isNegated: true)), matches: true),
        Row(rule: Rule(destination: prefix("192.0.2.0/25")), matches: true),
        Row(rule: Rule(destination: prefix("192.0.2.128/25")), matches: false),
        Row(rule: Rule(destination: prefix("192.0.2.9/32", isNegated: true)), matches: false),
        Row(rule: Rule(source: prefix("10.0.0.2/32"), destination: prefix("192.0.2.8/32")), matches: false),
        // Links.
        Row(rule: Rule(ingress: link("in0")), matches: true),
        Row(rule: Rule(ingress: link("in")), matches: false),
        Row(rule: Rule(ingress: link("in00")), matches: false),
        Row(rule: Rule(ingress: link("in+")), matches: true),
        Row(rule: Rule(ingress: link("in0+")), matches: true),
        Row(rule: Rule(ingress: link("+")), matches: true),
        Row(rule: Rule(ingress: link("out+")), matches: false),
        Row(rule: Rule(ingress: link("in0", isNegated: true)), matches: false),
        Row(rule: Rule(ingress: link("out+", isNegated: true)), matches: true),
        Row(rule: Rule(egress: link("out0")), matches: true),
        Row(rule: Rule(egress: link("in0")), matches: false),
        Row(rule: Rule(egress: link("o+")), matches: true),
        Row(rule: Rule(egress: link("out0", isNegated: true)), matches: false),
        // Protocol and ports.
        Row(rule: Rule(protocol: Negatable(.udp)), matches: true),
        Row(rule: Rule(protocol: Negatable(.tcp)), matches: false),
        Row(rule: Rule(protocol: .not(.tcp)), matches: true),
        Row(rule: Rule(protocol: Negatable(.icmp)), frame: echo, matches: true),
        Row(rule: rule(.transport(.udp)), matches: true),
        Row(rule: rule(.transport(.tcp)), matches: false),
        Row(rule: rule(.transport(.udp, destination: Negatable(53...53))), matches: true),
        Row(rule: rule(.transport(.udp, destination: Negatable(54...60))), matches: false),
        Row(rule: rule(.transport(.udp, destination: .not(53...53))), matches: false),
        Row(rule: rule(.transport(.udp, destination: .not(1...52))), matches: true),
        Row(rule: rule(.transport(.udp, source: Negatable(4999...5001))), matches: true),
        Row(rule: rule(.transport(.udp, source: .not(5000...5000))), matches: false),
        Row(rule: rule(.transport(.udp, source: Negatable(5000...5000), destination: .not(53...53))), matches: false),
        Row(rule: rule(.transport(.tcp, destination: Negatable(80...80))), frame: tcp, matches: true),
        Row(rule: rule(.transport(.udp)), frame: laterFragment, matches: true),
        Row(rule: rule(.transport(.udp, destination: Negatable(0...65535))), frame: laterFragment, matches: false),
        Row(rule: rule(.transport(.udp, destination: .not(1...1))), frame: laterFragment, matches: false),
        // Always.
        Row(rule: rule(.comment("a word")), matches: true),
        Row(rule: rule(.accounting(name: "counter")), matches: true),
        // State.
        Row(rule: rule(.connectionState(Negatable(.new))), matches: true),
        Row(rule: rule(.connectionState(Negatable([.new, .established]))), matches: true),
        Row(rule: rule(.connectionState(Negatable(.established))), matches: false),
        Row(rule: rule(.connectionState(.not(.new))), matches: false),
        Row(rule: rule(.connectionState(.not([.established, .related]))), matches: true),
        Row(rule: rule(.connectionState(Negatable(.invalid))), matches: false),
        Row(
            rule: rule(.connectionState(Negatable(.invalid))),
            frame: from.tcp(from: 1, to: 2, flags: [.syn, .ack]), matches: true),
        Row(
            rule: rule(.connectionState(Negatable(.invalid))),
            frame: from.echoReply(identifier: 1, sequence: 1), matches: true),
        // Mark.
        Row(rule: rule(.mark(Negatable(MarkBits(0)))), matches: true),
        Row(rule: rule(.mark(Negatable(MarkBits(0x4000, mask: 0x4000)))), matches: true, mark: 0x4001),
        Row(rule: rule(.mark(Negatable(MarkBits(0x4000)))), matches: false, mark: 0x4001),
        Row(rule: rule(.mark(.not(MarkBits(0x4000, mask: 0x4000)))), matches: false, mark: 0xffff),
        Row(rule: rule(.mark(.not(MarkBits(0x4000, mask: 0x4000)))), matches: true, mark: 0xbfff),
        // Address types.
        Row(rule: rule(.addressType(destination: Negatable(.local))), matches: false),
        Row(rule: rule(.addressType(destination: .not(.local))), matches: true),
        Row(rule: rule(.addressType(destination: Negatable(.unicast))), matches: true),
        Row(rule: rule(.addressType(source: Negatable(.unicast))), matches: true),
        Row(rule: rule(.addressType(source: .not(.unicast))), matches: false),
        Row(rule: rule(.addressType(source: Negatable(.local), destination: Negatable(.unicast))), matches: false),
        // Chance.
        Row(rule: rule(.random(chance: 0)), matches: false),
        Row(rule: rule(.random(chance: 0x8000_0000)), matches: true),
        // Recent.
        Row(rule: rule(.recentCheck(name: "list", seconds: 10)), matches: false),
        Row(rule: rule(.recentSet(name: "list")), matches: true),
        // Sets.
        Row(rule: rule(.set(Negatable("sources"), [.source])), matches: true),
        Row(rule: rule(.set(Negatable("sources"), [.destination])), matches: false),
        Row(rule: rule(.set(.not("sources"), [.source])), matches: false),
        Row(rule: rule(.set(Negatable("services"), [.destination, .destination])), matches: true),
        Row(rule: rule(.set(Negatable("services"), [.destination, .source])), matches: false),
        // IPVS and bridge ports.
        Row(rule: rule(.ipvs(VirtualServerMatch())), matches: false),
        Row(rule: rule(.physicalIngress(isNegated: false)), matches: false),
        Row(rule: rule(.physicalIngress(isNegated: true)), matches: true),
        // All criteria must match.
        Row(rule: Rule(matches: [.recentSet(name: "list"), .recentCheck(name: "list", seconds: 1)]), matches: true),
        Row(rule: Rule(matches: [.comment("no"), .mark(Negatable(MarkBits(1)))]), matches: false),
    ]

    @Test("A rule matches what it says", arguments: rows)
    func matching(row: Row) {
        var rules = Ruleset()
        if row.mark != 0 {
            rules[.mangle].append(Rule(target: .setMark(value: row.mark, mask: .max)), to: "PREROUTING")
        }
        var rule = row.rule
        rule.target = .drop
        rules[.filter].append(rule, to: "FORWARD")
        let (harness, inside) = filteringRouter(rules)
        harness.receive(row.frame, on: inside)
        #expect(harness.drops == (row.matches ? [.netfilterDrop] : []))
        #expect(harness.sent.count == (row.matches ? 0 : 1))
    }

    /// The compiler asks for a new name here when there is a new case; the test then asks for a row.
    private static func name(_ match: Match) -> String {
        switch match {
        case .comment: "comment"
        case .transport: "transport"
        case .connectionState: "connectionState"
        case .mark: "mark"
        case .addressType: "addressType"
        case .random: "random"
        case .recentCheck: "recentCheck"
        case .recentSet: "recentSet"
        case .set: "set"
        case .ipvs: "ipvs"
        case .physicalIngress: "physicalIngress"
        case .accounting: "accounting"
        }
    }

    @Test func `Every kind of match occurs in the table, both as a match and as none where it can fail`() {
        let all: Set = [
            "comment", "transport", "connectionState", "mark", "addressType", "random", "recentCheck", "recentSet",
            "accounting", "set", "ipvs", "physicalIngress",
        ]
        func names(_ rows: [Row]) -> Set<String> { Set(rows.flatMap { $0.rule.matches.map(Self.name) }) }
        // What IPVS has translated never meets the FORWARD filter (IPVSTests).
        #expect(names(Self.rows.filter(\.matches)) == all.subtracting(["ipvs"]))
        #expect(names(Self.rows.filter { !$0.matches }).isSuperset(of: all.subtracting(["accounting", "recentSet"])))
    }

    @Test(
        "addrtype tells own, broadcast and group addresses apart",
        arguments: [
            ("10.0.0.1", AddressType.local), ("127.0.0.1", .local), ("10.0.0.255", .broadcast),
            ("255.255.255.255", .broadcast), ("0.0.0.0", .broadcast), ("224.0.0.251", .multicast),
            ("10.0.0.9", .unicast), ("8.8.8.8", .unicast),
        ])
    func addressTypes(address: String, type: AddressType) {
        #expect(filteringRouter().harness.host.addressType(ip(address)) == type)
    }

    @Test func `A recent entry is forgotten after its seconds and renewed by a set`() {
        var rules = Ruleset()
        rules[.filter].append(
            Rule(matches: [.recentCheck(name: "list", seconds: 10)], target: .drop), to: "FORWARD")
        rules[.filter].append(Rule(matches: [.recentSet(name: "list")]), to: "FORWARD")
        let (harness, inside) = filteringRouter(rules)
        var passed: [Bool] = []
        for pause in [0.0, 1, 8.9, 0.2, 0.1] {
            harness.advance(seconds(pause))
            harness.clear()
            harness.receive(Self.udp, on: inside)
            passed.append(!harness.sent.isEmpty)
        }
        // The list is set only where a packet passes.
        #expect(passed == [true, false, false, true, false])
        // Another source is another entry.
        harness.clear()
        harness.receive(PacketBuilder(.peer, "10.0.0.3", .own, "192.0.2.9").udp(from: 1, to: 2), on: inside)
        #expect(harness.sent.count == 1)
    }

    @Test func `A third of the packets takes a rule of one in three, the same ones for the same seed`() {
        var rules = Ruleset()
        rules[.filter].append(Rule(matches: [.random(chance: 715_827_883)], target: .drop), to: "FORWARD")
        func dropped(_ seed: UInt64) -> [Int] {
            let (harness, inside) = filteringRouter(rules, seed: seed)
            return (0..<600).filter { _ in
                harness.clear()
                harness.receive(Self.udp, on: inside)
                return harness.sent.isEmpty
            }
        }
        let first = dropped(7)
        #expect((160...240).contains(first.count), "seed 7")
        #expect(dropped(7) == first)
        #expect(dropped(8) != first)
    }
}
