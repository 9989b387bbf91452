// Packets that no socket here made: a frame that appears on a link as if a neighbor had sent it, and a packet a program
// of this machine sends with headers of its own (IP_HDRINCL, net/ipv4/raw.c). For questions about one packet, whose
// choices follow a script (Netfilter/RuleChoices.swift).

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// A frame appears on a link. Returns the packet's id.
    package mutating func inject(
        _ frame: [UInt8], on link: LinkID, choosing script: [Int], _ context: inout PathContext
    ) -> UInt32 {
        let packet = adopt(frame, choosing: script, &context)
        receive(packet, on: link, &context)
        return packet.id
    }

    /// A program of this machine sends a packet, given as a frame whose Ethernet header does not count yet. Returns the
    /// packet's id.
    package mutating func sendRaw(
        _ frame: [UInt8], choosing script: [Int], _ context: inout PathContext
    ) -> UInt32 {
        var packet = adopt(frame, choosing: script, &context)
        packet.isLocal = true
        originate(packet, parent: 0, &context)
        guard case .route(let route) = routeOutput(destinationAddress(packet, context)),
            mayLeave(packet, by: route, context)
        else {
            drop(packet, .noOutputRoute, &context)
            return packet.id
        }
        localOutput(packet, by: route, &context)
        return packet.id
    }

    private func adopt(_ frame: [UInt8], choosing script: [Int], _ context: inout PathContext) -> Packet {
        let id = context.newPacketID()
        context.choices = RuleChoices(packet: id, script: script)
        return unsafe frame.withUnsafeBytes { bytes in unsafe context.arena.allocate(copying: bytes, id: id) }
    }
}
