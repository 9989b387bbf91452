// The Wireshark profile under share/, given to tshark with a small capture: it takes every line without a warning,
// shows podnet's columns, decodes VXLAN on flannel's port, and colours what went wrong.

import Addressing
import Capture
import Foundation
import Testing
import Wire

@Suite struct WiresharkProfileTests {
    /// A packet before and after VXLAN and one that is dropped, at two interfaces, with a name for one address.
    private static func capture() -> [UInt8] {
        var writer = PcapngWriter()
        let bridge = writer.addInterface(CaptureInterface(name: "worker-1/cni0"))
        let uplink = writer.addInterface(CaptureInterface(name: "worker-1/eth0"))
        writer.add([CaptureNameRecord(.ipv4(0x0af4_0203), names: ["default/echo"])])

        let gateway = MACAddress(rawValue: 0x0200_0000_0001)
        let pod = MACAddress(rawValue: 0x0200_0000_0002)
        let inner = PacketBuilder(
            sourceMAC: pod, destinationMAC: gateway, source: IPAddress(IPv4Address(10, 244, 1, 2)),
            destination: IPAddress(IPv4Address(10, 244, 2, 3)))
        let outer = PacketBuilder(
            sourceMAC: gateway, destinationMAC: pod, source: IPAddress(IPv4Address(192, 168, 50, 11)),
            destination: IPAddress(IPv4Address(192, 168, 50, 12)))
        let frame = inner.udp(from: 40000, to: 9999, payload: Array("hello".utf8))
        let tunneled = outer.vxlan(networkIdentifier: 1, from: 50000, to: 8472, frame: frame)

        let start: UInt64 = 1_767_225_600_000_000_000
        writer.append(
            CapturedPacket(
                interface: bridge, timestamp: start, bytes: frame, direction: .inbound, packetID: 7,
                comments: ["DNAT 10.96.0.10:7 → 10.244.2.3:9999"]))
        writer.append(
            CapturedPacket(
                interface: uplink, timestamp: start + 10, bytes: tunneled, direction: .outbound, packetID: 7,
                comments: ["encapsulated by flannel.1"]))
        writer.append(
            CapturedPacket(
                interface: bridge, timestamp: start + 20, bytes: frame, direction: .inbound, packetID: 8,
                comments: ["dropped NETFILTER_DROP: a netfilter rule dropped it"]))
        return writer.bytes
    }

    private func tshark(_ arguments: [String]) throws -> [String] {
        let folder = try TemporaryFolder()
        let file = folder.url.appending(path: "trial.pcapng")
        try Data(Self.capture()).write(to: file)
        let settings = Repository.here.root.appending(path: "share/wireshark").path
        let run = try ProgramRun.of(
            "tshark", ["-C", "podnet", "-r", file.path] + arguments, environment: ["WIRESHARK_CONFIG_DIR": settings])
        #expect(run.status == 0, "tshark is missing, or does not take the profile: \(run.errors)")
        #expect(!run.errors.contains("WARNING") && !run.errors.contains("ERROR"), "\(run.errors)")
        return run.output.split(separator: "\n").map(String.init)
    }

    @Test func `the columns tell where, which way, which packet and why`() throws {
        let lines = try tshark(["-T", "tabs"])
        let columns = lines.map { $0.split(separator: "\t").map { $0.trimmingPrefix(while: \.isWhitespace) } }
        try #require(columns.map(\.count).allSatisfy { $0 >= 11 } && columns.count == 3, "\(lines)")
        #expect(columns.map { $0[2] } == ["7", "7", "8"])
        #expect(columns.map { $0[3] } == ["worker-1/cni0", "worker-1/eth0", "worker-1/cni0"])
        #expect(columns.map { $0[4] } == ["Inbound", "Outbound", "Inbound"])
        #expect(columns.map { $0[5] } == ["10.244.1.2", "10.244.1.2", "10.244.1.2"])
        let comments = [
            "DNAT 10.96.0.10:7 → 10.244.2.3:9999", "encapsulated by flannel.1",
            "dropped NETFILTER_DROP: a netfilter rule dropped it",
        ]
        #expect(columns.map { $0.last.map(String.init) } == comments)
    }

    @Test func `the names in the file stand for addresses`() throws {
        let lines = try tshark([])
        #expect(lines.count == 3)
        #expect(lines.allSatisfy { $0.contains("default/echo") }, "\(lines)")
    }

    @Test func `flannel's port is decoded as VXLAN`() throws {
        let protocols = try tshark(["-T", "fields", "-e", "frame.protocols"])
        #expect(protocols.map { $0.contains(":vxlan:eth:") } == [false, true, false])
    }

    @Test func `colours follow what podnet says`() throws {
        let rules = try tshark(["--color", "-T", "fields", "-e", "frame.coloring_rule.name"])
        #expect(rules == ["Translated (NAT)", "Encapsulated (VXLAN)", "Dropped or rejected"])
    }
}
