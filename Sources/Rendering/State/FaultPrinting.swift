// podnet's own Fault and Scenario in the manner of kubectl: what is wrong as one line, and the object as a manifest
// that reads back as the same.

internal import Kubernetes

extension Fault: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "faults", singular: "fault", group: "podnet.dev", version: "v1alpha1")
    }

    static var columns: [PrintedColumn] { ["TARGET", "WRONG", "AGE"].map { PrintedColumn($0) } }

    static func all(in state: PrintedState) -> [Fault] { Array(state.store.faults) }

    func cells(_ state: PrintedState) -> [String] {
        [
            places.joined(separator: ","), clauses.map(\.description).joined(separator: " "),
            state.clock.age(since: metadata.creationTimestamp),
        ]
    }

    func fill(_ fields: inout ManifestFields) { fields.set("spec", fieldsOfFault(named: nil)) }

    /// The fields of the fault, in a scenario with its name.
    fileprivate func fieldsOfFault(named name: String?) -> JSONValue {
        .object { fields in
            for clause in clauses { fields.set(clause.word, text: clause.values.joined(separator: " ")) }
            fields.set("name", text: name)
            fields.set(Fault.placeWord, text: places.joined(separator: ","))
        }
    }
}

extension Scenario: PrintedObject {
    static var resource: ResourceName {
        ResourceName(plural: "scenarios", singular: "scenario", group: "podnet.dev", version: "v1alpha1")
    }

    static var columns: [PrintedColumn] { ["EVENTS", "AGE"].map { PrintedColumn($0) } }

    static func all(in state: PrintedState) -> [Scenario] { Array(state.store.scenarios) }

    func cells(_ state: PrintedState) -> [String] {
        ["\(events.count)", state.clock.age(since: metadata.creationTimestamp)]
    }

    func fill(_ fields: inout ManifestFields) {
        fields.set("spec") { fields in fields.set("events", list: events.map(\.manifest)) }
    }
}

extension ScenarioEvent {
    fileprivate var manifest: JSONValue {
        .object { fields in
            fields.set("at", text: "\(at)ns")
            switch action {
            case .fault(let fault): fields.set("fault", fault.fieldsOfFault(named: fault.name))
            case .heal(let name): fields.set("heal", text: name)
            }
        }
    }
}
