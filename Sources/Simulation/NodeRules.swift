// The rules of a node for either family. They stand in the node's namespace, where packets meet them; those of
// ip6tables only when the node has an IPv6 address, else they are worked out when somebody asks: kube-proxy runs one
// proxier per family on every node, on a single-stack cluster too, and flanneld writes rules when it has an IPv6
// network.

public import Addressing
internal import Kubernetes
public import Netstack
internal import NodeAgents

/// Everything that decides about packets on a node, for one family.
public struct NodeRules: Sendable {
    /// What iptables or ip6tables holds.
    public let iptables: Ruleset
    /// Of both families.
    public let nftables: NFTablesRuleset
    /// What IPVS and its sets hold, in ipvs mode.
    public let virtualServers: [VirtualServer]
    public let sets: [IPSet]
    /// The node has the rules of a real one.
    public let isDump: Bool
}

extension Simulator {
    /// The rules of a node; nil when the cluster has no node of that name.
    public mutating func rules(of node: String, family: AddressFamily) -> NodeRules? {
        guard let id = namespaceID(of: .node(node)), let ruleset = ruleset(of: node, family: family) else {
            return nil
        }
        let balanced = virtualServers(of: node, family: family)
        return NodeRules(
            iptables: ruleset, nftables: namespace(id).nftables, virtualServers: balanced?.servers ?? [],
            sets: balanced?.sets ?? [], isDump: cluster.dumps[node] != nil)
    }

    /// What iptables or ip6tables holds on a node; nil when the cluster has no node of that name.
    public mutating func ruleset(of node: String, family: AddressFamily) -> Ruleset? {
        guard let id = namespaceID(of: .node(node)), let object = cluster.objects.nodes["", node] else { return nil }
        switch family {
        case .ipv4: return namespace(id).ruleset
        case .ipv6:
            let rules = namespace(id).rulesetIPv6
            let isDumped = cluster.dumps[node]?.contains { $0.holds(.ipv6) } == true
            return rules.isEmpty && !isDumped ? ipv6Ruleset(of: object).ruleset : rules
        }
    }

    /// The virtual servers and sets kube-proxy's ipvs mode has made on a node; nil in other modes and for other names.
    public mutating func virtualServers(
        of node: String, family: AddressFamily
    ) -> (servers: [VirtualServer], sets: [IPSet])? {
        guard proxy.configuration.mode == .ipvs, let id = namespaceID(of: .node(node)),
            let object = cluster.objects.nodes["", node]
        else { return nil }
        if family == .ipv4 {
            let namespace = namespace(id)
            return (namespace.virtualServers.servers, namespace.ipSets)
        }
        let proxy = ipv6VirtualServers()
        let state = proxy.state(of: ipv6View(of: object))
        return (state.virtualServers, state.sets)
    }

    private func ipv6VirtualServers() -> IPVSProxy {
        let index = ServiceIndex(
            services: cluster.objects.services, endpointSlices: cluster.objects.endpointSlices, family: .ipv6)
        return IPVSProxy(index: index, configuration: proxy.configuration)
    }

    private func ipv6View(of node: Node) -> NodeView {
        let interfaces = NodeNetwork.interfaces(of: node, underlay: cluster.objects.underlay ?? Underlay())
        return NodeView(node, interfaceAddresses: interfaces.flatMap(\.addresses))
    }

    /// What ip6tables holds on a node, and what of it other nodes hold too.
    mutating func ipv6Ruleset(of node: Node) -> (ruleset: Ruleset, madeFrom: SharedRuleset) {
        let objects = cluster.objects
        let view = ipv6View(of: node)
        var proxied = proxy.iptablesRules(for: view, family: .ipv6)
        if proxy.configuration.mode == .ipvs {
            let proxy = ipv6VirtualServers()
            proxied = SharedRuleset(proxy.ruleset(for: proxy.state(of: view)), family: .ipv6)
        }
        var ruleset = proxied.ruleset
        if let flannel = objects.flannelConfiguration, flannel.enableIPv6, flannel.ipMasq,
            let network = flannel.network(.ipv6),
            let subnet = node.spec.podCIDRs.first(where: { $0.family == .ipv6 })
        {
            FlannelRules.install(network: network, subnet: subnet, into: &ruleset)
        }
        return (ruleset, proxied)
    }
}
