// Classic pcap: octet for octet what libpcap writes, and everything libpcap reads.

import Capture
import Testing

struct PcapTests {
    @Test func `an empty capture is the file header`() {
        #expect(
            PcapWriter().bytes
                == octets(
                    """
                    4d3cb2a1 0200 0400 00000000 00000000 ; magic of nanoseconds, version 2.4, zone, accuracy
                    00000400 01000000                    ; snapshot length, Ethernet
                    """))
    }

    @Test func `a record is seconds, nanoseconds, both lengths and the packet`() {
        var writer = PcapWriter(linkType: LinkType(rawValue: 113), snapshotLength: 96)
        writer.append(
            CapturedPacket(interface: 0, timestamp: 1_000_000_002, bytes: [0xaa, 0xbb, 0xcc], originalLength: 258))
        #expect(
            writer.bytes.dropFirst(16)
                == octets("60000000 71000000  01000000 02000000 03000000 02010000 aabbcc")[...])
    }

    @Test func `the file is the one libpcap writes`() throws {
        var packets = Sample.packets
        for length in [1, 2, 3, 60, 1514, 65_535] {
            packets.append(
                CapturedPacket(
                    interface: 0, timestamp: 4_294_967_295_999_999_999,
                    bytes: (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7) }))
        }
        var writer = PcapWriter()
        for packet in packets { writer.append(packet) }
        #expect(try writer.bytes == LibpcapOracle.write(packets))
        #expect(try LibpcapOracle.write([]) == PcapWriter().bytes)
    }

    /// The same record, 1.000002000 s or 1.000000002 s, in the four forms of the format.
    static let variants: [(String, [UInt8], UInt64)] = [
        (
            "microseconds, little-endian",
            octets("d4c3b2a1 0200 0400 00000000 00000000 60000000 01000000  01000000 02000000 02000000 09000000 aabb"),
            1_000_002_000
        ),
        (
            "microseconds, big-endian",
            octets("a1b2c3d4 0002 0004 00000000 00000000 00000060 00000001  00000001 00000002 00000002 00000009 aabb"),
            1_000_002_000
        ),
        (
            "nanoseconds, little-endian",
            octets("4d3cb2a1 0200 0400 00000000 00000000 60000000 01000000  01000000 02000000 02000000 09000000 aabb"),
            1_000_000_002
        ),
        (
            "nanoseconds, big-endian",
            octets("a1b23c4d 0002 0004 00000000 00000000 00000060 00000001  00000001 00000002 00000002 00000009 aabb"),
            1_000_000_002
        ),
    ]

    @Test(arguments: variants)
    func `all four forms are read as libpcap reads them`(form: String, bytes: [UInt8], timestamp: UInt64) throws {
        let file = try CaptureFile(parsing: bytes)
        #expect(file.format == .pcap)
        #expect(file.interfaces == [CaptureInterface(name: "", snapshotLength: 96)])
        #expect(
            file.packets
                == [CapturedPacket(interface: 0, timestamp: timestamp, bytes: [0xaa, 0xbb], originalLength: 9)])
        #expect(try LibpcapOracle.read(bytes) == file.packets.map(LibpcapOracle.Packet.init))
    }

    @Test func `what is written is read back`() throws {
        let packets = Sample.packets.map { packet in
            CapturedPacket(
                interface: 0, timestamp: packet.timestamp, bytes: packet.bytes, originalLength: packet.originalLength)
        }
        #expect(try CaptureFile(parsing: Sample.pcap).packets == packets)
        #expect(try LibpcapOracle.read(Sample.pcap) == packets.map(LibpcapOracle.Packet.init))
    }

    static let damaged: [([UInt8], String)] = [
        ([], "octet 0: neither pcap nor pcapng begins with these octets"),
        (octets("1f8b0800"), "octet 0: neither pcap nor pcapng begins with these octets"),
        (octets("d4c3b2a1"), "octet 4: major version needs 2 octets, 0 are left"),
        (octets("d4c3b2a1 0300 0400"), "octet 4: pcap version 3.4 is not known"),
        (
            octets("d4c3b2a1 0200 0400 00000000 00000000 60000000 01000000  00000000 00000000 ffffffff ffffffff aa"),
            "octet 40: packet needs 4294967295 octets, 1 are left"
        ),
    ]

    @Test(arguments: damaged)
    func `a damaged file is refused with the place of the damage`(bytes: [UInt8], description: String) {
        let error = #expect(throws: CaptureFormatError.self) { try CaptureFile(parsing: bytes) }
        #expect(error?.description == description)
    }
}
