// Who has which MAC address on which link: the states, timers and parked packets of net/core/neighbour.c.
// Timer values are the kernel's defaults: 3 probes a second apart, 5 s before a stale entry in use is probed,
// reachable for 15 to 45 s after a proof.

public import Addressing
internal import Wire

/// A neighbor's state as `ip neigh` prints it.
public enum NeighborState: String, Sendable, Hashable, CaseIterable {
    case incomplete = "INCOMPLETE"
    case reachable = "REACHABLE"
    case stale = "STALE"
    case delay = "DELAY"
    case probe = "PROBE"
    case failed = "FAILED"
    case permanent = "PERMANENT"

    /// Sending needs no further proof.
    var isConnected: Bool { self == .reachable || self == .permanent }
    /// The MAC address is known.
    var isValid: Bool { self != .incomplete && self != .failed }
}

/// One neighbor.
public struct Neighbor: Sendable {
    public let address: IPAddress
    public let link: LinkID
    public internal(set) var state: NeighborState
    public internal(set) var lladdr: MACAddress
    var confirmed: Nanoseconds = 0
    var updated: Nanoseconds = 0
    var used: Nanoseconds = 0
    /// How long a proof holds for this entry.
    var reachableTime: Nanoseconds = NeighborTable.baseReachable
    var probes = 0
    /// Timers set for an older generation are void.
    var generation: UInt32 = 0
    var waiting: [Packet] = []
}

/// The neighbors of one namespace.
public struct NeighborTable: Sendable {
    static let retransmission: Nanoseconds = 1_000_000_000
    static let delayBeforeProbe: Nanoseconds = 5_000_000_000
    static let baseReachable: Nanoseconds = 30_000_000_000
    static let solicitations = 3
    /// unres_qlen_bytes 212992 holds 101 packets of ordinary size.
    static let queueLimit = 101
    /// An answer within a second of the last change does not override it (locktime).
    static let lockTime: Nanoseconds = 1_000_000_000

    struct Key: Hashable {
        var link: LinkID
        var address: IPAddress
    }

    public internal(set) var entries: [Neighbor] = []
    private var positions: [Key: Int] = [:]

    public init() {}

    public func lookup(_ address: IPAddress, on link: LinkID) -> Neighbor? {
        position(address, link).map { entries[$0] }
    }

    func position(_ address: IPAddress, _ link: LinkID) -> Int? { positions[Key(link: link, address: address)] }

    /// Some packet waits for its neighbor.
    var holdsPackets: Bool { entries.contains { !$0.waiting.isEmpty } }

    /// A packet of that socket is parked here.
    func holdsPacket(flowHash: UInt32) -> Bool {
        entries.contains { entry in entry.waiting.contains { $0.isLocal && $0.flowHash == flowHash } }
    }

    mutating func create(_ address: IPAddress, _ link: LinkID) -> Int {
        let key = Key(link: link, address: address)
        if let position = positions[key] { return position }
        positions[key] = entries.count
        entries.append(Neighbor(address: address, link: link, state: .incomplete, lladdr: .zero))
        return entries.count - 1
    }

    mutating func setPermanent(_ address: IPAddress, _ lladdr: MACAddress, on link: LinkID) {
        let position = create(address, link)
        entries[position].state = .permanent
        entries[position].lladdr = lladdr
        entries[position].generation &+= 1
    }
}

