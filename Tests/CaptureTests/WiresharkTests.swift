// Wireshark's own reader as the judge of what libpcap cannot show: names, comments, directions and packet ids.
// The tests need /usr/bin/tshark and fail without it.

import Capture
import Testing

struct WiresharkTests {
    private let directory = TemporaryDirectory()

    private func tshark(_ arguments: [String]) throws -> [String] {
        let path = directory.file("sample.pcapng")
        try write(Sample.pcapng, to: path)
        let (status, output) = run("/usr/bin/tshark", ["-r", path] + arguments)
        try #require(status == 0, "tshark is missing or does not accept the file")
        return output.split(separator: "\n", omittingEmptySubsequences: true).map(String.init)
    }

    @Test func `tshark shows interfaces, directions, packet ids, comments and times`() throws {
        let fields = [
            "frame.interface_name", "frame.interface_description", "frame.packet_flags_direction", "frame.packet_id",
            "frame.time_epoch", "frame.cap_len", "frame.len", "frame.comment",
        ]
        let lines = try tshark(["-T", "fields", "-E", "separator=|"] + fields.flatMap { ["-e", $0] })
        #expect(
            lines == [
                "default/client/eth0|pod client|0x00000002|7|1735689600.000000001|54|54"
                    + "|POSTROUTING: accepted,Привет, мир",
                "worker-1/cni0||0x00000001|72623859790382856|1735689600.999999999|54|54|",
                "default/client/eth0|pod client|||1735689601.000000000|63|1500|cut short",
                "worker-1/cni0||||0.000000000|0|0|",
            ])
    }

    @Test func `tshark uses the names for addresses`() throws {
        let lines = try tshark([
            "-N", "n", "-T", "fields", "-E", "separator=|", "-e", "ip.src_host", "-e", "ipv6.dst_host",
        ])
        #expect(lines == ["client.default.pod|", "client.default.pod|", "|dns.kube-system.svc", "|"])
    }

    @Test func `capinfos shows where the file comes from`() throws {
        let path = directory.file("sample.pcapng")
        try write(Sample.pcapng, to: path)
        let (status, output) = run("/usr/bin/capinfos", [path])
        #expect(status == 0)
        for line in [
            "Capture hardware:    virtual", "Capture oper-sys:    Linux 6.12", "Capture application: podnet",
            "Capture comment:     seed 1", "Number of resolved IPv4 addresses in file: 1",
            "Number of resolved IPv6 addresses in file: 1",
            "Name = default/client/eth0", "Time precision = nanoseconds (9)", "Capture length = 262144",
        ] {
            #expect(output.contains(line))
        }
    }

    @Test func `a pcapng file written by Wireshark is read`() throws {
        let source = directory.file("source.pcap")
        let target = directory.file("target.pcapng")
        try write(Sample.pcap, to: source)
        let (status, _) = run("/usr/bin/editcap", ["-F", "pcapng", "-a", "1:a comment", source, target])
        try #require(status == 0, "editcap is missing or does not accept the file")
        let file = try CaptureFile(contentsOf: target)
        #expect(file.packets.map(LibpcapOracle.Packet.init) == Sample.packets.map(LibpcapOracle.Packet.init))
        #expect(file.packets[0].comments == ["a comment"])
    }
}
