// One direction of a connection, and the table that finds it. Mirrors struct nf_conntrack_tuple: for ICMP of either
// family the echo identifier stands in the source port and type and code in the destination port.

public import Addressing
internal import Wire

/// A tracked connection, by its place in the tracker.
public struct ConnectionID: Hashable, Sendable, BitwiseCopyable {
    let rawValue: Int32
    static let none = ConnectionID(rawValue: -1)
}

/// How a packet relates to its connection (enum ip_conntrack_info).
enum PacketConnectionState: UInt8, BitwiseCopyable {
    case none, new, established, related, establishedReply, relatedReply, untracked, invalid

    var isReply: Bool { self == .establishedReply || self == .relatedReply }
}

/// Addresses and ports of one direction.
public struct ConnectionTuple: Hashable, Sendable, BitwiseCopyable {
    public var source: IPAddress
    public var destination: IPAddress
    public var `protocol`: IPProtocol
    /// For ICMP the echo identifier.
    public var sourcePort: UInt16
    /// For ICMP type << 8 | code.
    public var destinationPort: UInt16

    /// The tuple of the answer to a packet with this tuple; nil for an ICMP type that has no answer.
    var inverted: ConnectionTuple? {
        if `protocol`.isICMP {
            guard let answer = Self.answer(to: destinationPort >> 8, of: `protocol`) else { return nil }
            return ConnectionTuple(
                source: destination, destination: source, protocol: `protocol`, sourcePort: sourcePort,
                destinationPort: answer << 8 | destinationPort & 0xff)
        }
        return ConnectionTuple(
            source: destination, destination: source, protocol: `protocol`, sourcePort: destinationPort,
            destinationPort: sourcePort)
    }

    /// The ICMP type that answers another, in both directions (icmp_invert_tuple, icmpv6_invert_tuple).
    private static func answer(to type: UInt16, of protocol: IPProtocol) -> UInt16? {
        switch (`protocol`, type) {
        case (.icmp, 8): 0
        case (.icmp, 0): 8
        case (.icmp, 13), (.icmp, 15), (.icmp, 17): type + 1
        case (.icmp, 14), (.icmp, 16), (.icmp, 18): type - 1
        case (.icmpv6, 128), (.icmpv6, 139): type + 1
        case (.icmpv6, 129), (.icmpv6, 140): type - 1
        default: nil
        }
    }

    /// Reads the tuple of the packet whose network header begins at `offset`; nil when the transport header is cut or
    /// elsewhere.
    init?(_ packet: Packet, at offset: Int, in arena: borrowing PacketArena) {
        guard let header = NetworkHeader(packet, at: offset, in: arena) else { return nil }
        self.init(packet, header, at: offset, in: arena)
    }

    /// The same with a header that has been read.
    init?(_ packet: Packet, _ header: NetworkHeader, at offset: Int, in arena: borrowing PacketArena) {
        guard !header.isLaterFragment else { return nil }
        source = arena.source(packet, at: offset)
        destination = arena.destination(packet, at: offset)
        `protocol` = header.protocol
        let transport = header.transport
        if `protocol`.hasPorts {
            guard packet.length >= transport + 4 else { return nil }
            sourcePort = arena.load16(packet, transport)
            destinationPort = arena.load16(packet, transport + 2)
        } else if `protocol`.isICMP {
            guard packet.length >= transport + 8 else { return nil }
            sourcePort = arena.load16(packet, transport + 4)
            destinationPort = arena.load16(packet, transport)
        } else {
            sourcePort = 0
            destinationPort = 0
        }
    }

    init(
        source: IPAddress, destination: IPAddress, protocol: IPProtocol, sourcePort: UInt16, destinationPort: UInt16
    ) {
        self.source = source
        self.destination = destination
        self.protocol = `protocol`
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
    }

    var sourceSocket: SocketAddress { SocketAddress(source, sourcePort) }
    var destinationSocket: SocketAddress {
        SocketAddress(destination, `protocol`.isICMP ? sourcePort : destinationPort)
    }

