// An nftables ruleset as packets meet it: names resolved to places, values to numbers, sets to hash tables and sorted
// intervals. Rules keep their places, so an event can name its rule. Mirrors what nft hands to the kernel
// (src/netlink_linearize.c) and what net/netfilter/nf_tables_api.c makes of it.

internal import Addressing

/// A base chain by its place in the ruleset.
struct NFTablesChainReference: Hashable, Sendable {
    var table: Int
    var chain: Int
}

indirect enum CompiledExpression: Sendable {
    case field(NFTablesField)
    case fib(NFTablesFIB)
    /// `turn` is the place of its counter.
    case numgen(isRandom: Bool, modulus: UInt32, offset: UInt32, turn: Int)
    case bitwise(CompiledExpression, NFTablesOperator, CompiledExpression)
    case constant(UInt128)
    case map([CompiledExpression], set: Int)
}

enum CompiledStatement: Sendable {
    case compare(CompiledExpression, NFTablesComparison, UInt128)
    /// Some of these bits, or none.
    case anyBits(CompiledExpression, UInt128, isNegated: Bool)
    case within([CompiledExpression], [ClosedRange<UInt128>], isNegated: Bool)
    case member([CompiledExpression], set: Int, isNegated: Bool)
    /// `meta random` below a bound, in units of 2^-31.
    case chance(UInt32)
    case verdict(CompiledVerdict)
    case verdictMap([CompiledExpression], set: Int)
    case setMark(CompiledExpression)
    case setConnectionMark(CompiledExpression)
    case translate(CompiledTranslation)
    case reject(NFTablesReject)
    /// The place of its bucket.
    case limit(Int)
    case notrack
    case update(NFTablesSetUpdate.Operation, set: Int, [CompiledExpression], timeout: Nanoseconds?)
    /// Counts or logs.
    case nothing
    /// Cannot be evaluated.
    case never
}

struct CompiledVerdict: Sendable, BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable {
        case accept, drop, `return`, `continue`, jump, goto
    }

    var kind: Kind
    var chain: Int32 = -1
}

struct CompiledTranslation: Sendable {
    var kind: NFTablesTranslation.Kind
    /// What does not come out of a map.
    var range: TranslationRange
    var family: AddressFamily
    /// Gives the address and perhaps the port.
    var map: (key: [CompiledExpression], set: Int)?
}

struct CompiledNFTablesChain: Sendable {
    var base: NFTablesBaseChain?
    var rules: [[CompiledStatement]]

    /// Nothing would happen there.
    var isIdle: Bool { rules.isEmpty && base?.policy == .accept }
}

struct CompiledNFTablesTable: Sendable {
    var family: NFTablesFamily
    var chains: [CompiledNFTablesChain]
}

/// A token bucket (net/netfilter/nft_limit.c): a packet costs tokens, time brings them back.
struct NFTablesBucket: Sendable {
    var isOver: Bool
    /// Nanoseconds for a packet, or for an octet's worth.
    var cost: Double
    var countsOctets: Bool
    var capacity: Double
    var tokens: Double
    var last: Nanoseconds = 0
}

struct CompiledNFTables: Sendable {
    var tables: [CompiledNFTablesTable] = []
    var sets: [CompiledNFTablesSet] = []
    /// What rules remember from packet to packet, as it is at first.
    var initialState = NFTablesState()
    /// Some rule needs connection tracking: the kernel then tracks every packet of the namespace.
    var tracksConnections = false

    /// Places of the sets of the table being compiled.
    private var setPlaces: [String: Int] = [:]
    private var chainPlaces: [String: Int] = [:]
    private var family = NFTablesFamily.ip

    init() {}

    init(compiling ruleset: NFTablesRuleset) {
        for table in ruleset.tables { compile(table) }
    }

    /// The base chains of a hook that do something, the first to run in front: by priority, and of one priority the
    /// one made last (nf_hook_entries_grow).
    func baseChains(at hook: Hook, isNAT: Bool) -> [(priority: Int, reference: NFTablesChainReference)] {
        var found: [(priority: Int, reference: NFTablesChainReference)] = []
        for (number, table) in tables.enumerated() {
            for (position, chain) in table.chains.enumerated() where !chain.isIdle {
                guard let base = chain.base, base.hook == hook, (base.kind == .nat) == isNAT else { continue }
                let place = found.firstIndex { $0.priority >= base.priority } ?? found.count
                found.insert((base.priority, NFTablesChainReference(table: number, chain: position)), at: place)
            }
        }
        return found
    }

