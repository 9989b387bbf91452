// Hop by hop: the places a packet is seen at, the direction, MAC addresses, IP addresses and TTL, for the flows whose
// hops were measured on real kernels: through a cluster IP to another node, and the bridged ways on one node.

import Addressing
import Netstack
import Testing

@testable import Simulation

/// One line of a hop table: `place direction sourceMAC > destinationMAC source > destination ttl`.
struct HopTable: Equatable, CustomStringConvertible {
    var lines: [String]
    var description: String { "\n" + lines.joined(separator: "\n") + "\n" }
}

extension Lab {
    /// Writes a packet's hops with MAC addresses as their owners' names and the two ports by what they are: `c` the
    /// client's own, `n` one drawn by masquerading.
    mutating func table(_ packet: PacketTrace?, client: UInt16) -> HopTable {
        guard let packet else { return HopTable(lines: ["no packet"]) }
        var owners: [MACAddress: String] = [:]
        for id in simulator.builtNamespaces {
            let namespace = simulator.built(id)
            let short = namespace.name.split(separator: "/").last.map(String.init) ?? namespace.name
            for link in namespace.links where !link.isLoopback {
                let isPod = namespace.name.contains("/")
                owners[link.hardwareAddress] = owners[link.hardwareAddress] ?? (isPod ? short : "\(short)/\(link.name)")
            }
        }
        func port(_ number: UInt16) -> String {
            number == client ? "c" : [80, 8080, 30080, 7, 6443].contains(number) ? "\(number)" : "n"
        }
        func name(_ address: MACAddress) -> String { owners[address] ?? address.description }
        return HopTable(
            lines: packet.hops.compactMap { hop in
                guard let headers = hop.headers, let link = hop.link else { return nil }
                let place = "\(hop.namespace.replacing("default/", with: ""))/\(link.hasPrefix("veth") ? "veth" : link)"
                var line = "\(place) \(hop.direction == .ingress ? "in" : "out") "
                line += "\(name(headers.sourceMAC)) > \(name(headers.destinationMAC)) "
                line += "\(headers.source):\(port(headers.sourcePort)) > "
                line += "\(headers.destination):\(port(headers.destinationPort)) ttl \(headers.timeToLive)"
                if headers.isEncapsulated {
                    line += " in \(headers.outerSource) > \(headers.outerDestination) ttl \(headers.outerTimeToLive)"
                }
                return line
            })
    }
}

@Suite struct HopTests {
    private func expect(
        _ lab: inout Lab, _ trace: FlowTrace, request: [String], reply: [String],
        location: SourceLocation = #_sourceLocation
    ) throws {
        let client = try #require(trace.report.local?.port, sourceLocation: location)
        let requestTable = lab.table(trace.request, client: client)
        let replyTable = lab.table(trace.reply, client: client)
        #expect(requestTable == HopTable(lines: request), sourceLocation: location)
        #expect(replyTable == HopTable(lines: reply), sourceLocation: location)
        #expect(trace.report.outcome == .answered, sourceLocation: location)
    }

