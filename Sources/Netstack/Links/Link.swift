// Links of a namespace: veth ends, bridges, VXLAN devices, underlay ports and loopback, as `ip link` shows them.
// The set is closed, so the kind is an enum and a namespace stays a plain value.

public import Addressing

/// A network interface.
public struct Link: Sendable, Hashable {
    /// What the link is, with where to find its own state.
    public enum Kind: Sendable, Hashable {
        case loopback
        /// One end of a virtual Ethernet pair.
        case veth(peer: LinkPeer)
        /// A bridge; the number is its place in `NetworkNamespace.bridges`.
        case bridge(Int)
        /// A VXLAN device; the number is its place in `NetworkNamespace.tunnels`.
        case vxlan(Int)
        /// A tunnel of another kind; the number is its place in `NetworkNamespace.relays`.
        case tunnel(Int)
        /// A device that carries nothing and may hold addresses.
        case dummy
        /// A port on the underlay.
        case ethernet
    }

    /// An address with its scope, as `ip addr` shows it.
    public struct Address: Sendable, Hashable {
        public var interface: InterfaceAddress
        public var scope: RouteScope
        public var broadcast: IPv4Address?

        public init(_ interface: InterfaceAddress, scope: RouteScope = .universe, broadcast: IPv4Address? = nil) {
            self.interface = interface
            self.scope = scope
            self.broadcast = broadcast
        }
    }

    public let id: LinkID
    /// At most 15 octets.
    public let name: String
    public let kind: Kind
    public var hardwareAddress: MACAddress
    public var mtu: Int
    public var isUp: Bool
    /// Something is at the other end. A veth end has no carrier while its peer is down.
    public var hasCarrier = true
    /// The bridge this link is a port of.
    public internal(set) var bridge: LinkID?
    /// The port sends frames back to where they came from (`bridge link set ... hairpin on`).
    public internal(set) var isHairpin = false
    /// The bridge has not noticed yet that something is at the port's other end: it does not forward the first frame
    /// (br_port_carrier_check).
    var isNewPort = false
    /// Of a bridge: the host sees every frame (`ip link set ... promisc on`).
    public internal(set) var isPromiscuous = false
    public internal(set) var addresses: [Address] = []
    /// What stands between the link's device and the rest of the kernel; nil on nearly all links.
    public internal(set) var trafficControl: TrafficControl? {
        didSet { isControlled = trafficControl != nil }
    }
    /// The same as a flag, which every frame asks for.
    private(set) var isControlled = false
    public internal(set) var settings = InterfaceSettings()

    /// The name padded to 16 octets, as rules compare it.
    let packedName: PackedName

    init(id: LinkID, name: String, kind: Kind, hardwareAddress: MACAddress, mtu: Int, isUp: Bool) {
        self.id = id
        self.name = name
        self.kind = kind
        self.hardwareAddress = hardwareAddress
        self.mtu = mtu
        self.isUp = isUp
        packedName = PackedName(name)
    }

    /// The number `ip link` prints in front.
    public var index: Int { id.index + 1 }
    /// The longest frame the device takes: its MTU, the Ethernet header and a VLAN tag (is_skb_forwardable).
    var longestFrame: Int { mtu + 18 }
    /// Frames pass: it is up and not alone (netif_running, netif_carrier_ok).
    var isRunning: Bool { isUp && hasCarrier }
    public var isLoopback: Bool { kind == .loopback }
}

/// An interface name as sixteen octets in two words, so that a rule compares it with two masked comparisons
/// (ifname_compare_aligned in the kernel).
struct PackedName: Hashable, Sendable, BitwiseCopyable {
    var first: UInt64 = 0
    var second: UInt64 = 0

    init(_ name: String) {
        for (index, byte) in name.utf8.prefix(16).enumerated() {
            if index < 8 {
                first |= UInt64(byte) << UInt64(8 * index)
            } else {
                second |= UInt64(byte) << UInt64(8 * (index - 8))
            }
        }
    }

    /// All ones for the first `count` octets.
    init(maskOfLength count: Int) {
        first = count >= 8 ? .max : (1 << UInt64(8 * count)) - 1
        second = count >= 16 ? .max : count <= 8 ? 0 : (1 << UInt64(8 * (count - 8))) - 1
    }

    func matches(_ pattern: PackedName, mask: PackedName) -> Bool {
        (first ^ pattern.first) & mask.first == 0 && (second ^ pattern.second) & mask.second == 0
    }
}
