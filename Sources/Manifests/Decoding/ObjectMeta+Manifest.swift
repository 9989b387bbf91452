// metadata, label selectors, and the rules names and labels must keep (k8s.io/apimachinery util/validation): a name
// that a cluster would refuse must not become part of a path, a chain name or a line of output here.

import Kubernetes

extension ObjectMeta {
    /// Decodes `metadata` of an object; one with only a generateName is named by the object store.
    init(object: ManifestNode, origin: ObjectOrigin) throws(ManifestError) {
        let node = try object.required("metadata", hint: "add `metadata:` with a `name:`")
        try self.init(node, isTemplate: false)
        self.origin = origin
        guard !name.isEmpty || !generateName.isEmpty else {
            throw node.error("the field `name` is missing", hint: "give the object a name")
        }
    }

    /// Decodes the `metadata` of a pod template, which has no name of its own.
    init(template: ManifestNode) throws(ManifestError) {
        self.init()
        guard let node = try template.section("metadata") else { return }
        try self.init(node, isTemplate: true)
    }

    private init(_ node: ManifestNode, isTemplate: Bool) throws(ManifestError) {
        self.init()
        name = try node.string("name")
        namespace = try node.string("namespace")
        generateName = try node.string("generateName")
        if !isTemplate {
            if let value = node["name"], !name.isEmpty { try checkSubdomain(name, at: value) }
            if let value = node["generateName"], !generateName.isEmpty {
                try checkSubdomain(generateName + "x", at: value)
            }
            if let value = node["namespace"], !namespace.isEmpty { try checkLabel(namespace, at: value) }
        }
        uid = try node.string("uid")
        labels = try node.labels("labels")
        annotations = try node.stringMap("annotations")
        creationTimestamp = try node.optionalString("creationTimestamp")
        deletionTimestamp = try node.optionalString("deletionTimestamp")
        ownerReferences = try node.list("ownerReferences").map(OwnerReference.init(manifest:))
    }
}

extension OwnerReference {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            kind: node.requiredString("kind"), name: node.requiredString("name"), uid: node.string("uid"),
            apiVersion: node.string("apiVersion"), controller: node.boolean("controller") ?? false)
    }
}

extension LabelSelector {
    init(manifest node: ManifestNode) throws(ManifestError) {
        try self.init(
            matchLabels: node.labels("matchLabels"),
            matchExpressions: node.list("matchExpressions").map(LabelRequirement.init(manifest:)))
    }

    /// The selector in a field; nil when the field is absent.
    init?(_ name: StaticString, of node: ManifestNode) throws(ManifestError) {
        guard let value = try node.section(name) else { return nil }
        try self.init(manifest: value)
    }
}

extension LabelRequirement {
    init(manifest node: ManifestNode) throws(ManifestError) {
        let operatorNode = try node.required("operator")
        let text = try operatorNode.string()
        guard ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"].contains(text) else {
            throw operatorNode.error(
                "\(quoted(text)) is not an operator", hint: "one of In, NotIn, Exists, DoesNotExist (Gt, Lt for nodes)")
        }
        try self.init(
            key: node.requiredString("key"), operator: Operator(rawValue: text), values: node.strings("values"))
    }
}

extension ManifestNode {
    /// A mapping of labels, each checked.
    func labels(_ name: StaticString) throws(ManifestError) -> [String: String] {
        guard let value = try section(name) else { return [:] }
        var result: [String: String] = [:]
        for member in value.members {
            let (key, text) = (member.name.text, member.value.isNull ? "" : try member.value.string())
            guard isQualifiedName(key) else {
                throw member.name.error(
                    "\(quoted(key)) is not a label key",
                    hint: "up to 63 letters, digits, '-', '_', '.', after an optional prefix such as example.com/")
            }
            guard text.isEmpty || isLabelText(text) else {
                throw member.value.error(
                    "\(quoted(text)) is not a label value",
                    hint: "up to 63 letters, digits, '-', '_', '.', beginning and ending with a letter or digit")
            }
            result[key] = text
        }
        return result
    }
}

/// DNS-1123 subdomain: what most objects are named by.
private func checkSubdomain(_ name: String, at node: ManifestNode) throws(ManifestError) {
    guard name.utf8.count <= 253, isSubdomain(name) else {
        throw node.error(
            "\(quoted(name)) is not a valid name",
            hint: "lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit")
    }
}

/// DNS-1123 label: what namespaces are named by.
private func checkLabel(_ name: String, at node: ManifestNode) throws(ManifestError) {
    guard name.utf8.count <= 63, isSubdomain(name), !name.contains(".") else {
        throw node.error(
            "\(quoted(name)) is not a valid namespace",
            hint: "up to 63 lower-case letters, digits and '-', beginning and ending with a letter or digit")
    }
}

private func isSubdomain(_ text: String) -> Bool {
    text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
        guard let first = label.utf8.first, let last = label.utf8.last else { return false }
        return isLowerAlphanumeric(first) && isLowerAlphanumeric(last)
            && label.utf8.allSatisfy { isLowerAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    }
}

private func isQualifiedName(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    switch parts.count {
    case 1: return isLabelText(text)
    case 2: return parts[0].utf8.count <= 253 && isSubdomain(String(parts[0])) && isLabelText(String(parts[1]))
    default: return false
    }
}

private func isLabelText(_ text: String) -> Bool {
    guard text.utf8.count <= 63, let first = text.utf8.first, let last = text.utf8.last else { return false }
    return isAlphanumeric(first) && isAlphanumeric(last)
        && text.utf8.allSatisfy {
            isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
        }
}

private func isLowerAlphanumeric(_ byte: UInt8) -> Bool { 0x61...0x7a ~= byte || 0x30...0x39 ~= byte }
private func isAlphanumeric(_ byte: UInt8) -> Bool { isLowerAlphanumeric(byte) || 0x41...0x5a ~= byte }