    private mutating func compile(_ table: NFTablesTable) {
        family = table.family
        let isEvaluated = !table.isDormant && [.ip, .ip6, .inet].contains(table.family)
        guard isEvaluated else {
            tables.append(CompiledNFTablesTable(family: table.family, chains: []))
            return
        }
        // A table that was not read from a listing may hold a name twice; the first counts.
        chainPlaces = Dictionary(table.chains.enumerated().map { ($1.name, $0) }) { first, _ in first }
        setPlaces = [:]
        for set in table.sets where !set.key.isEmpty && setPlaces[set.name] == nil {
            setPlaces[set.name] = sets.count
            var compiled = CompiledNFTablesSet(set.elements) { self.compile($0) }
            if set.timeout != nil || set.flags.contains(.dynamic) || set.flags.contains(.timeout) {
                compiled.state = initialState.sets.count
                compiled.timeout = set.timeout
                compiled.size = set.size ?? 65_535
                initialState.sets.append(compiled.moveElements(set.elements))
            }
            sets.append(compiled)
        }
        var chains: [CompiledNFTablesChain] = []
        chains.reserveCapacity(table.chains.count)
        for chain in table.chains {
            if chain.base?.kind == .nat, !chain.rules.isEmpty { tracksConnections = true }
            let rules = chain.rules.map { rule in rule.statements.map { compile($0) } }
            chains.append(CompiledNFTablesChain(base: chain.base, rules: rules))
        }
        tables.append(CompiledNFTablesTable(family: table.family, chains: chains))
    }

    // MARK: - Statements

    private mutating func compile(_ statement: NFTablesStatement) -> CompiledStatement {
        switch statement {
        case .match(let left, let comparison, let right): return match(left, comparison, right)
        case .verdict(let verdict):
            let compiled = compile(verdict)
            return compiled.map(CompiledStatement.verdict) ?? .never
        case .verdictMap(let key, let reference):
            guard let key = compileKey(key), let set = place(of: reference) else { return .never }
            return .verdictMap(key, set: set)
        case .set(let field, let value):
            guard let value = compile(value) else { return .never }
            if field == .connectionMark {
                tracksConnections = true
                return .setConnectionMark(value)
            }
            return field == .mark ? .setMark(value) : .never
        case .translate(let translation):
            tracksConnections = true
            return compile(translation).map(CompiledStatement.translate) ?? .never
        case .reject(let reject): return .reject(reject)
        case .counter, .log: return .nothing
        case .limit(let limit):
            guard let bucket = NFTablesBucket(limit) else { return .never }
            initialState.buckets.append(bucket)
            return .limit(initialState.buckets.count - 1)
        case .notrack: return .notrack
        case .update(let update):
            guard let key = compileKey(update.key), let set = setPlaces[update.set], sets[set].state >= 0 else {
                return .never
            }
            return .update(update.operation, set: set, key, timeout: update.timeout)
        case .unevaluated: return .never
        }
    }

    private mutating func match(
        _ left: NFTablesExpression, _ comparison: NFTablesComparison, _ right: NFTablesExpression
    ) -> CompiledStatement {
        let isNegated = comparison == .notEqual
        if case .bitwise(.field(.random), .and, .value(.number(let mask))) = left {
            // Some low bits of chance below a bound: how iptables-nft writes `--mode random`.
            let bits = (~mask).trailingZeroBitCount
            guard comparison == .less, bits <= 31, mask == (1 << UInt64(bits)) - 1,
                case .value(.number(let bound)) = right
            else { return .never }
            return .chance(UInt32(clamping: min(bound, mask + 1) << UInt64(31 - bits)))
        }
        guard let key = compileKey(left), let first = key.first else { return .never }
        switch right {
        case .set(let reference):
            guard let set = place(of: reference), comparison == .implicit || comparison == .equal || isNegated else {
                return .never
            }
            return .member(key, set: set, isNegated: isNegated)
        case .value(let value):
            if case .fib(let fib) = left, fib.result == .oif, case .symbol(let word, _) = value {
                // Whether there is a way at all.
                return .compare(first, (word == "exists") == isNegated ? .equal : .notEqual, 0)
            }
            if case .masked(let bits, let mask) = value {
                guard let bits = bits.range?.lowerBound, let mask = mask.range?.lowerBound else { return .never }
                return .compare(.bitwise(first, .and, .constant(mask)), isNegated ? .notEqual : .equal, bits)
            }
            guard let ranges = value.ranges, ranges.count == key.count else { return .never }
            if case .field(let field) = left, field.datatype.isBitmask, ranges[0].lowerBound != 0 {
                if comparison == .implicit { return .anyBits(first, ranges[0].lowerBound, isNegated: false) }
                if comparison == .none { return .anyBits(first, ranges[0].lowerBound, isNegated: true) }
            }
            switch comparison {
            case .implicit, .equal, .notEqual: return .within(key, ranges, isNegated: isNegated)
            case .less, .greater, .lessOrEqual, .greaterOrEqual:
                return .compare(first, comparison, ranges[0].lowerBound)
            case .none: return .never
            }
        case .field, .fib, .numgen, .concatenation, .bitwise, .map: return .never
        }
    }

