// Services (k8s.io/api core/v1): one address and port in front of many pods. Every field of the specification is here;
// values stay as written, so that validation can quote them, with typed views beside where agents need addresses.

public import Addressing

/// A number or the name of a container port.
public enum IntOrString: Hashable, Sendable, CustomStringConvertible {
    case int(Int)
    case string(String)

    public var description: String {
        switch self {
        case .int(let number): String(number)
        case .string(let text): text
        }
    }
}

public struct ServiceType: OpenEnumeration {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let clusterIP = ServiceType(rawValue: "ClusterIP")
    public static let nodePort = ServiceType(rawValue: "NodePort")
    public static let loadBalancer = ServiceType(rawValue: "LoadBalancer")
    public static let externalName = ServiceType(rawValue: "ExternalName")
}

/// `Cluster` or `Local`, for external and for internal traffic.
public struct TrafficPolicy: OpenEnumeration {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let cluster = TrafficPolicy(rawValue: "Cluster")
    public static let local = TrafficPolicy(rawValue: "Local")
}

public struct SessionAffinity: OpenEnumeration {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let none = SessionAffinity(rawValue: "None")
    public static let clientIP = SessionAffinity(rawValue: "ClientIP")
}

public struct IPFamilyPolicy: OpenEnumeration {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let singleStack = IPFamilyPolicy(rawValue: "SingleStack")
    public static let preferDualStack = IPFamilyPolicy(rawValue: "PreferDualStack")
    public static let requireDualStack = IPFamilyPolicy(rawValue: "RequireDualStack")
}

/// `IPv4` or `IPv6`, in the spelling of the API.
public struct IPFamily: OpenEnumeration {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let ipv4 = IPFamily(rawValue: "IPv4")
    public static let ipv6 = IPFamily(rawValue: "IPv6")

    public init(_ family: AddressFamily) { self = family == .ipv4 ? .ipv4 : .ipv6 }

    public var addressFamily: AddressFamily? { self == .ipv4 ? .ipv4 : self == .ipv6 ? .ipv6 : nil }
}

public struct ServicePort: Hashable, Sendable {
    public var name: String = ""
    public var `protocol`: PortProtocol = .tcp
    public var port: Int
    /// Nil means the same number as `port`; defaulting fills it in.
    public var targetPort: IntOrString?
    /// Nil or 0 means none given.
    public var nodePort: Int?
    public var appProtocol: String = ""
    public init(
        name: String = "", `protocol`: PortProtocol = .tcp, port: Int, targetPort: IntOrString? = nil,
        nodePort: Int? = nil, appProtocol: String = ""
    ) {
        self.name = name
        self.protocol = `protocol`
        self.port = port
        self.targetPort = targetPort
        self.nodePort = nodePort
        self.appProtocol = appProtocol
    }
}

public struct ServiceSpec: Hashable, Sendable {
    public var type: ServiceType = .clusterIP
    /// Nil and empty both mean: no endpoints are managed for this Service.
    public var selector: [String: String] = [:]
    public var ports: [ServicePort] = []
    /// Empty, `None`, or an address.
    public var clusterIP: String = ""
    public var clusterIPs: [String] = []
    public var ipFamilies: [IPFamily] = []
    public var ipFamilyPolicy: IPFamilyPolicy?
    public var externalIPs: [String] = []
    public var externalName: String = ""
    public var loadBalancerIP: String = ""
    public var loadBalancerSourceRanges: [String] = []
    public var loadBalancerClass: String = ""
    public var allocateLoadBalancerNodePorts: Bool?
    public var healthCheckNodePort: Int?
    public var externalTrafficPolicy: TrafficPolicy?
    public var internalTrafficPolicy: TrafficPolicy?
    public var sessionAffinity: SessionAffinity = .none
    /// `sessionAffinityConfig.clientIP.timeoutSeconds`.
    public var sessionAffinityTimeoutSeconds: Int?
    public var publishNotReadyAddresses: Bool = false
    public var trafficDistribution: String = ""
    public init(
        type: ServiceType = .clusterIP, selector: [String: String] = [:], ports: [ServicePort] = [],
        clusterIP: String = "", clusterIPs: [String] = [], ipFamilies: [IPFamily] = [],
        ipFamilyPolicy: IPFamilyPolicy? = nil, externalIPs: [String] = [], externalName: String = "",
        loadBalancerIP: String = "", loadBalancerSourceRanges: [String] = [], loadBalancerClass: String = "",
        allocateLoadBalancerNodePorts: Bool? = nil, healthCheckNodePort: Int? = nil,
        externalTrafficPolicy: TrafficPolicy? = nil, internalTrafficPolicy: TrafficPolicy? = nil,
        sessionAffinity: SessionAffinity = .none, sessionAffinityTimeoutSeconds: Int? = nil,
        publishNotReadyAddresses: Bool = false, trafficDistribution: String = ""
    ) {
        self.type = type
        self.selector = selector
        self.ports = ports
        self.clusterIP = clusterIP
        self.clusterIPs = clusterIPs
        self.ipFamilies = ipFamilies
        self.ipFamilyPolicy = ipFamilyPolicy
        self.externalIPs = externalIPs
        self.externalName = externalName
        self.loadBalancerIP = loadBalancerIP
        self.loadBalancerSourceRanges = loadBalancerSourceRanges
        self.loadBalancerClass = loadBalancerClass
        self.allocateLoadBalancerNodePorts = allocateLoadBalancerNodePorts
        self.healthCheckNodePort = healthCheckNodePort
        self.externalTrafficPolicy = externalTrafficPolicy
        self.internalTrafficPolicy = internalTrafficPolicy
        self.sessionAffinity = sessionAffinity
        self.sessionAffinityTimeoutSeconds = sessionAffinityTimeoutSeconds
        self.publishNotReadyAddresses = publishNotReadyAddresses
        self.trafficDistribution = trafficDistribution
    }
}

