// Links, addresses, routes, neighbors and forwarding entries, compared with what ip and bridge printed for namespaces
// laid out the same way (Data/README.md), and what traffic leaves behind.

import Addressing
import Kubernetes
import Manifests
import Netstack
import Rendering
import Simulation
import Testing

@Suite("Namespace state")
struct NamespaceStateTests {
    private static func mac(_ last: Int) -> MACAddress { MACAddress(rawValue: 0x5e00_0000_0000 + UInt64(last)) }

    private static let outside = LinkPeer(namespace: NamespaceID(9), link: LinkID(1))

    /// The namespace the recordings call `node`.
    private static func node() throws -> NetworkNamespace {
        var node = NetworkNamespace(id: NamespaceID(0), name: "node")
        let eth0 = node.addLink(
            "eth0", kind: .veth(peer: outside), hardwareAddress: MACAddress(rawValue: 0x5254_0000_000b))
        node.addAddress(
            try #require(InterfaceAddress("192.168.50.11/24")), to: eth0, broadcast: IPv4Address("192.168.50.255"))
        node.addRoute(Route(IPPrefix(.any(.ipv4), length: 0), gateway: .v4(192, 168, 50, 1), link: eth0))
        let flannel = node.addVXLAN(
            "flannel.1", hardwareAddress: mac(1), mtu: 1450, vni: 1, local: try #require(IPAddress("192.168.50.11")),
            lower: eth0)
        node.addAddress(try #require(InterfaceAddress("10.244.1.0/32")), to: flannel)
        node.addPermanentNeighbor(.v4(10, 244, 2, 0), lladdr: mac(2), on: flannel)
        node.addForwardingEntry(mac(2), remote: try #require(IPAddress("192.168.50.12")), on: flannel)
        node.addRoute(
            Route(IPPrefix(.v4(10, 244, 2, 0), length: 24), gateway: .v4(10, 244, 2, 0), link: flannel, isOnlink: true))
        let cni0 = node.addBridge("cni0", hardwareAddress: mac(3), mtu: 1450)
        node.addAddress(
            try #require(InterfaceAddress("10.244.1.1/24")), to: cni0, broadcast: IPv4Address("10.244.1.255"))
        for (number, name) in ["veth0a1b2c3d", "vethffff0002"].enumerated() {
            let peer = LinkPeer(namespace: NamespaceID(number + 1), link: LinkID(1))
            let port = node.addLink(name, kind: .veth(peer: peer), hardwareAddress: mac(4 + 2 * number), mtu: 1450)
            node.attach(port, to: cni0, hairpin: true)
        }
        return node
    }

    /// The namespace the recordings call `pod`.
    private static func pod() throws -> NetworkNamespace {
        var pod = NetworkNamespace(id: NamespaceID(1), name: "default/client")
        let eth0 = pod.addLink(
            "eth0", kind: .veth(peer: LinkPeer(namespace: NamespaceID(0), link: LinkID(4))), hardwareAddress: mac(5),
            mtu: 1450)
        pod.addAddress(
            try #require(InterfaceAddress("10.244.1.2/24")), to: eth0, broadcast: IPv4Address("10.244.1.255"))
        return pod
    }

    /// The namespace the recordings call `node2`.
    private static func changedNode() throws -> NetworkNamespace {
        var node = try node()
        let eth0 = LinkID(1)
        node.addRoute(Route(IPPrefix(.v4(10, 1, 0, 0), length: 16), kind: .blackhole, link: nil))
        node.addRoute(Route(IPPrefix(.v4(10, 2, 0, 0), length: 16), kind: .unreachable, link: nil, metric: 50))
        node.addRoute(Route(IPPrefix(.v4(10, 3, 0, 0), length: 16), link: eth0, origin: .static))
        node.addRoute(Route(IPPrefix(.v4(10, 3, 0, 0), length: 24), gateway: .v4(192, 168, 50, 2), link: eth0))
        node.addRoute(Route(IPPrefix(host: .v4(10, 4, 0, 1)), kind: .prohibit, link: nil))
        node.setLink(LinkID(2), up: false)
        node.setLink(LinkID(5), up: false)
        // The kernel takes a downed link's routes away.
        node.removeRoutes { $0.link == LinkID(2) }
        return node
    }

    /// What a command shows of a namespace.
    private static func show(_ command: String, of state: NamespaceState) throws -> String? {
        func text(_ answer: (text: String, json: JSONValue)) -> String { answer.text }
        func json(_ answer: (text: String, json: JSONValue)) -> String { answer.json.compactText() + "\n" }
        switch command {
        case "ip addr": return text(try state.addresses())
        case "ip -j addr": return json(try state.addresses())
        case "ip addr show dev cni0": return text(try state.addresses(dev: "cni0"))
        case "ip link": return text(try state.links())
        case "ip -j link": return json(try state.links())
        case "ip route": return text(try state.routes())
        case "ip -j route": return json(try state.routes())
        case "ip route show dev cni0": return text(try state.routes(dev: "cni0"))
        case "ip neigh show dev flannel.1": return text(try state.neighbors(dev: "flannel.1"))
        case "ip -j neigh": return json(try state.neighbors())
        case "bridge link": return text(try state.bridgePorts())
        case "bridge -d link": return text(try state.bridgePorts(details: true))
        case "bridge -d -j link": return json(try state.bridgePorts(details: true))
        case "bridge fdb": return text(try state.forwardingEntries())
        case "bridge fdb show br cni0": return text(try state.forwardingEntries(bridge: "cni0"))
        case "bridge fdb show dev flannel.1": return text(try state.forwardingEntries(dev: "flannel.1"))
        case "bridge -j fdb show dev flannel.1": return json(try state.forwardingEntries(dev: "flannel.1"))
        default: return nil
        }
    }

    @Test(arguments: [
        "ip addr", "ip -j addr", "ip link", "ip -j link", "ip addr show dev cni0", "bridge link", "bridge -d link",
        "bridge -d -j link", "bridge fdb", "bridge fdb show br cni0", "bridge fdb show dev flannel.1",
        "bridge -j fdb show dev flannel.1", "ip neigh show dev flannel.1", "ip -j neigh", "ip route show dev cni0",
    ])
    func `a node looks as iproute2 showed it`(command: String) throws {
        let state = NamespaceState(try Self.node(), at: 0)
        #expect(try Self.show(command, of: state) == recorded("node: \(command)"))
    }

    @Test(arguments: ["ip addr", "ip -j addr", "ip -j link"])
    func `a pod looks as iproute2 showed it`(command: String) throws {
        let state = NamespaceState(try Self.pod(), at: 0)
        #expect(try Self.show(command, of: state) == recorded("pod: \(command)"))
    }

    @Test(arguments: ["ip route", "ip -j route", "ip link", "bridge link"])
    func `links that are down and routes of every kind look as iproute2 showed them`(command: String) throws {
        let state = NamespaceState(try Self.changedNode(), at: 0)
        #expect(try Self.show(command, of: state) == recorded("node2: \(command)"))
    }

    @Test func `a second address of a subnet is secondary`() throws {
        var node = try Self.node()
        node.addAddress(
            try #require(InterfaceAddress("192.168.50.21/24")), to: LinkID(1),
            broadcast: IPv4Address("192.168.50.255"))
        let answer = try NamespaceState(node, at: 0).addresses(dev: "eth0")
        #expect(answer.text == (try recorded("node2: ip addr show dev eth0")))
        #expect(answer.json.compactText() + "\n" == (try recorded("node2: ip -j addr show dev eth0")))
    }

    @Test func `the local table and the rules are those of a fresh namespace`() throws {
        let state = NamespaceState(try Self.pod(), at: 0)
        let local = """
            local 10.244.1.2 dev eth0 TABLEproto kernel scope host src 10.244.1.2 |
            broadcast 10.244.1.255 dev eth0 TABLEproto kernel scope link src 10.244.1.2 |
            local 127.0.0.0/8 dev lo TABLEproto kernel scope host src 127.0.0.1 |
            local 127.0.0.1 dev lo TABLEproto kernel scope host src 127.0.0.1 |
            broadcast 127.255.255.255 dev lo TABLEproto kernel scope link src 127.0.0.1 |

            """.replacing("|", with: "")
        #expect(try state.routes(table: .local).text == local.replacing("TABLE", with: ""))
        #expect(
            try state.routes(table: .all).text
                == "10.244.1.0/24 dev eth0 proto kernel scope link src 10.244.1.2 \n"
                + local.replacing("TABLE", with: "table local "))
        #expect(
            state.rules().text
                == "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n")
        #expect(
            state.rules().json.compactText()
                == #"[{"priority":0,"src":"all","table":"local"},{"priority":32766,"src":"all","table":"main"},"#
                + #"{"priority":32767,"src":"all","table":"default"}]"#)
    }

    @Test func `a bridge without a port that is up has no carrier`() throws {
        var node = NetworkNamespace(id: NamespaceID(0), name: "node")
        _ = node.addBridge("cni0", hardwareAddress: Self.mac(3))
        #expect(
            try NamespaceState(node, at: 0).links(dev: "cni0").text.hasPrefix(
                "2: cni0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state DOWN mode DEFAULT group"))
    }

    @Test func `a device that is not there is refused in the tool's words`() throws {
        let state = NamespaceState(try Self.pod(), at: 0)
        func message(_ ask: () throws -> Void) -> String? {
            #expect(throws: NamespaceQuestionError.self) { try ask() }?.message
        }
        #expect(message { _ = try state.links(dev: "x") } == "Device \"x\" does not exist.")
        #expect(message { _ = try state.addresses(dev: "x") } == "Device \"x\" does not exist.")
        #expect(message { _ = try state.routes(dev: "x") } == "Cannot find device \"x\"")
        #expect(message { _ = try state.neighbors(dev: "x") } == "Cannot find device \"x\"")
        #expect(message { _ = try state.bridgePorts(dev: "x") } == "Cannot find device \"x\"")
        #expect(message { _ = try state.forwardingEntries(dev: "x") } == "Cannot find device \"x\"")
        #expect(message { _ = try state.forwardingEntries(bridge: "eth0") } == "Cannot find bridge device \"eth0\"")
    }

    @Test func `a flow leaves connections, neighbors and learned addresses`() throws {
        let cluster = try cluster(testFile("../../topologies/clusterip-remote.yaml"))
        var simulator = Simulator(cluster)
        let node = try simulator.place(of: .node("worker-1"))
        let cold = NamespaceState(simulator.namespace(node), at: simulator.now).connections()
        #expect(cold == ("", "conntrack v1.4.7 (conntrack-tools): 0 flow entries have been shown."))

        let client = try simulator.place(of: .pod(ObjectKey(namespace: "default", name: "client")))
        let service = try #require(cluster.objects.services["default", "web"]?.clusterAddresses.first)
        let trace = simulator.trace(FlowRequest(from: client, to: service, port: 80))
        #expect(trace.verdict == .delivered)
        let port = try #require(trace.report.local?.port)
        let state = NamespaceState(simulator.namespace(node), at: simulator.now)
        let (text, summary) = state.connections()
        let lines = text.split(separator: "\n")
        let tcp = try #require(lines.first { $0.hasPrefix("tcp") })
        #expect(tcp.hasPrefix("tcp      6 119 TIME_WAIT src=10.244.1.2 dst=\(service) sport=\(port) dport=80 "))
        #expect(
            tcp.hasSuffix(" src=10.244.2.2 dst=10.244.1.2 sport=8080 dport=\(port) [ASSURED] mark=0 use=1"))
        #expect(summary == "conntrack v1.4.7 (conntrack-tools): \(lines.count) flow entries have been shown.")

        let neighbors = try state.neighbors().text
        #expect(neighbors.contains("10.244.2.0 dev flannel.1 lladdr "))
        let podState = simulator.namespace(client)
        let pod = try #require(podState.link(named: "eth0")).hardwareAddress
        #expect(neighbors.contains("10.244.1.2 dev cni0 lladdr \(pod) DELAY \n"))
        let nodeState = simulator.namespace(node)
        let port0 = try #require(nodeState.links.first { $0.bridge != nil }).name
        #expect(try state.forwardingEntries().text.contains("\n\(pod) dev \(port0) master cni0 \n"))
        #expect(
            try state.forwardingEntries().json.compactText().contains(
                #"{"mac":"\#(pod)","ifname":"\#(port0)","flags":[],"master":"cni0","state":""}"#))
    }

    @Test(arguments: [IPProtocol.udp, .icmp])
    func `a datagram nobody answered is unreplied`(transport: IPProtocol) throws {
        let cluster = try cluster(testFile("../../topologies/cross-node.yaml"))
        var simulator = Simulator(cluster)
        let node = try simulator.place(of: .node("worker-1"))
        let port: UInt16? = transport == .udp ? 99 : nil
        _ = simulator.trace(FlowRequest(from: node, to: .v4(192, 168, 50, 77), port: port, protocol: transport))
        let text = NamespaceState(simulator.namespace(node), at: simulator.now).connections().text
        let line = try #require(text.split(separator: "\n").first)
        let start = transport == .udp ? "udp      17 " : "icmp     1 "
        #expect(line.hasPrefix(start))
        #expect(line.contains(" src=192.168.50.11 dst=192.168.50.77 "))
        #expect(line.contains(transport == .udp ? " dport=99 [UNREPLIED] src=" : " type=8 code=0 id="))
        #expect(line.hasSuffix(" mark=0 use=1"))
        if transport == .icmp {
            #expect(line.contains(" [UNREPLIED] src=192.168.50.77 dst=192.168.50.11 type=0 code=0 id="))
        }
    }
}
