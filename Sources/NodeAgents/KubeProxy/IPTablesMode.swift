// kube-proxy's iptables mode for one family: pkg/proxy/iptables/proxier.go of Kubernetes 1.36. What it would feed to
// iptables-restore in a full sync is built here as typed rules. Simplified: no partial syncs, because a ruleset is a
// pure function of its inputs and is built anew; services stand in sorted order where kube-proxy's order is random.

internal import Addressing
public import Kubernetes
public import Netstack

/// Everything about a node that reaches its rules. Nodes with equal profiles get equal rulesets, so one ruleset (and
/// what was compiled from it) can serve all of them.
public struct IPTablesProfile: Hashable, Sendable {
    var detector: LocalDetector
    /// Nil when every local address takes node-port traffic.
    var nodePortAddresses: [IPAddress]?
    var hasAccounting: Bool
    var isConntrackLiberal: Bool
    /// The service ports that look different from here than from a node with nothing of its own, in order.
    var differences: [ServicePortDifference]
}

/// The iptables mode of kube-proxy. Made once for a cluster and family; a node's rules are then mostly put together
/// from parts all nodes share.
public struct IPTablesProxy: Sendable {
    /// The name chains made here carry as their agent.
    public static let agent = "kube-proxy"

    public let index: ServiceIndex
    public let configuration: KubeProxyConfiguration

    let writer: ServiceRuleWriter
    private let nodePortAddresses: NodePortAddresses
    private let names: [ServicePortNames]
    private let views: ServicePortViews
    /// The rules of the views all nodes share, under the detector all nodes share. Empty in NodeCIDR mode, where none
    /// is shared.
    private let commonRules: [ServiceRules]

    public init(index: ServiceIndex, configuration: KubeProxyConfiguration) {
        let index = index.served(under: configuration)
        self.index = index
        self.configuration = configuration
        let family = index.family
        nodePortAddresses = NodePortAddresses(configuration, mode: .iptables, family: family)
        let writer = ServiceRuleWriter(
            family: family, configuration: configuration,
            localhostNodePorts: configuration.iptables.localhostNodePorts && nodePortAddresses.includesLoopback,
            hasManyEndpoints: index.endpointCount > 1000)
        self.writer = writer

        let views = ServicePortViews(index)
        let names = index.ports.map(ServicePortNames.init)
        let detector = LocalDetector(configuration, podCIDRs: [], family: family)
        commonRules =
            configuration.detectLocalMode == .nodeCIDR
            ? []
            : index.ports.indices.map { position in
                writer.rules(
                    for: index.ports[position], named: names[position], seenAs: views.common[position],
                    detector: detector, hasAccounting: true)
            }
        self.views = views
        self.names = names
    }

    /// What of the node decides its rules.
    public func profile(of node: NodeView) -> IPTablesProfile {
        return IPTablesProfile(
            detector: LocalDetector(configuration, podCIDRs: node.podCIDRs, family: index.family),
            nodePortAddresses: nodePortAddresses.addresses(
                of: node, nodeIP: node.address(index.family, configuration), family: index.family),
            hasAccounting: node.hasAccounting,
            isConntrackLiberal: node.isConntrackLiberal || configuration.conntrack.tcpBeLiberal,
            differences: views.differences(for: node, of: index, configuration))
    }

    /// The rules kube-proxy alone leaves on a clean node.
    public func ruleset(for profile: IPTablesProfile) -> Ruleset {
        var ruleset = Ruleset()
        install(for: profile, into: &ruleset)
        return ruleset
    }

    /// Adds kube-proxy's chains to a ruleset that has none of them but kubelet's yet. Its jumps go to the head of the
    /// built-in chains, so rules of other agents may be there already or come later.
    public func install(for profile: IPTablesProfile, into ruleset: inout Ruleset) {
        installSkeleton(for: profile, into: &ruleset)
        var remaining = profile.differences[...]
        for (position, port) in index.ports.enumerated() {
            var view = views.common[position]
            var isCommon = !commonRules.isEmpty && (profile.hasAccounting || port.nodePort == nil)
            if let difference = remaining.first, difference.position == position {
                view = difference.view
                isCommon = false
                remaining.removeFirst()
            }
            let rules =
                isCommon
                ? commonRules[position]
                : writer.rules(
                    for: port, named: names[position], seenAs: view, detector: profile.detector,
                    hasAccounting: profile.hasAccounting)
            rules.install(into: &ruleset)
        }
        installNodePortJumps(for: profile, into: &ruleset)
    }

    // MARK: - The rules every node has

    private func installSkeleton(for profile: IPTablesProfile, into ruleset: inout Ruleset) {
        for chain in FilterChain.allCases { ruleset[.filter].create(chain.rawValue, agent: Self.agent) }
        for chain in NATChain.allCases { ruleset[.nat].create(chain.rawValue, agent: Self.agent) }
        ruleset[.mangle].create(FilterChain.canary.rawValue, agent: Self.agent)
        installFilterJumps(into: &ruleset[.filter])
        installNATJumps(into: &ruleset[.nat])
        installFilterRules(for: profile, into: &ruleset[.filter])
        MasqueradeRules(configuration).install(into: &ruleset[.nat])
    }

