// Pods (k8s.io/api core/v1): what the scheduler, the endpoint slice controller, the CNI plugin and kubectl's columns
// read.
// Left out: volumes, environment, security context, probe parameters (only whether a readiness probe is there).

public import Addressing

/// TCP, UDP or SCTP, in the spelling of the API.
public struct PortProtocol: OpenEnumeration {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let tcp = PortProtocol(rawValue: "TCP")
    public static let udp = PortProtocol(rawValue: "UDP")
    public static let sctp = PortProtocol(rawValue: "SCTP")

    /// The number on the wire; nil when the spelling is none of the three.
    public var ipProtocol: IPProtocol? {
        switch self {
        case .tcp: .tcp
        case .udp: .udp
        case .sctp: .sctp
        default: nil
        }
    }

    /// The API spelling of a protocol with ports.
    public init?(_ ipProtocol: IPProtocol) {
        guard ipProtocol.hasPorts else { return nil }
        self = ipProtocol == .tcp ? .tcp : ipProtocol == .udp ? .udp : .sctp
    }
}

public struct ContainerPort: Hashable, Sendable {
    public var name: String = ""
    public var containerPort: Int
    public var hostPort: Int?
    public var hostIP: String = ""
    public var `protocol`: PortProtocol = .tcp
    public init(
        name: String = "", containerPort: Int, hostPort: Int? = nil, hostIP: String = "",
        `protocol`: PortProtocol = .tcp
    ) {
        self.name = name
        self.containerPort = containerPort
        self.hostPort = hostPort
        self.hostIP = hostIP
        self.protocol = `protocol`
    }
}

public struct ResourceRequirements: Hashable, Sendable {
    public var requests: ResourceList = ResourceList()
    public var limits: ResourceList = ResourceList()
    public init(requests: ResourceList = ResourceList(), limits: ResourceList = ResourceList()) {
        self.requests = requests
        self.limits = limits
    }
}

public struct Container: Hashable, Sendable {
    public var name: String
    public var image: String = ""
    public var ports: [ContainerPort] = []
    /// Only init containers have one: `Always` makes the container a sidecar.
    public var restartPolicy: String?
    public var resources: ResourceRequirements = ResourceRequirements()
    public var hasReadinessProbe: Bool = false
    public init(
        name: String, image: String = "", ports: [ContainerPort] = [], restartPolicy: String? = nil,
        resources: ResourceRequirements = ResourceRequirements(), hasReadinessProbe: Bool = false
    ) {
        self.name = name
        self.image = image
        self.ports = ports
        self.restartPolicy = restartPolicy
        self.resources = resources
        self.hasReadinessProbe = hasReadinessProbe
    }

    public var isSidecar: Bool { restartPolicy == "Always" }
}

public struct Toleration: Hashable, Sendable {
    public var key: String = ""
    /// `Exists` or `Equal`; empty means Equal.
    public var `operator`: String = ""
    public var value: String = ""
    /// Nil tolerates every effect.
    public var effect: Taint.Effect?
    public var tolerationSeconds: Int?
    public init(
        key: String = "", `operator`: String = "", value: String = "", effect: Taint.Effect? = nil,
        tolerationSeconds: Int? = nil
    ) {
        self.key = key
        self.operator = `operator`
        self.value = value
        self.effect = effect
        self.tolerationSeconds = tolerationSeconds
    }

    public func tolerates(_ taint: Taint) -> Bool {
        if let effect, effect != taint.effect { return false }
        if !key.isEmpty, key != taint.key { return false }
        if self.operator == "Exists" { return true }
        return !key.isEmpty && value == taint.value
    }
}

/// One term of a node affinity: all its expressions and fields must hold.
public struct NodeSelectorTerm: Hashable, Sendable {
    public var matchExpressions: [LabelRequirement] = []
    public var matchFields: [LabelRequirement] = []
    public init(matchExpressions: [LabelRequirement] = [], matchFields: [LabelRequirement] = []) {
        self.matchExpressions = matchExpressions
        self.matchFields = matchFields
    }
}

