// Links and addresses of a namespace as `ip link` and `ip addr` of iproute2 6.1 print them, and as their -j does.
// Simplified: nothing queues in podnet but the queues of faults, so every other qdisc is noqueue; links without an IPv6
// address have no link-local one either.

internal import Addressing
public import Netstack

/// What iproute2 shows of a namespace. Each question has its text and its JSON.
public struct NamespaceState {
    let namespace: NetworkNamespace
    let now: Nanoseconds

    /// - Parameter now: the instant ages are counted to.
    public init(_ namespace: NetworkNamespace, at now: Nanoseconds) {
        self.namespace = namespace
        self.now = now
    }

    func name(of link: LinkID) -> String { namespace.links[link.index].name }

    /// The link of that name, or an error in the words of the tool.
    func link(named name: String, tool: Tool) throws(NamespaceQuestionError) -> Link {
        guard let link = namespace.link(named: name) else {
            throw NamespaceQuestionError(
                message: tool == .ipLink ? "Device \"\(name)\" does not exist." : "Cannot find device \"\(name)\"")
        }
        return link
    }

    enum Tool {
        case ipLink, other
    }

    /// Namespaces at the other ends of veth pairs, numbered in the order links came to know them.
    func peerNumber(of link: Link) -> Int? {
        guard case .veth(let peer) = link.kind else { return nil }
        var known: [NamespaceID] = []
        for other in namespace.links {
            guard case .veth(let end) = other.kind, end.namespace != namespace.id else { continue }
            if !known.contains(end.namespace) { known.append(end.namespace) }
            if other.id == link.id { break }
        }
        return known.firstIndex(of: peer.namespace)
    }
}

/// A question about a namespace that iproute2 would refuse, in its words.
public struct NamespaceQuestionError: Error, Hashable, Sendable, CustomStringConvertible {
    public var message: String
    public var description: String { message }
}

extension NamespaceState {
    /// `ip link [show [dev NAME]]`.
    public func links(dev name: String? = nil) throws(NamespaceQuestionError) -> (text: String, json: JSONValue) {
        try show(name, withAddresses: false)
    }

    /// `ip addr [show [dev NAME]]`.
    public func addresses(dev name: String? = nil) throws(NamespaceQuestionError) -> (text: String, json: JSONValue) {
        try show(name, withAddresses: true)
    }

    private func show(
        _ name: String?, withAddresses: Bool
    ) throws(NamespaceQuestionError) -> (text: String, json: JSONValue) {
        var links = namespace.links
        if let name { links = [try link(named: name, tool: .ipLink)] }
        var text = ""
        var objects: [JSONValue] = []
        for link in links {
            text += linkText(link, showsMode: !withAddresses)
            var members = linkMembers(link, showsMode: !withAddresses)
            if withAddresses {
                let addresses = link.addresses.enumerated().map { addressMembers($1, at: $0, of: link) }
                for (index, address) in link.addresses.enumerated() {
                    text += addressText(address, at: index, of: link)
                }
                members.append(JSONValue.Member("addr_info", .array(addresses)))
            }
            objects.append(.object(members))
        }
        return (text, .array(objects))
    }

    // MARK: links

    /// A bridge has carrier when a port has; every other link when it is up and its peer too.
    func hasCarrier(_ link: Link) -> Bool {
        guard case .bridge(let number) = link.kind else { return link.isUp && link.hasCarrier }
        return link.isUp
            && namespace.bridges[number].ports.contains { port in
                namespace.links[port.index].isUp && namespace.links[port.index].hasCarrier
            }
    }

    func flags(_ link: Link) -> [String] {
        var flags = link.isUp && !hasCarrier(link) ? ["NO-CARRIER"] : []
        switch link.kind {
        case .loopback: flags.append("LOOPBACK")
        case .dummy: flags += ["BROADCAST", "NOARP"]
        case .tunnel(let number):
            flags += namespace.relays[number].kind == .tun ? ["POINTOPOINT", "MULTICAST"] : ["POINTOPOINT"]
            flags.append("NOARP")
        default: flags += ["BROADCAST", "MULTICAST"]
        }
        if link.isPromiscuous { flags.append("PROMISC") }
        if link.isUp { flags.append("UP") }
        if hasCarrier(link) { flags.append("LOWER_UP") }
        return flags
    }

    /// Software devices without a carrier of their own are never more than UNKNOWN.
    private func operationalState(_ link: Link) -> String {
        guard hasCarrier(link) else { return "DOWN" }
        switch link.kind {
        case .loopback, .vxlan, .tunnel, .dummy: return "UNKNOWN"
        case .veth, .bridge, .ethernet: return "UP"
        }
    }

    /// kube-proxy makes its dummy device with a queue of length zero and never sets it up.
    private func hasQueue(_ link: Link) -> Bool { link.kind != .dummy }

    private func queueing(_ link: Link) -> String {
        if link.trafficControl?.hasQueue == true { return "netem" }
        return relay(link)?.kind == .tun ? "pfifo_fast" : hasQueue(link) ? "noqueue" : "noop"
    }

