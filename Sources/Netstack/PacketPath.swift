// The path of a packet through one namespace, top to bottom as the kernel walks it: net/ipv4/ip_input.c, ip_forward.c,
// ip_output.c and net/core/dev.c. What IPv6 does differently is in IPv6Path.swift, bridging in Links/Bridge.swift,
// tunnels in Links/VXLANTunnel.swift.
//
//      link ──► PREROUTING ──► route ──► FORWARD ──────────► POSTROUTING ──► neighbor ──► link
//               raw            │         mangle              mangle
//               conntrack      ▼         filter, IPVS        nat (source)
//               mangle         INPUT                         confirm
//               nat (dest.)    mangle                            ▲
//                              filter, IPVS                      │
//                              nat (source)                  OUTPUT ◄── route ◄── sockets
//                              confirm                       raw, conntrack, mangle,
//                              │                             nat (dest.), IPVS, filter
//                              ▼
//                              sockets
//
// A packet that enters by a bridge port meets PREROUTING, FORWARD and POSTROUTING on the bridge already, when
// bridge-nf-call-iptables is on (Netfilter/BridgeNetfilter.swift).

internal import Addressing
internal import Wire

/// Octets of the Ethernet header: the network header begins here in every frame.
let networkOffset = EthernetHeader.length

extension NetworkNamespace {
    // MARK: from a link

    /// A frame arrives on a link.
    package mutating func receive(_ packet: Packet, on link: LinkID, _ context: inout PathContext) {
        connections.reclaimUnconfirmed()
        context.cause = packet.id
        guard links[link.index].isUp else {
            drop(packet, .deviceNotReady, &context)
            return
        }
        guard packet.length >= EthernetHeader.length else {
            drop(packet, .unhandledProtocol, &context)
            return
        }
        guard packet.length <= links[link.index].longestFrame else {
            drop(packet, .packetTooBig, &context)
            return
        }
        var packet = packet
        tap(packet, on: link, .ingress, &context)
        if links[link.index].isControlled, isFiltered(packet, on: link, .ingress, &context) { return }
        if let bridge = links[link.index].bridge {
            bridgeInput(packet, port: link, bridge: bridge, &context)
        } else {
            packet.type = packet.isLoopedBack ? .host : frameType(packet, for: link, context)
            packet.isLoopedBack = false
            protocolInput(packet, on: link, &context)
        }
    }

    /// Who the frame is for, seen from a link (eth_type_trans).
    func frameType(_ packet: Packet, for link: LinkID, _ context: borrowing PathContext) -> PacketType {
        if links[link.index].isLoopback { return .host }
        let destination = context.arena.loadMAC(packet, 0)
        if destination == links[link.index].hardwareAddress { return .host }
        if destination.isBroadcast { return .broadcast }
        return destination.isMulticast ? .multicast : .otherHost
    }

    /// The frame's protocol takes it.
    mutating func protocolInput(_ packet: Packet, on link: LinkID, _ context: inout PathContext) {
        switch EtherType(rawValue: context.arena.load16(packet, 12)) {
        case .ipv4: ipInput(packet, on: link, &context)
        case .ipv6: ipv6Input(packet, on: link, &context)
        case .arp: arpInput(packet, on: link, &context)
        default: drop(packet, .unhandledProtocol, &context)
        }
    }

    /// ip_rcv: the header must be sound, then PREROUTING.
    mutating func ipInput(_ packet: Packet, on link: LinkID, _ context: inout PathContext) {
        guard packet.type != .otherHost else {
            drop(packet, .otherHost, &context)
            return
        }
        var packet = packet
        if let reason = trimToIPLength(&packet, context) {
            drop(packet, reason, &context)
            return
        }
        guard preroute(&packet, on: link, &context) else { return }
        ipReceived(packet, on: link, &context)
    }

    /// PREROUTING of either family; false when the packet ends there.
    mutating func preroute(_ packet: inout Packet, on link: LinkID, _ context: inout PathContext) -> Bool {
        packet.ingress = link
        guard packet.bridge.prerouted else {
            return hook(.prerouting, &packet, ingress: link, egress: nil, &context)
        }
        // The bridge has run PREROUTING for this packet (ip_sabotage_in).
        packet.bridge.prerouted = false
        // ip_rcv clears what IP knew of the packet: what fits leaves whole although it came in fragments.
        packet.bridge.largestFragment = 0
        return true
    }

