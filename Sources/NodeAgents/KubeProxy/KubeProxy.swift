// The way in for callers with one node in hand. Who builds many nodes keeps a ServiceIndex and an IPTablesProxy or
// NFTablesProxy per family and asks them for profiles (IPTablesMode.swift, NFTablesMode.swift).

public import Addressing
public import Kubernetes
public import Netstack

/// kube-proxy, the agent that turns Services into packet rules on every node.
public enum KubeProxy {
    /// The iptables rules kube-proxy v1.36 writes on a clean node for one family.
    public static func iptablesRuleset(
        services: some Sequence<Service>, endpointSlices: some Sequence<EndpointSlice>, node: NodeView,
        configuration: KubeProxyConfiguration, family: AddressFamily
    ) -> Ruleset {
        let index = ServiceIndex(services: services, endpointSlices: endpointSlices, family: family)
        let proxy = IPTablesProxy(index: index, configuration: configuration)
        return proxy.ruleset(for: proxy.profile(of: node))
    }

    /// The nftables table kube-proxy v1.36 keeps on a node for one family.
    public static func nftablesTable(
        services: some Sequence<Service>, endpointSlices: some Sequence<EndpointSlice>, node: NodeView,
        configuration: KubeProxyConfiguration, serviceCIDRs: [IPPrefix] = [], family: AddressFamily
    ) -> NFTablesTable {
        let index = ServiceIndex(services: services, endpointSlices: endpointSlices, family: family)
        let proxy = NFTablesProxy(index: index, configuration: configuration, serviceCIDRs: serviceCIDRs)
        return proxy.table(for: proxy.profile(of: node))
    }
}
