// Where faults are: from the names people give (`worker-1/eth0`, `default/client/veth`, `worker-1`, `underlay`) to
// namespaces and links. The nodes that faults name are built for it in a simulation nobody else sees, because only a
// node that was built knows its links, routes and forwarding entries.

internal import Addressing
internal import Kubernetes
internal import Netstack
internal import NodeAgents

/// Finds places in one cluster.
struct FaultPlaces: ~Copyable {
    private var simulator: Simulator
    private let ends: FlowEnds

    enum Place {
        case underlay
        case link(NamespaceID, LinkID)
        /// A node or a host.
        case machine(NamespaceID)
        case pod(NamespaceID)
    }

    init(_ cluster: Cluster, seed: UInt64) {
        simulator = Simulator(cluster, seed: seed)
        ends = FlowEnds(cluster.objects)
    }

    /// A fault with its places found.
    mutating func plan(_ fault: Fault, _ origin: FaultOrigin) throws(ObjectError) -> PlannedFault {
        var planned = PlannedFault(name: fault.name, text: fault.text)
        var found: [Place] = []
        for text in fault.places { found.append(try place(text, origin, Fault.placeWord)) }
        for effect in fault.effects {
            if case .partition(let others) = effect {
                planned.wire.append(try partition(found, fault.places, others, origin))
                continue
            }
            for (place, text) in zip(found, fault.places) {
                try add(effect, at: place, called: text, to: &planned, origin)
            }
        }
        return planned
    }

    // MARK: names

    /// What a name stands for.
    private mutating func place(
        _ text: String, _ origin: FaultOrigin, _ word: String
    ) throws(ObjectError) -> Place {
        if text == Fault.underlay { return .underlay }
        if let owner = owner(text) { return owner }
        guard let slash = text.lastIndex(of: "/"), let owner = owner(String(text[..<slash])) else {
            throw origin.error(
                word, "there is no link, machine or pod called \"\(text)\"",
                hint: "write OWNER/DEVICE, for example worker-1/eth0 or default/client/eth0; "
                    + "podnet get nodes and podnet get pods show the owners")
        }
        let device = String(text[text.index(after: slash)...])
        guard case .machine(let id) = owner else {
            guard case .pod(let id) = owner else { return .underlay }
            return try link(device, of: id, isPod: true, text, origin, word)
        }
        return try link(device, of: id, isPod: false, text, origin, word)
    }

    private mutating func link(
        _ device: String, of id: NamespaceID, isPod: Bool, _ text: String, _ origin: FaultOrigin, _ word: String
    ) throws(ObjectError) -> Place {
        let namespace = simulator.namespace(id)
        if isPod, device == Fault.hostEnd, let peer = peer(of: namespace) {
            return .link(peer.namespace, peer.link)
        }
        guard let link = namespace.link(named: device) else {
            var known = namespace.links.map(\.name)
            if isPod { known.append("\(Fault.hostEnd) (its end on the node)") }
            throw origin.error(
                word, "\(namespace.name) has no link called \"\(device)\"",
                hint: "it has \(known.joined(separator: ", "))")
        }
        return .link(id, link.id)
    }

    /// The node's end of a pod's veth pair.
    private func peer(of pod: NetworkNamespace) -> LinkPeer? {
        for link in pod.links {
            if case .veth(let peer) = link.kind { return peer }
        }
        return nil
    }

    private func owner(_ text: String) -> Place? {
        for owner in [NamespaceOwner.node(text), .host(text)] {
            if let id = simulator.namespaceID(of: owner) { return .machine(id) }
        }
        switch try? ends.source(text) {
        case .node(let name): return simulator.namespaceID(of: .node(name)).map(Place.machine)
        case .host(let name): return simulator.namespaceID(of: .host(name)).map(Place.machine)
        case .pod(let key):
            guard let id = simulator.namespaceID(of: .pod(key)) else { return nil }
            if case .pod = simulator.owner(of: id) { return .pod(id) }
            return .machine(id)
        case nil: return nil
        }
    }

    // MARK: effects

