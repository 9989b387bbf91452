// Services, Endpoints and EndpointSlices: kubectl's columns (printService, printEndpoints and printEndpointSlice in
// kubernetes pkg/printers/internalversion) and their manifests.

internal import Addressing
internal import Kubernetes

extension Service: PrintedObject {
    static var resource: ResourceName { ResourceName(plural: "services", singular: "service", short: ["svc"]) }

    static var columns: [PrintedColumn] {
        [
            PrintedColumn("TYPE"), PrintedColumn("CLUSTER-IP"), PrintedColumn("EXTERNAL-IP"),
            PrintedColumn("PORT(S)"), PrintedColumn("AGE"), PrintedColumn("SELECTOR", isWide: true),
        ]
    }

    static func all(in state: PrintedState) -> [Service] { Array(state.store.services) }

    func cells(_ state: PrintedState) -> [String] {
        let clusterIP = spec.clusterIPs.first ?? spec.clusterIP
        let ports = spec.ports.map { port in
            let nodePort = port.nodePort.map { $0 > 0 ? ":\($0)" : "" } ?? ""
            return "\(port.port)\(nodePort)/\(port.protocol)"
        }
        return [
            spec.type.rawValue, clusterIP.isEmpty ? "<none>" : clusterIP, externalIPText(isWide: state.isWide),
            ports.isEmpty ? "<none>" : ports.joined(separator: ","),
            state.clock.age(since: metadata.creationTimestamp), labelText(spec.selector),
        ]
    }

    /// The addresses the Service has outside the cluster; the load balancer's are cut at 16 characters.
    private func externalIPText(isWide: Bool) -> String {
        switch spec.type {
        case .clusterIP, .nodePort:
            return spec.externalIPs.isEmpty ? "<none>" : spec.externalIPs.joined(separator: ",")
        case .loadBalancer:
            let given = Set(loadBalancerIngress.map { $0.ip.isEmpty ? $0.hostname : $0.ip }.filter { !$0.isEmpty })
            var balanced = given.sorted().joined(separator: ",")
            if !isWide, balanced.count > 16 { balanced = balanced.prefix(13) + "..." }
            let all = (balanced.isEmpty ? [] : [balanced]) + spec.externalIPs
            return all.isEmpty ? "<pending>" : all.joined(separator: ",")
        case .externalName: return spec.externalName
        default: return "<unknown>"
        }
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec", spec.manifest)
        fields.set(
            "status",
            .object(["loadBalancer": .object { $0.set("ingress", list: loadBalancerIngress.map(\.manifest)) }]))
    }
}

extension LoadBalancerIngress {
    var manifest: JSONValue {
        .object { fields in
            fields.set("hostname", text: hostname)
            fields.set("ip", text: ip)
            fields.set("ipMode", text: ipMode)
        }
    }
}

extension ServiceSpec {
    var manifest: JSONValue {
        .object { fields in
            fields.set("allocateLoadBalancerNodePorts", flag: allocateLoadBalancerNodePorts)
            fields.set("clusterIP", text: clusterIP)
            fields.set("clusterIPs", texts: clusterIPs)
            fields.set("externalIPs", texts: externalIPs)
            fields.set("externalName", text: externalName)
            fields.set("externalTrafficPolicy", text: externalTrafficPolicy?.rawValue)
            fields.set("healthCheckNodePort", number: healthCheckNodePort)
            fields.set("internalTrafficPolicy", text: internalTrafficPolicy?.rawValue)
            fields.set("ipFamilies", texts: ipFamilies.map(\.rawValue))
            fields.set("ipFamilyPolicy", text: ipFamilyPolicy?.rawValue)
            fields.set("loadBalancerClass", text: loadBalancerClass)
            fields.set("loadBalancerIP", text: loadBalancerIP)
            fields.set("loadBalancerSourceRanges", texts: loadBalancerSourceRanges)
            fields.set("ports", list: ports.map(\.manifest))
            if publishNotReadyAddresses { fields.set("publishNotReadyAddresses", flag: true) }
            fields.set("selector", map: selector)
            fields.set("sessionAffinity", text: sessionAffinity.rawValue)
            fields.set("sessionAffinityConfig") { fields in
                fields.set("clientIP") { $0.set("timeoutSeconds", number: sessionAffinityTimeoutSeconds) }
            }
            fields.set("trafficDistribution", text: trafficDistribution)
            fields.set("type", text: type.rawValue)
        }
    }
}

extension ServicePort {
    var manifest: JSONValue {
        .object { fields in
            fields.set("appProtocol", text: appProtocol)
            fields.set("name", text: name)
            fields.set("nodePort", number: nodePort)
            fields.set("port", number: port)
            fields.set("protocol", text: self.protocol.rawValue)
            switch targetPort {
            case .int(let number): fields.set("targetPort", number: number)
            case .string(let name): fields.set("targetPort", text: name)
            case nil: break
            }
        }
    }
}

extension EndpointSlice: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "endpointslices", singular: "endpointslice", group: "discovery.k8s.io")
    }

    static var columns: [PrintedColumn] {
        [PrintedColumn("ADDRESSTYPE"), PrintedColumn("PORTS"), PrintedColumn("ENDPOINTS"), PrintedColumn("AGE")]
    }

    static func all(in state: PrintedState) -> [EndpointSlice] { Array(state.store.endpointSlices) }

    func cells(_ state: PrintedState) -> [String] {
        let ports = firstThree(ports.map { $0.port.map(String.init) ?? "*" })
        let addresses = firstThree(endpoints.flatMap(\.addresses))
        return [
            addressType, ports.isEmpty ? "<unset>" : ports, addresses.isEmpty ? "<unset>" : addresses,
            state.clock.age(since: metadata.creationTimestamp),
        ]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("addressType", text: addressType)
        fields.set("endpoints", .array(endpoints.map(\.manifest)))
        fields.set("ports", .array(ports.map(\.manifest)))
    }
}

