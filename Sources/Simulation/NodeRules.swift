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
    /// What kube-proxy alone would leave there on a clean node; all of a dump.
    public let kubeProxys: Ruleset
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
        let isDump = cluster.dumps[node] != nil
        return NodeRules(
            iptables: ruleset, kubeProxys: isDump ? ruleset : kubeProxyRules(of: id, family: family),
            nftables: namespace(id).nftables, virtualServers: balanced?.servers ?? [], sets: balanced?.sets ?? [],
            isDump: isDump)
    }

    /// What iptables or ip6tables holds on a node; nil when the cluster has no node of that name.
    public mutating func ruleset(of node: String, family: AddressFamily) -> Ruleset? {
        guard let id = namespaceID(of: .node(node)), let object = cluster.objects.nodes["", node] else { return nil }
        switch family {
        case .ipv4: return namespace(id).ruleset
        case .ipv6:
            let rules = namespace(id).rulesetIPv6
            return rules.isEmpty && !cluster.hasDump(of: node, for: .ipv6) ? ipv6Ruleset(of: object).ruleset : rules
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

    private mutating func kubeProxyRules(of id: NamespaceID, family: AddressFamily) -> Ruleset {
        guard case .node(let name) = owner(of: id), let node = cluster.objects.nodes["", name] else { return Ruleset() }
        if family == .ipv6 {
            guard proxy.configuration.mode == .ipvs else {
                return proxy.rulesOnCleanNode(ipv6View(of: node), family: .ipv6)
            }
            let servers = ipv6VirtualServers()
            return servers.ruleset(for: servers.state(of: ipv6View(of: node)))
        }
        let links = namespace(id).links.filter { !$0.isLoopback && $0.name != IPVSProxy.device }
        return proxy.rulesOnCleanNode(
            NodeView(node, interfaceAddresses: links.flatMap { $0.addresses.map(\.interface) }), family: .ipv4)
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
        let view = ipv6View(of: node)
        var proxied = proxy.iptablesRules(for: view, family: .ipv6)
        if proxy.configuration.mode == .ipvs {
            let proxy = ipv6VirtualServers()
            var ruleset = KubeletRules.ruleset(.ipv6)
            proxy.install(for: proxy.state(of: view), into: &ruleset)
            proxied = SharedRuleset(ruleset, family: .ipv6)
        }
        var ruleset = proxied.ruleset
        installFlannelRules(of: node, .ipv6, into: &ruleset)
        installPodRules(of: node, .ipv6, into: &ruleset)
        return (ruleset, proxied)
    }

    /// flannel's networks and the node's parts of them.
    private func flannelRanges(of node: Node) -> [(network: IPPrefix, subnet: IPPrefix)] {
        guard let flannel = cluster.objects.flannelConfiguration else { return [] }
        return AddressFamily.allCases.compactMap { family in
            guard family == .ipv4 || flannel.enableIPv6, let network = flannel.network(family),
                let subnet = node.podCIDR(family)
            else { return nil }
            return (network, subnet)
        }
    }

    /// What flanneld writes with iptables.
    func installFlannelRules(of node: Node, _ family: AddressFamily, into ruleset: inout Ruleset) {
        guard let flannel = cluster.objects.flannelConfiguration, !flannel.enableNFTables else { return }
        for range in flannelRanges(of: node) where range.network.family == family {
            FlannelRules.install(
                network: range.network, subnet: range.subnet, masquerades: flannel.ipMasq,
                forwards: flannel.forwardRules, into: &ruleset)
        }
    }

    /// What flanneld writes with nftables, of both families.
    func flannelTables(of node: Node) -> [NFTablesTable] {
        guard let flannel = cluster.objects.flannelConfiguration, flannel.enableNFTables else { return [] }
        return FlannelRules.nftables(flannelRanges(of: node), masquerades: flannel.ipMasq)
    }

    /// What the CNI plugins write for the pods of a node, pod by pod.
    func installPodRules(of node: Node, _ family: AddressFamily, into ruleset: inout Ruleset) {
        guard let flannel = cluster.objects.flannelConfiguration, let subnet = node.podCIDR(family) else { return }
        for position in directory.podsByNode[node.name] ?? [] {
            let pod = cluster.objects.pods[position]
            guard PodAddresses.usesPodNetwork(pod), let address = pod.status.podIP(family) else { continue }
            let interface = InterfaceAddress(address, prefixLength: subnet.length)
            if flannel.masqueradesByBridge {
                BridgePlugin.installMasquerade(
                    of: interface, network: flannel.cniName, containerID: sandboxID(of: pod), into: &ruleset)
            }
            let mappings = PortMapping.mappings(of: pod)
            if flannel.hasPortmap, !mappings.isEmpty {
                PortmapPlugin.install(
                    mappings, network: flannel.cniName, containerID: sandboxID(of: pod), address: interface,
                    into: &ruleset)
            }
        }
    }

    /// The id a container runtime gave the pod's sandbox; it comes from the seed.
    private func sandboxID(of pod: Pod) -> String {
        var generator = SeededGenerator(seed: seed).stream("sandbox \(pod.key)")
        return (0..<8).map { _ in hexadecimal(UInt32(truncatingIfNeeded: generator.next())) }.joined()
    }
}
