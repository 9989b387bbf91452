// The rules of one service port in iptables mode: the body of the loop over services in syncProxyRules
// (pkg/proxy/iptables/proxier.go, Kubernetes 1.36). Every destination of the port gets one rule in a chain shared by
// all services, and leads from there through the port's own chains to one chain per endpoint.

internal import Addressing
internal import Kubernetes
internal import Netstack

/// The rules of one service port, to be added to the chains shared by all and to the port's own.
struct ServiceRules: Sendable {
    var services: [Rule] = []
    var nodePorts: [Rule] = []
    var rejectedServices: [Rule] = []
    var rejectedExternalServices: [Rule] = []
    var healthChecks: [Rule] = []
    var proxyFirewall: [Rule] = []
    /// The port's own chains in the nat table.
    var chains: [(name: String, rules: [Rule])] = []

    func install(into ruleset: inout Ruleset) {
        add(rejectedServices, to: FilterChain.services.rawValue, of: &ruleset[.filter])
        add(rejectedExternalServices, to: FilterChain.externalServices.rawValue, of: &ruleset[.filter])
        add(healthChecks, to: FilterChain.nodePorts.rawValue, of: &ruleset[.filter])
        add(proxyFirewall, to: FilterChain.proxyFirewall.rawValue, of: &ruleset[.filter])
        add(services, to: NATChain.services.rawValue, of: &ruleset[.nat])
        add(nodePorts, to: NATChain.nodePorts.rawValue, of: &ruleset[.nat])
        for chain in chains { ruleset[.nat].append(chain.rules, to: chain.name, agent: IPTablesProxy.agent) }
    }

    private func add(_ rules: [Rule], to chain: String, of table: inout Table) {
        if !rules.isEmpty { table.append(rules, to: chain) }
    }
}

/// Everything about a service port that is made of its name, worked out once for all nodes.
struct ServicePortNames: Sendable {
    let port: String
    let chains: ServiceChainNames
    /// One per endpoint, in the port's order.
    let endpointChains: [String]

    init(_ port: ProxiedServicePort) {
        let name = port.name
        self.port = name
        chains = ServiceChainNames(portName: name, protocol: port.protocol)
        endpointChains = port.endpoints.map {
            endpointChainName(portName: name, protocol: port.protocol, endpoint: $0.text)
        }
    }
}

/// Writes the rules of service ports under one configuration.
struct ServiceRuleWriter: Sendable {
    let family: AddressFamily
    let configuration: KubeProxyConfiguration
    /// Whether node ports work on 127.0.0.1.
    let localhostNodePorts: Bool
    /// Past a thousand endpoints kube-proxy saves the comments of the rules there are most of.
    let hasManyEndpoints: Bool

    func rules(
        for port: ProxiedServicePort, named names: ServicePortNames, seenAs view: ServicePortView,
        detector: LocalDetector, hasAccounting: Bool
    ) -> ServiceRules {
        var draft = Draft(
            port: port, names: names, view: view, detector: detector, hasAccounting: hasAccounting, writer: self)
        draft.writeClusterIP()
        draft.writeExternalIPs()
        draft.writeVirtualIPs()
        draft.writeNodePort()
        draft.writeHealthCheck()
        draft.writeExternalChain()
        draft.writeFirewallChain()
        draft.writeEndpointChains()
        return draft.rules
    }
}

/// The rules of one service port while they are being written.
private struct Draft {
    let port: ProxiedServicePort
    let names: ServicePortNames
    let view: ServicePortView
    let detector: LocalDetector
    let hasAccounting: Bool
    let writer: ServiceRuleWriter
    var rules = ServiceRules()

    var name: String { names.port }
    var chains: ServiceChainNames { names.chains }

    // MARK: - What leads where

    var hasAny: Bool { view.selection.hasAny }
    var hasInternal: Bool { view.hasInternal(port) }
    var hasExternal: Bool { view.hasExternal(port) }
    var usesFirewall: Bool { hasAny && port.comparesSources }

    var internalChain: String { port.isInternalPolicyLocal ? chains.local : chains.cluster }
    var externalPolicyChain: String { port.isExternalPolicyLocal ? chains.local : chains.cluster }

    func ports(_ port: UInt16) -> Match { .transport(self.port.protocol, destination: Negatable(port...port)) }

    /// A rule for packets to one address and the service port.
    func rule(to address: IPAddress, _ comment: String, _ target: Target) -> Rule {
        Rule(
            destination: Negatable(IPPrefix(host: address)), protocol: Negatable(port.protocol),
            matches: [.comment(comment), ports(port.port)], target: target)
    }

