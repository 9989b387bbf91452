// What the path reads of a network header wherever it looks at a packet, the same for IPv4 and IPv6: the transport
// protocol, where its header begins, and whether there is one at all. Of IPv6 extension headers as
// net/ipv6/exthdrs_core.c steps over them. Lengths and checksums are judged where a packet comes in, not here.

internal import Addressing
internal import Wire

/// The network header of a packet, or of one quoted in an ICMP error.
struct NetworkHeader: BitwiseCopyable {
    var family: AddressFamily
    /// What stands behind the IPv4 header, or behind the last IPv6 extension header.
    var `protocol`: IPProtocol
    /// Where in the frame the transport header begins.
    var transport: Int
    /// Where in the frame the IPv6 fragment header begins, and the octet that announces it; 0 without one.
    var fragmentHeader: Int
    var fragmentAnnouncement: Int
    /// Some of the packet is elsewhere.
    var isFragment: Bool
    /// In units of eight octets; only fragment 0 has a transport header.
    var fragmentOffset: UInt16

    var isLaterFragment: Bool { fragmentOffset != 0 }

    /// Reads the header at `offset`; nil when it is cut or of no version known.
    @inline(__always)
    init?(_ packet: Packet, at offset: Int = networkOffset, in arena: borrowing PacketArena) {
        guard packet.length >= offset + IPv4Header.length else { return nil }
        let first = arena.load8(packet, offset)
        if first >> 4 == 6 {
            guard let header = Self.ipv6(packet, at: offset, in: arena) else { return nil }
            self = header
            return
        }
        guard first >> 4 == 4 else { return nil }
        let fragment = arena.load16(packet, offset + IPv4Header.Offset.flagsAndFragmentOffset)
        family = .ipv4
        `protocol` = IPProtocol(rawValue: arena.load8(packet, offset + IPv4Header.Offset.protocol))
        transport = offset + Int(first & 0xf) * 4
        (fragmentHeader, fragmentAnnouncement) = (0, 0)
        fragmentOffset = fragment & IPv4Header.fragmentOffsetMask
        isFragment = fragmentOffset != 0 || fragment & IPv4Header.moreFragmentsBit != 0
    }

    private static func ipv6(_ packet: Packet, at offset: Int, in arena: borrowing PacketArena) -> NetworkHeader? {
        guard packet.length >= offset + IPv6Header.length else { return nil }
        let next = IPProtocol(rawValue: arena.load8(packet, offset + IPv6Header.Offset.nextHeader))
        let start = offset + IPv6Header.length
        guard next.isIPv6ExtensionHeader else { return NetworkHeader(ipv6: next, transport: start) }
        guard let upper = arena.withBytes(packet, { try? IPv6UpperLayer(parsing: $0, behind: next, at: start) }) else {
            return nil
        }
        var header = NetworkHeader(ipv6: upper.protocol, transport: upper.offset)
        if let fragment = upper.fragment {
            header.isFragment = true
            header.fragmentOffset = UInt16(fragment.fragmentByteOffset / 8)
            header.findFragmentHeader(packet, behind: next, at: offset, in: arena)
        }
        return header
    }

    private init(ipv6 protocol: IPProtocol, transport: Int) {
        family = .ipv6
        self.protocol = `protocol`
        self.transport = transport
        (fragmentHeader, fragmentAnnouncement) = (0, 0)
        (isFragment, fragmentOffset) = (false, 0)
    }

    /// Walks again over headers that have been found sound, to the fragment header.
    private mutating func findFragmentHeader(
        _ packet: Packet, behind first: IPProtocol, at offset: Int, in arena: borrowing PacketArena
    ) {
        var next = first
        (fragmentAnnouncement, fragmentHeader) = (offset + IPv6Header.Offset.nextHeader, offset + IPv6Header.length)
        while next != .fragmentHeader {
            let units = Int(arena.load8(packet, fragmentHeader + 1))
            let length = next == .authenticationHeader ? (units + 2) * 4 : (units + 1) * 8
            next = IPProtocol(rawValue: arena.load8(packet, fragmentHeader))
            (fragmentAnnouncement, fragmentHeader) = (fragmentHeader, fragmentHeader + length)
        }
    }
}

extension PacketArena {
    /// The source address of the network header at `offset`, whose version has been checked.
    @inline(__always)
    func source(_ packet: Packet, at offset: Int = networkOffset) -> IPAddress {
        load8(packet, offset) >> 4 == 6
            ? loadIPv6(packet, offset + IPv6Header.Offset.source)
            : IPAddress(IPv4Address(rawValue: load32(packet, offset + IPv4Header.Offset.source)))
    }

    /// The destination address of the network header at `offset`.
    @inline(__always)
    func destination(_ packet: Packet, at offset: Int = networkOffset) -> IPAddress {
        load8(packet, offset) >> 4 == 6
            ? loadIPv6(packet, offset + IPv6Header.Offset.destination)
            : IPAddress(IPv4Address(rawValue: load32(packet, offset + IPv4Header.Offset.destination)))
    }

    func loadIPv6(_ packet: Packet, _ offset: Int) -> IPAddress {
        func word(_ offset: Int) -> UInt64 {
            UInt64(load32(packet, offset)) << 32 | UInt64(load32(packet, offset + 4))
        }
        return IPAddress(IPv6Address(high: word(offset), low: word(offset + 8)))
    }
}