    private mutating func add(
        _ effect: FaultEffect, at place: Place, called text: String, to planned: inout PlannedFault,
        _ origin: FaultOrigin
    ) throws(ObjectError) {
        func change(_ id: NamespaceID, _ fault: NamespaceFault) {
            planned.changes.append(PlannedFault.Change(namespace: id, fault: fault))
        }
        switch (effect, place) {
        case (.netem(let settings), .underlay): planned.wire.append(.netem(settings))
        case (.netem(let settings), .link(let id, let link)): change(id, .queue(link, settings))
        case (.filter(let selector, let direction), .underlay):
            guard direction == .both else {
                throw origin.error("filter", "the underlay has no inside", hint: "leave out \(direction.rawValue)")
            }
            planned.wire.append(.filter(selector))
        case (.filter(let selector, let direction), .link(let id, let link)):
            change(id, .filter(link, selector, direction))
        case (.badChecksum(let selector), .link(let id, let link)): change(id, .leftChecksum(link, selector))
        case (.linkDown, .link(let id, let link)):
            change(id, .linkDown(link))
            if case .veth(let peer) = simulator.namespace(id).links[link.index].kind {
                change(peer.namespace, .noCarrier(peer.link))
            }
        case (.mtu(let mtu), .link(let id, let link)): change(id, .mtu(link, mtu))
        case (.mtu(let mtu), .pod), (.mtu(let mtu), .machine):
            for end in try ports(of: place, text, "mtu", origin) {
                change(end.node.namespace, .mtu(end.node.link, mtu))
                change(end.pod.namespace, .mtu(end.pod.link, mtu))
            }
        case (.hairpinOff, .link(let id, let link)):
            guard simulator.namespace(id).links[link.index].bridge != nil else {
                throw origin.error("hairpin", "\(text) is no port of a bridge", hint: "name a pod, or its veth")
            }
            change(id, .hairpinOff(link))
        case (.hairpinOff, .pod), (.hairpinOff, .machine):
            for end in try ports(of: place, text, "hairpin", origin) {
                change(end.node.namespace, .hairpinOff(end.node.link))
            }
        case (.bridgeNetfilterOff, .machine(let id)): change(id, .bridgeNetfilterOff)
        case (.policyDrop(let chain), .machine(let id)): change(id, .policyDrop(chain: chain))
        case (.wrongVTEPMAC(let name, let given), .machine(let id)):
            let peer = try tunnelPeer(name, of: id, "wrong-vtep-mac", origin)
            var random = SeededGenerator(seed: simulator.seed).stream("wrong-vtep-mac \(text) \(name)")
            change(id, .peerMAC(peer, wrong: given ?? MACAddress(randomBits: random.next())))
        case (.staleForwardingEntry(let name, let address), .machine(let id)):
            change(id, .peerAddress(try tunnelPeer(name, of: id, "stale-fdb", origin), address))
        case (.staleRoute(let prefix, let gateway, let device), .machine(let id)),
            (.staleRoute(let prefix, let gateway, let device), .pod(let id)):
            change(id, .route(try route(to: prefix, via: gateway, device, in: id, origin)))
        case (.duplicatePublicIP(let name), .machine(let id)):
            try addDuplicate(of: name, on: id, text, to: &planned, origin)
        default: throw mismatch(effect, place, text, origin)
        }
    }

    private func mismatch(
        _ effect: FaultEffect, _ place: Place, _ text: String, _ origin: FaultOrigin
    ) -> ObjectError {
        let kind: String
        switch place {
        case .underlay: kind = "the wire between machines"
        case .link: kind = "a link"
        case .machine: kind = "a machine"
        case .pod: kind = "a pod"
        }
        let (wants, example) =
            switch effect {
            case .netem: ("a link", "\(text)/eth0")
            case .filter, .badChecksum, .linkDown, .mtu: ("a link", "worker-1/eth0")
            case .hairpinOff: ("a bridge port, a pod or a node", "default/client/veth")
            case .partition: ("machines", "worker-1")
            case .staleRoute: ("a machine or a pod", "worker-1")
            case .bridgeNetfilterOff, .policyDrop, .wrongVTEPMAC, .staleForwardingEntry, .duplicatePublicIP:
                ("a node", "worker-1")
            }
        return origin.error(
            Fault.placeWord, "\"\(text)\" is \(kind), and this fault is one of \(wants)",
            hint: "for example \(example)")
    }

    /// The veth pairs of a pod, or of all pods of a node.
    private mutating func ports(
        of place: Place, _ text: String, _ word: String, _ origin: FaultOrigin
    ) throws(ObjectError) -> [(node: LinkPeer, pod: LinkPeer)] {
        var found: [(node: LinkPeer, pod: LinkPeer)] = []
        switch place {
        case .pod(let id):
            guard let peer = peer(of: simulator.namespace(id)),
                case .veth(let own) = simulator.namespace(peer.namespace).links[peer.link.index].kind
            else { break }
            found = [(peer, own)]
        case .machine(let id):
            for link in simulator.namespace(id).links where link.bridge != nil {
                guard case .veth(let peer) = link.kind else { continue }
                found.append((LinkPeer(namespace: id, link: link.id), peer))
            }
        case .link, .underlay: break
        }
        guard !found.isEmpty else {
            throw origin.error(word, "\"\(text)\" has no pod with a network of its own", hint: "name a link instead")
        }
        return found
    }

