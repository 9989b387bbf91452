// What IPv6 does differently with addresses and routes: link-local addresses that follow from the MAC address, the
// source address of RFC 6724, own and group addresses on receipt. Mirrors net/ipv6/addrconf.c, addrlabel.c and the
// input side of route.c. Simplified: a link has IPv6 only once it is given an address, link-local routes are not in a
// table, groups are those every host has (all nodes, all routers, solicited node), and there are no subnet anycast
// addresses.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// What the kernel does for a new IPv6 address: the link's own address, the loopback's, and routes.
    mutating func addIPv6Address(_ address: InterfaceAddress, to link: LinkID, scope: RouteScope) {
        guard let own = address.address.ipv6 else { return }
        if !links[link.index].isLoopback, !own.isLinkLocal, ipv6LinkLocal(of: link) == nil {
            let hardwareAddress = links[link.index].hardwareAddress
            let linkLocal = IPAddress(IPv6Address(linkLocal: hardwareAddress))
            addIPv6Address(InterfaceAddress(linkLocal, prefixLength: 64), to: link, scope: .link)
        }
        let loopback = LinkID(0)
        if link != loopback, !links[0].addresses.contains(where: { $0.interface.address.family == .ipv6 }) {
            addIPv6Address(
                InterfaceAddress(IPAddress(IPv6Address.loopback), prefixLength: 128), to: loopback, scope: .host)
        }
        // Wider scopes come first, and of one scope the newest.
        let place =
            links[link.index].addresses.firstIndex {
                $0.interface.address.family == .ipv6 && $0.scope >= scope
            } ?? links[link.index].addresses.endIndex
        links[link.index].addresses.insert(Link.Address(address, scope: scope), at: place)
        localTable.replace(
            Route(IPPrefix(host: address.address), kind: .local, link: link, scope: .host, origin: .kernel))
        guard !own.isLinkLocal, !own.isLoopback else { return }
        mainTable.replace(Route(address.prefix, link: link, origin: .kernel, metric: 256))
    }

    func ipv6LinkLocal(of link: LinkID) -> IPAddress? {
        links[link.index].addresses.first { $0.interface.address.ipv6?.isLinkLocal == true }?.interface.address
    }

    /// The source address for a packet to a destination that leaves by a link (ipv6_dev_get_saddr, RFC 6724 section 5).
    func selectIPv6Source(towards destination: IPAddress, on link: LinkID) -> IPAddress? {
        guard let target = destination.ipv6 else { return nil }
        let staysOnLink = target.scope <= IPv6Address.linkLocalScope
        var best: (score: (Int, Int, Int, Int, Int), address: IPAddress)?
        for candidate in links where candidate.id == link || !staysOnLink {
            for address in candidate.addresses {
                guard let own = address.interface.address.ipv6 else { continue }
                // The same address; a scope that reaches, the smallest of these; the way out; the label; the prefix.
                let reach = own.scope >= target.scope ? -own.scope : own.scope - 128
                let common = min(own.commonPrefix(with: target), address.interface.prefixLength)
                let score = (
                    own == target ? 1 : 0, reach, candidate.id == link ? 1 : 0, own.label == target.label ? 1 : 0,
                    common
                )
                if best.map({ $0.score < score }) ?? true { best = (score, address.interface.address) }
            }
        }
        return best?.address
    }

    /// The way of a received packet (ip6_route_input): sources are not judged here.
    func routeIPv6Input(destination: IPAddress, ingress: LinkID) -> RouteVerdict {
        guard let target = destination.ipv6 else { return .unreachable(answer: nil, .invalidDestination) }
        if target.isMulticast {
            guard joins(target, on: ingress) else { return .unreachable(answer: nil, .otherHost) }
            return .route(
                RouteResult(kind: .multicast, egress: ingress, gateway: nil, preferredSource: nil, reference: .onLink))
        }
        guard let verdict = tableVerdict(destination) else {
            return .unreachable(answer: .networkUnreachable, .noInputRoute)
        }
        return verdict
    }

    /// Whether a link listens to a group.
    private func joins(_ group: IPv6Address, on link: LinkID) -> Bool {
        if group == .allNodes { return true }
        if group == .allRouters { return sysctls.ipv6Forward }
        return links[link.index].addresses.contains { $0.interface.address.ipv6?.solicitedNodeGroup == group }
    }

    /// The way out by a link without a look at tables: for groups and link-local addresses.
    func routeOnLink(_ destination: IPAddress, _ link: LinkID) -> RouteResult {
        RouteResult(
            kind: destination.isMulticast ? .multicast : .unicast, egress: link, gateway: nil, preferredSource: nil,
            reference: .onLink)
    }
}

extension IPv6Address {
    static let allNodes = IPv6Address(high: 0xff02 << 48, low: 1)
    static let allRouters = IPv6Address(high: 0xff02 << 48, low: 2)
    static let linkLocalScope = 2

    /// fe80::/64 with the modified EUI-64 of a MAC address (RFC 4291 appendix A).
    init(linkLocal mac: MACAddress) {
        let (first, last) = (mac.rawValue >> 24, mac.rawValue & 0xff_ffff)
        self.init(high: 0xfe80 << 48, low: (first << 40 | 0xff_fe00_0000 | last) ^ 0x0200 << 48)
    }

    /// How far the address reaches: 2 link, 14 everywhere, of a group what it says.
    var scope: Int {
        if isMulticast { return Int(high >> 48 & 0xf) }
        return isLinkLocal || isLoopback ? Self.linkLocalScope : 14
    }

    /// The default policy table of RFC 6724, as ip6addrlbl has it.
    fileprivate var label: Int {
        if isLoopback { return 0 }
        if high >> 57 == 0xfc >> 1 { return 5 }
        if high >> 32 == 0x2001_0000 { return 6 }
        if high >> 36 == 0x2001_0010 >> 4 { return 7 }
        if high >> 48 == 0x2002 { return 2 }
        if high == 0 { return low >> 32 == 0 ? 3 : low >> 32 == 0xffff ? 4 : 1 }
        return 1
    }

    fileprivate func commonPrefix(with other: IPv6Address) -> Int {
        let difference = high ^ other.high
        return difference != 0 ? difference.leadingZeroBitCount : 64 + (low ^ other.low).leadingZeroBitCount
    }
}
