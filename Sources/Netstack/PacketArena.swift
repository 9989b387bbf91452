// Where packets live. A packet is a small handle with what the kernel keeps in struct sk_buff beside the octets;
// the octets lie in a slot of the arena with room in front for encapsulation, so that VXLAN moves an index and
// copies nothing. Every access is checked against the packet's length.

internal import Addressing

/// Nanoseconds of virtual time since the simulation's start.
public typealias Nanoseconds = Int64

/// A network namespace, by its place in the simulation.
public struct NamespaceID: Hashable, Comparable, Sendable, BitwiseCopyable {
    public let rawValue: Int32
    public init(_ rawValue: Int) { self.rawValue = Int32(rawValue) }
    public var index: Int { Int(rawValue) }
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A link of one namespace; `index + 1` is the interface index `ip link` prints.
public struct LinkID: Hashable, Comparable, Sendable, BitwiseCopyable {
    public let rawValue: Int32
    public init(_ rawValue: Int) { self.rawValue = Int32(rawValue) }
    public var index: Int { Int(rawValue) }
    static let none = LinkID(-1)
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Who a frame is for, as `skb->pkt_type` says it.
enum PacketType: UInt8, BitwiseCopyable {
    case host, broadcast, multicast, otherHost
}

/// What bridge netfilter remembers of a bridged packet (struct nf_bridge_info).
struct BridgeNetfilterState: BitwiseCopyable {
    /// The bridge port the frame came in by; `none` when bridge netfilter did not see it.
    var physicalIngress = LinkID.none
    /// The bridge port it leaves by, where that is known already.
    var physicalEgress = LinkID.none
    /// The frame came in for the bridge device itself.
    var isForBridge = false
    /// IP input must not run PREROUTING again (ip_sabotage_in).
    var prerouted = false
    /// The frame's source before neighbor output overwrote it (bridged_dnat).
    var savedSource = MACAddress.zero
    var bridgedDNAT = false
    /// The largest fragment of a packet bridge netfilter reassembled; 0 when it was whole.
    var largestFragment: UInt16 = 0
}

/// A handle on one frame and what travels with it inside a host.
public struct Packet: BitwiseCopyable, Sendable {
    var slot: UInt32
    /// Where the Ethernet header begins in the slot.
    var start: UInt32
    /// Octets of the frame, Ethernet header included.
    public internal(set) var length: Int
    /// Stays the same through NAT, bridging and encapsulation.
    public internal(set) var id: UInt32

    // What a host adds and forgets when the packet leaves it.
    var type = PacketType.host
    var mark: UInt32 = 0
    var ingress = LinkID.none
    var connection = ConnectionID.none
    var connectionState = PacketConnectionState.none
    var bridge = BridgeNetfilterState()
    /// Made on this host, not received.
    var isLocal = false
    /// A hash drawn by the sending socket, or made from addresses and ports on the way into a tunnel (skb->hash with
    /// l4_hash): it chooses the VXLAN source port, and stays with the packet from namespace to namespace. 0 until
    /// then.
    var flowHash: UInt32 = 0
    /// May be fragmented here although it says DF: its socket sets DF to learn the path's MTU, not to forbid
    /// fragments, or it was joined from fragments that said so (skb->ignore_df).
    var ignoresDontFragment = false
    /// The size of the fragments a packet was joined from, which it still carries along (frag_list).
    var fragmentSize: UInt16 = 0
    /// `ip_forward` found that the sender could have gone straight to the next hop.
    var wantsRedirect = false
    /// IPVS has translated it and looks at it no more (skb->ipvs_property).
    var isBalanced = false
    /// Made here, and no device has finished its checksum yet (CHECKSUM_PARTIAL): the octets hold the finished one, but
    /// what shows them does not.
    var lacksChecksum = false
    /// Its socket has just heard from the peer, which proves every next hop on the way. No change of namespace clears
    /// that (dst_pending_confirm).
    var provesNextHop = false
    /// It went out of a tunnel's device and came back in without having been a datagram (vxlan_encap_bypass).
    var isLoopedBack = false
    /// A fault touched its octets, so that its checksums must be looked at (not CHECKSUM_UNNECESSARY). It stays so from
    /// machine to machine.
    var isSuspect = false

