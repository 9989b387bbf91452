// Cutting IPv4 packets to an MTU and putting them together again (RFC 791 section 3.2). Mirrors ip_fragment and
// ip_defrag. Fragments that overlap end the packet, as Linux does since 4.20.

internal import Addressing
internal import Wire

/// Packets of which some fragments are missing.
struct ReassemblyQueue: Sendable {
    struct Key: Hashable {
        var source: IPAddress
        var destination: IPAddress
        var identification: UInt16
        var `protocol`: UInt8
    }

    struct Entry {
        var fragments: [(offset: Int, length: Int, packet: Packet)] = []
        var total: Int?
        var started: Nanoseconds = 0
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
        context.arena.load16(packet, networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
            & (IPv4Header.fragmentOffsetMask | IPv4Header.moreFragmentsBit) != 0
    }

    /// The pieces of a packet that is larger than the MTU; the packet itself is gone afterwards.
    mutating func fragments(of packet: Packet, mtu: Int, _ context: inout PathContext) -> [Packet] {
        let headerLength = Int(context.arena.load8(packet, networkOffset) & 0xf) * 4
        let payload = networkOffset + headerLength
        let room = max((mtu - headerLength) & ~7, 8)
        let flags = context.arena.load16(packet, networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
        let base = Int(flags & IPv4Header.fragmentOffsetMask)
        let octets = context.arena.bytes(packet)
        var pieces: [Packet] = []
        var offset = 0
        while payload + offset < octets.count {
            let length = min(room, octets.count - payload - offset)
            let isLast = payload + offset + length == octets.count
            var piece = context.arena.allocate(length: payload + length, id: packet.id)
            var metadata = packet
            (metadata.slot, metadata.start, metadata.length) = (piece.slot, piece.start, piece.length)
            piece = metadata
            context.arena.withMutableBytes(piece) { bytes in
                bytes.store(Array(octets[..<payload]), at: 0)
                bytes.store(Array(octets[(payload + offset)..<(payload + offset + length)]), at: payload)
                bytes.storeUInt16(UInt16(headerLength + length), at: networkOffset + IPv4Header.Offset.totalLength)
                let more = isLast ? flags & IPv4Header.moreFragmentsBit : IPv4Header.moreFragmentsBit
                bytes.storeUInt16(
                    more | UInt16(base + offset / 8), at: networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
                bytes.storeUInt16(0, at: networkOffset + IPv4Header.Offset.headerChecksum)
                let checksum = Checksum.of(bytes.bytes, in: networkOffset..<payload)
                bytes.storeUInt16(checksum, at: networkOffset + IPv4Header.Offset.headerChecksum)
            }
            pieces.append(piece)
            offset += length
        }
        context.record(.fragmented(count: UInt16(pieces.count), mtu: UInt16(clamping: mtu)), packet, in: id)
        context.arena.free(packet)
        return pieces
    }

    /// Takes a fragment; the whole packet once nothing is missing.
    mutating func reassemble(_ packet: Packet, _ context: inout PathContext) -> Packet? {
        let key = ReassemblyQueue.Key(
            source: sourceAddress(packet, context), destination: destinationAddress(packet, context),
            identification: context.arena.load16(packet, networkOffset + IPv4Header.Offset.identification),
            protocol: context.arena.load8(packet, networkOffset + IPv4Header.Offset.protocol))
        expireFragments(&context)
        let headerLength = Int(context.arena.load8(packet, networkOffset) & 0xf) * 4
        let flags = context.arena.load16(packet, networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
        let offset = Int(flags & IPv4Header.fragmentOffsetMask) * 8
        let length = packet.length - networkOffset - headerLength
        if reassembly.entries[key] == nil {
            reassembly.entries[key] = ReassemblyQueue.Entry(started: context.now)
            reassembly.order.append(key)
        }
        guard var entry = reassembly.entries[key] else { return nil }
        let overlaps = entry.fragments.contains { $0.offset < offset + length && offset < $0.offset + $0.length }
        let tooLong = offset + length > 65_535 - headerLength
        if overlaps || tooLong || length == 0 {
            removeReassembly(key)
            for fragment in entry.fragments { drop(fragment.packet, .fragmentReassembly, &context) }
            drop(packet, .fragmentReassembly, &context)
            return nil
        }
        entry.fragments.append((offset, length, packet))
        entry.fragments.sort { $0.offset < $1.offset }
        if flags & IPv4Header.moreFragmentsBit == 0 { entry.total = offset + length }
        reassembly.entries[key] = entry
        guard let total = entry.total, entry.fragments.reduce(0, { $0 + $1.length }) == total else { return nil }
        removeReassembly(key)
        return join(entry, total: total, &context)
    }

    private mutating func join(
        _ entry: ReassemblyQueue.Entry, total: Int, _ context: inout PathContext
    ) -> Packet {
        let first = entry.fragments[0].packet
        let headerLength = Int(context.arena.load8(first, networkOffset) & 0xf) * 4
        let payload = networkOffset + headerLength
        let reserved = context.arena.allocate(length: payload + total, id: first.id)
        var whole = first
        (whole.slot, whole.start, whole.length) = (reserved.slot, reserved.start, reserved.length)
        let header = context.arena.bytes(first)[..<payload]
        var largest = 0
        var parts: [(Int, [UInt8])] = []
        for fragment in entry.fragments {
            let ownHeader = Int(context.arena.load8(fragment.packet, networkOffset) & 0xf) * 4
            largest = max(largest, fragment.packet.length - networkOffset)
            parts.append((fragment.offset, context.arena.bytes(fragment.packet, from: networkOffset + ownHeader)))
        }
        context.arena.withMutableBytes(whole) { bytes in
            bytes.store(Array(header), at: 0)
            for (offset, octets) in parts { bytes.store(octets, at: payload + offset) }
            bytes.storeUInt16(UInt16(headerLength + total), at: networkOffset + IPv4Header.Offset.totalLength)
            let flags = bytes.loadUInt16(at: networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
            bytes.storeUInt16(
                flags & IPv4Header.dontFragmentBit, at: networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
            bytes.storeUInt16(0, at: networkOffset + IPv4Header.Offset.headerChecksum)
            let checksum = Checksum.of(bytes.bytes, in: networkOffset..<payload)
            bytes.storeUInt16(checksum, at: networkOffset + IPv4Header.Offset.headerChecksum)
        }
        for fragment in entry.fragments { context.consume(fragment.packet, in: id) }
        whole.bridge.largestFragment = UInt16(clamping: largest)
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
