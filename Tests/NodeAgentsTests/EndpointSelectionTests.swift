// Which endpoints a node uses: policies, draining endpoints, topology hints, and what a slice may say.

import Addressing
import Kubernetes
import NodeAgents
import Testing

@Suite("Endpoint selection")
struct EndpointSelectionTests {
    /// The only port of a Service with these endpoints, changed as the test needs.
    private func port(
        _ endpoints: [Endpoint], _ change: (inout Service) -> Void = { _ in }
    ) throws -> ProxiedServicePort {
        let input = ProxyInput.cluster("10.42.0.0/16", (Service.demo("web", change), endpoints))
        let index = ServiceIndex(services: input.services, endpointSlices: input.endpointSlices, family: .ipv4)
        return try #require(index.ports.first)
    }

    private func addresses(_ positions: [Int], of port: ProxiedServicePort) -> [String] {
        positions.map { port.endpoints[$0].address.description }
    }

    struct Row: CustomTestStringConvertible, Sendable {
        var name: String
        var endpoints: [Endpoint]
        var internalPolicy: TrafficPolicy = .cluster
        var externalPolicy: TrafficPolicy = .cluster
        var zone: String? = "zone-a"
        var cluster: [String]
        var local: [String] = []
        var hasAny = true
        var testDescription: String { name }
    }

    static let rows: [Row] = [
        Row(
            name: "ready endpoints everywhere",
            endpoints: [.at("10.42.1.1", on: "node-a"), .at("10.42.2.1"), .at("10.42.2.2", "dead")],
            cluster: ["10.42.1.1", "10.42.2.1"]),
        Row(
            name: "draining ones only when none is ready",
            endpoints: [.at("10.42.1.1", "draining"), .at("10.42.2.1", "draining"), .at("10.42.2.2", "dead")],
            cluster: ["10.42.1.1", "10.42.2.1"]),
        Row(
            name: "a ready one keeps draining ones out",
            endpoints: [.at("10.42.1.1", "draining"), .at("10.42.2.1")], cluster: ["10.42.2.1"]),
        Row(name: "nothing usable", endpoints: [.at("10.42.1.1", "dead")], cluster: [], hasAny: false),
        Row(
            name: "internal policy Local uses this node only",
            endpoints: [.at("10.42.1.1", on: "node-a"), .at("10.42.2.1")], internalPolicy: .local, cluster: [],
            local: ["10.42.1.1"]),
        Row(
            name: "internal policy Local without local endpoints still has endpoints",
            endpoints: [.at("10.42.2.1")], internalPolicy: .local, cluster: []),
        Row(
            name: "an endpoint on no known node is local nowhere",
            endpoints: [.at("10.42.1.1", on: "")], internalPolicy: .local, cluster: []),
        Row(
            name: "a local draining endpoint serves Local traffic although a remote one is ready",
            endpoints: [.at("10.42.1.1", on: "node-a", "draining"), .at("10.42.2.1")], externalPolicy: .local,
            cluster: ["10.42.2.1"], local: ["10.42.1.1"]),
        Row(
            name: "zone hints on every ready endpoint keep traffic in the zone",
            endpoints: [
                .at("10.42.1.1", zones: ["zone-a"]), .at("10.42.2.1", zones: ["zone-b"]), .at("10.42.3.1", "dead"),
            ], cluster: ["10.42.1.1"]),
        Row(
            name: "one ready endpoint without a hint switches hints off",
            endpoints: [.at("10.42.1.1", zones: ["zone-a"]), .at("10.42.2.1")], cluster: ["10.42.1.1", "10.42.2.1"]),
        Row(
            name: "hints for other zones only are ignored",
            endpoints: [.at("10.42.1.1", zones: ["zone-b"]), .at("10.42.2.1", zones: ["zone-b"])],
            cluster: ["10.42.1.1", "10.42.2.1"]),
        Row(
            name: "a node without a zone ignores zone hints",
            endpoints: [.at("10.42.1.1", zones: ["zone-a"]), .at("10.42.2.1", zones: ["zone-b"])], zone: nil,
            cluster: ["10.42.1.1", "10.42.2.1"]),
        Row(
            name: "node hints come before zone hints",
            endpoints: [
                .at("10.42.1.1", zones: ["zone-a"], nodes: ["node-a"]),
                .at("10.42.2.1", zones: ["zone-a"], nodes: ["node-b"]),
            ], cluster: ["10.42.1.1"]),
        Row(
            name: "node hints for others fall back to the zone",
            endpoints: [
                .at("10.42.1.1", zones: ["zone-a"], nodes: ["node-c"]),
                .at("10.42.2.1", zones: ["zone-b"], nodes: ["node-b"]),
            ], cluster: ["10.42.1.1"]),
        Row(
            name: "draining endpoints are used whatever their hints",
            endpoints: [
                .at("10.42.1.1", "draining", zones: ["zone-a"]), .at("10.42.2.1", "draining", zones: ["zone-b"]),
            ], cluster: ["10.42.1.1", "10.42.2.1"]),
        Row(
            name: "local endpoints ignore hints",
            endpoints: [
                .at("10.42.1.1", on: "node-a", zones: ["zone-b"]), .at("10.42.2.1", zones: ["zone-a"]),
            ], externalPolicy: .local, cluster: ["10.42.2.1"], local: ["10.42.1.1"]),
    ]

