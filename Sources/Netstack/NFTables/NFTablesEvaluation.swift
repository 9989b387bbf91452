// One packet against one base chain of nftables: rules in order, statements from left to right until one does not
// match, jumps and returns, until something decides. Mirrors nft_do_chain in net/netfilter/nf_tables_core.c. An accept
// ends this base chain only; the packet still meets those behind it.

internal import Addressing

/// What a packet shows to a chain.
struct NFTablesPacketView {
    var fields: RuleFields
    var hook: Hook
    var ingress: LinkID?
    var egress: LinkID?
}

/// How a rule ended for a packet.
private enum RuleOutcome {
    case noMatch
    /// To the next rule; what is told of it.
    case next(PathEvent.RuleVerdict)
    case verdict(CompiledVerdict)
    case reject(RejectKind)
    /// NAT chose; false when no port was left.
    case bound(PathEvent.RuleVerdict, Bool)
}

extension NetworkNamespace {
    /// Runs a base chain.
    mutating func evaluate(
        _ base: NFTablesChainReference, at hook: Hook, _ packet: inout Packet, ingress: LinkID?, egress: LinkID?,
        _ context: inout PathContext
    ) -> TableVerdict {
        let table = compiledNFTables.tables[base.table]
        let view = NFTablesPacketView(
            fields: RuleFields(packet, in: context.arena), hook: hook,
            ingress: ingress ?? (packet.isLocal || packet.ingress == .none ? nil : packet.ingress), egress: egress)
        guard table.family.meets(view.fields.family) else { return .accept }
        let number = UInt8(clamping: base.table)
        context.record(.hook(hook, .nftables, table: number), packet, in: id)

        var chain = base.chain
        var position = 0
        var callers: [(chain: Int, position: Int)] = []
        // Loops cannot be loaded; this only guards against rulesets nobody checked.
        var budget = 1_000_000
        while budget > 0 {
            budget -= 1
            let rules = table.chains[chain].rules
            guard position < rules.count else {
                if let caller = callers.popLast() {
                    (chain, position) = caller
                    continue
                }
                return policy(of: base, table, packet, &context)
            }
            let reference = RuleReference(
                system: .nftables, table: number, chain: Int32(chain), rule: Int32(position))
            let outcome = run(rules[position], reference, view, &packet, &context)
            position += 1
            switch outcome {
            case .noMatch:
                if context.recording.keepsRuleMisses {
                    context.record(.rule(reference, .noMatch), packet, in: id)
                }
            case .next(let effect): context.record(.rule(reference, effect), packet, in: id)
            case .reject(let kind):
                context.record(.rule(reference, .reject), packet, in: id)
                return .reject(kind, reference)
            case .bound(let effect, let isPossible):
                context.record(.rule(reference, effect), packet, in: id)
                return isPossible ? .accept : .drop(reference)
            case .verdict(let verdict):
                switch verdict.kind {
                case .accept:
                    context.record(.rule(reference, .accept), packet, in: id)
                    return .accept
                case .drop:
                    context.record(.rule(reference, .drop), packet, in: id)
                    return .drop(reference)
                case .return:
                    context.record(.rule(reference, .return), packet, in: id)
                    position = rules.count
                case .continue: context.record(.rule(reference, .counted), packet, in: id)
                case .jump, .goto:
                    context.record(.rule(reference, verdict.kind == .jump ? .jump : .goto), packet, in: id)
                    if verdict.kind == .jump { callers.append((chain, position)) }
                    (chain, position) = (Int(verdict.chain), 0)
                }
            }
        }
        return .accept
    }

    private func policy(
        of base: NFTablesChainReference, _ table: CompiledNFTablesTable, _ packet: Packet, _ context: inout PathContext
    ) -> TableVerdict {
        guard table.chains[base.chain].base?.policy == .drop else { return .accept }
        let reference = RuleReference(
            system: .nftables, table: UInt8(clamping: base.table), chain: Int32(base.chain), rule: -1)
        context.record(.rule(reference, .drop), packet, in: id)
        return .drop(reference)
    }

    // MARK: - One rule

