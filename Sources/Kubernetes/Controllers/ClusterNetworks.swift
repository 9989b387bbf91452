// Which networks the cluster uses for pods and Services, from whatever the input says: kubeadm's ClusterConfiguration,
// flannel's net-conf.json, kube-proxy's clusterCIDR, or the addresses found in a dump. The first that states it wins.

internal import Addressing

enum ClusterNetworks {
    static func resolve(_ store: inout ObjectStore, _ warnings: inout [ObjectWarning]) throws(ObjectError) {
        var cluster = store.clusterConfiguration ?? ClusterConfiguration()
        if cluster.podSubnets.isEmpty { cluster.podSubnets = podSubnets(store, &warnings) }
        if !cluster.serviceSubnets.isEmpty, !cluster.serviceSubnetsAreInferred,
            store.serviceCIDRs["", ServiceCIDR.defaultName] == nil
        {
            // What the API server is started with becomes an object; where nothing states it, podnet only guesses.
            store.serviceCIDRs.insert(
                ServiceCIDR(metadata: ObjectMeta(name: ServiceCIDR.defaultName), cidrs: cluster.serviceSubnets))
        }
        let serviceSubnetsAreOpen = store.clusterConfiguration == nil && cluster.serviceSubnets.isEmpty
        if cluster.serviceSubnets.isEmpty {
            cluster.serviceSubnetsAreInferred = true
            cluster.serviceSubnets =
                serviceSubnetsAreOpen
                ? serviceSubnets(store, &warnings) : [ClusterConfiguration.defaultServiceSubnet]
        }
        try validate(cluster)
        if cluster.podSubnets.contains(where: { pods in cluster.serviceSubnets.contains { $0.overlaps(pods) } }) {
            warnings.append(
                ObjectWarning(
                    kind: "ClusterConfiguration", name: "", origin: cluster.origin,
                    field: FieldPath("networking", "serviceSubnet"),
                    message: "the service subnet overlaps the pod subnet; node blocks in the overlap are withheld",
                    hint: "choose disjoint subnets"))
        }
        try resolveFlannel(&store, cluster)
        if store.kubeProxyConfiguration == nil {
            // kubeadm writes clusterCIDR from podSubnet; a configuration that is given stays as it is, even without.
            store.kubeProxyConfiguration = KubeProxyConfiguration(clusterCIDRs: cluster.podSubnets)
        }
        store.clusterConfiguration = cluster
    }

    /// The pod networks when kubeadm's configuration does not say.
    private static func podSubnets(_ store: ObjectStore, _ warnings: inout [ObjectWarning]) -> [IPPrefix] {
        if let flannel = store.flannelConfiguration, let network = flannel.network {
            return [network] + (flannel.enableIPv6 ? [flannel.ipv6Network].compactMap { $0 } : [])
        }
        if let flannel = store.flannelConfiguration, flannel.enableIPv6, let network = flannel.ipv6Network {
            return [network]
        }
        if let proxy = store.kubeProxyConfiguration, !proxy.clusterCIDRs.isEmpty {
            return AddressFamily.allCases.compactMap { proxy.clusterCIDR($0) }
                .sorted { first, second in
                    proxy.clusterCIDRs.first?.family == first.family && first.family != second.family
                }
        }
        // Nothing states it: the nodes' own blocks show it, unless they fit the usual network.
        let blocks = store.nodes.flatMap(\.spec.podCIDRs)
        let usual = ClusterConfiguration.defaultPodSubnet
        var subnets: [IPPrefix] = []
        for family in [AddressFamily.ipv4, .ipv6] {
            let ofFamily = blocks.filter { $0.family == family }
            guard let first = ofFamily.first else { continue }
            if family == .ipv4, ofFamily.contains(where: { usual.contains($0) }) {
                subnets.append(usual)
                continue
            }
            var subnet = IPPrefix(first.address, length: min(first.length, family == .ipv4 ? 16 : 56))
            while let outside = ofFamily.first(where: { !subnet.contains($0) }), subnet.length > 1 {
                subnet = IPPrefix(outside.address, length: subnet.length - 1)
            }
            subnets.append(subnet)
            warnings.append(
                ObjectWarning(
                    kind: "ClusterConfiguration", name: "", field: FieldPath("networking", "podSubnet"),
                    message: "not stated; took \(subnet) from the nodes' podCIDRs",
                    hint: "add the ClusterConfiguration or the kube-flannel-cfg ConfigMap of the cluster"))
        }
        return subnets.isEmpty ? [usual] : subnets
    }