    /// The MAC address of a peer's VXLAN device, which the node must know.
    private mutating func tunnelPeer(
        _ name: String, of id: NamespaceID, _ word: String, _ origin: FaultOrigin
    ) throws(ObjectError) -> MACAddress {
        let node = try node(name, word, origin)
        let namespace = simulator.namespace(id)
        guard let lease = simulator.lease(of: node),
            namespace.tunnels.contains(where: { $0.forwardingDatabase[lease.vtepMAC] != nil })
        else {
            throw origin.error(
                word, "\(namespace.name) has no tunnel to \(name)",
                hint: "flannel's vxlan backend makes them, between nodes that have a pod CIDR")
        }
        return lease.vtepMAC
    }

    private func node(_ name: String, _ word: String, _ origin: FaultOrigin) throws(ObjectError) -> Node {
        let bare = name.hasPrefix("node/") ? String(name.dropFirst(5)) : name
        guard let node = simulator.cluster.objects.nodes["", bare] else {
            throw origin.error(word, "there is no node called \"\(name)\"", hint: "podnet get nodes shows them")
        }
        return node
    }

    private mutating func route(
        to prefix: IPPrefix, via gateway: IPAddress, _ device: String?, in id: NamespaceID, _ origin: FaultOrigin
    ) throws(ObjectError) -> Route {
        let namespace = simulator.namespace(id)
        let onlink = namespace.links.first { link in
            !link.isLoopback && link.addresses.contains { $0.interface.prefix.contains(gateway) }
        }
        let existing = namespace.mainTable.routes.first { $0.prefix == prefix }
        guard let device else {
            guard let link = onlink?.id ?? existing?.link else {
                throw origin.error(
                    "stale-route", "\(namespace.name) has no link towards \(gateway)",
                    hint: "say which: via \(gateway) dev eth0")
            }
            return Route(
                prefix, gateway: gateway, link: link, isOnlink: onlink == nil, metric: existing?.metric ?? 0)
        }
        guard let link = namespace.link(named: device) else {
            throw origin.error(
                "stale-route", "\(namespace.name) has no link called \"\(device)\"",
                hint: "it has \(namespace.links.map(\.name).joined(separator: ", "))")
        }
        let isReachable = link.addresses.contains { $0.interface.prefix.contains(gateway) }
        return Route(prefix, gateway: gateway, link: link.id, isOnlink: !isReachable, metric: existing?.metric ?? 0)
    }

    /// All other nodes believe the lease that announces another node's address.
    private mutating func addDuplicate(
        of name: String, on id: NamespaceID, _ text: String, to planned: inout PlannedFault, _ origin: FaultOrigin
    ) throws(ObjectError) {
        let word = "duplicate-public-ip"
        let other = try node(name, word, origin)
        guard case .node(let own) = simulator.owner(of: id), own != other.name,
            let node = simulator.cluster.objects.nodes["", own], let lease = simulator.lease(of: node),
            let address = simulator.lease(of: other)?.publicIP
        else {
            throw origin.error(
                word, "\(text) and \(name) are no two nodes with leases of flannel",
                hint: "flannel gives a lease to nodes with a pod CIDR and an address")
        }
        for third in simulator.cluster.objects.nodes where third.name != own {
            guard let place = simulator.namespaceID(of: .node(third.name)) else { continue }
            planned.changes.append(
                PlannedFault.Change(
                    namespace: place, fault: .peerLease(lease.vtepMAC, lease.subnet, address)))
        }
    }

    // MARK: partitions

    private mutating func partition(
        _ places: [Place], _ names: [String], _ others: [String], _ origin: FaultOrigin
    ) throws(ObjectError) -> WireFault {
        var here: [NamespaceID] = []
        for (place, name) in zip(places, names) { here.append(try machine(place, name, origin, Fault.placeWord)) }
        guard !others.isEmpty else { return .partition(here, from: nil) }
        var there: [NamespaceID] = []
        for name in others {
            there.append(try machine(try place(name, origin, "partition"), name, origin, "partition"))
        }
        if let both = here.first(where: there.contains) {
            throw origin.error("partition", "\(simulator.name(of: both)) is on both sides", hint: "name it on one")
        }
        return .partition(here, from: there)
    }

    private func machine(
        _ place: Place, _ name: String, _ origin: FaultOrigin, _ word: String
    ) throws(ObjectError) -> NamespaceID {
        guard case .machine(let id) = place else {
            throw origin.error(
                word, "a partition is between machines, and \"\(name)\" is none", hint: "name nodes and hosts")
        }
        return id
    }
}
