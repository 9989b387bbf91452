// One packet into one node, every endpoint of a Service, every door, and what kube-proxy tells load balancers: the
// questions about Services that are asked beside a trace.

import Addressing
import Kubernetes
import Netstack
import Testing

@testable import Simulation

@Suite struct ServiceQuestionTests {
    /// A Service with three endpoints on two nodes and all doors, and Services that refuse or drop.
    private static let manifest = """
        apiVersion: v1
        kind: Pod
        metadata: {name: a, labels: {app: web}}
        spec: {nodeName: worker-1, containers: [{name: web, ports: [{containerPort: 8080}]}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: b, labels: {app: web}}
        spec: {nodeName: worker-2, containers: [{name: web, ports: [{containerPort: 8080}]}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: c, labels: {app: web}}
        spec: {nodeName: worker-2, containers: [{name: web, ports: [{containerPort: 8080}]}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web}
        spec:
          type: LoadBalancer
          clusterIP: 10.96.0.10
          externalIPs: [198.51.100.5]
          externalTrafficPolicy: Local
          healthCheckNodePort: 32100
          selector: {app: web}
          ports: [{port: 80, targetPort: 8080, nodePort: 30080}]
        status: {loadBalancer: {ingress: [{ip: 203.0.113.10}]}}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: none}
        spec: {clusterIP: 10.96.0.11, selector: {app: nothing}, ports: [{port: 80}]}
        """

    private func send(
        _ ingress: String?, from source: String, to destination: String, _ transport: IPProtocol = .tcp,
        into node: String = "worker-1"
    ) throws -> NodePacketReport {
        var lab = try Lab(Self.manifest)
        let found = lab.simulator.namespaceID(of: .node(node))
        let id = try #require(found)
        return lab.simulator.send(
            NodePacket(
                ingress: ingress, source: try #require(SocketAddress(source)),
                destination: try #require(SocketAddress(destination)), protocol: transport),
            into: id)
    }

    @Test func `a packet to a cluster IP may go to every endpoint, with the kernel's chances`() throws {
        let report = try send("eth0", from: "192.168.50.100:4000", to: "10.96.0.10:80")
        #expect(report.outcome == .translated && !report.isIncomplete)
        #expect(
            report.endpoints.map(\.address.description) == ["10.244.1.2:8080", "10.244.2.2:8080", "10.244.2.3:8080"])
        #expect(report.endpoints.map { $0.source?.description } == ["10.244.1.1", "10.244.1.0", "10.244.1.0"])
        let third = 715_827_883.0 / 2_147_483_648
        for (endpoint, chance) in zip(report.endpoints, [third, (1 - third) / 2, (1 - third) / 2]) {
            #expect(abs(endpoint.probability - chance) < 1e-12)
        }
        #expect(abs(report.branches.reduce(0) { $0 + $1.probability } - 1) < 1e-12)
    }

    @Test func `a packet has the outcome its rules and routes give it`() throws {
        func outcome(
            _ ingress: String?, _ source: String, _ destination: String, _ transport: IPProtocol = .tcp,
            into node: String = "worker-1"
        ) throws -> NodePacketBranch.Outcome {
            try send(ingress, from: source, to: destination, transport, into: node).outcome
        }
        // A pod of the node, and the node itself, keep to the cluster's endpoints; others to the node's own.
        #expect(try outcome("cni0", "10.244.1.9:1", "203.0.113.10:80") == .translated)
        #expect(try outcome(nil, "192.168.50.11:1", "127.0.0.1:30080") == .translated)
        #expect(try outcome("eth0", "192.0.2.1:1", "192.168.50.10:30080", into: "control-plane") == .dropped)
        #expect(try outcome("eth0", "192.0.2.1:1", "10.96.0.11:80") == .rejected)
        #expect(try outcome("eth0", "192.0.2.1:1", "10.96.0.11:81") == .forwarded)
        #expect(try outcome("eth0", "192.0.2.1:1", "192.168.50.11:22") == .local)
        #expect(try outcome("eth0", "192.0.2.1:1", "192.168.50.11:30080", .udp) == .local)
        #expect(try outcome("eth0", "192.0.2.1:1", "192.168.50.11:30080", .sctp) == .local)
        // A source that is the node's own cannot come in from outside.
        #expect(try outcome("eth0", "192.168.50.11:1", "10.244.1.2:8080") == .dropped)
    }

