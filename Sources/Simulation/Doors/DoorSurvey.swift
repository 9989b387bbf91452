// Knocks at every door of a Service from every place a client can stand, and follows each request to every endpoint the
// rules can choose. Clients are added to the cluster for it: a pod on each node that is asked about, and a machine
// outside for each, whose way into the cluster is that node.

internal import Addressing
public import Kubernetes
public import Netstack
internal import NodeAgents

extension Door {
    /// The IPv4 addresses on a node's interfaces.
    static func addresses(of node: Node, underlay: Underlay) -> [IPAddress] {
        NodeNetwork.interfaces(of: node, underlay: underlay).flatMap(\.addresses).map(\.address)
            .filter { $0.family == .ipv4 }
    }
}

/// One client at one door.
public struct DoorResult: Sendable {
    /// Nil for an address that no Service has.
    public let service: ObjectKey?
    /// The Service port's name, empty when it has none.
    public let portName: String
    public let door: Door
    public let client: DoorClient
    /// What became of the request, over all ways the rules can choose.
    public let behaviour: DoorBehaviour
    /// The rules that are the reason for it, most likely way first.
    public let reasons: [TraceRule]
    /// Why the likeliest request ended, when no rule was the reason.
    public let ending: DropReason?
}

/// A cluster with clients everywhere, in one kube-proxy mode.
public struct DoorSurvey: ~Copyable {
    public let mode: ProxyMode
    private var simulator: Simulator
    private let services: [Service]
    private let places: [ObjectKey: ServicePlaces]

    /// The namespace of the pods that are added.
    static let namespace = "podnet-doors"

    /// The nodes a Service is looked at from.
    private struct ServicePlaces: Sendable {
        /// Has an endpoint, if any node has.
        var near: Node
        /// Has none, if there is such a node; nil when there is no second node.
        var far: Node?
        var nodes: [Node] { [near] + (far.map { [$0] } ?? []) }
    }

    /// Adds the clients and lets the agents work in that mode. Throws when the cluster has no room for the clients.
    public init(_ cluster: Cluster, services keys: [ObjectKey], mode: ProxyMode, seed: UInt64) throws(ObjectError) {
        var objects = cluster.objects
        var services: [Service] = []
        var places: [ObjectKey: ServicePlaces] = [:]
        for key in keys {
            guard let service = objects.services[key], let found = Self.places(of: service, in: objects) else {
                continue
            }
            services.append(service)
            places[key] = found
        }
        let addresses = services.flatMap { service in
            ([service.clusterAddress(.ipv4)].compactMap { $0 } + service.externalAddresses
                + service.loadBalancerAddresses).filter { $0.family == .ipv4 }
        }
        let strayAddress = Door.unallocated(in: objects)?.address.address
        for node in objects.nodes where places.values.contains(where: { $0.nodes.contains { $0.name == node.name } }) {
            var pod = Pod(metadata: ObjectMeta(name: Self.podName(node.name), namespace: Self.namespace))
            pod.spec.nodeName = node.name
            pod.spec.containers = [Container(name: "client")]
            objects.pods.insert(pod)
            guard let via = node.internalIPs.first(where: { $0.family == .ipv4 }) else { continue }
            var node = node
            // A machine outside stands for those far away, who hear of no shorter way. To the neighbors of a node the
            // kernel would send a redirect where kube-proxy has it refuse, and count that against the refusal.
            let interfaces = NodeNetwork.interfaces(of: node, underlay: objects.underlay ?? Underlay())
            for name in ["all"] + interfaces.map(\.name) {
                let setting = "podnet.dev/sysctl.net.ipv4.conf.\(name).send_redirects"
                if node.metadata.annotations[setting] == nil { node.metadata.annotations[setting] = "0" }
            }
            objects.nodes.insert(node)
            objects.hosts.insert(
                Host(
                    metadata: ObjectMeta(name: Self.hostName(node.name)),
                    routes: (addresses + (strayAddress.map { [$0] } ?? [])).map {
                        HostRoute(to: IPPrefix(host: $0), via: via)
                    }))
        }
        self.mode = mode
        self.services = services
        self.places = places
        simulator = Simulator(try Cluster(realising: objects, seed: seed, proxyMode: mode), seed: seed)
    }

