// The table of a namespace's connections: who talks to whom in both directions, what NAT made of it, and how long it is
// remembered. Mirrors the data of net/netfilter/nf_conntrack_core.c; what a packet does to it is in
// Conntrack/ConnectionTracking.swift. Simplified: garbage is collected a few places at a time, not by a worker.

internal import Addressing

/// One tracked connection.
public struct TrackedConnection: Sendable {
    /// enum ip_conntrack_status, with the kernel's numbers.
    public struct Status: OptionSet, Sendable, Hashable, BitwiseCopyable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// A helper expected it; there are none here.
        public static let expected = Status(rawValue: 1)
        public static let seenReply = Status(rawValue: 1 << 1)
        /// Not to be dropped early.
        public static let assured = Status(rawValue: 1 << 2)
        /// Its first packet has left or arrived.
        public static let confirmed = Status(rawValue: 1 << 3)
        public static let sourceNAT = Status(rawValue: 1 << 4)
        public static let destinationNAT = Status(rawValue: 1 << 5)
        static let sourceDone = Status(rawValue: 1 << 7)
        static let destinationDone = Status(rawValue: 1 << 8)
        /// Removed, while a packet still holds it.
        public static let dying = Status(rawValue: 1 << 9)
        static let fixedTimeout = Status(rawValue: 1 << 10)
        /// Known by its replies only, since another connection has its original tuple.
        static let natClash = Status(rawValue: 1 << 12)
        static let natBoth: Status = [.sourceNAT, .destinationNAT]
    }

    public internal(set) var original: ConnectionTuple
    public internal(set) var reply: ConnectionTuple
    public internal(set) var status: Status = []
    var tcp = TCPTracking()
    var sctp = SCTPTracking()
    /// What CONNMARK reads and writes.
    public internal(set) var mark: UInt32 = 0
    public internal(set) var expires: Nanoseconds = 0
    var created: Nanoseconds = 0
    var isUsed = true
    /// A packet that made the connection waits for a neighbor; it is not confirmed and must not be forgotten.
    var isParked = false
    /// The rules that chose the translations, for the trace.
    var sourceRule: RuleReference?
    var destinationRule: RuleReference?
    /// Where masquerading sent it out; it may leave nowhere else.
    var masqueradeEgress = LinkID.none
    /// The next older connection from the same source, for `ConnectionTracker.newest(from:)`.
    fileprivate(set) var olderFromSource = ConnectionID.none

    init(original: ConnectionTuple, reply: ConnectionTuple) {
        self.original = original
        self.reply = reply
    }

    public var tcpState: TCPTrackingState { tcp.state }
    public var sctpState: SCTPTrackingState { sctp.state }
    public var isAssured: Bool { status.contains(.assured) }
    public var hasSeenReply: Bool { status.contains(.seenReply) }
}

/// The connection table of one namespace.
public struct ConnectionTracker: Sendable {
    /// nf_conntrack_buckets of a machine with more than four gigabytes.
    private static let buckets = 262_144

    var pool: [TrackedConnection] = []
    private var free: [Int32] = []
    private var table = TupleTable()
    /// The newest connection of every source NAT has decided about (nf_nat_bysource).
    private var sources = TupleTable()
    /// Made during the packet being worked on and not yet confirmed.
    private var unconfirmed: [ConnectionID] = []
    private var confirmedCount = 0
    /// The place the sweep for expired connections looked at last.
    private var swept = 0
    private var lastFullSweep: Nanoseconds = -1

    public init() {}

    /// Confirmed connections, in the order of their places, as `conntrack -L` may list them.
    public func all(at now: Nanoseconds) -> [TrackedConnection] {
        pool.filter {
            $0.isUsed && $0.status.contains(.confirmed) && !$0.status.contains(.natClash) && $0.expires > now
        }
    }

    /// Forgets the connections a test picks; how many there were.
    mutating func remove(where test: (TrackedConnection) -> Bool) -> Int {
        var count = 0
        for place in pool.indices {
            let connection = pool[place]
            guard connection.isUsed, connection.status.contains(.confirmed), test(connection) else { continue }
            remove(ConnectionID(rawValue: Int32(place)))
            count += 1
        }
        return count
    }

