// Namespaces and nodes (k8s.io/api core/v1): what the scheduler, the pod CIDR allocator and the node agents read.
// Left out: images, volumes, node configuration, most of nodeInfo.

public import Addressing

/// A namespace. One that is used but not given is taken as existing.
public struct Namespace: KubernetesObject {
    public static let kind = "Namespace"
    public static let isNamespaced = false
    public var metadata: ObjectMeta
    public var phase: String = "Active"
    public init(metadata: ObjectMeta, phase: String = "Active") {
        self.metadata = metadata
        self.phase = phase
    }
}

/// A taint keeps pods without a matching toleration away from a node.
public struct Taint: Hashable, Sendable, CustomStringConvertible {
    public struct Effect: OpenEnumeration {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        public static let noSchedule = Effect(rawValue: "NoSchedule")
        public static let preferNoSchedule = Effect(rawValue: "PreferNoSchedule")
        public static let noExecute = Effect(rawValue: "NoExecute")
    }

    public var key: String
    public var value: String = ""
    public var effect: Effect
    public init(key: String, value: String = "", effect: Effect) {
        self.key = key
        self.value = value
        self.effect = effect
    }

    /// `key=value:effect`, as kubectl prints it.
    public var description: String { value.isEmpty ? "\(key):\(effect)" : "\(key)=\(value):\(effect)" }
}

/// One entry of `status.addresses`.
public struct NodeAddress: Hashable, Sendable {
    public struct AddressType: OpenEnumeration {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        public static let internalIP = AddressType(rawValue: "InternalIP")
        public static let externalIP = AddressType(rawValue: "ExternalIP")
        public static let hostname = AddressType(rawValue: "Hostname")
    }

    public var type: AddressType
    public var address: String
    public init(type: AddressType, address: String) {
        self.type = type
        self.address = address
    }
}

/// A condition of a node or a pod: `Ready=False (ContainersNotReady)`.
public struct Condition: Hashable, Sendable {
    public var type: String
    /// `True`, `False` or `Unknown`.
    public var status: String
    public var reason: String = ""
    public var message: String = ""
    public init(type: String, status: String, reason: String = "", message: String = "") {
        self.type = type
        self.status = status
        self.reason = reason
        self.message = message
    }
}

public struct NodeSpec: Hashable, Sendable {
    /// One per family, the first being `podCIDR` of the API.
    public var podCIDRs: [IPPrefix] = []
    public var unschedulable: Bool = false
    public var taints: [Taint] = []
    public var providerID: String = ""
    public init(
        podCIDRs: [IPPrefix] = [], unschedulable: Bool = false, taints: [Taint] = [], providerID: String = ""
    ) {
        self.podCIDRs = podCIDRs
        self.unschedulable = unschedulable
        self.taints = taints
        self.providerID = providerID
    }

    public var podCIDR: IPPrefix? { podCIDRs.first }
}

public struct NodeInfo: Hashable, Sendable {
    public var kubeletVersion: String = ""
    public var osImage: String = ""
    public var kernelVersion: String = ""
    public var containerRuntimeVersion: String = ""
    public var architecture: String = ""
    public var operatingSystem: String = ""
    public init(
        kubeletVersion: String = "", osImage: String = "", kernelVersion: String = "",
        containerRuntimeVersion: String = "", architecture: String = "", operatingSystem: String = ""
    ) {
        self.kubeletVersion = kubeletVersion
        self.osImage = osImage
        self.kernelVersion = kernelVersion
        self.containerRuntimeVersion = containerRuntimeVersion
        self.architecture = architecture
        self.operatingSystem = operatingSystem
    }
}

public struct NodeStatus: Hashable, Sendable {
    public var addresses: [NodeAddress] = []
    public var conditions: [Condition] = []
    /// Nil when the node states none; the scheduler then checks no resources.
    public var allocatable: ResourceList?
    public var capacity: ResourceList?
    public var nodeInfo: NodeInfo = NodeInfo()
    public init(
        addresses: [NodeAddress] = [], conditions: [Condition] = [], allocatable: ResourceList? = nil,
        capacity: ResourceList? = nil, nodeInfo: NodeInfo = NodeInfo()
    ) {
        self.addresses = addresses
        self.conditions = conditions
        self.allocatable = allocatable
        self.capacity = capacity
        self.nodeInfo = nodeInfo
    }
}

/// A machine of the cluster.
public struct Node: KubernetesObject {
    public static let kind = "Node"
    public static let isNamespaced = false
    public static let controlPlaneLabel = "node-role.kubernetes.io/control-plane"
    /// A node's interfaces with their addresses, where its InternalIP is not all there is to say.
    public static let interfacesAnnotation = "podnet.dev/interfaces"
    public static let hostnameLabel = "kubernetes.io/hostname"
    public static let zoneLabel = "topology.kubernetes.io/zone"

    public var metadata: ObjectMeta
    public var spec: NodeSpec = NodeSpec()
    public var status: NodeStatus = NodeStatus()
    public init(metadata: ObjectMeta, spec: NodeSpec = NodeSpec(), status: NodeStatus = NodeStatus()) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    public var name: String { metadata.name }
    public var zone: String? { metadata.labels[Node.zoneLabel] }

    /// The parsable InternalIP addresses in the order given.
    public var internalIPs: [IPAddress] {
        status.addresses.filter { $0.type == .internalIP }.compactMap { IPAddress($0.address) }
    }

    /// The first pod CIDR of the family.
    public func podCIDR(_ family: AddressFamily) -> IPPrefix? { spec.podCIDRs.first { $0.family == family } }

    /// The first InternalIP of the family.
    public func internalIP(_ family: AddressFamily) -> IPAddress? { internalIPs.first { $0.family == family } }

    /// The first InternalIP of either family.
    public var internalIP: IPAddress? { internalIPs.first }
}
