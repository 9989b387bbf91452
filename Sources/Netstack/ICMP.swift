// ICMP (RFC 792): errors about packets, and echo. Mirrors net/ipv4/icmp.c: the source is the address of the way back to
// the offender, the quote fills at most 576 octets, tos is 0xc0, and errors about errors are never sent. What IPv6 does
// is in ICMPv6.swift; echo replies and what sockets hear are the same for both.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// Tells the sender of a packet what went wrong (icmp_send).
    mutating func sendICMPError(
        about packet: Packet, _ kind: ICMPv4Kind, restOfHeader: UInt32 = 0, _ context: inout PathContext
    ) {
        guard packet.length >= networkOffset + IPv4Header.length, packet.type == .host || packet.isLocal else { return }
        let source = sourceAddress(packet, context)
        let destination = destinationAddress(packet, context)
        let flags = context.arena.load16(packet, networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
        guard flags & IPv4Header.fragmentOffsetMask == 0, !destination.isMulticast, !isBroadcast(destination),
            !source.isAny, !source.isMulticast
        else { return }
        if isICMPError(packet, context) { return }
        guard case .route(let route) = routeOutput(source), mayAnswer(source, kind, by: route, context.now) else {
            return
        }
        // Only an answer for a packet addressed to this host comes from the address it was sent to.
        let own = isLocal(destination) ? destination : sourceAddress(for: route, to: source)
        guard let own, own.family == .ipv4 else { return }
        let room = min(links[route.egress.index].mtu, 576) - IPv4Header.length - 8
        let trafficClass =
            context.arena.load8(packet, networkOffset + IPv4Header.Offset.trafficClass) & 0x1e | 0xc0
        let quoted = context.arena.quote(packet, room: room)
        let identification = nextIdentification(from: own, to: source, .icmp, &context)
        let (answer, transport) = makePacket(
            LocalHeader(
                protocol: .icmp, source: own, destination: source, trafficClass: trafficClass,
                identification: identification), length: 8 + quoted.count, &context)
        context.arena.withMutableBytes(answer) { bytes in
            ICMPv4Message(kind: kind, restOfHeader: restOfHeader).write(to: &bytes, at: transport)
            bytes.store(quoted, at: transport + 8)
            TransportChecksum.fill(
                .icmp, source: own, destination: source, in: &bytes, segment: transport..<bytes.byteCount)
        }
        sendError(answer, about: packet, by: route, &context)
    }

    /// Sends an error of either family.
    mutating func sendError(
        _ error: Packet, about packet: Packet, by route: RouteResult, _ context: inout PathContext
    ) {
        var error = error
        // The error belongs to the packet's connection even while that is unconfirmed (nf_ct_attach).
        if packet.connection != .none {
            error.connection = packet.connection
            error.connectionState = packet.connectionState.isReply ? .related : .relatedReply
        }
        originate(error, parent: packet.id, &context)
        localOutput(error, by: route, &context)
    }

    /// Tells an on-link sender of the better next hop (ip_rt_send_redirect), at most a few times.
    mutating func sendRedirect(about packet: Packet, _ route: RouteResult, _ context: inout PathContext) {
        let source = sourceAddress(packet, context)
        let gateway = route.nextHop(destinationAddress(packet, context))
        guard let router = gateway.ipv4 else { return }
        var peer = answeredPeers[source] ?? AnsweredPeer(now: context.now)
        if peer.mayHearRedirect(at: context.now) {
            sendICMPError(about: packet, .redirectHost, restOfHeader: router.rawValue, &context)
            peer.last = context.now
            peer.redirects += 1
        }
        answeredPeers[source] = peer
    }

    /// Errors that say a packet cannot be delivered go out once a second an address, six at most in a row
    /// (icmpv4_xrlim_allow with the default icmp_ratemask). Loopback is free.
    private mutating func mayAnswer(
        _ address: IPAddress, _ kind: ICMPv4Kind, by route: RouteResult, _ now: Nanoseconds
    ) -> Bool {
        let isLimited = kind.type == ICMPv4Kind.hostUnreachable.type || kind.type == ICMPv4Kind.timeToLiveExceeded.type
        guard isLimited, kind != .fragmentationNeeded, !links[route.egress.index].isLoopback else { return true }
        var peer = answeredPeers[address] ?? AnsweredPeer(now: now)
        defer { answeredPeers[address] = peer }
        return peer.takeToken(burst: 6, cost: 1_000_000_000, at: now)
    }

    /// What a router has no route for is answered less often still (ip_error).
    mutating func mayAnswerUnroutable(_ address: IPAddress, _ now: Nanoseconds) -> Bool {
        var peer = answeredPeers[address] ?? AnsweredPeer(now: now)
        defer { answeredPeers[address] = peer }
        return peer.takeToken(burst: 5, cost: 1_000_000_000, at: now)
    }

    /// Why a message of either family is not taken, if it is not.
    func fault(
        of packet: Packet, _ protocol: IPProtocol, from source: IPAddress, to destination: IPAddress, transport: Int,
        _ context: borrowing PathContext
    ) -> DropReason? {
        guard packet.length >= transport + 8 else { return .ipHeader }
        let intact = context.arena.withBytes(packet) {
            TransportChecksum.verify(
                `protocol`, source: source, destination: destination, in: $0, segment: transport..<$0.byteCount)
        }
        return intact ? nil : .icmpChecksum
    }

    /// An ICMP message for this host (icmp_rcv).
    mutating func icmpInput(_ packet: Packet, transport: Int, _ context: inout PathContext) {
        let source = sourceAddress(packet, context)
        let destination = destinationAddress(packet, context)
        if let reason = fault(of: packet, .icmp, from: source, to: destination, transport: transport, context) {
            drop(packet, reason, &context)
            return
        }
        let kind = ICMPv4Kind(
            type: context.arena.load8(packet, transport), code: context.arena.load8(packet, transport + 1))
        switch kind {
        case .echoRequest:
            guard !sysctls.ignoresEcho, packet.type == .host else {
                context.consume(packet, in: id)
                return
            }
            sendEchoReply(to: packet, transport: transport, from: destination, to: source, &context)
            context.deliver(packet, in: id)
        case .echoReply: echoReplyInput(packet, transport: transport, from: source, &context)
        case .redirectHost, .redirectNetwork:
            heedRedirect(packet, transport: transport, &context)
            context.consume(packet, in: id)
        default:
            if kind.isError {
                let mtu = kind == .fragmentationNeeded ? Int(context.arena.load16(packet, transport + 6)) : nil
                tellSocket(of: packet, quote: transport + 8, SocketError(kind), mtu: mtu, &context)
            }
            context.consume(packet, in: id)
        }
    }

    /// Answers an echo request of either family (icmp_echo, icmpv6_echo_reply).
    mutating func sendEchoReply(
        to packet: Packet, transport: Int, from own: IPAddress, to peer: IPAddress, _ context: inout PathContext
    ) {
        let isIPv4 = own.family == .ipv4
        let bound = peer.ipv6?.isLinkLocal == true ? packet.ingress : nil
        guard case .route(let route) = routeOutput(peer, egress: bound),
            let source = own.isMulticast ? sourceAddress(for: route, to: peer) : own
        else { return }
        let message = context.arena.bytes(packet, from: transport)
        let `protocol` = isIPv4 ? IPProtocol.icmp : .icmpv6
        let (reply, start) = makePacket(
            LocalHeader(
                protocol: `protocol`, source: source, destination: peer, trafficClass: trafficClass(packet, context),
                identification: isIPv4 ? nextIdentification(from: source, to: peer, .icmp, &context) : 0),
            length: message.count, &context)
        context.arena.withMutableBytes(reply) { bytes in
            bytes.store(message, at: start)
            bytes.storeUInt8(isIPv4 ? ICMPv4Kind.echoReply.type : ICMPv6Kind.echoReply.type, at: start)
            TransportChecksum.fill(
                `protocol`, source: source, destination: peer, in: &bytes, segment: start..<bytes.byteCount)
        }
        originate(reply, parent: packet.id, &context)
        localOutput(reply, by: route, &context)
    }

    private func trafficClass(_ packet: Packet, _ context: borrowing PathContext) -> UInt8 {
        isIPv6(packet, context)
            ? UInt8(truncatingIfNeeded: context.arena.load16(packet, networkOffset) >> 4)
            : context.arena.load8(packet, networkOffset + IPv4Header.Offset.trafficClass)
    }

    /// An echo reply reaches the socket that asked.
    mutating func echoReplyInput(
        _ packet: Packet, transport: Int, from source: IPAddress, _ context: inout PathContext
    ) {
        let identifier = context.arena.load16(packet, transport + 4)
        let sequence = context.arena.load16(packet, transport + 6)
        guard let socket = sockets.echoSocket(identifier: identifier) else {
            context.consume(packet, in: id)
            return
        }
        context.notify(socket, in: id, .echoReply(from: source, sequence: sequence))
        context.deliver(packet, in: id)
    }

    /// An ICMP error of either family reaches the socket whose packet it quotes.
    mutating func tellSocket(
        of packet: Packet, quote: Int, _ error: SocketError?, mtu: Int?, _ context: inout PathContext
    ) {
        guard let quoted = ConnectionTuple(packet, at: quote, in: context.arena), let error else { return }
        let local = SocketAddress(quoted.source, quoted.sourcePort)
        let remote = SocketAddress(quoted.destination, quoted.destinationPort)
        switch quoted.protocol {
        case .tcp:
            if let socket = sockets.tcpSocket(local: local, remote: remote) {
                context.notify(socket, in: id, .errorQueued(error))
                if let mtu { learnPathMTU(mtu, to: quoted.destination, at: context.now) }
                tcpError(socket, error, nextHopMTU: mtu.map(UInt16.init(clamping:)), &context)
            }
        case .udp:
            // Unreachable hosts and networks are soft errors, which datagram sockets do not hear of.
            let isHard = error == .connectionRefused || error == .protocolUnreachable || error == .messageTooLong
            guard let socket = sockets.udpSocket(local: local, remote: remote) else { break }
            context.notify(socket, in: id, .errorQueued(error))
            if isHard {
                if let mtu { learnPathMTU(mtu, to: quoted.destination, at: context.now) }
                context.notify(socket, in: id, .failed(error))
            }
        case .icmp, .icmpv6:
            if let socket = sockets.echoSocket(identifier: quoted.sourcePort) {
                if let mtu { learnPathMTU(mtu, to: quoted.destination, at: context.now) }
                context.notify(socket, in: id, .failed(error))
            }
        default: break
        }
    }

    /// Notes where a packet made here comes from.
    func originate(_ packet: Packet, parent: UInt32, isRetransmission: Bool = false, _ context: inout PathContext) {
        context.record(.originated(parent: parent, isRetransmission: isRetransmission), packet, in: id)
    }
}