extension NetworkNamespace {
    /// Sends an IP packet to a neighbor (neigh_output): now when its MAC is known, later or never when not. The
    /// packet's Ethernet header is filled in here.
    mutating func sendToNeighbor(
        _ packet: Packet, nextHop: IPAddress, on link: LinkID, _ context: inout PathContext
    ) {
        let hardwareAddress = links[link.index].hardwareAddress
        switch links[link.index].kind {
        case .loopback:
            transmit(packet, on: link, &context)
            return
        case .tunnel:
            writeEthernet(packet, destination: .zero, source: .zero, &context)
            transmit(packet, on: link, &context)
            return
        default: break
        }
        if let group = nextHop.ipv6, group.isMulticast {
            writeEthernet(packet, destination: MACAddress(multicast: group), source: hardwareAddress, &context)
            transmit(packet, on: link, &context)
            return
        }
        if let address = nextHop.ipv4, address.isMulticast || address.isBroadcast || isBroadcast(nextHop) {
            let group = address.isMulticast ? MACAddress(multicast: address) : .broadcast
            writeEthernet(packet, destination: group, source: hardwareAddress, &context)
            transmit(packet, on: link, &context)
            return
        }
        let position = neighbors.create(nextHop, link)
        neighbors.entries[position].used = context.now
        switch neighbors.entries[position].state {
        case .reachable, .permanent, .delay, .probe:
            break
        case .stale:
            neighbors.entries[position].state = .delay
            setNeighborTimer(position, after: NeighborTable.delayBeforeProbe, &context)
        case .incomplete where neighbors.entries[position].probes == 0, .failed:
            park(packet, position)
            neighbors.entries[position].state = .incomplete
            neighbors.entries[position].probes = 1
            context.record(.waitsForNeighbor(nextHop, link), packet, in: id)
            solicit(position, &context)
            setNeighborTimer(position, after: NeighborTable.retransmission, &context)
            return
        case .incomplete:
            if neighbors.entries[position].waiting.count >= NeighborTable.queueLimit {
                let oldest = neighbors.entries[position].waiting.removeFirst()
                keepConnection(of: oldest, while: false)
                drop(oldest, .neighborQueueFull, &context)
            }
            context.record(.waitsForNeighbor(nextHop, link), packet, in: id)
            park(packet, position)
            return
        }
        writeEthernet(packet, destination: neighbors.entries[position].lladdr, source: hardwareAddress, &context)
        transmit(packet, on: link, &context)
    }

    /// Asks for a neighbor to whom nothing is sent yet (neigh_event_send).
    mutating func ask(_ address: IPAddress, on link: LinkID, _ context: inout PathContext) {
        let position = neighbors.create(address, link)
        let entry = neighbors.entries[position]
        guard entry.state == .failed || entry.state == .incomplete && entry.probes == 0 else { return }
        neighbors.entries[position].state = .incomplete
        neighbors.entries[position].probes = 1
        solicit(position, &context)
        setNeighborTimer(position, after: NeighborTable.retransmission, &context)
    }

    func isBroadcast(_ address: IPAddress) -> Bool {
        guard let position = localTable.lookup(address) else { return false }
        return localTable.routes[position].kind == .broadcast
    }

    private mutating func park(_ packet: Packet, _ position: Int) {
        neighbors.entries[position].waiting.append(packet)
        keepConnection(of: packet, while: true)
    }

    /// A packet on the detour of bridged DNAT has POSTROUTING, which confirms its connection, still before it.
    mutating func keepConnection(of packet: Packet, while isParked: Bool) {
        guard packet.bridge.bridgedDNAT, packet.connection != .none else { return }
        connections[packet.connection].isParked = isParked
    }

    func writeEthernet(
        _ packet: Packet, destination: MACAddress, source: MACAddress, _ context: inout PathContext
    ) {
        context.arena.storeMAC(destination, packet, 0)
        context.arena.storeMAC(source, packet, 6)
    }

    mutating func setNeighborTimer(_ position: Int, after delay: Nanoseconds, _ context: inout PathContext) {
        neighbors.entries[position].generation &+= 1
        let entry = neighbors.entries[position]
        context.schedule(
            .neighbor(entry.link, entry.address, generation: entry.generation), in: id, after: delay)
    }

