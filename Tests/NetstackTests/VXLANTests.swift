// VXLAN as flannel sets it up (RFC 7348, drivers/net/vxlan): what is wrapped around a frame, octet by octet, and what
// is unwrapped.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct VXLANTests {
    private let ownVTEP = MACAddress.station(0xf1)
    private let peerVTEP = MACAddress.station(0xf2)

    /// A node: pods of 10.244.1.0/24 on in0, peers behind flannel.1, the underlay on eth0.
    private func node(mtu: Int = 1450) -> (NamespaceHarness, inside: LinkID, eth0: LinkID, tunnel: LinkID) {
        let harness = NamespaceHarness()
        let inside = harness.addEthernet("in0", mac: .bridge, address: "10.244.1.1/24", mtu: 1500)
        let eth0 = harness.addEthernet("eth0", mac: .own, address: "192.168.50.11/24")
        let tunnel = harness.host.addVXLAN(
            "flannel.1", hardwareAddress: ownVTEP, mtu: mtu, vni: 1, local: ip("192.168.50.11"), lower: eth0)
        harness.host.addAddress(interface("10.244.1.0/32"), to: tunnel)
        harness.host.sysctls.ipForward = true
        harness.host.addRoute(
            Route(IPPrefix("10.244.2.0/24")!, gateway: ip("10.244.2.0"), link: tunnel, isOnlink: true))
        harness.know("10.244.2.0", peerVTEP, on: tunnel)
        harness.host.addForwardingEntry(peerVTEP, remote: ip("192.168.50.12"), on: tunnel)
        harness.know("192.168.50.12", on: eth0)
        harness.know("10.244.1.2", .station(0xa1), on: inside)
        return (harness, inside, eth0, tunnel)
    }

    private let pods = PacketBuilder(.station(0xa1), "10.244.1.2", .bridge, "10.244.2.2")

    @Test("The outer packet is right in every octet", arguments: [0, 1, 77, 1422])
    func encapsulation(payload: Int) throws {
        let (harness, inside, _, _) = node()
        let octets = (0..<payload).map { UInt8(truncatingIfNeeded: $0) }
        harness.receive(pods.udp(from: 5, to: 6, payload: octets), on: inside)
        #expect(
            harness.taps.map { "\($0.link) \($0.direction)" } == ["in0 ingress", "flannel.1 egress", "eth0 egress"])
        let frame = harness.sent[0]
        let inner = PacketBuilder(ownVTEP, "10.244.1.2", peerVTEP, "10.244.2.2").with(timeToLive: 63)
            .udp(from: 5, to: 6, payload: octets)
        let header = try #require(frame.packet?.udp)
        var outer = PacketBuilder(.own, "192.168.50.11", .peer, "192.168.50.12").with(dontFragment: false)
        outer.identification = frame.ipv4.identification
        #expect(frame.octets == outer.vxlan(networkIdentifier: 1, from: header.sourcePort, frame: inner))
        #expect(Int(frame.ipv4.totalLength) == inner.count - 14 + 50)
        #expect(frame.ipv4.identification != 0)
        #expect((32_768...60_999).contains(header.sourcePort))
        #expect(header.checksum != 0)
    }

    @Test func `One flow has one source port, many flows have many`() {
        let (harness, inside, _, _) = node()
        for port: UInt16 in 1...40 {
            for _ in 0..<2 { harness.receive(pods.udp(from: port, to: 6), on: inside) }
        }
        let ports = harness.sent.compactMap { $0.packet?.udp?.sourcePort }
        #expect(stride(from: 0, to: 80, by: 2).allSatisfy { ports[$0] == ports[$0 + 1] })
        #expect(Set(ports).count > 35)
    }

    @Test func `All fragments of a packet share the source port`() throws {
        let (harness, inside, _, _) = node()
        var rules = Ruleset()
        rules[.filter].append(Rule(matches: [.connectionState(Negatable(.new))]), to: "FORWARD")
        harness.host.setRuleset(rules)
        let whole = pods.with(dontFragment: false).udp(from: 5, to: 6, payload: [UInt8](repeating: 1, count: 3000))
        for piece in try PacketBuilder.fragments(of: whole, mtu: 1500) { harness.receive(piece, on: inside) }
        let inner = harness.sent.compactMap { $0.packet?.inner?.ipv4.totalLength }
        #expect(inner == [1444, 1444, 180])
    }

    @Test func `An inner packet of 1450 octets fills the underlay's 1500, a larger one is refused`() {
        let (harness, inside, _, _) = node()
        harness.receive(pods.udp(from: 5, to: 6, payload: [UInt8](repeating: 0, count: 1422)), on: inside)
        harness.receive(pods.udp(from: 5, to: 6, payload: [UInt8](repeating: 0, count: 1423)), on: inside)
        #expect(harness.sent.map(\.ipv4.totalLength) == [1500, 576])
        #expect(harness.sent[1].icmp.nextHopMTU == 1450)
    }

    @Test func `Without a forwarding entry, or a route to the peer, the frame ends at the device`() {
        let (harness, inside, eth0, tunnel) = node()
        harness.host.addRoute(
            Route(IPPrefix("10.244.3.0/24")!, gateway: ip("10.244.3.0"), link: tunnel, isOnlink: true))
        harness.know("10.244.3.0", .station(0xf3), on: tunnel)
        let frame = PacketBuilder(.station(0xa1), "10.244.1.2", .bridge, "10.244.3.2").udp(from: 5, to: 6)
        harness.receive(frame, on: inside)
        #expect(harness.drops == [.vxlanNoRemote])
        harness.host.addForwardingEntry(.station(0xf3), remote: ip("203.0.113.1"), on: tunnel)
        harness.receive(frame, on: inside)
        #expect(harness.drops == [.vxlanNoRemote, .noOutputRoute])
        harness.clear()
        harness.host.setLink(eth0, up: false)
        harness.receive(pods.udp(from: 5, to: 6), on: inside)
        #expect(harness.drops == [.noOutputRoute])
    }

    // MARK: unwrapping

    private func arriving(_ inner: [UInt8], vni: UInt32 = 1, port: UInt16 = 8472) -> [UInt8] {
        PacketBuilder(.peer, "192.168.50.12", .own, "192.168.50.11").vxlan(
            networkIdentifier: vni, from: 40_000, to: port, frame: inner)
    }
    private var inner: [UInt8] {
        PacketBuilder(peerVTEP, "10.244.2.2", ownVTEP, "10.244.1.2").with(timeToLive: 63).udp(from: 6, to: 5)
    }

    @Test func `An arriving frame is unwrapped and routed on`() {
        let (harness, _, eth0, _) = node()
        harness.receive(arriving(inner), on: eth0)
        #expect(
            harness.taps.map(\.tapText) == [
                "eth0 in 22 > 11 vxlan 192.168.50.12 > 192.168.50.11 (udp 10.244.2.2:6 > 10.244.1.2:5 ttl 63) ttl 64",
                "flannel.1 in f2 > f1 udp 10.244.2.2:6 > 10.244.1.2:5 ttl 63",
                "in0 out cc > a1 udp 10.244.2.2:6 > 10.244.1.2:5 ttl 62",
            ])
    }

    @Test(
        "What is no frame for the device is dropped with its reason",
        arguments: [
            ("another VNI", DropReason.vxlanNotFound), ("no I flag", .vxlanInvalidHeader),
            ("a reserved bit", .vxlanInvalidHeader), ("a cut inner frame", .vxlanInvalidHeader),
            ("another station's inner frame", .otherHost), ("a bad outer checksum", .udpChecksum),
            ("a device that is down", .noSocket), ("another port", .noSocket),
        ])
    func refusals(what: String, reason: DropReason) {
        let (harness, _, eth0, tunnel) = node()
        harness.checksChecksums = false
        var frame = arriving(inner)
        func rewrite(_ offset: Int, _ value: UInt8) {
            frame[offset] = value
            frame.replaceSubrange(40..<42, with: [0, 0])
        }
        switch what {
        case "another VNI": frame = arriving(inner, vni: 2)
        case "no I flag": rewrite(42, 0)
        case "a reserved bit": rewrite(42, 0x0c)
        case "a cut inner frame": frame = arriving(Array(inner.prefix(13)))
        case "another station's inner frame":
            frame = arriving(PacketBuilder(peerVTEP, "10.244.2.2", .station(0xf9), "10.244.1.2").udp(from: 6, to: 5))
        case "a bad outer checksum": frame[41] ^= 1
        case "a device that is down": harness.host.setLink(tunnel, up: false)
        default: frame = arriving(inner, port: 4789)
        }
        harness.receive(frame, on: eth0)
        #expect(harness.drops == [reason])
    }

    @Test func `What crosses two nodes is what was sent, two hops older`() {
        let (harness, inside, _, _) = node()
        let frame = pods.udp(from: 5, to: 6, payload: [1, 2, 3])
        harness.receive(frame, on: inside)
        let other = NamespaceHarness()
        let pod = other.addEthernet("in0", mac: .bridge, address: "10.244.2.1/24")
        let eth0 = other.addEthernet("eth0", mac: .peer, address: "192.168.50.12/24")
        _ = other.host.addVXLAN(
            "flannel.1", hardwareAddress: peerVTEP, mtu: 1450, vni: 1, local: ip("192.168.50.12"), lower: eth0)
        other.host.sysctls.ipForward = true
        other.know("10.244.2.2", .station(0xb1), on: pod)
        other.receive(harness.sent[0].octets, on: eth0)
        let expected = PacketBuilder(.bridge, "10.244.1.2", .station(0xb1), "10.244.2.2").with(timeToLive: 62)
            .udp(from: 5, to: 6, payload: [1, 2, 3])
        #expect(other.sent.map(\.octets) == [expected])
    }
}
