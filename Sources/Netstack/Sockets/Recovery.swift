// What a sender makes of acknowledgments: SACK blocks, what is lost by the time others took (RACK), when the window may
// grow again, and which timer to set. Mirrors tcp_ack and what it calls in net/ipv4/tcp_input.c, and tcp_recovery.c
// (RFC 2018, RFC 8985, RFC 5682). Simplified: no reordering is learnt, and a recovery that was not needed is not
// undone.

internal import Addressing
internal import Wire

/// What is known of losses.
struct Recovery: Sendable {
    /// Of the segments known to have arrived, the one sent last (RACK).
    var latest: SentSegment?
    /// How long it took.
    var latestRoundTrip: Nanoseconds = 0
    /// `next` when the last segment was sent as a probe; nil when no probe is under way.
    var probeEnd: UInt32?
    var probeWasRetransmission = false
    /// After a timeout new data is sent first, to see whether the timeout was needed (F-RTO).
    var doubtsTimeout = false
}

/// What came of an acknowledgment.
struct AcknowledgmentOutcome {
    var octets = 0
    var segments = 0
    /// New data should leave before anything is sent again (F-RTO).
    var sendsNewDataFirst = false
}

extension TCPConnection {
    /// tcp_ack, for the numbers of a segment that was found to be in order.
    mutating func acknowledged(
        by header: TCPHeader, hasPayload: Bool, clock: UInt32, at now: Nanoseconds
    ) -> AcknowledgmentOutcome {
        var outcome = AcknowledgmentOutcome()
        let number = header.acknowledgment
        let isOld = isBefore(number, unacknowledged)
        let advances = isBefore(unacknowledged, number)
        if !isOld { updateWindow(header) }
        if advances, retransmissions > 0 {
            retransmissions = 0
        } else if underWay == 0 {
            retransmissions = 0
        }
        var arrived = AcknowledgedSegments()
        var isDuplicate = false
        if usesSACK {
            for (index, block) in header.options.sackBlocks.enumerated() {
                if index == 0, isDuplicateBlock(block, header) {
                    isDuplicate = true
                } else if isBefore(block.left, block.right), !isBefore(next, block.right),
                    !isBefore(block.left, isOld ? number : unacknowledged)
                {
                    sent.note(block.left, block.right, &arrived)
                }
            }
        }
        let hasSelective = arrived.count > 0
        var covered = AcknowledgedSegments()
        if advances {
            outcome.octets = Int(number &- unacknowledged)
            unacknowledged = number
            covered = sent.acknowledge(number)
            outcome.segments = covered.count
        }
        measure(covered, arrived, header, advances: advances, clock: clock, at: now)
        let delivered = covered.count + arrived.count
        noteLatest(covered, at: now)
        noteLatest(arrived, at: now)
        endProbe(number, advances: advances, isDuplicate: isDuplicate, hasNews: hasPayload || hasSelective)
        react(
            delivered: delivered, advances: advances, hasSelective: hasSelective, outcome: &outcome, at: now)
        if advances || hasSelective {
            setTransmissionTimer(at: now)
        } else if sent.isEmpty {
            timer = timer?.kind == .windowProbe ? timer : nil
        }
        return outcome
    }

    /// tcp_ack_update_window
    private mutating func updateWindow(_ header: TCPHeader) {
        let window = UInt32(header.window) << peerWindowScale
        let number = header.acknowledgment
        guard
            isBefore(unacknowledged, number) || isBefore(windowUpdate, header.sequence)
                || windowUpdate == header.sequence && (window > peerWindow || window == 0)
        else { return }
        windowUpdate = header.sequence
        peerWindow = window
        largestPeerWindow = max(largestPeerWindow, window)
        if window > 0, timer?.kind == .windowProbe { timer = nil }
    }

    /// A first block that tells of what arrived twice (RFC 2883).
    private func isDuplicateBlock(_ block: SACKBlock, _ header: TCPHeader) -> Bool {
        if isBefore(block.left, header.acknowledgment) { return true }
        guard header.options.sackBlocks.count > 1 else { return false }
        let second = header.options.sackBlocks[1]
        return !isBefore(block.left, second.left) && !isBefore(second.right, block.right)
    }

    private mutating func measure(
        _ covered: AcknowledgedSegments, _ arrived: AcknowledgedSegments, _ header: TCPHeader, advances: Bool,
        clock: UInt32, at now: Nanoseconds
    ) {
        if let sent = covered.includesSentAgain ? nil : covered.firstSent ?? arrived.firstSent {
            roundTrip.measure(now - sent)
        } else if advances, usesTimestamps, let stamps = header.options.timestamps, stamps.echo != 0 {
            // What was sent twice is timed by the stamp the peer echoes (tcp_ack_update_rtt).
            let milliseconds = clock &- stamps.echo
            if milliseconds < 1 << 20 { roundTrip.measure(Nanoseconds(max(milliseconds, 1)) * 1_000_000) }
        }
        if advances { roundTrip.resetTimeout() }
    }

