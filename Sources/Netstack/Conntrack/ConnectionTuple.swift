// One direction of a connection, and the table that finds it. Mirrors struct nf_conntrack_tuple: for ICMP the echo
// identifier stands in the source port and type and code in the destination port.

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
        if `protocol` == .icmp {
            let answer: UInt16
            switch destinationPort >> 8 {
            case 8: answer = 0
            case 0: answer = 8
            case 13: answer = 14
            case 14: answer = 13
            case 15: answer = 16
            case 16: answer = 15
            case 17: answer = 18
            case 18: answer = 17
            default: return nil
            }
            return ConnectionTuple(
                source: destination, destination: source, protocol: `protocol`, sourcePort: sourcePort,
                destinationPort: answer << 8 | destinationPort & 0xff)
        }
        return ConnectionTuple(
            source: destination, destination: source, protocol: `protocol`, sourcePort: destinationPort,
            destinationPort: sourcePort)
    }

    /// Reads the tuple of the IPv4 packet whose header begins at `offset`; nil when the transport header is cut.
    init?(_ packet: Packet, at offset: Int, in arena: borrowing PacketArena) {
        guard packet.length >= offset + IPv4Header.length else { return nil }
        let headerLength = Int(arena.load8(packet, offset) & 0xf) * 4
        source = IPAddress(IPv4Address(rawValue: arena.load32(packet, offset + IPv4Header.Offset.source)))
        destination = IPAddress(IPv4Address(rawValue: arena.load32(packet, offset + IPv4Header.Offset.destination)))
        `protocol` = IPProtocol(rawValue: arena.load8(packet, offset + IPv4Header.Offset.protocol))
        let transport = offset + headerLength
        let later =
            arena.load16(packet, offset + IPv4Header.Offset.flagsAndFragmentOffset) & IPv4Header.fragmentOffsetMask
        guard later == 0 else { return nil }
        if `protocol`.hasPorts {
            guard packet.length >= transport + 4 else { return nil }
            sourcePort = arena.load16(packet, transport)
            destinationPort = arena.load16(packet, transport + 2)
        } else if `protocol` == .icmp {
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
        SocketAddress(destination, `protocol` == .icmp ? sourcePort : destinationPort)
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
        guard !slots.isEmpty else { return nil }
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
