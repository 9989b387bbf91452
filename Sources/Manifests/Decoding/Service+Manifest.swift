// Services and what stands behind them: EndpointSlice (discovery.k8s.io v1 and v1beta1) and Endpoints. Values stay as
// written; whether they make sense is for the API validation, which quotes them.

import Kubernetes

extension Service {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        try self.init(
            metadata: metadata, spec: ServiceSpec(manifest: node.required("spec")),
            loadBalancerIngress: node.section("status")?.section("loadBalancer")?.list("ingress")
                .map(LoadBalancerIngress.init(manifest:)) ?? [])
    }
}

extension ServiceSpec {
    init(manifest node: ManifestNode) throws(ManifestError) {
        self.init()
        if let type = try node.optionalString("type"), !type.isEmpty { self.type = ServiceType(rawValue: type) }
        selector = try node.labels("selector")
        ports = try node.list("ports").map(ServicePort.init(manifest:))
        clusterIP = try node.string("clusterIP")
        clusterIPs = try node.strings("clusterIPs")
        ipFamilies = try node.strings("ipFamilies").map(IPFamily.init(rawValue:))
        ipFamilyPolicy = try node.optionalString("ipFamilyPolicy").map(IPFamilyPolicy.init(rawValue:))
        externalIPs = try node.strings("externalIPs")
        externalName = try node.string("externalName")
        loadBalancerIP = try node.string("loadBalancerIP")
        loadBalancerSourceRanges = try node.strings("loadBalancerSourceRanges")
        loadBalancerClass = try node.string("loadBalancerClass")
        allocateLoadBalancerNodePorts = try node.boolean("allocateLoadBalancerNodePorts")
        healthCheckNodePort = try node.integer("healthCheckNodePort")
        externalTrafficPolicy = try policy("externalTrafficPolicy", of: node)
        internalTrafficPolicy = try policy("internalTrafficPolicy", of: node)
        if let affinity = try node.optionalString("sessionAffinity"), !affinity.isEmpty {
            sessionAffinity = SessionAffinity(rawValue: affinity)
        }
        sessionAffinityTimeoutSeconds =
            try node.section("sessionAffinityConfig")?.section("clientIP")?.integer("timeoutSeconds")
        publishNotReadyAddresses = try node.boolean("publishNotReadyAddresses") ?? false
        trafficDistribution = try node.string("trafficDistribution")
    }

    private func policy(_ name: StaticString, of node: ManifestNode) throws(ManifestError) -> TrafficPolicy? {
        guard let text = try node.optionalString(name), !text.isEmpty else { return nil }
        return TrafficPolicy(rawValue: text)
    }
}

extension ServicePort {
    init(manifest node: ManifestNode) throws(ManifestError) {
        let transport = try node.string("protocol")
        try self.init(
            name: node.string("name"), protocol: transport.isEmpty ? .tcp : PortProtocol(rawValue: transport),
            port: node.requiredInteger("port"),
            targetPort: node.field("targetPort").map { (value) throws(ManifestError) in
                value.isScalar && value.scalar == .string ? .string(value.text) : .int(try value.integer())
            }, nodePort: node.integer("nodePort"), appProtocol: node.string("appProtocol"))
    }
}

extension LoadBalancerIngress {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(ip: node.string("ip"), hostname: node.string("hostname"), ipMode: node.string("ipMode"))
    }
}

extension EndpointSlice {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        try self.init(
            metadata: metadata, addressType: node.string("addressType", default: "IPv4"),
            ports: node.list("ports").map(EndpointPort.init(manifest:)),
            endpoints: node.list("endpoints").map(Endpoint.init(manifest:)))
    }
}

extension EndpointPort {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            name: node.string("name"), port: node.integer("port", in: 1...65535),
            protocol: PortProtocol(field: "protocol", of: node), appProtocol: node.string("appProtocol"))
    }
}

extension Endpoint {
    init(manifest node: ManifestNode) throws(ManifestError) {
        // v1beta1 has a topology map where v1 has the fields nodeName and zone.
        let topology = try node.stringMap("topology")
        let hints = try node.section("hints")
        try self.init(
            addresses: node.strings("addresses"),
            conditions: node.section("conditions").map(EndpointConditions.init(manifest:)) ?? EndpointConditions(),
            hostname: node.string("hostname"),
            nodeName: node.string("nodeName", default: topology[Node.hostnameLabel] ?? ""),
            zone: node.string("zone", default: topology[Node.zoneLabel] ?? ""),
            targetRef: node.section("targetRef").map(ObjectReference.init(manifest:)),
            hintZones: hints?.list("forZones").map(name) ?? [], hintNodes: hints?.list("forNodes").map(name) ?? [])
    }
}

private func name(of node: ManifestNode) throws(ManifestError) -> String { try node.requiredString("name") }

extension EndpointConditions {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            ready: node.boolean("ready"), serving: node.boolean("serving"), terminating: node.boolean("terminating"))
    }
}

extension ObjectReference {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            kind: node.string("kind"), namespace: node.string("namespace"), name: node.string("name"),
            uid: node.string("uid"))
    }
}

extension Endpoints {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        try self.init(metadata: metadata, subsets: node.list("subsets").map(EndpointSubset.init(manifest:)))
    }
}

extension EndpointSubset {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            addresses: node.list("addresses").map(EndpointAddress.init(manifest:)),
            notReadyAddresses: node.list("notReadyAddresses").map(EndpointAddress.init(manifest:)),
            ports: node.list("ports").map(EndpointPort.init(manifest:)))
    }
}

extension EndpointAddress {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            ip: node.requiredString("ip"), hostname: node.string("hostname"), nodeName: node.string("nodeName"),
            targetRef: node.section("targetRef").map(ObjectReference.init(manifest:)))
    }
}
