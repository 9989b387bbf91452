// kube-proxy's configuration (kubeproxy.config.k8s.io/v1alpha1), as a document or in ConfigMap kube-system/kube-proxy.
// kubeadm writes every field, most of them empty, null or 0s: those stand for the default, as in
// SetDefaults_KubeProxyConfiguration.

import Addressing
import Kubernetes

extension KubeProxyConfiguration {
    init(manifest node: ManifestNode, origin: ObjectOrigin) throws(ManifestError) {
        self.init(origin: origin)
        if let value = try node.field("mode"), try !value.string().isEmpty {
            mode = try value.value("a mode podnet knows", example: "iptables, nftables or ipvs") {
                ProxyMode(rawValue: $0)
            }
        }
        clusterCIDRs = try node.prefixes("clusterCIDR")
        if let value = try node.field("detectLocalMode"), try !value.string().isEmpty {
            detectLocalMode = try value.value(
                "a mode to detect local traffic",
                example: "ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix"
            ) { DetectLocalMode(rawValue: $0) }
        }
        if let detectLocal = try node.section("detectLocal") {
            bridgeInterface = try detectLocal.string("bridgeInterface")
            interfaceNamePrefix = try detectLocal.string("interfaceNamePrefix")
        }
        let addresses = try node.list("nodePortAddresses")
        nodePortAddresses = try addresses.map { (item) throws(ManifestError) in
            try item.value("a CIDR", example: "192.168.0.0/16, or the one entry primary") {
                $0 == "primary" && addresses.count == 1 || InterfaceAddress($0) != nil ? $0 : nil
            }
        }
        try readModes(node)
        if let section = try node.section("conntrack") { try conntrack.read(section) }
        try node.replace(&bindAddress, by: "bindAddress")
        try node.replace(&healthzBindAddress, by: "healthzBindAddress")
        try node.replace(&metricsBindAddress, by: "metricsBindAddress")
        hostnameOverride = try node.string("hostnameOverride")
        configSyncPeriod = try node.positiveDuration("configSyncPeriod") ?? configSyncPeriod
        for member in try node.section("featureGates")?.members ?? [] {
            featureGates[member.name.text] = try member.value.boolean()
        }
    }

    private mutating func readModes(_ node: ManifestNode) throws(ManifestError) {
        if let section = try node.section("iptables") {
            iptables.masqueradeBit = try section.masqueradeBit ?? iptables.masqueradeBit
            iptables.masqueradeAll = try section.boolean("masqueradeAll") ?? false
            iptables.localhostNodePorts = try section.boolean("localhostNodePorts") ?? iptables.localhostNodePorts
            iptables.syncPeriod = try section.positiveDuration("syncPeriod") ?? iptables.syncPeriod
            iptables.minSyncPeriod = try section.positiveDuration("minSyncPeriod") ?? iptables.minSyncPeriod
        }
        if let section = try node.section("nftables") {
            nftables.masqueradeBit = try section.masqueradeBit ?? nftables.masqueradeBit
            nftables.masqueradeAll = try section.boolean("masqueradeAll") ?? false
            nftables.syncPeriod = try section.positiveDuration("syncPeriod") ?? nftables.syncPeriod
            nftables.minSyncPeriod = try section.positiveDuration("minSyncPeriod") ?? nftables.minSyncPeriod
        }
        if let section = try node.section("ipvs") {
            if let value = try section.field("scheduler"), try !value.string().isEmpty {
                ipvs.scheduler = try value.value(
                    "a scheduler of IPVS", example: KubeProxyConfiguration.IPVS.schedulers.joined(separator: ", ")
                ) { KubeProxyConfiguration.IPVS.schedulers.contains($0) ? $0 : nil }
            }
            ipvs.strictARP = try section.boolean("strictARP") ?? false
            ipvs.excludeCIDRs = try section.list("excludeCIDRs").map { (item) throws(ManifestError) in
                try item.value("a CIDR", example: "10.0.0.0/8") { InterfaceAddress($0) == nil ? nil : $0 }
            }
            ipvs.syncPeriod = try section.positiveDuration("syncPeriod") ?? ipvs.syncPeriod
            ipvs.minSyncPeriod = try section.duration("minSyncPeriod") ?? ipvs.minSyncPeriod
            ipvs.tcpTimeout = try section.duration("tcpTimeout") ?? 0
            ipvs.tcpFinTimeout = try section.duration("tcpFinTimeout") ?? 0
            ipvs.udpTimeout = try section.duration("udpTimeout") ?? 0
        }
    }
}

extension KubeProxyConfiguration.Conntrack {
    fileprivate mutating func read(_ node: ManifestNode) throws(ManifestError) {
        maxPerCore = try node.integer("maxPerCore", in: 0...Int(Int32.max)) ?? maxPerCore
        min = try node.integer("min", in: 0...Int(Int32.max)) ?? min
        tcpEstablishedTimeout = try node.duration("tcpEstablishedTimeout") ?? tcpEstablishedTimeout
        tcpCloseWaitTimeout = try node.duration("tcpCloseWaitTimeout") ?? tcpCloseWaitTimeout
        tcpBeLiberal = try node.boolean("tcpBeLiberal") ?? false
        udpTimeout = try node.duration("udpTimeout") ?? 0
        udpStreamTimeout = try node.duration("udpStreamTimeout") ?? 0
    }
}

extension ManifestNode {
    fileprivate var masqueradeBit: Int? {
        get throws(ManifestError) { try integer("masqueradeBit", in: 0...31) }
    }

    /// A Go duration in nanoseconds.
    fileprivate func duration(_ name: StaticString) throws(ManifestError) -> Int64? {
        guard let node = try field(name) else { return nil }
        return try node.value("a duration", example: "30s, 1h30m or 0s") { text in
            nanoseconds(duration: text).flatMap { $0 >= 0 ? $0 : nil }
        }
    }

    /// The same where zero stands for the default.
    fileprivate func positiveDuration(_ name: StaticString) throws(ManifestError) -> Int64? {
        guard let value = try duration(name), value > 0 else { return nil }
        return value
    }

    fileprivate func replace(_ text: inout String, by name: StaticString) throws(ManifestError) {
        if let value = try optionalString(name), !value.isEmpty { text = value }
    }
}
