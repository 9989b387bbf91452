// Nodes and namespaces as kubectl shows them (printNode, printNamespace), and podnet's own Host and Underlay in the
// way of a custom resource with printer columns.

internal import Addressing
internal import Kubernetes

extension Node: PrintedObject {
    static var resource: ResourceName { ResourceName(plural: "nodes", singular: "node", short: ["no"]) }

    static var columns: [PrintedColumn] {
        ["STATUS", "ROLES", "AGE", "VERSION"].map { PrintedColumn($0) }
            + ["INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"]
            .map { PrintedColumn($0, isWide: true) }
    }

    static func all(in state: PrintedState) -> [Node] { Array(state.store.nodes) }

    func cells(_ state: PrintedState) -> [String] {
        func known(_ text: String?, _ absent: String = "<unknown>") -> String {
            text.map { $0.isEmpty ? absent : $0 } ?? absent
        }
        let info = status.nodeInfo
        let version = info.kubeletVersion.isEmpty ? state.store.clusterConfiguration?.kubernetesVersion : nil
        return [
            statusText, rolesText, state.clock.age(since: metadata.creationTimestamp),
            known(version ?? info.kubeletVersion), known(address(.internalIP), "<none>"),
            known(address(.externalIP), "<none>"), known(info.osImage), known(info.kernelVersion),
            known(info.containerRuntimeVersion),
        ]
    }

    private func address(_ type: NodeAddress.AddressType) -> String? {
        status.addresses.first { $0.type == type }?.address
    }

    /// A node whose kubelet has said nothing is taken as ready, as everywhere in podnet.
    private var statusText: String {
        let ready = status.conditions.first { $0.type == "Ready" }
        let text = ready.map { $0.status == "True" ? "Ready" : "NotReady" } ?? "Ready"
        return spec.unschedulable ? text + ",SchedulingDisabled" : text
    }

    private var rolesText: String {
        let prefix = "node-role.kubernetes.io/"
        var roles = metadata.labels.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
        if let role = metadata.labels["kubernetes.io/role"] { roles.append(role) }
        roles = Set(roles.filter { !$0.isEmpty }).sorted()
        return roles.isEmpty ? "<none>" : roles.joined(separator: ",")
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set(
            "spec",
            .object { fields in
                fields.set("podCIDR", text: spec.podCIDR?.description)
                fields.set("podCIDRs", texts: spec.podCIDRs.map(\.description))
                fields.set("providerID", text: spec.providerID)
                fields.set("taints", list: spec.taints.map(\.manifest))
                if spec.unschedulable { fields.set("unschedulable", flag: true) }
            })
        fields.set("status") { fields in
            fields.set("addresses", list: status.addresses.map(\.manifest))
            fields.set("allocatable", status.allocatable?.manifest)
            fields.set("capacity", status.capacity?.manifest)
            fields.set("conditions", list: status.conditions.map(\.manifest))
            fields.set("nodeInfo") { fields in
                fields.set("architecture", text: status.nodeInfo.architecture)
                fields.set("containerRuntimeVersion", text: status.nodeInfo.containerRuntimeVersion)
                fields.set("kernelVersion", text: status.nodeInfo.kernelVersion)
                fields.set("kubeletVersion", text: status.nodeInfo.kubeletVersion)
                fields.set("operatingSystem", text: status.nodeInfo.operatingSystem)
                fields.set("osImage", text: status.nodeInfo.osImage)
            }
        }
    }
}

extension Taint {
    var manifest: JSONValue {
        .object { fields in
            fields.set("effect", text: effect.rawValue)
            fields.set("key", text: key)
            fields.set("value", text: value)
        }
    }
}

extension NodeAddress {
    var manifest: JSONValue {
        .object { fields in
            fields.set("address", text: address)
            fields.set("type", text: type.rawValue)
        }
    }
}

extension Namespace: PrintedObject {
    static var resource: ResourceName { ResourceName(plural: "namespaces", singular: "namespace", short: ["ns"]) }

    static var columns: [PrintedColumn] { [PrintedColumn("STATUS"), PrintedColumn("AGE")] }

    static func all(in state: PrintedState) -> [Namespace] { Array(state.store.namespaces) }

    func cells(_ state: PrintedState) -> [String] { [phase, state.clock.age(since: metadata.creationTimestamp)] }

    func fill(_ fields: inout ManifestFields) {
        fields.set("status") { $0.set("phase", text: phase) }
    }
}

extension ConfigMap: PrintedObject {
    static var resource: ResourceName { ResourceName(plural: "configmaps", singular: "configmap", short: ["cm"]) }

