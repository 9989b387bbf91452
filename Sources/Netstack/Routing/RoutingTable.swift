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
        let isIPv6 = prefix.family == .ipv6
        if kind != .unicast { words.append(kind.rawValue) }
        let isDefault = prefix.length == 0
        words.append(isDefault ? "default" : prefix.isHost ? "\(prefix.address)" : "\(prefix)")
        if let gateway { words.append("via \(gateway)") }
        if let link { words.append("dev \(name(link))") }
        if origin == .kernel { words.append("proto kernel") }
        if origin == .static { words.append("proto static") }
        if scope == .link, !isIPv6 { words.append("scope link") }
        if scope == .host, !isIPv6 { words.append("scope host") }
        if let preferredSource { words.append("src \(preferredSource)") }
        if metric != 0 || isIPv6 { words.append("metric \(metric)") }
        if isOnlink { words.append("onlink") }
        if isIPv6 { words.append("pref medium") }
        return words.joined(separator: " ")
    }
}

/// One routing table of one namespace, both families.
public struct RoutingTable: Sendable, Hashable {
    /// In order of insertion.
    public private(set) var routes: [Route] = []
    /// The routes of one prefix length by first address, in order of metric.
    private struct Level {
        let family: AddressFamily
        let length: Int
        var positions: [IPAddress: [Int32]] = [:]
    }
    /// Longest first.
    private var levels: [Level] = []

    /// One route as a masked comparison.
    private struct Candidate {
        let address: IPAddress
        let mask: (high: UInt64, low: UInt64)
        let position: Int32
    }
    /// The routes of a small table, best first: a short walk is cheaper than hashing.
    private var walk: [Candidate] = []
    private static let walkLimit = 24

    public init() {}

    public static func == (left: Self, right: Self) -> Bool { left.routes == right.routes }
    public func hash(into hasher: inout Hasher) { hasher.combine(routes) }

    /// Adds the route, in place of one with the same destination and metric (`ip route replace`).
    public mutating func replace(_ route: Route) {
        let level = levels.firstIndex { $0.length == route.prefix.length && $0.family == route.prefix.family }
        let same = level.flatMap { levels[$0].positions[route.prefix.address] } ?? []
        if let position = same.first(where: { routes[Int($0)].metric == route.metric }) {
            routes[Int(position)] = route
            return
        }
        routes.append(route)
        index(Int32(routes.count - 1))
        arrangeWalk()
    }

    /// Removes every route the test picks.
    public mutating func removeAll(where test: (Route) -> Bool) {
        routes.removeAll(where: test)
        levels = []
        for position in routes.indices { index(Int32(position)) }
        arrangeWalk()
    }

    private mutating func index(_ position: Int32) {
        let prefix = routes[Int(position)].prefix
        let level: Int
        if let known = levels.firstIndex(where: { $0.length == prefix.length && $0.family == prefix.family }) {
            level = known
        } else {
            level = levels.firstIndex { $0.length < prefix.length } ?? levels.endIndex
            levels.insert(Level(family: prefix.family, length: prefix.length), at: level)
        }
        var same = levels[level].positions[prefix.address, default: []]
        same.append(position)
        same.sort { routes[Int($0)].metric < routes[Int($1)].metric }
        levels[level].positions[prefix.address] = same
    }

    private mutating func arrangeWalk() {
        guard routes.count <= Self.walkLimit else {
            walk = []
            return
        }
        let order = routes.indices.sorted {
            let (left, right) = (routes[$0], routes[$1])
            return (-left.prefix.length, left.metric, $0) < (-right.prefix.length, right.metric, $1)
        }
        walk = order.map { position in
            let prefix = routes[position].prefix
            return Candidate(
                address: prefix.address, mask: IPPrefix.mask(length: prefix.length, family: prefix.family),
                position: Int32(position))
        }
    }

    /// The most specific route to an address, lowest metric first; its place in `routes`. Routes that are not `usable`
    /// do not count (their link is down).
    public func lookup(_ address: IPAddress, usable: (Route) -> Bool = { _ in true }) -> Int? {
        if routes.count <= Self.walkLimit {
            for candidate in walk
            where address.low & candidate.mask.low == candidate.address.low
                && address.high & candidate.mask.high == candidate.address.high
                && address.family == candidate.address.family && usable(routes[Int(candidate.position)])
            {
                return Int(candidate.position)
            }
            return nil
        }
        for level in levels where level.family == address.family {
            let masked = IPPrefix(address, length: level.length).address
            guard let positions = level.positions[masked] else { continue }
            for position in positions where usable(routes[Int(position)]) { return Int(position) }
        }
        return nil
    }
}
