// Dumps nobody made: real ones with octets, words and lines changed, lost and repeated. A reader refuses a dump with a
// place or takes it; what it took prints, is read again as the same, and decides about packets. A failure prints its
// seed.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct HostileDumpTests {
    private static let saved =
        "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [5:300]\n:OUTPUT ACCEPT [0:0]\n:KUBE-SVC - [0:0]\n"
        + ":KUBE-SEP - [0:0]\n-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j KUBE-SVC\n"
        + "-A KUBE-SVC -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP\n"
        + "-A KUBE-SEP -p tcp -m tcp -j DNAT --to-destination 10.244.2.2:8080\n"
        + "-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE --random-fully\nCOMMIT\n"
        + "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:FOO - [0:0]\n"
        + HandWrittenRules.ipv4.filter { $0.hasPrefix("filter ") }.map { "-A \($0.dropFirst(7))\n" }.joined()
        + "COMMIT\n"

    private static let listing = """
        table ip t {
        \tset seen {
        \t\ttype ipv4_addr . inet_service
        \t\tflags dynamic,timeout
        \t\ttimeout 1h
        \t\telements = { 10.0.0.1 . 80 timeout 1h expires 5s }
        \t}

        \tmap ports {
        \t\ttype inet_proto . ipv4_addr . inet_service : verdict
        \t\telements = { tcp . 10.96.0.10 . 80 comment "x" : goto svc,
        \t\t\t     tcp . 10.96.0.11 . 80 : drop }
        \t}

        \tchain svc {
        \t\tip saddr != 10.244.0.0/16 meta mark set meta mark | 0x00004000
        \t\tnumgen random mod 2 vmap { 0 : goto sep, 1 : jump sep }
        \t}

        \tchain sep {
        \t\tupdate @seen { ip saddr . tcp dport timeout 5s }
        \t\tmeta l4proto tcp dnat to 10.244.2.2:8080
        \t}

        \tchain pre {
        \t\ttype nat hook prerouting priority dstnat; policy accept;
        \t\tmeta l4proto . ip daddr . th dport vmap @ports
        \t\tfib daddr type local tcp dport { 22, 80-90 } redirect to :8080
        \t}

        \tchain fwd {
        \t\ttype filter hook forward priority filter - 1; policy drop;
        \t\tct state established,related accept
        \t\ttcp flags syn / fin,syn limit rate 5/second burst 3 packets counter packets 0 bytes 0 log prefix "x "
        \t\tct state vmap { invalid : drop, new : accept }
        \t\tiifname "eth*" reject with icmp host-unreachable
        \t}
        }

        """

    /// The text with some octets, words or lines changed, lost or repeated.
    private static func mutate(_ text: String, _ random: inout SeededGenerator) -> String {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { String($0) }
        for _ in 0...random.next(below: 3) {
            let place = random.next(below: lines.count)
            let other = lines[random.next(below: lines.count)]
            switch random.next(below: 6) {
            case 0: lines.remove(at: place)
            case 1: lines.insert(other, at: place)
            case 2: lines[place] = other
            case 3:
                var octets = Array(lines[place].utf8)
                if !octets.isEmpty { octets[random.next(below: octets.count)] = UInt8(random.next(below: 256)) }
                lines[place] = String(decoding: octets, as: UTF8.self)
            default:
                var words = lines[place].split(separator: " ", omittingEmptySubsequences: false).map { String($0) }
                let odd =
                    other.split(separator: " ").map { String($0) }
                    + ["-1", "4294967296", "0x", "!", "\"", "{", "}", "::", "/", ":", "é"]
                let word = random.next(below: words.count)
                if random.next(below: 3) == 0 { words.remove(at: word) }
                if random.next(below: 2) == 0 {
                    words.insert(odd[random.next(below: odd.count)], at: min(word, words.count))
                }
                lines[place] = words.joined(separator: " ")
            }
            if lines.isEmpty { return "" }
        }
        return lines.joined(separator: "\n")
    }

    private func node() -> (NamespaceHarness, LinkID) {
        let harness = NamespaceHarness()
        let eth0 = harness.addEthernet(address: "192.168.50.11/24")
        harness.addRoute("0.0.0.0/0", via: "192.168.50.1", on: eth0)
        harness.know("192.168.50.1", on: eth0)
        harness.host.sysctls.ipForward = true
        return (harness, eth0)
    }

    private func sendSome(_ harness: NamespaceHarness, _ eth0: LinkID) {
        for (destination, port) in [("10.96.0.10", 80), ("192.168.50.11", 22), ("10.244.2.2", 8080)] {
            let packet = PacketBuilder(.peer, "192.168.50.1", .own, destination)
            harness.receive(packet.tcp(from: 4000, to: UInt16(port), flags: .syn), on: eth0)
            harness.receive(packet.udp(from: 4000, to: UInt16(port), payload: [1]), on: eth0)
        }
        harness.receive(
            PacketBuilder(.peer, "192.168.50.1", .own, "10.9.9.9").echoRequest(identifier: 1, sequence: 1), on: eth0)
    }

    @Test("Changed dumps of iptables-save", arguments: [1, 2, 3] as [UInt64])
    func iptables(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let (harness, eth0) = node()
        var read = 0
        for turn in 0..<100 {
            guard let saved = try? SavedRules(Self.mutate(Self.saved, &random), family: .ipv4) else { continue }
            read += 1
            let again = try? Ruleset(saved: saved.ruleset.savedText(), family: .ipv4)
            #expect(again == saved.ruleset, "seed \(seed), turn \(turn)")
            harness.host.setRuleset(saved.ruleset)
            sendSome(harness, eth0)
        }
        #expect(read > 10, "seed \(seed)")
    }

    @Test("Changed listings of nft", arguments: [1, 2, 3] as [UInt64])
    func nftables(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let (harness, eth0) = node()
        var read = 0
        for turn in 0..<300 {
            guard let ruleset = try? NFTablesRuleset(listing: Self.mutate(Self.listing, &random)) else { continue }
            read += 1
            let text = ruleset.listing()
            #expect((try? NFTablesRuleset(listing: text))?.listing() == text, "seed \(seed), turn \(turn)")
            harness.host.setNFTables(ruleset)
            sendSome(harness, eth0)
        }
        #expect(read > 10, "seed \(seed)")
    }
}
