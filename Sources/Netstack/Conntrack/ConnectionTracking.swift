// What a packet does to the connection table: it finds or makes its connection, moves its state and lifetime along, and
// counts once it leaves or arrives. Mirrors nf_conntrack_in and __nf_conntrack_confirm of
// net/netfilter/nf_conntrack_core.c, with nf_conntrack_proto_{udp,icmp,icmpv6,generic}.c; TCP and SCTP have files of
// their own. Simplified: an ICMPv6 redirect is no error.

internal import Addressing
internal import Wire

/// What a protocol says of a packet.
enum TrackingVerdict {
    case accept
    /// The packet does not belong to the connection it looks like.
    case invalid
    /// The connection is over, and the packet begins another one with the same ends.
    case beginsAnew
}

extension NetworkNamespace {
    /// Finds or makes the packet's connection. False when the packet was dropped.
    mutating func track(_ packet: inout Packet, _ context: inout PathContext) -> Bool {
        // On loopback the packet still carries what OUTPUT found; NOTRACK has decided before.
        guard packet.connectionState == .none else {
            if packet.connectionState == .untracked { recordTracking(packet, &context) }
            return true
        }
        guard let header = NetworkHeader(packet, in: context.arena) else {
            return leave(&packet, as: .invalid, &context)
        }
        // nf_conntrack_checksum. Only faults make wrong ones, so only what they touched is looked at.
        if packet.isSuspect, !context.arena.hasSoundChecksum(packet, header) {
            return leave(&packet, as: .invalid, &context)
        }
        if header.protocol.isICMP, packet.length > header.transport + 1, !header.isLaterFragment {
            let type = context.arena.load8(packet, header.transport)
            // What finds neighbors and routers has no connection.
            if header.protocol == .icmpv6, (130...136).contains(type) || type == 143 {
                return leave(&packet, as: .untracked, &context)
            }
            if header.protocol.isError(type) {
                trackICMPError(&packet, header, &context)
                recordTracking(packet, &context)
                return true
            }
        }
        guard let tuple = ConnectionTuple(packet, header, at: networkOffset, in: context.arena),
            let reply = tuple.inverted
        else { return leave(&packet, as: .invalid, &context) }
        for _ in 0..<2 {
            guard attach(&packet, tuple, reply, &context) else { return false }
            switch update(packet, header, &context) {
            case .accept:
                if packet.connectionState.isReply { connections[packet.connection].status.insert(.seenReply) }
                recordTracking(packet, &context)
                return true
            case .invalid: return leave(&packet, as: .invalid, &context)
            case .beginsAnew: connections.remove(packet.connection)
            }
        }
        return leave(&packet, as: .invalid, &context)
    }

    private func leave(
        _ packet: inout Packet, as state: PacketConnectionState, _ context: inout PathContext
    ) -> Bool {
        packet.connection = .none
        packet.connectionState = state
        recordTracking(packet, &context)
        return true
    }

    /// The connection with the packet's tuple, or a new one (resolve_normal_ct). False when the table is full.
    private mutating func attach(
        _ packet: inout Packet, _ tuple: ConnectionTuple, _ reply: ConnectionTuple, _ context: inout PathContext
    ) -> Bool {
        if let hit = connections.lookup(tuple, now: context.now) {
            packet.connection = hit.connection
            packet.connectionState =
                hit.isReply
                ? .establishedReply : connections[hit.connection].hasSeenReply ? .established : .new
            return true
        }
        let limit = sysctls.connectionTrackingMax
        guard connections.count < limit || connections.makeRoom(for: tuple, limit: limit, now: context.now) else {
            drop(packet, .connectionTableFull, &context)
            return false
        }
        packet.connection = connections.create(tuple, reply: reply, now: context.now)
        packet.connectionState = .new
        return true
    }

    /// Moves the connection's state and lifetime along (nf_conntrack_handle_packet).
    private mutating func update(
        _ packet: Packet, _ header: NetworkHeader, _ context: inout PathContext
    ) -> TrackingVerdict {
        let id = packet.connection
        switch header.protocol {
        case .tcp: return updateTCP(packet, header, &context)
        case .sctp: return updateSCTP(packet, header, &context)
        case .udp:
            guard packet.length >= header.transport + UDPHeader.length,
                (UDPHeader.length...packet.length - header.transport)
                    .contains(Int(context.arena.load16(packet, header.transport + 4)))
            else { return .invalid }
            let status = connections[id].status
            if status.contains(.natClash), packet.connectionState.isReply, !status.contains(.seenReply) {
                connections[id].expires = context.now
                return .accept
            }
            // Two seconds of answered traffic make a stream.
            let isStream = status.contains(.seenReply) && context.now > connections[id].created + 2_000_000_000
            if isStream, !status.contains(.natClash) { connections[id].status.insert(.assured) }
            refresh(
                id, seconds: isStream ? sysctls.connectionTimeouts.udpStream : sysctls.connectionTimeouts.udp,
                context.now)
        case .icmp, .icmpv6:
            // An answer nobody asked for begins nothing.
            if !connections[id].status.contains(.confirmed),
                ![8, 13, 15, 17, 128, 139].contains(connections[id].original.destinationPort >> 8)
            {
                return .invalid
            }
            let timeouts = sysctls.connectionTimeouts
            refresh(id, seconds: header.protocol == .icmp ? timeouts.icmp : timeouts.icmpv6, context.now)
        default: refresh(id, seconds: sysctls.connectionTimeouts.generic, context.now)
        }
        return .accept
    }

