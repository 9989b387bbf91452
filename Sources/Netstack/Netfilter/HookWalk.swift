// The stops of a packet at each hook, in the order of the kernel's priorities: what is always there, and between it the
// base chains of nftables. Mirrors enum nf_ip_hook_priorities and nf_hook_entries_grow in net/netfilter/core.c. Where
// two have one priority, the one registered last comes first; podnet takes nftables' chains to have come last.

/// Something that looks at a packet on its way through a hook.
enum HookStop: Hashable, Sendable {
    /// Joins fragments, so that connection tracking sees whole packets.
    case defragmentation
    case tracking
    /// The built-in chain of an iptables table.
    case table(TableName)
    case chain(NFTablesChainReference)
    /// NAT, which asks its own chains about the first packet of a connection.
    case translation
    /// IPVS.
    case balancing
    case confirmation
}

/// The way through every hook.
struct HookWalk: Sendable {
    private var stops: [[HookStop]]
    /// What NAT asks.
    private var translators: [[HookStop]]

    init(_ nftables: CompiledNFTables = CompiledNFTables()) {
        stops = Hook.allCases.map { hook in
            Self.merge(nftables.baseChains(at: hook, isNAT: false), into: Self.fixedStops(at: hook))
        }
        translators = Hook.allCases.map { hook in
            // iptables' nat table, at the priority NAT itself has there.
            let own = Self.fixedStops(at: hook).filter { $0.stop == .translation }.map { ($0.priority, nat) }
            return Self.merge(nftables.baseChains(at: hook, isNAT: true), into: own)
        }
    }

    func stops(at hook: Hook) -> [HookStop] { stops[hook.rawValue] }
    func translators(at hook: Hook) -> [HookStop] { translators[hook.rawValue] }

    private static func fixedStops(at hook: Hook) -> [(priority: Int, stop: HookStop)] {
        let entry: [(priority: Int, stop: HookStop)] = [
            (-400, .defragmentation), (-300, .table(.raw)), (-200, .tracking),
        ]
        let filters: [(priority: Int, stop: HookStop)] = [(0, .table(.filter)), (50, .table(.security))]
        let mangle: (priority: Int, stop: HookStop) = (-150, .table(.mangle))
        let exit: [(priority: Int, stop: HookStop)] = [(100, .translation), (.max, .confirmation)]
        switch hook {
        case .prerouting: return entry + [mangle, (-100, .translation)]
        case .output: return entry + [mangle, (-100, .translation), (-99, .balancing)] + filters
        case .input: return [mangle] + filters + [(98, .balancing)] + exit
        case .forward: return [mangle] + filters + [(99, .balancing)]
        case .postrouting: return [mangle] + exit
        }
    }

    private static func merge(
        _ chains: [(priority: Int, reference: NFTablesChainReference)], into fixed: [(priority: Int, stop: HookStop)]
    ) -> [HookStop] {
        var merged: [HookStop] = []
        var rest = chains[...]
        for (priority, stop) in fixed {
            while let chain = rest.first, chain.priority <= priority {
                merged.append(.chain(chain.reference))
                rest.removeFirst()
            }
            merged.append(stop)
        }
        return merged + rest.map { .chain($0.reference) }
    }
}

private let nat = HookStop.table(.nat)
