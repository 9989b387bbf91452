// From workloads to pods (kubernetes pkg/controller/{deployment,replicaset,statefulset,daemon,job}): the end state of a
// rollout, without its steps. Pods that the input already has are counted, never made twice. CronJobs make nothing.

internal import Addressing

struct WorkloadController {
    private let seed: UInt64
    /// Living pods by the owner they name.
    private var owned: [OwnerKey: [Int]] = [:]
    /// Pods of no owner, which a ReplicaSet may adopt.
    private var orphans: PodIndex
    private var adopted: Set<Int> = []

    private struct OwnerKey: Hashable {
        let namespace: String
        let kind: String
        let name: String
    }

    static func expand(_ store: inout ObjectStore, seed: UInt64) throws(ObjectError) {
        var controller = WorkloadController(store, seed: seed)
        try controller.expandDeployments(&store)
        try controller.expandReplicaSets(&store)
        try controller.expandReplicationControllers(&store)
        try controller.expandStatefulSets(&store)
        try controller.expandDaemonSets(&store)
        try controller.expandJobs(&store)
    }

    private init(_ store: ObjectStore, seed: UInt64) {
        self.seed = seed
        orphans = PodIndex(store.pods) { $0.metadata.ownerReferences.isEmpty && !$0.isFinished }
        for (position, pod) in store.pods.enumerated() {
            guard let owner = pod.metadata.controller, !pod.isFinished, !pod.isTerminating else { continue }
            let key = OwnerKey(namespace: pod.metadata.namespace, kind: owner.kind, name: owner.name)
            owned[key, default: []].append(position)
        }
    }

    private func pods<Object: KubernetesObject>(of object: Object) -> [Int] {
        owned[OwnerKey(namespace: object.metadata.namespace, kind: Object.kind, name: object.metadata.name)] ?? []
    }

    private func generator<Object: KubernetesObject>(for object: Object) -> SeededGenerator {
        SeededGenerator(seed: seed, stream: "pods \(Object.kind) \(object.key)")
    }

    // MARK: Deployments

    private mutating func expandDeployments(_ store: inout ObjectStore) throws(ObjectError) {
        var setsByDeployment: [ObjectKey: [Int]] = [:]
        for (position, set) in store.replicaSets.enumerated() {
            guard let owner = set.metadata.controller, owner.kind == Deployment.kind else { continue }
            let key = ObjectKey(namespace: set.metadata.namespace, name: owner.name)
            setsByDeployment[key, default: []].append(position)
        }
        // A dump without ReplicaSets still shows their names in the pods' owners.
        var setNames: [ObjectKey: [String]] = [:]
        for pod in store.pods {
            guard let owner = pod.metadata.controller, owner.kind == ReplicaSet.kind, !pod.isFinished,
                let dash = owner.name.lastIndex(of: "-"),
                store.replicaSets[pod.metadata.namespace, owner.name] == nil
            else { continue }
            let key = ObjectKey(namespace: pod.metadata.namespace, name: String(owner.name[..<dash]))
            if setNames[key]?.contains(owner.name) != true { setNames[key, default: []].append(owner.name) }
        }
        for position in store.deployments.indices {
            let deployment = store.deployments[position]
            let wanted = deployment.replicas ?? 1
            var sets = setsByDeployment[deployment.key] ?? []
            for name in setNames[deployment.key] ?? [] {
                var set = replicaSet(of: deployment, name: name, hash: nil)
                set.replicas = pods(of: set).count
                store.replicaSets.insert(set)
                if let inserted = store.replicaSets.position(of: set.key) { sets.append(inserted) }
            }
            if sets.isEmpty {
                let hash = TemplateHash.of(deployment.template)
                var set = replicaSet(of: deployment, name: "\(deployment.metadata.name)-\(hash)", hash: hash)
                set.replicas = wanted
                if let foreign = store.replicaSets[set.key] {
                    throw ObjectError(
                        foreign, FieldPath("metadata", "name"),
                        FieldMessage.duplicate("\"\(set.metadata.name)\""),
                        hint: "Deployment \(deployment.key) needs this name for its own ReplicaSet")
                }
                store.replicaSets.insert(set)
            } else {
                let current = newest(sets, store)
                let others = sets.filter { $0 != current }.reduce(0) { $0 + (store.replicaSets[$1].replicas ?? 1) }
                store.replicaSets[current].replicas = max(0, wanted - others)
            }
        }
    }

