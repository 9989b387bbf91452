// What Wireshark thinks of the captures: nothing malformed, no wrong checksum with all validation on, and in a capture
// of one interface no sign of a TCP that misbehaves. The tests need tshark and fail without it.

import Capture
import Foundation
import Testing

@Suite struct WiresharkAnalysisTests {
    struct Flow: CustomTestStringConvertible, Sendable {
        let topology: String
        let ends: [String]
        /// The network really misbehaves here: SYNs are repeated.
        var isRetransmitted = false
        var testDescription: String { "\(topology): \(ends.joined(separator: " "))" }
    }

    static let flows = [
        Flow(topology: "same-node", ends: ["client", "web:8080"]),
        Flow(topology: "cross-node", ends: ["client", "web:8080"]),
        Flow(topology: "cross-node", ends: ["client", "web:81"]),
        Flow(topology: "cross-node", ends: ["client", "web", "--protocol", "icmp"]),
        Flow(topology: "cross-node", ends: ["client", "10.244.2.99:80"], isRetransmitted: true),
        Flow(topology: "clusterip-local", ends: ["client", "svc/web:80"]),
        Flow(topology: "clusterip-remote", ends: ["client", "svc/web:80"]),
        Flow(topology: "hairpin", ends: ["web", "svc/web:80"]),
        Flow(topology: "nodeport-remote", ends: ["host/client", "node/worker-1:30080"]),
        Flow(topology: "nodeport-remote", ends: ["node/worker-1", "127.0.0.1:30080"]),
        Flow(topology: "external-policy-local", ends: ["host/client", "node/worker-1:30080"], isRetransmitted: true),
        Flow(topology: "no-endpoints", ends: ["client", "svc/orders:80"]),
        Flow(topology: "no-endpoints", ends: ["node/worker-1", "svc/orders:80"]),
        Flow(topology: "udp-echo", ends: ["client", "svc/echo:7", "--protocol", "udp"]),
        Flow(topology: "outside", ends: ["client", "host/api:8080"]),
        Flow(topology: "host-gw", ends: ["client", "svc/web:80"]),
    ]

    static let validation = [
        "-d", "udp.port==8472,vxlan", "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o",
        "udp.check_checksum:TRUE", "-o", "tcp.analyze_sequence_numbers:TRUE", "-n",
    ]

    /// The lines tshark prints.
    private func tshark(_ file: String, _ arguments: [String]) throws -> [String] {
        let result = try Program.run("tshark", ["-r", file] + Self.validation + arguments, in: "/tmp")
        try #require(result.status == 0, "tshark is missing, or does not take \(file): \(result.errors)")
        return result.output.split(separator: "\n").map(String.init)
    }

    private func capture(_ flow: Flow, to target: String) throws {
        let path = Program.repository.appending(path: "topologies/\(flow.topology).yaml").path
        let result = try Program.podnet(["capture"] + flow.ends + ["-f", path, "-w", target])
        try #require(result.status == 0, "\(result.errors)")
    }

    /// Loopback is left out: the kernel finishes no checksum there, nor in what is quoted from there.
    @Test(arguments: flows)
    func `nothing is malformed and every checksum is right`(_ flow: Flow) throws {
        let folder = try TemporaryFolder()
        let file = folder.file("flow.pcapng")
        try capture(flow, to: file)
        let problems = try tshark(
            file,
            [
                "-Y",
                """
                (_ws.malformed || _ws.short || _ws.expert.severity == "Error" || ip.checksum.status == "Bad" \
                || tcp.checksum.status == "Bad" || udp.checksum.status == "Bad" || icmp.checksum.status == "Bad") \
                && !(frame.interface_name matches "/lo$")
                """,
            ])
        #expect(problems == [])
        // The validation did look: statuses are Good (1), not Unverified.
        let statuses = try tshark(file, ["-T", "fields", "-e", "ip.checksum.status", "-Y", "ip"])
        #expect(!statuses.isEmpty && statuses.allSatisfy { $0.split(separator: ",").allSatisfy { $0 == "1" } })
    }

