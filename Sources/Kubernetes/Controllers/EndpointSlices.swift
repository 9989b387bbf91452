// Who stands behind each Service (kubernetes endpointslice reconciler.go and util): the pods its selector selects, with
// the port each of them means by targetPort. Input that brings slices, or the older Endpoints, is believed instead.

public import Addressing

public enum EndpointSlices {
    public static let managedBy = "endpointslice-controller.k8s.io"
    public static let mirroredBy = "endpointslicemirroring-controller.k8s.io"
    static let maximumEndpoints = 100

    /// Computes the slices of every Service with a selector from the pods as they are now: call it when pod addresses
    /// are known, and again when pods change. Slices of an earlier call are replaced, given ones are kept.
    public static func reconcile(_ store: inout ObjectStore, seed: UInt64 = 1) {
        let generated = store.generatedEndpointSlices
        if !generated.isEmpty {
            store.endpointSlices.removeAll { generated.contains($0.key) }
            store.generatedEndpointSlices = []
        }
        var given: Set<ObjectKey> = []
        for slice in store.endpointSlices where !slice.serviceName.isEmpty {
            given.insert(ObjectKey(namespace: slice.metadata.namespace, name: slice.serviceName))
        }
        let index = PodIndex(store.pods) { !$0.isFinished }
        for position in store.services.indices {
            let service = store.services[position]
            guard !given.contains(service.key), service.spec.type != .externalName else { continue }
            var made: [EndpointSlice] = []
            if let endpoints = store.endpoints[service.key] {
                made = mirror(endpoints, service)
            } else if !service.spec.selector.isEmpty {
                made = slices(of: service, store, index)
            }
            var generator = SeededGenerator(seed: seed, stream: "slices \(service.key)")
            for var slice in made {
                repeat {
                    slice.metadata.name = "\(service.metadata.name)-\(generator.nameSuffix())"
                } while store.endpointSlices.position(of: slice.key) != nil
                store.endpointSlices.insert(slice)
                store.generatedEndpointSlices.insert(slice.key)
            }
        }
    }

    /// The addresses a pod answers on: its own, or on the host network those of its node.
    public static func addresses(of pod: Pod, in store: ObjectStore) -> [IPAddress] {
        if !pod.status.podIPs.isEmpty { return pod.status.podIPs }
        guard pod.spec.hostNetwork, let node = store.nodes["", pod.spec.nodeName] else { return [] }
        return AddressFamily.allCases.compactMap { node.internalIP($0) }
    }

    // MARK: From pods

    private static func slices(of service: Service, _ store: ObjectStore, _ index: PodIndex) -> [EndpointSlice] {
        let selector = LabelSelector(matchLabels: service.spec.selector)
        let pods = index.select(selector, namespace: service.metadata.namespace, in: store.pods)
        var slices: [EndpointSlice] = []
        for family in service.spec.ipFamilies.compactMap(\.addressFamily) {
            // Pods that mean different numbers by one port name land in different slices.
            var groups: [(ports: [EndpointPort], endpoints: [Endpoint])] = []
            var positions: [[EndpointPort]: Int] = [:]
            for position in pods {
                let pod = store.pods[position]
                guard let node = store.nodes["", pod.spec.nodeName],
                    let address = addresses(of: pod, in: store).first(where: { $0.family == family })
                else { continue }
                let ports = service.spec.ports.compactMap { resolve($0, pod) }
                let endpoint = endpoint(pod, node, address, service)
                if let group = positions[ports] {
                    groups[group].endpoints.append(endpoint)
                } else {
                    positions[ports] = groups.count
                    groups.append((ports, [endpoint]))
                }
            }
            if groups.isEmpty { groups = [([], [])] }
            for group in groups {
                var start = 0
                repeat {
                    let end = min(start + maximumEndpoints, group.endpoints.count)
                    slices.append(
                        EndpointSlice(
                            metadata: metadata(service, managedBy), addressType: IPFamily(family).rawValue,
                            ports: group.ports, endpoints: Array(group.endpoints[start..<end])))
                    start = end
                } while start < group.endpoints.count
            }
        }
        return slices
    }

