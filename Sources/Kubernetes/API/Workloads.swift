// Objects that stand for many pods (k8s.io/api apps/v1, batch/v1, core/v1 ReplicationController).
// Left out: rollout strategies, volume claim templates, job success policies. CronJobs are kept and never run.

/// Keeps `replicas` pods of one template, through a ReplicaSet.
public struct Deployment: KubernetesObject {
    public static let kind = "Deployment"
    public var metadata: ObjectMeta
    /// Nil means 1.
    public var replicas: Int?
    public var selector: LabelSelector?
    public var template: PodTemplateSpec = PodTemplateSpec()
    public var paused: Bool = false
    public init(
        metadata: ObjectMeta, replicas: Int? = nil, selector: LabelSelector? = nil,
        template: PodTemplateSpec = PodTemplateSpec(), paused: Bool = false
    ) {
        self.metadata = metadata
        self.replicas = replicas
        self.selector = selector
        self.template = template
        self.paused = paused
    }
}

public struct ReplicaSet: KubernetesObject {
    public static let kind = "ReplicaSet"
    public var metadata: ObjectMeta
    public var replicas: Int?
    public var selector: LabelSelector?
    public var template: PodTemplateSpec = PodTemplateSpec()
    public init(
        metadata: ObjectMeta, replicas: Int? = nil, selector: LabelSelector? = nil,
        template: PodTemplateSpec = PodTemplateSpec()
    ) {
        self.metadata = metadata
        self.replicas = replicas
        self.selector = selector
        self.template = template
    }
}

public struct ReplicationController: KubernetesObject {
    public static let kind = "ReplicationController"
    public var metadata: ObjectMeta
    public var replicas: Int?
    /// A plain map; empty means the template's labels.
    public var selector: [String: String] = [:]
    public var template: PodTemplateSpec = PodTemplateSpec()
    public init(
        metadata: ObjectMeta, replicas: Int? = nil, selector: [String: String] = [:],
        template: PodTemplateSpec = PodTemplateSpec()
    ) {
        self.metadata = metadata
        self.replicas = replicas
        self.selector = selector
        self.template = template
    }
}

/// Pods with stable names `<set>-0`, `<set>-1`, …
public struct StatefulSet: KubernetesObject {
    public static let kind = "StatefulSet"
    public var metadata: ObjectMeta
    public var replicas: Int?
    public var serviceName: String = ""
    public var selector: LabelSelector?
    public var template: PodTemplateSpec = PodTemplateSpec()
    /// `spec.ordinals.start`.
    public var firstOrdinal: Int = 0
    public init(
        metadata: ObjectMeta, replicas: Int? = nil, serviceName: String = "", selector: LabelSelector? = nil,
        template: PodTemplateSpec = PodTemplateSpec(), firstOrdinal: Int = 0
    ) {
        self.metadata = metadata
        self.replicas = replicas
        self.serviceName = serviceName
        self.selector = selector
        self.template = template
        self.firstOrdinal = firstOrdinal
    }
}

/// One pod on every eligible node.
public struct DaemonSet: KubernetesObject {
    public static let kind = "DaemonSet"
    public var metadata: ObjectMeta
    public var selector: LabelSelector?
    public var template: PodTemplateSpec = PodTemplateSpec()
    public init(metadata: ObjectMeta, selector: LabelSelector? = nil, template: PodTemplateSpec = PodTemplateSpec()) {
        self.metadata = metadata
        self.selector = selector
        self.template = template
    }
}

public struct Job: KubernetesObject {
    public static let kind = "Job"
    public var metadata: ObjectMeta
    public var completions: Int?
    public var parallelism: Int?
    /// `Indexed` names pods `<job>-<index>-…`.
    public var completionMode: String = "NonIndexed"
    public var suspend: Bool = false
    public var template: PodTemplateSpec = PodTemplateSpec()
    /// Number of pods that already succeeded, from a cluster dump.
    public var succeeded: Int = 0
    public init(
        metadata: ObjectMeta, completions: Int? = nil, parallelism: Int? = nil,
        completionMode: String = "NonIndexed", suspend: Bool = false, template: PodTemplateSpec = PodTemplateSpec(),
        succeeded: Int = 0
    ) {
        self.metadata = metadata
        self.completions = completions
        self.parallelism = parallelism
        self.completionMode = completionMode
        self.suspend = suspend
        self.template = template
        self.succeeded = succeeded
    }
}

public struct CronJob: KubernetesObject {
    public static let kind = "CronJob"
    public var metadata: ObjectMeta
    public var schedule: String = ""
    public var suspend: Bool = false
    public init(metadata: ObjectMeta, schedule: String = "", suspend: Bool = false) {
        self.metadata = metadata
        self.schedule = schedule
        self.suspend = suspend
    }
}
