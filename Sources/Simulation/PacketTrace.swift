// What happened to one packet, in the words a person reads: hops (a tap saw the packet), the steps between them, and
// one final disposition. Assembled from the path events of a run; names and rule texts are looked up here.

public import Addressing
public import Netstack

/// A rule with where it stands, as `iptables -L --line-numbers` would name it.
public struct TraceRule: Hashable, Sendable {
    /// `nat`, or `ip kube-proxy` of nftables, or `ipvs`.
    public let table: String
    public let chain: String
    /// From 1; nil for the chain's policy.
    public let number: Int?
    /// The rule as iptables-save prints it, or `policy DROP`.
    public let text: String
    public let comment: String?
    /// Who wrote the chain: `kube-proxy`, `flannel`; nil for built-in chains.
    public let agent: String?
    /// How it answers, when it rejects.
    public let reject: RejectKind?
}

/// One thing that was done to the packet, or decided about it.
public enum TraceStep: Hashable, Sendable {
    /// A table's chain was entered at a hook.
    case hook(Hook, table: String)
    /// A rule was tried: it did not match, or did this.
    case rule(TraceRule, PathEvent.RuleVerdict)
    case tracked(ConnectionStateSet)
    /// NAT changed an end. `chains` names the chains that led to the choice, outermost first.
    case translated(
        PathEvent.Translation, from: SocketAddress, to: SocketAddress, rule: TraceRule?, chains: [String])
    /// IPVS gave a new connection a real server: its scheduler chose, or the client's template remembered. The rule is
    /// the virtual server's.
    case scheduled(TraceRule, scheduler: String, realServer: SocketAddress, isRemembered: Bool)
    /// The route taken, as `ip route` prints it.
    case routed(String, egress: String)
    case waitsForNeighbor(IPAddress, link: String)
    case encapsulated(device: String, local: IPAddress, remote: IPAddress, vni: UInt32)
    case decapsulated(device: String, remote: IPAddress, vni: UInt32)
    case bridged(bridge: String, egress: String)
    case flooded(bridge: String)
    case fragmented(count: Int, mtu: Int)
    /// A fault acted on the packet.
    case fault(name: String, PathEvent.FaultAction)
}

/// A place where the packet was seen.
public struct TraceHop: Hashable, Sendable {
    public enum Machine: String, Hashable, Sendable {
        case pod, node, host
    }

    public let namespace: String
    public let machine: Machine
    /// Nil where the packet was made.
    public let link: String?
    public let direction: PathEvent.Direction
    public let time: Nanoseconds
    /// Nil where the packet was made.
    public let headers: HeaderSummary?
    /// What followed before the next hop.
    public internal(set) var steps: [TraceStep] = []

    /// `worker-1/cni0`, or the namespace alone where the packet was made.
    public var place: String { link.map { "\(namespace)/\($0)" } ?? namespace }
}

/// How a packet ended.
public enum Disposition: Hashable, Sendable {
    case delivered(namespace: String)
    case dropped(DropReason, place: String, rule: TraceRule?)
    /// The run ended while it waited.
    case waiting(place: String)
}

/// The path of one packet.
public struct PacketTrace: Hashable, Sendable {
    public let packet: UInt32
    public internal(set) var hops: [TraceHop]
    public internal(set) var disposition: Disposition
    /// The fault that made it end, as far as one did.
    public internal(set) var fault: String?

    /// The headers as they were first and last seen.
    public var first: HeaderSummary? { hops.lazy.compactMap(\.headers).first }
    public var last: HeaderSummary? { hops.last { $0.headers != nil }?.headers }

    /// How often NAT changed an address (undoing it on a reply does not count).
    public var translations: Int {
        hops.reduce(0) { count, hop in
            count
                + hop.steps.count { step in
                    if case .translated(.source, _, _, _, _) = step { return true }
                    if case .translated(.destination, _, _, _, _) = step { return true }
                    return false
                }
        }
    }

    /// The nodes the packet passed, in order.
    public var nodes: [String] {
        var seen: [String] = []
        for hop in hops where hop.machine == .node && !seen.contains(hop.namespace) { seen.append(hop.namespace) }
        return seen
    }

    public var isEncapsulated: Bool {
        hops.contains { hop in
            hop.steps.contains { step in
                if case .encapsulated = step { return true }
                return false
            }
        }
    }
}

extension Simulator {
    /// Keeps what traces need from now on; `rules` also keeps the rules that did not match.
    public mutating func recordEvents(rules: Bool = false) {
        context.recording.keepsEvents = true
        context.recording.keepsRuleMisses = rules
    }

    /// The events of a run by packet, in order: a trace looks at one packet's only. Looked up, never walked.
    func eventsByPacket(_ events: Range<Int>) -> [UInt32: [PathEvent]] {
        Dictionary(grouping: context.recording.events[events], by: \.packet)
    }

