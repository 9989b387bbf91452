// What kube-proxy answers on a Service's healthCheckNodePort, so that a load balancer sends traffic only to nodes with
// an endpoint: pkg/proxy/healthcheck/service_health.go of Kubernetes 1.36. kube-proxy itself is always healthy here.

public import Addressing
public import Kubernetes

/// The health of one Service on one node.
public struct ServiceHealth: Hashable, Sendable {
    public let service: ObjectKey
    public let port: UInt16
    /// The addresses it is answered on; nil for all.
    public let addresses: [IPAddress]?
    /// Distinct addresses of ready endpoints on the node. Endpoints that are going away do not count, although they
    /// still get traffic when no other is left.
    public let localEndpoints: Int

    public var isServing: Bool { localEndpoints > 0 }

    /// The headers of the answer, beside those every answer has.
    public var headers: [(name: String, value: String)] {
        [
            ("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff"),
            ("X-Load-Balancing-Endpoint-Weight", "\(localEndpoints)"),
        ]
    }

    public var body: String {
        """
        {
        \t"service": {
        \t\t"namespace": "\(service.namespace)",
        \t\t"name": "\(service.name)"
        \t},
        \t"localEndpoints": \(localEndpoints),
        \t"serviceProxyHealthy": true
        }
        """
    }
}

extension ServiceIndex {
    /// The Services with a health check port, as a node sees them.
    public func health(on node: NodeView, configuration: KubeProxyConfiguration) -> [ServiceHealth] {
        let settings = NodePortAddresses(configuration, mode: configuration.mode, family: family)
        let nodeIP = node.address(family, configuration)
        let addresses = settings.addresses(of: node, nodeIP: nodeIP, family: family)
        var found: [ServiceHealth] = []
        // The ports of a Service stand together.
        var position = ports.startIndex
        while position < ports.endIndex {
            let first = ports[position]
            let end = ports[position...].firstIndex { $0.service != first.service } ?? ports.endIndex
            defer { position = end }
            guard let port = first.healthCheckNodePort else { continue }
            let local = ports[position..<end].flatMap(\.endpoints).filter {
                $0.isReady && $0.isLocal(to: node.name)
            }
            found.append(
                ServiceHealth(
                    service: first.service, port: port, addresses: addresses,
                    localEndpoints: Set(local.map(\.address)).count))
        }
        return found
    }
}
