// Where packets meet IPVS: net/netfilter/ipvs/ip_vs_core.c, ip_vs_xmit.c and ip_vs_nfct.c. Requests for a virtual
// server are taken at INPUT behind the filter and at OUTPUT behind destination NAT, get a real server's address and go
// out by OUTPUT and POSTROUTING; answers get the virtual server's address back at INPUT, OUTPUT and FORWARD. With
// vs/conntrack the connection tracking entry learns the real server, so that source NAT in POSTROUTING applies.
// Simplified: an answer that connection tracking takes for a new connection keeps its tuple.

internal import Addressing
internal import Wire

/// What became of a packet that could belong to a virtual server.
private enum Taken {
    case notOurs
    case ended
    case connection(Int32)
}

extension NetworkNamespace {
    /// IPVS at a hook. Nil: the hook goes on with the packet. Else the hook's verdict, because the packet was sent on
    /// and has been through all of OUTPUT, or is gone.
    mutating func balance(_ packet: inout Packet, at hook: Hook, _ context: inout PathContext) -> Bool? {
        // Virtual servers of IPv6 are printed, not played.
        guard !virtualServers.isEmpty, !packet.isBalanced, !isIPv6(packet, context) else { return nil }
        let `protocol` = IPProtocol(
            rawValue: context.arena.load8(packet, networkOffset + IPv4Header.Offset.protocol))
        if `protocol` == .icmp { return balanceICMPError(&packet, at: hook, &context) }
        guard `protocol`.hasPorts, let tuple = ConnectionTuple(packet, at: networkOffset, in: context.arena) else {
            return nil
        }
        if let place = virtualServers.outgoing(tuple, now: context.now) {
            answer(&packet, tuple, of: place, &context)
            return nil
        }
        // At FORWARD answers only; from outside only what is addressed to this machine.
        guard hook == .output || hook == .input && packet.type == .host else { return nil }
        switch take(packet, tuple, &context) {
        case .notOurs: return nil
        case .ended: return false
        case .connection(let place):
            virtualServers.advance(
                place, flags: tcpFlags(of: packet, `protocol`, context), isReply: false, now: context.now)
            let connection = virtualServers.connections[place]
            guard let route = wayOn(packet, to: connection, at: hook, &context) else { return false }
            var target = tuple
            (target.destination, target.destinationPort) = (connection.real.address, connection.real.port)
            rewrite(
                packet, at: networkOffset, to: target, .destination, isReply: false, rule: reference(to: connection),
                &context)
            return sendOn(&packet, of: connection, by: route, at: hook, &context)
        }
    }

    // MARK: requests

    /// The connection of a packet from a client, made if it begins one (ip_vs_in_hook).
    private mutating func take(
        _ packet: Packet, _ tuple: ConnectionTuple, _ context: inout PathContext
    ) -> Taken {
        let begins = beginsConnection(packet, tuple.protocol, context)
        if let place = virtualServers.incoming(tuple, now: context.now) {
            let connection = virtualServers.connections[place]
            guard isStale(connection, begins: begins) else { return .connection(place) }
            let isAvailable = virtualServers.realServer(of: connection).isAvailable
            if isAvailable || sysctls.virtualServersExpireWithoutServer { virtualServers.remove(place) }
            // A tracked connection cannot be led elsewhere: the client must try again.
            if isConfirmed(packet) || !isAvailable && !sysctls.virtualServersExpireWithoutServer {
                drop(packet, .netfilterDrop, &context, rule: reference(to: connection))
                return .ended
            }
        }
        // Only what begins a connection is scheduled.
        guard begins, let position = virtualServers.position(of: tuple.destinationSocket, tuple.protocol) else {
            return .notOurs
        }
        guard let place = schedule(packet, tuple, position, &context) else {
            // Without a real server the kernel says so itself (ip_vs_leave).
            sendICMPError(about: packet, .portUnreachable, &context)
            let virtual = RuleReference(system: .ipvs, table: 0, chain: Int32(position), rule: -1)
            drop(packet, .netfilterDrop, &context, rule: virtual)
            return .ended
        }
        return .connection(place)
    }

