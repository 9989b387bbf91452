// kube-proxy's nftables mode for one family: pkg/proxy/nftables/proxier.go of Kubernetes 1.36. The table it leaves
// after a full sync is built here as a value. Simplified: no partial syncs; the chains of services stand in sorted
// order where kube-proxy's order is random. Elements stand in the order nft lists them in, which is sorted.

public import Addressing
public import Kubernetes
public import Netstack

/// Everything about a node that reaches its table. Nodes with equal profiles get equal tables.
public struct NFTablesProfile: Hashable, Sendable {
    var detector: LocalDetector
    /// Nil when every local address takes node-port traffic.
    var nodePortAddresses: [IPAddress]?
    /// The endpoints on the node that some service leads to.
    var hairpins: [NFTablesDestination]
    /// The service ports that look different from here than from a node with nothing of its own, in order.
    var differences: [ServicePortDifference]
}

/// The nftables mode of kube-proxy. Made once for a cluster and family; a node's table is then mostly put together from
/// parts all nodes share.
public struct NFTablesProxy: Sendable {
    public let index: ServiceIndex
    public let configuration: KubeProxyConfiguration
    /// The networks cluster IPs are taken from, as the ServiceCIDR objects say.
    public let serviceCIDRs: [IPPrefix]

    private let writer: NFTablesServiceWriter
    private let nodePortAddresses: NodePortAddresses
    private let names: [NFTablesPortNames]
    private let views: ServicePortViews
    /// What the views all nodes share add, under the detector all nodes share. Empty in NodeCIDR mode.
    private let commonRules: [NFTablesServiceRules]
    /// Endpoints by their nodes: the place of the port, and the endpoint's in it. Looked up, never walked.
    private let endpointsByNode: [String: [(port: Int, endpoint: Int)]]

    public init(index: ServiceIndex, configuration: KubeProxyConfiguration, serviceCIDRs: [IPPrefix] = []) {
        let index = index.served(under: configuration)
        self.index = index
        self.configuration = configuration
        self.serviceCIDRs = serviceCIDRs.filter { $0.family == index.family }.sorted()
        nodePortAddresses = NodePortAddresses(configuration, mode: .nftables, family: index.family)
        let writer = NFTablesServiceWriter(family: index.family, configuration: configuration)
        let views = ServicePortViews(index)
        let names = index.ports.map(NFTablesPortNames.init)
        let detector = LocalDetector(configuration, podCIDRs: [], family: index.family)
        commonRules =
            configuration.detectLocalMode == .nodeCIDR
            ? []
            : index.ports.indices.map { position in
                writer.rules(
                    for: index.ports[position], named: names[position], seenAs: views.common[position],
                    detector: detector)
            }
        var endpointsByNode: [String: [(port: Int, endpoint: Int)]] = [:]
        for (position, port) in index.ports.enumerated() {
            for (number, endpoint) in port.endpoints.enumerated() where !endpoint.nodeName.isEmpty {
                endpointsByNode[endpoint.nodeName, default: []].append((position, number))
            }
        }
        self.writer = writer
        self.views = views
        self.names = names
        self.endpointsByNode = endpointsByNode
    }

    /// What of the node decides its table.
    public func profile(of node: NodeView) -> NFTablesProfile {
        let family = index.family
        let differences = views.differences(for: node, of: index, configuration)
        let ownViews = Dictionary(uniqueKeysWithValues: differences.map { ($0.position, $0.view) })
        var hairpins: Set<NFTablesDestination> = []
        for (position, number) in endpointsByNode[node.name] ?? [] {
            let selection = (ownViews[position] ?? views.common[position]).selection
            guard selection.cluster.holds(number) || selection.local.holds(number) else { continue }
            let port = index.ports[position]
            hairpins.insert(
                NFTablesDestination(
                    address: port.endpoints[number].address, protocol: port.protocol,
                    port: port.endpoints[number].port))
        }
        let nodeIP = node.address(family, configuration)
        return NFTablesProfile(
            detector: LocalDetector(configuration, podCIDRs: node.podCIDRs, family: family),
            nodePortAddresses: nodePortAddresses.addresses(of: node, nodeIP: nodeIP, family: family)?.filter {
                !$0.isLoopback
            },
            hairpins: hairpins.sorted(), differences: differences)
    }

