// The hops of a way as traceroute shows them: the addresses are those the real program printed in the same network on a
// real kernel.

import Addressing
import Kubernetes
import Netstack
import Testing

@testable import Simulation

@Suite("traceroute")
struct TracerouteTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let source: String
        let destination: String
        let transport: IPProtocol
        /// For each hop the addresses of the probes that were answered, and who sent the answers.
        let hops: [String]
        let isReached: Bool
        var testDescription: String { "\(transport) \(source) to \(destination)" }

        init(_ source: String, _ destination: String, _ transport: IPProtocol, _ hops: [String], reached: Bool = true) {
            (self.source, self.destination, self.transport) = (source, destination, transport)
            (self.hops, isReached) = (hops, reached)
        }
    }

    private static let overlay = ["10.244.0.1 n1/cni0", "10.244.1.0 n2/flannel.1", "10.244.1.2 default/b1/eth0"]

    static let rows = [
        Row("a1", "10.244.1.2", .udp, overlay), Row("a1", "10.244.1.2", .icmp, overlay),
        Row("a1", "10.244.1.2:8080", .tcp, overlay), Row("a1", "10.244.1.2:99", .tcp, overlay),
        Row("a1", "10.244.0.3", .udp, ["10.244.0.3 default/a2/eth0"]),
        Row("a1", "192.168.50.100", .udp, ["10.244.0.1 n1/cni0", "192.168.50.100 client/eth0"]),
        Row("node/n1", "10.244.1.2", .udp, ["10.244.1.0 n2/flannel.1", "10.244.1.2 default/b1/eth0"]),
        // Errors about a translated connection come from the ClusterIP; the first node has no such address.
        Row("a1", "10.96.0.10:80", .tcp, ["10.96.0.10 n1", "10.96.0.10 n2/flannel.1", "10.96.0.10 default/b1/eth0"]),
        // Bridged DNAT leaves the TTL alone.
        Row("a1", "10.96.0.11:80", .tcp, ["10.96.0.11 default/a2/eth0"]),
        Row(
            "a1", "10.244.1.99", .udp,
            ["10.244.0.1 n1/cni0", "10.244.1.0 n2/flannel.1", "10.244.1.0 n2/flannel.1"], reached: false),
    ]

    private func traceroute(_ lab: inout Lab, _ row: Row) throws -> Traceroute {
        let hasPort = row.destination.contains(":")
        var request = try lab.request(row.source, row.destination, hasPort ? row.transport : .icmp)
        request.protocol = row.transport
        if !hasPort { request.port = nil }
        return lab.simulator.traceroute(request)
    }

    @Test(arguments: rows) func `each hop answers from the address a real one uses`(_ row: Row) throws {
        var lab = try Lab(LabManifest.plain)
        let answer = try traceroute(&lab, row)
        let hops = answer.hops.map { hop in
            var seen: [String] = []
            for probe in hop.probes {
                guard let address = probe.address, let responder = probe.responder else { continue }
                let place = responder.link.map { "\(responder.namespace)/\($0)" } ?? responder.namespace
                if !seen.contains("\(address) \(place)") { seen.append("\(address) \(place)") }
            }
            return seen.joined(separator: ", ")
        }
        #expect(hops == row.hops)
        #expect(answer.isReached == row.isReached)
        #expect(answer.hops.allSatisfy { $0.probes.count == 3 })
        // All probes but the last hop's ran out of TTL.
        #expect(answer.hops.dropLast().allSatisfy { $0.probes.allSatisfy(\.isTimeExceeded) })
    }

    @Test func `UDP probes are 60 octets towards one port after the other, each from a port of its own`() throws {
        var lab = try Lab(LabManifest.plain)
        let answer = try traceroute(&lab, Row("a1", "10.244.1.2", .udp, []))
        #expect(answer.length == 60)
        let probes = answer.hops.flatMap(\.probes)
        #expect(probes.map { $0.trace.report.request.port } == (33_434...33_442).map { $0 })
        #expect(Set(probes.compactMap { $0.trace.report.local?.port }).count == 9)
        let frame = try #require(lab.frames(on: "default/a1/eth0").first { $0.octets[12] == 8 && $0.octets[13] == 0 })
        #expect(Array(frame.octets.suffix(32)) == (0x40...0x5f).map { UInt8($0) })
        #expect(frame.octets[22] == 1)
    }

    @Test func `a connection a TCP probe opens is closed again`() throws {
        var lab = try Lab(LabManifest.plain)
        let answer = try traceroute(&lab, Row("a1", "10.244.0.3:8080", .tcp, []))
        #expect(answer.hops.count == 1 && answer.isReached)
        let flags = lab.frames(on: "default/a1/eth0").filter { $0.direction == .egress && $0.octets[23] == 6 }
            .map { $0.octets[47] & 0x17 }
        // SYN, ACK and FIN with ACK of each probe, and nothing else but acknowledgments.
        #expect(flags.count { $0 == 0x02 } == 3 && flags.count { $0 == 0x11 } == 3)
        #expect(flags.allSatisfy { [0x02, 0x10, 0x11].contains($0) })
    }
}
