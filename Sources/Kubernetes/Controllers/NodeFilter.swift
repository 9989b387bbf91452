// Why a node does not take a pod (kubernetes pkg/scheduler/framework/plugins): the filters that depend on pod and node
// alone. What depends on other pods is in Scheduler.

internal import Addressing

/// A scheduler plugin's No, with its words.
enum NodeRejection: Hashable {
    case unschedulable
    case otherNode
    case taint(Taint)
    case affinity
    case hostPorts
    case resources([String])
    case spread(missingLabel: Bool)
    case podAffinity
    case podAntiAffinity
    case existingAntiAffinity

    /// The reasons as the scheduler prints them behind a count.
    var reasons: [String] {
        switch self {
        case .unschedulable: ["node(s) were unschedulable"]
        case .otherNode: ["node(s) didn't satisfy plugin(s) [NodeAffinity]"]
        case .taint(let taint): ["node(s) had untolerated taint {\(taint.key): \(taint.value)}"]
        case .affinity: ["node(s) didn't match Pod's node affinity/selector"]
        case .hostPorts: ["node(s) didn't have free ports for the requested pod ports"]
        case .resources(let short): short
        case .spread(let missingLabel):
            [
                "node(s) didn't match pod topology spread constraints"
                    + (missingLabel ? " (missing required label)" : "")
            ]
        case .podAffinity: ["node(s) didn't match pod affinity rules"]
        case .podAntiAffinity: ["node(s) didn't match pod anti-affinity rules"]
        case .existingAntiAffinity: ["node(s) didn't satisfy existing pods anti-affinity rules"]
        }
    }

    /// Evicting other pods would change the answer.
    var preemptionMightHelp: Bool {
        switch self {
        case .unschedulable, .otherNode, .taint, .affinity, .podAffinity, .spread(missingLabel: true): false
        case .hostPorts, .resources, .spread, .podAntiAffinity, .existingAntiAffinity: true
        }
    }
}

/// The part of a pod that decides which nodes may take it, whatever else runs there.
struct NodeFilter: Hashable {
    private let nodeSelector: [String: String]
    private let tolerations: [Toleration]
    private let requiredTerms: [NodeSelectorTerm]?

    init(_ spec: PodSpec) {
        nodeSelector = spec.nodeSelector
        tolerations = spec.tolerations
        requiredTerms = spec.affinity?.requiredNodeTerms
    }

    /// The first filter that refuses the node, in the scheduler's order.
    func rejection(_ node: Node) -> NodeRejection? {
        if node.spec.unschedulable,
            !tolerations.contains(where: { $0.tolerates(Self.unschedulableTaint) })
        {
            return .unschedulable
        }
        for taint in node.spec.taints where taint.effect == .noSchedule || taint.effect == .noExecute {
            if !tolerations.contains(where: { $0.tolerates(taint) }) { return .taint(taint) }
        }
        return matches(node) ? nil : .affinity
    }

    func admits(_ node: Node) -> Bool { rejection(node) == nil }

    /// nodeSelector and required node affinity.
    func matches(_ node: Node) -> Bool {
        let labels = node.metadata.labels
        guard nodeSelector.allSatisfy({ labels[$0.key] == $0.value }) else { return false }
        guard let requiredTerms else { return true }
        return requiredTerms.contains { term in
            // A term without conditions selects no node.
            !(term.matchExpressions.isEmpty && term.matchFields.isEmpty)
                && term.matchExpressions.allSatisfy { $0.matches(labels) }
                && term.matchFields.allSatisfy { $0.matches(value: $0.key == "metadata.name" ? node.name : nil) }
        }
    }

    private static let unschedulableTaint = Taint(key: "node.kubernetes.io/unschedulable", effect: .noSchedule)

    /// The one node a pod is bound to by its affinity, as a DaemonSet's pods are.
    static func pinnedNode(_ spec: PodSpec) -> String? {
        guard let terms = spec.affinity?.requiredNodeTerms, terms.count == 1 else { return nil }
        for field in terms[0].matchFields
        where field.key == "metadata.name" && field.operator == .in && field.values.count == 1 {
            return field.values[0]
        }
        return nil
    }
}