    /// Whether a connection must not go on: its real server is gone, or takes no connections while this begins one,
    /// or it has ended and the client uses its port again.
    private func isStale(_ connection: IPVSConnection, begins: Bool) -> Bool {
        let server = virtualServers.realServer(of: connection)
        if !server.isAvailable { return true }
        guard begins, connection.protocol != .udp else { return false }
        if sysctls.virtualServersExpireWithoutServer, server.weight == 0 { return true }
        return sysctls.virtualServersReuseMode != 0 && connection.template < 0 && connection.state == .timeWait
    }

    /// TCP begins with a SYN, SCTP with an INIT chunk, UDP with any datagram.
    private func beginsConnection(
        _ packet: Packet, _ protocol: IPProtocol, _ context: borrowing PathContext
    ) -> Bool {
        let transport = networkOffset + Int(context.arena.load8(packet, networkOffset) & 0xf) * 4
        switch `protocol` {
        case .tcp:
            guard let flags = tcpFlags(of: packet, `protocol`, context) else { return false }
            return flags.contains(.syn) && !flags.contains(.rst)
        case .sctp: return packet.length > transport + 12 && context.arena.load8(packet, transport + 12) == 1
        default: return true
        }
    }

    private func tcpFlags(
        of packet: Packet, _ protocol: IPProtocol, _ context: borrowing PathContext
    ) -> TCPFlags? {
        let transport = networkOffset + Int(context.arena.load8(packet, networkOffset) & 0xf) * 4
        guard `protocol` == .tcp, packet.length >= transport + TCPHeader.length else { return nil }
        return TCPFlags(rawValue: context.arena.load8(packet, transport + 13))
    }

    private func isConfirmed(_ packet: Packet) -> Bool {
        packet.connection != .none && connections[packet.connection].status.contains(.confirmed)
    }

    /// Chooses a real server and makes the connection (ip_vs_schedule, ip_vs_sched_persist); nil without a server.
    private mutating func schedule(
        _ packet: Packet, _ tuple: ConnectionTuple, _ position: Int, _ context: inout PathContext
    ) -> Int32? {
        let server = virtualServers.servers[position]
        var template: Int32 = -1
        var chosen: Int?
        if server.persistence != nil, let known = self.template(of: tuple, &context) {
            template = known
            chosen = virtualServers.connections[known].realServer
            virtualServers.prolong(known, now: context.now)
        }
        let isRemembered = chosen != nil
        chosen =
            chosen
            ?? virtualServers.schedule(position, for: packet, from: tuple.sourceSocket, &context)
        guard let chosen else { return nil }
        func entry(_ client: SocketAddress) -> IPVSConnection {
            IPVSConnection(
                protocol: tuple.protocol, client: client, virtual: server.socket,
                real: server.realServers[chosen].socket, virtualServer: position, realServer: chosen,
                template: template)
        }
        if let seconds = server.persistence, template < 0 {
            template = virtualServers.create(
                entry(SocketAddress(tuple.source, 0)), lifetime: Int(seconds), now: context.now)
        }
        let place = virtualServers.create(entry(tuple.sourceSocket), lifetime: 2, now: context.now)
        context.record(
            .scheduled(reference(to: virtualServers.connections[place]), isRemembered: isRemembered), packet, in: id)
        return place
    }

    /// The template of a client, unless its real server can take no connection (ip_vs_check_template).
    private mutating func template(of tuple: ConnectionTuple, _ context: inout PathContext) -> Int32? {
        var key = tuple
        key.sourcePort = 0
        guard let place = virtualServers.incoming(key, now: context.now) else { return nil }
        let server = virtualServers.realServer(of: virtualServers.connections[place])
        let isQuiet = sysctls.virtualServersExpireQuietTemplates && server.weight == 0
        return server.isAvailable && !isQuiet ? place : nil
    }

    // MARK: the way on

