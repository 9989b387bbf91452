// pcapng from other hands: both byte orders, every clock, several sections, unknown blocks, and damage of all kinds.

import Capture
import Testing

struct PcapngReaderTests {
    @Test func `what is written is read back`() throws {
        let file = try CaptureFile(parsing: Sample.pcapng)
        #expect(file.format == .pcapng)
        #expect(file.section == Sample.section)
        #expect(file.interfaces == Sample.interfaces)
        #expect(file.names == Sample.names)
        #expect(file.packets == Sample.packets)
    }

    @Test func `libpcap reads the same packets`() throws {
        #expect(try LibpcapOracle.read(Sample.pcapng) == Sample.packets.map(LibpcapOracle.Packet.init))
    }

    /// A section of a big-endian machine with one interface that counts microseconds.
    static let bigEndian = octets(
        """
        0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c
        00000001 00000038 0001 0000 00000060
            0002 0002 61620000                       ; name
            0004 0008 0af40101 ffffff00              ; IPv4 address
            0006 0006 010203040506 0000              ; MAC address
            0000 0000 00000038
        00000bad 00000010 01020304 00000010          ; block of an unknown type
        00000006 0000004c 00000000 00000000 000f4242 00000002 00000009 aabb 0000
            0002 0004 00000005                       ; flags: inbound, and unicast
            0063 0001 ff000000                       ; option of an unknown code
            0005 0008 0102030405060708               ; packet id
            0001 0001 21000000                       ; comment
            0000 0000 0000004c
        00000002 00000028 0000 0001 00000000 000f4243 00000001 00000001 aa000000 0000 0000 00000028
        00000003 00000014 00000002 ccdd 0000 00000014
        00000004 00000020 0001 000a 0af40102 6100 6263 00 0000 00 0000 0000 00000020
        """)