    /// The trace of one packet from its events: all of one namespace, or of the simulation's own. Without the steps
    /// only its end counts.
    func trace(
        of packet: UInt32, _ events: [PathEvent], at only: NetworkNamespace?, withSteps: Bool = true
    ) -> PacketTrace {
        var hops: [TraceHop] = []
        var ending: Disposition?
        var stray: (ending: Disposition, fault: String?)?
        var faults = FaultBlame(self.faults.plan)
        var fault: String?
        var chains: [String] = []
        var rest = events[...]
        while let place = rest.first?.namespace {
            // A namespace is large to copy, so what happens in one is looked at in one go.
            let namespace = only ?? built(place)
            let name = self.name(of: place)
            let stay = rest.prefix { $0.namespace == place }
            faults.visited.append(place)
            rest = rest[stay.endIndex...]
            for event in stay {
                if hops.isEmpty || hops[hops.count - 1].namespace != name, case .originated = event.kind {
                    hops.append(
                        TraceHop(
                            namespace: name, machine: machine(event.namespace), link: nil, direction: .egress,
                            time: event.time, headers: nil))
                    continue
                }
                switch event.kind {
                case .originated: break
                case .frame(let link, let direction, let headers, _):
                    hops.append(
                        TraceHop(
                            namespace: name, machine: machine(event.namespace), link: namespace.links[link.index].name,
                            direction: direction, time: event.time, headers: headers))
                case .delivered: ending = .delivered(namespace: name)
                case .consumed: ending = ending ?? .delivered(namespace: name)
                case .dropped(let reason, let reference):
                    let rule = reference.map(namespace.traceRule)
                    let drop = Disposition.dropped(reason, place: hops.last?.place ?? name, rule: rule)
                    // A copy flooded to another machine is not the packet's end, unless there was no other.
                    if reason == .otherHost {
                        stray = (drop, faults.blame(reason, rule))
                        break
                    }
                    if case .delivered = ending { break }
                    ending = drop
                    fault = faults.blame(reason, rule)
                case .waitsForNeighbor where only == nil:
                    stray = nil
                    fallthrough
                default:
                    faults.take(event)
                    if case .hook = event.kind { chains = [] }
                    guard withSteps else { break }
                    guard let step = step(event, in: namespace, chains: &chains) else { break }
                    if hops.isEmpty {
                        hops.append(
                            TraceHop(
                                namespace: name, machine: machine(event.namespace), link: nil, direction: .egress,
                                time: event.time, headers: nil))
                    }
                    hops[hops.count - 1].steps.append(step)
                }
            }
        }
        if only == nil, ending == nil, let stray { (ending, fault) = stray }
        if case .delivered = ending { fault = nil }
        return PacketTrace(
            packet: packet, hops: hops, disposition: ending ?? .waiting(place: hops.last?.place ?? ""), fault: fault)
    }

    /// The step an event stands for; `chains` remembers the chains entered since the last hook.
    package func step(
        _ event: PathEvent, in namespace: NetworkNamespace, chains: inout [String]
    ) -> TraceStep? {
        func link(_ id: LinkID) -> String { namespace.links[id.index].name }
        switch event.kind {
        case .hook(let hook, .iptables, let table), .hook(let hook, .ip6tables, let table):
            chains = [hook.chainName]
            return .hook(hook, table: TableName.allCases[Int(table)].rawValue)
        case .hook(let hook, .nftables, let table):
            chains = []
            return .hook(hook, table: namespace.nftables.tables[Int(table)].title)
        case .rule(let reference, let verdict):
            let rule = namespace.traceRule(reference)
            if reference.system == .nftables {
                // An element of a map may have led here, so the chain tells where the packet is; back in a caller, the
                // chains it came from are no part of the way.
                if let position = chains.lastIndex(of: rule.chain) {
                    chains.removeSubrange((position + 1)...)
                } else {
                    chains.append(rule.chain)
                }
                return .rule(rule, verdict)
            }
            if verdict == .destinationNAT || verdict == .sourceNAT || verdict == .masquerade,
                chains.last != rule.chain
            {
                chains.append(rule.chain)
            }
            if verdict == .jump || verdict == .goto { chains.append(target(of: reference, in: namespace)) }
            return .rule(rule, verdict)
        case .tracked(let states): return .tracked(states)
        case .scheduled(let reference, let isRemembered):
            let server = namespace.virtualServers.servers[Int(reference.chain)]
            return .scheduled(
                namespace.virtualServerRule(reference), scheduler: server.scheduler.rawValue,
                realServer: server.realServers[Int(reference.rule)].socket, isRemembered: isRemembered)
        case .translated(let kind, let from, let to, let reference):
            let rule = reference.map(namespace.traceRule)
            let path = rule.map { rule in rule.table == "ipvs" ? [] : chainPath(chains, to: rule.chain) } ?? []
            return .translated(kind, from: from, to: to, rule: rule, chains: path)
        case .routed(let reference, let egress, _):
            return .routed(text(of: reference, in: namespace), egress: link(egress))
        case .waitsForNeighbor(let address, let id): return .waitsForNeighbor(address, link: link(id))
        case .encapsulated(let id, let remote, let vni):
            let local = namespace.tunnels.first { $0.link == id }?.local ?? .any(remote.family)
            return .encapsulated(device: link(id), local: local, remote: remote, vni: vni)
        case .decapsulated(let id, let remote, let vni):
            return .decapsulated(device: link(id), remote: remote, vni: vni)
        case .bridged(let bridge, let egress): return .bridged(bridge: link(bridge), egress: link(egress))
        case .flooded(let bridge): return .flooded(bridge: link(bridge))
        case .fragmented(let count, let mtu): return .fragmented(count: Int(count), mtu: Int(mtu))
        case .fault(let number, let action): return .fault(name: faultName(number), action)
        case .originated, .frame, .delivered, .consumed, .dropped, .hook(_, .ipvs, _): return nil
        }
    }

