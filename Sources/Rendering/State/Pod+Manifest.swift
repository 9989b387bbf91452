// Pods as manifests (k8s.io/api core/v1): the fields Kubernetes/API/Pod.swift keeps, defaults written out.
// Volumes, environments and commands are not kept and so not written.

internal import Addressing
internal import Kubernetes

extension Pod {
    func fill(_ fields: inout ManifestFields) {
        fields.set("spec", spec.manifest)
        fields.set("status") { fields in
            fields.set("conditions", list: status.conditions.map(\.manifest))
            fields.set("containerStatuses", list: status.containerStatuses.map(\.manifest))
            fields.set("hostIP", text: status.hostIP?.description)
            fields.set("initContainerStatuses", list: status.initContainerStatuses.map(\.manifest))
            fields.set("message", text: status.message)
            fields.set("phase", text: status.phase?.rawValue)
            fields.set("podIP", text: status.podIP?.description)
            fields.set("podIPs", list: status.podIPs.map { .object(["ip": .string($0.description)]) })
            fields.set("reason", text: status.reason)
            fields.set("startTime", text: status.startTime)
        }
    }
}

extension PodSpec {
    var manifest: JSONValue {
        .object { fields in
            fields.set("affinity", affinity?.manifest)
            fields.set("containers", list: containers.map(\.manifest))
            fields.set("dnsPolicy", text: dnsPolicy)
            if hostNetwork { fields.set("hostNetwork", flag: true) }
            fields.set("hostname", text: hostname)
            fields.set("initContainers", list: initContainers.map(\.manifest))
            fields.set("nodeName", text: nodeName)
            fields.set("nodeSelector", map: nodeSelector)
            fields.set("priorityClassName", text: priorityClassName)
            fields.set("restartPolicy", text: restartPolicy)
            fields.set("schedulerName", text: schedulerName)
            fields.set("serviceAccountName", text: serviceAccountName)
            fields.set("subdomain", text: subdomain)
            fields.set("tolerations", list: tolerations.map(\.manifest))
            fields.set("topologySpreadConstraints", list: topologySpreadConstraints.map(\.manifest))
        }
    }
}

extension Container {
    var manifest: JSONValue {
        .object { fields in
            fields.set("image", text: image)
            fields.set("name", text: name)
            fields.set("ports", list: ports.map(\.manifest))
            // Only that there is a probe is known.
            if hasReadinessProbe { fields.set("readinessProbe", JSONValue.object([])) }
            fields.set(
                "resources",
                .object { fields in
                    fields.set("limits", resources.limits.manifest)
                    fields.set("requests", resources.requests.manifest)
                })
            fields.set("restartPolicy", text: restartPolicy)
        }
    }
}

extension ContainerPort {
    var manifest: JSONValue {
        .object { fields in
            fields.set("containerPort", number: containerPort)
            fields.set("hostIP", text: hostIP)
            fields.set("hostPort", number: hostPort)
            fields.set("name", text: name)
            fields.set("protocol", text: self.protocol.rawValue)
        }
    }
}

extension Toleration {
    var manifest: JSONValue {
        .object { fields in
            fields.set("effect", text: effect?.rawValue)
            fields.set("key", text: key)
            fields.set("operator", text: self.operator)
            fields.set("tolerationSeconds", number: tolerationSeconds)
            fields.set("value", text: value)
        }
    }
}

extension Affinity {
    var manifest: JSONValue {
        let required = "requiredDuringSchedulingIgnoredDuringExecution"
        return .object { fields in
            fields.set("nodeAffinity") { fields in
                guard let terms = requiredNodeTerms else { return }
                fields.set(required, .object(["nodeSelectorTerms": .array(terms.map(\.manifest))]))
            }
            fields.set("podAffinity") { $0.set(required, list: requiredPodTerms.map(\.manifest)) }
            fields.set("podAntiAffinity") { $0.set(required, list: requiredPodAntiTerms.map(\.manifest)) }
        }
    }
}

extension NodeSelectorTerm {
    var manifest: JSONValue {
        .object { fields in
            fields.set("matchExpressions", list: matchExpressions.map(\.manifest))
            fields.set("matchFields", list: matchFields.map(\.manifest))
        }
    }
}

extension PodAffinityTerm {
    var manifest: JSONValue {
        .object { fields in
            fields.set("labelSelector", labelSelector?.manifest)
            fields.set("namespaces", texts: namespaces)
            fields.set("topologyKey", text: topologyKey)
        }
    }
}

extension TopologySpreadConstraint {
    var manifest: JSONValue {
        .object { fields in
            fields.set("labelSelector", labelSelector?.manifest)
            fields.set("maxSkew", number: maxSkew)
            fields.set("topologyKey", text: topologyKey)
            fields.set("whenUnsatisfiable", text: whenUnsatisfiable)
        }
    }
}

extension ContainerStatus {
    var manifest: JSONValue {
        .object { fields in
            fields.set("lastState", lastState?.manifest)
            fields.set("name", text: name)
            fields.set("ready", flag: ready)
            fields.set("restartCount", number: restartCount)
            fields.set("started", flag: started)
            fields.set("state", state?.manifest)
        }
    }
}

extension ContainerState {
    var manifest: JSONValue {
        switch self {
        case .waiting(let reason):
            return .object(["waiting": .object { $0.set("reason", text: reason) }])
        case .running(let startedAt):
            return .object(["running": .object { $0.set("startedAt", text: startedAt) }])
        case .terminated(let reason, let exitCode, let signal, let finishedAt):
            let fields = JSONValue.object { fields in
                fields.set("exitCode", number: exitCode)
                fields.set("finishedAt", text: finishedAt)
                fields.set("reason", text: reason)
                if signal != 0 { fields.set("signal", number: signal) }
            }
            return .object(["terminated": fields])
        }
    }
}
