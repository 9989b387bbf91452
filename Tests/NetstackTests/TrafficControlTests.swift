// What stands between a link's device and the rest: filters before and behind the taps, a queue somebody else holds,
// checksums nobody fills in, frames too long for a device, links without carrier, and a tunnel whose peer is this host.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct TrafficControlTests {
    private let frame = PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.1").udp(from: 5, to: 8472, payload: [1, 2, 3])

    private func filter(_ text: String, ingress: Bool, egress: Bool) -> TrafficControl.Filter {
        TrafficControl.Filter(fault: 0, selector: TrafficSelector(text)!, ingress: ingress, egress: egress)
    }

    /// A host with a socket on UDP 8472 that sends back what it hears.
    private func host() -> (harness: NamespaceHarness, link: LinkID) {
        let harness = NamespaceHarness()
        let link = harness.addEthernet(address: "10.0.0.1/24")
        harness.know("10.0.0.2", .peer, on: link)
        _ = harness.host.bindUDP(port: 8472)
        return (harness, link)
    }

    @Test(arguments: [
        ("udp/8472", true), ("udp", true), ("all", true), ("udp/5", false), ("tcp", false), ("icmp", false),
        ("arp", false),
    ])
    func `an ingress filter drops what it selects behind the tap`(_ selector: String, drops: Bool) {
        let (harness, link) = host()
        harness.host.control(link) { $0.filters = [filter(selector, ingress: true, egress: false)] }
        harness.receive(frame, on: link)
        #expect(harness.taps.map(\.direction) == [.ingress])
        #expect(harness.drops == (drops ? [.ingressFilter] : []))
    }

    @Test func `an egress filter drops before the tap`() {
        let (harness, link) = host()
        harness.host.control(link) { $0.filters = [filter("icmp", ingress: false, egress: true)] }
        harness.receive(
            PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.1").echoRequest(identifier: 1, sequence: 1), on: link)
        #expect(harness.taps.map(\.direction) == [.ingress])
        #expect(harness.drops.contains(.egressFilter) && harness.sent.isEmpty)
        // One that looks the other way lets it pass, and so does none at all.
        harness.clear()
        harness.host.control(link) { $0.filters = [filter("icmp", ingress: false, egress: false)] }
        harness.receive(
            PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.1").echoRequest(identifier: 1, sequence: 2), on: link)
        #expect(harness.sent.count == 1)
        harness.host.control(link) { $0.filters = [] }
        #expect(harness.host.links[link.index].trafficControl == nil)
    }

    @Test func `a later fragment has no port to be selected by`() {
        let (harness, link) = host()
        harness.host.control(link) { $0.filters = [filter("udp/8472", ingress: true, egress: false)] }
        var later = frame
        later[20] = 0
        later[21] = 1
        later.replaceSubrange(24..<26, with: [0, 0])
        let sum = later.withUnsafeBytes { Checksum.of(RawSpan(_unsafeBytes: $0), in: 14..<34) }
        later[24] = UInt8(sum >> 8)
        later[25] = UInt8(sum & 0xff)
        harness.receive(later, on: link)
        #expect(!harness.drops.contains(.ingressFilter))
    }

    @Test func `a frame too long for the device is dropped before the tap`() {
        let (harness, link) = host()
        for (size, fits) in [(1476, true), (1477, false)] {
            harness.clear()
            let long = PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.1").udp(
                from: 5, to: 8472, payload: Array(repeating: 1, count: size))
            harness.receive(long, on: link)
            #expect(harness.taps.isEmpty == !fits, "\(size)")
            #expect(harness.drops.contains(.packetTooBig) == !fits, "\(size)")
        }
    }

    @Test func `a bridge does not press a long frame into a port`() {
        let harness = NamespaceHarness()
        let (_, ports) = harness.addBridge(ports: 2)
        harness.host.setMTU(1000, of: ports[1])
        #expect(harness.host.links.first { $0.name == "cni0" }?.mtu == 1000)
        let long = PacketBuilder(.station(0xa1), "10.1.0.2", .station(0xa2), "10.1.0.3").udp(
            from: 5, to: 6, payload: Array(repeating: 1, count: 1200))
        harness.receive(
            PacketBuilder(.station(0xa2), "10.1.0.3", .station(0xa1), "10.1.0.2").udp(from: 6, to: 5), on: ports[1])
        harness.clear()
        harness.receive(long, on: ports[0])
        #expect(harness.drops == [.packetTooBig] && harness.sent.isEmpty)
    }

    @Test func `without carrier nothing leaves, not even for the tap`() {
        let (harness, link) = host()
        harness.host.setCarrier(link, false)
        harness.receive(
            PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.1").echoRequest(identifier: 1, sequence: 1), on: link)
        #expect(harness.taps.map(\.direction) == [.ingress])
        #expect(harness.drops == [.deviceNotReady])
    }

    @Test func `a bridge has carrier while a port is running, and forwards nothing while it is down`() {
        let harness = NamespaceHarness()
        let (bridge, ports) = harness.addBridge(ports: 2)
        func hasCarrier() -> Bool { harness.host.links[bridge.index].hasCarrier }
        harness.host.setLink(ports[0], up: false)
        #expect(hasCarrier())
        harness.host.setCarrier(ports[1], false)
        #expect(!hasCarrier())
        harness.host.setLink(ports[0], up: true)
        harness.host.setCarrier(ports[1], true)
        #expect(hasCarrier())
        harness.host.setLink(bridge, up: false)
        harness.receive(
            PacketBuilder(.station(0xa1), "10.1.0.2", .broadcast, "10.1.0.3").udp(from: 5, to: 6), on: ports[0])
        #expect(harness.drops == [.deviceNotReady] && harness.sent.isEmpty)
    }

    @Test func `a checksum that is left unfinished is wrong for the receiver`() {
        let (harness, link) = host()
        harness.checksChecksums = false
        harness.host.control(link) { $0.leftChecksums = [filter("udp", ingress: false, egress: true)] }
        harness.application = { harness, event in
            guard case .datagram(let payload, let sender, _) = event.kind else { return }
            try? harness.host.sendDatagram(event.socket, payload, to: sender, &harness.context)
        }
        harness.receive(frame, on: link)
        let other = NamespaceHarness()
        other.checksChecksums = false
        let theirs = other.addEthernet("eth0", mac: .peer, address: "10.0.0.2/24")
        _ = other.host.bindUDP(port: 5)
        if let answer = harness.sent.first { other.receive(answer.octets, on: theirs) }
        #expect(other.drops == [.udpChecksum])
    }

    @Test func `connection tracking calls what a fault has spoiled INVALID`() {
        let harness = NamespaceHarness()
        harness.checksChecksums = false
        let link = harness.addEthernet(address: "10.0.0.1/24")
        var ruleset = Ruleset()
        ruleset[.filter].append(
            Rule(matches: [.state(Negatable(.invalid))], target: .drop),
            to: "INPUT")
        harness.host.setRuleset(ruleset)
        _ = harness.host.bindUDP(port: 8472)
        for octet in [nil, 43] as [Int?] {
            harness.clear()
            let id = harness.context.newPacketID()
            var packet = frame.withUnsafeBytes { harness.context.arena.allocate(copying: $0, id: id) }
            if let octet { harness.context.flip(bit: 3, ofOctet: octet, in: &packet) }
            harness.host.receive(packet, on: link, &harness.context)
            harness.settle()
            #expect(harness.drops == (octet == nil ? [] : [.netfilterDrop]))
        }
    }
}
