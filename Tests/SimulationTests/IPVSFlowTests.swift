// Flows through nodes whose kube-proxy runs in ipvs mode: the same doors as in iptables mode, and where they differ.
// Expectations follow from the sources of the kernel and kube-proxy: no kernel with IPVS was at hand to record them.

import Addressing
import Kubernetes
import Netstack
import Testing

@testable import Simulation

@Suite struct IPVSFlowTests {
    private static let configuration = """
        ---
        apiVersion: kubeproxy.config.k8s.io/v1alpha1
        kind: KubeProxyConfiguration
        mode: ipvs
        clusterCIDR: 10.244.0.0/16

        """

    private static let more =
        LabManifest.service("sticky", "10.96.0.40", selects: "app: b", more: "sessionAffinity: ClientIP")
        + LabManifest.service("pair", "10.96.0.41", selects: "app: b")
            + """
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: gate}
            spec:
              type: LoadBalancer
              clusterIP: 10.96.0.42
              loadBalancerSourceRanges: [192.168.50.100/32]
              selector: {pod: b1}
              ports: [{port: 80, targetPort: 8080, nodePort: 30084}]
            status: {loadBalancer: {ingress: [{ip: 192.168.60.9}]}}

            """

    @Test func `a virtual server without real servers refuses a packet`() throws {
        var lab = try Lab(
            LabManifest.plain + LabManifest.service("void", "10.96.0.43", selects: "app: nothing") + Self.configuration)
        let found = lab.simulator.namespaceID(of: .node("n1"))
        let report = lab.simulator.send(
            NodePacket(
                ingress: nil, source: try #require(SocketAddress("192.168.50.11:40000")),
                destination: try #require(SocketAddress("10.96.0.43:80")), protocol: .tcp),
            into: try #require(found))
        #expect(report.outcome == .rejected)
        #expect(report.branches.map(\.reject) == [.portUnreachable])
    }

    private static let flannelWithoutMasquerading = """
        ---
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {name: kube-flannel-ds, namespace: kube-flannel}
        spec:
          selector: {matchLabels: {app: flannel}}
          template:
            metadata: {labels: {app: flannel}}
            spec:
              hostNetwork: true
              containers: [{name: kube-flannel, image: flannel, command: [/opt/bin/flanneld], args: [--kube-subnet-mgr]}]

        """

    private func lab() throws -> Lab { try Lab(LabManifest.plain + Self.more + Self.configuration) }

    struct Row: CustomTestStringConvertible, Sendable {
        let source: String
        let destination: String
        var transport = IPProtocol.tcp
        /// `delivered to whom, seen as`, or what the client hears.
        let outcome: String
        var testDescription: String { "\(source) → \(destination) \(transport)" }
    }

    static let rows: [Row] = [
        // A pod to a Service: its source stays, unless it reaches itself.
        Row(source: "a1", destination: "svc/on-a2:80", outcome: "a2 sees 10.244.0.2"),
        Row(source: "a1", destination: "svc/on-b1:80", outcome: "b1 sees 10.244.0.2"),
        Row(source: "a1", destination: "svc/on-a1:80", outcome: "a1 sees 10.244.0.1"),
        Row(source: "a1", destination: "svc/on-b1:7", transport: .udp, outcome: "b1 sees 10.244.0.2"),
        Row(source: "a1", destination: "svc/on-a2:7", transport: .udp, outcome: "a2 sees 10.244.0.2"),
        // A node: its source would be the Service's address, so it is masqueraded.
        Row(source: "node/n1", destination: "svc/on-a2:80", outcome: "a2 sees 10.244.0.1"),
        Row(source: "node/n1", destination: "svc/on-b1:80", outcome: "b1 sees 10.244.0.0"),
        Row(source: "node/n1", destination: "svc/on-b1:7", transport: .udp, outcome: "b1 sees 10.244.0.0"),
        // A machine as the real server: this one, and another, to which flannel masquerades.
        Row(source: "a1", destination: "svc/api-n1:443", outcome: "n1 sees 10.244.0.2"),
        Row(source: "a1", destination: "svc/api-n2:443", outcome: "n2 sees 192.168.50.11"),
        Row(source: "node/n1", destination: "svc/api-n1:443", outcome: "n1 sees 192.168.50.11"),
        // From outside.
        Row(source: "host/client", destination: "192.168.50.11:30080", outcome: "b1 sees 10.244.0.0"),
        Row(source: "host/client", destination: "192.168.50.12:30080", outcome: "b1 sees 10.244.1.1"),
        Row(source: "host/client", destination: "192.168.50.11:30083", outcome: "a2 sees 10.244.0.1"),
        Row(source: "host/ops", destination: "10.96.0.10:80", outcome: "b1 sees 10.244.0.0"),
        Row(source: "host/ops", destination: "192.168.60.5:80", outcome: "b1 sees 10.244.0.0"),
        // Policy Local: kept source where the endpoint is.
        Row(source: "host/client", destination: "192.168.50.12:30081", outcome: "b1 sees 192.168.50.100"),
        // Nobody behind it: the kernel itself says no.
        Row(source: "a1", destination: "svc/nobody:80", outcome: "ECONNREFUSED"),
        Row(source: "a1", destination: "svc/nobody:7", transport: .udp, outcome: "ECONNREFUSED"),
        Row(source: "node/n1", destination: "svc/nobody:80", outcome: "ECONNREFUSED"),
        Row(source: "host/client", destination: "192.168.50.11:30082", outcome: "ECONNREFUSED"),
        Row(source: "a1", destination: "svc/inside:80", outcome: "ECONNREFUSED"),
        // Another port of a Service's address, and ping: refused, where iptables mode lets them go nowhere.
        Row(source: "a1", destination: "10.96.0.10:81", outcome: "ECONNREFUSED"),
        Row(source: "a1", destination: "10.96.0.10", transport: .icmp, outcome: "ECONNREFUSED"),
        // Node ports do not exist on loopback.
        Row(source: "node/n1", destination: "127.0.0.1:30080", outcome: "ECONNREFUSED"),
        // Pods among themselves.
        Row(source: "a1", destination: "b1:8080", outcome: "b1 sees 10.244.0.2"),
        Row(source: "a1", destination: "a2:8080", outcome: "a2 sees 10.244.0.2"),
    ]

    @Test("Services answer through IPVS", arguments: rows)
    func flows(row: Row) throws {
        var lab = try lab()
        let trace = try lab.trace(row.source, row.destination, row.transport)
        let outcome: String
        switch trace.report.outcome {
        case .answered:
            var server = ""
            if case .delivered(let namespace) = trace.request?.disposition { server = namespace }
            let name = server.split(separator: "/").last ?? ""
            outcome = "\(name) sees \(trace.seenSource.map { "\($0.address)" } ?? "nobody")"
        case .failed(let error): outcome = error.rawValue
        case .timedOut, nil: outcome = "timed out"
        }
        #expect(outcome == row.outcome, "\(String(describing: trace.request))")
    }

    @Test func `Policy Local without a local endpoint leads to a remote one`() throws {
        // flannel masquerades what comes from outside and goes to another node's pods, so the answer comes back.
        var lab = try lab()
        let masqueraded = try lab.trace("host/client", "192.168.50.11:30081")
        #expect(masqueraded.reached == SocketAddress("10.244.1.2:8080"))
        #expect(masqueraded.seenSource?.address == IPAddress("10.244.0.0"))
        #expect(masqueraded.report.outcome == .answered)
        // Without that the client's address stays, and the answer goes to the client straight from the other node.
        var plain = try Lab(LabManifest.hostGateway + Self.more + Self.configuration + Self.flannelWithoutMasquerading)
        let kept = try plain.trace("host/client", "192.168.50.11:30081", timeout: 1_500_000_000)
        #expect(kept.reached == SocketAddress("10.244.1.2:8080"))
        #expect(kept.seenSource?.address == IPAddress("192.168.50.100"))
        #expect(kept.report.outcome == .timedOut)
    }

    @Test func `Connections go to the endpoints in turn; a client with affinity keeps its own`() throws {
        var lab = try lab()
        var servers: [String: [String]] = [:]
        for name in ["pair", "sticky"] {
            for _ in 0..<3 {
                let trace = try lab.trace("a1", "svc/\(name):80")
                servers[name, default: []].append(trace.reached.map { "\($0.address)" } ?? "none")
            }
        }
        #expect(servers["pair"] == ["10.244.1.2", "10.244.1.3", "10.244.1.2"])
        #expect(servers["sticky"] == ["10.244.1.2", "10.244.1.2", "10.244.1.2"])
    }

    @Test func `Source ranges: who is in them passes, others are dropped, the node too`() throws {
        var lab = try lab()
        // The lab's client has no route there; what stands behind n1 counts.
        let other = try lab.trace("host/ops", "192.168.60.9:80", timeout: 1_500_000_000)
        #expect(other.report.outcome == .timedOut && other.reached == nil)
        let node = try lab.trace("node/n1", "192.168.60.9:80", timeout: 1_500_000_000)
        #expect(node.report.outcome == .timedOut)
        guard case .dropped(.netfilterDrop, _, let rule?) = node.request?.disposition else {
            Issue.record("\(String(describing: node.request))")
            return
        }
        #expect(
            rule.text
                == "-A KUBE-IPVS-OUT-FILTER -s 192.168.60.9/32 -m ipvs --vproto 6 --vaddr 192.168.60.9 --vport 80 -j DROP"
        )
    }

    @Test func `The node holds what kube-proxy made, for either family`() throws {
        var lab = try lab()
        let made = lab.simulator.virtualServers(of: "n1", family: .ipv4)
        #expect(made?.servers.savedText().contains("-a -t 10.244.0.0:30080 -r 10.244.1.2:8080 -m -w 1") == true)
        #expect(made?.sets.count == 17)
        let nothing = lab.simulator.virtualServers(of: "n1", family: .ipv6)
        #expect(nothing?.servers.isEmpty == true && nothing?.sets.first?.name == "KUBE-6-CLUSTER-IP")
        let rules = lab.simulator.ruleset(of: "n1", family: .ipv6)?.savedText()
        #expect(rules?.contains("-A KUBE-SERVICES -s ::1/128 -j RETURN") == true)
        let place = lab.simulator.namespaceID(of: .node("n1"))
        let node = try #require(place)
        let lenient = lab.simulator.namespace(node).sysctls
        #expect(lenient.arpIgnore == 0 && lenient.arpAnnounce == 0)
        let strict = Self.configuration + "ipvs: {strictARP: true}\n"
        var strictLab = try Lab(LabManifest.plain + strict)
        let sysctls = strictLab.simulator.namespace(node).sysctls
        #expect(sysctls.arpIgnore == 1 && sysctls.arpAnnounce == 2 && sysctls.virtualServersUseTracking)
        #expect(!sysctls.routeLocalnet)
        var plain = try Lab(LabManifest.plain)
        let none = plain.simulator.virtualServers(of: "n1", family: .ipv4)
        #expect(none == nil)
    }
}
