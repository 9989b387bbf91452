// The iptables rules of kube-proxy's ipvs mode: pkg/proxy/ipvs/proxier.go of Kubernetes 1.36. They mark what must be
// masqueraded, keep strangers from addresses with source ranges, and keep the node's own ports from being reached by
// the Service addresses on kube-ipvs0. IPVS itself does what the other modes have a chain for each Service for.

internal import Addressing
internal import Kubernetes
public import Netstack

/// Chains of this mode that stand in the nat table, the filter table, or both.
private enum IPVSChain: String {
    case services = "KUBE-SERVICES"
    case postrouting = "KUBE-POSTROUTING"
    case nodePort = "KUBE-NODE-PORT"
    case loadBalancer = "KUBE-LOAD-BALANCER"
    case markMasquerade = "KUBE-MARK-MASQ"
    case forward = "KUBE-FORWARD"
    case proxyFirewall = "KUBE-PROXY-FIREWALL"
    case sourceRangesFirewall = "KUBE-SOURCE-RANGES-FIREWALL"
    case filter = "KUBE-IPVS-FILTER"
    case outFilter = "KUBE-IPVS-OUT-FILTER"

    static let nat: [IPVSChain] = [.services, .postrouting, .nodePort, .loadBalancer, .markMasquerade]
    static let filterTable: [IPVSChain] = [
        .forward, .nodePort, .proxyFirewall, .sourceRangesFirewall, .filter, .outFilter,
    ]
}

extension IPVSProxy {
    /// Adds kube-proxy's chains to a ruleset that has none of them yet. Its jumps go to the head of the built-in
    /// chains, so rules of other agents may be there already or come later.
    public func install(for state: IPVSState, into ruleset: inout Ruleset) {
        for chain in IPVSChain.nat { ruleset[.nat].create(chain.rawValue, agent: Self.agent) }
        for chain in IPVSChain.filterTable { ruleset[.filter].create(chain.rawValue, agent: Self.agent) }
        let rules = IPVSRuleWriter(proxy: self, state: state)
        rules.installJumps(into: &ruleset)
        rules.installServices(into: &ruleset[.nat])
        rules.installMasquerading(into: &ruleset[.nat])
        rules.installFilter(into: &ruleset[.filter])
    }

    /// The rules kube-proxy alone leaves on a clean node.
    public func ruleset(for state: IPVSState) -> Ruleset {
        var ruleset = Ruleset()
        install(for: state, into: &ruleset)
        return ruleset
    }
}

/// Writes the rules of one node.
private struct IPVSRuleWriter {
    let family: AddressFamily
    let configuration: KubeProxyConfiguration
    let state: IPVSState
    /// The sets that hold something: many rules exist only for those.
    private let filled: Set<String>

    init(proxy: IPVSProxy, state: IPVSState) {
        family = proxy.index.family
        configuration = proxy.configuration
        self.state = state
        filled = Set(state.sets.lazy.filter { !$0.entries.isEmpty }.map(\.name))
    }

    private func isFilled(_ set: IPVSSetName) -> Bool { filled.contains(set.name(family)) }

    private func asks(_ set: IPVSSetName, _ directions: SetDirection...) -> Match {
        .set(Negatable(set.name(family)), directions)
    }

    /// A rule that asks a set, with the set's comment, unless the set is empty.
    private func append(
        _ set: IPVSSetName, _ directions: SetDirection..., protocol: IPProtocol? = nil, target: Target,
        to chain: IPVSChain, of table: inout Table
    ) {
        guard isFilled(set) else { return }
        let matches = [Match.comment(set.comment), .set(Negatable(set.name(family)), directions)]
        let rule = Rule(protocol: `protocol`.map { Negatable($0) }, matches: matches, target: target)
        table.append(rule, to: chain.rawValue)
    }

    private func jump(_ chain: IPVSChain) -> Target { .jump(chain.rawValue) }

    // MARK: jumps

    func installJumps(into ruleset: inout Ruleset) {
        /// Listed as they stand; kube-proxy inserts each at the head.
        func insert(_ jumps: [(IPVSChain, String)], at hook: Hook, in table: inout Table) {
            for (chain, comment) in jumps.reversed() {
                table.insert(Rule(matches: [.comment(comment)], target: jump(chain)), in: hook.chainName)
            }
        }
        let portals = [(IPVSChain.services, "kubernetes service portals")]
        insert(portals, at: .prerouting, in: &ruleset[.nat])
        insert(portals, at: .output, in: &ruleset[.nat])
        insert([(.postrouting, "kubernetes postrouting rules")], at: .postrouting, in: &ruleset[.nat])
        let access = "kubernetes ipvs access filter"
        let firewall = (IPVSChain.proxyFirewall, "kube-proxy firewall rules")
        insert(
            [(.filter, access), firewall, (.nodePort, "kubernetes health check rules")], at: .input,
            in: &ruleset[.filter])
        insert([firewall, (.forward, "kubernetes forwarding rules")], at: .forward, in: &ruleset[.filter])
        insert([(.outFilter, access)], at: .output, in: &ruleset[.filter])
    }

    // MARK: nat

