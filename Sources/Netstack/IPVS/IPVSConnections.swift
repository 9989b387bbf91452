// The connections IPVS forwards, and which real server a client of a persistent virtual server keeps (templates):
// net/netfilter/ipvs/ip_vs_conn.c, with the states and timeouts of ip_vs_proto_tcp.c and ip_vs_proto_udp.c and the text
// of `ipvsadm -L -c -n`. Simplified: SCTP knows two states, an expired entry goes when it is asked for or swept and
// leaves the connection tracking entry alone, and of two connections between the same client and real server the newer
// one gets the answers.

public import Addressing
internal import Wire

/// The states `ipvsadm -L -c` prints.
public enum IPVSConnectionState: String, Hashable, Sendable, CaseIterable, BitwiseCopyable {
    case none = "NONE"
    case established = "ESTABLISHED"
    case synSent = "SYN_SENT"
    case synReceived = "SYN_RECV"
    case finWait = "FIN_WAIT"
    case timeWait = "TIME_WAIT"
    case close = "CLOSE"
    case closeWait = "CLOSE_WAIT"
    case lastAck = "LAST_ACK"
    case listen = "LISTEN"
    case synAck = "SYNACK"
    case udp = "UDP"
    case sctpInit = "INIT1"
    /// A template one of whose connections was established.
    case assured = "ASSURED"

    /// Seconds an entry lives in the state.
    func lifetime(_ timeouts: IPVSTimeouts) -> Int {
        switch self {
        case .none: 2
        case .established: timeouts.tcp
        case .synSent, .timeWait, .listen, .synAck: 120
        case .synReceived, .closeWait, .sctpInit: 60
        case .finWait: timeouts.tcpFin
        case .close: 10
        case .lastAck: 30
        case .udp: timeouts.udp
        case .assured: 0
        }
    }

    /// The state after a TCP segment. Columns: none, established, synSent, synReceived, finWait, timeWait, close,
    /// closeWait, lastAck, listen, synAck; rows: SYN, FIN, ACK, RST.
    func next(_ flags: TCPFlags, isReply: Bool) -> IPVSConnectionState {
        let columns: [IPVSConnectionState] = [
            .none, .established, .synSent, .synReceived, .finWait, .timeWait, .close, .closeWait, .lastAck, .listen,
            .synAck,
        ]
        let requests: [StaticString] = ["REERRRRRRRR", "CWSTTTCWLIT", "EESEFTCWCIE", "CCCRCCCCLIR"]
        let replies: [StaticString] = ["SESRSSSSSIR", "TFSTFTCTLIT", "EESEFTCWLEE", "CCSCCTCCCCC"]
        let row =
            flags.contains(.rst)
            ? 3 : flags.contains(.syn) ? 0 : flags.contains(.fin) ? 1 : flags.contains(.ack) ? 2 : -1
        guard row >= 0, let column = columns.firstIndex(of: self) else { return .close }
        let letter = (isReply ? replies : requests)[row].withUTF8Buffer { $0[column] }
        switch Character(UnicodeScalar(letter)) {
        case "E": return .established
        case "S": return .synSent
        case "R": return .synReceived
        case "F": return .finWait
        case "T": return .timeWait
        case "W": return .closeWait
        case "L": return .lastAck
        case "I": return .listen
        default: return .close
        }
    }
}

/// One connection through a virtual server, or a template.
public struct IPVSConnection: Sendable {
    public let `protocol`: IPProtocol
    /// Port 0 in templates.
    public let client: SocketAddress
    public let virtual: SocketAddress
    public let real: SocketAddress
    public internal(set) var state = IPVSConnectionState.none
    public internal(set) var expires: Nanoseconds = 0
    /// How long it lives after each packet.
    var lifetime: Nanoseconds = 0
    /// Places in the table of virtual servers.
    let virtualServer: Int
    let realServer: Int
    /// The template that chose the server, by its place; -1 for none.
    var template: Int32 = -1
    var isUsed = true

    public var isTemplate: Bool { client.port == 0 }
    /// What counts as an active connection of its real server.
    var isActive: Bool { `protocol` == .tcp && state == .established }

    /// A packet from the client to the virtual server.
    var incoming: ConnectionTuple {
        ConnectionTuple(
            source: client.address, destination: virtual.address, protocol: `protocol`, sourcePort: client.port,
            destinationPort: virtual.port)
    }

    /// A packet from the real server to the client.
    var outgoing: ConnectionTuple {
        ConnectionTuple(
            source: real.address, destination: client.address, protocol: `protocol`, sourcePort: real.port,
            destinationPort: client.port)
    }
}

/// All connections, found by the packets of either direction.
struct IPVSConnectionTable: Sendable {
    var pool: [IPVSConnection] = []
    fileprivate var free: [Int32] = []
    fileprivate var incoming: [ConnectionTuple: Int32] = [:]
    fileprivate var outgoing: [ConnectionTuple: Int32] = [:]
    fileprivate var swept = 0

    subscript(_ place: Int32) -> IPVSConnection {
        get { pool[Int(place)] }
        _modify { yield &pool[Int(place)] }
    }
}

extension VirtualServerTable {
    /// The live entries, in the order of their places, as `ipvsadm -L -c -n` may list them.
    public func connections(at now: Nanoseconds) -> [IPVSConnection] {
        connections.pool.filter { $0.isUsed && $0.expires > now }
    }

