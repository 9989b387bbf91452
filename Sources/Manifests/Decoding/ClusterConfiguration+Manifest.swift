// How the cluster was set up: kubeadm's ClusterConfiguration (kubeadm.k8s.io v1beta3 with extraArgs as a map, v1beta4
// as a list of name and value), as a document or in ConfigMap kube-system/kubeadm-config.

import Addressing
import Kubernetes

extension ClusterConfiguration {
    init(manifest node: ManifestNode, origin: ObjectOrigin) throws(ManifestError) {
        self.init(origin: origin)
        let controllerManager = try ExtraArguments(of: node.section("controllerManager"))
        let apiServer = try ExtraArguments(of: node.section("apiServer"))
        if let networking = try node.section("networking") {
            podSubnets = try networking.prefixes("podSubnet")
            serviceSubnets = try networking.prefixes("serviceSubnet")
            if let domain = try networking.optionalString("dnsDomain"), !domain.isEmpty { dnsDomain = domain }
        }
        // What the components are started with wins over what kubeadm would derive.
        if podSubnets.isEmpty { podSubnets = try controllerManager.prefixes("cluster-cidr") }
        let range = try apiServer.prefixes("service-cluster-ip-range")
        if !range.isEmpty { serviceSubnets = range }
        for (name, family) in [
            ("node-cidr-mask-size", AddressFamily.ipv4), ("node-cidr-mask-size-ipv4", .ipv4),
            ("node-cidr-mask-size-ipv6", .ipv6),
        ] {
            guard let argument = controllerManager[name] else { continue }
            // The plain name is for clusters of one family, whichever it is.
            let meant = name == "node-cidr-mask-size" ? podSubnets.first?.family ?? family : family
            let size = try argument.node.maskSize(argument.value, meant)
            if meant == .ipv4 { nodeCIDRMaskSizeIPv4 = size } else { nodeCIDRMaskSizeIPv6 = size }
        }
        if let argument = apiServer["service-node-port-range"] {
            serviceNodePortRange = try argument.node.portRange(argument.value)
        }
        controlPlaneEndpoint = try node.string("controlPlaneEndpoint")
        kubernetesVersion = try node.string("kubernetesVersion")
        if let name = try node.optionalString("clusterName"), !name.isEmpty { clusterName = name }
    }
}

/// Command line arguments of a control plane component.
private struct ExtraArguments {
    struct Argument {
        var name: String
        var value: String
        var node: ManifestNode
    }

    var arguments: [Argument] = []

    init(of component: ManifestNode?) throws(ManifestError) {
        guard let list = try component?.field("extraArgs") else { return }
        if list.isMapping {
            for (name, value) in list.members {
                arguments.append(Argument(name: name.text, value: try value.string(), node: value))
            }
        } else if list.isSequence {
            for item in list.elements {
                let value = try item.required("value")
                arguments.append(
                    Argument(name: try item.requiredString("name"), value: try value.string(), node: value))
            }
        } else {
            throw list.mismatch("a list of name and value", hint: "v1beta4 takes a list, v1beta3 a mapping")
        }
    }

    /// The last argument of that name counts, as on a command line.
    subscript(name: String) -> Argument? { arguments.last { $0.name == name } }

    func prefixes(_ name: String) throws(ManifestError) -> [IPPrefix] {
        guard let argument = self[name] else { return [] }
        return try argument.value.split(separator: ",").map { (part) throws(ManifestError) in
            guard let prefix = InterfaceAddress(trimmed(part))?.prefix else {
                throw argument.node.error("\(quoted(part)) is not a CIDR", hint: "write it as 10.96.0.0/12")
            }
            return prefix
        }
    }
}

extension ManifestNode {
    fileprivate func maskSize(_ text: String, _ family: AddressFamily) throws(ManifestError) -> Int {
        guard let size = Int(text), (1...family.bitWidth).contains(size) else {
            throw error(
                "\(quoted(text)) is not a prefix length",
                hint: "write a number from 1 to \(family.bitWidth), such as \"24\"")
        }
        return size
    }

    /// `30000-32767` or `30000+2767`.
    fileprivate func portRange(_ text: String) throws(ManifestError) -> ClosedRange<Int> {
        let parts = text.split(separator: text.contains("+") ? "+" : "-", omittingEmptySubsequences: false)
        if parts.count == 2, let first = Int(parts[0]), let second = Int(parts[1]), (1...65535).contains(first) {
            let last = text.contains("+") ? min(first + min(second, 65535), 65535) : second
            if (first...65535).contains(last) { return first...last }
        }
        throw error("\(quoted(text)) is not a range of ports", hint: "write it as 30000-32767")
    }
}