    @Test("a node chooses its endpoints as kube-proxy does", arguments: rows)
    func selection(row: Row) throws {
        let port = try port(row.endpoints) { service in
            service.spec.internalTrafficPolicy = row.internalPolicy
            service.spec.externalTrafficPolicy = row.externalPolicy
            if row.externalPolicy == .local {
                service.spec.type = .nodePort
                service.spec.ports[0].nodePort = 30080
            }
        }
        let selection = port.selection(onNode: "node-a", zone: row.zone)
        #expect(addresses(selection.cluster, of: port) == row.cluster)
        #expect(addresses(selection.local, of: port) == row.local)
        #expect(selection.hasAny == row.hasAny)
        #expect(Set(addresses(selection.reachable, of: port)) == Set(row.cluster + row.local))
        #expect(selection.reachable == selection.reachable.sorted())
        #expect(port.selection(onNode: "", zone: nil).local == [])
    }

    @Test("endpoints are sorted by text, not by number")
    func sortedByText() throws {
        let port = try port([.at("10.42.1.9"), .at("10.42.10.1"), .at("10.42.1.100"), .at("10.42.1.10")])
        #expect(
            port.endpoints.map(\.text) == ["10.42.1.100:8080", "10.42.1.10:8080", "10.42.1.9:8080", "10.42.10.1:8080"])
    }

    @Test("absent conditions mean ready")
    func absentConditions() throws {
        let port = try port([Endpoint(addresses: ["10.42.1.1", "10.42.1.2"])])
        #expect(port.endpoints.map(\.text) == ["10.42.1.1:8080"])
        #expect(port.selection(onNode: "node-a", zone: nil).cluster == [0])
    }

    @Test("of two pods with one address the living one counts", arguments: [true, false])
    func sameAddressTwice(livingFirst: Bool) throws {
        let pods: [Endpoint] = [.at("10.42.1.1", on: "node-a"), .at("10.42.1.1", on: "node-b", "draining")]
        let port = try port(livingFirst ? pods : pods.reversed())
        #expect(port.endpoints.map(\.nodeName) == ["node-a"])
    }

    @Test("a slice's port is matched by name and protocol, never by number")
    func matchedByName() throws {
        var input = ProxyInput.cluster("10.42.0.0/16", (.demo(), []))
        func slice(_ name: String, _ ports: [EndpointPort], _ address: String) -> EndpointSlice {
            EndpointSlice(
                metadata: ObjectMeta(
                    name: name, namespace: "demo", labels: [EndpointSlice.serviceNameLabel: "web"]),
                ports: ports, endpoints: [.at(address)])
        }
        input.endpointSlices = [
            slice("a", [EndpointPort(name: "http", port: 8000)], "10.42.1.1"),
            slice("b", [EndpointPort(name: "http", port: 9000)], "10.42.1.2"),
            slice("c", [EndpointPort(name: "other", port: 80)], "10.42.1.3"),
            slice("d", [EndpointPort(name: "http", port: 8000, protocol: .udp)], "10.42.1.4"),
            slice("e", [EndpointPort(name: nil, port: 8000), EndpointPort(name: "http", port: nil)], "10.42.1.5"),
            slice("f", [EndpointPort(name: "http", port: 0)], "10.42.1.6"),
        ]
        let index = ServiceIndex(services: input.services, endpointSlices: input.endpointSlices, family: .ipv4)
        #expect(index.ports.map { $0.endpoints.map(\.text) } == [["10.42.1.1:8000", "10.42.1.2:9000"]])
        #expect(index.endpointCount == 2)
    }

    @Test("Services without a cluster IP of the family, and other proxies' Services, are not looked at")
    func skippedServices() {
        let services: [Service] = [
            .demo("headless", clusterIP: "None"), .demo("pending", clusterIP: ""),
            .demo("name", clusterIP: "10.96.0.2") { $0.spec.type = .externalName },
            .demo("foreign", clusterIP: "10.96.0.3") { $0.metadata.labels[Service.proxyNameLabel] = "other" },
            .demo("six", clusterIP: "fd00::1") { $0.spec.ipFamilies = [.ipv6] },
            .demo("web", clusterIP: "10.96.0.4"),
        ]
        let index = ServiceIndex(services: services, endpointSlices: [], family: .ipv4)
        #expect(index.ports.map(\.name) == ["demo/web:http"])
        let index6 = ServiceIndex(services: services, endpointSlices: [], family: .ipv6)
        #expect(index6.ports.map(\.name) == ["demo/six:http"])
    }

    struct Flags: CustomTestStringConvertible, Sendable {
        var name: String
        var change: @Sendable (inout Service) -> Void
        var accessible = false
        var externalLocal = false
        var usesCluster = true
        var usesLocal = false
        var testDescription: String { name }
    }

    static let flags: [Flags] = [
        Flags(name: "plain", change: { _ in }),
        Flags(name: "external policy Local on a plain ClusterIP", change: { $0.spec.externalTrafficPolicy = .local }),
        Flags(
            name: "internal policy Local", change: { $0.spec.internalTrafficPolicy = .local }, usesCluster: false,
            usesLocal: true),
        Flags(
            name: "external IPs and policy Local",
            change: {
                $0.spec.externalIPs = ["198.51.100.1"]
                $0.spec.externalTrafficPolicy = .local
            }, accessible: true, externalLocal: true, usesLocal: true),
        Flags(
            name: "external IPs of the other family",
            change: {
                $0.spec.externalIPs = ["2001:db8::1"]
                $0.spec.externalTrafficPolicy = .local
            }, externalLocal: true),
        Flags(
            name: "a load balancer without address and node port",
            change: {
                $0.spec.type = .loadBalancer
                $0.spec.externalTrafficPolicy = .local
            }, externalLocal: true),
        Flags(
            name: "a proxied ingress address",
            change: {
                $0.spec.type = .loadBalancer
                $0.loadBalancerIngress = [
                    LoadBalancerIngress(ip: "203.0.113.1", ipMode: "Proxy"),
                    LoadBalancerIngress(hostname: "lb.example"),
                ]
            }),
        Flags(
            name: "an ingress address without mode",
            change: {
                $0.spec.type = .loadBalancer
                $0.loadBalancerIngress = [LoadBalancerIngress(ip: "203.0.113.1")]
            }, accessible: true),
        Flags(
            name: "node port with both policies Local",
            change: {
                $0.spec.type = .nodePort
                $0.spec.ports[0].nodePort = 30080
                $0.spec.externalTrafficPolicy = .local
                $0.spec.internalTrafficPolicy = .local
            }, accessible: true, externalLocal: true, usesLocal: true),
    ]

    @Test("what a Service says decides which endpoints matter", arguments: flags)
    func derivedFlags(row: Flags) throws {
        let port = try port([], row.change)
        #expect(port.isExternallyAccessible == row.accessible)
        #expect(port.isExternalPolicyLocal == row.externalLocal)
        #expect(port.usesClusterEndpoints == row.usesCluster)
        #expect(port.usesLocalEndpoints == row.usesLocal)
    }
}
