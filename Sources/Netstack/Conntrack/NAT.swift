// Network address translation as a property of connections: rules choose once, on a connection's first packet; every
// later packet and every reply is rewritten from the connection's two tuples, ICMP errors with the packet they quote.
// Mirrors net/netfilter/nf_nat_core.c and nf_nat_proto.c.

internal import Addressing
internal import Wire

/// Which address a hook may change (enum nf_nat_manip_type).
enum Manipulation {
    case source, destination

    init(_ hook: Hook) {
        self = hook == .postrouting || hook == .input ? .source : .destination
    }
}

extension NetworkNamespace {
    /// NAT at a hook (nf_nat_inet_fn). False when a rule of the nat table dropped the packet.
    mutating func translate(
        _ packet: inout Packet, at hook: Hook, ingress: LinkID?, egress: LinkID?, _ context: inout PathContext
    ) -> Bool {
        guard packet.connection != .none else { return true }
        let manipulation = Manipulation(hook)
        if hook == .postrouting, packet.connectionState == .new || packet.connectionState == .established,
            let masqueraded = connections.masqueradeEgress(of: packet.connection), masqueraded != egress
        {
            // Masqueraded for another way out: a new connection must be made (nf_nat_oif_changed).
            connections.remove(packet.connection)
            drop(packet, .netfilterDrop, &context)
            return false
        }
        switch packet.connectionState {
        case .related where isICMPError(packet, context), .relatedReply where isICMPError(packet, context):
            if isRedirect(packet, context), !mayRedirect(packet) {
                drop(packet, .netfilterDrop, &context)
                return false
            }
            translateICMPError(packet, manipulation, &context)
            return true
        case .new, .related, .relatedReply:
            let done: TrackedConnection.Status = manipulation == .source ? .sourceDone : .destinationDone
            guard !connections[packet.connection].status.contains(done) else { break }
            context.natRule = nil
            for stop in hookWalk.translators(at: hook) {
                switch evaluate(stop, at: hook, &packet, ingress: ingress, egress: egress, &context) {
                case .accept: break
                case .drop(let rule), .reject(_, let rule):
                    drop(packet, .netfilterDrop, &context, rule: rule)
                    return false
                }
                if connections[packet.connection].status.contains(done) { break }
            }
            if !connections[packet.connection].status.contains(done) {
                // No rule chose: keep the address, but a source port that clashes must still change.
                context.natRule = nil
                let current = connections[packet.connection].reply
                let own = manipulation == .source ? current.destination : current.source
                bind(packet, manipulation, to: TranslationRange(own), &context)
            }
        default: break
        }
        manipulate(packet, manipulation, &context)
        return true
    }

    private func isRedirect(_ packet: Packet, _ context: borrowing PathContext) -> Bool {
        guard let header = NetworkHeader(packet, in: context.arena), header.protocol == .icmp else { return false }
        return context.arena.load8(packet, header.transport) == ICMPv4Kind.redirectHost.type
    }

    /// Redirects make sense only for connections NAT is known to leave alone.
    private func mayRedirect(_ packet: Packet) -> Bool {
        let status = connections[packet.connection].status
        return status.contains([.sourceDone, .destinationDone]) && status.isDisjoint(with: .natBoth)
    }

    // MARK: what targets call

    /// A NAT target of iptables matched. False when the packet is to be dropped.
    mutating func applyNAT(
        _ target: Target, _ packet: Packet, at hook: Hook, ingress: LinkID?, egress: LinkID?,
        _ context: inout PathContext
    ) -> Bool {
        switch target {
        case .destinationNAT(let range):
            bind(packet, .destination, to: range, &context)
            return true
        case .redirect(let range):
            return redirect(packet, within: range, at: hook, ingress: ingress, &context)
        case .sourceNAT(let range):
            bind(packet, .source, to: range, &context)
            return true
        case .masquerade(let range):
            return masquerade(packet, within: range, egress: egress, &context)
        default: return true
        }
    }

    /// DNAT or SNAT: the packet's connection gets its translation for good (nf_nat_setup_info).
    mutating func bind(
        _ packet: Packet, _ manipulation: Manipulation, to range: TranslationRange, _ context: inout PathContext
    ) {
        let id = packet.connection
        let done: TrackedConnection.Status = manipulation == .source ? .sourceDone : .destinationDone
        guard id != .none, connections[id].status.isDisjoint(with: [.confirmed, done]) else { return }
        if manipulation == .source {
            connections[id].sourceRule = context.natRule
        } else {
            connections[id].destinationRule = context.natRule
        }
        guard let current = connections[id].reply.inverted else { return }
        let chosen = uniqueTuple(current, packet, manipulation, range, &context)
        if chosen != current, let reply = chosen.inverted {
            connections[id].reply = reply
            connections[id].status.insert(manipulation == .source ? .sourceNAT : .destinationNAT)
        }
        connections[id].status.insert(done)
        if manipulation == .source { connections.rememberSource(of: id) }
    }

