// kube-proxy's part of an iptables ruleset in canonical order, whether kube-proxy is modelled or the rules were dumped
// from a node. The chains are known by the names pkg/proxy/iptables/proxier.go gives them; kubelet's are left out.

public import Addressing
public import Netstack

extension Ruleset {
    /// The chains that are kube-proxy's own by their names.
    static func isKubeProxys(_ chain: String) -> Bool {
        let kubelets = ["KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT"]
        return chain.hasPrefix("KUBE-") && !kubelets.contains(chain)
    }

    /// kube-proxy's chains, and the jumps into them, in canonical order. A chain without rules is a section of its
    /// declaration alone. Where kube-proxy's rules are given and lack KUBE-FIREWALL, that chain is kubelet's alone.
    public func kubeProxySections(of expected: Ruleset? = nil) -> [RuleSection] {
        let isFirewallShared = (expected ?? self)[.filter][Self.firewallChain] != nil
        func isKubeProxys(_ chain: String) -> Bool {
            Self.isKubeProxys(chain) && (chain != Self.firewallChain || isFirewallShared)
        }
        var sections: [RuleSection] = []
        for table in tables {
            for chain in table.chains {
                let name = "\(table.name.rawValue) \(chain.name)"
                if chain.policy != nil {
                    var jumps = chain.rules.filter { $0.target.flatMap(\.chain).map(isKubeProxys) ?? false }
                    // First on a clean node, last where kubelet came before.
                    if let firewall = jumps.firstIndex(where: { $0.target == .jump(Self.firewallChain) }) {
                        jumps.insert(jumps.remove(at: firewall), at: 0)
                    }
                    if !jumps.isEmpty { sections.append(RuleSection(name, jumps.map { "-A \(chain.name) \($0)" })) }
                } else if isKubeProxys(chain.name) {
                    var rules = chain.rules
                    if Self.sharedChains.contains(chain.name) { rules.sort { Self.key($0) < Self.key($1) } }
                    sections.append(
                        RuleSection(name, [":\(chain.name)"] + rules.map { "-A \(chain.name) \($0)" }))
                }
            }
        }
        return sections
    }

    private static let firewallChain = "KUBE-FIREWALL"

    /// Chains in which the Services stand in random order.
    private static let sharedChains: Set<String> = [
        "KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL", "KUBE-IPVS-OUT-FILTER",
    ]

    /// Rules of one Service port by its name, which begins their comments; the jumps to node ports last.
    private static func key(_ rule: Rule) -> SectionKey {
        let comment = rule.comment ?? ""
        if comment.contains("must be the last rule") { return SectionKey(isLast: true, text: "\(rule)") }
        return SectionKey(isLast: false, text: String(comment.prefix { $0 != " " }))
    }

    private struct SectionKey: Comparable {
        var isLast: Bool
        var text: String

        static func < (left: SectionKey, right: SectionKey) -> Bool {
            if left.isLast != right.isLast { return right.isLast }
            return left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
        }
    }
}

extension NFTablesRuleset {
    /// The tables packets of a family meet.
    public func keeping(_ family: AddressFamily) -> NFTablesRuleset {
        let other = family == .ipv4 ? "ip6" : "ip"
        return NFTablesRuleset(tables.filter { $0.family.rawValue != other })
    }

    /// kube-proxy's tables in canonical order: sets and maps element by element, chains rule by rule.
    public func kubeProxySections() -> [RuleSection] {
        tables.filter { $0.name == "kube-proxy" }.flatMap { table in
            let sets = table.sets.map { set in
                RuleSection(
                    "\(table.title) \(set.data == nil ? "set" : "map") \(set.name)",
                    [set.declaration] + set.elements.map(\.description).sorted())
            }
            let chains = table.chains.map { chain in
                let base = chain.base.map { ["\($0.kind) \($0.place) \($0.priority) \($0.policy)"] } ?? []
                return RuleSection(
                    "\(table.title) chain \(chain.name)", ["chain \(chain.name)"] + base + chain.rules.map { "\($0)" })
            }
            return sets + chains
        }
    }
}

extension NFTablesSet {
    /// What the set is, without what is in it. The size nft adds to a dynamic set says nothing.
    fileprivate var declaration: String {
        let types = key.map(\.rawValue) + (data.map { [":"] + $0.map(\.rawValue) } ?? [])
        return ([name] + types + flags.map(\.rawValue)).joined(separator: " ")
            + (timeout.map { " timeout \($0)" } ?? "")
    }
}

extension Target {
    /// The chain it leads to.
    fileprivate var chain: String? {
        switch self {
        case .jump(let name), .goto(let name): name
        default: nil
        }
    }
}
