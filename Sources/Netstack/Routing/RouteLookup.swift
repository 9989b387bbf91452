// Which way a packet goes: local table before main table, the route's own next hop and source, and the checks on
// received IPv4 packets (martians, rp_filter). Mirrors net/ipv4/route.c and fib_frontend.c; what IPv6 does differently
// is in Routing/IPv6Routing.swift.

internal import Addressing
internal import Wire

/// Where a route sends a packet.
struct RouteResult: BitwiseCopyable {
    var kind: Kind
    var egress: LinkID
    /// The router, nil when the destination itself is the neighbor.
    var gateway: IPAddress?
    var preferredSource: IPAddress?
    var reference: RouteReference

    enum Kind: BitwiseCopyable {
        case unicast, local, broadcast, multicast
    }

    /// Who must be asked for a MAC address.
    func nextHop(_ destination: IPAddress) -> IPAddress { gateway ?? destination }
}

/// The verdict of a lookup.
enum RouteVerdict: BitwiseCopyable {
    case route(RouteResult)
    /// No route, or one of type unreachable, blackhole or prohibit; the ICMP error to answer with, if any.
    case unreachable(answer: ICMPv4Kind?, DropReason)
}

extension NetworkNamespace {
    /// Local table, then main table, over links that are up. An own address stays one while its link is down.
    private func lookup(_ destination: IPAddress, egress: LinkID? = nil) -> (Route, RouteReference)? {
        // The closure holds the links alone: a captured self would be copied whole.
        let links = self.links
        let usable = { (route: Route) -> Bool in
            guard let link = route.link else { return true }
            return (links[link.index].isUp || route.kind == .local)
                && (egress == nil || egress == link || route.kind == .local)
        }
        if let position = localTable.lookup(destination, usable: usable) {
            return (localTable.routes[position], RouteReference(isLocalTable: true, index: Int32(position)))
        }
        if let position = mainTable.lookup(destination, usable: usable) {
            return (mainTable.routes[position], RouteReference(isLocalTable: false, index: Int32(position)))
        }
        return nil
    }

    private func verdict(_ route: Route, _ reference: RouteReference) -> RouteVerdict {
        let kind: RouteResult.Kind
        switch route.kind {
        case .unicast: kind = .unicast
        case .local: kind = .local
        case .broadcast: kind = .broadcast
        case .blackhole: return .unreachable(answer: nil, .noInputRoute)
        case .unreachable: return .unreachable(answer: .hostUnreachable, .noInputRoute)
        case .prohibit: return .unreachable(answer: .packetFiltered, .noInputRoute)
        }
        guard let link = route.link else { return .unreachable(answer: nil, .noInputRoute) }
        return .route(
            RouteResult(
                kind: kind, egress: link, gateway: route.gateway, preferredSource: route.preferredSource,
                reference: reference))
    }

    /// What the tables say of a received packet's destination; nil when they know no way.
    func tableVerdict(_ destination: IPAddress) -> RouteVerdict? {
        lookup(destination).map { verdict($0.0, $0.1) }
    }

    /// The way out for a packet made here (ip_route_output_key). `egress` binds it to a link.
    func routeOutput(_ destination: IPAddress, egress: LinkID? = nil) -> RouteVerdict {
        if let address = destination.ipv6, address.scope <= IPv6Address.linkLocalScope, !isLocal(destination) {
            // Such an address means something on one link only.
            guard let egress else { return .unreachable(answer: nil, .noOutputRoute) }
            return .route(routeOnLink(destination, egress))
        }
        if let (route, reference) = lookup(destination, egress: egress) {
            if route.kind == .local {
                // Packets to an own address leave by loopback, whatever link holds it.
                return .route(
                    RouteResult(
                        kind: .local, egress: LinkID(0), gateway: nil,
                        preferredSource: route.preferredSource ?? destination, reference: reference))
            }
            var found = verdict(route, reference)
            if !redirectedRouters.isEmpty, let router = redirectedRouters[destination],
                case .route(var result) = found
            {
                result.gateway = router
                found = .route(result)
            }
            return found
        }
        return .unreachable(answer: .networkUnreachable, .noOutputRoute)
    }

