// A node for every pod that has none (kubernetes pkg/scheduler). The filters are upstream's and speak its words. The
// scores are not: instead of seven weighted plugins and a random tie, a pod goes where fewest pods of its owner run,
// then where fewest pods run at all, then to the first node, so that people can foresee it.

internal import Addressing

struct Scheduler {
    private let nodes: [Node]
    private var usage: [NodeUsage]
    private var ownerCounts: [OwnerKey: [Int: Int]] = [:]
    private var standing = StandingAntiAffinity()
    private var candidates: [NodeFilter: [Int]] = [:]
    private let index: PodIndex?

    private struct OwnerKey: Hashable {
        let namespace: String
        let kind: String
        let name: String

        init?(_ pod: Pod) {
            guard let owner = pod.metadata.controller else { return nil }
            (namespace, kind, name) = (pod.metadata.namespace, owner.kind, owner.name)
        }
    }

    /// Pods that any node treats alike: scheduled together, one after the other.
    private struct PlacementClass: Hashable {
        let owner: OwnerKey?
        let filter: NodeFilter
        let demand: PodDemand
        let address: IPAddress?
        let priority: Int
        /// Set when the placement depends on other pods, and with it on the pod's own labels.
        let topology: Topology?

        struct Topology: Hashable {
            let namespace: String
            let labels: [String: String]
            let affinity: Affinity?
            let constraints: [TopologySpreadConstraint]
        }
    }

    static func placePods(_ store: inout ObjectStore, _ warnings: inout [ObjectWarning]) {
        var scheduler = Scheduler(store)
        let hasRules = scheduler.index != nil
        var positions: [PlacementClass: Int] = [:]
        var groups: [(priority: Int, pods: [Int])] = []
        for (position, pod) in store.pods.enumerated()
        where !pod.isScheduled && !pod.isFinished && !pod.isTerminating {
            let topology =
                hasRules
                ? PlacementClass.Topology(
                    namespace: pod.metadata.namespace, labels: pod.metadata.labels, affinity: pod.spec.affinity,
                    constraints: pod.spec.topologySpreadConstraints) : nil
            let key = PlacementClass(
                owner: OwnerKey(pod), filter: NodeFilter(pod.spec), demand: PodDemand(pod.spec),
                address: pod.spec.hostNetwork ? nil : pod.status.podIP, priority: priority(pod), topology: topology)
            if let group = positions[key] {
                groups[group].pods.append(position)
            } else {
                positions[key] = groups.count
                groups.append((key.priority, [position]))
            }
        }
        // Sorted by priority alone; groups of one priority keep the order of the input.
        let order = groups.indices.sorted { (-groups[$0].priority, $0) < (-groups[$1].priority, $1) }
        for group in order { scheduler.place(groups[group].pods, &store, &warnings) }
    }

    private static func priority(_ pod: Pod) -> Int {
        switch pod.spec.priorityClassName {
        case "system-node-critical": 2_000_001_000
        case "system-cluster-critical": 2_000_000_000
        default: 0
        }
    }

    private init(_ store: ObjectStore) {
        nodes = Array(store.nodes)
        usage = nodes.map(NodeUsage.init)
        let hasRules = store.pods.contains { PodTopology.concerns($0.spec) }
        index = hasRules ? PodIndex(store.pods) : nil
        for pod in store.pods where pod.isScheduled && !pod.isFinished {
            guard let node = store.nodes.position(of: ObjectKey(name: pod.spec.nodeName)) else { continue }
            note(pod, PodDemand(pod.spec), on: node)
        }
    }

    private mutating func note(_ pod: Pod, _ demand: PodDemand, on node: Int) {
        usage[node].add(demand)
        if let owner = OwnerKey(pod) { ownerCounts[owner, default: [:]][node, default: 0] += 1 }
        standing.add(pod, on: nodes[node])
    }

    /// Places equal pods; the first that fits nowhere speaks for all that follow.
    private mutating func place(_ pods: [Int], _ store: inout ObjectStore, _ warnings: inout [ObjectWarning]) {
        let pod = store.pods[pods[0]]
        let demand = PodDemand(pod.spec)
        if pod.spec.schedulerName != "default-scheduler" {
            warnings.append(
                ObjectWarning(
                    pod, FieldPath("spec", "schedulerName"),
                    "scheduler \"\(pod.spec.schedulerName)\" is not modelled; placed as the default one would"))
        }
        var topology = index.flatMap { index in
            PodTopology.concerns(pod.spec) ? PodTopology(pod, store, index: index) : nil
        }
        let owner = OwnerKey(pod)
        let owned = owner.flatMap { ownerCounts[$0] } ?? [:]
        var queue = NodeQueue(
            candidateNodes(pod).map { NodeQueue.Entry(owned: owned[$0] ?? 0, total: usage[$0].pods, node: $0) })
        var failure: String?
        for (count, position) in pods.enumerated() {
            if failure == nil {
                if let node = chooseNode(pod, demand, topology, &queue) {
                    note(pod, demand, on: node)
                    topology?.place(on: nodes[node])
                    store.pods[position].spec.nodeName = nodes[node].name
                    continue
                }
                let text = unschedulableText(pod, demand, topology)
                failure = text
                let others = pods.count - count - 1
                let suffix = others > 0 ? " (and \(others) more like it)" : ""
                warnings.append(ObjectWarning(store.pods[position], [], "stays Pending\(suffix): \(text)"))
            }
            store.pods[position].status.phase = .pending
            store.pods[position].status.setCondition(
                Condition(type: "PodScheduled", status: "False", reason: "Unschedulable", message: failure ?? ""))
        }
    }