    @Test func `a cluster IP with its endpoint on another node`() throws {
        var lab = try Lab(LabManifest.plain)
        let trace = try lab.trace("a1", "svc/on-b1:80")
        let outer = "in 192.168.50.11 > 192.168.50.12 ttl 64"
        let outerBack = "in 192.168.50.12 > 192.168.50.11 ttl 64"
        try expect(
            &lab, trace,
            request: [
                "a1/eth0 out a1 > n1/cni0 10.244.0.2:c > 10.96.0.10:80 ttl 64",
                "n1/veth in a1 > n1/cni0 10.244.0.2:c > 10.96.0.10:80 ttl 64",
                "n1/cni0 in a1 > n1/cni0 10.244.0.2:c > 10.244.1.2:8080 ttl 64",
                "n1/flannel.1 out n1/flannel.1 > n2/flannel.1 10.244.0.2:c > 10.244.1.2:8080 ttl 63",
                "n1/eth0 out n1/eth0 > n2/eth0 10.244.0.2:c > 10.244.1.2:8080 ttl 63 \(outer)",
                "n2/eth0 in n1/eth0 > n2/eth0 10.244.0.2:c > 10.244.1.2:8080 ttl 63 \(outer)",
                "n2/flannel.1 in n1/flannel.1 > n2/flannel.1 10.244.0.2:c > 10.244.1.2:8080 ttl 63",
                "n2/cni0 out n2/cni0 > b1 10.244.0.2:c > 10.244.1.2:8080 ttl 62",
                "n2/veth out n2/cni0 > b1 10.244.0.2:c > 10.244.1.2:8080 ttl 62",
                "b1/eth0 in n2/cni0 > b1 10.244.0.2:c > 10.244.1.2:8080 ttl 62",
            ],
            reply: [
                "b1/eth0 out b1 > n2/cni0 10.244.1.2:8080 > 10.244.0.2:c ttl 64",
                "n2/veth in b1 > n2/cni0 10.244.1.2:8080 > 10.244.0.2:c ttl 64",
                "n2/cni0 in b1 > n2/cni0 10.244.1.2:8080 > 10.244.0.2:c ttl 64",
                "n2/flannel.1 out n2/flannel.1 > n1/flannel.1 10.244.1.2:8080 > 10.244.0.2:c ttl 63",
                "n2/eth0 out n2/eth0 > n1/eth0 10.244.1.2:8080 > 10.244.0.2:c ttl 63 \(outerBack)",
                "n1/eth0 in n2/eth0 > n1/eth0 10.244.1.2:8080 > 10.244.0.2:c ttl 63 \(outerBack)",
                "n1/flannel.1 in n2/flannel.1 > n1/flannel.1 10.244.1.2:8080 > 10.244.0.2:c ttl 63",
                "n1/cni0 out n1/cni0 > a1 10.96.0.10:80 > 10.244.0.2:c ttl 62",
                "n1/veth out n1/cni0 > a1 10.96.0.10:80 > 10.244.0.2:c ttl 62",
                "a1/eth0 in n1/cni0 > a1 10.96.0.10:80 > 10.244.0.2:c ttl 62",
            ])
    }

    @Test func `host-gw takes the same way without a tunnel`() throws {
        var lab = try Lab(LabManifest.hostGateway)
        let trace = try lab.trace("a1", "b1:8080")
        try expect(
            &lab, trace,
            request: [
                "a1/eth0 out a1 > n1/cni0 10.244.0.2:c > 10.244.1.2:8080 ttl 64",
                "n1/veth in a1 > n1/cni0 10.244.0.2:c > 10.244.1.2:8080 ttl 64",
                "n1/cni0 in a1 > n1/cni0 10.244.0.2:c > 10.244.1.2:8080 ttl 64",
                "n1/eth0 out n1/eth0 > n2/eth0 10.244.0.2:c > 10.244.1.2:8080 ttl 63",
                "n2/eth0 in n1/eth0 > n2/eth0 10.244.0.2:c > 10.244.1.2:8080 ttl 63",
                "n2/cni0 out n2/cni0 > b1 10.244.0.2:c > 10.244.1.2:8080 ttl 62",
                "n2/veth out n2/cni0 > b1 10.244.0.2:c > 10.244.1.2:8080 ttl 62",
                "b1/eth0 in n2/cni0 > b1 10.244.0.2:c > 10.244.1.2:8080 ttl 62",
            ],
            reply: [
                "b1/eth0 out b1 > n2/cni0 10.244.1.2:8080 > 10.244.0.2:c ttl 64",
                "n2/veth in b1 > n2/cni0 10.244.1.2:8080 > 10.244.0.2:c ttl 64",
                "n2/cni0 in b1 > n2/cni0 10.244.1.2:8080 > 10.244.0.2:c ttl 64",
                "n2/eth0 out n2/eth0 > n1/eth0 10.244.1.2:8080 > 10.244.0.2:c ttl 63",
                "n1/eth0 in n2/eth0 > n1/eth0 10.244.1.2:8080 > 10.244.0.2:c ttl 63",
                "n1/cni0 out n1/cni0 > a1 10.244.1.2:8080 > 10.244.0.2:c ttl 62",
                "n1/veth out n1/cni0 > a1 10.244.1.2:8080 > 10.244.0.2:c ttl 62",
                "a1/eth0 in n1/cni0 > a1 10.244.1.2:8080 > 10.244.0.2:c ttl 62",
            ])
    }

