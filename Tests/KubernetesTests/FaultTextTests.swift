// Faults as one line of text: every word with its values, and what is wrong with those that are refused.

import Addressing
import Testing

@testable import Kubernetes

@Suite struct FaultTextTests {
    private static func netem(_ change: (inout NetemSettings) -> Void) -> [FaultEffect] {
        var settings = NetemSettings()
        change(&settings)
        return [.netem(settings)]
    }

    private static func share(_ percent: Double) -> UInt32 { UInt32((percent / 100 * Double(UInt32.max)).rounded()) }

    static let sound: [(text: String, effects: [FaultEffect])] = [
        ("loss 10%", netem { $0.loss = NetemChance(share: share(10)) }),
        ("loss random 10% 25%", netem { $0.loss = NetemChance(share: share(10), correlation: share(25)) }),
        ("loss 100", netem { $0.loss = NetemChance(share: .max) }),
        ("duplicate 0.5%", netem { $0.duplicate = NetemChance(share: share(0.5)) }),
        ("corrupt 0.1%", netem { $0.corrupt = NetemChance(share: share(0.1)) }),
        ("delay 100ms", netem { $0.delay = 100_000_000 }),
        (
            "delay 1.5s 10msec 25%",
            netem { ($0.delay, $0.jitter, $0.delayCorrelation) = (1_500_000_000, 10_000_000, share(25)) }
        ),
        ("delay 0", netem { $0.delay = 0 }),
        (
            "delay 20us reorder 25% 50%",
            netem { netem in
                netem.delay = 20_000
                netem.reorder = NetemChance(share: share(25), correlation: share(50))
                netem.gap = 1
            }
        ),
        (
            "delay 10ms reorder 100% gap 5",
            netem { netem in
                netem.delay = 10_000_000
                netem.reorder = NetemChance(share: .max)
                netem.gap = 5
            }
        ),
        ("rate 1mbit", netem { $0.rate = 125_000 }), ("rate 56Kbit", netem { $0.rate = 7_000 }),
        ("rate 1kibit", netem { $0.rate = 128 }), ("rate 100kbps", netem { $0.rate = 100_000 }),
        ("rate 8", netem { $0.rate = 1 }), ("limit 10", netem { $0.limit = 10 }),
        ("link down", [.linkDown]), ("mtu 1400", [.mtu(1400)]), ("hairpin off", [.hairpinOff]),
        ("filter udp/8472", [.filter(.ip(.udp, port: 8472), .both)]), ("filter arp in", [.filter(.arp, .ingress)]),
        ("filter icmp out", [.filter(.ip(.icmp, port: nil), .egress)]), ("filter all", [.filter(.all, .both)]),
        ("bad-checksum tcp", [.badChecksum(.ip(.tcp, port: nil))]),
        ("partition worker-2,client", [.partition(from: ["worker-2", "client"])]),
        ("partition worker-2, client", [.partition(from: ["worker-2", "client"])]),
        ("partition all", [.partition(from: [])]), ("br_netfilter off", [.bridgeNetfilterOff]),
        ("policy FORWARD DROP", [.policyDrop(chain: "FORWARD")]),
        ("wrong-vtep-mac worker-2", [.wrongVTEPMAC(peer: "worker-2", nil)]),
        (
            "wrong-vtep-mac worker-2 02:00:00:00:00:01",
            [.wrongVTEPMAC(peer: "worker-2", MACAddress("02:00:00:00:00:01"))]
        ),
        (
            "stale-fdb worker-2 192.168.50.99",
            [.staleForwardingEntry(peer: "worker-2", IPv4Address(rawValue: 0xc0a8_3263))]
        ),
        ("duplicate-public-ip worker-2", [.duplicatePublicIP(of: "worker-2")]),
        ("loss 1% mtu 1400 hairpin off", netem { $0.loss = NetemChance(share: share(1)) } + [.mtu(1400), .hairpinOff]),
    ]