    func installServices(into table: inout Table) {
        let services = IPVSChain.services.rawValue
        let loopback = family == .ipv4 ? IPPrefix.ipv4Loopback : IPPrefix(host: .loopback(.ipv6))
        table.append(Rule(source: Negatable(loopback), target: .return), to: services)
        append(.loadBalancer, .destination, .destination, target: jump(.loadBalancer), to: .services, of: &table)
        if let rule = clusterIPMasquerading { table.append(rule, to: services) }
        append(.externalIP, .destination, .destination, target: jump(.markMasquerade), to: .services, of: &table)
        for set in [IPVSSetName.externalIP, .externalIPLocal] where isFilled(set) {
            let asked = [Match.comment(set.comment), asks(set, .destination, .destination)]
            // What comes from off the machine, and what the machine holds for its own.
            let foreign: [Match] = [
                .bridgePort(BridgePortMatch(comesInByPort: .not(true))), .addressType(source: .not(.local)),
            ]
            table.append(Rule(matches: asked + foreign, target: .accept), to: services)
            let own = Match.addressType(destination: Negatable(.local))
            table.append(Rule(matches: asked + [own], target: .accept), to: services)
        }
        table.append(
            Rule(matches: [.addressType(destination: Negatable(.local))], target: jump(.nodePort)), to: services)
        for set in [IPVSSetName.clusterIP, .loadBalancer] where isFilled(set) {
            table.append(
                Rule(matches: [asks(set, .destination, .destination)], target: .accept), to: services)
        }

        append(
            .nodePortLocalTCP, .destination, protocol: .tcp, target: .return, to: .nodePort, of: &table)
        append(
            .nodePortTCP, .destination, protocol: .tcp, target: jump(.markMasquerade), to: .nodePort, of: &table)
        append(
            .nodePortLocalUDP, .destination, protocol: .udp, target: .return, to: .nodePort, of: &table)
        append(
            .nodePortUDP, .destination, protocol: .udp, target: jump(.markMasquerade), to: .nodePort, of: &table)
        append(
            .nodePortLocalSCTP, .destination, .destination, protocol: .sctp, target: .return, to: .nodePort,
            of: &table)
        append(
            .nodePortSCTP, .destination, .destination, protocol: .sctp, target: jump(.markMasquerade), to: .nodePort,
            of: &table)

        append(.loadBalancerLocal, .destination, .destination, target: .return, to: .loadBalancer, of: &table)
        table.append(Rule(target: jump(.markMasquerade)), to: IPVSChain.loadBalancer.rawValue)
    }

    /// Without a way to tell local pods only connections between Service addresses are masqueraded: those the node
    /// itself begins, whose source is the address on kube-ipvs0.
    private var clusterIPMasquerading: Rule? {
        guard isFilled(.clusterIP) else { return nil }
        func rule(_ source: SetDirection) -> Rule {
            let asked = asks(.clusterIP, source, .destination)
            return Rule(
                matches: [.comment(IPVSSetName.clusterIP.comment), asked], target: jump(.markMasquerade))
        }
        if configuration.iptables.masqueradeAll { return rule(.destination) }
        return state.detector.restrict(rule(.destination), toLocal: false) ?? rule(.source)
    }

    func installMasquerading(into table: inout Table) {
        append(
            .loopback, .destination, .destination, .source, target: .masquerade(randomFully: false), to: .postrouting,
            of: &table)
        MasqueradeRules(configuration).install(into: &table)
    }

    // MARK: filter

    func installFilter(into table: inout Table) {
        let ranges = IPVSChain.sourceRangesFirewall.rawValue
        append(
            .loadBalancerFirewall, .destination, .destination, target: jump(.sourceRangesFirewall),
            to: .proxyFirewall, of: &table)
        for set in [IPVSSetName.loadBalancerSourceCIDR, .loadBalancerSourceIP] {
            append(
                set, .destination, .destination, .source, target: .return, to: .sourceRangesFirewall, of: &table)
        }
        table.append(Rule(target: .drop), to: ranges)

        // What the node sends to such an address comes from the same address.
        for closed in state.closedToNode {
            let host = IPPrefix(host: closed.socket.address)
            let match = VirtualServiceMatch(
                address: Negatable(host), protocol: Negatable(closed.protocol), port: Negatable(closed.socket.port))
            table.append(
                Rule(source: Negatable(host), matches: [.virtualService(match)], target: .drop),
                to: IPVSChain.outFilter.rawValue)
        }

        MasqueradeRules(configuration).installForward(into: &table)
        let healthCheck = asks(.healthCheckNodePort, .destination)
        table.append(
            Rule(matches: [.comment(IPVSSetName.healthCheckNodePort.comment), healthCheck], target: .accept),
            to: IPVSChain.nodePort.rawValue)

        let filter = IPVSChain.filter.rawValue
        for set in [IPVSSetName.loadBalancer, .clusterIP, .externalIP, .externalIPLocal] {
            table.append(Rule(matches: [asks(set, .destination, .destination)], target: .return), to: filter)
        }
        table.append(Rule(matches: [healthCheck], target: .return), to: filter)
        table.append(
            Rule(
                matches: [.connectionState(Negatable(.new)), asks(.boundAddresses, .destination)],
                target: .reject(family == .ipv4 ? .portUnreachable : .portUnreachableIPv6)),
            to: filter)
    }
}
