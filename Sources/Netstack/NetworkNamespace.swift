// One Linux network namespace as a value: its links, addresses, routes, neighbors, rules, connections and sockets.
// Agents configure it with the verbs of iproute2; packets meet it in PacketPath.swift.

public import Addressing

/// A network namespace: a node, a pod, or a host on the underlay.
public struct NetworkNamespace: Sendable {
    public let id: NamespaceID
    /// The owner's name, for example `worker-1` or `default/web-0`.
    public let name: String

    public internal(set) var links: [Link] = []
    public internal(set) var bridges: [Bridge] = []
    public internal(set) var tunnels: [VXLANTunnel] = []
    public internal(set) var relays: [RelayTunnel] = []
    public var sysctls = Sysctls()
    public internal(set) var mainTable = RoutingTable()
    public internal(set) var localTable = RoutingTable()
    public internal(set) var neighbors = NeighborTable()
    public internal(set) var connections = ConnectionTracker()
    public internal(set) var sockets = SocketTable()
    /// The rules as their authors wrote them.
    public private(set) var ruleset = Ruleset()
    /// The rules of ip6tables.
    public private(set) var rulesetIPv6 = Ruleset()
    var compiledRules = CompiledRuleset()
    var compiledRulesIPv6 = CompiledRuleset()
    /// The nftables tables beside them.
    public private(set) var nftables = NFTablesRuleset()
    var compiledNFTables = CompiledNFTables()
    var nftablesState = NFTablesState()
    var hookWalk = HookWalk()
    /// What `-m set` asks.
    public var ipSets: [IPSet] = []
    /// What IPVS spreads over real servers.
    public var virtualServers = VirtualServerTable()
    /// What rules remember from packet to packet.
    var ruleMemory = RuleMemory()
    var ruleMemoryIPv6 = RuleMemory()
    var identifications: [IdentificationKey: IdentificationGenerator] = [:]
    var reassembly = ReassemblyQueue()
    var pathMTUs: [IPAddress: PathMTU] = [:]
    /// Better next hops routers have named, by destination.
    var redirectedRouters: [IPAddress: IPAddress] = [:]
    /// What bounds the ICMP errors each address gets.
    var answeredPeers: [IPAddress: AnsweredPeer] = [:]

    public init(id: NamespaceID, name: String) {
        self.id = id
        self.name = name
        let loopback = addLink("lo", kind: .loopback, hardwareAddress: .zero, mtu: 65536)
        addAddress(InterfaceAddress(.v4(127, 0, 0, 1), prefixLength: 8), to: loopback, scope: .host)
    }

    // MARK: links

    /// Makes a link that is up (`ip link add ... up`).
    @discardableResult
    public mutating func addLink(
        _ name: String, kind: Link.Kind, hardwareAddress: MACAddress, mtu: Int = 1500
    ) -> LinkID {
        let link = LinkID(links.count)
        links.append(Link(id: link, name: name, kind: kind, hardwareAddress: hardwareAddress, mtu: mtu, isUp: true))
        return link
    }

    /// Makes a bridge device (`ip link add NAME type bridge`).
    public mutating func addBridge(_ name: String, hardwareAddress: MACAddress, mtu: Int = 1500) -> LinkID {
        let link = addLink(name, kind: .bridge(bridges.count), hardwareAddress: hardwareAddress, mtu: mtu)
        bridges.append(Bridge(link: link, hardwareAddress: hardwareAddress))
        return link
    }

    /// Makes a VXLAN device (`ip link add NAME type vxlan id VNI local ADDRESS dev LOWER dstport PORT nolearning`).
    public mutating func addVXLAN(
        _ name: String, hardwareAddress: MACAddress, mtu: Int, vni: UInt32, local: IPAddress, lower: LinkID,
        port: UInt16 = 8472
    ) -> LinkID {
        let link = addLink(name, kind: .vxlan(tunnels.count), hardwareAddress: hardwareAddress, mtu: mtu)
        tunnels.append(VXLANTunnel(link: link, vni: vni, local: local, lower: lower, port: port))
        return link
    }

    /// Makes `port` a port of a bridge (`ip link set PORT master BRIDGE`, `bridge link set ... hairpin on`).
    public mutating func attach(_ port: LinkID, to bridge: LinkID, hairpin: Bool) {
        guard case .bridge(let number) = links[bridge.index].kind else { preconditionFailure("not a bridge") }
        links[port.index].bridge = bridge
        links[port.index].isHairpin = hairpin
        bridges[number].ports.append(port)
        bridges[number].forwardingDatabase[links[port.index].hardwareAddress] =
            Bridge.Entry(port: port, isLocal: true, updated: 0)
    }

    public func link(named name: String) -> Link? { links.first { $0.name == name } }

    public mutating func setLink(_ link: LinkID, up isUp: Bool) {
        links[link.index].isUp = isUp
        updateBridgeCarrier(of: link)
    }

