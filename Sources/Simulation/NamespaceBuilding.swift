// Turns one node, or one host, into namespaces: the agents of the node are let loose on an empty kernel, in the order
// they come up on a real node.

internal import Addressing
internal import Kubernetes
internal import Netstack
internal import NodeAgents

/// kube-proxy's view of the Services, worked out once for all nodes.
struct ProxyRules: Sendable {
    /// The mode of kube-proxy, with what each family needs.
    private enum Mode {
        case iptables([IPTablesProxy])
        case nftables([NFTablesProxy])
        case ipvs(IPVSProxy)
    }

    let configuration: KubeProxyConfiguration
    private let index: ServiceIndex
    private let mode: Mode
    /// The iptables rules written so far.
    private var written: [SharedKey: SharedRuleset] = [:]

    /// What nodes with equal rules have in common.
    private struct SharedKey: Hashable {
        let family: AddressFamily
        let profile: IPTablesProfile
    }

    init(_ cluster: Cluster) {
        let objects = cluster.objects
        let configuration = objects.kubeProxyConfiguration ?? KubeProxyConfiguration()
        func index(_ family: AddressFamily) -> ServiceIndex {
            ServiceIndex(
                services: Array(objects.services), endpointSlices: Array(objects.endpointSlices), family: family)
        }
        let index4 = index(.ipv4)
        switch configuration.mode {
        case .iptables:
            mode = .iptables(
                [index4, index(.ipv6)].map { IPTablesProxy(index: $0, configuration: configuration) })
        case .nftables:
            let networks = objects.serviceCIDRs.flatMap(\.cidrs)
            mode = .nftables(
                [index4, index(.ipv6)].map {
                    NFTablesProxy(index: $0, configuration: configuration, serviceCIDRs: networks)
                })
        case .ipvs: mode = .ipvs(IPVSProxy(index: index4, configuration: configuration))
        }
        self.configuration = configuration
        self.index = index4
    }

    /// What kube-proxy answers on health check ports.
    func health(on node: NodeView) -> [ServiceHealth] {
        index.health(on: node, configuration: configuration)
    }

    /// Programs a node whose interfaces are there, and gives what stands in iptables and nftables; `hardwareAddress` is
    /// that of the device ipvs mode makes.
    mutating func install(
        for view: NodeView, on namespace: inout NetworkNamespace, hardwareAddress: MACAddress
    ) -> (iptables: SharedRuleset, nftables: [NFTablesTable]) {
        var ruleset = KubeletRules.ruleset(.ipv4)
        switch mode {
        case .iptables: return (iptablesRules(for: view, family: .ipv4), [])
        case .nftables(let proxies):
            return (SharedRuleset(ruleset), proxies.map { $0.table(for: $0.profile(of: view)) })
        case .ipvs(let proxy):
            let state = proxy.state(of: view)
            let device = namespace.addLink(IPVSProxy.device, kind: .dummy, hardwareAddress: hardwareAddress)
            namespace.setLink(device, up: false)
            for address in state.addresses {
                namespace.addAddress(InterfaceAddress(address, prefixLength: address.family.bitWidth), to: device)
            }
            namespace.ipSets = state.sets
            namespace.virtualServers = VirtualServerTable(
                state.virtualServers, timeouts: proxy.timeouts, agent: IPVSProxy.agent)
            proxy.install(for: state, into: &ruleset)
            return (SharedRuleset(ruleset), [])
        }
    }

    /// The rules of iptables mode behind kubelet's, written once for all nodes that see the Services alike; kubelet's
    /// alone in other modes.
    mutating func iptablesRules(for node: NodeView, family: AddressFamily) -> SharedRuleset {
        var ruleset = KubeletRules.ruleset(family)
        guard case .iptables(let proxies) = mode, let proxy = proxies.first(where: { $0.index.family == family }) else {
            return SharedRuleset(ruleset, family: family)
        }
        let key = SharedKey(family: family, profile: proxy.profile(of: node))
        if let rules = written[key] { return rules }
        proxy.install(for: key.profile, into: &ruleset)
        let rules = SharedRuleset(ruleset, family: family)
        written[key] = rules
        return rules
    }

