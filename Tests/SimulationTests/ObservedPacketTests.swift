// The whole way from a manifest to the answer of `podnet packet`, held to what a real kernel did with the rules the
// real kube-proxy wrote for the same objects. Tests/NodeAgentsTests/Vectors/README.md tells where they come from.

import Addressing
import Foundation
import Kubernetes
import Manifests
import Netstack
import Testing

@testable import Simulation

@Suite struct ObservedPacketTests {
    private static let vectors: URL = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "NodeAgentsTests/Vectors/kube-proxy")

    /// The cluster of a vector, its laboratory's words for the node turned into annotations.
    private func simulator(_ name: String, _ mode: ProxyMode) throws -> Simulator {
        var text = try String(
            contentsOf: Self.vectors.appending(path: "\(name)/input.yaml"), encoding: .utf8)
        text = text.replacing(#/lab\/interfaces: (\S+)/#) { match in
            let addresses = match.1.split(separator: "=")[1].split(separator: ",")
            return "podnet.dev/interfaces: " + addresses.map { "eth0=\($0)" }.joined(separator: ",")
        }
        let loaded = try LoadedManifests.load(text: text, name: name)
        return Simulator(try Cluster(realising: loaded.objects, proxyMode: mode))
    }

    /// What became of a packet, in the words the flows are written in.
    private func words(_ report: NodePacketReport) -> Set<String> {
        switch report.outcome {
        case .translated:
            Set(report.endpoints.map { $0.address.description + ($0.source.map { "~\($0)" } ?? "") })
        case .rejected: ["reject"]
        case .dropped: ["drop"]
        case .local: ["local"]
        case .forwarded: ["forward"]
        }
    }

    @Test(
        "a packet ends as it did on a real node",
        arguments: ["05-lb-source-ranges", "12-masquerade-all-bit", "15-prefix-nolocalhost", "18-dual-stack"],
        [ProxyMode.iptables, .nftables])
    func packets(name: String, mode: ProxyMode) throws {
        var simulator = try simulator(name, mode)
        let found = simulator.namespaceID(of: .node("node-a"))
        let id = try #require(found)
        let own = simulator.namespace(id).links.flatMap(\.addresses).map(\.interface.address)
        let file = Self.vectors.appending(path: "\(name)/flows-\(mode.rawValue).txt")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        #expect(lines.count > 40)
        for line in lines {
            // `tcp 198.51.100.7%eth1 > 10.96.30.1:80: dnat 10.42.1.40:8080~192.168.77.11`
            let parts = line.split(separator: " ")
            let from = parts[1].split(separator: "%")
            let source = try #require(IPAddress(from[0]))
            let isOwn = own.contains(source) || source.isLoopback
            let packet = NodePacket(
                ingress: isOwn ? nil : from.count > 1 ? String(from[1]) : "eth0",
                source: SocketAddress(source, 40_000),
                destination: try #require(SocketAddress(parts[3].dropLast())),
                protocol: try #require(IPProtocol(parts[0])))
            let seen = words(simulator.send(packet, into: id))
            let expected = parts[4] == "dnat" ? Set(parts[5...].map(String.init)) : [String(parts[4])]
            // From outside, a closed port's own answer cannot be told from a rule's.
            let isClosedPort = seen == ["local"] && expected == ["reject"] && packet.protocol == .udp
            #expect(seen == expected || isClosedPort, "\(line)")
        }
    }
}