    private func compile(_ verdict: NFTablesVerdict) -> CompiledVerdict? {
        switch verdict {
        case .accept: return CompiledVerdict(kind: .accept)
        case .drop: return CompiledVerdict(kind: .drop)
        case .return: return CompiledVerdict(kind: .return)
        case .continue: return CompiledVerdict(kind: .continue)
        case .jump(let chain):
            return chainPlaces[chain].map { CompiledVerdict(kind: .jump, chain: Int32($0)) }
        case .goto(let chain):
            return chainPlaces[chain].map { CompiledVerdict(kind: .goto, chain: Int32($0)) }
        }
    }

    private mutating func compile(_ translation: NFTablesTranslation) -> CompiledTranslation? {
        guard
            let family = translation.family ?? family.addresses ?? translation.addressFamily
                ?? (translation.address == nil ? .ipv4 : nil)
        else { return nil }
        var range = TranslationRange()
        for flag in translation.flags {
            switch flag {
            case .random: range.options.insert(.random)
            case .fullyRandom: range.options.insert(.randomFully)
            case .persistent: range.options.insert(.persistent)
            }
        }
        if let port = translation.port {
            guard let ports = port.range else { return nil }
            range.ports = UInt16(clamping: ports.lowerBound)...UInt16(clamping: ports.upperBound)
        }
        var compiled = CompiledTranslation(kind: translation.kind, range: range, family: family, map: nil)
        switch translation.address {
        case nil: break
        case .value(let value):
            guard let addresses = value.range else { return nil }
            compiled.range.addresses =
                IPAddress(number: addresses.lowerBound, family)...IPAddress(number: addresses.upperBound, family)
        case .map(let key, let reference):
            guard let key = compileKey(key), let set = place(of: reference) else { return nil }
            compiled.map = (key, set)
        default: return nil
        }
        return compiled
    }

    // MARK: - Expressions

    /// The parts of a key, from left to right; nil when one cannot be worked out.
    private mutating func compileKey(_ expression: NFTablesExpression) -> [CompiledExpression]? {
        guard case .concatenation(let parts) = expression else { return compile(expression).map { [$0] } }
        let compiled = parts.compactMap { compile($0) }
        return compiled.count == parts.count && !parts.isEmpty ? compiled : nil
    }

    private mutating func compile(_ expression: NFTablesExpression) -> CompiledExpression? {
        switch expression {
        case .field(.random): return nil
        case .field(let field):
            if field.needsTracking { tracksConnections = true }
            return .field(field)
        case .fib(let fib): return .fib(fib)
        case .numgen(let isRandom, let modulus, let offset):
            initialState.turns.append(0)
            return .numgen(
                isRandom: isRandom, modulus: modulus, offset: offset, turn: initialState.turns.count - 1)
        case .bitwise(let left, let `operator`, let right):
            guard let left = compile(left), let right = compile(right) else { return nil }
            return .bitwise(left, `operator`, right)
        case .map(let key, let reference):
            guard let key = compileKey(key), let set = place(of: reference) else { return nil }
            return .map(key, set: set)
        case .value(let value): return value.range.map { .constant($0.lowerBound) }
        case .concatenation, .set: return nil
        }
    }

    private mutating func place(of reference: NFTablesSetReference) -> Int? {
        switch reference {
        case .named(let name): return setPlaces[name]
        case .anonymous(let elements):
            sets.append(CompiledNFTablesSet(elements) { self.compile($0) })
            return sets.count - 1
        }
    }
}

extension NFTablesTranslation {
    /// The family an address written into the rule has.
    fileprivate var addressFamily: AddressFamily? {
        switch address {
        case .value(.address(let address)), .value(.range(.address(let address), _)): address.family
        default: nil
        }
    }
}

extension NFTablesLimit {
    /// The length of the period, where the words are known.
    fileprivate var seconds: Double? {
        switch period {
        case "second": 1
        case "minute": 60
        case "hour": 3600
        case "day": 86_400
        case "week": 604_800
        default: nil
        }
    }

    fileprivate static func octets(_ unit: String) -> Double? {
        switch unit {
        case "bytes": 1
        case "kbytes": 1024
        case "mbytes": 1024 * 1024
        default: nil
        }
    }

    /// Whether podnet can count so.
    var isEvaluated: Bool { NFTablesBucket(self) != nil }
}

extension NFTablesBucket {
    init?(_ limit: NFTablesLimit) {
        guard let seconds = limit.seconds, limit.rate > 0 else { return nil }
        let period = seconds * 1e9
        if let unit = limit.unit {
            guard let size = NFTablesLimit.octets(unit) else { return nil }
            let rate = Double(limit.rate) * size
            let burst = Double(limit.burst ?? 0) * (NFTablesLimit.octets(limit.burstUnit ?? "bytes") ?? 1)
            let cost = period / rate
            self.init(
                isOver: limit.isOver, cost: cost, countsOctets: true, capacity: cost * (rate + burst),
                tokens: cost * (rate + burst))
        } else {
            let cost = period / Double(limit.rate)
            let burst = Double(limit.burst ?? 5)
            self.init(
                isOver: limit.isOver, cost: cost, countsOctets: false, capacity: cost * burst, tokens: cost * burst)
        }
    }
}
