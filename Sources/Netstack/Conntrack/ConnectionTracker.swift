// Connections of one namespace: who talks to whom in both directions, what NAT made of it, and how long it is
// remembered. Mirrors net/netfilter/nf_conntrack_core.c and the per-protocol files for TCP, UDP and ICMP.

internal import Addressing
internal import Wire

/// One tracked connection.
public struct TrackedConnection: Sendable {
    struct Status: OptionSet {
        let rawValue: UInt16
        static let seenReply = Status(rawValue: 1)
        static let assured = Status(rawValue: 2)
        static let confirmed = Status(rawValue: 4)
        static let sourceNAT = Status(rawValue: 8)
        static let destinationNAT = Status(rawValue: 16)
        static let sourceDone = Status(rawValue: 32)
        static let destinationDone = Status(rawValue: 64)
        static let natBoth: Status = [.sourceNAT, .destinationNAT]
    }

    public internal(set) var original: ConnectionTuple
    public internal(set) var reply: ConnectionTuple
    var status: Status = []
    public internal(set) var tcpState = TCPTrackingState.none
    public internal(set) var mark: UInt32 = 0
    public internal(set) var expires: Nanoseconds = 0
    var created: Nanoseconds = 0
    var isUsed = true
    /// A packet that made the connection waits for a neighbor; it is not confirmed and must not be forgotten.
    var isParked = false
    /// The rules that chose the translations, for the trace.
    var sourceRule: RuleReference?
    var destinationRule: RuleReference?

    public var isAssured: Bool { status.contains(.assured) }
    public var hasSeenReply: Bool { status.contains(.seenReply) }
}

/// The connection table of one namespace.
public struct ConnectionTracker: Sendable {
    var pool: [TrackedConnection] = []
    private var free: [Int32] = []
    private var table = TupleTable()
    /// Made during the packet being worked on and not yet confirmed.
    private var unconfirmed: [ConnectionID] = []
    private var confirmedCount = 0
    /// The place the sweep for expired connections looked at last.
    private var swept = 0

    public init() {}

    /// Confirmed connections, in the order of their places, as `conntrack -L` may list them.
    public func all(at now: Nanoseconds) -> [TrackedConnection] {
        pool.filter { $0.isUsed && $0.status.contains(.confirmed) && $0.expires > now }
    }

    subscript(_ id: ConnectionID) -> TrackedConnection {
        // Not `_read`: Swift 6.3 reads `self[id].original` after the coroutine's end, where its first octets are gone.
        get { pool[Int(id.rawValue)] }
        _modify { yield &pool[Int(id.rawValue)] }
    }

    /// A live confirmed connection with that tuple. Expired ones are forgotten on the way.
    mutating func lookup(_ tuple: ConnectionTuple, now: Nanoseconds) -> TupleTable.Hit? {
        guard let hit = table.lookup(tuple) else { return nil }
        if self[hit.connection].expires <= now {
            remove(hit.connection)
            return nil
        }
        return hit
    }

    var count: Int { confirmedCount }

    mutating func create(_ tuple: ConnectionTuple, reply: ConnectionTuple, now: Nanoseconds) -> ConnectionID {
        sweep(2, now: now)
        var connection = TrackedConnection(original: tuple, reply: reply)
        connection.created = now
        let id: ConnectionID
        if let place = free.popLast() {
            pool[Int(place)] = connection
            id = ConnectionID(rawValue: place)
        } else {
            pool.append(connection)
            id = ConnectionID(rawValue: Int32(pool.count - 1))
        }
        unconfirmed.append(id)
        return id
    }

    /// Forgets expired connections among the next `count` places, so that those nobody asks for again do not pile up
    /// (gc_worker).
    mutating func sweep(_ count: Int, now: Nanoseconds) {
        for _ in 0..<min(count, pool.count) {
            swept = swept + 1 < pool.count ? swept + 1 : 0
            let connection = pool[swept]
            if connection.isUsed, connection.status.contains(.confirmed), connection.expires < now {
                remove(ConnectionID(rawValue: Int32(swept)))
            }
        }
    }

    /// The live connection that already has one of the tuples of an unconfirmed one.
    mutating func rival(of id: ConnectionID, now: Nanoseconds) -> ConnectionID? {
        let (original, reply) = (self[id].original, self[id].reply)
        return (lookup(original, now: now) ?? lookup(reply, now: now))?.connection
    }

    mutating func confirm(_ id: ConnectionID) {
        self[id].status.insert(.confirmed)
        confirmedCount += 1
        let connection = self[id]
        table.insert(connection.original, .init(connection: id, isReply: false))
        table.insert(connection.reply, .init(connection: id, isReply: true))
    }

