// What TCP sends: connection requests, data, acknowledgments, FIN, resets and retransmissions. Mirrors
// net/ipv4/tcp_output.c and tcp_timer.c.

package import Addressing
internal import Wire

/// A segment about to be built.
struct OutgoingSegment {
    var local: SocketAddress
    var remote: SocketAddress
    var sequence: UInt32
    var acknowledgment: UInt32 = 0
    var flags: TCPFlags
    var window: UInt16
    var options = TCPOptions()
    var payload: ArraySlice<UInt8> = []
    var identification: UInt16 = 0
    var flowHash: UInt32 = 0
    var timeToLive: UInt8?
    var isRetransmission = false
    /// Made outside of a socket, which finishes the checksum (ip_send_unicast_reply).
    var isUnicastReply = false
    var provesNextHop = false
}

extension NetworkNamespace {
    // MARK: what applications call

    /// Begins a TCP connection and returns its socket; the answer comes as an event.
    package mutating func connectTCP(
        to remote: SocketAddress, timeToLive: UInt8? = nil, _ context: inout PathContext
    ) throws(SocketError) -> SocketID {
        let local = try localEnd(.tcp, for: remote, &context)
        let segmentSize = advertisedSegmentSize(towards: remote.address, at: context.now)
        var connection = TCPConnection(
            state: .synSent, initialSequence: initialSequence(local, remote, context),
            advertisedSegmentSize: segmentSize,
            receiveWindow: TCPConnection.initialWindow(segmentSize: segmentSize, answersTimestamps: false),
            timestampOffset: timestampOffset(local, remote, context))
        connection.next &+= 1
        let id = sockets.add(
            Socket(
                kind: .tcp(connection), local: local, remote: remote,
                identification: UInt16(truncatingIfNeeded: context.random.next()),
                flowHash: UInt32(truncatingIfNeeded: context.random.next()) | 1, timeToLive: timeToLive))
        sendSYN(id, isRetransmission: false, &context)
        setRetransmissionTimer(id, &context)
        return id
    }

    /// Gives octets to a connection to send.
    package mutating func send(_ id: SocketID, _ octets: [UInt8], _ context: inout PathContext) {
        guard var connection = sockets[tcp: id], !connection.wantsClose else { return }
        connection.sendBuffer.append(octets)
        sockets[tcp: id] = connection
        sendPending(id, &context)
    }

    /// Ends the application's side of a connection: FIN once everything is sent.
    package mutating func close(_ id: SocketID, _ context: inout PathContext) {
        guard var connection = sockets[tcp: id] else {
            sockets.remove(id)
            return
        }
        switch connection.state {
        case .synSent:
            sockets.remove(id)
        case .synReceived, .established, .closeWait:
            connection.wantsClose = true
            sockets[tcp: id] = connection
            sendPending(id, &context)
        default: break
        }
    }

    // MARK: numbers

    /// A number nobody can guess that grows with time for the same two ends (secure_tcp_seq, RFC 6528), so that a
    /// new connection is never taken for an old one.
    func initialSequence(
        _ local: SocketAddress, _ remote: SocketAddress, _ context: borrowing PathContext
    ) -> UInt32 {
        context.secret(of: local, and: remote, "sequence") &+ UInt32(truncatingIfNeeded: context.now >> 6)
    }

    /// What a connection's millisecond clock starts from (secure_tcp_ts_off).
    func timestampOffset(
        _ local: SocketAddress, _ remote: SocketAddress, _ context: borrowing PathContext
    ) -> UInt32 {
        context.secret(of: local, and: remote, "timestamp")
    }

    // MARK: segments

    /// The MSS option towards a destination: the route's MTU without the two headers.
    func advertisedSegmentSize(towards address: IPAddress, at now: Nanoseconds) -> UInt16 {
        guard case .route(let route) = routeOutput(address) else { return 536 }
        let mtu = pathMTU(to: address, by: route, at: now)
        return UInt16(clamping: min(mtu, 65_535) - headerLength(towards: address) - TCPHeader.length)
    }

    func timestamp(_ connection: TCPConnection, _ context: borrowing PathContext) -> UInt32 {
        connection.timestampOffset &+ UInt32(truncatingIfNeeded: context.now / 1_000_000)
    }

