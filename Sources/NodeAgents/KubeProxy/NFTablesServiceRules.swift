// What one service port adds to kube-proxy's nftables table: elements of the maps all services share, and its own
// chains and sets. The body of the loop over services in syncProxyRules (pkg/proxy/nftables/proxier.go, Kubernetes
// 1.36). Endpoints are chosen by number from a map; only session affinity needs a chain for each of them.

internal import Addressing
internal import Kubernetes
internal import Netstack

/// A place packets are sent to: an address, a protocol and a port; a node port has no address of its own.
struct NFTablesDestination: Hashable, Comparable, Sendable {
    var address: IPAddress?
    var `protocol`: IPProtocol
    var port: UInt16

    var key: NFTablesValue {
        let rest: [NFTablesValue] = [.protocol(`protocol`), .port(port)]
        return .concatenation(address.map { [.address($0)] + rest } ?? rest)
    }

    /// nft sorts concatenations as if their octets, last one first, were one number.
    static func < (left: Self, right: Self) -> Bool {
        if left.port != right.port { return left.port.byteSwapped < right.port.byteSwapped }
        if left.protocol != right.protocol { return left.protocol < right.protocol }
        guard let one = left.address, let other = right.address else { return right.address != nil }
        return one.octetsReversed < other.octetsReversed
    }
}

extension IPAddress {
    fileprivate var octetsReversed: UInt128 {
        family == .ipv4
            ? UInt128(UInt32(truncatingIfNeeded: low).byteSwapped)
            : UInt128(low.byteSwapped) << 64 | UInt128(high.byteSwapped)
    }
}

/// An element of one of the maps all services share.
struct NFTablesEntry: Sendable {
    var destination: NFTablesDestination
    var verdict: NFTablesVerdict
    var comment: String?
}

/// What one service port adds to the table.
struct NFTablesServiceRules: Sendable {
    var services: [NFTablesEntry] = []
    var nodePorts: [NFTablesEntry] = []
    var refusedServices: [NFTablesEntry] = []
    var refusedNodePorts: [NFTablesEntry] = []
    var firewall: [NFTablesEntry] = []
    var sets: [NFTablesSet] = []
    var chains: [NFTablesChain] = []
}

/// Writes what service ports add, under one configuration.
struct NFTablesServiceWriter: Sendable {
    let family: AddressFamily
    let configuration: KubeProxyConfiguration

    var source: NFTablesField { family == .ipv4 ? .ipSource : .ip6Source }
    var destination: NFTablesField { family == .ipv4 ? .ipDestination : .ip6Destination }
    var mark: UInt32 { 1 << UInt32(truncatingIfNeeded: configuration.nftables.masqueradeBit & 31) }

    func rules(
        for port: ProxiedServicePort, named names: NFTablesPortNames, seenAs view: ServicePortView,
        detector: LocalDetector
    ) -> NFTablesServiceRules {
        var draft = Draft(port: port, names: names, view: view, detector: detector, writer: self)
        draft.writeDestinations()
        draft.writeEndpointChains()
        draft.writeExternalChain()
        draft.writeFirewallChain()
        return draft.rules
    }
}

/// What one service port adds, while it is being written.
private struct Draft {
    let port: ProxiedServicePort
    let names: NFTablesPortNames
    let view: ServicePortView
    let detector: LocalDetector
    let writer: NFTablesServiceWriter
    var rules = NFTablesServiceRules()

    var hasAny: Bool { view.selection.hasAny }
    var hasInternal: Bool { view.hasInternal(port) }
    var hasExternal: Bool { view.hasExternal(port) }

    func destination(_ address: IPAddress?, _ port: UInt16) -> NFTablesDestination {
        NFTablesDestination(address: address, protocol: self.port.protocol, port: port)
    }

