// podnet parity finds what kube-proxy's modes are known to do differently, and nothing where they are alike.

import Testing

@Suite struct ParityTests {
    /// A known difference: at a door (empty: any), for a client (empty: any), and the verdicts of iptables, nftables
    /// and ipvs.
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let service: String
        let door: String
        var address = ""
        var client = ""
        let verdicts: [String]
    }

    static let rows = [
        Row(
            testDescription: "node ports on localhost", service: "default/web", door: "localhost", client: "node",
            verdicts: ["delivered", "rejected", "rejected"]),
        Row(
            testDescription: "node ports on a second address", service: "default/web", door: "NodePort",
            address: "192.168.60.11", verdicts: ["delivered", "rejected", "delivered"]),
        Row(
            testDescription: "the node and an external IP without endpoints", service: "default/empty",
            door: "ExternalIP", client: "node", verdicts: ["unreachable", "rejected", "rejected"]),
        Row(
            testDescription: "a source that is not allowed, and no endpoints", service: "default/empty",
            door: "LoadBalancer", client: "outside", verdicts: ["rejected", "dropped", "dropped"]),
        Row(
            testDescription: "policy Local without a local endpoint", service: "default/kept", door: "LoadBalancer",
            client: "outside", verdicts: ["dropped", "dropped", "delivered"]),
        Row(
            testDescription: "an unused port of a cluster IP", service: "default/web", door: "unused port",
            verdicts: ["unreachable", "rejected", "rejected"]),
        Row(
            testDescription: "an unallocated Service address", service: "", door: "unallocated address",
            verdicts: ["unreachable", "dropped", "unreachable"]),
    ]

    static let topology = "topologies/mode-parity.yaml"
    static let report = Result { try JSON(try Program.podnet(["parity", "-f", topology, "-o", "json"]).output) }

    @Test(arguments: rows)
    func `a known difference between the modes is found`(_ row: Row) throws {
        let report = try Self.report.get()
        let found = differences(report).filter { difference in
            (difference["service"]?.text ?? "") == row.service && difference["door"]?.text == row.door
                && (row.address.isEmpty || difference["address"]?.text == row.address)
                && (row.client.isEmpty || difference["client"]?.text == row.client)
        }
        #expect(!found.isEmpty)
        for difference in found { #expect(verdicts(difference) == row.verdicts) }
    }

    @Test func `the document follows its schema, and a difference is exit code 1`() throws {
        #expect(try JSONSchema(named: "parity.schema.json").errors(in: Self.report.get()) == [])
        let result = try Program.podnet(["parity", "-f", Self.topology])
        #expect(result.status == 1 && result.errors == "")
        #expect(result.output.hasSuffix(" clients at doors fare differently under iptables, nftables, ipvs\n"))
    }

    @Test func `what differs in every cluster does not count`() throws {
        let pair = Self.pair(configuration: "clusterCIDR: 10.244.0.0/16")
        let result = try Program.podnet(["parity", "-f", "-"], input: pair)
        #expect(result.status == 0)
        #expect(result.output.contains("unused port"))
        #expect(result.output.hasSuffix("0 of 6 clients at doors fare differently under iptables, nftables, ipvs\n"))
    }

    @Test func `without a detector only IPVS hides a node from the cluster IP's endpoints`() throws {
        let result = try Program.podnet(
            ["parity", "-f", "-", "-o", "json"], input: Self.pair(configuration: #"clusterCIDR: """#))
        let found = differences(try JSON(result.output)).filter { $0["door"]?.text == "ClusterIP" }
        #expect(found.map { $0["client"]?.text } == ["node"])
        let keeps = found.first.map { difference in
            ["iptables", "nftables", "ipvs"].map {
                difference["modes"]?[$0]?["sees"] == .array([.string("10.244.1.0"), .string("192.168.50.11")])
            }
        }
        #expect(keeps == [true, true, false])
    }

    @Test func `a scheduler that keeps clients at one endpoint is a difference`() throws {
        let result = try Program.podnet(
            ["parity", "-f", "-"],
            input: Self.pair(configuration: "clusterCIDR: 10.244.0.0/16\nipvs: {scheduler: sh}"))
        #expect(result.status == 1)
        #expect(result.output.contains("ipvs       delivered   10.244."))
    }

    /// A Service with an endpoint on each of two nodes.
    private static func pair(configuration: String) -> String {
        """
        apiVersion: kubeproxy.config.k8s.io/v1alpha1
        kind: KubeProxyConfiguration
        \(configuration)
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web}
        spec: {clusterIP: 10.96.0.50, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: web-1, labels: {app: web}}
        spec: {nodeName: worker-1, containers: [{name: web, ports: [{containerPort: 8080}]}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: web-2, labels: {app: web}}
        spec: {nodeName: worker-2, containers: [{name: web, ports: [{containerPort: 8080}]}]}
        """
    }

    private func differences(_ report: JSON) -> [JSON] {
        ["differences", "strays"].flatMap { key -> [JSON] in
            if case .array(let list)? = report[key] { list } else { [] }
        }
    }

    private func verdicts(_ difference: JSON) -> [String] {
        ["iptables", "nftables", "ipvs"].map { mode in
            guard case .array(let verdicts)? = difference["modes"]?[mode]?["verdicts"] else { return "" }
            return verdicts.compactMap(\.text).joined(separator: " or ")
        }
    }
}
