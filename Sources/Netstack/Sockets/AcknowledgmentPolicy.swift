// When a receiver acknowledges: at once while a connection is young or something is wrong, every second segment later,
// and with the answer when request and response take turns. Mirrors inet_connection_sock's icsk_ack,
// tcp_event_data_recv, __tcp_ack_snd_check and tcp_send_delayed_ack.

/// What decides when to acknowledge.
struct AcknowledgmentPolicy: Sendable {
    static let leastDelay: Nanoseconds = 40_000_000
    static let mostDelay: Nanoseconds = 200_000_000
    private static let quickLimit = 16
    /// Duplicates that are all told of; later ones of an instant are told of together.
    private static let duplicateLimit = 3

    /// An acknowledgment is owed.
    private(set) var isOwed = false
    /// It must not wait.
    private var isUrgent = false
    /// So many are still sent at once.
    private var quick = 0
    /// Data goes both ways in turns: acknowledgments travel with it (pingpong mode).
    private(set) var takesTurns = false
    /// The pause expected between segments; nil before the first.
    private var pause: Nanoseconds?
    private(set) var lastArrival: Nanoseconds = 0
    /// Segments that ended a write, since the last acknowledgment.
    private var pushes = 0
    private var duplicates = 0
    /// Duplicates that await the end of the instant.
    private(set) var compressesDuplicates = false
    /// When the event for a delayed acknowledgment comes.
    var deadline: Nanoseconds?

    var isQuick: Bool { quick > 0 && !takesTurns }

    // MARK: what happens

    /// The handshake is over.
    mutating func connected(at now: Nanoseconds) { lastArrival = now }

    /// Data arrived in order (tcp_event_data_recv).
    mutating func dataArrived(_ window: ReceiveWindow, endsWrite: Bool, timeout: Nanoseconds, at now: Nanoseconds) {
        isOwed = true
        if endsWrite { pushes += 1 }
        let gap = now - lastArrival
        if let pause {
            if gap <= Self.leastDelay / 2 {
                self.pause = pause / 2 + Self.leastDelay / 2
            } else if gap < pause {
                self.pause = min(pause / 2 + gap, timeout)
            } else if gap > timeout {
                beQuick(window)
            }
        } else {
            beQuick(window)
            pause = Self.leastDelay
        }
        lastArrival = now
    }

    /// The offer grew, which the peer should hear of.
    mutating func windowGrew() { quick |= 1 }

    /// Something came twice, or out of the window (tcp_enter_quickack_mode).
    mutating func somethingIsWrong(_ window: ReceiveWindow) {
        beQuick(window)
        takesTurns = false
        pause = Self.leastDelay
        isOwed = true
    }

    private mutating func beQuick(_ window: ReceiveWindow) {
        let segments = max(window.offered / (2 * window.segmentSize), 2)
        quick = max(quick, min(segments, Self.quickLimit))
    }

    mutating func owe() { isOwed = true }
    mutating func mustNotWait() { (isOwed, isUrgent) = (true, true) }
    mutating func takeTurns() { takesTurns = true }

    /// Data was sent (tcp_event_data_sent).
    mutating func dataSent(at now: Nanoseconds) {
        if let pause, now - lastArrival < pause { takesTurns = true }
    }

    /// A segment told of all that arrived (tcp_event_ack_sent).
    mutating func sent() {
        if quick > 0 {
            quick -= 1
            if quick == 0 { pause = Self.leastDelay }
        }
        (isOwed, isUrgent, pushes, compressesDuplicates, deadline) = (false, false, 0, false, nil)
    }

    // MARK: what follows

    /// Whether what is owed must go out now (__tcp_ack_snd_check).
    mutating func actsNow(
        _ window: ReceiveWindow, expected: UInt32, hasUnread: Bool, hasGap: Bool, scale: UInt8
    ) -> Bool {
        guard isOwed else { return false }
        let isMoreThanOne = Int(expected &- window.offeredFrom) > window.segmentSize
        if isMoreThanOne, !hasUnread || window.available(scale: scale) >= window.offered { return true }
        if isQuick || isUrgent { return true }
        guard hasGap else {
            duplicates = 0
            return false
        }
        if duplicates < Self.duplicateLimit {
            duplicates += 1
            return true
        }
        compressesDuplicates = true
        return false
    }

    /// Whether the application's reading sends one (tcp_cleanup_rbuf).
    func actsAfterReading(_ window: ReceiveWindow, expected: UInt32) -> Bool {
        guard isOwed else { return false }
        return Int(expected &- window.offeredFrom) > window.segmentSize || pushes > (takesTurns ? 1 : 0)
    }

    /// How long the one that is owed may wait (tcp_send_delayed_ack).
    func delay(roundTrip: Nanoseconds) -> Nanoseconds {
        guard let pause, pause > Self.leastDelay else { return Self.leastDelay }
        let most = roundTrip > 0 ? min(max(roundTrip, Self.leastDelay), Self.mostDelay) : Self.mostDelay
        return min(pause, most)
    }

    /// It has waited long enough (tcp_delack_timer_handler).
    mutating func waited() {
        if takesTurns {
            takesTurns = false
            pause = Self.leastDelay
        } else if let pause {
            self.pause = min(pause * 2, 500_000_000)
        }
    }
}