    /// No endpoint at all is an error the client should hear of. None on this node is the load balancer's concern.
    func refusal(of destination: NFTablesDestination) -> NFTablesEntry {
        NFTablesEntry(
            destination: destination, verdict: hasAny ? .drop : .goto(NFTablesChainName.reject), comment: port.name)
    }

    // MARK: - Elements of the maps all services share

    mutating func writeDestinations() {
        let clusterIP = destination(port.clusterIP, port.port)
        if hasInternal {
            let chain = port.isInternalPolicyLocal ? names.local : names.cluster
            rules.services.append(NFTablesEntry(destination: clusterIP, verdict: .goto(chain)))
        } else {
            rules.refusedServices.append(refusal(of: clusterIP))
        }
        let external = NFTablesVerdict.goto(names.external)
        for address in port.externalIPs + port.virtualIPs {
            let destination = destination(address, port.port)
            if hasAny { rules.services.append(NFTablesEntry(destination: destination, verdict: external)) }
            if !hasExternal { rules.refusedServices.append(refusal(of: destination)) }
        }
        if let number = port.nodePort {
            let destination = destination(nil, number)
            if hasAny { rules.nodePorts.append(NFTablesEntry(destination: destination, verdict: external)) }
            if !hasExternal { rules.refusedNodePorts.append(refusal(of: destination)) }
        }
        for address in port.virtualIPs where port.comparesSources {
            rules.firewall.append(
                NFTablesEntry(destination: destination(address, port.port), verdict: .goto(names.firewall)))
        }
    }

    // MARK: - The port's own chains

    mutating func writeEndpointChains() {
        let selection = view.selection
        if let seconds = port.affinitySeconds {
            for position in selection.reachable { writeAffinity(to: position, seconds) }
        }
        if port.usesClusterEndpoints, !selection.cluster.isEmpty {
            writeBalancingChain(names.cluster, over: selection.cluster)
        }
        if port.usesLocalEndpoints, !selection.local.isEmpty {
            writeBalancingChain(names.local, over: selection.local)
        }
    }

    /// A set that remembers the clients of an endpoint, and the chain that leads there.
    private mutating func writeAffinity(to position: Int, _ seconds: UInt32) {
        let endpoint = port.endpoints[position]
        let set = "affinity-" + names.endpoints[position]
        rules.sets.append(
            NFTablesSet(
                set, key: [writer.source.datatype], size: 65_535, flags: [.dynamic, .timeout],
                timeout: Nanoseconds(seconds) * 1_000_000_000))
        let translation = NFTablesTranslation(
            .dnat, to: .value(.address(endpoint.address)), port: .port(endpoint.port))
        rules.chains.append(
            NFTablesChain(
                "endpoint-" + names.endpoints[position],
                rules: [
                    NFTablesRule(.update(NFTablesSetUpdate(.update, set: set, key: .field(writer.source)))),
                    NFTablesRule(
                        .match(.transportProtocol, .implicit, .protocol(port.protocol)), .translate(translation)),
                ]))
    }

    private mutating func writeBalancingChain(_ name: String, over positions: [Int]) {
        let choice = NFTablesExpression.numgen(isRandom: true, modulus: UInt32(positions.count), offset: 0)
        var chain = NFTablesChain(name)
        if port.affinitySeconds != nil {
            for position in positions {
                let endpoint = names.endpoints[position]
                chain.rules.append(
                    NFTablesRule(
                        .match(.field(writer.source), .implicit, .set(.named("affinity-" + endpoint))),
                        .verdict(.goto("endpoint-" + endpoint))))
            }
            let endpoints = positions.enumerated().map { number, position in
                NFTablesElement(.number(UInt64(number)), .verdict(.goto("endpoint-" + names.endpoints[position])))
            }
            chain.rules.append(NFTablesRule(.verdictMap(choice, .anonymous(endpoints))))
        } else {
            let endpoints = positions.enumerated().map { number, position in
                let endpoint = port.endpoints[position]
                return NFTablesElement(
                    .number(UInt64(number)),
                    .concatenation([.address(endpoint.address), .port(endpoint.port)]))
            }
            let translation = NFTablesTranslation(
                .dnat, family: writer.family, to: .map(choice, .anonymous(endpoints)))
            chain.rules.append(
                NFTablesRule(
                    .match(.transportProtocol, .implicit, .protocol(port.protocol)), .translate(translation)))
        }
        rules.chains.append(chain)
    }