    @Test func `a packet leaves the node as it was`() throws {
        var lab = try Lab(Self.manifest)
        let found = lab.simulator.namespaceID(of: .node("worker-1"))
        let id = try #require(found)
        let packet = NodePacket(
            ingress: "no-such-link", source: try #require(SocketAddress("10.244.1.9:1")),
            destination: try #require(SocketAddress("10.96.0.10:80")), protocol: .tcp)
        let first = lab.simulator.send(packet, into: id)
        #expect(first.outcome == .translated)
        let node = lab.simulator.namespace(id)
        #expect(node.link(named: "no-such-link") == nil && node.connections.all(at: 0).isEmpty)
        #expect(lab.simulator.send(packet, into: id).endpoints == first.endpoints)
    }

    @Test func `a request is followed to every endpoint, and chance decides nothing else`() throws {
        var lab = try Lab(Self.manifest)
        let request = try lab.request("host/client", "10.96.0.10:80")
        var origin = Simulator(lab.simulator.cluster)
        let node = try lab.request("node/control-plane", "10.96.0.10:80")
        let backends = origin.backends(of: node)
        #expect(backends.map(\.address.address.description) == ["10.244.1.2", "10.244.2.2", "10.244.2.3"])
        #expect(backends.allSatisfy { $0.trace.verdict == .delivered })
        #expect(Set(backends.map { $0.trace.report.local }).count == 1)
        #expect(abs(backends.reduce(0) { $0 + $1.probability } - 1) < 1e-12)
        // A request no rule chooses for goes one way.
        let outside = origin.backends(of: request)
        #expect(outside.count == 1 && outside[0].probability == 1 && outside[0].trace.verdict != .delivered)
    }

    @Test(arguments: [
        ("worker-1", "HTTP/1.1 200 OK", "1"), ("worker-2", "HTTP/1.1 200 OK", "2"),
        ("control-plane", "HTTP/1.1 503 Service Unavailable", "0"),
    ])
    func `kube-proxy tells a load balancer how many endpoints a node has`(
        node: String, status: String, weight: String
    ) throws {
        var lab = try Lab(Self.manifest)
        let trace = try lab.trace("host/client", "node/\(node):32100")
        #expect(trace.responseStatus == status)
        let headers = Dictionary(trace.responseHeaders.map { ($0.name, $0.value) }) { first, _ in first }
        #expect(headers["X-Load-Balancing-Endpoint-Weight"] == weight)
        #expect(headers["Content-Type"] == "application/json" && headers["X-Content-Type-Options"] == "nosniff")
        #expect(trace.responseBody.contains("\t\"localEndpoints\": \(weight),\n"))
    }

    @Test func `every door is tried from every place`() throws {
        let lab = try Lab(Self.manifest)
        let key = ObjectKey(namespace: "default", name: "web")
        var survey = try DoorSurvey(lab.simulator.cluster, services: [key], mode: .iptables, seed: 1)
        let results = survey.results()
        let strays = survey.strayResults()
        // Nothing in this input says which addresses are the Services'.
        #expect(Set((results + strays).map(\.door.kind)) == Set(Door.Kind.allCases).subtracting([.unallocated]))
        #expect(strays.allSatisfy { $0.door.address.description == "10.96.0.10:81" })
        #expect(Set(results.map(\.client.place)) == Set(DoorClient.Place.allCases))
        func result(_ door: Door.Kind, _ node: String, _ place: DoorClient.Place, _ at: String) throws -> DoorResult {
            try #require(
                results.first {
                    $0.door.kind == door && $0.door.node == node && $0.client.place == place && $0.client.node == at
                })
        }
        // externalTrafficPolicy Local: outsiders keep their address, and find no endpoint where there is none.
        let hit = try result(.nodePort, "worker-2", .outside, "")
        #expect(hit.behaviour.keepsSource && hit.behaviour.endpoints.count == 2)
        let miss = try result(.nodePort, "control-plane", .outside, "")
        #expect(miss.behaviour.verdicts == [.dropped] && miss.behaviour.endpoints.isEmpty)
        #expect(miss.reasons.first?.chain == "KUBE-EXTERNAL-SERVICES")
        let balanced = try result(.loadBalancer, "", .outside, "worker-1")
        #expect(balanced.behaviour.endpoints.map(\.description) == ["10.244.1.2:8080"])
        // The node itself reaches all endpoints, but loses its address to the rule that marks it.
        let own = try result(.localhost, "worker-1", .node, "worker-1")
        #expect(own.behaviour.endpoints.count == 3 && !own.behaviour.keepsSource)
        #expect(own.reasons.first?.chain.hasPrefix("KUBE-EXT-") == true)
    }
}
