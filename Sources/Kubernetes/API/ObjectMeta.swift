// The part every Kubernetes object shares: names, labels, owners (k8s.io/apimachinery meta/v1).
// Left out: resourceVersion, managedFields, finalizers. `origin` is ours: where in the input the object stood.

/// Where an object was read: which input file, and which item in it. Opaque here; Manifests maps it back to a line.
public struct ObjectOrigin: Hashable, Sendable {
    public var source: Int
    public var item: Int
    public init(source: Int, item: Int) {
        self.source = source
        self.item = item
    }
}

/// A reference from an owned object to its owner.
public struct OwnerReference: Hashable, Sendable {
    public var kind: String
    public var name: String
    public var uid: String = ""
    public var apiVersion: String = ""
    public var controller: Bool = true
    public init(kind: String, name: String, uid: String = "", apiVersion: String = "", controller: Bool = true) {
        self.kind = kind
        self.name = name
        self.uid = uid
        self.apiVersion = apiVersion
        self.controller = controller
    }
}

/// The `metadata` of an object.
public struct ObjectMeta: Hashable, Sendable {
    public var name: String = ""
    /// Empty for cluster-scoped kinds; `ObjectTable.insert` fills `default` in for namespaced ones.
    public var namespace: String = ""
    public var generateName: String = ""
    public var uid: String = ""
    public var labels: [String: String] = [:]
    public var annotations: [String: String] = [:]
    public var ownerReferences: [OwnerReference] = []
    public var creationTimestamp: String?
    public var deletionTimestamp: String?
    public var origin: ObjectOrigin?
    public init(
        name: String = "", namespace: String = "", generateName: String = "", uid: String = "",
        labels: [String: String] = [:], annotations: [String: String] = [:], ownerReferences: [OwnerReference] = [],
        creationTimestamp: String? = nil, deletionTimestamp: String? = nil, origin: ObjectOrigin? = nil
    ) {
        self.name = name
        self.namespace = namespace
        self.generateName = generateName
        self.uid = uid
        self.labels = labels
        self.annotations = annotations
        self.ownerReferences = ownerReferences
        self.creationTimestamp = creationTimestamp
        self.deletionTimestamp = deletionTimestamp
        self.origin = origin
    }

    /// The owner that manages this object, if any.
    public var controller: OwnerReference? { ownerReferences.first { $0.controller } ?? ownerReferences.first }
}

/// A namespace and a name: what identifies an object among those of its kind.
public struct ObjectKey: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Empty for cluster-scoped kinds.
    public var namespace: String
    public var name: String

    public init(namespace: String = "", name: String) {
        self.namespace = namespace
        self.name = name
    }

    public static func < (left: Self, right: Self) -> Bool {
        (left.namespace, left.name) < (right.namespace, right.name)
    }

    /// `namespace/name`, or the bare name of a cluster-scoped object.
    public var description: String { namespace.isEmpty ? name : "\(namespace)/\(name)" }
}

/// What the object store needs to know of a kind.
public protocol KubernetesObject: Hashable, Sendable {
    static var kind: String { get }
    static var isNamespaced: Bool { get }
    var metadata: ObjectMeta { get set }
}

extension KubernetesObject {
    public static var isNamespaced: Bool { true }
    public var key: ObjectKey { ObjectKey(namespace: metadata.namespace, name: metadata.name) }
}

/// A string with a few well-known values. Unknown values survive decoding, so that validation can name them.
public protocol OpenEnumeration: RawRepresentable, Hashable, Sendable, CustomStringConvertible
where RawValue == String {
    init(rawValue: String)
}

extension OpenEnumeration {
    public var description: String { rawValue }
}