    /// MASQUERADE: source NAT to the address of the way out, with the range's ports. False when the way out has none.
    mutating func masquerade(
        _ packet: Packet, within range: TranslationRange, egress: LinkID?, _ context: inout PathContext
    ) -> Bool {
        guard packet.connection != .none else { return true }
        let source = connections[packet.connection].original.source
        if source.family == .ipv4, source.isAny { return true }
        guard let egress, let address = masqueradeAddress(packet, egress: egress, context) else { return false }
        var range = range
        range.addresses = address...address
        connections[packet.connection].masqueradeEgress = egress
        bind(packet, .source, to: range, &context)
        return true
    }

    /// REDIRECT: destination NAT to this host, with the range's ports (nf_nat_redirect.c): to loopback for what is made
    /// here, to the first address of the link for what comes in. False when that has none.
    mutating func redirect(
        _ packet: Packet, within range: TranslationRange, at hook: Hook, ingress: LinkID?, _ context: inout PathContext
    ) -> Bool {
        guard packet.connection != .none else { return true }
        let family = connections[packet.connection].original.source.family
        let address: IPAddress?
        if hook == .output {
            address = family == .ipv4 ? .v4(127, 0, 0, 1) : IPAddress(IPv6Address.loopback)
        } else {
            let own = ingress.map { links[$0.index].addresses } ?? []
            address = own.first { $0.interface.address.family == family && $0.scope == .universe }?.interface.address
        }
        guard let address else { return false }
        var range = range
        range.addresses = address...address
        bind(packet, .destination, to: range, &context)
        return true
    }

    /// The address of the way out: chosen towards the next hop (nf_nat_masquerade_ipv4), or as for a packet made here
    /// (nf_nat_masquerade_ipv6).
    private func masqueradeAddress(
        _ packet: Packet, egress: LinkID, _ context: borrowing PathContext
    ) -> IPAddress? {
        let destination = destinationAddress(packet, context)
        guard destination.family == .ipv4 else { return selectIPv6Source(towards: destination, on: egress) }
        var nextHop = destination
        if case .route(let route) = routeOutput(destination), route.egress == egress {
            nextHop = route.nextHop(destination)
        }
        return selectAddress(on: egress, towards: nextHop)
    }

    // MARK: rewriting

    /// Rewrites the packet as its connection says (nf_nat_packet).
    private mutating func manipulate(
        _ packet: Packet, _ manipulation: Manipulation, _ context: inout PathContext
    ) {
        let id = packet.connection
        let isReply = packet.connectionState.isReply
        guard translates(connections[id].status, manipulation, isReply: isReply),
            let target = (isReply ? connections[id].original : connections[id].reply).inverted
        else { return }
        let rule: RuleReference? =
            isReply ? nil : manipulation == .source ? connections[id].sourceRule : connections[id].destinationRule
        rewrite(
            packet, at: networkOffset, to: target, manipulation, isReply: isReply,
            rule: packet.connectionState == .new ? rule : nil, &context)
    }

    /// Whether a packet of that direction is changed at hooks of that kind: what NAT did to one end of the original
    /// direction it undoes at the other end of the reply.
    private func translates(
        _ status: TrackedConnection.Status, _ manipulation: Manipulation, isReply: Bool
    ) -> Bool {
        status.contains((manipulation == .source) != isReply ? .sourceNAT : .destinationNAT)
    }

