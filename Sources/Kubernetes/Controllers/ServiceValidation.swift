// What the API server refuses in a Service (kubernetes pkg/apis/core/validation), in its words, with the path of the
// field and a hint. It looks at the object as written, before defaulting.

internal import Addressing

struct ServiceValidation {
    let service: Service
    private var spec: ServiceSpec { service.spec }
    private static let specPath = FieldPath("spec")

    init(service: Service) { self.service = service }

    func run(_ warnings: inout [ObjectWarning]) throws(ObjectError) {
        try checkName()
        try checkEnumerations()
        if spec.type == .externalName {
            try checkExternalName(&warnings)
        } else {
            try checkClusterIPs()
        }
        try checkPorts()
        try checkAffinity()
        try checkExternalAddresses()
        try checkTrafficPolicies(&warnings)
        try checkLoadBalancerFields(&warnings)
    }

    private func refuse(_ path: FieldPath, _ message: String, _ hint: String = "") -> ObjectError {
        ObjectError(service, path, message, hint: hint)
    }

    /// About a field the Service's type has no use for. A Service that brings its cluster IP comes from a cluster and
    /// can carry what an earlier type left behind, so podnet only says so.
    private func refuse(
        unused field: String, _ message: String, _ reason: String, hint: String = "",
        _ warnings: inout [ObjectWarning]
    ) throws(ObjectError) {
        guard service.bringsClusterIP else { throw refuse(path(field), message, hint) }
        warnings.append(ObjectWarning(service, path(field), reason, hint: "remove it"))
    }

    private func path(_ name: String) -> FieldPath { ServiceValidation.specPath.key(name) }

    private func checkName() throws(ObjectError) {
        let name = service.metadata.name
        if name.isEmpty {
            throw refuse(FieldPath("metadata", "name"), FieldMessage.required("name or generateName is required"))
        }
        if let reason = NameRules.serviceName(name) {
            throw refuse(
                FieldPath("metadata", "name"), FieldMessage.invalid(text: name, reason),
                "rename the Service to something like my-name")
        }
    }

    private func checkEnumerations() throws(ObjectError) {
        let types: [ServiceType] = [.clusterIP, .externalName, .loadBalancer, .nodePort]
        if !types.contains(spec.type) {
            throw refuse(path("type"), FieldMessage.unsupported(spec.type.rawValue, types.map(\.rawValue)))
        }
        let policies: [IPFamilyPolicy] = [.singleStack, .preferDualStack, .requireDualStack]
        if let policy = spec.ipFamilyPolicy, !policies.contains(policy) {
            throw refuse(
                path("ipFamilyPolicy"), FieldMessage.unsupported(policy.rawValue, policies.map(\.rawValue)))
        }
        for (index, family) in spec.ipFamilies.enumerated() {
            if family.addressFamily == nil {
                throw refuse(
                    path("ipFamilies").index(index), FieldMessage.unsupported(family.rawValue, ["IPv4", "IPv6"]))
            }
            if spec.ipFamilies[..<index].contains(family) {
                throw refuse(path("ipFamilies").index(index), FieldMessage.duplicate("\"\(family)\""))
            }
        }
    }

    /// The API server refuses cluster IPs and families here. Nothing downstream looks at them, and objects that changed
    /// their type can still carry them, so podnet only says so.
    private func checkExternalName(_ warnings: inout [ObjectWarning]) throws(ObjectError) {
        let unused = [
            ("clusterIP", !spec.clusterIP.isEmpty), ("clusterIPs", !spec.clusterIPs.isEmpty),
            ("ipFamilies", !spec.ipFamilies.isEmpty), ("ipFamilyPolicy", spec.ipFamilyPolicy != nil),
        ]
        if let field = unused.first(where: \.1)?.0 {
            warnings.append(
                ObjectWarning(
                    service, path(field), "may not be set for ExternalName services; it has no effect",
                    hint: "remove it"))
        }
        if spec.externalName.isEmpty {
            throw refuse(path("externalName"), FieldMessage.required(), "write the DNS name to stand for")
        }
        let name = spec.externalName.hasSuffix(".") ? String(spec.externalName.dropLast()) : spec.externalName
        if let reason = NameRules.subdomain(name.lowercased()) {
            throw refuse(path("externalName"), FieldMessage.invalid(text: spec.externalName, reason))
        }
    }