    mutating func remove(_ id: ConnectionID) {
        let connection = self[id]
        guard connection.isUsed else { return }
        if connection.status.contains(.confirmed) {
            table.remove(connection.original, of: id)
            table.remove(connection.reply, of: id)
            confirmedCount -= 1
        }
        self[id].isUsed = false
        free.append(id.rawValue)
    }

    /// Forgets what a dropped packet left behind: an unconfirmed connection lives no longer than its packet.
    mutating func reclaimUnconfirmed() {
        guard !unconfirmed.isEmpty else { return }
        var kept = 0
        for id in unconfirmed where self[id].isUsed && !self[id].status.contains(.confirmed) {
            if self[id].isParked {
                unconfirmed[kept] = id
                kept += 1
            } else {
                self[id].isUsed = false
                free.append(id.rawValue)
            }
        }
        unconfirmed.removeLast(unconfirmed.count - kept)
    }

    /// Whether a reply with that tuple would be taken for another connection's (nf_nat_used_tuple).
    mutating func isTaken(_ tuple: ConnectionTuple, except id: ConnectionID, now: Nanoseconds) -> Bool {
        guard let reply = tuple.inverted, let hit = lookup(reply, now: now) else { return false }
        // Another packet of the same flow is no rival; confirmation decides between the two.
        return hit.connection != id && self[hit.connection].original != self[id].original
    }
}

extension NetworkNamespace {
    /// Finds or makes the packet's connection (nf_conntrack_in). False when the packet was dropped.
    mutating func track(_ packet: inout Packet, _ context: inout PathContext) -> Bool {
        // On loopback the packet still carries what OUTPUT found.
        if packet.connectionState != .none { return true }
        let `protocol` = IPProtocol(
            rawValue: context.arena.load8(packet, networkOffset + IPv4Header.Offset.protocol))
        if `protocol` == .icmp, isICMPError(packet, at: networkOffset, context) {
            trackICMPError(&packet, &context)
            recordTracking(packet, &context)
            return true
        }
        guard let tuple = ConnectionTuple(packet, at: networkOffset, in: context.arena) else {
            packet.connectionState = .invalid
            recordTracking(packet, &context)
            return true
        }
        if let hit = connections.lookup(tuple, now: context.now), !reopens(packet, hit, context) {
            packet.connection = hit.connection
            packet.connectionState =
                hit.isReply
                ? .establishedReply : connections[hit.connection].hasSeenReply ? .established : .new
        } else {
            guard let reply = tuple.inverted else {
                packet.connectionState = .invalid
                recordTracking(packet, &context)
                return true
            }
            if `protocol` == .icmp, ![8, 13, 15, 17].contains(tuple.destinationPort >> 8) {
                // An answer nobody asked for.
                packet.connectionState = .invalid
                recordTracking(packet, &context)
                return true
            }
            if connections.count >= sysctls.connectionTrackingMax { connections.sweep(.max, now: context.now) }
            if connections.count >= sysctls.connectionTrackingMax {
                drop(packet, .connectionTableFull, &context)
                return false
            }
            packet.connection = connections.create(tuple, reply: reply, now: context.now)
            packet.connectionState = .new
        }
        updateConnection(&packet, `protocol`, &context)
        recordTracking(packet, &context)
        return true
    }

    /// A SYN for a connection that has ended begins a new one, which NAT may send elsewhere. The old entry goes.
    private mutating func reopens(
        _ packet: Packet, _ hit: TupleTable.Hit, _ context: borrowing PathContext
    ) -> Bool {
        let state = connections[hit.connection].tcpState
        let transport = networkOffset + Int(context.arena.load8(packet, networkOffset) & 0xf) * 4
        guard !hit.isReply, state == .timeWait || state == .close,
            connections[hit.connection].original.protocol == .tcp, packet.length >= transport + TCPHeader.length,
            TCPSegmentKind(TCPFlags(rawValue: context.arena.load8(packet, transport + 13))) == .syn
        else { return false }
        connections.remove(hit.connection)
        return true
    }

    /// Moves the connection's state and lifetime along (the per-protocol packet functions).
    private mutating func updateConnection(
        _ packet: inout Packet, _ `protocol`: IPProtocol, _ context: inout PathContext
    ) {
        let id = packet.connection
        let isReply = packet.connectionState.isReply
        let seconds: Int
        switch `protocol` {
        case .tcp:
            guard updateTCP(&packet, isReply: isReply, &context) else { return }
            // When the only answer is a reset, the entry goes at once (nf_ct_kill_acct).
            let wasRefused = connections[id].tcpState == .close && !connections[id].hasSeenReply
            seconds = wasRefused ? 0 : lifetime(of: connections[id].tcpState)
        case .udp:
            // Two seconds of answered traffic make a stream.
            let isStream = connections[id].hasSeenReply && context.now > connections[id].created + 2_000_000_000
            if isStream { connections[id].status.insert(.assured) }
            seconds = isStream ? 120 : 30
        case .icmp: seconds = 30
        default: seconds = 600
        }
        if isReply { connections[id].status.insert(.seenReply) }
        connections[id].expires = context.now + Nanoseconds(seconds) * 1_000_000_000
    }

