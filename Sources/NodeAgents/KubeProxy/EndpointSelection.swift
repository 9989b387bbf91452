// Which endpoints of a service port a node sends traffic to: pkg/proxy/topology.go of Kubernetes 1.36, the same for
// all modes. Ready endpoints first, those that are going away but still serve when no ready one is left, and
// topology hints only when every ready endpoint carries one.

/// The endpoints of one service port as seen from one node, as positions in its sorted list.
public struct EndpointSelection: Hashable, Sendable {
    /// Where traffic goes that may leave the node. Empty too when no traffic may.
    public var cluster: [Int] = []
    /// Where traffic goes that must stay on the node.
    public var local: [Int] = []
    /// Whether any endpoint anywhere can be used: decides between REJECT and DROP.
    public var hasAny = false

    /// Both sets together, in order.
    public var reachable: [Int] {
        if local.isEmpty { return cluster }
        if cluster.isEmpty { return local }
        return Set(cluster).union(local).sorted()
    }
}

extension ProxiedServicePort {
    /// The selection made on a node of that name, in that zone.
    public func selection(onNode nodeName: String, zone: String?) -> EndpointSelection {
        var selection = EndpointSelection()
        if usesClusterEndpoints {
            let topology = self.topology(onNode: nodeName, zone: zone)
            selection.cluster = positions { $0.isReady && topology.admits($0) }
            if selection.cluster.isEmpty { selection.cluster = positions(where: \.isDraining) }
            selection.hasAny = !selection.cluster.isEmpty
        }
        if usesLocalEndpoints {
            selection.local = positions { $0.isReady && $0.isLocal(to: nodeName) }
            if selection.local.isEmpty { selection.local = positions { $0.isDraining && $0.isLocal(to: nodeName) } }
            // A remote endpoint the policy forbids to use still makes the service one that has endpoints.
            selection.hasAny = selection.hasAny || endpoints.contains { $0.isReady || $0.isDraining }
        }
        return selection
    }

    /// Whether hints may lead different nodes to different endpoints.
    var followsHints: Bool {
        let ready = endpoints.lazy.filter(\.isReady)
        guard usesClusterEndpoints, let first = ready.first else { return false }
        return (!first.hintNodes.isEmpty && ready.allSatisfy { !$0.hintNodes.isEmpty })
            || (!first.hintZones.isEmpty && ready.allSatisfy { !$0.hintZones.isEmpty })
    }

    private enum Topology {
        case everywhere
        case sameNode(String)
        case sameZone(String)

        func admits(_ endpoint: ProxiedEndpoint) -> Bool {
            switch self {
            case .everywhere: true
            case .sameNode(let node): endpoint.hintNodes.contains(node)
            case .sameZone(let zone): endpoint.hintZones.contains(zone)
            }
        }
    }

    /// Only ready endpoints are asked, and one without a hint switches that kind of hint off.
    private func topology(onNode nodeName: String, zone: String?) -> Topology {
        var allHintNodes = true
        var allHintZones = true
        var hintsThisNode = false
        var hintsThisZone = false
        for endpoint in endpoints where endpoint.isReady {
            if endpoint.hintNodes.isEmpty {
                allHintNodes = false
            } else if endpoint.hintNodes.contains(nodeName) {
                hintsThisNode = true
            }
            if endpoint.hintZones.isEmpty {
                allHintZones = false
            } else if let zone, endpoint.hintZones.contains(zone) {
                hintsThisZone = true
            }
        }
        if allHintNodes, hintsThisNode { return .sameNode(nodeName) }
        if allHintZones, hintsThisZone, let zone { return .sameZone(zone) }
        return .everywhere
    }

    private func positions(where predicate: (ProxiedEndpoint) -> Bool) -> [Int] {
        endpoints.indices.filter { predicate(endpoints[$0]) }
    }
}
