// What flanneld makes of a node: the device of its backend, and per remote lease a route, a permanent neighbor and a
// forwarding entry (vxlan), or a route alone (host-gw, and vxlan peers on the same wire with DirectRouting). Mirrors
// flannel pkg/backend/vxlan and hostgw. The lease of a node is its pod CIDR.

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

    public init(nodeName: String, subnet: IPPrefix, publicIP: IPv4Address, vtepMAC: MACAddress) {
        self.nodeName = nodeName
        self.subnet = subnet
        self.publicIP = publicIP
        self.vtepMAC = vtepMAC
    }
}

public enum FlannelDaemon {
    /// Overhead of VXLAN over IPv4.
    static let vxlanOverhead = 50

    /// The lease a node has, nil without a pod CIDR or address. `vtepMAC` is used unless the node's annotations
    /// carry one (a cluster dump).
    public static func lease(of node: Node, vtepMAC: MACAddress) -> FlannelLease? {
        guard let subnet = node.spec.podCIDRs.first(where: { $0.family == .ipv4 }) else { return nil }
        let annotations = node.metadata.annotations
        let overwritten = annotations[prefix + "public-ip-overwrite"] ?? annotations[prefix + "public-ip"]
        let published = overwritten.flatMap { IPv4Address($0) }
        guard let publicIP = published ?? node.internalIP(.ipv4)?.ipv4 else { return nil }
        let announced = annotations[prefix + "backend-data"].flatMap(vtepMAC(inBackendData:))
        return FlannelLease(
            nodeName: node.name, subnet: subnet, publicIP: publicIP, vtepMAC: announced ?? vtepMAC)
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
        guard ![.vxlan, .hostGateway].contains(configuration.backend.type) else { return nil }
        return ObjectWarning(
            kind: "ConfigMap", namespace: "kube-flannel", name: "kube-flannel-cfg", origin: configuration.origin,
            field: FieldPath("data", "net-conf.json"),
            message: "flannel's \(configuration.backend.type) tunnel is not modelled: nodes route to each other "
                + "as with host-gw, with that backend's MTU", hint: "modelled are vxlan and host-gw")
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

    /// Makes the backend's device and the entries for all other leases.
    public static func configure(
        _ node: inout NetworkNamespace, own: FlannelLease, others: [FlannelLease],
        configuration: FlannelConfiguration, external: LinkID
    ) {
        let link = node.links[external.index]
        guard configuration.backend.type == .vxlan else {
            for lease in others {
                node.addRoute(Route(lease.subnet, gateway: IPAddress(lease.publicIP), link: external))
            }
            return
        }
        let backend = configuration.backend
        let device = node.addVXLAN(
            "flannel.\(backend.vni)", hardwareAddress: own.vtepMAC,
            mtu: podMTU(configuration, external: link.mtu), vni: UInt32(clamping: backend.vni),
            // What the lease announces may be another address (--public-ip); the tunnel ends at the interface's own.
            local: link.addresses.lazy.compactMap(\.interface.address.ipv4).first ?? own.publicIP, lower: external,
            port: backend.port == 0 ? 8472 : UInt16(clamping: backend.port))
        node.addAddress(InterfaceAddress(own.subnet.address, prefixLength: 32), to: device)
        for lease in others {
            if backend.directRouting, isOnlink(lease.publicIP, link) {
                node.addRoute(Route(lease.subnet, gateway: IPAddress(lease.publicIP), link: external))
                continue
            }
            let gateway = lease.subnet.address
            node.addPermanentNeighbor(gateway, lladdr: lease.vtepMAC, on: device)
            node.addForwardingEntry(lease.vtepMAC, remote: lease.publicIP, on: device)
            node.addRoute(Route(lease.subnet, gateway: gateway, link: device, isOnlink: true))
        }
    }

    /// The route to another node's IPv6 subnet. All backends route IPv6 as host-gw does: the second VXLAN device
    /// (flannel-v6) is not modelled.
    public static func addIPv6Route(
        to subnet: IPPrefix, gateway: IPAddress, on external: LinkID, of node: inout NetworkNamespace
    ) {
        node.addRoute(Route(subnet, gateway: gateway, link: external))
    }

    private static func isOnlink(_ address: IPv4Address, _ link: Link) -> Bool {
        link.addresses.contains { $0.interface.prefix.contains(IPAddress(address)) }
    }
}
