// MAC, IPv4 and IPv6 addresses: strange spellings, canonical text, order and arithmetic.

import Addressing
import Testing

@Suite struct IPv4AddressTests {
    @Test func `dotted quads are read`() {
        let rows: [(String, UInt32)] = [
            ("0.0.0.0", 0), ("10.244.1.2", 0x0af4_0102), ("255.255.255.255", .max), ("127.0.0.1", 0x7f00_0001),
            ("1.0.0.0", 0x0100_0000), ("0.0.0.1", 1), ("192.168.50.11", 0xc0a8_320b),
        ]
        for (text, value) in rows {
            #expect(IPv4Address(text)?.rawValue == value, "\(text)")
            #expect(IPv4Address(rawValue: value).description == text)
        }
    }

    @Test func `every other spelling is refused`() {
        let rows = [
            "", ".", "...", "1", "1.2", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4.", "1.2.3.4.5", ".1.2.3.4",
            "01.2.3.4", "1.02.3.4", "1.2.3.00", "1.2.3.04", "00.0.0.0", "1.2.3.256", "256.2.3.4", "1.2.3.999",
            "1.2.3.99999999999999999999", "1.2.3.4 ", " 1.2.3.4", "1. 2.3.4", "+1.2.3.4", "-1.2.3.4", "1.2.3.-4",
            "0x1.2.3.4", "1.2.3.a", "1.2.3.4/24", "1.2.3.4:80", "1,2,3,4", "16909060", "١.2.3.4", "１.2.3.4",
            "1.2.3.4\n", "1.2.3.4\0", "::1", "::ffff:1.2.3.4",
        ]
        for text in rows { #expect(IPv4Address(text) == nil, "\(text)") }
    }

    @Test func `classes of addresses`() {
        func flags(_ text: String) -> String {
            guard let address = IPv4Address(text) else { return "?" }
            return [
                address.isAny ? "any" : nil, address.isLoopback ? "loopback" : nil,
                address.isLinkLocal ? "link" : nil, address.isMulticast ? "multicast" : nil,
                address.isBroadcast ? "broadcast" : nil,
            ].compactMap { $0 }.joined(separator: " ")
        }
        let rows = [
            ("0.0.0.0", "any"), ("0.0.0.1", ""), ("126.255.255.255", ""), ("127.0.0.0", "loopback"),
            ("127.255.255.255", "loopback"), ("128.0.0.0", ""), ("169.253.255.255", ""), ("169.254.0.0", "link"),
            ("169.254.255.255", "link"), ("169.255.0.0", ""), ("223.255.255.255", ""), ("224.0.0.0", "multicast"),
            ("239.255.255.255", "multicast"), ("240.0.0.0", ""), ("255.255.255.255", "broadcast"),
        ]
        for (text, expected) in rows { #expect(flags(text) == expected, "\(text)") }
    }

    @Test func `octets and numbers agree`() {
        let address = IPv4Address(10, 244, 1, 2)
        #expect(address.octets == (10, 244, 1, 2))
        #expect(address.rawValue == 0x0af4_0102)
        #expect(IPv4Address.loopback == IPv4Address("127.0.0.1"))
        #expect(IPv4Address.broadcast == IPv4Address("255.255.255.255"))
        #expect(IPv4Address("9.0.0.0")! < IPv4Address("10.0.0.0")!)
    }
}

@Suite struct IPv6AddressTests {
    @Test func `every legal spelling is read and printed as RFC 5952 says`() {
        let rows: [(String, String)] = [
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("fd00::1", "fd00::1"), ("FD00::ABCD", "fd00::abcd"),
            ("0:0:0:0:0:0:0:0", "::"), ("0:0:0:0:0:0:0:1", "::1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("0001:0002:0003:0004:0005:0006:0007:0008", "1:2:3:4:5:6:7:8"),
            // Section 4.2.2: one zero group is not shortened, though it may be read so.
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
            ("1:2:3::5:6:7:8", "1:2:3:0:5:6:7:8"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            // Section 4.2.3: the longest run, and the first of equals.
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("1:0:0:2:0:0:3:0", "1::2:0:0:3:0"), ("0:0:1::", "0:0:1::"), ("1:0:0:0:0:0:0:0", "1::"),
            ("0:0:0:0:0:0:1:0", "::1:0"),
            // Section 5: IPv4-mapped addresses keep the dotted quad, others do not.
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1"), ("::ffff:a00:1", "::ffff:10.0.0.1"),
            ("::FFFF:0:0", "::ffff:0.0.0.0"), ("64:ff9b::10.0.0.1", "64:ff9b::a00:1"), ("::10.0.0.1", "::a00:1"),
            ("1:2:3:4:5:6:10.0.0.1", "1:2:3:4:5:6:a00:1"), ("0:0:0:0:0:ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("1::2:255.255.255.255", "1::2:ffff:ffff"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ]
        for (text, expected) in rows {
            #expect(IPv6Address(text)?.description == expected, "\(text)")
            #expect(IPv6Address(expected)?.description == expected, "\(expected)")
        }
    }

    @Test func `every other spelling is refused`() {
        let rows = [
            "", ":", ":::", "::::", "1", "1:", ":1", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", ":2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8:", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8",
            "1::2::3", "1:::2", "::1::", "12345::", "::12345", "00001::1", "g::", "::g", "1:2:3:4:5:6:7:g", "::-1",
            "::+1", ":: 1", " ::1", "::1 ", "fe80::1%eth0", "fe80::1%1", "fe80::1%", "[::1]", "::1/64", "10.0.0.1",
            "::10.0.0", "::10.0.0.1.1", "::10.0.0.256", "::010.0.0.1", "::10.0.0.1:1", "10.0.0.1::",
            "1:2:3:4:5:6:7:10.0.0.1", "1:2:3:4:5:10.0.0.1", "1:2:3:4:5:6::10.0.0.1.", "::ffff:10.0.0.1%1",
            "::1\n", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff0", "０::1", ":0.0.0.0", "::.1",
        ]
        for text in rows { #expect(IPv6Address(text) == nil, "\(text)") }
    }

    @Test func `any address survives printing and reading`() {
        var random = SeededGenerator()
        for _ in 0..<1000 {
            // Whole groups of zeros, so that every kind of gap occurs.
            let mask: UInt64 = random.next()
            func groups(_ value: UInt64, _ bits: UInt64) -> UInt64 {
                (0..<4).reduce(value) { bits >> UInt64($1) & 1 == 1 ? $0 & ~(0xffff << UInt64(16 * $1)) : $0 }
            }
            let address = IPv6Address(high: groups(random.next(), mask), low: groups(random.next(), mask >> 4))
            let text = address.description
            #expect(IPv6Address(text) == address, "seed \(SeededGenerator.seed): \(text)")
            #expect(text == text.lowercased() && !text.contains(":::"))
        }
    }

    @Test func `classes of addresses`() {
        #expect(IPv6Address("ff02::1")!.isMulticast)
        #expect(!IPv6Address("fe80::1")!.isMulticast)
        #expect(IPv6Address("fe80::1")!.isLinkLocal && IPv6Address("febf::1")!.isLinkLocal)
        #expect(!IPv6Address("fec0::1")!.isLinkLocal && !IPv6Address("fe7f::1")!.isLinkLocal)
        #expect(IPv6Address.loopback.isLoopback && !IPv6Address.any.isLoopback && IPv6Address.any.isAny)
        #expect(IPv6Address("1:2:3:4:5:6:7:8")!.groups == [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(IPv6Address("::ffff")! < IPv6Address("1::")!)
    }
}

@Suite struct MACAddressTests {
    @Test func `six octets with colons are read`() {
        let rows: [(String, UInt64, String)] = [
            ("02:00:00:00:00:01", 0x0200_0000_0001, "02:00:00:00:00:01"),
            ("FF:ff:Ff:fF:FF:FF", 0xffff_ffff_ffff, "ff:ff:ff:ff:ff:ff"),
            ("00:00:00:00:00:00", 0, "00:00:00:00:00:00"), ("0a:bc:de:f0:12:34", 0x0abc_def0_1234, "0a:bc:de:f0:12:34"),
        ]
        for (text, value, printed) in rows {
            #expect(MACAddress(text)?.rawValue == value, "\(text)")
            #expect(MACAddress(rawValue: value).description == printed)
        }
    }

    @Test func `every other spelling is refused`() {
        let rows = [
            "", "02:00:00:00:00", "02:00:00:00:00:01:02", "2:0:0:0:0:1", "02-00-00-00-00-01", "0200.0000.0001",
            "020000000001", "02:00:00:00:00:0g", "02:00:00:00:00:1:", ":2:00:00:00:00:01", "02:00:00:00:00:01 ",
            "02::00:00:00:00:1", "+2:00:00:00:00:01",
        ]
        for text in rows { #expect(MACAddress(text) == nil, "\(text)") }
    }

    @Test func `random addresses are unicast and locally administered`() {
        var random = SeededGenerator()
        for bits in [0, .max] + (0..<100).map({ _ in random.next() }) {
            let address = MACAddress(randomBits: bits)
            #expect(!address.isMulticast && address.isLocallyAdministered)
            #expect(MACAddress(address.description) == address)
            #expect(address.rawValue >> 48 == 0)
        }
    }

    @Test func `groups map to Ethernet groups`() {
        #expect(MACAddress(multicast: IPv4Address("224.0.0.22")!).description == "01:00:5e:00:00:16")
        // Only 23 bits go over.
        #expect(MACAddress(multicast: IPv4Address("239.255.0.1")!).description == "01:00:5e:7f:00:01")
        #expect(MACAddress.broadcast.isBroadcast && MACAddress.broadcast.isMulticast)
        #expect(MACAddress("01:00:5e:00:00:16")!.isMulticast && !MACAddress("02:00:5e:00:00:16")!.isMulticast)
        #expect(MACAddress("0a:0b:0c:0d:0e:0f")!.octets == [10, 11, 12, 13, 14, 15])
    }
}

@Suite struct IPAddressTests {
    @Test func `either family is read and printed`() {
        for text in ["10.244.1.2", "fd00::1", "::", "0.0.0.0", "::ffff:10.0.0.1"] {
            #expect(IPAddress(text)?.description == text)
        }
        for text in ["", "10.244.1", "fd00:::1", "fe80::1%eth0", "[::1]", "example"] {
            #expect(IPAddress(text) == nil, "\(text)")
        }
    }

    @Test func `an IPv4 address is not the IPv6 address of equal number`() {
        let four = IPAddress("0.0.0.1")!
        let six = IPAddress("::1")!
        let mapped = IPAddress("::ffff:0.0.0.1")!
        #expect(four != six && four != mapped && six != mapped)
        #expect(four.ipv4 != nil && four.ipv6 == nil && six.ipv4 == nil && mapped.ipv4 == nil)
        #expect(six.isLoopback && !four.isLoopback && IPAddress("127.0.0.53")!.isLoopback)
        #expect(IPAddress.any(.ipv4).isAny && IPAddress.any(.ipv6).isAny)
        #expect(IPAddress.any(.ipv4) != IPAddress.any(.ipv6))
        #expect(IPAddress("224.0.0.1")!.isMulticast && IPAddress("ff02::1")!.isMulticast && !six.isMulticast)
        #expect(AddressFamily.ipv4.other == .ipv6 && AddressFamily.ipv6.other == .ipv4)
    }

    @Test func `addresses sort by family and then by number`() {
        let sorted = ["0.0.0.0", "10.0.0.9", "10.0.0.10", "255.255.255.255", "::", "::a", "fd00::1", "ff02::1"]
        let addresses = sorted.map { IPAddress($0)! }
        #expect(addresses.reversed().sorted().map(\.description) == sorted)
    }

    @Test func `advancing carries and stops at the ends`() {
        let rows: [(String, Int, String?)] = [
            ("10.0.0.1", 1, "10.0.0.2"), ("10.0.0.255", 1, "10.0.1.0"), ("10.0.0.0", -1, "9.255.255.255"),
            ("10.0.0.1", 0, "10.0.0.1"), ("255.255.255.255", 1, nil), ("0.0.0.0", -1, nil),
            ("0.0.0.0", 0xffff_ffff, "255.255.255.255"), ("0.0.0.0", 0x1_0000_0000, nil), ("0.0.0.1", .max, nil),
            ("255.255.255.255", .min, nil),
            ("fd00::ffff", 1, "fd00::1:0"), ("fd00::ffff:ffff:ffff:ffff", 1, "fd00:0:0:1::"),
            ("fd00:0:0:1::", -1, "fd00::ffff:ffff:ffff:ffff"), ("::", -1, nil), ("::1", -1, "::"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1, nil), ("::", .max, "::7fff:ffff:ffff:ffff"),
            ("::1:0:0:0:0", .min, "::8000:0:0:0"),
        ]
        for (text, offset, expected) in rows {
            #expect(IPAddress(text)!.advanced(by: offset)?.description == expected, "\(text) \(offset)")
        }
    }
}

/// SplitMix64: the same numbers on every machine.
struct SeededGenerator: RandomNumberGenerator {
    static let seed: UInt64 = 20_261_121
    private var state = SeededGenerator.seed

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}
