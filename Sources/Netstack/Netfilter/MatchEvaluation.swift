// What the matches mean that have no field of their own in every compiled rule. Mirrors the match functions of
// net/netfilter/xt_*.c and net/ipv4/netfilter/ipt_rpfilter.c.

internal import Addressing
internal import Wire

extension RuleFields {
    /// Whether the packet has a transport header. A cut one, or a fragment that begins within a TCP header, ends the
    /// packet (tcp_mt, udp_mt).
    mutating func hasTransportHeader() -> Bool {
        if isCut { mustDrop = true }
        return !isLaterFragment && !isCut
    }

    func timeToLive(_ packet: Packet, _ arena: borrowing PacketArena) -> UInt8 {
        arena.load8(packet, networkOffset + (source.family == .ipv4 ? IPv4Header.Offset.timeToLive : 7))
    }

    func trafficClass(_ packet: Packet, _ arena: borrowing PacketArena) -> UInt8 {
        source.family == .ipv4
            ? arena.load8(packet, networkOffset + IPv4Header.Offset.trafficClass)
            : UInt8(truncatingIfNeeded: arena.load16(packet, networkOffset) >> 4)
    }
}

extension NetworkNamespace {
    /// Whether the match of that number among the compiled ones holds.
    mutating func matches(
        _ match: Match, number: Int32, _ fields: inout RuleFields, _ packet: Packet, _ crossing: RuleLinks,
        _ context: inout PathContext
    ) -> Bool {
        switch match {
        case .comment, .accounting: return true
        case .unevaluated: return false
        case .transport(let match):
            return fields.protocol == match.protocol && fields.hasTransportHeader()
                && matches(match, fields, packet, context)
        case .icmp(let match): return matches(match, &fields, packet, context)
        case .multiport(let match): return matches(match, &fields)
        case .connection(let match): return matches(match, packet, context)
        case .state(let states):
            return connectionStates(of: packet).isDisjoint(with: states.value) == states.isNegated
        case .mark(let mark): return (packet.mark & mark.value.mask == mark.value.value) != mark.isNegated
        case .connectionMark(let mark):
            guard packet.connection != .none else { return false }
            return (connections[packet.connection].mark & mark.value.mask == mark.value.value) != mark.isNegated
        case .addressType(let match): return matches(match, fields, crossing)
        case .statistic(let match): return matches(match, number: number, packet, &context)
        case .recent(let match): return matches(match, fields, packet, crossing, context)
        case .limit(let match): return ruleMemory.takeToken(match, of: number, at: context.now)
        case .set(let name, let directions):
            let holds = ipSets.first { $0.name == name.value }?.contains(fields, directions) ?? false
            return holds != name.isNegated
        case .bridgePort(let match): return matches(match, packet)
        case .addressRange(let match):
            if let range = match.source, range.value.contains(fields.source) == range.isNegated { return false }
            guard let range = match.destination else { return true }
            return range.value.contains(fields.destination) != range.isNegated
        case .owner(let match): return matches(match, packet)
        case .length(let range):
            return range.value.contains(UInt16(clamping: packet.length - networkOffset)) != range.isNegated
        case .timeToLive(let match):
            let value = fields.timeToLive(packet, context.arena)
            switch match.comparison {
            case .equal: return (value == match.value) != match.isNegated
            case .less: return value < match.value
            case .greater: return value > match.value
            }
        case .codePoint(let value):
            return (fields.trafficClass(packet, context.arena) >> 2 == value.value) != value.isNegated
        case .typeOfService(let bits):
            let value = fields.trafficClass(packet, context.arena)
            return (value & bits.value.mask == bits.value.value) != bits.isNegated
        case .sourceMAC(let address):
            guard let ingress = crossing.ingress, !links[ingress.index].isLoopback else { return false }
            return (context.arena.loadMAC(packet, 6) == address.value) != address.isNegated
        case .packetType(let type):
            let actual: PacketTypeWord? =
                switch packet.type {
                case .host: .unicast
                case .broadcast: .broadcast
                case .multicast: .multicast
                case .otherHost: nil
                }
            return (actual == type.value) != type.isNegated
        case .reversePath(let flags):
            return comesBack(fields, ingress: crossing.ingress, flags) != flags.contains(.invert)
        case .virtualService(let match): return belongsToVirtualServer(match, fields, packet, at: context.now)
        case .laterFragment(let isLater): return fields.isLaterFragment != isLater.isNegated
        case .maskedAddress(let match):
            let address = match.end == .source ? fields.source : fields.destination
            return (address.masked(by: match.mask) == match.address) != match.isNegated
        }
    }