    /// tcp_rack_advance
    private mutating func noteLatest(_ segments: AcknowledgedSegments, at now: Nanoseconds) {
        guard let segment = segments.latest else { return }
        let time = now - segment.sentAt
        // Too early for what was sent again: the first one has arrived.
        if segment.wasSentAgain, time < roundTrip.least { return }
        recovery.latestRoundTrip = time
        if recovery.latest.map({ segment.left(after: $0) }) ?? true { recovery.latest = segment }
    }

    /// tcp_process_tlp_ack
    private mutating func endProbe(_ number: UInt32, advances: Bool, isDuplicate: Bool, hasNews: Bool) {
        guard let end = recovery.probeEnd, !isBefore(number, end) else { return }
        if !recovery.probeWasRetransmission || isDuplicate {
            recovery.probeEnd = nil
        } else if isBefore(end, number) {
            congestion.reduceOnce()
            recovery.probeEnd = nil
        } else if !advances, !hasNews {
            recovery.probeEnd = nil
        }
    }

    /// Grows the window, or begins, goes on with and ends repairs (tcp_fastretrans_alert, tcp_cong_control).
    private mutating func react(
        delivered: Int, advances: Bool, hasSelective: Bool, outcome: inout AcknowledgmentOutcome, at now: Nanoseconds
    ) {
        if congestion.state != .open, !isBefore(unacknowledged, congestion.recoveryEnd) {
            congestion.recovered()
            recovery.doubtsTimeout = false
        }
        if congestion.state == .loss, recovery.doubtsTimeout {
            if isBefore(congestion.recoveryEnd, next) {
                // New data went out since: what came back for it tells.
                recovery.doubtsTimeout = false
            } else if advances {
                outcome.sendsNewDataFirst = Int(underWay) < sendBuffer.count
                if !outcome.sendsNewDataFirst { recovery.doubtsTimeout = false }
            }
        }
        let lostBefore = sent.lost
        if congestion.state != .loss || !recovery.doubtsTimeout { findLosses(at: now) }
        let newlyLost = max(sent.lost - lostBefore, 0)
        if congestion.state == .open, sent.lost > 0 { congestion.enterRecovery(until: next) }
        if congestion.state == .recovery {
            congestion.repair(
                delivered: delivered, newlyLost: newlyLost, hasProgress: advances, inFlight: sent.inFlight)
        } else if advances, outcome.segments > 0 {
            congestion.acknowledged(outcome.segments, roundTrip: roundTrip.least, at: now)
        }
    }

    /// What left long before something that has arrived is lost (tcp_rack_mark_lost). True when a timer must tell of
    /// the rest.
    @discardableResult
    mutating func findLosses(at now: Nanoseconds) -> Nanoseconds? {
        guard usesSACK, let latest = recovery.latest else { return nil }
        // While nothing is known to be reordered, three segments beyond the gap are enough.
        let isSure = congestion.state != .open || sent.arrived >= 3
        let patience = isSure ? 0 : max(min(roundTrip.least / 4, roundTrip.smoothed / 8), 1)
        var wait: Nanoseconds?
        for index in 0..<sent.count {
            let segment = sent[index]
            if segment.hasArrived || segment.isLost && !segment.isUnderWayAgain { continue }
            guard latest.left(after: segment) else {
                if segment.wasSentAgain { continue }
                break
            }
            let remaining = recovery.latestRoundTrip + patience - (now - segment.sentAt)
            if remaining <= 0 { sent.lose(index) } else { wait = max(wait ?? 0, remaining) }
        }
        return wait
    }

    // MARK: timers

    /// The kernel's clock for a delay from now on.
    mutating func setTimer(_ kind: TransportTimer.Kind, after delay: Nanoseconds, at now: Nanoseconds) {
        timer = TransportTimer(kind: kind, deadline: TimerWheel.expiry(now: now, delay: delay))
    }

    /// The timer that fits what is under way (tcp_set_xmit_timer).
    mutating func setTransmissionTimer(at now: Nanoseconds) {
        guard let first = sent.first else {
            timer = nil
            return
        }
        if let wait = congestion.state == .loss ? nil : pendingLosses(at: now) {
            setTimer(.reordering, after: wait + 2_000_000, at: now)
        } else if !setLossProbe(at: now) {
            // Counted from when the first segment left (tcp_rearm_rto).
            setTimer(.retransmission, after: max(first.sentAt + roundTrip.timeout - now, 1000), at: now)
        }
    }

    private mutating func pendingLosses(at now: Nanoseconds) -> Nanoseconds? {
        sent.arrived > 0 || recovery.latest != nil ? findLosses(at: now) : nil
    }

    /// A probe instead of the timeout while all is well (tcp_schedule_loss_probe).
    mutating func setLossProbe(at now: Nanoseconds, afterSending: Bool = false) -> Bool {
        guard usesSACK, congestion.state == .open, sent.arrived == 0, let first = sent.first else { return false }
        var delay: Nanoseconds = 1_000_000_000
        if roundTrip.isKnown {
            delay = 2 * roundTrip.smoothed + (sent.count == 1 ? RoundTrip.leastTimeout : 2_000_000)
        }
        let timeout = afterSending ? roundTrip.timeout : first.sentAt + roundTrip.timeout - now
        setTimer(.lossProbe, after: timeout > 0 ? min(delay, timeout) : delay, at: now)
        return true
    }
}
