// The TCP state machine of connection tracking (net/netfilter/nf_conntrack_proto_tcp.c): which state follows from
// which segment in which direction, what is ignored or INVALID, and how long the entry lives. Sequence windows are in
// Conntrack/TCPWindow.swift. Simplified: a segment's checksum is not looked at, and there is no SYN proxy.

internal import Addressing
internal import Wire

/// The states `conntrack -L` prints.
public enum TCPTrackingState: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    case none, synSent, synReceived, established, finWait, closeWait, lastAck, timeWait, close, synSent2

    /// The word conntrack(8) prints.
    public var text: String {
        switch self {
        case .none: "NONE"
        case .synSent: "SYN_SENT"
        case .synReceived: "SYN_RECV"
        case .established: "ESTABLISHED"
        case .finWait: "FIN_WAIT"
        case .closeWait: "CLOSE_WAIT"
        case .lastAck: "LAST_ACK"
        case .timeWait: "TIME_WAIT"
        case .close: "CLOSE"
        case .synSent2: "SYN_SENT2"
        }
    }
}

/// What a segment does to a tracked connection.
enum TCPTransition: Equatable {
    case to(TCPTrackingState)
    /// Let through without a change.
    case ignore
    case invalid
}

/// The kinds of segment the state machine tells apart.
enum TCPSegmentKind: UInt8, BitwiseCopyable {
    case syn, synAck, fin, ack, rst, none

    /// PSH and the congestion bits do not count; of the others only sensible combinations do (tcp_valid_flags).
    init(_ flags: TCPFlags) {
        switch flags.intersection([.fin, .syn, .rst, .ack, .urg]) {
        case .syn, [.syn, .urg]: self = .syn
        case [.syn, .ack]: self = .synAck
        case [.fin, .ack], [.fin, .ack, .urg]: self = .fin
        case .ack, [.ack, .urg]: self = .ack
        case .rst, [.rst, .ack]: self = .rst
        default: self = .none
        }
    }
}

/// The next state. Columns are the present state in the enum's order: none, synSent, synReceived, established, finWait,
/// closeWait, lastAck, timeWait, close, synSent2.
func tcpTransition(_ state: TCPTrackingState, _ segment: TCPSegmentKind, isReply: Bool) -> TCPTransition {
    // One letter a state: S synSent, R synReceived, E established, F finWait, C closeWait, L lastAck, T timeWait,
    // X close, 2 synSent2; i ignore, ! invalid.
    let original: [StaticString] = [
        "SSiiiiiSS2", "!!R!!!!!!R", "!!FFLLLTX!", "E!EECCTTX!", "!XXXXXXXXX", "!!!!!!!!!!",
    ]
    let reply: [StaticString] = [
        "!2!!!!!S!2", "!RiiiiiiiR", "!!FFLLLTX!", "!iRECCTTXi", "!XXXXXXXXX", "!!!!!!!!!!",
    ]
    let row = (isReply ? reply : original)[Int(segment.rawValue)]
    let letter = row.withUTF8Buffer { $0[Int(state.rawValue)] }
    switch Character(UnicodeScalar(letter)) {
    case "S": return .to(.synSent)
    case "R": return .to(.synReceived)
    case "E": return .to(.established)
    case "F": return .to(.finWait)
    case "C": return .to(.closeWait)
    case "L": return .to(.lastAck)
    case "T": return .to(.timeWait)
    case "X": return .to(.close)
    case "2": return .to(.synSent2)
    case "i": return .ignore
    default: return .invalid
    }
}

