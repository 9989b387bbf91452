// One packet against one table: rules in order, jumps and returns, until something decides. Mirrors ipt_do_table in
// net/ipv4/netfilter/ip_tables.c.

internal import Addressing

/// What a table decided.
enum TableVerdict {
    case accept
    case drop(RuleReference)
    case reject(RejectKind, RuleReference)
}

extension NetworkNamespace {
    /// Runs the table's built-in chain of a hook, of iptables or ip6tables as the packet is.
    mutating func evaluate(
        _ name: TableName, at hook: Hook, _ packet: inout Packet, ingress: LinkID?, egress: LinkID?,
        _ context: inout PathContext
    ) -> TableVerdict {
        guard isIPv6(packet, context) else {
            return walk(name, at: hook, &packet, ingress: ingress, egress: egress, &context)
        }
        // The walk knows one set of tables; those of the other family take its place meanwhile.
        swap(&compiledRules, &compiledRulesIPv6)
        swap(&ruleMemory, &ruleMemoryIPv6)
        defer {
            swap(&compiledRules, &compiledRulesIPv6)
            swap(&ruleMemory, &ruleMemoryIPv6)
        }
        return walk(name, at: hook, &packet, ingress: ingress, egress: egress, &context)
    }

    private mutating func walk(
        _ name: TableName, at hook: Hook, _ packet: inout Packet, ingress: LinkID?, egress: LinkID?,
        _ context: inout PathContext
    ) -> TableVerdict {
        let number = UInt8(name.number)
        let entry = compiledRules.entry(table: Int(number), hook)
        guard entry >= 0 else { return .accept }
        let firstChain = compiledRules.firstChains[Int(number)]
        context.record(.hook(hook, compiledRules.system, table: number), packet, in: id)
        var fields = RuleFields(packet, in: context.arena)
        let crossing = RuleLinks(ingress: ingress, egress: egress, links)

        var chain = entry
        var position = compiledRules.chains[Int(entry)].rules.lowerBound
        var callers: [(chain: Int32, position: Int32)] = []
        // Whoever asks for the rules that did not match gets them all.
        let usesIndexes = !context.recording.keepsRuleMisses && !fields.isCut
        // The kernel bounds jumps by its jump stack; loops cannot be loaded, so this only guards hostile rulesets.
        var budget = 1_000_000
        while budget > 0 {
            budget -= 1
            let current = compiledRules.chains[Int(chain)]
            if usesIndexes, current.index >= 0 {
                let next = compiledRules.indexes[Int(current.index)].next(from: position, fields, mark: packet.mark)
                position = next ?? current.rules.upperBound
            }
            if position >= current.rules.upperBound {
                if let caller = callers.popLast() {
                    (chain, position) = (caller.chain, caller.position)
                    continue
                }
                let reference = RuleReference(
                    system: compiledRules.system, table: number, chain: entry - firstChain, rule: -1)
                guard compiledRules.chains[Int(entry)].policy == .drop else { return .accept }
                context.record(.rule(reference, .drop), packet, in: id)
                return .drop(reference)
            }
            let reference = RuleReference(
                system: compiledRules.system, table: number, chain: chain - firstChain,
                rule: position - current.rules.lowerBound)
            let rule = compiledRules.rules[Int(position)]
            position += 1
            guard matches(rule, &fields, packet, crossing, &context) else {
                if fields.mustDrop {
                    context.record(.rule(reference, .drop), packet, in: id)
                    return .drop(reference)
                }
                if context.recording.keepsRuleMisses {
                    context.record(.rule(reference, .noMatch), packet, in: id)
                }
                continue
            }
            switch rule.verdict {
            case .none:
                context.record(.rule(reference, .counted), packet, in: id)
            case .accept:
                context.record(.rule(reference, .accept), packet, in: id)
                return .accept
            case .drop:
                context.record(.rule(reference, .drop), packet, in: id)
                return .drop(reference)
            case .return:
                context.record(.rule(reference, .return), packet, in: id)
                position = current.rules.upperBound
            case .jump, .goto:
                context.record(.rule(reference, rule.verdict == .jump ? .jump : .goto), packet, in: id)
                if rule.verdict == .jump { callers.append((chain, position)) }
                chain = firstChain + rule.argument
                position = compiledRules.chains[Int(chain)].rules.lowerBound
            case .effect:
                let target = compiledRules.targets[Int(rule.argument)]
                context.record(.rule(reference, verdict(of: target)), packet, in: id)
                guard carryOut(target, &packet, fields, egress: egress, &context) else { return .drop(reference) }
            case .nat:
                let target = compiledRules.targets[Int(rule.argument)]
                context.record(.rule(reference, verdict(of: target)), packet, in: id)
                context.natRule = reference
                guard applyNAT(target, packet, at: hook, ingress: ingress, egress: egress, &context) else {
                    return .drop(reference)
                }
                return .accept
            case .reject:
                context.record(.rule(reference, .reject), packet, in: id)
                guard case .reject(let kind) = compiledRules.targets[Int(rule.argument)] else {
                    return .drop(reference)
                }
                return .reject(kind, reference)
            }
        }
        return .accept
    }

