// The rules of a node as `iptables-save` prints them, whole or only what one agent wrote: the chains it made, and the
// jumps into them that it put into built-in chains.

public import Netstack

extension Ruleset {
    /// The rules without what other agents wrote, and without other tables when one is named.
    public func keeping(agent: String? = nil, table name: TableName? = nil) -> Ruleset {
        var kept = Ruleset()
        for table in tables where name == nil || table.name == name {
            let own = table.chains.filter { $0.policy == nil && (agent == nil || $0.agent == agent) }
            let names = Set(own.map(\.name))
            for chain in own {
                kept[table.name].create(chain.name, agent: chain.agent)
                for rule in chain.rules { kept[table.name].append(rule, to: chain.name) }
            }
            for hook in table.name.builtInChains {
                guard let chain = table[hook.chainName] else { continue }
                if agent == nil, let policy = chain.policy { kept[table.name].setPolicy(policy, of: hook) }
                for rule in chain.rules {
                    guard agent == nil || leads(rule, to: names) else { continue }
                    kept[table.name].append(rule, to: chain.name)
                }
            }
        }
        return kept
    }

    private func leads(_ rule: Rule, to chains: Set<String>) -> Bool {
        guard case .jump(let name)? = rule.target else { return false }
        return chains.contains(name)
    }
}

extension NFTablesRuleset {
    /// The tables one agent wrote; of a listing those that have the names it gives.
    public func keeping(agent: String?) -> NFTablesRuleset {
        guard let agent else { return self }
        return NFTablesRuleset(tables.filter { $0.agent ?? $0.knownAgent == agent })
    }
}

extension NFTablesTable {
    fileprivate var knownAgent: String? {
        name == "kube-proxy" ? name : ["flannel-ipv4", "flannel-ipv6"].contains(name) ? "flannel" : nil
    }
}