    /// What came to an external address: mark what must be masqueraded, then apply the traffic policy.
    mutating func writeExternalChain() {
        guard hasAny, port.isExternallyAccessible else { return }
        var chain = NFTablesChain(names.external)
        let cluster = NFTablesStatement.verdict(.goto(names.cluster))
        let mark = NFTablesStatement.setMark(.or, writer.mark)
        if port.isExternalPolicyLocal {
            // Pods and the node itself may use every endpoint: the policy is about keeping foreign sources.
            if let fromPods = detector.statement(isLocal: true, source: writer.source) {
                chain.rules.append(NFTablesRule(fromPods, cluster, comment: "short-circuit pod traffic"))
            }
            let isLocal = NFTablesStatement.match(
                .fib(NFTablesFIB([.source], .type)), .implicit, .value(.local))
            chain.rules.append(NFTablesRule(isLocal, mark, comment: "masquerade local traffic"))
            chain.rules.append(NFTablesRule(isLocal, cluster, comment: "short-circuit local traffic"))
        } else {
            chain.rules.append(NFTablesRule(mark, comment: "masquerade"))
        }
        if hasExternal {
            let target = port.isExternalPolicyLocal ? names.local : names.cluster
            chain.rules.append(NFTablesRule(.verdict(.goto(target))))
        }
        rules.chains.append(chain)
    }

    /// Drops sources that may not use the virtual IPs.
    mutating func writeFirewallChain() {
        guard port.comparesSources else { return }
        var sources = port.sourceRanges
        // A packet of the node to a virtual IP may have that very address as its source.
        if view.rangesHoldNode { sources += port.virtualIPs.map { IPPrefix(host: $0) } }
        let isOther = NFTablesStatement.match(.field(writer.source), .notEqual, networks(sources))
        rules.chains.append(NFTablesChain(names.firewall, rules: [NFTablesRule(isOther, .verdict(.drop))]))
    }
}

extension LocalDetector {
    /// "From a local pod", or its opposite; nil when nothing can tell.
    func statement(isLocal: Bool, source: NFTablesField) -> NFTablesStatement? {
        let comparison = isLocal ? NFTablesComparison.implicit : .notEqual
        switch self {
        case .absent: return nil
        case .source(let prefix): return .match(source, comparison, .network(prefix))
        case .ingress(let pattern):
            let name = pattern.isPrefix ? pattern.text.dropLast() + "*" : pattern.text
            return .match(.ingressName, comparison, .name(name))
        }
    }
}

/// What a rule compares an address with, as nft keeps it: one network stands for itself, and of several, those that
/// overlap or touch are joined.
func networks(_ prefixes: [IPPrefix]) -> NFTablesExpression {
    if prefixes.count == 1 { return .value(.network(prefixes[0])) }
    var joined: [(first: IPAddress, last: IPAddress)] = []
    for prefix in prefixes.sorted() {
        if let end = joined.last?.last, end.advanced(by: 1).map({ prefix.address <= $0 }) ?? true {
            joined[joined.count - 1].last = max(end, prefix.last)
        } else {
            joined.append((prefix.address, prefix.last))
        }
    }
    return .set(
        .anonymous(
            joined.map { range in
                let lengths = 0...range.first.family.bitWidth
                let whole = lengths.lazy.map { IPPrefix(range.first, length: $0) }.first {
                    $0.address == range.first && $0.last == range.last
                }
                return NFTablesElement(
                    whole.map { .network($0) } ?? .range(.address(range.first), .address(range.last)))
            }))
}
