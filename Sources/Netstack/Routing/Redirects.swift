// Redirects this host is told (RFC 1122, 3.2.2.2): a router says that a neighbor of its is the better next hop towards
// one address. Mirrors __ip_do_redirect of net/ipv4/route.c and who reaches it: only what a socket here has sent is
// redirected, and the new router is asked for its MAC before it is believed. Simplified: kept for good, the kernel
// forgets after 300 seconds.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// An ICMP redirect that quotes a packet from here.
    mutating func heedRedirect(_ packet: Packet, transport: Int, _ context: inout PathContext) {
        guard let quoted = ConnectionTuple(packet, at: transport + 8, in: context.arena), heeds(quoted) else {
            return
        }
        let router = IPAddress(IPv4Address(rawValue: context.arena.load32(packet, transport + 4)))
        guard case .route(let route) = routeOutput(quoted.destination), route.kind == .unicast,
            // Only the router that is used now may name another one.
            route.gateway == sourceAddress(packet, context), route.gateway != router, acceptsRedirects,
            isUnicast(router), route.egress == packet.ingress
        else { return }
        if neighbors.lookup(router, on: route.egress)?.state.isValid == true {
            redirectedRouters[quoted.destination] = router
        } else {
            ask(router, on: route.egress, &context)
        }
    }

    /// Hosts believe redirects, routers only when told to (IN_DEV_RX_REDIRECTS).
    private var acceptsRedirects: Bool { !sysctls.ipForward || sysctls.acceptRedirects }

    private func isUnicast(_ address: IPAddress) -> Bool {
        guard case .route(let route) = routeOutput(address) else { return false }
        return route.kind == .unicast && !address.isMulticast && !address.isAny
    }

    /// A socket has sent it. The router answers before connect(), send() or close() have let go of a TCP socket, so
    /// only what its timer sent again is redirected (sock_owned_by_user).
    private func heeds(_ quoted: ConnectionTuple) -> Bool {
        let local = SocketAddress(quoted.source, quoted.sourcePort)
        let remote = SocketAddress(quoted.destination, quoted.destinationPort)
        switch quoted.protocol {
        case .tcp:
            guard let socket = sockets.tcpSocket(local: local, remote: remote) else { return false }
            return (sockets[tcp: socket]?.retransmissions ?? 0) > 0
        case .udp: return sockets.udpSocket(local: local, remote: remote) != nil
        case .icmp: return sockets.echoSocket(identifier: quoted.sourcePort) != nil
        default: return false
        }
    }
}
