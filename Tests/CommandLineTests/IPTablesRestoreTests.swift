// What `podnet rules` prints is what the real iptables-restore takes. Needs root, unshare(1) and iptables; without one
// of them this test fails and says so.

import Foundation
import Testing

@Suite struct IPTablesRestoreTests {
    static let nodes: [(topology: String, node: String)] = [
        ("topologies/clusterip-remote.yaml", "worker-1"), ("topologies/external-policy-local.yaml", "worker-1"),
        ("topologies/no-endpoints.yaml", "worker-1"), ("topologies/multi-port.yaml", "worker-2"),
    ]

    @Test("iptables-restore takes the rules of a node", arguments: nodes)
    func restore(topology: String, node: String) throws {
        try #require(geteuid() == 0, "tests against the kernel's netfilter must run as root")
        let rules = try Program.podnet(["rules", node, "-f", topology])
        #expect(rules.output.contains("KUBE-SERVICES"))
        // Many kernels are built without the module that counts.
        let text = rules.output.replacing(#/\ -m nfacct --nfacct-name  [a-z_]+/#, with: "")
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin:/sbin"
        let result = try Program.run(
            "unshare", ["--net", "iptables-restore", "--test"], input: text, in: "/", environment: ["PATH": path])
        #expect(result.status == 0, "\(result.errors)")
    }
}
