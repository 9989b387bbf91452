// Sets: what they hold, what a packet finds in them (net/netfilter/ipset), and the text of `ipset save`.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct IPSetTests {
    private static let from = PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9")

    struct Row: CustomTestStringConvertible, Sendable {
        let kind: IPSet.Kind
        let entry: String
        let directions: [SetDirection]
        var frame = IPSetTests.from.udp(from: 5000, to: 53)
        let holds: Bool
        var testDescription: String { "\(kind.rawValue) \(entry) \(directions.map(\.rawValue)) \(holds)" }
    }

    /// `10.0.0.2,udp:53,10.1.0.0/16` as an entry.
    private static func entry(_ text: String) -> IPSet.Entry {
        var entry = IPSet.Entry()
        for part in text.split(separator: ",") {
            if let prefix = IPPrefix(part) ?? IPAddress(part).map(IPPrefix.init(host:)) {
                if entry.address == nil { entry.address = prefix } else { entry.second = prefix }
            } else {
                let words = part.split(separator: ":")
                entry.protocol = words.count == 2 ? IPProtocol(words[0]) : nil
                entry.port = UInt16(words[words.count - 1])
            }
        }
        return entry
    }

    private static let tcp = from.tcp(from: 5000, to: 80, flags: .syn)
    private static let sctp = from.sctp(from: 5000, to: 80, verificationTag: 0, chunks: [1, 0, 0, 4])
    private static let echo = from.echoRequest(identifier: 1, sequence: 1)
    private static let other = from.packet(IPProtocol(rawValue: 47), payload: [0, 0, 8, 0])

    static let rows: [Row] = [
        Row(kind: .hashIP, entry: "192.0.2.9", directions: [.destination], holds: true),
        Row(kind: .hashIP, entry: "192.0.2.9", directions: [.source], holds: false),
        Row(kind: .hashIP, entry: "192.0.2.9", directions: [.destination, .source], holds: true),
        Row(kind: .hashIP, entry: "192.0.2.9", directions: [.destination], frame: echo, holds: true),
        Row(kind: .hashNet, entry: "192.0.2.0/24", directions: [.destination], holds: true),
        Row(kind: .hashNet, entry: "192.0.3.0/24", directions: [.destination], holds: false),
        Row(kind: .hashNet, entry: "10.0.0.2", directions: [.source], holds: true),
        Row(kind: .hashIPPort, entry: "192.0.2.9,udp:53", directions: [.destination, .destination], holds: true),
        Row(kind: .hashIPPort, entry: "192.0.2.9,udp:5000", directions: [.destination, .source], holds: true),
        Row(kind: .hashIPPort, entry: "192.0.2.9,tcp:53", directions: [.destination, .destination], holds: false),
        Row(kind: .hashIPPort, entry: "192.0.2.9,udp:53", directions: [.destination], holds: false),
        Row(
            kind: .hashIPPort, entry: "192.0.2.9,sctp:80", directions: [.destination, .destination], frame: sctp,
            holds: true),
        Row(
            kind: .hashIPPort, entry: "192.0.2.9,icmp:0", directions: [.destination, .destination], frame: echo,
            holds: false),
        Row(
            kind: .hashIPPort, entry: "192.0.2.9,47:0", directions: [.destination, .destination], frame: other,
            holds: true),
        Row(
            kind: .hashIPPortIP, entry: "192.0.2.9,udp:53,10.0.0.2", directions: [.destination, .destination, .source],
            holds: true),
        Row(
            kind: .hashIPPortIP, entry: "192.0.2.9,udp:53,10.0.0.3", directions: [.destination, .destination, .source],
            holds: false),
        Row(
            kind: .hashIPPortIP, entry: "192.0.2.9,udp:53,10.0.0.2", directions: [.destination, .destination],
            holds: false),
        Row(
            kind: .hashIPPortNet, entry: "192.0.2.9,udp:53,10.0.0.0/8",
            directions: [.destination, .destination, .source], holds: true),
        Row(
            kind: .hashIPPortNet, entry: "192.0.2.9,udp:53,10.0.0.2",
            directions: [.destination, .destination, .source], holds: true),
        Row(
            kind: .hashIPPortNet, entry: "192.0.2.9,udp:53,10.1.0.0/16",
            directions: [.destination, .destination, .source], holds: false),
        Row(kind: .bitmapPort, entry: "53", directions: [.destination], holds: true),
        Row(kind: .bitmapPort, entry: "5000", directions: [.source], holds: true),
        Row(kind: .bitmapPort, entry: "54", directions: [.destination], holds: false),
        Row(kind: .bitmapPort, entry: "80", directions: [.destination], frame: tcp, holds: true),
        // A bitmap of ports knows TCP and UDP only.
        Row(kind: .bitmapPort, entry: "80", directions: [.destination], frame: sctp, holds: false),
        Row(kind: .bitmapPort, entry: "0", directions: [.destination], frame: echo, holds: false),
    ]

    @Test("A set holds what its directions take from a packet", arguments: rows)
    func lookup(row: Row) {
        var set = IPSet("set", row.kind)
        set.insert(Self.entry(row.entry))
        for isNegated in [false, true] {
            var rules = Ruleset()
            let match = Match.set(Negatable("set", isNegated: isNegated), row.directions)
            rules[.filter].append(Rule(matches: [match], target: .drop), to: "FORWARD")
            let (harness, inside) = filteringRouter(rules)
            harness.host.ipSets = [set]
            harness.receive(row.frame, on: inside)
            #expect(harness.drops.isEmpty == (row.holds == isNegated))
        }
    }

    @Test func `Every type occurs, both with and without what is asked`() {
        for kind in IPSet.Kind.allCases {
            for holds in [true, false] { #expect(Self.rows.contains { $0.kind == kind && $0.holds == holds }) }
        }
    }

    @Test func `A set of the other family holds nothing, a bitmap serves both`() {
        let (harness, _) = filteringRouter()
        let octets = Self.from.udp(from: 5000, to: 53)
        let packet = octets.withUnsafeBytes { harness.context.arena.allocate(copying: $0, id: 1) }
        let fields = RuleFields(packet, in: harness.context.arena)
        var addresses = IPSet("a", .hashIP, family: .ipv6)
        addresses.insert(Self.entry("192.0.2.9"))
        #expect(!addresses.contains(fields, [.destination]))
        var ports = IPSet("p", .bitmapPort, family: .ipv6)
        ports.insert(Self.entry("53"))
        #expect(ports.contains(fields, [.destination]))
        harness.context.arena.free(packet)
    }

    @Test func `A set prints as ipset save does, entries by number`() {
        var set = IPSet("KUBE-LOAD-BALANCER-SOURCE-CIDR", .hashIPPortNet)
        for text in ["10.0.0.10,tcp:80,10.1.0.0/16", "10.0.0.9,udp:53,10.1.2.3", "10.0.0.9,tcp:443,0.0.0.0/1"] {
            set.insert(Self.entry(text))
        }
        #expect(
            set.savedText == """
                create KUBE-LOAD-BALANCER-SOURCE-CIDR hash:ip,port,net family inet hashsize 1024 maxelem 65536
                add KUBE-LOAD-BALANCER-SOURCE-CIDR 10.0.0.9,tcp:443,0.0.0.0/1
                add KUBE-LOAD-BALANCER-SOURCE-CIDR 10.0.0.9,udp:53,10.1.2.3
                add KUBE-LOAD-BALANCER-SOURCE-CIDR 10.0.0.10,tcp:80,10.1.0.0/16

                """)
        var ports = IPSet("P", .bitmapPort)
        for text in ["30000", "80"] { ports.insert(Self.entry(text)) }
        #expect(ports.savedText == "create P bitmap:port range 0-65535\nadd P 80\nadd P 30000\n")
        #expect(
            IPSet("S", .hashIP, family: .ipv6).savedText
                == "create S hash:ip family inet6 hashsize 1024 maxelem 65536\n")
    }

    @Test func `A full set takes no more`() {
        var set = IPSet("full", .hashIP)
        for number in 0..<(IPSet.maximumCount + 5) {
            guard let address = ip("10.0.0.0").advanced(by: number) else { continue }
            set.insert(IPSet.Entry(address: IPPrefix(host: address)))
        }
        #expect(set.entries.count == IPSet.maximumCount)
    }
}
