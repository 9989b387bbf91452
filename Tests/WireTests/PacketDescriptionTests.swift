// Descriptions against what tcpdump 4.99 prints for the same octets (-n -S unless a row says otherwise), with VXLAN
// where it says OTV for port 8472.

import Addressing
import Testing
import Wire

/// `#expect` cannot hold a span.
private func text(_ frame: [UInt8], showingLinkLayer: Bool = false) -> String {
    describe(frame: frame.span.bytes, showingLinkLayer: showingLinkLayer)
}

@Suite struct PacketDescriptionTests {
    static let pods = PacketBuilder(
        sourceMAC: MACAddress(rawValue: 0x0200_0000_0001), destinationMAC: MACAddress(rawValue: 0x0200_0000_0002),
        source: .v4(10, 244, 0, 2), destination: .v4(10, 96, 0, 10))
    static let pods6 = PacketBuilder(
        sourceMAC: pods.sourceMAC, destinationMAC: pods.destinationMAC, source: IPAddress("fd00::2")!,
        destination: IPAddress("fd00:96::a")!)
    static let synchronizeOptions = TCPOptions(
        maximumSegmentSize: 1410, windowScale: 10, sackPermitted: true,
        timestamps: TCPTimestamps(value: 100, echo: 0))
    static let timestamps = TCPOptions(timestamps: TCPTimestamps(value: 101, echo: 200))
    static let synchronize = pods.tcp(from: 41022, to: 80, flags: .syn, sequence: 1000, options: synchronizeOptions)
    static let synchronizeText = """
        IP 10.244.0.2.41022 > 10.96.0.10.80: Flags [S], seq 1000, win 64860, \
        options [mss 1410,sackOK,TS val 100 ecr 0,nop,wscale 10], length 0
        """