    /// The chains from the built-in one to the deciding one; chains entered and left again on the way are not part.
    private func chainPath(_ visited: [String], to last: String) -> [String] {
        guard let first = visited.first else { return [last] }
        var path = [first]
        for chain in visited.dropFirst() where chain != "KUBE-MARK-MASQ" && path.last != chain { path.append(chain) }
        if let end = path.lastIndex(of: last) { path.removeSubrange((end + 1)...) }
        return path
    }

    private func target(of reference: RuleReference, in namespace: NetworkNamespace) -> String {
        let chain = namespace.ruleset(of: reference.system).tables[Int(reference.table)].chains[Int(reference.chain)]
        switch chain.rules[Int(reference.rule)].target {
        case .jump(let name), .goto(let name): return name
        default: return ""
        }
    }

    private func text(of reference: RouteReference, in namespace: NetworkNamespace) -> String {
        if reference == .onLink { return "on link" }
        guard reference.index >= 0 else { return "broadcast" }
        let table = reference.isLocalTable ? namespace.localTable : namespace.mainTable
        guard table.routes.indices.contains(Int(reference.index)) else { return "that is gone" }
        return table.routes[Int(reference.index)].text { namespace.links[$0.index].name }
    }

    private func machine(_ id: NamespaceID) -> TraceHop.Machine {
        switch owner(of: id) {
        case .node: .node
        case .pod: .pod
        case .host: .host
        }
    }
}

extension NetworkNamespace {
    /// A virtual server as if it were a chain, with what ipvsadm prints of it.
    package func virtualServerRule(_ reference: RuleReference) -> TraceRule {
        let server = virtualServers.servers[Int(reference.chain)]
        return TraceRule(
            table: "ipvs", chain: server.selector, number: nil, text: server.savedLine,
            comment: reference.isPolicy ? "no real server" : nil, agent: virtualServers.agent,
            reject: reference.isPolicy ? .portUnreachable : nil)
    }

    /// A rule with its text and place.
    package func traceRule(_ reference: RuleReference) -> TraceRule {
        if reference.system == .ipvs { return virtualServerRule(reference) }
        if reference.system == .nftables { return nftablesTraceRule(reference) }
        let table = ruleset(of: reference.system).tables[Int(reference.table)]
        let chain = table.chains[Int(reference.chain)]
        if reference.isPolicy {
            return TraceRule(
                table: table.name.rawValue, chain: chain.name, number: nil,
                text: "policy \(chain.policy?.rawValue ?? "-")", comment: nil, agent: nil, reject: nil)
        }
        let rule = chain.rules[Int(reference.rule)]
        return TraceRule(
            table: table.name.rawValue, chain: chain.name, number: Int(reference.rule) + 1,
            text: "-A \(chain.name) \(rule)", comment: rule.comment, agent: chain.agent,
            reject: rule.target?.reject)
    }

    private func nftablesTraceRule(_ reference: RuleReference) -> TraceRule {
        let table = nftables.tables[Int(reference.table)]
        let chain = table.chains[Int(reference.chain)]
        guard !reference.isPolicy else {
            let policy = chain.base?.policy.rawValue ?? "-"
            return TraceRule(
                table: table.title, chain: chain.name, number: nil, text: "policy \(policy)", comment: nil,
                agent: table.agent, reject: nil)
        }
        let rule = chain.rules[Int(reference.rule)]
        return TraceRule(
            table: table.title, chain: chain.name, number: Int(reference.rule) + 1, text: rule.description,
            comment: rule.comment, agent: table.agent, reject: rule.reject(in: table.family))
    }
}
