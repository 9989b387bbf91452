// Short spellings for objects in tests: only what a test is about is written out.

import Addressing
import Kubernetes

func meta(_ name: String, _ namespace: String = "default", labels: [String: String] = [:]) -> ObjectMeta {
    ObjectMeta(name: name, namespace: namespace, labels: labels)
}

func node(_ name: String, _ address: String? = nil, podCIDR: String? = nil) -> Node {
    var node = Node(metadata: ObjectMeta(name: name))
    if let address { node.status.addresses = [NodeAddress(type: .internalIP, address: address)] }
    if let block = podCIDR.flatMap({ IPPrefix($0) }) { node.spec.podCIDRs = [block] }
    return node
}

func template(
    _ labels: [String: String], ports: [ContainerPort] = [], _ change: (inout PodSpec) -> Void = { _ in }
) -> PodTemplateSpec {
    var spec = PodSpec(containers: [Container(name: "c", image: "nginx", ports: ports)])
    change(&spec)
    return PodTemplateSpec(metadata: ObjectMeta(labels: labels), spec: spec)
}

func pod(
    _ name: String, _ namespace: String = "default", labels: [String: String] = [:], on node: String = "",
    ip: String? = nil, ports: [ContainerPort] = [], _ change: (inout Pod) -> Void = { _ in }
) -> Pod {
    var pod = Pod(
        metadata: meta(name, namespace, labels: labels),
        spec: PodSpec(nodeName: node, containers: [Container(name: "c", ports: ports)]))
    if let address = ip.flatMap({ IPAddress($0) }) { pod.status.podIPs = [address] }
    change(&pod)
    return pod
}

func deployment(
    _ name: String, _ namespace: String = "default", replicas: Int? = nil, ports: [ContainerPort] = [],
    _ change: (inout PodSpec) -> Void = { _ in }
) -> Deployment {
    Deployment(
        metadata: meta(name, namespace), replicas: replicas, selector: LabelSelector(matchLabels: ["app": name]),
        template: template(["app": name], ports: ports, change))
}

func service(
    _ name: String, _ namespace: String = "default", type: ServiceType = .clusterIP, app: String? = nil,
    ports: [ServicePort] = [ServicePort(port: 80)], _ change: (inout Service) -> Void = { _ in }
) -> Service {
    var service = Service(metadata: meta(name, namespace))
    service.spec.type = type
    service.spec.ports = ports
    if let app { service.spec.selector = ["app": app] }
    change(&service)
    return service
}

func store(_ fill: (inout ObjectStore) -> Void) -> ObjectStore {
    var store = ObjectStore()
    fill(&store)
    return store
}

/// Realises a store and hands back the warnings' texts.
@discardableResult
func realise(_ store: inout ObjectStore, seed: UInt64 = 1) throws(ObjectError) -> [String] {
    try ControlPlane.realiseObjects(&store, seed: seed).map(\.description)
}

/// Gives every placed pod without an address the next of its node's block, as an address manager would.
func giveAddresses(_ store: inout ObjectStore) {
    var next: [String: Int] = [:]
    for position in store.pods.indices {
        let pod = store.pods[position]
        guard pod.isScheduled, !pod.spec.hostNetwork, pod.status.podIPs.isEmpty,
            let block = store.nodes["", pod.spec.nodeName]?.spec.podCIDR
        else { continue }
        let index = next[pod.spec.nodeName, default: 2]
        next[pod.spec.nodeName] = index + 1
        store.pods[position].status.podIPs = [block.address.advanced(by: index)].compactMap { $0 }
    }
}

/// A realised store with addresses, running pods and slices.
func running(seed: UInt64 = 1, _ fill: (inout ObjectStore) -> Void) throws(ObjectError) -> ObjectStore {
    var store = store(fill)
    try realise(&store, seed: seed)
    giveAddresses(&store)
    PodStatuses.markRunning(&store)
    EndpointSlices.reconcile(&store, seed: seed)
    return store
}

/// The description of the error realising the store throws; empty if it throws none.
func refusal(_ fill: (inout ObjectStore) -> Void) -> String {
    var store = store(fill)
    do {
        try realise(&store)
        return ""
    } catch {
        return error.description
    }
}