extension NetworkNamespace {
    /// nf_conntrack_tcp_packet
    mutating func updateTCP(
        _ packet: Packet, _ header: NetworkHeader, _ context: inout PathContext
    ) -> TrackingVerdict {
        let id = packet.connection
        guard let segment = TrackedSegment(packet, transport: header.transport, in: context.arena) else {
            return .invalid
        }
        var tcp = connections[id].tcp
        defer { connections[id].tcp = tcp }
        let status = connections[id].status
        let isReply = packet.connectionState.isReply
        if !status.contains(.confirmed) {
            guard tcp.begin(segment, isLoose: sysctls.connectionTrackingIsLoose) else { return .invalid }
        }
        let old = tcp.state
        let outcome = tcp.follow(segment, isReply: isReply, status, sysctls)
        switch outcome {
        case .ignored: return .accept
        case .beginsAnew: return .beginsAnew
        case .invalid: return .invalid
        case .outOfWindow:
            if tcp.notesInvalid(segment.kind, isReply: isReply, status) {
                let unacknowledged = context.now + Nanoseconds(timeouts.tcpUnacknowledged) * 1_000_000_000
                if connections[id].expires >= context.now + 120_000_000_000 {
                    connections[id].expires = min(connections[id].expires, unacknowledged)
                }
            }
            return .invalid
        case .inWindow: break
        }
        var seconds = lifetime(of: tcp, after: segment.kind)
        if !status.contains(.seenReply) {
            if segment.flags.contains(.rst) {
                // When the only answer is a reset, the entry goes at once.
                connections[id].expires = context.now
                return .accept
            }
            // A SYN sent again does not keep an old entry alive.
            if segment.kind == .syn, old == .synSent { return .accept }
            // Picked up in the middle, and not yet answered.
            if tcp.state == .established { seconds = min(seconds, timeouts.tcpUnacknowledged) }
        } else if !status.contains(.assured), tcp.state == .established, old == .synReceived || old == .established {
            connections[id].status.insert(.assured)
        }
        refresh(id, seconds: seconds, context.now)
        return .accept
    }

    private var timeouts: ConnectionTimeouts { sysctls.connectionTimeouts }

    private func lifetime(of tcp: TCPTracking, after kind: TCPSegmentKind) -> Int {
        let ordinary = timeouts.tcp(tcp.state)
        if tcp.retransmissions >= sysctls.connectionTrackingMaxRetransmissions {
            return min(ordinary, timeouts.tcpRetransmitted)
        }
        if kind == .rst { return timeouts.tcpClose }
        if tcp.hasUnacknowledgedData { return min(ordinary, timeouts.tcpUnacknowledged) }
        return tcp.lastWindow == 0 ? min(ordinary, timeouts.tcpRetransmitted) : ordinary
    }
}

extension TCPTracking {
    enum Outcome {
        case inWindow
        /// Let through; neither state nor lifetime follow from it.
        case ignored
        case invalid
        case outOfWindow
        case beginsAnew
    }

    /// One segment of a connection that has begun.
    fileprivate mutating func follow(
        _ segment: TrackedSegment, isReply: Bool, _ status: TrackedConnection.Status, _ sysctls: Sysctls
    ) -> Outcome {
        let old = state
        var new: TCPTrackingState
        switch tcpTransition(old, segment.kind, isReply: isReply) {
        case .invalid: return .invalid
        case .ignore:
            guard let state = ignore(segment, isReply: isReply) else { return .ignored }
            new = state
        case .to(.synSent) where old == .timeWait || old == .close:
            if closedInOrder || lastKind == .rst && lastIsReply == isReply { return .beginsAnew }
            guard let state = ignore(segment, isReply: isReply) else { return .ignored }
            new = state
        case .to(let state): new = state
        }
        var checksWindow = true
        switch new {
        case .timeWait
        where old == .lastAck && segment.kind == .ack && lastIsReply != isReply && lastKind == .syn
            && expectsChallenge:
            // A challenge ACK (RFC 5961) to a stray SYN does not acknowledge the last FIN.
            expectsChallenge = false
            return .ignored
        case .synSent2: isSimultaneous = true
        case .synReceived where isReply && segment.kind == .ack && isSimultaneous: new = .established
        case .close where segment.kind == .rst:
            switch judge(segment, isReply: isReply, status, sysctls) {
            case .invalid: return .invalid
            case .stays: new = old
            case .skipsWindow: checksWindow = false
            case .ends: break
            }
        default: break
        }
        if checksWindow {
            switch isInWindow(segment, isReply: isReply, isLiberal: sysctls.connectionTrackingIsLiberal) {
            case .accept: break
            case .ignore: return .ignored
            case .invalid: return .outOfWindow
            }
        }
        lastKind = segment.kind
        lastIsReply = isReply
        state = new
        if old != new, new == .finWait { self[isReply].beganClose = true }
        return .inWindow
    }