    /// The ReplicaSet of the present template: the highest revision, or without revisions the largest.
    private func newest(_ sets: [Int], _ store: ObjectStore) -> Int {
        func rank(_ position: Int) -> (Int, Int) {
            let set = store.replicaSets[position]
            let revision = set.metadata.annotations["deployment.kubernetes.io/revision"].flatMap { Int($0) }
            return (revision ?? 0, set.replicas ?? 1)
        }
        return sets.dropFirst().reduce(sets[0]) { rank($1) > rank($0) ? $1 : $0 }
    }

    private func replicaSet(of deployment: Deployment, name: String, hash: String?) -> ReplicaSet {
        var template = deployment.template
        var selector = deployment.selector ?? LabelSelector()
        let suffix = name.lastIndex(of: "-").map { String(name[name.index(after: $0)...]) } ?? ""
        template.metadata.labels["pod-template-hash"] = hash ?? suffix
        selector.matchLabels["pod-template-hash"] = hash ?? suffix
        return ReplicaSet(
            metadata: ObjectMeta(
                name: name, namespace: deployment.metadata.namespace, labels: template.metadata.labels,
                annotations: ["deployment.kubernetes.io/revision": "1"],
                ownerReferences: [owner(deployment, "apps/v1")], origin: deployment.metadata.origin),
            selector: selector, template: template)
    }

    // MARK: The others

    private mutating func expandReplicaSets(_ store: inout ObjectStore) throws(ObjectError) {
        for position in store.replicaSets.indices {
            let set = store.replicaSets[position]
            let selector = set.selector ?? LabelSelector(matchLabels: set.template.metadata.labels)
            try expandReplicas(set, selector, set.template, set.replicas ?? 1, "apps/v1", &store)
        }
    }

    private mutating func expandReplicationControllers(_ store: inout ObjectStore) throws(ObjectError) {
        for position in store.replicationControllers.indices {
            let set = store.replicationControllers[position]
            let labels = set.selector.isEmpty ? set.template.metadata.labels : set.selector
            let selector = LabelSelector(matchLabels: labels)
            try expandReplicas(set, selector, set.template, set.replicas ?? 1, "v1", &store)
        }
    }

    private mutating func expandReplicas<Object: KubernetesObject>(
        _ object: Object, _ selector: LabelSelector, _ template: PodTemplateSpec, _ replicas: Int,
        _ apiVersion: String, _ store: inout ObjectStore
    ) throws(ObjectError) {
        var have = pods(of: object).count
        let reference = owner(object, apiVersion)
        // An empty selector would adopt every pod of the namespace; validation refuses it where it can be written.
        if have < replicas, !selector.isEmpty {
            for position in orphans.select(selector, namespace: object.metadata.namespace, in: store.pods)
            where have < replicas && !store.pods[position].isTerminating && adopted.insert(position).inserted {
                store.pods[position].metadata.ownerReferences = [reference]
                have += 1
            }
        }
        guard have < replicas else { return }
        var generator = generator(for: object)
        let base = pod(from: template, of: object, reference)
        for _ in have..<replicas { insertRandomlyNamed(base, object.metadata.name, &generator, &store) }
    }

    private func expandStatefulSets(_ store: inout ObjectStore) throws(ObjectError) {
        for set in store.statefulSets {
            let base = pod(from: set.template, of: set, owner(set, "apps/v1"))
            for ordinal in 0..<max(0, set.replicas ?? 1) {
                let index = set.firstOrdinal + ordinal
                let name = "\(set.metadata.name)-\(index)"
                if let given = store.pods[set.metadata.namespace, name] {
                    if given.metadata.controller?.name == set.metadata.name { continue }
                    throw ObjectError(
                        given, FieldPath("metadata", "name"), FieldMessage.duplicate("\"\(name)\""),
                        hint: "StatefulSet \(set.key) needs this name for its own pod")
                }
                var pod = base
                pod.metadata.name = name
                pod.metadata.labels["statefulset.kubernetes.io/pod-name"] = name
                pod.metadata.labels["apps.kubernetes.io/pod-index"] = String(index)
                pod.spec.hostname = name
                pod.spec.subdomain = set.serviceName
                store.pods.insert(pod)
            }
        }
    }

