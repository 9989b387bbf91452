// The doors of a Service as a table, and the differences between kube-proxy modes as a list: text, and JSON after
// docs/schemas/doors.schema.json and docs/schemas/parity.schema.json.

internal import Addressing
internal import Kubernetes
internal import Netstack
public import Simulation

/// Prints what clients experience at doors.
public struct DoorTable: Sendable {
    public init() {}

    // MARK: one Service

    public func text(_ results: [DoorResult]) -> String {
        var table = ColumnTable(headings: ["DOOR", "CLIENT", "VERDICT", "ENDPOINTS", "SERVER SEES", "RULE"])
        for result in results {
            let behaviour = result.behaviour
            table.rows.append([
                result.door.description, result.client.description, verdict(behaviour), endpoints(behaviour),
                sources(behaviour), rules(result),
            ])
        }
        return table.text()
    }

    public func json(_ results: [DoorResult], mode: String) -> JSONValue {
        .object([
            "apiVersion": .string("podnet.dev/v1alpha1"),
            "kind": .string("Doors"),
            "mode": .string(mode),
            "doors": .array(
                results.map { result in
                    .object(place(result) + behaviour(result))
                }),
        ])
    }

    // MARK: modes

    public func text(_ report: ParityReport) -> String {
        var text = report.differences.map { self.text($0, report.modes) }.joined()
        if !report.strays.isEmpty { text += "Where no Service is, whatever the Services are:\n\n" }
        text += report.strays.map { self.text($0, report.modes) }.joined()
        let modes = report.modes.map(\.rawValue).joined(separator: ", ")
        let count = report.differences.count
        return text + "\(count) of \(report.compared) clients at doors fare differently under \(modes)\n"
    }

    private func text(_ difference: ParityDifference, _ modes: [ProxyMode]) -> String {
        guard let first = difference.results.first else { return "" }
        var table = ColumnTable(headings: ["", "MODE", "VERDICT", "ENDPOINTS", "SERVER SEES", "RULE"])
        for (mode, result) in zip(modes, difference.results) {
            let behaviour = result.behaviour
            table.rows.append([
                "", mode.rawValue, verdict(behaviour), endpoints(behaviour), sources(behaviour), rules(result),
            ])
        }
        return "\(serviceName(first))  \(first.door.description)  from \(first.client.description)\n"
            + table.text(withHeadings: false) + "\n"
    }

    public func json(_ report: ParityReport) -> JSONValue {
        .object([
            "apiVersion": .string("podnet.dev/v1alpha1"),
            "kind": .string("Parity"),
            "modes": .array(report.modes.map { .string($0.rawValue) }),
            "compared": .number(report.compared),
            "differences": .array(report.differences.map { json($0, report.modes) }),
            "strays": .array(report.strays.map { json($0, report.modes) }),
        ])
    }

    private func json(_ difference: ParityDifference, _ modes: [ProxyMode]) -> JSONValue {
        let behaviours = zip(modes, difference.results).map { mode, result in
            JSONValue.Member(mode.rawValue, .object(behaviour(result)))
        }
        let place = difference.results.first.map { self.place($0) } ?? []
        return .object(place + [JSONValue.Member("modes", .object(behaviours))])
    }

    // MARK: cells

    private func serviceName(_ result: DoorResult) -> String {
        guard let service = result.service else { return "no Service" }
        return result.portName.isEmpty ? "\(service)" : "\(service):\(result.portName)"
    }

    private func verdict(_ behaviour: DoorBehaviour) -> String {
        behaviour.verdicts.map(\.rawValue).joined(separator: " or ")
    }

    private func endpoints(_ behaviour: DoorBehaviour) -> String {
        guard behaviour.endpoints.count != 1 else { return behaviour.endpoints[0].description }
        return behaviour.endpoints.isEmpty ? "<none>" : "\(behaviour.endpoints.count)"
    }

    private func sources(_ behaviour: DoorBehaviour) -> String {
        if behaviour.sources.isEmpty { return "<none>" }
        if behaviour.keepsSource { return "the client" }
        return behaviour.sources.map(\.description).joined(separator: ",")
    }

    private func rules(_ result: DoorResult) -> String {
        guard let rule = result.reasons.first else {
            return result.ending.map { "\($0.rawValue), \($0.explanation)" } ?? "<none>"
        }
        if rule.table == "ipvs" { return "ipvs \(rule.text)" }
        let number = rule.number.map { " \($0)" } ?? ""
        // An nftables rule says what it is about; an iptables rule of kube-proxy has a comment that does.
        let saying = rule.comment.map { "\"\($0)\"" } ?? rule.text
        return "\(rule.table) \(rule.chain)\(number) \(saying)"
    }

    private func place(_ result: DoorResult) -> [JSONValue.Member] {
        [
            JSONValue.Member("service", result.service.map { .string($0.description) } ?? .null),
            JSONValue.Member("port", .string(result.portName)),
            JSONValue.Member("door", .string(result.door.kind.rawValue)),
            JSONValue.Member("node", result.door.node.isEmpty ? .null : .string(result.door.node)),
            JSONValue.Member("address", .string(result.door.address.address.description)),
            JSONValue.Member("number", .number(Int(result.door.address.port))),
            JSONValue.Member("protocol", .string(result.door.protocol.description)),
            JSONValue.Member("client", .string(result.client.place.rawValue)),
            JSONValue.Member("clientNode", .string(result.client.node)),
        ]
    }

    private func behaviour(_ result: DoorResult) -> [JSONValue.Member] {
        let behaviour = result.behaviour
        return [
            JSONValue.Member("verdicts", .array(behaviour.verdicts.map { .string($0.rawValue) })),
            JSONValue.Member("endpoints", .array(behaviour.endpoints.map { .string($0.description) })),
            JSONValue.Member("sees", .array(behaviour.sources.map { .string($0.description) })),
            JSONValue.Member("keepsSource", .bool(behaviour.keepsSource)),
            JSONValue.Member("rules", .array(result.reasons.map { TraceJSON().rule($0) })),
        ]
    }
}
