// The objects of one input, one after the other: each document, and each item of a document whose kind ends in List,
// is built, handed over and forgotten before the next one is read, so that a dump of a large cluster needs the memory
// of its largest object. Items of a typed list (PodList) take their kind from it, as the API server writes them.

/// Reads the objects of one input.
final class ManifestReader {
    private let stream: YAMLEventStream
    private let limits: ManifestLimits
    private let values: ManifestTreeReader
    private let document: ManifestTree
    private let listItem: ManifestTree
    private var documentNumber = 0

    /// What an object is said to be by the list around it.
    struct ListType {
        var apiVersion: String
        var kind: String
    }

    init(_ source: SourceBuffer, limits: ManifestLimits) {
        stream = YAMLEventStream(source)
        self.limits = limits
        values = ManifestTreeReader(stream, limits: limits)
        document = ManifestTree(source: source)
        listItem = ManifestTree(source: source)
    }

    /// Hands each object to `body`, which answers whether to go on. The object is gone when `body` returns.
    func forEachObject(
        _ body: (_ object: ManifestNode, _ list: ListType?) throws(ManifestError) -> Bool
    ) throws(ManifestError) {
        while true {
            guard try stream.next() == .documentStart else { return }
            documentNumber += 1
            values.beginDocument()
            let first = try stream.next()
            guard first == .mappingStart else {
                document.removeAll()
                try values.readValue(first, into: document)
                try checkEmpty()
                _ = try stream.next()
                continue
            }
            guard try readDocument(body) else { return }
            _ = try stream.next()
        }
    }

    /// A document that is no mapping must be empty.
    private func checkEmpty() throws(ManifestError) {
        guard let root = document.root, !root.isNull else { return }
        if root.isSequence {
            throw root.error(
                "expected an object, found a list", hint: "put the objects under `items:` of a `kind: List`")
        }
        throw root.error(
            "expected an object, found \(root.typeDescription)",
            hint: "a manifest begins with `apiVersion:` and `kind:`")
    }

    /// Reads a mapping whose start has just been read; its `items` are handed over as they come.
    private func readDocument(
        _ body: (ManifestNode, ListType?) throws(ManifestError) -> Bool
    ) throws(ManifestError) -> Bool {
        document.removeAll()
        document.cells.append(
            ManifestTree.Cell(
                shape: .mapping, line: UInt32(clamping: stream.line), column: UInt32(clamping: stream.column),
                textStart: 0, textCount: 0, end: 1))
        var hasMergeKey = false
        var items: Int?
        while true {
            let kind = try stream.next()
            if kind == .mappingEnd { break }
            if kind == .mappingStart || kind == .sequenceStart { try values.refuseNestedName() }
            let name = document.cells.count
            try values.readValue(kind, into: document)
            if try values.checkName(at: name, in: document) { hasMergeKey = true }
            let first = try stream.next()
            if first == .sequenceStart, document.equals(name, "items"), items == nil, mayBeList {
                items = name
                guard try readItems(body) else { return false }
                // The items are gone; the field stays, so that a second one is found out.
                let cell = document.cells[name]
                document.cells.append(
                    ManifestTree.Cell(
                        shape: .plain, line: cell.line, column: cell.column, textStart: UInt32(document.text.count),
                        textCount: 0, end: UInt32(document.cells.count + 1)))
            } else {
                try values.readValue(first, into: document)
            }
        }
        try values.finishMapping(at: 0, hasMergeKey: hasMergeKey, in: document)
        guard let root = document.root else { return true }
        let kind = root["kind"]?.text ?? ""
        if let items {
            guard kind.hasSuffix("List") else {
                throw ManifestNode(tree: document, index: items).error(
                    "only a list has items, and the kind is \(quoted(kind))", hint: "write `kind: List`")
            }
            return true
        }
        return try handOver(root, list: nil, body)
    }

    /// Whether what has been read of the document so far leaves it open that it is a list.
    private var mayBeList: Bool {
        document.cells[0].end = UInt32(document.cells.count - 1)
        return document.root?["kind"]?.text.hasSuffix("List") ?? true
    }

    private func readItems(
        _ body: (ManifestNode, ListType?) throws(ManifestError) -> Bool
    ) throws(ManifestError) -> Bool {
        var type: ListType?
        while true {
            let kind = try stream.next()
            if kind == .sequenceEnd { return true }
            listItem.removeAll()
            try values.readValue(kind, into: listItem)
            guard let item = listItem.root else { continue }
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
            object.tree.base = item.index
            guard try handOver(item, list: nil, body) else { return false }
        }
        return true
    }

    /// What the items of the present document are by the list's own kind, which may stand behind them.
    private func listType() throws(ManifestError) -> ListType? {
        let stream = YAMLEventStream(self.stream.source)
        let values = ManifestTreeReader(stream, limits: limits)
        let tree = ManifestTree(source: self.stream.source)
        var number = 0
        while number < documentNumber {
            if try stream.next() == .documentStart { number += 1 }
        }
        guard try stream.next() == .mappingStart else { return nil }
        var (kind, apiVersion) = ("", "")
        while kind.isEmpty || apiVersion.isEmpty {
            let event = try stream.next()
            if event == .mappingEnd { break }
            tree.removeAll()
            try values.readValue(event, into: tree)
            let name = tree.root?.text ?? ""
            let first = try stream.next()
            if first == .scalar {
                tree.removeAll()
                try values.readValue(first, into: tree)
                if name == "kind" { kind = tree.root?.text ?? "" }
                if name == "apiVersion" { apiVersion = tree.root?.text ?? "" }
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
