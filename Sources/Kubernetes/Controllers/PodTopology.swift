// Rules between pods (scheduler plugins InterPodAffinity and PodTopologySpread): near to, away from, evenly over the
// domains a node label makes. Only the required halves; preferences do not count.

internal import Addressing

/// An affinity term with its namespaces resolved.
private struct ResolvedTerm: Hashable {
    let selector: LabelSelector
    let namespaces: [String]
    let topologyKey: String

    init(_ term: PodAffinityTerm, of pod: Pod) {
        selector = term.labelSelector ?? LabelSelector()
        namespaces = term.namespaces.isEmpty ? [pod.metadata.namespace] : term.namespaces.sorted()
        topologyKey = term.topologyKey
    }

    func matches(_ pod: Pod) -> Bool {
        namespaces.contains(pod.metadata.namespace) && selector.matches(pod.metadata.labels)
    }
}

/// The anti-affinity of pods that run already: they keep others away too.
struct StandingAntiAffinity {
    private var terms: [ResolvedTerm] = []
    private var domains: [ResolvedTerm: [String: Int]] = [:]

    var isEmpty: Bool { terms.isEmpty }

    mutating func add(_ pod: Pod, on node: Node) {
        for term in pod.spec.affinity?.requiredPodAntiTerms ?? [] {
            let resolved = ResolvedTerm(term, of: pod)
            if domains[resolved] == nil {
                terms.append(resolved)
                domains[resolved] = [:]
            }
            if let domain = node.metadata.labels[resolved.topologyKey] {
                domains[resolved]?[domain, default: 0] += 1
            }
        }
    }

    func forbids(_ pod: Pod, on node: Node) -> Bool {
        terms.contains { term in
            guard term.matches(pod), let domain = node.metadata.labels[term.topologyKey] else { return false }
            return domains[term]?[domain] ?? 0 > 0
        }
    }
}

/// The rules of one group of equal pods, counted over the pods that run.
struct PodTopology {
    private struct Rule {
        let term: ResolvedTerm
        var counts: [String: Int] = [:]
        let matchesItself: Bool
    }

    private struct Spread {
        let maxSkew: Int
        var rule: Rule
        /// The domains that count towards the smallest, in node order.
        let domains: [String]
    }

    private var near: [Rule] = []
    private var away: [Rule] = []
    private var spread: [Spread] = []

    /// True if the pod's placement depends on other pods.
    static func concerns(_ spec: PodSpec) -> Bool {
        !(spec.affinity?.requiredPodTerms ?? []).isEmpty || !(spec.affinity?.requiredPodAntiTerms ?? []).isEmpty
            || spec.topologySpreadConstraints.contains { $0.whenUnsatisfiable == "DoNotSchedule" }
    }

    init(_ pod: Pod, _ store: ObjectStore, index: PodIndex) {
        func rule(_ term: ResolvedTerm) -> Rule {
            var rule = Rule(term: term, matchesItself: term.matches(pod))
            for namespace in term.namespaces {
                for position in index.select(term.selector, namespace: namespace, in: store.pods) {
                    let other = store.pods[position]
                    guard other.isScheduled, !other.isFinished,
                        let domain = store.nodes["", other.spec.nodeName]?.metadata.labels[term.topologyKey]
                    else { continue }
                    rule.counts[domain, default: 0] += 1
                }
            }
            return rule
        }
        near = (pod.spec.affinity?.requiredPodTerms ?? []).map { rule(ResolvedTerm($0, of: pod)) }
        away = (pod.spec.affinity?.requiredPodAntiTerms ?? []).map { rule(ResolvedTerm($0, of: pod)) }
        let filter = NodeFilter(pod.spec)
        for constraint in pod.spec.topologySpreadConstraints where constraint.whenUnsatisfiable == "DoNotSchedule" {
            var domains: [String] = []
            var seen: Set<String> = []
            for node in store.nodes where filter.matches(node) {
                if let domain = node.metadata.labels[constraint.topologyKey], seen.insert(domain).inserted {
                    domains.append(domain)
                }
            }
            let term = PodAffinityTerm(
                labelSelector: constraint.labelSelector, topologyKey: constraint.topologyKey)
            spread.append(
                Spread(maxSkew: constraint.maxSkew, rule: rule(ResolvedTerm(term, of: pod)), domains: domains))
        }
    }

    func rejection(_ node: Node) -> NodeRejection? {
        for constraint in spread {
            guard let domain = node.metadata.labels[constraint.rule.term.topologyKey] else {
                return .spread(missingLabel: true)
            }
            let counts = constraint.rule.counts
            let smallest = constraint.domains.map { counts[$0] ?? 0 }.min() ?? 0
            let own = (counts[domain] ?? 0) + (constraint.rule.matchesItself ? 1 : 0)
            if own - smallest > constraint.maxSkew { return .spread(missingLabel: false) }
        }
        for rule in near {
            guard let domain = node.metadata.labels[rule.term.topologyKey] else { return .podAffinity }
            // The first pod of a group that wants to be near itself may start anywhere.
            if rule.counts.isEmpty, rule.matchesItself { continue }
            if rule.counts[domain] ?? 0 == 0 { return .podAffinity }
        }
        for rule in away {
            if let domain = node.metadata.labels[rule.term.topologyKey], rule.counts[domain] ?? 0 > 0 {
                return .podAntiAffinity
            }
        }
        return nil
    }

    /// Notes that one more pod of the group runs on the node.
    mutating func place(on node: Node) {
        func count(_ rule: inout Rule) {
            if rule.matchesItself, let domain = node.metadata.labels[rule.term.topologyKey] {
                rule.counts[domain, default: 0] += 1
            }
        }
        for index in near.indices { count(&near[index]) }
        for index in away.indices { count(&away[index]) }
        for index in spread.indices { count(&spread[index].rule) }
    }
}
