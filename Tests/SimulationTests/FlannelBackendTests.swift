// flannel's backends on a node: devices, addresses and routes as flanneld leaves them, and what packets make of them;
// VXLAN over IPv6 octet by octet where it differs from IPv4; the nftables rules beside the iptables ones.

import Addressing
import Kubernetes
import Netstack
import Testing

@testable import Simulation

@Suite("flannel backends")
struct FlannelBackendTests {
    private static func flannel(_ backend: String, more: String = "") -> String {
        """
        ---
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
        data:
          cni-conf.json: |
            {"name": "cbr0", "cniVersion": "0.3.1", "plugins": [{"type": "flannel",
             "delegate": {"hairpinMode": true, "isDefaultGateway": true}}]}
          net-conf.json: |
            {"Network": "10.244.0.0/16"\(more), "Backend": \(backend)}

        """
    }

    private static let ipv6 = #", "EnableIPv6": true, "IPv6Network": "fd00:244::/56""#

    /// Two nodes with a pod each, in both families.
    private static func dualStack(_ backend: String, more: String = "") -> String {
        let nodes = (1...2).map { number in
            """
            ---
            apiVersion: v1
            kind: Node
            metadata: {name: n\(number)}
            spec: {podCIDRs: [10.244.\(number).0/24, "fd00:244:0:\(number)::/64"]}
            status: {addresses: [{type: InternalIP, address: 192.168.50.1\(number)}, {type: InternalIP, address: "fd00:50::1\(number)"}]}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: p\(number)}
            spec: {nodeName: n\(number), containers: [{name: c, image: i, ports: [{containerPort: 8080}, {containerPort: 7, protocol: UDP}]}]}

            """
        }
        return nodes.joined() + flannel(backend, more: ipv6 + more)
    }

    struct Row: CustomTestStringConvertible, Sendable {
        let backend: String
        let device: String?
        let podMTU: Int
        let routes: [String]
        var testDescription: String { backend }
    }

