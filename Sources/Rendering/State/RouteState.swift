// Routes, rules and neighbors of a namespace as `ip route`, `ip rule` and `ip neigh` of iproute2 6.1 print them, with
// the blanks it leaves at line ends. Routes come in the order the kernel walks its trie: by destination, at the same
// destination the longer prefix first. Neighbors come in the order they were met, where the kernel's is that of a hash.

public import Addressing
internal import Netstack

extension NamespaceState {
    /// Which routes to show.
    public enum Table: String, CaseIterable, Sendable {
        case main, local, all
    }

    /// `ip [-6] route [show [dev NAME] [table main|local|all]]`.
    public func routes(
        table: Table = .main, dev name: String? = nil, family: AddressFamily = .ipv4
    ) throws(NamespaceQuestionError) -> (text: String, json: JSONValue) {
        var device: LinkID?
        if let name { device = try link(named: name, tool: .other).id }
        var shown: [(route: Route, isLocalTable: Bool)] = []
        if table != .local { shown += inOrder(namespace.mainTable.routes).map { ($0, false) } }
        if table != .main { shown += inOrder(namespace.localTable.routes).map { ($0, true) } }
        // The kernel takes the routes of a link away when it goes down, but for those to own addresses.
        shown.removeAll { route, _ in
            route.kind != .local && route.link.map { !namespace.links[$0.index].isUp } == true
        }
        shown.removeAll { $0.route.prefix.family != family || device != nil && $0.route.link != device }
        let members = shown.map { route, isLocalTable in
            routeMembers(route, table: table == .all && isLocalTable ? "local" : nil, showsDevice: device == nil)
        }
        return (members.map(routeText).joined(), .array(members.map { .object($0) }))
    }

    private func inOrder(_ routes: [Route]) -> [Route] {
        routes.sorted { left, right in
            // Of IPv6 the default route comes last.
            let isLast = (left.prefix.family == .ipv6 && left.prefix.length == 0, right.prefix.length == 0)
            if left.prefix.family == .ipv6, isLast.0 != isLast.1 { return isLast.1 }
            if left.prefix.address != right.prefix.address { return left.prefix.address < right.prefix.address }
            if left.prefix.length != right.prefix.length { return left.prefix.length > right.prefix.length }
            return left.metric < right.metric
        }
    }

    private func routeMembers(_ route: Route, table: String?, showsDevice: Bool) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        func add(_ name: String, _ text: String?) {
            if let text { members.append(JSONValue.Member(name, .string(text))) }
        }
        if route.kind != .unicast { add("type", route.kind.rawValue) }
        let prefix = route.prefix
        add("dst", prefix.length == 0 ? "default" : prefix.isHost ? "\(prefix.address)" : "\(prefix)")
        add("gateway", route.gateway?.description)
        if showsDevice { add("dev", route.link.map(name(of:))) }
        add("table", table)
        if route.origin != .boot { add("protocol", route.origin.rawValue) }
        switch route.scope {
        // A route that leads nowhere has no scope, nor has any of IPv6.
        case _ where route.link == nil || prefix.family == .ipv6, .universe: break
        case .link: add("scope", "link")
        case .host: add("scope", "host")
        }
        add("prefsrc", route.preferredSource?.description)
        let hasMetric = route.metric != 0 || prefix.family == .ipv6
        if hasMetric { members.append(JSONValue.Member("metric", .number(route.metric))) }
        var flags = route.isOnlink ? ["onlink"] : []
        if let link = route.link, namespace.links[link.index].isUp, !hasCarrier(namespace.links[link.index]) {
            flags.append("linkdown")
        }
        members.append(JSONValue.Member("flags", .array(flags.map(JSONValue.string))))
        add("pref", prefix.family == .ipv6 ? "medium" : nil)
        return members
    }

    /// The same members as words.
    private func routeText(_ members: [JSONValue.Member]) -> String {
        let words = [
            "gateway": "via ", "dev": "dev ", "table": "table ", "protocol": "proto ", "scope": "scope ",
            "pref": "pref ",
        ]
        var text = ""
        for member in members {
            switch member.value {
            case .string(let value):
                text += (member.name == "prefsrc" ? "src " : words[member.name] ?? "") + value + " "
            case .number(let value): text += "\(member.name) \(value) "
            case .array(let flags):
                for case .string(let flag) in flags { text += flag + " " }
            default: break
            }
        }
        return text + "\n"
    }

    /// `ip rule`: the three rules of a namespace nobody gave others.
    public func rules() -> (text: String, json: JSONValue) {
        let rules = [(0, "local"), (32766, "main"), (32767, "default")]
        let objects = rules.map { priority, table in
            JSONValue.object(["priority": .number(priority), "src": .string("all"), "table": .string(table)])
        }
        return (rules.map { "\($0):\tfrom all lookup \($1)\n" }.joined(), .array(objects))
    }

    /// `ip neigh [show [dev NAME]]`.
    public func neighbors(dev name: String? = nil) throws(NamespaceQuestionError) -> (text: String, json: JSONValue) {
        var device: LinkID?
        if let name { device = try link(named: name, tool: .other).id }
        var text = ""
        var objects: [JSONValue] = []
        for entry in namespace.neighbors.entries where device == nil || entry.link == device {
            // A link that goes down forgets its neighbors.
            guard namespace.links[entry.link.index].isUp else { continue }
            let isResolved = entry.state != .incomplete && entry.state != .failed
            text += "\(entry.address) "
            if device == nil { text += "dev \(self.name(of: entry.link)) " }
            if isResolved { text += "lladdr \(entry.lladdr) " }
            text += "\(entry.state.rawValue) \n"
            objects.append(
                .object([
                    "dst": .string(entry.address.description),
                    "dev": device == nil ? .string(self.name(of: entry.link)) : nil,
                    "lladdr": isResolved ? .string(entry.lladdr.description) : nil,
                    "state": .array([.string(entry.state.rawValue)]),
                ]))
        }
        return (text, .array(objects))
    }
}
