// The state of one TCP connection (RFC 9293) with Linux's choices. Mirrors struct tcp_sock: what was sent is in
// SentSegments, how much may be in Congestion, what is done about losses in Recovery, what arrives in ReceiveWindow.

internal import Addressing
internal import Wire

/// The connection states of RFC 9293 section 3.3.2, in Linux's words.
enum TCPState: Sendable {
    case synSent, synReceived, established, finWait1, finWait2, closeWait, closing, lastAck, timeWait

    /// Data may be sent.
    var isOpenForSending: Bool { self == .established || self == .closeWait }
}

/// One connection.
struct TCPConnection: Sendable {
    var state: TCPState

    // Sending.
    var initialSequence: UInt32
    var unacknowledged: UInt32
    var next: UInt32
    /// Octets not yet acknowledged, the first at `unacknowledged` (after the SYN).
    var sendBuffer = SendBuffer()
    var wantsClose = false
    var finSent = false
    /// Payload octets per segment.
    var segmentSize = 536
    var peerWindow: UInt32 = 0
    var peerWindowScale: UInt8 = 0
    /// The largest window the peer has offered.
    var largestPeerWindow: UInt32 = 0
    /// The segment that last told of the window.
    var windowUpdate: UInt32 = 0
    /// Where the last segment that was not full ends; a second one waits for its acknowledgment (tcp_minshall_check).
    var smallEnd: UInt32?
    var sent = SentSegments()
    var bursts: UInt32 = 0
    var congestion = Congestion()
    var recovery = Recovery()
    var lastSent: Nanoseconds = 0

    // Receiving.
    var expected: UInt32 = 0
    var outOfOrder = OutOfOrderQueue()
    var receiving: ReceiveWindow
    var acknowledgments = AcknowledgmentPolicy()
    var windowScale: UInt8
    var advertisedSegmentSize: UInt16
    /// What the application has not read.
    var unread: [[UInt8]] = []
    var endIsUnread = false
    /// The packet that brought the last of it, and when.
    var newsFrom: UInt32 = 0
    var newsAt: Nanoseconds = 0
    /// The application is on its way to read.
    var isWoken = false

    // Time stamps (RFC 7323).
    var usesTimestamps = true
    var usesSACK = true
    var timestampOffset: UInt32
    var recentTimestamp: UInt32 = 0

    // Timers.
    var roundTrip = RoundTrip()
    var timer: TransportTimer?
    /// When the event for `timer` comes; earlier than its deadline when that has moved since.
    var scheduledTimer: Nanoseconds?
    var retransmissions = 0
    var timeWaitGeneration: UInt32 = 0
    /// SO_KEEPALIVE
    var sendsKeepalives = false
    var keepaliveProbes = 0
    var lastHeard: Nanoseconds = 0
    /// When the SYN or SYN-ACK left; nil when it was sent again, whose times prove nothing.
    var handshakeSent: Nanoseconds?

    /// Acknowledgments that wait until the application lets go of the socket (sk_backlog).
    var backlog: [TCPHeader] = []
    /// The application is still at work on what it sends.
    var isOwned = false
    /// It waits to hear that its octets were taken.
    var reportsWritten = false

    init(
        state: TCPState, initialSequence: UInt32, advertisedSegmentSize: UInt16, answersTimestamps: Bool,
        timestampOffset: UInt32, _ sysctls: Sysctls
    ) {
        self.state = state
        self.initialSequence = initialSequence
        unacknowledged = initialSequence
        next = initialSequence &+ 1
        self.advertisedSegmentSize = advertisedSegmentSize
        receiving = ReceiveWindow(
            segmentSize: advertisedSegmentSize, answersTimestamps: answersTimestamps, sysctls)
        windowScale = sysctls.tcpReceiveMemory.windowScale
        self.timestampOffset = timestampOffset
    }

    /// Something is to come yet: an acknowledgment of what was sent, or one that is owed.
    var isUnsettled: Bool {
        underWay > 0 || !sendBuffer.isEmpty || acknowledgments.isOwed || isWoken || isOwned
    }

    /// Octets under way, SYN and FIN counted as one each.
    var underWay: UInt32 { next &- unacknowledged }

    /// The number behind the FIN, once that is sent.
    var finEnd: UInt32? { finSent ? next : nil }
}

/// The one timer of what was sent (icsk_retransmit_timer).
struct TransportTimer: Sendable {
    enum Kind: Sendable {
        case retransmission
        /// A probe for the loss of the last segment (RFC 8985 section 7).
        case lossProbe
        /// What may only have been reordered is lost by now.
        case reordering
        /// The peer's window is shut.
        case windowProbe
    }

    var kind: Kind
    var deadline: Nanoseconds
}

/// Round trips measured, and the retransmission timeout that follows (RFC 6298 with Linux's floor of 200 ms).
struct RoundTrip: Sendable {
    static let leastTimeout: Nanoseconds = 200_000_000
    static let mostTimeout: Nanoseconds = 120_000_000_000

    private(set) var smoothed: Nanoseconds = 0
    private var variance: Nanoseconds = 0
    private(set) var least: Nanoseconds = .max
    /// Doubled by every retransmission until a new measure.
    var timeout: Nanoseconds = 1_000_000_000

    var isKnown: Bool { smoothed > 0 }

    mutating func measure(_ roundTrip: Nanoseconds) {
        let roundTrip = max(roundTrip, 1)
        least = min(least, roundTrip)
        if smoothed == 0 {
            smoothed = roundTrip
            variance = roundTrip / 2
        } else {
            variance = (3 * variance + abs(smoothed - roundTrip)) / 4
            smoothed = (7 * smoothed + roundTrip) / 8
        }
        resetTimeout()
    }

    /// Takes back what retransmissions doubled.
    mutating func resetTimeout() {
        guard isKnown else { return }
        timeout = min(smoothed + max(4 * variance, Self.leastTimeout), Self.mostTimeout)
    }

    mutating func backOff() { timeout = min(timeout * 2, Self.mostTimeout) }
}

/// Whether sequence number `left` comes before `right`, modulo 2^32.
func isBefore(_ left: UInt32, _ right: UInt32) -> Bool { Int32(bitPattern: left &- right) < 0 }