    /// The route to the real server, with what is checked on it (__ip_vs_get_out_rt). Nil: the packet is gone.
    private mutating func wayOn(
        _ packet: Packet, to connection: IPVSConnection, at hook: Hook, _ context: inout PathContext
    ) -> RouteResult? {
        let rule = reference(to: connection)
        guard case .route(let route) = routeOutput(connection.real.address) else {
            sendICMPError(about: packet, .hostUnreachable, &context)
            drop(packet, .noOutputRoute, &context, rule: rule)
            return nil
        }
        if route.kind == .local {
            guard hook == .output || hook == .input && !connection.real.address.isLoopback else {
                drop(packet, .localnet, &context, rule: rule)
                return nil
            }
            return route
        }
        guard !sourceAddress(packet, context).isLoopback else {
            drop(packet, .localnet, &context, rule: rule)
            return nil
        }
        guard context.arena.load8(packet, networkOffset + IPv4Header.Offset.timeToLive) > 1 else {
            sendICMPError(about: packet, .timeToLiveExceeded, &context)
            drop(packet, .ipHeader, &context)
            return nil
        }
        let mtu = pathMTU(to: connection.real.address, by: route, at: context.now)
        let flags = context.arena.load16(packet, networkOffset + IPv4Header.Offset.flagsAndFragmentOffset)
        if packet.length - networkOffset > mtu, flags & IPv4Header.dontFragmentBit != 0 {
            sendICMPError(about: packet, .fragmentationNeeded, restOfHeader: UInt32(mtu), &context)
            drop(packet, .packetTooBig, &context)
            return nil
        }
        context.arena.withMutableBytes(packet) { IPv4Header.decrementTimeToLive(&$0, at: networkOffset) }
        return route
    }

    /// Lets the translated packet go on (ip_vs_nat_send_or_cont): to a server on this machine with the rest of the
    /// hook, to any other by OUTPUT from its beginning.
    private mutating func sendOn(
        _ packet: inout Packet, of connection: IPVSConnection, by route: RouteResult, at hook: Hook,
        _ context: inout PathContext
    ) -> Bool? {
        packet.isBalanced = true
        updateTracking(&packet, connection)
        guard route.kind != .local else { return nil }
        if hook == .output {
            return self.hook(.output, &packet, ingress: nil, egress: route.egress, &context)
        }
        context.record(.routed(route.reference, egress: route.egress, nextHop: route.gateway), packet, in: id)
        guard self.hook(.output, &packet, ingress: nil, egress: route.egress, &context) else { return false }
        ipOutput(packet, by: route, &context)
        return false
    }

    /// Tells connection tracking where a new connection leads (ip_vs_update_conntrack), or has it forget the packet.
    private mutating func updateTracking(_ packet: inout Packet, _ connection: IPVSConnection) {
        guard sysctls.virtualServersUseTracking else {
            (packet.connection, packet.connectionState) = (.none, .untracked)
            return
        }
        guard packet.connection != .none, !isConfirmed(packet), !packet.connectionState.isReply else { return }
        connections[packet.connection].reply.source = connection.real.address
        if connections[packet.connection].reply.protocol.hasPorts {
            connections[packet.connection].reply.sourcePort = connection.real.port
        }
    }

    // MARK: answers

    /// A real server's packet comes from the virtual server again (handle_response).
    private mutating func answer(
        _ packet: inout Packet, _ tuple: ConnectionTuple, of place: Int32, _ context: inout PathContext
    ) {
        virtualServers.advance(
            place, flags: tcpFlags(of: packet, tuple.protocol, context), isReply: true, now: context.now)
        let connection = virtualServers.connections[place]
        var target = tuple
        (target.source, target.sourcePort) = (connection.virtual.address, connection.virtual.port)
        rewrite(
            packet, at: networkOffset, to: target, .source, isReply: true, rule: reference(to: connection), &context)
        packet.isBalanced = true
        if !sysctls.virtualServersUseTracking {
            (packet.connection, packet.connectionState) = (.none, .untracked)
        }
    }

    // MARK: ICMP errors

