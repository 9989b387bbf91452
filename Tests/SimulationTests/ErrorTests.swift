// What a client hears when a request goes wrong: who sends which ICMP message with which TTL and which quote, who
// resets, and who says nothing. The rows are measurements of a real kernel.

import Addressing
import Netstack
import Testing

@testable import Simulation

/// An ICMP error as its receiver saw it.
struct ICMPError: Equatable, CustomStringConvertible {
    var type: UInt8
    var code: UInt8
    var source: String
    var timeToLive: UInt8
    /// The packet in the quote: its TTL, and where it was going.
    var quotedTTL: UInt8
    var quoted: String

    var description: String {
        "ICMP \(type)/\(code) from \(source) ttl \(timeToLive), quote \(quoted) ttl \(quotedTTL)"
    }

    /// Reads a frame; nil when it holds no ICMP error.
    init?(_ frame: [UInt8]) {
        guard frame.count >= 14 + 20 + 8 + 28, frame[12] == 8, frame[13] == 0, frame[23] == 1 else { return nil }
        guard [3, 5, 11, 12].contains(frame[34]) else { return nil }
        func address(_ offset: Int) -> String { frame[offset..<offset + 4].map(String.init).joined(separator: ".") }
        type = frame[34]
        code = frame[35]
        source = address(26)
        timeToLive = frame[22]
        quotedTTL = frame[42 + 8]
        let port = Int(frame[42 + 22]) << 8 | Int(frame[42 + 23])
        quoted = "\(address(42 + 16))" + (frame[42 + 9] == 1 ? "" : ":\(port)")
    }

    init(
        _ type: UInt8, _ code: UInt8, from source: String, ttl: UInt8, quote: String, quoteTTL: UInt8
    ) {
        self.type = type
        self.code = code
        self.source = source
        timeToLive = ttl
        quoted = quote
        quotedTTL = quoteTTL
    }
}

