// Every fault has a topology, and every topology its well-known symptom: which frames are seen where and when. The
// state faults among them were compared with a real kernel (podnet lab compare), frame by frame.

import Addressing
import Netstack
import Testing

@testable import Simulation

@Suite struct FaultSymptomTests {
    /// The kernel's times with tcp_syn_linear_timeouts 4, as its timer wheel has them, within six seconds.
    static let synTimes = [0, 1024, 2048, 3072, 4096, 5120]

    private func repeated(_ what: String) -> [String] { Self.synTimes.map { "\($0) \(what)" } }

    private func run(
        _ lab: inout Lab, _ source: String = "client", _ destination: String = "svc/web:80"
    ) throws -> FlowTrace {
        try lab.trace(source, destination, timeout: 6_000_000_000)
    }

    /// The drop of the request with the fault it is blamed on.
    private func expectDrop(
        _ trace: PacketTrace?, _ reason: DropReason, at place: String, because fault: String,
        location: SourceLocation = #_sourceLocation
    ) {
        guard case .dropped(let own, let where_, _) = trace?.disposition else {
            Issue.record("not dropped: \(String(describing: trace?.disposition))", sourceLocation: location)
            return
        }
        #expect(own == reason, sourceLocation: location)
        #expect(where_ == place, sourceLocation: location)
        #expect(trace?.fault == fault, sourceLocation: location)
    }

