// Pods and pod templates (k8s.io/api core/v1): the fields the Kubernetes target keeps, with statuses as
// `kubectl get -o yaml` writes them.

import Addressing
import Kubernetes

extension Pod {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let spec = try node.required("spec")
        try self.init(
            metadata: metadata, spec: PodSpec(manifest: spec),
            status: node.section("status").map(PodStatus.init(manifest:)) ?? PodStatus())
    }
}

extension PodTemplateSpec {
    /// Decodes `template` of a workload's spec.
    init(of node: ManifestNode) throws(ManifestError) {
        let template = try node.required("template")
        try self.init(metadata: ObjectMeta(template: template), spec: PodSpec(manifest: template.required("spec")))
    }
}

extension PodSpec {
    init(manifest node: ManifestNode) throws(ManifestError) {
        let containers = try node.list("containers").map(Container.init(manifest:))
        guard !containers.isEmpty else {
            throw node.error("`containers` is missing or empty", hint: "a pod needs at least one container")
        }
        try self.init(
            nodeName: node.string("nodeName"), nodeSelector: node.labels("nodeSelector"),
            hostNetwork: node.boolean("hostNetwork") ?? false, hostname: node.string("hostname"),
            subdomain: node.string("subdomain"), containers: containers,
            initContainers: node.list("initContainers").map(Container.init(manifest:)),
            restartPolicy: node.string("restartPolicy", default: "Always"),
            tolerations: node.list("tolerations").map(Toleration.init(manifest:)),
            affinity: node.section("affinity").map(Affinity.init(manifest:)),
            topologySpreadConstraints: node.list("topologySpreadConstraints")
                .map(TopologySpreadConstraint.init(manifest:)),
            priorityClassName: node.string("priorityClassName"),
            schedulerName: node.string("schedulerName", default: "default-scheduler"),
            serviceAccountName: node.string("serviceAccountName", default: node.string("serviceAccount")),
            dnsPolicy: node.string("dnsPolicy", default: "ClusterFirst"))
    }
}

extension Container {
    init(manifest node: ManifestNode) throws(ManifestError) {
        let name = try node.requiredString("name")
        // Not kept, but what people most often forget the quotes of, and a cluster refuses.
        for variable in try node.list("env") { _ = try variable.string("value") }
        _ = try (node.strings("command"), node.strings("args"))
        try self.init(
            name: name, image: node.string("image"),
            ports: node.list("ports").map(ContainerPort.init(manifest:)),
            restartPolicy: node.optionalString("restartPolicy"),
            resources: node.section("resources").map(ResourceRequirements.init(manifest:)) ?? ResourceRequirements(),
            hasReadinessProbe: node.section("readinessProbe") != nil)
    }
}

extension ContainerPort {
    init(manifest node: ManifestNode) throws(ManifestError) {
        let hostPort = try node.integer("hostPort", in: 0...65535)
        try self.init(
            name: node.string("name"), containerPort: node.requiredInteger("containerPort", in: 1...65535),
            hostPort: hostPort == 0 ? nil : hostPort, hostIP: node.string("hostIP"),
            protocol: PortProtocol(field: "protocol", of: node))
    }
}

extension PortProtocol {
    /// The protocol in a field, TCP when absent.
    init(field name: StaticString, of node: ManifestNode) throws(ManifestError) {
        self = .tcp
        guard let value = try node.field(name) else { return }
        let text = try value.string()
        guard ["TCP", "UDP", "SCTP"].contains(text) else {
            throw value.error("\(quoted(text)) is not a protocol", hint: "one of TCP, UDP, SCTP, in capitals")
        }
        self.init(rawValue: text)
    }
}

extension ResourceRequirements {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            requests: ResourceList(field: "requests", of: node) ?? ResourceList(),
            limits: ResourceList(field: "limits", of: node) ?? ResourceList())
    }
}

extension ResourceList {
    /// Amounts by resource name; a number needs no quotes.
    init?(field name: StaticString, of node: ManifestNode) throws(ManifestError) {
        guard let value = try node.section(name) else { return nil }
        self.init()
        for member in value.members where !member.value.isNull {
            guard member.value.isScalar, let quantity = Quantity(member.value.text) else {
                throw member.value.mismatch("a quantity", hint: "write it as 100m, 2, 64Mi or 1.5Gi")
            }
            self[member.name.text] = quantity
        }
    }
}

