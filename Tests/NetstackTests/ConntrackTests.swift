// What connection tracking makes of packets: states, timeouts, what is invalid, what an ICMP error belongs to
// (net/netfilter/nf_conntrack_core.c and nf_conntrack_proto_*.c).

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct ConntrackTests {
    /// A router that tracks: a rule asks for a state.
    private func router() -> (NamespaceHarness, inside: LinkID, outside: LinkID) {
        var rules = Ruleset()
        rules[.filter].append(Rule(matches: [.connectionState(Negatable(.established))]), to: "FORWARD")
        let (harness, inside) = filteringRouter(rules)
        return (harness, inside, LinkID(2))
    }

    private static let there = PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9")
    private static let back = PacketBuilder(.station(0x99), "192.0.2.9", .station(0x12), "10.0.0.2")

    private func states(_ harness: NamespaceHarness) -> [String] {
        harness.steps.compactMap { if case .tracked(let states) = $0 { states.description } else { nil } }
    }

    private func seconds(left harness: NamespaceHarness) -> [Int] {
        harness.host.connections.all(at: harness.context.now).map {
            Int(($0.expires - harness.context.now) / 1_000_000_000)
        }
    }

    // MARK: TCP

    struct Segment: Sendable {
        /// `>` from the client, `<` from the server, then the flags' letters.
        var text: String
        var flags: TCPFlags {
            var flags: TCPFlags = []
            for letter in text.dropFirst() {
                switch letter {
                case "S": flags.insert(.syn)
                case "A": flags.insert(.ack)
                case "F": flags.insert(.fin)
                case "R": flags.insert(.rst)
                default: flags.insert(.psh)
                }
            }
            return flags
        }
    }

    /// What both ends would send next.
    private final class Conversation {
        var client: UInt32 = 1001
        var server: UInt32 = 5001
    }

    private let conversation = Conversation()

    private func send(_ segment: String, _ harness: NamespaceHarness, _ inside: LinkID, _ outside: LinkID) {
        let flags = Segment(text: segment).flags
        let (client, server) = (conversation.client, conversation.server)
        let end: UInt32 = flags.contains(.fin) ? 1 : 0
        if segment.first == ">" {
            let sequence = flags.contains(.syn) ? 1000 : client
            let frame = Self.there.tcp(
                from: 4000, to: 80, flags: flags, sequence: sequence,
                acknowledgment: flags.contains(.ack) ? server : 0)
            conversation.client += end
            harness.receive(frame, on: inside)
        } else {
            let sequence = flags.contains(.syn) ? 5000 : server
            let frame = Self.back.tcp(
                from: 80, to: 4000, flags: flags, sequence: sequence,
                acknowledgment: flags.contains(.ack) ? client : 0)
            conversation.server += end
            harness.receive(frame, on: outside)
        }
    }

    @Test(
        "A TCP connection goes through its states and lives as long as each allows",
        arguments: [
            // segments, state of the last packet, state of the entry, seconds
            (">S", "NEW", TCPTrackingState.synSent, 120), (">S >S", "NEW", .synSent, 120),
            (">S <SA", "ESTABLISHED", .synReceived, 60), (">S <SA >A", "ESTABLISHED", .established, 432_000),
            (">S <SA >A >PA <A", "ESTABLISHED", .established, 432_000),
            (">S <SA >A >FA", "ESTABLISHED", .finWait, 120), (">S <SA >A >FA <A", "ESTABLISHED", .closeWait, 60),
            (">S <SA >A <FA", "ESTABLISHED", .finWait, 120),
            (">S <SA >A >FA <A <FA", "ESTABLISHED", .lastAck, 30),
            (">S <SA >A >FA <FA", "ESTABLISHED", .lastAck, 30),
            (">S <SA >A >FA <FA >A", "ESTABLISHED", .timeWait, 120),
            (">S <SA >A <RA", "ESTABLISHED", .close, 10), (">S <SA >A >R", "ESTABLISHED", .close, 10),
            // A connection from before the tracker's time is picked up.
            (">A", "NEW", .established, 300), (">A <A", "ESTABLISHED", .established, 300),
            (">A <A >A", "ESTABLISHED", .established, 432_000),
            // Simultaneous open.
            (">S <S", "ESTABLISHED", .synSent2, 120), (">S <S >SA", "ESTABLISHED", .synReceived, 60),
            // Segments that only confuse are ignored.
            (">S <SA >A >S", "ESTABLISHED", .established, 432_000),
            (">S <SA >A <SA", "ESTABLISHED", .established, 432_000),
        ] as [(String, String, TCPTrackingState, Int)])
    func tcpStates(segments: String, last: String, state: TCPTrackingState, lifetime: Int) {
        let (harness, inside, outside) = router()
        for segment in segments.split(separator: " ") { send(String(segment), harness, inside, outside) }
        #expect(states(harness).last == last)
        #expect(harness.host.connections.all(at: 0).map(\.tcpState) == [state])
        #expect(seconds(left: harness) == [lifetime])
    }

    @Test(
        "A segment that cannot follow is INVALID and changes nothing",
        arguments: [
            (">SA", 0), (">R", 0), (">SF", 0), (">S >SR", 1), (">S <SA >A >F", 1), (">FA", 0), (">", 0), ("<SA", 0),
            (">S >A", 1), (">S >FA", 1), (">S <FA", 1),
            (">S <", 1), (">S <SA >A >SA", 1), (">S <SA >A <S", 1),
        ])
    func invalidSegments(segments: String, connections: Int) {
        let (harness, inside, outside) = router()
        var before: [TCPTrackingState] = []
        for segment in segments.split(separator: " ") {
            before = harness.host.connections.all(at: 0).map(\.tcpState)
            send(String(segment), harness, inside, outside)
        }
        #expect(states(harness).last == "INVALID")
        #expect(harness.host.connections.all(at: 0).map(\.tcpState) == before)
        #expect(before.count == connections)
    }

    @Test func `A refused connection is forgotten at once`() {
        let (harness, inside, outside) = router()
        send(">S", harness, inside, outside)
        send("<RA", harness, inside, outside)
        #expect(states(harness) == ["NEW", "ESTABLISHED"])
        #expect(harness.host.connections.all(at: 0).isEmpty)
        send(">S", harness, inside, outside)
        #expect(states(harness).last == "NEW")
        #expect(harness.host.connections.count == 1)
    }

    @Test(
        "A SYN on a connection that was closed begins a new one",
        arguments: [">S <SA >A >FA <FA >A", ">S <SA >A <FA >FA <A", ">S <SA >A >R"])
    func reopened(segments: String) {
        let (harness, inside, outside) = router()
        for segment in segments.split(separator: " ") { send(String(segment), harness, inside, outside) }
        send(">S", harness, inside, outside)
        #expect(states(harness).last == "NEW")
        #expect(harness.host.connections.all(at: 0).map(\.tcpState) == [.synSent])
        #expect(harness.host.connections.all(at: 0).allSatisfy { !$0.hasSeenReply })
    }

    @Test func `Timeouts that have a sysctl follow it`() {
        let (harness, inside, outside) = router()
        harness.host.sysctls.connectionTimeouts.tcpEstablished = 86_400
        harness.host.sysctls.connectionTimeouts.tcpCloseWait = 3600
        for segment in [">S", "<SA", ">A"] { send(segment, harness, inside, outside) }
        #expect(seconds(left: harness) == [86_400])
        for segment in [">FA", "<A"] { send(segment, harness, inside, outside) }
        #expect(seconds(left: harness) == [3600])
    }

    @Test func `A connection is assured when an answered one is acknowledged`() {
        let (harness, inside, outside) = router()
        var assured: [Bool] = []
        for segment in [">S", "<SA", ">A"] {
            send(segment, harness, inside, outside)
            assured += harness.host.connections.all(at: 0).map(\.isAssured)
        }
        #expect(assured == [false, false, true])
    }

    // MARK: UDP and ICMP

    @Test func `UDP lives thirty seconds, two minutes once it is a stream`() {
        let (harness, inside, outside) = router()
        func there() { harness.receive(Self.there.udp(from: 4000, to: 53), on: inside) }
        func back() { harness.receive(Self.back.udp(from: 53, to: 4000), on: outside) }
        there()
        there()
        #expect(states(harness) == ["NEW", "NEW"])
        back()
        there()
        #expect(states(harness).suffix(2) == ["ESTABLISHED", "ESTABLISHED"])
        #expect(seconds(left: harness) == [30])
        harness.advance(ConntrackTests.time(2.1))
        back()
        #expect(seconds(left: harness) == [120])
        #expect(harness.host.connections.all(at: 0).map(\.isAssured) == [true])
        harness.advance(ConntrackTests.time(121))
        there()
        #expect(states(harness).last == "NEW")
        #expect(harness.host.connections.count == 1)
    }

    private static func time(_ count: Double) -> Nanoseconds { NetstackTests.seconds(count) }

    @Test func `An echo and its reply are one connection, told apart by identifier`() {
        let (harness, inside, outside) = router()
        harness.receive(Self.there.echoRequest(identifier: 7, sequence: 1), on: inside)
        harness.receive(Self.there.echoRequest(identifier: 7, sequence: 2), on: inside)
        harness.receive(Self.back.echoReply(identifier: 7, sequence: 1), on: outside)
        harness.receive(Self.there.echoRequest(identifier: 8, sequence: 1), on: inside)
        harness.receive(Self.back.echoReply(identifier: 9, sequence: 1), on: outside)
        #expect(states(harness) == ["NEW", "NEW", "ESTABLISHED", "NEW", "INVALID"])
        #expect(seconds(left: harness) == [30, 30])
    }

    @Test(
        "ICMP queries begin a connection, other types do not",
        arguments: [(8, true), (13, true), (15, true), (17, true), (0, false), (14, false), (9, false), (42, false)]
            as [(UInt8, Bool)])
    func icmpTypes(type: UInt8, begins: Bool) {
        let (harness, inside, _) = router()
        harness.receive(Self.there.icmp(ICMPv4Kind(type: type), restOfHeader: 1), on: inside)
        #expect(states(harness) == [begins ? "NEW" : "INVALID"])
    }

    @Test func `Another protocol is tracked by its addresses for ten minutes`() {
        let (harness, inside, outside) = router()
        harness.receive(Self.there.packet(IPProtocol(rawValue: 47), payload: [1, 2]), on: inside)
        harness.receive(Self.back.packet(IPProtocol(rawValue: 47), payload: [1, 2]), on: outside)
        #expect(states(harness) == ["NEW", "ESTABLISHED"])
        #expect(seconds(left: harness) == [600])
    }

    // MARK: errors

    @Test(
        "An ICMP error is RELATED to the connection it quotes, in its direction, or INVALID",
        arguments: [
            ("about the first packet", "RELATED"), ("about the answer", "RELATED"), ("about nothing known", "INVALID"),
            ("to another host", "INVALID"), ("a cut quote", "INVALID"), ("an error about an error", "INVALID"),
        ])
    func related(what: String, state: String) {
        let (harness, inside, outside) = router()
        let request = Self.there.udp(from: 4000, to: 53)
        let answer = Self.back.udp(from: 53, to: 4000)
        harness.receive(request, on: inside)
        harness.receive(answer, on: outside)
        harness.clear()
        func quote(_ frame: [UInt8]) -> [UInt8] { Array(frame.dropFirst(14).prefix(28)) }
        let router = PacketBuilder(.station(0x99), "192.0.2.200", .station(0x12), "10.0.0.2")
        switch what {
        case "about the first packet":
            harness.receive(router.icmp(.hostUnreachable, payload: quote(request)), on: outside)
        case "about the answer":
            harness.receive(Self.there.icmp(.portUnreachable, payload: quote(answer)), on: inside)
        case "about nothing known":
            harness.receive(router.icmp(.hostUnreachable, payload: quote(Self.there.udp(from: 1, to: 2))), on: outside)
        case "to another host":
            let elsewhere = PacketBuilder(.station(0x99), "192.0.2.200", .station(0x12), "10.0.0.3")
            harness.receive(elsewhere.icmp(.hostUnreachable, payload: quote(request)), on: outside)
        case "a cut quote":
            harness.receive(router.icmp(.hostUnreachable, payload: Array(quote(request).prefix(22))), on: outside)
        default:
            let error = router.icmp(.hostUnreachable, payload: quote(request))
            harness.receive(router.icmp(.hostUnreachable, payload: quote(error)), on: outside)
        }
        #expect(states(harness) == [state])
        // Errors neither make nor prolong connections.
        #expect(harness.host.connections.count == 1)
    }

    @Test func `A packet that was dropped leaves no connection`() {
        var rules = Ruleset()
        rules[.filter].append(Rule(matches: [.connectionState(Negatable(.new))], target: .drop), to: "FORWARD")
        let (harness, inside) = filteringRouter(rules)
        for port: UInt16 in 1...5 { harness.receive(Self.there.udp(from: port, to: 53), on: inside) }
        #expect(harness.host.connections.all(at: 0).isEmpty)
        #expect(harness.host.connections.pool.count == 1, "one place serves all five")
    }

    @Test func `A full table drops what is new and lets the known pass`() {
        let (harness, inside, _) = router()
        harness.host.sysctls.connectionTrackingMax = 2
        for port: UInt16 in [1, 2, 3, 1] { harness.receive(Self.there.udp(from: port, to: 53), on: inside) }
        #expect(harness.sent.count == 3)
        #expect(harness.drops == [.connectionTableFull])
    }

    @Test func `Connections nobody asks for again are forgotten`() {
        let (harness, inside, _) = router()
        for number in 0..<2000 {
            harness.context.recording.events = []
            harness.receive(Self.there.udp(from: UInt16(number), to: 53), on: inside)
            harness.advance(Self.time(1))
        }
        #expect(harness.host.connections.count < 100)
        #expect(harness.host.connections.pool.count < 100)
        harness.advance(Self.time(100))
        harness.host.sysctls.connectionTrackingMax = 1
        harness.receive(Self.there.udp(from: 3000, to: 53), on: inside)
        #expect(harness.drops.isEmpty)
    }

    @Test func `The tuple table finds what was put in, among many comings and goings`() {
        var random = SeededGenerator(seed: 20_261_121)
        var table = TupleTable()
        var known: [Int32: ConnectionTuple] = [:]
        func tuple(_ number: Int) -> ConnectionTuple {
            ConnectionTuple(
                source: ip("10.0.0.1"), destination: ip("10.0.0.2"), protocol: .tcp,
                sourcePort: UInt16(number), destinationPort: 80)
        }
        for _ in 0..<4000 {
            let number = random.next(below: 300)
            let id = ConnectionID(rawValue: Int32(number))
            if known.removeValue(forKey: id.rawValue) != nil {
                table.remove(tuple(number), of: id)
            } else {
                table.insert(tuple(number), .init(connection: id, isReply: false))
                known[id.rawValue] = tuple(number)
            }
        }
        for number in 0..<300 {
            let hit = table.lookup(tuple(number))
            #expect((hit != nil) == (known[Int32(number)] != nil), "seed 20261121, \(number)")
            if let hit { #expect(hit.connection.rawValue == Int32(number)) }
        }
    }
}
