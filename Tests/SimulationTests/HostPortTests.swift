// Who reaches a pod by a port of its node, and as whom it is seen there. One row for each way in.

import Addressing
import Netstack
import Testing

@testable import Simulation

@Suite("hostPorts")
struct HostPortTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let source: String
        let destination: String
        let transport: IPProtocol
        let seen: String?
        init(_ source: String, _ destination: String, _ transport: IPProtocol = .tcp, sees seen: String?) {
            (self.source, self.destination, self.transport, self.seen) = (source, destination, transport, seen)
        }
        var testDescription: String { "\(source) to \(transport) \(destination)" }
    }

    static let manifest =
        LabManifest.plain + """
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: held}
            spec:
              nodeName: n1
              containers:
              - name: main
                image: web
                ports:
                - {containerPort: 8080, hostPort: 8088}
                - {containerPort: 7, hostPort: 8007, protocol: UDP}
                - {containerPort: 8081, hostPort: 8089, hostIP: 127.0.0.1}
            status: {podIP: 10.244.0.9}

            """

    static let rows = [
        Row("host/client", "node/n1:8088", sees: "192.168.50.100"),
        Row("host/client", "node/n1:8007", .udp, sees: "192.168.50.100"),
        // Of pods of the node the answer would go past it, so they are masqueraded.
        Row("a1", "node/n1:8088", sees: "10.244.0.1"),
        Row("a1", "node/n1:8007", .udp, sees: "10.244.0.1"),
        Row("held", "node/n1:8088", sees: "10.244.0.1"),
        // flannel masquerades on the other node.
        Row("b1", "node/n1:8088", sees: "192.168.50.12"),
        Row("node/n2", "node/n1:8088", sees: "192.168.50.12"),
        Row("node/n1", "node/n1:8088", sees: "192.168.50.11"),
        Row("node/n1", "127.0.0.1:8088", sees: "10.244.0.1"),
        Row("node/n1", "127.0.0.1:8089", sees: "10.244.0.1"),
        // A hostIP keeps the port from other addresses, and other nodes have none of it.
        Row("host/client", "node/n1:8089", sees: nil),
        Row("host/client", "node/n2:8088", sees: nil),
    ]

    @Test(arguments: rows) func `the pod sees`(_ row: Row) throws {
        for manifest in [Self.manifest, Self.manifest + Self.nftables] {
            var lab = try Lab(manifest)
            let trace = try lab.trace(row.source, row.destination, row.transport)
            guard let seen = row.seen else {
                #expect(trace.report.outcome != .answered)
                continue
            }
            #expect(trace.report.outcome == .answered)
            #expect(trace.reached?.address.description == "10.244.0.9")
            #expect(trace.seenSource?.address.description == seen)
        }
    }

    /// Without kube-proxy's route_localnet the bridge has its own.
    static let nftables = """
        ---
        apiVersion: kubeproxy.config.k8s.io/v1alpha1
        kind: KubeProxyConfiguration
        mode: nftables
        clusterCIDR: 10.244.0.0/16

        """

    @Test func `the rules that lead there are portmap's`() throws {
        var lab = try Lab(Self.manifest)
        let trace = try lab.trace("host/client", "node/n1:8088")
        let chains = try #require(trace.request).hops.flatMap(\.steps).compactMap { step -> String? in
            guard case .translated(_, _, _, let rule, _) = step else { return nil }
            return rule.map { "\($0.agent ?? "") \($0.chain.prefix(7))" }
        }
        #expect(chains == ["portmap CNI-DN-"])
    }
}