    /// No endpoint at all is an error the client should hear of. None on this node is the load balancer's concern:
    /// it will notice and go elsewhere, so the packet is dropped without a word.
    var refusal: (comment: String, target: Target) {
        if hasAny { return ("\(name) has no local endpoints", .drop) }
        let kind: RejectKind = writer.family == .ipv4 ? .portUnreachable : .portUnreachableIPv6
        return ("\(name) has no endpoints", .reject(kind))
    }

    // MARK: - Rules in the chains shared by all services

    mutating func writeClusterIP() {
        if hasInternal {
            rules.services.append(rule(to: port.clusterIP, "\(name) cluster IP", .jump(internalChain)))
        } else {
            rules.rejectedServices.append(rule(to: port.clusterIP, refusal.comment, refusal.target))
        }
    }

    mutating func writeExternalIPs() {
        for address in port.externalIPs {
            if hasAny { rules.services.append(rule(to: address, "\(name) external IP", .jump(chains.external))) }
            if !hasExternal {
                rules.rejectedExternalServices.append(rule(to: address, refusal.comment, refusal.target))
            }
        }
    }

    mutating func writeVirtualIPs() {
        let chain = usesFirewall ? chains.firewall : chains.external
        for address in port.virtualIPs where hasAny {
            rules.services.append(rule(to: address, "\(name) loadbalancer IP", .jump(chain)))
        }
        for address in port.virtualIPs where usesFirewall {
            let comment = "\(name) traffic not accepted by \(chains.firewall)"
            rules.proxyFirewall.append(rule(to: address, comment, .drop))
        }
        for address in port.virtualIPs where !hasExternal {
            rules.rejectedExternalServices.append(rule(to: address, refusal.comment, refusal.target))
        }
    }

    mutating func writeNodePort() {
        guard let nodePort = port.nodePort else { return }
        let `protocol` = Negatable(port.protocol)
        if hasAny {
            let matches = [Match.comment(name), ports(nodePort)]
            let target = Target.jump(chains.external)
            // Counted apart, to find out whether anybody still uses node ports on loopback.
            if writer.family == .ipv4, writer.localhostNodePorts, hasAccounting {
                rules.nodePorts.append(
                    Rule(
                        destination: Negatable(.ipv4Loopback), protocol: `protocol`,
                        matches: matches + [.accounting(name: "localhost_nps_accepted_pkts")], target: target))
            }
            rules.nodePorts.append(Rule(protocol: `protocol`, matches: matches, target: target))
        }
        if !hasExternal {
            let local = Match.addressType(destination: Negatable(.local))
            rules.rejectedExternalServices.append(
                Rule(
                    protocol: `protocol`, matches: [.comment(refusal.comment), local, ports(nodePort)],
                    target: refusal.target))
        }
    }

    mutating func writeHealthCheck() {
        guard let number = port.healthCheckNodePort else { return }
        rules.healthChecks.append(
            Rule(
                protocol: Negatable(.tcp),
                matches: [
                    .comment("\(name) health check node port"),
                    .transport(.tcp, destination: Negatable(number...number)),
                ], target: .accept))
    }

    // MARK: - The port's own chains

    /// What came to an external address: mark what must be masqueraded, then apply the traffic policy.
    mutating func writeExternalChain() {
        guard hasAny, port.isExternallyAccessible else { return }
        let mark = Target.jump(NATChain.markMasquerade.rawValue)
        var chain: [Rule] = []
        if port.isExternalPolicyLocal {
            // Pods and the node itself may use every endpoint: the policy is about keeping foreign sources.
            let fromPods = Rule(
                matches: [.comment("pod traffic for \(name) external destinations")], target: .jump(chains.cluster))
            if let fromPods = detector.restrict(fromPods, toLocal: true) { chain.append(fromPods) }
            let local = Match.addressType(source: Negatable(.local))
            chain.append(
                Rule(
                    matches: [.comment("masquerade LOCAL traffic for \(name) external destinations"), local],
                    target: mark))
            chain.append(
                Rule(
                    matches: [.comment("route LOCAL traffic for \(name) external destinations"), local],
                    target: .jump(chains.cluster)))
        } else {
            chain.append(
                Rule(matches: [.comment("masquerade traffic for \(name) external destinations")], target: mark))
        }
        if hasExternal { chain.append(Rule(target: .jump(externalPolicyChain))) }
        rules.chains.append((chains.external, chain))
    }