/// Pods of the same kind near to (affinity) or away from (anti-affinity) each other.
public struct PodAffinityTerm: Hashable, Sendable {
    public var labelSelector: LabelSelector?
    public var topologyKey: String
    /// Empty means the pod's own namespace.
    public var namespaces: [String] = []
    public init(labelSelector: LabelSelector? = nil, topologyKey: String, namespaces: [String] = []) {
        self.labelSelector = labelSelector
        self.topologyKey = topologyKey
        self.namespaces = namespaces
    }
}

/// Only the required halves; preferences do not forbid a node.
public struct Affinity: Hashable, Sendable {
    /// Any one term is enough; nil asks for nothing.
    public var requiredNodeTerms: [NodeSelectorTerm]?
    public var requiredPodTerms: [PodAffinityTerm] = []
    public var requiredPodAntiTerms: [PodAffinityTerm] = []
    public init(
        requiredNodeTerms: [NodeSelectorTerm]? = nil, requiredPodTerms: [PodAffinityTerm] = [],
        requiredPodAntiTerms: [PodAffinityTerm] = []
    ) {
        self.requiredNodeTerms = requiredNodeTerms
        self.requiredPodTerms = requiredPodTerms
        self.requiredPodAntiTerms = requiredPodAntiTerms
    }
}

public struct TopologySpreadConstraint: Hashable, Sendable {
    public var maxSkew: Int = 1
    public var topologyKey: String
    public var whenUnsatisfiable: String = "DoNotSchedule"
    public var labelSelector: LabelSelector?
    public init(
        maxSkew: Int = 1, topologyKey: String, whenUnsatisfiable: String = "DoNotSchedule",
        labelSelector: LabelSelector? = nil
    ) {
        self.maxSkew = maxSkew
        self.topologyKey = topologyKey
        self.whenUnsatisfiable = whenUnsatisfiable
        self.labelSelector = labelSelector
    }
}

public struct PodSpec: Hashable, Sendable {
    public var nodeName: String = ""
    public var nodeSelector: [String: String] = [:]
    public var hostNetwork: Bool = false
    public var hostname: String = ""
    public var subdomain: String = ""
    public var containers: [Container] = []
    public var initContainers: [Container] = []
    public var restartPolicy: String = "Always"
    public var tolerations: [Toleration] = []
    public var affinity: Affinity?
    public var topologySpreadConstraints: [TopologySpreadConstraint] = []
    public var priorityClassName: String = ""
    public var schedulerName: String = "default-scheduler"
    public var serviceAccountName: String = ""
    public var dnsPolicy: String = "ClusterFirst"
    public init(
        nodeName: String = "", nodeSelector: [String: String] = [:], hostNetwork: Bool = false,
        hostname: String = "", subdomain: String = "", containers: [Container] = [],
        initContainers: [Container] = [], restartPolicy: String = "Always", tolerations: [Toleration] = [],
        affinity: Affinity? = nil, topologySpreadConstraints: [TopologySpreadConstraint] = [],
        priorityClassName: String = "", schedulerName: String = "default-scheduler", serviceAccountName: String = "",
        dnsPolicy: String = "ClusterFirst"
    ) {
        self.nodeName = nodeName
        self.nodeSelector = nodeSelector
        self.hostNetwork = hostNetwork
        self.hostname = hostname
        self.subdomain = subdomain
        self.containers = containers
        self.initContainers = initContainers
        self.restartPolicy = restartPolicy
        self.tolerations = tolerations
        self.affinity = affinity
        self.topologySpreadConstraints = topologySpreadConstraints
        self.priorityClassName = priorityClassName
        self.schedulerName = schedulerName
        self.serviceAccountName = serviceAccountName
        self.dnsPolicy = dnsPolicy
    }
}

