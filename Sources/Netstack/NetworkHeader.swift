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
    /// Where in the frame the IPv6 fragment header begins; 0 without one.
    var fragmentHeader: Int
    /// Some of the packet is elsewhere.
    var isFragment: Bool
    /// A fragment behind the first: there is no transport header.
    var isLaterFragment: Bool

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
        fragmentHeader = 0
        isLaterFragment = fragment & IPv4Header.fragmentOffsetMask != 0
        isFragment = isLaterFragment || fragment & IPv4Header.moreFragmentsBit != 0
    }

    private static func ipv6(_ packet: Packet, at offset: Int, in arena: borrowing PacketArena) -> NetworkHeader? {
        guard packet.length >= offset + IPv6Header.length else { return nil }
        let next = IPProtocol(rawValue: arena.load8(packet, offset + IPv6Header.Offset.nextHeader))
        let start = offset + IPv6Header.length
        guard next.isIPv6ExtensionHeader else {
            return NetworkHeader(ipv6: next, transport: start, fragmentHeader: 0, isLaterFragment: false)
        }
        guard let upper = arena.withBytes(packet, { try? IPv6UpperLayer(parsing: $0, behind: next, at: start) }) else {
            return nil
        }
        return NetworkHeader(
            ipv6: upper.protocol, transport: upper.offset,
            fragmentHeader: upper.fragment == nil ? 0 : fragmentHeader(packet, behind: next, at: start, in: arena),
            isLaterFragment: (upper.fragment?.fragmentByteOffset ?? 0) != 0)
    }

    private init(ipv6 protocol: IPProtocol, transport: Int, fragmentHeader: Int, isLaterFragment: Bool) {
        family = .ipv6
        self.protocol = `protocol`
        self.transport = transport
        self.fragmentHeader = fragmentHeader
        isFragment = fragmentHeader != 0
        self.isLaterFragment = isLaterFragment
    }

    /// Where the fragment header begins that the walk has passed.
    private static func fragmentHeader(
        _ packet: Packet, behind first: IPProtocol, at start: Int, in arena: borrowing PacketArena
    ) -> Int {
        var (next, position) = (first, start)
        while next != .fragmentHeader {
            let units = Int(arena.load8(packet, position + 1))
            let length = next == .authenticationHeader ? (units + 2) * 4 : (units + 1) * 8
            next = IPProtocol(rawValue: arena.load8(packet, position))
            position += length
        }
        return position
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

    private func loadIPv6(_ packet: Packet, _ offset: Int) -> IPAddress {
        func word(_ offset: Int) -> UInt64 {
            UInt64(load32(packet, offset)) << 32 | UInt64(load32(packet, offset + 4))
        }
        return IPAddress(IPv6Address(high: word(offset), low: word(offset + 8)))
    }
}