    @Test func `pod to pod on one node is bridging alone`() throws {
        var lab = try Lab(LabManifest.plain)
        let trace = try lab.trace("a1", "a2:8080")
        try expect(
            &lab, trace,
            request: [
                "a1/eth0 out a1 > a2 10.244.0.2:c > 10.244.0.3:8080 ttl 64",
                "n1/veth in a1 > a2 10.244.0.2:c > 10.244.0.3:8080 ttl 64",
                "n1/veth out a1 > a2 10.244.0.2:c > 10.244.0.3:8080 ttl 64",
                "a2/eth0 in a1 > a2 10.244.0.2:c > 10.244.0.3:8080 ttl 64",
            ],
            reply: [
                "a2/eth0 out a2 > a1 10.244.0.3:8080 > 10.244.0.2:c ttl 64",
                "n1/veth in a2 > a1 10.244.0.3:8080 > 10.244.0.2:c ttl 64",
                "n1/veth out a2 > a1 10.244.0.3:8080 > 10.244.0.2:c ttl 64",
                "a1/eth0 in a2 > a1 10.244.0.3:8080 > 10.244.0.2:c ttl 64",
            ])
    }

    /// The first SYN passes through cni0's neighbor output, because the node must ask for the pod; the source MAC is
    /// put back before the port.
    private static let coldRequest = [
        "a1/eth0 out a1 > n1/cni0 10.244.0.2:c > 10.96.0.11:80 ttl 64",
        "n1/veth in a1 > n1/cni0 10.244.0.2:c > 10.96.0.11:80 ttl 64",
        "n1/cni0 out n1/cni0 > a2 10.244.0.2:c > 10.244.0.3:8080 ttl 64",
        "n1/veth out a1 > a2 10.244.0.2:c > 10.244.0.3:8080 ttl 64",
        "a2/eth0 in a1 > a2 10.244.0.2:c > 10.244.0.3:8080 ttl 64",
    ]

    private static let sameNodeReply = [
        "a2/eth0 out a2 > a1 10.244.0.3:8080 > 10.244.0.2:c ttl 64",
        "n1/veth in a2 > a1 10.244.0.3:8080 > 10.244.0.2:c ttl 64",
        "n1/veth out a2 > a1 10.96.0.11:80 > 10.244.0.2:c ttl 64",
        "a1/eth0 in a2 > a1 10.96.0.11:80 > 10.244.0.2:c ttl 64",
    ]

    @Test func `a cluster IP with its endpoint on the same node is bridged DNAT`() throws {
        var lab = try Lab(LabManifest.plain)
        let cold = try lab.trace("a1", "svc/on-a2:80")
        try expect(&lab, cold, request: Self.coldRequest, reply: Self.sameNodeReply)
        // Now the node knows the pod's MAC address: cni0 sees nothing at all.
        let seen = lab.frames(on: "n1/cni0").count
        let warm = try lab.trace("a1", "svc/on-a2:80")
        try expect(
            &lab, warm, request: Self.coldRequest.filter { !$0.hasPrefix("n1/cni0") }, reply: Self.sameNodeReply)
        #expect(lab.frames(on: "n1/cni0").count == seen)
    }

    @Test func `a packet with TTL 1 passes a bridged Service`() throws {
        var lab = try Lab(LabManifest.plain)
        let trace = try lab.trace("a1", "svc/on-a2:80", timeToLive: 1)
        #expect(trace.report.outcome == .answered)
        #expect(trace.request?.last?.timeToLive == 1)
    }

