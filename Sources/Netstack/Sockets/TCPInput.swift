// What TCP makes of arriving segments: handshakes, acknowledgments, data in and out of order, FIN, resets and ICMP
// errors. Mirrors net/ipv4/tcp_ipv4.c and tcp_input.c.

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
        let payload = context.arena.bytes(packet, from: transport + header.headerLength)
        if let socket = sockets.tcpSocket(local: local, remote: remote), !reopens(header, socket) {
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
        let segmentSize = advertisedSegmentSize(towards: remote.address, at: context.now)
        let usesTimestamps = header.options.timestamps != nil
        var connection = TCPConnection(
            state: .synReceived, initialSequence: initialSequence(local, remote, context),
            advertisedSegmentSize: segmentSize,
            receiveWindow: TCPConnection.initialWindow(segmentSize: segmentSize, answersTimestamps: usesTimestamps),
            timestampOffset: timestampOffset(local, remote, context))
        connection.next &+= 1
        connection.expected = header.sequence &+ 1
        adopt(header, &connection)
        connection.peerWindow = UInt32(header.window)
        connection.timedSequence = (connection.next, context.now)
        let socket = sockets.add(
            Socket(
                kind: .tcp(connection), local: local, remote: remote,
                identification: UInt16(truncatingIfNeeded: context.random.next()),
                flowHash: UInt32(truncatingIfNeeded: context.random.next()) | 1, listener: listener))
        sendSYNACK(socket, isRetransmission: false, &context)
        setRetransmissionTimer(socket, &context)
    }

    /// What the peer's SYN says of its abilities.
    private func adopt(_ header: TCPHeader, _ connection: inout TCPConnection) {
        let options = header.options
        connection.usesTimestamps = options.timestamps != nil
        connection.recentTimestamp = options.timestamps?.value ?? 0
        connection.usesSACK = options.sackPermitted
        if let scale = options.windowScale {
            connection.peerWindowScale = min(scale, 14)
        } else {
            connection.peerWindowScale = 0
            connection.windowScale = 0
        }
        let size = min(Int(options.maximumSegmentSize ?? 536), Int(connection.advertisedSegmentSize))
        connection.segmentSize = max(size - (connection.usesTimestamps ? 12 : 0), 48)
    }

    private mutating func segmentArrived(
        _ header: TCPHeader, _ payload: [UInt8], at id: SocketID, _ context: inout PathContext
    ) {
        guard let connection = sockets[tcp: id] else { return }
        switch connection.state {
        case .synSent: synSentArrived(header, at: id, &context)
        case .timeWait:
            // The peer did not hear our last acknowledgment.
            if header.flags.contains(.fin) { sendAcknowledgment(id, &context) }
        default: openArrived(header, payload, at: id, &context)
        }
    }

    /// tcp_rcv_synsent_state_process
    private mutating func synSentArrived(_ header: TCPHeader, at id: SocketID, _ context: inout PathContext) {
        guard var connection = sockets[tcp: id],
            let remote = sockets.sockets[id.index].remote
        else { return }
        let acknowledges = header.flags.contains(.ack) && header.acknowledgment == connection.next
        if header.flags.contains(.rst) {
            if acknowledges { fail(id, .connectionRefused, &context) }
            return
        }
        guard header.flags.contains([.syn, .ack]) else { return }
        guard acknowledges else {
            refuse(header, id, remote, &context)
            return
        }
        connection.expected = header.sequence &+ 1
        connection.unacknowledged = header.acknowledgment
        adopt(header, &connection)
        connection.peerWindow = UInt32(header.window)
        connection.state = .established
        connection.retransmissions = 0
        connection.retransmissionGeneration &+= 1
        if let timed = connection.timedSequence { connection.measure(context.now - timed.sent) }
        connection.timedSequence = nil
        sockets[tcp: id] = connection
        sockets.sockets[id.index].provesNextHop = true
        sendAcknowledgment(id, &context)
        context.notify(id, in: self.id, .connected)
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
        guard var connection = sockets[tcp: id] else { return }
        if header.flags.contains(.rst) {
            if header.sequence == connection.expected { fail(id, .connectionReset, &context) }
            return
        }
        if header.flags.contains(.syn) {
            // The SYN again, or the SYN-ACK again: our answer was lost.
            if connection.state == .synReceived {
                sendSYNACK(id, isRetransmission: true, &context)
            } else {
                sendAcknowledgment(id, &context)
            }
            return
        }
        if let stamps = header.options.timestamps, !isBefore(connection.expected, header.sequence) {
            connection.recentTimestamp = stamps.value
            sockets[tcp: id] = connection
        }
        // Every segment behind the SYN acknowledges, and the first proves that the peer has seen our own.
        guard header.flags.contains(.ack) else { return }
        if connection.state == .synReceived, header.acknowledgment != connection.next {
            if let remote = sockets.sockets[id.index].remote { refuse(header, id, remote, &context) }
            return
        }
        acknowledged(header, at: id, &context)
        receive(payload, sequence: header.sequence, fin: header.flags.contains(.fin), at: id, &context)
        sendPending(id, &context)
    }

    /// tcp_ack
    private mutating func acknowledged(_ header: TCPHeader, at id: SocketID, _ context: inout PathContext) {
        guard var connection = sockets[tcp: id] else { return }
        let number = header.acknowledgment
        guard !isBefore(connection.next, number) else { return }
        connection.peerWindow = UInt32(header.window) << connection.peerWindowScale
        var newlyAcknowledged = Int(number &- connection.unacknowledged)
        guard !isBefore(number, connection.unacknowledged), newlyAcknowledged > 0 else {
            if connection.underWay == 0 { connection.retransmissions = 0 }
            sockets[tcp: id] = connection
            return
        }
        if let timed = connection.timedSequence, !isBefore(number, timed.sequence) {
            connection.measure(context.now - timed.sent)
            connection.timedSequence = nil
        } else if connection.retransmissions > 0, connection.usesTimestamps, let stamps = header.options.timestamps {
            // What was sent twice is timed by the stamp the peer echoes (tcp_ack_update_rtt).
            let milliseconds = timestamp(connection, context) &- stamps.echo
            if milliseconds < 1 << 20 { connection.measure(Nanoseconds(milliseconds) * 1_000_000) }
        }
        connection.unacknowledged = number
        connection.retransmissions = 0
        var wasAccepted = false
        if connection.state == .synReceived {
            connection.state = .established
            newlyAcknowledged -= 1
            wasAccepted = true
        }
        let finAcknowledged = connection.finSent && number == connection.next
        connection.sendBuffer.removeFirst(newlyAcknowledged)
        connection.congestionWindow += max(1, newlyAcknowledged / connection.segmentSize)
        connection.retransmissionGeneration &+= 1
        if finAcknowledged {
            switch connection.state {
            case .finWait1: connection.state = .finWait2
            case .closing: connection.state = .timeWait
            case .lastAck:
                sockets.remove(id)
                return
            default: break
            }
        }
        sockets[tcp: id] = connection
        sockets.sockets[id.index].provesNextHop = true
        if connection.underWay > 0 { setRetransmissionTimer(id, &context) }
        if connection.state == .timeWait { enterTimeWait(id, &context) }
        if wasAccepted, let listener = sockets.sockets[id.index].listener {
            context.notify(id, in: self.id, .accepted(listener: listener))
        }
    }

    /// Puts arriving octets in order, tells the application, and acknowledges: data at once, a lone FIN a little
    /// later, so that the application's own FIN may carry the acknowledgment.
    private mutating func receive(
        _ payload: [UInt8], sequence: UInt32, fin: Bool, at id: SocketID, _ context: inout PathContext
    ) {
        guard var connection = sockets[tcp: id], !payload.isEmpty || fin else { return }
        let end = sequence &+ UInt32(payload.count)
        if isBefore(connection.expected, sequence) {
            if connection.outOfOrder.count < 1024, !connection.outOfOrder.contains(where: { $0.sequence == sequence }) {
                connection.outOfOrder.append((sequence, payload, fin))
                connection.outOfOrder.sort { isBefore($0.sequence, $1.sequence) }
            }
            sockets[tcp: id] = connection
            sendAcknowledgment(id, &context)
            return
        }
        if isBefore(end &+ (fin ? 1 : 0), connection.expected &+ 1) {
            sendAcknowledgment(id, &context)
            return
        }
        var received = Array(payload.dropFirst(Int(connection.expected &- sequence)))
        var sawFIN = fin
        connection.expected = end
        while let first = connection.outOfOrder.first, !isBefore(connection.expected, first.sequence) {
            connection.outOfOrder.removeFirst()
            let firstEnd = first.sequence &+ UInt32(first.octets.count)
            if isBefore(connection.expected, firstEnd) {
                received += first.octets.dropFirst(Int(connection.expected &- first.sequence))
                connection.expected = firstEnd
            }
            sawFIN = sawFIN || first.fin
        }
        if !received.isEmpty { connection.growWindow(segment: payload.count) }
        if sawFIN {
            connection.expected &+= 1
            switch connection.state {
            case .established: connection.state = .closeWait
            case .finWait1: connection.state = .closing
            case .finWait2: connection.state = .timeWait
            default: break
            }
        }
        sockets[tcp: id] = connection
        if !received.isEmpty || connection.state == .timeWait || connection.state == .closing {
            sendAcknowledgment(id, &context)
        } else {
            oweAcknowledgment(id, &context)
        }
        if !received.isEmpty { context.notify(id, in: self.id, .received(received)) }
        if sawFIN { context.notify(id, in: self.id, .endOfStream) }
        if connection.state == .timeWait { enterTimeWait(id, &context) }
    }

    private mutating func oweAcknowledgment(_ id: SocketID, _ context: inout PathContext) {
        guard var connection = sockets[tcp: id] else { return }
        connection.owesAcknowledgment = true
        connection.delayedAcknowledgment &+= 1
        let generation = connection.delayedAcknowledgment
        sockets[tcp: id] = connection
        context.schedule(.delayedAcknowledgment(id, generation: generation), in: self.id, after: 40_000_000)
    }

    private mutating func enterTimeWait(_ id: SocketID, _ context: inout PathContext) {
        guard var connection = sockets[tcp: id] else { return }
        connection.retransmissionGeneration &+= 1
        let generation = connection.retransmissionGeneration
        sockets[tcp: id] = connection
        context.schedule(.timeWait(id, generation: generation), in: self.id, after: 60_000_000_000)
    }

    private mutating func fail(_ id: SocketID, _ error: SocketError, _ context: inout PathContext) {
        sockets.remove(id)
        context.notify(id, in: self.id, .failed(error))
    }

    /// An ICMP error for a connection (tcp_v4_err): a connection being opened ends; an open one only adapts to a
    /// smaller MTU.
    mutating func tcpError(
        _ id: SocketID, _ error: SocketError, nextHopMTU: UInt16?, _ context: inout PathContext
    ) {
        guard var connection = sockets[tcp: id] else { return }
        if let nextHopMTU, let remote = sockets.sockets[id.index].remote {
            let headers = headerLength(towards: remote.address) + TCPHeader.length
            let size = Int(nextHopMTU) - headers - (connection.usesTimestamps ? 12 : 0)
            guard size >= 48, size < connection.segmentSize else { return }
            connection.segmentSize = size
            sockets[tcp: id] = connection
            retransmitFirst(id, &context)
        } else if connection.state == .synSent {
            fail(id, error, &context)
        }
    }
}

extension TCPConnection {
    /// Offers more after each arriving segment (tcp_grow_window): twice its size, up to what the buffer holds.
    mutating func growWindow(segment: Int) {
        // Small segments use up a little of the offer, which is opened again before it matters.
        guard segment >= 850 else {
            if receiveWindow > UInt32(segment) + 63 << 10 { receiveWindow -= UInt32(segment) }
            return
        }
        // A full frame's buffer takes 2304 octets of memory; the share that is data bounds the window.
        receiveLimit = max(receiveLimit, UInt32(131_072 * (segment * 256 / 2304) / 256))
        receiveWindow = min(receiveWindow + 2 * UInt32(segment), receiveLimit)
    }
}
