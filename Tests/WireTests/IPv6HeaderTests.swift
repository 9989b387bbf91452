// The IPv6 header and the walk over extension headers.

import Addressing
import Testing
import Wire

@Suite struct IPv6HeaderTests {
    static let header = IPv6Header(
        source: IPv6Address("fd00:50::11")!, destination: IPv6Address("fd00:50::12")!, nextHeader: .udp,
        payloadLength: 11, flowLabel: 0x47bfe)

    @Test func `a kernel's header is read and written field by field`() throws {
        #expect(try IPv6Header(KernelFrames.datagram6, at: 14) == Self.header)
        #expect(written(40) { Self.header.write(to: &$0, at: $1) } == Array(KernelFrames.datagram6[14..<54]))
    }

    @Test func `every truncation is refused`() {
        expectTruncations(Array(KernelFrames.datagram6[14..<54]), .ipv6) { bytes, offset throws(ParseError) in
            _ = try IPv6Header(parsing: bytes, at: offset)
        }
    }

    @Test func `another version is refused`() {
        let error = parseError(Array(KernelFrames.synchronize[14...])) { bytes, offset throws(ParseError) in
            _ = try IPv6Header(parsing: bytes, at: offset)
        }
        #expect(error == ParseError(layer: .ipv6, field: "version", offset: 0, reason: .badVersion(4)))
    }

    @Test func `a packet shorter than its payload length is cut`() throws {
        try Self.header.requireComplete(available: 51)
        let error = #expect(throws: ParseError.self) { try Self.header.requireComplete(available: 50, at: 14) }
        #expect(error?.reason == .truncated(needed: 11, available: 10))
        #expect(error?.offset == 54)
    }

    @Test func `any header survives writing and reading`() throws {
        var random = SeededGenerator()
        for _ in 0..<200 {
            let header = IPv6Header(
                source: random.ipv6(), destination: random.ipv6(), nextHeader: IPProtocol(rawValue: random.number()),
                payloadLength: Int(random.number(UInt16.self)), hopLimit: random.number(),
                trafficClass: random.number(),
                flowLabel: random.number(UInt32.self))
            let bytes = written(40) { header.write(to: &$0, at: $1) }
            #expect(try IPv6Header(bytes) == header)
        }
    }

    @Test func `any fragment header survives writing and reading`() throws {
        var random = SeededGenerator()
        for _ in 0..<200 {
            let header = IPv6FragmentHeader(
                nextHeader: IPProtocol(rawValue: random.number()),
                fragmentByteOffset: Int(random.number(UInt16.self) & 0xfff8), moreFragments: random.flag(),
                identification: random.number())
            let bytes = written(8) { header.write(to: &$0, at: $1) }
            #expect(try IPv6FragmentHeader(bytes) == header)
        }
    }
}

@Suite struct IPv6UpperLayerTests {
    /// A packet whose fixed header names `first`, followed by `rest`.
    static func packet(_ first: IPProtocol, _ rest: [UInt8]) -> [UInt8] {
        let header = IPv6Header(
            source: .loopback, destination: .loopback, nextHeader: first, payloadLength: rest.count)
        return written(40) { header.write(to: &$0, at: $1) } + rest
    }

    static let hopByHop = octets("3c00 0502 0000 0100")  // next: destination options
    static let destination = octets("2b01 0104 0000 0000 0104 0000 0000 0000")  // next: routing, 16 octets
    static let routing = octets("2c00 0000 0000 0000")  // next: fragment
    static let firstFragment = octets("1100 0001 0000 004d")  // next: UDP, offset 0, more
    static let laterFragment = octets("1100 0590 0000 004d")  // next: UDP, offset 1424
    static let authentication = octets("1101 0000 0000 0001 0000 0002")  // next: UDP, 12 octets

    @Test func `the walk steps over extension headers to the transport`() throws {
        let rows: [(IPProtocol, [[UInt8]], IPProtocol, Int)] = [
            (.udp, [], .udp, 40),
            (.icmpv6, [], .icmpv6, 40),
            (.hopByHopOptions, [Self.hopByHop, Self.destination, Self.routing, Self.firstFragment], .udp, 80),
            (.destinationOptions, [Self.destination, Self.routing, Self.firstFragment], .udp, 72),
            (.authenticationHeader, [Self.authentication], .udp, 52),
            (.noNextHeader, [], .noNextHeader, 40),
        ]
        for (first, headers, number, offset) in rows {
            let upper = try IPv6UpperLayer(Self.packet(first, headers.flatMap { $0 }))
            #expect(upper.protocol == number)
            #expect(upper.offset == offset)
            #expect((upper.fragment != nil) == headers.contains(Self.firstFragment))
        }
    }

    @Test func `behind a later fragment nothing is read as a header`() throws {
        let upper = try IPv6UpperLayer(Self.packet(.fragmentHeader, Self.laterFragment))
        #expect(upper.fragment?.fragmentByteOffset == 1424)
        #expect(upper.fragment?.moreFragments == false)
        #expect(upper.fragment?.identification == 77)
        #expect(upper.protocol == .udp)
        #expect(upper.offset == 48)
    }

    @Test func `every truncation of the chain is refused`() {
        let chain = Self.hopByHop + Self.destination + Self.routing + Self.firstFragment
        expectTruncations(Self.packet(.hopByHopOptions, chain), .ipv6) { bytes, offset throws(ParseError) in
            _ = try IPv6UpperLayer(parsing: bytes, at: offset)
        }
        expectTruncations(Self.packet(.authenticationHeader, Self.authentication), .ipv6) {
            bytes, offset throws(ParseError) in
            _ = try IPv6UpperLayer(parsing: bytes, at: offset)
        }
    }

    @Test func `a chain without end is refused`() {
        let chain = (0..<40).flatMap { _ in octets("3c00 0104 0000 0000") }
        let error = parseError(Self.packet(.destinationOptions, chain)) { bytes, offset throws(ParseError) in
            _ = try IPv6UpperLayer(parsing: bytes, at: offset)
        }
        #expect(error?.field == "extension header")
        #expect(error?.reason == .badLength(17))
    }
}
