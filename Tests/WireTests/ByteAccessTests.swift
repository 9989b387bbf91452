// Loads, stores and the words of a parse error.

import Addressing
import Testing
import Wire

@Suite struct ByteAccessTests {
    @Test func `numbers are big-endian at any offset`() {
        for offset in 0..<9 {
            let bytes = [UInt8](repeating: 0xee, count: offset) + [1, 2, 3, 4, 5, 6, 7, 8]
            let loaded = Loaded(bytes, at: offset)
            #expect(loaded.octet == 1)
            #expect(loaded.word == 0x0102)
            #expect(loaded.long == 0x0102_0304)
            #expect(loaded.wide == 0x0102_0304_0506_0708)
            #expect(loaded.mac == MACAddress(rawValue: 0x0102_0304_0506))
            #expect(loaded.ipv4 == IPv4Address(1, 2, 3, 4))
        }
    }

    /// Everything that eight octets can be read as.
    struct Loaded {
        let octet: UInt8
        let word: UInt16
        let long: UInt32
        let wide: UInt64
        let mac: MACAddress
        let ipv4: IPv4Address

        init(_ array: [UInt8], at offset: Int = 0) {
            let bytes = array.span.bytes
            octet = bytes.loadUInt8(at: offset)
            word = bytes.loadUInt16(at: offset)
            long = bytes.loadUInt32(at: offset)
            wide = bytes.loadUInt64(at: offset)
            mac = bytes.loadMACAddress(at: offset)
            ipv4 = bytes.loadIPv4Address(at: offset)
        }
    }

    @Test func `what is stored is big-endian and nothing beside it changes`() {
        #expect(written(1) { $0.storeUInt8(0x12, at: $1) } == [0x12])
        #expect(written(2) { $0.storeUInt16(0x1234, at: $1) } == octets("1234"))
        #expect(written(4) { $0.storeUInt32(0x1234_5678, at: $1) } == octets("12345678"))
        #expect(written(8) { $0.storeUInt64(0x1234_5678_9abc_def0, at: $1) } == octets("123456789abcdef0"))
        #expect(written(6) { $0.storeMACAddress(.secondTunnel, at: $1) } == octets("0200000af401"))
        #expect(written(4) { $0.storeIPAddress(.v4(10, 244, 1, 2), at: $1) } == octets("0af40102"))
        #expect(
            written(16) { $0.storeIPAddress(PacketBuilder.nodes6.source, at: $1) }
                == octets("fd000050000000000000000000000011"))
        #expect(written(3) { $0.store([7, 8, 9], at: $1) } == [7, 8, 9])
        #expect(written(0) { $0.store([], at: $1) } == [])
        #expect(written(3) { $0.fill($1..<$1 + 3, with: 5) } == [5, 5, 5])
        #expect(written(2) { $0.fill($1 + 1..<$1 + 2) } == [0xa5, 0])
    }

    @Test func `a copy takes the range asked for`() {
        let bytes: [UInt8] = [1, 2, 3, 4]
        let (two, none) = (bytes.span.bytes.copy(1..<3), bytes.span.bytes.copy(2..<2))
        #expect(two == [2, 3])
        #expect(none == [])
    }
}

@Suite struct ParseErrorTests {
    @Test func `an error says layer, field, octet and what is wrong`() {
        let rows: [(ParseError, String)] = [
            (
                ParseError(layer: .tcp, field: "header", offset: 34, reason: .truncated(needed: 20, available: 7)),
                "TCP header at octet 34: needs 20 octets, only 7 are there"
            ),
            (
                ParseError(layer: .ipv4, field: "version", offset: 14, reason: .badVersion(6)),
                "IPv4 version at octet 14: version 6 does not belong here"
            ),
            (
                ParseError(layer: .udp, field: "length", offset: 38, reason: .badLength(3)),
                "UDP length at octet 38: length 3 cannot be right"
            ),
            (
                ParseError(layer: .arp, field: "hardware type", offset: 14, reason: .unsupported(32)),
                "ARP hardware type at octet 14: value 32 (0x20) is not supported"
            ),
        ]
        for (error, text) in rows { #expect(error.description == text) }
    }

    @Test func `an offset behind the octets leaves none available`() {
        let bytes: [UInt8] = [1, 2, 3]
        let error = parseError(bytes) { span, _ throws(ParseError) in _ = try UDPHeader(parsing: span, at: 9) }
        #expect(error?.reason == .truncated(needed: 8, available: 0))
    }
}
