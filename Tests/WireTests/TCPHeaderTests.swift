// The TCP header and its options in the kernel's layouts.

import Addressing
import Testing
import Wire

@Suite struct TCPHeaderTests {
    static let synchronize = TCPHeader(
        sourcePort: 40368, destinationPort: 8080, sequence: 2_977_611_299, flags: .syn, window: 64860,
        options: TCPOptions(
            maximumSegmentSize: 1410, windowScale: 10, sackPermitted: true,
            timestamps: TCPTimestamps(value: 3_656_862_147, echo: 0)),
        checksum: 0xe34c)

    static func parse(_ bytes: RawSpan, _ offset: Int) throws(ParseError) {
        _ = try TCPHeader(parsing: bytes, at: offset)
    }

    @Test func `a kernel's SYN is read and written field by field`() throws {
        #expect(try TCPHeader(KernelFrames.synchronize, at: 34) == Self.synchronize)
        #expect(written(40) { Self.synchronize.write(to: &$0, at: $1) } == Array(KernelFrames.synchronize[34...]))
    }

    @Test func `a kernel's data segment and reset are read field by field`() throws {
        let data = try TCPHeader(KernelFrames.httpRequest, at: 34)
        #expect(data.flags == [.psh, .ack])
        #expect(data.headerLength == 32)
        #expect(data.options == TCPOptions(timestamps: TCPTimestamps(value: 3_656_862_147, echo: 4_143_812_733)))
        let reset = try TCPHeader(KernelFrames.reset, at: 34)
        #expect(reset.flags == [.rst, .ack])
        #expect(reset.sequence == 0)
        #expect(reset.acknowledgment == 1_025_026_038)
        #expect(reset.window == 0)
        #expect(reset.options == TCPOptions())
        #expect(reset.headerLength == 20)
    }

    @Test func `every segment of a kernel's connection is written back as it was`() throws {
        for frame in KernelFrames.conversation {
            let header = try TCPHeader(frame, at: 34)
            #expect(header.writtenLength == header.headerLength)
            let bytes = written(header.headerLength) { header.write(to: &$0, at: $1) }
            #expect(bytes == Array(frame[34..<34 + header.headerLength]))
        }
    }

    @Test func `every truncation is refused`() {
        expectTruncations(Array(KernelFrames.synchronize[34...]), .tcp, Self.parse)
        expectTruncations(Array(KernelFrames.reset[34...]), .tcp, Self.parse)
    }

    @Test(arguments: [0x00, 0x10, 0x4f] as [UInt8])
    func `a data offset inside the header is refused`(octet: UInt8) {
        var bytes = Array(KernelFrames.reset[34...])
        bytes[12] = octet
        let expected = ParseError(
            layer: .tcp, field: "data offset", offset: 12, reason: .badLength(Int(octet >> 4) * 4))
        #expect(parseError(bytes, Self.parse) == expected)
    }

    @Test func `each flag has its own bit`() throws {
        let flags: [TCPFlags] = [.fin, .syn, .rst, .psh, .ack, .urg, .ece, .cwr]
        for (bit, flag) in flags.enumerated() {
            var bytes = Array(KernelFrames.reset[34...])
            bytes[13] = 1 << UInt8(bit)
            #expect(try TCPHeader(bytes).flags == flag)
        }
    }

    @Test func `any header survives writing and reading`() throws {
        var random = SeededGenerator()
        for _ in 0..<300 {
            let isSynchronize = random.flag()
            var flags = TCPFlags(rawValue: random.number())
            if isSynchronize { flags.insert(.syn) } else { flags.remove(.syn) }
            var options = TCPOptions()
            if random.flag() { options.timestamps = TCPTimestamps(value: random.number(), echo: random.number()) }
            if isSynchronize {
                if random.flag() { options.maximumSegmentSize = UInt16(1 + random.number(UInt16.self) % 65_535) }
                if random.flag() { options.windowScale = UInt8(random.number(UInt8.self) % 15) }
                options.sackPermitted = random.flag()
            } else {
                options.sackBlocks = (0..<Int(random.number(UInt8.self) % 4)).map { _ in
                    SACKBlock(left: random.number(), right: random.number())
                }
            }
            let header = TCPHeader(
                sourcePort: random.number(), destinationPort: random.number(), sequence: random.number(),
                acknowledgment: random.number(), flags: flags, window: random.number(), options: options,
                urgentPointer: random.number(), checksum: random.number())
            let bytes = written(header.headerLength) { header.write(to: &$0, at: $1) }
            #expect(try TCPHeader(bytes) == header)
        }
    }

    @Test func `options skipped on reading leave their room filled with zeros`() throws {
        // An experimental option (RFC 6994) that is no option of ours.
        var bytes = Array(KernelFrames.reset[34...]) + octets("fe04abcd")
        bytes[12] = 0x60
        let header = try TCPHeader(bytes)
        #expect(header.headerLength == 24)
        #expect(header.options == TCPOptions())
        #expect(Array(written(24) { header.write(to: &$0, at: $1) }[20...]) == [0, 0, 0, 0])
    }

