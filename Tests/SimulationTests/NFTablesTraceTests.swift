// A cluster whose kube-proxy runs in nftables mode: flows arrive, and traces name table, chain and rule as nft lists
// them, the way through a map included.

import Addressing
import Kubernetes
import Manifests
import Netstack
import Simulation
import Testing

@Suite struct NFTablesTraceTests {
    private static let manifests = """
        apiVersion: kubeproxy.config.k8s.io/v1alpha1
        kind: KubeProxyConfiguration
        mode: nftables
        clusterCIDR: 10.244.0.0/16
        ---
        apiVersion: networking.k8s.io/v1
        kind: ServiceCIDR
        metadata: {name: kubernetes}
        spec: {cidrs: [10.96.0.0/12]}
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec:
          replicas: 3
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 80}]}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web}
        spec: {type: NodePort, selector: {app: web}, clusterIP: 10.96.0.80, ports: [{name: http, port: 80, nodePort: 30080}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: client}
        spec: {containers: [{name: client, image: busybox}]}

        """

    private func cluster() throws -> Simulator {
        let objects = try LoadedManifests.load(text: Self.manifests, name: "cluster.yaml").objects
        return Simulator(try Cluster(realising: objects))
    }

    @Test func `A node holds kube-proxy's tables, and iptables only flannel's and kubelet's rules`() throws {
        var simulator = try cluster()
        let found = simulator.namespaceID(of: .node("worker-1"))
        let id = try #require(found)
        let node = simulator.namespace(id)
        #expect(node.nftables.tables.map(\.title) == ["ip kube-proxy", "ip6 kube-proxy"])
        let saved = node.ruleset.savedText()
        #expect(saved.contains("FLANNEL-POSTRTG") && !saved.contains("KUBE-SERVICES"))
        #expect(!node.sysctls.routeLocalnet)
        #expect(node.nftables.listing().contains("ip daddr 10.96.0.0/12 drop comment"))
        let ipv6 = simulator.ruleset(of: "worker-1", family: .ipv6)
        let agents = ipv6?.tables.flatMap(\.chains).compactMap(\.agent) ?? []
        #expect(Set(agents) == ["kubelet"])
    }

    @Test func `A request to a ClusterIP is answered, and its trace names the way through the map`() throws {
        var simulator = try cluster()
        simulator.recordEvents(rules: true)
        let found = simulator.namespaceID(of: .pod(ObjectKey(namespace: "default", name: "client")))
        let client = try #require(found)
        let trace = simulator.trace(FlowRequest(from: client, to: .v4(10, 96, 0, 80), port: 80))
        #expect(trace.report.outcome == .answered)
        let steps = trace.request?.hops.flatMap(\.steps) ?? []
        var translations: [([String], String)] = []
        for case .translated(.destination, _, _, let rule, let chains) in steps {
            guard let rule else { continue }
            translations.append((chains, rule.text))
            #expect(rule.table == "ip kube-proxy")
            #expect(rule.number == 1)
            #expect(rule.agent == "kube-proxy")
            #expect(rule.chain == chains.last)
        }
        let first = try #require(translations.first)
        #expect(first.0.prefix(2) == ["nat-prerouting", "services"])
        #expect(first.0.count == 3 && first.0[2].hasSuffix("-default/web/tcp/http"))
        #expect(first.1.hasPrefix("meta l4proto tcp dnat ip to numgen random mod 3 map { 0 : 10.244."))
        let tables = steps.compactMap { step -> String? in if case .hook(_, let table) = step { table } else { nil } }
        #expect(tables.contains("ip kube-proxy"))
        let comments = steps.compactMap { step -> String? in
            guard case .rule(let rule, let verdict) = step, verdict != .noMatch, rule.agent == "kube-proxy" else {
                return nil
            }
            return rule.comment
        }
        // The client is a pod: its source is inside the cluster's network.
        #expect(comments == [])
        #expect(translations.count == 1)
    }

    @Test func `An unused port of a ClusterIP is refused, an address nobody has is dropped`() throws {
        var simulator = try cluster()
        let found = simulator.namespaceID(of: .pod(ObjectKey(namespace: "default", name: "client")))
        let client = try #require(found)
        let unused = simulator.run(FlowRequest(from: client, to: .v4(10, 96, 0, 80), port: 81))
        #expect(unused.outcome == .failed(.connectionRefused))
        let unknown = simulator.run(FlowRequest(from: client, to: .v4(10, 96, 7, 7), port: 80))
        #expect(unknown.outcome == .failed(.timedOut) || unknown.outcome == .timedOut)
    }
}
