// The SCTP state machine of connection tracking (net/netfilter/nf_conntrack_proto_sctp.c): which state follows from
// which chunk in which direction, with the verification tags of RFC 9260 section 8.5. Simplified: a heartbeat with a
// foreign tag is INVALID at once, where the kernel lets one pass and waits for its answer.

internal import Wire

/// The states `conntrack -L` prints.
public enum SCTPTrackingState: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    case none, closed, cookieWait, cookieEchoed, established, shutdownSent, shutdownReceived, shutdownAckSent
    case heartbeatSent

    /// The word conntrack(8) prints.
    public var text: String {
        switch self {
        case .none: "NONE"
        case .closed: "CLOSED"
        case .cookieWait: "COOKIE_WAIT"
        case .cookieEchoed: "COOKIE_ECHOED"
        case .established: "ESTABLISHED"
        case .shutdownSent: "SHUTDOWN_SENT"
        case .shutdownReceived: "SHUTDOWN_RECD"
        case .shutdownAckSent: "SHUTDOWN_ACK_SENT"
        case .heartbeatSent: "HEARTBEAT_SENT"
        }
    }
}

/// What is known of an association (struct ip_ct_sctp).
struct SCTPTracking: BitwiseCopyable, Sendable {
    var state = SCTPTrackingState.none
    /// The tag packets of each direction carry; 0 while unknown.
    var tags: (original: UInt32, reply: UInt32) = (0, 0)

    fileprivate subscript(_ isReply: Bool) -> UInt32 {
        get { isReply ? tags.reply : tags.original }
        set { if isReply { tags.reply = newValue } else { tags.original = newValue } }
    }
}

/// Chunk types that matter here.
private enum Chunk {
    static let data: UInt8 = 0
    static let initiation: UInt8 = 1
    static let initiationAck: UInt8 = 2
    static let heartbeat: UInt8 = 4
    static let heartbeatAck: UInt8 = 5
    static let abort: UInt8 = 6
    static let shutdown: UInt8 = 7
    static let shutdownAck: UInt8 = 8
    static let error: UInt8 = 9
    static let cookieEcho: UInt8 = 10
    static let cookieAck: UInt8 = 11
    static let shutdownComplete: UInt8 = 14
}

/// One chunk: its type, whether its T bit is set, and the tag an INIT or INIT-ACK offers.
private struct SCTPChunk {
    var type: UInt8
    var isReflected: Bool
    var initiateTag: UInt32?
}

/// The next state; nil when the chunk cannot come.
private func sctpTransition(_ state: SCTPTrackingState, _ chunk: UInt8, isReply: Bool) -> SCTPTrackingState? {
    // One letter a present state, in the enum's order: N none, C closed, W cookieWait, E cookieEchoed, S established,
    // s shutdownSent, r shutdownReceived, a shutdownAckSent, H heartbeatSent; ! cannot be.
    let rows: (original: StaticString, reply: StaticString)
    switch chunk {
    case Chunk.initiation: rows = ("CCWESCCaW", "!CWESsra!")
    case Chunk.initiationAck: rows = ("CCWESsraC", "!WWESsra!")
    case Chunk.abort: rows = ("CCCCCCCCC", "!CCCCCCC!")
    case Chunk.shutdown: rows = ("CCWEssraC", "!CWErsra!")
    case Chunk.shutdownAck: rows = ("aCWESaaaa", "!CWESaaa!")
    case Chunk.error: rows = ("CCWESsraC", "!CWCSsra!")
    case Chunk.cookieEcho: rows = ("CCEESsraC", "!CEESsra!")
    case Chunk.cookieAck: rows = ("CCWSSsraC", "!CWSSsra!")
    case Chunk.shutdownComplete: rows = ("CCWESsrCC", "!CWESsrC!")
    case Chunk.heartbeat: rows = ("HCWESsraH", "!CWESsraH")
    case Chunk.heartbeatAck: rows = ("CCWESsraH", "!CWESsraS")
    default: return state
    }
    let letter = (isReply ? rows.reply : rows.original).withUTF8Buffer { $0[Int(state.rawValue)] }
    switch Character(UnicodeScalar(letter)) {
    case "C": return .closed
    case "W": return .cookieWait
    case "E": return .cookieEchoed
    case "S": return .established
    case "s": return .shutdownSent
    case "r": return .shutdownReceived
    case "a": return .shutdownAckSent
    case "H": return .heartbeatSent
    default: return nil
    }
}

