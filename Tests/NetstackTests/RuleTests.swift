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
    harness.stopRedirects()
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

    private static let tcpWithOptions = from.tcp(
        from: 5000, to: 80, flags: .syn,
        options: TCPOptions(maximumSegmentSize: 1460, timestamps: TCPTimestamps(value: 1, echo: 0)))
    private static let invalid = from.tcp(from: 5000, to: 80, flags: [.syn, .ack])
    /// From an address whose way back leaves elsewhere.
    private static let foreign = PacketBuilder(.peer, "203.0.113.1", .own, "192.0.2.9").udp(from: 5000, to: 53)
    /// Half of a UDP header.
    private static let cutUDP: [UInt8] = {
        var octets = Array(udp.prefix(14 + 20 + 4))
        octets[17] = 24
        let sum = octets[14..<34].enumerated().reduce(0) { sum, byte in
            byte.offset == 10 || byte.offset == 11
                ? sum : sum + (byte.offset % 2 == 0 ? Int(byte.element) << 8 : Int(byte.element))
        }
        let folded = ~UInt16(truncatingIfNeeded: sum & 0xffff + sum >> 16)
        (octets[24], octets[25]) = (UInt8(folded >> 8), UInt8(folded & 0xff))
        return octets
    }()
    private static let once = LimitMatch(period: 10_000, burst: 1)

    private static func rule(_ match: Match) -> Rule { Rule(matches: [match]) }
    private static func flags(_ flags: TransportMatch.Flags, isNegated: Bool = false) -> TransportMatch {
        TransportMatch(.tcp, flags: Negatable(flags, isNegated: isNegated))
    }
    private static func option(_ kind: UInt8, isNegated: Bool = false) -> TransportMatch {
        TransportMatch(.tcp, option: Negatable(kind, isNegated: isNegated))
    }
    private static func connection(_ change: (inout ConnectionMatch) -> Void) -> Rule {
        var match = ConnectionMatch()
        change(&match)
        return rule(.connection(match))
    }
    private static func range(_ first: String, _ last: String) -> Negatable<ClosedRange<IPAddress>> {
        Negatable(ip(first)...ip(last))
    }
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
        Row(rule: rule(.transport(.udp)), frame: laterFragment, matches: false),
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
        // TCP flags and options.
        Row(rule: rule(.transport(flags(.syn))), frame: tcp, matches: true),
        Row(rule: rule(.transport(flags(.syn, isNegated: true))), frame: tcp, matches: false),
        Row(rule: rule(.transport(flags(.init(mask: [.syn, .ack], compared: .ack)))), frame: tcp, matches: false),
        Row(rule: rule(.transport(flags(.syn))), matches: false),
        Row(rule: rule(.transport(option(8))), frame: tcpWithOptions, matches: true),
        Row(rule: rule(.transport(option(5))), frame: tcpWithOptions, matches: false),
        Row(rule: rule(.transport(option(5, isNegated: true))), frame: tcpWithOptions, matches: true),
        Row(rule: rule(.transport(option(8))), frame: tcp, matches: false),
        // A header that cannot be read ends the packet, whatever the rule wants to do with it.
        Row(rule: rule(.transport(.udp, destination: .not(53...53))), frame: cutUDP, matches: true),
        Row(rule: rule(.transport(.tcp)), frame: cutUDP, matches: false),
        // ICMP types.
        Row(rule: rule(.icmp(ICMPTypeMatch(.ipv4, type: 8))), frame: echo, matches: true),
        Row(rule: rule(.icmp(ICMPTypeMatch(.ipv4, type: 8, code: 0))), frame: echo, matches: true),
        Row(rule: rule(.icmp(ICMPTypeMatch(.ipv4, type: 8, code: 1))), frame: echo, matches: false),
        Row(rule: rule(.icmp(ICMPTypeMatch(.ipv4, type: nil))), frame: echo, matches: true),
        Row(rule: rule(.icmp(ICMPTypeMatch(.ipv4, type: 0))), frame: echo, matches: false),
        Row(rule: rule(.icmp(ICMPTypeMatch(.ipv4, type: 0, isNegated: true))), frame: echo, matches: true),
        Row(rule: rule(.icmp(ICMPTypeMatch(.ipv4, type: nil))), matches: false),
        // Several ports.
        Row(rule: rule(.multiport(MultiportMatch(.destination, Negatable([1...2, 53...53])))), matches: true),
        Row(rule: rule(.multiport(MultiportMatch(.source, Negatable([1...2, 53...53])))), matches: false),
        Row(rule: rule(.multiport(MultiportMatch(.source, Negatable([4000...6000])))), matches: true),
        Row(rule: rule(.multiport(MultiportMatch(.either, Negatable([53...53])))), matches: true),
        Row(rule: rule(.multiport(MultiportMatch(.either, .not([53...53])))), matches: false),
        Row(
            rule: rule(.multiport(MultiportMatch(.either, .not([53...53])))), frame: laterFragment, matches: false),
        // The connection.
        Row(rule: connection { $0.protocol = Negatable(.udp) }, matches: true),
        Row(rule: connection { $0.protocol = .not(.udp) }, matches: false),
        Row(rule: connection { $0.originalSource = prefix("10.0.0.0/8") }, matches: true),
        Row(rule: connection { $0.originalDestination = prefix("10.0.0.0/8") }, matches: false),
        Row(rule: connection { $0.replySource = prefix("192.0.2.9/32") }, matches: true),
        Row(rule: connection { $0.replyDestination = prefix("10.0.0.2/32", isNegated: true) }, matches: false),
        Row(rule: connection { $0.originalSourcePort = Negatable(5000...5000) }, matches: true),
        Row(rule: connection { $0.originalDestinationPort = .not(53...53) }, matches: false),
        Row(rule: connection { $0.replySourcePort = Negatable(50...60) }, matches: true),
        Row(rule: connection { $0.replyDestinationPort = Negatable(1...2) }, matches: false),
        Row(rule: connection { $0.status = Negatable(.confirmed) }, matches: false),
        Row(rule: connection { $0.status = .not([.confirmed, .assured]) }, matches: true),
        Row(rule: connection { $0.status = Negatable([]) }, matches: false),
        Row(rule: connection { $0.expires = Negatable(0...0) }, matches: true),
        Row(rule: connection { $0.expires = Negatable(1...1000) }, matches: false),
        Row(rule: connection { $0.isReply = false }, matches: true),
        Row(rule: connection { $0.isReply = true }, matches: false),
        Row(rule: connection { $0.isReply = false }, frame: invalid, matches: false),
        Row(
            rule: connection {
                $0.states = Negatable(.invalid)
                $0.isReply = true
            }, frame: invalid, matches: true),
        Row(rule: rule(.state(Negatable([.new, .related]))), matches: true),
        Row(rule: rule(.state(.not(.new))), matches: false),
        Row(rule: rule(.connectionMark(Negatable(MarkBits(0)))), matches: true),
        Row(rule: rule(.connectionMark(.not(MarkBits(0)))), matches: false),
        Row(rule: rule(.connectionMark(.not(MarkBits(1)))), frame: invalid, matches: false),
        // Two criteria of one kind.
        Row(
            rule: Rule(matches: [
                .mark(Negatable(MarkBits(0x1, mask: 0x1))), .mark(.not(MarkBits(0x2, mask: 0x2))),
            ]), matches: true, mark: 0x1),
        Row(
            rule: Rule(matches: [
                .mark(Negatable(MarkBits(0x1, mask: 0x1))), .mark(.not(MarkBits(0x2, mask: 0x2))),
            ]), matches: false, mark: 0x3),
        Row(
            rule: Rule(matches: [.state(Negatable(.new)), .connectionState(.not(.new))]), matches: false),
        // What remembers.
        Row(rule: rule(.limit(LimitMatch(period: 10_000))), matches: true),
        Row(
            rule: Rule(matches: [.limit(once), .comment("once"), .limit(once)]), matches: true),
        Row(rule: rule(.limit(LimitMatch(period: 10_000, burst: 0))), matches: false),
        Row(rule: rule(.statistic(StatisticMatch(.nth(every: 2, packet: 0)))), matches: true),
        Row(rule: rule(.statistic(StatisticMatch(.nth(every: 2, packet: 1)))), matches: false),
        Row(rule: rule(.statistic(StatisticMatch(.nth(every: 2, packet: 1), isNegated: true))), matches: true),
        Row(rule: rule(.statistic(StatisticMatch(.random(chance: 0), isNegated: true))), matches: true),
        Row(rule: rule(.recent(RecentMatch(.check, name: "list", family: .ipv4, isNegated: true))), matches: true),
        Row(rule: rule(.recent(RecentMatch(.set, name: "list", family: .ipv4, isNegated: true))), matches: false),
        // Address ranges and masks.
        Row(rule: rule(.addressRange(AddressRangeMatch(source: range("10.0.0.1", "10.0.0.2")))), matches: true),
        Row(rule: rule(.addressRange(AddressRangeMatch(source: range("10.0.0.3", "10.0.0.9")))), matches: false),
        Row(
            rule: rule(
                .addressRange(
                    AddressRangeMatch(
                        source: range("10.0.0.1", "10.0.0.2"),
                        destination: .not(range("192.0.2.9", "192.0.2.9").value)))), matches: false),
        Row(
            rule: rule(.maskedAddress(.init(.source, ip("10.9.9.2"), mask: ip("255.0.0.255")))), matches: true),
        Row(
            rule: rule(.maskedAddress(.init(.destination, ip("10.9.9.2"), mask: ip("255.0.0.255")))),
            matches: false),
        Row(
            rule: rule(.addressType(AddressTypeMatch(destination: .not(.local), limit: .ingress))), matches: true),
        Row(rule: rule(.addressType(destination: Negatable([.local, .unicast]))), matches: true),
        Row(rule: rule(.addressType(destination: .not([.local, .unicast]))), matches: false),
        // Bridge ports: this packet has none.
        Row(rule: rule(.bridgePort(BridgePortMatch(ingress: link("in0")))), matches: false),
        Row(rule: rule(.bridgePort(BridgePortMatch(isBridged: .not(true)))), matches: true),
        // The IP and Ethernet headers.
        Row(rule: rule(.length(Negatable(28...28))), matches: true),
        Row(rule: rule(.length(Negatable(0...27))), matches: false),
        Row(rule: rule(.length(.not(29...65535))), matches: true),
        Row(rule: rule(.timeToLive(TimeToLiveMatch(.equal, 63))), matches: true),
        Row(rule: rule(.timeToLive(TimeToLiveMatch(.equal, 63, isNegated: true))), matches: false),
        Row(rule: rule(.timeToLive(TimeToLiveMatch(.less, 64))), matches: true),
        Row(rule: rule(.timeToLive(TimeToLiveMatch(.less, 63))), matches: false),
        Row(rule: rule(.timeToLive(TimeToLiveMatch(.greater, 62))), matches: true),
        Row(rule: rule(.timeToLive(TimeToLiveMatch(.greater, 63))), matches: false),
        Row(rule: rule(.codePoint(Negatable(0))), matches: true),
        Row(rule: rule(.codePoint(.not(0))), matches: false),
        Row(rule: rule(.typeOfService(Negatable(OctetBits(0, mask: 0x3f)))), matches: true),
        Row(rule: rule(.typeOfService(Negatable(OctetBits(0x10, mask: 0x3f)))), matches: false),
        Row(rule: rule(.sourceMAC(Negatable(.peer))), matches: true),
        Row(rule: rule(.sourceMAC(Negatable(.own))), matches: false),
        Row(rule: rule(.packetType(Negatable(.unicast))), matches: true),
        Row(rule: rule(.packetType(Negatable(.broadcast))), matches: false),
        Row(rule: rule(.laterFragment(Negatable(true))), matches: false),
        Row(rule: rule(.laterFragment(.not(true))), matches: true),
        Row(rule: rule(.laterFragment(Negatable(true))), frame: laterFragment, matches: true),
        Row(rule: rule(.reversePath([])), matches: true),
        Row(rule: rule(.reversePath(.invert)), matches: false),
        Row(rule: rule(.reversePath([])), frame: foreign, matches: false),
        Row(rule: rule(.reversePath(.loose)), frame: foreign, matches: true),
        // Nobody here sent it, and IPVS has not seen it.
        Row(rule: rule(.owner(OwnerMatch(user: Negatable(0...0)))), matches: false),
        Row(rule: rule(.owner(OwnerMatch(user: .not(0...0)))), matches: true),
        Row(rule: rule(.owner(OwnerMatch(hasSocket: Negatable(true)))), matches: false),
        Row(rule: rule(.virtualService(VirtualServiceMatch(isHandled: Negatable(true)))), matches: false),
        Row(rule: rule(.virtualService(VirtualServiceMatch(isHandled: .not(true)))), matches: true),
        // What is not evaluated never matches, negated or not.
        Row(rule: rule(.unevaluated(module: "time", text: "-m time")), matches: false),
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
        harness.checksChecksums = row.frame != Self.cutUDP
        harness.receive(row.frame, on: inside)
        #expect(harness.drops == (row.matches ? [.netfilterDrop] : []))
        #expect(harness.sent.count == (row.matches ? 0 : 1))
    }

    /// The compiler asks for a new name here when there is a new case; the test then asks for a row.
    private static func name(_ match: Match) -> String {
        switch match {
        case .comment: "comment"
        case .transport: "transport"
        case .icmp: "icmp"
        case .multiport: "multiport"
        case .connection: "connection"
        case .state: "state"
        case .mark: "mark"
        case .connectionMark: "connectionMark"
        case .addressType: "addressType"
        case .statistic: "statistic"
        case .recent: "recent"
        case .limit: "limit"
        case .set: "set"
        case .bridgePort: "bridgePort"
        case .addressRange: "addressRange"
        case .owner: "owner"
        case .length: "length"
        case .timeToLive: "timeToLive"
        case .codePoint: "codePoint"
        case .typeOfService: "typeOfService"
        case .sourceMAC: "sourceMAC"
        case .packetType: "packetType"
        case .reversePath: "reversePath"
        case .virtualService: "virtualService"
        case .accounting: "accounting"
        case .laterFragment: "laterFragment"
        case .maskedAddress: "maskedAddress"
        case .unevaluated: "unevaluated"
        }
    }

    @Test func `Every kind of match occurs in the table, both as a match and as none where it can be`() {
        let all: Set = [
            "comment", "transport", "icmp", "multiport", "connection", "state", "mark", "connectionMark",
            "addressType", "statistic", "recent", "limit", "set", "bridgePort", "addressRange", "owner", "length",
            "timeToLive", "codePoint", "typeOfService", "sourceMAC", "packetType", "reversePath", "virtualService",
            "accounting", "laterFragment", "maskedAddress", "unevaluated",
        ]
        func names(_ rows: [Row]) -> Set<String> { Set(rows.flatMap { $0.rule.matches.map(Self.name) }) }
        #expect(names(Self.rows.filter(\.matches)) == all.subtracting(["unevaluated"]))
        #expect(names(Self.rows.filter { !$0.matches }).isSuperset(of: all.subtracting(["accounting"])))
    }

    @Test(
        "addrtype tells own, broadcast and group addresses apart",
        arguments: [
            ("10.0.0.1", AddressType.local), ("127.0.0.1", .local), ("10.0.0.255", .broadcast),
            ("255.255.255.255", .broadcast), ("0.0.0.0", .broadcast), ("0.1.2.3", .broadcast),
            ("224.0.0.251", .multicast),
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