extension Endpoint {
    var manifest: JSONValue {
        .object { fields in
            fields.set("addresses", texts: addresses)
            fields.set("conditions") { fields in
                fields.set("ready", flag: conditions.ready)
                fields.set("serving", flag: conditions.serving)
                fields.set("terminating", flag: conditions.terminating)
            }
            fields.set("hints") { fields in
                fields.set("forNodes", list: hintNodes.map { .object(["name": .string($0)]) })
                fields.set("forZones", list: hintZones.map { .object(["name": .string($0)]) })
            }
            fields.set("hostname", text: hostname)
            fields.set("nodeName", text: nodeName)
            fields.set("targetRef", targetRef?.manifest)
            fields.set("zone", text: zone)
        }
    }
}

extension EndpointPort {
    var manifest: JSONValue {
        .object { fields in
            fields.set("appProtocol", text: appProtocol)
            fields.set("name", name.map(JSONValue.string))
            fields.set("port", number: port)
            fields.set("protocol", text: self.protocol.rawValue)
        }
    }
}

extension ObjectReference {
    var manifest: JSONValue {
        .object { fields in
            fields.set("kind", text: kind)
            fields.set("name", text: name)
            fields.set("namespace", text: namespace)
            fields.set("uid", text: uid)
        }
    }
}

extension Endpoints: PrintedObject {
    static var resource: ResourceName { ResourceName(plural: "endpoints", singular: "endpoints", short: ["ep"]) }

    static var columns: [PrintedColumn] { [PrintedColumn("ENDPOINTS"), PrintedColumn("AGE")] }

    /// What was given, and for every other Service with slices what the endpoints controller would have made.
    static func all(in state: PrintedState) -> [Endpoints] {
        var slices: [ObjectKey: [EndpointSlice]] = [:]
        for slice in state.store.endpointSlices {
            let key = ObjectKey(namespace: slice.metadata.namespace, name: slice.serviceName)
            slices[key, default: []].append(slice)
        }
        let made = state.store.services.compactMap { service -> Endpoints? in
            guard state.store.endpoints[service.key] == nil, let own = slices[service.key] else { return nil }
            return Endpoints(service, own)
        }
        return Array(state.store.endpoints) + made
    }

    /// Slices of the Service's first family, one subset for each set of ports.
    private init(_ service: Service, _ slices: [EndpointSlice]) {
        let family = service.spec.ipFamilies.first?.rawValue ?? slices.first?.addressType
        var subsets: [EndpointSubset] = []
        for slice in slices where slice.addressType == family {
            var subset = EndpointSubset(ports: slice.ports)
            for endpoint in slice.endpoints {
                guard let ip = endpoint.addresses.first else { continue }
                let address = EndpointAddress(
                    ip: ip, hostname: endpoint.hostname, nodeName: endpoint.nodeName, targetRef: endpoint.targetRef)
                if endpoint.conditions.isReady {
                    subset.addresses.append(address)
                } else {
                    subset.notReadyAddresses.append(address)
                }
            }
            guard !subset.addresses.isEmpty || !subset.notReadyAddresses.isEmpty else { continue }
            if let same = subsets.firstIndex(where: { $0.ports == subset.ports }) {
                subsets[same].addresses += subset.addresses
                subsets[same].notReadyAddresses += subset.notReadyAddresses
            } else {
                subsets.append(subset)
            }
        }
        for index in subsets.indices {
            subsets[index].addresses.sort { inOrder($0.ip, $1.ip) }
            subsets[index].notReadyAddresses.sort { inOrder($0.ip, $1.ip) }
        }
        self.init(
            metadata: ObjectMeta(
                name: service.metadata.name, namespace: service.metadata.namespace, labels: service.metadata.labels,
                creationTimestamp: service.metadata.creationTimestamp),
            subsets: subsets)
    }

    func cells(_ state: PrintedState) -> [String] {
        let texts = subsets.flatMap { subset in
            subset.ports.isEmpty
                ? subset.addresses.map(\.ip)
                : subset.ports.flatMap { port in
                    subset.addresses.map { address in
                        let host = address.ip.contains(":") ? "[\(address.ip)]" : address.ip
                        return "\(host):\(port.port ?? 0)"
                    }
                }
        }
        return [
            subsets.isEmpty ? "<none>" : firstThree(texts), state.clock.age(since: metadata.creationTimestamp),
        ]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("subsets", list: subsets.map(\.manifest))
    }
}

extension EndpointSubset {
    var manifest: JSONValue {
        .object { fields in
            fields.set("addresses", list: addresses.map(\.manifest))
            fields.set("notReadyAddresses", list: notReadyAddresses.map(\.manifest))
            fields.set("ports", list: ports.map(\.manifest))
        }
    }
}

extension EndpointAddress {
    var manifest: JSONValue {
        .object { fields in
            fields.set("hostname", text: hostname)
            fields.set("ip", text: ip)
            fields.set("nodeName", text: nodeName)
            fields.set("targetRef", targetRef?.manifest)
        }
    }
}

private func inOrder(_ left: String, _ right: String) -> Bool {
    if let left = IPAddress(left), let right = IPAddress(right) { return left < right }
    return left < right
}

/// `a,b,c + 2 more...`
private func firstThree(_ texts: [String]) -> String {
    let first = texts.prefix(3).joined(separator: ",")
    return texts.count > 3 ? "\(first) + \(texts.count - 3) more..." : first
}