    /// A well-mixed hash without the standard library's per-process seed.
    var mixedHash: UInt64 {
        var h = source.low &* 0x9e37_79b9_7f4a_7c15 ^ source.high
        h = (h ^ h >> 29) &* 0xbf58_476d_1ce4_e5b9 ^ destination.low ^ destination.high &* 0x94d0_49bb_1331_11eb
        h = (h ^ h >> 32) &* 0x94d0_49bb_1331_11eb
        h ^= UInt64(sourcePort) << 32 | UInt64(destinationPort) << 8 | UInt64(`protocol`.rawValue)
        h = (h ^ h >> 30) &* 0xbf58_476d_1ce4_e5b9
        return h ^ h >> 31
    }
}

extension IPProtocol {
    /// ICMP of either family, which has an identifier instead of ports.
    var isICMP: Bool { self == .icmp || self == .icmpv6 }
}

/// An open-addressing hash table from tuple to connection and direction.
struct TupleTable: Sendable {
    struct Hit: Sendable, BitwiseCopyable {
        var connection: ConnectionID
        var isReply: Bool
    }

    private struct Slot: Sendable, BitwiseCopyable {
        var tuple: ConnectionTuple
        var hit: Hit
        /// 0 free, 1 used, 2 removed.
        var state: UInt8
    }

    private var slots: [Slot] = []
    private var used = 0
    private var count = 0

    func lookup(_ tuple: ConnectionTuple) -> Hit? {
        guard used > 0 else { return nil }
        let mask = slots.count - 1
        var index = Int(truncatingIfNeeded: tuple.mixedHash) & mask
        while slots[index].state != 0 {
            if slots[index].state == 1, slots[index].tuple == tuple { return slots[index].hit }
            index = (index + 1) & mask
        }
        return nil
    }

    mutating func insert(_ tuple: ConnectionTuple, _ hit: Hit) {
        if (used + 1) * 4 > slots.count * 3 { grow() }
        let mask = slots.count - 1
        var index = Int(truncatingIfNeeded: tuple.mixedHash) & mask
        while slots[index].state == 1 { index = (index + 1) & mask }
        if slots[index].state == 0 { used += 1 }
        slots[index] = Slot(tuple: tuple, hit: hit, state: 1)
        count += 1
    }

    mutating func remove(_ tuple: ConnectionTuple, of connection: ConnectionID) {
        guard !slots.isEmpty else { return }
        let mask = slots.count - 1
        var index = Int(truncatingIfNeeded: tuple.mixedHash) & mask
        while slots[index].state != 0 {
            if slots[index].state == 1, slots[index].tuple == tuple, slots[index].hit.connection == connection {
                slots[index].state = 2
                count -= 1
                return
            }
            index = (index + 1) & mask
        }
    }

    /// What a table with so many buckets would hold in `count` of them from a tuple's on, and how far on.
    func hits(near tuple: ConnectionTuple, buckets: Int, count: Int) -> [(hit: Hit, distance: Int)] {
        guard used > 0 else { return [] }
        let mask = slots.count - 1
        let wanted = Int(truncatingIfNeeded: tuple.mixedHash)
        var found: [(hit: Hit, distance: Int)] = []
        // Slots follow the low bits of the hash; so do buckets. Where there are fewer, each is in several places.
        for stripe in 0..<max(1, slots.count / buckets) {
            var index = (wanted + stripe * buckets) & mask
            for step in 0...mask {
                let slot = slots[index]
                if slot.state == 0, step >= count { break }
                let distance = (Int(truncatingIfNeeded: slot.tuple.mixedHash) &- wanted) & (buckets - 1)
                if slot.state == 1, distance < count { found.append((slot.hit, distance)) }
                index = (index + 1) & mask
            }
        }
        return found
    }

    private mutating func grow() {
        let old = slots
        let empty = Slot(
            tuple: ConnectionTuple(
                source: .any(.ipv4), destination: .any(.ipv4), protocol: .tcp, sourcePort: 0, destinationPort: 0),
            hit: Hit(connection: .none, isReply: false), state: 0)
        var capacity = 64
        while capacity < count * 4 { capacity *= 2 }
        slots = Array(repeating: empty, count: capacity)
        (used, count) = (0, 0)
        for slot in old where slot.state == 1 { insert(slot.tuple, slot.hit) }
    }
}
