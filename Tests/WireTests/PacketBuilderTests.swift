// Frames built here against frames a kernel sent.

import Addressing
import Testing
import Wire

@Suite struct PacketBuilderTests {
    static let synchronizeOptions = TCPOptions(
        maximumSegmentSize: 1410, windowScale: 10, sackPermitted: true,
        timestamps: TCPTimestamps(value: 3_656_862_147, echo: 0))
    static let synchronize: [UInt8] = {
        var builder = PacketBuilder.pods
        builder.identification = 26853
        return builder.tcp(
            from: 40368, to: 8080, flags: .syn, sequence: 2_977_611_299, options: synchronizeOptions)
    }()

    @Test func `TCP segments equal the kernel's`() {
        #expect(Self.synchronize == KernelFrames.synchronize)
        var builder = PacketBuilder.pods
        builder.identification = 26855
        let request = builder.tcp(
            from: 40368, to: 8080, flags: [.psh, .ack], sequence: 2_977_611_300, acknowledgment: 4_225_511_440,
            window: 64, options: TCPOptions(timestamps: TCPTimestamps(value: 3_656_862_147, echo: 4_143_812_733)),
            payload: Array("GET / HTTP/1.1\r\n\r\n".utf8))
        #expect(request == KernelFrames.httpRequest)
        let reset = PacketBuilder.nodes.reversed.tcp(
            from: 81, to: 33910, flags: [.rst, .ack], sequence: 0, acknowledgment: 1_025_026_038, window: 0)
        #expect(reset == KernelFrames.reset)
    }

    @Test func `datagrams equal the kernel's`() {
        var builder = PacketBuilder.nodes
        builder.identification = 35024
        #expect(builder.udp(from: 54817, to: 5353, payload: Array("abc".utf8)) == KernelFrames.datagram)
        var builder6 = PacketBuilder.nodes6
        builder6.flowLabel = 0x47bfe
        #expect(builder6.udp(from: 60381, to: 5353, payload: Array("abc".utf8)) == KernelFrames.datagram6)
    }

    @Test func `an encapsulated frame equals the kernel's`() {
        var builder = PacketBuilder.nodes
        builder.identification = 9938
        builder.dontFragment = false
        let frame = builder.vxlan(networkIdentifier: 1, from: 38159, frame: Self.synchronize)
        #expect(frame == KernelFrames.encapsulatedSynchronize)
        #expect(frame.count == Self.synchronize.count + VXLANHeader.overheadIPv4)
    }

    @Test func `echoes and errors equal the kernel's`() {
        var builder = PacketBuilder.nodes
        builder.identification = 11304
        #expect(builder.echoRequest(identifier: 7, sequence: 1, payload: Array(0..<16)) == KernelFrames.echoRequest)
        builder = builder.reversed
        builder.identification = 59336
        builder.dontFragment = false
        #expect(builder.echoReply(identifier: 7, sequence: 1, payload: Array(0..<16)) == KernelFrames.echoReply)
        builder.identification = 59334
        builder.trafficClass = 0xc0
        let quote = Array(KernelFrames.datagram[14...])
        #expect(builder.icmp(.portUnreachable, payload: quote) == KernelFrames.portUnreachable)
        var builder6 = PacketBuilder.nodes6
        builder6.flowLabel = 0xa6314
        #expect(
            builder6.echoRequest(identifier: 7, sequence: 1, payload: Array("abcd".utf8)) == KernelFrames.echoRequest6)
        builder6 = builder6.reversed
        builder6.flowLabel = 0xb57a8
        #expect(builder6.echoReply(identifier: 7, sequence: 1, payload: Array("abcd".utf8)) == KernelFrames.echoReply6)
        builder6.flowLabel = 0x558cf
        let quote6 = Array(KernelFrames.datagram6[14...])
        #expect(builder6.icmpv6(.portUnreachable, payload: quote6) == KernelFrames.portUnreachable6)
    }

    @Test func `fragments equal the kernel's`() throws {
        var builder = PacketBuilder.nodes
        builder.identification = 9944
        let whole = builder.udp(from: 35712, to: 5354, payload: [UInt8](repeating: UInt8(ascii: "z"), count: 3000))
        let fragments = try PacketBuilder.fragments(of: whole, mtu: 1500)
        #expect(fragments.map { Array($0[..<34]) } == KernelFrames.fragmentHeaders)
        #expect(Array(fragments[0][34..<42]) == KernelFrames.fragmentedUDPHeader)
        #expect(fragments.map(\.count) == [1514, 1514, 82])
        #expect(fragments.flatMap { $0[34...] } == Array(whole[34...]))
    }

    @Test func `fragments of a fragment stay in their place`() throws {
        var builder = PacketBuilder.nodes
        builder.identification = 77
        let whole = builder.udp(from: 1, to: 2, payload: SeededGeneratorPayload.octets(4000))
        let wide = try PacketBuilder.fragments(of: whole, mtu: 1500)
        let narrow = try wide.flatMap { try PacketBuilder.fragments(of: $0, mtu: 600) }
        let headers = try narrow.map { try IPv4Header($0, at: 14) }
        #expect(headers.allSatisfy { $0.totalLength <= 600 && $0.identification == 77 && !$0.dontFragment })
        #expect(headers.map(\.moreFragments) == headers.indices.map { $0 < headers.count - 1 })
        var position = 0
        for header in headers {
            #expect(header.fragmentByteOffset == position)
            position += header.payloadLength
        }
        #expect(narrow.flatMap { $0[34...] } == Array(whole[34...]))
    }

    @Test func `a packet that fits is not cut, and a broken one is refused`() throws {
        let frame = PacketBuilder.nodes.udp(from: 1, to: 2, payload: [1, 2, 3])
        #expect(try PacketBuilder.fragments(of: frame, mtu: 31) == [frame])
        #expect(throws: ParseError.self) { try PacketBuilder.fragments(of: Array(frame.dropLast()), mtu: 30) }
        #expect(throws: ParseError.self) { try PacketBuilder.fragments(of: KernelFrames.datagram6, mtu: 30) }
        // A fragment that would end behind octet 65,535, as in the ping of death.
        var last = PacketBuilder.nodes.udp(from: 1, to: 2, payload: [UInt8](repeating: 0, count: 100))
        (last[20], last[21]) = (0x1f, 0xff)
        let error = #expect(throws: ParseError.self) { try PacketBuilder.fragments(of: last, mtu: 100) }
        #expect(error?.field == "fragment offset")
    }

    @Test func `reversing twice changes nothing`() {
        let builder = PacketBuilder.pods
        #expect(builder.reversed != builder)
        #expect(builder.reversed.reversed == builder)
        #expect(builder.transportOffset == 34)
        #expect(PacketBuilder.nodes6.transportOffset == 54)
    }
}

enum SeededGeneratorPayload {
    static func octets(_ count: Int) -> [UInt8] {
        var random = SeededGenerator()
        return random.octets(count)
    }
}
