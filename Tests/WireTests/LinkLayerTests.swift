// Ethernet, ARP and VXLAN headers.

import Addressing
import Testing
import Wire

@Suite struct EthernetHeaderTests {
    static let header = EthernetHeader(destination: .second, source: .first, type: .ipv4)

    @Test func `a kernel's header is read field by field`() throws {
        #expect(try EthernetHeader(KernelFrames.datagram) == Self.header)
        #expect(try EthernetHeader(KernelFrames.arpRequest).type == .arp)
        #expect(try EthernetHeader(KernelFrames.datagram6).type == .ipv6)
    }

    @Test func `writing changes fourteen octets and no other`() {
        let bytes = written(EthernetHeader.length) { Self.header.write(to: &$0, at: $1) }
        #expect(bytes == Array(KernelFrames.datagram.prefix(14)))
    }

    @Test func `every truncation is refused`() {
        expectTruncations(Array(KernelFrames.datagram.prefix(14)), .ethernet) { bytes, offset throws(ParseError) in
            _ = try EthernetHeader(parsing: bytes, at: offset)
        }
    }

    @Test func `a family chooses its type`() {
        #expect(EtherType(AddressFamily.ipv4) == .ipv4)
        #expect(EtherType(AddressFamily.ipv6) == .ipv6)
    }

    @Test func `any header survives writing and reading`() throws {
        var random = SeededGenerator()
        for _ in 0..<200 {
            let header = EthernetHeader(
                destination: random.mac(), source: random.mac(), type: EtherType(rawValue: random.number()))
            let bytes = written(EthernetHeader.length) { header.write(to: &$0, at: $1) }
            #expect(try EthernetHeader(bytes) == header)
        }
    }
}

@Suite struct ARPPacketTests {
    static let request = ARPPacket(
        operation: .request, senderMAC: .first, senderIP: IPv4Address(192, 168, 50, 11),
        targetIP: IPv4Address(192, 168, 50, 12))

    @Test func `a kernel's request and reply are read field by field`() throws {
        #expect(try ARPPacket(KernelFrames.arpRequest, at: 14) == Self.request)
        #expect(try ARPPacket(KernelFrames.arpReply, at: 14) == Self.request.reply(from: .second))
    }

    @Test func `writing gives the kernel's octets`() {
        let bytes = written(ARPPacket.length) { Self.request.write(to: &$0, at: $1) }
        #expect(bytes == Array(KernelFrames.arpRequest.dropFirst(14)))
        let reply = PacketBuilder.arp(Self.request.reply(from: .second), source: .second, destination: .first)
        #expect(reply == KernelFrames.arpReply)
    }

    @Test func `every truncation is refused`() {
        expectTruncations(Array(KernelFrames.arpRequest.dropFirst(14)), .arp) { bytes, offset throws(ParseError) in
            _ = try ARPPacket(parsing: bytes, at: offset)
        }
    }

    @Test(arguments: [
        (1, "hardware type", 0), (2, "protocol type", 2), (4, "hardware length", 4), (5, "protocol length", 5),
    ])
    func `another kind of address is refused by name`(position: Int, field: String, offset: Int) throws {
        var bytes = Array(KernelFrames.arpRequest.dropFirst(14))
        bytes[position] ^= 0x40
        let error = try #require(
            parseError(bytes) { span, offset throws(ParseError) in _ = try ARPPacket(parsing: span, at: offset) })
        #expect(error.field == field)
        #expect(error.offset == offset)
        #expect(error.layer == .arp)
    }

    @Test func `asking for one's own address is gratuitous`() {
        var packet = Self.request
        #expect(!packet.isGratuitous)
        packet.targetIP = packet.senderIP
        #expect(packet.isGratuitous)
    }

    @Test func `any packet survives writing and reading`() throws {
        var random = SeededGenerator()
        for _ in 0..<200 {
            let packet = ARPPacket(
                operation: ARPOperation(rawValue: random.number()), senderMAC: random.mac(), senderIP: random.ipv4(),
                targetMAC: random.mac(), targetIP: random.ipv4())
            let bytes = written(ARPPacket.length) { packet.write(to: &$0, at: $1) }
            #expect(try ARPPacket(bytes) == packet)
        }
    }
}

@Suite struct VXLANHeaderTests {
    @Test func `a kernel's header is read and written`() throws {
        let header = try VXLANHeader(KernelFrames.encapsulatedSynchronize, at: 42)
        #expect(header.networkIdentifier == 1)
        let bytes = written(VXLANHeader.length) { header.write(to: &$0, at: $1) }
        #expect(bytes == Array(KernelFrames.encapsulatedSynchronize[42..<50]))
    }

    @Test func `every truncation is refused`() {
        expectTruncations(octets("08000000 00000100"), .vxlan) { bytes, offset throws(ParseError) in
            _ = try VXLANHeader(parsing: bytes, at: offset)
        }
    }

    @Test(arguments: [
        ("00000000 00000100", "flags", 0), ("88000000 00000100", "flags", 0), ("08000001 00000100", "flags", 0),
        ("0c000000 00000100", "flags", 0), ("08000000 00000101", "reserved", 7),
    ])
    func `a missing I flag and set reserved bits are refused`(text: String, field: String, offset: Int) throws {
        let error = try #require(
            parseError(octets(text)) { span, offset throws(ParseError) in _ = try VXLANHeader(parsing: span, at: offset)
            })
        #expect(error.field == field)
        #expect(error.offset == offset)
    }

    @Test(arguments: [0, 1, 0x0f_f00f, 0xff_ffff] as [UInt32])
    func `a network identifier has 24 bits`(identifier: UInt32) throws {
        let bytes = written(VXLANHeader.length) { VXLANHeader(networkIdentifier: identifier).write(to: &$0, at: $1) }
        #expect(try VXLANHeader(bytes).networkIdentifier == identifier)
        #expect(bytes[0] == 8)
    }

    @Test func `the overhead is fifty octets over IPv4 and seventy over IPv6`() {
        #expect(VXLANHeader.overheadIPv4 == 50)
        #expect(VXLANHeader.overheadIPv6 == 70)
    }
}
