// Fragments of IPv6 packets, which only hosts make: what is sent from here and too large, and what was put together for
// the rules' sake and leaves as it came. Mirrors ip6_fragment of net/ipv6/ip6_output.c and
// net/ipv6/netfilter/nf_conntrack_reasm.c. Simplified: every extension header in front of the payload is repeated.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// The pieces of a packet that is larger than the MTU; the packet itself is gone afterwards.
    mutating func ipv6Fragments(of packet: Packet, mtu: Int, _ context: inout PathContext) -> [Packet] {
        guard let header = NetworkHeader(packet, in: context.arena), !header.isFragment else { return [packet] }
        let payload = header.transport
        let announcement = announcement(of: header, in: packet, context)
        let room = max((mtu - (payload - networkOffset) - IPv6FragmentHeader.length) & ~7, 8)
        let identification = UInt32(truncatingIfNeeded: context.random.next())
        var pieces: [Packet] = []
        var offset = 0
        while payload + offset < packet.length {
            let length = min(room, packet.length - payload - offset)
            let start = payload + IPv6FragmentHeader.length
            let piece = context.arena.allocate(length: start + length, like: packet)
            context.arena.copy(packet, 0..<payload, to: piece, at: 0)
            context.arena.copy(packet, payload + offset..<payload + offset + length, to: piece, at: start)
            let fragment = IPv6FragmentHeader(
                nextHeader: header.protocol, fragmentByteOffset: offset,
                moreFragments: payload + offset + length < packet.length, identification: identification)
            context.arena.withMutableBytes(piece) { bytes in
                bytes.storeUInt8(IPProtocol.fragmentHeader.rawValue, at: announcement)
                fragment.write(to: &bytes, at: payload)
                Self.storePayloadLength(&bytes)
            }
            pieces.append(piece)
            offset += length
        }
        context.record(.fragmented(count: UInt16(pieces.count), mtu: UInt16(clamping: mtu)), packet, in: id)
        context.arena.free(packet)
        return pieces
    }

    /// The octet that announces the transport header.
    private func announcement(
        of header: NetworkHeader, in packet: Packet, _ context: borrowing PathContext
    ) -> Int {
        var (position, next) = (networkOffset + IPv6Header.Offset.nextHeader, networkOffset + IPv6Header.length)
        while next < header.transport {
            let `protocol` = IPProtocol(rawValue: context.arena.load8(packet, position))
            let units = Int(context.arena.load8(packet, next + 1))
            position = next
            next += `protocol` == .authenticationHeader ? (units + 2) * 4 : (units + 1) * 8
        }
        return position
    }

    /// What a fragment is a piece of, and which; nil when there is no room for it in any packet.
    func ipv6Fragment(
        _ packet: Packet, _ context: borrowing PathContext
    ) -> (ReassemblyQueue.Key, ReassemblyQueue.Fragment)? {
        guard let header = NetworkHeader(packet, in: context.arena), header.isFragment else { return nil }
        let word = context.arena.load16(packet, header.fragmentHeader + IPv6FragmentHeader.Offset.fragmentOffsetAndFlag)
        let identification = context.arena.load32(
            packet, header.fragmentHeader + IPv6FragmentHeader.Offset.identification)
        let payload = header.fragmentHeader + IPv6FragmentHeader.length
        let offset = Int(word & 0xfff8)
        let isLast = word & 1 == 0
        let length = packet.length - payload
        guard isLast || length % 8 == 0, offset + length <= 65_535 else { return nil }
        return (
            ReassemblyQueue.Key(
                source: sourceAddress(packet, context), destination: destinationAddress(packet, context),
                identification: identification, protocol: 0),
            ReassemblyQueue.Fragment(
                range: offset..<offset + length, isLast: isLast, payload: payload, packet: packet)
        )
    }

    /// Nothing is missing: one packet with the first fragment's headers. Nil when it gets too long.
    mutating func joinIPv6(_ entry: ReassemblyQueue.Entry, _ context: inout PathContext) -> Packet? {
        let first = entry.fragments[0].packet
        guard let header = NetworkHeader(first, in: context.arena),
            header.fragmentHeader - networkOffset - IPv6Header.length + entry.length <= 65_535
        else {
            for fragment in entry.fragments { drop(fragment.packet, .fragmentReassembly, &context) }
            return nil
        }
        let payload = header.fragmentHeader
        let next = context.arena.load8(first, header.fragmentHeader)
        var whole = context.arena.allocate(length: payload + entry.length, like: first)
        context.arena.copy(first, 0..<payload, to: whole, at: 0)
        var largest = 0
        for fragment in entry.fragments {
            context.arena.copy(
                fragment.packet, fragment.payload..<fragment.payload + fragment.range.count, to: whole,
                at: payload + fragment.range.lowerBound)
            largest = max(largest, fragment.packet.length - networkOffset)
        }
        context.arena.withMutableBytes(whole) { bytes in
            bytes.storeUInt8(next, at: header.fragmentAnnouncement)
            Self.storePayloadLength(&bytes)
        }
        for fragment in entry.fragments { context.consume(fragment.packet, in: id) }
        whole.bridge.largestFragment = UInt16(clamping: largest)
        whole.fragmentSize = UInt16(clamping: largest)
        whole.ignoresDontFragment = true
        return whole
    }

    private static func storePayloadLength(_ bytes: inout MutableRawSpan) {
        bytes.storeUInt16(
            UInt16(clamping: bytes.byteCount - networkOffset - IPv6Header.length),
            at: networkOffset + IPv6Header.Offset.payloadLength)
    }
}
