// What TCP makes of arriving segments: handshakes, acknowledgments, FIN, resets and ICMP errors. Mirrors
// net/ipv4/tcp_ipv4.c and tcp_input.c. Payload goes on in TCPDelivery.swift.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// tcp_v4_rcv
    mutating func tcpInput(_ packet: Packet, transport: Int, _ context: inout PathContext) {
        let source = sourceAddress(packet, context)
        let destination = destinationAddress(packet, context)
        let parsed = context.arena.withBytes(packet) { bytes in
            (
                try? TCPHeader(parsing: bytes, at: transport),
                TransportChecksum.verify(
                    .tcp, source: source, destination: destination, in: bytes, segment: transport..<bytes.byteCount)
            )
        }
        guard let header = parsed.0 else {
            drop(packet, .ipHeader, &context)
            return
        }
        guard parsed.1 else {
            drop(packet, .tcpChecksum, &context)
            return
        }
        guard packet.type == .host else {
            drop(packet, .otherHost, &context)
            return
        }
        let local = SocketAddress(destination, header.destinationPort)
        let remote = SocketAddress(source, header.sourcePort)
        if let socket = sockets.tcpSocket(local: local, remote: remote), !reopens(header, socket) {
            let payload = context.arena.bytes(packet, from: transport + header.headerLength)
            context.deliver(packet, in: id)
            segmentArrived(header, payload, at: socket, &context)
        } else if isBroadcast(destination) {
            // No connection to everyone, and no reset from everyone.
            drop(packet, .noSocket, &context)
        } else if let listener = sockets.tcpListener(local), header.flags.contains(.syn),
            header.flags.isDisjoint(with: [.ack, .rst])
        {
            context.deliver(packet, in: id)
            accept(header, at: listener, local: local, remote: remote, &context)
        } else {
            sendReset(about: packet, &context)
            drop(packet, .noSocket, &context)
        }
    }

    /// A SYN behind everything an ended connection has seen begins a new one (tcp_timewait_state_process); the old
    /// socket goes.
    private mutating func reopens(_ header: TCPHeader, _ id: SocketID) -> Bool {
        guard let connection = sockets[tcp: id], connection.state == .timeWait, header.flags.contains(.syn),
            header.flags.isDisjoint(with: [.ack, .rst]), isBefore(connection.expected, header.sequence)
        else { return false }
        sockets.remove(id)
        return true
    }

    /// A SYN at a listener: the connection begins and is answered.
    private mutating func accept(
        _ header: TCPHeader, at listener: SocketID, local: SocketAddress, remote: SocketAddress,
        _ context: inout PathContext
    ) {
        var connection = TCPConnection(
            state: .synReceived, initialSequence: initialSequence(local, remote, context),
            advertisedSegmentSize: advertisedSegmentSize(towards: remote.address, at: context.now),
            answersTimestamps: header.options.timestamps != nil,
            timestampOffset: timestampOffset(local, remote, context), sysctls)
        connection.adopt(header)
        connection.handshakeSent = context.now
        let socket = sockets.add(
            Socket(
                kind: .tcp, local: local, remote: remote,
                identification: UInt16(truncatingIfNeeded: context.random.next()),
                flowHash: UInt32(truncatingIfNeeded: context.random.next()) | 1, listener: listener),
            connection)
        sendSYNACK(socket, isRetransmission: false, &context)
        setTimer(socket, .retransmission, after: connection.roundTrip.timeout, &context)
    }

    private mutating func segmentArrived(
        _ header: TCPHeader, _ payload: [UInt8], at id: SocketID, _ context: inout PathContext
    ) {
        guard let state = sockets[tcp: id]?.state else { return }
        sockets[tcp: id]?.lastHeard = context.now
        sockets[tcp: id]?.keepaliveProbes = 0
        switch state {
        case .synSent: synSentArrived(header, at: id, &context)
        case .timeWait:
            // The peer did not hear our last acknowledgment.
            if header.flags.contains(.fin) {
                sendTimeWaitAcknowledgment(id, &context)
                enterTimeWait(id, &context)
            }
        default: openArrived(header, payload, at: id, &context)
        }
    }

    /// tcp_rcv_synsent_state_process
    private mutating func synSentArrived(_ header: TCPHeader, at id: SocketID, _ context: inout PathContext) {
        guard let next = sockets[tcp: id]?.next, let remote = sockets.sockets[id.index].remote else { return }
        let acknowledges = header.flags.contains(.ack) && header.acknowledgment == next
        if header.flags.contains(.rst) {
            if acknowledges { fail(id, .connectionRefused, &context) }
            return
        }
        guard header.flags.contains([.syn, .ack]) else { return }
        guard acknowledges else {
            refuse(header, id, remote, &context)
            return
        }
        sockets[tcp: id]?.adopt(header)
        sockets[tcp: id]?.establish(header, at: context.now)
        sockets.sockets[id.index].provesNextHop = true
        sendAcknowledgment(id, &context)
        context.notify(id, in: self.id, .connected)
        setKeepalive(id, &context)
    }

    /// A segment that contradicts the handshake is reset from where it claims to stand.
    private mutating func refuse(
        _ header: TCPHeader, _ id: SocketID, _ remote: SocketAddress, _ context: inout PathContext
    ) {
        let segment = OutgoingSegment(
            local: sockets.sockets[id.index].local, remote: remote, sequence: header.acknowledgment, flags: .rst,
            window: 0, isUnicastReply: true)
        transmit(segment, &context)
    }

    private mutating func openArrived(
        _ header: TCPHeader, _ payload: [UInt8], at id: SocketID, _ context: inout PathContext
    ) {
        guard let state = sockets[tcp: id]?.state, let expected = sockets[tcp: id]?.expected else { return }
        if header.flags.contains(.rst) {
            if header.sequence == expected { fail(id, .connectionReset, &context) }
            return
        }
        if header.flags.contains(.syn) {
            // The SYN again, or the SYN-ACK again: our answer was lost.
            if state == .synReceived {
                sendSYNACK(id, isRetransmission: true, &context)
                // Its own time begins anew (mod_timer_pending in tcp_check_req).
                if let timeout = sockets[tcp: id]?.roundTrip.timeout {
                    setTimer(id, .retransmission, after: timeout, &context)
                }
            } else {
                sendAcknowledgment(id, &context)
            }
            return
        }
        if let stamps = header.options.timestamps, !isBefore(expected, header.sequence) {
            sockets[tcp: id]?.recentTimestamp = stamps.value
        }
        // Every segment behind the SYN acknowledges, and the first proves that the peer has seen our own.
        guard header.flags.contains(.ack) else { return }
        if state == .synReceived {
            guard header.acknowledgment == sockets[tcp: id]?.next else {
                if let remote = sockets.sockets[id.index].remote { refuse(header, id, remote, &context) }
                return
            }
            sockets[tcp: id]?.establish(header, at: context.now)
            sockets.sockets[id.index].provesNextHop = true
            if let listener = sockets.sockets[id.index].listener {
                context.notify(id, in: self.id, .accepted(listener: listener))
            }
        }
        let isBare = payload.isEmpty && !header.flags.contains(.fin)
        if isBare, header.sequence == expected, sockets[tcp: id]?.isOwned == true {
            // The application is at work on this socket: the acknowledgment waits for it (tcp_add_backlog).
            sockets[tcp: id]?.park(header)
            return
        }
        releaseFromOwner(id, &context)
        guard sockets[tcp: id] != nil else { return }
        take(header, payload, at: id, &context)
        reportWritten(id, &context)
    }

    /// One segment of an open connection: what it acknowledges, what it brings, what may be sent now.
    mutating func take(
        _ header: TCPHeader, _ payload: [UInt8], at id: SocketID, _ context: inout PathContext
    ) {
        guard let state = sockets[tcp: id]?.state else { return }
        let sendsNewDataFirst = acknowledged(header, hasPayload: !payload.isEmpty, at: id, &context)
        guard sockets[tcp: id] != nil else { return }
        receive(payload, header, at: id, &context)
        if state == .finWait2, sockets[tcp: id]?.state == .timeWait {
            sendTimeWaitAcknowledgment(id, &context)
            return
        }
        if sendsNewDataFirst { sendNewData(id, &context) }
        sendPending(id, &context)
        respond(id, &context)
    }

    /// tcp_ack and what follows for the state. True when new data goes before what is sent again.
    private mutating func acknowledged(
        _ header: TCPHeader, hasPayload: Bool, at id: SocketID, _ context: inout PathContext
    ) -> Bool {
        let clock = sockets[tcp: id].map { timestamp($0, context) } ?? 0
        let number = header.acknowledgment
        guard let next = sockets[tcp: id]?.next, !isBefore(next, number),
            let outcome = sockets[tcp: id]?.acknowledged(
                by: header, hasPayload: hasPayload, clock: clock, at: context.now)
        else { return false }
        guard outcome.octets > 0 else {
            armTimer(id, &context)
            return false
        }
        sockets[tcp: id]?.sendBuffer.removeFirst(outcome.octets)
        let finEnd = sockets[tcp: id]?.finEnd
        if finEnd == number {
            switch sockets[tcp: id]?.state {
            case .finWait1: sockets[tcp: id]?.state = .finWait2
            case .closing: sockets[tcp: id]?.state = .timeWait
            case .lastAck:
                sockets.remove(id)
                return false
            default: break
            }
        }
        sockets.sockets[id.index].provesNextHop = true
        armTimer(id, &context)
        if sockets[tcp: id]?.state == .timeWait { enterTimeWait(id, &context) }
        return outcome.sendsNewDataFirst
    }

    mutating func enterTimeWait(_ id: SocketID, _ context: inout PathContext) {
        sockets[tcp: id]?.timeWaitGeneration &+= 1
        sockets[tcp: id]?.timer = nil
        let generation = sockets[tcp: id]?.timeWaitGeneration ?? 0
        context.schedule(.timeWait(id, generation: generation), in: self.id, after: 60_000_000_000)
    }

    mutating func fail(_ id: SocketID, _ error: SocketError, _ context: inout PathContext) {
        handOver(id, &context)
        sockets.remove(id)
        context.notify(id, in: self.id, .failed(error))
    }

    /// An ICMP error for a connection (tcp_v4_err): a connection being opened ends; an open one only adapts to a
    /// smaller MTU, and sends again what was too large.
    mutating func tcpError(
        _ id: SocketID, _ error: SocketError, nextHopMTU: UInt16?, _ context: inout PathContext
    ) {
        guard let state = sockets[tcp: id]?.state else { return }
        if let nextHopMTU, let remote = sockets.sockets[id.index].remote {
            let headers = headerLength(towards: remote.address) + TCPHeader.length
            guard sockets[tcp: id]?.adapt(toSegments: Int(nextHopMTU) - headers) == true else { return }
            sendPending(id, &context)
        } else if state == .synSent {
            fail(id, error, &context)
        }
    }
}

