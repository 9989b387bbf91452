// Targets that change packets or connections, octet for octet, and when REJECT keeps silent.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct TargetEffectTests {
    private static let from = PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9")

    /// Sends a frame from in0 through rules of one table and returns what left.
    private func send(
        _ frame: [UInt8], _ targets: [Target], table: TableName = .mangle, chain: String = "FORWARD", mtu: Int = 1500
    ) -> NamespaceHarness {
        var rules = Ruleset()
        for target in targets { rules[table].append(Rule(target: target), to: chain) }
        let (harness, inside) = filteringRouter(rules)
        harness.host.setMTU(mtu, of: "out0")
        harness.receive(frame, on: inside)
        return harness
    }

    // MARK: headers

    @Test(
        "TTL, DSCP and TOS change their bits alone",
        arguments: [
            (.setTimeToLive(.set(5), family: .ipv4), 5, 0x2b), (.setTimeToLive(.increase(7), family: .ipv4), 70, 0x2b),
            (.setTimeToLive(.decrease(60), family: .ipv4), 3, 0x2b),
            (.setTimeToLive(.increase(255), family: .ipv4), 255, 0x2b),
            (.setTimeToLive(.decrease(255), family: .ipv4), 0, 0x2b),
            (.setCodePoint(46), 63, 0xbb), (.setCodePoint(0), 63, 0x03),
            (.setTypeOfService(OctetBits(0x10)), 63, 0x10), (.setTypeOfService(OctetBits(0x04, mask: 0)), 63, 0x2f),
            (.setTypeOfService(OctetBits(0, mask: 0x0f)), 63, 0x20),
        ] as [(Target, UInt8, UInt8)])
    func header(target: Target, timeToLive: UInt8, trafficClass: UInt8) throws {
        var builder = Self.from
        builder.trafficClass = 0x2b
        let sent = try #require(send(builder.udp(from: 1, to: 2), [target]).sent.first)
        #expect(sent.ipv4.timeToLive == timeToLive)
        #expect(sent.ipv4.trafficClass == trafficClass)
    }

    struct Segment: Sendable {
        var announced: UInt16?
        var target: UInt16?
        var mtu = 1500
        var payload = 0
        var result: UInt16?
    }

    @Test(
        "TCPMSS lowers the size a SYN announces, never raises it, and announces one where there was none",
        arguments: [
            Segment(announced: 1460, target: 1300, result: 1300), Segment(announced: 1460, target: 1460, result: 1460),
            Segment(announced: 1200, target: 1300, result: 1200), Segment(announced: nil, target: 1300, result: 536),
            Segment(announced: nil, target: 400, result: 400), Segment(announced: 1460, mtu: 1400, result: 1360),
            Segment(announced: 1460, mtu: 9000, result: 1460), Segment(announced: nil, mtu: 1400, result: 536),
            // Data behind the header leaves no room for an option.
            Segment(announced: nil, target: 1300, payload: 10, result: nil),
        ])
    func segmentSize(_ segment: Segment) throws {
        let options = TCPOptions(
            maximumSegmentSize: segment.announced, sackPermitted: true, timestamps: TCPTimestamps(value: 7, echo: 0))
        let frame = Self.from.tcp(
            from: 5000, to: 80, flags: .syn, options: options, payload: [UInt8](repeating: 1, count: segment.payload))
        let sent = try #require(send(frame, [.setSegmentSize(segment.target)], mtu: segment.mtu).sent.first)
        #expect(sent.tcp.options.maximumSegmentSize == segment.result)
        // Checksums are looked at by the harness; the other options are as they were.
        #expect(sent.tcp.options.timestamps == options.timestamps)
        #expect(sent.payload.count == segment.payload)
        let grew = segment.announced == nil && segment.result != nil
        #expect(sent.octets.count == frame.count + (grew ? 4 : 0))
    }

    // MARK: connections

    @Test(
        "CONNMARK sets, saves and restores under masks",
        arguments: [
            (.set(MarkBits(0x5, mask: 0xf)), 0xf5, 0xff00), (.set(MarkBits(0x1, mask: 0)), 0xf1, 0xff00),
            (.save(packetMask: .max, connectionMask: .max), 0xff00, 0xff00),
            (.save(packetMask: 0xf000, connectionMask: 0x0f), 0xf0f0, 0xff00),
            (.restore(packetMask: .max, connectionMask: .max), 0xf0, 0xf0),
            (.restore(packetMask: 0xff, connectionMask: 0x30), 0xf0, 0xff30),
        ] as [(ConnectionMarkChange, UInt32, UInt32)])
    func connectionMarks(change: ConnectionMarkChange, connection: UInt32, packet: UInt32) throws {
        var rules = Ruleset()
        rules[.mangle].append(Rule(target: .setMark(value: 0xff00, mask: .max)), to: "PREROUTING")
        rules[.mangle].append(Rule(target: .connectionMark(.set(MarkBits(0xf0)))), to: "PREROUTING")
        rules[.mangle].append(Rule(target: .connectionMark(change)), to: "PREROUTING")
        rules[.filter].append(Rule(matches: [.mark(Negatable(MarkBits(packet)))], target: .accept), to: "FORWARD")
        rules[.filter].append(Rule(target: .drop), to: "FORWARD")
        let (harness, inside) = filteringRouter(rules)
        harness.receive(Self.from.udp(from: 5000, to: 53), on: inside)
        #expect(harness.sent.count == 1, "the packet's mark")
        #expect(harness.host.connections.all(at: 0).map(\.mark) == [connection])
    }

    @Test func `NOTRACK leaves a packet without a connection, and NAT leaves it alone`() {
        var rules = Ruleset()
        rules[.raw].append(Rule(target: .noTrack(isCT: true)), to: "PREROUTING")
        rules[.nat].append(
            Rule(target: .destinationNAT(address: ip("10.0.0.3"), port: nil)), to: "PREROUTING")
        rules[.filter].append(
            Rule(matches: [.connectionState(Negatable(.untracked))], target: .accept), to: "FORWARD")
        rules[.filter].setPolicy(.drop, of: .forward)
        let (harness, inside) = filteringRouter(rules)
        harness.receive(Self.from.udp(from: 5000, to: 53), on: inside)
        #expect(harness.sent.map(\.text) == ["out0 udp 10.0.0.2:5000 > 192.0.2.9:53 ttl 63"])
        #expect(harness.host.connections.all(at: 0).isEmpty)
    }

    // MARK: translation

    private func translated(_ target: Target, chain: String, sources: [String] = ["10.0.0.2"]) -> [Frame] {
        var rules = Ruleset()
        rules[.nat].append(Rule(target: target), to: chain)
        let (harness, inside) = filteringRouter(rules)
        for source in sources {
            for port in UInt16(5000)..<5020 {
                let builder = PacketBuilder(.peer, source, .own, "192.0.2.9")
                harness.receive(builder.udp(from: port, to: 53), on: inside)
            }
        }
        return harness.sent
    }

    @Test func `SNAT takes a port of the range, in turn where others are taken`() {
        let range = TranslationRange(addresses: ip("203.0.113.5")...ip("203.0.113.5"), ports: 1024...1043)
        let ports = translated(.sourceNAT(range), chain: "POSTROUTING").map { $0.packet!.udp!.sourcePort }
        #expect(Set(ports) == Set(1024...1043), "twenty connections to one end take all twenty ports")
    }

    @Test func `A source port in the range is kept`() {
        let range = TranslationRange(addresses: ip("203.0.113.5")...ip("203.0.113.5"), ports: 4000...6000)
        let ports = translated(.sourceNAT(range), chain: "POSTROUTING").map { $0.packet!.udp!.sourcePort }
        #expect(ports == Array(5000..<5020))
    }

    @Test func `Of several addresses a source always gets the same for a destination`() {
        let range = TranslationRange(addresses: ip("203.0.113.1")...ip("203.0.113.8"))
        let sources = (2..<30).map { "10.0.0.\($0)" }
        let addresses = translated(.sourceNAT(range), chain: "POSTROUTING", sources: sources).map(\.ipv4.source)
        #expect(addresses.count == sources.count * 20)
        for first in stride(from: 0, to: addresses.count, by: 20) {
            #expect(Set(addresses[first..<first + 20]).count == 1)
        }
        #expect(Set(addresses).count > 4)
    }

    @Test func `DNAT to a range of ports takes the first that is free`() {
        let range = TranslationRange(addresses: ip("10.0.0.3")...ip("10.0.0.3"), ports: 8000...8009)
        let sent = translated(.destinationNAT(range), chain: "PREROUTING")
        #expect(sent.allSatisfy { $0.packet!.udp!.destinationPort == 8000 }, "source ports differ, so none is taken")
        let shifted = TranslationRange(
            addresses: ip("10.0.0.3")...ip("10.0.0.3"), ports: 8000...8009, basePort: 50)
        #expect(
            translated(.destinationNAT(shifted), chain: "PREROUTING").allSatisfy {
                $0.packet!.udp!.destinationPort == 8003
            })
    }

    @Test func `REDIRECT leads to an address of the way in, of one's own packets to loopback`() throws {
        var rules = Ruleset()
        let ports = TranslationRange(ports: 5353...5353)
        rules[.nat].append(Rule(target: .redirect(ports)), to: "PREROUTING")
        rules[.nat].append(Rule(target: .redirect(ports)), to: "OUTPUT")
        let (harness, inside) = filteringRouter(rules)
        _ = harness.host.bindUDP(port: 5353)
        harness.receive(Self.from.udp(from: 5000, to: 53), on: inside)
        let socket = try harness.host.connectUDP(to: end("192.0.2.9:53"), &harness.context)
        try harness.host.sendDatagram(socket, [1], &harness.context)
        harness.settle()
        let destinations = harness.steps.compactMap { step -> String? in
            if case .translated(.destination, _, let to, _) = step { to.description } else { nil }
        }
        #expect(destinations == ["10.0.0.1:5353", "127.0.0.1:5353"])
        #expect(harness.deliveries == 2)
    }

    // MARK: silence

    @Test(
        "REJECT says nothing about what cannot be trusted",
        arguments: [
            ("a later fragment", RejectKind.portUnreachable), ("a broken checksum", .portUnreachable),
            ("a broken segment", .tcpReset), ("a reset", .tcpReset), ("a datagram", .tcpReset),
        ])
    func silence(_ what: String, kind: RejectKind) throws {
        var frame: [UInt8]
        switch what {
        case "a later fragment":
            let whole = Self.from.with(dontFragment: false).udp(
                from: 1, to: 2, payload: [UInt8](repeating: 0, count: 900))
            frame = try PacketBuilder.fragments(of: whole, mtu: 500)[1]
        case "a broken checksum":
            frame = Self.from.udp(from: 1, to: 2, payload: [1, 2, 3])
            frame[frame.count - 1] ^= 0xff
        case "a broken segment":
            frame = Self.from.tcp(from: 1, to: 2, flags: .syn, payload: [1, 2, 3])
            frame[frame.count - 1] ^= 0xff
        case "a reset": frame = Self.from.tcp(from: 1, to: 2, flags: .rst)
        default: frame = Self.from.udp(from: 1, to: 2)
        }
        let harness = send(frame, [.reject(kind)], table: .filter)
        #expect(harness.sent.isEmpty)
        #expect(harness.drops == [.netfilterDrop])
    }

    @Test func `A datagram without a checksum is answered`() {
        let frame = Self.from.udp(from: 1, to: 2, checksum: false)
        #expect(send(frame, [.reject(.portUnreachable)], table: .filter).sent.count == 1)
    }

    @Test func `Each target tells what it did`() {
        let targets: [Target] = [
            .log(LogOptions()), .netlinkLog(NetlinkLogOptions()), .connectionMark(.set(MarkBits(1))),
            .setMark(value: 1, mask: 1), .setCodePoint(1), .setTimeToLive(.set(2), family: .ipv4),
        ]
        let verdicts = send(Self.from.udp(from: 1, to: 2), targets).steps.compactMap { step in
            if case .rule(_, let verdict) = step { verdict } else { nil }
        }
        #expect(verdicts == [.log, .log, .connectionMark, .setMark, .rewrite, .rewrite])
    }
}

extension NetworkNamespace {
    mutating func setMTU(_ mtu: Int, of name: String) {
        if let link = link(named: name) { links[link.id.index].mtu = mtu }
    }
}