    /// An error about a packet of a connection, in either direction (ip_vs_out_icmp, ip_vs_in_icmp).
    private mutating func balanceICMPError(
        _ packet: inout Packet, at hook: Hook, _ context: inout PathContext
    ) -> Bool? {
        let transport = networkOffset + Int(context.arena.load8(packet, networkOffset) & 0xf) * 4
        guard packet.length > transport, [3, 4, 11].contains(context.arena.load8(packet, transport)),
            let quoted = ConnectionTuple(packet, at: transport + 8, in: context.arena), quoted.protocol.hasPorts,
            let reverse = quoted.inverted
        else { return nil }
        if let place = virtualServers.outgoing(reverse, now: context.now) {
            // About a request on its way to the real server: it comes from the virtual server.
            let connection = virtualServers.connections[place]
            translateError(packet, quoted, of: connection, transport: transport, isAnswer: true, &context)
            packet.isBalanced = true
            if !sysctls.virtualServersUseTracking {
                (packet.connection, packet.connectionState) = (.none, .untracked)
            }
            return nil
        }
        // About an answer on its way to the client: it goes to the real server.
        guard let place = virtualServers.incoming(reverse, now: context.now) else { return nil }
        let connection = virtualServers.connections[place]
        guard let route = wayOn(packet, to: connection, at: hook, &context) else { return false }
        translateError(packet, quoted, of: connection, transport: transport, isAnswer: false, &context)
        return sendOn(&packet, of: connection, by: route, at: hook, &context)
    }

    /// Changes an error and the packet it quotes (ip_vs_nat_icmp).
    private mutating func translateError(
        _ packet: Packet, _ quoted: ConnectionTuple, of connection: IPVSConnection, transport: Int, isAnswer: Bool,
        _ context: inout PathContext
    ) {
        let end = isAnswer ? connection.virtual : connection.real
        var target = quoted
        if isAnswer {
            (target.destination, target.destinationPort) = (end.address, end.port)
        } else {
            (target.source, target.sourcePort) = (end.address, end.port)
        }
        rewrite(
            packet, at: transport + 8, to: target, isAnswer ? .destination : .source, isReply: isAnswer, rule: nil,
            &context)
        guard let new = end.address.ipv4 else { return }
        let old = isAnswer ? sourceAddress(packet, context) : destinationAddress(packet, context)
        let position = isAnswer ? IPv4Header.Offset.source : IPv4Header.Offset.destination
        context.arena.withMutableBytes(packet) { bytes in
            IPv4Header.replaceAddress(&bytes, at: networkOffset, position: position, with: new)
            bytes.storeUInt16(0, at: transport + 2)
            let checksum = Checksum.of(bytes.bytes, in: transport..<bytes.byteCount)
            bytes.storeUInt16(checksum, at: transport + 2)
        }
        guard old != end.address else { return }
        context.record(
            .translated(
                isAnswer ? .originalSource : .destination, from: SocketAddress(old, 0),
                to: SocketAddress(end.address, 0), rule: reference(to: connection)), packet, in: id)
    }

    // MARK: names

    /// The real server of a connection, for events.
    private func reference(to connection: IPVSConnection) -> RuleReference {
        RuleReference(
            system: .ipvs, table: 0, chain: Int32(connection.virtualServer), rule: Int32(connection.realServer))
    }

    /// `-m ipvs`: whether a packet that IPVS has translated goes to a real server of such a virtual server (ipvs_mt).
    func belongsToVirtualServer(
        _ match: VirtualServiceMatch, _ fields: RuleFields, _ packet: Packet, at now: Nanoseconds
    ) -> Bool {
        if let isHandled = match.isHandled, packet.isBalanced == isHandled.isNegated { return false }
        guard packet.isBalanced else { return match.isHandled != nil }
        if match.isHandled != nil { return true }
        if let wanted = match.protocol, (fields.protocol == wanted.value) == wanted.isNegated { return false }
        let reply = ConnectionTuple(
            source: fields.destination, destination: fields.source, protocol: fields.protocol,
            sourcePort: fields.destinationPort, destinationPort: fields.sourcePort)
        guard fields.hasPorts, let connection = virtualServers.connection(outgoing: reply, at: now) else {
            return false
        }
        if let wanted = match.address, wanted.value.contains(connection.virtual.address) == wanted.isNegated {
            return false
        }
        if let wanted = match.port, (connection.virtual.port == wanted.value) == wanted.isNegated { return false }
        if let isReply = match.isReply, isReply != packet.connectionState.isReply { return false }
        // Everything here is masqueraded, and no connection has one that controls it.
        if let method = match.method, (method.value == .masquerade) == method.isNegated { return false }
        if let control = match.controlPort, !control.isNegated { return false }
        return true
    }
}
