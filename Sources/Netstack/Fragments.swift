// Cutting packets to an MTU and putting them together again (RFC 791 section 3.2, RFC 8200 section 4.5). Mirrors
// ip_fragment and ip_defrag, and for IPv6 nf_ct_frag6_gather. Fragments that overlap end the packet, as Linux does
// since 4.20. What IPv6 does differently is in IPv6Fragments.swift.

internal import Addressing
internal import Wire

/// Packets of which some fragments are missing.
struct ReassemblyQueue: Sendable {
    struct Key: Hashable {
        var source: IPAddress
        var destination: IPAddress
        var identification: UInt32
        /// IPv4 only.
        var `protocol`: UInt8
    }

    struct Fragment {
        /// The first payload octet and the one behind the last.
        var range: Range<Int>
        var isLast: Bool
        /// Where in the frame the payload begins.
        var payload: Int
        var packet: Packet
    }

    struct Entry {
        /// By offset, without overlaps.
        var fragments: [Fragment] = []
        /// How far the payload reaches as far as is known; the whole length once the last fragment came.
        var length = 0
        var hasLast = false
        var started: Nanoseconds = 0

        /// Whether fragments that touch each other cover the range (IPFRAG_DUP).
        func covers(_ range: Range<Int>) -> Bool {
            var next = range.lowerBound
            for fragment in fragments where fragment.range.contains(next) {
                next = fragment.range.upperBound
                if next >= range.upperBound { return true }
            }
            return false
        }
    }

    /// ipfrag_time.
    static let lifetime: Nanoseconds = 30_000_000_000
    /// As many unfinished packets as are kept; the kernel bounds memory instead.
    static let limit = 1024

    var entries: [Key: Entry] = [:]
    /// Oldest first.
    var order: [Key] = []
}

