// Where connection tracking looks closer: TCP windows and resets, SCTP, full tables, packets of one flow at once, what
// is not tracked (net/netfilter/nf_conntrack_proto_tcp.c, nf_conntrack_proto_sctp.c, nf_conntrack_core.c).

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct TrackingEdgeTests {
    private static let there = PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9")
    private static let back = PacketBuilder(.station(0x99), "192.0.2.9", .station(0x12), "10.0.0.2")
    private static let outside = LinkID(2)

    private func router(_ change: (inout Ruleset) -> Void = { _ in }) -> (NamespaceHarness, inside: LinkID) {
        var rules = Ruleset()
        rules[.filter].append(Rule(matches: [.connectionState(Negatable(.established))]), to: "FORWARD")
        change(&rules)
        return filteringRouter(rules)
    }

    private func state(_ harness: NamespaceHarness) -> String? {
        harness.steps.reversed().lazy.compactMap { step -> String? in
            if case .tracked(let states) = step { return states.description }
            return nil
        }.first
    }

    private func left(_ harness: NamespaceHarness) -> [Int] {
        harness.host.connections.all(at: harness.context.now).map {
            Int(($0.expires - harness.context.now) / 1_000_000_000)
        }
    }

    /// A connection whose ends have agreed on 1001 and 5001, with windows of 1000 octets.
    private func connected() -> (NamespaceHarness, inside: LinkID) {
        let (harness, inside) = router()
        harness.receive(Self.there.tcp(from: 4000, to: 80, flags: .syn, sequence: 1000, window: 1000), on: inside)
        harness.receive(
            Self.back.tcp(
                from: 80, to: 4000, flags: [.syn, .ack], sequence: 5000, acknowledgment: 1001, window: 1000),
            on: Self.outside)
        harness.receive(
            Self.there.tcp(from: 4000, to: 80, flags: .ack, sequence: 1001, acknowledgment: 5001, window: 1000),
            on: inside)
        return (harness, inside)
    }

    struct Segment: Sendable, CustomTestStringConvertible {
        var flags: TCPFlags
        var sequence: UInt32
        var acknowledgment: UInt32 = 5001
        var length = 0
        var state: String
        var lifetime: Int
        var testDescription: String { "\(flags.rawValue) \(sequence) \(acknowledgment) \(length)" }
    }

    @Test(
        "A segment far from what the ends said is INVALID, one that comes again is let through",
        arguments: [
            Segment(flags: .ack, sequence: 1001, state: "ESTABLISHED", lifetime: 432_000),
            // Data that waits for its acknowledgment.
            Segment(flags: .ack, sequence: 1001, length: 500, state: "ESTABLISHED", lifetime: 300),
            Segment(flags: .ack, sequence: 2001, length: 0, state: "ESTABLISHED", lifetime: 300),
            // Over the window of the receiver: a little is forgiven.
            Segment(flags: .ack, sequence: 2003, length: 10, state: "ESTABLISHED", lifetime: 432_000),
            Segment(flags: .ack, sequence: 4000, length: 10, state: "INVALID", lifetime: 432_000),
            // Acknowledges what was never sent.
            Segment(flags: .ack, sequence: 1001, acknowledgment: 5003, state: "INVALID", lifetime: 432_000),
            // Below the window: a repetition of what was acknowledged long ago changes nothing.
            Segment(flags: .ack, sequence: 0, acknowledgment: 5001, state: "ESTABLISHED", lifetime: 432_000),
            // Resets: the very number, one too small, one within the window.
            Segment(flags: .rst, sequence: 1001, acknowledgment: 0, state: "ESTABLISHED", lifetime: 10),
            Segment(flags: .rst, sequence: 900, acknowledgment: 0, state: "INVALID", lifetime: 432_000),
        ])
    func windows(segment: Segment) {
        let (harness, inside) = connected()
        harness.receive(
            Self.there.tcp(
                from: 4000, to: 80, flags: segment.flags, sequence: segment.sequence,
                acknowledgment: segment.acknowledgment, window: 1000,
                payload: [UInt8](repeating: 0, count: segment.length)), on: inside)
        #expect(state(harness) == segment.state)
        #expect(left(harness) == [segment.lifetime])
    }

    @Test func `Liberal tracking takes any number, but no segment that cannot follow`() {
        let (harness, inside) = connected()
        harness.host.sysctls.connectionTrackingIsLiberal = true
        let far = Self.there.tcp(from: 4000, to: 80, flags: .ack, sequence: 900_000, acknowledgment: 5001)
        harness.receive(far, on: inside)
        #expect(state(harness) == "ESTABLISHED")
        harness.receive(Self.there.tcp(from: 4000, to: 80, flags: [.syn, .ack], sequence: 1), on: inside)
        #expect(state(harness) == "INVALID")
    }

    @Test func `A reset that is only near leaves the connection for a challenge`() {
        let (harness, inside) = connected()
        // The reset comes from the client; the server has acknowledged up to 1001.
        harness.receive(Self.there.tcp(from: 4000, to: 80, flags: .rst, sequence: 1500), on: inside)
        #expect(state(harness) == "ESTABLISHED")
        #expect(harness.host.connections.all(at: 0).map(\.tcpState) == [.established])
        #expect(left(harness) == [10])
    }

    @Test func `Without tcp_loose no connection is picked up in the middle`() {
        let (harness, inside) = router()
        harness.host.sysctls.connectionTrackingIsLoose = false
        harness.receive(Self.there.tcp(from: 4000, to: 80, flags: .ack), on: inside)
        #expect(state(harness) == "INVALID")
    }

    @Test func `A SYN sent again does not keep its entry alive`() {
        let (harness, inside) = router()
        let syn = Self.there.tcp(from: 4000, to: 80, flags: .syn)
        harness.receive(syn, on: inside)
        harness.advance(seconds(50))
        harness.receive(syn, on: inside)
        #expect(left(harness) == [70])
    }

    // MARK: SCTP

    private static func chunk(_ type: UInt8, tag: UInt32 = 0) -> [UInt8] {
        let body = type == 1 || type == 2 ? 16 : 0
        var octets = [type, 0, 0, UInt8(4 + body)] + [UInt8](repeating: 0, count: body)
        if body > 0 {
            octets.replaceSubrange(4..<8, with: (0..<4).map { UInt8(truncatingIfNeeded: tag >> (24 - 8 * $0)) })
        }
        return octets
    }

    @Test(
        "An SCTP association goes through its states",
        arguments: [
            (1, SCTPTrackingState.closed, 10), (2, .cookieWait, 3), (3, .cookieEchoed, 3), (4, .established, 210),
            (5, .shutdownSent, 3), (6, .shutdownAckSent, 3), (7, .closed, 10),
        ])
    func sctp(packets: Int, expected: SCTPTrackingState, lifetime: Int) {
        let (harness, inside) = router()
        // The client's tag is 77, the server's 99; chunks by their numbers.
        let conversation: [(fromClient: Bool, chunk: UInt8, tag: UInt32)] = [
            (true, 1, 0), (false, 2, 77), (true, 10, 99), (false, 11, 77), (true, 7, 99), (false, 8, 77),
            (true, 14, 99),
        ]
        for (fromClient, type, tag) in conversation.prefix(packets) {
            let chunks = Self.chunk(type, tag: fromClient ? 77 : 99)
            if fromClient {
                harness.receive(Self.there.sctp(from: 4000, to: 80, verificationTag: tag, chunks: chunks), on: inside)
            } else {
                harness.receive(
                    Self.back.sctp(from: 80, to: 4000, verificationTag: tag, chunks: chunks), on: Self.outside)
            }
            #expect(state(harness) != "INVALID")
        }
        #expect(harness.host.connections.all(at: 0).map(\.sctpState) == [expected])
        #expect(left(harness) == [lifetime])
        #expect(harness.host.connections.all(at: 0).map(\.isAssured) == [packets >= 4])
    }

    @Test(
        "What cannot begin or belong to an association is INVALID",
        arguments: [(6, 0), (11, 0), (14, 0), (1, 5)] as [(UInt8, UInt32)])
    func invalidSCTP(type: UInt8, tag: UInt32) {
        let (harness, inside) = router()
        harness.receive(
            Self.there.sctp(from: 4000, to: 80, verificationTag: tag, chunks: Self.chunk(type, tag: 77)), on: inside)
        #expect(state(harness) == "INVALID")
    }

    // MARK: the table

    @Test func `In a full table an unassured neighbor in the hash makes way`() {
        var table = TupleTable()
        func tuple(_ number: Int) -> ConnectionTuple {
            ConnectionTuple(
                source: ip("10.0.0.1"), destination: ip("10.0.0.2"), protocol: .udp, sourcePort: UInt16(number),
                destinationPort: 80)
        }
        let buckets = 64
        for number in 0..<500 {
            table.insert(tuple(number), .init(connection: ConnectionID(rawValue: Int32(number)), isReply: false))
        }
        let wanted = tuple(1000)
        func bucket(_ tuple: ConnectionTuple) -> Int { Int(truncatingIfNeeded: tuple.mixedHash) & (buckets - 1) }
        let expected = (0..<500).filter { (bucket(tuple($0)) - bucket(wanted)) & (buckets - 1) < 8 }
        let found = table.hits(near: wanted, buckets: buckets, count: 8).map { Int($0.hit.connection.rawValue) }
        #expect(Set(found) == Set(expected))
        #expect(!expected.isEmpty)
    }

    @Test func `Of two datagrams of one flow sent to two places the slower is known by its replies for a second`() {
        var tracker = ConnectionTracker()
        let harness = NamespaceHarness()
        func connection(to destination: String) -> ConnectionID {
            let original = ConnectionTuple(
                source: ip("10.0.0.2"), destination: ip("10.96.0.10"), protocol: .udp, sourcePort: 4000,
                destinationPort: 53)
            let reply = ConnectionTuple(
                source: ip(destination), destination: ip("10.0.0.2"), protocol: .udp, sourcePort: 53,
                destinationPort: 4000)
            let id = tracker.create(original, reply: reply, now: 0)
            tracker[id].status = [.destinationNAT, .destinationDone, .sourceDone]
            tracker[id].expires = seconds(30)
            return id
        }
        let ids = [connection(to: "10.1.0.3"), connection(to: "10.1.0.4")]
        harness.host.connections = tracker
        for id in ids {
            var packet = harness.context.arena.allocate(length: 64, id: 1)
            packet.connection = id
            packet.connectionState = .new
            #expect(harness.host.confirm(&packet, &harness.context))
            #expect(packet.connection == id)
            harness.context.arena.free(packet)
        }
        #expect(harness.host.connections.all(at: 0).count == 1, "the other is hidden")
        let reply = ConnectionTuple(
            source: ip("10.1.0.4"), destination: ip("10.0.0.2"), protocol: .udp, sourcePort: 53, destinationPort: 4000)
        #expect(harness.host.connections.lookup(reply, now: 0)?.connection == ids[1])
        #expect(harness.host.connections.lookup(reply, now: seconds(1.5)) == nil)
    }

    @Test func `Neighbor discovery is untracked, an echo is not`() {
        let (harness, inside) = router()
        var rules = Ruleset()
        rules[.filter].append(Rule(matches: [.connectionState(Negatable(.established))]), to: "INPUT")
        harness.host.setRuleset(rules, family: .ipv6)
        harness.host.addAddress(interface("fd00:1::1/64"), to: inside)
        harness.know("fd00:1::2", on: inside)
        let toHost = PacketBuilder(.peer, "fd00:1::2", .own, "fd00:1::1")
        harness.receive(toHost.icmpv6(.routerSolicitation), on: inside)
        #expect(state(harness) == "UNTRACKED")
        harness.receive(toHost.echoRequest(identifier: 1, sequence: 1), on: inside)
        #expect(harness.host.connections.all(at: 0).map(\.original.protocol) == [.icmpv6])
        harness.receive(toHost.icmpv6(ICMPv6Kind(type: 200)), on: inside)
        #expect(state(harness) == "INVALID")
    }

    // MARK: NAT's choices

    @Test(
        "The address of a range is the one the kernel takes",
        arguments: [false, true])
    func addressHash(isPersistent: Bool) {
        // Linux 6.18, SNAT --to-source 203.0.113.1-203.0.113.8 of 10.9.0.2 to 10.9.0.11, sent to 10.9.9.9.
        let kernel = isPersistent ? [3, 1, 2, 1, 8, 6, 7, 8, 3, 1] : [3, 3, 8, 8, 5, 8, 7, 1, 1, 2]
        let range = TranslationRange(
            addresses: ip("203.0.113.1")...ip("203.0.113.8"), options: isPersistent ? .persistent : [])
        let chosen = (2...11).map { last in
            range.address(
                for: ConnectionTuple(
                    source: ip("10.9.0.\(last)"), destination: ip("10.9.9.9"), protocol: .udp, sourcePort: 4000,
                    destinationPort: 53))
        }
        #expect(chosen == kernel.map { ip("203.0.113.\($0)") })
    }

    @Test func `A masqueraded connection leaves by no other link`() {
        let (harness, inside) = router { rules in
            rules[.nat].append(Rule(target: .masquerade(randomFully: false)), to: "POSTROUTING")
        }
        let packet = Self.there.udp(from: 4000, to: 53)
        harness.receive(packet, on: inside)
        let other = harness.addEthernet("out1", mac: .station(0x13), address: "198.51.100.1/24")
        harness.know("198.51.100.9", on: other)
        harness.addRoute("192.0.2.9/32", via: "198.51.100.9", on: other)
        harness.receive(packet, on: inside)
        #expect(harness.drops == [.netfilterDrop])
        harness.receive(packet, on: inside)
        #expect(harness.sent.map(\.text).last == "out1 udp 198.51.100.1:4000 > 192.0.2.9:53 ttl 63")
    }
}
