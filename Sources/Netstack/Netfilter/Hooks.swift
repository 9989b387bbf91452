// What happens at each of the five hooks, in the order of the kernel's priorities: defragmentation, raw, connection
// tracking, mangle, destination NAT, filter, security, source NAT, confirmation.

internal import Addressing
internal import Wire

extension NetworkNamespace {
    /// Runs a hook. False when the packet ended there; it is then gone.
    mutating func hook(
        _ hook: Hook, _ packet: inout Packet, ingress: LinkID?, egress: LinkID?, _ context: inout PathContext
    ) -> Bool {
        switch hook {
        case .prerouting, .output:
            let tracks = tracksConnections(packet, context)
            if tracks, isFragment(packet, context) {
                guard let whole = reassemble(packet, &context) else { return false }
                packet = whole
            }
            guard table(.raw, hook, &packet, ingress, egress, &context) else { return false }
            if tracks {
                guard track(&packet, &context) else { return false }
            }
            guard table(.mangle, hook, &packet, ingress, egress, &context) else { return false }
            guard translate(&packet, at: hook, ingress: ingress, egress: egress, &context) else { return false }
            guard hook == .output else { return true }
            // IPVS, at NF_IP_PRI_NAT_DST + 1 and + 2.
            if let verdict = balance(&packet, at: hook, &context) { return verdict }
            guard table(.filter, hook, &packet, ingress, egress, &context) else { return false }
            return table(.security, hook, &packet, ingress, egress, &context)
        case .input:
            guard table(.mangle, hook, &packet, ingress, egress, &context),
                table(.filter, hook, &packet, ingress, egress, &context),
                table(.security, hook, &packet, ingress, egress, &context)
            else { return false }
            // IPVS, at NF_IP_PRI_NAT_SRC - 2 and - 1.
            if let verdict = balance(&packet, at: hook, &context) { return verdict }
            guard translate(&packet, at: hook, ingress: ingress, egress: egress, &context) else { return false }
            return confirm(&packet, &context)
        case .forward:
            guard table(.mangle, hook, &packet, ingress, egress, &context),
                table(.filter, hook, &packet, ingress, egress, &context),
                table(.security, hook, &packet, ingress, egress, &context)
            else { return false }
            // IPVS, at 99 and 100.
            return balance(&packet, at: hook, &context) ?? true
        case .postrouting:
            guard table(.mangle, hook, &packet, ingress, egress, &context),
                translate(&packet, at: hook, ingress: ingress, egress: egress, &context)
            else { return false }
            return confirm(&packet, &context)
        }
    }

    /// Some rule of the packet's family needs its connection.
    private func tracksConnections(_ packet: Packet, _ context: borrowing PathContext) -> Bool {
        isIPv6(packet, context) ? compiledRulesIPv6.tracksConnections : compiledRules.tracksConnections
    }

    private mutating func table(
        _ name: TableName, _ hook: Hook, _ packet: inout Packet, _ ingress: LinkID?, _ egress: LinkID?,
        _ context: inout PathContext
    ) -> Bool {
        switch evaluate(name, at: hook, &packet, ingress: ingress, egress: egress, &context) {
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
        guard fields.fragmentOffset == 0 else { return }
        if kind == .tcpReset {
            guard fields.protocol == .tcp, hasIntactChecksum(packet, fields, context) else { return }
            sendReset(about: packet, &context)
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