    private func lifetime(of state: TCPTrackingState) -> Int {
        switch state {
        case .established: sysctls.connectionTimeoutEstablished
        case .closeWait: sysctls.connectionTimeoutCloseWait
        default: state.timeout
        }
    }

    /// False when the segment changes nothing: it is ignored, or does not fit and the packet is INVALID.
    private mutating func updateTCP(
        _ packet: inout Packet, isReply: Bool, _ context: inout PathContext
    ) -> Bool {
        let id = packet.connection
        let transport = networkOffset + Int(context.arena.load8(packet, networkOffset) & 0xf) * 4
        guard packet.length >= transport + TCPHeader.length else {
            packet.connection = .none
            packet.connectionState = .invalid
            return false
        }
        let flags = TCPFlags(rawValue: context.arena.load8(packet, transport + 13))
        let segment = TCPSegmentKind(flags)
        let old = connections[id].tcpState
        switch tcpTransition(old, segment, isReply: isReply) {
        case .invalid:
            if sysctls.connectionTrackingIsLiberal && connections[id].status.contains(.confirmed) { return true }
            packet.connection = .none
            packet.connectionState = .invalid
            return false
        case .ignore:
            // Neither state nor lifetime follow from it.
            if isReply { connections[id].status.insert(.seenReply) }
            return false
        case .to(let new):
            connections[id].tcpState = new
            if new == .established, old == .synReceived || old == .established, connections[id].hasSeenReply {
                connections[id].status.insert(.assured)
            }
            return true
        }
    }

    /// An ICMP error belongs to the connection its quote shows (nf_conntrack_inet_error).
    private mutating func trackICMPError(_ packet: inout Packet, _ context: inout PathContext) {
        let inner = networkOffset + Int(context.arena.load8(packet, networkOffset) & 0xf) * 4 + 8
        guard let quoted = ConnectionTuple(packet, at: inner, in: context.arena), let answer = quoted.inverted,
            let hit = connections.lookup(answer, now: context.now)
        else {
            packet.connectionState = .invalid
            return
        }
        // Whoever the error is sent to must be the one who sent the quoted packet.
        let connection = connections[hit.connection]
        guard destinationAddress(packet, context) == (hit.isReply ? connection.reply : connection.original).destination
        else {
            packet.connectionState = .invalid
            return
        }
        packet.connection = hit.connection
        // The quote shows a packet of one direction; the error travels in the other.
        packet.connectionState = hit.isReply ? .relatedReply : .related
    }

    func isICMPError(_ packet: Packet, at offset: Int, _ context: borrowing PathContext) -> Bool {
        let transport = offset + Int(context.arena.load8(packet, offset) & 0xf) * 4
        guard packet.length > transport + 1 else { return false }
        return ICMPv4Kind(type: context.arena.load8(packet, transport)).isError
    }

    /// The packet leaves or arrives: its new connection counts from here (__nf_conntrack_confirm). Where another packet
    /// of the same flow was faster, a datagram joins its connection and anything else is dropped (nf_ct_resolve_clash).
    mutating func confirm(_ packet: inout Packet, _ context: inout PathContext) -> Bool {
        let id = packet.connection
        guard id != .none, packet.connectionState == .new, !connections[id].status.contains(.confirmed) else {
            return true
        }
        guard let rival = connections.rival(of: id, now: context.now) else {
            connections.confirm(id)
            return true
        }
        let (loser, winner) = (connections[id], connections[rival])
        guard loser.original.protocol == .udp, loser.original == winner.original, loser.reply == winner.reply else {
            drop(packet, .netfilterDrop, &context)
            return false
        }
        packet.connection = rival
        return true
    }

    /// The states `--ctstate` compares.
    func connectionStates(of packet: Packet) -> ConnectionStateSet {
        switch packet.connectionState {
        case .none, .invalid: return .invalid
        case .untracked: return .untracked
        case .new, .established, .establishedReply, .related, .relatedReply:
            let status = connections[packet.connection].status
            var states: ConnectionStateSet
            switch packet.connectionState {
            case .new: states = .new
            case .related, .relatedReply: states = .related
            default: states = .established
            }
            if status.contains(.sourceNAT) { states.insert(.sourceTranslated) }
            if status.contains(.destinationNAT) { states.insert(.destinationTranslated) }
            return states
        }
    }

    private func recordTracking(_ packet: Packet, _ context: inout PathContext) {
        context.record(.tracked(connectionStates(of: packet)), packet, in: id)
    }
}
