// Which address the server sees, for every way a request can take, and where flannel and kube-proxy masquerade. The
// rows are measurements of a real kernel with real rules.

import Addressing
import Netstack
import Simulation
import Testing

@Suite struct SourceAddressTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let source: String
        let destination: String
        let server: String
        let seen: String
        let keepsPort: Bool
        /// The chain whose rule translated the source, if one did.
        let chain: String?
        var testDescription: String { "\(source) → \(destination)" }

        init(_ source: String, _ destination: String, _ server: String, sees seen: String, by chain: String? = nil) {
            self.source = source
            self.destination = destination
            self.server = server
            self.seen = seen
            keepsPort = chain == nil
            self.chain = chain
        }
    }

    static let proxy = "KUBE-POSTROUTING"
    static let flannel = "FLANNEL-POSTRTG"

    static let overlay: [Row] = [
        // A pod keeps its address on the way to a pod or a cluster IP, on any node.
        Row("a1", "a2:8080", "default/a2 10.244.0.3:8080", sees: "10.244.0.2"),
        Row("a1", "b1:8080", "default/b1 10.244.1.2:8080", sees: "10.244.0.2"),
        Row("a1", "svc/on-a2:80", "default/a2 10.244.0.3:8080", sees: "10.244.0.2"),
        Row("a1", "svc/on-b1:80", "default/b1 10.244.1.2:8080", sees: "10.244.0.2"),
        // Hairpin: the bridge's address.
        Row("a1", "svc/on-a1:80", "default/a1 10.244.0.2:8080", sees: "10.244.0.1", by: proxy),
        // A node: the address of the device the packet leaves by.
        Row("node/n1", "svc/on-a2:80", "default/a2 10.244.0.3:8080", sees: "10.244.0.1", by: proxy),
        Row("node/n1", "svc/on-b1:80", "default/b1 10.244.1.2:8080", sees: "10.244.0.0", by: proxy),
        Row("node/n1", "a1:8080", "default/a1 10.244.0.2:8080", sees: "10.244.0.1"),
        Row("node/n1", "b1:8080", "default/b1 10.244.1.2:8080", sees: "10.244.0.0"),
        Row("node/n3", "b1:8080", "default/b1 10.244.1.2:8080", sees: "10.244.2.0"),
        // A node port, from outside.
        Row("host/client", "node/n2:30080", "default/b1 10.244.1.2:8080", sees: "10.244.1.1", by: proxy),
        Row("host/client", "node/n1:30080", "default/b1 10.244.1.2:8080", sees: "10.244.0.0", by: proxy),
        Row("host/client", "node/n3:30080", "default/b1 10.244.1.2:8080", sees: "10.244.2.0", by: proxy),
        Row("host/client", "node/n2:30081", "default/b1 10.244.1.2:8080", sees: "192.168.50.100"),
        // A node port, from a pod: of its own node, of another one (flannel first, then kube-proxy there).
        Row("a1", "node/n1:30080", "default/b1 10.244.1.2:8080", sees: "10.244.0.0", by: proxy),
        Row("a1", "node/n2:30080", "default/b1 10.244.1.2:8080", sees: "10.244.1.1", by: proxy),
        // Pods take the short way past externalTrafficPolicy Local.
        Row("a1", "node/n1:30081", "default/b1 10.244.1.2:8080", sees: "10.244.0.2"),
        // A node's own node ports, by its address and by loopback.
        Row("node/n1", "node/n1:30081", "default/b1 10.244.1.2:8080", sees: "10.244.0.0", by: proxy),
        Row("node/n1", "127.0.0.1:30080", "default/b1 10.244.1.2:8080", sees: "10.244.0.0", by: proxy),
        // A Service in front of a machine: the own node takes the packet in, another one is outside for flannel.
        Row("a1", "svc/api-n1:443", "n1 192.168.50.11:6443", sees: "10.244.0.2"),
        Row("a1", "svc/api-n2:443", "n2 192.168.50.12:6443", sees: "192.168.50.11", by: flannel),
        // Outside.
        Row("a1", "host/client:8080", "client 192.168.50.100:8080", sees: "192.168.50.11", by: flannel),
        Row("a1", "node/n2:6443", "n2 192.168.50.12:6443", sees: "192.168.50.11", by: flannel),
        Row("a1", "node/n1:6443", "n1 192.168.50.11:6443", sees: "10.244.0.2"),
        // A machine outside with routes to the cluster.
        Row("host/ops", "10.96.0.10:80", "default/b1 10.244.1.2:8080", sees: "10.244.0.0", by: proxy),
        Row("host/ops", "192.168.60.5:80", "default/b1 10.244.1.2:8080", sees: "10.244.0.0", by: proxy),
        Row("host/ops", "a1:8080", "default/a1 10.244.0.2:8080", sees: "192.168.50.101"),
        Row("host/far", "a1:8080", "default/a1 10.244.0.2:8080", sees: "10.244.1.0", by: flannel),
    ]

    static let hostGateway: [Row] = [
        Row("a1", "svc/on-b1:80", "default/b1 10.244.1.2:8080", sees: "10.244.0.2"),
        Row("node/n1", "svc/on-b1:80", "default/b1 10.244.1.2:8080", sees: "192.168.50.11", by: proxy),
        // Without flannel.1 the node's own address is foreign to flannel's rules: the same address, another port.
        Row("node/n1", "b1:8080", "default/b1 10.244.1.2:8080", sees: "192.168.50.11", by: flannel),
        Row("host/client", "node/n1:30080", "default/b1 10.244.1.2:8080", sees: "192.168.50.11", by: proxy),
        Row("host/client", "node/n2:30081", "default/b1 10.244.1.2:8080", sees: "192.168.50.100"),
    ]

    @Test(arguments: overlay)
    func `over VXLAN the server sees`(_ row: Row) throws { try check(row, LabManifest.plain) }

    @Test(arguments: hostGateway)
    func `with host-gw the server sees`(_ row: Row) throws { try check(row, LabManifest.hostGateway) }

    private func check(_ row: Row, _ manifest: String) throws {
        var lab = try Lab(manifest)
        let trace = try lab.trace(row.source, row.destination)
        #expect(trace.report.outcome == .answered)
        let request = try #require(trace.request)
        guard case .delivered(let place) = request.disposition, let reached = trace.reached else {
            Issue.record("the request ended otherwise: \(request.disposition)")
            return
        }
        #expect("\(place) \(reached)" == row.server)
        let seen = try #require(trace.seenSource)
        #expect(seen.address.description == row.seen)
        let own = try #require(trace.report.local)
        if row.keepsPort {
            #expect(seen.port == own.port)
        } else {
            // --random-fully draws from 1024 on; equal ports would be a chance of 1 in 64,000.
            #expect(seen.port != own.port && seen.port >= 1024)
        }
        let chains = request.hops.flatMap(\.steps).compactMap { step -> String? in
            guard case .translated(.source, _, _, let rule, _) = step else { return nil }
            return rule?.chain
        }
        #expect(chains.last == row.chain)
        // The client hears from whom it asked. What a node hears is translated behind its last tap.
        guard !row.source.hasPrefix("node/") else { return }
        let answer = try #require(trace.reply?.last)
        #expect(answer.source == trace.report.request.destination)
        #expect(answer.destination == own.address && answer.destinationPort == own.port)
    }

    @Test func `a pod that asks another node's port is masqueraded by both nodes`() throws {
        var lab = try Lab(LabManifest.plain)
        let request = try #require(try lab.trace("a1", "node/n2:30080").request)
        let changes = request.hops.flatMap { hop in
            hop.steps.compactMap { step -> String? in
                guard case .translated(.source, let from, let to, let rule, _) = step else { return nil }
                return "\(hop.namespace) \(rule?.chain ?? "") \(from.address) → \(to.address)"
            }
        }
        #expect(
            changes == [
                "n1 FLANNEL-POSTRTG 10.244.0.2 → 192.168.50.11", "n2 KUBE-POSTROUTING 192.168.50.11 → 10.244.1.1",
            ])
    }

    @Test func `an address of the cluster network that no node has leaves with the pod's own source`() throws {
        var lab = try Lab(LabManifest.plain)
        let trace = try lab.trace("a1", "10.244.77.7:80")
        let onEthernet = try #require(trace.request?.hops.first { $0.place == "n1/eth0" })
        #expect(onEthernet.headers?.source.description == "10.244.0.2")
        #expect(trace.request?.translations == 0)
    }

    @Test func `the overlay's own datagrams are not masqueraded`() throws {
        var lab = try Lab(LabManifest.plain)
        _ = try lab.trace("a1", "b1:8080")
        for end in ["n1/eth0", "n2/eth0"] {
            let encapsulated = lab.frames(on: end).filter { $0.octets[23] == 17 }
            #expect(!encapsulated.isEmpty)
            for frame in encapsulated {
                // Outer source and destination, and a source port from net.ipv4.ip_local_port_range.
                let ends = Set([Array(frame.octets[26..<30]), Array(frame.octets[30..<34])])
                #expect(ends == [[192, 168, 50, 11], [192, 168, 50, 12]])
                let port = Int(frame.octets[34]) << 8 | Int(frame.octets[35])
                #expect((32_768...60_999).contains(port))
            }
        }
    }
}