    @Test(arguments: flows)
    func `one interface shows a TCP without a blemish`(_ flow: Flow) throws {
        let folder = try TemporaryFolder()
        try capture(flow, to: folder.file("each/"))
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.file("each")).sorted()
        try #require(!names.isEmpty)
        // Merged they would confuse the analysis; one call each is what a person would do.
        for name in names {
            // Machines that only heard ARP are no matter for TCP.
            let packets = try CaptureFile(contentsOf: folder.file("each/\(name)")).packets
            guard packets.contains(where: { $0.bytes[12...13] == [8, 0] }) else { continue }
            let flags = try tshark(folder.file("each/\(name)"), ["-Y", "tcp.analysis.flags"])
            if flow.isRetransmitted {
                #expect(flags.allSatisfy { $0.contains("Retransmission") }, "\(name): \(flags)")
            } else {
                #expect(flags == [], "\(name)")
            }
        }
    }

    @Test func `the shape of an HTTP exchange is the kernel's`() throws {
        let folder = try TemporaryFolder()
        try capture(Flow(topology: "cross-node", ends: ["client", "web:8080"]), to: folder.file("each/"))
        let lines = try tshark(
            folder.file("each/default_client_eth0.pcap"),
            ["-Y", "tcp", "-T", "fields", "-e", "tcp.flags.str", "-e", "ip.ttl"])
        let flags = lines.map { $0.replacing("·", with: "") }
        #expect(
            flags == [
                "S\t64", "AS\t62", "A\t64", "AP\t64", "A\t62", "AP\t62", "A\t64", "AF\t62", "AF\t64", "A\t62",
            ])
    }

    @Test func `tshark sees names, directions, packet ids, comments and the tunnel`() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("flow.pcapng")
        try capture(Flow(topology: "clusterip-remote", ends: ["client", "svc/web:80"]), to: file)
        let lines = try tshark(
            file,
            [
                "-Y", "tcp.flags == 0x002", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|", "-e",
                "frame.interface_name", "-e", "frame.packet_flags_direction", "-e", "frame.packet_id", "-e", "ip.dst",
                "-e", "vxlan.vni", "-e", "ip.ttl",
            ])
        let fields = lines.map { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
        #expect(fields.count == 10 && Set(fields.map { $0[2] }).count == 1)
        #expect(fields.map { $0[1].suffix(1) } == ["2", "1", "1", "2", "2", "1", "1", "2", "2", "1"])
        #expect(fields[4][0] == "worker-1/eth0" && fields[4][3] == "192.168.50.12|10.244.2.2")
        #expect(fields[4][4] == "1" && fields[4][5] == "64|63")
        let comments = try tshark(
            file, ["-Y", "frame.comment contains \"KUBE-SEP-\"", "-T", "fields", "-e", "frame.comment"])
        #expect(comments.count == 1 && comments[0].contains("\"default/web\""))
        let names = try Program.run(
            "tshark",
            [
                "-r", file, "-d", "udp.port==8472,vxlan", "-N", "n", "-T", "fields", "-e", "ip.dst_host", "-Y",
                "tcp.flags == 0x002",
            ], in: "/tmp")
        #expect(names.output.hasPrefix("web.default.svc.cluster.local\n"))
        #expect(names.output.contains("web.default.pod"))
        #expect(names.output.contains("worker-2"))
    }

    @Test func `tcpdump reads the classic files`() throws {
        let folder = try TemporaryFolder()
        try capture(Flow(topology: "cross-node", ends: ["client", "web:8080"]), to: folder.file("each/"))
        let file = folder.file("each/worker-1_eth0.pcap")
        let result = try Program.run("tcpdump", ["-nr", file, "-vvv", "udp"], in: "/tmp")
        try #require(result.status == 0, "tcpdump is missing, or does not take the file: \(result.errors)")
        #expect(result.output.contains("[udp sum ok]"))
        #expect(!result.output.contains("incorrect") && !result.output.contains("bad"))
    }
}