    @Test(arguments: sound.indices)
    func `a word is read with its values`(_ number: Int) throws {
        let (text, effects) = Self.sound[number]
        let fault = try Fault(text: "worker-1/eth0 \(text)")
        #expect(fault.effects == effects, "\(text)")
        #expect(fault.places == ["worker-1/eth0"])
        #expect(fault.name == "worker-1/eth0 \(text)")
        // The line it prints reads as the same.
        #expect(try Fault(text: fault.text).effects == effects)
    }

    @Test func `a route is read as ip route has it`() throws {
        let gateway = try #require(IPAddress("192.168.50.99"))
        let prefix = try #require(IPPrefix("10.244.2.0/24"))
        for (text, device) in [("", nil), (" dev eth1", "eth1")] {
            let fault = try Fault(text: "worker-1 stale-route 10.244.2.0/24 via 192.168.50.99\(text)")
            #expect(fault.effects == [.staleRoute(prefix, via: gateway, device: device)])
        }
        let fault = try Fault(text: "worker-1 stale-route default via 192.168.50.99")
        #expect(fault.effects == [.staleRoute(IPPrefix(.any(.ipv4), length: 0), via: gateway, device: nil)])
    }

    @Test func `a fault may be at several places`() throws {
        for text in ["worker-1/eth0,worker-2/eth0 loss 1%", "worker-1/eth0, worker-2/eth0  loss\t1%"] {
            #expect(try Fault(text: text).places == ["worker-1/eth0", "worker-2/eth0"])
        }
    }

    @Test func `every word is in the table above`() {
        let seen = Set(Self.sound.flatMap { $0.text.split(separator: " ").map(String.init) })
        for word in FaultWord.allCases where word != .staleRoute {
            #expect(seen.contains(word.rawValue), "\(word.rawValue)")
        }
    }

