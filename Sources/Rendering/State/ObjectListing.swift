// What `podnet get` answers: which objects are meant, and their table, names, YAML or JSON, as `kubectl get` prints
// them. Objects come in the order the API server keeps them: by namespace, then by name.

public import Kubernetes
public import Simulation

/// A question about objects that kubectl would refuse.
public struct ObjectQuestionError: Error, Hashable, Sendable, CustomStringConvertible {
    public var message: String
    public var hint = ""
    public var description: String { message }
}

/// Which objects to show: `pods`, `pods,svc web`, `pod/web svc/web`, `all`.
public struct ObjectQuestion: Hashable, Sendable {
    /// The kind by its plural name, and the names asked for; none means all of the kind.
    struct Part: Hashable, Sendable {
        var kind: String
        var names: [String]
    }

    var parts: [Part] = []

    /// Reads the words behind `kubectl get`.
    public init(_ words: [String]) throws(ObjectQuestionError) {
        guard let first = words.first else {
            throw ObjectQuestionError(message: "which kind of object?", hint: ObjectQuestion.kindsHint)
        }
        if words.contains(where: { $0.contains("/") }) {
            for word in words {
                let sides = word.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
                guard sides.count == 2, !sides[0].isEmpty, !sides[1].isEmpty else {
                    throw ObjectQuestionError(
                        message: "\"\(word)\" is not of the form KIND/NAME", hint: "write pod/web, or pod web")
                }
                parts.append(Part(kind: try ObjectQuestion.plural(sides[0]), names: [sides[1]]))
            }
            return
        }
        let names = Array(words.dropFirst())
        for word in first.split(separator: ",").map(String.init) {
            guard word.lowercased() != "all" else {
                guard names.isEmpty else {
                    throw ObjectQuestionError(message: "all kinds have no names", hint: "name a kind")
                }
                parts += PrintedKinds.workloads.map { Part(kind: $0.resource.plural, names: []) }
                continue
            }
            parts.append(Part(kind: try ObjectQuestion.plural(word), names: names))
        }
    }

    private static func plural(_ word: String) throws(ObjectQuestionError) -> String {
        guard let kind = PrintedKinds.kind(named: word) else {
            throw ObjectQuestionError(message: "there is no kind of object called \"\(word)\"", hint: kindsHint)
        }
        return kind.resource.plural
    }

    private static var kindsHint: String {
        let names = PrintedKinds.all.map { kind in
            kind.resource.plural + (kind.resource.short.first.map { " (\($0))" } ?? "")
        }
        return "one of \(names.sorted().joined(separator: ", ")), or all"
    }

    var hasNames: Bool { parts.contains { !$0.names.isEmpty } }
}

/// The answer to a question about objects.
public struct ObjectAnswer: Hashable, Sendable {
    /// What goes to standard output.
    public var output = ""
    /// Lines for standard error.
    public var messages: [String] = []
    /// False when a name was not found.
    public var isComplete = true
}

/// Looks objects up in a realised cluster.
public struct ObjectListing {
    public enum Format: String, CaseIterable, Sendable {
        case table, wide, name, yaml, json
    }

    let state: PrintedState
    /// Nil means all.
    let namespace: String?
    let format: Format
    public var showsHeadings = true
    public var showsLabels = false
    /// Only objects with such labels.
    public var selector: LabelSelector?

    /// - Parameter namespace: where namespaced objects are looked for; nil means everywhere.
    public init(_ cluster: Cluster, namespace: String?, format: Format = .table) {
        state = PrintedState(cluster.objects, isWide: format == .wide)
        self.namespace = namespace
        self.format = format
    }