    /// What `skb_scrub_packet` clears when a frame changes namespace.
    mutating func scrub() {
        type = .host
        mark = 0
        ingress = .none
        connection = .none
        connectionState = .none
        bridge = BridgeNetfilterState()
        isLocal = false
        ignoresDontFragment = false
        fragmentSize = 0
        wantsRedirect = false
        isBalanced = false
    }
}

/// The memory of all packets in flight.
public struct PacketArena: ~Copyable {
    /// Octets kept free in front of a new frame: VXLAN over IPv6 takes 70.
    static let headroom = 128
    private static let smallSlot = 2048
    private static let largeSlot = 65_536 + 512

    private var slots: [UnsafeMutablePointer<UInt8>] = []
    private var capacities: [Int] = []
    private var freeSmall: [UInt32] = []
    private var freeLarge: [UInt32] = []

    public init() {}

    deinit {
        for slot in slots { slot.deallocate() }
    }

    /// Slots handed out and not given back.
    public var packetsInFlight: Int { slots.count - freeSmall.count - freeLarge.count }

    /// A zeroed frame of that many octets.
    mutating func allocate(length: Int, id: UInt32) -> Packet {
        let packet = reserve(length: length, id: id)
        (slots[Int(packet.slot)] + Int(packet.start)).update(repeating: 0, count: length)
        return packet
    }

    /// A frame with the given octets.
    mutating func allocate(copying bytes: UnsafeRawBufferPointer, id: UInt32) -> Packet {
        let packet = reserve(length: bytes.count, id: id)
        if let base = bytes.baseAddress {
            UnsafeMutableRawPointer(slots[Int(packet.slot)] + Int(packet.start))
                .copyMemory(from: base, byteCount: bytes.count)
        }
        return packet
    }

    /// A second copy with the same metadata, as skb_clone gives a flooded frame.
    mutating func clone(_ packet: Packet) -> Packet {
        let reserved = reserve(length: packet.length, id: packet.id)
        var copy = packet
        copy.slot = reserved.slot
        copy.start = reserved.start
        (slots[Int(copy.slot)] + Int(copy.start)).update(
            from: slots[Int(packet.slot)] + Int(packet.start), count: packet.length)
        return copy
    }

    /// A frame of that many octets, not yet written, with the metadata of another.
    mutating func allocate(length: Int, like other: Packet) -> Packet {
        let reserved = reserve(length: length, id: other.id)
        var packet = other
        (packet.slot, packet.start, packet.length) = (reserved.slot, reserved.start, reserved.length)
        return packet
    }

    private mutating func reserve(length: Int, id: UInt32) -> Packet {
        precondition(length >= 0 && length <= 65_536 + 64, "frame length out of range")
        let small = length + Self.headroom <= Self.smallSlot
        if let slot = small ? freeSmall.popLast() : freeLarge.popLast() {
            return Packet(slot: slot, start: UInt32(Self.headroom), length: length, id: id)
        }
        let capacity = small ? Self.smallSlot : Self.largeSlot
        slots.append(.allocate(capacity: capacity))
        capacities.append(capacity)
        return Packet(slot: UInt32(slots.count - 1), start: UInt32(Self.headroom), length: length, id: id)
    }

    mutating func free(_ packet: Packet) {
        if capacities[Int(packet.slot)] == Self.smallSlot {
            freeSmall.append(packet.slot)
        } else {
            freeLarge.append(packet.slot)
        }
    }

