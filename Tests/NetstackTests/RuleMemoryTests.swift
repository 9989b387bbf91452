// Rules that remember earlier packets: which packets of a series pass. Each row was seen on Linux 6.18 with the same
// rules and pauses.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct RuleMemoryTests {
    struct Series: Sendable, CustomTestStringConvertible {
        var rules: [String]
        /// One packet after each pause, in seconds; a name after a slash is another source, 10.0.0.3.
        var pauses: [String]
        /// `+` for a packet that passed, `-` for one that was dropped.
        var passed: String
        var testDescription: String { rules.joined(separator: "; ") }
    }

    private static let seven = Array(repeating: "0", count: 7)
    private static let mixed = ["0", "0/other", "0", "0/other", "0", "0/other"]

    static let series: [Series] = [
        Series(rules: ["-m statistic --mode nth --every 3 --packet 0 -j DROP"], pauses: seven, passed: "-++-++-"),
        Series(rules: ["-m statistic --mode nth --every 3 --packet 1 -j DROP"], pauses: seven, passed: "+-++-++"),
        Series(rules: ["-m statistic --mode nth ! --every 3 --packet 2 -j DROP"], pauses: seven, passed: "--+--+-"),
        Series(
            rules: [
                "-m statistic --mode nth --every 3 --packet 0 -j ACCEPT",
                "-m statistic --mode nth --every 2 --packet 0 -j DROP",
            ], pauses: seven, passed: "+-++-++"),
        Series(
            rules: ["-m limit --limit 1/sec --limit-burst 3 -j ACCEPT", "-j DROP"], pauses: seven, passed: "+++----"),
        Series(
            rules: ["-m limit --limit 2/sec --limit-burst 1 -j ACCEPT", "-j DROP"],
            pauses: ["0", "0.3", "0.3", "0.1", "0.6", "0.3"], passed: "+-+-+-"),
        // What a limit is asked for it counts, even if the rule then asks more.
        Series(
            rules: ["-p udp -m limit --limit 1/hour --limit-burst 2 -m udp --dport 99 -j ACCEPT"] + [
                "-p udp -m limit --limit 1/hour --limit-burst 3 -m udp --dport 53 -j ACCEPT", "-j DROP",
            ], pauses: seven, passed: "+++----"),
        Series(
            rules: ["-m recent --name a --rcheck --seconds 60 --hitcount 3 -j DROP", "-m recent --name a --set"],
            pauses: seven, passed: "+++----"),
        Series(
            rules: ["-m recent --name b --rcheck --seconds 60 --hitcount 2 -j DROP", "-m recent --name b --set"],
            pauses: mixed, passed: "++++--"),
        Series(
            rules: ["-m recent --name c --update --seconds 1 -j DROP", "-m recent --name c --set"],
            pauses: ["0", "0.6", "0.6", "0.6", "1.2", "0.2"], passed: "+---+-"),
        Series(
            rules: ["-m recent --name d --rcheck --seconds 1 -j DROP", "-m recent --name d --set"],
            pauses: ["0", "0.6", "0.6", "0.6", "1.2", "0.2"], passed: "+-+-+-"),
        Series(
            rules: ["-m recent --name e --remove -j DROP", "-m recent --name e --set"], pauses: seven,
            passed: "+-+-+-+"),
        Series(
            rules: ["-m recent --name f ! --rcheck -m recent --name f --set -j DROP"], pauses: seven,
            passed: "-++++++"),
        Series(
            rules: [
                "-m recent --name g --rcheck --mask 255.255.255.0 -j DROP",
                "-m recent --name g --set --mask 255.255.255.0",
            ],
            pauses: mixed, passed: "+-----"),
        Series(
            rules: ["-m recent --name h --rcheck --rdest -j DROP", "-m recent --name h --set --rdest"],
            pauses: mixed, passed: "+-----"),
        Series(
            rules: ["-m recent --name i --rcheck --seconds 1 --reap -j DROP", "-m recent --name i --set"],
            pauses: ["0", "0.4", "1.2", "0.2", "0"], passed: "+-+--"),
        Series(
            rules: ["-m recent --name j --update --hitcount 4 -j DROP", "-m recent --name j --set"],
            pauses: seven, passed: "++++---"),
    ]

    @Test("Which packets of a series pass", arguments: series)
    func passing(series: Series) throws {
        let dump = ["*filter", ":FORWARD ACCEPT [0:0]"] + series.rules.map { "-A FORWARD \($0)" } + ["COMMIT"]
        let (harness, inside) = filteringRouter(try Ruleset(saved: dump.joined(separator: "\n"), family: .ipv4))
        var passed = ""
        for pause in series.pauses {
            let parts = pause.split(separator: "/")
            harness.advance(seconds(Double(parts[0]) ?? 0))
            harness.clear()
            let source = parts.count > 1 ? "10.0.0.3" : "10.0.0.2"
            _ = harness.takeSent()
            harness.receive(PacketBuilder(.peer, source, .own, "192.0.2.9").udp(from: 5000, to: 53), on: inside)
            passed += harness.sent.isEmpty ? "-" : "+"
        }
        #expect(passed == series.passed)
    }

    @Test func `A recent list keeps a hundred addresses and forgets the one seen longest ago`() {
        var list = RecentList()
        let set = RecentMatch(.set, name: "list", family: .ipv4)
        let check = RecentMatch(.check, name: "list", family: .ipv4)
        for number in 0..<UInt8(100) {
            _ = list.matches(set, .v4(10, 0, 0, number), timeToLive: 64, at: Nanoseconds(number))
        }
        _ = list.matches(set, .v4(10, 0, 0, 0), timeToLive: 64, at: 200)
        _ = list.matches(set, .v4(10, 0, 1, 0), timeToLive: 64, at: 201)
        let kept = (0..<UInt8(100)).filter { list.matches(check, .v4(10, 0, 0, $0), timeToLive: 64, at: 202) }
        #expect(kept == Array(0..<100).filter { $0 != 1 })
    }

    @Test func `With --rttl another TTL is another sender`() {
        var list = RecentList()
        _ = list.matches(RecentMatch(.set, name: "list", family: .ipv4), ip("10.0.0.1"), timeToLive: 64, at: 0)
        let check = RecentMatch(.check, name: "list", family: .ipv4, comparesTimeToLive: true)
        let found = [64, 63].map { list.matches(check, ip("10.0.0.1"), timeToLive: $0, at: 1) }
        #expect(found == [true, false])
    }
}
