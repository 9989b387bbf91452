// The objects one kube-proxy sees, and short ways to write them down in tests.

import Addressing
import Kubernetes
import Netstack
import NodeAgents

/// What one kube-proxy is given: its configuration, its own node, and the cluster's Services with their endpoints.
struct ProxyInput {
    var configuration = KubeProxyConfiguration()
    var node = Node(metadata: ObjectMeta(name: "node-a"))
    var services: [Service] = []
    var endpointSlices: [EndpointSlice] = []

    /// The text of iptables-save after kube-proxy alone ran on a node with these addresses.
    func savedText(_ family: AddressFamily = .ipv4, interfaceAddresses: [InterfaceAddress] = []) -> String {
        KubeProxy.iptablesRuleset(
            services: services, endpointSlices: endpointSlices,
            node: NodeView(node, interfaceAddresses: interfaceAddresses), configuration: configuration, family: family
        ).savedText()
    }

    /// The table nftables mode keeps on a node with these addresses.
    func table(
        _ family: AddressFamily = .ipv4, interfaceAddresses: [InterfaceAddress] = [], serviceCIDRs: [IPPrefix] = []
    ) -> NFTablesTable {
        KubeProxy.nftablesTable(
            services: services, endpointSlices: endpointSlices,
            node: NodeView(node, interfaceAddresses: interfaceAddresses), configuration: configuration,
            serviceCIDRs: serviceCIDRs, family: family)
    }

    /// The lines of the dump that contain the text, in order.
    func lines(
        _ family: AddressFamily = .ipv4, interfaceAddresses: [InterfaceAddress] = [], containing text: String
    ) -> [String] {
        savedText(family, interfaceAddresses: interfaceAddresses).split(separator: "\n").map(String.init)
            .filter { $0.contains(text) }
    }
}

extension ProxyInput {
    /// A configuration with a cluster CIDR and a node called `node-a` at 192.168.77.11.
    static func cluster(_ cidr: String = "10.42.0.0/16", _ services: (Service, [Endpoint])...) -> ProxyInput {
        var input = ProxyInput()
        input.configuration.clusterCIDRs = [IPPrefix(cidr)].compactMap { $0 }
        input.node.status.addresses = [NodeAddress(type: .internalIP, address: "192.168.77.11")]
        for (service, endpoints) in services { input.add(service, endpoints) }
        return input
    }

    /// Adds a Service and one slice that carries all its ports under the same numbers.
    mutating func add(_ service: Service, _ endpoints: [Endpoint]) {
        services.append(service)
        let text = endpoints.first?.addresses.first ?? ""
        endpointSlices.append(
            EndpointSlice(
                metadata: ObjectMeta(
                    name: service.metadata.name + "-1", namespace: service.metadata.namespace,
                    labels: [EndpointSlice.serviceNameLabel: service.metadata.name]),
                addressType: text.contains(":") ? "IPv6" : "IPv4",
                ports: service.spec.ports.map { EndpointPort(name: $0.name, port: 8080, protocol: $0.protocol) },
                endpoints: endpoints))
    }
}

extension Service {
    /// A Service `demo/NAME` with one TCP port 80 called `http`.
    static func demo(
        _ name: String = "web", clusterIP: String = "10.96.0.1", _ change: (inout Service) -> Void = { _ in }
    ) -> Service {
        var service = Service(
            metadata: ObjectMeta(name: name, namespace: "demo"),
            spec: ServiceSpec(
                ports: [ServicePort(name: "http", port: 80)], clusterIP: clusterIP, clusterIPs: [clusterIP],
                externalTrafficPolicy: .cluster, internalTrafficPolicy: .cluster))
        change(&service)
        return service
    }
}

extension Endpoint {
    /// An endpoint on a node; `state` is `ready`, `draining` (serving and terminating) or `dead`.
    static func at(
        _ address: String, on node: String = "node-b", _ state: String = "ready", zones: [String] = [],
        nodes: [String] = []
    ) -> Endpoint {
        Endpoint(
            addresses: [address],
            conditions: EndpointConditions(
                ready: state == "ready", serving: state != "dead", terminating: state != "ready"),
            nodeName: node, hintZones: zones, hintNodes: nodes)
    }
}