    /// Sources allowed to use the virtual IPs. What falls through is not translated, and dropped in the filter table.
    mutating func writeFirewallChain() {
        guard usesFirewall else { return }
        let comment = Match.comment("\(name) loadbalancer IP")
        var sources = port.sourceRanges
        // A packet of the node to a virtual IP may have that very address as its source.
        if view.rangesHoldNode { sources += port.virtualIPs.map { IPPrefix(host: $0) } }
        var chain = sources.map {
            Rule(source: Negatable($0), matches: [comment], target: .jump(chains.external))
        }
        chain.append(Rule(matches: [.comment("other traffic to \(name) will be dropped by KUBE-PROXY-FIREWALL")]))
        rules.chains.append((chains.firewall, chain))
    }

    mutating func writeEndpointChains() {
        let selection = view.selection
        func targets(_ positions: [Int]) -> [(ProxiedEndpoint, String)] {
            positions.map { (port.endpoints[$0], names.endpointChains[$0]) }
        }

        if port.usesClusterEndpoints, !selection.cluster.isEmpty {
            rules.chains.append((chains.cluster, balancingChain(chains.cluster, over: targets(selection.cluster))))
        }
        if port.usesLocalEndpoints, !selection.local.isEmpty {
            rules.chains.append((chains.local, balancingChain(chains.local, over: targets(selection.local))))
        }
        for (endpoint, chain) in targets(selection.reachable) {
            rules.chains.append((chain, endpointChain(chain, for: endpoint)))
        }
    }

    /// Endpoint after endpoint, each with the chance that gives all of them the same share.
    private func balancingChain(_ chain: String, over endpoints: [(ProxiedEndpoint, String)]) -> [Rule] {
        var result: [Rule] = []
        if chain == internalChain, hasInternal, let masquerade = clusterIPMasquerade { result.append(masquerade) }
        if let seconds = port.affinitySeconds {
            for (endpoint, target) in endpoints {
                let recent = Match.recentCheck(name: target, seconds: seconds, family: writer.family)
                result.append(Rule(matches: arrow(to: endpoint) + [recent], target: .jump(target)))
            }
        }
        for (position, (endpoint, target)) in endpoints.enumerated() {
            let remaining = endpoints.count - position
            let chance = remaining > 1 ? [Match.random(chance: chance(oneIn: remaining))] : []
            result.append(Rule(matches: arrow(to: endpoint) + chance, target: .jump(target)))
        }
        return result
    }

    private func arrow(to endpoint: ProxiedEndpoint) -> [Match] {
        writer.hasManyEndpoints ? [] : [.comment("\(name) -> \(endpoint.text)")]
    }

    /// Traffic to the cluster IP from outside the pod network, or all of it, must come back through this node.
    private var clusterIPMasquerade: Rule? {
        let all = rule(to: port.clusterIP, "\(name) cluster IP", .jump(NATChain.markMasquerade.rawValue))
        return writer.configuration.iptables.masqueradeAll ? all : detector.restrict(all, toLocal: false)
    }

    private func endpointChain(_ chain: String, for endpoint: ProxiedEndpoint) -> [Rule] {
        let comment = writer.hasManyEndpoints ? [] : [Match.comment(name)]
        var matches = comment
        if port.affinitySeconds != nil { matches.append(.recentSet(name: chain, family: writer.family)) }
        matches.append(.transport(port.protocol))
        return [
            // A pod that drew itself: without masquerade the answer would never pass here again.
            Rule(
                source: Negatable(IPPrefix(host: endpoint.address)), matches: comment,
                target: .jump(NATChain.markMasquerade.rawValue)),
            Rule(
                protocol: Negatable(port.protocol), matches: matches,
                target: .destinationNAT(address: endpoint.address, port: endpoint.port)),
        ]
    }
}

/// The chance of one in `count` in units of 2^-31. kube-proxy writes it with ten decimals, so those are rounded first.
func chance(oneIn count: Int) -> UInt32 {
    let scale: UInt64 = 10_000_000_000
    let count = UInt64(max(count, 1))
    var decimals = scale / count
    let rest = scale % count * 2
    // printf rounds a tie to even.
    if rest > count || (rest == count && decimals & 1 == 1) { decimals += 1 }
    return UInt32(truncatingIfNeeded: (decimals << 31 + scale / 2) / scale)
}
