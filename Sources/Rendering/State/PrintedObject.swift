// What kubectl needs to know of a kind to print it: its names, its columns, and the object as a manifest. The columns
// follow kubernetes pkg/printers/internalversion/printers.go.

internal import Kubernetes

/// The names of a kind: `deployments`, `deployment`, `deploy`, of the group `apps`.
struct ResourceName: Hashable, Sendable {
    var plural: String
    var singular: String
    var short: [String] = []
    /// Empty for the core group.
    var group: String = ""
    var version = "v1"

    var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
    /// `deployments.apps`, as the API server's errors say it.
    var qualifiedPlural: String { group.isEmpty ? plural : "\(plural).\(group)" }
    /// `deployment.apps`, as `-o name` says it.
    var qualifiedSingular: String { group.isEmpty ? singular : "\(singular).\(group)" }

    /// Whether kubectl takes the word for this kind.
    func isMeant(by word: String) -> Bool {
        let word = word.lowercased()
        return word == plural || word == singular || short.contains(word) || word == qualifiedPlural
            || word == qualifiedSingular
    }
}

/// A column of a kind, shown always or only with `-o wide`.
struct PrintedColumn: Sendable {
    var heading: String
    var isWide = false

    init(_ heading: String, isWide: Bool = false) {
        self.heading = heading
        self.isWide = isWide
    }
}

/// A kind of object that `podnet get` shows.
protocol PrintedObject: KubernetesObject {
    static var resource: ResourceName { get }
    /// The columns behind NAME, without AGE where it is the last narrow one.
    static var columns: [PrintedColumn] { get }
    /// The objects of the kind in a realised cluster.
    static func all(in state: PrintedState) -> [Self]
    /// One cell for each column.
    func cells(_ state: PrintedState) -> [String]
    /// The fields beside apiVersion, kind and metadata.
    func fill(_ fields: inout ManifestFields)
}

extension PrintedObject {
    /// The object as `kubectl get -o yaml` prints it, in the fields podnet models.
    func manifest() -> JSONValue {
        var fields = ManifestFields()
        fields.set("apiVersion", text: Self.resource.apiVersion)
        fields.set("kind", text: Self.kind)
        fields.set("metadata", metadata.manifest)
        fill(&fields)
        return fields.value
    }
}

/// The kinds `podnet get` knows.
enum PrintedKinds {
    /// In the order `kubectl get all` prints them.
    static let workloads: [any PrintedObject.Type] = [
        Pod.self, ReplicationController.self, Service.self, DaemonSet.self, Deployment.self, ReplicaSet.self,
        StatefulSet.self, CronJob.self, Job.self,
    ]

    static let all: [any PrintedObject.Type] =
        workloads + [
            Node.self, Namespace.self, Endpoints.self, EndpointSlice.self, ConfigMap.self, NetworkPolicy.self,
            ServiceCIDR.self, Host.self, Underlay.self, Fault.self, Scenario.self,
        ]

    static func kind(named word: String) -> (any PrintedObject.Type)? { all.first { $0.resource.isMeant(by: word) } }
}

/// The objects and what columns count over them.
struct PrintedState {
    let store: ObjectStore
    let clock: AgeClock
    /// With `-o wide` nothing is shortened.
    let isWide: Bool
    /// Pods by the workload that controls them, found by `kind namespace/name`; never walked.
    private var podsByOwner: [String: [Int]] = [:]

    init(_ store: ObjectStore, isWide: Bool = false) {
        self.store = store
        self.isWide = isWide
        var clock = AgeClock()
        for pod in store.pods {
            clock.see(pod.metadata.creationTimestamp)
            clock.see(pod.status.startTime)
        }
        for node in store.nodes { clock.see(node.metadata.creationTimestamp) }
        for service in store.services { clock.see(service.metadata.creationTimestamp) }
        for deployment in store.deployments { clock.see(deployment.metadata.creationTimestamp) }
        self.clock = clock
        for (position, pod) in store.pods.enumerated() {
            guard let owner = pod.metadata.controller else { continue }
            podsByOwner["\(owner.kind) \(pod.metadata.namespace)/\(owner.name)", default: []].append(position)
        }
    }

    /// The pods a workload controls, finished ones included.
    func pods<Object: KubernetesObject>(of object: Object) -> [Pod] {
        (podsByOwner["\(Object.kind) \(object.key)"] ?? []).map { store.pods[$0] }
    }
}

/// Fields of a manifest. Empty values are left out, and names come out sorted, as kubectl prints them.
struct ManifestFields {
    private var members: [JSONValue.Member] = []

    mutating func set(_ name: String, _ value: JSONValue?) {
        if let value { members.append(JSONValue.Member(name, value)) }
    }

    mutating func set(_ name: String, text: String?) {
        if let text, !text.isEmpty { set(name, .string(text)) }
    }

    mutating func set(_ name: String, number: Int?) { set(name, number.map(JSONValue.number)) }

    mutating func set(_ name: String, flag: Bool?) { set(name, flag.map(JSONValue.bool)) }

    mutating func set(_ name: String, list: [JSONValue]) {
        if !list.isEmpty { set(name, .array(list)) }
    }

    mutating func set(_ name: String, texts: [String]) { set(name, list: texts.map(JSONValue.string)) }

    mutating func set(_ name: String, map: [String: String]) {
        if !map.isEmpty { set(name, JSONValue(map: map)) }
    }

    /// A nested object, left out when nothing is in it.
    mutating func set(_ name: String, _ fill: (inout ManifestFields) -> Void) {
        var nested = ManifestFields()
        fill(&nested)
        if !nested.members.isEmpty { set(name, nested.value) }
    }

    var value: JSONValue {
        .object(members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
    }

    /// An object from its fields.
    static func object(_ fill: (inout ManifestFields) -> Void) -> JSONValue {
        var fields = ManifestFields()
        fill(&fields)
        return fields.value
    }
}

extension JSONValue {
    init(map: [String: String]) {
        self = ManifestFields.object { fields in
            for (name, value) in map { fields.set(name, .string(value)) }
        }
    }
}
