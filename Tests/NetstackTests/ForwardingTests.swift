// A router: TTL, MTU, redirects and the ICMP errors it sends (net/ipv4/ip_forward.c, icmp.c).

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct ForwardingTests {
    /// 10.0.0.0/24 with MTU 1500 inside, 192.0.2.0/24 with MTU 1400 outside.
    private func router() -> (NamespaceHarness, inside: LinkID) {
        let harness = NamespaceHarness()
        let inside = harness.addEthernet("in0", mac: .own, address: "10.0.0.1/24")
        let outside = harness.addEthernet("out0", mac: .station(0x12), address: "192.0.2.1/24", mtu: 1400)
        harness.host.sysctls.ipForward = true
        harness.know("10.0.0.2", on: inside)
        harness.know("10.0.0.3", .station(0x33), on: inside)
        harness.know("192.0.2.9", .station(0x99), on: outside)
        return (harness, inside)
    }

    private let builder = PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9")

    @Test func `A forwarded packet keeps its octets but for TTL and header checksum`() {
        let (harness, inside) = router()
        let before = builder.udp(from: 5, to: 6, payload: [1, 2, 3])
        harness.receive(before, on: inside)
        var expected = before
        expected.replaceSubrange(0..<12, with: MACAddress.station(0x99).octets + MACAddress.station(0x12).octets)
        expected[14 + 8] -= 1
        let after = harness.sent[0].octets
        expected.replaceSubrange(24..<26, with: after[24..<26])
        #expect(after == expected)
        #expect(harness.sent[0].packet?.headerIsIntact == true)
    }

    @Test("The checksum stays right for every TTL", arguments: [2, 3, 64, 128, 255] as [UInt8])
    func everyTimeToLive(timeToLive: UInt8) {
        let (harness, inside) = router()
        for identification: UInt16 in [0, 1, 0x7fff, 0xfffe, 0xffff] {
            var packet = builder.with(timeToLive: timeToLive)
            packet.identification = identification
            harness.receive(packet.udp(from: 5, to: 6), on: inside)
        }
        #expect(harness.sent.map(\.ipv4.timeToLive) == Array(repeating: timeToLive - 1, count: 5))
    }

    @Test("A packet whose time is up is not forwarded", arguments: [0, 1] as [UInt8])
    func timeExceeded(timeToLive: UInt8) {
        let (harness, inside) = router()
        harness.receive(builder.with(timeToLive: timeToLive).udp(from: 5, to: 6), on: inside)
        #expect(
            harness.sent.map(\.text) == [
                "in0 icmp 11/0 10.0.0.1 > 10.0.0.2 ttl 64 about (udp 10.0.0.2:5 > 192.0.2.9:6 ttl \(timeToLive))"
            ])
        #expect(harness.drops == [.ipHeader])
    }

    @Test func `A packet for the router itself may have any TTL`() {
        let (harness, inside) = router()
        _ = harness.host.bindUDP(port: 6)
        harness.receive(
            PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.1").with(timeToLive: 1).udp(from: 5, to: 6), on: inside)
        #expect(harness.deliveries == 1)
    }

    @Test
    func `A packet too large and not to be cut is answered with the MTU and a quote of 548 octets, TTL as it came`() {
        let (harness, inside) = router()
        harness.receive(builder.udp(from: 5, to: 6, payload: [UInt8](repeating: 7, count: 1400)), on: inside)
        let frame = harness.sent[0]
        #expect(
            frame.text == "in0 icmp 3/4 10.0.0.1 > 10.0.0.2 ttl 64 about (udp 10.0.0.2:5 > 192.0.2.9:6 ttl 64)")
        #expect(frame.icmp.nextHopMTU == 1400)
        #expect(frame.ipv4.totalLength == 576)
        #expect(frame.ipv4.trafficClass == 0xc0)
        #expect(!frame.ipv4.dontFragment)
        #expect(frame.ipv4.identification != 0)
        #expect(harness.drops == [.packetTooBig])
    }

    @Test("A packet of exactly the MTU passes", arguments: [(1372, 1), (1373, 0)])
    func exactlyTheMTU(payload: Int, forwarded: Int) {
        let (harness, inside) = router()
        harness.receive(builder.udp(from: 5, to: 6, payload: [UInt8](repeating: 7, count: payload)), on: inside)
        #expect(harness.sent.count { $0.link == "out0" } == forwarded)
    }

    @Test func `The time is looked at before the size`() {
        let (harness, inside) = router()
        harness.receive(
            builder.with(timeToLive: 1).udp(from: 5, to: 6, payload: [UInt8](repeating: 7, count: 1400)), on: inside)
        #expect(harness.sent.map(\.icmp.type) == [11])
    }

    @Test(
        "No error is sent about these",
        arguments: ["an ICMP error", "a later fragment", "a broadcast frame", "a multicast source"])
    func noErrorAbout(what: String) {
        let (harness, inside) = router()
        var frame: [UInt8]
        let late = builder.with(timeToLive: 1)
        switch what {
        case "an ICMP error":
            frame = late.icmp(.portUnreachable, payload: Array(builder.udp(from: 6, to: 5).dropFirst(14)))
        case "a later fragment":
            let whole = late.with(dontFragment: false).udp(from: 5, to: 6, payload: [UInt8](repeating: 1, count: 600))
            frame = try! PacketBuilder.fragments(of: whole, mtu: 500)[1]
        case "a broadcast frame":
            frame = late.udp(from: 5, to: 6)
            frame.replaceSubrange(0..<6, with: MACAddress.broadcast.octets)
        default: frame = PacketBuilder(.peer, "224.0.0.9", .own, "192.0.2.9").with(timeToLive: 1).udp(from: 5, to: 6)
        }
        harness.receive(frame, on: inside)
        #expect(harness.sent.isEmpty)
        #expect(harness.drops.count == 1)
    }

    @Test func `A first fragment and an echo request are answered with errors`() {
        let (harness, inside) = router()
        let late = builder.with(timeToLive: 1)
        let whole = late.with(dontFragment: false).udp(from: 5, to: 6, payload: [UInt8](repeating: 1, count: 600))
        harness.receive(try! PacketBuilder.fragments(of: whole, mtu: 500)[0], on: inside)
        harness.receive(late.echoRequest(identifier: 7, sequence: 1), on: inside)
        #expect(harness.sent.map(\.icmp.type) == [11, 11])
    }

    // MARK: frames that are too large

    @Test(arguments: [1, 2]) func `A device takes frames up to its MTU and a VLAN tag`(excess: Int) {
        let (harness, inside) = router()
        harness.host.links[inside.index].mtu = 1000
        // Ethernet, VLAN tag, IP, UDP.
        let payload = [UInt8](repeating: 7, count: 1000 + 4 - 28 + excess - 1)
        harness.receive(builder.udp(from: 5, to: 6, payload: payload), on: inside)
        #expect(harness.sent.count == (excess == 1 ? 1 : 0))
        #expect(harness.drops == (excess == 1 ? [] : [.packetTooBig]))
        #expect(harness.taps.isEmpty == (excess == 2))
    }

    // MARK: redirects

    @Test func `A sender that could go straight is told so, and the packet forwarded`() {
        let (harness, inside) = router()
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.3").udp(from: 5, to: 6), on: inside)
        #expect(
            harness.sent.map(\.text) == [
                // The TTL is counted down before the redirect is made.
                "in0 icmp 5/1 10.0.0.1 > 10.0.0.2 ttl 64 about (udp 10.0.0.2:5 > 10.0.0.3:6 ttl 63)",
                "in0 udp 10.0.0.2:5 > 10.0.0.3:6 ttl 63",
            ])
        #expect(harness.sent[0].icmp.restOfHeader == ipv4("10.0.0.3").rawValue)
    }

    @Test func `Redirects back off and stop after nine, until twenty seconds of silence`() {
        let (harness, inside) = router()
        let frame = PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.3").udp(from: 5, to: 6)
        func redirects() -> Int { harness.takeSent().count { $0.packet?.icmp?.type == 5 } }
        harness.receive(frame, on: inside)
        harness.receive(frame, on: inside)
        #expect(redirects() == 1)
        harness.advance(seconds(0.041))
        harness.receive(frame, on: inside)
        #expect(redirects() == 1)
        for _ in 0..<20 {
            harness.advance(seconds(12))
            harness.receive(frame, on: inside)
        }
        #expect(redirects() == 7)
        harness.advance(seconds(21))
        harness.receive(frame, on: inside)
        #expect(redirects() == 1)
    }

    @Test(
        "There is no redirect where it would not help",
        arguments: ["another link", "a sender behind a router", "send_redirects off"])
    func noRedirect(why: String) {
        let (harness, inside) = router()
        var source = "10.0.0.2"
        var destination = "10.0.0.3"
        switch why {
        case "another link": destination = "192.0.2.9"
        case "a sender behind a router":
            harness.addRoute("172.16.0.0/16", via: "10.0.0.2", on: inside)
            source = "172.16.0.5"
        default: harness.stopRedirects()
        }
        harness.receive(PacketBuilder(.peer, source, .own, destination).udp(from: 5, to: 6), on: inside)
        #expect(harness.sent.count == 1)
        #expect(harness.sent[0].packet?.udp != nil)
    }

    // MARK: the source of errors

    @Test func `An error comes from the address of the way back, or from the one the packet was sent to`() {
        let (harness, inside) = router()
        harness.receive(builder.with(timeToLive: 1).udp(from: 5, to: 6), on: inside)
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.1").udp(from: 5, to: 6), on: inside)
        #expect(
            harness.sent.map(\.text) == [
                "in0 icmp 11/0 10.0.0.1 > 10.0.0.2 ttl 64 about (udp 10.0.0.2:5 > 192.0.2.9:6 ttl 1)",
                "in0 icmp 3/3 192.0.2.1 > 10.0.0.2 ttl 64 about (udp 10.0.0.2:5 > 192.0.2.1:6 ttl 64)",
            ])
    }

    @Test func `An unknown transport protocol for the host is unreachable`() {
        let (harness, inside) = router()
        harness.receive(
            PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.1").packet(IPProtocol(rawValue: 200), payload: [1]),
            on: inside)
        #expect(
            harness.sent.map(\.text) == [
                "in0 icmp 3/2 10.0.0.1 > 10.0.0.2 ttl 64 about (200 10.0.0.2 > 10.0.0.1 ttl 64)"
            ])
    }
}
