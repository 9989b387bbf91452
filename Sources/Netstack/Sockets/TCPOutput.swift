// What TCP sends: connection requests, data, acknowledgments, FIN, resets and retransmissions. Mirrors
// net/ipv4/tcp_output.c. Which data goes next is decided in SendDecision.swift.

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
        to remote: SocketAddress, timeToLive: UInt8? = nil, sendsKeepalives: Bool = false,
        _ context: inout PathContext
    ) throws(SocketError) -> SocketID {
        let local = try localEnd(.tcp, for: remote, &context)
        var connection = TCPConnection(
            state: .synSent, initialSequence: initialSequence(local, remote, context),
            advertisedSegmentSize: advertisedSegmentSize(towards: remote.address, at: context.now),
            answersTimestamps: false, timestampOffset: timestampOffset(local, remote, context), sysctls)
        connection.handshakeSent = context.now
        connection.sendsKeepalives = sendsKeepalives
        let id = sockets.add(
            Socket(
                kind: .tcp, local: local, remote: remote,
                identification: UInt16(truncatingIfNeeded: context.random.next()),
                flowHash: UInt32(truncatingIfNeeded: context.random.next()) | 1, timeToLive: timeToLive),
            connection)
        sendSYN(id, isRetransmission: false, &context)
        setTimer(id, .retransmission, after: connection.roundTrip.timeout, &context)
        return id
    }

    /// Gives octets to a connection to send.
    package mutating func send(_ id: SocketID, _ octets: [UInt8], _ context: inout PathContext) {
        guard sockets[tcp: id]?.wantsClose == false else { return }
        sockets[tcp: id]?.sendBuffer.append(octets)
        sockets[tcp: id]?.reportsWritten = true
        sendAsOwner(id, &context)
    }

    /// Ends the application's side of a connection: FIN once everything is sent.
    package mutating func close(_ id: SocketID, _ context: inout PathContext) {
        guard let state = sockets[tcp: id]?.state else {
            sockets.remove(id)
            return
        }
        switch state {
        case .synSent:
            sockets.remove(id)
        case .synReceived, .established, .closeWait:
            sockets[tcp: id]?.wantsClose = true
            releaseFromOwner(id, &context)
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

    mutating func sendSYN(_ id: SocketID, isRetransmission: Bool, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id],
            let remote = sockets.sockets[id.index].remote
        else { return }
        if isRetransmission {
            // A new hash, so that another path may be taken (sk_rethink_txhash).
            sockets.sockets[id.index].flowHash = UInt32(truncatingIfNeeded: context.random.next()) | 1
        }
        let segment = OutgoingSegment(
            local: sockets.sockets[id.index].local, remote: remote, sequence: connection.initialSequence, flags: .syn,
            window: UInt16(clamping: connection.receiving.offered),
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
        if isRetransmission {
            // A new hash as with a SYN (tcp_rtx_synack).
            sockets.sockets[id.index].flowHash = UInt32(truncatingIfNeeded: context.random.next()) | 1
        }
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
            window: UInt16(clamping: connection.receiving.offered), options: options,
            flowHash: sockets.sockets[id.index].flowHash,
            timeToLive: sockets.sockets[id.index].timeToLive, isRetransmission: isRetransmission)
        transmit(segment, &context)
    }

    /// A segment of an open connection. Every one tells what has arrived.
    private mutating func sendSegment(
        _ id: SocketID, sequence: UInt32, flags: TCPFlags, payload: ArraySlice<UInt8> = [],
        isRetransmission: Bool = false, _ context: inout PathContext
    ) {
        guard let remote = sockets.sockets[id.index].remote,
            let told = sockets[tcp: id]?.tellOfArrivals(sendsData: !payload.isEmpty, at: context.now)
        else { return }
        var options = TCPOptions()
        options.sackBlocks = told.blocks
        if told.usesTimestamps {
            options.timestamps = TCPTimestamps(
                value: told.timestampOffset &+ UInt32(truncatingIfNeeded: context.now / 1_000_000),
                echo: told.recentTimestamp)
        }
        let segment = OutgoingSegment(
            local: sockets.sockets[id.index].local, remote: remote, sequence: sequence,
            acknowledgment: told.expected, flags: flags.union(.ack), window: told.window,
            options: options, payload: payload, identification: nextIdentification(of: id),
            flowHash: sockets.sockets[id.index].flowHash,
            timeToLive: sockets.sockets[id.index].timeToLive, isRetransmission: isRetransmission,
            provesNextHop: sockets.sockets[id.index].provesNextHop)
        sockets.sockets[id.index].provesNextHop = false
        transmit(segment, &context)
    }

    mutating func sendAcknowledgment(_ id: SocketID, _ context: inout PathContext) {
        guard let next = sockets[tcp: id]?.next else { return }
        sendSegment(id, sequence: next, flags: [], &context)
    }

    /// What is left of a closed connection acknowledges a FIN (tcp_v4_timewait_ack): the IP id is zero.
    mutating func sendTimeWaitAcknowledgment(_ id: SocketID, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id], let remote = sockets.sockets[id.index].remote else { return }
        var options = TCPOptions()
        if connection.usesTimestamps {
            options.timestamps = TCPTimestamps(
                value: timestamp(connection, context), echo: connection.recentTimestamp)
        }
        sockets[tcp: id]?.acknowledgments.sent()
        let window = connection.receiving.offered >> Int(connection.windowScale)
        let segment = OutgoingSegment(
            local: sockets.sockets[id.index].local, remote: remote, sequence: connection.next,
            acknowledgment: connection.expected, flags: .ack, window: UInt16(clamping: window), options: options,
            flowHash: sockets.sockets[id.index].flowHash)
        transmit(segment, &context)
    }

    /// Sends what the windows allow: first what was lost, then new data and FIN (tcp_xmit_retransmit_queue,
    /// tcp_write_xmit).
    mutating func sendPending(_ id: SocketID, _ context: inout PathContext) {
        if sockets[tcp: id]?.isOwned == true { return }
        while let burst = sockets[tcp: id]?.nextLost(at: context.now), !burst.isEmpty {
            sendAgain(burst, id, &context)
        }
        sendNewData(id, &context)
    }

    mutating func sendNewData(_ id: SocketID, _ context: inout PathContext) {
        while let segments = sockets[tcp: id]?.nextNew(at: context.now), !segments.isEmpty {
            for segment in segments { sendData(segment, id, isRetransmission: false, &context) }
        }
        armTimer(id, &context)
    }

    /// The segments of a burst leave again.
    mutating func sendAgain(_ burst: [SegmentToSend], _ id: SocketID, _ context: inout PathContext) {
        for segment in burst { sendData(segment, id, isRetransmission: true, &context) }
        armTimer(id, &context)
    }

    mutating func sendData(
        _ segment: SegmentToSend, _ id: SocketID, isRetransmission: Bool, _ context: inout PathContext
    ) {
        guard let first = sockets[tcp: id]?.unacknowledged else { return }
        let start = Int(segment.start &- first)
        guard let payload = sockets[tcp: id]?.sendBuffer[start..<start + segment.length] else { return }
        var flags: TCPFlags = segment.pushes ? .psh : []
        if segment.fin { flags.insert(.fin) }
        sendSegment(
            id, sequence: segment.start, flags: flags, payload: payload, isRetransmission: isRetransmission, &context)
    }

    /// An old number, which the peer must answer (tcp_xmit_probe_skb).
    mutating func sendProbe(_ id: SocketID, _ context: inout PathContext) {
        guard let number = sockets[tcp: id]?.unacknowledged else { return }
        sendSegment(id, sequence: number &- 1, flags: [], isRetransmission: true, &context)
    }

    /// Ends a connection whose peer is gone (tcp_send_active_reset).
    mutating func resetPeer(_ id: SocketID, _ context: inout PathContext) {
        guard let next = sockets[tcp: id]?.next else { return }
        sendSegment(id, sequence: next, flags: .rst, &context)
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
}
