// Defaulting and validation of Services (kubernetes pkg/apis/core/v1/defaults.go SetDefaults_Service and
// pkg/apis/core/validation ValidateService). Addresses and node ports come after, in ServiceAllocator.

internal import Addressing

enum ServiceDefaults {
    static func apply(_ store: inout ObjectStore, _ warnings: inout [ObjectWarning]) throws(ObjectError) {
        let primary = store.clusterConfiguration?.primaryFamily ?? .ipv4
        let families = store.clusterConfiguration?.serviceSubnets.map(\.family) ?? [.ipv4]
        for position in store.services.indices {
            // Validated as written, so that an error quotes the user's own words, then completed.
            try ServiceValidation(service: store.services[position]).run(&warnings)
            complete(&store.services[position], primary: primary, clusterFamilies: families)
        }
    }

    static func complete(_ service: inout Service, primary: AddressFamily, clusterFamilies: [AddressFamily]) {
        for index in service.spec.ports.indices {
            switch service.spec.ports[index].targetPort {
            case nil, .int(0), .string(""): service.spec.ports[index].targetPort = .int(service.spec.ports[index].port)
            default: break
            }
            if service.spec.ports[index].nodePort == 0 { service.spec.ports[index].nodePort = nil }
        }
        if service.spec.healthCheckNodePort == 0 { service.spec.healthCheckNodePort = nil }
        let type = service.spec.type
        if service.spec.sessionAffinity == .clientIP {
            service.spec.sessionAffinityTimeoutSeconds = service.spec.sessionAffinityTimeoutSeconds ?? 10800
        } else {
            service.spec.sessionAffinityTimeoutSeconds = nil
        }
        if service.spec.externalTrafficPolicy == nil,
            type == .nodePort || type == .loadBalancer || (type == .clusterIP && !service.spec.externalIPs.isEmpty)
        {
            service.spec.externalTrafficPolicy = .cluster
        }
        if service.spec.internalTrafficPolicy == nil, type != .externalName {
            service.spec.internalTrafficPolicy = .cluster
        }
        if type == .loadBalancer, service.spec.allocateLoadBalancerNodePorts == nil {
            service.spec.allocateLoadBalancerNodePorts = true
        }
        for index in service.loadBalancerIngress.indices
        where !service.loadBalancerIngress[index].ip.isEmpty && service.loadBalancerIngress[index].ipMode.isEmpty {
            service.loadBalancerIngress[index].ipMode = "VIP"
        }
        if type != .externalName { completeFamilies(&service, primary: primary, clusterFamilies: clusterFamilies) }
    }

    private static func completeFamilies(
        _ service: inout Service, primary: AddressFamily, clusterFamilies: [AddressFamily]
    ) {
        if service.spec.clusterIPs.isEmpty, !service.spec.clusterIP.isEmpty {
            service.spec.clusterIPs = [service.spec.clusterIP]
        }
        if service.spec.clusterIP.isEmpty, let first = service.spec.clusterIPs.first {
            service.spec.clusterIP = first
        }
        if service.spec.ipFamilyPolicy == nil {
            let isOpenHeadless = service.isHeadless && service.spec.selector.isEmpty
            let isDual = service.spec.clusterIPs.count == 2 || service.spec.ipFamilies.count == 2
            service.spec.ipFamilyPolicy = isOpenHeadless || isDual ? .requireDualStack : .singleStack
        }
        let wanted = service.spec.ipFamilyPolicy == .singleStack ? 1 : 2
        if service.spec.ipFamilies.isEmpty {
            service.spec.ipFamilies = service.clusterAddresses.map { IPFamily($0.family) }
        }
        if service.spec.ipFamilies.isEmpty { service.spec.ipFamilies = [IPFamily(primary)] }
        // A headless Service without selector names both families even in a cluster of one.
        let possible =
            service.isHeadless && service.spec.selector.isEmpty ? [AddressFamily.ipv4, .ipv6] : clusterFamilies
        if service.spec.ipFamilies.count < wanted, let first = service.spec.ipFamilies[0].addressFamily,
            possible.contains(first.other)
        {
            service.spec.ipFamilies.append(IPFamily(first.other))
        }
    }
}