    private var closedInOrder: Bool { seen.original.beganClose || seen.reply.beganClose }
    fileprivate var hasUnacknowledgedData: Bool {
        seen.original.hasUnacknowledgedData || seen.reply.hasUnacknowledgedData
    }

    /// Notes a segment that is let through although it does not fit. A SYN-ACK to a SYN noted so shows that the two
    /// ends know better: the state to go on from is then SYN_RECV.
    private mutating func ignore(_ segment: TrackedSegment, isReply: Bool) -> TCPTrackingState? {
        if segment.kind == .synAck, lastKind == .syn, lastIsReply != isReply, segment.acknowledgment == lastEnd {
            expectsChallenge = false
            var end = TCPTrackedEnd()
            (end.end, end.limit, end.window) = (lastEnd, lastEnd, UInt32(max(lastWindow, 1)))
            (end.scale, end.hasScale, end.permitsSACK) = (lastScale, lastHasScale, lastPermitsSACK)
            self[lastIsReply] = end
            self[isReply] = TCPTrackedEnd()
            state = .synSent
            return .synReceived
        }
        lastKind = segment.kind
        lastIsReply = isReply
        lastSequence = segment.sequence
        lastEnd = segment.end
        lastWindow = segment.window
        if segment.kind == .syn, !isReply {
            lastScale = segment.windowScale ?? 0
            lastHasScale = segment.windowScale != nil
            lastPermitsSACK = segment.permitsSACK
            expectsChallenge = state == .lastAck
        }
        if state == .synSent, segment.kind == .ack, isReply { lastAcknowledgment = segment.acknowledgment }
        return nil
    }

    private enum ResetVerdict {
        case invalid, stays, skipsWindow, ends
    }

    /// A reset ends a connection only with the very number its receiver expects; else it may be forged, and the state
    /// stays for a challenge ACK.
    private func judge(
        _ segment: TrackedSegment, isReply: Bool, _ status: TrackedConnection.Status, _ sysctls: Sysctls
    ) -> ResetVerdict {
        switch state {
        case .finWait, .lastAck, .timeWait, .close, .closeWait: return .skipsWindow
        default: break
        }
        let peer = self[!isReply]
        var stays = false
        if let expected = peer.highestAcknowledgment, lastKind != .syn {
            if segment.sequence == 0, state != .established { return .ends }
            if isBefore(segment.sequence, expected), !sysctls.connectionTrackingIgnoresInvalidReset { return .invalid }
            if state != .established || segment.sequence == expected { return .ends }
            if lastKind == .ack, lastIsReply == isReply, segment.sequence == lastEnd { return .ends }
            stays = true
        }
        let answersIgnored =
            status.contains(.seenReply) && lastKind == .syn || !status.contains(.assured) && lastKind == .ack
        if answersIgnored, segment.acknowledgment == lastEnd { return stays ? .stays : .skipsWindow }
        if state == .synSent, lastKind == .ack, lastIsReply, segment.sequence == lastAcknowledgment {
            return .skipsWindow
        }
        return stays ? .stays : .ends
    }

    /// Out of the window: after resets or FINs from both ends the connection is hardly alive (nf_tcp_handle_invalid).
    /// True when it should be forgotten sooner.
    fileprivate mutating func notesInvalid(
        _ kind: TCPSegmentKind, isReply: Bool, _ status: TrackedConnection.Status
    ) -> Bool {
        guard status.contains(.assured), !status.contains(.fixedTimeout), kind == .rst || kind == .fin else {
            return false
        }
        if lastIsReply != isReply, lastKind == .fin || lastKind == .rst { return true }
        lastKind = kind
        lastIsReply = isReply
        return false
    }
}
