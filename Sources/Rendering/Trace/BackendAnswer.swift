// A flow followed every way it can go, as text and as JSON after docs/schemas/backends.schema.json: first a table of
// the ways with their chances, then the trace of each.

internal import Addressing
public import Simulation

extension TraceText {
    /// The table and the traces, ending in a newline.
    public func text(_ backends: [Backend]) -> String {
        var table = ColumnTable(headings: ["ENDPOINT", "CHANCE", "VERDICT", "SEES"])
        for backend in backends {
            table.rows.append([
                backend.address.description, percentText(backend.probability), backend.trace.verdict.rawValue,
                backend.trace.seenSource?.address.description ?? "<none>",
            ])
        }
        var text = table.text()
        for backend in backends {
            let title = "\(backend.address)  \(percentText(backend.probability))"
            text += "\n" + coloured("== \(title)", .bold) + "\n" + self.text(backend.trace)
        }
        return text
    }
}

extension TraceJSON {
    public func value(_ backends: [Backend]) -> JSONValue {
        .object([
            "apiVersion": .string("podnet.dev/v1alpha1"),
            "kind": .string("Backends"),
            "backends": .array(
                backends.map { backend in
                    .object([
                        "address": .string(backend.address.address.description),
                        "port": .number(Int(backend.address.port)),
                        "probability": .fraction(backend.probability),
                        "trace": value(backend.trace),
                    ])
                }),
        ])
    }
}
