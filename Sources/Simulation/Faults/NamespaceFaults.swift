// What faults change in a namespace, with the verbs an administrator would use (`ip link set`, `bridge fdb replace`,
// `iptables -P`). Applied to a node fresh from its agents; putting things back is starting again from there.

internal import Addressing
internal import Kubernetes
internal import Netstack

extension FaultPlan {
    /// Applies faults to a namespace, in that order.
    func apply(_ numbers: [Int], to namespace: inout NetworkNamespace) {
        for number in numbers {
            for change in faults[number].changes where change.namespace == namespace.id {
                change.fault.apply(to: &namespace, number: Int32(number))
            }
        }
    }
}

extension NamespaceFault {
    fileprivate func apply(to namespace: inout NetworkNamespace, number: Int32) {
        switch self {
        case .linkDown(let link): namespace.setLink(link, up: false)
        case .noCarrier(let link): namespace.setCarrier(link, false)
        case .mtu(let link, let mtu): namespace.setMTU(mtu, of: link)
        case .hairpinOff(let link): namespace.setHairpin(link, false)
        case .queue(let link, _): namespace.control(link) { $0.hasQueue = true }
        case .filter(let link, let selector, let direction):
            let filter = TrafficControl.Filter(
                fault: number, selector: selector, ingress: direction != .egress, egress: direction != .ingress)
            namespace.control(link) { $0.filters.append(filter) }
        case .leftChecksum(let link, let selector):
            let filter = TrafficControl.Filter(fault: number, selector: selector, ingress: false, egress: true)
            namespace.control(link) { $0.leftChecksums.append(filter) }
        case .bridgeNetfilterOff:
            namespace.sysctls.bridgeCallsIPTables = false
            namespace.sysctls.bridgeCallsIP6Tables = false
        case .policyDrop(let chain): namespace.setPolicy(.drop, of: chain)
        case .peerMAC(let right, let wrong): takePeer(right, for: wrong, in: &namespace)
        case .peerAddress(let address, let remote): leadPeer(address, to: remote, in: &namespace)
        case .peerLease(let address, let subnet, let remote):
            leadPeer(address, to: remote, in: &namespace)
            leadRoute(subnet, to: remote, in: &namespace)
        case .route(let route): namespace.addRoute(route)
        }
    }

    /// What flannel writes for a lease with another VtepMAC: the neighbor and the forwarding entry.
    private func takePeer(_ right: MACAddress, for wrong: MACAddress, in namespace: inout NetworkNamespace) {
        for tunnel in namespace.tunnels {
            guard let remote = tunnel.forwardingDatabase[right] else { continue }
            namespace.removeForwardingEntry(right, on: tunnel.link)
            namespace.addForwardingEntry(wrong, remote: remote, on: tunnel.link)
            for neighbor in namespace.neighbors.entries
            where neighbor.link == tunnel.link && neighbor.state == .permanent && neighbor.lladdr == right {
                namespace.addPermanentNeighbor(neighbor.address, lladdr: wrong, on: tunnel.link)
            }
        }
    }

    private func leadPeer(_ address: MACAddress, to remote: IPv4Address, in namespace: inout NetworkNamespace) {
        for tunnel in namespace.tunnels where tunnel.forwardingDatabase[address] != nil {
            namespace.addForwardingEntry(address, remote: IPAddress(remote), on: tunnel.link)
        }
    }

    /// Changes the next hop of a route that needs no tunnel. The kernel takes no route by an own address.
    private func leadRoute(_ subnet: IPPrefix, to remote: IPv4Address, in namespace: inout NetworkNamespace) {
        let tunnels = namespace.tunnels.map(\.link)
        guard var route = namespace.mainTable.routes.first(where: { $0.prefix == subnet && $0.gateway != nil }),
            let link = route.link, !tunnels.contains(link)
        else { return }
        if namespace.isLocal(IPAddress(remote)) {
            namespace.removeRoutes { $0.prefix == subnet }
        } else {
            route.gateway = IPAddress(remote)
            namespace.addRoute(route)
        }
    }
}
