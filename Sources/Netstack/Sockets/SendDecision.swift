// Which segments of a connection leave next, as far as congestion window, peer window, Nagle's rule and the size of one
// buffer allow. Mirrors tcp_write_xmit, tcp_tso_should_defer, tcp_nagle_test and tcp_xmit_retransmit_queue of
// net/ipv4/tcp_output.c. Simplified: the send buffer holds whatever an application writes, so that buffers end where
// windows end and not also where memory did.

internal import Wire

/// A segment about to be sent.
struct SegmentToSend: Sendable {
    var start: UInt32
    var length: Int
    var pushes = false
    var fin = false
}

extension TCPConnection {
    /// The largest buffer the segments of one burst fill.
    private static let largestBurst = 65_535

    /// The next buffer of new data, cut into segments, and counted as sent.
    mutating func nextNew(at now: Nanoseconds) -> [SegmentToSend] {
        guard state.isOpenForSending else { return [] }
        let available = sendBuffer.count - Int(underWay)
        let sendsFIN = wantsClose && !finSent
        guard available > 0 || sendsFIN else { return [] }
        if sent.isEmpty, lastSent > 0, now - lastSent > roundTrip.timeout {
            congestion.restart(after: now - lastSent, timeout: roundTrip.timeout)
        }
        if available == 0 { return [send(0, fin: true, at: now)] }
        let window = max(Int(peerWindow) - Int(underWay), 0)
        let room = congestion.window - sent.inFlight
        guard room > 0 else {
            noteUse(isLimiting: true)
            return []
        }
        guard window >= min(available, segmentSize) else {
            // A partial segment waits while the window is what cuts it; a window that stays shut is asked about.
            if sent.isEmpty, window == 0 || available <= window {
                setWindowProbe(at: now)
                return []
            }
            if !sent.isEmpty || window == 0 { return [] }
            return burst(of: window, available, at: now)
        }
        let most = max(Self.largestBurst / segmentSize, 1)
        let segments = min(room, max(congestion.window / 2, 1), most)
        let isWhole = min(available, window) <= segments * segmentSize
        if available > segmentSize, !sendsFIN, waits(room: min(window, room * segmentSize), most, at: now) {
            noteUse(isLimiting: room * segmentSize < window)
            return []
        }
        var octets = min(available, window, segments * segmentSize)
        let rest = octets % segmentSize
        if rest > 0, isWhole || octets < segments * segmentSize {
            // A second small segment waits until the first is acknowledged (Nagle, as Minshall changed it), and one
            // that only the window cuts waits too.
            let isSmallUnderWay = smallEnd.map { isBefore(unacknowledged, $0) } ?? false
            if octets < available || isSmallUnderWay && !sendsFIN { octets -= rest }
        }
        guard octets > 0 else { return [] }
        return burst(of: octets, available, at: now)
    }

    private mutating func burst(of octets: Int, _ available: Int, at now: Nanoseconds) -> [SegmentToSend] {
        bursts &+= 1
        var result: [SegmentToSend] = []
        var rest = octets
        while rest > 0 {
            let length = min(rest, segmentSize)
            rest -= length
            let isLast = rest == 0 && octets == available
            var segment = send(length, fin: isLast && wantsClose && !finSent, at: now)
            // The end of a write, and of every buffer of more than one segment.
            segment.pushes = rest == 0 && (isLast || octets > segmentSize)
            result.append(segment)
        }
        noteUse(isLimiting: congestion.window <= sent.inFlight)
        return result
    }

    /// Counts a segment as sent.
    private mutating func send(_ length: Int, fin: Bool, at now: Nanoseconds) -> SegmentToSend {
        let start = next
        next &+= UInt32(length) &+ (fin ? 1 : 0)
        if length > 0, length < segmentSize { smallEnd = next }
        if fin {
            finSent = true
            state = state == .established ? .finWait1 : .lastAck
        }
        let wasEmpty = sent.isEmpty
        sent.append((start, next), burst: bursts, at: now)
        congestion.sent()
        if length > 0 { lastSent = now }
        if !setLossProbe(at: now, afterSending: true), wasEmpty || timer == nil {
            setTimer(.retransmission, after: roundTrip.timeout, at: now)
        }
        return SegmentToSend(start: start, length: length, fin: fin)
    }

