// What lies between the ends: several clients at once, an underlay that delays or loses frames, ports with names, and
// clusters so large that only what a packet touches is built.

import Addressing
import Kubernetes
import Netstack
import Testing

@testable import Simulation

@Suite struct NetworkConditionTests {
    private func underlay(_ spec: String) -> String {
        """
        ---
        apiVersion: podnet.dev/v1alpha1
        kind: Underlay
        metadata: {name: default}
        spec: {\(spec)}

        """
    }

    @Test func `two clients at once both get their answer`() throws {
        var lab = try Lab(LabManifest.plain)
        let first = lab.simulator.start(try lab.request("a1", "svc/on-b1:80"))
        let second = lab.simulator.start(try lab.request("a2", "svc/on-b1:80"))
        let third = lab.simulator.start(try lab.request("a1", "svc/on-b1:80"))
        lab.simulator.runUntilQuiet()
        let reports = [first, second, third].map { lab.simulator.flows[$0] }
        #expect(reports.map(\.outcome) == [.answered, .answered, .answered])
        #expect(Set(reports.compactMap(\.local)).count == 3)
        #expect(reports.allSatisfy { $0.response.starts(with: Array("HTTP/1.1 200 OK".utf8)) })
    }

    @Test func `an underlay that loses everything leaves the client waiting`() throws {
        var lab = try Lab(LabManifest.plain + underlay("loss: 100%"))
        let trace = try lab.trace("host/client", "node/n1:30080")
        #expect(trace.report.outcome != .answered)
        guard case .dropped(.neighborFailed, _, _) = trace.request?.disposition else {
            Issue.record("\(String(describing: trace.request?.disposition))")
            return
        }
        // What does not touch the underlay is not harmed.
        #expect(try lab.trace("a1", "svc/on-a2:80").report.outcome == .answered)
    }

    @Test func `lost frames are sent again until the request gets through`() throws {
        var answered = 0
        var repeated = 0
        for seed in UInt64(1)...10 {
            var lab = try Lab(LabManifest.plain + underlay("loss: 10%"), seed: seed)
            let trace = try lab.trace("a1", "svc/on-b1:80", timeout: 60_000_000_000)
            if trace.report.outcome == .answered { answered += 1 }
            repeated += trace.retransmissions.count
            let lost = trace.packets.contains { packet in
                if case .dropped(.underlay, _, _) = packet.disposition { return true }
                return false
            }
            #expect(!lost || !trace.retransmissions.isEmpty || trace.report.outcome == .answered, "seed \(seed)")
        }
        #expect(answered == 10)
        #expect(repeated > 0)
    }

    @Test func `the underlay's delay counts once a crossing`() throws {
        func duration(_ delay: String) throws -> Nanoseconds {
            var lab = try Lab(LabManifest.plain + underlay("delay: \(delay)"))
            let report = try lab.trace("a1", "b1:8080").report
            #expect(report.outcome == .answered)
            return report.finished - report.started
        }
        // ARP there and back, SYN, SYN-ACK, request, response, FIN: the client has its answer after three round trips.
        let difference = try duration("1010us") - duration("10us")
        #expect(difference >= 6_000_000 && difference <= 7_000_000, "\(difference)")
    }

    @Test func `subnets that do not overlap are networks of their own`() throws {
        let two = ", podnet.dev/interfaces: \"eth0=192.168.50.11/24,eth1=172.31.5.4/20\""
        let manifest =
            LabManifest.node("n1", "192.168.50.11", "10.244.0.0/24", annotations: two)
            + LabManifest.node("n2", "192.168.50.12", "10.244.1.0/24") + LabManifest.pods + LabManifest.services
                + """
                ---
                apiVersion: podnet.dev/v1alpha1
                kind: Host
                metadata: {name: branch}
                spec: {addresses: [172.31.5.9/20]}

                """
        var lab = try Lab(manifest)
        // Linux answers ARP for any of its addresses on any interface; on one network the client might learn eth1.
        let first = try lab.trace("host/client", "node/n1:30080")
        #expect(first.request?.hops.first { $0.namespace == "n1" }?.place == "n1/eth0")
        #expect(lab.frames(on: "n1/eth1").isEmpty && lab.frames(on: "branch/eth0").isEmpty)
        let second = try lab.trace("host/branch", "172.31.5.4:30080")
        #expect(second.request?.hops.first { $0.namespace == "n1" }?.place == "n1/eth1")
        #expect(first.report.outcome == .answered && second.report.outcome == .answered)
        // A machine in both makes them one.
        let bridge = """
            ---
            apiVersion: podnet.dev/v1alpha1
            kind: Host
            metadata: {name: both}
            spec: {addresses: [172.31.5.8/20, 192.168.50.8/24]}

            """
        var joined = try Lab(manifest + bridge)
        _ = try joined.trace("host/client", "node/n1:30080")
        #expect(!joined.frames(on: "branch/eth0").isEmpty)
    }