    @Test func `options packed tighter than Linux packs them need more room when written`() throws {
        // Timestamps and one SACK block without any padding: 20 octets, which Linux pads to 24.
        var bytes = Array(KernelFrames.reset[34...]) + octets("080a0000000100000002 050a0000000300000004")
        bytes[12] = 0xa0
        let header = try TCPHeader(bytes)
        #expect(header.headerLength == 40)
        #expect(header.writtenLength == 44)
        let again = try TCPHeader(written(44) { header.write(to: &$0, at: $1) })
        #expect(again.options == header.options)
    }

    @Test func `changing the options changes the header length`() {
        var header = Self.synchronize
        #expect(header.headerLength == 40)
        header.options = TCPOptions()
        #expect(header.headerLength == 20)
    }
}

@Suite struct TCPOptionsTests {
    static let timestamps = TCPTimestamps(value: 0x0102_0304, echo: 0x0506_0708)
    static let block = SACKBlock(left: 0x1111_1111, right: 0x2222_2222)

    @Test func `options are laid out as Linux lays them out`() {
        let rows: [(TCPOptions, String)] = [
            (TCPOptions(), ""),
            (
                TCPOptions(
                    maximumSegmentSize: 1410, windowScale: 10, sackPermitted: true, timestamps: Self.timestamps),
                "02040582 0402 080a 01020304 05060708 01 03030a"
            ),
            (TCPOptions(timestamps: Self.timestamps), "01 01 080a 01020304 05060708"),
            (
                TCPOptions(timestamps: Self.timestamps, sackBlocks: [Self.block]),
                "01 01 080a 01020304 05060708 01 01 050a 11111111 22222222"
            ),
            (
                TCPOptions(timestamps: Self.timestamps, sackBlocks: [Self.block, Self.block, Self.block]),
                "0101080a 0102030405060708 0101051a 1111111122222222 1111111122222222 1111111122222222"
            ),
            (TCPOptions(sackBlocks: [Self.block]), "0101050a 1111111122222222"),
            (TCPOptions(maximumSegmentSize: 536), "02040218"),
            (TCPOptions(maximumSegmentSize: 1460, sackPermitted: true), "020405b4 0101 0402"),
            (
                TCPOptions(maximumSegmentSize: 1460, windowScale: 7, sackPermitted: true),
                "020405b4 0101 0402 01 030307"
            ),
            (TCPOptions(maximumSegmentSize: 1460, windowScale: 7), "020405b4 01 030307"),
            (TCPOptions(maximumSegmentSize: 1460, timestamps: Self.timestamps), "020405b4 0101 080a 0102030405060708"),
        ]
        for (options, text) in rows {
            let expected = octets(text)
            #expect(options.length == expected.count, "\(text)")
            #expect(written(options.length) { options.write(to: &$0, at: $1) } == expected, "\(text)")
            let isSynchronize = options.maximumSegmentSize != nil
            let parsed = TCPOptions(expected, isSynchronize: isSynchronize)
            #expect(parsed == options, "\(text)")
        }
    }

    @Test func `options are read in any order and strange ones as Linux reads them`() {
        let rows: [(String, Bool, TCPOptions)] = [
            (
                "01 03030a 0402 02040582", true,
                TCPOptions(maximumSegmentSize: 1410, windowScale: 10, sackPermitted: true)
            ),
            // Only a SYN may negotiate.
            ("01 03030a 0402 02040582", false, TCPOptions()),
            // A zero MSS is no MSS; a wide shift is cut to 14.
            ("02040000 030320", true, TCPOptions(windowScale: 14)),
            // Unknown options are stepped over: fast open, MD5, experimental.
            ("2202 02040582 fe04abcd", true, TCPOptions(maximumSegmentSize: 1410)),
            // A known option of wrong length is stepped over.
            ("020305 02040582 0303050303", true, TCPOptions(maximumSegmentSize: 1410, windowScale: 5)),
            ("0809000000000000 00 02040582", true, TCPOptions(maximumSegmentSize: 1410)),
            // The end of the list ends it.
            ("02040582 00 0402", true, TCPOptions(maximumSegmentSize: 1410)),
            // Malformed: nothing behind is read, what was read stays.
            ("02040582 0401 0402", true, TCPOptions(maximumSegmentSize: 1410)),
            ("02040582 0400 0402", true, TCPOptions(maximumSegmentSize: 1410)),
            ("02040582 0405 0402", true, TCPOptions(maximumSegmentSize: 1410)),
            ("02040582 04", true, TCPOptions(maximumSegmentSize: 1410)),
            ("020405", true, TCPOptions()),
            // SACK needs whole blocks and at least one.
            ("0502 0509 11111111222222", false, TCPOptions()),
            ("050b 111111112222222233 01", false, TCPOptions()),
        ]
        for (text, isSynchronize, expected) in rows {
            let bytes = octets(text)
            let parsed = TCPOptions(bytes, isSynchronize: isSynchronize)
            #expect(parsed == expected, "\(text)")
        }
    }

    @Test func `any octets are read without harm`() {
        var random = SeededGenerator()
        for _ in 0..<2000 {
            let bytes = random.octets(Int(random.number(UInt8.self) % 41)).map { $0 & 0x0f }
            let options = TCPOptions(bytes, isSynchronize: true)
            #expect(options.sackBlocks.count <= 4)
        }
    }
}
