// podnet's own Fault and Scenario. The fields of a fault are the words of its text form, with the same values; a field
// that is no word is an error, because a fault that is not there would look like a network that copes with it.

import Addressing
import Kubernetes

extension Fault {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let spec = try node.required(
            "spec", hint: "say what is wrong, for example spec: {target: worker-1/eth0, loss: 10%}")
        try self.init(fields: spec, metadata: metadata)
    }

    /// Reads the words of a fault from the members of a mapping.
    fileprivate init(
        fields node: ManifestNode, metadata: ObjectMeta, ignoring ignored: String? = nil
    ) throws(ManifestError) {
        guard node.isMapping else { throw node.mismatch("a mapping", hint: "write {target: worker-1/eth0, loss: 10%}") }
        var places: [String] = []
        var clauses: [FaultClause] = []
        for (name, value) in node.members where name.text != ignored {
            let values = try value.faultValues()
            if name.text == Fault.placeWord {
                places = values.flatMap { $0.split(separator: ",").map(String.init) }
            } else {
                clauses.append(FaultClause(name.text, values))
            }
        }
        do throws(FaultError) {
            try self.init(metadata: metadata, places: places, clauses: clauses)
        } catch {
            let member = node.members.first { $0.name.text == error.word }
            let isUnknown = member.map { error.message.hasPrefix("\"\($0.name.text)\" is no fault") } ?? true
            throw (isUnknown ? member?.name : member?.value).map { $0.error(error) } ?? node.error(error)
        }
    }
}

extension Scenario {
    init(manifest node: ManifestNode, metadata: ObjectMeta) throws(ManifestError) {
        let spec = try node.required("spec", hint: "add `spec:` with `events:`")
        guard spec.isMapping else { throw spec.mismatch("a mapping") }
        try spec.expectOnly(["events"])
        try self.init(
            metadata: metadata,
            events: spec.list("events").map { (item) throws(ManifestError) in
                try ScenarioEvent(manifest: item)
            })
    }
}

extension ScenarioEvent {
    init(manifest node: ManifestNode) throws(ManifestError) {
        let when = try node.required("at", hint: "say when it happens, for example `at: 5s`")
        guard when.isScalar, let time = nanoseconds(duration: when.text), time >= 0 else {
            throw when.error("\(quoted(when.text)) is no time after the start", hint: "write it as 5s, 1.5s or 200ms")
        }
        try node.expectOnly(["at", "fault", "heal"])
        switch (try node.field("fault"), try node.field("heal")) {
        case (let fault?, nil): self.init(at: time, action: .fault(try Fault(event: fault)))
        case (nil, let heal?): self.init(at: time, action: .heal(try heal.string()))
        default:
            throw node.error(
                "an event is either a fault or the healing of one",
                hint: "write `fault: {name: cut, target: worker-1/eth0, link: down}` or `heal: cut`")
        }
    }
}

extension Fault {
    /// A fault of a scenario: its fields, and the name it is healed by; or its text.
    fileprivate init(event node: ManifestNode) throws(ManifestError) {
        if node.isScalar {
            let text = try node.string()
            do throws(FaultError) { try self.init(text: text) } catch { throw node.error(error) }
            return
        }
        let name = try node.field("name")?.string()
        try self.init(fields: node, metadata: ObjectMeta(name: name ?? ""), ignoring: "name")
        if name == nil { metadata.name = text }
    }
}

extension ManifestNode {
    fileprivate func error(_ error: FaultError) -> ManifestError {
        self.error(error.message, hint: error.hint.isEmpty ? nil : error.hint)
    }

    /// The words of a value; the items of a list are separated by commas.
    fileprivate func faultValues() throws(ManifestError) -> [String] {
        if isSequence {
            var items: [String] = []
            for item in elements {
                guard item.isScalar else { throw item.mismatch("a word") }
                items.append(item.text)
            }
            return [items.joined(separator: ",")]
        }
        guard isScalar, !isNull else { throw mismatch("a value such as in `loss: 10%`") }
        return text.split(separator: " ").map(String.init)
    }

    /// Refuses fields that mean nothing.
    fileprivate func expectOnly(_ names: [String]) throws(ManifestError) {
        for (name, _) in members where !names.contains(name.text) {
            throw name.error(
                "the field \(quoted(name.text)) means nothing here", hint: "known are \(names.joined(separator: ", "))")
        }
    }
}