    /// Moves the frame's beginning: a negative count opens room in front, a positive one strips octets.
    func advance(_ packet: inout Packet, by count: Int) {
        let start = Int(packet.start) + count
        precondition(start >= 0 && packet.length - count >= 0, "no room in front of the frame")
        packet.start = UInt32(start)
        packet.length -= count
    }

    /// Cuts octets off the end.
    func truncate(_ packet: inout Packet, to length: Int) {
        precondition(length >= 0 && length <= packet.length)
        packet.length = length
    }

    // MARK: octets

    private func pointer(_ packet: Packet, _ offset: Int, _ count: Int) -> UnsafeMutablePointer<UInt8> {
        precondition(offset >= 0 && offset + count <= packet.length, "access outside the frame")
        return slots[Int(packet.slot)] + (Int(packet.start) + offset)
    }

    func load8(_ packet: Packet, _ offset: Int) -> UInt8 { pointer(packet, offset, 1).pointee }

    func load16(_ packet: Packet, _ offset: Int) -> UInt16 {
        UInt16(bigEndian: UnsafeRawPointer(pointer(packet, offset, 2)).loadUnaligned(as: UInt16.self))
    }

    func load32(_ packet: Packet, _ offset: Int) -> UInt32 {
        UInt32(bigEndian: UnsafeRawPointer(pointer(packet, offset, 4)).loadUnaligned(as: UInt32.self))
    }

    mutating func flip(bit: Int, ofOctet octet: Int, in packet: Packet) {
        pointer(packet, octet, 1).pointee ^= 1 << UInt8(bit & 7)
    }

    func store16(_ value: UInt16, _ packet: Packet, _ offset: Int) {
        UnsafeMutableRawPointer(pointer(packet, offset, 2)).storeBytes(of: value.bigEndian, as: UInt16.self)
    }

    func store32(_ value: UInt32, _ packet: Packet, _ offset: Int) {
        UnsafeMutableRawPointer(pointer(packet, offset, 4)).storeBytes(of: value.bigEndian, as: UInt32.self)
    }

    func loadMAC(_ packet: Packet, _ offset: Int) -> MACAddress {
        MACAddress(rawValue: UInt64(load16(packet, offset)) << 32 | UInt64(load32(packet, offset + 2)))
    }

    func storeMAC(_ address: MACAddress, _ packet: Packet, _ offset: Int) {
        store16(UInt16(truncatingIfNeeded: address.rawValue >> 32), packet, offset)
        store32(UInt32(truncatingIfNeeded: address.rawValue), packet, offset + 2)
    }

    /// Copies octets of one frame into another.
    func copy(_ source: Packet, _ range: Range<Int>, to target: Packet, at offset: Int) {
        guard !range.isEmpty else { return }
        pointer(target, offset, range.count).update(
            from: pointer(source, range.lowerBound, range.count), count: range.count)
    }

    /// The frame's octets from `offset` on, to read.
    package func withBytes<Result>(
        _ packet: Packet, from offset: Int = 0, _ body: (RawSpan) throws -> Result
    ) rethrows -> Result {
        let buffer = UnsafeRawBufferPointer(
            start: pointer(packet, offset, packet.length - offset), count: packet.length - offset)
        return try body(RawSpan(_unsafeBytes: buffer))
    }

    /// The frame's octets from `offset` on, to change.
    func withMutableBytes<Result>(
        _ packet: Packet, from offset: Int = 0, _ body: (inout MutableRawSpan) throws -> Result
    ) rethrows -> Result {
        let buffer = UnsafeMutableRawBufferPointer(
            start: pointer(packet, offset, packet.length - offset), count: packet.length - offset)
        var span = MutableRawSpan(_unsafeBytes: buffer)
        return try body(&span)
    }

    /// A copy of the frame's octets.
    package func bytes(_ packet: Packet, from offset: Int = 0) -> [UInt8] {
        Array(
            UnsafeBufferPointer(start: pointer(packet, offset, packet.length - offset), count: packet.length - offset))
    }
}
