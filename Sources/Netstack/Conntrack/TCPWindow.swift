// The sequence windows of a tracked TCP connection: a segment far from what both ends have said of sequence numbers and
// windows is not believed. Mirrors tcp_in_window, tcp_new, tcp_options and tcp_sack of
// net/netfilter/nf_conntrack_proto_tcp.c, after "Real Stateful TCP Packet Filtering in IP Filter" by Guido van Rooij.

internal import Wire

/// What one end has shown (struct ip_ct_tcp_state).
struct TCPTrackedEnd: BitwiseCopyable, Sendable {
    /// The number behind the last octet it has sent.
    var end: UInt32 = 0
    /// The number it may send up to.
    var limit: UInt32 = 0
    /// The largest window it has offered; 0 before its first segment.
    var window: UInt32 = 0
    var highestAcknowledgment: UInt32?
    var scale: UInt8 = 0
    var hasScale = false
    var permitsSACK = false
    var isLiberal = false
    var beganClose = false
    var hasUnacknowledgedData = false
}

/// What is known of a TCP connection (struct ip_ct_tcp).
struct TCPTracking: BitwiseCopyable, Sendable {
    var state = TCPTrackingState.none
    var seen = (original: TCPTrackedEnd(), reply: TCPTrackedEnd())
    // The last segment.
    var lastKind = TCPSegmentKind.none
    var lastIsReply = false
    var lastSequence: UInt32 = 0
    var lastAcknowledgment: UInt32 = 0
    var lastEnd: UInt32 = 0
    var lastWindow: UInt16 = 0
    var lastScale: UInt8 = 0
    var lastHasScale = false
    var lastPermitsSACK = false
    var expectsChallenge = false
    var isSimultaneous = false
    /// How often the last segment came.
    var retransmissions = 0

    subscript(_ isReply: Bool) -> TCPTrackedEnd {
        get { isReply ? seen.reply : seen.original }
        set { if isReply { seen.reply = newValue } else { seen.original = newValue } }
    }
}

/// The fields of a segment that tracking looks at.
struct TrackedSegment: BitwiseCopyable {
    var flags: TCPFlags
    var kind: TCPSegmentKind
    var sequence: UInt32
    var acknowledgment: UInt32
    /// The number behind its last octet, SYN and FIN counted.
    var end: UInt32
    var window: UInt16
    /// Of a SYN.
    var windowScale: UInt8?
    var permitsSACK = false
    /// The highest end of the blocks a SACK option tells of.
    var highestSACK: UInt32?

    /// Nil for a segment that is cut or whose flags make no sense (tcp_error).
    init?(_ packet: Packet, transport: Int, in arena: borrowing PacketArena) {
        guard packet.length >= transport + TCPHeader.length else { return nil }
        let headerLength = Int(arena.load8(packet, transport + 12) >> 4) * 4
        guard headerLength >= TCPHeader.length, packet.length >= transport + headerLength else { return nil }
        flags = TCPFlags(rawValue: arena.load8(packet, transport + 13))
        kind = TCPSegmentKind(flags)
        guard kind != .none else { return nil }
        sequence = arena.load32(packet, transport + 4)
        acknowledgment = arena.load32(packet, transport + 8)
        window = arena.load16(packet, transport + 14)
        var length = packet.length - transport - headerLength
        if flags.contains(.syn) { length += 1 }
        if flags.contains(.fin) { length += 1 }
        end = sequence &+ UInt32(truncatingIfNeeded: length)
        if headerLength > TCPHeader.length {
            readOptions(packet, transport + TCPHeader.length, transport + headerLength, in: arena)
        }
    }

    private mutating func readOptions(
        _ packet: Packet, _ start: Int, _ end: Int, in arena: borrowing PacketArena
    ) {
        // Most segments carry a time stamp alone: no-operation twice, then kind 8 of length 10.
        if end - start == 12, arena.load32(packet, start) == 0x0101_080a { return }
        var position = start
        while position < end {
            let kind = arena.load8(packet, position)
            if kind == 0 { return }
            if kind == 1 {
                position += 1
                continue
            }
            guard position + 1 < end else { return }
            let length = Int(arena.load8(packet, position + 1))
            guard length >= 2, position + length <= end else { return }
            switch kind {
            case 3 where length == 3 && flags.contains(.syn):
                windowScale = min(arena.load8(packet, position + 2), 14)
            case 4 where length == 2 && flags.contains(.syn): permitsSACK = true
            case 5 where length >= 10 && (length - 2) % 8 == 0:
                for block in stride(from: position + 2, to: position + length, by: 8) {
                    let right = arena.load32(packet, block + 4)
                    if let highest = highestSACK, !isBefore(highest, right) { continue }
                    highestSACK = right
                }
            default: break
            }
            position += length
        }
    }
}

extension TCPTracking {
    /// The smallest distance an acknowledgment may lie behind (MAXACKWINCONST).
    private static let acknowledgmentWindow: UInt32 = 66_000

    enum WindowVerdict {
        case accept, ignore, invalid
    }

    /// The first segment of an entry. False when no connection can begin with it (tcp_new).
    mutating func begin(_ segment: TrackedSegment, isLoose: Bool) -> Bool {
        guard case .to(let first) = tcpTransition(.none, segment.kind, isReply: false) else { return false }
        self = TCPTracking()
        seen.original.end = segment.end
        seen.original.window = UInt32(max(segment.window, 1))
        if first == .synSent {
            seen.original.limit = segment.end
            seen.original.readOptions(of: segment)
        } else {
            // In the middle of a connection whose history nobody knows.
            guard isLoose else { return false }
            seen.original.limit = segment.end &+ seen.original.window
            for isReply in [false, true] {
                self[isReply].permitsSACK = true
                self[isReply].isLiberal = true
            }
        }
        return true
    }