    // MARK: transport headers

    private func matches(
        _ match: TransportMatch, _ fields: RuleFields, _ packet: Packet, _ context: borrowing PathContext
    ) -> Bool {
        if let ports = match.source, ports.value.contains(fields.sourcePort) == ports.isNegated { return false }
        if let ports = match.destination, ports.value.contains(fields.destinationPort) == ports.isNegated {
            return false
        }
        if let flags = match.flags {
            let actual = TCPFlags(rawValue: context.arena.load8(packet, fields.transport + 13))
            if (actual.intersection(flags.value.mask) == flags.value.compared) == flags.isNegated { return false }
        }
        if let option = match.option {
            return hasTCPOption(option.value, fields, packet, context) != option.isNegated
        }
        return true
    }

    /// tcp_find_option
    private func hasTCPOption(
        _ kind: UInt8, _ fields: RuleFields, _ packet: Packet, _ context: borrowing PathContext
    ) -> Bool {
        let end = fields.transport + Int(context.arena.load8(packet, fields.transport + 12) >> 4) * 4
        guard end <= packet.length else { return false }
        var position = fields.transport + TCPHeader.length
        while position < end {
            let found = context.arena.load8(packet, position)
            if found == kind { return true }
            if found < 2 {
                position += 1
            } else {
                guard position + 1 < end else { return false }
                position += max(Int(context.arena.load8(packet, position + 1)), 1)
            }
        }
        return false
    }

    private func matches(
        _ match: ICMPTypeMatch, _ fields: inout RuleFields, _ packet: Packet, _ context: borrowing PathContext
    ) -> Bool {
        guard fields.protocol == (match.family == .ipv4 ? .icmp : .icmpv6), fields.hasTransportHeader() else {
            return false
        }
        let type = context.arena.load8(packet, fields.transport)
        let code = context.arena.load8(packet, fields.transport + 1)
        let fits = match.type == nil || (match.type == type && (match.code == nil || match.code == code))
        return fits != match.isNegated
    }

    private func matches(_ match: MultiportMatch, _ fields: inout RuleFields) -> Bool {
        guard fields.hasPorts else {
            if !fields.isLaterFragment { fields.mustDrop = true }
            return false
        }
        let holds = match.ports.value.contains { range in
            switch match.end {
            case .source: range.contains(fields.sourcePort)
            case .destination: range.contains(fields.destinationPort)
            case .either: range.contains(fields.sourcePort) || range.contains(fields.destinationPort)
            }
        }
        return holds != match.ports.isNegated
    }

    // MARK: connections

    /// conntrack_mt
    private func matches(_ match: ConnectionMatch, _ packet: Packet, _ context: borrowing PathContext) -> Bool {
        if let states = match.states,
            connectionStates(of: packet).isDisjoint(with: states.value) != states.isNegated
        {
            return false
        }
        // Without a connection the state is all there is to ask.
        guard packet.connection != .none else { return match.states != nil }
        if let isReply = match.isReply, isReply != packet.connectionState.isReply { return false }
        let connection = connections[packet.connection]
        func differs<Value>(_ criterion: Negatable<Value>?, _ test: (Value) -> Bool) -> Bool {
            criterion.map { test($0.value) == $0.isNegated } ?? false
        }
        let (original, reply) = (connection.original, connection.reply)
        if differs(match.originalSource, { $0.contains(original.source) })
            || differs(match.originalDestination, { $0.contains(original.destination) })
            || differs(match.replySource, { $0.contains(reply.source) })
            || differs(match.replyDestination, { $0.contains(reply.destination) })
            || differs(match.protocol, { $0 == original.protocol })
            || differs(match.originalSourcePort, { $0.contains(original.sourcePort) })
            || differs(match.originalDestinationPort, { $0.contains(original.destinationPort) })
            || differs(match.replySourcePort, { $0.contains(reply.sourcePort) })
            || differs(match.replyDestinationPort, { $0.contains(reply.destinationPort) })
        {
            return false
        }
        var status: ConnectionStatusSet = []
        if connection.status.contains(.seenReply) { status.insert(.seenReply) }
        if connection.status.contains(.assured) { status.insert(.assured) }
        if connection.status.contains(.confirmed) { status.insert(.confirmed) }
        let left =
            connection.status.contains(.confirmed) ? max(connection.expires - context.now, 0) / 1_000_000_000 : 0
        return !differs(match.status, { !$0.isDisjoint(with: status) })
            && !differs(match.expires, { $0.contains(UInt32(clamping: left)) })
    }

