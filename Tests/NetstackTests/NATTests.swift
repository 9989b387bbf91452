// Addresses and ports rewritten, and rewritten back (net/netfilter/nf_nat_core.c, nf_nat_proto.c, nf_nat_masquerade.c).
// The harness checks every checksum of every frame that leaves, quotes included.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct NATTests {
    private static let service = PacketBuilder(.peer, "10.0.0.2", .own, "10.96.0.10")
    private static let outside = LinkID(2)

    private func rule(_ chain: String, _ rule: Rule, to rules: inout Ruleset) {
        rules[.nat].append(rule, to: chain)
    }

    /// 10.96.0.10 is sent to 192.0.2.9, port 8080 where there are ports; what leaves is masqueraded if asked.
    private func router(
        masquerades: Bool = false, randomFully: Bool = false, seed: UInt64 = 1
    ) -> (NamespaceHarness, inside: LinkID) {
        var rules = Ruleset()
        for `protocol` in [IPProtocol.tcp, .udp, .sctp] {
            rule(
                "PREROUTING",
                Rule(
                    destination: Negatable(IPPrefix("10.96.0.10/32")!), protocol: Negatable(`protocol`),
                    target: .destinationNAT(address: ip("192.0.2.9"), port: 8080)), to: &rules)
        }
        rule(
            "PREROUTING",
            Rule(
                destination: Negatable(IPPrefix("10.96.0.10/32")!),
                target: .destinationNAT(address: ip("192.0.2.9"), port: nil)), to: &rules)
        if masquerades {
            rule(
                "POSTROUTING",
                Rule(
                    egress: Negatable(InterfacePattern("out0")),
                    target: .masquerade(randomFully: randomFully)), to: &rules)
        }
        return filteringRouter(rules, seed: seed)
    }

    private func back(_ source: String = "192.0.2.9", to destination: String) -> PacketBuilder {
        PacketBuilder(.station(0x99), source, .station(0x12), destination)
    }

    // MARK: there and back

    @Test("A translated packet differs in addresses, ports, TTL and checksums only", arguments: [0, 1, 2, 7, 1400])
    func octets(length: Int) {
        let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 * 7) }
        for masquerades in [false, true] {
            let (harness, inside) = router(masquerades: masquerades)
            harness.receive(Self.service.tcp(from: 4000, to: 80, flags: .syn, payload: payload), on: inside)
            harness.receive(Self.service.udp(from: 4000, to: 53, payload: payload), on: inside)
            let source = masquerades ? "192.0.2.1" : "10.0.0.2"
            var builder = PacketBuilder(.station(0x12), source, .station(0x99), "192.0.2.9")
            builder.timeToLive = 63
            // A packet built so from the start is the same, octet by octet.
            #expect(
                harness.sent.map(\.octets) == [
                    builder.tcp(from: 4000, to: 8080, flags: .syn, payload: payload),
                    builder.udp(from: 4000, to: 8080, payload: payload),
                ])
        }
    }

    @Test("The answer comes from where the request went", arguments: [false, true])
    func answers(masquerades: Bool) {
        let (harness, inside) = router(masquerades: masquerades)
        harness.receive(Self.service.tcp(from: 4000, to: 80, flags: .syn), on: inside)
        harness.receive(Self.service.udp(from: 4000, to: 53), on: inside)
        harness.receive(Self.service.echoRequest(identifier: 77, sequence: 1, payload: [1, 2, 3]), on: inside)
        harness.clear()
        let answer = back(to: masquerades ? "192.0.2.1" : "10.0.0.2")
        harness.receive(answer.tcp(from: 8080, to: 4000, flags: [.syn, .ack]), on: Self.outside)
        harness.receive(answer.udp(from: 8080, to: 4000, payload: [9]), on: Self.outside)
        harness.receive(answer.echoReply(identifier: 77, sequence: 1, payload: [1, 2, 3]), on: Self.outside)
        #expect(
            harness.sent.map(\.text) == [
                "in0 tcp SA 10.96.0.10:80 > 10.0.0.2:4000 ttl 63", "in0 udp 10.96.0.10:53 > 10.0.0.2:4000 ttl 63",
                "in0 icmp 0/0 10.96.0.10 > 10.0.0.2 ttl 63",
            ])
        #expect(harness.sent.last?.icmp.identifier == 77)
    }

    @Test func `A UDP packet without checksum gets none`() {
        let (harness, inside) = router(masquerades: true)
        harness.receive(Self.service.udp(from: 4000, to: 53, payload: [1], checksum: false), on: inside)
        #expect(harness.sent.map { $0.packet?.udp?.checksum } == [0])
    }

    @Test func `SCTP gets a new CRC with its new port`() {
        let (harness, inside) = router(masquerades: true)
        harness.receive(
            Self.service.sctp(
                from: 4000, to: 80, verificationTag: 0,
                chunks: [1, 0, 0, 20, 0, 0, 0, 5] + Array(repeating: 0, count: 12)),
            on: inside)
        #expect(harness.sent.map(\.text) == ["out0 sctp 192.0.2.1 > 192.0.2.9 ttl 63"])
    }

    @Test func `Later fragments follow the first`() throws {
        let (harness, inside) = router(masquerades: true)
        let whole = Self.service.with(dontFragment: false).udp(
            from: 4000, to: 53, payload: [UInt8](repeating: 1, count: 2000))
        for piece in try PacketBuilder.fragments(of: whole, mtu: 1500) { harness.receive(piece, on: inside) }
        #expect(
            harness.sent.map(\.text) == [
                "out0 udp 192.0.2.1:4000 > 192.0.2.9:8080 ttl 63", "out0 frag@1480 192.0.2.1 > 192.0.2.9 ttl 63",
            ])
    }

    @Test func `The choice of the first packet holds for the connection, whatever the rules say later`() {
        let (harness, inside) = router()
        harness.receive(Self.service.udp(from: 4000, to: 53), on: inside)
        harness.host.setRuleset(filteringRouter(masqueradeAll).harness.host.ruleset)
        harness.receive(Self.service.udp(from: 4000, to: 53), on: inside)
        #expect(harness.sent.map(\.text).last == "out0 udp 10.0.0.2:4000 > 192.0.2.9:8080 ttl 63")
    }

    private var masqueradeAll: Ruleset {
        var rules = Ruleset()
        rule("POSTROUTING", Rule(target: .masquerade(randomFully: false)), to: &rules)
        return rules
    }

    // MARK: the choice of address and port

    @Test func `Masquerading takes the address of the way out that lies in the next hop's subnet`() {
        let (harness, inside) = filteringRouter(masqueradeAll)
        harness.host.addAddress(interface("198.51.100.1/24"), to: Self.outside)
        harness.addRoute("203.0.113.0/24", via: "198.51.100.9", on: Self.outside)
        harness.know("198.51.100.9", on: Self.outside)
        let from = ["203.0.113.5", "192.0.2.9", "8.8.8.8"].map { PacketBuilder(.peer, "10.0.0.2", .own, $0) }
        for packet in from { harness.receive(packet.udp(from: 4000, to: 53), on: inside) }
        #expect(harness.sent.map { "\($0.ipv4.source)" } == ["198.51.100.1", "192.0.2.1", "192.0.2.1"])
    }

    @Test func `Masquerading out of a link without any address in the namespace drops`() {
        let harness = NamespaceHarness()
        let inside = harness.addEthernet("in0")
        let outside = harness.addEthernet("out0", mac: .station(0x12))
        harness.host.sysctls.ipForward = true
        harness.addRoute("0.0.0.0/0", on: outside)
        harness.host.setRuleset(masqueradeAll)
        harness.receive(Self.service.udp(from: 4000, to: 53), on: inside)
        #expect(harness.drops == [.netfilterDrop])
    }

    @Test func `Random ports come from 1024 to 65535 and identifiers from all, the same for the same seed`() {
        func ports(_ seed: UInt64) -> [UInt16] {
            let (harness, inside) = router(masquerades: true, randomFully: true, seed: seed)
            for port: UInt16 in 1...300 { harness.receive(Self.service.udp(from: port, to: 53), on: inside) }
            return harness.sent.compactMap { $0.packet?.udp?.sourcePort }
        }
        let first = ports(7)
        // A low port stays among the low ones.
        #expect(first.allSatisfy { (1...511).contains($0) }, "seed 7")
        #expect(Set(first).count == 300)
        #expect(ports(7) == first)
        #expect(ports(8) != first)
        let (harness, inside) = router(masquerades: true, randomFully: true)
        for port: UInt16 in 0..<300 {
            harness.receive(Self.service.udp(from: 40_000 + port, to: 53), on: inside)
            harness.receive(Self.service.echoRequest(identifier: port, sequence: 1), on: inside)
        }
        let high = harness.sent.compactMap { $0.packet?.udp?.sourcePort }
        #expect(high.allSatisfy { $0 >= 1024 })
        #expect(high.contains { $0 < 20_000 } && high.contains { $0 > 50_000 })
        #expect(Set(harness.sent.compactMap { $0.packet?.icmp?.identifier }).count == 300)
    }

    @Test(
        "A source port in use makes way within its class",
        arguments: [(4000, 1024...65_535), (80, 1...511), (700, 600...1023)] as [(UInt16, ClosedRange<UInt16>)])
    func clash(port: UInt16, range: ClosedRange<UInt16>) {
        let (harness, inside) = router(masquerades: true)
        harness.receive(Self.service.udp(from: port, to: 53), on: inside)
        harness.receive(
            PacketBuilder(.station(0x33), "10.0.0.3", .own, "10.96.0.10").udp(from: port, to: 53), on: inside)
        let ports = harness.sent.compactMap { $0.packet?.udp?.sourcePort }
        #expect(ports.first == port)
        #expect(ports.count == 2)
        #expect(ports.last != port)
        #expect(ports.last.map(range.contains) == true)
        // Another destination is no clash, but a source that has a mapping keeps it.
        for source in ["10.0.0.4", "10.0.0.3"] {
            harness.receive(
                PacketBuilder(.station(0x33), source, .own, "8.8.8.8").udp(from: port, to: 53), on: inside)
        }
        #expect(harness.sent.suffix(2).map { $0.packet?.udp?.sourcePort } == [port, ports.last])
    }

    @Test func `A port whose connection has expired is free again`() {
        let (harness, inside) = router(masquerades: true)
        harness.receive(Self.service.udp(from: 4000, to: 53), on: inside)
        harness.advance(seconds(31))
        harness.receive(
            PacketBuilder(.station(0x33), "10.0.0.3", .own, "10.96.0.10").udp(from: 4000, to: 53), on: inside)
        #expect(harness.sent.compactMap { $0.packet?.udp?.sourcePort } == [4000, 4000])
    }

    @Test func `A source that was not to be translated still makes way when its port is taken`() {
        // 10.0.0.2 and 10.0.0.3 reach 192.0.2.9 by two services as one source.
        var rules = Ruleset()
        rule(
            "POSTROUTING",
            Rule(
                source: Negatable(IPPrefix("10.0.0.3/32")!),
                target: .sourceNAT(address: ip("10.0.0.2"), randomFully: false)), to: &rules)
        let (harness, inside) = filteringRouter(rules)
        let direct = PacketBuilder(.station(0x33), "10.0.0.3", .own, "192.0.2.9")
        harness.receive(direct.udp(from: 4000, to: 53), on: inside)
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9").udp(from: 4000, to: 53), on: inside)
        let ports = harness.sent.compactMap { $0.packet?.udp?.sourcePort }
        #expect(ports.count == 2)
        #expect(ports.first == 4000)
        #expect(ports.last != 4000)
    }

    // MARK: packets made here

    @Test func `A packet made here goes where its new destination leads`() throws {
        var rules = Ruleset()
        rule(
            "OUTPUT",
            Rule(
                destination: Negatable(IPPrefix("10.96.0.10/32")!),
                target: .destinationNAT(address: ip("10.0.0.2"), port: 8080)), to: &rules)
        let (harness, inside) = filteringRouter(rules)
        let socket = try harness.host.connectUDP(to: end("10.96.0.10:53"), &harness.context)
        try harness.host.sendDatagram(socket, [1], &harness.context)
        harness.settle()
        // The source was chosen for the way to the service.
        let port = harness.host.localEnd(of: socket).port
        #expect(harness.sent.map(\.text) == ["in0 udp 192.0.2.1:\(port) > 10.0.0.2:8080 ttl 64"])
        harness.receive(
            PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.1").udp(from: 8080, to: port, payload: [2]), on: inside)
        guard case .datagram(let octets, let sender, _) = harness.news.last?.kind else {
            Issue.record("no answer")
            return
        }
        #expect(octets == [2])
        #expect(sender == end("10.96.0.10:53"))
    }

    @Test func `A packet for an own service stays on loopback, and so does its answer`() throws {
        var rules = Ruleset()
        rule(
            "OUTPUT",
            Rule(
                destination: Negatable(IPPrefix("10.96.0.10/32")!),
                target: .destinationNAT(address: ip("10.0.0.1"), port: 8080)), to: &rules)
        let (harness, _) = filteringRouter(rules)
        let server = harness.host.bindUDP(port: 8080, address: ip("10.0.0.1"))
        harness.application = { harness, event in
            guard event.socket == server, case .datagram(let octets, let sender, _) = event.kind else { return }
            try? harness.host.sendDatagram(server, octets.reversed(), to: sender, &harness.context)
        }
        let socket = try harness.host.connectUDP(to: end("10.96.0.10:53"), &harness.context)
        try harness.host.sendDatagram(socket, [1, 2], &harness.context)
        harness.settle()
        let port = harness.host.localEnd(of: socket).port
        #expect(
            harness.taps.map(\.text) == [
                "lo udp 192.0.2.1:\(port) > 10.0.0.1:8080 ttl 64", "lo udp 10.96.0.10:53 > 192.0.2.1:\(port) ttl 64",
            ])
        guard case .datagram(let octets, let sender, _) = harness.news.last?.kind else {
            Issue.record("no answer")
            return
        }
        #expect(octets == [2, 1])
        #expect(sender == end("10.96.0.10:53"))
    }

    @Test func `A packet NAT leads nowhere is dropped and its sender told`() throws {
        var rules = Ruleset()
        rule("OUTPUT", Rule(target: .destinationNAT(address: ip("172.16.0.1"), port: nil)), to: &rules)
        let (harness, _) = filteringRouter(rules)
        harness.host.removeRoutes { $0.prefix.length == 0 }
        let socket = try harness.host.connectUDP(to: end("192.0.2.9:53"), &harness.context)
        #expect(throws: SocketError.accessDenied) {
            try harness.host.sendDatagram(socket, [1], &harness.context)
        }
        #expect(harness.drops == [.noOutputRoute])
    }

    // MARK: two at once

    @Test(
        "Of two first packets of one flow the slower joins or ends",
        arguments: [(IPProtocol.tcp, 1), (.udp, 2)])
    func clashAtConfirmation(`protocol`: IPProtocol, sent: Int) {
        let harness = NamespaceHarness()
        let ports = harness.addBridge(ports: 2).ports
        harness.host.sysctls.bridgeCallsIPTables = true
        harness.host.sysctls.ipForward = true
        var rules = Ruleset()
        rule("PREROUTING", Rule(target: .destinationNAT(address: ip("10.1.0.3"), port: 8080)), to: &rules)
        harness.host.setRuleset(rules)
        let from = PacketBuilder(.station(0xa1), "10.1.0.2", .bridge, "10.96.0.10")
        for _ in 0..<2 {
            harness.receive(
                `protocol` == .tcp ? from.tcp(from: 4000, to: 80, flags: .syn) : from.udp(from: 4000, to: 80),
                on: ports[0])
        }
        harness.clear()
        let reply = ARPPacket(
            operation: .reply, senderMAC: .station(0xa2), senderIP: ipv4("10.1.0.3"), targetMAC: .bridge,
            targetIP: ipv4("10.1.0.1"))
        harness.receive(PacketBuilder.arp(reply, source: .station(0xa2), destination: .bridge), on: ports[1])
        #expect(harness.sent.count == sent)
        #expect(harness.host.connections.all(at: 0).count == 1)
    }
}
