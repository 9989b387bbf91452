// What happens at each of the five hooks: the stops of HookWalk.swift one after another, until one ends the packet.
// Mirrors nf_hook_slow in net/netfilter/core.c.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// Runs a hook. False when the packet ended there; it is then gone.
    mutating func hook(
        _ hook: Hook, _ packet: inout Packet, ingress: LinkID?, egress: LinkID?, _ context: inout PathContext
    ) -> Bool {
        for stop in hookWalk.stops(at: hook) {
            let goesOn: Bool
            switch stop {
            case .defragmentation:
                goesOn = !tracksConnections(packet, context) || defragment(&packet, &context)
            case .tracking: goesOn = !tracksConnections(packet, context) || track(&packet, &context)
            case .translation:
                goesOn = translate(&packet, at: hook, ingress: ingress, egress: egress, &context)
            case .balancing:
                if let verdict = balance(&packet, at: hook, &context) { return verdict }
                goesOn = true
            case .confirmation: goesOn = confirm(&packet, &context)
            case .table, .chain:
                let verdict = evaluate(stop, at: hook, &packet, ingress: ingress, egress: egress, &context)
                goesOn = passes(packet, verdict, &context)
            }
            guard goesOn else { return false }
        }
        return true
    }

    /// Something here asks for connections: the kernel then tracks every packet of the namespace, of the family whose
    /// rules ask.
    private func tracksConnections(_ packet: Packet, _ context: borrowing PathContext) -> Bool {
        if compiledNFTables.tracksConnections { return true }
        return isIPv6(packet, context) ? compiledRulesIPv6.tracksConnections : compiledRules.tracksConnections
    }

    /// The rules of one stop.
    mutating func evaluate(
        _ stop: HookStop, at hook: Hook, _ packet: inout Packet, ingress: LinkID?, egress: LinkID?,
        _ context: inout PathContext
    ) -> TableVerdict {
        switch stop {
        case .table(let name):
            evaluate(name, at: hook, &packet, ingress: ingress, egress: egress, &context)
        case .chain(let reference):
            evaluate(reference, at: hook, &packet, ingress: ingress, egress: egress, &context)
        case .defragmentation, .tracking, .translation, .balancing, .confirmation: .accept
        }
    }

    /// False while the rest of a packet is still to come.
    private mutating func defragment(_ packet: inout Packet, _ context: inout PathContext) -> Bool {
        guard isFragment(packet, context) else { return true }
        guard let whole = reassemble(packet, &context) else { return false }
        packet = whole
        return true
    }

    private mutating func passes(_ packet: Packet, _ verdict: TableVerdict, _ context: inout PathContext) -> Bool {
        switch verdict {
        case .accept: return true
        case .drop(let rule):
            drop(packet, .netfilterDrop, &context, rule: rule)
        case .reject(let kind, let rule):
            reject(packet, kind, &context)
            drop(packet, .netfilterDrop, &context, rule: rule)
        }
        return false
    }

    /// Answers as REJECT does (nf_send_unreach, nf_send_reset): about no later fragment and no broken packet.
    private mutating func reject(_ packet: Packet, _ kind: RejectKind, _ context: inout PathContext) {
        let fields = RuleFields(packet, in: context.arena)
        guard !fields.isLaterFragment else { return }
        if kind == .tcpReset {
            guard fields.protocol == .tcp, hasIntactChecksum(packet, fields, context) else { return }
            sendReset(about: packet, byRule: true, &context)
            return
        }
        guard hasIntactChecksum(packet, fields, context) else { return }
        if isIPv6(packet, context) {
            sendICMPv6Error(about: packet, kind.icmpv6, &context)
            return
        }
        switch kind {
        case .networkUnreachable: sendICMPError(about: packet, .networkUnreachable, &context)
        case .hostUnreachable: sendICMPError(about: packet, .hostUnreachable, &context)
        case .protocolUnreachable: sendICMPError(about: packet, .protocolUnreachable, &context)
        case .portUnreachable: sendICMPError(about: packet, .portUnreachable, &context)
        case .networkProhibited: sendICMPError(about: packet, .networkProhibited, &context)
        case .hostProhibited: sendICMPError(about: packet, .hostProhibited, &context)
        case .administrativelyProhibited: sendICMPError(about: packet, .packetFiltered, &context)
        case .noRouteIPv6, .administrativelyProhibitedIPv6, .addressUnreachableIPv6, .portUnreachableIPv6,
            .policyFailIPv6, .rejectRouteIPv6, .tcpReset:
            break
        }
    }

    /// nf_ip_checksum, as far as nf_reject_verify_csum asks for it: protocols without a checksum over all of their
    /// payload are taken as they are.
    private func hasIntactChecksum(_ packet: Packet, _ fields: RuleFields, _ context: borrowing PathContext) -> Bool {
        switch fields.protocol {
        case .tcp, .udp, .icmp, .icmpv6: break
        default: return true
        }
        guard let position = TransportChecksum.offset(of: fields.protocol),
            packet.length >= fields.transport + position + 2
        else { return false }
        // A zero means that the sender of a datagram computed none.
        if fields.protocol == .udp, fields.family == .ipv4,
            context.arena.load16(packet, fields.transport + position) == 0
        {
            return true
        }
        // The first fragment alone cannot be checked; the kernel does, and says nothing.
        return context.arena.withBytes(packet) {
            TransportChecksum.verify(
                fields.protocol, source: fields.source, destination: fields.destination, in: $0,
                segment: fields.transport..<packet.length)
        }
    }
}