    /// nf_ct_refresh_acct
    mutating func refresh(_ id: ConnectionID, seconds: Int, _ now: Nanoseconds) {
        guard !connections[id].status.contains(.fixedTimeout) else { return }
        connections[id].expires = now + Nanoseconds(seconds) * 1_000_000_000
    }

    /// An ICMP error belongs to the connection its quote shows (nf_conntrack_inet_error).
    private mutating func trackICMPError(_ packet: inout Packet, _ header: NetworkHeader, _ context: inout PathContext)
    {
        packet.connectionState = .invalid
        guard let quoted = ConnectionTuple(packet, at: header.transport + 8, in: context.arena),
            let answer = quoted.inverted, let hit = connections.lookup(answer, now: context.now)
        else { return }
        // Whoever the error is sent to must be the one who sent the quoted packet.
        let sender = (hit.isReply ? connections[hit.connection].reply : connections[hit.connection].original)
            .destination
        guard destinationAddress(packet, context) == sender else { return }
        packet.connection = hit.connection
        // The quote shows a packet of one direction; the error travels in the other.
        packet.connectionState = hit.isReply ? .relatedReply : .related
    }

    func isICMPError(_ packet: Packet, _ context: borrowing PathContext) -> Bool {
        guard let header = NetworkHeader(packet, in: context.arena), header.protocol.isICMP, !header.isLaterFragment,
            packet.length > header.transport + 1
        else { return false }
        return header.protocol.isError(context.arena.load8(packet, header.transport))
    }

    /// The packet leaves or arrives: its new connection counts from here. Where another packet of the same flow was
    /// faster, a datagram joins its connection or is known by its replies alone for a second; anything else is dropped
    /// (nf_ct_resolve_clash).
    mutating func confirm(_ packet: inout Packet, _ context: inout PathContext) -> Bool {
        let id = packet.connection
        guard id != .none, packet.connectionState == .new, !connections[id].status.contains(.confirmed) else {
            return true
        }
        guard let rival = connections.rival(of: id, now: context.now) else {
            connections.confirm(id)
            return true
        }
        let (loser, winner) = (connections[id], connections[rival])
        let mayClash =
            loser.original.protocol != .tcp && loser.original.protocol != .sctp
            && !loser.original.protocol.isICMP
        guard mayClash else {
            drop(packet, .netfilterDrop, &context)
            return false
        }
        if winner.status.isDisjoint(with: [.sourceDone, .destinationDone])
            || loser.original == winner.original && loser.reply == winner.reply
            || loser.original == winner.reply && loser.reply == winner.original
        {
            packet.connection = rival
            return true
        }
        guard connections.lookup(loser.reply, now: context.now) == nil else {
            drop(packet, .netfilterDrop, &context)
            return false
        }
        connections[id].status.formUnion([.fixedTimeout, .natClash])
        connections[id].expires = context.now + 1_000_000_000
        connections.confirm(id)
        return true
    }

    /// The states `--ctstate` compares.
    func connectionStates(of packet: Packet) -> ConnectionStateSet {
        switch packet.connectionState {
        case .none, .invalid: return .invalid
        case .untracked: return .untracked
        case .new, .established, .establishedReply, .related, .relatedReply:
            let status = connections[packet.connection].status
            var states: ConnectionStateSet
            switch packet.connectionState {
            case .new: states = .new
            case .related, .relatedReply: states = .related
            default: states = .established
            }
            if status.contains(.sourceNAT) { states.insert(.sourceTranslated) }
            if status.contains(.destinationNAT) { states.insert(.destinationTranslated) }
            return states
        }
    }

    private func recordTracking(_ packet: Packet, _ context: inout PathContext) {
        context.record(.tracked(connectionStates(of: packet)), packet, in: id)
    }
}

extension IPProtocol {
    /// Whether a message of that type, of ICMP of either family, tells of an error.
    func isError(_ type: UInt8) -> Bool {
        self == .icmp ? ICMPv4Kind(type: type).isError : self == .icmpv6 && ICMPv6Kind(type: type).isError
    }
}
