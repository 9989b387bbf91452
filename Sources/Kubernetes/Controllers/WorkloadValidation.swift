// What the API server refuses in pods and in the objects that make pods (kubernetes pkg/apis/core/validation and
// pkg/apis/apps/validation), as far as it concerns names, ports, selectors and counts.

internal import Addressing

enum WorkloadValidation {
    static func validate(_ store: ObjectStore) throws(ObjectError) {
        let template = FieldPath("spec", "template")
        for object in store.deployments {
            try checkWorkload(object, object.replicas)
            try checkSelector(object, object.selector, object.template)
            try checkPod(object, object.template.spec, template.key("spec"))
        }
        for object in store.replicaSets {
            try checkWorkload(object, object.replicas)
            try checkSelector(object, object.selector, object.template)
            try checkPod(object, object.template.spec, template.key("spec"))
        }
        for object in store.replicationControllers {
            try checkWorkload(object, object.replicas)
            if !object.selector.isEmpty {
                try checkSelector(object, LabelSelector(matchLabels: object.selector), object.template)
            }
            try checkPod(object, object.template.spec, template.key("spec"))
        }
        for object in store.statefulSets {
            try checkWorkload(object, object.replicas)
            try checkSelector(object, object.selector, object.template)
            try checkPod(object, object.template.spec, template.key("spec"))
        }
        for object in store.daemonSets {
            try checkWorkload(object, nil)
            try checkSelector(object, object.selector, object.template)
            try checkPod(object, object.template.spec, template.key("spec"))
        }
        for object in store.jobs {
            try checkWorkload(object, nil)
            try checkNotNegative(object, object.completions, "completions")
            try checkNotNegative(object, object.parallelism, "parallelism")
            try checkPod(object, object.template.spec, template.key("spec"))
        }
        for pod in store.pods {
            if let reason = pod.metadata.name.isEmpty ? "" : NameRules.subdomain(pod.metadata.name) {
                throw nameError(pod, reason)
            }
            try checkPod(pod, pod.spec, FieldPath("spec"))
        }
    }

    private static func nameError<Object: KubernetesObject>(_ object: Object, _ reason: String) -> ObjectError {
        let name = object.metadata.name
        let message =
            name.isEmpty
            ? FieldMessage.required("name or generateName is required") : FieldMessage.invalid(text: name, reason)
        return ObjectError(object, FieldPath("metadata", "name"), message)
    }

    private static func checkWorkload<Object: KubernetesObject>(
        _ object: Object, _ replicas: Int?
    ) throws(ObjectError) {
        if let reason = object.metadata.name.isEmpty ? "" : NameRules.subdomain(object.metadata.name) {
            throw nameError(object, reason)
        }
        try checkNotNegative(object, replicas, "replicas")
    }

    private static func checkNotNegative<Object: KubernetesObject>(
        _ object: Object, _ count: Int?, _ field: String
    ) throws(ObjectError) {
        if let count, count < 0 {
            throw ObjectError(
                object, FieldPath("spec", field),
                FieldMessage.invalid(count, "must be greater than or equal to 0"))
        }
    }

    private static func checkSelector<Object: KubernetesObject>(
        _ object: Object, _ selector: LabelSelector?, _ template: PodTemplateSpec
    ) throws(ObjectError) {
        guard let selector, !selector.isEmpty else {
            throw ObjectError(
                object, FieldPath("spec", "selector"), FieldMessage.required(),
                hint: "add matchLabels with the labels of the template")
        }
        let operators: [LabelRequirement.Operator] = [.doesNotExist, .exists, .in, .notIn]
        for (index, requirement) in selector.matchExpressions.enumerated()
        where !operators.contains(requirement.operator) {
            throw ObjectError(
                object, FieldPath("spec", "selector", "matchExpressions").index(index).key("operator"),
                FieldMessage.unsupported(requirement.operator.rawValue, operators.map(\.rawValue)))
        }
        if !selector.matches(template.metadata.labels) {
            let labels = template.metadata.labels.sorted { $0.key < $1.key }
                .map { "\"\($0.key)\":\"\($0.value)\"" }.joined(separator: ",")
            throw ObjectError(
                object, FieldPath("spec", "template", "metadata", "labels"),
                FieldMessage.invalid("{\(labels)}", "`selector` does not match template `labels`"),
                hint: "give the template every label the selector asks for")
        }
    }

    private static func checkPod<Object: KubernetesObject>(
        _ object: Object, _ spec: PodSpec, _ path: FieldPath
    ) throws(ObjectError) {
        if spec.containers.isEmpty {
            throw ObjectError(object, path.key("containers"), FieldMessage.required())
        }
        var names: Set<String> = []
        for (field, containers) in [("initContainers", spec.initContainers), ("containers", spec.containers)] {
            for (index, container) in containers.enumerated() {
                let at = path.key(field).index(index)
                if container.name.isEmpty {
                    throw ObjectError(object, at.key("name"), FieldMessage.required())
                }
                if let reason = NameRules.label(container.name) {
                    throw ObjectError(object, at.key("name"), FieldMessage.invalid(text: container.name, reason))
                }
                if !names.insert(container.name).inserted {
                    throw ObjectError(object, at.key("name"), FieldMessage.duplicate("\"\(container.name)\""))
                }
                try checkContainerPorts(object, container, at.key("ports"))
            }
        }
        for (field, name) in [("hostname", spec.hostname), ("subdomain", spec.subdomain)] where !name.isEmpty {
            if let reason = NameRules.label(name) {
                throw ObjectError(object, path.key(field), FieldMessage.invalid(text: name, reason))
            }
        }
    }

    private static func checkContainerPorts<Object: KubernetesObject>(
        _ object: Object, _ container: Container, _ path: FieldPath
    ) throws(ObjectError) {
        var names: Set<String> = []
        for (index, port) in container.ports.enumerated() {
            let at = path.index(index)
            if !port.name.isEmpty {
                if let reason = NameRules.portName(port.name) {
                    throw ObjectError(object, at.key("name"), FieldMessage.invalid(text: port.name, reason))
                }
                if !names.insert(port.name).inserted {
                    throw ObjectError(object, at.key("name"), FieldMessage.duplicate("\"\(port.name)\""))
                }
            }
            if !(1...65535).contains(port.containerPort) {
                throw ObjectError(
                    object, at.key("containerPort"),
                    FieldMessage.invalid(port.containerPort, FieldMessage.portRange))
            }
            if let hostPort = port.hostPort, hostPort != 0, !(1...65535).contains(hostPort) {
                throw ObjectError(
                    object, at.key("hostPort"), FieldMessage.invalid(hostPort, FieldMessage.portRange))
            }
            if port.protocol.ipProtocol == nil {
                throw ObjectError(
                    object, at.key("protocol"),
                    FieldMessage.unsupported(port.protocol.rawValue, ["SCTP", "TCP", "UDP"]))
            }
        }
    }
}