extension NetworkNamespace {
    /// nf_conntrack_sctp_packet
    mutating func updateSCTP(
        _ packet: Packet, _ header: NetworkHeader, _ context: inout PathContext
    ) -> TrackingVerdict {
        let id = packet.connection
        let isReply = packet.connectionState.isReply
        guard let chunks = sctpChunks(packet, header.transport, context) else { return .invalid }
        let tag = context.arena.load32(packet, header.transport + 4)
        let isConfirmed = connections[id].status.contains(.confirmed)
        var sctp = connections[id].sctp
        let old = sctp.state
        if !isConfirmed {
            let outOfTheBlue = [Chunk.abort, Chunk.shutdownComplete, Chunk.cookieAck]
            guard !chunks.contains(where: { outOfTheBlue.contains($0.type) }), sctp.begin(chunks, tag) else {
                return .invalid
            }
        }
        guard sctp.follow(chunks, tag, isReply: isReply) else { return .invalid }
        connections[id].sctp = sctp
        // An INIT sent again does not keep an old entry alive.
        let isRepeated = chunks[0].type == Chunk.initiation && old == .closed && sctp.state == .closed && isConfirmed
        if !isRepeated { refresh(id, seconds: sysctls.connectionTimeouts.sctp(sctp.state), context.now) }
        if old == .cookieEchoed, isReply, sctp.state == .established { connections[id].status.insert(.assured) }
        return .accept
    }

    /// The packet's chunks; nil when there is none, or a combination that cannot be (do_basic_checks).
    private func sctpChunks(_ packet: Packet, _ transport: Int, _ context: borrowing PathContext) -> [SCTPChunk]? {
        guard packet.length >= transport + SCTPHeader.length else { return nil }
        var chunks: [SCTPChunk] = []
        var mustBeAlone = false
        var position = transport + SCTPHeader.length
        while position + 4 <= packet.length {
            let type = context.arena.load8(packet, position)
            let length = Int(context.arena.load16(packet, position + 2))
            let carriesTag = type == Chunk.initiation || type == Chunk.initiationAck
            mustBeAlone = mustBeAlone || carriesTag || type == Chunk.shutdownComplete
            let mustBeFirst = mustBeAlone || type == Chunk.cookieAck || type == Chunk.cookieEcho
            guard length > 0, !mustBeFirst || chunks.isEmpty else { return nil }
            chunks.append(
                SCTPChunk(
                    type: type, isReflected: context.arena.load8(packet, position + 1) & 1 == 1,
                    initiateTag: carriesTag && position + 20 <= packet.length
                        ? context.arena.load32(packet, position + 4) : nil))
            position += (length + 3) & ~3
        }
        return chunks.isEmpty ? nil : chunks
    }
}

extension SCTPTracking {
    /// What the first packet says of tags (sctp_new).
    fileprivate mutating func begin(_ chunks: [SCTPChunk], _ tag: UInt32) -> Bool {
        self = SCTPTracking()
        for chunk in chunks {
            guard let state = sctpTransition(.none, chunk.type, isReply: false), state != .none else { return false }
            switch chunk.type {
            case Chunk.initiation:
                guard tag == 0, let offered = chunk.initiateTag else { return false }
                tags.reply = offered
            case Chunk.heartbeat: tags.original = tag
            default: tags.reply = tag
            }
        }
        return true
    }

    fileprivate mutating func follow(_ chunks: [SCTPChunk], _ tag: UInt32, isReply: Bool) -> Bool {
        let withOwnRule = [
            Chunk.initiation, Chunk.shutdownComplete, Chunk.cookieEcho, Chunk.abort, Chunk.shutdownAck,
            Chunk.heartbeat, Chunk.heartbeatAck,
        ]
        guard tag == self[isReply] || chunks.contains(where: { withOwnRule.contains($0.type) }) else { return false }
        for chunk in chunks {
            switch chunk.type {
            case Chunk.initiation:
                guard tag == 0 else { return false }
            case Chunk.abort, Chunk.shutdownComplete:
                guard tag == self[chunk.isReflected ? !isReply : isReply] else { return false }
            case Chunk.cookieEcho:
                guard tag == self[isReply] else { return false }
            case Chunk.heartbeat, Chunk.heartbeatAck:
                if self[isReply] == 0 { self[isReply] = tag }
                guard tag == self[isReply] else { return false }
            default: break
            }
            guard let next = sctpTransition(state, chunk.type, isReply: isReply) else { return false }
            if chunk.type == Chunk.initiation || chunk.type == Chunk.initiationAck {
                guard let offered = chunk.initiateTag else { return false }
                self[!isReply] = offered
            }
            state = next
        }
        return true
    }
}