    @Test func `TCP segments`() {
        let request = Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        let response = Array("HTTP/1.1 200 OK\r\n\r\nhello".utf8)
        let blocks = TCPOptions(
            timestamps: TCPTimestamps(value: 1, echo: 2),
            sackBlocks: [SACKBlock(left: 6000, right: 7000), SACKBlock(left: 8000, right: 9000)])
        let reply = Self.pods.reversed
        let rows: [([UInt8], String)] = [
            (Self.synchronize, Self.synchronizeText),
            (
                Self.pods.tcp(
                    from: 41022, to: 80, flags: .ack, sequence: 1001, acknowledgment: 5001, window: 64,
                    options: Self.timestamps),
                "IP 10.244.0.2.41022 > 10.96.0.10.80: Flags [.], ack 5001, win 64, "
                    + "options [nop,nop,TS val 101 ecr 200], length 0"
            ),
            (
                Self.pods.tcp(
                    from: 41022, to: 80, flags: [.psh, .ack], sequence: 1001, acknowledgment: 5001, window: 64,
                    payload: request),
                "IP 10.244.0.2.41022 > 10.96.0.10.80: Flags [P.], seq 1001:1028, ack 5001, win 64, "
                    + "length 27: HTTP: GET / HTTP/1.1"
            ),
            (
                reply.tcp(
                    from: 80, to: 41022, flags: [.psh, .ack], sequence: 5001, acknowledgment: 1028, window: 64,
                    payload: response),
                "IP 10.96.0.10.80 > 10.244.0.2.41022: Flags [P.], seq 5001:5025, ack 1028, win 64, "
                    + "length 24: HTTP: HTTP/1.1 200 OK"
            ),
            (
                Self.pods.tcp(
                    from: 41022, to: 80, flags: [.psh, .ack], sequence: 1, acknowledgment: 1, window: 64,
                    payload: Array("hello".utf8)),
                "IP 10.244.0.2.41022 > 10.96.0.10.80: Flags [P.], seq 1:6, ack 1, win 64, length 5: HTTP"
            ),
            (
                Self.pods.tcp(
                    from: 41022, to: 9000, flags: .ack, sequence: 1033, acknowledgment: 5001, window: 64,
                    options: blocks),
                "IP 10.244.0.2.41022 > 10.96.0.10.9000: Flags [.], ack 5001, win 64, options "
                    + "[nop,nop,TS val 1 ecr 2,nop,nop,sack 2 {6000:7000}{8000:9000}], length 0"
            ),
            (
                reply.tcp(from: 80, to: 41022, flags: [.rst, .ack], sequence: 0, acknowledgment: 1001, window: 0),
                "IP 10.96.0.10.80 > 10.244.0.2.41022: Flags [R.], seq 0, ack 1001, win 0, length 0"
            ),
            (
                Self.pods.tcp(
                    from: 1, to: 2, flags: [.fin, .syn, .rst, .psh, .ack, .urg, .ece, .cwr], sequence: 1033,
                    acknowledgment: 5002, window: 64),
                "IP 10.244.0.2.1 > 10.96.0.10.2: Flags [FSRP.UEW], seq 1033, ack 5002, win 64, urg 0, length 0"
            ),
            (
                Self.pods.tcp(from: 1, to: 2, flags: [], window: 64),
                "IP 10.244.0.2.1 > 10.96.0.10.2: Flags [none], win 64, length 0"
            ),
            (
                Self.pods6.tcp(from: 41022, to: 80, flags: .syn, sequence: 1000, options: Self.synchronizeOptions),
                "IP6 fd00::2.41022 > fd00:96::a.80: Flags [S], seq 1000, win 64860, "
                    + "options [mss 1410,sackOK,TS val 100 ecr 0,nop,wscale 10], length 0"
            ),
        ]
        for (frame, expected) in rows { #expect(text(frame) == expected) }
    }

    @Test func `a describer prints a kernel's connection with relative numbers as tcpdump does`() {
        let stamps = "TS val 3656862147 ecr 4143812733"
        let replyStamps = "TS val 4143812733 ecr 3656862147"
        let forth = "IP 10.244.0.2.40368 > 10.244.1.2.8080:"
        let back = "IP 10.244.1.2.8080 > 10.244.0.2.40368:"
        let expected = [
            "\(forth) Flags [S], seq 2977611299, win 64860, "
                + "options [mss 1410,sackOK,TS val 3656862147 ecr 0,nop,wscale 10], length 0",
            "\(back) Flags [S.], seq 4225511439, ack 2977611300, win 64308, "
                + "options [mss 1410,sackOK,\(replyStamps),nop,wscale 10], length 0",
            "\(forth) Flags [.], ack 1, win 64, options [nop,nop,\(stamps)], length 0",
            "\(forth) Flags [P.], seq 1:19, ack 1, win 64, options [nop,nop,\(stamps)], "
                + "length 18: HTTP: GET / HTTP/1.1",
            "\(back) Flags [.], ack 19, win 63, options [nop,nop,\(replyStamps)], length 0",
            "\(back) Flags [P.], seq 1:25, ack 19, win 63, options [nop,nop,\(replyStamps)], "
                + "length 24: HTTP: HTTP/1.1 200 OK",
            "\(forth) Flags [.], ack 25, win 64, options [nop,nop,\(stamps)], length 0",
            "\(back) Flags [F.], seq 25, ack 19, win 63, options [nop,nop,\(replyStamps)], length 0",
            "\(forth) Flags [F.], seq 19, ack 25, win 64, options [nop,nop,\(stamps)], length 0",
            "\(back) Flags [.], ack 20, win 63, options [nop,nop,\(replyStamps)], length 0",
            "\(forth) Flags [.], ack 26, win 64, options [nop,nop,\(stamps)], length 0",
        ]
        var describer = PacketDescriber()
        let lines = KernelFrames.conversation.map { describer.describe(frame: $0.span.bytes) }
        #expect(lines == expected)
    }

    @Test func `a kernel's other frames`() {
        let rows: [([UInt8], String)] = [
            (KernelFrames.arpRequest, "ARP, Request who-has 192.168.50.12 tell 192.168.50.11, length 28"),
            (KernelFrames.arpReply, "ARP, Reply 192.168.50.12 is-at 02:00:00:00:32:0c, length 28"),
            (
                KernelFrames.encapsulatedSynchronize,
                "IP 192.168.50.11.38159 > 192.168.50.12.8472: VXLAN, flags [I] (0x08), vni 1\n"
                    + "IP 10.244.0.2.40368 > 10.244.1.2.8080: Flags [S], seq 2977611299, win 64860, "
                    + "options [mss 1410,sackOK,TS val 3656862147 ecr 0,nop,wscale 10], length 0"
            ),
            (
                KernelFrames.portUnreachable,
                "IP 192.168.50.12 > 192.168.50.11: ICMP 192.168.50.12 udp port 5353 unreachable, length 39"
            ),
            (KernelFrames.echoRequest, "IP 192.168.50.11 > 192.168.50.12: ICMP echo request, id 7, seq 1, length 24"),
            (KernelFrames.echoReply, "IP 192.168.50.12 > 192.168.50.11: ICMP echo reply, id 7, seq 1, length 24"),
            (
                KernelFrames.neighborSolicitation,
                "IP6 fd00:50::11 > ff02::1:ff00:12: ICMP6, neighbor solicitation, who has fd00:50::12, length 32"
            ),
            (
                KernelFrames.neighborAdvertisement,
                "IP6 fd00:50::12 > fd00:50::11: ICMP6, neighbor advertisement, tgt is fd00:50::12, length 32"
            ),
            (
                KernelFrames.portUnreachable6,
                "IP6 fd00:50::12 > fd00:50::11: ICMP6, destination unreachable, unreachable port, "
                    + "fd00:50::12 udp port 5353, length 59"
            ),
            (KernelFrames.echoRequest6, "IP6 fd00:50::11 > fd00:50::12: ICMP6, echo request, id 7, seq 1, length 12"),
        ]
        for (frame, expected) in rows { #expect(text(frame) == expected) }
    }

    @Test func `UDP, SCTP and other protocols`() {
        let initiation = octets("01000014 00000009 00010000 000a000a 00000001")
        let rows: [([UInt8], String)] = [
            (
                Self.pods.udp(from: 40000, to: 7, payload: [1, 2, 3]),
                "IP 10.244.0.2.40000 > 10.96.0.10.7: UDP, length 3"
            ),
            (Self.pods6.udp(from: 40000, to: 5000), "IP6 fd00::2.40000 > fd00:96::a.5000: UDP, length 0"),
            (
                Self.pods.packet(.udp, payload: octets("0050 0051 0003 0000 01")),
                "IP 10.244.0.2.80 > 10.96.0.10.81: truncated-udplength 3"
            ),
            (
                Self.pods.packet(.udp, payload: octets("0050 0051 001e 0000 01")),
                "IP 10.244.0.2.80 > 10.96.0.10.81: UDP, bad length 22 > 1"
            ),
            (
                Self.pods.udp(from: 40000, to: 4789, payload: [8, 0, 0]),
                "IP 10.244.0.2.40000 > 10.96.0.10.4789: VXLAN (invalid)"
            ),
            (
                Self.pods.udp(from: 40000, to: 4789, payload: octets("0000000000000500") + Self.synchronize),
                "IP 10.244.0.2.40000 > 10.96.0.10.4789: VXLAN, flags [invalid] (0x00), vni 5\n" + Self.synchronizeText
            ),
            (
                Self.pods.sctp(from: 3000, to: 3001, verificationTag: 0, chunks: initiation),
                "IP 10.244.0.2.3000 > 10.96.0.10.3001: sctp (1) [INIT] [init tag: 9] [rwnd: 65536] "
                    + "[OS: 10] [MIS: 10] [init TSN: 1]"
            ),
            (
                Self.pods.sctp(from: 3001, to: 3000, verificationTag: 9, chunks: [6, 0, 0, 4]),
                "IP 10.244.0.2.3001 > 10.96.0.10.3000: sctp (1) [ABORT]"
            ),
            (
                Self.pods.packet(IPProtocol(rawValue: 253), payload: [1, 2, 3]),
                "IP 10.244.0.2 > 10.96.0.10: ip-proto-253 3"
            ),
            (
                Self.pods.packet(IPProtocol(rawValue: 2), payload: octets("2200000000000001 04000000 e000006a")),
                "IP 10.244.0.2 > 10.96.0.10: igmp v3 report, 1 group record(s)"
            ),
            (Self.pods6.packet(.noNextHeader, payload: []), "IP6 fd00::2 > fd00:96::a: no next header"),
        ]
        for (frame, expected) in rows { #expect(text(frame) == expected) }
    }

    @Test func `ICMP errors`() {
        let quote = Array(Self.synchronize[14...])
        let udp = Array(Self.pods.udp(from: 41022, to: 53, payload: [1, 2])[14...])
        let rows: [(ICMPv4Kind, UInt32, [UInt8], String)] = [
            (.networkUnreachable, 0, quote, "net 10.96.0.10 unreachable, length 68"),
            (.hostUnreachable, 0, quote, "host 10.96.0.10 unreachable, length 68"),
            (.protocolUnreachable, 0, quote, "10.96.0.10 protocol 6 unreachable, length 68"),
            (.portUnreachable, 0, quote, "10.96.0.10 tcp port 80 unreachable, length 68"),
            (.portUnreachable, 0, udp, "10.96.0.10 udp port 53 unreachable, length 38"),
            (.fragmentationNeeded, 1450, quote, "10.96.0.10 unreachable - need to frag (mtu 1450), length 68"),
            (.fragmentationNeeded, 0, udp, "10.96.0.10 unreachable - need to frag, length 38"),
            (.sourceRouteFailed, 0, quote, "10.96.0.10 unreachable - source route failed, length 68"),
            (.networkUnknown, 0, quote, "net 10.96.0.10 unreachable - unknown, length 68"),
            (.networkProhibited, 0, quote, "net 10.96.0.10 unreachable - admin prohibited, length 68"),
            (.hostProhibited, 0, quote, "host 10.96.0.10 unreachable - admin prohibited, length 68"),
            (.packetFiltered, 0, quote, "host 10.96.0.10 unreachable - admin prohibited filter, length 68"),
            (ICMPv4Kind(type: 3, code: 16), 0, quote, "10.96.0.10 unreachable - #16, length 68"),
            (.redirectHost, 0x0af4_0001, quote, "redirect 10.96.0.10 to host 10.244.0.1, length 68"),
            (.timeToLiveExceeded, 0, quote, "time exceeded in-transit, length 68"),
            (.reassemblyTimeExceeded, 0, quote, "ip reassembly time exceeded, length 68"),
            (.parameterProblem, 0x1400_0000, quote, "parameter problem - octet 20, length 68"),
            (ICMPv4Kind(type: 4), 0, quote, "source quench, length 68"),
            (ICMPv4Kind(type: 19), 0, quote, "type-#19, length 68"),
        ]
        for (kind, rest, payload, expected) in rows {
            let frame = Self.pods.reversed.icmp(kind, restOfHeader: rest, payload: payload)
            #expect(text(frame) == "IP 10.96.0.10 > 10.244.0.2: ICMP \(expected)")
        }
        let cut = Self.pods.icmp(.hostUnreachable, payload: Array(quote.prefix(19)))
        #expect(text(cut) == "IP 10.244.0.2 > 10.96.0.10: [|icmp]")
    }

    @Test func `ICMPv6 messages`() {
        let quote = Array(Self.pods6.tcp(from: 41022, to: 80, flags: .syn, options: Self.synchronizeOptions)[14...])
        let rows: [(ICMPv6Kind, UInt32, String)] = [
            (.noRoute, 0, "destination unreachable, unreachable route fd00:96::a, length 88"),
            (.administrativelyProhibited, 0, "destination unreachable,  unreachable prohibited fd00:96::a, length 88"),
            (.beyondScope, 0, "destination unreachable, beyond scope fd00:96::a, source address fd00::2, length 88"),
            (.addressUnreachable, 0, "destination unreachable, unreachable address fd00:96::a, length 88"),
            (.portUnreachable, 0, "destination unreachable, unreachable port, fd00:96::a tcp port 80, length 88"),
            (.policyFailed, 0, "destination unreachable, unknown unreach code (5)"),
            (.packetTooBig, 1450, "packet too big, mtu 1450, length 88"),
            (.hopLimitExceeded, 0, "time exceeded in-transit for fd00:96::a, length 88"),
            (.reassemblyTimeExceeded, 0, "time exceeded in-transit (reassembly), length 88"),
            (.unknownNextHeader, 40, "parameter problem, next header - octet 40, length 88"),
            (.routerSolicitation, 0, "router solicitation, length 88"),
            (.multicastListenerReport2, 1, "multicast listener report v2, 1 group record(s), length 88"),
        ]
        for (kind, rest, expected) in rows {
            let frame = Self.pods6.reversed.icmpv6(kind, restOfHeader: rest, payload: quote)
            #expect(text(frame) == "IP6 fd00:96::a > fd00::2: ICMP6, \(expected)")
        }
    }

    @Test func `IPv6 extension headers`() {
        let udp = Array(Self.pods6.udp(from: 40000, to: 7, payload: [1])[54...])
        let report = octets("3a00050200000100 8f00000000000001 04000000") + [UInt8](repeating: 0, count: 16)
        let rows: [(IPProtocol, [UInt8], String)] = [
            (.hopByHopOptions, report, "HBH ICMP6, multicast listener report v2, 1 group record(s), length 28"),
            (.destinationOptions, octets("1100010400000000") + udp, "DSTOPT 40000 > 7: UDP, length 1"),
            (.fragmentHeader, octets("110000010000004d") + udp, "frag (0|9) 40000 > 7: UDP, length 1"),
            (.fragmentHeader, octets("110005900000004d") + udp, "frag (1424|9)"),
        ]
        for (first, payload, expected) in rows {
            #expect(text(Self.pods6.packet(first, payload: payload)) == "IP6 fd00::2 > fd00:96::a: \(expected)")
        }
    }

    @Test func `fragments`() throws {
        let whole = Self.pods.udp(from: 40000, to: 7, payload: [UInt8](repeating: 7, count: 3000))
        let lines = try PacketBuilder.fragments(of: whole, mtu: 1450).map { text($0) }
        #expect(
            lines == [
                "IP 10.244.0.2.40000 > 10.96.0.10.7: UDP, length 3000", "IP 10.244.0.2 > 10.96.0.10: ip-proto-17",
                "IP 10.244.0.2 > 10.96.0.10: ip-proto-17",
            ])
    }

    @Test func `ARP in all its forms`() {
        let (one, two) = (IPv4Address(10, 244, 0, 1), IPv4Address(10, 244, 0, 2))
        let request = ARPPacket(operation: .request, senderMAC: .first, senderIP: two, targetIP: one)
        let probe = ARPPacket(
            operation: .request, senderMAC: .first, senderIP: two, targetMAC: .second, targetIP: one)
        let frame = PacketBuilder.arp(request, source: .first, destination: .broadcast)
        let rows: [([UInt8], String)] = [
            (frame, "ARP, Request who-has 10.244.0.1 tell 10.244.0.2, length 28"),
            (frame + [UInt8](repeating: 0, count: 18), "ARP, Request who-has 10.244.0.1 tell 10.244.0.2, length 46"),
            (
                PacketBuilder.arp(probe, source: .first, destination: .second),
                "ARP, Request who-has 10.244.0.1 (02:00:00:00:32:0c) tell 10.244.0.2, length 28"
            ),
        ]
        for (frame, expected) in rows { #expect(text(frame) == expected) }
    }

    @Test func `DNS questions and answers`() {
        let name = octets("03") + Array("www".utf8) + octets("07") + Array("example".utf8) + octets("03636f6d00")
        let question = octets("1234 0100 0001 0000 0000 0000") + name
        let answer = octets("1234 8580 0001") + octets("0001 0000 0000") + name + octets("00010001")
        let rows: [([UInt8], Bool, String)] = [
            (question + octets("00010001"), true, "4660+ A? www.example.com. (33)"),
            (question + octets("001c0001"), true, "4660+ AAAA? www.example.com. (33)"),
            (question + octets("00210001"), true, "4660+ SRV? www.example.com. (33)"),
            (octets("1234 0100 0001 0000 0000 0000 00 00020001"), true, "4660+ NS? . (17)"),
            (answer + octets("c00c 0001 0001 0000001e 0004 0a600001"), false, "4660* 1/0/0 A 10.96.0.1 (49)"),
            (
                octets("1234 8583 0001 0000 0000 0000") + name + octets("00010001"), false,
                "4660 NXDomain* 0/0/0 (33)"
            ),
            (octets("1234 8102 0001 0000 0000 0000") + name + octets("00010001"), false, "4660 ServFail- 0/0/0 (33)"),
            (
                octets("1234 8580 0001 0002 0000 0000") + name + octets("00210001")
                    + octets("c00c 0021 0001 0000001e 0008 0001 0002 0050 c010")
                    + octets("c00c 0005 0001 0000001e 0002 c010"),
                false, "4660* 2/0/0 SRV example.com.:80 1 2, CNAME example.com. (67)"
            ),
            (question.dropLast(3) + [], true, "4660+ [|domain]"),
            // A pointer that leads to itself ends nowhere.
            (octets("1234 0100 0001 0000 0000 0000 c00c 0001 0001"), true, "4660+ [|domain]"),
            (octets("1234 0100"), true, "[|domain]"),
        ]
        for (payload, isQuestion, expected) in rows {
            let frame =
                isQuestion
                ? Self.pods.udp(from: 40000, to: 53, payload: payload)
                : Self.pods.reversed.udp(from: 53, to: 40000, payload: payload)
            let ends = isQuestion ? "10.244.0.2.40000 > 10.96.0.10.53" : "10.96.0.10.53 > 10.244.0.2.40000"
            #expect(text(frame) == "IP \(ends): \(expected)")
        }
    }

    @Test func `the link layer on request`() {
        let link = "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype"
        #expect(
            text(Self.synchronize, showingLinkLayer: true)
                == "\(link) IPv4 (0x0800), length 74: " + Self.synchronizeText.dropFirst(3))
        #expect(
            text(KernelFrames.arpRequest, showingLinkLayer: true)
                == "02:00:00:00:32:0b > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: "
                + "Request who-has 192.168.50.12 tell 192.168.50.11, length 28")
        #expect(
            text(Self.pods6.udp(from: 1, to: 2), showingLinkLayer: true)
                == "\(link) IPv6 (0x86dd), length 62: fd00::2.1 > fd00:96::a.2: UDP, length 0")
        #expect(
            text(KernelFrames.encapsulatedSynchronize, showingLinkLayer: true).hasPrefix(
                "02:00:00:00:32:0b > 02:00:00:00:32:0c, ethertype IPv4 (0x0800), length 124: 192.168.50.11.38159 > "
                    + "192.168.50.12.8472: VXLAN, flags [I] (0x08), vni 1\n02:00:00:0a:f4:00 > 02:00:00:0a:f4:01, "
                    + "ethertype IPv4 (0x0800), length 74: 10.244.0.2.40368 > 10.244.1.2.8080: Flags [S]"))
        var strange = Self.synchronize
        strange[12] = 0x12
        strange[13] = 0x34
        #expect(text(strange) == "\(link) Unknown (0x1234), length 74")
    }

    @Test func `frames cut short or broken are described as far as they go`() {
        let options = [
            ("6002", "02090101", "Flags [S], seq 1, win 1, options [[bad opt]"),
            ("6002", "fe04abcd", "Flags [S], seq 1, win 1, options [unknown-254 0xabcd], length 0"),
            ("4002", "", "tcp 4 [bad hdr length 16 - too short, < 20]"),
            ("8002", "", "Flags [S] [bad hdr length 32 - too long, > 20]"),
        ]
        for (offsetAndFlags, rest, expected) in options {
            let segment = octets("0050 0051 00000001 00000001 \(offsetAndFlags) 0001 0000 0000 \(rest)")
            #expect(
                text(Self.pods.packet(.tcp, payload: segment)) == "IP 10.244.0.2.80 > 10.96.0.10.81: \(expected)")
        }
        func changed(_ position: Int, _ value: UInt8) -> [UInt8] {
            var frame = Self.synchronize
            frame[position] = value
            return frame
        }
        let datagram = Self.pods.udp(from: 40000, to: 7, payload: [1, 2, 3])
        let rows: [([UInt8], String)] = [
            ([], "[|ether]"),
            (Array(datagram.prefix(13)), "[|ether]"),
            (Array(datagram.prefix(14)), "IP [|ip]"),
            (Array(datagram.prefix(33)), "IP [|ip]"),
            (Array(datagram.prefix(40)), "IP truncated-ip - 5 bytes missing! 10.244.0.2 > 10.96.0.10: [|udp]"),
            (
                Array(datagram.dropLast(2)),
                "IP truncated-ip - 2 bytes missing! 10.244.0.2.40000 > 10.96.0.10.7: UDP, length 3"
            ),
            (datagram + [0, 0, 0, 0], "IP 10.244.0.2.40000 > 10.96.0.10.7: UDP, length 3"),
            (
                Array(Self.pods6.udp(from: 40000, to: 7, payload: [1, 2, 3]).dropLast(2)),
                "IP6 truncated-ip6 - 2 bytes missing!fd00::2.40000 > fd00:96::a.7: UDP, length 3"
            ),
            (changed(14, 0x44), "IP bad-hlen 16"),
            (changed(17, 10), "IP bad-len 10"),
            (changed(14, 0x65), "IP bad-version 6"),
            (Array(KernelFrames.arpRequest.prefix(30)), "ARP, [|arp]"),
        ]
        for (frame, expected) in rows { #expect(text(frame) == expected) }
        let packet = Array(datagram[14...])
        let line = describe(packet: packet.span.bytes)
        #expect(line == "IP 10.244.0.2.40000 > 10.96.0.10.7: UDP, length 3")
        let line6 = describe(packet: Array(Self.pods6.udp(from: 1, to: 2)[14...]).span.bytes)
        #expect(line6 == "IP6 fd00::2.1 > fd00:96::a.2: UDP, length 0")
    }
}
