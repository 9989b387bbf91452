// What ICMP has said about the MTU of paths (RFC 1191, RFC 8201): the exceptions net/ipv4/route.c keeps beside a route
// (__ip_rt_update_pmtu). They bind what is sent from here, not what is forwarded (ip_forward_use_pmtu 0). A claim below
// the smallest believable MTU is raised to it; the kernel then also stops setting DF, which is left out here.

internal import Addressing
internal import Wire

/// The MTU of the path to one address, as a router on the way told it.
struct PathMTU: Sendable {
    /// ip_rt_min_pmtu
    static let smallest = 552
    /// ip_rt_mtu_expires
    static let lifetime: Nanoseconds = 600_000_000_000

    var mtu: Int
    var expires: Nanoseconds
}

extension NetworkNamespace {
    /// The largest packet that may be sent from here to an address.
    func pathMTU(to destination: IPAddress, by route: RouteResult, at now: Nanoseconds) -> Int {
        let mtu = links[route.egress.index].mtu
        guard let known = pathMTUs[destination], known.expires > now else { return mtu }
        return min(known.mtu, mtu)
    }

    /// A router could not pass on what was sent to an address.
    mutating func learnPathMTU(_ mtu: Int, to destination: IPAddress, at now: Nanoseconds) {
        guard case .route(let route) = routeOutput(destination) else { return }
        let present = pathMTU(to: destination, by: route, at: now)
        guard mtu <= present else { return }
        let smallest = destination.family == .ipv4 ? PathMTU.smallest : IPv6Header.smallestMTU
        pathMTUs[destination] = PathMTU(
            mtu: max(mtu, min(present, smallest)), expires: now + PathMTU.lifetime)
    }
}