extension Toleration {
    init(manifest node: ManifestNode) throws(ManifestError) {
        let effect = try node.string("effect")
        try self.init(
            key: node.string("key"), operator: node.string("operator"), value: node.string("value"),
            effect: effect.isEmpty ? nil : Taint.Effect(rawValue: effect),
            tolerationSeconds: node.integer("tolerationSeconds", in: Int.min...Int.max))
    }
}

extension Affinity {
    init(manifest node: ManifestNode) throws(ManifestError) {
        self.init()
        let required: StaticString = "requiredDuringSchedulingIgnoredDuringExecution"
        if let terms = try node.section("nodeAffinity")?.section(required) {
            requiredNodeTerms = try terms.list("nodeSelectorTerms").map(NodeSelectorTerm.init(manifest:))
        }
        requiredPodTerms = try node.section("podAffinity")?.list(required).map(PodAffinityTerm.init(manifest:)) ?? []
        requiredPodAntiTerms =
            try node.section("podAntiAffinity")?.list(required).map(PodAffinityTerm.init(manifest:)) ?? []
    }
}

extension NodeSelectorTerm {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            matchExpressions: node.list("matchExpressions").map(LabelRequirement.init(manifest:)),
            matchFields: node.list("matchFields").map(LabelRequirement.init(manifest:)))
    }
}

extension PodAffinityTerm {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            labelSelector: LabelSelector("labelSelector", of: node), topologyKey: node.requiredString("topologyKey"),
            namespaces: node.strings("namespaces"))
    }
}

extension TopologySpreadConstraint {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            maxSkew: node.integer("maxSkew", in: 1...Int(Int32.max)) ?? 1,
            topologyKey: node.requiredString("topologyKey"),
            whenUnsatisfiable: node.string("whenUnsatisfiable", default: "DoNotSchedule"),
            labelSelector: LabelSelector("labelSelector", of: node))
    }
}

extension PodStatus {
    init(manifest node: ManifestNode) throws(ManifestError) {
        self.init()
        phase = try node.optionalString("phase").map(PodPhase.init(rawValue:))
        for item in try node.list("podIPs") { podIPs.append(try item.required("ip").address()) }
        if podIPs.isEmpty, let value = try node.field("podIP"), try !value.string().isEmpty {
            podIPs = [try value.address()]
        }
        if let value = try node.field("hostIP"), try !value.string().isEmpty { hostIP = try value.address() }
        conditions = try node.list("conditions").map(Condition.init(manifest:))
        containerStatuses = try node.list("containerStatuses").map(ContainerStatus.init(manifest:))
        initContainerStatuses = try node.list("initContainerStatuses").map(ContainerStatus.init(manifest:))
        reason = try node.string("reason")
        message = try node.string("message")
        startTime = try node.optionalString("startTime")
    }
}

extension Condition {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            type: node.requiredString("type"), status: node.string("status"), reason: node.string("reason"),
            message: node.string("message"))
    }
}

extension ContainerStatus {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            name: node.requiredString("name"), ready: node.boolean("ready") ?? false,
            started: node.boolean("started"), restartCount: node.integer("restartCount") ?? 0,
            state: ContainerState(field: "state", of: node), lastState: ContainerState(field: "lastState", of: node))
    }
}

extension ContainerState {
    init?(field name: StaticString, of node: ManifestNode) throws(ManifestError) {
        guard let state = try node.section(name) else { return nil }
        if let running = try state.section("running") {
            self = .running(startedAt: try running.optionalString("startedAt"))
        } else if let terminated = try state.section("terminated") {
            self = try .terminated(
                reason: terminated.string("reason"), exitCode: terminated.integer("exitCode") ?? 0,
                signal: terminated.integer("signal") ?? 0, finishedAt: terminated.optionalString("finishedAt"))
        } else if let waiting = try state.section("waiting") {
            self = .waiting(reason: try waiting.string("reason"))
        } else {
            return nil
        }
    }
}