    /// Changes a link's MTU (`ip link set ... mtu`). A bridge goes with the least of its ports (br_mtu_auto_adjust).
    public mutating func setMTU(_ mtu: Int, of link: LinkID) {
        links[link.index].mtu = mtu
        guard let bridge = links[link.index].bridge, case .bridge(let number) = links[bridge.index].kind else { return }
        links[bridge.index].mtu = bridges[number].ports.map { links[$0.index].mtu }.min() ?? mtu
    }

    /// `bridge link set dev PORT hairpin on|off`.
    public mutating func setHairpin(_ port: LinkID, _ isOn: Bool) { links[port.index].isHairpin = isOn }

    /// Whether something is at the other end.
    public mutating func setCarrier(_ link: LinkID, _ isThere: Bool) {
        links[link.index].hasCarrier = isThere
        updateBridgeCarrier(of: link)
    }

    /// A bridge has carrier while one of its ports is running.
    private mutating func updateBridgeCarrier(of port: LinkID) {
        guard let bridge = links[port.index].bridge, case .bridge(let number) = links[bridge.index].kind else { return }
        links[bridge.index].hasCarrier = bridges[number].ports.contains { links[$0.index].isRunning }
    }

    /// Puts back what is configured, as `original` has it, and leaves alone what packets have done: connections,
    /// sockets, learned neighbors and addresses.
    public mutating func restoreConfiguration(of original: NetworkNamespace) {
        for (number, link) in original.links.enumerated() where links.indices.contains(number) {
            links[number].mtu = link.mtu
            links[number].isUp = link.isUp
            links[number].hasCarrier = link.hasCarrier
            links[number].isHairpin = link.isHairpin
            links[number].trafficControl = link.trafficControl
        }
        for (number, tunnel) in original.tunnels.enumerated() where tunnels.indices.contains(number) {
            tunnels[number].forwardingDatabase = tunnel.forwardingDatabase
        }
        mainTable = original.mainTable
        for neighbor in original.neighbors.entries where neighbor.state == .permanent {
            neighbors.setPermanent(neighbor.address, neighbor.lladdr, on: neighbor.link)
        }
        sysctls = original.sysctls
        for chain in original.ruleset[.filter].chains {
            guard let policy = chain.policy, policy != ruleset[.filter][chain.name]?.policy else { continue }
            setPolicy(policy, of: chain.name)
        }
    }

    public mutating func setLink(_ link: LinkID, promiscuous isPromiscuous: Bool) {
        links[link.index].isPromiscuous = isPromiscuous
    }

    /// Sets the settings of one interface (`sysctl net.ipv4.conf.NAME.*`).
    public mutating func setInterface(_ link: LinkID, to settings: InterfaceSettings) {
        links[link.index].settings = settings
    }

    // MARK: addresses and routes

    /// Adds an address with the routes the kernel adds for it (fib_add_ifaddr): a local one, the subnet's, and the
    /// broadcast address's.
    public mutating func addAddress(
        _ address: InterfaceAddress, to link: LinkID, scope: RouteScope = .universe, broadcast: IPv4Address? = nil
    ) {
        if address.address.family == .ipv6 {
            addIPv6Address(address, to: link, scope: scope)
            return
        }
        let prefix = address.prefix
        // Of several addresses in one subnet only the first brings the subnet's routes (IFA_F_SECONDARY).
        let isSecondary = !prefix.isHost && links[link.index].addresses.contains { $0.interface.prefix == prefix }
        links[link.index].addresses.append(Link.Address(address, scope: scope, broadcast: broadcast))
        localTable.replace(
            Route(
                IPPrefix(host: address.address), kind: .local, link: link, scope: .host,
                preferredSource: address.address, origin: .kernel))
        guard !prefix.isHost, !isSecondary else { return }
        if links[link.index].isLoopback {
            localTable.replace(
                Route(
                    prefix, kind: .local, link: link, scope: .host, preferredSource: address.address, origin: .kernel))
        } else {
            mainTable.replace(
                Route(
                    prefix, link: link, scope: .link, preferredSource: address.address, origin: .kernel))
        }
        if prefix.length < 31 {
            localTable.replace(
                Route(
                    IPPrefix(host: prefix.last), kind: .broadcast, link: link, scope: .link,
                    preferredSource: address.address, origin: .kernel))
        }
    }

    /// `ip route replace`, or `ip -6 route replace`, which gives a metric to a route without one.
    public mutating func addRoute(_ route: Route) {
        var route = route
        if route.prefix.family == .ipv6, route.metric == 0 { route.metric = 1024 }
        mainTable.replace(route)
    }

    public mutating func removeRoutes(where test: (Route) -> Bool) { mainTable.removeAll(where: test) }

    /// `ip neigh replace ... nud permanent`.
    public mutating func addPermanentNeighbor(_ address: IPAddress, lladdr: MACAddress, on link: LinkID) {
        neighbors.setPermanent(address, lladdr, on: link)
    }

    /// `bridge fdb replace MAC dev VXLAN dst REMOTE self permanent`.
    public mutating func addForwardingEntry(_ address: MACAddress, remote: IPAddress, on link: LinkID) {
        guard case .vxlan(let number) = links[link.index].kind else { preconditionFailure("not a VXLAN device") }
        tunnels[number].forwardingDatabase[address] = remote
    }

