// Virtual servers and the real servers behind them: the configuration half of net/netfilter/ipvs (ip_vs_ctl.c), with
// the text of `ipvsadm -S -n`. Simplified: forwarding is masquerading (NAT) only, virtual servers are found by
// protocol, address and port (no firewall marks), real servers have no thresholds.

public import Addressing

/// How a virtual server chooses among its real servers, by the names of the kernel's modules.
public enum IPVSScheduler: String, Hashable, Sendable, CaseIterable, BitwiseCopyable {
    case roundRobin = "rr"
    case weightedRoundRobin = "wrr"
    case leastConnection = "lc"
    case weightedLeastConnection = "wlc"
    case failover = "fo"
    case overflow = "ovf"
    case localityBased = "lblc"
    case localityBasedReplicated = "lblcr"
    case destinationHash = "dh"
    case sourceHash = "sh"
    case shortestDelay = "sed"
    case neverQueue = "nq"
    case maglevHash = "mh"
    case powerOfTwo = "twos"
}

/// One server behind a virtual server.
public struct RealServer: Hashable, Sendable {
    public let socket: SocketAddress
    /// Zero takes no new connection but keeps those it has.
    public internal(set) var weight: Int
    /// Established TCP connections, and all others.
    public internal(set) var activeConnections = 0
    public internal(set) var inactiveConnections = 0
    /// False for a server that was deleted while connections still lead to it.
    var isAvailable = true

    public init(_ socket: SocketAddress, weight: Int = 1) {
        self.socket = socket
        self.weight = weight
    }

    /// Whether a new connection may go there.
    var takesConnections: Bool { isAvailable && weight > 0 }
}

/// An address, port and protocol that IPVS spreads over real servers.
public struct VirtualServer: Hashable, Sendable {
    public let socket: SocketAddress
    public let `protocol`: IPProtocol
    public let scheduler: IPVSScheduler
    /// For how many seconds a client keeps its real server; nil when each connection is scheduled anew.
    public let persistence: UInt32?
    /// The scheduler's first flag: the hash takes in the client's port (kube-proxy sets it with `mh`).
    public let hashesPort: Bool
    /// In the order the scheduler goes through them.
    public internal(set) var realServers: [RealServer]
    /// Where the scheduler stands: what it means is its own affair. -1 at the beginning.
    var cursor = -1
    /// The lookup table of `mh`, made when it is first asked and after each change.
    var maglevTable: [Int32] = []

    public init(
        _ socket: SocketAddress, _ protocol: IPProtocol, scheduler: IPVSScheduler = .roundRobin,
        persistence: UInt32? = nil, hashesPort: Bool = false, realServers: [RealServer] = []
    ) {
        self.socket = socket
        self.protocol = `protocol`
        self.scheduler = scheduler
        self.persistence = persistence
        self.hashesPort = hashesPort
        self.realServers = realServers
    }

    /// `-t ADDRESS:PORT`, as ipvsadm names it.
    package var selector: String {
        let option: String
        switch `protocol` {
        case .udp: option = "-u"
        case .sctp: option = "--sctp-service"
        default: option = "-t"
        }
        return "\(option) \(socket)"
    }

    /// The line that makes the virtual server.
    package var savedLine: String {
        var text = "-A \(selector) -s \(scheduler.rawValue)"
        if let persistence { text += " -p \(persistence)" }
        if hashesPort { text += " -b flag-1" }
        return text
    }

    /// The line that adds a real server.
    package func savedLine(of server: RealServer) -> String {
        "-a \(selector) -r \(server.socket) -m -w \(server.weight)"
    }
}

extension Sequence<VirtualServer> {
    /// What `ipvsadm -S -n` prints, each virtual server followed by its real servers, in the order of the lines' text.
    public func savedText() -> String {
        var text = ""
        for server in map({ (line: $0.savedLine, server: $0) }).sorted(by: { $0.line < $1.line }) {
            text += server.line + "\n"
            let lines = server.server.realServers.filter(\.isAvailable).map(server.server.savedLine(of:))
            for line in lines.sorted() { text += line + "\n" }
        }
        return text
    }
}

/// Seconds a connection lives without a packet, as `ipvsadm --set` changes them.
public struct IPVSTimeouts: Hashable, Sendable {
    public var tcp = 900
    public var tcpFin = 120
    public var udp = 300

    public init(tcp: Int = 900, tcpFin: Int = 120, udp: Int = 300) {
        self.tcp = tcp
        self.tcpFin = tcpFin
        self.udp = udp
    }
}

/// The virtual servers of one namespace with their connections.
public struct VirtualServerTable: Sendable {
    public internal(set) var servers: [VirtualServer] = []
    private var positions: [Key: Int] = [:]
    var connections = IPVSConnectionTable()
    public let timeouts: IPVSTimeouts
    /// Who made them.
    public let agent: String?

    private struct Key: Hashable {
        var socket: SocketAddress
        var `protocol`: IPProtocol
    }

    /// Of two virtual servers with the same address, port and protocol the later one counts.
    public init(
        _ servers: some Sequence<VirtualServer> = [], timeouts: IPVSTimeouts = IPVSTimeouts(), agent: String? = nil
    ) {
        self.timeouts = timeouts
        self.agent = agent
        for server in servers {
            let key = Key(socket: server.socket, protocol: server.protocol)
            if let position = positions[key] {
                self.servers[position] = server
            } else {
                positions[key] = self.servers.count
                self.servers.append(server)
            }
        }
    }

    /// Without virtual servers IPVS does not look at packets.
    var isEmpty: Bool { servers.isEmpty }

    func position(of socket: SocketAddress, _ protocol: IPProtocol) -> Int? {
        positions[Key(socket: socket, protocol: `protocol`)]
    }

    /// `ipvsadm -e`: changes a real server's weight.
    public mutating func setWeight(
        _ weight: Int, of server: SocketAddress, in virtual: SocketAddress, _ protocol: IPProtocol
    ) {
        change(server, in: virtual, `protocol`) { $0.weight = max(0, weight) }
    }

    /// `ipvsadm -d`: deletes a real server. Its connections stay until they expire or a packet asks for them.
    public mutating func removeRealServer(_ server: SocketAddress, from virtual: SocketAddress, _ protocol: IPProtocol)
    {
        change(server, in: virtual, `protocol`) { $0.isAvailable = false }
    }

    private mutating func change(
        _ server: SocketAddress, in virtual: SocketAddress, _ protocol: IPProtocol, _ body: (inout RealServer) -> Void
    ) {
        guard let position = self.position(of: virtual, `protocol`),
            let number = servers[position].realServers.firstIndex(where: { $0.socket == server })
        else { return }
        body(&servers[position].realServers[number])
        servers[position].maglevTable = []
    }

    // MARK: what the path does

    /// A real server of a virtual one for a new connection.
    mutating func schedule(
        _ position: Int, for packet: Packet, from client: SocketAddress, _ context: inout PathContext
    ) -> Int? {
        servers[position].schedule(for: packet, from: client, &context)
    }

    func realServer(of connection: IPVSConnection) -> RealServer {
        servers[connection.virtualServer].realServers[connection.realServer]
    }
}
