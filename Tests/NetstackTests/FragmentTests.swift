// Cutting packets to an MTU and putting them together (net/ipv4/ip_output.c, ip_fragment.c, inet_fragment.c).

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct FragmentTests {
    private func host(mtu: Int = 1450) -> (NamespaceHarness, LinkID) {
        let harness = NamespaceHarness()
        let link = harness.addEthernet(address: "10.0.0.1/24", mtu: mtu)
        harness.know("10.0.0.2", on: link)
        return (harness, link)
    }

    private func lengths(_ harness: NamespaceHarness) -> [Int] { harness.sent.map { Int($0.ipv4.totalLength) } }

    /// A router between 1500 inside and `mtu` outside; with connection tracking it reassembles.
    private func router(mtu: Int, tracks: Bool) -> (NamespaceHarness, LinkID) {
        let harness = NamespaceHarness()
        let inside = harness.addEthernet("in0", mac: .own, address: "10.0.0.1/24")
        let outside = harness.addEthernet("out0", mac: .station(0x12), address: "192.0.2.1/24", mtu: mtu)
        harness.host.sysctls.ipForward = true
        harness.know("10.0.0.2", on: inside)
        harness.know("192.0.2.9", .station(0x99), on: outside)
        if tracks {
            var rules = Ruleset()
            rules[.filter].append(
                Rule(matches: [.connectionState(Negatable(.invalid))], target: .drop), to: "FORWARD")
            harness.host.setRuleset(rules)
        }
        return (harness, inside)
    }

    private func datagram(_ payload: Int, identification: UInt16 = 77) -> [UInt8] {
        var builder = PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9").with(dontFragment: false)
        builder.identification = identification
        return builder.udp(from: 5, to: 6, payload: (0..<payload).map { UInt8(truncatingIfNeeded: $0) })
    }

    @Test(
        "A datagram larger than the MTU leaves in pieces of 1444 octets, without DF",
        arguments: [(1422, [1450]), (1423, [1444, 27]), (3000, [1444, 1444, 180]), (65_507, nil)] as [(Int, [Int]?)])
    func sending(payload: Int, expected: [Int]?) throws {
        let (harness, _) = host()
        let socket = try harness.host.connectUDP(to: end("10.0.0.2:53"), &harness.context)
        try harness.host.sendDatagram(
            socket, (0..<payload).map { UInt8(truncatingIfNeeded: $0) }, &harness.context)
        harness.settle()
        if let expected { #expect(lengths(harness) == expected) }
        let pieces = harness.sent.map(\.ipv4)
        #expect(pieces.allSatisfy { $0.dontFragment == (pieces.count == 1) })
        #expect(Set(pieces.map(\.identification)).count == 1)
        #expect(pieces.dropLast().allSatisfy { $0.moreFragments })
        #expect(pieces.last?.moreFragments == false)
        // The pieces put in the right order are the datagram.
        let octets = harness.sent.flatMap { $0.octets.dropFirst(34) }
        #expect(octets.count == payload + 8)
        #expect(octets.dropFirst(8).elementsEqual((0..<payload).map { UInt8(truncatingIfNeeded: $0) }))
    }

    @Test func `A datagram of more octets than UDP can count is refused`() throws {
        let (harness, _) = host()
        let socket = try harness.host.connectUDP(to: end("10.0.0.2:53"), &harness.context)
        #expect(throws: SocketError.messageTooLong) {
            try harness.host.sendDatagram(socket, [UInt8](repeating: 0, count: 65_508), &harness.context)
        }
    }

    @Test("Fragments of a datagram for the host are joined in any order", arguments: [false, true])
    func delivery(tracks: Bool) throws {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 1, 2]] {
            let (harness, inside) = router(mtu: 1500, tracks: tracks)
            _ = harness.host.bindUDP(port: 6)
            var builder = PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.1").with(dontFragment: false)
            builder.identification = 9
            let payload = (0..<3000).map { UInt8(truncatingIfNeeded: $0) }
            let pieces = try PacketBuilder.fragments(of: builder.udp(from: 5, to: 6, payload: payload), mtu: 1444)
            for number in order { harness.receive(pieces[number], on: inside) }
            #expect(harness.news.count == 1, "\(order)")
            guard case .datagram(let octets, _, _) = harness.news.first?.kind else { continue }
            #expect(octets == payload)
        }
    }

    @Test(
        "A router that tracks connections joins fragments and cuts them anew",
        arguments: [
            // payload, MTU in, MTU out, leaves as
            (3000, 1500, 1450, [1444, 1444, 180]), (1400, 1500, 1450, [1428]),
            // Never in larger pieces than it came, even where the whole would fit.
            (3000, 1000, 1500, [996, 996, 996, 100]), (1000, 700, 1500, [700, 348]),
        ])
    func refragmentation(payload: Int, mtuIn: Int, mtuOut: Int, expected: [Int]) throws {
        let (harness, inside) = router(mtu: mtuOut, tracks: true)
        for piece in try PacketBuilder.fragments(of: datagram(payload), mtu: mtuIn) {
            harness.receive(piece, on: inside)
        }
        #expect(lengths(harness) == expected)
        #expect(harness.sent.allSatisfy { $0.ipv4.identification == 77 && $0.ipv4.timeToLive == 63 })
        let octets = harness.sent.flatMap { $0.octets.dropFirst(34) }
        #expect(octets == Array(datagram(payload).dropFirst(34)))
    }

    @Test func `A router that does not track forwards fragments as they are, or cuts them again`() throws {
        let (harness, inside) = router(mtu: 1000, tracks: false)
        for piece in try PacketBuilder.fragments(of: datagram(2000), mtu: 1500) { harness.receive(piece, on: inside) }
        #expect(lengths(harness) == [996, 524, 548])
        #expect(harness.sent.map(\.ipv4.fragmentByteOffset) == [0, 976, 1480])
        #expect(harness.sent.map(\.ipv4.moreFragments) == [true, true, false])
    }

    @Test func `Fragments through a bridge with netfilter are joined at the port and cut at the next`() throws {
        let harness = NamespaceHarness()
        let ports = harness.addBridge(ports: 2, mtu: 1450).ports
        harness.host.sysctls.bridgeCallsIPTables = true
        var rules = Ruleset()
        rules[.filter].append(Rule(matches: [.connectionState(Negatable(.invalid))], target: .drop), to: "FORWARD")
        harness.host.setRuleset(rules)
        var builder = PacketBuilder(.station(0xa1), "10.1.0.2", .station(0xa2), "10.1.0.3").with(dontFragment: false)
        builder.identification = 5
        harness.receive(
            PacketBuilder(.station(0xa2), "10.1.0.3", .station(0xa1), "10.1.0.2").udp(from: 1, to: 1), on: ports[1])
        harness.clear()
        let whole = builder.udp(from: 5, to: 6, payload: [UInt8](repeating: 3, count: 3000))
        for piece in try PacketBuilder.fragments(of: whole, mtu: 1450) { harness.receive(piece, on: ports[0]) }
        #expect(harness.sent.map(\.link) == ["p1", "p1", "p1"])
        #expect(lengths(harness) == [1444, 1444, 180])
        #expect(harness.sent.map(\.stations) == ["a1 > a2", "a1 > a2", "a1 > a2"])
        // Smaller ones stay small.
        harness.clear()
        for piece in try PacketBuilder.fragments(of: whole, mtu: 700) { harness.receive(piece, on: ports[0]) }
        #expect(lengths(harness) == [700, 700, 700, 700, 308])
    }

    @Test func `The host's bridge device shows a packet larger than its MTU`() throws {
        let harness = NamespaceHarness()
        let ports = harness.addBridge(ports: 1, mtu: 1450).ports
        harness.host.sysctls.bridgeCallsIPTables = true
        _ = harness.host.bindUDP(port: 6)
        var rules = Ruleset()
        rules[.filter].append(Rule(matches: [.connectionState(Negatable(.invalid))], target: .drop), to: "INPUT")
        harness.host.setRuleset(rules)
        let whole = PacketBuilder(.station(0xa1), "10.1.0.2", .bridge, "10.1.0.1").with(dontFragment: false)
            .udp(from: 5, to: 6, payload: [UInt8](repeating: 3, count: 3000))
        for piece in try PacketBuilder.fragments(of: whole, mtu: 1450) { harness.receive(piece, on: ports[0]) }
        #expect(harness.taps.map { "\($0.link) \($0.octets.count)" } == ["p0 1458", "p0 1458", "p0 194", "cni0 3042"])
        #expect(harness.deliveries == 1)
    }

    // MARK: what cannot be joined

    private func piece(_ offset: Int, _ length: Int, more: Bool, identification: UInt16 = 1) -> [UInt8] {
        let header = IPv4Header(
            source: ipv4("10.0.0.2"), destination: ipv4("10.0.0.1"), protocol: .udp, payloadLength: length,
            identification: identification, moreFragments: more, fragmentByteOffset: offset)
        var frame = PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.1").packet(
            .udp, payload: [UInt8](repeating: 0, count: length))
        var span = frame.mutableSpan
        var bytes = span.mutableBytes
        header.write(to: &bytes, at: 14)
        return frame
    }

    @Test(
        "Fragments that contradict each other end their packet",
        arguments: [
            // An overlap, an end before what came, two ends, more behind the end, nothing at all.
            [(0, 64, true), (32, 64, true)], [(0, 64, true), (64, 64, true), (96, 8, false)],
            [(64, 8, false), (128, 8, false)], [(24, 8, false), (104, 24, true), (0, 24, true)],
            [(24, 8, false), (96, 24, true)], [(0, 0, true)], [(0, 7, true)],
        ] as [[(Int, Int, Bool)]])
    func contradictions(pieces: [(Int, Int, Bool)]) {
        let (harness, link) = host()
        for (offset, length, more) in pieces { harness.receive(piece(offset, length, more: more), on: link) }
        #expect(harness.drops.allSatisfy { $0 == .fragmentReassembly })
        #expect(!harness.drops.isEmpty)
        #expect(harness.news.isEmpty)
    }

    @Test func `The same fragment twice is only dropped`() {
        let (harness, link) = host()
        for number in [0, 0, 1] { harness.receive(piece(64 * number, 64, more: number == 0), on: link) }
        #expect(harness.drops.first == .fragmentReassembly)
        #expect(harness.host.reassembly.entries.isEmpty)
        #expect(harness.drops.count == 2, "the copy, and the joined datagram whose UDP length is wrong")
    }

    @Test func `A first fragment with a long header cannot make the whole too long`() {
        let (harness, link) = host()
        var first = IPv4Header(
            source: ipv4("10.0.0.2"), destination: ipv4("10.0.0.1"), protocol: .udp, payloadLength: 32,
            identification: 1, moreFragments: true)
        first.options = [UInt8](repeating: 1, count: 40)
        first.totalLength = 92
        var frame = piece(0, 72, more: true)
        var span = frame.mutableSpan
        var bytes = span.mutableBytes
        first.write(to: &bytes, at: 14)
        harness.receive(frame, on: link)
        var offset = 32
        while offset < 65_500 {
            let length = min(1400, 65_504 - offset)
            harness.receive(piece(offset, length, more: offset + length < 65_504), on: link)
            offset += length
        }
        #expect(harness.drops.contains(.fragmentReassembly))
        #expect(harness.news.isEmpty)
    }

    @Test func `Fragments whose siblings never come are given up after thirty seconds`() {
        let (harness, link) = host()
        harness.receive(piece(0, 64, more: true), on: link)
        harness.advance(seconds(31))
        harness.receive(piece(0, 64, more: true, identification: 2), on: link)
        #expect(harness.drops == [.fragmentReassembly])
        #expect(harness.host.reassembly.entries.count == 1)
    }

    @Test func `Fragments of different packets do not mix`() throws {
        let (harness, link) = host()
        _ = harness.host.bindUDP(port: 6)
        var builder = PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.1").with(dontFragment: false)
        var pieces: [[[UInt8]]] = []
        for number: UInt16 in 1...3 {
            builder.identification = number
            let frame = builder.udp(from: 5, to: 6, payload: [UInt8](repeating: UInt8(number), count: 900))
            pieces.append(try PacketBuilder.fragments(of: frame, mtu: 500))
        }
        for number in 0..<2 { for packet in pieces { harness.receive(packet[number], on: link) } }
        let received = harness.news.map { event -> [UInt8] in
            if case .datagram(let octets, _, _) = event.kind { octets } else { [] }
        }
        #expect(received == (1...3).map { [UInt8](repeating: $0, count: 900) })
    }
}
