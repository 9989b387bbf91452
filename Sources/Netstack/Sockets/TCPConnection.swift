// The state of one TCP connection (RFC 9293) with Linux's choices: option layout, initial windows, one-millisecond
// time stamps, immediate acknowledgment of data and delayed acknowledgment of FIN, retransmission times. Mirrors
// net/ipv4/tcp_*.c as far as a request and its answer need; congestion control is a fixed initial window that grows
// by what is acknowledged (slow start).

internal import Addressing
internal import Wire

/// The connection states of RFC 9293 section 3.3.2, in Linux's words.
enum TCPState: Sendable {
    case synSent, synReceived, established, finWait1, finWait2, closeWait, closing, lastAck, timeWait
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
    /// Segments that may be under way.
    var congestionWindow = 10

    // Receiving.
    var expected: UInt32 = 0
    var outOfOrder: [(sequence: UInt32, octets: [UInt8], fin: Bool)] = []
    /// Octets we offer to receive.
    var receiveWindow: UInt32
    /// The bound of the above: what the receive buffer's share for data allows.
    var receiveLimit: UInt32
    var windowScale: UInt8 = 10
    var advertisedSegmentSize: UInt16

    // Time stamps (RFC 7323).
    var usesTimestamps = true
    var usesSACK = true
    var timestampOffset: UInt32
    var recentTimestamp: UInt32 = 0

    // Timers.
    var retransmissionTimeout: Nanoseconds = 1_000_000_000
    var smoothedRoundTrip: Nanoseconds = 0
    var roundTripVariance: Nanoseconds = 0
    var retransmissions = 0
    var retransmissionGeneration: UInt32 = 0
    var delayedAcknowledgment: UInt32 = 0
    var owesAcknowledgment = false
    /// When the oldest segment under way was first sent; nil when retransmitted, whose times prove nothing.
    var timedSequence: (sequence: UInt32, sent: Nanoseconds)?

    init(
        state: TCPState, initialSequence: UInt32, advertisedSegmentSize: UInt16, receiveWindow: UInt32,
        timestampOffset: UInt32
    ) {
        self.state = state
        self.initialSequence = initialSequence
        unacknowledged = initialSequence
        next = initialSequence
        self.advertisedSegmentSize = advertisedSegmentSize
        self.receiveWindow = receiveWindow
        // tcp_rmem's default of 131072, half of it for data.
        receiveLimit = 65_536
        self.timestampOffset = timestampOffset
    }

    /// The window field of a segment behind the handshake.
    var windowField: UInt16 {
        UInt16(clamping: (receiveWindow + (1 << windowScale) - 1) >> windowScale)
    }

    /// The window of a SYN: whole segments within 65535 octets (tcp_select_initial_window). A SYN-ACK counts segments
    /// without their time stamps.
    static func initialWindow(segmentSize: UInt16, answersTimestamps: Bool) -> UInt32 {
        let size = UInt32(segmentSize) - (answersTimestamps ? 12 : 0)
        guard size > 0 else { return 65_535 }
        return size > 65_535 ? 65_535 : 65_535 / size * size
    }

    /// Something is to come yet: an acknowledgment of what was sent, or one that is owed.
    var isUnsettled: Bool { underWay > 0 || owesAcknowledgment }

    /// Bytes under way, SYN and FIN counted as one each.
    var underWay: UInt32 { next &- unacknowledged }

    /// Takes a round trip's measure (RFC 6298 with Linux's floor of 200 ms).
    mutating func measure(_ roundTrip: Nanoseconds) {
        if smoothedRoundTrip == 0 {
            smoothedRoundTrip = max(roundTrip, 1)
            roundTripVariance = roundTrip / 2
        } else {
            roundTripVariance = (3 * roundTripVariance + abs(smoothedRoundTrip - roundTrip)) / 4
            smoothedRoundTrip = (7 * smoothedRoundTrip + roundTrip) / 8
        }
        retransmissionTimeout = smoothedRoundTrip + max(4 * roundTripVariance, 200_000_000)
    }
}

/// Whether sequence number `left` comes before `right`, modulo 2^32.
func isBefore(_ left: UInt32, _ right: UInt32) -> Bool { Int32(bitPattern: left &- right) < 0 }