    /// kube-proxy inserts each jump at the head, so the last one inserted stands first. Listed here as they stand on a
    /// clean node; where kubelet was there before, its jump to KUBE-FIREWALL stays behind the others.
    private func installFilterJumps(into table: inout Table) {
        let new = Match.connectionState(Negatable(.new))
        func jump(_ chain: FilterChain, _ matches: Match...) -> Rule {
            Rule(matches: matches, target: .jump(chain.rawValue))
        }
        let guardLoopback = jump(.firewall)
        let guardLoadBalancers = jump(.proxyFirewall, new, .comment("kubernetes load balancer firewall"))
        let healthChecks = jump(.nodePorts, .comment("kubernetes health check service ports"))
        let external = jump(.externalServices, new, .comment("kubernetes externally-visible service portals"))
        let forward = jump(.forward, .comment("kubernetes forwarding rules"))
        let services = jump(.services, new, .comment("kubernetes service portals"))

        let jumps: [(Hook, [Rule])] = [
            (.input, [guardLoopback, guardLoadBalancers, healthChecks, external]),
            (.forward, [guardLoadBalancers, forward, services, external]),
            (.output, [guardLoopback, guardLoadBalancers, services]),
        ]
        for (hook, rules) in jumps {
            for rule in rules.reversed() { table.ensure(rule, in: hook.chainName, atHead: true) }
        }
    }

    private func installNATJumps(into table: inout Table) {
        let services = Rule(
            matches: [.comment("kubernetes service portals")], target: .jump(NATChain.services.rawValue))
        let postrouting = Rule(
            matches: [.comment("kubernetes postrouting rules")], target: .jump(NATChain.postrouting.rawValue))
        table.insert(services, in: Hook.prerouting.chainName)
        table.insert(services, in: Hook.output.chainName)
        table.insert(postrouting, in: Hook.postrouting.chainName)
    }

    private func installFilterRules(for profile: IPTablesProfile, into table: inout Table) {
        // route_localnet is on for node ports on 127.0.0.1, so martian loopback packets must be stopped here.
        if index.family == .ipv4, writer.localhostNodePorts {
            table.ensure(KubeletRules.localnetGuard, in: FilterChain.firewall.rawValue)
        }

        let forward = FilterChain.forward.rawValue
        if !profile.isConntrackLiberal {
            var matches = [Match.connectionState(Negatable(.invalid))]
            if profile.hasAccounting { matches.append(.accounting(name: "ct_state_invalid_dropped_pkts")) }
            table.append(Rule(matches: matches, target: .drop), to: forward)
        }
        MasqueradeRules(configuration).installForward(into: &table)
    }

    /// The last rule of nat KUBE-SERVICES, or one per address if node ports are bound to a list of them.
    private func installNodePortJumps(for profile: IPTablesProfile, into ruleset: inout Ruleset) {
        let comment = Match.comment(
            "kubernetes service nodeports; NOTE: this must be the last rule in this chain")
        let target = Target.jump(NATChain.nodePorts.rawValue)
        let services = NATChain.services.rawValue
        guard let addresses = profile.nodePortAddresses else {
            var destination: Negatable<IPPrefix>?
            if index.family == .ipv6 {
                destination = .not(IPPrefix(host: .loopback(.ipv6)))
            } else if !writer.localhostNodePorts {
                destination = .not(.ipv4Loopback)
            }
            let local = Match.addressType(destination: Negatable(.local))
            ruleset[.nat].append(
                Rule(destination: destination, matches: [comment, local], target: target), to: services)
            return
        }
        for address in addresses {
            // Node ports on loopback exist in IPv4 only: ::1 cannot be routed out of the node.
            if address.isLoopback, index.family == .ipv6 || !writer.localhostNodePorts { continue }
            ruleset[.nat].append(
                Rule(destination: Negatable(IPPrefix(host: address)), matches: [comment], target: target),
                to: services)
        }
    }

}

/// kube-proxy's chains in the filter table.
enum FilterChain: String, CaseIterable {
    case services = "KUBE-SERVICES"
    case externalServices = "KUBE-EXTERNAL-SERVICES"
    case forward = "KUBE-FORWARD"
    case nodePorts = "KUBE-NODEPORTS"
    case proxyFirewall = "KUBE-PROXY-FIREWALL"
    case firewall = "KUBE-FIREWALL"
    /// Empty: kube-proxy looks whether it is still there, to learn whether somebody flushed the rules.
    case canary = "KUBE-PROXY-CANARY"
}

/// kube-proxy's chains in the nat table that are there without any service.
enum NATChain: String, CaseIterable {
    case services = "KUBE-SERVICES"
    case nodePorts = "KUBE-NODEPORTS"
    case postrouting = "KUBE-POSTROUTING"
    case markMasquerade = "KUBE-MARK-MASQ"
    case canary = "KUBE-PROXY-CANARY"
}
