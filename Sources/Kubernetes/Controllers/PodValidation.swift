// Cross checks on pods that come with a node or an address, as those of a cluster dump do. Two owners of one address
// would make every trace a matter of luck, so that is refused; an address foreign to its node's block only warns.

internal import Addressing

enum PodValidation {
    static func validateAddresses(
        _ store: ObjectStore, _ warnings: inout [ObjectWarning]
    ) throws(ObjectError) {
        var owners: [IPAddress: String] = [:]
        for node in store.nodes {
            for address in node.internalIPs { owners[address] = "Node \(node.name)" }
        }
        for host in store.hosts {
            for entry in host.addresses { owners[entry.address] = "Host \(host.name)" }
        }
        for pod in store.pods {
            var node: Node?
            if pod.isScheduled {
                node = store.nodes["", pod.spec.nodeName]
                if node == nil { throw unknownNode(pod, store) }
            }
            // A finished pod has given its address back; a pod on the host network has its node's.
            guard !pod.spec.hostNetwork, !pod.isFinished else { continue }
            for address in pod.status.podIPs {
                let field = FieldPath("status", "podIP")
                if let owner = owners[address] {
                    throw ObjectError(
                        pod, field,
                        FieldMessage.invalid(text: "\(address)", "\(owner) has this address already"),
                        hint: "give each pod its own address, or leave podIP out to have one chosen")
                }
                owners[address] = "Pod \(pod.key)"
                guard let node else { continue }
                let blocks = node.spec.podCIDRs.filter { $0.family == address.family }
                if !blocks.isEmpty, !blocks.contains(where: { $0.contains(address) }) {
                    warnings.append(
                        ObjectWarning(
                            pod, field,
                            "\(address) is not in podCIDR \(blocks[0]) of its node \(node.name)",
                            hint: "other nodes will not find it there"))
                }
            }
        }
    }

    private static func unknownNode(_ pod: Pod, _ store: ObjectStore) -> ObjectError {
        let name = pod.spec.nodeName
        let near = nearest(to: name, among: store.nodes.map(\.name))
        let some = store.nodes.prefix(5).map(\.name)
        let more = store.nodes.count > some.count ? ", …" : ""
        return ObjectError(
            pod, FieldPath("spec", "nodeName"), "Not found: \"\(name)\"",
            hint: near.isEmpty
                ? "the nodes are \(some.joined(separator: ", "))\(more)"
                : "did you mean \(near.joined(separator: " or "))?")
    }
}
