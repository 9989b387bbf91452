// Workloads as kubectl shows them, counted over the pods they control. There is no rollout here: every pod is of the
// newest template, and available as soon as it is ready.

internal import Kubernetes

/// The counts of a workload's columns and status.
private struct PodCount {
    var current = 0
    var ready = 0
    var succeeded = 0
    var active = 0

    init(_ pods: [Pod]) {
        for pod in pods {
            if pod.status.phase == .succeeded { succeeded += 1 }
            if pod.isFinished { continue }
            active += 1
            if !pod.isTerminating { current += 1 }
            if pod.isReady { ready += 1 }
        }
    }
}

private let containerColumns = [PrintedColumn("CONTAINERS", isWide: true), PrintedColumn("IMAGES", isWide: true)]
private let selectorColumn = PrintedColumn("SELECTOR", isWide: true)

private func selectorText(_ selector: LabelSelector?) -> String { selector?.text ?? "<none>" }

extension Deployment: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "deployments", singular: "deployment", short: ["deploy"], group: "apps")
    }

    static var columns: [PrintedColumn] {
        [PrintedColumn("READY"), PrintedColumn("UP-TO-DATE"), PrintedColumn("AVAILABLE"), PrintedColumn("AGE")]
            + containerColumns + [selectorColumn]
    }

    static func all(in state: PrintedState) -> [Deployment] { Array(state.store.deployments) }

    func cells(_ state: PrintedState) -> [String] {
        let owned = state.store.replicaSets.filter { set in
            set.metadata.namespace == metadata.namespace
                && set.metadata.controller.map { $0.kind == Self.kind && $0.name == metadata.name } ?? false
        }
        let count = PodCount(owned.flatMap { state.pods(of: $0) })
        return [
            "\(count.ready)/\(replicas ?? 1)", "\(count.current)", "\(count.ready)",
            state.clock.age(since: metadata.creationTimestamp),
        ] + template.containerCells + [selectorText(selector)]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { fields in
            if paused { fields.set("paused", flag: true) }
            fields.set("replicas", number: replicas)
            fields.set("selector", selector?.manifest)
            fields.set("template", template.manifest)
        }
    }
}

extension ReplicaSet: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "replicasets", singular: "replicaset", short: ["rs"], group: "apps")
    }

    static var columns: [PrintedColumn] {
        [PrintedColumn("DESIRED"), PrintedColumn("CURRENT"), PrintedColumn("READY"), PrintedColumn("AGE")]
            + containerColumns + [selectorColumn]
    }

    static func all(in state: PrintedState) -> [ReplicaSet] { Array(state.store.replicaSets) }

    func cells(_ state: PrintedState) -> [String] {
        let count = PodCount(state.pods(of: self))
        return [
            "\(replicas ?? 1)", "\(count.current)", "\(count.ready)",
            state.clock.age(since: metadata.creationTimestamp),
        ] + template.containerCells + [selectorText(selector)]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { fields in
            fields.set("replicas", number: replicas)
            fields.set("selector", selector?.manifest)
            fields.set("template", template.manifest)
        }
    }
}

extension ReplicationController: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "replicationcontrollers", singular: "replicationcontroller", short: ["rc"])
    }

    static var columns: [PrintedColumn] { ReplicaSet.columns }

    static func all(in state: PrintedState) -> [ReplicationController] { Array(state.store.replicationControllers) }

    func cells(_ state: PrintedState) -> [String] {
        let count = PodCount(state.pods(of: self))
        return [
            "\(replicas ?? 1)", "\(count.current)", "\(count.ready)",
            state.clock.age(since: metadata.creationTimestamp),
        ] + template.containerCells + [labelText(selector)]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { fields in
            fields.set("replicas", number: replicas)
            fields.set("selector", map: selector)
            fields.set("template", template.manifest)
        }
    }
}