    private static func podName(_ node: String) -> String { "client-\(node)" }
    private static func hostName(_ node: String) -> String { "podnet-outside-\(node)" }

    private static func places(of service: Service, in objects: ObjectStore) -> ServicePlaces? {
        let slices = objects.endpointSlices.filter {
            $0.metadata.namespace == service.metadata.namespace && $0.serviceName == service.metadata.name
        }
        let holders = Set(slices.flatMap(\.endpoints).filter(\.conditions.isReady).map(\.nodeName))
        // Workers before the control plane, which has taints.
        let nodes = objects.nodes.filter { $0.spec.taints.isEmpty } + objects.nodes.filter { !$0.spec.taints.isEmpty }
        guard let near = nodes.first(where: { holders.contains($0.name) }) ?? nodes.first else { return nil }
        let far = nodes.first { $0.name != near.name && !holders.contains($0.name) }
        return ServicePlaces(near: near, far: far ?? nodes.first { $0.name != near.name })
    }

    /// Every client at every door of every Service, in the order of the objects.
    public mutating func results() -> [DoorResult] {
        let objects = simulator.cluster.objects
        let nodes = Array(objects.nodes)
        let underlay = objects.underlay ?? Underlay()
        var results: [DoorResult] = []
        for service in services {
            guard let places = places[service.key] else { continue }
            for port in service.spec.ports {
                for door in Door.all(of: service, port: port, nodes: nodes, underlay: underlay) {
                    results += self.results(at: door, of: service.key, portName: port.name, from: places)
                }
            }
        }
        return results
    }

    /// The clients of the first Service where no Service is: at another port of its cluster IP, and at an address
    /// nobody has.
    public mutating func strayResults() -> [DoorResult] {
        guard let service = services.first(where: { $0.clusterAddress(.ipv4) != nil }),
            let places = places[service.key]
        else { return [] }
        let unused = Door.unusedPort(of: service).map {
            results(at: $0, of: service.key, portName: "", from: places)
        }
        let unallocated = Door.unallocated(in: simulator.cluster.objects).map {
            results(at: $0, of: nil, portName: "", from: places)
        }
        return (unused ?? []) + (unallocated ?? [])
    }

    private mutating func results(
        at door: Door, of service: ObjectKey?, portName: String, from places: ServicePlaces
    ) -> [DoorResult] {
        guard door.protocol == .tcp || door.protocol == .udp else { return [] }
        return Self.clients(places).filter { door.isOpen(to: $0) }.compactMap { client in
            knock(client, door).map { backends in
                DoorResult(
                    service: service, portName: portName, door: door, client: client,
                    behaviour: DoorBehaviour(backends), reasons: backends.reasons,
                    ending: backends.ending)
            }
        }
    }

    private static func clients(_ places: ServicePlaces) -> [DoorClient] {
        func pod(_ node: Node, _ place: DoorClient.Place) -> DoorClient {
            let key = ObjectKey(namespace: namespace, name: podName(node.name))
            return DoorClient(place: place, node: node.name, source: .pod(key))
        }
        var clients = [pod(places.near, .podSameNode)]
        if let far = places.far { clients.append(pod(far, .podOtherNode)) }
        clients += places.nodes.map { DoorClient(place: .node, node: $0.name, source: .node($0.name)) }
        clients += places.nodes.map {
            DoorClient(place: .outside, node: $0.name, source: .host(hostName($0.name)))
        }
        clients.append(DoorClient(place: .outside, node: "", source: .host(hostName(places.near.name))))
        return clients
    }

    private mutating func knock(_ client: DoorClient, _ door: Door) -> [Backend]? {
        let owner: NamespaceOwner =
            switch client.source {
            case .pod(let key): .pod(key)
            case .node(let name): .node(name)
            case .host(let name): .host(name)
            }
        guard let id = simulator.namespaceID(of: owner) else { return nil }
        return simulator.backends(
            of: FlowRequest(
                from: id, to: door.address.address, port: door.address.port, protocol: door.protocol))
    }
}
