// Objects that stand for many pods (apps, batch, and the older extensions group, whose fields have the same names).
// Rollout strategies are not read: only the end of a rollout is modelled.

import Kubernetes

/// Counts of pods: not negative, and an int32 in the API.
private let podCount = 0...Int(Int32.max)

extension Deployment {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let spec = try node.required("spec")
        try self.init(
            metadata: metadata, replicas: spec.integer("replicas", in: podCount),
            selector: LabelSelector("selector", of: spec), template: PodTemplateSpec(of: spec),
            paused: spec.boolean("paused") ?? false)
    }
}

extension ReplicaSet {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let spec = try node.required("spec")
        try self.init(
            metadata: metadata, replicas: spec.integer("replicas", in: podCount),
            selector: LabelSelector("selector", of: spec), template: PodTemplateSpec(of: spec))
    }
}

extension ReplicationController {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let spec = try node.required("spec")
        try self.init(
            metadata: metadata, replicas: spec.integer("replicas", in: podCount), selector: spec.labels("selector"),
            template: PodTemplateSpec(of: spec))
    }
}

extension StatefulSet {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let spec = try node.required("spec")
        try self.init(
            metadata: metadata, replicas: spec.integer("replicas", in: podCount),
            serviceName: spec.string("serviceName"), selector: LabelSelector("selector", of: spec),
            template: PodTemplateSpec(of: spec),
            firstOrdinal: spec.section("ordinals").flatMap { (ordinals) throws(ManifestError) in
                try ordinals.integer("start", in: podCount)
            } ?? 0)
    }
}

extension DaemonSet {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let spec = try node.required("spec")
        try self.init(
            metadata: metadata, selector: LabelSelector("selector", of: spec), template: PodTemplateSpec(of: spec))
    }
}

extension Job {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let spec = try node.required("spec")
        try self.init(
            metadata: metadata, completions: spec.integer("completions", in: podCount),
            parallelism: spec.integer("parallelism", in: podCount),
            completionMode: spec.string("completionMode", default: "NonIndexed"),
            suspend: spec.boolean("suspend") ?? false, template: PodTemplateSpec(of: spec),
            succeeded: node.section("status")?.integer("succeeded", in: podCount) ?? 0)
    }
}

extension CronJob {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let spec = try node.required("spec")
        try self.init(
            metadata: metadata, schedule: spec.string("schedule"), suspend: spec.boolean("suspend") ?? false)
    }
}
