// Packets through kube-proxy's rules, compared with what a real kernel did with them. Vectors/README.md tells where the
// flows come from.

import Addressing
import Kubernetes
import Testing

@Suite("Flows observed on a real kernel")
struct ObservedFlowTests {
    @Test(
        "Every packet ends as it did there, at every endpoint it could",
        arguments: [
            ("01-clusterip-counts", 78), ("03-nodeport", 89), ("05-lb-source-ranges", 205), ("07-itp-local", 105),
            ("09-session-affinity", 107), ("10-terminating", 101), ("12-masquerade-all-bit", 44),
            ("15-prefix-nolocalhost", 44), ("18-dual-stack", 63), ("23-names", 66), ("26-nodeport-all-addrs", 86),
        ], ["iptables", "nftables"])
    func flows(vector: (name: String, count: Int), mode: String) throws {
        let name = vector.name
        let lines = try vectorText("kube-proxy/\(name)/flows-\(mode).txt").split(separator: "\n")
        #expect(lines.count == vector.count)
        let flows = try lines.map(ObservedFlow.init)
        let node = try LaboratoryNode(
            try ProxyInput(vector: name), mode: mode, podInterface: flows.lazy.compactMap(\.interface).first)
        for flow in flows {
            switch (node.verdict(of: flow), flow.verdict) {
            case (.translated(let seen, let isSticky), .translated(let expected, isSticky: false)):
                // Two dozen probes do not find every one of many endpoints, and of a sticky Service only one.
                let mayMiss = seen.count > 6 || isSticky && expected.count == 1
                #expect(mayMiss ? expected.isSubset(of: seen) : seen == expected, "\(name): \(flow.text)")
            case (let verdict, let expected):
                #expect(verdict == expected, "\(name): \(flow.text)")
            }
        }
    }
}