    private mutating func nextIdentification(of id: SocketID) -> UInt16 {
        let value = sockets.sockets[id.index].identification
        sockets.sockets[id.index].identification &+= 1
        return value
    }

    private mutating func sendSYN(_ id: SocketID, isRetransmission: Bool, _ context: inout PathContext) {
        guard var connection = sockets[tcp: id],
            let remote = sockets.sockets[id.index].remote
        else { return }
        if isRetransmission {
            // A new hash, so that another path may be taken (sk_rethink_txhash).
            sockets.sockets[id.index].flowHash = UInt32(truncatingIfNeeded: context.random.next()) | 1
        } else {
            connection.timedSequence = (connection.next, context.now)
            sockets[tcp: id] = connection
        }
        let segment = OutgoingSegment(
            local: sockets.sockets[id.index].local, remote: remote, sequence: connection.initialSequence, flags: .syn,
            window: UInt16(clamping: connection.receiveWindow),
            options: TCPOptions(
                maximumSegmentSize: connection.advertisedSegmentSize, windowScale: connection.windowScale,
                sackPermitted: true, timestamps: TCPTimestamps(value: timestamp(connection, context), echo: 0)),
            identification: nextIdentification(of: id), flowHash: sockets.sockets[id.index].flowHash,
            timeToLive: sockets.sockets[id.index].timeToLive, isRetransmission: isRetransmission)
        transmit(segment, &context)
    }

