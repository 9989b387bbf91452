// podnet capture on the command line: the three forms of a target, filters and interfaces, equal bytes, and what is
// left alone when something is wrong.

import Capture
import Foundation
import Testing

@Suite struct CaptureCommandTests {
    static let topology = Program.repository.appending(path: "topologies/clusterip-remote.yaml").path
    static let flow = ["capture", "client", "svc/web:80", "-f", topology]
    static let headline =
        "delivered to default/web 10.244.2.2:8080 · the server sees 10.244.1.2 · 1 NAT · 2 nodes · encapsulated\n"

    private func capture(
        _ extra: [String], in folder: TemporaryFolder, location: SourceLocation = #_sourceLocation
    ) throws -> ProgramResult {
        let result = try Program.podnet(Self.flow + extra, in: folder.path)
        #expect(result.status == 0, "\(result.errors)", sourceLocation: location)
        return result
    }

    @Test func `a pcapng file holds every interface, in order of time, with directions, ids and comments`() throws {
        let folder = try TemporaryFolder()
        let result = try capture(["-w", "flow.pcapng"], in: folder)
        let file = try CaptureFile(contentsOf: folder.file("flow.pcapng"))
        #expect(result.output == Self.headline)
        #expect(
            result.errors == """
                wrote \(file.packets.count) frames on \(file.interfaces.count) interfaces to flow.pcapng
                decode VXLAN on port 8472 with: tshark -d udp.port==8472,vxlan -r flow.pcapng

                """)
        #expect(folder.names == ["flow.pcapng"])
        let names = file.interfaces.map(\.name)
        let veths = names.filter { $0.contains("/veth") }
        #expect(veths.count == 2)
        #expect(
            names.filter { !veths.contains($0) } == [
                "control-plane/eth0", "worker-1/eth0", "worker-1/flannel.1", "worker-1/cni0", "worker-2/eth0",
                "worker-2/flannel.1", "worker-2/cni0", "default/client/eth0", "default/web/eth0", "client/eth0",
                "gateway/eth0",
            ])
        #expect(file.packets.map(\.timestamp) == file.packets.map(\.timestamp).sorted())
        #expect(Set(file.packets.map(\.timestamp)).count == file.packets.count)
        #expect(file.packets.allSatisfy { $0.direction != .unknown && $0.packetID != nil })
        // The SYN: one id at every place it passes, out of the pod, in to the other.
        let client = try #require(names.firstIndex(of: "default/client/eth0"))
        let syn = try #require(
            file.packets.first { $0.interface == client && $0.bytes.count == 74 && $0.bytes[23] == 6 })
        let path = file.packets.filter { $0.packetID == syn.packetID && $0.bytes[12...13] == [8, 0] }
        #expect(path.map { names[$0.interface].split(separator: "/").last.map(String.init) ?? "" }.count == 10)
        #expect(
            path.map(\.direction) == [
                .outbound, .inbound, .inbound, .outbound, .outbound, .inbound, .inbound, .outbound, .outbound, .inbound,
            ])
        #expect(path[2].comments.first?.hasPrefix("DNAT 10.96.0.50:80 → 10.244.2.2:8080 by nat KUBE-SEP-") == true)
        #expect(path[4].comments.first == "VXLAN 192.168.50.11 → 192.168.50.12 vni 1 by flannel.1")
    }

    @Test func `a pcap file holds the one interface that is named`() throws {
        let folder = try TemporaryFolder()
        let result = try capture(["-w", "flow.pcap", "-i", "default/client/eth0"], in: folder)
        let file = try CaptureFile(contentsOf: folder.file("flow.pcap"))
        #expect(file.interfaces.count == 1)
        // ARP out, the same frame back from the hairpin port, the answer; then ten segments.
        #expect(file.packets.count == 13)
        #expect(result.errors.hasPrefix("wrote 13 frames on 1 interface to flow.pcap\n"))
        #expect(result.errors.contains("tshark -d udp.port==8472,vxlan -r flow.pcap"))
    }

    @Test func `a folder gets one pcap file per interface`() throws {
        let folder = try TemporaryFolder()
        _ = try capture(["-w", "all/"], in: folder)
        _ = try capture(["-w", "all.pcapng"], in: folder)
        let together = try CaptureFile(contentsOf: folder.file("all.pcapng"))
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.file("all")).sorted()
        #expect(
            names == together.interfaces.map { $0.name.replacing("/", with: "_") + ".pcap" }.sorted())
        for (number, interface) in together.interfaces.enumerated() {
            let name = "all/\(interface.name.replacing("/", with: "_")).pcap"
            let alone = try CaptureFile(contentsOf: folder.file(name))
            let same = together.packets.filter { $0.interface == number }
            #expect(alone.packets.map(\.bytes) == same.map(\.bytes), "\(interface.name)")
            #expect(alone.packets.map(\.timestamp) == same.map(\.timestamp), "\(interface.name)")
        }
    }

    @Test func `a filter selects packets, -i interfaces`() throws {
        let folder = try TemporaryFolder()
        _ = try capture(["-w", "arp.pcapng", "arp"], in: folder)
        let arp = try CaptureFile(contentsOf: folder.file("arp.pcapng"))
        #expect(!arp.packets.isEmpty && arp.packets.allSatisfy { $0.bytes[12...13] == [8, 6] })
        // Words after the ends belong to one expression, wherever the options stand.
        _ = try capture(["tcp", "port", "80", "-w", "tcp.pcapng", "-i", "worker-1"], in: folder)
        let tcp = try CaptureFile(contentsOf: folder.file("tcp.pcapng"))
        #expect(tcp.interfaces.allSatisfy { $0.name.hasPrefix("worker-1/") })
        #expect(tcp.packets.count == 15, "ten at the veth, five before translation and five after it at cni0")
        _ = try capture(
            ["-w", "vxlan.pcapng", "-i", "worker-1/eth0", "-i", "worker-2/eth0", "udp port 8472"], in: folder)
        let vxlan = try CaptureFile(contentsOf: folder.file("vxlan.pcapng"))
        #expect(vxlan.interfaces.map(\.name) == ["worker-1/eth0", "worker-2/eth0"] && vxlan.packets.count == 20)
    }

    @Test func `the start is midnight of 1 January 2026, or the date that is given`() throws {
        let folder = try TemporaryFolder()
        _ = try capture(["-w", "a.pcap", "-i", "default/client/eth0"], in: folder)
        #expect(try CaptureFile(contentsOf: folder.file("a.pcap")).packets[0].timestamp == 1_767_225_600_000_000_000)
        let date = "2024-02-29T12:34:56Z"
        _ = try capture(["-w", "b.pcap", "-i", "default/client/eth0", "--start-time", date], in: folder)
        #expect(try CaptureFile(contentsOf: folder.file("b.pcap")).packets[0].timestamp == 1_709_210_096_000_000_000)
    }

    @Test func `--count asks again a second later, --duration waits for what comes later`() throws {
        let folder = try TemporaryFolder()
        let result = try capture(["-w", "a.pcap", "-i", "default/client/eth0", "--count", "3", "tcp"], in: folder)
        let file = try CaptureFile(contentsOf: folder.file("a.pcap"))
        #expect(result.output == Self.headline + Self.headline + Self.headline)
        #expect(file.packets.count == 30)
        let pause = file.packets[10].timestamp - file.packets[0].timestamp
        #expect((999_000_000...1_001_000_000).contains(pause))
        _ = try capture(["-w", "b.pcap", "-i", "default/client/eth0", "--duration", "10s", "arp"], in: folder)
        let probes = try CaptureFile(contentsOf: folder.file("b.pcap"))
        // Who learned an address passively asks after five seconds; here the node asks the pod.
        #expect(probes.packets.count == 5)
        #expect((probes.packets[3].timestamp - probes.packets[0].timestamp) / 1_000_000_000 == 5)
    }

    @Test func `equal input and seed give equal bytes in any folder, another seed others`() throws {
        let one = try TemporaryFolder()
        let two = try TemporaryFolder()
        for target in ["a.pcapng", "a.pcap"] {
            let more = ["-w", target] + (target == "a.pcap" ? ["-i", "worker-2/cni0"] : [])
            let first = try capture(more, in: one)
            #expect(try capture(more, in: two) == first)
            #expect(try one.bytes(target) == two.bytes(target))
            _ = try capture(more + ["--seed", "2"], in: two)
            #expect(try one.bytes(target) != two.bytes(target))
        }
    }

    @Test func `an existing file is replaced by a complete one, and by nothing else`() throws {
        let folder = try TemporaryFolder()
        try folder.write("old", to: "flow.pcapng")
        _ = try capture(["-w", "flow.pcapng"], in: folder)
        #expect(try folder.bytes("flow.pcapng").prefix(4) == [0x0a, 0x0d, 0x0d, 0x0a])
        let kept = try folder.bytes("flow.pcapng")
        for wrong in [["-i", "nowhere"], ["host", "and"], ["-f", "missing.yaml"]] {
            let result = try Program.podnet(Self.flow + ["-w", "flow.pcapng"] + wrong, in: folder.path)
            #expect(result.status == 2 && result.output == "")
            #expect(try folder.bytes("flow.pcapng") == kept)
        }
        #expect(folder.names == ["flow.pcapng"])
    }

    @Test func `a request that fails is captured all the same`() throws {
        let folder = try TemporaryFolder()
        let path = Program.repository.appending(path: "topologies/no-endpoints.yaml").path
        let result = try Program.podnet(
            ["capture", "client", "svc/orders:80", "-f", path, "-w", "no.pcapng"], in: folder.path)
        #expect(result.status == 0 && result.output.hasPrefix("rejected at worker-1/cni0"))
        let file = try CaptureFile(contentsOf: folder.file("no.pcapng"))
        let comments = file.packets.flatMap(\.comments).filter { $0.hasPrefix("dropped NETFILTER_DROP") }
        #expect(comments.count == 1 && comments[0].contains("default/orders has no endpoints"))
    }
}