    /// What kube-proxy alone leaves in iptables on a clean node.
    func rulesOnCleanNode(_ node: NodeView, family: AddressFamily) -> Ruleset {
        switch mode {
        case .iptables(let proxies):
            guard let proxy = proxies.first(where: { $0.index.family == family }) else { return Ruleset() }
            return proxy.ruleset(for: proxy.profile(of: node))
        case .nftables: return Ruleset()
        case .ipvs(let proxy): return proxy.ruleset(for: proxy.state(of: node))
        }
    }
}

extension Simulator {
    /// Puts every machine's interfaces on the underlay switch. Loopback is link 0, interfaces follow.
    mutating func attachUnderlay() {
        let settings = cluster.objects.underlay ?? Underlay()
        for node in cluster.objects.nodes {
            guard let id = directory.id(of: .node(node.name)) else { continue }
            let interfaces = NodeNetwork.interfaces(of: node, underlay: settings)
            for (number, interface) in interfaces.enumerated() {
                underlay.attach(id, LinkID(number + 1), interface.addresses)
            }
        }
        for host in cluster.objects.hosts {
            guard let id = directory.id(of: .host(host.name)) else { continue }
            underlay.attach(id, LinkID(1), host.addresses)
        }
        if let id = directory.gateway, let address = settings.gateway {
            let own = InterfaceAddress(address, prefixLength: settings.subnet?.length ?? 24)
            underlay.attach(id, LinkID(1), [own] + ipv6Gateways())
        }
    }

    /// The namespaces that are built together with `id`: a node comes with its pods.
    mutating func makeNamespaces(with id: NamespaceID) -> [NetworkNamespace] {
        switch directory.owners[id.index] {
        case .node(let name): return makeNode(name)
        case .pod(let key): return makeNode(cluster.objects.pods[key]?.spec.nodeName ?? "")
        case .host(let name): return [makeHost(name, id)]
        }
    }

    /// A MAC address that follows from the seed and what it belongs to.
    private func hardwareAddress(_ owner: String) -> MACAddress {
        var generator = SeededGenerator(seed: seed).stream("mac \(owner)")
        return MACAddress(randomBits: generator.next())
    }

    private mutating func makeNode(_ name: String) -> [NetworkNamespace] {
        let objects = cluster.objects
        guard let node = objects.nodes["", name], let id = directory.id(of: .node(name)) else { return [] }
        let settings = objects.underlay ?? Underlay()
        var namespace = NetworkNamespace(id: id, name: name)
        let interfaces = NodeNetwork.interfaces(of: node, underlay: settings)
        for interface in interfaces {
            let link = namespace.addLink(
                interface.name, kind: .ethernet, hardwareAddress: hardwareAddress("\(name)/\(interface.name)"),
                mtu: settings.mtu)
            for address in interface.addresses {
                namespace.addAddress(address, to: link, broadcast: address.prefix.last.ipv4)
            }
        }
        addDefaultRoutes(&namespace, settings)
        let flannel = objects.flannelConfiguration ?? FlannelConfiguration()
        let ownLease = objects.flannelConfiguration == nil ? nil : lease(of: node)
        let pods = (directory.podsByNode[name] ?? []).map { objects.pods[$0] }
        var built: [NetworkNamespace] = []
        if let own = ownLease, !interfaces.isEmpty {
            let others = objects.nodes.compactMap { $0.name == name ? nil : lease(of: $0) }
            FlannelDaemon.configure(
                &namespace, own: own, others: others, configuration: flannel, external: LinkID(1))
            built = attach(pods, of: node, to: &namespace, own: own, flannel)
        }
        // Last, so that what an annotation sets outlives the CNI plugin's own settings.
        NodeNetwork.applySettings(node, proxy: proxy.configuration, to: &namespace)
        let addresses = namespace.links.filter { !$0.isLoopback }.flatMap { $0.addresses.map(\.interface) }
        let view = NodeView(node, interfaceAddresses: addresses)
        let proxied = proxy.install(
            for: view, on: &namespace, hardwareAddress: hardwareAddress("\(name)/\(IPVSProxy.device)"))
        var ruleset = proxied.iptables.ruleset
        if ownLease != nil { installFlannelRules(of: node, .ipv4, into: &ruleset) }
        installPodRules(of: node, .ipv4, into: &ruleset)
        namespace.setRuleset(ruleset, madeFrom: proxied.iptables)
        let tables = proxied.nftables + (ownLease == nil ? [] : flannelTables(of: node))
        if !tables.isEmpty { namespace.setNFTables(NFTablesRuleset(tables)) }
        // IPVS balances no IPv6 packets yet, so its rules would lead them nowhere.
        if proxy.configuration.mode != .ipvs, addresses.contains(where: { $0.address.family == .ipv6 }) {
            let (ruleset, proxied) = ipv6Ruleset(of: node)
            namespace.setRuleset(ruleset, family: .ipv6, madeFrom: proxied)
        }
        for dump in cluster.dumps[name] ?? [] { namespace.replaceRules(by: dump) }
        serveHealth(proxy.health(on: view), in: &namespace)
        listen(NodeNetwork.listeners(node.metadata), as: name, in: &namespace)
        for pod in pods where pod.spec.hostNetwork {
            listen(NodeNetwork.listeners(pod), as: pod.metadata.name, in: &namespace)
        }
        return [namespace] + built
    }