    /// What `ipvsadm -L -c -n` prints.
    public func connectionText(at now: Nanoseconds) -> String {
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.utf8.count))
        }
        func row(_ words: [String]) -> String {
            zip(words, [3, 6, 11, 18, 18, 0]).map(padded).joined(separator: " ") + "\n"
        }
        var text = "IPVS connection entries\n" + row(["pro", "expire", "state", "source", "virtual", "destination"])
        for connection in connections(at: now) {
            let seconds = (connection.expires - now) / 1_000_000_000
            let (minutes, rest) = (seconds / 60, seconds % 60)
            text += row([
                connection.protocol.description.uppercased(),
                (minutes < 10 ? "0" : "") + "\(minutes):" + (rest < 10 ? "0" : "") + "\(rest)",
                connection.state.rawValue, "\(connection.client)", "\(connection.virtual)", "\(connection.real)",
            ])
        }
        return text
    }

    /// The connection a packet from its client belongs to (ip_vs_conn_in_get), or the template of a client.
    mutating func incoming(_ tuple: ConnectionTuple, now: Nanoseconds) -> Int32? {
        connections.incoming[tuple].flatMap { isAlive($0, now: now) ? $0 : nil }
    }

    /// The connection a packet from its real server belongs to (ip_vs_conn_out_get).
    mutating func outgoing(_ tuple: ConnectionTuple, now: Nanoseconds) -> Int32? {
        connections.outgoing[tuple].flatMap { isAlive($0, now: now) ? $0 : nil }
    }

    /// The same without forgetting what has expired.
    func connection(outgoing tuple: ConnectionTuple, at now: Nanoseconds) -> IPVSConnection? {
        connections.outgoing[tuple].map { connections[$0] }.flatMap { $0.expires > now ? $0 : nil }
    }

    /// Makes an entry (ip_vs_conn_new). It lives for `lifetime` seconds until a packet says otherwise.
    mutating func create(_ connection: IPVSConnection, lifetime seconds: Int, now: Nanoseconds) -> Int32 {
        sweep(now: now)
        var connection = connection
        connection.lifetime = Nanoseconds(seconds) * 1_000_000_000
        connection.expires = now + connection.lifetime
        let place: Int32
        if let free = connections.free.popLast() {
            place = free
            connections[place] = connection
        } else {
            place = Int32(connections.pool.count)
            connections.pool.append(connection)
        }
        connections.incoming[connection.incoming] = place
        if !connection.isTemplate {
            connections.outgoing[connection.outgoing] = place
            servers[connection.virtualServer].realServers[connection.realServer].inactiveConnections += 1
        }
        return place
    }

    /// A packet of the connection passes: state and lifetime follow from it (ip_vs_set_state, ip_vs_conn_put).
    mutating func advance(_ place: Int32, flags: TCPFlags?, isReply: Bool, now: Nanoseconds) {
        let old = connections[place]
        let new: IPVSConnectionState
        switch old.protocol {
        case .tcp: new = flags.map { old.state.next($0, isReply: isReply) } ?? old.state
        case .udp: new = .udp
        default: new = isReply || old.state == .established ? .established : .sctpInit
        }
        connections[place].state = new
        connections[place].lifetime = Nanoseconds(new.lifetime(timeouts)) * 1_000_000_000
        connections[place].expires = now + connections[place].lifetime
        count(old, -1)
        count(connections[place], 1)
        let isProof = old.protocol == .udp ? isReply : new == .established
        if isProof, old.template >= 0 { connections[old.template].state = .assured }
    }

    /// A template serves one more connection: its time begins anew.
    mutating func prolong(_ place: Int32, now: Nanoseconds) {
        connections[place].expires = now + connections[place].lifetime
    }

    /// Forgets an entry (ip_vs_conn_expire).
    mutating func remove(_ place: Int32) {
        let connection = connections[place]
        guard connection.isUsed else { return }
        if connections.incoming[connection.incoming] == place { connections.incoming[connection.incoming] = nil }
        if !connection.isTemplate {
            if connections.outgoing[connection.outgoing] == place { connections.outgoing[connection.outgoing] = nil }
            count(connection, -1)
            if connection.template >= 0 { postpone(connection.template, past: connection.expires) }
        }
        connections[place].isUsed = false
        connections.free.append(place)
    }

    private mutating func count(_ connection: IPVSConnection, _ change: Int) {
        if connection.isActive {
            servers[connection.virtualServer].realServers[connection.realServer].activeConnections += change
        } else {
            servers[connection.virtualServer].realServers[connection.realServer].inactiveConnections += change
        }
    }

    /// A template does not go before its connections: its timer starts again with a minute, and keeps that minute.
    private mutating func postpone(_ place: Int32, past time: Nanoseconds) {
        while connections[place].isUsed, connections[place].expires <= time {
            connections[place].lifetime = 60_000_000_000
            connections[place].expires += 60_000_000_000
        }
    }

    private mutating func isAlive(_ place: Int32, now: Nanoseconds) -> Bool {
        if connections[place].expires > now { return true }
        if connections[place].isTemplate {
            for other in connections.pool where other.isUsed && other.template == place {
                postpone(place, past: min(other.expires, now))
            }
            if connections[place].expires > now { return true }
        }
        remove(place)
        return false
    }

    /// Forgets expired entries among the next few places, so that those nobody asks for do not pile up.
    private mutating func sweep(now: Nanoseconds) {
        for _ in 0..<min(2, connections.pool.count) {
            connections.swept = connections.swept + 1 < connections.pool.count ? connections.swept + 1 : 0
            let place = Int32(connections.swept)
            if connections[place].isUsed { _ = isAlive(place, now: now) }
        }
    }
}
