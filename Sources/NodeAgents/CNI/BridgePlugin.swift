// What the CNI bridge plugin makes for a pod, as flannel's delegate config asks for it: the bridge with its gateway
// address, a veth pair with a hairpin port, the pod's address and its three routes. Mirrors plugins/main/bridge
// of containernetworking/plugins 1.1.1.

public import Addressing
internal import Kubernetes
public import Netstack

/// A pod's attachment to its node's bridge.
public struct BridgePlugin: Sendable {
    public var bridge: String
    public var hairpinMode: Bool
    /// The bridge hands every frame up to the node.
    public var promiscMode = false
    /// The bridge has the gateway's address.
    public var isGateway = true
    /// Pods have a default route by it.
    public var isDefaultGateway = true
    /// The pods' MTU.
    public var mtu: Int
    /// The node's pod CIDR; its first address is the gateway.
    public var subnet: IPPrefix
    /// flannel's network: the pod gets a route to it by the gateway.
    public var clusterNetwork: IPPrefix

    /// The IPv6 range of a dual-stack cluster.
    public var ipv6: Range?

    /// A node's pod CIDR of one family and the network it is cut from.
    public struct Range: Sendable {
        public var subnet: IPPrefix
        public var clusterNetwork: IPPrefix

        public init(subnet: IPPrefix, clusterNetwork: IPPrefix) {
            self.subnet = subnet
            self.clusterNetwork = clusterNetwork
        }
    }

    public init(bridge: String, hairpinMode: Bool, mtu: Int, subnet: IPPrefix, clusterNetwork: IPPrefix) {
        self.bridge = bridge
        self.hairpinMode = hairpinMode
        self.mtu = mtu
        self.subnet = subnet
        self.clusterNetwork = clusterNetwork
    }

    private var gateway: IPAddress? { subnet.address.advanced(by: 1) }

    /// Makes the bridge unless it is there, with the gateway address.
    public func ensureBridge(on node: inout NetworkNamespace, hardwareAddress: MACAddress) -> LinkID {
        if let existing = node.link(named: bridge) { return existing.id }
        let link = node.addBridge(bridge, hardwareAddress: hardwareAddress, mtu: mtu)
        node.setLink(link, promiscuous: promiscMode)
        guard isGateway || isDefaultGateway else { return link }
        if let gateway {
            node.addAddress(
                InterfaceAddress(gateway, prefixLength: subnet.length), to: link, broadcast: subnet.last.ipv4)
        }
        node.sysctls.ipForward = true
        if let ipv6, let gateway = ipv6.subnet.address.advanced(by: 1) {
            node.addAddress(InterfaceAddress(gateway, prefixLength: ipv6.subnet.length), to: link)
            node.sysctls.ipv6Forward = true
        }
        return link
    }

    /// Joins a pod to the bridge: `hostName` is the name of the node's end, eth0 the pod's.
    public func add(
        pod: inout NetworkNamespace, address: IPAddress, ipv6 second: IPAddress? = nil, podMAC: MACAddress,
        to node: inout NetworkNamespace, hostName: String, hostMAC: MACAddress, bridgeMAC: MACAddress
    ) {
        let bridgeLink = ensureBridge(on: &node, hardwareAddress: bridgeMAC)
        let hostLink = LinkID(node.links.count)
        let podLink = LinkID(pod.links.count)
        node.addLink(
            hostName, kind: .veth(peer: LinkPeer(namespace: pod.id, link: podLink)), hardwareAddress: hostMAC, mtu: mtu)
        pod.addLink(
            "eth0", kind: .veth(peer: LinkPeer(namespace: node.id, link: hostLink)), hardwareAddress: podMAC, mtu: mtu)
        node.attach(hostLink, to: bridgeLink, hairpin: hairpinMode)
        pod.addAddress(
            InterfaceAddress(address, prefixLength: subnet.length), to: podLink, broadcast: subnet.last.ipv4)
        if let gateway { addRoutes(to: clusterNetwork, by: gateway, on: podLink, of: &pod) }
        guard let ipv6, let second, let gateway = ipv6.subnet.address.advanced(by: 1) else { return }
        pod.addAddress(InterfaceAddress(second, prefixLength: ipv6.subnet.length), to: podLink)
        addRoutes(to: ipv6.clusterNetwork, by: gateway, on: podLink, of: &pod)
    }

    /// The name chains made here carry as their agent.
    public static let agent = "bridge"

    /// What ipMasq adds for one address of a pod (pkg/ip/ipmasq_linux.go): within its subnet the source stays, to
    /// everywhere else but multicast groups it becomes the node's.
    public static func installMasquerade(
        of address: InterfaceAddress, network: String, containerID: String, into ruleset: inout Ruleset
    ) {
        let chain = CNIChainName.name("", network: network, containerID: containerID)
        let comment = Match.comment("name: \"\(network)\" id: \"\(containerID)\"")
        ruleset[.nat].create(chain, agent: agent)
        ruleset[.nat].ensure(
            Rule(destination: Negatable(address.prefix), matches: [comment], target: .accept), in: chain)
        ruleset[.nat].ensure(
            Rule(
                destination: .not(.multicast(address.address.family)), matches: [comment],
                target: .masquerade(randomFully: false)), in: chain)
        ruleset[.nat].ensure(
            Rule(source: Negatable(IPPrefix(host: address.address)), matches: [comment], target: .jump(chain)),
            in: Hook.postrouting.chainName)
    }

    /// IPAM's routes first, the default route of isDefaultGateway last. IPAM names the gateway, whether the bridge has
    /// its address or not.
    private func addRoutes(
        to network: IPPrefix, by gateway: IPAddress, on link: LinkID, of pod: inout NetworkNamespace
    ) {
        pod.addRoute(Route(network, gateway: gateway, link: link))
        guard isDefaultGateway else { return }
        pod.addRoute(Route(IPPrefix(.any(gateway.family), length: 0), gateway: gateway, link: link))
    }
}