    /// kube-proxy's own servers, one for each Service with a health check port.
    private mutating func serveHealth(_ services: [ServiceHealth], in namespace: inout NetworkNamespace) {
        for health in services {
            let answer = HTTP.response(
                health.isServing ? "200 OK" : "503 Service Unavailable", headers: health.headers,
                body: Array(health.body.utf8))
            for address in health.addresses ?? [.any(.ipv4)] {
                let listener = namespace.listenTCP(port: health.port, address: address, label: "kube-proxy")
                answers[ApplicationSocket(namespace: namespace.id, socket: listener)] = answer
            }
        }
    }

    func lease(of node: Node) -> FlannelLease? {
        FlannelDaemon.lease(
            of: node, vtepMAC: hardwareAddress("\(node.name)/flannel"),
            ipv6VTEPMAC: hardwareAddress("\(node.name)/flannel-v6"))
    }

    private func attach(
        _ pods: [Pod], of object: Node, to node: inout NetworkNamespace, own: FlannelLease,
        _ flannel: FlannelConfiguration
    ) -> [NetworkNamespace] {
        let mtu = flannel.delegate.mtu ?? FlannelDaemon.podMTU(flannel, external: node.links[1].mtu)
        var plugin = BridgePlugin(
            bridge: flannel.delegate.bridge, hairpinMode: flannel.delegate.hairpinMode, mtu: mtu, subnet: own.subnet,
            clusterNetwork: flannel.network ?? own.subnet)
        plugin.promiscMode = flannel.delegate.promiscMode
        plugin.isGateway = flannel.delegate.isGateway
        plugin.isDefaultGateway = flannel.delegate.isDefaultGateway
        if flannel.enableIPv6, let subnet = object.podCIDR(.ipv6) {
            plugin.ipv6 = BridgePlugin.Range(subnet: subnet, clusterNetwork: flannel.network(.ipv6) ?? subnet)
        }
        var built: [NetworkNamespace] = []
        for pod in pods {
            guard PodAddresses.usesPodNetwork(pod), let id = directory.id(of: .pod(pod.key)),
                let address = pod.status.podIPs.first(where: { $0.family == .ipv4 })
            else { continue }
            var namespace = NetworkNamespace(id: id, name: pod.key.description)
            NodeNetwork.applyKernel(of: object, toPod: &namespace)
            var names = SeededGenerator(seed: seed).stream("veth \(pod.key)")
            let hostName = "veth" + hexadecimal(UInt32(truncatingIfNeeded: names.next()))
            plugin.add(
                pod: &namespace, address: address, ipv6: pod.status.podIPs.first { $0.family == .ipv6 },
                podMAC: hardwareAddress("\(pod.key)/eth0"), to: &node,
                hostName: hostName, hostMAC: hardwareAddress("\(node.name)/\(hostName)"),
                bridgeMAC: hardwareAddress("\(node.name)/\(plugin.bridge)"))
            if flannel.hasPortmap, !PortMapping.mappings(of: pod).isEmpty {
                PortmapPlugin.openLoopback(to: plugin.bridge, on: &node)
            }
            listen(NodeNetwork.listeners(pod), as: pod.metadata.name, in: &namespace)
            built.append(namespace)
        }
        return built
    }

