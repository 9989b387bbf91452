// Each block of pcapng, octet by octet.

import Capture
import Testing

struct PcapngWriterTests {
    @Test func `a section header tells byte order, version and origin`() {
        let section = CaptureSection(hardware: "ab", operatingSystem: "c", application: "wxyz", comments: ["!", ""])
        #expect(
            PcapngWriter(section: section).bytes
                == octets(
                    """
                    0a0d0d0a 44000000
                    4d3c2b1a 0100 0000 ffffffffffffffff
                    0200 0200 61620000   ; hardware
                    0300 0100 63000000   ; operating system
                    0400 0400 7778797a   ; application
                    0100 0100 21000000   ; comments
                    0100 0000
                    0000 0000
                    44000000
                    """))
    }

    @Test func `an interface tells link type, names, addresses and clock`() {
        var writer = PcapngWriter()
        writer.bytes = []
        let number = writer.addInterface(
            CaptureInterface(
                name: "w/cni0", description: "bridge", hardwareAddress: 0x0102_0304_0506,
                addresses: [
                    CaptureInterfaceAddress(.ipv4(0x0af4_0101), prefixLength: 20),
                    CaptureInterfaceAddress(.ipv6(0xfd00_0000_0000_0000_0000_0000_0000_0001), prefixLength: 64),
                ]))
        #expect(number == 0)
        #expect(
            writer.bytes
                == octets(
                    """
                    01000000 68000000
                    0100 0000 00000400                                      ; Ethernet, snapshot length
                    0200 0600 772f636e6930 0000                             ; name
                    0300 0600 627269646765 0000                             ; description
                    0400 0800 0af40101 fffff000                             ; IPv4 address and mask
                    0500 1100 fd000000000000000000000000000001 40 000000    ; IPv6 address and prefix length
                    0600 0600 010203040506 0000                             ; MAC address
                    0900 0100 09 000000                                     ; nanoseconds
                    0000 0000
                    68000000
                    """))
    }

    static let masks: [(Int, String)] = [
        (0, "00000000"), (1, "80000000"), (24, "ffffff00"), (32, "ffffffff"), (-1, "00000000"), (300, "ffffffff"),
    ]

    @Test(arguments: masks)
    func `an IPv4 prefix length becomes a mask`(prefixLength: Int, mask: String) {
        var writer = PcapngWriter()
        writer.bytes = []
        writer.addInterface(
            CaptureInterface(
                name: "", addresses: [CaptureInterfaceAddress(.ipv4(0x0102_0304), prefixLength: prefixLength)]))
        #expect(Array(writer.bytes[16..<28]) == octets("0400 0800 01020304" + mask))
    }

    @Test func `a packet carries time, lengths, direction, id and comments`() {
        var writer = PcapngWriter()
        writer.addInterface(CaptureInterface(name: "a"))
        writer.addInterface(CaptureInterface(name: "b"))
        writer.bytes = []
        writer.append(
            CapturedPacket(
                interface: 1, timestamp: 0x1122_3344_5566_7788, bytes: [0xaa, 0xbb, 0xcc, 0xdd, 0xee],
                originalLength: 258, direction: .outbound, packetID: 0x0102_0304_0506_0708, comments: ["hi", "ho!"]))
        #expect(
            writer.bytes
                == octets(
                    """
                    06000000 50000000
                    01000000 44332211 88776655 05000000 02010000
                    aabbccddee 000000
                    0200 0400 02000000            ; flags
                    0500 0800 0807060504030201    ; packet id
                    0100 0200 6869 0000           ; comments
                    0100 0300 686f21 00
                    0000 0000
                    50000000
                    """))
    }

    @Test func `a packet of which nothing more is known has no options`() {
        var writer = PcapngWriter()
        writer.addInterface(CaptureInterface(name: "a"))
        writer.bytes = []
        writer.append(CapturedPacket(interface: 0, timestamp: 0, bytes: [0xaa, 0xbb, 0xcc, 0xdd]))
        #expect(
            writer.bytes
                == octets("06000000 24000000 00000000 00000000 00000000 04000000 04000000 aabbccdd 24000000"))
    }

    @Test func `name records end each name with a zero octet`() {
        var writer = PcapngWriter()
        writer.bytes = []
        writer.add([
            CaptureNameRecord(.ipv4(0x0af4_0102), names: ["web", "", "api"]),
            CaptureNameRecord(.ipv6(0xfd00_0000_0000_0000_0000_0000_0000_0001), names: ["a\0b"]),
        ])
        #expect(
            writer.bytes
                == octets(
                    """
                    04000000 40000000
                    0100 0800 0af40102 77656200
                    0100 0800 0af40102 61706900
                    0200 1200 fd000000000000000000000000000001 6100 0000
                    0000 0000
                    40000000
                    """))
    }

    @Test func `a comment too long for an option is cut between characters`() throws {
        var writer = PcapngWriter()
        writer.addInterface(CaptureInterface(name: "a"))
        for text in ["x" + String(repeating: "é", count: 40_000), String(repeating: "y", count: 65_535)] {
            writer.append(CapturedPacket(interface: 0, timestamp: 0, bytes: [], comments: [text]))
        }
        let comments = try CaptureFile(parsing: writer.bytes).packets.map(\.comments)
        #expect(
            comments == [
                ["x" + String(repeating: "é", count: 32_767)], [String(repeating: "y", count: 65_535)],
            ])
    }

    @Test func `the same packets give the same octets`() {
        #expect(Sample.pcapng == Sample.pcapng)
    }

    @Test func `a packet of an interface that is not described is a programming error`() async {
        await #expect(processExitsWith: .failure) {
            var writer = PcapngWriter()
            writer.append(CapturedPacket(interface: 0, timestamp: 0, bytes: []))
        }
    }
}
