// Neighbor discovery (RFC 4861) as net/ipv6/ndisc.c plays it, with the states of Neighbors/NeighborTable.swift:
// solicitations for neighbors being resolved, advertisements of own addresses, and what is learned from both. They are
// packets of this host and meet its rules. Simplified: no duplicate address detection for own addresses, no routers
// found by advertisement, no proxying.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// Asks for a neighbor: by its solicited-node group while its MAC is unknown, directly while it is in doubt
    /// (ndisc_solicit).
    mutating func solicitIPv6(_ entry: Neighbor, _ context: inout PathContext) {
        guard let target = entry.address.ipv6 else { return }
        // A packet made here and waiting for the answer lends its source address, if it is one of the link's.
        var source: IPAddress?
        if let newest = entry.waiting.last {
            let address = sourceAddress(newest, context)
            if links[entry.link.index].addresses.contains(where: { $0.interface.address == address }) {
                source = address
            }
        }
        guard let source = source ?? ipv6LinkLocal(of: entry.link) else { return }
        let destination = entry.state == .probe ? entry.address : IPAddress(target.solicitedNodeGroup)
        let message = NeighborDiscoveryMessage(soliciting: target, from: links[entry.link.index].hardwareAddress)
        send(message, from: source, to: destination, on: entry.link, &context)
    }

    private mutating func send(
        _ message: NeighborDiscoveryMessage, from source: IPAddress, to destination: IPAddress, on link: LinkID,
        _ context: inout PathContext
    ) {
        // A hop limit of 255 proves that no router has passed it on.
        let (packet, transport) = makePacket(
            LocalHeader(protocol: .icmpv6, source: source, destination: destination, timeToLive: 255),
            length: message.messageLength, &context)
        context.arena.withMutableBytes(packet) { bytes in
            message.write(to: &bytes, at: transport)
            TransportChecksum.fill(
                .icmpv6, source: source, destination: destination, in: &bytes, segment: transport..<bytes.byteCount)
        }
        originate(packet, parent: context.cause, &context)
        localOutput(packet, by: routeOnLink(destination, link), &context)
    }

    /// A solicitation or advertisement has come in (ndisc_rcv).
    mutating func neighborDiscoveryInput(_ packet: Packet, transport: Int, _ context: inout PathContext) {
        let parsed = context.arena.withBytes(packet) {
            try? NeighborDiscoveryMessage(parsing: $0, in: transport..<$0.byteCount)
        }
        let hopLimit = context.arena.load8(packet, networkOffset + IPv6Header.Offset.hopLimit)
        let source = sourceAddress(packet, context)
        let isToGroup = destinationAddress(packet, context).isMulticast
        let link = packet.ingress
        guard let message = parsed, hopLimit == 255, !message.target.isMulticast, link != .none,
            !(message.isSolicited && isToGroup)
        else {
            drop(packet, .ipHeader, &context)
            return
        }
        context.cause = packet.id
        context.consume(packet, in: id)
        if message.isAdvertisement {
            advertised(message, on: link, &context)
        } else {
            solicited(message, by: source, isToGroup: isToGroup, on: link, &context)
        }
    }

    /// ndisc_recv_ns
    private mutating func solicited(
        _ message: NeighborDiscoveryMessage, by source: IPAddress, isToGroup: Bool, on link: LinkID,
        _ context: inout PathContext
    ) {
        let target = IPAddress(message.target)
        guard links[link.index].addresses.contains(where: { $0.interface.address == target }) else { return }
        let isDuplicateDetection = source.isAny
        if !isDuplicateDetection, let sender = message.linkLayerAddress {
            updateNeighbor(neighbors.create(source, link), sender, .stale, overrides: true, &context)
        }
        // Whoever asks directly knows the MAC address.
        let isNews = isToGroup || isDuplicateDetection
        let answer = NeighborDiscoveryMessage(
            advertising: message.target, at: isNews ? links[link.index].hardwareAddress : nil,
            isRouter: sysctls.ipv6Forward, isSolicited: !isDuplicateDetection, isOverride: isNews)
        send(
            answer, from: target, to: isDuplicateDetection ? IPAddress(.allNodes) : source, on: link, &context)
    }

    /// ndisc_recv_na
    private mutating func advertised(
        _ message: NeighborDiscoveryMessage, on link: LinkID, _ context: inout PathContext
    ) {
        guard let position = neighbors.position(IPAddress(message.target), link) else { return }
        let known = neighbors.entries[position]
        guard let lladdr = message.linkLayerAddress ?? (known.state.isValid ? known.lladdr : nil) else { return }
        updateNeighbor(
            position, lladdr, message.isSolicited ? .reachable : .stale,
            overrides: message.isOverride || !known.state.isValid, &context)
    }
}
