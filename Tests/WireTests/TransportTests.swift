// UDP, ICMP, ICMPv6, neighbor discovery and SCTP headers.

import Addressing
import Testing
import Wire

@Suite struct UDPHeaderTests {
    static let header = UDPHeader(sourcePort: 54817, destinationPort: 5353, payloadLength: 3, checksum: 0x6b02)

    @Test func `a kernel's header is read and written field by field`() throws {
        #expect(try UDPHeader(KernelFrames.datagram, at: 34) == Self.header)
        #expect(written(8) { Self.header.write(to: &$0, at: $1) } == Array(KernelFrames.datagram[34..<42]))
    }

    @Test func `every truncation is refused`() {
        expectTruncations(Array(KernelFrames.datagram[34..<42]), .udp) { bytes, offset throws(ParseError) in
            _ = try UDPHeader(parsing: bytes, at: offset)
        }
    }

    @Test(arguments: [0, 1, 7] as [UInt8])
    func `a length that does not cover the header is refused`(length: UInt8) {
        let error = parseError([0, 1, 0, 2, 0, length, 0, 0]) { bytes, offset throws(ParseError) in
            _ = try UDPHeader(parsing: bytes, at: offset)
        }
        #expect(error == ParseError(layer: .udp, field: "length", offset: 4, reason: .badLength(Int(length))))
    }

    @Test func `a datagram shorter than its length is cut`() throws {
        try Self.header.requireComplete(available: 11)
        try Self.header.requireComplete(available: 12)
        let error = #expect(throws: ParseError.self) { try Self.header.requireComplete(available: 10, at: 34) }
        #expect(error?.reason == .truncated(needed: 3, available: 2))
        #expect(error?.offset == 42)
    }

    @Test func `any header survives writing and reading`() throws {
        var random = SeededGenerator()
        for _ in 0..<200 {
            let header = UDPHeader(
                sourcePort: random.number(), destinationPort: random.number(),
                payloadLength: Int(random.number(UInt16.self) >> 1), checksum: random.number())
            let bytes = written(8) { header.write(to: &$0, at: $1) }
            #expect(try UDPHeader(bytes) == header)
        }
    }
}

@Suite struct ICMPTests {
    @Test func `a kernel's echo is read and written field by field`() throws {
        var message = ICMPv4Message(kind: .echoRequest, identifier: 7, sequence: 1)
        message.checksum = 0xbfb7
        #expect(try ICMPv4Message(KernelFrames.echoRequest, at: 34) == message)
        #expect(written(8) { message.write(to: &$0, at: $1) } == Array(KernelFrames.echoRequest[34..<42]))
        #expect(try ICMPv4Message(KernelFrames.echoReply, at: 34).kind == .echoReply)
        var message6 = ICMPv6Message(kind: .echoReply, identifier: 7, sequence: 1)
        message6.checksum = try ICMPv6Message(KernelFrames.echoReply6, at: 54).checksum
        #expect(written(8) { message6.write(to: &$0, at: $1) } == Array(KernelFrames.echoReply6[54..<62]))
    }

    @Test func `a kernel's error quotes the packet it is about`() throws {
        let bytes = KernelFrames.portUnreachable
        #expect(try ICMPv4Message(bytes, at: 34).kind == .portUnreachable)
        let quote = try IPv4Header(bytes, at: 42)
        #expect(quote.destination == IPv4Address(192, 168, 50, 12))
        #expect(try UDPHeader(bytes, at: 62).destinationPort == 5353)
        let bytes6 = KernelFrames.portUnreachable6
        #expect(try ICMPv6Message(bytes6, at: 54).kind == .portUnreachable)
        #expect(try IPv6UpperLayer(bytes6, at: 62).offset == 102)
    }

    @Test func `every truncation is refused`() {
        expectTruncations(Array(KernelFrames.echoRequest[34..<42]), .icmpv4) { bytes, offset throws(ParseError) in
            _ = try ICMPv4Message(parsing: bytes, at: offset)
        }
        expectTruncations(Array(KernelFrames.echoRequest6[54..<62]), .icmpv6) { bytes, offset throws(ParseError) in
            _ = try ICMPv6Message(parsing: bytes, at: offset)
        }
    }

