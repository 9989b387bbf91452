// What a connection has sent and nobody acknowledged, segment by segment, with what is known of each: the
// retransmission queue and its scoreboard (tcp_rtx_queue, TCP_SKB_CB(skb)->sacked). Linux keeps several segments in one
// buffer and splits it when their fates differ; here each stands alone, and `burst` tells which left together.

/// One segment under way.
struct SentSegment: BitwiseCopyable, Sendable {
    var start: UInt32
    /// The number behind it, a FIN counted.
    var end: UInt32
    var sentAt: Nanoseconds
    /// Counts transmissions, since many leave at one instant.
    var order: UInt32
    /// Segments that left as one buffer share a number.
    var burst: UInt32
    /// The peer has it, out of order (SACK).
    var hasArrived = false
    var isLost = false
    /// Sent again and not yet thought lost again.
    var isUnderWayAgain = false
    var wasSentAgain = false
}

/// What an acknowledgment covered.
struct AcknowledgedSegments {
    var count = 0
    /// When the first one that was sent only once left.
    var firstSent: Nanoseconds?
    var includesSentAgain = false
    /// Of the ones covered, the one sent last.
    var latest: SentSegment?

    mutating func note(_ segment: SentSegment) {
        count += 1
        if segment.wasSentAgain {
            includesSentAgain = true
        } else if firstSent == nil {
            firstSent = segment.sentAt
        }
        if latest.map({ segment.left(after: $0) }) ?? true { latest = segment }
    }
}

extension SentSegment {
    /// Order of sending (tcp_rack_sent_after).
    func left(after other: SentSegment) -> Bool { isBefore(other.order, order) }
}

/// The segments under way, oldest first.
struct SentSegments: Sendable {
    private var segments: [SentSegment] = []
    /// Those before are acknowledged.
    private var head = 0
    private(set) var arrived = 0
    private(set) var lost = 0
    private(set) var underWayAgain = 0
    private var transmissions: UInt32 = 0

    var count: Int { segments.count - head }
    var isEmpty: Bool { count == 0 }
    /// How many are thought to be in the network (tcp_packets_in_flight).
    var inFlight: Int { count - arrived - lost + underWayAgain }
    var first: SentSegment? { isEmpty ? nil : segments[head] }
    var last: SentSegment? { isEmpty ? nil : segments.last }

    subscript(_ index: Int) -> SentSegment { segments[head + index] }

    /// A segment leaves for the first time.
    mutating func append(_ range: (start: UInt32, end: UInt32), burst: UInt32, at now: Nanoseconds) {
        transmissions &+= 1
        segments.append(
            SentSegment(start: range.start, end: range.end, sentAt: now, order: transmissions, burst: burst))
    }

    private mutating func uncount(_ segment: SentSegment) {
        if segment.hasArrived { arrived -= 1 }
        if segment.isLost { lost -= 1 }
        if segment.isUnderWayAgain { underWayAgain -= 1 }
    }

    /// Forgets what lies before `number`. Segments that were known to have arrived count no more.
    mutating func acknowledge(_ number: UInt32) -> AcknowledgedSegments {
        var result = AcknowledgedSegments()
        while head < segments.count, !isBefore(number, segments[head].end) {
            let segment = segments[head]
            uncount(segment)
            if segment.hasArrived {
                result.includesSentAgain = result.includesSentAgain || segment.wasSentAgain
            } else {
                result.note(segment)
            }
            head += 1
        }
        if head < segments.count, isBefore(segments[head].start, number) { segments[head].start = number }
        if head == segments.count {
            segments.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 1024, head * 2 > segments.count {
            segments.removeFirst(head)
            head = 0
        }
        return result
    }

    /// Notes the segments a SACK block tells of.
    mutating func note(_ left: UInt32, _ right: UInt32, _ result: inout AcknowledgedSegments) {
        var low = head
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(segments[middle].start, left) { low = middle + 1 } else { high = middle }
        }
        while low < segments.count, !isBefore(right, segments[low].end) {
            if !segments[low].hasArrived {
                uncount(segments[low])
                result.note(segments[low])
                segments[low].hasArrived = true
                segments[low].isLost = false
                segments[low].isUnderWayAgain = false
                arrived += 1
            }
            low += 1
        }
    }

    /// Thinks a segment lost, or its retransmission.
    mutating func lose(_ index: Int) {
        let place = head + index
        if segments[place].isUnderWayAgain {
            segments[place].isUnderWayAgain = false
            underWayAgain -= 1
        }
        if !segments[place].isLost {
            segments[place].isLost = true
            lost += 1
        }
    }

    /// Everything the peer has not told of is lost (tcp_enter_loss).
    mutating func loseAll() {
        for index in 0..<count where !self[index].hasArrived { lose(index) }
    }

    /// A segment leaves again.
    mutating func sendAgain(_ index: Int, at now: Nanoseconds) {
        let place = head + index
        transmissions &+= 1
        segments[place].order = transmissions
        segments[place].sentAt = now
        segments[place].wasSentAgain = true
        if segments[place].isLost || segments[place].isUnderWayAgain {
            if !segments[place].isUnderWayAgain { underWayAgain += 1 }
            segments[place].isUnderWayAgain = true
        } else {
            // A probe: nobody has said that it is lost.
            segments[place].isUnderWayAgain = true
            underWayAgain += 1
        }
    }

    /// Cuts all segments to a smaller size; those that were larger are lost (tcp_simple_retransmit). What left together
    /// is still one buffer and is cut as one; a small segment at its end has passed, as its SACK will tell.
    mutating func cut(to size: UInt32, finEnd: UInt32?) {
        func payloadEnd(_ segment: SentSegment) -> UInt32 { segment.end == finEnd ? segment.end &- 1 : segment.end }
        func isTooLarge(_ segment: SentSegment) -> Bool {
            payloadEnd(segment) &- segment.start > size && !segment.hasArrived
        }
        var result: [SentSegment] = []
        var index = 0
        while index < count {
            var segment = self[index]
            index += 1
            guard isTooLarge(segment) else {
                result.append(segment)
                continue
            }
            while index < count, self[index].burst == segment.burst, isTooLarge(self[index]) {
                segment.end = self[index].end
                index += 1
            }
            let payloadEnd = payloadEnd(segment)
            var start = segment.start
            while start != segment.end {
                var piece = segment
                piece.start = start
                piece.end = payloadEnd &- start > size ? start &+ size : segment.end
                (piece.isLost, piece.isUnderWayAgain) = (true, false)
                start = piece.end
                result.append(piece)
            }
        }
        segments = result
        head = 0
        lost = result.count { $0.isLost }
        underWayAgain = result.count { $0.isUnderWayAgain }
    }
}
