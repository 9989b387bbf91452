// Finding pods by label without looking at all of them: a hundred thousand pods and thousands of selectors would
// otherwise meet in pairs. Answers come in store order.

/// The positions of pods by namespace and label.
struct PodIndex {
    private struct Label: Hashable {
        let namespace: String
        let key: String
        let value: String
    }

    private var byLabel: [Label: [Int]] = [:]
    private var byNamespace: [String: [Int]] = [:]

    init(_ pods: ObjectTable<Pod>, where isWanted: (Pod) -> Bool = { _ in true }) {
        for (position, pod) in pods.enumerated() where isWanted(pod) {
            let namespace = pod.metadata.namespace
            byNamespace[namespace, default: []].append(position)
            // Each label leads to its own list, so the order in which they are visited does not matter.
            for (key, value) in pod.metadata.labels {
                byLabel[Label(namespace: namespace, key: key, value: value), default: []].append(position)
            }
        }
    }

    /// Candidates for a selector: every pod it selects and as few others as one label can tell apart.
    func candidates(namespace: String, matchLabels: [String: String]) -> [Int] {
        var best: [Int]?
        for (key, value) in matchLabels {
            let positions = byLabel[Label(namespace: namespace, key: key, value: value)] ?? []
            if positions.isEmpty { return [] }
            if positions.count < best?.count ?? .max { best = positions }
        }
        return best ?? byNamespace[namespace] ?? []
    }

    /// The pods a selector selects, in store order.
    func select(_ selector: LabelSelector, namespace: String, in pods: ObjectTable<Pod>) -> [Int] {
        candidates(namespace: namespace, matchLabels: selector.matchLabels)
            .filter { selector.matches(pods[$0].metadata.labels) }
    }
}