public struct PodPhase: OpenEnumeration {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let pending = PodPhase(rawValue: "Pending")
    public static let running = PodPhase(rawValue: "Running")
    public static let succeeded = PodPhase(rawValue: "Succeeded")
    public static let failed = PodPhase(rawValue: "Failed")
    public static let unknown = PodPhase(rawValue: "Unknown")
}

/// What a container is doing.
public enum ContainerState: Hashable, Sendable {
    case waiting(reason: String)
    case running(startedAt: String?)
    case terminated(reason: String, exitCode: Int, signal: Int, finishedAt: String?)
}

public struct ContainerStatus: Hashable, Sendable {
    public var name: String
    public var ready: Bool = false
    public var started: Bool?
    public var restartCount: Int = 0
    public var state: ContainerState?
    public var lastState: ContainerState?
    public init(
        name: String, ready: Bool = false, started: Bool? = nil, restartCount: Int = 0, state: ContainerState? = nil,
        lastState: ContainerState? = nil
    ) {
        self.name = name
        self.ready = ready
        self.started = started
        self.restartCount = restartCount
        self.state = state
        self.lastState = lastState
    }
}

public struct PodStatus: Hashable, Sendable {
    /// Nil until somebody has said: a pod from a manifest has no status at all.
    public var phase: PodPhase?
    /// One per family; the first is `podIP` of the API.
    public var podIPs: [IPAddress] = []
    public var hostIP: IPAddress?
    public var conditions: [Condition] = []
    public var containerStatuses: [ContainerStatus] = []
    public var initContainerStatuses: [ContainerStatus] = []
    public var reason: String = ""
    public var message: String = ""
    public var startTime: String?
    public init(
        phase: PodPhase? = nil, podIPs: [IPAddress] = [], hostIP: IPAddress? = nil, conditions: [Condition] = [],
        containerStatuses: [ContainerStatus] = [], initContainerStatuses: [ContainerStatus] = [],
        reason: String = "", message: String = "", startTime: String? = nil
    ) {
        self.phase = phase
        self.podIPs = podIPs
        self.hostIP = hostIP
        self.conditions = conditions
        self.containerStatuses = containerStatuses
        self.initContainerStatuses = initContainerStatuses
        self.reason = reason
        self.message = message
        self.startTime = startTime
    }

    public var podIP: IPAddress? { podIPs.first }

    public func podIP(_ family: AddressFamily) -> IPAddress? { podIPs.first { $0.family == family } }

    public func condition(_ type: String) -> Condition? { conditions.first { $0.type == type } }

    /// Replaces the condition of that type, or appends it.
    public mutating func setCondition(_ condition: Condition) {
        if let index = conditions.firstIndex(where: { $0.type == condition.type }) {
            conditions[index] = condition
        } else {
            conditions.append(condition)
        }
    }
}

/// A pod.
public struct Pod: KubernetesObject {
    public static let kind = "Pod"
    public var metadata: ObjectMeta
    public var spec: PodSpec = PodSpec()
    public var status: PodStatus = PodStatus()
    public init(metadata: ObjectMeta, spec: PodSpec = PodSpec(), status: PodStatus = PodStatus()) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    public var isScheduled: Bool { !spec.nodeName.isEmpty }
    public var isTerminating: Bool { metadata.deletionTimestamp != nil }
    /// Succeeded or Failed: its containers will not run again.
    public var isFinished: Bool { status.phase == .succeeded || status.phase == .failed }

    /// The Ready condition where one is given; without it, a placed pod that nobody says is not running is ready.
    public var isReady: Bool {
        if let ready = status.condition("Ready") { return ready.status == "True" }
        return status.phase == .running || (status.phase == nil && isScheduled)
    }
}

/// The pattern workloads stamp their pods from.
public struct PodTemplateSpec: Hashable, Sendable {
    public var metadata: ObjectMeta = ObjectMeta()
    public var spec: PodSpec = PodSpec()
    public init(metadata: ObjectMeta = ObjectMeta(), spec: PodSpec = PodSpec()) {
        self.metadata = metadata
        self.spec = spec
    }
}