    @Test func `the parts of the rest of the header do not touch each other`() {
        var message = ICMPv4Message(kind: .echoRequest, restOfHeader: 0x1234_5678)
        #expect(message.identifier == 0x1234)
        #expect(message.sequence == 0x5678)
        message.identifier = 0xaaaa
        #expect(message.restOfHeader == 0xaaaa_5678)
        message.sequence = 0xbbbb
        #expect(message.restOfHeader == 0xaaaa_bbbb)
        message.nextHopMTU = 1450
        #expect(message.restOfHeader == 0xaaaa_05aa)
        var message6 = ICMPv6Message(kind: .packetTooBig)
        message6.mtu = 0x1_0000
        #expect(message6.restOfHeader == 0x1_0000)
        message6.identifier = 5
        message6.sequence = 6
        #expect(message6.restOfHeader == 0x0005_0006)
    }

    @Test func `errors are told from questions`() {
        let errors: [ICMPv4Kind] = [
            .networkUnreachable, .hostUnreachable, .portUnreachable, .fragmentationNeeded, .timeToLiveExceeded,
            .parameterProblem, .redirectHost, .packetFiltered,
        ]
        #expect(errors.allSatisfy { $0.isError && !$0.isEcho })
        #expect([ICMPv4Kind.echoRequest, .echoReply].allSatisfy { !$0.isError && $0.isEcho })
        #expect(!ICMPv4Kind(type: 13).isError)
        let errors6: [ICMPv6Kind] = [.noRoute, .portUnreachable, .packetTooBig, .hopLimitExceeded, .parameterProblem]
        #expect(errors6.allSatisfy { $0.isError && !$0.isEcho })
        #expect([ICMPv6Kind.neighborSolicitation, .neighborAdvertisement].allSatisfy { !$0.isError && !$0.isEcho })
        #expect(ICMPv6Kind.echoRequest.isEcho && !ICMPv6Kind.echoRequest.isError)
    }

    @Test func `any message survives writing and reading`() throws {
        var random = SeededGenerator()
        for _ in 0..<200 {
            let (type, code): (UInt8, UInt8) = (random.number(), random.number())
            let message = ICMPv4Message(
                kind: ICMPv4Kind(type: type, code: code), restOfHeader: random.number(), checksum: random.number())
            #expect(try ICMPv4Message(written(8) { message.write(to: &$0, at: $1) }) == message)
            let message6 = ICMPv6Message(
                kind: ICMPv6Kind(type: type, code: code), restOfHeader: random.number(), checksum: random.number())
            #expect(try ICMPv6Message(written(8) { message6.write(to: &$0, at: $1) }) == message6)
        }
    }
}

@Suite struct NeighborDiscoveryTests {
    static let target = IPv6Address("fd00:50::12")!
    static let solicitation = NeighborDiscoveryMessage(soliciting: target, from: .first)
    static let advertisement = NeighborDiscoveryMessage(
        advertising: target, at: .second, isRouter: false, isSolicited: true, isOverride: true)

    static func parse(_ bytes: [UInt8]) throws(ParseError) -> NeighborDiscoveryMessage {
        try NeighborDiscoveryMessage(parsing: bytes.span.bytes, in: 0..<bytes.count)
    }

