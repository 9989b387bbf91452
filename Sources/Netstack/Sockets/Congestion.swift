// How many segments may be under way: ten at first, slow start, CUBIC, and proportional rate reduction while losses are
// repaired. Mirrors net/ipv4/tcp_cong.c, tcp_cubic.c and the window's part of tcp_input.c (RFC 9438, RFC 6937).
// Simplified: HyStart is left out, since it judges by times that kernels here do not take; nothing is undone.

/// The congestion window of a connection.
struct Congestion: Sendable {
    /// What the sender thinks of the path (tcp_ca_state).
    enum State: Sendable {
        /// All is well; Linux tells Open and Disorder apart, which changes nothing here.
        case open
        /// Losses are repaired while acknowledgments come.
        case recovery
        /// The retransmission timer has fired.
        case loss
    }

    static let initialWindow = 10

    private(set) var state = State.open
    private(set) var window = Congestion.initialWindow
    private(set) var threshold = Int.max
    /// Recovery ends when everything up to here is acknowledged.
    private(set) var recoveryEnd: UInt32 = 0

    // Proportional rate reduction.
    private var windowBefore = 0
    private var delivered = 0
    private var sentInRecovery = 0

    // Whether the window is what holds the sender back (tcp_cwnd_validate).
    private var isLimiting = false
    private var mostInFlight = 0
    private var usageEnd: UInt32 = 0

    // CUBIC.
    private var lastMaximum = 0
    private var epochStart: Nanoseconds?
    private var origin = 0
    private var timeToOrigin: Nanoseconds = 0
    private var acknowledgedInRound = 0
    private var friendlyWindow = 0
    private var friendlyAcknowledged = 0

    var isInSlowStart: Bool { window < threshold }

    // MARK: growing

    /// How far a transmission used the window.
    mutating func used(inFlight: Int, isLimiting limits: Bool, unacknowledged: UInt32, next: UInt32) {
        if !isBefore(unacknowledged, usageEnd) || inFlight > mostInFlight || !isLimiting && limits {
            (isLimiting, mostInFlight, usageEnd) = (limits, inFlight, next)
        }
    }

    /// Segments were acknowledged while nothing is wrong (tcp_cong_avoid).
    mutating func acknowledged(_ count: Int, roundTrip: Nanoseconds, at now: Nanoseconds) {
        guard isLimiting || isInSlowStart && window < 2 * mostInFlight else { return }
        var count = count
        if isInSlowStart {
            let grown = min(window + count, threshold)
            count -= grown - window
            window = grown
        }
        guard count > 0 else { return }
        let pace = cubicPace(count, roundTrip: roundTrip, at: now)
        acknowledgedInRound += count
        if acknowledgedInRound >= pace {
            window += acknowledgedInRound / pace
            acknowledgedInRound %= pace
        }
    }

    /// How many acknowledged segments earn one more (bictcp_update): the cubic function of the time since the last
    /// loss, or what Reno would do when that is more.
    private mutating func cubicPace(_ count: Int, roundTrip: Nanoseconds, at now: Nanoseconds) -> Int {
        friendlyAcknowledged += count
        if epochStart == nil {
            epochStart = now
            friendlyAcknowledged = count
            friendlyWindow = window
            if lastMaximum <= window {
                (timeToOrigin, origin) = (0, window)
            } else {
                origin = lastMaximum
                // K is the cube root of (Wmax - cwnd) / 0.4 seconds.
                timeToOrigin = Self.cubeRoot(Int64(lastMaximum - window) * 2_500_000_000) * 1_000_000
            }
        }
        let elapsed = now - (epochStart ?? now) + roundTrip
        let milliseconds = min(abs(elapsed - timeToOrigin) / 1_000_000, 1_000_000)
        let distance = Int(4 * milliseconds * milliseconds * milliseconds / 10_000_000_000)
        let target = elapsed < timeToOrigin ? origin - distance : origin + distance
        var pace = target > window ? window / (target - window) : 100 * window
        if lastMaximum == 0 { pace = min(pace, 20) }
        // Reno with a factor of 0.7 gains 3 * 0.3 / 1.7 segments a round trip.
        let step = max(window * 15 / 8, 1)
        while friendlyAcknowledged > step {
            friendlyAcknowledged -= step
            friendlyWindow += 1
        }
        if friendlyWindow > window { pace = min(pace, window / (friendlyWindow - window)) }
        return max(pace, 2)
    }

    private static func cubeRoot(_ value: Int64) -> Int64 {
        var low: Int64 = 0
        var high: Int64 = 2_000_000
        while low < high {
            let middle = (low + high + 1) / 2
            if middle * middle * middle <= value { low = middle } else { high = middle - 1 }
        }
        return low
    }

    // MARK: shrinking

    private mutating func reduceThreshold() {
        windowBefore = window
        lastMaximum = window < lastMaximum ? window * 17 / 20 : window
        epochStart = nil
        threshold = max(window * 7 / 10, 2)
    }

    /// Something is lost, and acknowledgments still come (tcp_enter_recovery).
    mutating func enterRecovery(until next: UInt32) {
        if state == .open { reduceThreshold() }
        (delivered, sentInRecovery) = (0, 0)
        recoveryEnd = next
        state = .recovery
    }

    /// While losses are repaired the window follows what was delivered (tcp_cwnd_reduction).
    mutating func repair(delivered count: Int, newlyLost: Int, hasProgress: Bool, inFlight: Int) {
        guard state == .recovery, count > 0, windowBefore > 0 else { return }
        let room = threshold - inFlight
        delivered += count
        var sends: Int
        if room < 0 {
            sends = (threshold * delivered + windowBefore - 1) / windowBefore - sentInRecovery
        } else {
            sends = max(delivered - sentInRecovery, count)
            if hasProgress, newlyLost == 0 { sends += 1 }
            sends = min(room, sends)
        }
        // The first one leaves in any case.
        sends = max(sends, sentInRecovery > 0 ? 0 : 1)
        window = max(inFlight + sends, 1)
    }

    /// A segment leaves.
    mutating func sent() { if state == .recovery { sentInRecovery += 1 } }

    /// Nobody answered (tcp_enter_loss).
    mutating func enterLoss(until next: UInt32, inFlight: Int) {
        if state == .open { reduceThreshold() }
        window = inFlight + 1
        recoveryEnd = next
        state = .loss
    }

    /// Segments turned out too large for the path: they are lost, but not to congestion (tcp_simple_retransmit).
    mutating func resend(until next: UInt32) {
        guard state != .loss else { return }
        recoveryEnd = next
        state = .loss
    }

    /// Everything sent before the loss has arrived.
    mutating func recovered() {
        if state == .recovery { window = threshold }
        state = .open
    }

    /// A probe repaired the loss of the last segment (tcp_process_tlp_ack).
    mutating func reduceOnce() {
        guard state == .open else { return }
        reduceThreshold()
        window = threshold
    }

    /// After a pause the path is no longer known (tcp_cwnd_restart).
    mutating func restart(after idle: Nanoseconds, timeout: Nanoseconds) {
        if threshold != Int.max { threshold = max(threshold, window / 2 + window / 4) }
        let least = min(Self.initialWindow, window)
        var rest = idle - timeout
        while rest > 0, window > least {
            window /= 2
            rest -= timeout
        }
        window = max(window, least)
        (mostInFlight, isLimiting) = (0, false)
    }
}
