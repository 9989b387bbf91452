// Who stands behind a Service (k8s.io/api discovery/v1 EndpointSlice, and core/v1 Endpoints that older input still
// has). A legacy Endpoints object is mirrored into slices when no slice exists for its Service.

public import Addressing

/// A reference to the object behind an endpoint, normally a pod.
public struct ObjectReference: Hashable, Sendable {
    public var kind: String
    public var namespace: String = ""
    public var name: String
    public var uid: String = ""
    public init(kind: String, namespace: String = "", name: String, uid: String = "") {
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.uid = uid
    }
}

/// Absent conditions mean: ready, serving, not terminating.
public struct EndpointConditions: Hashable, Sendable {
    public var ready: Bool?
    public var serving: Bool?
    public var terminating: Bool?
    public init(ready: Bool? = nil, serving: Bool? = nil, terminating: Bool? = nil) {
        self.ready = ready
        self.serving = serving
        self.terminating = terminating
    }

    public var isReady: Bool { ready ?? true }
    /// Absent serving follows from absent ready in the API's words; kube-proxy takes it as true.
    public var isServing: Bool { serving ?? true }
    public var isTerminating: Bool { terminating ?? false }
}

public struct Endpoint: Hashable, Sendable {
    /// Interchangeable addresses of one endpoint; agents use the first.
    public var addresses: [String]
    public var conditions: EndpointConditions = EndpointConditions()
    public var hostname: String = ""
    /// Empty when the endpoint is on no known node.
    public var nodeName: String = ""
    public var zone: String = ""
    public var targetRef: ObjectReference?
    public var hintZones: [String] = []
    public var hintNodes: [String] = []
    public init(
        addresses: [String], conditions: EndpointConditions = EndpointConditions(), hostname: String = "",
        nodeName: String = "", zone: String = "", targetRef: ObjectReference? = nil, hintZones: [String] = [],
        hintNodes: [String] = []
    ) {
        self.addresses = addresses
        self.conditions = conditions
        self.hostname = hostname
        self.nodeName = nodeName
        self.zone = zone
        self.targetRef = targetRef
        self.hintZones = hintZones
        self.hintNodes = hintNodes
    }

    /// The first address, unless it is a domain name.
    public var address: IPAddress? { addresses.first.flatMap { IPAddress($0) } }
}

public struct EndpointPort: Hashable, Sendable {
    /// Nil is a port kube-proxy skips; an unnamed port has the empty name.
    public var name: String?
    public var port: Int?
    public var `protocol`: PortProtocol = .tcp
    public var appProtocol: String = ""
    public init(name: String? = nil, port: Int? = nil, `protocol`: PortProtocol = .tcp, appProtocol: String = "") {
        self.name = name
        self.port = port
        self.protocol = `protocol`
        self.appProtocol = appProtocol
    }
}

/// Up to a hundred endpoints of one Service with one set of ports.
public struct EndpointSlice: KubernetesObject {
    public static let kind = "EndpointSlice"
    public static let serviceNameLabel = "kubernetes.io/service-name"
    public static let managedByLabel = "endpointslice.kubernetes.io/managed-by"

    public var metadata: ObjectMeta
    /// `IPv4`, `IPv6` or `FQDN`.
    public var addressType: String = "IPv4"
    public var ports: [EndpointPort] = []
    public var endpoints: [Endpoint] = []
    public init(
        metadata: ObjectMeta, addressType: String = "IPv4", ports: [EndpointPort] = [], endpoints: [Endpoint] = []
    ) {
        self.metadata = metadata
        self.addressType = addressType
        self.ports = ports
        self.endpoints = endpoints
    }

    /// The Service this slice belongs to; empty if it names none.
    public var serviceName: String { metadata.labels[EndpointSlice.serviceNameLabel] ?? "" }

    public var family: AddressFamily? { IPFamily(rawValue: addressType).addressFamily }
}

public struct EndpointAddress: Hashable, Sendable {
    public var ip: String
    public var hostname: String = ""
    public var nodeName: String = ""
    public var targetRef: ObjectReference?
    public init(ip: String, hostname: String = "", nodeName: String = "", targetRef: ObjectReference? = nil) {
        self.ip = ip
        self.hostname = hostname
        self.nodeName = nodeName
        self.targetRef = targetRef
    }
}

public struct EndpointSubset: Hashable, Sendable {
    public var addresses: [EndpointAddress] = []
    public var notReadyAddresses: [EndpointAddress] = []
    public var ports: [EndpointPort] = []
    public init(
        addresses: [EndpointAddress] = [], notReadyAddresses: [EndpointAddress] = [], ports: [EndpointPort] = []
    ) {
        self.addresses = addresses
        self.notReadyAddresses = notReadyAddresses
        self.ports = ports
    }
}

/// The older form of the same knowledge; its name is the Service's.
public struct Endpoints: KubernetesObject {
    public static let kind = "Endpoints"
    public var metadata: ObjectMeta
    public var subsets: [EndpointSubset] = []
    public init(metadata: ObjectMeta, subsets: [EndpointSubset] = []) {
        self.metadata = metadata
        self.subsets = subsets
    }
}
