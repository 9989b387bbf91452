// The IPv4 header: kernel octets, refusals, in-place changes.

import Addressing
import Testing
import Wire

@Suite struct IPv4HeaderTests {
    /// The header of `KernelFrames.synchronize`.
    static var header: IPv4Header {
        var header = IPv4Header(
            source: IPv4Address(10, 244, 0, 2), destination: IPv4Address(10, 244, 1, 2), protocol: .tcp,
            payloadLength: 40, identification: 26853, dontFragment: true)
        header.headerChecksum = 0xbaeb
        return header
    }
    static var bytes: [UInt8] { Array(KernelFrames.synchronize[14..<34]) }

    static func parse(_ bytes: RawSpan, _ offset: Int) throws(ParseError) {
        _ = try IPv4Header(parsing: bytes, at: offset)
    }

    static func random(_ random: inout SeededGenerator) -> IPv4Header {
        IPv4Header(
            source: random.ipv4(), destination: random.ipv4(), protocol: IPProtocol(rawValue: random.number()),
            payloadLength: Int(random.number(UInt16.self) >> 1), timeToLive: random.number(),
            trafficClass: random.number(), identification: random.number(), dontFragment: random.flag(),
            moreFragments: random.flag(), fragmentByteOffset: Int(random.number(UInt16.self) >> 3) * 8,
            options: random.octets(Int(random.number(UInt8.self) % 11) * 4))
    }

    @Test func `a kernel's header is read field by field`() throws {
        #expect(try IPv4Header(KernelFrames.synchronize, at: 14) == Self.header)
        let error = try IPv4Header(KernelFrames.portUnreachable, at: 14)
        #expect(error.trafficClass == 0xc0)
        #expect(error.totalLength == 59)
        #expect(!error.dontFragment)
    }

    @Test func `writing gives the kernel's octets with the checksum computed`() {
        var header = Self.header
        header.headerChecksum = 0x1234
        #expect(written(20) { header.write(to: &$0, at: $1) } == Self.bytes)
    }

    @Test func `fragments of a kernel are read with offsets in octets`() throws {
        let headers = try KernelFrames.fragmentHeaders.map { try IPv4Header($0, at: 14) }
        #expect(headers.map(\.fragmentByteOffset) == [0, 1480, 2960])
        #expect(headers.map(\.moreFragments) == [true, true, false])
        #expect(headers.map(\.isFragment) == [true, true, true])
        #expect(headers.map(\.payloadLength) == [1480, 1480, 48])
        #expect(Set(headers.map(\.identification)) == [9944])
        #expect(!Self.header.isFragment)
    }

    @Test func `every truncation is refused`() {
        expectTruncations(Self.bytes, .ipv4, Self.parse)
        let header = IPv4Header(
            source: .loopback, destination: .loopback, protocol: .udp, payloadLength: 0,
            options: [7, 7, 4, 0, 0, 0, 0, 0])
        expectTruncations(written(28) { header.write(to: &$0, at: $1) }, .ipv4, Self.parse)
    }

    @Test func `a header that contradicts itself is refused by field`() {
        let rows: [(Int, UInt8, String, Int, ParseError.Reason)] = [
            (0, 0x65, "version", 0, .badVersion(6)),
            (0, 0x05, "version", 0, .badVersion(0)),
            (0, 0x44, "IHL", 0, .badLength(16)),
            (0, 0x40, "IHL", 0, .badLength(0)),
            (0, 0x46, "options", 0, .truncated(needed: 24, available: 20)),
            (3, 19, "total length", 2, .badLength(19)),
            (3, 0, "total length", 2, .badLength(0)),
        ]
        for (position, value, field, offset, reason) in rows {
            var bytes = Self.bytes
            bytes[position] = value
            let expected = ParseError(layer: .ipv4, field: field, offset: offset, reason: reason)
            #expect(parseError(bytes, Self.parse) == expected)
        }
    }

    @Test func `a packet shorter than its total length is cut, padding is not`() throws {
        let header = Self.header
        try header.requireComplete(available: 60)
        try header.requireComplete(available: 64)
        let error = #expect(throws: ParseError.self) { try header.requireComplete(available: 47, at: 14) }
        #expect(
            error
                == ParseError(
                    layer: .ipv4, field: "payload", offset: 34, reason: .truncated(needed: 40, available: 27)))
    }

    @Test func `any header survives writing and reading`() throws {
        var random = SeededGenerator()
        for _ in 0..<300 {
            var header = Self.random(&random)
            let bytes = written(header.headerLength) { header.write(to: &$0, at: $1) }
            #expect(verifies(ipv4Header: bytes))
            let parsed = try IPv4Header(bytes)
            header.headerChecksum = parsed.headerChecksum
            #expect(parsed == header)
            #expect(try headerLength(ofIPv4: bytes) == header.headerLength)
        }
    }

    @Test func `options are padded to 32 bits`() throws {
        let header = IPv4Header(
            source: .loopback, destination: .loopback, protocol: .udp, payloadLength: 1, options: [1, 1, 1, 1, 1])
        #expect(header.headerLength == 28)
        #expect(header.totalLength == 29)
        let bytes = written(28) { header.write(to: &$0, at: $1) }
        #expect(Array(bytes[20...]) == [1, 1, 1, 1, 1, 0, 0, 0])
    }

    @Test func `one wrong bit spoils the checksum`() {
        for bit in 0..<160 {
            var bytes = Self.bytes
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            // The header length nibble decides how much is covered.
            guard bit / 8 > 0 else { continue }
            #expect(!verifies(ipv4Header: bytes), "bit \(bit)")
        }
        #expect(verifies(ipv4Header: Self.bytes))
    }

    @Test func `lowering the time to live keeps every header right`() throws {
        var random = SeededGenerator()
        for value in UInt8.min...UInt8.max {
            var header = Self.random(&random)
            header.timeToLive = value
            let bytes = written(header.headerLength) { span, offset in
                header.write(to: &span, at: offset)
                IPv4Header.decrementTimeToLive(&span, at: offset)
            }
            header.timeToLive = value &- 1
            #expect(bytes == written(header.headerLength) { header.write(to: &$0, at: $1) })
        }
    }

    @Test func `replacing an address equals writing the header anew`() {
        var random = SeededGenerator()
        for _ in 0..<300 {
            var header = Self.random(&random)
            let source = random.ipv4()
            let destination = random.ipv4()
            let bytes = written(header.headerLength) { span, offset in
                header.write(to: &span, at: offset)
                IPv4Header.replaceAddress(&span, at: offset, position: IPv4Header.Offset.source, with: source)
                IPv4Header.replaceAddress(&span, at: offset, position: IPv4Header.Offset.destination, with: destination)
            }
            header.source = source
            header.destination = destination
            #expect(bytes == written(header.headerLength) { header.write(to: &$0, at: $1) })
        }
    }
}
