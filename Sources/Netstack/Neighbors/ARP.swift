// ARP (RFC 826) as net/ipv4/arp.c plays it: requests for neighbors being resolved, answers for own addresses, and what
// a node learns from requests and answers it sees. No proxy ARP.

package import Addressing
internal import Wire

extension NetworkNamespace {
    /// Asks for a neighbor: by broadcast while its MAC is unknown, directly while it is in doubt (arp_solicit).
    mutating func solicit(_ position: Int, _ context: inout PathContext) {
        let entry = neighbors.entries[position]
        guard let target = entry.address.ipv4 else {
            solicitIPv6(entry, &context)
            return
        }
        // A packet made here and waiting for the answer lends its source address.
        var sender: IPv4Address?
        if let newest = entry.waiting.last {
            let source = sourceAddress(newest, context)
            if isLocal(source), mayAsk(source, entry.address, on: entry.link) { sender = source.ipv4 }
        }
        sender = sender ?? selectAddress(on: entry.link, towards: entry.address, scope: .link)?.ipv4
        let known = entry.state == .probe ? entry.lladdr : nil
        sendARP(
            ARPPacket(
                operation: .request, senderMAC: links[entry.link.index].hardwareAddress, senderIP: sender ?? .any,
                targetMAC: .zero, targetIP: target),
            to: known ?? .broadcast, on: entry.link, &context)
    }

    /// arp_announce
    private func mayAsk(_ own: IPAddress, _ target: IPAddress, on link: LinkID) -> Bool {
        switch arpAnnounce(on: link) {
        case 0: true
        case 1:
            links[link.index].addresses.contains {
                $0.interface.prefix.contains(target) && $0.interface.prefix.contains(own)
            }
        default: false
        }
    }

    /// arp_ignore
    private func mayAnswer(_ target: IPAddress, to sender: IPAddress, on link: LinkID) -> Bool {
        let level = arpIgnore(on: link)
        guard level > 0 else { return true }
        return links[link.index].addresses.contains {
            $0.interface.address == target && (level == 1 || $0.interface.prefix.contains(sender))
        }
    }

    mutating func sendARP(_ arp: ARPPacket, to destination: MACAddress, on link: LinkID, _ context: inout PathContext) {
        var packet = context.arena.allocate(length: EthernetHeader.length + ARPPacket.length, id: context.newPacketID())
        packet.isLocal = true
        context.arena.storeMAC(destination, packet, 0)
        context.arena.storeMAC(links[link.index].hardwareAddress, packet, 6)
        context.arena.store16(EtherType.arp.rawValue, packet, 12)
        context.arena.withMutableBytes(packet) { arp.write(to: &$0, at: EthernetHeader.length) }
        originate(packet, parent: context.cause, &context)
        transmit(packet, on: link, &context)
    }

    /// Announces an own address to everyone on the link (arp_notify).
    package mutating func announce(_ address: IPv4Address, on link: LinkID, _ context: inout PathContext) {
        sendARP(
            ARPPacket(
                operation: .request, senderMAC: links[link.index].hardwareAddress, senderIP: address, targetMAC: .zero,
                targetIP: address),
            to: .broadcast, on: link, &context)
    }

    /// An ARP frame arrived (arp_rcv, arp_process).
    mutating func arpInput(_ packet: Packet, on link: LinkID, _ context: inout PathContext) {
        guard packet.type != .otherHost else {
            drop(packet, .otherHost, &context)
            return
        }
        let parsed = context.arena.withBytes(packet) { try? ARPPacket(parsing: $0, at: EthernetHeader.length) }
        guard let arp = parsed, arp.operation == .request || arp.operation == .reply,
            !arp.targetIP.isMulticast, !arp.targetIP.isLoopback || routesLocalnet(on: link)
        else {
            drop(packet, .ipHeader, &context)
            return
        }
        let sender = IPAddress(arp.senderIP)
        let target = IPAddress(arp.targetIP)
        let wasRequest = arp.operation == .request
        context.cause = packet.id
        if wasRequest, isLocal(target), arp.senderIP.isAny || !isLocal(sender) {
            guard mayAnswer(target, to: sender, on: link) else {
                context.consume(packet, in: id)
                return
            }
            if !arp.senderIP.isAny {
                let position = neighbors.create(sender, link)
                updateNeighbor(position, arp.senderMAC, .stale, overrides: true, &context)
            }
            context.consume(packet, in: id)
            sendARP(
                ARPPacket(
                    operation: .reply, senderMAC: links[link.index].hardwareAddress, senderIP: arp.targetIP,
                    targetMAC: arp.senderMAC, targetIP: arp.senderIP),
                to: arp.senderMAC, on: link, &context)
            return
        }
        if let position = neighbors.position(sender, link) {
            // An announcement made as a reply must name its sender twice (arp_is_garp).
            let isAnnouncement = arp.senderIP == arp.targetIP && (wasRequest || arp.targetMAC == arp.senderMAC)
            let overrides =
                context.now > neighbors.entries[position].updated + NeighborTable.lockTime || isAnnouncement
                || !neighbors.entries[position].state.isValid
            let proven = !wasRequest && packet.type == .host
            updateNeighbor(position, arp.senderMAC, proven ? .reachable : .stale, overrides: overrides, &context)
        }
        context.consume(packet, in: id)
    }
}
