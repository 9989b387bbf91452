// The objects of one input, one after the other: each document, and each item of a document whose kind ends in List,
// is built, handed over and forgotten before the next one is read, so that a dump of a large cluster needs the memory
// of its largest object. Items of a typed list (PodList) take their kind from it, as the API server writes them.

/// Reads the objects of one input.
struct ManifestReader {
    private let stream: YAMLEventStream
    private let limits: ManifestLimits
    private var builder: ManifestTreeBuilder
    private var documentNumber = 0

    /// What an object is said to be by the list around it.
    struct ListType {
        var apiVersion: String
        var kind: String
    }

    init(_ source: SourceBuffer, limits: ManifestLimits) {
        stream = YAMLEventStream(source)
        self.limits = limits
        builder = ManifestTreeBuilder(stream, limits: limits)
    }

    /// Hands each object to `body`, which answers whether to go on.
    mutating func forEachObject(
        _ body: (_ object: ManifestNode, _ list: ListType?) throws(ManifestError) -> Bool
    ) throws(ManifestError) {
        while try stream.next() == .documentStart {
            documentNumber += 1
            builder.beginDocument()
            let first = try stream.next()
            if first == .mappingStart {
                guard try readDocument(body) else { return }
                _ = try stream.next()
            } else {
                try builder.readValue(first)
                // A forgotten colon makes text of the first fields; the next event says so better than we could.
                _ = try stream.next()
                try checkEmpty(takeTree())
            }
        }
    }

    /// What has been built, leaving nothing behind.
    private mutating func takeTree() -> ManifestTree {
        let tree = ManifestTree(builder.values, source: stream.source)
        builder.values = ManifestValues()
        return tree
    }

    /// A document that is no mapping must be empty.
    private func checkEmpty(_ tree: ManifestTree) throws(ManifestError) {
        guard let root = tree.root, !root.isNull else { return }
        if root.isSequence {
            throw root.error(
                "expected an object, found a list", hint: "put the objects under `items:` of a `kind: List`")
        }
        throw root.error(
            "expected an object, found \(root.typeDescription)",
            hint: "a manifest begins with `apiVersion:` and `kind:`")
    }

    /// Reads a mapping whose start has just been read; its `items` are handed over as they come.
    private mutating func readDocument(
        _ body: (ManifestNode, ListType?) throws(ManifestError) -> Bool
    ) throws(ManifestError) -> Bool {
        builder.values = ManifestValues()
        builder.values.cells.append(
            ManifestValues.Cell(
                shape: .mapping, line: UInt32(clamping: stream.line), column: UInt32(clamping: stream.column),
                textStart: 0, textCount: 0, end: 1))
        var hasMergeKey = false
        var items: Int?
        while true {
            let kind = try stream.next()
            if kind == .mappingEnd { break }
            if kind == .mappingStart || kind == .sequenceStart { try builder.refuseNestedName() }
            let name = builder.values.cells.count
            try builder.readValue(kind)
            if try builder.checkName(at: name) { hasMergeKey = true }
            let first = try stream.next()
            if first == .sequenceStart, items == nil, builder.values.equals(name, "items"), mayBeList(before: name) {
                items = name
                let document = builder.values
                guard try readItems(body) else { return false }
                builder.values = document
                // The items are gone; an empty value in their place keeps the mapping whole.
                let cell = document.cells[name]
                builder.values.cells.append(
                    ManifestValues.Cell(
                        shape: .plain, line: cell.line, column: cell.column, textStart: UInt32(document.text.count),
                        textCount: 0, end: UInt32(document.cells.count + 1)))
            } else {
                try builder.readValue(first)
            }
        }
        try builder.finishMapping(at: 0, hasMergeKey: hasMergeKey)
        let tree = takeTree()
        guard let root = tree.root else { return true }
        let kind = root["kind"]?.text ?? ""
        if let items {
            guard kind.hasSuffix("List") else {
                throw ManifestNode(tree: tree, index: items).error(
                    "only a list has items, and the kind is \(quoted(kind))", hint: "write `kind: List`")
            }
            return true
        }
        return try handOver(root, list: nil, body)
    }

    /// Whether the fields before `items` leave it open that the document is a list.
    private func mayBeList(before items: Int) -> Bool {
        var name = 1
        while name < items {
            if builder.values.equals(name, "kind") { return builder.values.string(at: name + 1).hasSuffix("List") }
            name = Int(builder.values.cells[name + 1].end)
        }
        return true
    }

    private mutating func readItems(
        _ body: (ManifestNode, ListType?) throws(ManifestError) -> Bool
    ) throws(ManifestError) -> Bool {
        var type: ListType?
        while true {
            let kind = try stream.next()
            if kind == .sequenceEnd { return true }
            builder.values = ManifestValues()
            try builder.readValue(kind)
            let tree = takeTree()
            guard let item = tree.root else { continue }
            if type == nil, item["kind"] == nil { type = try listType() }
            guard try handOver(item, list: type, body) else { return false }
        }
    }

    private func handOver(
        _ object: ManifestNode, list: ListType?, _ body: (ManifestNode, ListType?) throws(ManifestError) -> Bool
    ) throws(ManifestError) -> Bool {
        let kind = object["kind"]?.text ?? ""
        guard kind.hasSuffix("List"), let items = object["items"] else {
            return kind == "List" ? true : try body(object, list)
        }
        for item in items.elements {
            // A list inside a list has been read as a whole; paths begin at its items.
            let tree = ManifestTree(object.tree.values, source: object.tree.source, base: item.index)
            guard let root = tree.root, try handOver(root, list: nil, body) else { return false }
        }
        return true
    }

    /// What the items of the present document are by the list's own kind, which may stand behind them.
    private func listType() throws(ManifestError) -> ListType? {
        let stream = YAMLEventStream(self.stream.source)
        var number = 0
        while number < documentNumber {
            if try stream.next() == .documentStart { number += 1 }
        }
        guard try stream.next() == .mappingStart else { return nil }
        var (kind, apiVersion) = ("", "")
        while kind.isEmpty || apiVersion.isEmpty {
            guard try stream.next() == .scalar else { break }
            let name = String(decoding: stream.scalarText, as: UTF8.self)
            let first = try stream.next()
            if first == .scalar {
                let text = String(decoding: stream.scalarText, as: UTF8.self)
                if name == "kind" { kind = text }
                if name == "apiVersion" { apiVersion = text }
            } else {
                try skip(first, of: stream)
            }
        }
        let itemKind = String(kind.dropLast(4))
        return kind.hasSuffix("List") && !itemKind.isEmpty ? ListType(apiVersion: apiVersion, kind: itemKind) : nil
    }

    /// Passes over the value that begins with the event just read.
    private func skip(_ first: YAMLEventStream.Kind, of stream: YAMLEventStream) throws(ManifestError) {
        var depth = 0
        var kind = first
        while true {
            switch kind {
            case .sequenceStart, .mappingStart: depth += 1
            case .sequenceEnd, .mappingEnd: depth -= 1
            case .scalar, .alias: break
            case .documentStart, .documentEnd, .streamEnd: return
            }
            if depth == 0 { return }
            kind = try stream.next()
        }
    }
}
