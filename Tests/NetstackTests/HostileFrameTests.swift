// Frames no sane sender makes: cut at every length, with octets changed, or all random. Nothing crashes, every packet
// copy ends exactly once (the harness counts after each frame), and a failure prints its seed.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct HostileFrameTests {
    /// A node with everything on: a bridge with netfilter, a tunnel, NAT, sockets.
    private func node(tracks: Bool) -> (NamespaceHarness, [LinkID]) {
        let harness = NamespaceHarness()
        harness.checksChecksums = false
        let (bridge, ports) = harness.addBridge(address: "10.244.1.1/24", ports: 2)
        let eth0 = harness.addEthernet(address: "192.168.50.11/24")
        let tunnel = harness.host.addVXLAN(
            "flannel.1", hardwareAddress: .station(0xf1), mtu: 1450, vni: 1, local: ip("192.168.50.11"), lower: eth0)
        harness.host.addForwardingEntry(.station(0xf2), remote: ip("192.168.50.12"), on: tunnel)
        harness.host.addRoute(
            Route(IPPrefix("10.244.2.0/24")!, gateway: ip("10.244.2.0"), link: tunnel, isOnlink: true))
        harness.know("10.244.2.0", .station(0xf2), on: tunnel)
        harness.addRoute("0.0.0.0/0", via: "192.168.50.1", on: eth0)
        for hop in ["192.168.50.1", "192.168.50.12"] { harness.know(hop, on: eth0) }
        harness.know("10.244.1.2", .station(0xa1), on: bridge)
        harness.host.sysctls.ipForward = true
        harness.host.sysctls.bridgeCallsIPTables = true
        _ = harness.host.listenTCP(port: 80)
        _ = harness.host.bindUDP(port: 53)
        if tracks {
            var rules = Ruleset()
            rules[.nat].append(
                Rule(
                    destination: Negatable(IPPrefix("10.96.0.0/16")!),
                    target: .destinationNAT(address: ip("10.244.2.2"), port: 8080)), to: "PREROUTING")
            rules[.nat].append(
                Rule(egress: Negatable(InterfacePattern("eth0")), target: .masquerade(randomFully: true)),
                to: "POSTROUTING")
            rules[.filter].append(
                Rule(matches: [.connectionState(Negatable(.invalid))], target: .drop), to: "FORWARD")
            harness.host.setRuleset(rules)
        }
        return (harness, [ports[0], eth0])
    }

    /// Valid frames of every kind the node knows, by the place in the links above where they arrive.
    private var valid: [(link: Int, frame: [UInt8])] {
        let pod = PacketBuilder(.station(0xa1), "10.244.1.2", .bridge, "10.96.0.10")
        let direct = PacketBuilder(.station(0xa1), "10.244.1.2", .bridge, "10.244.2.2")
        let own = PacketBuilder(.peer, "192.168.50.1", .own, "192.168.50.11")
        let arp = ARPPacket(
            operation: .request, senderMAC: .station(0xa1), senderIP: ipv4("10.244.1.2"), targetIP: ipv4("10.244.1.1"))
        let syn = TCPOptions(
            maximumSegmentSize: 1410, windowScale: 7, sackPermitted: true, timestamps: TCPTimestamps(value: 1, echo: 0))
        let inner = PacketBuilder(.station(0xf2), "10.244.2.2", .station(0xf1), "10.244.1.2")
        let quoted = Array(direct.udp(from: 1, to: 2, payload: [1, 2, 3]).dropFirst(14))
        let whole = own.with(dontFragment: false).udp(from: 1, to: 53, payload: [UInt8](repeating: 1, count: 60))
        return [
            (0, PacketBuilder.arp(arp, source: .station(0xa1), destination: .broadcast)),
            (0, pod.tcp(from: 4000, to: 80, flags: .syn, options: syn, payload: [1, 2])),
            (0, pod.udp(from: 4000, to: 53, payload: [1, 2, 3])), (0, direct.echoRequest(identifier: 1, sequence: 1)),
            (0, pod.sctp(from: 1, to: 2, verificationTag: 3, chunks: [1, 0, 0, 4])),
            (0, direct.icmp(.portUnreachable, payload: quoted)),
            (1, own.tcp(from: 4000, to: 80, flags: .syn, options: syn)),
            (1, own.udp(from: 4000, to: 53, payload: [1])), (1, own.echoRequest(identifier: 1, sequence: 1)),
            (1, own.icmp(.fragmentationNeeded, restOfHeader: 1400, payload: quoted)),
            (1, own.vxlan(networkIdentifier: 1, from: 5, frame: inner.tcp(from: 1, to: 2, flags: .syn))),
            (1, own.vxlan(networkIdentifier: 1, from: 5, frame: inner.icmp(.hostUnreachable, payload: quoted))),
        ]
            + ((try? PacketBuilder.fragments(of: whole, mtu: 44)) ?? []).map { (1, $0) }
            + [(1, PacketBuilder.arp(arp, source: .peer, destination: .own))]
    }

    @Test("Every frame cut at every length comes to an end", arguments: [false, true])
    func truncation(tracks: Bool) {
        let (harness, links) = node(tracks: tracks)
        for (link, frame) in valid {
            for length in 0...frame.count {
                harness.receive(Array(frame.prefix(length)), on: links[link])
            }
        }
        harness.advance(seconds(100))
    }

    /// A frame with some octets changed and its checksums mended or not.
    private func mutate(_ frame: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var frame = frame
        for _ in 0...random.next(below: 4) {
            switch random.next(below: 4) {
            case 0: frame[random.next(below: frame.count)] = UInt8(truncatingIfNeeded: random.next())
            // Lengths, flags and offsets are where the trouble is.
            case 1: frame[min(14 + random.next(below: 10), frame.count - 1)] = UInt8(truncatingIfNeeded: random.next())
            case 2: frame[random.next(below: frame.count)] = [0, 1, 0x45, 0x4f, 0x7f, 0xff][random.next(below: 6)]
            default: frame.removeLast(random.next(below: min(frame.count, 8)))
            }
            if frame.count < 15 { return frame }
        }
        // With a good header checksum the rest is looked at.
        let length = Int(frame[14] & 0xf) * 4
        if frame.count >= 34, length >= 20, frame.count >= 14 + length, random.next(below: 4) > 0 {
            if random.next(below: 2) == 0 {
                frame[16] = UInt8((frame.count - 14) >> 8)
                frame[17] = UInt8(truncatingIfNeeded: frame.count - 14)
            }
            frame.replaceSubrange(24..<26, with: [0, 0])
            let checksum = Checksum.of(frame.span.bytes, in: 14..<14 + length)
            frame.replaceSubrange(24..<26, with: [UInt8(checksum >> 8), UInt8(truncatingIfNeeded: checksum)])
        }
        // Without checksum a datagram is always right.
        if frame.count >= 42, frame[23] == 17, length == 20, random.next(below: 2) == 0 {
            frame.replaceSubrange(40..<42, with: [0, 0])
        }
        return frame
    }

    @Test("Changed frames come to an end", arguments: [1, 2, 3, 4] as [UInt64])
    func mutation(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (harness, links) = node(tracks: seed % 2 == 0)
        harness.context.recording.keepsFrames = false
        let frames = valid
        for number in 0..<3000 {
            let (link, frame) = frames[random.next(below: frames.count)]
            harness.receive(mutate(frame, &random), on: links[link])
            if number % 100 == 0 {
                harness.clear()
                harness.advance(seconds(0.5))
            }
            guard harness.context.arena.packetsInFlight < 5000 else {
                Issue.record("seed \(seed): packets pile up")
                return
            }
        }
        harness.advance(seconds(200))
    }

    @Test("Random octets come to an end", arguments: [1, 2] as [UInt64])
    func noise(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (harness, links) = node(tracks: true)
        for _ in 0..<1000 {
            var frame = (0..<random.next(below: 120)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            // Half of them for the host, as IPv4 or ARP.
            if frame.count >= 15, random.next(below: 2) == 0 {
                frame.replaceSubrange(0..<6, with: MACAddress.own.octets)
                frame.replaceSubrange(12..<14, with: [0x08, UInt8(6 * random.next(below: 2))])
                frame[14] = 0x45
            }
            harness.receive(frame, on: links[random.next(below: 2)])
            harness.clear()
        }
    }

    @Test func `A frame too short for Ethernet is dropped on every kind of link`() {
        let (harness, links) = node(tracks: true)
        for link in links {
            for length in 0..<14 {
                harness.clear()
                harness.receive([UInt8](repeating: 0xff, count: length), on: link)
                #expect(harness.drops.count == 1)
                #expect(harness.sent.isEmpty)
            }
        }
    }
}
