// Pods as kubectl shows them (printPod in kubernetes pkg/printers/internalversion): the STATUS column is not the phase
// but the most telling of phase, reasons, init containers and deletion.

internal import Addressing
internal import Kubernetes

extension Pod: PrintedObject {
    static var resource: ResourceName { ResourceName(plural: "pods", singular: "pod", short: ["po"]) }

    static var columns: [PrintedColumn] {
        [
            PrintedColumn("READY"), PrintedColumn("STATUS"), PrintedColumn("RESTARTS"), PrintedColumn("AGE"),
            PrintedColumn("IP", isWide: true), PrintedColumn("NODE", isWide: true),
            PrintedColumn("NOMINATED NODE", isWide: true), PrintedColumn("READINESS GATES", isWide: true),
        ]
    }

    static func all(in state: PrintedState) -> [Pod] { Array(state.store.pods) }

    func cells(_ state: PrintedState) -> [String] {
        let summary = PodSummary(self)
        var restarts = String(summary.restarts)
        if summary.restarts > 0, let last = summary.lastTermination {
            restarts += " (\(durationText(state.clock.now - last)) ago)"
        }
        let node = spec.nodeName.isEmpty ? "<none>" : spec.nodeName
        return [
            "\(summary.ready)/\(summary.total)", summary.reason, restarts,
            state.clock.age(since: metadata.creationTimestamp), status.podIP?.description ?? "<none>", node, "<none>",
            "<none>",
        ]
    }
}

/// What the columns say of a pod.
private struct PodSummary {
    var ready = 0
    var total: Int
    var restarts = 0
    var reason: String
    /// When a container last ended, in seconds since 1970.
    var lastTermination: Int?

    private let pod: Pod
    private let sidecars: [String]
    private var sidecarRestarts = 0
    private var lastSidecarTermination: Int?

    init(_ pod: Pod) {
        self.pod = pod
        sidecars = pod.spec.initContainers.filter(\.isSidecar).map(\.name)
        total = pod.spec.containers.count + sidecars.count
        let status = pod.status
        reason = status.phase?.rawValue ?? "Pending"
        if !status.reason.isEmpty { reason = status.reason }
        if status.condition("PodScheduled")?.reason == "SchedulingGated" { reason = "SchedulingGated" }
        let isInitializing = readInitContainers()
        if !isInitializing || status.condition("Initialized")?.status == "True" { readContainers() }
        guard pod.isTerminating else { return }
        if status.reason == "NodeLost" {
            reason = "Unknown"
        } else if !pod.isFinished {
            reason = "Terminating"
        }
    }

    /// The first init container that is not done gives the reason. True when there is one.
    private mutating func readInitContainers() -> Bool {
        for (index, container) in pod.status.initContainerStatuses.enumerated() {
            restarts += container.restartCount
            lastTermination = later(lastTermination, container.lastState)
            let isSidecar = sidecars.contains(container.name)
            if isSidecar {
                sidecarRestarts += container.restartCount
                lastSidecarTermination = later(lastSidecarTermination, container.lastState)
            }
            switch container.state {
            case .terminated(_, 0, _, _): continue
            case _ where isSidecar && container.started == true:
                if container.ready { ready += 1 }
                continue
            case .terminated(let why, let exitCode, let signal, _):
                reason = "Init:" + (why.isEmpty ? ending(exitCode, signal) : why)
            case .waiting(let why) where !why.isEmpty && why != "PodInitializing":
                reason = "Init:" + why
            default:
                reason = "Init:\(index)/\(pod.spec.initContainers.count)"
            }
            return true
        }
        return false
    }

    /// From last to first, so that the first listed container has the last word.
    private mutating func readContainers() {
        restarts = sidecarRestarts
        lastTermination = lastSidecarTermination
        var isRunning = false
        for container in pod.status.containerStatuses.reversed() {
            restarts += container.restartCount
            lastTermination = later(lastTermination, container.lastState)
            switch container.state {
            case .waiting(let why) where !why.isEmpty: reason = why
            case .terminated(let why, let exitCode, let signal, _):
                reason = why.isEmpty ? ending(exitCode, signal) : why
            case .running where container.ready:
                isRunning = true
                ready += 1
            default: break
            }
        }
        if reason == "Completed", isRunning {
            reason = pod.status.condition("Ready")?.status == "True" ? "Running" : "NotReady"
        }
    }

    private func ending(_ exitCode: Int, _ signal: Int) -> String {
        signal != 0 ? "Signal:\(signal)" : "ExitCode:\(exitCode)"
    }

    private func later(_ known: Int?, _ state: ContainerState?) -> Int? {
        guard case .terminated(_, _, _, let finishedAt?) = state, let time = secondsSince1970(finishedAt) else {
            return known
        }
        return max(known ?? time, time)
    }
}
