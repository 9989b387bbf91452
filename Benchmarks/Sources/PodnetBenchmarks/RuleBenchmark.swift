// How rules scale with the number of Services: the time to write and compile one node's rules, and the time of a
// connection's first datagrams through them. The larger cluster has a hundred times the Services; the ratios say
// whether a packet notices.

import Addressing
import Kubernetes
import Manifests
import Netstack
import NodeAgents
import Simulation

struct RuleBenchmark {
    /// Fifteen endpoints behind each.
    let services: Int
    private let cluster: Cluster
    private let client: NamespaceID
    private static let endpoints = 15
    private static let port: UInt16 = 7
    private static let flows = 400

    init(services: Int) throws {
        self.services = services
        var objects = try LoadedManifests.load(paths: ["topologies/udp-echo.yaml"]).objects
        guard let pod = objects.pods["default", "echo"], let service = objects.services["default", "echo"] else {
            throw BenchmarkError("topologies/udp-echo.yaml has no pod and service 'echo'")
        }
        for number in 1..<Self.endpoints {
            var another = pod
            another.metadata.name = "echo-\(number)"
            objects.pods.insert(another)
        }
        for number in 0..<services {
            var another = service
            another.metadata.name = "echo-\(number)"
            another.spec.clusterIP = Self.address(number).description
            another.spec.clusterIPs = [another.spec.clusterIP]
            objects.services.insert(another)
        }
        cluster = try Cluster(realising: objects)
        let simulator = Simulator(cluster)
        let ends = FlowEnds(cluster.objects)
        guard case .pod(let key) = try ends.source("client"), let client = simulator.namespaceID(of: .pod(key)) else {
            throw BenchmarkError("the topology has no pod 'client'")
        }
        self.client = client
    }

    private static func address(_ number: Int) -> IPAddress {
        .v4(10, 96, UInt8(truncatingIfNeeded: 1 + number / 200), UInt8(truncatingIfNeeded: 1 + number % 200))
    }

    /// Milliseconds to write and compile the rules of one node.
    func generation() -> Double {
        guard let node = cluster.objects.nodes.first else { return .nan }
        let start = processorTime()
        let ruleset = KubeProxy.iptablesRuleset(
            services: cluster.objects.services, endpointSlices: cluster.objects.endpointSlices,
            node: NodeView(node, interfaceAddresses: []), configuration: KubeProxyConfiguration(), family: .ipv4)
        var namespace = NetworkNamespace(id: NamespaceID(0), name: node.name)
        namespace.setRuleset(ruleset)
        return (processorTime() - start) * 1000
    }

    /// Microseconds of one flow that is a connection's first datagram and its answer, to Services all over the range.
    func firstPackets() throws -> Double {
        var simulator = Simulator(cluster)
        // Builds the namespaces and asks by ARP.
        for number in 0..<20 { try run(&simulator, to: number) }
        let start = processorTime()
        for number in 0..<Self.flows { try run(&simulator, to: number * 7919 % services) }
        return (processorTime() - start) * 1_000_000 / Double(Self.flows)
    }

    private func run(_ simulator: inout Simulator, to number: Int) throws {
        let request = FlowRequest(from: client, to: Self.address(number), port: Self.port, protocol: .udp)
        guard simulator.run(request).outcome == .answered else {
            throw BenchmarkError("no answer from \(Self.address(number))")
        }
    }
}
