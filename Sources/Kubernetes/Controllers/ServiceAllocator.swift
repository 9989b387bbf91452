// Cluster IPs and node ports (kubernetes pkg/registry/core/service/ipallocator, portallocator and storage/alloc.go):
// given ones first in input order, then free ones from a random start in the upper band of the range, and from the
// lower band only when the upper is full.

internal import Addressing

enum ServiceAllocator {
    /// A health check port outside the range is refused only where the range is stated: nobody chooses that port by
    /// hand, so in a dump it shows that the cluster has another range. So does a node port beside a cluster IP.
    static func allocate(
        _ store: inout ObjectStore, seed: UInt64, isPortRangeStated: Bool, _ warnings: inout [ObjectWarning]
    ) throws(ObjectError) {
        guard let cluster = store.clusterConfiguration else { return }
        let dumped = Set(store.services.lazy.filter(\.bringsClusterIP).map(\.key))
        try allocateClusterIPs(&store, cluster, seed: seed)
        try allocateNodePorts(
            &store, cluster.serviceNodePortRange, seed: seed, isPortRangeStated: isPortRangeStated, dumped: dumped,
            &warnings)
    }

    // MARK: Cluster IPs

    private static func allocateClusterIPs(
        _ store: inout ObjectStore, _ cluster: ClusterConfiguration, seed: UInt64
    ) throws(ObjectError) {
        var owners: [IPAddress: ObjectKey] = [:]
        for service in store.services {
            for (index, address) in service.clusterAddresses.enumerated() {
                let path = FieldPath("spec", service.spec.clusterIPs.count > 1 ? "clusterIPs" : "clusterIP")
                func refuse(_ reason: String, _ hint: String) -> ObjectError {
                    ObjectError(
                        service, path,
                        FieldMessage.invalid(
                            list: service.spec.clusterIPs, "failed to allocate IP \(address): \(reason)"),
                        hint: hint)
                }
                guard let subnet = cluster.serviceSubnet(address.family) else {
                    throw ObjectError(
                        service, path,
                        FieldMessage.invalid(
                            list: service.spec.clusterIPs,
                            "\(IPFamily(address.family)) is not configured on this cluster"),
                        hint: "add a subnet of that family to networking.serviceSubnet")
                }
                guard IPRange(subnet).contains(address) else {
                    throw refuse(
                        "the provided IP (\(address)) is not in the valid range. "
                            + "The range of valid IPs is \(subnet)",
                        "take an address of \(subnet), or leave clusterIP out to have one chosen")
                }
                if let owner = owners[address] {
                    throw refuse(
                        "provided IP is already allocated",
                        "Service \(owner) has it; leave clusterIP\(index == 0 ? "" : "s") out to have one chosen")
                }
                owners[address] = service.key
            }
        }
        var taken = Set(owners.keys)
        if let first = cluster.serviceSubnets.first?.address.advanced(by: 1) {
            // The API server itself holds the first address for the Service default/kubernetes.
            taken.insert(first)
        }
        for position in store.services.indices {
            let service = store.services[position]
            guard service.spec.type != .externalName, !service.isHeadless else { continue }
            if service.spec.ipFamilyPolicy == .requireDualStack, service.spec.ipFamilies.count < 2 {
                throw ObjectError(
                    service, FieldPath("spec", "ipFamilyPolicy"),
                    FieldMessage.invalid(
                        text: "RequireDualStack", "this cluster is not configured for dual-stack services"),
                    hint: "give networking.serviceSubnet one subnet of each family")
            }
            let have = service.clusterAddresses.map(\.family)
            for (index, family) in service.spec.ipFamilies.enumerated() {
                guard let family = family.addressFamily, !have.contains(family) else { continue }
                guard let subnet = cluster.serviceSubnet(family) else {
                    throw ObjectError(
                        service, FieldPath("spec", "ipFamilies").index(index),
                        FieldMessage.invalid(text: "\(IPFamily(family))", "not configured on this cluster"),
                        hint: "add a subnet of that family to networking.serviceSubnet")
                }
                var generator = SeededGenerator(seed: seed, stream: "clusterIP \(family) \(service.key)")
                guard let address = IPRange(subnet).allocate(taken, &generator) else {
                    throw ObjectError(
                        service, FieldPath("spec", "clusterIP"), "failed to allocate a serviceIP: range is full",
                        hint: "take a larger networking.serviceSubnet than \(subnet)")
                }
                taken.insert(address)
                store.services[position].spec.clusterIPs.append(address.description)
            }
            store.services[position].spec.clusterIP = store.services[position].spec.clusterIPs.first ?? ""
        }
    }

    // MARK: Node ports