extension NetworkNamespace {
    func isFragment(_ packet: Packet, _ context: borrowing PathContext) -> Bool {
        if isIPv6(packet, context) { return NetworkHeader(packet, in: context.arena)?.isFragment ?? false }
        return context.arena.load16(packet, networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
            & (IPv4Header.fragmentOffsetMask | IPv4Header.moreFragmentsBit) != 0
    }

    /// The pieces of a packet that is larger than the MTU; the packet itself is gone afterwards. DF stays only where
    /// the fragments a packet was joined from had it (IPSKB_FRAG_PMTU).
    mutating func fragments(of packet: Packet, mtu: Int, _ context: inout PathContext) -> [Packet] {
        if isIPv6(packet, context) { return ipv6Fragments(of: packet, mtu: mtu, &context) }
        let headerLength = Int(context.arena.load8(packet, networkOffset) & 0xf) * 4
        let payload = networkOffset + headerLength
        let room = max((mtu - headerLength) & ~7, 8)
        let flags = context.arena.load16(packet, networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
        let base = flags & IPv4Header.fragmentOffsetMask
        let dontFragment = packet.bridge.largestFragment > 0 ? flags & IPv4Header.dontFragmentBit : 0
        var pieces: [Packet] = []
        var offset = 0
        while payload + offset < packet.length {
            let length = min(room, packet.length - payload - offset)
            let isLast = payload + offset + length == packet.length
            let piece = context.arena.allocate(length: payload + length, like: packet)
            context.arena.copy(packet, 0..<payload, to: piece, at: 0)
            context.arena.copy(packet, payload + offset..<payload + offset + length, to: piece, at: payload)
            let more = isLast ? flags & IPv4Header.moreFragmentsBit : IPv4Header.moreFragmentsBit
            finishHeader(
                of: piece, headerLength: headerLength, payloadLength: length,
                flags: dontFragment | more | base &+ UInt16(offset / 8), &context)
            pieces.append(piece)
            offset += length
        }
        context.record(.fragmented(count: UInt16(pieces.count), mtu: UInt16(clamping: mtu)), packet, in: id)
        context.arena.free(packet)
        return pieces
    }

    /// Writes what differs between a packet and its fragments.
    private func finishHeader(
        of packet: Packet, headerLength: Int, payloadLength: Int, flags: UInt16, _ context: inout PathContext
    ) {
        context.arena.withMutableBytes(packet) { bytes in
            bytes.storeUInt16(
                UInt16(headerLength + payloadLength), at: networkOffset + IPv4Header.Offset.totalLength)
            bytes.storeUInt16(flags, at: networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
            bytes.storeUInt16(0, at: networkOffset + IPv4Header.Offset.headerChecksum)
            let checksum = Checksum.of(bytes.bytes, in: networkOffset..<networkOffset + headerLength)
            bytes.storeUInt16(checksum, at: networkOffset + IPv4Header.Offset.headerChecksum)
        }
    }

    /// Takes a fragment; the whole packet once nothing is missing (ip_frag_queue).
    mutating func reassemble(_ packet: Packet, _ context: inout PathContext) -> Packet? {
        expireFragments(&context)
        guard let (key, fragment) = isIPv6(packet, context) ? ipv6Fragment(packet, context) : fragment(packet, context)
        else {
            drop(packet, .ipHeader, &context)
            return nil
        }
        let (offset, end, isLast) = (fragment.range.lowerBound, fragment.range.upperBound, fragment.isLast)
        if reassembly.entries[key] == nil {
            reassembly.entries[key] = ReassemblyQueue.Entry(started: context.now)
            reassembly.order.append(key)
        }
        guard var entry = reassembly.entries[key] else { return nil }
        // Taken out, so that the array below is changed in place.
        reassembly.entries[key] = ReassemblyQueue.Entry()
        let contradictsEnd =
            isLast && end < entry.length || entry.hasLast && (isLast ? end != entry.length : end > entry.length)
        guard !fragment.range.isEmpty, !contradictsEnd else {
            discard(entry, key, and: packet, &context)
            return nil
        }
        if entry.covers(fragment.range) {
            reassembly.entries[key] = entry
            drop(packet, .fragmentReassembly, &context)
            return nil
        }
        guard !entry.fragments.contains(where: { $0.range.overlaps(fragment.range) }) else {
            discard(entry, key, and: packet, &context)
            return nil
        }
        let place = entry.fragments.firstIndex { $0.range.lowerBound > offset } ?? entry.fragments.endIndex
        entry.fragments.insert(fragment, at: place)
        entry.length = max(entry.length, end)
        entry.hasLast = entry.hasLast || isLast
        guard entry.hasLast, entry.fragments.reduce(0, { $0 + $1.range.count }) == entry.length else {
            reassembly.entries[key] = entry
            return nil
        }
        removeReassembly(key)
        return isIPv6(packet, context) ? joinIPv6(entry, &context) : join(entry, &context)
    }

    /// What an IPv4 fragment is a piece of, and which.
    private func fragment(
        _ packet: Packet, _ context: borrowing PathContext
    ) -> (ReassemblyQueue.Key, ReassemblyQueue.Fragment) {
        let key = ReassemblyQueue.Key(
            source: sourceAddress(packet, context), destination: destinationAddress(packet, context),
            identification: UInt32(context.arena.load16(packet, networkOffset + IPv4Header.Offset.identification)),
            protocol: context.arena.load8(packet, networkOffset + IPv4Header.Offset.protocol))
        let payload = networkOffset + Int(context.arena.load8(packet, networkOffset) & 0xf) * 4
        let flags = context.arena.load16(packet, networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
        let isLast = flags & IPv4Header.moreFragmentsBit == 0
        let offset = Int(flags & IPv4Header.fragmentOffsetMask) * 8
        var length = packet.length - payload
        // All but the last end at a multiple of eight; what is more is cut off.
        if !isLast { length &= ~7 }
        return (
            key,
            ReassemblyQueue.Fragment(
                range: offset..<offset + length, isLast: isLast, payload: payload, packet: packet)
        )
    }

    private mutating func discard(
        _ entry: ReassemblyQueue.Entry, _ key: ReassemblyQueue.Key, and packet: Packet, _ context: inout PathContext
    ) {
        removeReassembly(key)
        for fragment in entry.fragments { drop(fragment.packet, .fragmentReassembly, &context) }
        drop(packet, .fragmentReassembly, &context)
    }

    /// Nothing is missing: one packet with the first fragment's header (ip_frag_reasm). Nil when it gets too long.
    private mutating func join(_ entry: ReassemblyQueue.Entry, _ context: inout PathContext) -> Packet? {
        let first = entry.fragments[0].packet
        let headerLength = Int(context.arena.load8(first, networkOffset) & 0xf) * 4
        guard headerLength + entry.length <= 65_535 else {
            for fragment in entry.fragments { drop(fragment.packet, .fragmentReassembly, &context) }
            return nil
        }
        let payload = networkOffset + headerLength
        var whole = context.arena.allocate(length: payload + entry.length, like: first)
        context.arena.copy(first, 0..<payload, to: whole, at: 0)
        var largest = 0
        var largestWithDF = 0
        for fragment in entry.fragments {
            context.arena.copy(
                fragment.packet, fragment.payload..<fragment.payload + fragment.range.count, to: whole,
                at: payload + fragment.range.lowerBound)
            let size = fragment.packet.length - networkOffset
            largest = max(largest, size)
            let flags = context.arena.load16(
                fragment.packet, networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
            if flags & IPv4Header.dontFragmentBit != 0 { largestWithDF = max(largestWithDF, size) }
        }
        finishHeader(
            of: whole, headerLength: headerLength, payloadLength: entry.length,
            flags: largestWithDF == largest ? IPv4Header.dontFragmentBit : 0, &context)
        for fragment in entry.fragments { context.consume(fragment.packet, in: id) }
        whole.bridge.largestFragment = UInt16(clamping: largest)
        whole.fragmentSize = UInt16(clamping: largest)
        whole.ignoresDontFragment = true
        return whole
    }

    private mutating func removeReassembly(_ key: ReassemblyQueue.Key) {
        reassembly.entries[key] = nil
        reassembly.order.removeAll { $0 == key }
    }

    /// Gives up on what is too old or too much.
    private mutating func expireFragments(_ context: inout PathContext) {
        while let key = reassembly.order.first, let entry = reassembly.entries[key],
            entry.started + ReassemblyQueue.lifetime <= context.now
                || reassembly.order.count >= ReassemblyQueue.limit
        {
            removeReassembly(key)
            for fragment in entry.fragments { drop(fragment.packet, .fragmentReassembly, &context) }
        }
    }
}