    /// The table `ip kube-proxy` or `ip6 kube-proxy` of a node.
    public func table(for profile: NFTablesProfile) -> NFTablesTable {
        let rules = serviceRules(for: profile)
        var table = NFTablesTable(
            index.family == .ipv4 ? .ip : .ip6, "kube-proxy", comment: "rules for kube-proxy", agent: "kube-proxy")
        table.sets = sharedSets(for: profile, rules)
        table.chains = baseChains + sharedChains(for: profile)
        for own in rules {
            table.sets += own.sets
            table.chains += own.chains
        }
        return table
    }

    private func serviceRules(for profile: NFTablesProfile) -> [NFTablesServiceRules] {
        guard !commonRules.isEmpty else {
            let ownViews = Dictionary(uniqueKeysWithValues: profile.differences.map { ($0.position, $0.view) })
            return index.ports.indices.map { position in
                self.rules(of: position, seenAs: ownViews[position] ?? views.common[position], profile)
            }
        }
        var rules = commonRules
        for difference in profile.differences {
            rules[difference.position] = self.rules(of: difference.position, seenAs: difference.view, profile)
        }
        return rules
    }

    private func rules(
        of position: Int, seenAs view: ServicePortView, _ profile: NFTablesProfile
    ) -> NFTablesServiceRules {
        writer.rules(
            for: index.ports[position], named: names[position], seenAs: view, detector: profile.detector)
    }

    // MARK: - Sets and maps

    private func sharedSets(for profile: NFTablesProfile, _ rules: [NFTablesServiceRules]) -> [NFTablesSet] {
        let address = writer.source.datatype
        let service: [NFTablesDatatype] = [address, .inetProtocol, .inetService]
        let nodePort: [NFTablesDatatype] = [.inetProtocol, .inetService]
        func map(
            _ name: String, _ key: [NFTablesDatatype], _ comment: String,
            _ entries: (NFTablesServiceRules) -> [NFTablesEntry]
        ) -> NFTablesSet {
            NFTablesSet(
                name, key: key, data: [.verdict], comment: comment, elements: elements(rules.flatMap(entries)))
        }
        var sets = [
            NFTablesSet(
                NFTablesSetName.hairpins, key: [address] + service, comment: "service hairpin connections",
                elements: profile.hairpins.map { hairpin in
                    NFTablesElement(
                        .concatenation(
                            [hairpin.address, hairpin.address].compactMap { $0.map(NFTablesValue.address) }
                                + [.protocol(hairpin.protocol), .port(hairpin.port)]))
                }),
            NFTablesSet(
                NFTablesSetName.clusterIPs, key: [address], comment: "Active ClusterIPs",
                elements: Set(index.ports.map(\.clusterIP)).sorted().map { NFTablesElement(.address($0)) }),
        ]
        if let addresses = profile.nodePortAddresses {
            sets.append(
                NFTablesSet(
                    NFTablesSetName.nodePortIPs, key: [address], comment: "IPs that accept NodePort traffic",
                    elements: addresses.map { NFTablesElement(.address($0)) }))
        }
        return sets + [
            map(
                NFTablesSetName.refusedServices, service,
                "vmap to drop or reject packets to services with no endpoints"
            ) { $0.refusedServices },
            map(
                NFTablesSetName.refusedNodePorts, nodePort,
                "vmap to drop or reject packets to service nodeports with no endpoints"
            ) { $0.refusedNodePorts },
            map(
                NFTablesSetName.firewall, service, "destinations that are subject to LoadBalancerSourceRanges"
            ) { $0.firewall },
            map(NFTablesSetName.services, service, "ClusterIP, ExternalIP and LoadBalancer IP traffic") { $0.services },
            map(NFTablesSetName.nodePorts, nodePort, "NodePort traffic") { $0.nodePorts },
        ]
    }