    static let rows = [
        Row(
            backend: #"{"Type": "vxlan"}"#, device: "flannel.1", podMTU: 1450,
            routes: [
                "10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
                "fd00:244:0:1:: dev flannel-v6.1 proto kernel metric 256 pref medium",
                "fd00:244:0:2::/64 via fd00:244:0:2:: dev flannel-v6.1 metric 1024 onlink pref medium",
            ]),
        Row(
            backend: #"{"Type": "vxlan", "DirectRouting": true}"#, device: "flannel.1", podMTU: 1450,
            routes: [
                "10.244.2.0/24 via 192.168.50.12 dev eth0",
                "fd00:244:0:1:: dev flannel-v6.1 proto kernel metric 256 pref medium",
                "fd00:244:0:2::/64 via fd00:50::12 dev eth0 metric 1024 pref medium",
            ]),
        Row(
            backend: #"{"Type": "host-gw"}"#, device: nil, podMTU: 1500,
            routes: [
                "10.244.2.0/24 via 192.168.50.12 dev eth0",
                "fd00:244:0:2::/64 via fd00:50::12 dev eth0 metric 1024 pref medium",
            ]),
        Row(
            backend: #"{"Type": "ipip"}"#, device: "flannel.ipip", podMTU: 1480,
            routes: ["10.244.2.0/24 via 192.168.50.12 dev flannel.ipip onlink"]),
        Row(
            backend: #"{"Type": "ipip", "DirectRouting": true}"#, device: "flannel.ipip", podMTU: 1480,
            routes: ["10.244.2.0/24 via 192.168.50.12 dev eth0 onlink"]),
        Row(
            backend: #"{"Type": "udp"}"#, device: "flannel0", podMTU: 1472,
            routes: ["10.244.0.0/16 dev flannel0"]),
        Row(
            backend: #"{"Type": "wireguard"}"#, device: "flannel-wg", podMTU: 1420,
            routes: [
                "10.244.0.0/16 dev flannel-wg scope link",
                "fd00:244::/56 dev flannel-wg-v6 metric 1024 pref medium",
                "fd00:244:0:1:: dev flannel-wg-v6 proto kernel metric 256 pref medium",
            ]),
        Row(
            backend: #"{"Type": "wireguard", "Mode": "auto"}"#, device: "flannel-wg", podMTU: 1420,
            routes: [
                "10.244.0.0/16 dev flannel-wg scope link",
                "fd00:244::/56 dev flannel-wg metric 1024 pref medium",
                "fd00:244:0:1:: dev flannel-wg proto kernel metric 256 pref medium",
            ]),
        Row(backend: #"{"Type": "alloc"}"#, device: nil, podMTU: 1500, routes: []),
    ]

    @Test(arguments: rows) func `devices, MTU and routes are the backend's`(_ row: Row) throws {
        var lab = try Lab(Self.dualStack(row.backend))
        let found = lab.simulator.namespaceID(of: .node("n1"))
        let node = lab.simulator.namespace(try #require(found))
        let others = ["lo", "eth0", "cni0"]
        #expect(node.links.first { !others.contains($0.name) && !$0.name.hasPrefix("veth") }?.name == row.device)
        if let name = row.device {
            let device = try #require(node.link(named: name))
            #expect(device.mtu == row.podMTU)
            #expect(device.addresses.first?.interface.description == "10.244.1.0/32")
        }
        #expect(node.link(named: "cni0")?.mtu == row.podMTU)
        let routes = node.mainTable.routes.filter { route in
            let isOwn = route.link.map { ["eth0", "cni0"].contains(node.links[$0.index].name) } ?? false
            return route.gateway != nil && route.prefix.length > 0 || !isOwn
        }
        #expect(routes.map { $0.text { node.links[$0.index].name } }.sorted() == row.routes.sorted())
        // Packets find their way, but with a backend that carries none.
        let trace = try lab.trace("p1", "p2:8080")
        #expect((trace.report.outcome == .answered) == !row.backend.contains("alloc"))
    }

    @Test(arguments: [#"{"Type": "ipip"}"#, #"{"Type": "udp"}"#, #"{"Type": "wireguard"}"#])
    func `a tunnel that is not modelled shows its packets, then the underlay as they are`(backend: String) throws {
        var lab = try Lab(Self.dualStack(backend))
        let trace = try lab.trace("node/n1", "p2:8080")
        #expect(trace.report.outcome == .answered)
        // The tunnel's address is the source, as a real node's would be.
        #expect(trace.seenSource?.address.description == "10.244.1.0")
        let request = try #require(trace.request)
        let onEthernet = try #require(request.hops.firstIndex { $0.place == "n1/eth0" })
        #expect(onEthernet > 0 && request.hops[onEthernet - 1].place.hasPrefix("n1/flannel"))
        #expect(request.hops[onEthernet].headers?.destination.description == "10.244.2.2")
        #expect(!request.isEncapsulated)
    }

    @Test func `VXLAN over IPv6 wraps the frame, and its device is as large as fits`() throws {
        var lab = try Lab(Self.dualStack(#"{"Type": "vxlan"}"#))
        let pod = try #require(lab.simulator.cluster.objects.pods.first { $0.metadata.name == "p2" })
        let address = try #require(pod.status.podIP(.ipv6))
        let trace = try lab.trace("p1", "[\(address)]:8080")
        #expect(trace.report.outcome == .answered)
        let found = lab.simulator.namespaceID(of: .node("n1"))
        let node = lab.simulator.namespace(try #require(found))
        #expect(node.link(named: "flannel-v6.1")?.mtu == 1430)
        let inner = try #require(lab.frames(on: "n1/flannel-v6.1").first { $0.direction == .egress })
        let outer = try #require(lab.frames(on: "n1/eth0").first { $0.octets[12] == 0x86 && $0.octets[20] == 17 })
        #expect(outer.octets.count == inner.octets.count + 70)
        #expect(Array(outer.octets[70...]) == inner.octets)
        // Version, class and label; then the hop limit and both ends.
        #expect(Array(outer.octets[14..<18]) == [0x60, 0, 0, 0])
        #expect(outer.octets[21] == 64)
        #expect(Int(outer.octets[56]) << 8 | Int(outer.octets[57]) == 8472)
        #expect(outer.octets[60] != 0 || outer.octets[61] != 0)
        let hops = try #require(trace.request).hops.map(\.place)
        #expect(hops.contains("n1/flannel-v6.1") && hops.contains("n2/flannel-v6.1"))
    }

    @Test func `with EnableNFTables the rules stand in tables of flannel's own`() throws {
        var lab = try Lab(Self.dualStack(#"{"Type": "vxlan"}"#, more: #", "EnableNFTables": true"#))
        let rules = lab.simulator.rules(of: "n1", family: .ipv4)
        let titles = try #require(rules).nftables.tables.map(\.title)
        #expect(titles == ["ip flannel-ipv4", "ip6 flannel-ipv6"])
        #expect(rules?.iptables.savedText().contains("FLANNEL") == false)
        let ipv6 = lab.simulator.rules(of: "n1", family: .ipv6)
        #expect(ipv6?.iptables.savedText().contains("FLANNEL") == false)
        #expect(try lab.trace("p1", "p2:8080").report.outcome == .answered)
    }

    struct SourceRow: CustomTestStringConvertible, Sendable {
        let source: String
        let destination: String
        let seen: String
        var testDescription: String { "\(source) to \(destination)" }
    }

    @Test(arguments: [
        SourceRow(source: "a1", destination: "host/client:8080", seen: "192.168.50.11"),
        SourceRow(source: "a1", destination: "b1:8080", seen: "10.244.0.2"),
        SourceRow(source: "host/ops", destination: "a1:8080", seen: "192.168.50.101"),
        // The iptables rules masquerade this one.
        SourceRow(source: "host/ops", destination: "b1:8080", seen: "192.168.50.101"),
        SourceRow(source: "host/client", destination: "node/n2:30080", seen: "10.244.1.1"),
    ])
    func `nftables rules let the source of what comes from outside the overlay be`(_ row: SourceRow) throws {
        var lab = try Lab(
            LabManifest.plain + Self.flannel(#"{"Type": "vxlan"}"#, more: #", "EnableNFTables": true"#))
        let trace = try lab.trace(row.source, row.destination)
        #expect(trace.reached != nil)
        #expect(trace.seenSource?.address.description == row.seen)
    }
}