    // MARK: what remembers

    private mutating func matches(
        _ match: StatisticMatch, number: Int32, _ packet: Packet, _ context: inout PathContext
    ) -> Bool {
        switch match.mode {
        case .random(let chance): return context.happens(chance: chance, for: packet) != match.isNegated
        case .nth(let every, let packetNumber):
            let turn = ruleMemory.nextTurn(of: number, count: every)
            let taken = context.takeTurn(Int(turn), of: Int(every), for: packet)
            return (taken == Int(packetNumber)) != match.isNegated
        }
    }

    private mutating func matches(
        _ match: RecentMatch, _ fields: RuleFields, _ packet: Packet, _ crossing: RuleLinks,
        _ context: borrowing PathContext
    ) -> Bool {
        let address = (match.side == .source ? fields.source : fields.destination).masked(by: match.mask)
        var timeToLive = fields.timeToLive(packet, context.arena)
        // As it was before the packet was forwarded.
        if crossing.egress != nil, !packet.isLocal { timeToLive &+= 1 }
        return ruleMemory.recent[match.name, default: RecentList()].matches(
            match, address, timeToLive: timeToLive, at: context.now)
    }

    // MARK: addresses, links, sockets

    private func matches(_ match: AddressTypeMatch, _ fields: RuleFields, _ crossing: RuleLinks) -> Bool {
        let link: LinkID? =
            switch match.limit {
            case .ingress: crossing.ingress
            case .egress: crossing.egress
            case nil: nil
            }
        func fits(_ types: Negatable<AddressTypeSet>, _ address: IPAddress) -> Bool {
            types.value.contains(AddressTypeSet(addressType(address, on: link))) != types.isNegated
        }
        if let types = match.source, !fits(types, fields.source) { return false }
        return match.destination.map { fits($0, fields.destination) } ?? true
    }

    /// physdev_mt
    private func matches(_ match: BridgePortMatch, _ packet: Packet) -> Bool {
        let ingress = packet.bridge.physicalIngress
        guard ingress != .none else {
            // Nothing known of a bridge: only what is negated holds.
            return match.isBridged?.isNegated != false && match.comesInByPort?.isNegated != false
                && match.leavesByPort?.isNegated != false && match.ingress?.isNegated != false
                && match.egress?.isNegated != false
        }
        let egress = packet.bridge.physicalEgress
        if let asked = match.isBridged, (egress != .none) == asked.isNegated { return false }
        if let asked = match.comesInByPort, asked.isNegated { return false }
        if let asked = match.leavesByPort, (egress != .none) == asked.isNegated { return false }
        if let pattern = match.ingress,
            pattern.value.matches(links[ingress.index].name) == pattern.isNegated
        {
            return false
        }
        guard let pattern = match.egress else { return true }
        return egress != .none && pattern.value.matches(links[egress.index].name) != pattern.isNegated
    }

    /// owner_mt. Everything here runs as root, and all that is sent from here has a socket.
    private func matches(_ match: OwnerMatch, _ packet: Packet) -> Bool {
        guard packet.isLocal else {
            // All that is asked must be negated.
            return match.hasSocket?.isNegated != false && match.user?.isNegated != false
                && match.group?.isNegated != false
        }
        if match.hasSocket?.isNegated == true { return false }
        if let users = match.user, users.value.contains(0) == users.isNegated { return false }
        return match.group.map { $0.value.contains(0) != $0.isNegated } ?? true
    }

    /// rpfilter_mt: whether an answer would leave by the link the packet came in by.
    private func comesBack(_ fields: RuleFields, ingress: LinkID?, _ flags: ReversePathFlags) -> Bool {
        guard let ingress, !links[ingress.index].isLoopback else { return true }
        if fields.destination.isMulticast, fields.source.isAny { return true }
        let isUsable = { (route: Route) in route.link != nil }
        if let position = localTable.lookup(fields.source, usable: isUsable) {
            let route = localTable.routes[position]
            guard route.kind == .local, flags.contains(.acceptLocal) else { return false }
            return route.link == ingress || flags.contains(.loose)
        }
        guard case .route(let route) = routeOutput(fields.source), route.kind == .unicast else { return false }
        return route.egress == ingress || flags.contains(.loose)
    }
}