    /// The service networks when nothing states them: the usual one, or one around the cluster IPs of a dump.
    private static func serviceSubnets(_ store: ObjectStore, _ warnings: inout [ObjectWarning]) -> [IPPrefix] {
        let given = store.services.filter { $0.spec.type != .externalName }.flatMap(\.clusterAddresses)
        let usual = ClusterConfiguration.defaultServiceSubnet
        var subnets: [IPPrefix] = []
        func infer(_ addresses: [IPAddress], narrowest: Int, widest: Int) -> IPPrefix? {
            guard let first = addresses.first else { return nil }
            var length = narrowest
            while length >= widest {
                let subnet = IPPrefix(first, length: length)
                if addresses.allSatisfy(subnet.contains) { return subnet }
                length -= 1
            }
            return nil
        }
        let ipv4 = given.filter { $0.family == .ipv4 }
        let ipv6 = given.filter { $0.family == .ipv6 }
        if ipv4.isEmpty, ipv6.isEmpty {
            return [usual]
        }
        if !ipv4.isEmpty {
            if !ipv4.contains(where: usual.contains), let subnet = infer(ipv4, narrowest: 16, widest: 12) {
                subnets.append(subnet)
            } else {
                // Some fit the usual network: one that does not is refused when it is allocated.
                subnets.append(usual)
            }
        }
        if let subnet = infer(ipv6, narrowest: 112, widest: 64) { subnets.append(subnet) }
        for subnet in subnets where subnet != usual {
            warnings.append(
                ObjectWarning(
                    kind: "ClusterConfiguration", name: "", field: FieldPath("networking", "serviceSubnet"),
                    message: "not stated; took \(subnet) from the Services' cluster IPs",
                    hint: "add the ClusterConfiguration of the cluster"))
        }
        return subnets.isEmpty ? [usual] : subnets
    }

    private static func validate(_ cluster: ClusterConfiguration) throws(ObjectError) {
        func refuse(_ field: String, _ message: String, _ hint: String) -> ObjectError {
            ObjectError(
                kind: "ClusterConfiguration", name: "", origin: cluster.origin,
                field: FieldPath("networking", field), message: message, hint: hint)
        }
        for (field, subnets) in [("podSubnet", cluster.podSubnets), ("serviceSubnet", cluster.serviceSubnets)] {
            let families = subnets.map(\.family)
            if subnets.count > 2 || Set(families).count != families.count {
                throw refuse(
                    field, FieldMessage.invalid(list: subnets.map(\.description), "expected at most one per IP family"),
                    "write one IPv4 and one IPv6 subnet, separated by a comma")
            }
        }
        for subnet in cluster.serviceSubnets {
            if subnet.family == .ipv6, subnet.length < 64 {
                throw refuse(
                    "serviceSubnet",
                    FieldMessage.invalid(
                        text: "\(subnet)", "shortest allowed prefix length for service CIDR is 64"),
                    "take a /108 or /112")
            }
            if subnet.count < 8 {
                throw refuse(
                    "serviceSubnet",
                    FieldMessage.invalid(
                        text: "\(subnet)", "the service cluster IP range must be at least 8 IP addresses"),
                    "take a shorter prefix such as \(ClusterConfiguration.defaultServiceSubnet)")
            }
        }
        for subnet in cluster.podSubnets {
            let mask = cluster.nodeCIDRMaskSize(subnet.family)
            if mask < subnet.length || mask > subnet.family.bitWidth {
                throw refuse(
                    "podSubnet",
                    FieldMessage.invalid(
                        text: "\(subnet)", "is smaller than one node's block of /\(mask)"),
                    "take a larger podSubnet or a longer node-cidr-mask-size")
            }
            if mask - subnet.length > 16, subnet.family == .ipv6 {
                throw refuse(
                    "podSubnet",
                    FieldMessage.invalid(
                        text: "\(subnet)", "New CIDR set failed; the node CIDR size is too big"),
                    "keep node-cidr-mask-size-ipv6 within 16 bits of the podSubnet's length")
            }
        }
    }

    /// Fills in flannel's networks; a Network that does not hold the pod subnet keeps flannel from starting.
    private static func resolveFlannel(
        _ store: inout ObjectStore, _ cluster: ClusterConfiguration
    ) throws(ObjectError) {
        var flannel = store.flannelConfiguration ?? FlannelConfiguration()
        let isGiven = store.flannelConfiguration != nil
        for subnet in cluster.podSubnets {
            guard let network = flannel.network(subnet.family) else {
                if subnet.family == .ipv4 {
                    flannel.network = subnet
                } else if !isGiven || flannel.enableIPv6 {
                    flannel.ipv6Network = subnet
                }
                continue
            }
            guard network.contains(subnet) || (subnet.family == .ipv6 && !flannel.enableIPv6) else {
                throw ObjectError(
                    kind: "ConfigMap", namespace: "kube-flannel", name: "kube-flannel-cfg", origin: flannel.origin,
                    field: FieldPath("data").key("net-conf.json"),
                    message: "Network \(network) does not contain the cluster's podSubnet \(subnet)",
                    hint: "set Network to \(subnet), or podSubnet to \(network)")
            }
        }
        if !isGiven {
            flannel.enableIPv4 = cluster.podSubnet(.ipv4) != nil
            flannel.enableIPv6 = cluster.podSubnet(.ipv6) != nil
        }
        store.flannelConfiguration = flannel
    }
}