    /// The objects in the format chosen. A name that is not there is told, and the others are shown.
    public func answer(_ question: ObjectQuestion) throws(ObjectQuestionError) -> ObjectAnswer {
        if namespace == nil, question.hasNames {
            throw ObjectQuestionError(
                message: "a resource cannot be retrieved by name across all namespaces",
                hint: "leave out -A, or the name")
        }
        if selector != nil, question.hasNames {
            throw ObjectQuestionError(
                message: "a name and a selector exclude each other", hint: "leave out -l, or the name")
        }
        var answer = ObjectAnswer()
        let found = question.parts.flatMap { part -> [Found] in
            guard let kind = PrintedKinds.kind(named: part.kind) else { return [] }
            return find(kind, part.names, &answer)
        }
        switch format {
        case .table, .wide:
            answer.output = tables(found)
            if found.isEmpty, answer.isComplete { answer.messages.append(noneFound(question)) }
        case .name: answer.output = found.map { $0.resource.qualifiedSingular + "/" + $0.key.name + "\n" }.joined()
        case .yaml: answer.output = found.isEmpty && !answer.isComplete ? "" : document(found, question).yamlText()
        case .json:
            answer.output = found.isEmpty && !answer.isComplete ? "" : document(found, question).manifestText() + "\n"
        }
        return answer
    }

    /// One object, with what it takes to print it.
    private struct Found {
        var resource: ResourceName
        var isNamespaced: Bool
        var key: ObjectKey
        var headings: [String]
        var cells: [String]
        var manifest: JSONValue?
    }

    private func find<Object: PrintedObject>(
        _ kind: Object.Type, _ names: [String], _ answer: inout ObjectAnswer
    ) -> [Found] {
        let visible = Object.all(in: state).filter { object in
            guard Object.isNamespaced, let namespace else { return true }
            return object.metadata.namespace == namespace
        }
        guard !names.isEmpty else {
            return visible.filter { selector?.matches($0.metadata.labels) ?? true }.sorted { $0.key < $1.key }.map(
                describe)
        }
        var found: [Found] = []
        for name in names {
            if let object = visible.first(where: { $0.metadata.name == name }) {
                found.append(describe(object))
            } else {
                let plural = Object.resource.qualifiedPlural
                answer.messages.append("Error from server (NotFound): \(plural) \"\(name)\" not found")
                answer.isComplete = false
            }
        }
        return found
    }

    private func describe<Object: PrintedObject>(_ object: Object) -> Found {
        var found = Found(
            resource: Object.resource, isNamespaced: Object.isNamespaced, key: object.key, headings: [], cells: [])
        switch format {
        case .table, .wide:
            for (column, cell) in zip(Object.columns, object.cells(state)) where !column.isWide || format == .wide {
                found.headings.append(column.heading)
                found.cells.append(cell)
            }
            if showsLabels {
                found.headings.append("LABELS")
                found.cells.append(labelText(object.metadata.labels))
            }
        case .yaml, .json: found.manifest = object.manifest()
        case .name: break
        }
        return found
    }

    /// One table for each run of objects of a kind. Where there are several kinds, names carry theirs.
    private func tables(_ found: [Found]) -> String {
        let hasKinds = Set(found.map(\.resource)).count > 1
        var texts: [String] = []
        var rest = found[...]
        while let first = rest.first {
            let run = rest.prefix { $0.resource == first.resource }
            rest = rest[run.endIndex...]
            let showsNamespace = namespace == nil && first.isNamespaced
            var table = ColumnTable(headings: (showsNamespace ? ["NAMESPACE"] : []) + ["NAME"] + first.headings)
            for object in run {
                let name = hasKinds ? "\(object.resource.qualifiedSingular)/\(object.key.name)" : object.key.name
                table.rows.append((showsNamespace ? [object.key.namespace] : []) + [name] + object.cells)
            }
            texts.append(table.text(withHeadings: showsHeadings))
        }
        return texts.joined(separator: "\n")
    }

    private func noneFound(_ question: ObjectQuestion) -> String {
        let isNamespaced = question.parts.contains { PrintedKinds.kind(named: $0.kind)?.isNamespaced ?? false }
        guard let namespace, isNamespaced else { return "No resources found" }
        return "No resources found in \(namespace) namespace."
    }

    /// One object as itself, otherwise a list.
    private func document(_ found: [Found], _ question: ObjectQuestion) -> JSONValue {
        if question.parts.count == 1, question.parts[0].names.count == 1, let only = found.first?.manifest {
            return only
        }
        return .object { fields in
            fields.set("apiVersion", text: "v1")
            fields.set("items", .array(found.compactMap(\.manifest)))
            fields.set("kind", text: "List")
            fields.set("metadata", .object(["resourceVersion": .string("")]))
        }
    }
}