    private static func metadata(_ service: Service, _ manager: String) -> ObjectMeta {
        var labels = service.metadata.labels
        labels[EndpointSlice.serviceNameLabel] = service.metadata.name
        labels[EndpointSlice.managedByLabel] = manager
        labels[Service.headlessLabel] = service.isHeadless ? "" : nil
        return ObjectMeta(
            namespace: service.metadata.namespace, generateName: "\(service.metadata.name)-", labels: labels,
            ownerReferences: [
                OwnerReference(
                    kind: Service.kind, name: service.metadata.name, uid: service.metadata.uid, apiVersion: "v1")
            ])
    }

    private static func endpoint(_ pod: Pod, _ node: Node, _ address: IPAddress, _ service: Service) -> Endpoint {
        let isServing = pod.isReady
        let conditions = EndpointConditions(
            ready: service.spec.publishNotReadyAddresses || (isServing && !pod.isTerminating),
            serving: isServing, terminating: pod.isTerminating)
        var endpoint = Endpoint(
            addresses: [address.description], conditions: conditions, nodeName: node.name, zone: node.zone ?? "",
            targetRef: ObjectReference(
                kind: Pod.kind, namespace: pod.metadata.namespace, name: pod.metadata.name, uid: pod.metadata.uid))
        if !pod.spec.hostname.isEmpty, pod.spec.subdomain == service.metadata.name {
            endpoint.hostname = pod.spec.hostname
        }
        if !service.spec.trafficDistribution.isEmpty, let zone = node.zone, conditions.isReady {
            endpoint.hintZones = [zone]
        }
        if service.spec.trafficDistribution == "PreferSameNode", conditions.isReady {
            endpoint.hintNodes = [node.name]
        }
        return endpoint
    }

    /// The port of the pod a Service port leads to; nil when the pod has no port of that name.
    static func resolve(_ port: ServicePort, _ pod: Pod) -> EndpointPort? {
        let number: Int?
        switch port.targetPort {
        case .int(let value) where value != 0: number = value
        case .string(let name) where !name.isEmpty: number = pod.spec.port(named: name, protocol: port.protocol)
        default: number = port.port
        }
        return number.map {
            EndpointPort(name: port.name, port: $0, protocol: port.protocol, appProtocol: port.appProtocol)
        }
    }

    // MARK: From Endpoints

    private static func mirror(_ endpoints: Endpoints, _ service: Service) -> [EndpointSlice] {
        var slices: [EndpointSlice] = []
        for subset in endpoints.subsets {
            let entries =
                subset.addresses.map { ($0, true) } + subset.notReadyAddresses.map { ($0, false) }
            for family in AddressFamily.allCases {
                let ofFamily = entries.filter { IPAddress($0.0.ip)?.family == family }
                var start = 0
                while start < ofFamily.count {
                    let end = min(start + maximumEndpoints, ofFamily.count)
                    slices.append(
                        EndpointSlice(
                            metadata: metadata(service, mirroredBy), addressType: IPFamily(family).rawValue,
                            ports: subset.ports.map {
                                EndpointPort(
                                    name: $0.name ?? "", port: $0.port, protocol: $0.protocol,
                                    appProtocol: $0.appProtocol)
                            },
                            endpoints: ofFamily[start..<end].map { address, isReady in
                                Endpoint(
                                    addresses: [address.ip],
                                    conditions: EndpointConditions(
                                        ready: isReady, serving: isReady, terminating: false),
                                    hostname: address.hostname, nodeName: address.nodeName,
                                    targetRef: address.targetRef)
                            }))
                    start = end
                }
            }
        }
        return slices
    }
}

extension PodSpec {
    /// The number of the first container port with that name and protocol (kubernetes pkg/api/v1/pod FindPort):
    /// containers in order, then sidecars.
    public func port(named name: String, protocol transport: PortProtocol) -> Int? {
        for container in containers + initContainers.filter(\.isSidecar) {
            for port in container.ports where port.name == name && port.protocol == transport {
                return port.containerPort
            }
        }
        return nil
    }
}