    private mutating func noteUse(isLimiting: Bool) {
        congestion.used(
            inFlight: sent.inFlight, isLimiting: isLimiting, unacknowledged: unacknowledged, next: next)
    }

    /// Better one large buffer a little later than a small one now (tcp_tso_should_defer).
    private func waits(room: Int, _ most: Int, at now: Nanoseconds) -> Bool {
        guard congestion.state == .open, sent.arrived == 0, let first = sent.first, now - lastSent <= 1_000_000 else {
            return false
        }
        if room >= most * segmentSize { return false }
        let share = min(Int(peerWindow), congestion.window * segmentSize) / 3
        if room >= share { return false }
        // The next acknowledgment would come too late.
        return now - first.sentAt >= roundTrip.smoothed / 2
    }

    /// One segment of new data, whatever the congestion window says.
    mutating func probeWithNewData(at now: Nanoseconds) -> SegmentToSend {
        let available = sendBuffer.count - Int(underWay)
        let length = min(available, segmentSize)
        var segment = send(length, fin: length == available && wantsClose && !finSent, at: now)
        segment.pushes = length == available
        return segment
    }

    // MARK: again

    /// Lost segments that may leave now: neighbors of one buffer together.
    mutating func nextLost(at now: Nanoseconds) -> [SegmentToSend] {
        var room = congestion.window - sent.inFlight
        guard congestion.state != .open, sent.lost > 0, room > 0 else { return [] }
        // New data went first, and its acknowledgment decides (F-RTO).
        if recovery.doubtsTimeout, isBefore(congestion.recoveryEnd, next) { return [] }
        var result: [SegmentToSend] = []
        var burst: UInt32?
        for index in 0..<sent.count {
            let segment = sent[index]
            guard segment.isLost, !segment.isUnderWayAgain else {
                if burst != nil { break }
                continue
            }
            if let burst, burst != segment.burst || room == 0 { break }
            burst = segment.burst
            room -= 1
            result.append(repeated(index, at: now))
            if index == 0 { setTimer(.retransmission, after: roundTrip.timeout, at: now) }
            if room == 0 { break }
        }
        if result.count > 1 { result[result.count - 1].pushes = true }
        return result
    }

    /// A segment under way, to leave once more.
    mutating func repeated(_ index: Int, at now: Nanoseconds) -> SegmentToSend {
        let segment = sent[index]
        sent.sendAgain(index, at: now)
        congestion.sent()
        let fin = finEnd == segment.end
        let length = Int(segment.end &- segment.start) - (fin ? 1 : 0)
        let isLast = Int(segment.start &- unacknowledged) + length == sendBuffer.count
        return SegmentToSend(start: segment.start, length: length, pushes: isLast && length > 0, fin: fin)
    }

    /// What arrived, as the next segment tells it.
    mutating func tellOfArrivals(sendsData: Bool, at now: Nanoseconds) -> Arrivals {
        let window = receiving.field(expected: expected, scale: windowScale)
        let blocks = usesSACK ? outOfOrder.takeBlocks(limit: usesTimestamps ? 3 : 4) : []
        acknowledgments.sent()
        if sendsData { acknowledgments.dataSent(at: now) }
        return Arrivals(
            window: window, expected: expected, blocks: blocks, usesTimestamps: usesTimestamps,
            timestampOffset: timestampOffset, recentTimestamp: recentTimestamp)
    }

    private mutating func setWindowProbe(at now: Nanoseconds) {
        if timer == nil { setTimer(.windowProbe, after: roundTrip.timeout, at: now) }
    }
}

/// What a segment tells of the other direction.
struct Arrivals: Sendable {
    var window: UInt16
    var expected: UInt32
    var blocks: [SACKBlock]
    var usesTimestamps: Bool
    var timestampOffset: UInt32
    var recentTimestamp: UInt32
}