    @Test func `a kernel's messages are read field by field`() throws {
        let solicitation = KernelFrames.neighborSolicitation
        #expect(
            try NeighborDiscoveryMessage(solicitation, in: 54..<solicitation.count)
                == Self.solicitation)
        let advertisement = KernelFrames.neighborAdvertisement
        #expect(
            try NeighborDiscoveryMessage(advertisement, in: 54..<advertisement.count)
                == Self.advertisement)
    }

    @Test func `building them gives the kernel's octets`() {
        let group = Self.target.solicitedNodeGroup
        var builder = PacketBuilder.nodes6
        builder.destination = IPAddress(group)
        builder.destinationMAC = MACAddress(multicast: group)
        #expect(builder.neighborDiscovery(Self.solicitation) == KernelFrames.neighborSolicitation)
        #expect(
            PacketBuilder.nodes6.reversed.neighborDiscovery(Self.advertisement) == KernelFrames.neighborAdvertisement)
    }

    @Test func `duplicate detection asks without an address`() throws {
        let message = NeighborDiscoveryMessage(soliciting: Self.target, from: nil)
        let bytes = written(24) { message.write(to: &$0, at: $1) }
        #expect(try Self.parse(bytes) == message)
        #expect(message.messageLength == 24)
    }

    @Test func `strange options are stepped over or refused`() throws {
        let bare = Array(KernelFrames.neighborSolicitation[54..<78])
        let address = Array(KernelFrames.neighborSolicitation[78...])
        let nonce: [UInt8] = [14, 1, 1, 2, 3, 4, 5, 6]
        let other: [UInt8] = [2, 1, 9, 9, 9, 9, 9, 9]
        #expect(try Self.parse(bare + nonce + other + address).linkLayerAddress == .first)
        #expect(try Self.parse(bare + nonce + other).linkLayerAddress == nil)
        let rows: [([UInt8], String)] = [
            ([1], "option"), ([1, 0], "option length"), ([1, 0, 0, 0, 0, 0, 0, 0], "option length"),
            ([1, 2, 0, 0, 0, 0, 0, 0], "option length"), (nonce + [14, 1], "option length"),
        ]
        for (options, field) in rows {
            let bytes = bare + options
            let error = parseError(bytes) { span, _ throws(ParseError) in
                _ = try NeighborDiscoveryMessage(parsing: span, in: 0..<bytes.count)
            }
            #expect(error?.field == field, "\(options)")
        }
    }

    @Test func `another type and every truncation are refused`() {
        #expect(throws: ParseError.self) {
            try Self.parse(Array(KernelFrames.echoRequest6[54...]) + [UInt8](repeating: 0, count: 24))
        }
        expectTruncations(Array(KernelFrames.neighborSolicitation[54..<78]), .icmpv6) {
            bytes, offset throws(ParseError) in
            _ = try NeighborDiscoveryMessage(parsing: bytes, in: offset..<bytes.byteCount)
        }
    }

    @Test func `the solicited-node group keeps 24 bits of the address`() {
        #expect(IPv6Address("fd00::1:abcd:ef12")!.solicitedNodeGroup == IPv6Address("ff02::1:ffcd:ef12")!)
        #expect(MACAddress(multicast: IPv6Address("ff02::1:ffcd:ef12")!).description == "33:33:ff:cd:ef:12")
    }
}

@Suite struct SCTPHeaderTests {
    @Test func `headers survive writing and reading`() throws {
        var random = SeededGenerator()
        for _ in 0..<100 {
            let header = SCTPHeader(
                sourcePort: random.number(), destinationPort: random.number(), verificationTag: random.number(),
                checksum: random.number())
            #expect(try SCTPHeader(written(12) { header.write(to: &$0, at: $1) }) == header)
            let chunk = SCTPChunkHeader(
                type: random.number(), flags: random.number(), valueLength: Int(random.number(UInt16.self) >> 1))
            #expect(
                try SCTPChunkHeader(written(4) { chunk.write(to: &$0, at: $1) }, at: 0) == chunk)
            #expect(chunk.paddedLength % 4 == 0 && chunk.paddedLength - Int(chunk.chunkLength) < 4)
        }
    }

    @Test func `every truncation and a chunk shorter than its header are refused`() {
        expectTruncations(Array(1...12), .sctp) { bytes, offset throws(ParseError) in
            _ = try SCTPHeader(parsing: bytes, at: offset)
        }
        expectTruncations([1, 0, 0, 20], .sctp) { bytes, offset throws(ParseError) in
            _ = try SCTPChunkHeader(parsing: bytes, at: offset)
        }
        let error = parseError([1, 0, 0, 3]) { bytes, offset throws(ParseError) in
            _ = try SCTPChunkHeader(parsing: bytes, at: offset)
        }
        #expect(error?.reason == .badLength(3))
    }

    @Test func `the CRC goes out in little-endian order and covers no address`() {
        let frame = PacketBuilder.nodes.sctp(from: 3000, to: 3001, verificationTag: 9, chunks: [6, 0, 0, 4])
        let segment = 34..<frame.count
        #expect(verifies(.sctp, frame, in: segment))
        for offset in segment {
            var bad = frame
            bad[offset] ^= 0x10
            #expect(
                !verifies(.sctp, bad, in: segment))
        }
    }
}
