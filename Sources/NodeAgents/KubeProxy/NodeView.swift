// What kube-proxy knows of the node it runs on: names, addresses, labels and two facts about the kernel.
// Mirrors what cmd/kube-proxy gathers from its own Node object and from the interfaces.

public import Addressing
public import Kubernetes

/// A node as its own kube-proxy sees it.
public struct NodeView: Hashable, Sendable {
    public var name: String
    /// The label `topology.kubernetes.io/zone`.
    public var zone: String?
    /// The Node object's addresses, InternalIPs first; the first of a family is the node's IP of that family.
    public var hostAddresses: [IPAddress]
    /// What stands on the interfaces, without loopback, which every node has.
    public var interfaceAddresses: [InterfaceAddress]
    public var podCIDRs: [IPPrefix]
    /// Whether the kernel can make nfacct counters. kube-proxy leaves the counting matches out where it cannot.
    public var hasAccounting: Bool
    /// Whether `nf_conntrack_tcp_be_liberal` was set when kube-proxy started.
    public var isConntrackLiberal: Bool

    public init(
        name: String, zone: String? = nil, hostAddresses: [IPAddress] = [],
        interfaceAddresses: [InterfaceAddress] = [], podCIDRs: [IPPrefix] = [], hasAccounting: Bool = true,
        isConntrackLiberal: Bool = false
    ) {
        self.name = name
        self.zone = zone
        self.hostAddresses = hostAddresses
        self.interfaceAddresses = interfaceAddresses
        self.podCIDRs = podCIDRs
        self.hasAccounting = hasAccounting
        self.isConntrackLiberal = isConntrackLiberal
    }

    /// The view of a Node object. The annotations `podnet.dev/nfacct` and
    /// `podnet.dev/sysctl.net.netfilter.nf_conntrack_tcp_be_liberal` describe its kernel.
    public init(_ node: Node, interfaceAddresses: [InterfaceAddress]) {
        let externalIPs = node.status.addresses.filter { $0.type == .externalIP }.compactMap { IPAddress($0.address) }
        let annotations = node.metadata.annotations
        self.init(
            name: node.name, zone: node.zone, hostAddresses: node.internalIPs + externalIPs,
            interfaceAddresses: interfaceAddresses, podCIDRs: node.spec.podCIDRs,
            hasAccounting: annotations[Self.accountingAnnotation] != "false",
            isConntrackLiberal: annotations[Self.liberalAnnotation].map { $0 != "0" } ?? false)
    }

    /// The node's own address; a concrete bindAddress takes its place, and loopback that of an unknown one.
    func address(_ family: AddressFamily, _ configuration: KubeProxyConfiguration) -> IPAddress {
        if let bound = IPAddress(configuration.bindAddress), bound.family == family, !bound.isAny { return bound }
        return hostAddresses.first { $0.family == family } ?? .loopback(family)
    }

    private static let accountingAnnotation = "podnet.dev/nfacct"
    private static let liberalAnnotation = "podnet.dev/sysctl.net.netfilter.nf_conntrack_tcp_be_liberal"
}