@Suite struct ErrorTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let source: String
        let destination: String
        var transport = IPProtocol.tcp
        var timeToLive: UInt8?
        /// The link the client hears the error on.
        let hears: String
        let error: ICMPError
        let outcome: FlowOutcome
        var testDescription: String {
            "\(source) → \(destination) \(transport)" + (timeToLive.map { " ttl \($0)" } ?? "")
        }
    }

    static let answered: [Row] = [
        // A Service without endpoints: REJECT in FORWARD, after the TTL was counted down; TCP gets ICMP as well.
        Row(
            source: "a1", destination: "svc/nobody:80", hears: "default/a1/eth0",
            error: ICMPError(3, 3, from: "10.244.0.1", ttl: 64, quote: "10.96.0.13:80", quoteTTL: 63),
            outcome: .failed(.connectionRefused)),
        Row(
            source: "a1", destination: "svc/nobody:7", transport: .udp, hears: "default/a1/eth0",
            error: ICMPError(3, 3, from: "10.244.0.1", ttl: 64, quote: "10.96.0.13:7", quoteTTL: 63),
            outcome: .failed(.connectionRefused)),
        // The node itself: REJECT in OUTPUT.
        Row(
            source: "node/n1", destination: "svc/nobody:80", hears: "n1/lo",
            error: ICMPError(3, 3, from: "192.168.50.11", ttl: 64, quote: "10.96.0.13:80", quoteTTL: 64),
            outcome: .failed(.connectionRefused)),
        // From outside to its node port: REJECT in INPUT.
        Row(
            source: "host/client", destination: "node/n1:30082", hears: "client/eth0",
            error: ICMPError(3, 3, from: "192.168.50.11", ttl: 64, quote: "192.168.50.11:30082", quoteTTL: 64),
            outcome: .failed(.connectionRefused)),
        // A closed UDP port of a pod.
        Row(
            source: "a1", destination: "b1:99", transport: .udp, hears: "default/a1/eth0",
            error: ICMPError(3, 3, from: "10.244.1.2", ttl: 62, quote: "10.244.1.2:99", quoteTTL: 62),
            outcome: .failed(.connectionRefused)),
        // The TTL ends at the first node, and at the second: the device the error leaves by gives the source.
        Row(
            source: "a1", destination: "b1:8080", timeToLive: 1, hears: "default/a1/eth0",
            error: ICMPError(11, 0, from: "10.244.0.1", ttl: 64, quote: "10.244.1.2:8080", quoteTTL: 1),
            outcome: .failed(.hostUnreachable)),
        Row(
            source: "a1", destination: "b1:8080", timeToLive: 2, hears: "default/a1/eth0",
            error: ICMPError(11, 0, from: "10.244.1.0", ttl: 63, quote: "10.244.1.2:8080", quoteTTL: 1),
            outcome: .failed(.hostUnreachable)),
        // Through a Service connection tracking translates the error's source and its quote.
        Row(
            source: "a1", destination: "svc/on-b1:80", timeToLive: 2, hears: "default/a1/eth0",
            error: ICMPError(11, 0, from: "10.96.0.10", ttl: 63, quote: "10.96.0.10:80", quoteTTL: 1),
            outcome: .failed(.hostUnreachable)),
        // Nobody has the address: the pod itself notices on its own node, the other node elsewhere.
        Row(
            source: "a1", destination: "10.244.0.99:80", hears: "default/a1/lo",
            error: ICMPError(3, 1, from: "10.244.0.2", ttl: 64, quote: "10.244.0.99:80", quoteTTL: 64),
            outcome: .failed(.hostUnreachable)),
        Row(
            source: "a1", destination: "10.244.1.99:80", hears: "default/a1/eth0",
            error: ICMPError(3, 1, from: "10.244.1.0", ttl: 63, quote: "10.244.1.99:80", quoteTTL: 62),
            outcome: .failed(.hostUnreachable)),
        // The router outside knows no way; the quote has its TTL undiminished by it.
        Row(
            source: "a1", destination: "203.0.113.9:80", hears: "default/a1/eth0",
            error: ICMPError(3, 0, from: "192.168.50.1", ttl: 63, quote: "203.0.113.9:80", quoteTTL: 63),
            outcome: .failed(.networkUnreachable)),
        // A port the Service does not have is no Service: out by the default route.
        Row(
            source: "a1", destination: "10.96.0.10:81", hears: "default/a1/eth0",
            error: ICMPError(3, 0, from: "192.168.50.1", ttl: 63, quote: "10.96.0.10:81", quoteTTL: 63),
            outcome: .failed(.networkUnreachable)),
    ]

    @Test(arguments: answered)
    func `an ICMP error answers`(_ row: Row) throws {
        var lab = try Lab(LabManifest.plain)
        let trace = try lab.trace(row.source, row.destination, row.transport, timeToLive: row.timeToLive)
        #expect(trace.report.outcome == row.outcome)
        let heard = lab.frames(on: row.hears).filter { $0.direction == .ingress }.compactMap { ICMPError($0.octets) }
        #expect(heard.first == row.error)
    }

    @Test func `with host-gw the second node answers with its own address`() throws {
        var lab = try Lab(LabManifest.hostGateway)
        _ = try lab.trace("a1", "b1:8080", timeToLive: 2)
        let heard = lab.frames(on: "default/a1/eth0").compactMap { ICMPError($0.octets) }
        #expect(
            heard.first
                == ICMPError(11, 0, from: "192.168.50.12", ttl: 63, quote: "10.244.1.2:8080", quoteTTL: 1))
    }

    @Test func `every ICMP error has precedence 6, TTL 64, no DF, an id, and at most 576 octets`() throws {
        for row in Self.answered {
            var lab = try Lab(LabManifest.plain)
            let trace = try lab.trace(row.source, row.destination, row.transport, timeToLive: row.timeToLive)
            let answer = try #require(trace.reply)
            let sent = try #require(
                lab.simulator.context.recording.frames.first { $0.packet == answer.packet })
            let octets = Array(lab.simulator.context.recording.octets[sent.offset..<sent.offset + sent.length])
            let isEncapsulated = octets[23] == 17
            let start = isEncapsulated ? 14 + 50 : 14
            #expect(octets[start + 1] == 0xc0, "\(row.testDescription)")
            #expect(octets[start + 8] == 64, "\(row.testDescription)")
            #expect(octets[start + 6] & 0x40 == 0, "\(row.testDescription)")
            #expect(octets[start + 4] != 0 || octets[start + 5] != 0, "\(row.testDescription)")
            #expect(octets.count - start <= 576, "\(row.testDescription)")
        }
    }

    struct Silence: CustomTestStringConvertible, Sendable {
        let source: String
        let destination: String
        let comment: String
        var testDescription: String { "\(source) → \(destination)" }
    }

    @Test(arguments: [
        Silence(
            source: "host/client", destination: "node/n1:30081", comment: "default/port-local has no local endpoints"),
        Silence(source: "a1", destination: "svc/inside:80", comment: "default/inside:http has no local endpoints"),
        Silence(source: "node/n1", destination: "svc/inside:80", comment: "default/inside:http has no local endpoints"),
    ])
    func `traffic policy Local without a local endpoint is silence`(_ row: Silence) throws {
        var lab = try Lab(LabManifest.plain)
        let trace = try lab.trace(row.source, row.destination)
        #expect(trace.report.outcome == .timedOut)
        #expect(trace.reply == nil)
        guard case .dropped(.netfilterDrop, _, let rule?) = trace.request?.disposition else {
            Issue.record("\(String(describing: trace.request?.disposition))")
            return
        }
        #expect(rule.comment == row.comment && rule.table == "filter")
        // The SYN again after about 1, 2 and 3.1 seconds (tcp_syn_linear_timeouts).
        let times = trace.retransmissions.map { Double($0.time) / 1e9 }
        #expect(times.count == 3)
        #expect(zip(times, [1.0, 2.0, 3.1]).allSatisfy { abs($0 - $1) < 0.1 }, "\(times)")
    }

    @Test(arguments: [("a1", "b1:81"), ("a1", "a2:81"), ("a1", "node/n2:81"), ("host/client", "node/n1:81")])
    func `a closed TCP port answers with a bare reset`(_ source: String, _ destination: String) throws {
        var lab = try Lab(LabManifest.plain)
        let trace = try lab.trace(source, destination)
        #expect(trace.report.outcome == .failed(.connectionRefused))
        let reset = try #require(trace.reply)
        let sent = try #require(lab.simulator.context.recording.frames.first { $0.packet == reset.packet })
        let octets = Array(lab.simulator.context.recording.octets[sent.offset..<sent.offset + sent.length])
        #expect(octets.count == 54)
        #expect(Array(octets[18..<24]) == [0, 0, 0x40, 0, 64, 6], "id 0, DF, TTL 64, TCP")
        #expect(Array(octets[38..<42]) == [0, 0, 0, 0], "sequence number 0")
        #expect(octets[46] == 0x50 && octets[47] == 0x14, "no options, RST and ACK")
        #expect(Array(octets[48..<50]) == [0, 0], "window 0")
    }

    @Test func `a dead pod's node answers once for each SYN that waited`() throws {
        var lab = try Lab(LabManifest.plain)
        let trace = try lab.trace("a1", "10.244.1.99:80")
        let asked = lab.frames(on: "n2/cni0").filter { frame in
            frame.octets[12] == 8 && frame.octets[13] == 6 && frame.time < 3_050_000_000
        }
        #expect(asked.count == 3)
        let errors = trace.packets.filter { $0.headers.protocol == .icmp && $0.time < 3_500_000_000 }
        #expect(errors.count == 3)
        #expect(errors.allSatisfy { $0.sender == "n2" && abs(Double($0.time) / 1e9 - 3.07) < 0.05 })
    }

    @Test func `a client asks again when it has heard, while the dead pod's node still asks for it`() throws {
        var lab = try Lab(LabManifest.plain)
        let request = try lab.request("a1", "10.244.1.99:80")
        let traces = lab.simulator.trace(request, times: 2, every: 1_000_000_000)
        #expect(traces.map(\.report.outcome) == [.failed(.hostUnreachable), .failed(.hostUnreachable)])
        #expect(traces[0].report.finished > 3_000_000_000)
        #expect(traces[1].report.started == traces[0].report.finished)
        // The neighbor failed, and was asked for anew by the SYN that came last: no fourth second goes by.
        #expect(traces[1].report.finished < traces[1].report.started + 3_500_000_000)
    }

    @Test func `pings of a cluster IP go out into the world`() throws {
        var lab = try Lab(LabManifest.plain)
        let trace = try lab.trace("a1", "10.96.0.10", .icmp)
        #expect(trace.report.outcome == .failed(.networkUnreachable))
        #expect(trace.request?.translations == 1)
    }
}
