// The timers of TCP: retransmission, loss and window probes, keepalive, and the end of TIME-WAIT. Mirrors
// net/ipv4/tcp_timer.c and tcp_send_loss_probe of tcp_output.c. A connection says when its timer is due; an event comes
// then or before, and one that comes too early waits on, so that not every segment costs an event.

extension NetworkNamespace {
    package mutating func timerFired(_ timer: Timer, _ context: inout PathContext) {
        connections.reclaimUnconfirmed()
        context.cause = 0
        switch timer {
        case .neighbor(let link, let address, let generation): neighborTimer(link, address, generation, &context)
        case .transport(let socket): transportTimer(socket, &context)
        case .writing(let socket): ownerGoesOn(socket, &context)
        case .reading(let socket): readerWakes(socket, &context)
        case .delayedAcknowledgment(let socket): delayedAcknowledgmentTimer(socket, &context)
        case .keepalive(let socket): keepaliveTimer(socket, &context)
        case .background(let link, let step): continueBackground(step, on: link, &context)
        case .timeWait(let socket, let generation):
            if let connection = sockets[tcp: socket], connection.timeWaitGeneration == generation {
                sockets.remove(socket)
            }
        }
    }

    mutating func setTimer(
        _ id: SocketID, _ kind: TransportTimer.Kind, after delay: Nanoseconds, _ context: inout PathContext
    ) {
        sockets[tcp: id]?.setTimer(kind, after: delay, at: context.now)
        armTimer(id, &context)
    }

    /// Sees to it that an event comes in time for the connection's timer.
    mutating func armTimer(_ id: SocketID, _ context: inout PathContext) {
        guard let deadline = sockets[tcp: id]?.timer?.deadline else { return }
        if let scheduled = sockets[tcp: id]?.scheduledTimer, scheduled <= deadline { return }
        sockets[tcp: id]?.scheduledTimer = deadline
        context.schedule(.transport(id), in: self.id, at: deadline)
    }

    private mutating func transportTimer(_ id: SocketID, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id], connection.scheduledTimer == context.now else { return }
        sockets[tcp: id]?.scheduledTimer = nil
        guard let timer = connection.timer else { return }
        guard timer.deadline <= context.now else {
            armTimer(id, &context)
            return
        }
        sockets[tcp: id]?.timer = nil
        switch timer.kind {
        case .retransmission: retransmissionTimer(id, &context)
        case .lossProbe: lossProbeTimer(id, &context)
        case .reordering:
            sockets[tcp: id]?.reorderingEnded(at: context.now)
            sendPending(id, &context)
        case .windowProbe: windowProbeTimer(id, &context)
        }
        armTimer(id, &context)
    }

    /// Nobody acknowledged in time (tcp_retransmit_timer).
    private mutating func retransmissionTimer(_ id: SocketID, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id] else { return }
        let isHandshake = connection.state == .synSent || connection.state == .synReceived
        guard isHandshake || !connection.sent.isEmpty else { return }
        let limit =
            connection.state == .synSent
            ? sysctls.tcpSynRetries + sysctls.tcpSynLinearTimeouts : isHandshake ? 5 : sysctls.tcpRetries2
        guard connection.retransmissions < limit else {
            fail(id, .timedOut, &context)
            return
        }
        sockets[tcp: id]?.retransmissions += 1
        sockets[tcp: id]?.handshakeSent = nil
        // The first SYN retransmissions come a second apart (tcp_syn_linear_timeouts), then the time doubles.
        let isLinear = connection.state == .synSent && connection.retransmissions < sysctls.tcpSynLinearTimeouts
        if !isLinear { sockets[tcp: id]?.roundTrip.backOff() }
        // What still waits for a neighbor on this very host is not sent again (skb_still_in_host_queue).
        let isHeld = neighbors.holdsPacket(flowHash: sockets.sockets[id.index].flowHash)
        switch connection.state {
        case .synSent: if !isHeld { sendSYN(id, isRetransmission: true, &context) }
        case .synReceived: if !isHeld { sendSYNACK(id, isRetransmission: true, &context) }
        default:
            let segment = sockets[tcp: id]?.timedOut(isFirst: connection.retransmissions == 0, at: context.now)
            if !isHeld, let segment { sendAgain([segment], id, &context) }
        }
        guard let timeout = sockets[tcp: id]?.roundTrip.timeout else { return }
        setTimer(id, .retransmission, after: timeout, &context)
    }

    /// The last segment may be lost: new data, or that segment again, makes the peer tell (tcp_send_loss_probe).
    private mutating func lossProbeTimer(_ id: SocketID, _ context: inout PathContext) {
        let isHeld = neighbors.holdsPacket(flowHash: sockets.sockets[id.index].flowHash)
        if !isHeld, let segment = sockets[tcp: id]?.lossProbe(at: context.now) {
            sendAgain([segment], id, &context)
        }
        sockets[tcp: id]?.setTimeoutAfterProbe(at: context.now)
        armTimer(id, &context)
    }

    /// The window stays shut (tcp_probe_timer).
    private mutating func windowProbeTimer(_ id: SocketID, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id], connection.sent.isEmpty, !connection.sendBuffer.isEmpty else { return }
        guard connection.retransmissions < sysctls.tcpRetries2 else {
            fail(id, .timedOut, &context)
            return
        }
        sockets[tcp: id]?.retransmissions += 1
        sockets[tcp: id]?.roundTrip.backOff()
        sendProbe(id, &context)
        guard let timeout = sockets[tcp: id]?.roundTrip.timeout else { return }
        setTimer(id, .windowProbe, after: timeout, &context)
    }

    // MARK: keepalive

    mutating func setKeepalive(_ id: SocketID, _ context: inout PathContext) {
        guard sockets[tcp: id]?.sendsKeepalives == true else { return }
        context.schedule(
            .keepalive(id), in: self.id, after: Nanoseconds(sysctls.tcpKeepaliveTime) * 1_000_000_000)
    }

    /// An idle connection is asked whether it still is one (tcp_keepalive_timer).
    private mutating func keepaliveTimer(_ id: SocketID, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id], !connection.wantsClose else { return }
        let idle = Nanoseconds(sysctls.tcpKeepaliveTime) * 1_000_000_000
        let interval = Nanoseconds(sysctls.tcpKeepaliveInterval) * 1_000_000_000
        var wait = idle
        let quiet = context.now - connection.lastHeard
        if connection.sent.isEmpty, connection.sendBuffer.isEmpty {
            if quiet >= idle {
                guard connection.keepaliveProbes < sysctls.tcpKeepaliveProbes else {
                    resetPeer(id, &context)
                    fail(id, .timedOut, &context)
                    return
                }
                sockets[tcp: id]?.keepaliveProbes += 1
                sendProbe(id, &context)
                wait = interval
            } else {
                wait = idle - quiet
            }
        }
        context.schedule(.keepalive(id), in: self.id, after: wait)
    }
}