extension TCPConnection {
    /// What the peer's SYN says of its abilities.
    mutating func adopt(_ header: TCPHeader) {
        let options = header.options
        expected = header.sequence &+ 1
        receiving.offeredFrom = expected
        usesTimestamps = options.timestamps != nil
        recentTimestamp = options.timestamps?.value ?? 0
        usesSACK = options.sackPermitted
        if let scale = options.windowScale {
            peerWindowScale = min(scale, 14)
        } else {
            peerWindowScale = 0
            windowScale = 0
        }
        let size = min(Int(options.maximumSegmentSize ?? 536), Int(advertisedSegmentSize))
        segmentSize = max(size - (usesTimestamps ? 12 : 0), 48)
        peerWindow = UInt32(header.window)
        largestPeerWindow = peerWindow
        windowUpdate = header.sequence
    }

    /// The handshake is complete (tcp_finish_connect, tcp_rcv_synrecv_state_process).
    mutating func establish(_ header: TCPHeader, at now: Nanoseconds) {
        unacknowledged = header.acknowledgment
        state = .established
        retransmissions = 0
        timer = nil
        if let handshakeSent { roundTrip.measure(now - handshakeSent) }
        handshakeSent = nil
        acknowledgments.connected(at: now)
        if !header.flags.contains(.syn) {
            windowUpdate = header.sequence
            peerWindow = UInt32(header.window) << peerWindowScale
            largestPeerWindow = max(largestPeerWindow, peerWindow)
        }
    }

    /// Segments must be smaller from now on. False when they are already.
    mutating func adapt(toSegments size: Int) -> Bool {
        let size = size - (usesTimestamps ? 12 : 0)
        guard size >= 48, size < segmentSize, state != .synSent, state != .synReceived else { return false }
        segmentSize = size
        sent.cut(to: UInt32(size), finEnd: finEnd)
        if sent.lost > 0 { congestion.resend(until: next) }
        return true
    }
}