    private func checkClusterIPs() throws(ObjectError) {
        if let first = spec.clusterIPs.first, !spec.clusterIP.isEmpty, first != spec.clusterIP {
            throw refuse(
                path("clusterIPs"), FieldMessage.invalid(list: spec.clusterIPs, "first value must match `clusterIP`"))
        }
        // People write clusterIP; the error should point at the line they wrote.
        let isList = !spec.clusterIPs.isEmpty
        let addresses = isList ? spec.clusterIPs : spec.clusterIP.isEmpty ? [] : [spec.clusterIP]
        func at(_ index: Int) -> FieldPath { isList ? path("clusterIPs").index(index) : path("clusterIP") }
        if addresses.contains("None") {
            if addresses.count > 1 {
                throw refuse(
                    path("clusterIPs"),
                    FieldMessage.invalid(list: addresses, "'None' must be the first and only value"))
            }
            if spec.type == .nodePort || spec.type == .loadBalancer {
                throw refuse(
                    at(0),
                    FieldMessage.invalid(text: "None", "may not be set to 'None' for \(spec.type) services"),
                    "leave clusterIP out, or make the type ClusterIP")
            }
            return
        }
        if addresses.count > 2 {
            throw refuse(path("clusterIPs"), FieldMessage.invalid(list: addresses, "may only hold up to 2 values"))
        }
        var families: [AddressFamily] = []
        for (index, text) in addresses.enumerated() {
            guard let address = IPAddress(text) else {
                throw refuse(
                    at(index), FieldMessage.invalid(text: text, "must be a valid IP address"),
                    "write an address of the service subnet, None, or leave it out")
            }
            if families.contains(address.family) {
                throw refuse(
                    path("clusterIPs"),
                    FieldMessage.invalid(list: addresses, "may specify no more than one IP for each IP family"))
            }
            families.append(address.family)
            if index < spec.ipFamilies.count, spec.ipFamilies[index].addressFamily != address.family {
                let family = spec.ipFamilies[index]
                throw refuse(
                    at(index),
                    FieldMessage.invalid(
                        text: text, "expected an \(family) value as indicated by `ipFamilies[\(index)]`"))
            }
        }
    }

    private func checkPorts() throws(ObjectError) {
        if spec.ports.isEmpty, !service.isHeadless, spec.type != .externalName {
            throw refuse(path("ports"), FieldMessage.required(), "list the ports the Service answers on")
        }
        var names: Set<String> = []
        var ports: Set<String> = []
        var nodePorts: Set<String> = []
        for (index, port) in spec.ports.enumerated() {
            let at = path("ports").index(index)
            if port.name.isEmpty {
                if spec.ports.count > 1 {
                    throw refuse(
                        at.key("name"), FieldMessage.required(),
                        "a Service with several ports names each of them, for example `name: http`")
                }
            } else if let reason = NameRules.label(port.name) {
                throw refuse(at.key("name"), FieldMessage.invalid(text: port.name, reason))
            } else if !names.insert(port.name).inserted {
                throw refuse(at.key("name"), FieldMessage.duplicate("\"\(port.name)\""))
            }
            if !(1...65535).contains(port.port) {
                throw refuse(at.key("port"), FieldMessage.invalid(port.port, FieldMessage.portRange))
            }
            if port.protocol.ipProtocol == nil {
                throw refuse(
                    at.key("protocol"), FieldMessage.unsupported(port.protocol.rawValue, ["SCTP", "TCP", "UDP"]))
            }
            try checkTargetPort(port, at.key("targetPort"))
            if !ports.insert("\(port.protocol)/\(port.port)").inserted {
                throw refuse(
                    at, FieldMessage.duplicate("port \(port.port), protocol \(port.protocol)"),
                    "one Service answers once on each port and protocol")
            }
            if spec.type == .loadBalancer, port.port == 10250 {
                throw refuse(
                    at.key("port"),
                    FieldMessage.invalid(
                        port.port, "may not expose port 10250 externally since it is used by kubelet"))
            }
            guard let nodePort = port.nodePort, nodePort != 0 else { continue }
            if spec.type == .clusterIP || spec.type == .externalName {
                throw refuse(
                    at.key("nodePort"),
                    FieldMessage.forbidden("may not be used when `type` is '\(spec.type)'"),
                    "set spec.type to NodePort, or remove nodePort")
            }
            if !nodePorts.insert("\(port.protocol)/\(nodePort)").inserted {
                throw refuse(
                    at.key("nodePort"), FieldMessage.duplicate("\(nodePort)"),
                    "one node port serves one port of a protocol")
            }
        }
    }

    private func checkTargetPort(_ port: ServicePort, _ at: FieldPath) throws(ObjectError) {
        switch port.targetPort {
        case nil, .int(0), .string(""): break
        case .int(let number):
            if !(1...65535).contains(number) {
                throw refuse(at, FieldMessage.invalid(number, FieldMessage.portRange))
            }
        case .string(let name):
            if let reason = NameRules.portName(name) {
                throw refuse(
                    at, FieldMessage.invalid(text: name, reason),
                    "write the number or the name of a container port; a number stands without quotes")
            }
        }
    }

    private func checkAffinity() throws(ObjectError) {
        let values: [SessionAffinity] = [.clientIP, .none]
        if !values.contains(spec.sessionAffinity) {
            throw refuse(
                path("sessionAffinity"),
                FieldMessage.unsupported(spec.sessionAffinity.rawValue, values.map(\.rawValue)))
        }
        // With affinity None the configuration is dropped by defaulting, so it cannot be wrong.
        guard spec.sessionAffinity == .clientIP, let timeout = spec.sessionAffinityTimeoutSeconds else { return }
        if !(1...86400).contains(timeout) {
            throw refuse(
                path("sessionAffinityConfig").key("clientIP").key("timeoutSeconds"),
                FieldMessage.invalid(timeout, "must be greater than 0 and less than or equal to 86400"))
        }
    }

