// The rules of a node for either family. They stand in the node's namespace, where packets meet them; those of
// ip6tables only when the node has an IPv6 address, else they are worked out when somebody asks: kube-proxy runs one
// proxier per family on every node, on a single-stack cluster too, and flanneld writes rules when it has an IPv6
// network.

public import Addressing
internal import Kubernetes
public import Netstack
internal import NodeAgents

extension Simulator {
    /// What iptables or ip6tables holds on a node; nil when the cluster has no node of that name.
    public mutating func ruleset(of node: String, family: AddressFamily) -> Ruleset? {
        guard let id = namespaceID(of: .node(node)), let object = cluster.objects.nodes["", node] else { return nil }
        switch family {
        case .ipv4: return namespace(id).ruleset
        case .ipv6:
            let rules = namespace(id).rulesetIPv6
            return rules.isEmpty ? ipv6Ruleset(of: object) : rules
        }
    }

    func ipv6Ruleset(of node: Node) -> Ruleset {
        let objects = cluster.objects
        let interfaces = NodeNetwork.interfaces(of: node, underlay: objects.underlay ?? Underlay())
        var ruleset = KubeProxy.iptablesRuleset(
            services: objects.services, endpointSlices: objects.endpointSlices,
            node: NodeView(node, interfaceAddresses: interfaces.flatMap(\.addresses)),
            configuration: objects.kubeProxyConfiguration ?? KubeProxyConfiguration(), family: .ipv6)
        if let flannel = objects.flannelConfiguration, flannel.enableIPv6, flannel.ipMasq,
            let network = flannel.network(.ipv6),
            let subnet = node.spec.podCIDRs.first(where: { $0.family == .ipv6 })
        {
            FlannelRules.install(network: network, subnet: subnet, into: &ruleset)
        }
        return ruleset
    }
}