    private func expandDaemonSets(_ store: inout ObjectStore) throws(ObjectError) {
        for set in store.daemonSets {
            var base = pod(from: set.template, of: set, owner(set, "apps/v1"))
            base.spec.tolerations += Self.daemonTolerations(hostNetwork: base.spec.hostNetwork)
            var covered: Set<String> = []
            for position in pods(of: set) {
                let pod = store.pods[position]
                covered.insert(pod.isScheduled ? pod.spec.nodeName : NodeFilter.pinnedNode(pod.spec) ?? "")
            }
            var generator = generator(for: set)
            let filter = NodeFilter(base.spec)
            for node in store.nodes where !covered.contains(node.name) && filter.admits(node) {
                var pod = base
                let field = LabelRequirement(key: "metadata.name", operator: .in, values: [node.name])
                var affinity = pod.spec.affinity ?? Affinity()
                // The controller replaces the required terms: it has looked at them already.
                affinity.requiredNodeTerms = [NodeSelectorTerm(matchFields: [field])]
                pod.spec.affinity = affinity
                insertRandomlyNamed(pod, set.metadata.name, &generator, &store)
            }
        }
    }

    /// What the DaemonSet controller adds to every pod, so that a node in trouble keeps its daemons.
    private static func daemonTolerations(hostNetwork: Bool) -> [Toleration] {
        var tolerations = ["not-ready", "unreachable"].map {
            Toleration(key: "node.kubernetes.io/\($0)", operator: "Exists", effect: .noExecute)
        }
        for name in ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"]
            + (hostNetwork ? ["network-unavailable"] : [])
        {
            tolerations.append(
                Toleration(key: "node.kubernetes.io/\(name)", operator: "Exists", effect: .noSchedule))
        }
        return tolerations
    }

    private func expandJobs(_ store: inout ObjectStore) throws(ObjectError) {
        for job in store.jobs where !job.suspend {
            let parallelism = job.parallelism ?? 1
            let open = max(0, (job.completions ?? (job.parallelism ?? 1)) - job.succeeded)
            let wanted = min(parallelism, open)
            let have = pods(of: job).count
            guard have < wanted else { continue }
            var base = pod(from: job.template, of: job, owner(job, "batch/v1"))
            base.metadata.labels["batch.kubernetes.io/job-name"] = job.metadata.name
            base.metadata.labels["job-name"] = job.metadata.name
            if base.spec.restartPolicy == "Always" { base.spec.restartPolicy = "Never" }
            var generator = generator(for: job)
            for index in have..<wanted {
                var pod = base
                var stem = job.metadata.name
                if job.completionMode == "Indexed" {
                    stem += "-\(index + job.succeeded)"
                    pod.metadata.annotations["batch.kubernetes.io/job-completion-index"] =
                        String(index + job.succeeded)
                }
                insertRandomlyNamed(pod, stem, &generator, &store)
            }
        }
    }

    // MARK: Pods

    private func owner<Object: KubernetesObject>(_ object: Object, _ apiVersion: String) -> OwnerReference {
        let uid = object.metadata.uid.isEmpty ? ControlPlane.uid(of: object, seed: seed) : object.metadata.uid
        return OwnerReference(kind: Object.kind, name: object.metadata.name, uid: uid, apiVersion: apiVersion)
    }

    private func pod<Object: KubernetesObject>(
        from template: PodTemplateSpec, of object: Object, _ reference: OwnerReference
    ) -> Pod {
        Pod(
            metadata: ObjectMeta(
                namespace: object.metadata.namespace, labels: template.metadata.labels,
                annotations: template.metadata.annotations, ownerReferences: [reference],
                origin: object.metadata.origin),
            spec: template.spec)
    }

    private func insertRandomlyNamed(
        _ pod: Pod, _ stem: String, _ generator: inout SeededGenerator, _ store: inout ObjectStore
    ) {
        // The base is cut so that base and suffix fit into a DNS label of 63 characters.
        let base = String(decoding: "\(stem)-".utf8.prefix(58), as: UTF8.self)
        var pod = pod
        pod.metadata.generateName = "\(stem)-"
        repeat { pod.metadata.name = base + generator.nameSuffix() } while store.pods.position(of: pod.key) != nil
        store.pods.insert(pod)
    }
}