    @Test func `a filter that eats VXLAN leaves SYNs at the kernel's times and nothing else`() throws {
        var lab = try Lab(topology: "fault-filter")
        let trace = try run(&lab)
        #expect(trace.report.outcome == .timedOut)
        expectDrop(trace.request, .underlay, at: "worker-1/eth0", because: "no-vxlan")
        #expect(lab.story(on: "default/client/eth0") == repeated("out [S] 10.244.1.2 > 10.96.0.50"))
        #expect(lab.story(on: "worker-1/eth0") == repeated("out [S] 10.244.1.2 > 10.244.2.2"))
        // The nodes find each other, and reach each other.
        #expect(
            lab.story(on: "worker-2/eth0", neighbors: true).map { $0.split(separator: " ")[2] } == ["who-has", "is-at"])
        #expect(try lab.trace("node/worker-1", "node/worker-2:22").verdict == .rejected)
    }

    @Test func `lost answers make one-way traffic`() throws {
        var lab = try Lab(topology: "fault-loss")
        let trace = try run(&lab)
        #expect(trace.verdict == .unanswered)
        expectDrop(trace.reply, .queueDrop, at: "worker-2/cni0", because: "one-way")
        #expect(lab.story(on: "default/client/eth0") == repeated("out [S] 10.244.1.2 > 10.96.0.50"))
        let server = lab.story(on: "default/web/eth0")
        #expect(server.count { $0.hasSuffix("in [S] 10.244.1.2 > 10.244.2.2") } == 6)
        #expect(server.count { $0.hasSuffix("out [S.] 10.244.2.2 > 10.244.1.2") } > 6)
        // What a queue loses, the link's own tap does not see.
        #expect(lab.story(on: "worker-2/flannel.1") == repeated("in [S] 10.244.1.2 > 10.244.2.2"))
    }

    @Test func `a cable that is pulled ends in host unreachable for each SYN that waited`() throws {
        var lab = try Lab(topology: "fault-link-down")
        let trace = try run(&lab)
        #expect(trace.report.outcome == .failed(.hostUnreachable))
        expectDrop(trace.request, .neighborFailed, at: "worker-2/flannel.1", because: "unplugged")
        let unreachable = "3072 in icmp 3/1 10.96.0.50 > 10.244.1.2"
        let story = lab.story(on: "default/client/eth0")
        #expect(Array(story.prefix(4)) == repeated("out [S] 10.244.1.2 > 10.96.0.50").prefix(4).map(\.self))
        #expect(story.dropFirst(4).prefix(3) == [unreachable, unreachable, unreachable])
        // A bridge without a running port has no carrier, so its tap sees not even the question.
        #expect(lab.story(on: "worker-2/cni0", neighbors: true).isEmpty)
        #expect(lab.story(on: "default/web/eth0", neighbors: true).isEmpty)
    }

    @Test func `across a partition nobody answers ARP`() throws {
        var lab = try Lab(topology: "fault-partition")
        let trace = try run(&lab)
        #expect(trace.report.outcome == .timedOut)
        expectDrop(trace.request, .neighborFailed, at: "worker-1/flannel.1", because: "split")
        #expect(
            lab.story(on: "worker-1/eth0", neighbors: true)
                == repeated("out who-has 192.168.50.11 > 192.168.50.12"))
        #expect(lab.story(on: "worker-2/eth0", neighbors: true).isEmpty)
        var outside = try Lab(topology: "fault-partition")
        #expect(try run(&outside, "host/client", "node/worker-1:80").report.outcome == .failed(.hostUnreachable))
        #expect(
            outside.story(on: "client/eth0", neighbors: true)
                == repeated("out who-has 192.168.50.100 > 192.168.50.11").prefix(3).map(\.self))
        // On one side all is well.
        #expect(try run(&outside, "node/worker-2", "host/client:80").verdict == .rejected)
        #expect(try run(&outside, "node/control-plane", "node/worker-1:22").verdict == .rejected)
    }

    @Test(
        arguments: [
            ("fault-vtep-mac", "old-vtep", "worker-2/flannel.1"),
            ("fault-public-ip", "cloned", "control-plane/flannel.1"),
        ])
    func `inner frames for another VTEP arrive and are nobody's`(_ topology: String, fault: String, place: String)
        throws
    {
        var lab = try Lab(topology: topology)
        let trace = try run(&lab)
        #expect(trace.report.outcome == .timedOut)
        expectDrop(trace.request, .otherHost, at: place, because: fault)
        #expect(lab.story(on: place) == repeated("in [S] 10.244.1.2 > 10.244.2.2"))
        #expect(lab.story(on: "default/client/eth0") == repeated("out [S] 10.244.1.2 > 10.96.0.50"))
    }

    @Test func `behind a stale forwarding entry ARP fails and the pod is not told`() throws {
        var lab = try Lab(topology: "fault-stale-fdb")
        let trace = try run(&lab)
        #expect(trace.report.outcome == .timedOut)
        expectDrop(trace.request, .neighborFailed, at: "worker-1/flannel.1", because: "old-address")
        #expect(lab.story(on: "default/client/eth0") == repeated("out [S] 10.244.1.2 > 10.96.0.50"))
        #expect(
            lab.story(on: "worker-1/eth0", neighbors: true)
                == repeated("out who-has 192.168.50.11 > 192.168.50.99"))
        // The node tells itself, once for each of the three that waited.
        let told = lab.story(on: "worker-1/lo").filter { $0.hasSuffix("in icmp 3/1 192.168.50.11 > 192.168.50.11") }
        #expect(told.count >= 3)
    }

    @Test func `behind a stale route the client is told after three seconds`() throws {
        var lab = try Lab(topology: "fault-stale-route")
        let trace = try run(&lab)
        #expect(trace.report.outcome == .failed(.hostUnreachable))
        expectDrop(trace.request, .neighborFailed, at: "worker-1/cni0", because: "old-next-hop")
        let told = lab.story(on: "default/client/eth0").filter { $0.hasPrefix("3072 in icmp 3/1") }
        #expect(told == Array(repeating: "3072 in icmp 3/1 10.96.0.50 > 10.244.1.2", count: 3))
    }

    @Test func `without br_netfilter the client resets what bypassed un-DNAT`() throws {
        var lab = try Lab(topology: "fault-br-netfilter")
        let trace = try run(&lab)
        #expect(trace.verdict == .unanswered)
        expectDrop(trace.reply, .noSocket, at: "default/client/eth0", because: "no-br-netfilter")
        let round = [
            "out [S] 10.244.1.2 > 10.96.0.50", "in [S.] 10.244.1.3 > 10.244.1.2", "out [R] 10.244.1.2 > 10.244.1.3",
        ]
        #expect(
            lab.story(on: "default/client/eth0") == Self.synTimes.flatMap { time in round.map { "\(time) \($0)" } })
        // The SYN is routed by cni0, before and after DNAT; the answer passes it by.
        let routed = ["in [S] 10.244.1.2 > 10.96.0.50", "out [S] 10.244.1.2 > 10.244.1.3"]
        #expect(lab.story(on: "worker-1/cni0") == Self.synTimes.flatMap { time in routed.map { "\(time) \($0)" } })
    }

    @Test func `a policy of DROP ends what no rule accepts`() throws {
        var lab = try Lab(topology: "fault-forward-drop")
        let trace = try run(&lab)
        expectDrop(trace.request, .netfilterDrop, at: "worker-1/cni0", because: "docker")
        #expect(lab.story(on: "worker-1/cni0") == repeated("in [S] 10.244.1.2 > 10.244.2.2"))
        #expect(lab.story(on: "worker-1/flannel.1").isEmpty)
    }

    @Test func `without hairpin mode the bridge keeps what is for its sender`() throws {
        var lab = try Lab(topology: "fault-hairpin")
        let trace = try run(&lab, "web", "svc/web:80")
        expectDrop(trace.request, .bridgeNoEgressPort, at: "worker-1/cni0", because: "no-hairpin")
        #expect(lab.story(on: "default/web/eth0") == repeated("out [S] 10.244.1.2 > 10.96.0.50"))
    }

    @Test func `an unfinished checksum in the tunnel ends at the other node`() throws {
        var lab = try Lab(topology: "fault-checksum")
        let trace = try run(&lab)
        expectDrop(trace.request, .udpChecksum, at: "worker-2/eth0", because: "offload")
        #expect(lab.story(on: "worker-2/eth0") == repeated("in [S] 10.244.1.2 > 10.244.2.2"))
        #expect(lab.story(on: "worker-2/flannel.1").isEmpty)
        // What stands in the field is the sum of the pseudo header, as it is before a device fills it in: addresses,
        // protocol 17 and the datagram's length, twice over.
        let frame = try #require(lab.frames(on: "worker-1/eth0").last { $0.octets.count > 100 }).octets
        let words = stride(from: 26, to: 34, by: 2).map { Int(frame[$0]) << 8 | Int(frame[$0 + 1]) }
        let sum = words.reduce(17 + frame.count - 34, +)
        #expect(Int(frame[40]) << 8 | Int(frame[41]) == (sum & 0xffff) + sum >> 16)
    }

    @Test func `a datagram for the underlay's MTU meets the tunnel's`() throws {
        var lab = try Lab(topology: "fault-mtu")
        func datagram(_ size: Int) throws -> FlowTrace {
            var request = try lab.request("client", "svc/web:7", .udp)
            request.payload = Array(repeating: 1, count: size)
            return lab.simulator.trace(request)
        }
        let first = try datagram(1472)
        #expect(first.report.outcome == .failed(.messageTooLong))
        expectDrop(first.request, .packetTooBig, at: "worker-1/cni0", because: "jumbo-pods")
        #expect(
            lab.story(on: "default/client/eth0")
                == ["0 out udp 10.244.1.2 > 10.96.0.50", "0 in icmp 3/4 10.96.0.50 > 10.244.1.2"])
        // The next hop's MTU in the message is the tunnel's.
        let message = try #require(lab.frames(on: "default/client/eth0").last).octets
        #expect(Int(message[40]) << 8 | Int(message[41]) == 1450)
        // From now on the client cuts, and its datagram arrives; the server has the same to learn.
        let second = try datagram(1472)
        #expect(second.verdict == .unanswered)
        expectDrop(second.reply, .packetTooBig, at: "worker-2/cni0", because: "jumbo-pods")
        #expect(try datagram(1472).report.outcome == .answered)
    }

    @Test func `in a black hole small requests work and large ones vanish`() throws {
        var lab = try Lab(topology: "fault-black-hole")
        #expect(try run(&lab).report.outcome == .answered)
        var request = try lab.request("client", "svc/web:80", timeout: 6_000_000_000)
        request.host = String(repeating: "x", count: 3_000)
        let trace = lab.simulator.trace(request)
        #expect(trace.report.outcome == .timedOut)
        let lost = trace.packets.filter { $0.fault == "jumbo-pods" }
        #expect(lost.count >= 3 && lost.contains { $0.isRetransmission })
        // The hints were sent, and eaten on the way.
        let hints = trace.packets.filter { $0.headers.isICMP && $0.headers.code == 4 }
        #expect(hints.count >= 3 && hints.allSatisfy { $0.fault == "no-icmp" })
        // Without the filter the same request is cut smaller and answered.
        var open = try Lab(topology: "fault-mtu")
        #expect(open.simulator.trace(request).report.outcome == .answered)
    }

    @Test func `the receiver sees duplicates`() throws {
        var lab = try Lab(topology: "fault-duplicate")
        let trace = try lab.trace("client", "svc/web:7", .udp)
        #expect(trace.report.outcome == .answered)
        #expect(lab.story(on: "default/client/eth0").count { $0.contains("out udp") } == 1)
        #expect(lab.story(on: "default/web/eth0").count { $0.contains("in udp") } == 2)
        #expect(lab.story(on: "default/client/eth0").count { $0.contains("in udp") } == 2)
        let copies = lab.frames(on: "worker-2/eth0").filter { $0.direction == .ingress && $0.octets.count > 60 }
        #expect(copies.count == 2 && copies[0].octets == copies[1].octets)
        // A question by ARP is heard twice, too.
        #expect(lab.story(on: "worker-2/eth0", neighbors: true).count { $0.contains("in who-has") } == 2)
        // TCP drops what it has had already.
        #expect(try run(&lab).responseStatus == "HTTP/1.1 200 OK")
    }

    @Test func `a slow link lets frames out one after the other`() throws {
        var lab = try Lab(topology: "fault-rate")
        let trace = try run(&lab)
        #expect(trace.report.outcome == .answered)
        // 56 kbit/s are 7000 octets a second: ARP takes 6 ms, the SYN in its tunnel of 124 octets 17.7 ms.
        let sent = lab.frames(on: "worker-1/eth0").filter { $0.direction == .egress }
        #expect(sent.map { $0.time / 100_000 }.prefix(2) == [60, 237])
        let gaps = zip(sent.dropFirst(), sent).map { ($0.time - $1.time, $0.octets.count) }
        for (gap, length) in gaps { #expect(gap >= Int64(length) * 1_000_000_000 / 7000 - 1) }
    }

    @Test func `delayed packets are overtaken, and the client has its answer`() throws {
        var overtaken = 0
        for seed in UInt64(1)...8 {
            var lab = try Lab(topology: "fault-delay", seed: seed)
            #expect(try run(&lab).report.outcome == .answered, "seed \(seed)")
            let order = lab.simulator.context.recording.events.compactMap { event -> (UInt32, Bool)? in
                guard case .fault(_, let action) = event.kind else { return nil }
                if case .delayed(let time) = action {
                    #expect((90_000_000..<110_000_000).contains(time), "seed \(seed)")
                    return (event.packet, false)
                }
                return action == .sentAhead ? (event.packet, true) : nil
            }
            overtaken += order.count(where: \.1)
            #expect(order.contains { !$0.1 })
        }
        #expect((8...40).contains(overtaken))
    }

    @Test func `a bad cable costs packets, and TCP mends it`() throws {
        var reasons: Set<String> = []
        for seed in UInt64(1)...12 {
            var lab = try Lab(topology: "fault-corrupt", seed: seed)
            let trace = try lab.trace("client", "svc/web:80", timeout: 60_000_000_000)
            #expect(trace.report.outcome == .answered && trace.responseBody == "web", "seed \(seed)")
            for packet in trace.packets {
                guard case .dropped(let reason, _, _) = packet.disposition else { continue }
                reasons.insert(reason.rawValue)
                #expect(packet.fault == "bad-cable", "seed \(seed): \(reason)")
            }
        }
        #expect(reasons.count >= 2, "\(reasons)")
    }

    @Test func `what ends in time is survived by TCP`() throws {
        var lab = try Lab(topology: "fault-scenario")
        let trace = try run(&lab)
        #expect(trace.report.outcome == .answered)
        #expect(trace.faults.map(\.name) == ["no-vxlan"])
        let story = lab.story(on: "default/client/eth0")
        #expect(Array(story.prefix(4)) == repeated("out [S] 10.244.1.2 > 10.96.0.50").prefix(4).map(\.self))
        #expect(story[4] == "3072 in [S.] 10.96.0.50 > 10.244.1.2")
        // The request that is shown is the one that got through.
        #expect(trace.request?.hops.first?.time ?? 0 > 3_000_000_000)
    }
}