    /// New knowledge about a neighbor (neigh_update).
    mutating func updateNeighbor(
        _ position: Int, _ lladdr: MACAddress, _ state: NeighborState, overrides: Bool, _ context: inout PathContext
    ) {
        let old = neighbors.entries[position]
        guard old.state != .permanent else { return }
        var new = state
        if new.isConnected { neighbors.entries[position].confirmed = context.now }
        if old.state.isValid {
            if lladdr != old.lladdr {
                guard overrides else { return }
            } else if new == .stale {
                new = old.state
            }
        }
        // An update that changes nothing does not move the lock time.
        if new != old.state || lladdr != old.lladdr { neighbors.entries[position].updated = context.now }
        if new != old.state {
            neighbors.entries[position].state = new
            neighbors.entries[position].probes = 0
            neighbors.entries[position].generation &+= 1
            if new == .reachable { setReachableTimer(position, &context) }
        }
        neighbors.entries[position].lladdr = lladdr
        if !old.state.isValid {
            let waiting = neighbors.entries[position].waiting
            neighbors.entries[position].waiting = []
            for packet in waiting {
                keepConnection(of: packet, while: false)
                sendToNeighbor(packet, nextHop: old.address, on: old.link, &context)
            }
        }
    }

    /// A packet carries the proof of a transport that its packets arrive (sock_confirm_neigh).
    mutating func confirmNeighbor(_ address: IPAddress, on link: LinkID, _ context: inout PathContext) {
        guard let position = neighbors.position(address, link) else { return }
        neighbors.entries[position].confirmed = context.now
    }

    /// Draws how long the entry is believed from now on (neigh_rand_reach_time), and sets the timer for its end.
    private mutating func setReachableTimer(_ position: Int, _ context: inout PathContext) {
        let half = Int(NeighborTable.baseReachable / 2)
        let time = Nanoseconds(half + context.random.next(below: 2 * half))
        neighbors.entries[position].reachableTime = time
        setNeighborTimer(position, after: time, &context)
    }

    /// A neighbor's timer ran out (neigh_timer_handler).
    mutating func neighborTimer(
        _ link: LinkID, _ address: IPAddress, _ generation: UInt32, _ context: inout PathContext
    ) {
        guard let position = neighbors.position(address, link), neighbors.entries[position].generation == generation
        else { return }
        let entry = neighbors.entries[position]
        switch entry.state {
        case .reachable:
            let believedUntil = entry.confirmed + entry.reachableTime
            if context.now <= believedUntil {
                setNeighborTimer(position, after: believedUntil - context.now, &context)
            } else if entry.used > context.now - NeighborTable.delayBeforeProbe {
                neighbors.entries[position].state = .delay
                setNeighborTimer(position, after: NeighborTable.delayBeforeProbe, &context)
            } else {
                neighbors.entries[position].state = .stale
            }
        case .delay:
            if context.now <= entry.confirmed + NeighborTable.delayBeforeProbe {
                neighbors.entries[position].state = .reachable
                setReachableTimer(position, &context)
            } else {
                neighbors.entries[position].state = .probe
                neighbors.entries[position].probes = 1
                solicit(position, &context)
                setNeighborTimer(position, after: NeighborTable.retransmission, &context)
            }
        case .incomplete, .probe:
            if entry.probes >= NeighborTable.solicitations {
                failNeighbor(position, &context)
            } else {
                neighbors.entries[position].probes += 1
                solicit(position, &context)
                setNeighborTimer(position, after: NeighborTable.retransmission, &context)
            }
        case .stale, .failed, .permanent: break
        }
    }

    /// Nobody answered: every parked packet ends, and its sender is told that the host is unreachable
    /// (arp_error_report, ndisc_error_report).
    private mutating func failNeighbor(_ position: Int, _ context: inout PathContext) {
        let address = neighbors.entries[position].address
        let waiting = neighbors.entries[position].waiting
        neighbors.entries[position].waiting = []
        neighbors.entries[position].state = .failed
        neighbors.entries[position].probes = 0
        for packet in waiting {
            keepConnection(of: packet, while: false)
            context.cause = packet.id
            if address.family == .ipv4 {
                sendICMPError(about: packet, .hostUnreachable, &context)
            } else {
                sendICMPv6Error(about: packet, .addressUnreachable, &context)
            }
            drop(packet, .neighborFailed, &context)
        }
    }
}
