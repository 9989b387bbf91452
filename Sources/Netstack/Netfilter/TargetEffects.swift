// Targets after which evaluation goes on: marks, logs, NOTRACK, and those that rewrite a packet's octets. Mirrors
// net/netfilter/xt_mark.c, xt_connmark.c, xt_CT.c, xt_TCPMSS.c, xt_DSCP.c and xt_HL.c.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// False when the packet must be dropped.
    mutating func carryOut(
        _ target: Target, _ packet: inout Packet, _ fields: RuleFields, egress: LinkID?, _ context: inout PathContext
    ) -> Bool {
        switch target {
        case .setMark(let value, let mask): packet.mark = (packet.mark & ~mask) ^ value
        case .connectionMark(let change):
            guard packet.connection != .none else { return true }
            let mark = connections[packet.connection].mark
            switch change {
            case .set(let bits): connections[packet.connection].mark = (mark & ~bits.mask) ^ bits.value
            case .save(let packetMask, let connectionMask):
                connections[packet.connection].mark = (mark & ~connectionMask) ^ (packet.mark & packetMask)
            case .restore(let packetMask, let connectionMask):
                packet.mark = (packet.mark & ~packetMask) ^ (mark & connectionMask)
            }
        case .noTrack:
            // What has a connection keeps it.
            if packet.connectionState == .none { packet.connectionState = .untracked }
        case .setSegmentSize(let size):
            return setSegmentSize(size, &packet, fields, egress: egress, &context)
        case .setCodePoint(let value):
            setTrafficClass(fields.trafficClass(packet, context.arena) & 3 | value << 2, packet, fields, &context)
        case .setTypeOfService(let bits):
            let old = fields.trafficClass(packet, context.arena)
            setTrafficClass((old & ~bits.mask) ^ bits.value, packet, fields, &context)
        case .setTimeToLive(let change, _):
            let value = change.applied(to: fields.timeToLive(packet, context.arena))
            setHeaderOctet(fields.source.family == .ipv4 ? IPv4Header.Offset.timeToLive : 7, value, packet, &context)
        default: break
        }
        return true
    }

    private func setTrafficClass(
        _ value: UInt8, _ packet: Packet, _ fields: RuleFields, _ context: inout PathContext
    ) {
        guard fields.source.family == .ipv6 else {
            setHeaderOctet(IPv4Header.Offset.trafficClass, value, packet, &context)
            return
        }
        let word = context.arena.load16(packet, networkOffset)
        context.arena.store16(word & 0xf00f | UInt16(value) << 4, packet, networkOffset)
    }

    /// Writes an octet of the IP header; IPv4's checksum follows.
    private func setHeaderOctet(_ offset: Int, _ value: UInt8, _ packet: Packet, _ context: inout PathContext) {
        let position = networkOffset + offset & ~1
        let old = context.arena.load16(packet, position)
        let new = offset & 1 == 0 ? old & 0x00ff | UInt16(value) << 8 : old & 0xff00 | UInt16(value)
        context.arena.store16(new, packet, position)
        guard context.arena.load8(packet, networkOffset) >> 4 == 4 else { return }
        let checksum = networkOffset + IPv4Header.Offset.headerChecksum
        let sum = Checksum.update(context.arena.load16(packet, checksum), replacing: old, with: new)
        context.arena.store16(sum, packet, checksum)
    }

    // MARK: the size of segments

    /// Lowers the maximum segment size a SYN announces, or announces one (tcpmss_mangle_packet).
    private func setSegmentSize(
        _ size: UInt16?, _ packet: inout Packet, _ fields: RuleFields, egress: LinkID?, _ context: inout PathContext
    ) -> Bool {
        let transport = fields.transport
        guard !fields.isLaterFragment else { return true }
        guard packet.length >= transport + TCPHeader.length else { return false }
        let headerLength = Int(context.arena.load8(packet, transport + 12) >> 4) * 4
        guard headerLength >= TCPHeader.length, packet.length >= transport + headerLength else { return false }
        var wanted: Int
        if let size {
            wanted = Int(size)
        } else {
            let overhead = (fields.source.family == .ipv4 ? 20 : 40) + TCPHeader.length
            wanted = smallestMTU(between: fields, egress: egress) - overhead
            guard wanted > 0 else { return false }
        }
        var position = transport + TCPHeader.length
        while position <= transport + headerLength - 4 {
            let kind = context.arena.load8(packet, position)
            if kind == TCPOptions.Kind.maximumSegmentSize, context.arena.load8(packet, position + 1) == 4 {
                // Never raised.
                guard Int(context.arena.load16(packet, position + 2)) > wanted else { return true }
                context.arena.withMutableBytes(packet) { bytes in
                    TransportChecksum.replaceWord(
                        .tcp, at: position + 2 - transport, with: UInt16(wanted), in: &bytes, at: transport)
                }
                return true
            }
            position += kind < 2 ? 1 : max(Int(context.arena.load8(packet, position + 1)), 1)
        }
        // A segment with data is left alone: the option might make it too large.
        guard packet.length == transport + headerLength, headerLength < TCPHeader.maximumLength else { return true }
        wanted = min(wanted, fields.source.family == .ipv4 ? 536 : 1220)
        insertSegmentSize(UInt16(wanted), &packet, fields, headerLength: headerLength, &context)
        return true
    }

    /// The smaller MTU of the way on and of the way back.
    private func smallestMTU(between fields: RuleFields, egress: LinkID?) -> Int {
        var smallest = egress.map { links[$0.index].mtu } ?? Int.max
        if case .route(let back) = routeOutput(fields.source) { smallest = min(smallest, links[back.egress.index].mtu) }
        return smallest == .max ? 0 : smallest
    }

    private func insertSegmentSize(
        _ size: UInt16, _ packet: inout Packet, _ fields: RuleFields, headerLength: Int, _ context: inout PathContext
    ) {
        let transport = fields.transport
        let options = transport + TCPHeader.length
        let larger = context.arena.allocate(length: packet.length + 4, like: packet)
        context.arena.copy(packet, 0..<options, to: larger, at: 0)
        context.arena.copy(packet, options..<packet.length, to: larger, at: options + 4)
        context.arena.free(packet)
        packet = larger
        let isIPv4 = fields.source.family == .ipv4
        context.arena.withMutableBytes(packet) { bytes in
            bytes.storeUInt16(0x0204, at: options)
            bytes.storeUInt16(size, at: options + 2)
            let offsetAndFlags = bytes.loadUInt8(at: transport + 12)
            bytes.storeUInt8(offsetAndFlags & 0x0f | UInt8((headerLength + 4) / 4) << 4, at: transport + 12)
            let lengthAt = networkOffset + (isIPv4 ? 2 : 4)
            let length = bytes.loadUInt16(at: lengthAt)
            bytes.storeUInt16(length &+ 4, at: lengthAt)
            if isIPv4 {
                let checksum = networkOffset + IPv4Header.Offset.headerChecksum
                let sum = Checksum.update(bytes.loadUInt16(at: checksum), replacing: length, with: length &+ 4)
                bytes.storeUInt16(sum, at: checksum)
            }
            TransportChecksum.fill(
                .tcp, source: fields.source, destination: fields.destination, in: &bytes,
                segment: transport..<bytes.byteCount)
        }
    }
}
