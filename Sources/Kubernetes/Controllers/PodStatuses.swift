// What kubelets report when all is well: every placed pod without a status runs and is ready. Pods whose status came
// with the input keep it, so a dump with a crashing pod stays a dump with a crashing pod.

internal import Addressing

public enum PodStatuses {
    /// Fills in phase, conditions and container statuses of placed pods that have none. Call it once addresses are
    /// given out; the arrays are shared by all pods of a template, so a large cluster stays small.
    public static func markRunning(_ store: inout ObjectStore) {
        let conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
            .map { Condition(type: $0, status: "True") }
        var shared: [[Container]: [ContainerStatus]] = [:]
        for position in store.pods.indices {
            let pod = store.pods[position]
            guard pod.isScheduled, pod.status.phase == nil else { continue }
            let statuses =
                shared[pod.spec.containers]
                ?? pod.spec.containers.map {
                    ContainerStatus(name: $0.name, ready: true, started: true, state: .running(startedAt: nil))
                }
            shared[pod.spec.containers] = statuses
            store.pods[position].status.phase = .running
            if pod.status.conditions.isEmpty { store.pods[position].status.conditions = conditions }
            if pod.status.containerStatuses.isEmpty {
                store.pods[position].status.containerStatuses = statuses
            }
            if pod.status.hostIP == nil {
                store.pods[position].status.hostIP = store.nodes["", pod.spec.nodeName]?.internalIP
            }
        }
    }
}