    /// The entries in nft's order. Where two services claim one destination the first keeps it.
    private func elements(_ entries: [NFTablesEntry]) -> [NFTablesElement] {
        let order = entries.indices.sorted {
            let (left, right) = (entries[$0].destination, entries[$1].destination)
            return left == right ? $0 < $1 : left < right
        }
        var elements: [NFTablesElement] = []
        elements.reserveCapacity(entries.count)
        var last: NFTablesDestination?
        for position in order where entries[position].destination != last {
            let entry = entries[position]
            last = entry.destination
            elements.append(NFTablesElement(entry.destination.key, .verdict(entry.verdict), comment: entry.comment))
        }
        return elements
    }

    // MARK: - Chains

    private var baseChains: [NFTablesChain] {
        func jump(_ chain: String) -> NFTablesRule { NFTablesRule(.verdict(.jump(chain))) }
        func jumpIfNew(_ chain: String) -> NFTablesRule {
            NFTablesRule(.match(.connectionState, .implicit, .new), .verdict(.jump(chain)))
        }
        func chain(
            _ name: String, _ kind: NFTablesBaseChain.Kind, _ hook: Hook, _ priority: Int, _ rules: NFTablesRule...
        ) -> NFTablesChain {
            NFTablesChain(name, base: NFTablesBaseChain(kind, hook, priority: priority), rules: rules)
        }
        let firewall = jumpIfNew(NFTablesChainName.firewall)
        let nodePorts = jumpIfNew(NFTablesChainName.nodePortEndpoints)
        let endpoints = jumpIfNew(NFTablesChainName.serviceEndpoints)
        let clusterIPs = jumpIfNew(NFTablesChainName.clusterIPs)
        return [
            chain("filter-prerouting-pre-dnat", .filter, .prerouting, -110, firewall),
            chain("filter-output-pre-dnat", .filter, .output, -110, firewall),
            chain("filter-input", .filter, .input, 0, nodePorts, endpoints),
            chain("filter-forward", .filter, .forward, 0, endpoints, clusterIPs),
            chain("filter-output", .filter, .output, 0, endpoints, clusterIPs),
            chain("nat-prerouting", .nat, .prerouting, -100, jump(NFTablesChainName.services)),
            chain("nat-output", .nat, .output, -100, jump(NFTablesChainName.services)),
            chain("nat-postrouting", .nat, .postrouting, 100, jump(NFTablesChainName.masquerading)),
        ]
    }

    private func sharedChains(for profile: NFTablesProfile) -> [NFTablesChain] {
        let service = NFTablesExpression.fields(writer.destination, .transportProtocol, .transportDestinationPort)
        let nodePort = NFTablesExpression.fields(.transportProtocol, .transportDestinationPort)
        func lookup(_ key: NFTablesExpression, _ map: String) -> NFTablesStatement { .verdictMap(key, .named(map)) }
        let toNodePort = nodePortGuard(profile)
        // Only a local address gets as far as the input hook, where endpoints are checked.
        let isLocal = NFTablesStatement.match(.fib(NFTablesFIB([.destination], .type)), .implicit, .value(.local))
        let isAnyAddress = profile.nodePortAddresses == nil
        return [
            NFTablesChain(
                NFTablesChainName.nodePortEndpoints,
                rules: [NFTablesRule(toNodePort, lookup(nodePort, NFTablesSetName.refusedNodePorts))]),
            NFTablesChain(
                NFTablesChainName.serviceEndpoints,
                rules: [NFTablesRule(lookup(service, NFTablesSetName.refusedServices))]),
            NFTablesChain(
                NFTablesChainName.firewall, rules: [NFTablesRule(lookup(service, NFTablesSetName.firewall))]),
            NFTablesChain(
                NFTablesChainName.services,
                rules: masqueradeRules(profile) + [
                    NFTablesRule(lookup(service, NFTablesSetName.services)),
                    NFTablesRule(
                        (isAnyAddress ? [isLocal] : []) + [
                            toNodePort, lookup(nodePort, NFTablesSetName.nodePorts),
                        ]),
                ]),
            NFTablesChain(NFTablesChainName.masquerading, rules: masqueradingRules),
            NFTablesChain(NFTablesChainName.clusterIPs, rules: clusterIPRules),
            NFTablesChain(
                NFTablesChainName.reject, comment: "helper for @no-endpoint-services / @no-endpoint-nodeports",
                rules: [NFTablesRule(.reject(.portUnreachable))]),
        ]
    }

