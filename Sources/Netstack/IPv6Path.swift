// The path of a received IPv6 packet: what differs from IPv4 until the way is known, and through. Mirrors
// net/ipv6/ip6_input.c and ip6_forward of ip6_output.c. What is sent from here takes the same path as IPv4
// (PacketPath.swift). Simplified: options of extension headers are stepped over, not executed, and no redirects are
// sent.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// ip6_rcv: the header must be sound, then PREROUTING.
    mutating func ipv6Input(_ packet: Packet, on link: LinkID, _ context: inout PathContext) {
        guard packet.type != .otherHost else {
            drop(packet, .otherHost, &context)
            return
        }
        var packet = packet
        if let reason = trimToIPv6Length(&packet, ingress: link, context) {
            drop(packet, reason, &context)
            return
        }
        guard preroute(&packet, on: link, &context) else { return }
        ipv6Received(packet, on: link, &context)
    }

    /// Checks the IPv6 header and cuts padding off; a reason when the header is not sound (ip6_rcv_core).
    func trimToIPv6Length(
        _ packet: inout Packet, ingress: LinkID, _ context: borrowing PathContext
    ) -> DropReason? {
        guard packet.length >= networkOffset + IPv6Header.length, isIPv6(packet, context) else { return .ipHeader }
        guard let source = sourceAddress(packet, context).ipv6,
            let destination = destinationAddress(packet, context).ipv6
        else { return .ipHeader }
        let length =
            IPv6Header.length + Int(context.arena.load16(packet, networkOffset + IPv6Header.Offset.payloadLength))
        guard packet.length >= networkOffset + length else { return .ipHeader }
        if !links[ingress.index].isLoopback {
            if source.isLoopback || destination.isLoopback { return .ipHeader }
            if destination.isMulticast, destination.scope == 1 { return .ipHeader }
        }
        if source.isMulticast || destination.isMulticast && destination.scope == 0 { return .ipHeader }
        context.arena.truncate(&packet, to: networkOffset + length)
        return NetworkHeader(packet, in: context.arena) == nil ? .ipHeader : nil
    }

    /// ip6_rcv_finish: where to?
    private mutating func ipv6Received(_ packet: Packet, on link: LinkID, _ context: inout PathContext) {
        if links[link.index].isLoopback, packet.isLocal {
            // The route chosen when it was sent still holds.
            deliverLocally(packet, &context)
            return
        }
        switch routeIPv6Input(destination: destinationAddress(packet, context), ingress: link) {
        case .unreachable(let answer, let reason):
            if let answer, packet.type == .host {
                sendICMPv6Error(
                    about: packet, answer == .packetFiltered ? .administrativelyProhibited : .noRoute, &context)
            }
            drop(packet, reason, &context)
        case .route(let route):
            context.record(
                .routed(route.reference, egress: route.egress, nextHop: route.gateway), packet, in: id)
            switch route.kind {
            case .local, .broadcast, .multicast: deliverLocally(packet, &context)
            case .unicast: forwardIPv6(packet, by: route, &context)
            }
        }
    }

    /// ip6_forward: hop limit, source and size are judged before the hop limit is counted down, FORWARD after.
    private mutating func forwardIPv6(_ packet: Packet, by route: RouteResult, _ context: inout PathContext) {
        var packet = packet
        guard sysctls.ipv6Forward else {
            drop(packet, .forwardingDisabled, &context)
            return
        }
        guard packet.type == .host else {
            drop(packet, .otherHost, &context)
            return
        }
        let hopLimit = context.arena.load8(packet, networkOffset + IPv6Header.Offset.hopLimit)
        if hopLimit <= 1 {
            sendICMPv6Error(about: packet, .hopLimitExceeded, &context)
            drop(packet, .ipHeader, &context)
            return
        }
        let source = sourceAddress(packet, context)
        if route.egress != packet.ingress {
            guard !source.isAny, !source.isLoopback else {
                drop(packet, .invalidSource, &context)
                return
            }
            if source.ipv6?.isLinkLocal == true {
                sendICMPv6Error(about: packet, .beyondScope, &context)
                drop(packet, .invalidSource, &context)
                return
            }
        }
        let mtu = max(links[route.egress.index].mtu, IPv6Header.smallestMTU)
        let size = max(packet.length - networkOffset, 0)
        let largest = Int(packet.fragmentSize)
        if largest > 0 ? largest > mtu : size > mtu {
            sendICMPv6Error(about: packet, .packetTooBig, restOfHeader: UInt32(mtu), &context)
            drop(packet, .packetTooBig, &context)
            return
        }
        context.arena.withMutableBytes(packet) {
            $0.storeUInt8(hopLimit - 1, at: networkOffset + IPv6Header.Offset.hopLimit)
        }
        guard hook(.forward, &packet, ingress: packet.ingress, egress: route.egress, &context) else { return }
        ipOutput(packet, by: route, &context)
    }
}

extension IPv6Header {
    /// Every link carries packets of this size (IPV6_MIN_MTU).
    static let smallestMTU = 1280
}
