// Nodes a kubeadm cluster would have: made up when the input has none, completed with the labels the kubelet sets, and
// checked for addresses two machines claim.

internal import Addressing

enum NodeDefaults {
    /// The nodes of a cluster whose input names none.
    static let standardNames = ["control-plane", "worker-1", "worker-2"]

    static func addNodes(_ store: inout ObjectStore, _ warnings: inout [ObjectWarning]) {
        if store.nodes.isEmpty {
            let mentioned = nodesMentioned(store)
            if mentioned.isEmpty || mentioned.contains(where: { standardNames.contains($0.name) }) {
                for name in standardNames { store.nodes.insert(node(name)) }
            } else {
                // Pods and slices of a real cluster without its nodes: their nodeName tells which nodes there were.
                for (name, address) in mentioned {
                    var made = node(name)
                    if let address {
                        made.status.addresses = [NodeAddress(type: .internalIP, address: "\(address)")]
                    }
                    store.nodes.insert(made)
                }
                let names = mentioned.map(\.name).joined(separator: ", ")
                warnings.append(
                    ObjectWarning(
                        kind: "Node", name: "",
                        message: "the input has no Node; made up those its pods run on: \(names)",
                        hint: "add the output of kubectl get nodes -o yaml"))
            }
        }
        for position in store.nodes.indices {
            let name = store.nodes[position].name
            for (key, value) in [
                (Node.hostnameLabel, name), ("kubernetes.io/os", "linux"), ("kubernetes.io/arch", "amd64"),
                ("beta.kubernetes.io/os", "linux"), ("beta.kubernetes.io/arch", "amd64"),
            ] where store.nodes[position].metadata.labels[key] == nil {
                store.nodes[position].metadata.labels[key] = value
            }
        }
    }

    private static func node(_ name: String) -> Node {
        var node = Node(metadata: ObjectMeta(name: name))
        if name.contains("control-plane") {
            node.metadata.labels[Node.controlPlaneLabel] = ""
            node.spec.taints = [Taint(key: Node.controlPlaneLabel, effect: .noSchedule)]
        }
        return node
    }

    /// The node names pods and slices mention, in order of appearance, with the address a pod status tells.
    private static func nodesMentioned(_ store: ObjectStore) -> [(name: String, address: IPAddress?)] {
        var found: [(name: String, address: IPAddress?)] = []
        var positions: [String: Int] = [:]
        for pod in store.pods where pod.isScheduled {
            if let position = positions[pod.spec.nodeName] {
                found[position].address = found[position].address ?? pod.status.hostIP
            } else {
                positions[pod.spec.nodeName] = found.count
                found.append((pod.spec.nodeName, pod.status.hostIP))
            }
        }
        for slice in store.endpointSlices {
            for endpoint in slice.endpoints where !endpoint.nodeName.isEmpty {
                if positions[endpoint.nodeName] == nil {
                    positions[endpoint.nodeName] = found.count
                    found.append((endpoint.nodeName, nil))
                }
            }
        }
        return found
    }

    /// Names are spelled right, addresses are addresses, and no two machines share one.
    static func validate(_ store: ObjectStore) throws(ObjectError) {
        var owners: [IPAddress: String] = [:]
        for node in store.nodes {
            if let reason = NameRules.subdomain(node.name) {
                throw ObjectError(node, FieldPath("metadata", "name"), FieldMessage.invalid(text: node.name, reason))
            }
            for (index, entry) in node.status.addresses.enumerated() where entry.type == .internalIP {
                let path = FieldPath("status", "addresses").index(index).key("address")
                guard let address = IPAddress(entry.address) else {
                    throw ObjectError(
                        node, path, FieldMessage.invalid(text: entry.address, "must be a valid IP address"),
                        hint: "write an address such as 192.168.50.11")
                }
                if let owner = owners[address], owner != "Node \(node.name)" {
                    throw ObjectError(
                        node, path, FieldMessage.invalid(text: entry.address, "\(owner) has this address already"),
                        hint: "give every machine its own address")
                }
                owners[address] = "Node \(node.name)"
            }
        }
        for host in store.hosts {
            if let reason = NameRules.subdomain(host.name) {
                throw ObjectError(host, FieldPath("metadata", "name"), FieldMessage.invalid(text: host.name, reason))
            }
            if store.nodes["", host.name] != nil {
                throw ObjectError(
                    host, FieldPath("metadata", "name"),
                    FieldMessage.invalid(text: host.name, "a Node has this name already"),
                    hint: "give every machine its own name: traces and captures name places by it")
            }
            for (index, entry) in host.addresses.enumerated() {
                if let owner = owners[entry.address] {
                    throw ObjectError(
                        host, FieldPath("spec", "addresses").index(index),
                        FieldMessage.invalid(text: "\(entry)", "\(owner) has this address already"),
                        hint: "give every machine its own address")
                }
                owners[entry.address] = "Host \(host.name)"
            }
        }
    }
}