    private func verdict(of target: Target) -> PathEvent.RuleVerdict {
        switch target {
        case .destinationNAT: .destinationNAT
        case .redirect: .redirect
        case .masquerade: .masquerade
        case .sourceNAT: .sourceNAT
        case .setMark: .setMark
        case .connectionMark: .connectionMark
        case .log, .netlinkLog: .log
        case .noTrack: .noTrack
        default: .rewrite
        }
    }

    private mutating func matches(
        _ rule: CompiledRule, _ fields: inout RuleFields, _ packet: Packet, _ crossing: RuleLinks,
        _ context: inout PathContext
    ) -> Bool {
        let flags = rule.flags
        if flags.isEmpty && rule.matchCount == 0 { return true }
        if flags.contains(.never) { return false }
        if flags.contains(.destination),
            rule.destination.contains(fields.destination, length: rule.destinationLength)
                == flags.contains(.notDestination)
        {
            return false
        }
        if flags.contains(.source),
            rule.source.contains(fields.source, length: rule.sourceLength) == flags.contains(.notSource)
        {
            return false
        }
        if flags.contains(.protocol),
            (fields.protocol == rule.protocol) == flags.contains(.notProtocol)
        {
            return false
        }
        if flags.contains(.transport), !fields.hasTransportHeader() { return false }
        if flags.contains(.destinationPort) {
            guard fields.hasPorts else { return false }
            let inside = rule.destinationPorts.contains(fields.destinationPort)
            if inside == flags.contains(.notDestinationPort) { return false }
        }
        if flags.contains(.sourcePort) {
            guard fields.hasPorts else { return false }
            if rule.sourcePorts.contains(fields.sourcePort) == flags.contains(.notSourcePort) { return false }
        }
        if flags.contains(.ingress),
            isLink(crossing.ingressName, rule.ingress) == flags.contains(.notIngress)
        {
            return false
        }
        if flags.contains(.egress),
            isLink(crossing.egressName, rule.egress) == flags.contains(.notEgress)
        {
            return false
        }
        if flags.contains(.state) {
            let states = connectionStates(of: packet)
            if states.isDisjoint(with: rule.states) != flags.contains(.notState) { return false }
        }
        if flags.contains(.mark),
            (packet.mark & rule.mark.mask == rule.mark.value) == flags.contains(.notMark)
        {
            return false
        }
        if flags.contains(.destinationType),
            rule.destinationTypes.contains(AddressTypeSet(addressType(fields.destination)))
                == flags.contains(.notDestinationType)
        {
            return false
        }
        if flags.contains(.sourceType),
            rule.sourceTypes.contains(AddressTypeSet(addressType(fields.source))) == flags.contains(.notSourceType)
        {
            return false
        }
        if flags.contains(.chance), !context.happens(chance: rule.chance, for: packet) { return false }
        for index in rule.firstMatch..<rule.firstMatch + rule.matchCount
        where !matches(compiledRules.matches[Int(index)], number: index, &fields, packet, crossing, &context) {
            return false
        }
        return true
    }

    private func isLink(_ name: PackedName, _ pattern: Int32) -> Bool {
        let link = compiledRules.links[Int(pattern)]
        return name.matches(link.name, mask: link.mask)
    }

    /// The type of an address as the routing tables see it (inet_dev_addr_type); with a link, as that link sees it.
    func addressType(_ address: IPAddress, on link: LinkID? = nil) -> AddressType {
        if let address = address.ipv4, address.isBroadcast || address.rawValue >> 24 == 0 { return .broadcast }
        if address.isMulticast { return .multicast }
        guard let position = localTable.lookup(address),
            link == nil || localTable.routes[position].link == link
        else { return .unicast }
        switch localTable.routes[position].kind {
        case .local: return .local
        case .broadcast: return .broadcast
        default: return .unicast
        }
    }
}