    private static func allocateNodePorts(
        _ store: inout ObjectStore, _ range: ClosedRange<Int>, seed: UInt64, isPortRangeStated: Bool,
        dumped: Set<ObjectKey>, _ warnings: inout [ObjectWarning]
    ) throws(ObjectError) {
        var owners: [Int: ObjectKey] = [:]
        func claim(
            _ port: Int, _ service: Service, _ path: FieldPath, anywhere: Bool, _ warnings: inout [ObjectWarning]
        ) throws(ObjectError) {
            if anywhere, !isPortRangeStated, !range.contains(port) {
                warnings.append(
                    ObjectWarning(
                        service, path, "\(port) is not in the node port range \(range.lowerBound)-\(range.upperBound)",
                        hint: "add the ClusterConfiguration with its service-node-port-range"))
            } else if !range.contains(port) {
                throw ObjectError(
                    service, path,
                    FieldMessage.invalid(
                        port,
                        "provided port is not in the valid range. "
                            + "The range of valid ports is \(range.lowerBound)-\(range.upperBound)"),
                    hint: "take a port of the range, leave it out to have one chosen, "
                        + "or state service-node-port-range in a ClusterConfiguration")
            }
            // The allocator knows numbers, not protocols: only the same Service may use one number twice.
            if let owner = owners[port], owner != service.key {
                throw ObjectError(
                    service, path, FieldMessage.invalid(port, "provided port is already allocated"),
                    hint: "Service \(owner) has it; leave it out to have one chosen")
            }
            owners[port] = service.key
        }
        for service in store.services {
            for (index, port) in service.spec.ports.enumerated() {
                guard let nodePort = port.nodePort else { continue }
                try claim(
                    nodePort, service, FieldPath("spec", "ports").index(index).key("nodePort"),
                    anywhere: dumped.contains(service.key), &warnings)
            }
            if service.needsHealthCheck, let port = service.spec.healthCheckNodePort {
                if service.spec.ports.contains(where: { $0.nodePort == port }) {
                    throw ObjectError(
                        service, FieldPath("spec", "healthCheckNodePort"),
                        FieldMessage.invalid(port, "provided port is already allocated"),
                        hint: "a port of the Service itself has it; leave it out to have one chosen")
                }
                try claim(port, service, FieldPath("spec", "healthCheckNodePort"), anywhere: true, &warnings)
            }
        }
        var taken = Set(owners.keys)
        for position in store.services.indices {
            let service = store.services[position]
            let type = service.spec.type
            guard type == .nodePort || type == .loadBalancer else { continue }
            var generator = SeededGenerator(seed: seed, stream: "nodePort \(service.key)")
            func allocate(_ path: FieldPath) throws(ObjectError) -> Int {
                guard let port = PortRange(range).allocate(taken, &generator) else {
                    throw ObjectError(
                        service, path, "failed to allocate a nodePort: range is full",
                        hint: "widen service-node-port-range")
                }
                taken.insert(port)
                return port
            }
            if type == .nodePort || service.spec.allocateLoadBalancerNodePorts != false {
                // TCP and UDP of one port number share the node port chosen for the first of them.
                var chosen: [Int: Int] = [:]
                for (index, port) in service.spec.ports.enumerated() where port.nodePort == nil {
                    let shared = chosen[port.port]
                    let nodePort =
                        if let shared { shared } else {
                            try allocate(FieldPath("spec", "ports").index(index).key("nodePort"))
                        }
                    chosen[port.port] = nodePort
                    store.services[position].spec.ports[index].nodePort = nodePort
                }
            }
            if service.needsHealthCheck, service.spec.healthCheckNodePort == nil {
                store.services[position].spec.healthCheckNodePort =
                    try allocate(FieldPath("spec", "healthCheckNodePort"))
            }
        }
    }
}

/// The usable addresses of a service subnet and its two bands.
struct IPRange {
    let first: IPAddress
    /// How many addresses are usable, from `first` on.
    let count: Int
    /// How many of them, at the bottom, are left to people who choose for themselves.
    let staticBand: Int

    private let subnet: IPPrefix

    init(_ subnet: IPPrefix) {
        self.subnet = subnet
        first = subnet.address.advanced(by: 1) ?? subnet.address
        // Network and, for IPv4, broadcast address are not handed out. No IPv6 range is ever walked to its end.
        count = Swift.min(Swift.max(0, subnet.count - (subnet.family == .ipv4 ? 2 : 1)), 1 << 60)
        staticBand = subnet.count <= 16 ? 0 : Swift.min(Swift.max(16, subnet.count / 16), 256)
    }

    func contains(_ address: IPAddress) -> Bool {
        subnet.contains(address) && address >= first && (subnet.family == .ipv6 || address < subnet.last)
    }

    func allocate(_ taken: Set<IPAddress>, _ generator: inout SeededGenerator) -> IPAddress? {
        drawFree(count: count, staticBand: staticBand, &generator) { offset in
            first.advanced(by: offset).flatMap { taken.contains($0) ? nil : $0 }
        }
    }
}

/// The node port range and its two bands.
struct PortRange {
    let range: ClosedRange<Int>
    let staticBand: Int

    init(_ range: ClosedRange<Int>) {
        self.range = range
        staticBand = range.count <= 16 ? 0 : Swift.min(Swift.max(16, range.count / 32), 128)
    }

    func allocate(_ taken: Set<Int>, _ generator: inout SeededGenerator) -> Int? {
        drawFree(count: range.count, staticBand: staticBand, &generator) { offset in
            let port = range.lowerBound + offset
            return taken.contains(port) ? nil : port
        }
    }
}

/// The first free value from a random start in the upper band, then in the lower band.
private func drawFree<Value>(
    count: Int, staticBand: Int, _ generator: inout SeededGenerator, free: (Int) -> Value?
) -> Value? {
    for band in [staticBand..<count, 0..<staticBand] where !band.isEmpty {
        let start = generator.next(below: band.count)
        for step in 0..<band.count {
            if let value = free(band.lowerBound + (start + step) % band.count) { return value }
        }
    }
    return nil
}
