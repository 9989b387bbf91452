// Routes as `ip route` shows them, and the longest-prefix match over them: one hash table per prefix length in use,
// longest first. Mirrors the lookup result of net/ipv4/fib_trie.c, not its structure.

public import Addressing

/// How far a route's destination or an address is meant to reach (rtnetlink scopes).
public enum RouteScope: Int, Sendable, Hashable, Comparable {
    case universe = 0
    case link = 253
    case host = 254

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A route.
public struct Route: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable {
        case unicast, local, broadcast, blackhole, unreachable, prohibit
    }

    /// Who put it there, as `proto` says.
    public enum Origin: String, Sendable, Hashable {
        case kernel, boot, `static`
    }

    public var prefix: IPPrefix
    public var kind: Kind
    public var gateway: IPAddress?
    /// Absent for blackhole, unreachable and prohibit.
    public var link: LinkID?
    public var scope: RouteScope
    /// The source address the kernel prefers when a packet made here takes the route.
    public var preferredSource: IPAddress?
    /// The gateway is taken as reachable on the link without a route to it.
    public var isOnlink: Bool
    public var origin: Origin
    public var metric: Int

    public init(
        _ prefix: IPPrefix, kind: Kind = .unicast, gateway: IPAddress? = nil, link: LinkID?,
        scope: RouteScope? = nil, preferredSource: IPAddress? = nil, isOnlink: Bool = false, origin: Origin = .boot,
        metric: Int = 0
    ) {
        self.prefix = prefix
        self.kind = kind
        self.gateway = gateway
        self.link = link
        self.scope = scope ?? (kind == .local ? .host : gateway == nil && kind != .unreachable ? .link : .universe)
        self.preferredSource = preferredSource
        self.isOnlink = isOnlink
        self.origin = origin
        self.metric = metric
    }
}

extension Route {
    /// The route as `ip route` prints it; `name` gives a link's name.
    public func text(_ name: (LinkID) -> String) -> String {
        var words: [String] = []
        if kind != .unicast { words.append(kind.rawValue) }
        let isDefault = prefix.length == 0
        words.append(isDefault ? "default" : prefix.isHost ? "\(prefix.address)" : "\(prefix)")
        if let gateway { words.append("via \(gateway)") }
        if let link { words.append("dev \(name(link))") }
        if origin == .kernel { words.append("proto kernel") }
        if origin == .static { words.append("proto static") }
        if scope == .link { words.append("scope link") }
        if scope == .host { words.append("scope host") }
        if let preferredSource { words.append("src \(preferredSource)") }
        if metric != 0 { words.append("metric \(metric)") }
        if isOnlink { words.append("onlink") }
        return words.joined(separator: " ")
    }
}

/// One routing table of one namespace, both families.
public struct RoutingTable: Sendable, Hashable {
    /// In order of insertion.
    public private(set) var routes: [Route] = []
    /// Prefix length (plus 256 for IPv6) to the routes of that length by first address.
    private var buckets: [Int: [IPAddress: [Int32]]] = [:]
    /// The lengths in use, longest first.
    private var lengths: (ipv4: [Int], ipv6: [Int]) = ([], [])

    public init() {}

    public static func == (left: Self, right: Self) -> Bool { left.routes == right.routes }
    public func hash(into hasher: inout Hasher) { hasher.combine(routes) }

    /// Adds the route, in place of one with the same destination and metric (`ip route replace`).
    public mutating func replace(_ route: Route) {
        let key = Self.key(route.prefix)
        if let position = buckets[key]?[route.prefix.address]?.first(where: { routes[Int($0)].metric == route.metric })
        {
            routes[Int(position)] = route
            return
        }
        routes.append(route)
        index(Int32(routes.count - 1))
    }

    /// Removes every route the test picks.
    public mutating func removeAll(where test: (Route) -> Bool) {
        routes.removeAll(where: test)
        buckets = [:]
        lengths = ([], [])
        for position in routes.indices { index(Int32(position)) }
    }

    private static func key(_ prefix: IPPrefix) -> Int { prefix.length + (prefix.family == .ipv6 ? 256 : 0) }

    private mutating func index(_ position: Int32) {
        let route = routes[Int(position)]
        let key = Self.key(route.prefix)
        if buckets[key] == nil {
            if route.prefix.family == .ipv4 {
                lengths.ipv4 = (lengths.ipv4 + [route.prefix.length]).sorted(by: >)
            } else {
                lengths.ipv6 = (lengths.ipv6 + [route.prefix.length]).sorted(by: >)
            }
        }
        var same = buckets[key, default: [:]][route.prefix.address, default: []]
        same.append(position)
        same.sort { routes[Int($0)].metric < routes[Int($1)].metric }
        buckets[key, default: [:]][route.prefix.address] = same
    }

    /// The most specific route to an address, lowest metric first; its place in `routes`. Routes over links in
    /// `excluding` do not count (their link is down).
    public func lookup(_ address: IPAddress, usable: (Route) -> Bool = { _ in true }) -> Int? {
        for length in address.family == .ipv4 ? lengths.ipv4 : lengths.ipv6 {
            let masked = IPPrefix(address, length: length).address
            let key = length + (address.family == .ipv6 ? 256 : 0)
            for position in buckets[key]?[masked] ?? [] where usable(routes[Int(position)]) { return Int(position) }
        }
        return nil
    }
}
