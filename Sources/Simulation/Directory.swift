// Which namespace belongs to whom: ids are given once for every node, pod and host, before anything is built.
// The order is that of the objects, so ids do not depend on what a run touches.

internal import Addressing
internal import Kubernetes
internal import Netstack
internal import NodeAgents

/// Owners and their namespace ids.
struct Directory: Sendable {
    private(set) var owners: [NamespaceOwner] = []
    private var ids: [NamespaceOwner: NamespaceID] = [:]
    /// Positions of the pods of each node, in the order of creation.
    private(set) var podsByNode: [String: [Int]] = [:]
    private var addresses: [NamespaceID: [IPAddress]] = [:]
    /// The router the underlay's gateway address belongs to, unless the input has a machine with that address.
    private(set) var gateway: NamespaceID?

    /// The name of the machine podnet adds for the gateway address, unless a machine of the input has it.
    static let gatewayName = "gateway"

    init(_ cluster: Cluster) {
        let objects = cluster.objects
        let underlay = objects.underlay ?? Underlay()
        for node in objects.nodes {
            let interfaces = NodeNetwork.interfaces(of: node, underlay: underlay)
            add(.node(node.name), addresses: interfaces.flatMap { $0.addresses.map(\.address) })
        }
        for position in objects.pods.indices {
            let pod = objects.pods[position]
            guard pod.isScheduled else { continue }
            podsByNode[pod.spec.nodeName, default: []].append(position)
            if PodAddresses.usesPodNetwork(pod) {
                if !pod.status.podIPs.isEmpty { add(.pod(pod.key), addresses: []) }
            } else if pod.spec.hostNetwork, let node = ids[.node(pod.spec.nodeName)] {
                ids[.pod(pod.key)] = node
            }
        }
        for host in objects.hosts {
            add(.host(host.name), addresses: host.addresses.map(\.address))
        }
        guard let address = underlay.gateway, !addresses.values.contains(where: { $0.contains(address) }) else {
            return
        }
        var name = Self.gatewayName
        while ids[.host(name)] != nil || ids[.node(name)] != nil { name = "underlay-" + name }
        add(.host(name), addresses: [address])
        gateway = ids[.host(name)]
    }

    private mutating func add(_ owner: NamespaceOwner, addresses own: [IPAddress]) {
        guard ids[owner] == nil else { return }
        let id = NamespaceID(owners.count)
        owners.append(owner)
        ids[owner] = id
        if !own.isEmpty { addresses[id] = own }
    }

    func id(of owner: NamespaceOwner) -> NamespaceID? { ids[owner] }

    func underlayAddresses(of id: NamespaceID) -> [IPAddress] { addresses[id] ?? [] }

    func name(of id: NamespaceID) -> String {
        switch owners[id.index] {
        case .node(let name), .host(let name): name
        case .pod(let key): key.description
        }
    }
}