/// What a pod takes from its node.
struct PodDemand: Hashable {
    struct HostPort: Hashable {
        let ip: String
        let `protocol`: PortProtocol
        let port: Int

        /// The wildcard address collides with every address.
        func collides(with other: HostPort) -> Bool {
            port == other.port && self.protocol == other.protocol && (isWildcard || other.isWildcard || ip == other.ip)
        }
        private var isWildcard: Bool { ip.isEmpty || ip == "0.0.0.0" || ip == "::" }
    }

    var cpu = 0
    var memory = 0
    var others: [String: Int] = [:]
    var hostPorts: [HostPort] = []

    init() {}

    /// Requests are the larger of what the app containers and sidecars need together and what any init container
    /// needs alone; a limit without a request counts as one.
    init(_ spec: PodSpec) {
        cpu = Self.total(spec) { $0.cpu }
        memory = Self.total(spec) { $0.memory }
        var names: Set<String> = []
        for container in spec.containers + spec.initContainers {
            names.formUnion(container.resources.requests.others.keys)
            names.formUnion(container.resources.limits.others.keys)
        }
        for name in names {
            let amount = Self.total(spec) { $0.others[name] }
            if amount > 0 { others[name] = amount }
        }
        for container in spec.containers {
            for port in container.ports {
                let hostPort = port.hostPort.flatMap { $0 == 0 ? nil : $0 }
                guard let number = hostPort ?? (spec.hostNetwork ? port.containerPort : nil) else { continue }
                hostPorts.append(HostPort(ip: port.hostIP, protocol: port.protocol, port: number))
            }
        }
    }

    private static func total(_ spec: PodSpec, _ amount: (ResourceList) -> Quantity?) -> Int {
        func request(_ container: Container) -> Int {
            (amount(container.resources.requests) ?? amount(container.resources.limits))?.milliValue ?? 0
        }
        func sum(_ left: Int, _ right: Int) -> Int {
            let (result, overflow) = left.addingReportingOverflow(right)
            return overflow ? .max : result
        }
        let running = spec.containers.reduce(0) { sum($0, request($1)) }
        var sidecars = 0
        var startup = 0
        for container in spec.initContainers {
            if container.isSidecar {
                sidecars = sum(sidecars, request(container))
            } else {
                startup = max(startup, sum(sidecars, request(container)))
            }
        }
        return max(sum(running, sidecars), startup)
    }
}

/// What the pods on one node have taken.
struct NodeUsage {
    private let allocatable: ResourceList?
    private(set) var pods = 0
    private var cpu = 0
    private var memory = 0
    private var others: [String: Int] = [:]
    private var hostPorts: [PodDemand.HostPort] = []

    init(_ node: Node) { allocatable = node.status.allocatable }

    mutating func add(_ demand: PodDemand) {
        pods += 1
        cpu = cpu.addingReportingOverflow(demand.cpu).partialValue
        memory = memory.addingReportingOverflow(demand.memory).partialValue
        for (name, amount) in demand.others { others[name, default: 0] += amount }
        hostPorts += demand.hostPorts
    }

    func rejection(_ demand: PodDemand) -> NodeRejection? {
        for port in demand.hostPorts where hostPorts.contains(where: { $0.collides(with: port) }) {
            return .hostPorts
        }
        guard let allocatable else { return nil }
        var short: [String] = []
        if let limit = allocatable.pods, pods + 1 > limit.value { short.append("Too many pods") }
        if let limit = allocatable.cpu, demand.cpu > limit.milliValue - cpu, demand.cpu > 0 {
            short.append("Insufficient cpu")
        }
        if let limit = allocatable.memory, demand.memory > limit.milliValue - memory, demand.memory > 0 {
            short.append("Insufficient memory")
        }
        for name in demand.others.keys.sorted() {
            let limit = allocatable.others[name]?.milliValue ?? 0
            if demand.others[name] ?? 0 > limit - (others[name] ?? 0) { short.append("Insufficient \(name)") }
        }
        return short.isEmpty ? nil : .resources(short)
    }
}
