// The pod-template-hash label (kubernetes pkg/controller ComputeHash): FNV-1a with 32 bits over a dump of the template,
// printed in decimal and spelled with the safe alphabet. The real dump is Go's view of its own structs, so our hash has
// the same shape and never the same value; equal templates give equal hashes on every run.

internal import Addressing

struct TemplateHash {
    private var value: UInt32 = 0x811c_9dc5

    /// The hash of a pod template, up to ten characters of `456789bcdf`.
    static func of(_ template: PodTemplateSpec) -> String {
        var hash = TemplateHash()
        hash.add(template)
        return safeText(hash.value)
    }

    /// The number in decimal, each digit mapped by its character code into the name alphabet.
    static func safeText(_ value: UInt32) -> String {
        String(decoding: String(value).utf8.map { nameAlphabet[Int($0) % nameAlphabet.count] }, as: UTF8.self)
    }

    /// FNV-1a of plain text.
    static func fnv1a(_ text: String) -> UInt32 {
        var hash = TemplateHash()
        for byte in text.utf8 { hash.add(byte: byte) }
        return hash.value
    }

    private mutating func add(byte: UInt8) { value = (value ^ UInt32(byte)) &* 0x0100_0193 }

    // Each text ends in a zero octet, so that neighbours cannot run together; each list opens with its length.
    private mutating func add(_ text: String) {
        for byte in text.utf8 { add(byte: byte) }
        add(byte: 0)
    }
    private mutating func add(_ number: Int) { add(String(number)) }
    private mutating func add(_ map: [String: String]) {
        add(map.count)
        for key in map.keys.sorted() {
            add(key)
            add(map[key] ?? "")
        }
    }

    private mutating func add(_ template: PodTemplateSpec) {
        add(template.metadata.labels)
        add(template.metadata.annotations)
        let spec = template.spec
        for text in [
            spec.nodeName, spec.hostname, spec.subdomain, spec.restartPolicy, spec.priorityClassName,
            spec.schedulerName, spec.serviceAccountName, spec.dnsPolicy,
        ] { add(text) }
        add(spec.hostNetwork ? 1 : 0)
        add(spec.nodeSelector)
        for containers in [spec.initContainers, spec.containers] {
            add(containers.count)
            for container in containers { add(container) }
        }
        add(spec.tolerations.count)
        for toleration in spec.tolerations {
            for text in [toleration.key, toleration.operator, toleration.value] { add(text) }
            add(toleration.effect?.rawValue ?? "")
            add(toleration.tolerationSeconds ?? -1)
        }
        if let affinity = spec.affinity { add(affinity) }
        add(spec.topologySpreadConstraints.count)
        for constraint in spec.topologySpreadConstraints {
            add(constraint.maxSkew)
            add(constraint.topologyKey)
            add(constraint.whenUnsatisfiable)
            add(constraint.labelSelector)
        }
    }

    private mutating func add(_ container: Container) {
        for text in [container.name, container.image, container.restartPolicy ?? ""] { add(text) }
        add(container.ports.count)
        for port in container.ports {
            add(port.name)
            add(port.containerPort)
            add(port.hostPort ?? -1)
            add(port.hostIP)
            add(port.protocol.rawValue)
        }
        for list in [container.resources.requests, container.resources.limits] {
            for amount in [list.cpu, list.memory, list.pods] { add(amount?.milliValue ?? -1) }
            add(list.others.mapValues(\.description))
        }
        add(container.hasReadinessProbe ? 1 : 0)
    }

    private mutating func add(_ affinity: Affinity) {
        add(affinity.requiredNodeTerms?.count ?? -1)
        for term in affinity.requiredNodeTerms ?? [] {
            add(term.matchExpressions)
            add(term.matchFields)
        }
        for terms in [affinity.requiredPodTerms, affinity.requiredPodAntiTerms] {
            add(terms.count)
            for term in terms {
                add(term.topologyKey)
                add(term.labelSelector)
                add(term.namespaces.count)
                for namespace in term.namespaces { add(namespace) }
            }
        }
    }

    private mutating func add(_ selector: LabelSelector?) {
        add(selector?.matchLabels ?? [:])
        add(selector?.matchExpressions ?? [])
    }

    private mutating func add(_ requirements: [LabelRequirement]) {
        add(requirements.count)
        for requirement in requirements {
            add(requirement.key)
            add(requirement.operator.rawValue)
            add(requirement.values.count)
            for value in requirement.values { add(value) }
        }
    }
}