    private mutating func run(
        _ statements: [CompiledStatement], _ reference: RuleReference, _ view: NFTablesPacketView,
        _ packet: inout Packet, _ context: inout PathContext
    ) -> RuleOutcome {
        var effect = PathEvent.RuleVerdict.counted
        for statement in statements {
            switch statement {
            case .compare, .anyBits, .within, .member, .chance, .limit, .update:
                guard matches(statement, view, packet, &context) else { return .noMatch }
            case .verdict(let verdict):
                if verdict.kind != .continue { return .verdict(verdict) }
            case .verdictMap(let key, let set):
                guard let key = numbers(key, view, packet, &context),
                    case .verdict(let verdict) = compiledNFTables.sets[set].lookup(
                        key, nftablesState, now: context.now)
                else { return .noMatch }
                if verdict.kind != .continue { return .verdict(verdict) }
            case .setMark(let value):
                guard let mark = number(value, view, packet, &context) else { return .noMatch }
                packet.mark = UInt32(truncatingIfNeeded: mark)
                effect = .setMark
            case .setConnectionMark(let value):
                guard let mark = number(value, view, packet, &context), packet.connection != .none else {
                    return .noMatch
                }
                connections[packet.connection].mark = UInt32(truncatingIfNeeded: mark)
            case .translate(let translation):
                guard let range = range(of: translation, view, packet, &context) else { return .noMatch }
                context.natRule = reference
                let isPossible = applyNAT(
                    target(translation.kind, range), packet, at: view.hook, ingress: view.ingress, egress: view.egress,
                    &context)
                return .bound(translation.kind.effect, isPossible)
            case .reject(let reject):
                guard let kind = reject.answer(view.fields.family),
                    kind != .tcpReset || view.fields.protocol == .tcp
                else { return .noMatch }
                return .reject(kind)
            case .notrack:
                if packet.connectionState == .none { packet.connectionState = .untracked }
            case .nothing: break
            case .never: return .noMatch
            }
        }
        return .next(effect)
    }

    private mutating func matches(
        _ statement: CompiledStatement, _ view: NFTablesPacketView, _ packet: Packet, _ context: inout PathContext
    ) -> Bool {
        switch statement {
        case .compare(let expression, let comparison, let value):
            guard let number = number(expression, view, packet, &context) else { return false }
            switch comparison {
            case .implicit, .equal: return number == value
            case .notEqual: return number != value
            case .less: return number < value
            case .greater: return number > value
            case .lessOrEqual: return number <= value
            case .greaterOrEqual: return number >= value
            case .none: return number & value == 0
            }
        case .anyBits(let expression, let bits, let isNegated):
            guard let number = number(expression, view, packet, &context) else { return false }
            return (number & bits != 0) != isNegated
        case .within(let key, let ranges, let isNegated):
            guard let key = numbers(key, view, packet, &context) else { return false }
            return zip(ranges, key).allSatisfy { $0.contains($1) } != isNegated
        case .member(let key, let set, let isNegated):
            guard let key = numbers(key, view, packet, &context) else { return false }
            return compiledNFTables.sets[set].contains(key, nftablesState, now: context.now) != isNegated
        case .chance(let chance): return context.happens(chance: chance, for: packet)
        case .limit(let place):
            return nftablesState.buckets[place].admits(octets: packet.length - networkOffset, now: context.now)
        case .update(let operation, let set, let key, let timeout):
            guard let key = numbers(key, view, packet, &context) else { return false }
            return update(operation, set, key, timeout, now: context.now)
        default: return true
        }
    }

    /// `add` leaves an element's timeout alone, `update` begins it anew (nft_dynset_eval). False when the set is full.
    private mutating func update(
        _ operation: NFTablesSetUpdate.Operation, _ set: Int, _ key: [UInt128], _ timeout: Nanoseconds?,
        now: Nanoseconds
    ) -> Bool {
        let place = compiledNFTables.sets[set].state
        let lifetime = timeout ?? compiledNFTables.sets[set].timeout
        let expires = lifetime.map { now + $0 } ?? .max
        let present = nftablesState.sets[place][key]
        switch operation {
        case .delete:
            nftablesState.sets[place][key] = nil
            return true
        case .add where present.map { $0.expires > now } ?? false: return true
        case .add, .update:
            if present == nil, nftablesState.sets[place].count >= compiledNFTables.sets[set].size {
                nftablesState.sets[place] = nftablesState.sets[place].filter { $0.value.expires > now }
                guard nftablesState.sets[place].count < compiledNFTables.sets[set].size else { return false }
            }
            nftablesState.sets[place][key] = NFTablesState.Entry(expires: expires, data: present?.data ?? -1)
            return true
        }
    }

    // MARK: - Numbers

    private mutating func numbers(
        _ key: [CompiledExpression], _ view: NFTablesPacketView, _ packet: Packet, _ context: inout PathContext
    ) -> [UInt128]? {
        var numbers: [UInt128] = []
        numbers.reserveCapacity(key.count)
        for part in key {
            guard let number = number(part, view, packet, &context) else { return nil }
            numbers.append(number)
        }
        return numbers
    }