    static let wrong: [(text: String, word: String?, message: String)] = [
        ("", "target", "the fault names no link, machine or pod"),
        ("   ", "target", "the fault names no link, machine"),
        ("loss 10%", "target", "the fault names no link, machine or pod"), (", loss 10%", "target", "names no link"),
        ("worker-1/eth0", nil, "the fault does not say what is wrong"),
        ("worker-1/eth0 los 10%", "los", "\"los\" is no fault podnet knows"),
        ("worker-1/eth0 worker-2/eth0 loss 1%", "worker-2/eth0", "\"worker-2/eth0\" is no fault podnet knows"),
        ("worker-1/eth0 loss", "loss", "loss says nothing more"),
        ("worker-1/eth0 loss ten", "loss", "\"ten\" is nothing loss takes"),
        ("worker-1/eth0 loss 101%", "loss", "101% is more than 100%"),
        ("worker-1/eth0 loss -1%", "loss", "-1% is negative"),
        ("worker-1/eth0 loss 10% -1%", "loss", "-1% is negative"),
        ("worker-1/eth0 loss 1e1%", "loss", "\"1e1%\" is nothing loss takes"),
        ("worker-1/eth0 loss nan%", "loss", "is nothing loss takes"),
        ("worker-1/eth0 loss 1% loss 2%", "loss", "loss is said twice"),
        ("worker-1/eth0 delay -10ms", "delay", "-10ms is negative"),
        ("worker-1/eth0 delay 10ms -1ms", "delay", "-1ms is negative"),
        ("worker-1/eth0 delay 10", "delay", "10 has no unit"),
        ("worker-1/eth0 delay 10parsec", "delay", "\"10parsec\" is nothing delay takes"),
        ("worker-1/eth0 delay 2000000000s", "delay", "is more than an hour"),
        ("worker-1/eth0 delay 99999999999999999999999s", "delay", "is nothing delay takes"),
        ("worker-1/eth0 rate 0", "rate", "0 is no rate anything passes at"),
        ("worker-1/eth0 rate 0mbit", "rate", "0mbit is no rate anything passes at"),
        ("worker-1/eth0 rate 7bit", "rate", "7bit is no rate anything passes at"),
        ("worker-1/eth0 rate -1mbit", "rate", "-1mbit is negative"),
        ("worker-1/eth0 rate fast", "rate", "\"fast\" is nothing rate takes"),
        ("worker-1/eth0 rate 99999999999999999tbit", "rate", "is faster than any link"),
        ("worker-1/eth0 limit 0", "limit", "\"0\" is nothing limit takes"),
        ("worker-1/eth0 reorder 25%", "reorder", "nothing can be reordered without a delay"),
        ("worker-1/eth0 delay 1ms gap 5", "gap", "gap needs reorder"),
        ("worker-1/eth0 delay 1ms distribution normal", "delay", "is nothing delay takes"),
        ("worker-1/eth0 link up", "link", "\"up\" is nothing link takes"),
        ("worker-1/eth0 mtu 67", "mtu", "\"67\" is nothing mtu takes"),
        ("worker-1/eth0 mtu 65536", "mtu", "\"65536\" is nothing mtu takes"),
        ("worker-1/eth0 hairpin on", "hairpin", "\"on\" is nothing hairpin takes"),
        ("worker-1/eth0 filter udp/0", "filter", "\"udp/0\" is nothing filter takes"),
        ("worker-1/eth0 filter icmp/8", "filter", "\"icmp/8\" is nothing filter takes"),
        ("worker-1/eth0 filter udp/8472 both", "filter", "\"udp/8472 both\" is nothing filter takes"),
        ("worker-1/eth0 bad-checksum arp", "bad-checksum", "\"arp\" is nothing bad-checksum takes"),
        ("worker-1 partition", "partition", "partition says nothing more"),
        ("worker-1 partition ,", "partition", "is nothing partition takes"),
        ("worker-1 policy PREROUTING DROP", "policy", "is nothing policy takes"),
        ("worker-1 policy FORWARD ACCEPT", "policy", "is nothing policy takes"),
        ("worker-1 wrong-vtep-mac worker-2 01:00:00:00:00:01", "wrong-vtep-mac", "is nothing wrong-vtep-mac takes"),
        ("worker-1 stale-fdb worker-2", "stale-fdb", "\"worker-2\" is nothing stale-fdb takes"),
        ("worker-1 stale-fdb worker-2 fd00::1", "stale-fdb", "is nothing stale-fdb takes"),
        ("worker-1 stale-route 10.0.0.0/8 192.168.50.1", "stale-route", "is nothing stale-route takes"),
        ("worker-1 stale-route 10.0.0.1/8 via 192.168.50.1", "stale-route", "is nothing stale-route takes"),
        ("worker-1 stale-route 10.0.0.0/8 via fd00::1", "stale-route", "is nothing stale-route takes"),
        ("worker-1 duplicate-public-ip", "duplicate-public-ip", "duplicate-public-ip says nothing more"),
        ("worker-1 br_netfilter on", "br_netfilter", "\"on\" is nothing br_netfilter takes"),
    ]

    @Test(arguments: wrong.indices)
    func `what is wrong is named, with what to do`(_ number: Int) {
        let (text, word, message) = Self.wrong[number]
        do throws(FaultError) {
            _ = try Fault(text: text)
            Issue.record("no error for \"\(text)\"")
        } catch {
            #expect(error.word == word, "\(text)")
            #expect(error.message.contains(message), "\(text): \(error.message)")
            #expect(!error.hint.isEmpty, "\(text)")
        }
    }

    @Test func `any text is a fault or an error`() {
        var generator = SeededGenerator(seed: 11)
        let words =
            FaultWord.allCases.map(\.rawValue) + [
                "worker-1", "10%", "-1", "1ms", "via", "dev", "off", "down", ",", "0", "udp/1", "\u{e9}",
                "999999999999999999",
            ]
        for _ in 0..<3_000 {
            let text = (0..<generator.next(below: 7)).map { _ in words[generator.next(below: words.count)] }
            _ = try? Fault(text: text.joined(separator: " "))
        }
    }
}