    @Test func `a host may be called gateway without being it`() throws {
        let host = """
            ---
            apiVersion: podnet.dev/v1alpha1
            kind: Host
            metadata: {name: gateway}
            spec: {addresses: [192.168.50.44/24], listen: [tcp/80]}

            """
        var lab = try Lab(LabManifest.plain + host)
        #expect(try lab.trace("a1", "host/gateway:80").responseBody == "gateway")
        let outside = try lab.trace("host/gateway", "203.0.113.9:80")
        #expect(outside.request?.hops.compactMap(\.link).count == 2)
        #expect(outside.request?.hops.last?.namespace == "underlay-gateway")
        #expect(outside.report.outcome == .failed(.networkUnreachable))
    }

    @Test func `named target ports differ from pod to pod`() throws {
        let pods = ["one": 8080, "two": 9090].sorted { $0.key < $1.key }.map { name, port in
            """
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: \(name), labels: {app: web}}
            spec:
              nodeName: n2
              containers: [{name: main, image: web, ports: [{name: web, containerPort: \(port)}, {name: meter, containerPort: 9}]}]

            """
        }
        let service = """
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              clusterIP: 10.96.0.10
              selector: {app: web}
              ports: [{name: http, port: 80, targetPort: web}, {name: metrics, port: 81, targetPort: meter}]

            """
        let client = LabManifest.pod("client", "n1", "10.244.0.2", app: "client")
        var lab = try Lab(LabManifest.nodes + client + pods.joined() + service)
        var ports: Set<String> = []
        for _ in 0..<12 {
            let trace = try lab.trace("client", "svc/web:http")
            #expect(trace.report.outcome == .answered)
            ports.insert("\(trace.responseBody):\(trace.reached?.port ?? 0)")
        }
        #expect(ports == ["one:8080", "two:9090"])
        #expect(try lab.trace("client", "svc/web:metrics").reached?.port == 9)
    }

    @Test func `a trace in a large cluster builds the nodes on the way and no other`() throws {
        var objects = ObjectStore()
        objects.clusterConfiguration = ClusterConfiguration(podSubnets: [try #require(IPPrefix("172.16.0.0/12"))])
        for number in 1...500 {
            objects.nodes.insert(Node(metadata: ObjectMeta(name: "node-\(number)")))
        }
        for number in 1...5_000 {
            var pod = Pod(metadata: ObjectMeta(name: "pod-\(number)", namespace: "default"))
            pod.metadata.labels = ["app": "app-\(number % 100)"]
            pod.spec.nodeName = "node-\((number - 1) % 500 + 1)"
            pod.spec.containers = [
                Container(name: "main", image: "web", ports: [ContainerPort(containerPort: 8080)])
            ]
            objects.pods.insert(pod)
        }
        let cluster = try Cluster(realising: objects)
        var simulator = Simulator(cluster)
        simulator.recordEvents()
        #expect(simulator.builtNamespaces.isEmpty)
        let ends = FlowEnds(cluster.objects)
        let target = try ends.destination("pod-400:8080")
        let client = simulator.namespaceID(of: .pod(ObjectKey(namespace: "default", name: "pod-1")))
        let source = try #require(client)
        let trace = simulator.trace(FlowRequest(from: source, to: target.address, port: 8080))
        #expect(trace.report.outcome == .answered)
        #expect(trace.request?.nodes == ["node-1", "node-400"])
        // Two nodes with ten pods each.
        #expect(simulator.builtNamespaces.count == 22)
    }
}
