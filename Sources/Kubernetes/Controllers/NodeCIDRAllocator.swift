// One block of the pod network per node (kube-controller-manager pkg/controller/nodeipam/ipam/range_allocator.go and
// cidrset): given blocks are kept and marked used first, the others get the next free one in node order.

internal import Addressing

enum NodeCIDRAllocator {
    static func allocate(_ store: inout ObjectStore, _ warnings: inout [ObjectWarning]) throws(ObjectError) {
        guard let cluster = store.clusterConfiguration else { return }
        try validateGiven(store, cluster)
        var blocks = cluster.podSubnets.map { subnet in
            let length = cluster.nodeCIDRMaskSize(subnet.family)
            let used =
                store.nodes.flatMap(\.spec.podCIDRs).filter { $0.overlaps(subnet) }
                + cluster.serviceSubnets.filter { $0.overlaps(subnet) }
            return BlockSet(subnet: subnet, length: length, used: used)
        }
        for position in store.nodes.indices where store.nodes[position].spec.podCIDRs.isEmpty {
            for index in blocks.indices {
                guard let block = blocks[index].next() else {
                    throw ObjectError(
                        store.nodes[position], FieldPath("spec", "podCIDR"),
                        "CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range",
                        hint: "\(blocks[index].subnet) has no free /\(blocks[index].length) left: "
                            + "take a larger podSubnet or a longer node-cidr-mask-size")
                }
                store.nodes[position].spec.podCIDRs.append(block)
            }
        }
    }

    private static func validateGiven(_ store: ObjectStore, _ cluster: ClusterConfiguration) throws(ObjectError) {
        var given: [(block: IPPrefix, node: Int)] = []
        for (position, node) in store.nodes.enumerated() {
            let families = node.spec.podCIDRs.map(\.family)
            if Set(families).count != families.count {
                throw ObjectError(
                    node, FieldPath("spec", "podCIDRs"),
                    FieldMessage.invalid(
                        list: node.spec.podCIDRs.map(\.description),
                        "may specify no more than one CIDR for each IP family"))
            }
            for (index, block) in node.spec.podCIDRs.enumerated() {
                // The first is also spec.podCIDR, which most people write.
                let path = index == 0 ? FieldPath("spec", "podCIDR") : FieldPath("spec", "podCIDRs").index(index)
                guard let subnet = cluster.podSubnet(block.family) else { continue }
                guard subnet.contains(block) else {
                    let isFlannels = store.flannelConfiguration?.network(block.family) == subnet
                    let reason =
                        isFlannels
                        ? "subnet \"\(subnet)\" specified in the flannel net config doesn't contain \"\(block)\" "
                            + "PodCIDR of the \"\(node.name)\" node"
                        : "is not in the cluster's podSubnet \(subnet)"
                    throw ObjectError(
                        node, path, FieldMessage.invalid(text: "\(block)", reason),
                        hint: "take a free /\(cluster.nodeCIDRMaskSize(block.family)) of \(subnet), "
                            + "or leave podCIDR out to have one chosen")
                }
                given.append((block, position))
            }
        }
        // Sorted by address, a block can only overlap one of those before it that reaches furthest.
        let order = given.indices.sorted { (given[$0].block, $0) < (given[$1].block, $1) }
        var clash: (earlier: Int, later: Int)?
        var reach: Int?
        for index in order {
            if let widest = reach, given[widest].block.overlaps(given[index].block) {
                let pair = (earlier: min(widest, index), later: max(widest, index))
                if clash.map({ pair.later < $0.later }) ?? true { clash = pair }
            }
            if let widest = reach, given[widest].block.family == given[index].block.family,
                given[widest].block.last >= given[index].block.last
            {
                continue
            }
            reach = index
        }
        if let clash {
            let (block, position) = given[clash.later]
            let other = store.nodes[given[clash.earlier].node].name
            throw ObjectError(
                store.nodes[position], FieldPath("spec", "podCIDR"),
                FieldMessage.invalid(
                    text: "\(block)", "overlaps \(given[clash.earlier].block) of Node \(other)"),
                hint: "give every node its own block, or leave podCIDR out to have one chosen")
        }
    }
}

/// The equal blocks of one subnet, handed out in order.
private struct BlockSet {
    let subnet: IPPrefix
    let length: Int
    private let used: [IPPrefix]
    private var usedBlocks: Set<IPPrefix>
    private var candidate = 0

    init(subnet: IPPrefix, length: Int, used: [IPPrefix]) {
        self.subnet = subnet
        self.length = length
        usedBlocks = Set(used.filter { $0.length == length })
        self.used = used.filter { $0.length != length }
    }

    mutating func next() -> IPPrefix? {
        while let block = subnet.subnet(candidate, length: length) {
            candidate += 1
            if !usedBlocks.contains(block), !used.contains(where: { $0.overlaps(block) }) { return block }
        }
        return nil
    }
}
