// bridge-nf-call-iptables and -ip6tables: frames a bridge forwards meet PREROUTING, FORWARD and POSTROUTING although
// they are never routed. Mirrors net/bridge/br_netfilter_hooks.c and br_netfilter_ipv6.c, whose surprises matter here:
// DNAT happens at the port, a packet translated to another pod of the same bridge is switched without a look at its
// TTL, and while the node does not know that pod for sure the frame takes a detour through the bridge device's
// neighbor.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// PREROUTING on a bridge port (br_nf_pre_routing and its finish).
    mutating func bridgePrerouting(_ packet: Packet, port: LinkID, bridge: LinkID, _ context: inout PathContext) {
        var packet = packet
        let isIPv4 = context.arena.load16(packet, 12) == EtherType.ipv4.rawValue
        let malformed =
            isIPv4 ? trimToIPLength(&packet, context) : trimToIPv6Length(&packet, ingress: bridge, context)
        if let reason = malformed {
            drop(packet, reason, &context)
            return
        }
        packet.bridge.physicalIngress = port
        packet.ingress = bridge
        packet.bridge.isForBridge = packet.type == .host
        // The hooks may answer it, whoever the frame is for (setup_pre_routing).
        if packet.type == .otherHost { packet.type = .host }
        let destination = destinationAddress(packet, context)
        guard hook(.prerouting, &packet, ingress: bridge, egress: nil, &context) else { return }
        packet.bridge.prerouted = true
        let translated = destinationAddress(packet, context)
        if translated != destination {
            let source = sourceAddress(packet, context)
            let verdict =
                isIPv4
                ? routeInput(destination: translated, source: source, ingress: bridge).verdict
                : routeIPv6Input(destination: translated, ingress: bridge)
            switch verdict {
            case .route(let route) where route.egress == bridge && route.kind == .unicast:
                sendBridgedDNAT(packet, nextHop: route.nextHop(translated), port: port, bridge: bridge, &context)
                return
            case .unreachable(_, let reason) where reason != .forwardingDisabled && reason != .noInputRoute:
                drop(packet, reason, &context)
                return
            case .route, .unreachable:
                // To be routed, or refused by ip_error as what has no route and what may not be forwarded: the frame
                // now is for the bridge device itself.
                context.arena.storeMAC(links[bridge.index].hardwareAddress, packet, 0)
                packet.type = .host
            }
        }
        bridgeForward(packet, port: port, bridge: bridge, &context)
    }

    /// A packet translated to a neighbor on the same bridge (br_nf_pre_routing_finish_bridge): the frame gets the
    /// neighbor's MAC and is switched, keeping its source MAC.
    private mutating func sendBridgedDNAT(
        _ packet: Packet, nextHop: IPAddress, port: LinkID, bridge: LinkID, _ context: inout PathContext
    ) {
        if let neighbor = neighbors.lookup(nextHop, on: bridge), neighbor.state.isConnected {
            context.arena.storeMAC(neighbor.lladdr, packet, 0)
            bridgeForward(packet, port: port, bridge: bridge, &context)
            return
        }
        var packet = packet
        packet.bridge.savedSource = context.arena.loadMAC(packet, 6)
        packet.bridge.bridgedDNAT = true
        sendToNeighbor(packet, nextHop: nextHop, on: bridge, &context)
    }

    /// The detour's end (br_nf_pre_routing_finish_bridge_slow): the frame is switched as if it had come in by its port.
    mutating func finishBridgedDNAT(_ packet: Packet, bridge: LinkID, _ context: inout PathContext) {
        var packet = packet
        context.arena.storeMAC(packet.bridge.savedSource, packet, 6)
        packet.bridge.bridgedDNAT = false
        bridgeForward(packet, port: packet.bridge.physicalIngress, bridge: bridge, &context)
    }

    /// Whether rules see frames of that kind on bridges.
    func bridgeCallsRules(for packet: Packet, _ context: borrowing PathContext) -> Bool {
        switch EtherType(rawValue: context.arena.load16(packet, 12)) {
        case .ipv4: sysctls.bridgeCallsIPTables
        case .ipv6: sysctls.bridgeCallsIP6Tables
        default: false
        }
    }

    /// FORWARD and POSTROUTING of a frame the bridge passes from port to port (br_nf_forward, br_nf_post_routing).
    mutating func bridgeForwardHook(
        _ packet: Packet, bridge: LinkID, to port: LinkID, _ context: inout PathContext
    ) {
        var packet = packet
        guard packet.bridge.physicalIngress != .none, bridgeCallsRules(for: packet, context) else {
            sendFromPort(packet, port, &context)
            return
        }
        packet.bridge.physicalEgress = port
        guard hook(.forward, &packet, ingress: bridge, egress: bridge, &context),
            hook(.postrouting, &packet, ingress: nil, egress: bridge, &context)
        else { return }
        let largest = Int(packet.bridge.largestFragment)
        let limit = min(largest, links[port.index].mtu)
        guard largest > 0, packet.length - networkOffset > limit else {
            sendFromPort(packet, port, &context)
            return
        }
        // Reassembled for the hooks, cut again for the wire.
        let header = (context.arena.loadMAC(packet, 0), context.arena.loadMAC(packet, 6))
        for fragment in fragments(of: packet, mtu: limit, &context) {
            writeEthernet(fragment, destination: header.0, source: header.1, &context)
            sendFromPort(fragment, port, &context)
        }
    }
}