    /// Whether the segment fits what is known, which it then adds to (tcp_in_window).
    mutating func isInWindow(_ segment: TrackedSegment, isReply: Bool, isLiberal: Bool) -> WindowVerdict {
        var sender = self[isReply]
        var receiver = self[!isReply]
        defer {
            self[isReply] = sender
            self[!isReply] = receiver
        }
        let isSYN = segment.flags.contains(.syn)
        var (sequence, end) = (segment.sequence, segment.end)
        var acknowledgment = segment.acknowledgment
        var selective = acknowledgment
        if receiver.permitsSACK, let highest = segment.highestSACK, isBefore(selective, highest) {
            selective = highest
        }
        if sender.window == 0 {
            if isSYN {
                Self.begin(&sender, &receiver, segment, isReply: isReply)
                if !segment.flags.contains(.ack) { return .accept }
            } else {
                sender.end = end
                sender.window = max(UInt32(segment.window) << UInt32(sender.scale), 1)
                sender.limit = end &+ sender.window
                if receiver.window == 0 {
                    (receiver.end, receiver.limit) = (selective, selective)
                } else if selective == receiver.end &+ 1 {
                    receiver.end &+= 1
                }
            }
        } else if isSYN, isBefore(sender.end, end), state == .synSent || state == .synReceived {
            Self.begin(&sender, &receiver, segment, isReply: isReply)
            if isReply, !segment.flags.contains(.ack) { return .accept }
        }
        if !segment.flags.contains(.ack) || segment.flags.contains(.rst) && acknowledgment == 0 {
            (acknowledgment, selective) = (receiver.end, receiver.end)
        }
        if segment.flags.contains(.rst), sequence == 0, state == .synSent { (sequence, end) = (sender.end, sender.end) }

        let tolerated = isLiberal || sender.isLiberal
        let lowest = receiver.end &- max(sender.window, Self.acknowledgmentWindow) &- 1
        let reachesWindow = isBefore(sender.end &- receiver.window &- 1, end)
        if !isBefore(sequence, sender.limit &+ 1) {
            let overshot = end &- sender.limit &+ 1
            if receiver.window != 0, reachesWindow, isBefore(lowest, selective), overshot <= receiver.window,
                isBefore(selective, receiver.end &+ 1)
            {
                // More than the receiver allowed: its acknowledgment must not look wrong later.
                sender.end = end
                sender.hasUnacknowledgedData = true
                return tolerated ? .accept : .ignore
            }
            return tolerated ? .accept : .invalid
        }
        if !isBefore(selective, receiver.end &+ 1) { return tolerated ? .accept : .invalid }
        if receiver.window != 0, !reachesWindow { return tolerated ? .accept : .ignore }
        if !isBefore(lowest, selective) { return tolerated ? .accept : .ignore }

        let window = isSYN ? UInt32(segment.window) : UInt32(segment.window) << UInt32(sender.scale)
        sender.window = max(sender.window, window &+ (selective &- acknowledgment))
        if isBefore(sender.end, end) {
            sender.end = end
            sender.hasUnacknowledgedData = true
        }
        if segment.flags.contains(.ack) {
            let highest = sender.highestAcknowledgment
            if highest.map({ isBefore($0, acknowledgment) }) ?? true { sender.highestAcknowledgment = acknowledgment }
        }
        if receiver.window != 0, isBefore(sender.limit, end) { receiver.window &+= end &- sender.limit }
        if isBefore(receiver.limit &- 1, selective &+ window) {
            receiver.limit = selective &+ window
            if window == 0 { receiver.limit &+= 1 }
        }
        if acknowledgment == receiver.end { receiver.hasUnacknowledgedData = false }
        if segment.kind == .ack { countRetransmission(segment, sequence, acknowledgment, end, isReply: isReply) }
        return .accept
    }

    /// A SYN begins, or begins again, what is known of its sender (tcp_init_sender).
    private static func begin(
        _ sender: inout TCPTrackedEnd, _ receiver: inout TCPTrackedEnd, _ segment: TrackedSegment, isReply: Bool
    ) {
        (sender.end, sender.limit) = (segment.end, segment.end)
        sender.window = UInt32(max(segment.window, 1))
        sender.readOptions(of: segment)
        // Both ends must ask for it (RFC 7323).
        if isReply, !sender.hasScale || !receiver.hasScale { (sender.scale, receiver.scale) = (0, 0) }
    }

    private mutating func countRetransmission(
        _ segment: TrackedSegment, _ sequence: UInt32, _ acknowledgment: UInt32, _ end: UInt32, isReply: Bool
    ) {
        if lastIsReply == isReply, lastSequence == sequence, lastAcknowledgment == acknowledgment, lastEnd == end,
            lastWindow == segment.window
        {
            retransmissions += 1
            return
        }
        lastIsReply = isReply
        (lastSequence, lastAcknowledgment, lastEnd, lastWindow) = (sequence, acknowledgment, end, segment.window)
        retransmissions = 0
    }
}

extension TCPTrackedEnd {
    /// tcp_options: what a SYN agrees on.
    fileprivate mutating func readOptions(of segment: TrackedSegment) {
        let (end, limit, window, isLiberal) = (end, limit, window, isLiberal)
        self = TCPTrackedEnd()
        (self.end, self.limit, self.window, self.isLiberal) = (end, limit, window, isLiberal)
        scale = segment.windowScale ?? 0
        hasScale = segment.windowScale != nil
        permitsSACK = segment.permitsSACK
    }
}