extension StatefulSet: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "statefulsets", singular: "statefulset", short: ["sts"], group: "apps")
    }

    static var columns: [PrintedColumn] { [PrintedColumn("READY"), PrintedColumn("AGE")] + containerColumns }

    static func all(in state: PrintedState) -> [StatefulSet] { Array(state.store.statefulSets) }

    func cells(_ state: PrintedState) -> [String] {
        let count = PodCount(state.pods(of: self))
        return ["\(count.ready)/\(replicas ?? 1)", state.clock.age(since: metadata.creationTimestamp)]
            + template.containerCells
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { fields in
            if firstOrdinal != 0 { fields.set("ordinals", .object(["start": .number(firstOrdinal)])) }
            fields.set("replicas", number: replicas)
            fields.set("selector", selector?.manifest)
            fields.set("serviceName", text: serviceName)
            fields.set("template", template.manifest)
        }
    }
}

extension DaemonSet: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "daemonsets", singular: "daemonset", short: ["ds"], group: "apps")
    }

    static var columns: [PrintedColumn] {
        let counts = ["DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE"]
        return counts.map { PrintedColumn($0) } + containerColumns + [selectorColumn]
    }

    static func all(in state: PrintedState) -> [DaemonSet] { Array(state.store.daemonSets) }

    func cells(_ state: PrintedState) -> [String] {
        let count = PodCount(state.pods(of: self))
        let placed = "\(count.current)"
        return [
            placed, placed, "\(count.ready)", placed, "\(count.ready)", labelText(template.spec.nodeSelector),
            state.clock.age(since: metadata.creationTimestamp),
        ] + template.containerCells + [selectorText(selector)]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { fields in
            fields.set("selector", selector?.manifest)
            fields.set("template", template.manifest)
        }
    }
}

extension Job: PrintedObject {
    static var resource: ResourceName { ResourceName(plural: "jobs", singular: "job", group: "batch") }

    static var columns: [PrintedColumn] {
        ["STATUS", "COMPLETIONS", "DURATION", "AGE"].map { PrintedColumn($0) } + containerColumns + [selectorColumn]
    }

    static func all(in state: PrintedState) -> [Job] { Array(state.store.jobs) }

    func cells(_ state: PrintedState) -> [String] {
        let done = max(succeeded, PodCount(state.pods(of: self)).succeeded)
        let wanted: String
        if let completions {
            wanted = "\(completions)"
        } else if let parallelism, parallelism > 1 {
            // A work queue: any one success ends it.
            wanted = "1 of \(parallelism)"
        } else {
            wanted = "1"
        }
        let isComplete = done >= (completions ?? 1)
        return [
            isComplete ? "Complete" : suspend ? "Suspended" : "Running", "\(done)/\(wanted)", "",
            state.clock.age(since: metadata.creationTimestamp),
        ] + template.containerCells + ["batch.kubernetes.io/controller-uid=\(metadata.uid)"]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { fields in
            fields.set("completionMode", text: completionMode)
            fields.set("completions", number: completions)
            fields.set("parallelism", number: parallelism)
            fields.set("suspend", flag: suspend)
            fields.set("template", template.manifest)
        }
        fields.set("status") { fields in
            if succeeded > 0 { fields.set("succeeded", number: succeeded) }
        }
    }
}

extension CronJob: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "cronjobs", singular: "cronjob", short: ["cj"], group: "batch")
    }

    static var columns: [PrintedColumn] {
        ["SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE"].map { PrintedColumn($0) }
    }

    static func all(in state: PrintedState) -> [CronJob] { Array(state.store.cronJobs) }

    func cells(_ state: PrintedState) -> [String] {
        [
            schedule, "<none>", suspend ? "True" : "False", "0", "<none>",
            state.clock.age(since: metadata.creationTimestamp),
        ]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { fields in
            fields.set("schedule", text: schedule)
            fields.set("suspend", flag: suspend)
        }
    }
}