    /// Checks the IPv4 header and cuts padding off; a reason when the header is not sound.
    func trimToIPLength(_ packet: inout Packet, _ context: borrowing PathContext) -> DropReason? {
        guard packet.length >= networkOffset + IPv4Header.length else { return .ipHeader }
        let first = context.arena.load8(packet, networkOffset)
        let headerLength = Int(first & 0xf) * 4
        let totalLength = Int(context.arena.load16(packet, networkOffset + 2))
        guard first >> 4 == 4, headerLength >= IPv4Header.length, totalLength >= headerLength,
            packet.length >= networkOffset + totalLength
        else { return .ipHeader }
        let intact = context.arena.withBytes(packet) { IPv4Header.verifyChecksum($0, at: networkOffset) }
        guard intact else { return .ipChecksum }
        context.arena.truncate(&packet, to: networkOffset + totalLength)
        return nil
    }

    /// ip_rcv_finish: where to?
    private mutating func ipReceived(_ packet: Packet, on link: LinkID, _ context: inout PathContext) {
        var packet = packet
        let destination = destinationAddress(packet, context)
        if links[link.index].isLoopback, packet.isLocal {
            // The route chosen when it was sent still holds.
            deliverLocally(packet, &context)
            return
        }
        let source = sourceAddress(packet, context)
        let (verdict, sourceIsOnlink) = routeInput(destination: destination, source: source, ingress: link)
        switch verdict {
        case .unreachable(let answer, let reason):
            if let answer, packet.type == .host, mayAnswerUnroutable(source, context.now) {
                sendICMPError(about: packet, answer, &context)
            }
            drop(packet, reason, &context)
        case .route(let route):
            context.record(
                .routed(route.reference, egress: route.egress, nextHop: route.gateway), packet, in: id)
            switch route.kind {
            case .local, .broadcast, .multicast:
                deliverLocally(packet, &context)
            case .unicast:
                packet.wantsRedirect =
                    route.egress == link && sourceIsOnlink && sendsRedirects(on: link)
                    && !packet.bridge.isForBridge
                forward(packet, by: route, &context)
            }
        }
    }

    // MARK: through

    /// ip_forward: TTL and size are judged before the TTL is counted down, FORWARD after.
    private mutating func forward(_ packet: Packet, by route: RouteResult, _ context: inout PathContext) {
        var packet = packet
        guard packet.type == .host else {
            drop(packet, .otherHost, &context)
            return
        }
        if context.arena.load8(packet, networkOffset + IPv4Header.Offset.timeToLive) <= 1 {
            sendICMPError(about: packet, .timeToLiveExceeded, &context)
            drop(packet, .ipHeader, &context)
            return
        }
        let mtu = links[route.egress.index].mtu
        if packet.length - networkOffset > mtu, mayNotFragment(packet, mtu: mtu, context) {
            sendICMPError(about: packet, .fragmentationNeeded, restOfHeader: UInt32(mtu), &context)
            drop(packet, .packetTooBig, &context)
            return
        }
        context.arena.withMutableBytes(packet) { IPv4Header.decrementTimeToLive(&$0, at: networkOffset) }
        if packet.wantsRedirect { sendRedirect(about: packet, route, &context) }
        guard hook(.forward, &packet, ingress: packet.ingress, egress: route.egress, &context) else { return }
        ipOutput(packet, by: route, &context)
    }

