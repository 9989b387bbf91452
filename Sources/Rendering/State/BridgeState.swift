// Bridge ports and forwarding entries of a namespace as `bridge link` and `bridge fdb` of iproute2 6.1 print them.
// Simplified: bridges know no VLANs, so the entries a VLAN-aware kernel repeats with `vlan 1` are not there; learned
// entries come by address, where the kernel's order is that of a hash.

internal import Addressing
internal import Netstack

extension NamespaceState {
    // MARK: bridge link

    /// `bridge link [show [dev NAME]]`, with the settings of each port when `details` is on.
    public func bridgePorts(
        dev name: String? = nil, details: Bool = false
    ) throws(NamespaceQuestionError) -> (text: String, json: JSONValue) {
        var ports = namespace.links.filter { $0.bridge != nil }
        if let name {
            let wanted = try link(named: name, tool: .other)
            ports.removeAll { $0.id != wanted.id }
        }
        var text = ""
        var objects: [JSONValue] = []
        for port in ports {
            guard let bridge = port.bridge else { continue }
            let state = hasCarrier(port) ? "forwarding" : "disabled"
            let peer = peerName(of: port)
            text += "\(port.index): \(port.name)" + (peer.map { "@\($0)" } ?? "") + ": "
            text += "<\(flags(port).joined(separator: ","))> mtu \(port.mtu) master \(self.name(of: bridge)) "
            text += "state \(state) priority 32 cost 2 \n"
            var members: [JSONValue.Member] = []
            func add(_ name: String, _ value: JSONValue) { members.append(JSONValue.Member(name, value)) }
            add("ifindex", .number(port.index))
            if let peer { add("link", .string(peer)) }
            add("ifname", .string(port.name))
            add("flags", .array(flags(port).map(JSONValue.string)))
            add("mtu", .number(port.mtu))
            add("master", .string(self.name(of: bridge)))
            add("state", .string(state))
            add("priority", .number(32))
            add("cost", .number(2))
            if details {
                text += "    "
                for setting in settings(of: port) {
                    add(setting.name, setting.value)
                    let value = setting.value == .bool(true) ? "on" : setting.value == .bool(false) ? "off" : "1"
                    text += "\(setting.name) \(value) "
                }
                text += "\n"
            }
            objects.append(.object(members))
        }
        return (text, .array(objects))
    }

    /// The peer's number is that of another namespace, but the tool looks it up in this one and prints the name of
    /// the link it finds there.
    private func peerName(of port: Link) -> String? {
        guard case .veth(let peer) = port.kind else { return nil }
        return namespace.links.indices.contains(peer.link.index)
            ? namespace.links[peer.link.index].name : "if\(peer.link.index + 1)"
    }

    private func settings(of port: Link) -> [JSONValue.Member] {
        let values: KeyValuePairs<String, Bool?> = [
            "hairpin": port.isHairpin, "guard": false, "root_block": false, "fastleave": false, "learning": true,
            "flood": true, "mcast_flood": true, "bcast_flood": true, "mcast_router": nil, "mcast_to_unicast": false,
            "neigh_suppress": false, "vlan_tunnel": false, "isolated": false, "locked": false,
        ]
        return values.map { name, value in JSONValue.Member(name, value.map(JSONValue.bool) ?? .number(1)) }
    }

    // MARK: bridge fdb

    /// `bridge fdb [show [br NAME] [dev NAME]]`.
    public func forwardingEntries(
        bridge bridgeName: String? = nil, dev name: String? = nil
    ) throws(NamespaceQuestionError) -> (text: String, json: JSONValue) {
        var links = namespace.links
        if let bridgeName {
            guard let bridge = namespace.link(named: bridgeName), case .bridge = bridge.kind else {
                throw NamespaceQuestionError(message: "Cannot find bridge device \"\(bridgeName)\"")
            }
            links.removeAll { $0.id != bridge.id && $0.bridge != bridge.id }
        }
        if let name {
            let wanted = try link(named: name, tool: .other)
            links.removeAll { $0.id != wanted.id }
        }
        let entries = links.flatMap(entries(of:))
        var text = ""
        for entry in entries {
            text += entry.address
            if name == nil { text += " dev \(entry.device)" }
            if let remote = entry.remote { text += " dst \(remote)" }
            // Behind `self` or the bridge stands the state, and the blank before it even when there is none.
            text += (entry.master.map { " master \($0)" } ?? " self") + (entry.isPermanent ? " permanent\n" : " \n")
        }
        let objects = entries.map { entry in
            JSONValue.object([
                "mac": .string(entry.address), "ifname": name == nil ? .string(entry.device) : nil,
                "dst": entry.remote.map(JSONValue.string),
                "flags": .array(entry.master == nil ? [.string("self")] : []),
                "master": entry.master.map(JSONValue.string),
                "state": .string(entry.isPermanent ? "permanent" : ""),
            ])
        }
        return (text, .array(objects))
    }

    private struct Entry {
        var address: String
        var device: String
        /// Nil for an entry of the device itself.
        var master: String?
        var remote: String?
        var isPermanent = true
    }

    private func entries(of link: Link) -> [Entry] {
        /// Groups the kernel listens to on every link with multicast.
        let groups = ["33:33:00:00:00:01", "01:00:5e:00:00:01"].map { Entry(address: $0, device: link.name) }
        switch link.kind {
        case .loopback, .dummy, .tunnel: return []
        case .vxlan(let number):
            return namespace.tunnels[number].forwardingDatabase.sorted { $0.key < $1.key }.map { address, remote in
                Entry(address: "\(address)", device: link.name, remote: "\(remote)")
            }
        case .bridge(let number):
            // A bridge that snoops listens for other routers too.
            let snooping = ["01:00:5e:00:00:6a", "33:33:00:00:00:6a"].map { Entry(address: $0, device: link.name) }
            return [groups[0]] + snooping + [groups[1]] + ports(of: number, at: link)
        case .veth, .ethernet:
            guard let bridge = link.bridge, case .bridge(let number) = namespace.links[bridge.index].kind else {
                return groups
            }
            return ports(of: number, at: link) + groups
        }
    }

    /// What a bridge knows at one port: learned entries first, then the port's own address.
    private func ports(of number: Int, at port: Link) -> [Entry] {
        let bridge = namespace.bridges[number]
        let entries = bridge.forwardingDatabase.filter { _, entry in
            entry.port == port.id && (entry.isLocal || now - entry.updated < Bridge.ageingTime)
        }
        let sorted = entries.sorted { left, right in
            left.value.isLocal == right.value.isLocal ? left.key < right.key : right.value.isLocal
        }
        return sorted.map { address, entry in
            Entry(
                address: "\(address)", device: port.name, master: name(of: bridge.link), isPermanent: entry.isLocal)
        }
    }
}
