// The tunnel devices of flannel's backends ipip, udp and wireguard, as far as routes, addresses and MTU go. Simplified:
// nothing is encapsulated or encrypted; a packet such a device takes leaves by the underlay as it is, for the peer it
// would be tunneled to, and arrives there on the underlay's link. Ethernet headers at its tap are all zero, where the
// kernel's device has none.

public import Addressing

/// A point-to-point device without link-layer addresses, and whom it leads to.
public struct RelayTunnel: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case ipip, tun, wireguard
    }

    public let kind: Kind
    /// The device.
    public let link: LinkID
    public let local: IPAddress
    /// The device packets leave by.
    public let lower: LinkID
    /// Subnets and the underlay addresses of those who have them.
    public internal(set) var peers: [(subnet: IPPrefix, remote: IPAddress)] = []

    init(kind: Kind, link: LinkID, local: IPAddress, lower: LinkID) {
        self.kind = kind
        self.link = link
        self.local = local
        self.lower = lower
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.kind == right.kind && left.link == right.link && left.local == right.local && left.lower == right.lower
            && left.peers.elementsEqual(right.peers) { $0 == $1 }
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(link)
        for peer in peers { hasher.combine(peer.subnet) }
    }
}

extension NetworkNamespace {
    /// Makes a tunnel device that is up.
    public mutating func addTunnel(
        _ name: String, _ kind: RelayTunnel.Kind, local: IPAddress, lower: LinkID, mtu: Int
    ) -> LinkID {
        let link = addLink(name, kind: .tunnel(relays.count), hardwareAddress: .zero, mtu: mtu)
        relays.append(RelayTunnel(kind: kind, link: link, local: local, lower: lower))
        return link
    }

    /// Names the peer behind a subnet.
    public mutating func addTunnelPeer(_ subnet: IPPrefix, remote: IPAddress, on link: LinkID) {
        guard case .tunnel(let number) = links[link.index].kind else { preconditionFailure("not a tunnel") }
        relays[number].peers.append((subnet, remote))
    }

    /// Sends a packet to the peer that has its destination.
    mutating func relayTransmit(_ packet: Packet, tunnel number: Int, _ context: inout PathContext) {
        let relay = relays[number]
        let destination = destinationAddress(packet, context)
        guard let peer = relay.peers.first(where: { $0.subnet.contains(destination) }),
            case .route(let route) = routeOutput(peer.remote, egress: relay.lower), route.egress != relay.link
        else {
            drop(packet, .noOutputRoute, &context)
            return
        }
        sendToNeighbor(packet, nextHop: route.nextHop(peer.remote), on: route.egress, &context)
    }
}
