// How every service port looks from one node: worked out once for a node that has nothing of its own, and then only
// where a node differs. Shared by the modes of kube-proxy; each makes rules of it.

internal import Addressing
internal import Kubernetes

/// How a service port looks from one node.
struct ServicePortView: Hashable, Sendable {
    var selection: EndpointSelection
    /// Whether the node's own address is inside the load balancer's source ranges.
    var rangesHoldNode = false

    /// Whether the cluster IP leads to an endpoint for everybody allowed to use it.
    func hasInternal(_ port: ProxiedServicePort) -> Bool {
        selection.hasAny && (!port.isInternalPolicyLocal || !selection.local.isEmpty)
    }

    /// Whether clients outside the cluster find an endpoint.
    func hasExternal(_ port: ProxiedServicePort) -> Bool {
        selection.hasAny && (!port.isExternalPolicyLocal || !selection.local.isEmpty)
    }
}

/// A view that is not the one most nodes have.
struct ServicePortDifference: Hashable, Sendable {
    /// The place of the port in the index.
    var position: Int
    var view: ServicePortView
}

/// The views of all ports of an index.
struct ServicePortViews: Sendable {
    /// Per service port the view from a node that has no endpoint, no hint and no source range of its own.
    let common: [ServicePortView]
    /// Service ports whose view must be worked out for every node.
    private let nodeDependent: [Int]
    /// The others with a Local policy, by the nodes that have endpoints of theirs. Looked up, never walked.
    private let localPositions: [String: [Int]]

    init(_ index: ServiceIndex) {
        // No node has the empty name.
        common = index.ports.map { ServicePortView(selection: $0.selection(onNode: "", zone: nil)) }
        var nodeDependent: [Int] = []
        var localPositions: [String: [Int]] = [:]
        for (position, port) in index.ports.enumerated() {
            if port.followsHints || port.comparesSources {
                nodeDependent.append(position)
            } else if port.usesLocalEndpoints {
                for endpoint in port.endpoints where localPositions[endpoint.nodeName]?.last != position {
                    localPositions[endpoint.nodeName, default: []].append(position)
                }
            }
        }
        self.nodeDependent = nodeDependent
        self.localPositions = localPositions
    }

    /// What looks different from a node, in order.
    func differences(for node: NodeView, of index: ServiceIndex, _ configuration: KubeProxyConfiguration)
        -> [ServicePortDifference]
    {
        let nodeIP = node.address(index.family, configuration)
        let positions = (nodeDependent + (localPositions[node.name] ?? [])).sorted()
        return positions.compactMap { position in
            let port = index.ports[position]
            let view = ServicePortView(
                selection: port.selection(onNode: node.name, zone: node.zone),
                rangesHoldNode: port.sourceRanges.contains { $0.contains(nodeIP) })
            return view == common[position] ? nil : ServicePortDifference(position: position, view: view)
        }
    }
}

extension ProxiedServicePort {
    /// Whether the load balancer's addresses are for some sources only.
    var comparesSources: Bool { !virtualIPs.isEmpty && !sourceRanges.isEmpty }
}
