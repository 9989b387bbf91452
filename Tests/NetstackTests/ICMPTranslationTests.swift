// ICMP errors about translated packets: outer addresses and quote are both set back, so that the receiver recognises
// its own packet (nf_nat_icmp_reply_translation). The harness checks the checksums of both.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct ICMPTranslationTests {
    private static let outside = LinkID(2)
    private static let client = PacketBuilder(.peer, "10.0.0.2", .own, "10.96.0.10")

    private func router(masquerades: Bool, service: Bool = true) -> (NamespaceHarness, inside: LinkID) {
        var rules = Ruleset()
        if service {
            rules[.nat].append(
                Rule(
                    destination: Negatable(IPPrefix("10.96.0.10/32")!), protocol: .not(.icmp),
                    target: .destinationNAT(address: ip("192.0.2.9"), port: 8080)), to: "PREROUTING")
        }
        if masquerades {
            rules[.nat].append(
                Rule(egress: Negatable(InterfacePattern("out0")), target: .masquerade(randomFully: true)),
                to: "POSTROUTING")
        }
        return filteringRouter(rules)
    }

    /// The packet as it left, quoted in an error from `source`.
    private func error(
        _ kind: ICMPv4Kind, about frame: Frame, from source: String, quoting count: Int = 548
    ) -> [UInt8] {
        PacketBuilder(
            sourceMAC: .station(0x99), destinationMAC: .station(0x12), source: ip(source),
            destination: IPAddress(frame.ipv4.source)
        ).icmp(kind, payload: Array(frame.octets.dropFirst(14).prefix(count)))
    }

    @Test(
        "An error about a request is set back, quote and all",
        arguments: [
            // masqueraded, from, quoted octets, the source the client sees
            (true, "192.0.2.9", 28, "10.96.0.10"), (true, "192.0.2.9", 29, "10.96.0.10"),
            (true, "192.0.2.254", 60, "10.96.0.10"), (false, "192.0.2.9", 28, "10.96.0.10"),
            (false, "192.0.2.9", 548, "10.96.0.10"),
        ])
    func request(masquerades: Bool, source: String, quoting: Int, seen: String) {
        for udp in [true, false] {
            let (harness, inside) = router(masquerades: masquerades)
            let frame =
                udp
                ? Self.client.udp(from: 4000, to: 53, payload: [1, 2, 3])
                : Self.client.tcp(from: 4000, to: 80, flags: .syn)
            harness.receive(frame, on: inside)
            let sent = harness.takeSent()[0]
            harness.receive(error(.portUnreachable, about: sent, from: source, quoting: quoting), on: Self.outside)
            // Without its flags a quoted TCP header is cut short.
            let flow =
                udp
                ? "udp 10.0.0.2:4000 > 10.96.0.10:53"
                : "tcp\(quoting >= 40 ? " S" : "") 10.0.0.2:4000 > 10.96.0.10:80"
            #expect(
                harness.sent.map(\.text) == [
                    "in0 icmp 3/3 \(seen) > 10.0.0.2 ttl 63 about (\(flow) ttl 63)"
                ])
            // But for the TTL the quote is what the client sent.
            var original = Array(frame.dropFirst(14).prefix(quoting))
            var quote = harness.sent[0].payload
            for position in [8, 10, 11] { (original[position], quote[position]) = (0, 0) }
            #expect(quote == original)
        }
    }

    @Test func `Without DNAT an error keeps the router it came from`() {
        let (harness, inside) = router(masquerades: true, service: false)
        harness.receive(Self.client.udp(from: 4000, to: 53), on: inside)
        let sent = harness.takeSent()[0]
        harness.receive(error(.networkUnreachable, about: sent, from: "192.0.2.254"), on: Self.outside)
        #expect(
            harness.sent.map(\.text)
                == ["in0 icmp 3/0 192.0.2.254 > 10.0.0.2 ttl 63 about (udp 10.0.0.2:4000 > 10.96.0.10:53 ttl 63)"])
    }

    @Test func `An error about an echo request gets its identifier back`() {
        let (harness, inside) = router(masquerades: true)
        harness.receive(Self.client.echoRequest(identifier: 7, sequence: 3, payload: [1]), on: inside)
        let sent = harness.takeSent()[0]
        #expect(sent.icmp.identifier != 7)
        harness.receive(error(.timeToLiveExceeded, about: sent, from: "192.0.2.254"), on: Self.outside)
        #expect(harness.sent[0].packet?.quote?.icmp?.identifier == 7)
        #expect(harness.sent[0].text.hasPrefix("in0 icmp 11/0 192.0.2.254 > 10.0.0.2 ttl 63 about (icmp 8/0 10.0.0.2 "))
    }

    @Test func `An error about an answer is set back for the server`() {
        let (harness, inside) = router(masquerades: true)
        harness.receive(Self.client.udp(from: 4000, to: 53), on: inside)
        let port = harness.takeSent()[0].packet!.udp!.sourcePort
        harness.receive(
            PacketBuilder(.station(0x99), "192.0.2.9", .station(0x12), "192.0.2.1").udp(from: 8080, to: port),
            on: Self.outside)
        let answer = harness.takeSent()[0]
        harness.receive(
            Self.client.icmp(.portUnreachable, payload: Array(answer.octets.dropFirst(14))), on: inside)
        #expect(
            harness.sent.map(\.text) == [
                "out0 icmp 3/3 192.0.2.1 > 192.0.2.9 ttl 63 about (udp 192.0.2.9:8080 > 192.0.2.1:\(port) ttl 63)"
            ])
    }

    @Test func `The router's own error about a translated packet shows what the client sent`() {
        let (harness, inside) = router(masquerades: true)
        harness.receive(Self.client.with(timeToLive: 1).udp(from: 4000, to: 53), on: inside)
        #expect(
            harness.sent.map(\.text) == [
                "in0 icmp 11/0 10.96.0.10 > 10.0.0.2 ttl 64 about (udp 10.0.0.2:4000 > 10.96.0.10:53 ttl 1)"
            ])
        harness.clear()
        let large = Self.client.udp(from: 4001, to: 53, payload: [UInt8](repeating: 1, count: 1472))
        harness.host.links[2].mtu = 1450
        harness.receive(large, on: inside)
        #expect(
            harness.sent.map(\.text) == [
                "in0 icmp 3/4 10.96.0.10 > 10.0.0.2 ttl 64 about (udp 10.0.0.2:4001 > 10.96.0.10:53 ttl 64)"
            ])
        #expect(harness.sent[0].icmp.nextHopMTU == 1450)
    }

    @Test func `A masqueraded packet whose neighbor fails is reported to its client`() {
        let (harness, inside) = router(masquerades: true, service: false)
        harness.receive(
            PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.77").udp(from: 4000, to: 53), on: inside)
        harness.clear()
        harness.advance(seconds(4))
        let errors = harness.sent.filter { $0.arp == nil }
        #expect(
            errors.map(\.text)
                == ["in0 icmp 3/1 192.0.2.1 > 10.0.0.2 ttl 64 about (udp 10.0.0.2:4000 > 192.0.2.77:53 ttl 63)"])
    }

    @Test("A redirect passes only for a connection NAT left alone", arguments: [(false, 1), (true, 0)])
    func redirects(masquerades: Bool, passed: Int) {
        let (harness, inside) = router(masquerades: masquerades)
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9").udp(from: 1, to: 2), on: inside)
        let sent = harness.takeSent()[0]
        harness.receive(error(.redirectHost, about: sent, from: "192.0.2.254"), on: Self.outside)
        #expect(harness.sent.count == passed)
        #expect(harness.drops == (passed == 1 ? [] : [.netfilterDrop]))
    }
}