    /// The nodes whose own properties admit the pod, in node order.
    private mutating func candidateNodes(_ pod: Pod) -> [Int] {
        if let name = NodeFilter.pinnedNode(pod.spec) {
            let filter = NodeFilter(pod.spec)
            return nodes.indices.filter { nodes[$0].name == name && filter.admits(nodes[$0]) }
        }
        let filter = NodeFilter(pod.spec)
        let admitted: [Int]
        if let known = candidates[filter] {
            admitted = known
        } else {
            admitted = nodes.indices.filter { filter.admits(nodes[$0]) }
            candidates[filter] = admitted
        }
        // A pod that comes with an address belongs on the node whose block holds it.
        if !pod.spec.hostNetwork, let address = pod.status.podIP {
            let home = admitted.filter { nodes[$0].spec.podCIDRs.contains { $0.contains(address) } }
            if !home.isEmpty { return home }
        }
        return admitted
    }

    /// The best node that takes the pod. Nodes that are full stay out for the rest of the group: they only get fuller.
    private func chooseNode(
        _ pod: Pod, _ demand: PodDemand, _ topology: PodTopology?, _ queue: inout NodeQueue
    ) -> Int? {
        var passed: [NodeQueue.Entry] = []
        var chosen: Int?
        while chosen == nil, let entry = queue.first {
            if usage[entry.node].rejection(demand) != nil {
                queue.removeFirst()
            } else if topology?.rejection(nodes[entry.node]) != nil || standing.forbids(pod, on: nodes[entry.node]) {
                // Rules between pods can open a node again later.
                passed.append(entry)
                queue.removeFirst()
            } else {
                chosen = entry.node
                queue.countPodOnFirst()
            }
        }
        for entry in passed { queue.insert(entry) }
        return chosen
    }

    /// The message of the PodScheduled condition.
    private func unschedulableText(_ pod: Pod, _ demand: PodDemand, _ topology: PodTopology?) -> String {
        guard !nodes.isEmpty else { return "no nodes available to schedule pods" }
        let filter = NodeFilter(pod.spec)
        let pinned = NodeFilter.pinnedNode(pod.spec)
        var counts: [String: Int] = [:]
        var helpless = 0
        for (position, node) in nodes.enumerated() {
            var rejection: NodeRejection?
            if let pinned, node.name != pinned {
                rejection = .otherNode
            } else {
                rejection = filter.rejection(node) ?? usage[position].rejection(demand)
                rejection = rejection ?? topology?.rejection(node)
                if rejection == nil, standing.forbids(pod, on: node) { rejection = .existingAntiAffinity }
            }
            guard let rejection else { continue }
            for reason in rejection.reasons { counts[reason, default: 0] += 1 }
            if !rejection.preemptionMightHelp { helpless += 1 }
        }
        let head = "0/\(nodes.count) nodes are available: "
        let reasons = counts.map { "\($0.value) \($0.key)" }.sorted().joined(separator: ", ")
        var preemption: [String] = []
        if helpless > 0 { preemption.append("\(helpless) Preemption is not helpful for scheduling") }
        if helpless < nodes.count {
            preemption.append("\(nodes.count - helpless) No preemption victims found for incoming pod")
        }
        return "\(head)\(reasons). preemption: \(head)\(preemption.sorted().joined(separator: ", "))."
    }
}

/// Nodes by how few pods they run: a binary heap, so that a large group costs a logarithm per pod.
struct NodeQueue {
    struct Entry: Comparable {
        var owned: Int
        var total: Int
        let node: Int

        static func < (left: Self, right: Self) -> Bool {
            (left.owned, left.total, left.node) < (right.owned, right.total, right.node)
        }
    }

    private var heap: [Entry]

    init(_ entries: [Entry]) {
        heap = entries
        for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    }

    var first: Entry? { heap.first }

    mutating func removeFirst() {
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown(0)
        }
    }

    mutating func insert(_ entry: Entry) {
        heap.append(entry)
        var index = heap.count - 1
        while index > 0, heap[index] < heap[(index - 1) / 2] {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    /// The first node took one more pod.
    mutating func countPodOnFirst() {
        heap[0].owned += 1
        heap[0].total += 1
        siftDown(0)
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && heap[child] < heap[smallest] {
                smallest = child
            }
            if smallest == index { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }
}