    @Test func `a big-endian file with foreign blocks and options is read`() throws {
        let file = try CaptureFile(parsing: Self.bigEndian)
        #expect(
            file.interfaces == [
                CaptureInterface(
                    name: "ab", hardwareAddress: 0x0102_0304_0506,
                    addresses: [CaptureInterfaceAddress(.ipv4(0x0af4_0101), prefixLength: 24)], snapshotLength: 96)
            ])
        #expect(
            file.packets == [
                CapturedPacket(
                    interface: 0, timestamp: 1_000_002_000, bytes: [0xaa, 0xbb], originalLength: 9,
                    direction: .inbound, packetID: 0x0102_0304_0506_0708, comments: ["!"]),
                CapturedPacket(interface: 0, timestamp: 1_000_003_000, bytes: [0xaa]),
                CapturedPacket(interface: 0, timestamp: 0, bytes: [0xcc, 0xdd]),
            ])
        #expect(file.names == [CaptureNameRecord(.ipv4(0x0af4_0102), names: ["a", "bc"])])
        #expect(try LibpcapOracle.read(Self.bigEndian) == file.packets.map(LibpcapOracle.Packet.init))
    }

    @Test func `interfaces of several sections are numbered through`() throws {
        let file = try CaptureFile(parsing: Sample.pcapng + Self.bigEndian)
        #expect(file.section == Sample.section)
        #expect(file.interfaces.map(\.name) == ["default/client/eth0", "worker-1/cni0", "ab"])
        #expect(file.packets.map(\.interface) == [0, 1, 0, 1, 2, 2, 2])
    }

    /// Options of the interface, units since 1970, nanoseconds or nil if they do not fit.
    static let clocks: [(String, UInt64, UInt64?)] = [
        ("", 3, 3000),
        ("0900 0100 06000000", 3, 3000),
        ("0900 0100 00000000", 3, 3_000_000_000),
        ("0900 0100 03000000", 3, 3_000_000),
        ("0900 0100 09000000", .max, .max),
        ("0900 0100 0c000000", 3999, 3),
        ("0900 0100 7f000000", .max, 0),
        ("0900 0100 81000000", 3, 1_500_000_000),
        ("0900 0100 a0000000", 1 << 31, 500_000_000),
        ("0900 0100 ff000000", .max, 0),
        ("0900 0100 06000000", .max, nil),
        ("0900 0100 80000000", .max, nil),
        ("0e00 0800 0200000000000000", 3, 2_000_003_000),
        ("0e00 0800 ffffffffffffffff", 1_000_000, 0),
        ("0e00 0800 ffffffffffffffff", 999_999, nil),
        ("0e00 0800 ffffffffffffff7f", 0, nil),
        ("0e00 0800 0000000000000080", 0, nil),
    ]

    @Test(arguments: clocks)
    func `time is converted to nanoseconds`(options: String, units: UInt64, nanoseconds: UInt64?) throws {
        var bytes = octets("0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000")
        let interfaceLength = UInt8(20 + octets(options).count)
        bytes += [1, 0, 0, 0, interfaceLength, 0, 0, 0] + octets("0100 0000 60000000" + options)
        bytes += [interfaceLength, 0, 0, 0] + octets("06000000 20000000 00000000")
        for word in [UInt32(units >> 32), UInt32(truncatingIfNeeded: units)] {
            bytes += (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
        }
        bytes += octets("00000000 00000000 20000000")
        let file = Result { try CaptureFile(parsing: bytes) }
        if let nanoseconds {
            #expect(try file.get().packets.map(\.timestamp) == [nanoseconds])
        } else {
            #expect(throws: CaptureFormatError.self) { try file.get() }
        }
    }

    // MARK: - Damage

    static let header = octets("0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000")
    static let interface = octets("01000000 14000000 0100 0000 60000000 14000000")

    static let damaged: [([UInt8], Int, String)] = [
        (octets("0a0d0d0a 1c000000"), 8, "byte-order magic needs 4 octets, 0 are left"),
        (octets("0a0d0d0a 1c000000 4d3c2b1b"), 8, "the byte-order magic is wrong"),
        (octets("0a0d0d0a 0c000000 4d3c2b1a 0c000000"), 0, "the two lengths of a block differ"),
        (
            octets("0a0d0d0a 1c000000 4d3c2b1a 0200 0000 ffffffffffffffff 1c000000"), 12,
            "pcapng version 2.0 is not known"
        ),
        (header + octets("01000000 00000000"), 28, "a block cannot be 0 octets long"),
        (header + octets("01000000 0b000000"), 28, "a block cannot be 11 octets long"),
        (header + octets("01000000 15000000"), 28, "a block cannot be 21 octets long"),
        (header + octets("01000000 fcffffff"), 36, "block needs 4294967280 octets, 0 are left"),
        (header + octets("01000000 14000000 0100 0000 60000000 18000000"), 28, "the two lengths of a block differ"),
        (header + octets("01000000 10000000 0100 0000 10000000"), 40, "snapshot length needs 4 octets, 0 are left"),
        (
            header + octets("01000000 18000000 0100 0000 60000000 0200 ffff 18000000"), 48,
            "option needs 65535 octets, 0 are left"
        ),
        (
            header + octets("01000000 1c000000 0100 0000 60000000 0600 0400 01020304 1c000000"), 52,
            "hardware address needs 2 octets, 0 are left"
        ),
        (
            header + octets("06000000 20000000 00000000 00000000 00000000 00000000 00000000 20000000"), 36,
            "interface 0 of 0 is not described"
        ),
        (
            header + interface + octets("06000000 20000000 ffffffff 00000000 00000000 00000000 00000000 20000000"), 56,
            "interface 4294967295 of 1 is not described"
        ),
        (
            header + interface + octets("06000000 20000000 00000000 00000000 00000000 fcffffff 00000000 20000000"), 76,
            "packet needs 4294967292 octets, 0 are left"
        ),
        (header + octets("03000000 10000000 00000000 10000000"), 36, "a packet comes before the first interface"),
        (header + interface + octets("03000000 10000000 ffffffff 10000000"), 60, "packet needs 96 octets, 0 are left"),
    ]

    @Test(arguments: damaged)
    func `a damaged file is refused with the place of the damage`(bytes: [UInt8], offset: Int, message: String) {
        let error = #expect(throws: CaptureFormatError.self) { try CaptureFile(parsing: bytes) }
        #expect(error?.offset == offset)
        #expect(error?.message == message)
    }

    @Test(arguments: [Sample.pcap, Sample.pcapng, bigEndian])
    func `a file cut at any length is refused or shorter`(bytes: [UInt8]) throws {
        let whole = try CaptureFile(parsing: bytes)
        var lengths: [Int] = []
        for length in 0..<bytes.count {
            guard let file = try? CaptureFile(parsing: Array(bytes[..<length])) else { continue }
            lengths.append(length)
            #expect(whole.packets.starts(with: file.packets))
            #expect(whole.interfaces.starts(with: file.interfaces))
        }
        // Only where a block or record ends is the rest a whole file.
        #expect(lengths.count < 12 && !lengths.isEmpty)
    }

    @Test(arguments: [Sample.pcap, Sample.pcapng, bigEndian])
    func `a file with any octet changed is read or refused`(bytes: [UInt8]) {
        var refused = 0
        for index in bytes.indices {
            for octet: UInt8 in [0, 1, 0x7f, 0x80, 0xff] {
                var damaged = bytes
                damaged[index] = octet
                guard let file = try? CaptureFile(parsing: damaged) else {
                    refused += 1
                    continue
                }
                let capturedOctets = file.packets.map(\.bytes.count).reduce(0, +)
                #expect(capturedOctets <= bytes.count)
            }
        }
        #expect(refused > 0)
    }
}
