// The connection tracking entries kube-proxy removes after a sync: UDP entries that lead to endpoints which no longer
// serve, or that were made while there were none. TCP notices by itself that its peer is gone, UDP does not. Mirrors
// pkg/proxy/conntrack/cleanup.go of Kubernetes 1.36; the same in all modes.

internal import Addressing
public import Kubernetes
public import Netstack

/// Which entries are stale once the rules of an index are in place.
public struct ConntrackCleanup: Sendable {
    private let family: AddressFamily
    /// What the endpoints of a service port answer for: by address, or by node port number on any address.
    private var backendsByAddress: [SocketAddress: Set<SocketAddress>] = [:]
    private var backendsByNodePort: [UInt16: Set<SocketAddress>] = [:]

    /// - Parameters:
    ///   - index: the Services after the sync.
    ///   - previous: the Services before it.
    ///   - changed: the Services whose endpoints changed. Without a UDP port among them, before or after, nothing is
    ///     removed at all; a change of a Service alone is none.
    public init?(after index: ServiceIndex, before previous: ServiceIndex, endpointsChanged changed: Set<ObjectKey>) {
        let concernsUDP = [index, previous].contains { index in
            index.ports.contains { $0.protocol == .udp && changed.contains($0.service) }
        }
        guard concernsUDP else { return nil }
        family = index.family
        for port in index.ports where port.protocol == .udp {
            let serving = port.endpoints.filter(\.isServing).map { SocketAddress($0.address, $0.port) }
            // Of a port nobody serves nothing is known to be wrong.
            guard !serving.isEmpty else { continue }
            for address in [port.clusterIP] + port.virtualIPs + port.externalIPs {
                backendsByAddress[SocketAddress(address, port.port)] = Set(serving)
            }
            if let nodePort = port.nodePort { backendsByNodePort[nodePort] = Set(serving) }
        }
    }

    /// Whether the entry leads where it no longer should.
    public func isStale(_ connection: TrackedConnection) -> Bool {
        let original = connection.original
        guard original.protocol == .udp, original.destination.family == family else { return false }
        let wanted = SocketAddress(original.destination, original.destinationPort)
        let used = SocketAddress(connection.reply.source, connection.reply.sourcePort)
        return [backendsByAddress[wanted], backendsByNodePort[wanted.port]].contains { backends in
            backends.map { !$0.contains(used) } ?? false
        }
    }

    /// Removes the stale entries of a node; how many there were.
    @discardableResult
    public func run(on node: inout NetworkNamespace) -> Int {
        node.removeConnections(where: isStale)
    }
}
