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
        switch packet.connectionState {
        case .related where isICMPError(packet, at: networkOffset, context),
            .relatedReply where isICMPError(packet, at: networkOffset, context):
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
                let current = connections[packet.connection].reply
                let own = manipulation == .source ? current.destination : current.source
                let kept = TranslationTarget(addresses: own...own)
                guard setUp(packet, manipulation, kept, &context) else {
                    drop(packet, .netfilterDrop, &context)
                    return false
                }
            }
        default: break
        }
        manipulate(packet, manipulation, &context)
        return true
    }

    private func isRedirect(_ packet: Packet, _ context: borrowing PathContext) -> Bool {
        let transport = networkOffset + Int(context.arena.load8(packet, networkOffset) & 0xf) * 4
        return context.arena.load8(packet, transport) == ICMPv4Kind.redirectHost.type
    }

    /// Redirects make sense only for connections NAT is known to leave alone.
    private func mayRedirect(_ packet: Packet) -> Bool {
        let status = connections[packet.connection].status
        return status.contains([.sourceDone, .destinationDone]) && status.isDisjoint(with: .natBoth)
    }

    /// A NAT target matched: binds the connection. False when no port or address is left.
    mutating func applyNAT(
        _ target: Target, _ packet: Packet, at hook: Hook, ingress: LinkID?, egress: LinkID?,
        _ context: inout PathContext
    ) -> Bool {
        guard packet.connection != .none else { return true }
        switch target {
        case .destinationNAT(let range):
            connections[packet.connection].destinationRule = context.natRule
            return setUp(packet, .destination, range, &context)
        case .redirect(var range):
            // The first address of the way in, or loopback for what is sent from here (nf_nat_redirect_ipv4).
            let address = hook == .output ? .v4(127, 0, 0, 1) : ingress.flatMap { firstAddress(of: $0) }
            guard let address else { return false }
            range.addresses = address...address
            connections[packet.connection].destinationRule = context.natRule
            return setUp(packet, .destination, range, &context)
        case .sourceNAT(let range):
            connections[packet.connection].sourceRule = context.natRule
            return setUp(packet, .source, range, &context)
        case .masquerade(var range):
            guard let egress, let address = masqueradeAddress(packet, egress: egress, context) else { return false }
            range.addresses = address...address
            connections[packet.connection].sourceRule = context.natRule
            return setUp(packet, .source, range, &context)
        default: return true
        }
    }

    private func firstAddress(of link: LinkID) -> IPAddress? {
        links[link.index].addresses.map(\.interface.address).first { $0.family == .ipv4 }
    }

    /// The address of the way out, chosen towards the next hop (nf_nat_masquerade_ipv4).
    private func masqueradeAddress(
        _ packet: Packet, egress: LinkID, _ context: borrowing PathContext
    ) -> IPAddress? {
        let destination = destinationAddress(packet, context)
        var nextHop = destination
        if case .route(let route) = routeOutput(destination), route.egress == egress {
            nextHop = route.nextHop(destination)
        }
        return selectAddress(on: egress, towards: nextHop)
    }

    /// Decides the translated tuple and remembers it in the reply direction (nf_nat_setup_info).
    private mutating func setUp(
        _ packet: Packet, _ manipulation: Manipulation, _ range: TranslationTarget, _ context: inout PathContext
    ) -> Bool {
        let id = packet.connection
        guard let current = connections[id].reply.inverted else { return true }
        guard let chosen = uniqueTuple(current, packet, manipulation, range, &context) else { return false }
        if chosen != current, let reply = chosen.inverted {
            connections[id].reply = reply
            connections[id].status.insert(manipulation == .source ? .sourceNAT : .destinationNAT)
        }
        connections[id].status.insert(manipulation == .source ? .sourceDone : .destinationDone)
        return true
    }

    /// A tuple within the range that no other connection's reply would be mistaken for (get_unique_tuple).
    private mutating func uniqueTuple(
        _ current: ConnectionTuple, _ packet: Packet, _ manipulation: Manipulation, _ range: TranslationTarget,
        _ context: inout PathContext
    ) -> ConnectionTuple? {
        let id = packet.connection
        let isRandom = !range.options.isDisjoint(with: [.random, .randomFully])
        let old = manipulation == .source ? current.sourcePort : current.destinationPort
        let hasPort = current.protocol.hasPorts || current.protocol == .icmp
        let fits = range.ports?.contains(old) ?? true
        // A source that is in the range already stays.
        if manipulation == .source, !isRandom, fits, range.addresses?.contains(current.source) ?? true,
            !connections.isTaken(current, except: id, now: context.now)
        {
            return current
        }
        var tuple = current
        if let addresses = range.addresses {
            let address = pickAddress(addresses, current, packet, manipulation, range.options, &context)
            if manipulation == .source { tuple.source = address } else { tuple.destination = address }
        }
        guard hasPort else { return tuple }
        if !isRandom, range.basePort == nil, fits,
            range.ports?.count == 1 || !connections.isTaken(tuple, except: id, now: context.now)
        {
            return tuple
        }
        let ports: ClosedRange<Int>
        if let asked = range.ports {
            ports = Int(asked.lowerBound)...Int(asked.upperBound)
        } else if tuple.protocol == .icmp {
            // The identifier; a rewritten destination keeps its own.
            guard manipulation == .source else { return tuple }
            ports = 0...65535
        } else {
            guard manipulation == .source else { return tuple }
            // Well-known ports stay well known.
            ports = old >= 1024 ? 1024...65535 : old < 512 ? 1...511 : 600...1023
        }
        func start(_ context: inout PathContext) -> Int {
            manipulation == .destination
                ? context.pick(below: ports.count, for: packet) : context.random.next(below: ports.count)
        }
        var offset: Int
        if let base = range.basePort {
            offset = Int(old &- base)
        } else {
            offset = isRandom || manipulation == .source ? start(&context) : 0
        }
        // As the kernel: 128 tries onward, then half as many from a new random start, and so on.
        var attempts = min(128, ports.count)
        while true {
            for _ in 0..<attempts {
                let port = UInt16(ports.lowerBound + offset % ports.count)
                if manipulation == .source || tuple.protocol == .icmp {
                    tuple.sourcePort = port
                } else {
                    tuple.destinationPort = port
                }
                // One port leaves no choice.
                if ports.count == 1 || !connections.isTaken(tuple, except: id, now: context.now) { return tuple }
                offset += 1
            }
            if attempts >= ports.count || attempts < 16 { return nil }
            attempts /= 2
            offset = start(&context)
        }
    }

    /// An address of the range, by a hash of the source, and of the destination too unless it shall persist
    /// (find_best_ips_proto). To a question about all that can happen a destination may be any of the range.
    private func pickAddress(
        _ range: ClosedRange<IPAddress>, _ tuple: ConnectionTuple, _ packet: Packet, _ manipulation: Manipulation,
        _ options: TranslationTarget.Options, _ context: inout PathContext
    ) -> IPAddress {
        let largestQuestion: UInt64 = 4096
        let (distance, overflow) = range.upperBound.low.subtractingReportingOverflow(range.lowerBound.low)
        let count = overflow || distance >= UInt64(UInt32.max) ? UInt64(UInt32.max) : distance + 1
        guard count > 1 else { return range.lowerBound }
        var hashed = tuple
        (hashed.sourcePort, hashed.destinationPort) = (0, 0)
        if options.contains(.persistent) { hashed.destination = .any(tuple.destination.family) }
        var place = Int(truncatingIfNeeded: hashed.mixedHash % count)
        if manipulation == .destination, count <= largestQuestion {
            place = context.takeTurn(place, of: Int(count), for: packet)
        }
        return range.lowerBound.advanced(by: place) ?? range.lowerBound
    }

    /// Rewrites the packet as its connection says (nf_nat_packet).
    private mutating func manipulate(
        _ packet: Packet, _ manipulation: Manipulation, _ context: inout PathContext
    ) {
        let connection = connections[packet.connection]
        let isReply = packet.connectionState.isReply
        guard translates(connection, manipulation, isReply: isReply),
            let target = (isReply ? connection.original : connection.reply).inverted
        else { return }
        let rule: RuleReference? =
            isReply ? nil : manipulation == .source ? connection.sourceRule : connection.destinationRule
        rewrite(
            packet, at: networkOffset, to: target, manipulation, isReply: isReply,
            rule: packet.connectionState == .new ? rule : nil, &context)
    }

    /// Whether a packet of that direction is changed at hooks of that kind: what NAT did to one end of the original
    /// direction it undoes at the other end of the reply.
    private func translates(_ connection: TrackedConnection, _ manipulation: Manipulation, isReply: Bool) -> Bool {
        let status: TrackedConnection.Status =
            (manipulation == .source) != isReply ? .sourceNAT : .destinationNAT
        return connection.status.contains(status)
    }

    /// Changes address and port or identifier of the packet whose IP header is at `offset`, with its checksums.
    func rewrite(
        _ packet: Packet, at offset: Int, to target: ConnectionTuple, _ manipulation: Manipulation, isReply: Bool,
        rule: RuleReference?, _ context: inout PathContext
    ) {
        guard let before = ConnectionTuple(packet, at: offset, in: context.arena) else { return }
        let `protocol` = before.protocol
        let transport = offset + Int(context.arena.load8(packet, offset) & 0xf) * 4
        let position = manipulation == .source ? IPv4Header.Offset.source : IPv4Header.Offset.destination
        let (old, new) =
            manipulation == .source ? (before.source, target.source) : (before.destination, target.destination)
        let (oldPort, newPort) =
            manipulation == .source
            ? (before.sourcePort, target.sourcePort) : (before.destinationPort, target.destinationPort)
        guard let newIPv4 = new.ipv4 else { return }
        let isQuote = offset != networkOffset
        let checksumWidth = `protocol` == .sctp ? 4 : 2
        let hasChecksum =
            TransportChecksum.offset(of: `protocol`).map { packet.length >= transport + $0 + checksumWidth } ?? false
        context.arena.withMutableBytes(packet) { bytes in
            if old != new {
                IPv4Header.replaceAddress(&bytes, at: offset, position: position, with: newIPv4)
                if hasChecksum, `protocol` != .icmp {
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
            } else if `protocol` == .icmp, before.sourcePort != target.sourcePort {
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
        guard translates(connection, manipulation, isReply: isReply) else { return }
        let transport = networkOffset + Int(context.arena.load8(packet, networkOffset) & 0xf) * 4
        let inner = transport + 8
        // The quoted packet went the other way, so its other end is changed.
        let quotedTarget = isReply ? connection.original : connection.reply
        guard packet.length >= inner + IPv4Header.length else { return }
        rewrite(
            packet, at: inner, to: quotedTarget, manipulation == .source ? .destination : .source, isReply: isReply,
            rule: nil, &context)
        guard let outer = (isReply ? connection.original : connection.reply).inverted else { return }
        let old = manipulation == .source ? sourceAddress(packet, context) : destinationAddress(packet, context)
        let new = manipulation == .source ? outer.source : outer.destination
        guard let newIPv4 = new.ipv4 else { return }
        let position = manipulation == .source ? IPv4Header.Offset.source : IPv4Header.Offset.destination
        context.arena.withMutableBytes(packet) { bytes in
            IPv4Header.replaceAddress(&bytes, at: networkOffset, position: position, with: newIPv4)
            let segment = transport..<bytes.byteCount
            bytes.storeUInt16(0, at: transport + 2)
            bytes.storeUInt16(Checksum.of(bytes.bytes, in: segment), at: transport + 2)
        }
        if old != new {
            context.record(
                .translated(
                    manipulation == .source ? .originalSource : .originalDestination, from: SocketAddress(old, 0),
                    to: SocketAddress(new, 0), rule: nil), packet, in: id)
        }
    }
}
