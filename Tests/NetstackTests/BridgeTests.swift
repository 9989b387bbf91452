// A bridge learns, forwards, floods and reflects (net/bridge/br_input.c, br_forward.c). Taps are read as tcpdump -p
// shows them, in order: ports newest first, the host's own copy last.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct BridgeTests {
    private let a = MACAddress.station(0xa1)
    private let b = MACAddress.station(0xa2)
    private let c = MACAddress.station(0xa3)

    private func frame(_ source: MACAddress, _ destination: MACAddress) -> [UInt8] {
        PacketBuilder(source, "10.1.0.2", destination, "10.1.0.3").udp(from: 5, to: 6)
    }

    private func links(_ harness: NamespaceHarness) -> [String] {
        harness.taps.map { "\($0.link) \($0.direction == .ingress ? "in" : "out")" }
    }

    @Test func `A broadcast goes to all ports, newest first, back to its hairpin port, and to the host last`() {
        let (harness, bridge) = (NamespaceHarness(), 0)
        let ports = harness.addBridge(ports: 3).ports
        _ = bridge
        let request = ARPPacket(
            operation: .request, senderMAC: a, senderIP: ipv4("10.1.0.2"), targetIP: ipv4("10.1.0.9"))
        harness.receive(PacketBuilder.arp(request, source: a, destination: .broadcast), on: ports[0])
        #expect(links(harness) == ["p0 in", "p2 out", "p1 out", "p0 out", "cni0 in"])
    }

    @Test func `Without hairpin a port never gets its own frame back`() {
        let harness = NamespaceHarness()
        let ports = harness.addBridge(ports: 3, hairpin: false).ports
        harness.receive(frame(a, .broadcast), on: ports[1])
        #expect(links(harness) == ["p1 in", "p2 out", "p0 out", "cni0 in"])
        harness.clear()
        // Nor by a learned address.
        harness.receive(frame(b, a), on: ports[1])
        #expect(links(harness) == ["p1 in"])
        #expect(harness.drops == [.bridgeNoEgressPort])
    }

    @Test func `A frame for an unknown station is flooded, for a known one switched, for the host handed up`() {
        let harness = NamespaceHarness()
        let ports = harness.addBridge(ports: 3).ports
        harness.receive(frame(a, b), on: ports[0])
        #expect(links(harness) == ["p0 in", "p2 out", "p1 out", "p0 out"])
        harness.clear()
        harness.receive(frame(b, a), on: ports[1])
        #expect(links(harness) == ["p1 in", "p0 out"])
        harness.clear()
        harness.receive(frame(b, .bridge), on: ports[1])
        #expect(links(harness).prefix(2) == ["p1 in", "cni0 in"])
        // A port's own address is the host's too, though no one's to receive for.
        harness.clear()
        harness.receive(frame(b, .station(0xe2)), on: ports[1])
        #expect(links(harness) == ["p1 in", "cni0 in"])
        #expect(harness.sent.allSatisfy { $0.octets == frame(a, b) || $0.octets == frame(b, a) })
    }

    @Test func `A hairpin port reflects a frame for a station behind it`() {
        let harness = NamespaceHarness()
        let ports = harness.addBridge(ports: 2).ports
        harness.receive(frame(a, .bridge), on: ports[0])
        harness.clear()
        harness.receive(frame(a, a), on: ports[0])
        #expect(links(harness) == ["p0 in", "p0 out"])
    }

    @Test func `A port does not get what is larger than its MTU`() {
        let harness = NamespaceHarness()
        let ports = harness.addBridge(ports: 3).ports
        harness.host.links[ports[2].index].mtu = 100
        let large = PacketBuilder(a, "10.1.0.2", b, "10.1.0.3").udp(
            from: 5, to: 6, payload: Array(repeating: 0, count: 77))
        harness.receive(large, on: ports[0])
        #expect(links(harness) == ["p0 in", "p1 out", "p0 out"])
        #expect(harness.drops == [.packetTooBig])
    }

    @Test func `A station that moves is found where it was seen last, and forgotten after 300 seconds`() {
        let harness = NamespaceHarness()
        let ports = harness.addBridge(ports: 3).ports
        harness.receive(frame(a, .bridge), on: ports[0])
        harness.receive(frame(a, .bridge), on: ports[2])
        harness.clear()
        harness.receive(frame(b, a), on: ports[1])
        #expect(links(harness) == ["p1 in", "p2 out"])
        harness.clear()
        harness.advance(seconds(301))
        harness.receive(frame(b, a), on: ports[1])
        #expect(links(harness) == ["p1 in", "p2 out", "p1 out", "p0 out"])
    }

    @Test func `The bridge's own addresses are not learned from outside`() {
        let harness = NamespaceHarness()
        let (bridge, ports) = harness.addBridge(ports: 2)
        for own in [MACAddress.bridge, .station(0xe0), .station(0xe1)] {
            harness.receive(frame(own, .broadcast), on: ports[0])
        }
        let table = harness.host.bridges[0].forwardingDatabase
        #expect(table[.bridge] == Bridge.Entry(port: bridge, isLocal: true, updated: 0))
        #expect(table[.station(0xe1)] == Bridge.Entry(port: ports[1], isLocal: true, updated: 0))
        #expect(table.count == 3)
    }

    @Test func `A frame from a group address is dropped`() {
        let harness = NamespaceHarness()
        let ports = harness.addBridge(ports: 2).ports
        harness.receive(frame(.broadcast, a), on: ports[0])
        #expect(harness.drops == [.macInvalidSource])
        #expect(harness.sent.isEmpty)
    }

    @Test func `A port that is down gets nothing`() {
        let harness = NamespaceHarness()
        let ports = harness.addBridge(ports: 3).ports
        harness.receive(frame(c, .bridge), on: ports[2])
        harness.clear()
        harness.host.setLink(ports[2], up: false)
        harness.receive(frame(a, .broadcast), on: ports[0])
        harness.receive(frame(a, c), on: ports[0])
        #expect(links(harness) == ["p0 in", "p1 out", "p0 out", "cni0 in", "p0 in"])
        #expect(harness.drops.last == .bridgeNoEgressPort)
    }

    @Test func `The host's own broadcast goes out of the bridge and all ports, not back to the host`() throws {
        let harness = NamespaceHarness()
        _ = harness.addBridge(ports: 2)
        _ = try harness.host.ping(ip("10.1.0.9"), &harness.context)
        harness.settle()
        #expect(links(harness) == ["cni0 out", "p1 out", "p0 out"])
        #expect(harness.sent.map(\.text).last == "p0 arp who-has 10.1.0.9 tell 10.1.0.1")
    }

    @Test func `The host's own frame for a learned station leaves by one port`() throws {
        let harness = NamespaceHarness()
        let (bridge, ports) = harness.addBridge(ports: 3)
        harness.receive(frame(a, .bridge), on: ports[1])
        harness.know("10.1.0.2", a, on: bridge)
        harness.clear()
        _ = try harness.host.ping(ip("10.1.0.2"), &harness.context)
        harness.settle()
        #expect(
            harness.taps.map(\.tapText).map { String($0.prefix(18)) } == ["cni0 out cc > a1 i", "p1 out cc > a1 icm"])
    }

    @Test func `An answer to a pod's ARP request leaves by its port only`() {
        let harness = NamespaceHarness()
        let ports = harness.addBridge(ports: 2).ports
        let request = ARPPacket(
            operation: .request, senderMAC: a, senderIP: ipv4("10.1.0.2"), targetIP: ipv4("10.1.0.1"))
        harness.receive(PacketBuilder.arp(request, source: a, destination: .broadcast), on: ports[0])
        #expect(
            harness.taps.map(\.tapText) == [
                "p0 in a1 > all arp who-has 10.1.0.1 tell 10.1.0.2",
                "p1 out a1 > all arp who-has 10.1.0.1 tell 10.1.0.2",
                "p0 out a1 > all arp who-has 10.1.0.1 tell 10.1.0.2",
                "cni0 in a1 > all arp who-has 10.1.0.1 tell 10.1.0.2",
                "cni0 out cc > a1 arp 10.1.0.1 is-at \(MACAddress.bridge) for 10.1.0.2",
                "p0 out cc > a1 arp 10.1.0.1 is-at \(MACAddress.bridge) for 10.1.0.2",
            ])
    }
}
