// A realised cluster: the objects as the control plane and the kubelets leave them when everything that was absent has
// been filled in: nodes, pods, addresses, ports, endpoint slices. No packet has been sent.

public import Kubernetes
internal import NodeAgents

/// Objects at rest, ready to be looked at or simulated.
public struct Cluster: Sendable {
    public let objects: ObjectStore
    public let warnings: [ObjectWarning]
    /// Rules of real nodes, by node.
    var dumps: [String: [RulesDump]] = [:]
    /// What is wrong on purpose.
    private(set) var faults = FaultPlan()

    /// Lets the controllers work on what the user gave until nothing changes. The seed decides names, addresses and
    /// ports nobody chose, `proxyMode` replaces the kube-proxy mode of the configuration. Throws when the input
    /// contradicts itself.
    public init(
        realising given: ObjectStore, seed: UInt64 = 1, proxyMode: ProxyMode? = nil
    ) throws(ObjectError) {
        var objects = given
        var warnings = try ControlPlane.realiseObjects(&objects, seed: seed)
        if let proxyMode { objects.kubeProxyConfiguration?.mode = proxyMode }
        // Pods are connected by flannel unless the input says how. Without a pod nothing tells that there is a flannel.
        if given.flannelConfiguration == nil, objects.pods.isEmpty { objects.flannelConfiguration = nil }
        let devices =
            (objects.flannelConfiguration.map(FlannelDaemon.deviceNames) ?? [])
            + (objects.kubeProxyConfiguration?.mode == .ipvs ? [IPVSProxy.device] : [])
        warnings += try NodeNetwork.checkSettings(
            objects.nodes, devices: devices, underlay: objects.underlay ?? Underlay())
        try NodeNetwork.checkKernels(objects.nodes)
        try NodeNetwork.checkKernels(objects.hosts)
        if let flannel = objects.flannelConfiguration, let warning = FlannelDaemon.warning(about: flannel) {
            warnings.append(warning)
        }
        self.warnings = warnings
        try PodAddresses.assign(&objects)
        PodStatuses.markRunning(&objects)
        EndpointSlices.reconcile(&objects, seed: seed)
        self.objects = objects
        faults = try FaultPlan(self, seed: seed)
    }
}
