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
            case .defragmentation: goesOn = !tracksConnections || defragment(&packet, &context)
            case .tracking: goesOn = !tracksConnections || track(&packet, &context)
            case .translation:
                goesOn = translate(&packet, at: hook, ingress: ingress, egress: egress, &context)
            case .confirmation: goesOn = confirm(&packet, &context)
            case .table, .chain:
                let verdict = evaluate(stop, at: hook, &packet, ingress: ingress, egress: egress, &context)
                goesOn = passes(packet, verdict, &context)
            }
            guard goesOn else { return false }
        }
        return true
    }

    /// Something here asks for connections: the kernel then tracks every packet of the namespace.
    var tracksConnections: Bool { compiledRules.tracksConnections || compiledNFTables.tracksConnections }

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
        case .defragmentation, .tracking, .translation, .confirmation: .accept
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

    /// Answers as REJECT does (nf_send_unreach, nf_send_reset).
    private mutating func reject(_ packet: Packet, _ kind: RejectKind, _ context: inout PathContext) {
        switch kind {
        case .networkUnreachable: sendICMPError(about: packet, .networkUnreachable, &context)
        case .hostUnreachable: sendICMPError(about: packet, .hostUnreachable, &context)
        case .protocolUnreachable: sendICMPError(about: packet, .protocolUnreachable, &context)
        case .portUnreachable, .portUnreachableIPv6: sendICMPError(about: packet, .portUnreachable, &context)
        case .networkProhibited: sendICMPError(about: packet, .networkProhibited, &context)
        case .hostProhibited: sendICMPError(about: packet, .hostProhibited, &context)
        case .administrativelyProhibited: sendICMPError(about: packet, .packetFiltered, &context)
        case .tcpReset: sendReset(about: packet, &context)
        }
    }
}
