// What flanneld makes of a node: the device of its backend, and per remote lease a route, a permanent neighbor and a
// forwarding entry (vxlan), a route alone (host-gw, ipip, and vxlan peers on the same wire with DirectRouting), or
// nothing but one route for the whole network (udp, wireguard). Mirrors flannel pkg/backend. The lease of a node is its
// pod CIDRs. Simplified: ipip, udp and wireguard devices carry packets as they are.

public import Addressing
public import Kubernetes
public import Netstack

/// A node's lease as other nodes learn it from its annotations.
public struct FlannelLease: Hashable, Sendable {
    public var nodeName: String
    public var subnet: IPPrefix
    /// The address peers tunnel or route to.
    public var publicIP: IPv4Address
    /// The MAC of the node's VXLAN device.
    public var vtepMAC: MACAddress
    /// Of a node with an IPv6 pod CIDR and an IPv6 address.
    public var ipv6: Half?

    /// What a lease says of one family.
    public struct Half: Hashable, Sendable {
        public var subnet: IPPrefix
        public var publicIP: IPAddress
        public var vtepMAC: MACAddress
    }

    public init(nodeName: String, subnet: IPPrefix, publicIP: IPv4Address, vtepMAC: MACAddress) {
        self.nodeName = nodeName
        self.subnet = subnet
        self.publicIP = publicIP
        self.vtepMAC = vtepMAC
    }

    func half(_ family: AddressFamily) -> Half? {
        family == .ipv6 ? ipv6 : Half(subnet: subnet, publicIP: IPAddress(publicIP), vtepMAC: vtepMAC)
    }
}

public enum FlannelDaemon {
    /// Overhead of VXLAN over IPv4.
    static let vxlanOverhead = 50

    /// The lease a node has, nil without a pod CIDR or address. The MACs are used unless the node's annotations carry
    /// some (a cluster dump).
    public static func lease(of node: Node, vtepMAC: MACAddress, ipv6VTEPMAC: MACAddress) -> FlannelLease? {
        guard let subnet = node.podCIDR(.ipv4) else { return nil }
        let annotations = node.metadata.annotations
        func announced(_ name: String) -> IPAddress? {
            (annotations[prefix + "\(name)-overwrite"] ?? annotations[prefix + name]).flatMap { IPAddress($0) }
        }
        let publicIP = announced("public-ip")?.ipv4 ?? node.internalIP(.ipv4)?.ipv4
        guard let publicIP else { return nil }
        let mac = annotations[prefix + "backend-data"].flatMap(vtepMAC(inBackendData:))
        var lease = FlannelLease(
            nodeName: node.name, subnet: subnet, publicIP: publicIP, vtepMAC: mac ?? vtepMAC)
        if let subnet = node.podCIDR(.ipv6), let publicIP = announced("public-ipv6") ?? node.internalIP(.ipv6) {
            let mac = annotations[prefix + "backend-v6-data"].flatMap(self.vtepMAC(inBackendData:))
            lease.ipv6 = FlannelLease.Half(subnet: subnet, publicIP: publicIP, vtepMAC: mac ?? ipv6VTEPMAC)
        }
        return lease
    }

    private static let prefix = "flannel.alpha.coreos.com/"

    /// Finds `"VtepMAC":"…"` in the annotation's JSON.
    private static func vtepMAC(inBackendData text: String) -> MACAddress? {
        let parts = text.split(separator: "\"", omittingEmptySubsequences: false)
        guard let key = parts.firstIndex(of: "VtepMAC"), key + 2 < parts.count else { return nil }
        return MACAddress(parts[key + 2])
    }

    /// What to say of a backend whose tunnel is not modelled; nil for the others.
    public static func warning(about configuration: FlannelConfiguration) -> ObjectWarning? {
        let backend = configuration.backend.type
        let message: String
        switch backend {
        case .vxlan, .hostGateway, .alloc: return nil
        case .ipip, .udp, .wireguard:
            message =
                "flannel's \(backend) tunnel is not modelled: devices, routes and MTU are its own, but packets cross "
                + "the underlay as they are"
        default:
            message = "flannel's backend \(backend) is not modelled: nodes route to each other as with host-gw"
        }
        return ObjectWarning(
            kind: "ConfigMap", namespace: "kube-flannel", name: "kube-flannel-cfg", origin: configuration.origin,
            field: FieldPath("data", "net-conf.json"), message: message,
            hint: "modelled are vxlan, host-gw and alloc")
    }

    /// The names of the devices flannel and the bridge plugin make on a node.
    public static func deviceNames(_ configuration: FlannelConfiguration) -> [String] {
        let backend = configuration.backend
        let made: [String] =
            switch backend.type {
            case .vxlan: ["flannel.\(backend.vni)", "flannel-v6.\(backend.vni)"]
            case .ipip: ["flannel.ipip"]
            case .udp: ["flannel0"]
            case .wireguard: ["flannel-wg", "flannel-wg-v6"]
            default: []
            }
        return [configuration.delegate.bridge] + made
    }

    /// The MTU flannel writes into subnet.env for the pods.
    public static func podMTU(_ configuration: FlannelConfiguration, external: Int) -> Int {
        switch configuration.backend.type {
        case .vxlan: (configuration.backend.mtu > 0 ? configuration.backend.mtu : external) - vxlanOverhead
        case .ipip: external - 20
        case .udp: external - 28
        case .wireguard: (configuration.backend.mtu > 0 ? configuration.backend.mtu : external) - 80
        default: external
        }
    }