    subscript(_ id: ConnectionID) -> TrackedConnection {
        // Not `_read`: Swift 6.3 reads `self[id].original` after the coroutine's end, where its first octets are gone.
        get { pool[Int(id.rawValue)] }
        _modify { yield &pool[Int(id.rawValue)] }
    }

    /// A live confirmed connection with that tuple. Expired ones are forgotten on the way.
    mutating func lookup(_ tuple: ConnectionTuple, now: Nanoseconds) -> TupleTable.Hit? {
        guard let hit = table.lookup(tuple) else { return nil }
        if pool[Int(hit.connection.rawValue)].expires <= now {
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
    private mutating func sweep(_ count: Int, now: Nanoseconds) {
        for _ in 0..<min(count, pool.count) {
            swept = swept + 1 < pool.count ? swept + 1 : 0
            if pool[swept].isUsed, pool[swept].status.contains(.confirmed), pool[swept].expires < now {
                remove(ConnectionID(rawValue: Int32(swept)))
            }
        }
    }

    /// Makes room in a full table: what has expired goes, then what nobody would miss among the neighbors of the new
    /// tuple in the hash table (early_drop). False when nothing was found.
    mutating func makeRoom(for tuple: ConnectionTuple, limit: Int, now: Nanoseconds) -> Bool {
        if lastFullSweep != now {
            lastFullSweep = now
            sweep(.max, now: now)
        }
        if confirmedCount < limit { return true }
        let near = table.hits(near: tuple, buckets: Self.buckets, count: 8).filter {
            !self[$0.hit.connection].status.contains(.assured)
        }
        guard let nearest = near.map(\.distance).min() else { return false }
        for entry in near where entry.distance == nearest { remove(entry.hit.connection) }
        return true
    }

    /// The live connection that already has one of the tuples of an unconfirmed one.
    mutating func rival(of id: ConnectionID, now: Nanoseconds) -> ConnectionID? {
        let (original, reply) = (self[id].original, self[id].reply)
        return (lookup(original, now: now) ?? lookup(reply, now: now))?.connection
    }

    /// Puts a connection into the table: by both tuples, or by its reply alone when the other is taken.
    mutating func confirm(_ id: ConnectionID) {
        self[id].status.insert(.confirmed)
        confirmedCount += 1
        if !self[id].status.contains(.natClash) {
            table.insert(self[id].original, .init(connection: id, isReply: false))
        }
        table.insert(self[id].reply, .init(connection: id, isReply: true))
    }

    mutating func remove(_ id: ConnectionID) {
        guard self[id].isUsed else { return }
        if self[id].status.contains(.confirmed) {
            table.remove(self[id].original, of: id)
            table.remove(self[id].reply, of: id)
            confirmedCount -= 1
        }
        release(id)
    }

    private mutating func release(_ id: ConnectionID) {
        if self[id].status.contains(.sourceDone) { forgetSource(of: id) }
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
                release(id)
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

    // MARK: by source

    /// The tuple that stands for the source of another.
    private func source(of tuple: ConnectionTuple) -> ConnectionTuple {
        ConnectionTuple(
            source: tuple.source, destination: .any(tuple.source.family), protocol: tuple.protocol,
            sourcePort: tuple.sourcePort, destinationPort: 0)
    }

    /// The newest connection whose original source is that of a tuple; the others follow by `olderFromSource`.
    func newest(from tuple: ConnectionTuple) -> ConnectionID {
        sources.lookup(source(of: tuple))?.connection ?? .none
    }

    /// NAT has decided about the connection's source.
    mutating func rememberSource(of id: ConnectionID) {
        let key = source(of: self[id].original)
        let older = sources.lookup(key)?.connection ?? .none
        if older != .none { sources.remove(key, of: older) }
        self[id].olderFromSource = older
        sources.insert(key, .init(connection: id, isReply: false))
    }

    private mutating func forgetSource(of id: ConnectionID) {
        let key = source(of: self[id].original)
        let older = self[id].olderFromSource
        guard var newer = sources.lookup(key)?.connection else { return }
        if newer == id {
            sources.remove(key, of: id)
            if older != .none { sources.insert(key, .init(connection: older, isReply: false)) }
            return
        }
        while self[newer].olderFromSource != id {
            newer = self[newer].olderFromSource
            if newer == .none { return }
        }
        self[newer].olderFromSource = older
    }
}
