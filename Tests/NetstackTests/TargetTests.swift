// What targets do, how chains call each other, and in which order the hooks come.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct TargetTests {
    private static let from = PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9")
    private static let udpText = "udp 10.0.0.2:5000 > 192.0.2.9:53"

    struct Row: Sendable, CustomTestStringConvertible {
        var target: Target
        var table = TableName.filter
        var chain = "FORWARD"
        var tcp = false
        /// What leaves, and whether the packet was dropped.
        var sent: [String]
        var dropped = false
        /// It came to this machine, where nobody listens.
        var refused = false
        var testDescription: String { "\(table.rawValue) \(chain) \(target)" }
    }

    private static func error(_ code: Int, _ source: String = "10.0.0.1") -> [String] {
        ["in0 icmp 3/\(code) \(source) > 10.0.0.2 ttl 64 about (\(udpText) ttl 63)"]
    }
    private static let forwarded = ["out0 \(udpText) ttl 63"]

    static let rows: [Row] = [
        Row(target: .accept, sent: forwarded),
        Row(target: .drop, sent: [], dropped: true),
        Row(target: .return, sent: forwarded),
        Row(target: .jump("OTHER"), sent: forwarded),
        Row(target: .goto("OTHER"), sent: forwarded),
        Row(target: .setMark(value: 1, mask: 1), table: .mangle, sent: forwarded),
        Row(
            target: .destinationNAT(address: ip("192.0.2.77"), port: 5353), table: .nat, chain: "PREROUTING",
            sent: ["out0 arp who-has 192.0.2.77 tell 192.0.2.1"]),
        Row(
            target: .destinationNAT(address: ip("10.0.0.3"), port: nil), table: .nat, chain: "PREROUTING",
            sent: ["in0 udp 10.0.0.2:5000 > 10.0.0.3:53 ttl 63"]),
        Row(
            target: .sourceNAT(address: ip("203.0.113.5"), randomFully: false), table: .nat, chain: "POSTROUTING",
            sent: ["out0 udp 203.0.113.5:5000 > 192.0.2.9:53 ttl 63"]),
        Row(
            target: .masquerade(randomFully: false), table: .nat, chain: "POSTROUTING",
            sent: ["out0 udp 192.0.2.1:5000 > 192.0.2.9:53 ttl 63"]),
        Row(target: .reject(.networkUnreachable), sent: error(0), dropped: true),
        Row(target: .reject(.hostUnreachable), sent: error(1), dropped: true),
        Row(target: .reject(.protocolUnreachable), sent: error(2), dropped: true),
        Row(target: .reject(.portUnreachable), sent: error(3), dropped: true),
        Row(target: .reject(.networkProhibited), sent: error(9), dropped: true),
        Row(target: .reject(.hostProhibited), sent: error(10), dropped: true),
        Row(target: .reject(.administrativelyProhibited), sent: error(13), dropped: true),
        // The IPv6 answers are for IPv6 packets.
        Row(target: .reject(.noRouteIPv6), sent: [], dropped: true),
        Row(target: .reject(.administrativelyProhibitedIPv6), sent: [], dropped: true),
        Row(target: .reject(.addressUnreachableIPv6), sent: [], dropped: true),
        Row(target: .reject(.portUnreachableIPv6), sent: [], dropped: true),
        Row(target: .reject(.policyFailIPv6), sent: [], dropped: true),
        Row(target: .reject(.rejectRouteIPv6), sent: [], dropped: true),
        Row(
            target: .redirect(TranslationRange()), table: .nat, chain: "PREROUTING",
            sent: ["in0 icmp 3/3 192.0.2.9 > 10.0.0.2 ttl 64 about (\(udpText) ttl 64)"], refused: true),
        Row(target: .connectionMark(.set(MarkBits(1))), table: .mangle, sent: forwarded),
        Row(target: .log(LogOptions(prefix: "here")), sent: forwarded),
        Row(target: .netlinkLog(NetlinkLogOptions(group: 1)), sent: forwarded),
        Row(target: .noTrack(isCT: false), table: .raw, chain: "PREROUTING", sent: forwarded),
        Row(
            target: .setSegmentSize(1300), table: .mangle, tcp: true,
            sent: ["out0 tcp S 10.0.0.2:5000 > 192.0.2.9:80 ttl 63"]),
        Row(target: .setCodePoint(10), table: .mangle, sent: forwarded),
        Row(target: .setTypeOfService(OctetBits(0x10)), table: .mangle, sent: forwarded),
        Row(
            target: .setTimeToLive(.set(9), family: .ipv4), table: .mangle, sent: ["out0 \(udpText) ttl 9"]),
        Row(target: .unevaluated(name: "TRACE", text: "-j TRACE"), sent: forwarded),
        Row(
            target: .reject(.tcpReset), tcp: true, sent: ["in0 tcp RA 192.0.2.9:80 > 10.0.0.2:5000 ttl 64"],
            dropped: true),
    ]

    @Test("A target does its work", arguments: rows)
    func targets(row: Row) {
        var rules = Ruleset()
        rules[row.table].create("OTHER")
        rules[row.table].append(Rule(target: row.target), to: row.chain)
        let (harness, inside) = filteringRouter(rules)
        let frame =
            row.tcp ? Self.from.tcp(from: 5000, to: 80, flags: .syn) : Self.from.udp(from: 5000, to: 53)
        harness.receive(frame, on: inside)
        #expect(harness.sent.map(\.text) == row.sent)
        #expect(harness.drops == (row.dropped ? [.netfilterDrop] : row.refused ? [.noSocket] : []))
    }

    @Test func `Every target and every way to reject occurs in the table`() {
        /// The compiler asks for a new name here when there is a new case.
        func name(_ target: Target) -> String {
            switch target {
            case .accept: "accept"
            case .drop: "drop"
            case .return: "return"
            case .jump: "jump"
            case .goto: "goto"
            case .setMark: "setMark"
            case .destinationNAT: "destinationNAT"
            case .sourceNAT: "sourceNAT"
            case .masquerade: "masquerade"
            case .reject: "reject"
            case .redirect: "redirect"
            case .connectionMark: "connectionMark"
            case .log: "log"
            case .netlinkLog: "netlinkLog"
            case .noTrack: "noTrack"
            case .setSegmentSize: "setSegmentSize"
            case .setCodePoint: "setCodePoint"
            case .setTypeOfService: "setTypeOfService"
            case .setTimeToLive: "setTimeToLive"
            case .unevaluated: "unevaluated"
            }
        }
        #expect(Set(Self.rows.map { name($0.target) }).count == 20)
        let kinds = Self.rows.compactMap { if case .reject(let kind) = $0.target { kind } else { nil } }
        #expect(Set(kinds) == Set(RejectKind.allCases))
    }

    // MARK: chains

    /// Rules as `CHAIN TARGET` words; `mark-N` sets the bit N of the mark.
    private func run(_ lines: [String], policy: ChainPolicy = .accept) -> (mark: UInt32?, dropped: Bool) {
        var rules = Ruleset()
        rules[.filter].setPolicy(policy, of: .forward)
        for line in lines {
            let words = line.split(separator: " ").map(String.init)
            let target: Target? =
                switch words[1] {
                case "ACCEPT": .accept
                case "DROP": .drop
                case "RETURN": .return
                case "count": nil
                case let word where word.hasPrefix("mark-"):
                    .setMark(value: 1 << UInt32(word.dropFirst(5))!, mask: 1 << UInt32(word.dropFirst(5))!)
                case let word where word.hasPrefix("goto-"): .goto(String(word.dropFirst(5)))
                default: .jump(words[1])
                }
            rules[.filter].append(Rule(target: target), to: words[0])
        }
        // What arrived in POSTROUTING tells the mark.
        for bit: UInt32 in 0..<8 {
            rules[.mangle].append(
                Rule(matches: [.mark(Negatable(MarkBits(1 << bit, mask: 1 << bit)))]), to: "POSTROUTING")
        }
        let (harness, inside) = filteringRouter(rules)
        harness.receive(Self.from.udp(from: 5000, to: 53), on: inside)
        var mark: UInt32 = 0
        for case .rule(let reference, .counted) in harness.steps
        where TableName.allCases[Int(reference.table)] == .mangle {
            mark |= 1 << UInt32(reference.rule)
        }
        return (harness.sent.isEmpty ? nil : mark, !harness.drops.isEmpty)
    }

    @Test(
        "Chains call, return and go as the kernel's do",
        arguments: [
            // A jump comes back, at the end of the chain or at RETURN.
            (["A mark-1", "FORWARD A", "FORWARD mark-2"], 0b110),
            (["A RETURN", "A mark-1", "FORWARD A", "FORWARD mark-2"], 0b100),
            // A goto does not come back here, but to the last jump.
            (["A mark-1", "FORWARD goto-A", "FORWARD mark-2"], 0b010),
            (["B mark-1", "A goto-B", "A mark-2", "FORWARD A", "FORWARD mark-3"], 0b1010),
            (["B RETURN", "A goto-B", "A mark-2", "FORWARD A", "FORWARD mark-3"], 0b1000),
            // ACCEPT ends everything, at any depth.
            (["B ACCEPT", "A B", "A mark-1", "FORWARD A", "FORWARD mark-2"], 0),
            // Nested calls.
            (["C mark-1", "B C", "B mark-2", "A B", "A mark-3", "FORWARD A", "FORWARD mark-4"], 0b11110),
            // A chain called twice.
            (["A mark-1", "FORWARD A", "FORWARD A", "FORWARD mark-2"], 0b110),
            // RETURN in a built-in chain asks the policy.
            (["FORWARD mark-1", "FORWARD RETURN", "FORWARD mark-2"], 0b10),
            // A rule without target only counts.
            (["FORWARD count", "FORWARD mark-1"], 0b10),
        ] as [([String], UInt32)])
    func chains(lines: [String], mark: UInt32) {
        #expect(run(lines).mark == mark)
        #expect(run(["UNUSED DROP"] + lines).dropped == false)
    }

    @Test(
        "The policy decides what no rule decided",
        arguments: [
            ([], true), (["FORWARD ACCEPT"], false), (["FORWARD RETURN", "FORWARD ACCEPT"], true),
            (["A RETURN", "FORWARD A"], true), (["A mark-1", "FORWARD goto-A"], true),
            (["A ACCEPT", "FORWARD goto-A"], false),
        ] as [([String], Bool)])
    func policy(lines: [String], dropped: Bool) {
        #expect(run(lines, policy: .drop).dropped == dropped)
        #expect(run(lines, policy: .accept).dropped == false)
    }

    @Test func `A jump to a chain that is not there never matches, and a loop ends`() {
        var rules = Ruleset()
        rules[.filter].append(Rule(target: .jump("NOWHERE")), to: "FORWARD")
        rules[.filter].append(Rule(target: .goto("NOWHERE")), to: "FORWARD")
        rules[.filter].append(Rule(target: .drop), to: "FORWARD")
        let (harness, inside) = filteringRouter(rules)
        harness.receive(Self.from.udp(from: 5000, to: 53), on: inside)
        #expect(harness.drops == [.netfilterDrop])
        var loop = Ruleset()
        loop[.filter].append(Rule(target: .goto("A")), to: "A")
        loop[.filter].append(Rule(target: .goto("A")), to: "FORWARD")
        let (other, link) = filteringRouter(loop)
        other.context.recording.keepsEvents = false
        other.receive(Self.from.udp(from: 5000, to: 53), on: link)
        #expect(other.sent.count == 1)
    }

    @Test(
        "A mark is cleared by the mask, then changed by the value",
        arguments: [
            (0x0, 0x4000, 0x4000, 0x4000), (0xffff, 0x4000, 0x4000, 0xffff), (0x4000, 0x4000, 0, 0),
            (0xff, 0x0f, 0xff, 0x0f), (0x1234, 0x1, 0xffff_ffff, 0x1),
        ] as [(UInt32, UInt32, UInt32, UInt32)])
    func marks(before: UInt32, value: UInt32, mask: UInt32, after: UInt32) {
        var rules = Ruleset()
        rules[.mangle].append(Rule(target: .setMark(value: before, mask: .max)), to: "PREROUTING")
        rules[.mangle].append(Rule(target: .setMark(value: value, mask: mask)), to: "PREROUTING")
        rules[.filter].append(Rule(matches: [.mark(Negatable(MarkBits(after)))], target: .drop), to: "FORWARD")
        let (harness, inside) = filteringRouter(rules)
        harness.receive(Self.from.udp(from: 5000, to: 53), on: inside)
        #expect(harness.drops == [.netfilterDrop])
    }

    // MARK: hooks

    /// A rule that only counts in every built-in chain of every table.
    private var everywhere: Ruleset {
        var rules = Ruleset()
        for table in TableName.allCases {
            for hook in table.builtInChains { rules[table].append(Rule(), to: hook.chainName) }
        }
        return rules
    }

    private func hooks(_ harness: NamespaceHarness) -> [String] {
        harness.steps.compactMap { step in
            switch step {
            case .hook(let hook, _, let table): "\(TableName.allCases[Int(table)].rawValue) \(hook.chainName)"
            case .tracked: "track"
            default: nil
            }
        }
    }

    private static let enter = ["raw PREROUTING", "track", "mangle PREROUTING", "nat PREROUTING"]
    private static let into = ["mangle INPUT", "filter INPUT", "security INPUT", "nat INPUT"]
    private static let through = ["mangle FORWARD", "filter FORWARD", "security FORWARD"]
    private static let leave = ["mangle POSTROUTING", "nat POSTROUTING"]
    private static let output = [
        "raw OUTPUT", "track", "mangle OUTPUT", "nat OUTPUT", "filter OUTPUT", "security OUTPUT",
    ]

    @Test func `A packet meets the tables in the order of their priorities`() throws {
        let (harness, inside) = filteringRouter(everywhere)
        harness.receive(Self.from.udp(from: 5000, to: 53), on: inside)
        #expect(hooks(harness) == Self.enter + Self.through + Self.leave)
        // Later packets of the connection do not meet nat.
        harness.clear()
        harness.receive(Self.from.udp(from: 5000, to: 53), on: inside)
        #expect(hooks(harness) == (Self.enter + Self.through + Self.leave).filter { !$0.hasPrefix("nat") })
        harness.clear()
        _ = harness.host.bindUDP(port: 53)
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.1").udp(from: 1, to: 53), on: inside)
        #expect(hooks(harness) == Self.enter + Self.into)
        harness.clear()
        let socket = try harness.host.connectUDP(to: end("192.0.2.9:53"), &harness.context)
        try harness.host.sendDatagram(socket, [1], &harness.context)
        harness.settle()
        #expect(hooks(harness) == Self.output + Self.leave)
    }

    @Test func `On loopback the connection found on the way out is not looked up again`() throws {
        let (harness, _) = filteringRouter(everywhere)
        _ = harness.host.bindUDP(port: 53)
        let socket = try harness.host.connectUDP(to: end("127.0.0.1:53"), &harness.context)
        try harness.host.sendDatagram(socket, [1], &harness.context)
        harness.settle()
        #expect(
            hooks(harness) == Self.output + Self.leave + ["raw PREROUTING", "mangle PREROUTING"]
                + Self.into.filter { $0 != "nat INPUT" })
        #expect(harness.deliveries == 1)
    }

    @Test func `Nothing is tracked while no rule asks for it`() {
        var rules = Ruleset()
        rules[.filter].append(Rule(), to: "FORWARD")
        let (harness, inside) = filteringRouter(rules)
        harness.receive(Self.from.udp(from: 5000, to: 53), on: inside)
        #expect(hooks(harness) == ["filter FORWARD"])
        #expect(harness.host.connections.all(at: 0).isEmpty)
    }

    @Test func `A drop names its rule, a policy's drop the chain`() {
        var rules = Ruleset()
        rules[.filter].append(Rule(target: .jump("A")), to: "FORWARD")
        rules[.filter].append(Rule(), to: "A")
        rules[.filter].append(Rule(target: .drop), to: "A")
        let (harness, inside) = filteringRouter(rules)
        harness.receive(Self.from.udp(from: 5000, to: 53), on: inside)
        var named: [RuleReference?] = harness.steps.compactMap {
            if case .dropped(_, let rule) = $0 { rule } else { nil }
        }
        #expect(named == [RuleReference(table: 3, chain: 3, rule: 1)])
        rules = Ruleset()
        rules[.filter].setPolicy(.drop, of: .forward)
        harness.host.setRuleset(rules)
        harness.clear()
        harness.receive(Self.from.udp(from: 5000, to: 53), on: inside)
        named = harness.steps.compactMap { if case .dropped(_, let rule) = $0 { rule } else { nil } }
        #expect(named == [RuleReference(table: 3, chain: 1, rule: -1)])
        #expect(named.first??.isPolicy == true)
    }
}