    /// `bridge fdb del MAC dev VXLAN`.
    public mutating func removeForwardingEntry(_ address: MACAddress, on link: LinkID) {
        guard case .vxlan(let number) = links[link.index].kind else { preconditionFailure("not a VXLAN device") }
        tunnels[number].forwardingDatabase[address] = nil
    }

    // MARK: rules

    /// Replaces all rules, as iptables-restore or ip6tables-restore does. What rules made from `shared` left as it was
    /// is not compiled again.
    public mutating func setRuleset(
        _ ruleset: Ruleset, family: AddressFamily = .ipv4, madeFrom shared: SharedRuleset? = nil
    ) {
        switch family {
        case .ipv4:
            self.ruleset = ruleset
            compiledRules = CompiledRuleset(compiling: ruleset, madeFrom: shared)
            ruleMemory.forgetRules()
        case .ipv6:
            rulesetIPv6 = ruleset
            compiledRulesIPv6 = CompiledRuleset(compiling: ruleset, for: .ip6tables, madeFrom: shared)
            ruleMemoryIPv6.forgetRules()
        }
    }

    /// `iptables -P CHAIN POLICY` of the filter table.
    public mutating func setPolicy(_ policy: ChainPolicy, of chain: String) {
        guard let hook = Hook.allCases.first(where: { $0.chainName == chain }) else { return }
        var changed = ruleset
        changed[.filter].setPolicy(policy, of: hook)
        setRuleset(changed)
    }

    /// The rules a reference points into.
    public func ruleset(of system: RuleSystem) -> Ruleset { system == .ip6tables ? rulesetIPv6 : ruleset }
    /// Replaces all nftables tables, as `nft -f` does behind `flush ruleset`. What their rules remembered is forgotten.
    public mutating func setNFTables(_ ruleset: NFTablesRuleset) {
        nftables = ruleset
        compiledNFTables = CompiledNFTables(compiling: ruleset)
        nftablesState = compiledNFTables.initialState
        hookWalk = HookWalk(compiledNFTables)
    }

    /// Forgets the tracked connections a test picks, as `conntrack -D` does; how many there were.
    @discardableResult
    public mutating func removeConnections(where test: (TrackedConnection) -> Bool) -> Int {
        connections.remove(where: test)
    }

    // MARK: what the path asks

    /// Whether the address is one of this namespace's own (RTN_LOCAL).
    public func isLocal(_ address: IPAddress) -> Bool {
        guard let position = localTable.lookup(address) else { return false }
        return localTable.routes[position].kind == .local
    }

    /// The address of `link` to use towards `destination` (inet_select_addr): one whose subnet holds the
    /// destination, else the link's first, else another link's first.
    func selectAddress(on link: LinkID, towards destination: IPAddress?, scope: RouteScope = .universe) -> IPAddress? {
        let candidates = links[link.index].addresses.filter { $0.scope <= scope }
        if let destination {
            let match = candidates.first { $0.interface.prefix.contains(destination) }
            if let match { return match.interface.address }
        }
        let family = destination?.family ?? .ipv4
        if let first = candidates.first(where: { $0.interface.address.family == family }) {
            return first.interface.address
        }
        for other in links where other.id != link {
            let usable = other.addresses.first {
                $0.scope != .link && $0.scope <= scope && $0.interface.address.family == family
            }
            if let usable { return usable.interface.address }
        }
        return nil
    }

    /// The id field of a packet without a socket of its own (__ip_select_ident): one generator for a pair of addresses
    /// and a protocol. It counts on from a random start and skips up to as many ids as ticks have passed.
    mutating func nextIdentification(
        from source: IPAddress, to destination: IPAddress, _ protocol: IPProtocol, _ context: inout PathContext
    ) -> UInt16 {
        let key = IdentificationKey(source: source, destination: destination, protocol: `protocol`)
        let tick = context.now / TimerWheel.tick
        var generator =
            identifications[key]
            ?? IdentificationGenerator(last: UInt16(truncatingIfNeeded: context.random.next()), tick: tick)
        let skipped = tick > generator.tick ? context.random.next(below: Int(tick - generator.tick)) : 0
        generator.last &+= UInt16(truncatingIfNeeded: 1 + skipped)
        if generator.last == 0 { generator.last = 1 }
        generator.tick = tick
        identifications[key] = generator
        return generator.last
    }

    // MARK: endings

    mutating func drop(
        _ packet: Packet, _ reason: DropReason, _ context: inout PathContext, rule: RuleReference? = nil
    ) {
        context.drop(packet, reason, in: id, rule: rule)
    }
}

/// What one generator of IP ids serves.
struct IdentificationKey: Hashable {
    var source: IPAddress
    var destination: IPAddress
    var `protocol`: IPProtocol
}

/// The last id given and when.
struct IdentificationGenerator {
    var last: UInt16
    var tick: Nanoseconds
}