    private func checkExternalAddresses() throws(ObjectError) {
        for (index, text) in spec.externalIPs.enumerated() {
            let at = path("externalIPs").index(index)
            guard let address = IPAddress(text) else {
                throw refuse(at, FieldMessage.invalid(text: text, "must be a valid IP address"))
            }
            let reason: String?
            if address.isAny {
                reason = "may not be unspecified (\(address))"
            } else if address.isLoopback {
                reason = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
            } else if address.ipv4?.isLinkLocal ?? address.ipv6?.isLinkLocal ?? false {
                reason = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
            } else if IPPrefix(.v4(224, 0, 0, 0), length: 24).contains(address)
                || (address.ipv6.map { $0.high >> 48 & 0xff0f == 0xff02 } ?? false)
            {
                reason = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
            } else {
                reason = nil
            }
            if let reason { throw refuse(at, FieldMessage.invalid(text: text, reason)) }
        }
        for (index, entry) in service.loadBalancerIngress.enumerated() {
            let at = FieldPath("status", "loadBalancer", "ingress").index(index)
            if !entry.ip.isEmpty, IPAddress(entry.ip) == nil {
                throw refuse(at.key("ip"), FieldMessage.invalid(text: entry.ip, "must be a valid IP address"))
            }
            if !["", "VIP", "Proxy"].contains(entry.ipMode) {
                throw refuse(at.key("ipMode"), FieldMessage.unsupported(entry.ipMode, ["VIP", "Proxy"]))
            }
        }
    }

    private func checkTrafficPolicies(_ warnings: inout [ObjectWarning]) throws(ObjectError) {
        let policies: [TrafficPolicy] = [.cluster, .local]
        if let policy = spec.internalTrafficPolicy, !policies.contains(policy) {
            throw refuse(
                path("internalTrafficPolicy"), FieldMessage.unsupported(policy.rawValue, policies.map(\.rawValue)))
        }
        let isExternal =
            spec.type == .nodePort || spec.type == .loadBalancer
            || (spec.type == .clusterIP && !spec.externalIPs.isEmpty)
        if let policy = spec.externalTrafficPolicy {
            if !isExternal {
                let reason = "may only be set for externally-accessible services"
                try refuse(
                    unused: "externalTrafficPolicy", FieldMessage.invalid(text: policy.rawValue, reason), reason,
                    hint: "set spec.type to NodePort or LoadBalancer, or remove externalTrafficPolicy", &warnings)
            }
            if !policies.contains(policy) {
                throw refuse(
                    path("externalTrafficPolicy"),
                    FieldMessage.unsupported(policy.rawValue, policies.map(\.rawValue)))
            }
        }
        if let port = spec.healthCheckNodePort, port != 0 {
            if !service.needsHealthCheck {
                let reason = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
                try refuse(
                    unused: "healthCheckNodePort", FieldMessage.invalid(port, reason), reason, &warnings)
            }
        }
    }

    private func checkLoadBalancerFields(_ warnings: inout [ObjectWarning]) throws(ObjectError) {
        let text = "may only be used when `type` is 'LoadBalancer'"
        if spec.type != .loadBalancer {
            let unused = [
                ("loadBalancerSourceRanges", !spec.loadBalancerSourceRanges.isEmpty),
                ("allocateLoadBalancerNodePorts", spec.allocateLoadBalancerNodePorts != nil),
                ("loadBalancerClass", !spec.loadBalancerClass.isEmpty),
            ]
            for (field, isSet) in unused where isSet {
                try refuse(unused: field, FieldMessage.forbidden(text), text, &warnings)
            }
        }
        if service.loadBalancerSourcePrefixes.count != spec.loadBalancerSourceRanges.count {
            for (index, text) in spec.loadBalancerSourceRanges.enumerated() {
                var single = service
                single.spec.loadBalancerSourceRanges = [text]
                guard single.loadBalancerSourcePrefixes.isEmpty else { continue }
                throw refuse(
                    path("loadBalancerSourceRanges").index(index),
                    FieldMessage.invalid(text: text, "must be a valid CIDR value, (e.g. 10.9.8.0/24)"))
            }
        }
        let distributions = ["PreferClose", "PreferSameZone", "PreferSameNode"]
        if !spec.trafficDistribution.isEmpty, !distributions.contains(spec.trafficDistribution) {
            throw refuse(
                path("trafficDistribution"), FieldMessage.unsupported(spec.trafficDistribution, distributions))
        }
    }
}

extension Service {
    /// Whether it was given a cluster IP before podnet chose any.
    var bringsClusterIP: Bool { !clusterAddresses.isEmpty }

    /// Whether a load balancer must find out which nodes have endpoints.
    var needsHealthCheck: Bool { spec.type == .loadBalancer && spec.externalTrafficPolicy == .local }
}