    private func queueLength(_ link: Link) -> Int { relay(link)?.kind == .tun ? 500 : 1000 }

    private func relay(_ link: Link) -> RelayTunnel? {
        guard case .tunnel(let number) = link.kind else { return nil }
        return namespace.relays[number]
    }

    private func linkType(_ link: Link) -> String {
        if let relay = relay(link) { return relay.kind == .ipip ? "ipip" : "none" }
        return link.isLoopback ? "loopback" : "ether"
    }

    /// The link-layer address and the one of all; nil where a device has none.
    private func linkAddresses(_ link: Link) -> (own: String, broadcast: String)? {
        if let relay = relay(link) {
            return relay.kind == .ipip ? (relay.local.description, IPv4Address.any.description) : nil
        }
        let broadcast = link.isLoopback ? MACAddress.zero : .broadcast
        return (link.hardwareAddress.description, broadcast.description)
    }

    private func linkText(_ link: Link, showsMode: Bool) -> String {
        var words = ["\(link.index): \(link.name)"]
        if case .veth(let peer) = link.kind { words[0] += "@if\(peer.link.index + 1)" }
        if relay(link)?.kind == .ipip { words[0] += "@NONE" }
        words[0] += ":"
        words.append("<\(flags(link).joined(separator: ","))> mtu \(link.mtu) qdisc \(queueing(link))")
        if let bridge = link.bridge { words.append("master \(name(of: bridge))") }
        words.append("state \(operationalState(link))")
        if showsMode { words.append("mode DEFAULT") }
        words.append("group default" + (hasQueue(link) ? " qlen \(queueLength(link))" : ""))
        var text = words.joined(separator: " ") + "\n"
        text += "    link/\(linkType(link)) " + (linkAddresses(link).map { "\($0.own) brd \($0.broadcast)" } ?? "")
        if let number = peerNumber(of: link) { text += " link-netnsid \(number)" }
        return text + "\n"
    }

    private func linkMembers(_ link: Link, showsMode: Bool) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        func add(_ name: String, _ value: JSONValue) { members.append(JSONValue.Member(name, value)) }
        add("ifindex", .number(link.index))
        if case .veth(let peer) = link.kind { add("link_index", .number(peer.link.index + 1)) }
        if relay(link)?.kind == .ipip { add("link", .null) }
        add("ifname", .string(link.name))
        add("flags", .array(flags(link).map(JSONValue.string)))
        add("mtu", .number(link.mtu))
        add("qdisc", .string(queueing(link)))
        if let bridge = link.bridge { add("master", .string(name(of: bridge))) }
        add("operstate", .string(operationalState(link)))
        if showsMode { add("linkmode", .string("DEFAULT")) }
        add("group", .string("default"))
        if hasQueue(link) { add("txqlen", .number(queueLength(link))) }
        add("link_type", .string(linkType(link)))
        if let addresses = linkAddresses(link) {
            add("address", .string(addresses.own))
            add("broadcast", .string(addresses.broadcast))
        }
        if let number = peerNumber(of: link) { add("link_netnsid", .number(number)) }
        return members
    }

    // MARK: addresses

    /// An address in the subnet of one that came before it.
    private func isSecondary(_ address: Link.Address, at index: Int, of link: Link) -> Bool {
        address.interface.address.family == .ipv4
            && link.addresses.prefix(index).contains { $0.interface.prefix == address.interface.prefix }
    }

    private func scopeText(_ scope: RouteScope) -> String {
        switch scope {
        case .universe: "global"
        case .link: "link"
        case .host: "host"
        }
    }

    private func addressText(_ address: Link.Address, at index: Int, of link: Link) -> String {
        let isIPv4 = address.interface.address.family == .ipv4
        var text = "    \(isIPv4 ? "inet" : "inet6") \(address.interface)"
        if let broadcast = address.broadcast { text += " brd \(broadcast)" }
        text += " scope \(scopeText(address.scope)) "
        if isSecondary(address, at: index, of: link) { text += "secondary " }
        if isIPv4 { text += link.name }
        return text + "\n       valid_lft forever preferred_lft forever\n"
    }

    private func addressMembers(_ address: Link.Address, at index: Int, of link: Link) -> JSONValue {
        let isIPv4 = address.interface.address.family == .ipv4
        let forever = JSONValue.number(Int(UInt32.max))
        return .object([
            "family": .string(isIPv4 ? "inet" : "inet6"),
            "local": .string(address.interface.address.description),
            "prefixlen": .number(address.interface.prefixLength),
            "broadcast": address.broadcast.map { .string($0.description) },
            "scope": .string(scopeText(address.scope)),
            "secondary": isSecondary(address, at: index, of: link) ? .bool(true) : nil,
            "label": isIPv4 ? .string(link.name) : nil, "valid_life_time": forever, "preferred_life_time": forever,
        ])
    }
}
