// bridge-nf-call-iptables: what NAT on a bridge port looks like from every tap (net/bridge/br_netfilter_hooks.c). The
// service is 10.96.0.10:80, the pods are 10.1.0.2 (station a1, port p0) and 10.1.0.3 (a2, p1).

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct BridgeNetfilterTests {
    private let a1 = MACAddress.station(0xa1)
    private let a2 = MACAddress.station(0xa2)

    /// A node with two pods that sends 10.96.0.10:80 to `endpoint`, port 8080.
    private func node(
        endpoint: String, masquerades: Bool = false, hooks: Bool = true
    ) -> (NamespaceHarness, bridge: LinkID, ports: [LinkID]) {
        let harness = NamespaceHarness()
        let (bridge, ports) = harness.addBridge(ports: 2)
        let eth0 = harness.addEthernet(address: "192.0.2.1/24")
        harness.addRoute("0.0.0.0/0", via: "192.0.2.254", on: eth0)
        harness.know("192.0.2.254", on: eth0)
        harness.host.sysctls.ipForward = true
        harness.host.sysctls.bridgeCallsIPTables = hooks
        var rules = Ruleset()
        rules[.nat].append(
            Rule(
                destination: Negatable(IPPrefix("10.96.0.10/32")!), protocol: Negatable(.tcp),
                matches: [.transport(.tcp, destination: Negatable(80...80))],
                target: .destinationNAT(address: ip(endpoint), port: 8080)), to: "PREROUTING")
        if masquerades {
            rules[.nat].append(
                Rule(
                    source: Negatable(IPPrefix("10.1.0.2/32")!), destination: Negatable(IPPrefix("10.1.0.2/32")!),
                    target: .masquerade(randomFully: false)), to: "POSTROUTING")
        }
        harness.host.setRuleset(rules)
        // Both pods have been heard of.
        for (mac, port) in [(a1, ports[0]), (a2, ports[1])] {
            let announcement = ARPPacket(
                operation: .request, senderMAC: mac, senderIP: ipv4("10.1.0.77"), targetIP: ipv4("10.1.0.77"))
            harness.receive(PacketBuilder.arp(announcement, source: mac, destination: .broadcast), on: port)
        }
        harness.clear()
        return (harness, bridge, ports)
    }

    private func syn(timeToLive: UInt8 = 64, to destination: MACAddress = .bridge) -> [UInt8] {
        PacketBuilder(a1, "10.1.0.2", destination, "10.96.0.10").with(timeToLive: timeToLive)
            .tcp(from: 4000, to: 80, flags: .syn)
    }

    @Test(
        "A service on the same bridge is switched when the node knows the pod for sure, its TTL untouched",
        arguments: [64, 1] as [UInt8])
    func warm(timeToLive: UInt8) {
        let (harness, bridge, ports) = node(endpoint: "10.1.0.3")
        harness.know("10.1.0.3", a2, on: bridge)
        harness.receive(syn(timeToLive: timeToLive), on: ports[0])
        #expect(
            harness.taps.map(\.tapText) == [
                "p0 in a1 > cc tcp S 10.1.0.2:4000 > 10.96.0.10:80 ttl \(timeToLive)",
                "p1 out a1 > a2 tcp S 10.1.0.2:4000 > 10.1.0.3:8080 ttl \(timeToLive)",
            ])
        // The answer is switched and translated back on the way out.
        harness.clear()
        harness.receive(
            PacketBuilder(a2, "10.1.0.3", a1, "10.1.0.2").tcp(from: 8080, to: 4000, flags: [.syn, .ack]), on: ports[1])
        #expect(
            harness.taps.map(\.tapText) == [
                "p1 in a2 > a1 tcp SA 10.1.0.3:8080 > 10.1.0.2:4000 ttl 64",
                "p0 out a2 > a1 tcp SA 10.96.0.10:80 > 10.1.0.2:4000 ttl 64",
            ])
    }

    @Test func `While the node must ask for the pod the frame takes a detour through the bridge device`() {
        let (harness, _, ports) = node(endpoint: "10.1.0.3")
        harness.receive(syn(), on: ports[0])
        #expect(
            harness.taps.map(\.tapText) == [
                "p0 in a1 > cc tcp S 10.1.0.2:4000 > 10.96.0.10:80 ttl 64",
                "cni0 out cc > all arp who-has 10.1.0.3 tell 10.1.0.1",
                "p1 out cc > all arp who-has 10.1.0.3 tell 10.1.0.1",
                "p0 out cc > all arp who-has 10.1.0.3 tell 10.1.0.1",
            ])
        harness.clear()
        let reply = ARPPacket(
            operation: .reply, senderMAC: a2, senderIP: ipv4("10.1.0.3"), targetMAC: .bridge,
            targetIP: ipv4("10.1.0.1"))
        harness.receive(PacketBuilder.arp(reply, source: a2, destination: .bridge), on: ports[1])
        #expect(
            harness.taps.dropFirst(2).map(\.tapText) == [
                "cni0 out cc > a2 tcp S 10.1.0.2:4000 > 10.1.0.3:8080 ttl 64",
                "p1 out a1 > a2 tcp S 10.1.0.2:4000 > 10.1.0.3:8080 ttl 64",
            ])
        // The connection outlived the wait.
        let connections = harness.host.connections.all(at: 0).filter { $0.original.protocol == .tcp }
        #expect(connections.map(\.original.destinationSocket) == [end("10.96.0.10:80")])
        #expect(connections.map(\.reply.sourceSocket) == [end("10.1.0.3:8080")])
        harness.clear()
        harness.receive(
            PacketBuilder(a2, "10.1.0.3", a1, "10.1.0.2").tcp(from: 8080, to: 4000, flags: [.syn, .ack]), on: ports[1])
        #expect(harness.sent.map(\.text) == ["p0 tcp SA 10.96.0.10:80 > 10.1.0.2:4000 ttl 64"])
    }

    @Test func `A packet that waits for its neighbor keeps its connection while others come and go`() {
        let (harness, _, ports) = node(endpoint: "10.1.0.3")
        harness.receive(syn(), on: ports[0])
        // Connections that would take the place of one thought forgotten.
        for port: UInt16 in 1...3 {
            harness.receive(
                PacketBuilder(a2, "10.1.0.3", .bridge, "198.51.100.1").udp(from: port, to: 53), on: ports[1])
        }
        let reply = ARPPacket(
            operation: .reply, senderMAC: a2, senderIP: ipv4("10.1.0.3"), targetMAC: .bridge,
            targetIP: ipv4("10.1.0.1"))
        harness.receive(PacketBuilder.arp(reply, source: a2, destination: .bridge), on: ports[1])
        let originals = harness.host.connections.all(at: 0).map { "\($0.original.protocol) \($0.original.sourcePort)" }
        #expect(originals == ["tcp 4000", "udp 1", "udp 2", "udp 3"])
    }

    @Test func `A packet whose neighbor never answers takes its connection with it`() {
        let (harness, _, ports) = node(endpoint: "10.1.0.3")
        harness.receive(syn(), on: ports[0])
        harness.clear()
        harness.advance(seconds(4))
        #expect(harness.drops == [.neighborFailed])
        harness.receive(syn(), on: ports[0])
        #expect(harness.host.connections.all(at: harness.context.now).allSatisfy { $0.original.protocol != .tcp })
        #expect(harness.host.connections.pool.count { $0.isUsed && $0.original.protocol == .tcp } == 1)
    }

    @Test func `A pod that reaches itself through its service meets its own MAC and the node's address`() {
        let (harness, bridge, ports) = node(endpoint: "10.1.0.2", masquerades: true)
        harness.know("10.1.0.2", a1, on: bridge)
        harness.receive(syn(), on: ports[0])
        #expect(
            harness.taps.map(\.tapText) == [
                "p0 in a1 > cc tcp S 10.1.0.2:4000 > 10.96.0.10:80 ttl 64",
                "p0 out a1 > a1 tcp S 10.1.0.1:4000 > 10.1.0.2:8080 ttl 64",
            ])
        harness.clear()
        harness.receive(
            PacketBuilder(a1, "10.1.0.2", .bridge, "10.1.0.1").tcp(from: 8080, to: 4000, flags: [.syn, .ack]),
            on: ports[0])
        #expect(
            harness.taps.map(\.tapText) == [
                "p0 in a1 > cc tcp SA 10.1.0.2:8080 > 10.1.0.1:4000 ttl 64",
                "p0 out a1 > a1 tcp SA 10.96.0.10:80 > 10.1.0.2:4000 ttl 64",
            ])
    }

    @Test func `A service elsewhere is translated at the port, handed up and routed`() {
        let (harness, _, ports) = node(endpoint: "172.16.0.9")
        harness.receive(syn(), on: ports[0])
        #expect(
            harness.taps.map(\.tapText) == [
                "p0 in a1 > cc tcp S 10.1.0.2:4000 > 10.96.0.10:80 ttl 64",
                "cni0 in a1 > cc tcp S 10.1.0.2:4000 > 172.16.0.9:8080 ttl 64",
                "eth0 out 11 > 22 tcp S 10.1.0.2:4000 > 172.16.0.9:8080 ttl 63",
            ])
        harness.clear()
        harness.know("10.1.0.2", a1, on: LinkID(1))
        harness.receive(
            PacketBuilder(.peer, "172.16.0.9", .own, "10.1.0.2").tcp(from: 8080, to: 4000, flags: [.syn, .ack]),
            on: LinkID(4))
        #expect(
            harness.taps.map(\.tapText) == [
                "eth0 in 22 > 11 tcp SA 172.16.0.9:8080 > 10.1.0.2:4000 ttl 64",
                "cni0 out cc > a1 tcp SA 10.96.0.10:80 > 10.1.0.2:4000 ttl 63",
                "p0 out cc > a1 tcp SA 10.96.0.10:80 > 10.1.0.2:4000 ttl 63",
            ])
    }

    @Test func `A service on the node itself is handed up translated`() {
        let (harness, _, ports) = node(endpoint: "192.0.2.1")
        _ = harness.host.listenTCP(port: 8080)
        harness.know("10.1.0.2", a1, on: LinkID(1))
        harness.receive(syn(), on: ports[0])
        #expect(
            harness.taps.map(\.tapText) == [
                "p0 in a1 > cc tcp S 10.1.0.2:4000 > 10.96.0.10:80 ttl 64",
                "cni0 in a1 > cc tcp S 10.1.0.2:4000 > 192.0.2.1:8080 ttl 64",
                "cni0 out cc > a1 tcp SA 10.96.0.10:80 > 10.1.0.2:4000 ttl 64",
                "p0 out cc > a1 tcp SA 10.96.0.10:80 > 10.1.0.2:4000 ttl 64",
            ])
    }

    @Test func `With bridge-nf-call-iptables off a service on the same bridge is routed in and out of it`() {
        let (harness, bridge, ports) = node(endpoint: "10.1.0.3", hooks: false)
        harness.stopRedirects()
        harness.know("10.1.0.3", a2, on: bridge)
        harness.receive(syn(), on: ports[0])
        #expect(
            harness.taps.map(\.tapText) == [
                "p0 in a1 > cc tcp S 10.1.0.2:4000 > 10.96.0.10:80 ttl 64",
                "cni0 in a1 > cc tcp S 10.1.0.2:4000 > 10.96.0.10:80 ttl 64",
                "cni0 out cc > a2 tcp S 10.1.0.2:4000 > 10.1.0.3:8080 ttl 63",
                "p1 out cc > a2 tcp S 10.1.0.2:4000 > 10.1.0.3:8080 ttl 63",
            ])
        // The answer bypasses the node's NAT.
        harness.clear()
        harness.receive(
            PacketBuilder(a2, "10.1.0.3", a1, "10.1.0.2").tcp(from: 8080, to: 4000, flags: [.syn, .ack]), on: ports[1])
        #expect(harness.sent.map(\.text) == ["p0 tcp SA 10.1.0.3:8080 > 10.1.0.2:4000 ttl 64"])
    }

    @Test(
        "A switched packet meets the rules of FORWARD only with bridge-nf-call-iptables",
        arguments: [true, false])
    func forwardRules(hooks: Bool) {
        let (harness, _, ports) = node(endpoint: "10.1.0.3", hooks: hooks)
        var rules = harness.host.ruleset
        rules[.filter].append(
            Rule(
                ingress: Negatable(InterfacePattern("cni0")), egress: Negatable(InterfacePattern("cni0")), target: .drop
            ),
            to: "FORWARD")
        harness.host.setRuleset(rules)
        harness.receive(PacketBuilder(a1, "10.1.0.2", a2, "10.1.0.3").udp(from: 5, to: 6), on: ports[0])
        #expect(harness.drops == (hooks ? [.netfilterDrop] : []))
        #expect(harness.sent.count == (hooks ? 0 : 1))
    }

    @Test func `A rejected packet is answered though its frame was for another station`() {
        let (harness, bridge, ports) = node(endpoint: "10.1.0.3")
        harness.know("10.1.0.2", a1, on: bridge)
        var rules = harness.host.ruleset
        rules[.filter].append(Rule(target: .reject(.administrativelyProhibited)), to: "FORWARD")
        harness.host.setRuleset(rules)
        harness.receive(PacketBuilder(a1, "10.1.0.2", a2, "10.1.0.3").udp(from: 5, to: 6), on: ports[0])
        #expect(
            harness.sent.map(\.text)
                == ["p0 icmp 3/13 10.1.0.1 > 10.1.0.2 ttl 64 about (udp 10.1.0.2:5 > 10.1.0.3:6 ttl 64)"])
    }

    @Test(
        "Without ip_forward the node takes translated packets up and drops them", arguments: ["10.1.0.3", "172.16.0.9"])
    func forwardingDisabled(endpoint: String) {
        let (harness, bridge, ports) = node(endpoint: endpoint)
        harness.know("10.1.0.3", a2, on: bridge)
        harness.host.sysctls.ipForward = false
        harness.receive(syn(), on: ports[0])
        #expect(harness.sent.isEmpty)
        #expect(harness.drops == [.forwardingDisabled])
    }

    @Test(
        "physdev sees the ports of a bridged packet",
        arguments: [
            ("--physdev-in p0", true), ("--physdev-in p1", false), ("! --physdev-in p1", true),
            ("--physdev-in p+", true),
            ("--physdev-out p1", true), ("--physdev-out p0", false), ("! --physdev-out p0", true),
            ("--physdev-is-in", true), ("! --physdev-is-in", false), ("--physdev-is-out", true),
            ("! --physdev-is-out", false), ("--physdev-is-bridged", true), ("! --physdev-is-bridged", false),
            ("--physdev-in p0 --physdev-out p1 --physdev-is-bridged", true),
        ])
    func physicalDevices(options: String, matches: Bool) throws {
        let (harness, _, ports) = node(endpoint: "10.1.0.3")
        let rule = "-A FORWARD -m physdev \(options) -j DROP"
        harness.host.setRuleset(
            try Ruleset(saved: "*filter\n:FORWARD ACCEPT [0:0]\n\(rule)\nCOMMIT\n", family: .ipv4))
        harness.receive(PacketBuilder(a1, "10.1.0.2", a2, "10.1.0.3").udp(from: 1, to: 2), on: ports[0])
        #expect(harness.drops == (matches ? [.netfilterDrop] : []))
    }

    @Test("A promiscuous bridge hands up copies, of which those for the node have lost their connection")
    func promiscuous() {
        let (harness, bridge, ports) = node(endpoint: "10.1.0.3")
        harness.host.setLink(bridge, promiscuous: true)
        var rules = harness.host.ruleset
        rules[.filter].append(
            Rule(matches: [.connectionState(Negatable(.invalid))], target: .drop), to: "FORWARD")
        harness.host.setRuleset(rules)
        harness.know("10.1.0.3", a2, on: bridge)
        harness.receive(syn(), on: ports[0])
        let taps = harness.taps.map { "\($0.link) \($0.direction)" }
        #expect(taps == ["p0 ingress", "p1 egress", "cni0 ingress"])
        #expect(harness.drops == [.netfilterDrop])
        // Between the pods themselves the copy is not for the node.
        harness.clear()
        harness.receive(
            PacketBuilder(a2, "10.1.0.3", a1, "10.1.0.2").udp(from: 5, to: 6), on: ports[1])
        #expect(harness.taps.map { "\($0.link) \($0.direction)" } == ["p1 ingress", "p0 egress", "cni0 ingress"])
        #expect(harness.drops == [.otherHost])
    }
}