extension TCPConnection {
    /// Everything under way is lost; the first of it is sent again (tcp_enter_loss).
    mutating func timedOut(isFirst: Bool, at now: Nanoseconds) -> SegmentToSend? {
        guard !sent.isEmpty else { return nil }
        sent.loseAll()
        recovery.doubtsTimeout = congestion.state == .open || !isFirst
        recovery.probeEnd = nil
        congestion.enterLoss(until: next, inFlight: sent.inFlight)
        let first = (0..<sent.count).first { !sent[$0].hasArrived }
        return first.map { repeated($0, at: now) }
    }

    /// The segment that probes for a loss at the end: new data if there is some, else the last one again.
    mutating func lossProbe(at now: Nanoseconds) -> SegmentToSend? {
        guard recovery.probeEnd == nil, sent.count > 0 else { return nil }
        let available = sendBuffer.count - Int(underWay)
        if available > 0, Int(peerWindow) - Int(underWay) >= min(available, segmentSize) {
            let segment = probeWithNewData(at: now)
            (recovery.probeEnd, recovery.probeWasRetransmission) = (next, false)
            return segment
        }
        let segment = repeated(sent.count - 1, at: now)
        (recovery.probeEnd, recovery.probeWasRetransmission) = (next, true)
        return segment
    }

    mutating func setTimeoutAfterProbe(at now: Nanoseconds) {
        guard !sent.isEmpty else { return }
        setTimer(.retransmission, after: roundTrip.timeout, at: now)
    }

    /// What was given time to arrive has not (tcp_rack_reo_timeout).
    mutating func reorderingEnded(at now: Nanoseconds) {
        let before = sent.lost
        findLosses(at: now)
        if sent.lost > before {
            if congestion.state != .recovery { congestion.enterRecovery(until: next) }
            congestion.repair(delivered: 1, newlyLost: 1, hasProgress: false, inFlight: sent.inFlight)
        }
        if timer == nil { setTransmissionTimer(at: now) }
    }
}