    /// The source address for a packet made here that takes the route.
    func sourceAddress(for route: RouteResult, to destination: IPAddress) -> IPAddress? {
        if let preferred = route.preferredSource { return preferred }
        return destination.family == .ipv4
            ? selectAddress(on: route.egress, towards: route.gateway)
            : selectIPv6Source(towards: destination, on: route.egress)
    }

    /// The way of a received packet (ip_route_input_slow), or why it may not come in.
    func routeInput(
        destination: IPAddress, source: IPAddress, ingress: LinkID
    ) -> (verdict: RouteVerdict, sourceIsOnlink: Bool) {
        func refuse(_ reason: DropReason) -> (RouteVerdict, Bool) { (.unreachable(answer: nil, reason), false) }
        if let address = source.ipv4 {
            if address.isMulticast || address.isBroadcast { return refuse(.invalidSource) }
            if address.isAny && destination.ipv4?.isBroadcast != true { return refuse(.invalidSource) }
            let fromLoopback = links[ingress.index].isLoopback
            if address.isLoopback && !fromLoopback && !routesLocalnet(on: ingress) { return refuse(.localnet) }
            if destination.isLoopback && !fromLoopback && !routesLocalnet(on: ingress) { return refuse(.localnet) }
        }
        if destination.isAny { return refuse(.invalidDestination) }
        if destination.ipv4?.isBroadcast == true {
            let reference = RouteReference(isLocalTable: true, index: -1)
            let result = RouteResult(
                kind: .broadcast, egress: ingress, gateway: nil, preferredSource: nil, reference: reference)
            return (.route(result), false)
        }
        let found = lookup(destination)
        let isForUs = found.map { $0.0.kind == .local || $0.0.kind == .broadcast } ?? false
        let check = validateSource(source, ingress: ingress)
        if isForUs, let (route, reference) = found {
            if case .refused(let reason) = check { return refuse(reason) }
            return (verdict(route, reference), check.isOnlink)
        }
        guard forwards(from: ingress) else {
            // Whoever does not forward says nothing about it (ip_error).
            return (.unreachable(answer: nil, .forwardingDisabled), false)
        }
        guard let (route, reference) = found else {
            return (.unreachable(answer: .networkUnreachable, .noInputRoute), false)
        }
        if case .refused(let reason) = check { return refuse(reason) }
        return (verdict(route, reference), check.isOnlink)
    }

    private enum SourceCheck {
        case accepted(isOnlink: Bool)
        case refused(DropReason)

        var isOnlink: Bool {
            if case .accepted(let isOnlink) = self { return isOnlink }
            return false
        }
    }

    /// Whether a packet with that source may come in by that link (fib_validate_source): never from an own
    /// address, and with rp_filter only where the way back would leave.
    private func validateSource(_ source: IPAddress, ingress: LinkID) -> SourceCheck {
        if links[ingress.index].isLoopback { return .accepted(isOnlink: false) }
        guard let (route, _) = lookup(source) else {
            return reversePathFilter(on: ingress) == 0 ? .accepted(isOnlink: false) : .refused(.reversePathFilter)
        }
        if route.kind == .local {
            return acceptsLocal(on: ingress) ? .accepted(isOnlink: false) : .refused(.localSource)
        }
        guard route.kind == .unicast else {
            return reversePathFilter(on: ingress) == 0 ? .accepted(isOnlink: false) : .refused(.invalidSource)
        }
        let sameLink = route.link == ingress
        if !sameLink && reversePathFilter(on: ingress) == 1 { return .refused(.reversePathFilter) }
        return .accepted(isOnlink: sameLink && route.gateway == nil)
    }
}
