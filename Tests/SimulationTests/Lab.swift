// The cluster most tests of this target run in: three nodes, four pods, three machines outside, built like the network
// the expectations were measured in on real kernels. Flows start and end at names, as on the command line.

import Addressing
import Kubernetes
import Manifests
import Netstack

@testable import Simulation

/// A realised cluster in virtual time, and flows through it.
struct Lab: ~Copyable {
    var simulator: Simulator
    let seed: UInt64

    /// Builds the cluster of a manifest; events are recorded, frames too.
    init(_ manifest: String, seed: UInt64 = 1) throws {
        let loaded = try LoadedManifests.load(text: manifest, name: "lab")
        let cluster: Cluster
        do { cluster = try Cluster(realising: loaded.objects, seed: seed) } catch { throw loaded.locate(error) }
        simulator = Simulator(cluster, seed: seed)
        simulator.recordFrames()
        self.seed = seed
    }

    /// Builds the cluster of a file or folder, as `-f` does.
    init(path: String, seed: UInt64 = 1) throws {
        let loaded = try LoadedManifests.load(paths: [path])
        simulator = Simulator(try Cluster(realising: loaded.objects, seed: seed), seed: seed)
        simulator.recordFrames()
        self.seed = seed
    }

    /// The flow between two ends, in their spelling on the command line.
    mutating func request(
        _ source: String, _ destination: String, _ transport: IPProtocol = .tcp,
        timeout: Nanoseconds = FlowRequest.defaultTimeout, timeToLive: UInt8? = nil
    ) throws -> FlowRequest {
        let ends = FlowEnds(simulator.cluster.objects)
        let from = try ends.source(source)
        let to = try ends.destination(destination, protocol: transport, from: from)
        let owner: NamespaceOwner =
            switch from {
            case .pod(let key): .pod(key)
            case .node(let name): .node(name)
            case .host(let name): .host(name)
            }
        guard let id = simulator.namespaceID(of: owner) else { throw NoSuchPlace(name: source) }
        var request = FlowRequest(from: id, to: to.address, port: to.port, protocol: transport, timeout: timeout)
        request.timeToLive = timeToLive
        return request
    }

    mutating func trace(
        _ source: String, _ destination: String, _ transport: IPProtocol = .tcp,
        timeout: Nanoseconds = FlowRequest.defaultTimeout, timeToLive: UInt8? = nil
    ) throws -> FlowTrace {
        simulator.trace(
            try request(source, destination, transport, timeout: timeout, timeToLive: timeToLive))
    }

    /// The frames a link has seen, in order.
    func frames(on place: String) -> [SeenFrame] {
        simulator.context.recording.frames.compactMap { frame in
            let namespace = simulator.built(frame.namespace)
            guard "\(namespace.name)/\(namespace.links[frame.link.index].name)" == place else { return nil }
            return SeenFrame(
                packet: frame.packet, direction: frame.direction, time: frame.time,
                octets: Array(simulator.context.recording.octets[frame.offset..<frame.offset + frame.length]))
        }
    }

    /// The name of the node's end of a pod's veth pair.
    mutating func hostLink(of pod: String) throws -> String {
        let key = ObjectKey(namespace: "default", name: pod)
        guard let id = simulator.namespaceID(of: .pod(key)),
            case .veth(let peer) = simulator.namespace(id).link(named: "eth0")?.kind
        else { throw NoSuchPlace(name: pod) }
        let node = simulator.namespace(peer.namespace)
        return "\(node.name)/\(node.links[peer.link.index].name)"
    }
}

struct SeenFrame {
    let packet: UInt32
    let direction: PathEvent.Direction
    let time: Nanoseconds
    let octets: [UInt8]
}

struct NoSuchPlace: Error { let name: String }

/// The lab of three nodes: n1 has pods a1 and a2, n2 has b1 and b2, n3 has none. `client` and `gw` know nothing of the
/// cluster, `ops` sends everything for pods and Services to n1, `far` to n2.
enum LabManifest {
    static let plain = nodes + pods + hosts + services

    /// The same with flannel's host-gw backend.
    static let hostGateway =
        plain + """
            ---
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
            data:
              cni-conf.json: |
                {"name": "cbr0", "cniVersion": "0.3.1", "plugins": [{"type": "flannel",
                 "delegate": {"hairpinMode": true, "isDefaultGateway": true}}]}
              net-conf.json: |
                {"Network": "10.244.0.0/16", "Backend": {"Type": "host-gw"}}

            """

