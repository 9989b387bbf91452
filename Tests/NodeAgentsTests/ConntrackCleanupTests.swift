// Which connection tracking entries kube-proxy removes after a sync, made by packets through its own rules before it.

import Addressing
import Kubernetes
import NodeAgents
import Testing
import Wire

@testable import Netstack

@Suite("kube-proxy's cleanup of connection tracking")
struct ConntrackCleanupTests {
    private static let client = "10.42.9.9"
    private static let eth0 = LinkID(1)

    /// A Service with a port of each protocol, at every kind of address, and a second one nobody changes.
    private static func input(_ endpoints: [Endpoint]) -> ProxyInput {
        let dns = Service.demo("dns", clusterIP: "10.96.0.53") { service in
            service.spec.type = .loadBalancer
            service.spec.externalIPs = ["198.51.100.53"]
            service.spec.ports = [
                ServicePort(name: "dns", protocol: .udp, port: 53, nodePort: 30053),
                ServicePort(name: "dns-tcp", protocol: .tcp, port: 53, nodePort: 30054),
            ]
            service.loadBalancerIngress = [LoadBalancerIngress(ip: "203.0.113.53")]
        }
        let other = Service.demo("other", clusterIP: "10.96.0.99") {
            $0.spec.ports = [ServicePort(name: "p", protocol: .udp, port: 99)]
        }
        return .cluster("10.42.0.0/16", (dns, endpoints), (other, [.at("10.42.3.3")]))
    }

    private static func index(_ input: ProxyInput) -> ServiceIndex {
        ServiceIndex(services: input.services, endpointSlices: input.endpointSlices, family: .ipv4)
    }

    /// A node with the rules of `input` that has passed on one packet to `destination`.
    private static func node(
        _ input: ProxyInput, after destination: String, _ transport: IPProtocol = .udp
    ) throws -> NetworkNamespace {
        var node = NetworkNamespace(id: NamespaceID(0), name: "node-a")
        node.addLink("eth0", kind: .ethernet, hardwareAddress: MACAddress(rawValue: 0x0200_0000_0001))
        node.addAddress(try #require(InterfaceAddress("192.168.77.11/24")), to: eth0)
        node.addRoute(Route(IPPrefix(.any(.ipv4), length: 0), link: eth0))
        node.sysctls.ipForward = true
        node.setRuleset(
            KubeProxy.iptablesRuleset(
                services: input.services, endpointSlices: input.endpointSlices,
                node: NodeView(input.node, interfaceAddresses: []), configuration: input.configuration,
                family: .ipv4))
        let end = try #require(SocketAddress(destination))
        let builder = PacketBuilder(
            sourceMAC: MACAddress(rawValue: 0x0200_0000_0002), destinationMAC: MACAddress(rawValue: 0x0200_0000_0001),
            source: try #require(IPAddress(client)), destination: end.address)
        let frame =
            transport == .udp
            ? builder.udp(from: 4000, to: end.port, payload: [1]) : builder.tcp(from: 4000, to: end.port, flags: .syn)
        var context = PathContext(seed: 1)
        let id = context.newPacketID()
        let packet = frame.withUnsafeBytes { context.arena.allocate(copying: $0, id: id) }
        node.receive(packet, on: eth0, &context)
        try #require(node.connections.all(at: 0).count == 1)
        return node
    }

    private static let dns = ObjectKey(namespace: "demo", name: "dns")

    @Test(
        "An entry goes when its endpoint serves no longer, by whatever door it came",
        arguments: ["10.96.0.53:53", "198.51.100.53:53", "203.0.113.53:53", "192.168.77.11:30053"])
    func goneEndpoint(door: String) throws {
        let before = Self.input([.at("10.42.1.1")])
        var node = try Self.node(before, after: door)
        let stays = Self.index(Self.input([.at("10.42.1.1"), .at("10.42.2.2")]))
        let replaced = Self.index(Self.input([.at("10.42.2.2")]))
        let cleanups = [stays, replaced].map {
            ConntrackCleanup(after: $0, before: Self.index(before), endpointsChanged: [Self.dns])
        }
        #expect(cleanups[0]?.run(on: &node) == 0)
        #expect(cleanups[1]?.run(on: &node) == 1)
        #expect(node.connections.all(at: 0).isEmpty)
    }

    @Test(
        "Every serving endpoint counts, ready or not, terminating or not",
        arguments: [("ready", 0), ("draining", 0), ("dead", 1)])
    func states(state: String, removed: Int) throws {
        let before = Self.input([.at("10.42.1.1")])
        var node = try Self.node(before, after: "10.96.0.53:53")
        let after = Self.index(Self.input([.at("10.42.1.1", state), .at("10.42.2.2")]))
        let cleanup = ConntrackCleanup(after: after, before: Self.index(before), endpointsChanged: [Self.dns])
        #expect(cleanup?.run(on: &node) == removed)
    }

    @Test func `An entry made while there was no endpoint goes once there is one`() throws {
        let before = Self.input([])
        // Nothing rejects what comes from outside to an external address by FORWARD but the rules for it.
        var node = try Self.node(Self.input([.at("10.42.1.1")]), after: "10.96.7.7:30053")
        let after = Self.index(Self.input([.at("10.42.1.1")]))
        let cleanup = ConntrackCleanup(after: after, before: Self.index(before), endpointsChanged: [Self.dns])
        // The node port's number is enough, on whatever address.
        #expect(cleanup?.run(on: &node) == 1)
    }

    @Test func `Entries of a port nobody serves are left alone`() throws {
        let before = Self.input([.at("10.42.1.1")])
        var node = try Self.node(before, after: "10.96.0.53:53")
        let after = Self.index(Self.input([.at("10.42.1.1", "dead")]))
        let cleanup = ConntrackCleanup(after: after, before: Self.index(before), endpointsChanged: [Self.dns])
        #expect(cleanup?.run(on: &node) == 0)
    }

    @Test func `TCP is never touched`() throws {
        let before = Self.input([.at("10.42.1.1")])
        var node = try Self.node(before, after: "10.96.0.53:53", .tcp)
        let after = Self.index(Self.input([.at("10.42.2.2")]))
        let cleanup = ConntrackCleanup(after: after, before: Self.index(before), endpointsChanged: [Self.dns])
        #expect(cleanup?.run(on: &node) == 0)
    }

    @Test func `Other destinations are left alone`() throws {
        let before = Self.input([.at("10.42.1.1")])
        let after = Self.index(Self.input([.at("10.42.2.2")]))
        let cleanup = ConntrackCleanup(after: after, before: Self.index(before), endpointsChanged: [Self.dns])
        for destination in ["10.96.0.99:99", "10.96.0.53:54", "8.8.8.8:53"] {
            var node = try Self.node(before, after: destination)
            #expect(cleanup?.run(on: &node) == 0, "\(destination)")
        }
    }

    @Test func `Nothing happens unless endpoints of a Service with a UDP port changed`() {
        let before = Self.input([.at("10.42.1.1")])
        let (old, new) = (Self.index(before), Self.index(Self.input([.at("10.42.2.2")])))
        #expect(ConntrackCleanup(after: new, before: old, endpointsChanged: []) == nil)
        var onlyTCP = before
        for service in onlyTCP.services.indices {
            onlyTCP.services[service].spec.ports.removeAll { $0.protocol == .udp }
        }
        let none = Self.index(onlyTCP)
        #expect(ConntrackCleanup(after: none, before: none, endpointsChanged: [Self.dns]) == nil)
        // A port that was UDP before the change counts too.
        #expect(ConntrackCleanup(after: none, before: old, endpointsChanged: [Self.dns]) != nil)
    }
}