    @Test func `a hairpin leaves by the port it came from, with both MAC addresses the pod's own`() throws {
        var lab = try Lab(LabManifest.plain)
        let trace = try lab.trace("a1", "svc/on-a1:80")
        try expect(
            &lab, trace,
            request: [
                "a1/eth0 out a1 > n1/cni0 10.244.0.2:c > 10.96.0.12:80 ttl 64",
                "n1/veth in a1 > n1/cni0 10.244.0.2:c > 10.96.0.12:80 ttl 64",
                "n1/cni0 out n1/cni0 > a1 10.244.0.2:c > 10.244.0.2:8080 ttl 64",
                "n1/veth out a1 > a1 10.244.0.1:n > 10.244.0.2:8080 ttl 64",
                "a1/eth0 in a1 > a1 10.244.0.1:n > 10.244.0.2:8080 ttl 64",
            ],
            reply: [
                "a1/eth0 out a1 > n1/cni0 10.244.0.2:8080 > 10.244.0.1:n ttl 64",
                "n1/veth in a1 > n1/cni0 10.244.0.2:8080 > 10.244.0.1:n ttl 64",
                "n1/cni0 out n1/cni0 > a1 10.244.0.2:8080 > 10.244.0.2:c ttl 64",
                "n1/veth out a1 > a1 10.96.0.12:80 > 10.244.0.2:c ttl 64",
                "a1/eth0 in a1 > a1 10.96.0.12:80 > 10.244.0.2:c ttl 64",
            ])
    }

    @Test func `after the node has probed the pod a hairpin passes cni0 no more`() throws {
        var lab = try Lab(LabManifest.plain)
        _ = try lab.trace("a1", "svc/on-a1:80")
        // The unicast probe goes out five seconds after the entry was first used.
        lab.simulator.run(until: 10_000_000_000)
        let trace = try lab.trace("a1", "svc/on-a1:80")
        #expect(trace.request?.hops.contains { $0.place == "n1/cni0" } == false)
        #expect(trace.report.outcome == .answered)
    }

    @Test func `without bridge-nf-call-iptables a Service on the same node breaks`() throws {
        let off = ", podnet.dev/sysctl.net.bridge.bridge-nf-call-iptables: \"0\""
        let manifest =
            LabManifest.node("n1", "192.168.50.11", "10.244.0.0/24", annotations: off)
            + LabManifest.node("n2", "192.168.50.12", "10.244.1.0/24")
            + LabManifest.pods + LabManifest.services
        var lab = try Lab(manifest)
        let same = try lab.trace("a1", "svc/on-a2:80")
        // The request is routed, the reply stays in the bridge, and the client resets what it does not know.
        #expect(same.report.outcome == .timedOut)
        #expect(same.request?.hops.contains { $0.place == "n1/cni0" && $0.direction == .ingress } == true)
        #expect(same.request?.last?.timeToLive == 63)
        #expect(same.reply?.last?.source.description == "10.244.0.3")
        #expect(same.packets.contains { $0.sender == "default/a1" && $0.headers.detail & 0x04 != 0 })
        // The way to another node does not need it: the translation shows behind cni0 instead of before.
        let remote = try lab.trace("a1", "svc/on-b1:80")
        #expect(remote.report.outcome == .answered)
        let onBridge = try #require(remote.request?.hops.first { $0.place == "n1/cni0" })
        #expect(onBridge.headers?.destination.description == "10.96.0.10")
        #expect(try lab.trace("a1", "svc/on-a1:80").report.outcome == .answered)
    }

    @Test func `a UDP datagram and its echo take the same hops as TCP`() throws {
        var lab = try Lab(LabManifest.plain)
        let trace = try lab.trace("a1", "svc/on-b1:7", .udp)
        #expect(trace.report.outcome == .answered && trace.responseBody == "podnet")
        #expect(trace.packets.count == 2)
        let places = trace.request?.hops.compactMap(\.headers).map(\.timeToLive)
        #expect(places == [64, 64, 64, 63, 63, 63, 63, 62, 62, 62])
        #expect(trace.request?.last?.destination.description == "10.244.1.2")
        #expect(trace.request?.last?.destinationPort == 7)
        #expect(trace.reply?.last?.source.description == "10.96.0.10")
    }

    @Test func `ping crosses the cluster and says how far`() throws {
        var lab = try Lab(LabManifest.plain)
        let remote = try lab.trace("a1", "b1", .icmp)
        #expect(remote.report.outcome == .answered && remote.reply?.last?.timeToLive == 62)
        let local = try lab.trace("a1", "a2", .icmp)
        #expect(local.report.outcome == .answered && local.reply?.last?.timeToLive == 64)
        let outside = try lab.trace("a1", "host/client", .icmp)
        #expect(outside.report.outcome == .answered && outside.reply?.last?.timeToLive == 63)
        // The echo's id is translated where a port would be.
        #expect(outside.request?.translations == 1)
    }
}