    /// Changes address and port or identifier of the packet whose IP header is at `offset`, with its checksums.
    func rewrite(
        _ packet: Packet, at offset: Int, to target: ConnectionTuple, _ manipulation: Manipulation, isReply: Bool,
        rule: RuleReference?, _ context: inout PathContext
    ) {
        guard let header = NetworkHeader(packet, at: offset, in: context.arena),
            let before = ConnectionTuple(packet, header, at: offset, in: context.arena)
        else { return }
        let `protocol` = header.protocol
        let transport = header.transport
        let (old, new) =
            manipulation == .source ? (before.source, target.source) : (before.destination, target.destination)
        let (oldPort, newPort) =
            manipulation == .source
            ? (before.sourcePort, target.sourcePort) : (before.destinationPort, target.destinationPort)
        guard old.family == new.family else { return }
        let isQuote = offset != networkOffset
        let checksumWidth = `protocol` == .sctp ? 4 : 2
        let hasChecksum =
            TransportChecksum.offset(of: `protocol`).map { packet.length >= transport + $0 + checksumWidth } ?? false
        context.arena.withMutableBytes(packet) { bytes in
            if old != new {
                replaceAddress(in: &bytes, at: offset, manipulation, with: new)
                if hasChecksum {
                    TransportChecksum.replace(`protocol`, address: old, with: new, in: &bytes, at: transport)
                }
            }
            let portOffset = manipulation == .source ? 0 : 2
            if `protocol`.hasPorts, oldPort != newPort {
                if hasChecksum {
                    TransportChecksum.replaceWord(
                        `protocol`, at: portOffset, with: newPort, in: &bytes, at: transport)
                } else {
                    bytes.storeUInt16(newPort, at: transport + portOffset)
                }
                // SCTP's CRC cannot be adjusted; a quoted packet, which is cut, keeps the one it had.
                if `protocol` == .sctp, hasChecksum, !isQuote {
                    TransportChecksum.fill(
                        .sctp, source: old, destination: new, in: &bytes, segment: transport..<bytes.byteCount)
                }
            } else if `protocol`.isICMP, before.sourcePort != target.sourcePort {
                TransportChecksum.replaceWord(
                    `protocol`, at: 4, with: target.sourcePort, in: &bytes, at: transport)
            }
        }
        guard context.recording.keepsEvents, !isQuote else { return }
        let after = ConnectionTuple(packet, at: offset, in: context.arena) ?? before
        let isSource = manipulation == .source
        let (from, to) =
            isSource ? (before.sourceSocket, after.sourceSocket) : (before.destinationSocket, after.destinationSocket)
        guard from != to else { return }
        let kind: PathEvent.Translation =
            isReply ? (isSource ? .originalSource : .originalDestination) : (isSource ? .source : .destination)
        context.record(.translated(kind, from: from, to: to, rule: rule), packet, in: id)
    }

    /// An ICMP error is rewritten together with the packet it quotes (nf_nat_icmp_reply_translation), so that its
    /// receiver recognises its own packet.
    private mutating func translateICMPError(
        _ packet: Packet, _ manipulation: Manipulation, _ context: inout PathContext
    ) {
        let connection = connections[packet.connection]
        let isReply = packet.connectionState.isReply
        guard translates(connection.status, manipulation, isReply: isReply) else { return }
        guard let header = NetworkHeader(packet, in: context.arena) else { return }
        // The quoted packet went the other way, so its other end is changed.
        let quotedTarget = isReply ? connection.original : connection.reply
        rewrite(
            packet, at: header.transport + 8, to: quotedTarget, manipulation == .source ? .destination : .source,
            isReply: isReply, rule: nil, &context)
        guard let outer = (isReply ? connection.original : connection.reply).inverted else { return }
        let old = manipulation == .source ? sourceAddress(packet, context) : destinationAddress(packet, context)
        let new = manipulation == .source ? outer.source : outer.destination
        guard old.family == new.family else { return }
        context.arena.withMutableBytes(packet) { bytes in
            replaceAddress(in: &bytes, at: networkOffset, manipulation, with: new)
        }
        let (source, destination) = (sourceAddress(packet, context), destinationAddress(packet, context))
        context.arena.withMutableBytes(packet) { bytes in
            TransportChecksum.fill(
                header.protocol, source: source, destination: destination, in: &bytes,
                segment: header.transport..<bytes.byteCount)
        }
        if old != new {
            context.record(
                .translated(
                    manipulation == .source ? .originalSource : .originalDestination, from: SocketAddress(old, 0),
                    to: SocketAddress(new, 0), rule: nil), packet, in: id)
        }
    }
}

/// Stores an address in the network header at `offset`; that of IPv4 has a checksum.
private func replaceAddress(
    in bytes: inout MutableRawSpan, at offset: Int, _ manipulation: Manipulation, with new: IPAddress
) {
    let isSource = manipulation == .source
    if let address = new.ipv4 {
        IPv4Header.replaceAddress(
            &bytes, at: offset, position: isSource ? IPv4Header.Offset.source : IPv4Header.Offset.destination,
            with: address)
    } else if let address = new.ipv6 {
        bytes.storeIPv6Address(
            address, at: offset + (isSource ? IPv6Header.Offset.source : IPv6Header.Offset.destination))
    }
}
