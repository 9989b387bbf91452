// What kube-apiserver, kube-controller-manager and kube-scheduler do to a freshly applied set of objects, run once to
// the end instead of as loops that watch: default, validate, allocate, expand workloads, place pods.
// Endpoint slices come later (EndpointSlices.reconcile), because pod addresses are given out on the nodes.

internal import Addressing

/// The control plane as one function over the objects.
public enum ControlPlane {
    /// Completes the objects: nodes, addresses, configurations, Services, pods of workloads, pod placement.
    /// Everything given is kept; the first thing the API server would refuse is thrown.
    public static func realiseObjects(
        _ store: inout ObjectStore, seed: UInt64
    ) throws(ObjectError) -> [ObjectWarning] {
        var warnings: [ObjectWarning] = []
        let isPortRangeStated = store.clusterConfiguration != nil
        NodeDefaults.addNodes(&store, &warnings)
        try NodeDefaults.validate(store)
        try UnderlayDefaults.apply(&store)
        try ClusterNetworks.resolve(&store, &warnings)
        try NodeCIDRAllocator.allocate(&store, &warnings)
        addNamespaces(&store)
        try ServiceDefaults.apply(&store, &warnings)
        try ServiceAllocator.allocate(&store, seed: seed, isPortRangeStated: isPortRangeStated, &warnings)
        try WorkloadValidation.validate(store)
        try WorkloadController.expand(&store, seed: seed)
        try PodValidation.validateAddresses(store, &warnings)
        Scheduler.placePods(&store, &warnings)
        assignUIDs(&store, seed: seed)
        return warnings
    }

    /// Adds the namespaces every cluster has and those that objects live in: a file applied to a real cluster would
    /// have created or found them.
    static func addNamespaces(_ store: inout ObjectStore) {
        func add(_ name: String) {
            let key = ObjectKey(name: name)
            if store.namespaces.position(of: key) == nil {
                store.namespaces.insert(Namespace(metadata: ObjectMeta(name: name)))
            }
        }
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] { add(name) }
        func addAll<Object>(_ table: ObjectTable<Object>) {
            var previous = ""
            for object in table where object.metadata.namespace != previous {
                previous = object.metadata.namespace
                add(previous)
            }
        }
        addAll(store.services)
        addAll(store.deployments)
        addAll(store.replicaSets)
        addAll(store.replicationControllers)
        addAll(store.statefulSets)
        addAll(store.daemonSets)
        addAll(store.jobs)
        addAll(store.cronJobs)
        addAll(store.pods)
        addAll(store.endpoints)
        addAll(store.endpointSlices)
        addAll(store.configMaps)
        addAll(store.networkPolicies)
    }

    /// The UID an object without one gets under a seed.
    static func uid<Object: KubernetesObject>(of object: Object, seed: UInt64) -> String {
        var generator = SeededGenerator(seed: seed, stream: "uid \(Object.kind) \(object.key)")
        return generator.uuid()
    }

    static func assignUIDs(_ store: inout ObjectStore, seed: UInt64) {
        func assign<Object>(_ table: inout ObjectTable<Object>) {
            for position in table.indices where table[position].metadata.uid.isEmpty {
                table[position].metadata.uid = uid(of: table[position], seed: seed)
            }
        }
        assign(&store.nodes)
        assign(&store.services)
        assign(&store.deployments)
        assign(&store.replicaSets)
        assign(&store.replicationControllers)
        assign(&store.statefulSets)
        assign(&store.daemonSets)
        assign(&store.jobs)
        assign(&store.pods)
    }
}