    static func node(_ name: String, _ address: String, _ subnet: String, annotations: String = "") -> String {
        """
        ---
        apiVersion: v1
        kind: Node
        metadata: {name: \(name), annotations: {podnet.dev/listen: "tcp/6443,udp/53"\(annotations)}}
        spec: {podCIDR: \(subnet)}
        status: {addresses: [{type: InternalIP, address: \(address)}, {type: Hostname, address: \(name)}]}

        """
    }

    static func pod(_ name: String, _ node: String, _ address: String, app: String) -> String {
        """
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: \(name), labels: {app: \(app), pod: \(name)}}
        spec:
          nodeName: \(node)
          containers: [{name: main, image: web, ports: [{name: http, containerPort: 8080}, {containerPort: 7, protocol: UDP}]}]
        status: {podIP: \(address)}

        """
    }

    static func service(_ name: String, _ address: String, selects pod: String, more: String = "") -> String {
        """
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: \(name)}
        spec:
          clusterIP: \(address)
          selector: {\(pod)}
          \(more)
          ports: [{name: http, port: 80, targetPort: http}, {name: echo, port: 7, protocol: UDP}]

        """
    }

    static func nodePort(
        _ name: String, _ address: String, selects pod: String, _ number: Int, policy: String = "Cluster"
    ) -> String {
        """
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: \(name)}
        spec:
          type: NodePort
          externalTrafficPolicy: \(policy)
          clusterIP: \(address)
          selector: {\(pod)}
          ports: [{port: 80, targetPort: 8080, nodePort: \(number)}]

        """
    }

    /// A Service without selector, whose endpoint is a machine's own address.
    static func machineService(_ name: String, _ address: String, endpoint: String) -> String {
        """
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: \(name)}
        spec: {clusterIP: \(address), ports: [{name: https, port: 443, targetPort: 6443}]}
        ---
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata: {name: \(name)-1, labels: {kubernetes.io/service-name: \(name)}}
        addressType: IPv4
        ports: [{name: https, port: 6443}]
        endpoints: [{addresses: [\(endpoint)], conditions: {ready: true}}]

        """
    }

    static let nodes =
        node("n1", "192.168.50.11", "10.244.0.0/24") + node("n2", "192.168.50.12", "10.244.1.0/24")
        + node("n3", "192.168.50.13", "10.244.2.0/24")

    static let pods =
        pod("a1", "n1", "10.244.0.2", app: "a") + pod("a2", "n1", "10.244.0.3", app: "a")
        + pod("b1", "n2", "10.244.1.2", app: "b") + pod("b2", "n2", "10.244.1.3", app: "b")

    static let hosts = """
        ---
        apiVersion: podnet.dev/v1alpha1
        kind: Host
        metadata: {name: client}
        spec: {addresses: [192.168.50.100/24], listen: [tcp/8080, udp/7]}
        ---
        apiVersion: podnet.dev/v1alpha1
        kind: Host
        metadata: {name: ops}
        spec:
          addresses: [192.168.50.101/24]
          routes:
          - {to: 10.96.0.0/12, via: 192.168.50.11}
          - {to: 10.244.0.0/16, via: 192.168.50.11}
          - {to: 192.168.60.0/24, via: 192.168.50.11}
        ---
        apiVersion: podnet.dev/v1alpha1
        kind: Host
        metadata: {name: far}
        spec:
          addresses: [192.168.50.102/24]
          routes: [{to: 10.244.0.0/16, via: 192.168.50.12}]

        """

    static let services =
        service("on-b1", "10.96.0.10", selects: "pod: b1") + service("on-a2", "10.96.0.11", selects: "pod: a2")
        + service("on-a1", "10.96.0.12", selects: "pod: a1")
        + service("nobody", "10.96.0.13", selects: "app: none")
        + service(
            "inside", "10.96.0.14", selects: "pod: b1", more: "internalTrafficPolicy: Local")
        + service(
            "outside", "10.96.0.15", selects: "pod: b1", more: "externalIPs: [192.168.60.5]")
        + nodePort("port-b1", "10.96.0.20", selects: "pod: b1", 30080)
        + nodePort("port-local", "10.96.0.21", selects: "pod: b1", 30081, policy: "Local")
        + nodePort("port-nobody", "10.96.0.22", selects: "app: none", 30082)
        + nodePort("port-a2", "10.96.0.23", selects: "pod: a2", 30083)
        + machineService("api-n1", "10.96.0.30", endpoint: "192.168.50.11")
        + machineService("api-n2", "10.96.0.31", endpoint: "192.168.50.12")
}
