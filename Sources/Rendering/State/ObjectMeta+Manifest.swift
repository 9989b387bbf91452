// The parts all manifests share, as the API server writes them: metadata, selectors, pod templates, conditions.
// managedFields and generation are not kept and so not written.

internal import Kubernetes

extension ObjectMeta {
    var manifest: JSONValue {
        .object { fields in
            fields.set("annotations", map: annotations)
            fields.set("creationTimestamp", text: creationTimestamp)
            fields.set("deletionTimestamp", text: deletionTimestamp)
            fields.set("generateName", text: generateName)
            fields.set("labels", map: labels)
            fields.set("name", text: name)
            fields.set("namespace", text: namespace)
            fields.set("ownerReferences", list: ownerReferences.map(\.manifest))
            fields.set("uid", text: uid)
        }
    }
}

extension JSONValue {
    /// An object of the fields that are set.
    static func object(_ fill: (inout ManifestFields) -> Void) -> JSONValue { ManifestFields.object(fill) }
}

extension OwnerReference {
    var manifest: JSONValue {
        .object { fields in
            fields.set("apiVersion", text: apiVersion)
            fields.set("controller", flag: controller)
            fields.set("kind", text: kind)
            fields.set("name", text: name)
            fields.set("uid", text: uid)
        }
    }
}

extension LabelSelector {
    var manifest: JSONValue {
        .object { fields in
            fields.set("matchExpressions", list: matchExpressions.map(\.manifest))
            fields.set("matchLabels", map: matchLabels)
        }
    }

    /// The selector in kubectl's columns: `app=web,tier in (a,b),!old`.
    var text: String {
        var words = matchLabels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        for requirement in matchExpressions.sorted(by: { $0.key < $1.key }) {
            let values = requirement.values.sorted().joined(separator: ",")
            switch requirement.operator {
            case .in: words.append("\(requirement.key) in (\(values))")
            case .notIn: words.append("\(requirement.key) notin (\(values))")
            case .exists: words.append(requirement.key)
            case .doesNotExist: words.append("!\(requirement.key)")
            default: words.append("\(requirement.key) \(requirement.operator) \(values)")
            }
        }
        return words.isEmpty ? "<none>" : words.joined(separator: ",")
    }
}

extension LabelRequirement {
    var manifest: JSONValue {
        .object { fields in
            fields.set("key", text: key)
            fields.set("operator", text: self.operator.rawValue)
            fields.set("values", texts: values)
        }
    }
}

extension Condition {
    var manifest: JSONValue {
        .object { fields in
            fields.set("message", text: message)
            fields.set("reason", text: reason)
            fields.set("status", text: status)
            fields.set("type", text: type)
        }
    }
}

extension ResourceList {
    var manifest: JSONValue? {
        var amounts = others.mapValues(\.description)
        amounts["cpu"] = cpu?.description
        amounts["memory"] = memory?.description
        amounts["pods"] = pods?.description
        return amounts.isEmpty ? nil : JSONValue(map: amounts)
    }
}

extension PodTemplateSpec {
    var manifest: JSONValue {
        .object { fields in
            fields.set("metadata", metadata.manifest)
            fields.set("spec", spec.manifest)
        }
    }

    /// The cells of the CONTAINERS and IMAGES columns.
    var containerCells: [String] {
        [spec.containers.map(\.name).joined(separator: ","), spec.containers.map(\.image).joined(separator: ",")]
    }
}

/// Labels in kubectl's columns: `app=web,tier=front`.
func labelText(_ labels: [String: String]) -> String { LabelSelector(matchLabels: labels).text }
