// Namespaces, nodes, ConfigMaps and NetworkPolicies (k8s.io/api core/v1, networking/v1): the fields podnet keeps.
// Everything else in them is skipped without a word.

import Addressing
import Kubernetes

extension Namespace {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        try self.init(
            metadata: metadata, phase: node.section("status")?.string("phase", default: "Active") ?? "Active")
    }
}

extension Node {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        try self.init(
            metadata: metadata, spec: node.section("spec").map(NodeSpec.init(manifest:)) ?? NodeSpec(),
            status: node.section("status").map(NodeStatus.init(manifest:)) ?? NodeStatus())
    }
}

extension NodeSpec {
    init(manifest node: ManifestNode) throws(ManifestError) {
        self.init()
        podCIDRs = try node.list("podCIDRs").map { (item) throws(ManifestError) in try item.prefix() }
        if let value = try node.field("podCIDR"), try !value.string().isEmpty {
            let podCIDR = try value.prefix()
            if podCIDRs.isEmpty { podCIDRs = [podCIDR] }
            guard podCIDRs.first == podCIDR else {
                throw value.error(
                    "podCIDR is \(podCIDR), but podCIDRs begins with \(podCIDRs[0])",
                    hint: "both name the node's first block: make them equal, or give only one")
            }
        }
        unschedulable = try node.boolean("unschedulable") ?? false
        taints = try node.list("taints").map(Taint.init(manifest:))
        providerID = try node.string("providerID")
    }
}

extension Taint {
    init(manifest node: ManifestNode) throws(ManifestError) {
        let effect = try node.required("effect")
        let text = try effect.string()
        guard ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(text) else {
            throw effect.error(
                "\(quoted(text)) is not a taint effect", hint: "one of NoSchedule, PreferNoSchedule, NoExecute")
        }
        try self.init(key: node.requiredString("key"), value: node.string("value"), effect: Effect(rawValue: text))
    }
}

extension NodeStatus {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            addresses: node.list("addresses").map(NodeAddress.init(manifest:)),
            conditions: node.list("conditions").map(Condition.init(manifest:)),
            allocatable: ResourceList(field: "allocatable", of: node),
            capacity: ResourceList(field: "capacity", of: node),
            nodeInfo: node.section("nodeInfo").map(NodeInfo.init(manifest:)) ?? NodeInfo())
    }
}

extension NodeAddress {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            type: AddressType(rawValue: node.requiredString("type")), address: node.requiredString("address"))
    }
}

extension NodeInfo {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            kubeletVersion: node.string("kubeletVersion"), osImage: node.string("osImage"),
            kernelVersion: node.string("kernelVersion"),
            containerRuntimeVersion: node.string("containerRuntimeVersion"),
            architecture: node.string("architecture"), operatingSystem: node.string("operatingSystem"))
    }
}

extension ConfigMap {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        try self.init(metadata: metadata, data: node.stringMap("data"))
    }
}

extension ServiceCIDR {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let list = try node.section("spec")?.list("cidrs") ?? []
        let cidrs = try list.map { (item) throws(ManifestError) in
            try item.value("a CIDR", example: "10.96.0.0/12") { IPPrefix($0) }
        }
        self.init(metadata: metadata, cidrs: cidrs)
    }
}

extension NetworkPolicy {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let spec = try node.section("spec")
        try self.init(
            metadata: metadata,
            podSelector: spec.flatMap { (spec) throws(ManifestError) in
                try LabelSelector("podSelector", of: spec)
            } ?? LabelSelector(),
            policyTypes: spec?.strings("policyTypes") ?? [])
    }
}
