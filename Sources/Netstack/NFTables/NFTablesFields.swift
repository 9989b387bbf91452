// What the fields of nftables rules read from a packet of either family, from its connection and from the routing
// tables. Mirrors nft_payload.c, nft_meta.c, nft_ct.c and nft_fib_ipv4.c, nft_fib_ipv6.c. Simplified: every program
// here is root's.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// Nil when the packet has no such field.
    func number(
        of field: NFTablesField, _ view: NFTablesPacketView, _ packet: Packet, _ context: borrowing PathContext
    ) -> UInt128? {
        let fields = view.fields
        switch field {
        case .ipSource: return fields.family == .ipv4 ? fields.source.number : nil
        case .ipDestination: return fields.family == .ipv4 ? fields.destination.number : nil
        case .ip6Source: return fields.family == .ipv6 ? fields.source.number : nil
        case .ip6Destination: return fields.family == .ipv6 ? fields.destination.number : nil
        case .ipProtocol: return network(.ipv4, IPv4Header.Offset.protocol, view, packet, context)
        case .ipTimeToLive: return network(.ipv4, IPv4Header.Offset.timeToLive, view, packet, context)
        case .ipDSCP: return network(.ipv4, IPv4Header.Offset.trafficClass, view, packet, context).map { $0 >> 2 }
        case .ip6NextHeader: return network(.ipv6, IPv6Header.Offset.nextHeader, view, packet, context)
        case .ip6HopLimit: return network(.ipv6, IPv6Header.Offset.nextHeader + 1, view, packet, context)
        case .ip6DSCP:
            guard fields.family == .ipv6 else { return nil }
            return UInt128(context.arena.load16(packet, networkOffset) >> 6 & 0x3f)
        case .ipLength:
            guard fields.family == .ipv4 else { return nil }
            return UInt128(context.arena.load16(packet, networkOffset + 2))
        case .tcpSourcePort: return transport16(0, .tcp, view, packet, context)
        case .tcpDestinationPort: return transport16(2, .tcp, view, packet, context)
        case .udpSourcePort: return transport16(0, .udp, view, packet, context)
        case .udpDestinationPort: return transport16(2, .udp, view, packet, context)
        case .sctpSourcePort: return transport16(0, .sctp, view, packet, context)
        case .sctpDestinationPort: return transport16(2, .sctp, view, packet, context)
        case .transportSourcePort: return transport16(0, fields.protocol, view, packet, context)
        case .transportDestinationPort: return transport16(2, fields.protocol, view, packet, context)
        case .tcpFlags: return transport16(12, .tcp, view, packet, context).map { $0 & 0xff }
        case .icmpType: return transport16(0, .icmp, view, packet, context).map { $0 >> 8 }
        case .icmpCode: return transport16(0, .icmp, view, packet, context).map { $0 & 0xff }
        case .icmpv6Type: return transport16(0, .icmpv6, view, packet, context).map { $0 >> 8 }
        case .icmpv6Code: return transport16(0, .icmpv6, view, packet, context).map { $0 & 0xff }
        case .transportProtocol: return UInt128(fields.protocol.rawValue)
        case .etherType:
            return UInt128((fields.family == .ipv4 ? EtherType.ipv4 : EtherType.ipv6).rawValue)
        case .networkFamily: return fields.family == .ipv4 ? 2 : 10
        case .mark: return UInt128(packet.mark)
        case .userID, .groupID: return packet.isLocal ? 0 : nil
        case .packetType: return packet.type.number
        case .length: return UInt128(max(packet.length - networkOffset, 0))
        case .random: return nil
        case .ingressName, .ingressIndex: return linkName(view.ingress)
        case .egressName, .egressIndex: return linkName(view.egress)
        case .connectionState: return packet.connectionState.number
        default: return connectionNumber(of: field, packet)
        }
    }

    private func connectionNumber(of field: NFTablesField, _ packet: Packet) -> UInt128? {
        guard packet.connection != .none else { return nil }
        let connection = connections[packet.connection]
        let (original, reply) = (connection.original, connection.reply)
        func address(_ address: IPAddress, _ family: AddressFamily) -> UInt128? {
            address.family == family ? address.number : nil
        }
        switch field {
        case .connectionStatus: return connection.status.number
        case .connectionMark: return UInt128(connection.mark)
        case .connectionDirection: return packet.connectionState.isReply ? 1 : 0
        case .connectionProtocol: return UInt128(original.protocol.rawValue)
        case .originalSource: return address(original.source, .ipv4)
        case .originalDestination: return address(original.destination, .ipv4)
        case .replySource: return address(reply.source, .ipv4)
        case .replyDestination: return address(reply.destination, .ipv4)
        case .originalSource6: return address(original.source, .ipv6)
        case .originalDestination6: return address(original.destination, .ipv6)
        case .replySource6: return address(reply.source, .ipv6)
        case .replyDestination6: return address(reply.destination, .ipv6)
        case .originalSourcePort: return UInt128(original.sourcePort)
        case .originalDestinationPort: return UInt128(original.destinationPort)
        case .replySourcePort: return UInt128(reply.sourcePort)
        case .replyDestinationPort: return UInt128(reply.destinationPort)
        default: return nil
        }
    }

    private func network(
        _ family: AddressFamily, _ offset: Int, _ view: NFTablesPacketView, _ packet: Packet,
        _ context: borrowing PathContext
    ) -> UInt128? {
        guard view.fields.family == family else { return nil }
        return UInt128(context.arena.load8(packet, networkOffset + offset))
    }

    /// Sixteen bits of the transport header.
    private func transport16(
        _ offset: Int, _ protocol: IPProtocol, _ view: NFTablesPacketView, _ packet: Packet,
        _ context: borrowing PathContext
    ) -> UInt128? {
        let fields = view.fields
        guard fields.protocol == `protocol`, !fields.isLaterFragment, packet.length >= fields.transport + offset + 2
        else { return nil }
        return UInt128(context.arena.load16(packet, fields.transport + offset))
    }

    /// Interfaces are compared by name, also where nft compares their numbers; 0 stands for none.
    private func linkName(_ link: LinkID?) -> UInt128 { link.map { links[$0.index].packedName.number } ?? 0 }

    // MARK: - fib

    func number(of fib: NFTablesFIB, _ view: NFTablesPacketView) -> UInt128? {
        let isSource = fib.keys.contains(.source)
        let address = isSource ? view.fields.source : view.fields.destination
        let link = fib.keys.contains(.ingress) ? view.ingress : fib.keys.contains(.egress) ? view.egress : nil
        if fib.result == .type {
            let type = addressType(address)
            if type == .local, let link,
                !links[link.index].addresses.contains(where: { $0.interface.address == address })
            {
                return AddressType.unicast.number
            }
            return type.number
        }
        guard case .route(let route) = routeOutput(address), route.kind == .unicast else { return 0 }
        if let link, route.egress != link { return 0 }
        return linkName(route.egress)
    }
}

extension AddressType {
    /// The kernel's number of the route type, in whose order they stand.
    fileprivate var number: UInt128 { UInt128(AddressType.allCases.firstIndex(of: self) ?? 0) }
}

extension PacketType {
    fileprivate var number: UInt128 {
        switch self {
        case .host: 0
        case .broadcast: 1
        case .multicast: 2
        case .otherHost: 3
        }
    }
}

extension PacketConnectionState {
    /// The bit of `ct state`.
    fileprivate var number: UInt128 {
        switch self {
        case .none, .invalid: 1
        case .established, .establishedReply: 2
        case .related, .relatedReply: 4
        case .new: 8
        case .untracked: 64
        }
    }
}

extension TrackedConnection.Status {
    /// The bits of `ct status` (enum ip_conntrack_status).
    fileprivate var number: UInt128 {
        var bits: UInt128 = 0
        for (flag, bit) in [
            (Self.seenReply, 2), (.assured, 4), (.confirmed, 8), (.sourceNAT, 16), (.destinationNAT, 32),
        ] as [(Self, UInt128)] where contains(flag) { bits |= bit }
        return bits
    }
}