extension SocketError {
    /// What an ICMP error means for a socket (icmp_err_convert); nil for what sockets do not hear of.
    init?(_ kind: ICMPv4Kind) {
        switch kind {
        case .networkUnreachable, .networkUnknown, .networkProhibited: self = .networkUnreachable
        case .protocolUnreachable: self = .protocolUnreachable
        case .portUnreachable: self = .connectionRefused
        case .fragmentationNeeded: self = .messageTooLong
        default:
            guard kind.type == ICMPv4Kind.hostUnreachable.type || kind.type == ICMPv4Kind.timeToLiveExceeded.type else {
                return nil
            }
            self = .hostUnreachable
        }
    }
}

/// How often an address was told of errors (struct inet_peer). Redirects and errors share the state: a sender that
/// is sent a redirect has its tokens taken away and hears of no error.
struct AnsweredPeer {
    /// Time saved up; an answer costs a second of IPv4, up to a second of IPv6.
    private var tokens: Nanoseconds = 0
    var last: Nanoseconds
    var redirects = 0

    /// A new entry may be answered at once.
    init(now: Nanoseconds) { last = now - 60_000_000_000 }

    /// inet_peer_xrlim_allow
    mutating func takeToken(burst: Nanoseconds, cost: Nanoseconds, at now: Nanoseconds) -> Bool {
        tokens = min(tokens + now - last, burst * cost)
        last = now
        guard tokens >= cost else { return false }
        tokens -= cost
        return true
    }

    /// ip_rt_send_redirect: nine times at growing distance, anew after 20 seconds of silence.
    mutating func mayHearRedirect(at now: Nanoseconds) -> Bool {
        if now > last + 20_480_000_000 {
            tokens = 0
            redirects = 0
        }
        guard redirects < 9 else {
            last = now
            return false
        }
        return redirects == 0 || now > last + 20_000_000 << Nanoseconds(redirects)
    }
}