    /// DF forbids it, unless the packet came in fragments that fit (ip_exceeds_mtu). IPv6 has no such bit: only what
    /// was made here, or joined here, may be cut (ip6_fragment).
    func mayNotFragment(_ packet: Packet, mtu: Int, _ context: borrowing PathContext) -> Bool {
        if isIPv6(packet, context) {
            return !packet.ignoresDontFragment || Int(packet.bridge.largestFragment) > mtu
        }
        let flags = context.arena.load16(packet, networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
        return flags & IPv4Header.dontFragmentBit != 0
            && (!packet.ignoresDontFragment || Int(packet.bridge.largestFragment) > mtu)
    }

    // MARK: from here

    /// ip_local_out: a packet made here, its IP header complete, meets OUTPUT and leaves. False when a rule stopped it.
    @discardableResult
    mutating func localOutput(_ packet: Packet, by route: RouteResult, _ context: inout PathContext) -> Bool {
        var packet = packet
        var route = route
        packet.isLocal = true
        let destination = destinationAddress(packet, context)
        let mark = packet.mark
        context.record(.routed(route.reference, egress: route.egress, nextHop: route.gateway), packet, in: id)
        guard hook(.output, &packet, ingress: nil, egress: route.egress, &context) else { return false }
        let translated = destinationAddress(packet, context)
        if translated != destination || packet.mark != mark {
            // NAT or a mark may lead elsewhere (ip_route_me_harder).
            let bound = translated == destination && translated.family == .ipv6 ? route.egress : nil
            guard case .route(let other) = routeOutput(translated, egress: bound),
                mayLeave(packet, by: other, context)
            else {
                drop(packet, .noOutputRoute, &context)
                return false
            }
            if other.egress != route.egress || other.gateway != route.gateway {
                context.record(
                    .routed(other.reference, egress: other.egress, nextHop: other.gateway), packet, in: id)
            }
            route = other
        }
        ipOutput(packet, by: route, &context)
        return true
    }

    /// Packets from 127.0.0.0/8 leave the host only with route_localnet (__mkroute_output).
    func mayLeave(_ packet: Packet, by route: RouteResult, _ context: borrowing PathContext) -> Bool {
        links[route.egress.index].isLoopback || routesLocalnet(on: route.egress)
            || sourceAddress(packet, context).ipv4?.isLoopback != true
    }

    /// ip_output: POSTROUTING, then fragments if it must be, then the neighbor.
    mutating func ipOutput(_ packet: Packet, by route: RouteResult, _ context: inout PathContext) {
        var packet = packet
        guard hook(.postrouting, &packet, ingress: nil, egress: route.egress, &context) else { return }
        let destination = destinationAddress(packet, context)
        let nextHop = route.nextHop(destination)
        let mtu =
            packet.isLocal
            ? pathMTU(to: destination, by: route, at: context.now) : links[route.egress.index].mtu
        // What came in fragments leaves in fragments, none larger than the largest.
        guard packet.length - networkOffset > mtu || packet.bridge.largestFragment > 0 else {
            if packet.provesNextHop { confirmNeighbor(nextHop, on: route.egress, &context) }
            sendToNeighbor(packet, nextHop: nextHop, on: route.egress, &context)
            return
        }
        if mayNotFragment(packet, mtu: mtu, context) {
            if destination.family == .ipv4 {
                sendICMPError(about: packet, .fragmentationNeeded, restOfHeader: UInt32(mtu), &context)
            } else {
                sendICMPv6Error(about: packet, .packetTooBig, restOfHeader: UInt32(mtu), &context)
            }
            drop(packet, .packetTooBig, &context)
            return
        }
        let size = Int(packet.fragmentSize)
        for fragment in fragments(of: packet, mtu: size == 0 ? mtu : min(mtu, size), &context) {
            sendToNeighbor(fragment, nextHop: nextHop, on: route.egress, &context)
        }
    }

    // MARK: to a link

    /// dev_queue_xmit: traffic control, if there is any, then the device.
    mutating func transmit(_ packet: Packet, on link: LinkID, _ context: inout PathContext) {
        guard links[link.index].isRunning else {
            drop(packet, .deviceNotReady, &context)
            return
        }
        if links[link.index].isControlled {
            controlledTransmit(packet, on: link, &context)
        } else {
            hardTransmit(packet, on: link, &context)
        }
    }

    /// dev_hard_start_xmit: the tap sees the frame, then the device takes it.
    mutating func hardTransmit(_ packet: Packet, on link: LinkID, _ context: inout PathContext) {
        var packet = packet
        if !links[link.index].isLoopback { packet.lacksChecksum = false }
        tap(packet, on: link, .egress, &context)
        switch links[link.index].kind {
        case .loopback:
            // The packet keeps what it carries: the kernel does not forget the connection on loopback.
            context.transmissions.append(
                Transmission(packet: packet, source: id, link: link, peer: LinkPeer(namespace: id, link: link)))
        case .veth(let peer):
            packet.scrub()
            context.transmissions.append(Transmission(packet: packet, source: id, link: link, peer: peer))
        case .ethernet:
            packet.scrub()
            context.transmissions.append(Transmission(packet: packet, source: id, link: link, peer: nil))
        case .dummy: context.consume(packet, in: id)
        case .bridge: bridgeTransmit(packet, bridge: link, &context)
        case .vxlan(let number): vxlanTransmit(packet, tunnel: number, &context)
        case .tunnel(let number): relayTransmit(packet, tunnel: number, &context)
        }
    }

    /// What `tcpdump -p -i LINK` sees here. Of loopback libpcap shows only the arriving half.
    mutating func tap(
        _ packet: Packet, on link: LinkID, _ direction: PathEvent.Direction, _ context: inout PathContext
    ) {
        if direction == .egress && links[link.index].isLoopback { return }
        context.recording.crossings += 1
        guard context.recording.keepsFrames || context.recording.keepsEvents else { return }
        let now = context.now
        let record = context.recording.frame(packet, in: context.arena, on: link, of: id, direction, at: now)
        if context.recording.keepsEvents {
            let summary = HeaderSummary(packet, in: context.arena)
            context.record(.frame(link, direction, summary, record: record), packet, in: id)
        }
    }

    // MARK: fields

    func isIPv6(_ packet: Packet, _ context: borrowing PathContext) -> Bool {
        context.arena.load8(packet, networkOffset) >> 4 == 6
    }

    func sourceAddress(_ packet: Packet, _ context: borrowing PathContext) -> IPAddress { context.arena.source(packet) }

    func destinationAddress(_ packet: Packet, _ context: borrowing PathContext) -> IPAddress {
        context.arena.destination(packet)
    }
}