    /// Node ports answer on these addresses, and never on loopback.
    private func nodePortGuard(_ profile: NFTablesProfile) -> NFTablesStatement {
        guard profile.nodePortAddresses == nil else {
            return .match(.field(writer.destination), .implicit, .set(.named(NFTablesSetName.nodePortIPs)))
        }
        let loopback = index.family == .ipv4 ? IPPrefix.ipv4Loopback : IPPrefix(host: .loopback(.ipv6))
        return .match(writer.destination, .notEqual, .network(loopback))
    }

    /// Traffic to cluster IPs from outside the pod network, or all of it, must come back through this node.
    private func masqueradeRules(_ profile: NFTablesProfile) -> [NFTablesRule] {
        let toClusterIP = NFTablesStatement.match(
            .field(writer.destination), .implicit, .set(.named(NFTablesSetName.clusterIPs)))
        let mark = NFTablesStatement.setMark(.or, writer.mark)
        if configuration.nftables.masqueradeAll {
            return [NFTablesRule(toClusterIP, mark, comment: "masquerade all clusterIP traffic")]
        }
        guard let isForeign = profile.detector.statement(isLocal: false, source: writer.source) else { return [] }
        return [
            NFTablesRule(
                toClusterIP, isForeign, mark, comment: "masquerade clusterIP traffic from outside cluster")
        ]
    }

    private var masqueradingRules: [NFTablesRule] {
        let masquerade = NFTablesStatement.translate(NFTablesTranslation(.masquerade, flags: [.fullyRandom]))
        // nft lists the highest bit of all as a prefix.
        let isMarked: NFTablesStatement =
            writer.mark >> 31 == 1
            ? .match(.mark, .notEqual, .masked(.mark(0), mask: .mark(writer.mark)))
            : .match(.bitwise(.field(.mark), .and, .value(.mark(writer.mark))), .notEqual, .value(.mark(0)))
        // A pod that drew itself: without masquerade the answer would never pass here again.
        let isHairpin = NFTablesStatement.match(
            .fields(writer.source, writer.destination, .transportProtocol, .transportDestinationPort), .implicit,
            .set(.named(NFTablesSetName.hairpins)))
        return [
            NFTablesRule(isMarked, .setMark(.exclusiveOr, writer.mark), masquerade),
            NFTablesRule(
                .match(.connectionStatus, .implicit, .destinationTranslated), isHairpin, masquerade),
        ]
    }

    private var clusterIPRules: [NFTablesRule] {
        var rules = [
            NFTablesRule(
                .match(.field(writer.destination), .implicit, .set(.named(NFTablesSetName.clusterIPs))),
                .reject(.portUnreachable), comment: "Reject traffic to invalid ports of ClusterIPs")
        ]
        if !serviceCIDRs.isEmpty {
            rules.append(
                NFTablesRule(
                    .match(.field(writer.destination), .implicit, networks(serviceCIDRs)), .verdict(.drop),
                    comment: "Drop traffic to unallocated ClusterIPs"))
        }
        return rules
    }
}

extension [Int] {
    /// Whether a sorted list has a number.
    fileprivate func holds(_ number: Int) -> Bool {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low < count && self[low] == number
    }
}
