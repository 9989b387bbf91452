// Gives every pod its address before anything is built: one host-local range per node, in the order the pods were
// created, as kubelet's CNI ADDs would have drawn them. Addresses that came with the input are kept.

internal import Addressing
public import Kubernetes

public enum PodAddresses {
    /// Fills in `status.podIPs` of every placed pod that runs in a network of its own, and of host-network pods.
    /// Throws when a node's pod CIDR is full or an address was given twice.
    public static func assign(_ store: inout ObjectStore) throws(ObjectError) {
        var ranges = try ranges(store, .ipv4)
        // flannel hands out IPv6 addresses only when it is told to.
        var ipv6Ranges = store.flannelConfiguration?.enableIPv6 == true ? try self.ranges(store, .ipv6) : [:]
        // Given addresses first: they are taken already.
        for pod in store.pods where usesPodNetwork(pod) {
            let node = pod.spec.nodeName
            for address in pod.status.podIPs {
                if ranges[node]?.subnet.contains(address) == true {
                    _ = try? ranges[node]?.allocate(requested: address)
                } else if ipv6Ranges[node]?.subnet.contains(address) == true {
                    _ = try? ipv6Ranges[node]?.allocate(requested: address)
                }
            }
        }
        for position in store.pods.indices {
            let pod = store.pods[position]
            guard pod.isScheduled, pod.status.podIPs.isEmpty else { continue }
            if pod.spec.hostNetwork {
                store.pods[position].status.podIPs = store.nodes["", pod.spec.nodeName]?.internalIPs ?? []
                continue
            }
            guard usesPodNetwork(pod), ranges[pod.spec.nodeName] != nil else { continue }
            do {
                let address = try ranges[pod.spec.nodeName]?.allocate()
                let second = try ipv6Ranges[pod.spec.nodeName]?.allocate()
                store.pods[position].status.podIPs = [address, second].compactMap { $0 }
            } catch {
                throw ObjectError(
                    pod, FieldPath("spec", "nodeName"),
                    "node \(pod.spec.nodeName) has no pod address left: \(error.description)",
                    hint: "use fewer pods on that node, or a larger node CIDR (node-cidr-mask-size)")
            }
        }
    }

    /// Every node's range of a family.
    private static func ranges(
        _ store: ObjectStore, _ family: AddressFamily
    ) throws(ObjectError) -> [String: HostLocalRange] {
        var ranges: [String: HostLocalRange] = [:]
        for node in store.nodes {
            guard var subnet = node.podCIDR(family) else { continue }
            // No node comes to the end of its first 16 million addresses.
            if family == .ipv6 { subnet = IPPrefix(subnet.address, length: max(subnet.length, 104)) }
            do {
                ranges[node.name] = try HostLocalRange(subnet: subnet)
            } catch {
                throw ObjectError(
                    node, FieldPath("spec", "podCIDR"), error.description,
                    hint: "give the node a larger pod CIDR")
            }
        }
        return ranges
    }

    /// The pod is placed, not finished, and has a network namespace of its own.
    public static func usesPodNetwork(_ pod: Pod) -> Bool {
        pod.isScheduled && !pod.spec.hostNetwork && pod.status.phase != .succeeded && pod.status.phase != .failed
    }
}