    /// Makes the backend's devices and the entries for all other leases.
    public static func configure(
        _ node: inout NetworkNamespace, own: FlannelLease, others: [FlannelLease],
        configuration: FlannelConfiguration, external: LinkID
    ) {
        let families = [AddressFamily.ipv4] + (configuration.enableIPv6 && own.ipv6 != nil ? [.ipv6] : [])
        let backend = FlannelBackendSetup(configuration: configuration, external: external, own: own, others: others)
        for family in families {
            switch configuration.backend.type {
            case .vxlan: backend.makeVXLAN(family, on: &node)
            case .ipip where family == .ipv4: backend.makeIPIP(on: &node)
            case .udp where family == .ipv4: backend.makeUDP(on: &node)
            case .wireguard: backend.makeWireGuard(family, on: &node)
            // These know no IPv6.
            case .ipip, .udp: break
            // Leases and nothing else: whoever wants packets carried adds the routes.
            case .alloc: break
            default: backend.routeDirectly(family, on: &node)
            }
        }
    }
}

/// One backend at work on one node.
private struct FlannelBackendSetup {
    let configuration: FlannelConfiguration
    let external: LinkID
    let own: FlannelLease
    let others: [FlannelLease]

    private var settings: FlannelBackend { configuration.backend }

    private func peers(_ family: AddressFamily) -> [FlannelLease.Half] { others.compactMap { $0.half(family) } }

    private func isOnlink(_ address: IPAddress, _ node: NetworkNamespace) -> Bool {
        node.links[external.index].addresses.contains { $0.interface.prefix.contains(address) }
    }

    private func mtu(_ node: NetworkNamespace) -> Int {
        FlannelDaemon.podMTU(configuration, external: node.links[external.index].mtu)
    }

    func routeDirectly(_ family: AddressFamily, on node: inout NetworkNamespace) {
        for peer in peers(family) { node.addRoute(Route(peer.subnet, gateway: peer.publicIP, link: external)) }
    }

    /// flannel asks for the same MTU in both families; the kernel lets an IPv6 tunnel have no more than fits.
    func makeVXLAN(_ family: AddressFamily, on node: inout NetworkNamespace) {
        guard let own = own.half(family), let local = localAddress(own, on: node) else { return }
        let asked = mtu(node)
        let device = node.addVXLAN(
            (family == .ipv4 ? "flannel." : "flannel-v6.") + "\(settings.vni)", hardwareAddress: own.vtepMAC,
            mtu: family == .ipv4 ? asked : min(asked, node.links[external.index].mtu - VXLANTunnel.ipv6Overhead),
            vni: UInt32(clamping: settings.vni), local: local, lower: external,
            port: settings.port == 0 ? 8472 : UInt16(clamping: settings.port))
        node.addAddress(InterfaceAddress(own.subnet.address, prefixLength: family.bitWidth), to: device)
        for peer in peers(family) {
            if settings.directRouting, isOnlink(peer.publicIP, node) {
                node.addRoute(Route(peer.subnet, gateway: peer.publicIP, link: external))
                continue
            }
            let gateway = peer.subnet.address
            node.addPermanentNeighbor(gateway, lladdr: peer.vtepMAC, on: device)
            node.addForwardingEntry(peer.vtepMAC, remote: peer.publicIP, on: device)
            node.addRoute(Route(peer.subnet, gateway: gateway, link: device, isOnlink: true))
        }
    }

    /// The interface's own address, which need not be the one peers are told.
    private func localAddress(_ own: FlannelLease.Half, on node: NetworkNamespace) -> IPAddress? {
        let addresses = node.links[external.index].addresses.map(\.interface.address)
        if addresses.contains(own.publicIP) { return own.publicIP }
        return addresses.first { $0.family == own.publicIP.family && $0.ipv6?.isLinkLocal != true }
            ?? own.publicIP
    }

    func makeIPIP(on node: inout NetworkNamespace) {
        let device = addTunnel("flannel.ipip", .ipip, .ipv4, on: &node)
        for peer in peers(.ipv4) {
            let isDirect = settings.directRouting && isOnlink(peer.publicIP, node)
            node.addRoute(
                Route(peer.subnet, gateway: peer.publicIP, link: isDirect ? external : device, isOnlink: true))
        }
    }

    func makeUDP(on node: inout NetworkNamespace) {
        let device = addTunnel("flannel0", .tun, .ipv4, on: &node)
        if let network = configuration.network {
            node.addRoute(Route(network, link: device, scope: .universe))
        }
    }

    /// In other modes than `separate` one device serves both families.
    func makeWireGuard(_ family: AddressFamily, on node: inout NetworkNamespace) {
        let isShared = !["", "separate"].contains(settings.mode)
        let name = family == .ipv4 || isShared ? "flannel-wg" : "flannel-wg-v6"
        let device = addTunnel(name, .wireguard, family, on: &node)
        if let network = configuration.network(family) { node.addRoute(Route(network, link: device)) }
    }

    /// A tunnel with the address flannel gives it, and the ways to its peers.
    private func addTunnel(
        _ name: String, _ kind: RelayTunnel.Kind, _ family: AddressFamily, on node: inout NetworkNamespace
    ) -> LinkID {
        let device =
            node.link(named: name)?.id
            ?? node.addTunnel(name, kind, local: IPAddress(own.publicIP), lower: external, mtu: mtu(node))
        if let own = own.half(family) {
            node.addAddress(InterfaceAddress(own.subnet.address, prefixLength: family.bitWidth), to: device)
        }
        for peer in peers(family) { node.addTunnelPeer(peer.subnet, remote: peer.publicIP, on: device) }
        return device
    }
}