    static var columns: [PrintedColumn] { [PrintedColumn("DATA"), PrintedColumn("AGE")] }

    static func all(in state: PrintedState) -> [ConfigMap] { Array(state.store.configMaps) }

    func cells(_ state: PrintedState) -> [String] {
        ["\(data.count)", state.clock.age(since: metadata.creationTimestamp)]
    }

    func fill(_ fields: inout ManifestFields) { fields.set("data", map: data) }
}

extension NetworkPolicy: PrintedObject {
    static var resource: ResourceName {
        ResourceName(
            plural: "networkpolicies", singular: "networkpolicy", short: ["netpol"], group: "networking.k8s.io")
    }

    static var columns: [PrintedColumn] { [PrintedColumn("POD-SELECTOR"), PrintedColumn("AGE")] }

    static func all(in state: PrintedState) -> [NetworkPolicy] { Array(state.store.networkPolicies) }

    func cells(_ state: PrintedState) -> [String] {
        [podSelector.text, state.clock.age(since: metadata.creationTimestamp)]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { fields in
            fields.set("podSelector", podSelector.manifest)
            fields.set("policyTypes", texts: policyTypes)
        }
    }
}

extension ServiceCIDR: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "servicecidrs", singular: "servicecidr", group: "networking.k8s.io")
    }

    static var columns: [PrintedColumn] { [PrintedColumn("CIDRS"), PrintedColumn("AGE")] }

    static func all(in state: PrintedState) -> [ServiceCIDR] { Array(state.store.serviceCIDRs) }

    func cells(_ state: PrintedState) -> [String] {
        [cidrs.map(\.description).joined(separator: ","), state.clock.age(since: metadata.creationTimestamp)]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { $0.set("cidrs", texts: cidrs.map(\.description)) }
    }
}

extension Host: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "hosts", singular: "host", group: "podnet.dev", version: "v1alpha1")
    }

    static var columns: [PrintedColumn] {
        [PrintedColumn("ADDRESSES"), PrintedColumn("LISTEN"), PrintedColumn("FORWARDING"), PrintedColumn("AGE")]
    }

    static func all(in state: PrintedState) -> [Host] { Array(state.store.hosts) }

    func cells(_ state: PrintedState) -> [String] {
        func list(_ texts: [String]) -> String { texts.isEmpty ? "<none>" : texts.joined(separator: ",") }
        return [
            list(addresses.map(\.description)), list(listen.map(\.description)), "\(forwarding)",
            state.clock.age(since: metadata.creationTimestamp),
        ]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { fields in
            fields.set("addresses", texts: addresses.map(\.description))
            if forwarding { fields.set("forwarding", flag: true) }
            fields.set("listen", texts: listen.map(\.description))
            fields.set("routes", list: routes.map(\.manifest))
        }
    }
}

extension HostRoute {
    var manifest: JSONValue {
        .object { fields in
            fields.set("to", text: to.length == 0 ? "default" : to.description)
            fields.set("via", text: via.description)
        }
    }
}

extension Underlay: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "underlays", singular: "underlay", group: "podnet.dev", version: "v1alpha1")
    }

    static var columns: [PrintedColumn] {
        ["SUBNET", "GATEWAY", "MTU", "DELAY", "LOSS", "AGE"].map { PrintedColumn($0) }
    }

    static func all(in state: PrintedState) -> [Underlay] { state.store.underlay.map { [$0] } ?? [] }

    func cells(_ state: PrintedState) -> [String] {
        [
            subnet?.description ?? "<none>", gateway?.description ?? "<none>", "\(mtu)", delayText, lossText,
            state.clock.age(since: metadata.creationTimestamp),
        ]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { fields in
            fields.set("delay", text: delayText)
            fields.set("gateway", text: gateway?.description)
            fields.set("loss", text: lossText)
            fields.set("mtu", number: mtu)
            fields.set("subnet", text: subnet?.description)
        }
    }

    /// In the largest unit that needs no fraction.
    private var delayText: String {
        let units: [(Int64, String)] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1000, "us")]
        for (size, name) in units where delayNanoseconds > 0 && delayNanoseconds % size == 0 {
            return "\(delayNanoseconds / size)\(name)"
        }
        return delayNanoseconds == 0 ? "0s" : "\(delayNanoseconds)ns"
    }

    /// Per cent with as many digits as it takes.
    private var lossText: String {
        let (whole, rest) = lossPerMillion.quotientAndRemainder(dividingBy: 10_000)
        guard rest > 0 else { return "\(whole)%" }
        var digits = String(10_000 + rest).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return "\(whole).\(digits)%"
    }
}
