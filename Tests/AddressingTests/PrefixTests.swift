// Prefixes, interface addresses, socket addresses and protocol names.

import Addressing
import Testing

@Suite struct IPPrefixTests {
    @Test func `prefixes are read and printed`() {
        for text in [
            "0.0.0.0/0", "10.244.0.0/16", "10.244.1.2/32", "128.0.0.0/1", "::/0", "fd00::/8", "fd00:10::/112",
            "fd00::1/128", "8000::/1", "::ffff:0.0.0.0/96",
        ] {
            #expect(IPPrefix(text)?.description == text)
        }
    }

    @Test func `every other spelling is refused`() {
        let rows = [
            "", "/", "/24", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/032", "10.0.0.0/08", "10.0.0.0/00",
            "10.0.0.0/+8", "10.0.0.0/-8", "10.0.0.0/ 8", "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/8/8",
            "10.0.0.0/1e1", "10.0.0.0/0x8", "10.0.0.0/255.0.0.0", "10.0.0/8", "10/8", "010.0.0.0/8",
            "10.0.0.0/99999999999999999999", "10.0.0.0/٨", "fd00::/129", "fd00::/1280", "fd00::/033", "fd00::",
            "fe80::%eth0/64", "[fd00::]/64",
            // Bits behind the length belong to an interface address.
            "10.244.1.2/24", "128.0.0.1/0", "fd00::1/64", "10.0.0.1/31",
        ]
        for text in rows { #expect(IPPrefix(text) == nil, "\(text)") }
    }

    @Test func `an interface address keeps its host bits`() {
        let address = InterfaceAddress("10.244.1.1/24")
        #expect(address?.description == "10.244.1.1/24")
        #expect(address?.prefix.description == "10.244.1.0/24")
        #expect(InterfaceAddress("fd00::1/64")?.prefix.description == "fd00::/64")
        for text in ["10.244.1.1", "10.244.1.1/", "10.244.1.1/33", "10.244.1.1/024", "10.244.1.1/+24", "::1/129"] {
            #expect(InterfaceAddress(text) == nil, "\(text)")
        }
    }

    @Test func `first, last and count`() {
        let rows: [(String, String, Int)] = [
            ("10.244.1.0/24", "10.244.1.255", 256), ("10.0.0.0/8", "10.255.255.255", 1 << 24),
            ("10.0.0.1/32", "10.0.0.1", 1), ("10.0.0.0/31", "10.0.0.1", 2),
            ("0.0.0.0/0", "255.255.255.255", 1 << 32), ("fd00::/64", "fd00::ffff:ffff:ffff:ffff", .max),
            ("fd00::/112", "fd00::ffff", 1 << 16), ("fd00::1/128", "fd00::1", 1),
            ("fd00::/66", "fd00::3fff:ffff:ffff:ffff", 1 << 62), ("fd00::/65", "fd00::7fff:ffff:ffff:ffff", .max),
            ("fd00::/8", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .max),
            ("::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .max),
        ]
        for (text, last, count) in rows {
            let prefix = IPPrefix(text)!
            #expect(prefix.last.description == last, "\(text)")
            #expect(prefix.count == count, "\(text)")
            #expect(prefix.contains(prefix.address) && prefix.contains(prefix.last))
            #expect(prefix.isHost == (count == 1))
            if let before = prefix.address.advanced(by: -1) { #expect(!prefix.contains(before), "\(text)") }
            if let behind = prefix.last.advanced(by: 1) { #expect(!prefix.contains(behind), "\(text)") }
        }
    }

    @Test func `any address makes a prefix of any length that holds it`() {
        var random = SeededGenerator()
        for family in AddressFamily.allCases {
            for length in 0...family.bitWidth {
                let six = IPv6Address(high: random.next(), low: random.next())
                let address =
                    family == .ipv6 ? IPAddress(six) : IPAddress(IPv4Address(rawValue: UInt32(six.low >> 32)))
                let prefix = IPPrefix(address, length: length)
                #expect(prefix.contains(address))
                #expect(IPPrefix(prefix.description) == prefix, "seed \(SeededGenerator.seed): \(prefix)")
                #expect(prefix.address <= address && address <= prefix.last)
            }
        }
        #expect(IPPrefix(host: IPAddress("10.0.0.1")!).description == "10.0.0.1/32")
        #expect(IPPrefix(host: IPAddress("fd00::1")!).description == "fd00::1/128")
    }

    @Test func `containing and overlapping`() {
        // The last three: does the first contain the second, the second the first, do they overlap.
        let rows: [(String, String, Bool, Bool, Bool)] = [
            ("10.0.0.0/8", "10.244.0.0/16", true, false, true),
            ("10.244.0.0/16", "10.244.0.0/16", true, true, true),
            ("10.244.0.0/24", "10.244.1.0/24", false, false, false),
            ("10.244.0.0/23", "10.244.1.0/24", true, false, true),
            ("0.0.0.0/0", "255.255.255.255/32", true, false, true),
            ("0.0.0.0/0", "::/0", false, false, false),
            ("::/0", "10.0.0.0/8", false, false, false),
            ("::/96", "0.0.0.0/0", false, false, false),
            ("fd00::/48", "fd00:0:0:1::/64", true, false, true),
            ("fd00::/63", "fd00:0:0:2::/64", false, false, false),
            ("fd00::/65", "fd00::8000:0:0:0/65", false, false, false),
        ]
        for (first, second, holds, isHeld, overlap) in rows {
            let (one, two) = (IPPrefix(first)!, IPPrefix(second)!)
            #expect(one.contains(two) == holds, "\(first) \(second)")
            #expect(two.contains(one) == isHeld, "\(first) \(second)")
            #expect(one.overlaps(two) == overlap && two.overlaps(one) == overlap, "\(first) \(second)")
        }
        #expect(!IPPrefix("0.0.0.0/0")!.contains(IPAddress("::")!))
    }

    @Test func `subnets are counted from the front`() {
        let rows: [(String, Int, Int, String?)] = [
            ("10.244.0.0/16", 0, 24, "10.244.0.0/24"), ("10.244.0.0/16", 1, 24, "10.244.1.0/24"),
            ("10.244.0.0/16", 255, 24, "10.244.255.0/24"), ("10.244.0.0/16", 256, 24, nil),
            ("10.244.0.0/16", -1, 24, nil), ("10.244.0.0/16", 0, 16, "10.244.0.0/16"), ("10.244.0.0/16", 1, 16, nil),
            ("10.244.0.0/16", 0, 15, nil), ("10.244.0.0/16", 0, 33, nil),
            ("10.244.0.0/16", 65535, 32, "10.244.255.255/32"),
            ("0.0.0.0/0", 0xffff_ffff, 32, "255.255.255.255/32"), ("0.0.0.0/0", 0x1_0000_0000, 32, nil),
            ("fd00::/56", 1, 64, "fd00:0:0:1::/64"), ("fd00::/56", 255, 64, "fd00:0:0:ff::/64"),
            ("fd00::/56", 256, 64, nil),
            ("fd00::/48", 1, 80, "fd00::1:0:0:0/80"), ("fd00::/48", 0x1_0000, 80, "fd00:0:0:1::/80"),
            ("fd00::/60", 0x1_0002, 76, nil), ("fd00::/60", 0xffff, 76, "fd00:0:0:f:fff0::/76"),
            ("fd00::/112", 1, 120, "fd00::100/120"), ("fd00::/64", 5, 128, "fd00::5/128"),
            ("::/0", .max, 63, "ffff:ffff:ffff:fffe::/63"), ("::/0", .max, 62, nil),
            ("::/0", (1 << 62) - 1, 62, "ffff:ffff:ffff:fffc::/62"), ("::/0", .max, 64, "7fff:ffff:ffff:ffff::/64"),
            ("::/0", 1, 128, "::1/128"), ("fd00::/8", 3, 8, nil),
        ]
        for (text, index, length, expected) in rows {
            #expect(
                IPPrefix(text)!.subnet(index, length: length)?.description == expected, "\(text) \(index) /\(length)")
        }
    }

    @Test func `prefixes sort by address and then by length`() {
        let sorted = ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "::/0", "fd00::/8"]
        #expect(sorted.reversed().map { IPPrefix($0)! }.sorted().map(\.description) == sorted)
        #expect(InterfaceAddress("10.0.0.1/8")! < InterfaceAddress("10.0.0.1/16")!)
    }
}

@Suite struct SocketAddressTests {
    @Test func `addresses with ports are read and printed`() {
        for text in ["10.96.0.10:80", "0.0.0.0:0", "[fd00::1]:65535", "[::]:53", "[::ffff:10.0.0.1]:80"] {
            #expect(SocketAddress(text)?.description == text)
        }
        let rows = [
            "", ":", ":80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:+80", "10.0.0.1:-1", "10.0.0.1: 80",
            "10.0.0.1:80 ", "[10.0.0.1]:80", "fd00::1:80", "fd00::1", "[fd00::1]", "[fd00::1]80", "[fd00::1:80",
            "fd00::1]:80", "[]:80", "[fe80::1%eth0]:80", "10.0.0.1:http", "example:80",
        ]
        for text in rows { #expect(SocketAddress(text) == nil, "\(text)") }
    }

    @Test func `socket addresses sort by address and then by port`() {
        let sorted = ["10.0.0.1:9", "10.0.0.1:10", "10.0.0.2:1", "[::]:1"]
        #expect(sorted.reversed().map { SocketAddress($0)! }.sorted().map(\.description) == sorted)
    }
}

@Suite struct IPProtocolTests {
    @Test func `names and numbers are read, and names printed as iptables-save prints them`() {
        let rows: [(String, UInt8?, String?)] = [
            ("tcp", 6, "tcp"), ("udp", 17, "udp"), ("icmp", 1, "icmp"), ("sctp", 132, "sctp"),
            ("ipv6-icmp", 58, "ipv6-icmp"), ("icmpv6", 58, "ipv6-icmp"), ("6", 6, "tcp"), ("0", 0, "0"),
            ("255", 255, "255"), ("256", nil, nil), ("-1", nil, nil), ("+6", nil, nil), ("", nil, nil),
            ("TCP", nil, nil), ("tcp ", nil, nil), ("gre", nil, nil),
        ]
        for (text, number, printed) in rows {
            #expect(IPProtocol(text)?.rawValue == number, "\(text)")
            #expect(IPProtocol(text)?.description == printed, "\(text)")
        }
        for number in UInt8.min...UInt8.max {
            let value = IPProtocol(rawValue: number)
            #expect(IPProtocol(value.description) == value)
            #expect(value.hasPorts == [6, 17, 132].contains(number))
        }
    }
}