/// One entry of `status.loadBalancer.ingress`.
public struct LoadBalancerIngress: Hashable, Sendable {
    public var ip: String = ""
    public var hostname: String = ""
    /// `VIP` or `Proxy`; empty means VIP.
    public var ipMode: String = ""
    public init(ip: String = "", hostname: String = "", ipMode: String = "") {
        self.ip = ip
        self.hostname = hostname
        self.ipMode = ipMode
    }
}

/// A Service.
public struct Service: KubernetesObject {
    public static let kind = "Service"
    public static let proxyNameLabel = "service.kubernetes.io/service-proxy-name"
    public static let headlessLabel = "service.kubernetes.io/headless"

    public var metadata: ObjectMeta
    public var spec: ServiceSpec = ServiceSpec()
    /// `status.loadBalancer.ingress`.
    public var loadBalancerIngress: [LoadBalancerIngress] = []
    public init(
        metadata: ObjectMeta, spec: ServiceSpec = ServiceSpec(), loadBalancerIngress: [LoadBalancerIngress] = []
    ) {
        self.metadata = metadata
        self.spec = spec
        self.loadBalancerIngress = loadBalancerIngress
    }

    /// `clusterIP: None`.
    public var isHeadless: Bool { spec.clusterIP == "None" || spec.clusterIPs.first == "None" }

    /// The cluster IPs as addresses; empty for headless and ExternalName Services.
    public var clusterAddresses: [IPAddress] {
        guard spec.type != .externalName, !isHeadless else { return [] }
        let texts = spec.clusterIPs.isEmpty && !spec.clusterIP.isEmpty ? [spec.clusterIP] : spec.clusterIPs
        return texts.compactMap { IPAddress($0) }
    }

    /// The cluster IP of the family.
    public func clusterAddress(_ family: AddressFamily) -> IPAddress? {
        clusterAddresses.first { $0.family == family }
    }

    public var externalAddresses: [IPAddress] { spec.externalIPs.compactMap { IPAddress($0) } }

    /// The load balancer addresses kube-proxy captures: an IP with ipMode VIP or without one.
    public var loadBalancerAddresses: [IPAddress] {
        loadBalancerIngress.filter { $0.ipMode.isEmpty || $0.ipMode == "VIP" }.compactMap { IPAddress($0.ip) }
    }

    /// The source ranges as prefixes, blanks trimmed and host bits cleared as the real parser does.
    public var loadBalancerSourcePrefixes: [IPPrefix] {
        spec.loadBalancerSourceRanges.compactMap { text in
            let trimmed = text.drop { $0 == " " }
            let end = trimmed.lastIndex { $0 != " " }.map { trimmed.index(after: $0) } ?? trimmed.startIndex
            return InterfaceAddress(trimmed[..<end])?.prefix
        }
    }

    /// The port with that name.
    public func port(named name: String) -> ServicePort? { spec.ports.first { $0.name == name } }
}
