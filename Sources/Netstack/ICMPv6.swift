// ICMPv6 (RFC 4443): errors about packets, and echo. Mirrors net/ipv6/icmp.c: an error comes from the address the
// packet was sent to if that is an own one, quotes what fits into 1280 octets, and is never about an error or a group.
// Neighbor discovery is in Neighbors/NeighborDiscovery.swift. Simplified: multicast listener reports are neither sent
// nor heeded.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// Tells the sender of a packet what went wrong (icmpv6_send).
    mutating func sendICMPv6Error(
        about packet: Packet, _ kind: ICMPv6Kind, restOfHeader: UInt32 = 0, _ context: inout PathContext
    ) {
        guard packet.type == .host || packet.isLocal, let header = NetworkHeader(packet, in: context.arena) else {
            return
        }
        let source = sourceAddress(packet, context)
        let destination = destinationAddress(packet, context)
        guard !source.isAny, !source.isMulticast, !destination.isMulticast || kind == .packetTooBig else { return }
        if header.protocol == .icmpv6 {
            // Not about errors, nor about what cannot be told from one.
            guard packet.length > header.transport else { return }
            let type = context.arena.load8(packet, header.transport)
            guard !ICMPv6Kind(type: type).isError, type != ICMPv6Kind.redirect.type else { return }
        }
        let bound = source.ipv6?.isLinkLocal == true && packet.ingress != .none ? packet.ingress : nil
        guard case .route(let route) = routeOutput(source, egress: bound),
            let own = isLocal(destination) ? destination : sourceAddress(for: route, to: source),
            mayAnswerIPv6(source, kind, by: route, context.now)
        else { return }
        let room = IPv6Header.smallestMTU - IPv6Header.length - ICMPv6Message.length
        let quoted = context.arena.quote(packet, room: room)
        let (answer, transport) = makePacket(
            LocalHeader(protocol: .icmpv6, source: own, destination: source),
            length: ICMPv6Message.length + quoted.count, &context)
        context.arena.withMutableBytes(answer) { bytes in
            ICMPv6Message(kind: kind, restOfHeader: restOfHeader).write(to: &bytes, at: transport)
            bytes.store(quoted, at: transport + ICMPv6Message.length)
            TransportChecksum.fill(
                .icmpv6, source: own, destination: source, in: &bytes, segment: transport..<bytes.byteCount)
        }
        sendError(answer, about: packet, by: route, &context)
    }

    /// Errors but packet too big go out once a second an address, sooner where the route leads to a whole network
    /// (icmpv6_xrlim_allow with the default ratemask). Loopback is free.
    private mutating func mayAnswerIPv6(
        _ address: IPAddress, _ kind: ICMPv6Kind, by route: RouteResult, _ now: Nanoseconds
    ) -> Bool {
        guard kind != .packetTooBig, !links[route.egress.index].isLoopback else { return true }
        let length =
            route.reference.index < 0 ? 128 : table(of: route.reference)[Int(route.reference.index)].prefix.length
        var peer = answeredPeers[address] ?? AnsweredPeer(now: now)
        defer { answeredPeers[address] = peer }
        return peer.takeToken(burst: 6, cost: 1_000_000_000 >> Nanoseconds((128 - length) / 32), at: now)
    }

    private func table(of reference: RouteReference) -> [Route] {
        reference.isLocalTable ? localTable.routes : mainTable.routes
    }

    /// An ICMPv6 message for this host (icmpv6_rcv).
    mutating func icmpv6Input(_ packet: Packet, transport: Int, _ context: inout PathContext) {
        let source = sourceAddress(packet, context)
        let destination = destinationAddress(packet, context)
        if let reason = fault(of: packet, .icmpv6, from: source, to: destination, transport: transport, context) {
            drop(packet, reason, &context)
            return
        }
        let kind = ICMPv6Kind(
            type: context.arena.load8(packet, transport), code: context.arena.load8(packet, transport + 1))
        switch kind {
        case .echoRequest:
            sendEchoReply(to: packet, transport: transport, from: destination, to: source, &context)
            context.deliver(packet, in: id)
        case .echoReply: echoReplyInput(packet, transport: transport, from: source, &context)
        case .neighborSolicitation, .neighborAdvertisement:
            neighborDiscoveryInput(packet, transport: transport, &context)
        default:
            if kind.isError {
                let error = SocketError(kind)
                let mtu = kind == .packetTooBig ? Int(context.arena.load32(packet, transport + 4)) : nil
                tellSocket(of: packet, quote: transport + 8, error, mtu: mtu, &context)
            }
            context.consume(packet, in: id)
        }
    }
}

extension RejectKind {
    /// The error REJECT of ip6tables sends.
    var icmpv6: ICMPv6Kind {
        switch self {
        case .noRouteIPv6: .noRoute
        case .administrativelyProhibitedIPv6: .administrativelyProhibited
        case .addressUnreachableIPv6: .addressUnreachable
        case .policyFailIPv6: .policyFailed
        case .rejectRouteIPv6: .rejectRoute
        default: .portUnreachable
        }
    }
}

extension SocketError {
    /// What an ICMPv6 error means for a socket (icmpv6_err_convert); nil for what sockets do not hear of.
    init?(_ kind: ICMPv6Kind) {
        switch kind {
        case .noRoute: self = .networkUnreachable
        case .administrativelyProhibited, .policyFailed, .rejectRoute: self = .accessDenied
        case .beyondScope, .addressUnreachable: self = .hostUnreachable
        case .portUnreachable: self = .connectionRefused
        case .packetTooBig: self = .messageTooLong
        case .hopLimitExceeded, .reassemblyTimeExceeded: self = .hostUnreachable
        case .unknownNextHeader: self = .protocolUnreachable
        default: return nil
        }
    }
}