    /// The answer to a SYN; its IP id is zero and belongs to no socket's count (ip_build_and_send_pkt).
    mutating func sendSYNACK(_ id: SocketID, isRetransmission: Bool, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id],
            let remote = sockets.sockets[id.index].remote
        else { return }
        var options = TCPOptions(maximumSegmentSize: connection.advertisedSegmentSize)
        options.windowScale = connection.windowScale == 0 ? nil : connection.windowScale
        options.sackPermitted = connection.usesSACK
        if connection.usesTimestamps {
            options.timestamps = TCPTimestamps(
                value: timestamp(connection, context), echo: connection.recentTimestamp)
        }
        let segment = OutgoingSegment(
            local: sockets.sockets[id.index].local, remote: remote, sequence: connection.initialSequence,
            acknowledgment: connection.expected, flags: [.syn, .ack],
            window: UInt16(clamping: connection.receiveWindow), options: options,
            flowHash: sockets.sockets[id.index].flowHash,
            timeToLive: sockets.sockets[id.index].timeToLive, isRetransmission: isRetransmission)
        transmit(segment, &context)
    }

    /// A segment of an open connection.
    private mutating func sendSegment(
        _ id: SocketID, sequence: UInt32, flags: TCPFlags, payload: ArraySlice<UInt8> = [],
        isRetransmission: Bool = false, _ context: inout PathContext
    ) {
        guard var connection = sockets[tcp: id],
            let remote = sockets.sockets[id.index].remote
        else { return }
        connection.owesAcknowledgment = false
        connection.delayedAcknowledgment &+= 1
        sockets[tcp: id] = connection
        var options = TCPOptions()
        if connection.usesTimestamps {
            options.timestamps = TCPTimestamps(
                value: timestamp(connection, context), echo: connection.recentTimestamp)
        }
        let segment = OutgoingSegment(
            local: sockets.sockets[id.index].local, remote: remote, sequence: sequence,
            acknowledgment: connection.expected, flags: flags.union(.ack), window: connection.windowField,
            options: options, payload: payload, identification: nextIdentification(of: id),
            flowHash: sockets.sockets[id.index].flowHash,
            timeToLive: sockets.sockets[id.index].timeToLive, isRetransmission: isRetransmission,
            provesNextHop: sockets.sockets[id.index].provesNextHop)
        sockets.sockets[id.index].provesNextHop = false
        transmit(segment, &context)
    }

    mutating func sendAcknowledgment(_ id: SocketID, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id] else { return }
        sendSegment(id, sequence: connection.next, flags: [], &context)
    }

    /// Sends what the windows allow: data in segments, PSH on the last, then FIN.
    mutating func sendPending(_ id: SocketID, _ context: inout PathContext) {
        while var connection = sockets[tcp: id] {
            guard connection.state == .established || connection.state == .closeWait else { return }
            let sent = Int(connection.underWay)
            let window = min(Int(connection.peerWindow), connection.congestionWindow * connection.segmentSize)
            let available = connection.sendBuffer.count - sent
            if available > 0 {
                let count = min(available, connection.segmentSize, max(window - sent, 0))
                // A partial segment waits while the window is what cuts it.
                guard count > 0, count == min(available, connection.segmentSize) || sent == 0 else {
                    // A window that stays shut is asked about from time to time (tcp_check_probe_timer).
                    if sent == 0 { setRetransmissionTimer(id, &context) }
                    return
                }
                let payload = connection.sendBuffer[sent..<sent + count]
                let sequence = connection.next
                connection.next &+= UInt32(count)
                if connection.timedSequence == nil { connection.timedSequence = (connection.next, context.now) }
                sockets[tcp: id] = connection
                sendSegment(
                    id, sequence: sequence, flags: count == available ? .psh : [], payload: payload, &context)
                if sent == 0 { setRetransmissionTimer(id, &context) }
                continue
            }
            guard connection.wantsClose, !connection.finSent else { return }
            let sequence = connection.next
            connection.finSent = true
            connection.next &+= 1
            connection.state = connection.state == .established ? .finWait1 : .lastAck
            sockets[tcp: id] = connection
            sendSegment(id, sequence: sequence, flags: .fin, &context)
            setRetransmissionTimer(id, &context)
            return
        }
    }

    /// Refuses a segment nobody expects (tcp_v4_send_reset, nf_send_reset): no options, IP id 0.
    mutating func sendReset(about packet: Packet, byRule: Bool = false, _ context: inout PathContext) {
        guard let transport = NetworkHeader(packet, in: context.arena)?.transport else { return }
        let parsed = context.arena.withBytes(packet) { try? TCPHeader(parsing: $0, at: transport) }
        guard let header = parsed, !header.flags.contains(.rst) else { return }
        let payload = packet.length - transport - header.headerLength
        var segment = OutgoingSegment(
            local: SocketAddress(destinationAddress(packet, context), header.destinationPort),
            remote: SocketAddress(sourceAddress(packet, context), header.sourcePort), sequence: 0, flags: .rst,
            window: 0, isUnicastReply: !byRule)
        if header.flags.contains(.ack) {
            segment.sequence = header.acknowledgment
        } else {
            let length = payload + (header.flags.contains(.syn) ? 1 : 0) + (header.flags.contains(.fin) ? 1 : 0)
            segment.flags.insert(.ack)
            segment.acknowledgment = header.sequence &+ UInt32(length)
        }
        transmit(segment, parent: packet.id, &context)
    }

    mutating func transmit(
        _ segment: OutgoingSegment, parent: UInt32? = nil, _ context: inout PathContext
    ) {
        guard case .route(let route) = routeOutput(segment.remote.address) else { return }
        let header = TCPHeader(
            sourcePort: segment.local.port, destinationPort: segment.remote.port, sequence: segment.sequence,
            acknowledgment: segment.acknowledgment, flags: segment.flags, window: segment.window,
            options: segment.options)
        var (packet, start) = makePacket(
            LocalHeader(
                protocol: .tcp, source: segment.local.address, destination: segment.remote.address,
                timeToLive: segment.timeToLive, identification: segment.identification, dontFragment: true,
                flowHash: segment.flowHash), length: header.writtenLength + segment.payload.count, &context)
        packet.lacksChecksum = !segment.isUnicastReply
        packet.provesNextHop = segment.provesNextHop
        context.arena.withMutableBytes(packet) { bytes in
            header.write(to: &bytes, at: start)
            bytes.store(Array(segment.payload), at: start + header.writtenLength)
            TransportChecksum.fill(
                .tcp, source: segment.local.address, destination: segment.remote.address, in: &bytes,
                segment: start..<bytes.byteCount)
        }
        originate(packet, parent: parent ?? context.cause, isRetransmission: segment.isRetransmission, &context)
        localOutput(packet, by: route, &context)
    }

    // MARK: timers

    mutating func setRetransmissionTimer(_ id: SocketID, _ context: inout PathContext) {
        guard var connection = sockets[tcp: id] else { return }
        connection.retransmissionGeneration &+= 1
        let generation = connection.retransmissionGeneration
        sockets[tcp: id] = connection
        context.schedule(
            .retransmission(id, generation: generation), in: self.id, after: connection.retransmissionTimeout)
    }

    /// Nobody acknowledged in time (tcp_retransmit_timer).
    mutating func retransmissionTimer(_ id: SocketID, _ generation: UInt32, _ context: inout PathContext) {
        guard var connection = sockets[tcp: id], connection.retransmissionGeneration == generation,
            connection.underWay > 0 || !connection.sendBuffer.isEmpty
        else { return }
        let isHandshake = connection.state == .synSent || connection.state == .synReceived
        let limit =
            connection.state == .synSent
            ? sysctls.tcpSynRetries + sysctls.tcpSynLinearTimeouts : isHandshake ? 5 : sysctls.tcpRetries2
        guard connection.retransmissions < limit else {
            sockets.remove(id)
            context.notify(id, in: self.id, .failed(.timedOut))
            return
        }
        connection.retransmissions += 1
        connection.timedSequence = nil
        // The first SYN retransmissions come a second apart (tcp_syn_linear_timeouts), then the time doubles.
        let isLinear = connection.state == .synSent && connection.retransmissions <= sysctls.tcpSynLinearTimeouts
        if !isLinear { connection.retransmissionTimeout = min(connection.retransmissionTimeout * 2, 120_000_000_000) }
        sockets[tcp: id] = connection
        context.cause = 0
        // What still waits for a neighbor on this very host is not sent again (skb_still_in_host_queue).
        if neighbors.holdsPacket(flowHash: sockets.sockets[id.index].flowHash) {
            setRetransmissionTimer(id, &context)
            return
        }
        switch connection.state {
        case .synSent: sendSYN(id, isRetransmission: true, &context)
        case .synReceived: sendSYNACK(id, isRetransmission: true, &context)
        default: retransmitFirst(id, &context)
        }
        setRetransmissionTimer(id, &context)
    }

    /// Sends the oldest unacknowledged segment again.
    mutating func retransmitFirst(_ id: SocketID, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id] else { return }
        let count = min(connection.sendBuffer.count, connection.segmentSize, Int(connection.underWay))
        if connection.underWay == 0 {
            // An old number, which the peer must answer with its window (tcp_xmit_probe_skb).
            sendSegment(
                id, sequence: connection.unacknowledged &- 1, flags: [], isRetransmission: true, &context)
        } else if count > 0 {
            let isLast = count == connection.sendBuffer.count
            sendSegment(
                id, sequence: connection.unacknowledged, flags: isLast ? .psh : [],
                payload: connection.sendBuffer[0..<count], isRetransmission: true, &context)
        } else if connection.finSent {
            sendSegment(
                id, sequence: connection.unacknowledged, flags: .fin, isRetransmission: true, &context)
        }
    }

    mutating func delayedAcknowledgmentTimer(_ id: SocketID, _ generation: UInt32, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id], connection.owesAcknowledgment,
            connection.delayedAcknowledgment == generation
        else { return }
        context.cause = 0
        sendAcknowledgment(id, &context)
    }

    package mutating func timerFired(_ timer: Timer, _ context: inout PathContext) {
        connections.reclaimUnconfirmed()
        context.cause = 0
        switch timer {
        case .neighbor(let link, let address, let generation): neighborTimer(link, address, generation, &context)
        case .retransmission(let socket, let generation): retransmissionTimer(socket, generation, &context)
        case .delayedAcknowledgment(let socket, let generation):
            delayedAcknowledgmentTimer(socket, generation, &context)
        case .timeWait(let socket, let generation):
            if case .tcp(let connection) = sockets.sockets[socket.index].kind,
                connection.retransmissionGeneration == generation
            {
                sockets.remove(socket)
            }
        }
    }
}
