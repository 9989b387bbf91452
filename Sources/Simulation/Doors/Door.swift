// The ways into a Service, and who may knock: each door a Service has for packets, each place a client can stand.
// The doors are those kube-proxy opens: pkg/proxy/serviceport.go of Kubernetes. IPv4 only.

public import Addressing
internal import Kubernetes

/// One address and port that leads to a Service.
public struct Door: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case clusterIP = "ClusterIP"
        case nodePort = "NodePort"
        case loadBalancer = "LoadBalancer"
        case externalIP = "ExternalIP"
        /// The node port on 127.0.0.1.
        case localhost = "localhost"
        /// A port of the ClusterIP that the Service does not have. No door, but modes of kube-proxy differ there.
        case unusedPort = "unused port"
        /// An address of the Service network that no Service has. No door either.
        case unallocated = "unallocated address"
    }

    public let kind: Kind
    public let address: SocketAddress
    public let `protocol`: IPProtocol
    /// The node whose door it is; empty for doors every node has.
    public let node: String

    /// `NodePort worker-1 192.168.50.11:30080`
    public var description: String {
        "\(kind.rawValue)\(node.isEmpty ? "" : " \(node)") \(address)"
    }
}

/// Where a client stands.
public struct DoorClient: Hashable, Sendable {
    public enum Place: String, Hashable, Sendable, CaseIterable {
        /// On a node that has an endpoint of the Service.
        case podSameNode = "pod, same node"
        case podOtherNode = "pod, other node"
        case node
        /// A machine that is not in the cluster.
        case outside
    }

    public let place: Place
    /// The node it stands on, or, for a machine outside, the node its packets for Services enter by. Empty for a
    /// machine that asks for nodes only.
    public let node: String
    let source: FlowSource

    public var description: String {
        switch place {
        case .podSameNode, .podOtherNode: "pod on \(node)"
        case .node: "node \(node)"
        case .outside: node.isEmpty ? "outside" : "outside, by \(node)"
        }
    }
}

extension Door {
    /// The IPv4 doors of one port of a Service; those of nodes for every address of every node given.
    static func all(of service: Service, port: ServicePort, nodes: [Node], underlay: Underlay) -> [Door] {
        guard let number = UInt16(exactly: port.port), let transport = port.protocol.ipProtocol,
            let clusterIP = service.clusterAddress(.ipv4)
        else { return [] }
        func door(_ kind: Kind, _ address: IPAddress, _ port: UInt16, _ node: String = "") -> Door {
            Door(kind: kind, address: SocketAddress(address, port), protocol: transport, node: node)
        }
        var doors = [door(.clusterIP, clusterIP, number)]
        doors += service.externalAddresses.filter { $0.family == .ipv4 }.map { door(.externalIP, $0, number) }
        doors += service.loadBalancerAddresses.filter { $0.family == .ipv4 }.map { door(.loadBalancer, $0, number) }
        guard let nodePort = port.nodePort.flatMap({ UInt16(exactly: $0) }), nodePort > 0 else { return doors }
        for node in nodes {
            for address in addresses(of: node, underlay: underlay) {
                doors.append(door(.nodePort, address, nodePort, node.name))
            }
            doors.append(door(.localhost, IPAddress(IPv4Address.loopback), nodePort, node.name))
        }
        return doors
    }

    /// A TCP port of the cluster IP behind the Service's own.
    static func unusedPort(of service: Service) -> Door? {
        guard let address = service.clusterAddress(.ipv4), let first = service.spec.ports.first?.port else {
            return nil
        }
        let used = Set(service.spec.ports.map(\.port))
        let free = (first...first + used.count).first { !used.contains($0) }
        return free.flatMap { UInt16(exactly: $0) }.map {
            Door(kind: .unusedPort, address: SocketAddress(address, $0), protocol: .tcp, node: "")
        }
    }

    /// The last address of the first Service network that no Service has.
    static func unallocated(in objects: ObjectStore) -> Door? {
        guard let network = objects.serviceCIDRs.flatMap(\.cidrs).first(where: { $0.family == .ipv4 }) else {
            return nil
        }
        let used = Set(objects.services.flatMap(\.spec.clusterIPs))
        var candidate = network.last.advanced(by: -1)
        while let address = candidate, network.contains(address), address != network.address {
            if !used.contains(address.description) {
                return Door(kind: .unallocated, address: SocketAddress(address, 80), protocol: .tcp, node: "")
            }
            candidate = address.advanced(by: -1)
        }
        return nil
    }

    /// Whether a client there can knock at it: loopback is each machine's own, and pods and machines outside reach
    /// everything else.
    func isOpen(to client: DoorClient) -> Bool {
        switch kind {
        case .localhost: client.place == .node && client.node == node
        // A client outside needs no route by a node to reach a node.
        case .nodePort: client.place != .outside || client.node.isEmpty
        default: client.place != .outside || !client.node.isEmpty
        }
    }
}
