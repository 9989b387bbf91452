// The wire between the machines when the input does not describe it: one subnet around the nodes' InternalIPs, a
// gateway on its first address, and a host `client` outside the cluster. Missing machine addresses are filled in.

internal import Addressing

enum UnderlayDefaults {
    /// The subnet used when no machine has an address.
    static let standardSubnet = IPPrefix(.v4(192, 168, 50, 0), length: 24)
    static let firstNodeOffset = 10
    static let clientOffset = 100

    static func apply(_ store: inout ObjectStore) throws(ObjectError) {
        let isSubnetStated = store.underlay?.subnet != nil
        var underlay = store.underlay ?? Underlay()
        let subnet = underlay.subnet ?? subnetAroundMachines(store)
        underlay.subnet = subnet
        if let gateway = underlay.gateway {
            guard subnet.contains(gateway) else {
                throw ObjectError(
                    underlay, FieldPath("spec", "gateway"),
                    FieldMessage.invalid(text: "\(gateway)", "is not in the subnet \(subnet)"),
                    hint: "take an address of the subnet, or leave the gateway out for its first one")
            }
        } else {
            underlay.gateway = firstGateway(store, in: subnet)
        }
        if isSubnetStated { try checkNodes(store, in: subnet) }
        store.underlay = underlay

        var taken: Set<IPAddress> = []
        for node in store.nodes { taken.formUnion(node.internalIPs) }
        for host in store.hosts { taken.formUnion(host.addresses.map(\.address)) }
        if let gateway = underlay.gateway {
            try checkGateway(store, gateway)
            taken.insert(gateway)
        }
        var pool = AddressPool(subnet: subnet, taken: taken)
        for position in store.nodes.indices where store.nodes[position].internalIPs.isEmpty {
            // A node whose interfaces are stated has the addresses it has; kube-proxy may know none of them.
            if store.nodes[position].metadata.annotations[Node.interfacesAnnotation] != nil { continue }
            guard let address = pool.take(from: firstNodeOffset) else {
                throw ObjectError(
                    store.nodes[position], FieldPath("status", "addresses"),
                    FieldMessage.required("no address is left in the underlay subnet \(subnet)"),
                    hint: "give the Underlay a larger spec.subnet")
            }
            store.nodes[position].status.addresses.append(NodeAddress(type: .internalIP, address: "\(address)"))
        }
        for position in store.nodes.indices
        where !store.nodes[position].status.addresses.contains(where: { $0.type == .hostname }) {
            let name = store.nodes[position].name
            store.nodes[position].status.addresses.append(NodeAddress(type: .hostname, address: name))
        }
        if store.hosts["", "client"] == nil, store.nodes["", "client"] == nil {
            store.hosts.insert(Host(metadata: ObjectMeta(name: "client")))
        }
        for position in store.hosts.indices where store.hosts[position].addresses.isEmpty {
            guard let address = pool.take(from: clientOffset) else {
                throw ObjectError(
                    store.hosts[position], FieldPath("spec", "addresses"),
                    FieldMessage.required("no address is left in the underlay subnet \(subnet)"),
                    hint: "give the Underlay a larger spec.subnet")
            }
            store.hosts[position].addresses = [InterfaceAddress(address, prefixLength: subnet.length)]
        }
    }

    /// A /24 (IPv6: /64) around the first InternalIP, widened until every node's first address fits and there is
    /// room for the machines without one.
    private static func subnetAroundMachines(_ store: ObjectStore) -> IPPrefix {
        let given = store.nodes.compactMap { $0.internalIP(.ipv4) ?? $0.internalIP }
        guard let first = given.first else {
            var length = standardSubnet.length
            while length > 8, 1 << (32 - length) < store.nodes.count + store.hosts.count + 50 { length -= 1 }
            return IPPrefix(standardSubnet.address, length: length)
        }
        var subnet = IPPrefix(first, length: first.family == .ipv4 ? 24 : 64)
        for address in given where address.family == first.family {
            while !subnet.contains(address) { subnet = IPPrefix(first, length: subnet.length - 1) }
        }
        while subnet.length > 8, subnet.count < store.nodes.count + store.hosts.count + 50 {
            subnet = IPPrefix(first, length: subnet.length - 1)
        }
        return subnet
    }

    /// The first address of the subnet, or the next one no node has; a forwarding host may well be the gateway.
    private static func firstGateway(_ store: ObjectStore, in subnet: IPPrefix) -> IPAddress? {
        var taken: Set<IPAddress> = []
        for node in store.nodes { taken.formUnion(node.internalIPs) }
        for host in store.hosts where !host.forwarding { taken.formUnion(host.addresses.map(\.address)) }
        var candidate = subnet.address.advanced(by: 1)
        while let address = candidate, subnet.contains(address), taken.contains(address) {
            candidate = address.advanced(by: 1)
        }
        return candidate.flatMap { subnet.contains($0) ? $0 : nil }
    }

    private static func checkNodes(_ store: ObjectStore, in subnet: IPPrefix) throws(ObjectError) {
        for node in store.nodes {
            for (index, entry) in node.status.addresses.enumerated() where entry.type == .internalIP {
                guard let address = IPAddress(entry.address), address.family == subnet.family,
                    !subnet.contains(address)
                else { continue }
                throw ObjectError(
                    node, FieldPath("status", "addresses").index(index).key("address"),
                    FieldMessage.invalid(text: entry.address, "is not in the underlay subnet \(subnet)"),
                    hint: "widen spec.subnet of the Underlay, or leave it out to have it fit")
            }
        }
    }

    private static func checkGateway(_ store: ObjectStore, _ gateway: IPAddress) throws(ObjectError) {
        for node in store.nodes {
            for (index, entry) in node.status.addresses.enumerated()
            where entry.type == .internalIP && IPAddress(entry.address) == gateway {
                throw ObjectError(
                    node, FieldPath("status", "addresses").index(index).key("address"),
                    FieldMessage.invalid(text: entry.address, "is the underlay's gateway"),
                    hint: "name another spec.gateway in an Underlay object")
            }
        }
    }
}

/// Free addresses of one subnet, found by walking upwards from an offset and then from the start.
private struct AddressPool {
    let subnet: IPPrefix
    var taken: Set<IPAddress>
    /// Where the search for an offset left off, so that thousands of machines cost one walk.
    private var cursors: [Int: Int] = [:]

    init(subnet: IPPrefix, taken: Set<IPAddress>) {
        self.subnet = subnet
        self.taken = taken
    }

    mutating func take(from offset: Int) -> IPAddress? {
        let last = subnet.family == .ipv4 ? subnet.count - 2 : min(subnet.count - 1, 1 << 20)
        guard last >= 1 else { return nil }
        var index = cursors[offset] ?? min(offset, last)
        for _ in 0..<last {
            let candidate = subnet.address.advanced(by: index)
            index = index == last ? 1 : index + 1
            if let candidate, !taken.contains(candidate) {
                taken.insert(candidate)
                cursors[offset] = index
                return candidate
            }
        }
        return nil
    }
}
