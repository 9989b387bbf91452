// flannel's configuration from the kube-flannel-cfg ConfigMap: net-conf.json (flannel pkg/subnet/config.go, whose Go
// decoder takes field names in any case) and the flannel plugin's delegate section in cni-conf.json. What a given file
// leaves out has the plugin's default, not that of the published manifest.

import Addressing
import Kubernetes

extension FlannelConfiguration {
    static let networkKey = "net-conf.json"
    static let pluginKey = "cni-conf.json"

    /// Decodes the texts of both keys.
    init(network: ManifestNode, plugin: ManifestNode?, origin: ObjectOrigin) throws(ManifestError) {
        self.init(origin: origin)
        try readNetwork(network)
        if let plugin { try readPlugin(plugin) }
    }

    private mutating func readNetwork(_ node: ManifestNode) throws(ManifestError) {
        guard node.isMapping else { throw node.mismatch("a mapping") }
        enableIPv4 = try node.anyCase("EnableIPv4")?.boolean() ?? true
        enableIPv6 = try node.anyCase("EnableIPv6")?.boolean() ?? false
        enableNFTables = try node.anyCase("EnableNFTables")?.boolean() ?? false
        network = try node.anyCase("Network").map { (value) throws(ManifestError) in try value.prefix(.ipv4) }
        ipv6Network = try node.anyCase("IPv6Network").map { (value) throws(ManifestError) in try value.prefix(.ipv6) }
        if enableIPv4, network == nil {
            throw node.error("the field `Network` is missing", hint: "add \"Network\": \"10.244.0.0/16\"")
        }
        if enableIPv6, ipv6Network == nil {
            throw node.error("the field `IPv6Network` is missing", hint: "add \"IPv6Network\": \"fd00:244::/56\"")
        }
        guard let backend = try node.anyCase("Backend") else {
            // Without a Backend flanneld falls back to its oldest one.
            self.backend = FlannelBackend(type: .udp)
            return
        }
        guard backend.isMapping else { throw backend.mismatch("a mapping", hint: "write {\"Type\": \"vxlan\"}") }
        guard let type = try backend.anyCase("Type")?.string(), !type.isEmpty else {
            throw backend.error("the field `Type` is missing", hint: "write \"Type\": \"vxlan\" or \"host-gw\"")
        }
        self.backend = FlannelBackend(
            type: FlannelBackend.BackendType(rawValue: type),
            vni: try backend.anyCase("VNI")?.integer(in: 1...0xff_ffff) ?? 1,
            port: try backend.anyCase("Port")?.integer(in: 0...65535) ?? 0,
            mtu: try backend.anyCase("MTU")?.integer(in: 0...65535) ?? 0,
            directRouting: try backend.anyCase("DirectRouting")?.boolean() ?? false,
            learning: try backend.anyCase("Learning")?.boolean() ?? false,
            gbp: try backend.anyCase("GBP")?.boolean() ?? false,
            mode: try backend.anyCase("Mode")?.string() ?? "")
    }

    /// A list of plugins, or in older manifests the flannel plugin alone.
    private mutating func readPlugin(_ node: ManifestNode) throws(ManifestError) {
        cniName = try node.string("name", default: cniName)
        let plugins = try node.field("plugins") == nil ? [node] : node.list("plugins")
        var types: [String] = []
        for plugin in plugins { types.append(try plugin.requiredString("type")) }
        guard let position = types.firstIndex(of: "flannel") else {
            throw node.error(
                "no plugin of type flannel (found: \(types.joined(separator: ", ")))",
                hint: "podnet models flannel's CNI plugin, which delegates to bridge")
        }
        hasPortmap = types.contains("portmap")
        delegate = FlannelDelegate(hairpinMode: false, isDefaultGateway: false)
        guard let section = try plugins[position].section("delegate") else { return }
        for name in ["name", "ipam"] {
            if let value = section.member(named: name) {
                throw value.error("must not be given: flannel sets it", hint: "remove `\(name)` from the delegate")
            }
        }
        delegate.bridge = try section.string("bridge", default: delegate.bridge)
        delegate.hairpinMode = try section.boolean("hairpinMode") ?? false
        delegate.isDefaultGateway = try section.boolean("isDefaultGateway") ?? false
        delegate.isGateway = try section.boolean("isGateway") ?? true
        delegate.promiscMode = try section.boolean("promiscMode") ?? false
        if delegate.hairpinMode, delegate.promiscMode {
            throw (section.member(named: "promiscMode") ?? section).error(
                "cannot set hairpin mode and promiscuous mode at the same time",
                hint: "remove hairpinMode or promiscMode from the delegate: the bridge plugin refuses both")
        }
        delegate.forceAddress = try section.boolean("forceAddress") ?? false
        delegate.ipMasq = try section.boolean("ipMasq")
        delegate.mtu = try section.integer("mtu", in: 68...65535)
    }

    /// What flanneld's own command line in its DaemonSet says about rules; nil for any other DaemonSet.
    static func ruleArguments(
        ofDaemonSet node: ManifestNode
    ) throws(ManifestError) -> (masquerades: Bool, forwards: Bool)? {
        let spec = try node.section("spec")?.section("template")?.section("spec")
        for container in try spec?.list("containers") ?? [] {
            let words = try container.strings("command") + container.strings("args")
            guard words.contains(where: { $0 == "--kube-subnet-mgr" || $0.hasSuffix("/flanneld") }) else { continue }
            let masquerades = words.contains { ["--ip-masq", "--ip-masq=true", "-ip-masq"].contains($0) }
            let forwards = !words.contains { $0.hasSuffix("-iptables-forward-rules=false") }
            return (masquerades, forwards)
        }
        return nil
    }
}

extension ManifestNode {
    /// The field whose name is equal but for case, unless null.
    fileprivate func anyCase(_ name: String) throws(ManifestError) -> ManifestNode? {
        let wanted = name.lowercased()
        guard let value = members.first(where: { $0.name.text.lowercased() == wanted })?.value else { return nil }
        return value.isNull ? nil : value
    }

    fileprivate func prefix(_ family: AddressFamily) throws(ManifestError) -> IPPrefix {
        let prefix = try self.prefix()
        guard prefix.family == family else {
            throw error("\(prefix) is of the wrong family", hint: "Network takes IPv4, IPv6Network takes IPv6")
        }
        return prefix
    }
}