    private func makeHost(_ name: String, _ id: NamespaceID) -> NetworkNamespace {
        let settings = cluster.objects.underlay ?? Underlay()
        var namespace = NetworkNamespace(id: id, name: name)
        let link = namespace.addLink(
            "eth0", kind: .ethernet, hardwareAddress: hardwareAddress("\(name)/eth0"), mtu: settings.mtu)
        if id == directory.gateway {
            if let address = settings.gateway {
                let own = InterfaceAddress(address, prefixLength: settings.subnet?.length ?? 24)
                namespace.addAddress(own, to: link, broadcast: own.prefix.last.ipv4)
            }
            for address in ipv6Gateways() { namespace.addAddress(address, to: link) }
            namespace.sysctls.ipForward = true
            namespace.sysctls.ipv6Forward = true
            return namespace
        }
        guard let host = cluster.objects.hosts["", name] else { return namespace }
        NodeNetwork.kernel(of: host.metadata)?.apply(to: &namespace.sysctls)
        for address in host.addresses {
            namespace.addAddress(address, to: link, broadcast: address.prefix.last.ipv4)
        }
        addDefaultRoutes(&namespace, settings)
        for route in host.routes {
            namespace.addRoute(Route(route.to, gateway: route.via, link: link))
        }
        namespace.sysctls.ipForward = host.forwarding
        namespace.sysctls.ipv6Forward = host.forwarding
        listen(host.listen, as: name, in: &namespace)
        return namespace
    }

    /// The default routes of both families. An underlay names one gateway; that of the other family is at the first
    /// address of a machine's first IPv6 subnet.
    private func addDefaultRoutes(_ namespace: inout NetworkNamespace, _ settings: Underlay) {
        addDefaultRoute(&namespace, settings)
        guard let (link, gateway) = ipv6Gateway(of: namespace), !namespace.isLocal(gateway) else { return }
        namespace.addRoute(Route(IPPrefix(.any(.ipv6), length: 0), gateway: gateway, link: link))
    }

    private func ipv6Gateway(of namespace: NetworkNamespace) -> (LinkID, IPAddress)? {
        for link in namespace.links where !link.isLoopback {
            for address in link.addresses {
                let interface = address.interface
                guard address.scope == .universe, interface.address.family == .ipv6, !interface.prefix.isHost else {
                    continue
                }
                if let gateway = interface.prefix.address.advanced(by: 1) { return (link.id, gateway) }
            }
        }
        return nil
    }

    /// The addresses podnet's own gateway has in the IPv6 subnets of the machines, where no machine has them.
    private func ipv6Gateways() -> [InterfaceAddress] {
        let objects = cluster.objects
        let settings = objects.underlay ?? Underlay()
        let machines = objects.nodes.compactMap { NodeNetwork.interfaces(of: $0, underlay: settings).first?.addresses }
        let own = (machines + objects.hosts.map(\.addresses)).joined().filter { $0.address.family == .ipv6 }
        var gateways: [InterfaceAddress] = []
        for address in own where !address.prefix.isHost {
            guard let gateway = address.prefix.address.advanced(by: 1) else { continue }
            let candidate = InterfaceAddress(gateway, prefixLength: address.prefixLength)
            if !gateways.contains(candidate), !own.contains(where: { $0.address == gateway }) {
                gateways.append(candidate)
            }
        }
        return gateways
    }

    /// The default route by the underlay's gateway, on the first interface that can reach it.
    private func addDefaultRoute(_ namespace: inout NetworkNamespace, _ settings: Underlay) {
        guard let gateway = settings.gateway, !namespace.isLocal(gateway) else { return }
        let link = namespace.links.first { link in
            !link.isLoopback && link.addresses.contains { $0.interface.prefix.contains(gateway) }
        }
        guard let link else { return }
        namespace.addRoute(Route(IPPrefix(.any(gateway.family), length: 0), gateway: gateway, link: link.id))
    }

    /// Opens the listeners, on the wildcard address of both families; what answers there is looked up by port (see
    /// `Applications.swift`).
    private func listen(_ listeners: [Listener], as name: String, in namespace: inout NetworkNamespace) {
        for listener in listeners {
            switch listener.protocol {
            case .tcp: _ = namespace.listenTCP(port: listener.port, label: name)
            case .udp: _ = namespace.bindUDP(port: listener.port, label: name)
            default: break
            }
        }
    }

    func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }
}