    /// What an expression gives; nil when the packet has no such thing, and the rule does not match (NFT_BREAK).
    private mutating func number(
        _ expression: CompiledExpression, _ view: NFTablesPacketView, _ packet: Packet, _ context: inout PathContext
    ) -> UInt128? {
        switch expression {
        case .field(let field): return number(of: field, view, packet, context)
        case .fib(let fib): return number(of: fib, view)
        case .constant(let value): return value
        case .numgen(let isRandom, let modulus, let offset, let turn):
            if isRandom { return UInt128(context.pick(below: Int(modulus), for: packet)) + UInt128(offset) }
            let own = nftablesState.turns[turn] % modulus
            nftablesState.turns[turn] = (own + 1) % modulus
            return UInt128(context.takeTurn(Int(own), of: Int(modulus), for: packet)) + UInt128(offset)
        case .bitwise(let left, let `operator`, let right):
            guard let left = number(left, view, packet, &context), let right = number(right, view, packet, &context)
            else { return nil }
            switch `operator` {
            case .and: return left & right
            case .or: return left | right
            case .exclusiveOr: return left ^ right
            case .shiftLeft: return left << min(right, 128)
            case .shiftRight: return left >> min(right, 128)
            }
        case .map(let key, let set):
            guard let key = numbers(key, view, packet, &context),
                case .numbers(let number, _) = compiledNFTables.sets[set].lookup(
                    key, nftablesState, now: context.now)
            else { return nil }
            return number
        }
    }

    // MARK: - Translations

    /// The addresses and ports to choose from; nil when a map has nothing for the packet.
    private mutating func range(
        of translation: CompiledTranslation, _ view: NFTablesPacketView, _ packet: Packet,
        _ context: inout PathContext
    ) -> TranslationRange? {
        // In a table of both families a translation is for its own.
        if translation.range.addresses != nil || translation.map != nil {
            guard translation.family == view.fields.family else { return nil }
        }
        guard let map = translation.map else { return translation.range }
        guard let key = numbers(map.key, view, packet, &context),
            case .numbers(let first, let second) = compiledNFTables.sets[map.set].lookup(
                key, nftablesState, now: context.now)
        else { return nil }
        var range = translation.range
        let address = IPAddress(number: first, translation.family)
        range.addresses = address...address
        if let second { range.ports = UInt16(truncatingIfNeeded: second)...UInt16(truncatingIfNeeded: second) }
        return range
    }

    /// What a translation asks of NAT, in the words it shares with iptables' targets.
    private func target(_ kind: NFTablesTranslation.Kind, _ range: TranslationRange) -> Target {
        switch kind {
        case .dnat: .destinationNAT(range)
        case .snat: .sourceNAT(range)
        case .masquerade: .masquerade(range)
        case .redirect: .redirect(range)
        }
    }
}

extension NFTablesTranslation.Kind {
    fileprivate var effect: PathEvent.RuleVerdict {
        switch self {
        case .dnat, .redirect: .destinationNAT
        case .snat: .sourceNAT
        case .masquerade: .masquerade
        }
    }
}

extension NFTablesBucket {
    /// Whether the packet is within the limit, or over it when that is what the rule asks.
    mutating func admits(octets: Int, now: Nanoseconds) -> Bool {
        tokens = min(capacity, tokens + Double(now - last))
        last = now
        let price = countsOctets ? cost * Double(octets) : cost
        if tokens >= price {
            tokens -= price
            return !isOver
        }
        return isOver
    }
}

extension NFTablesRule {
    /// How the rule answers, when it rejects.
    package func reject(in family: NFTablesFamily) -> RejectKind? {
        for case .reject(let reject) in statements {
            return reject.answer(family.addresses ?? .ipv4) ?? reject.answer(.ipv6)
        }
        return nil
    }
}

extension NFTablesReject {
    /// The answer to a packet of a family; nil when the rule is not for that family, or podnet has no such answer.
    func answer(_ family: AddressFamily) -> RejectKind? {
        switch self {
        case .portUnreachable: return family == .ipv4 ? .portUnreachable : .portUnreachableIPv6
        case .tcpReset: return .tcpReset
        case .icmp("icmp", let code) where family == .ipv4: return Self.ipv4(code)
        case .icmp("icmpv6", let code) where family == .ipv6: return Self.ipv6(code)
        case .icmp("icmpx", let code):
            switch (code, family) {
            case ("no-route", .ipv4): return .networkUnreachable
            case ("host-unreachable", .ipv6): return Self.ipv6("addr-unreachable")
            default: return family == .ipv4 ? Self.ipv4(code) : Self.ipv6(code)
            }
        case .icmp: return nil
        }
    }

    private static func ipv4(_ code: String) -> RejectKind? {
        switch code {
        case "prot-unreachable": .protocolUnreachable
        default: RejectKind(rawValue: "icmp-\(code)")
        }
    }

    private static func ipv6(_ code: String) -> RejectKind? {
        switch code {
        case "admin-prohibited": RejectKind(rawValue: "icmp6-adm-prohibited")
        default: RejectKind(rawValue: "icmp6-\(code)")
        }
    }
}
