// IPv6 through a router of two links, and its neighbors (net/ipv6/ip6_input.c, ip6_output.c, icmp.c, ndisc.c).
// Frames are read as tcpdump prints them; every checksum of what is sent is checked.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct IPv6Tests {
    private static let peer = PacketBuilder(.peer, "fd00:1::2", .own, "2001:db8::9")
    private static let outside = LinkID(2)

    /// fd00:1::1/64 on in0, 2001:db8::1/64 on out0, default route by 2001:db8::9.
    private func router(
        _ rules: Ruleset = Ruleset(), knowsNeighbors: Bool = true, mtu: Int = 1500
    ) -> (NamespaceHarness, inside: LinkID) {
        let harness = NamespaceHarness()
        let inside = harness.addEthernet("in0", mac: .own, address: "fd00:1::1/64")
        let outside = harness.addEthernet("out0", mac: .station(0x12), address: "2001:db8::1/64", mtu: mtu)
        harness.host.sysctls.ipv6Forward = true
        harness.addRoute("::/0", via: "2001:db8::9", on: outside)
        if knowsNeighbors {
            harness.know("fd00:1::2", on: inside)
            harness.know("2001:db8::9", .station(0x99), on: outside)
        }
        harness.host.setRuleset(rules, family: .ipv6)
        return (harness, inside)
    }

    /// What was sent since the last look: link, and the packet in tcpdump's words.
    private func sent(_ harness: NamespaceHarness) -> [String] {
        harness.takeSent().map { frame in
            let packet = Array(frame.octets.dropFirst(14))
            let header = try? IPv6Header(parsing: packet.span.bytes)
            if let upper = try? IPv6UpperLayer(parsing: packet.span.bytes), let header {
                let isIntact = TransportChecksum.verify(
                    upper.protocol, source: IPAddress(header.source), destination: IPAddress(header.destination),
                    in: packet.span.bytes, segment: upper.offset..<packet.count)
                #expect(isIntact, "bad checksum")
            }
            let text = describe(packet: packet.span.bytes)
            return "\(frame.link) hlim \(header?.hopLimit ?? 0) \(text.dropFirst(4))"
        }
    }

    @Test func `A packet is passed on with a hop less, and ends when none is left`() {
        let (harness, inside) = router()
        harness.receive(Self.peer.udp(from: 4000, to: 53, payload: [1]), on: inside)
        harness.receive(Self.peer.with(timeToLive: 1).udp(from: 4000, to: 53, payload: [1]), on: inside)
        let lines = sent(harness)
        #expect(lines.count == 2)
        #expect(lines[0].hasPrefix("out0 hlim 63 fd00:1::2.4000 > 2001:db8::9.53: "))
        #expect(lines[1].hasPrefix("in0 hlim 64 fd00:1::1 > fd00:1::2: ICMP6, time exceeded in-transit"))
        #expect(harness.drops == [.ipHeader])
    }

    @Test(
        "What cannot go on is told of, or is not",
        arguments: [
            ("too large", "ICMP6, packet too big, mtu 1280", DropReason.packetTooBig),
            ("nowhere", "ICMP6, destination unreachable, unreachable route 2400::1", .noInputRoute),
            ("a link-local source", "ICMP6, destination unreachable, beyond scope", .invalidSource),
            ("not forwarding", nil, .forwardingDisabled), ("loopback", nil, .ipHeader),
            ("an unheard group", nil, .otherHost), ("version 5", nil, .ipHeader), ("a cut packet", nil, .ipHeader),
        ] as [(String, String?, DropReason)])
    func refusals(what: String, answer: String?, reason: DropReason) {
        let (harness, inside) = router(mtu: 1280)
        harness.checksChecksums = false
        var frame = Self.peer.udp(from: 4000, to: 53, payload: [1])
        switch what {
        case "too large": frame = Self.peer.udp(from: 4000, to: 53, payload: [UInt8](repeating: 0, count: 1300))
        case "nowhere":
            harness.host.removeRoutes { $0.prefix.length == 0 }
            frame = PacketBuilder(.peer, "fd00:1::2", .own, "2400::1").udp(from: 1, to: 2)
        case "a link-local source":
            harness.know("fe80::22", on: inside)
            frame = PacketBuilder(.peer, "fe80::22", .own, "2001:db8::9").udp(from: 1, to: 2)
        case "not forwarding": harness.host.sysctls.ipv6Forward = false
        case "loopback": frame = PacketBuilder(.peer, "::1", .own, "2001:db8::9").udp(from: 1, to: 2)
        case "an unheard group":
            frame = PacketBuilder(.peer, "fd00:1::2", .own, "ff02::1:ff00:7777").udp(from: 1, to: 2)
        case "version 5": frame[14] = 0x50
        default: frame.removeLast(2)
        }
        harness.receive(frame, on: inside)
        #expect(harness.drops == [reason])
        let lines = sent(harness)
        #expect(lines.count == (answer == nil ? 0 : 1))
        if let answer { #expect(lines.first?.contains(answer) == true, "\(lines)") }
    }

    @Test func `A neighbor is asked by its group, its answer sends what waits`() throws {
        let (harness, inside) = router(knowsNeighbors: false)
        harness.receive(Self.peer.udp(from: 4000, to: 53, payload: [1]), on: inside)
        let question = try #require(harness.sent.first)
        #expect(question.ethernet.destination == MACAddress(rawValue: 0x3333_ff00_0009))
        #expect(
            sent(harness) == [
                "out0 hlim 255 fe80::ff:fe00:12 > ff02::1:ff00:9: ICMP6, neighbor solicitation, who has 2001:db8::9,"
                    + " length 32"
            ])
        let answer = NeighborDiscoveryMessage(
            advertising: try #require(IPv6Address("2001:db8::9")), at: .station(0x99), isRouter: true,
            isSolicited: true, isOverride: true)
        harness.receive(
            PacketBuilder(.station(0x99), "2001:db8::9", .station(0x12), "fe80::ff:fe00:12").neighborDiscovery(answer),
            on: Self.outside)
        #expect(harness.sent.map(\.stations) == ["12 > 99"])
        #expect(sent(harness).count == 1)
        #expect(harness.host.neighbors.lookup(ip("2001:db8::9"), on: Self.outside)?.state == .reachable)
    }

    @Test func `A neighbor that does not answer three times is unreachable`() {
        let (harness, inside) = router(knowsNeighbors: false)
        harness.know("fd00:1::2", on: inside)
        harness.receive(Self.peer.udp(from: 4000, to: 53, payload: [1]), on: inside)
        harness.advance(seconds(4))
        let lines = sent(harness)
        #expect(lines.count == 4)
        #expect(
            lines.last?.hasPrefix(
                "in0 hlim 64 fd00:1::1 > fd00:1::2: ICMP6, destination unreachable, unreachable address 2001:db8::9")
                == true)
        #expect(harness.drops == [.neighborFailed])
    }

    @Test(
        "Solicitations for own addresses are answered, from near only",
        arguments: [
            ("fd00:1::1", 255, true), ("fd00:1::1", 254, false), ("fd00:1::7", 255, false),
            // Of another link.
            ("2001:db8::1", 255, false),
        ] as [(String, UInt8, Bool)])
    func solicitations(target: String, hopLimit: UInt8, isAnswered: Bool) throws {
        let (harness, inside) = router(knowsNeighbors: false)
        let address = try #require(IPv6Address(target))
        let question = NeighborDiscoveryMessage(soliciting: address, from: .peer)
        var frame = PacketBuilder(.peer, "fd00:1::2", MACAddress(multicast: address.solicitedNodeGroup), "fd00:1::1")
        frame.destination = IPAddress(address.solicitedNodeGroup)
        var octets = frame.neighborDiscovery(question)
        octets[21] = hopLimit
        harness.receive(octets, on: inside)
        let expected = "in0 hlim 255 \(target) > fd00:1::2: ICMP6, neighbor advertisement, tgt is \(target), length 32"
        #expect(sent(harness) == (isAnswered ? [expected] : []))
        #expect(harness.host.neighbors.lookup(ip("fd00:1::2"), on: inside)?.lladdr == (isAnswered ? .peer : nil))
    }

    @Test func `The host answers echoes, and refuses what nobody listens for`() {
        let (harness, inside) = router()
        let toHost = PacketBuilder(.peer, "fd00:1::2", .own, "fd00:1::1")
        harness.receive(toHost.echoRequest(identifier: 7, sequence: 1, payload: [1, 2]), on: inside)
        harness.receive(toHost.udp(from: 4000, to: 53), on: inside)
        harness.receive(toHost.tcp(from: 4000, to: 80, flags: .syn), on: inside)
        harness.receive(toHost.packet(IPProtocol(rawValue: 200), payload: [1, 2, 3, 4]), on: inside)
        let lines = sent(harness)
        #expect(lines.count == 4)
        for (line, words) in zip(
            lines,
            [
                "ICMP6, echo reply, id 7, seq 1", "unreachable port, fd00:1::1 udp port 53", "Flags [R.]",
                "parameter problem, next header",
            ])
        { #expect(line.contains(words), "\(line)") }
        #expect(harness.deliveries == 1)
    }

    @Test func `Addresses are translated and translated back, with their checksums`() {
        var rules = Ruleset()
        let end = ip("2001:db8::9")
        rules[.nat].append(
            Rule(
                destination: Negatable(IPPrefix("fd00:96::10/128")!), protocol: Negatable(.udp),
                target: .destinationNAT(address: end, port: 8053)), to: "PREROUTING")
        rules[.nat].append(Rule(target: .masquerade(randomFully: false)), to: "POSTROUTING")
        let (harness, inside) = router(rules)
        harness.receive(
            PacketBuilder(.peer, "fd00:1::2", .own, "fd00:96::10").udp(from: 4000, to: 53, payload: [1]), on: inside)
        harness.receive(
            PacketBuilder(.station(0x99), "2001:db8::9", .station(0x12), "2001:db8::1").udp(
                from: 8053, to: 4000, payload: [2]), on: Self.outside)
        // An error about the translated packet finds its sender.
        let quote = PacketBuilder(.station(0x12), "2001:db8::1", .station(0x99), "2001:db8::9").udp(
            from: 4000, to: 8053, payload: [1])
        harness.receive(
            PacketBuilder(.station(0x99), "2001:db8::9", .station(0x12), "2001:db8::1").icmpv6(
                .portUnreachable, payload: Array(quote.dropFirst(14))), on: Self.outside)
        let lines = sent(harness)
        #expect(lines.count == 3)
        for (line, words) in zip(
            lines,
            [
                "out0 hlim 63 2001:db8::1.4000 > 2001:db8::9.8053", "in0 hlim 63 fd00:96::10.53 > fd00:1::2.4000",
                "in0 hlim 63 fd00:96::10 > fd00:1::2: ICMP6, destination unreachable, unreachable port, "
                    + "fd00:96::10 udp port 53",
            ])
        { #expect(line.hasPrefix(words), "\(line)") }
    }

    @Test(
        "REJECT answers in ICMPv6's words, or with a reset",
        arguments: [
            (RejectKind.portUnreachableIPv6, "unreachable port"), (.noRouteIPv6, "unreachable route"),
            (.administrativelyProhibitedIPv6, "unreachable prohibited"),
            (.addressUnreachableIPv6, "unreachable address"),
            (.tcpReset, "Flags [R.]"),
        ] as [(RejectKind, String)])
    func rejects(kind: RejectKind, words: String) {
        var rules = Ruleset()
        rules[.filter].append(Rule(protocol: Negatable(.tcp), target: .reject(kind)), to: "FORWARD")
        let (harness, inside) = router(rules)
        harness.receive(Self.peer.tcp(from: 4000, to: 80, flags: .syn), on: inside)
        let lines = sent(harness)
        #expect(lines.count == 1)
        #expect(lines.first?.contains(words) == true, "\(lines)")
        #expect(harness.drops == [.netfilterDrop])
    }

    @Test func `Rules of one family say nothing of the other`() {
        var rules = Ruleset()
        rules[.filter].setPolicy(.drop, of: .forward)
        let (harness, inside) = router()
        harness.host.setRuleset(rules)
        harness.receive(Self.peer.udp(from: 4000, to: 53), on: inside)
        #expect(sent(harness).count == 1)
        harness.host.setRuleset(rules, family: .ipv6)
        harness.receive(Self.peer.udp(from: 4000, to: 53), on: inside)
        #expect(harness.drops == [.netfilterDrop])
        guard case .dropped(_, let rule?) = harness.steps.last else { return }
        #expect(rule.system == .ip6tables)
    }

    @Test func `Fragments are joined for the rules' sake and leave as they came`() throws {
        var rules = Ruleset()
        rules[.filter].append(Rule(matches: [.connectionState(Negatable(.established))]), to: "FORWARD")
        let (harness, inside) = router(rules)
        let payload = (0..<2000).map { UInt8(truncatingIfNeeded: $0) }
        let whole = Self.peer.udp(from: 4000, to: 53, payload: payload)
        // 1232 octets in the first piece: 14 of Ethernet, 40 of IPv6, 8 of the fragment header and 1232 of payload.
        for (offset, range) in [(0, 54..<54 + 1232), (1232, 54 + 1232..<whole.count)] {
            let more: UInt8 = offset == 0 ? 1 : 0
            let header: [UInt8] = [17, 0, UInt8(offset >> 8), UInt8(offset & 0xf8) | more, 0, 0, 0, 7]
            var frame = Array(whole[..<54]) + header + Array(whole[range])
            frame[20] = 44
            let length = 8 + range.count
            (frame[18], frame[19]) = (UInt8(length >> 8), UInt8(length & 0xff))
            harness.receive(frame, on: inside)
        }
        let pieces = harness.takeSent().map(\.octets)
        #expect(pieces.map(\.count) == [14 + 40 + 8 + 1232, 14 + 40 + 8 + 776])
        let joined = pieces.flatMap { $0.dropFirst(62) }
        #expect(joined == Array(whole.dropFirst(54)))
        #expect(harness.host.connections.all(at: 0).count == 1)
    }

    @Test(
        "The source address is the one RFC 6724 wants",
        arguments: [
            ("2001:db8::77", "out0", "2001:db8::1"), ("fd00:1::77", "in0", "fd00:1::1"),
            // The way out comes before the label.
            ("fd00:2::77", "out0", "2001:db8::1"), ("2400::1", "out0", "2001:db8::1"),
            // By a link without addresses of its own the label decides.
            ("fd00:2::77", "none0", "fd00:1::1"), ("2400::1", "none0", "2001:db8::1"),
            ("fe80::77", "out0", "fe80::ff:fe00:12"), ("fd00:1::1", "out0", "fd00:1::1"),
        ])
    func sources(destination: String, link: String, source: String) throws {
        let (harness, _) = router()
        harness.addEthernet("none0", mac: .station(0x14))
        let egress = try #require(harness.host.link(named: link)?.id)
        #expect(harness.host.selectIPv6Source(towards: ip(destination), on: egress) == ip(source))
    }
}
