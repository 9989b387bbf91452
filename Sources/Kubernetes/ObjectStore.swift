// The objects of one cluster, by kind, in input order: what etcd holds, without versions and watches.
// Lookups by namespace and name go through an index; iteration is always array order, so output never depends on
// hashing.

internal import Addressing

/// All objects of one kind in input order.
public struct ObjectTable<Object: KubernetesObject>: Sendable, RandomAccessCollection {
    private var objects: [Object] = []
    private var positions: [ObjectKey: Int] = [:]

    public init() {}

    public var startIndex: Int { 0 }
    public var endIndex: Int { objects.count }

    /// The object at a position. Changing it must not change its namespace or name.
    public subscript(position: Int) -> Object {
        get { objects[position] }
        _modify {
            let key = objects[position].key
            yield &objects[position]
            precondition(objects[position].key == key, "an object in the store keeps its name")
        }
    }

    /// The position of the object of that name.
    public func position(of key: ObjectKey) -> Int? { positions[key] }

    /// The object of that name.
    public subscript(key: ObjectKey) -> Object? { positions[key].map { objects[$0] } }
    public subscript(namespace: String, name: String) -> Object? {
        self[ObjectKey(namespace: namespace, name: name)]
    }

    /// Adds an object; a namespaced one without a namespace goes to `default`. One of the same name is replaced in
    /// its place, as `kubectl apply` would, and returned.
    @discardableResult
    public mutating func insert(_ object: Object) -> Object? {
        var object = object
        if !Object.isNamespaced {
            object.metadata.namespace = ""
        } else if object.metadata.namespace.isEmpty {
            object.metadata.namespace = "default"
        }
        if object.metadata.name.isEmpty, !object.metadata.generateName.isEmpty {
            // As the API server would; drawn from the place in the input, since there is no seed yet.
            var generator = SeededGenerator(seed: 0, stream: "\(object.metadata.generateName) \(objects.count)")
            repeat {
                object.metadata.name = object.metadata.generateName + generator.nameSuffix()
            } while positions[object.key] != nil
        }
        let key = object.key
        if let position = positions[key] {
            let previous = objects[position]
            objects[position] = object
            return previous
        }
        positions[key] = objects.count
        objects.append(object)
        return nil
    }

    public mutating func reserveCapacity(_ capacity: Int) {
        objects.reserveCapacity(capacity)
        positions.reserveCapacity(capacity)
    }

    /// Removes the objects for which the test holds, keeping the order of the others.
    public mutating func removeAll(where shouldRemove: (Object) -> Bool) {
        guard objects.contains(where: shouldRemove) else { return }
        objects.removeAll(where: shouldRemove)
        positions.removeAll(keepingCapacity: true)
        for (position, object) in objects.enumerated() { positions[object.key] = position }
    }
}

extension ObjectTable: Equatable {
    public static func == (left: Self, right: Self) -> Bool { left.objects == right.objects }
}

/// The objects that describe one cluster and what stands around it.
public struct ObjectStore: Sendable, Equatable {
    public var namespaces = ObjectTable<Namespace>()
    public var nodes = ObjectTable<Node>()
    public var pods = ObjectTable<Pod>()
    public var deployments = ObjectTable<Deployment>()
    public var replicaSets = ObjectTable<ReplicaSet>()
    public var replicationControllers = ObjectTable<ReplicationController>()
    public var statefulSets = ObjectTable<StatefulSet>()
    public var daemonSets = ObjectTable<DaemonSet>()
    public var jobs = ObjectTable<Job>()
    public var cronJobs = ObjectTable<CronJob>()
    public var services = ObjectTable<Service>()
    public var endpoints = ObjectTable<Endpoints>()
    public var endpointSlices = ObjectTable<EndpointSlice>()
    public var configMaps = ObjectTable<ConfigMap>()
    public var networkPolicies = ObjectTable<NetworkPolicy>()
    public var serviceCIDRs = ObjectTable<ServiceCIDR>()
    public var hosts = ObjectTable<Host>()
    public var faults = ObjectTable<Fault>()
    public var scenarios = ObjectTable<Scenario>()

    /// Nil when the input has none; `ControlPlane.realiseObjects` fills all four with what applies.
    public var clusterConfiguration: ClusterConfiguration?
    public var kubeProxyConfiguration: KubeProxyConfiguration?
    public var flannelConfiguration: FlannelConfiguration?
    public var underlay: Underlay?

    /// The slices EndpointSlices.reconcile made, to be replaced the next time; never iterated.
    var generatedEndpointSlices: Set<ObjectKey> = []

    public init() {}
}
