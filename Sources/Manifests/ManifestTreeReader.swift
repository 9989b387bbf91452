// Events to trees, one value at a time: anchors are remembered per document, aliases and merge keys (`<<`, YAML 1.1)
// are written out, a field given twice is an error as it is to a strict API server. No recursion, so that nesting
// costs no stack, and bounded by ManifestLimits, so that a few lines of aliases cannot ask for gigabytes.

/// Builds trees from an event stream.
final class ManifestTreeReader {
    let stream: YAMLEventStream
    private let limits: ManifestLimits
    private var anchors: [String: Fragment] = [:]
    private var aliasedValues = 0
    private var open: [Container] = []

    /// A copy of an anchored value.
    private struct Fragment {
        var cells: [ManifestTree.Cell]
        var text: [UInt8]
    }

    /// A list or mapping whose end has not been read.
    private struct Container {
        var index: Int
        var isMapping: Bool
        var anchor: String?
        /// In a mapping, whether the next value is a field name.
        var expectsName: Bool
        var hasMergeKey = false
    }

    init(_ stream: YAMLEventStream, limits: ManifestLimits) {
        self.stream = stream
        self.limits = limits
    }

    /// Anchors do not reach into the next document.
    func beginDocument() {
        anchors.removeAll()
        aliasedValues = 0
    }

    /// Appends the value that begins with the event just read, up to and with its last event.
    func readValue(_ first: YAMLEventStream.Kind, into tree: ManifestTree) throws(ManifestError) {
        open.removeAll(keepingCapacity: true)
        var kind = first
        while true {
            var completed: Int?
            switch kind {
            case .scalar:
                completed = try appendScalar(to: tree)
            case .alias:
                completed = try appendAlias(to: tree)
            case .sequenceStart, .mappingStart:
                try openContainer(isMapping: kind == .mappingStart, in: tree)
            case .sequenceEnd, .mappingEnd:
                guard let container = open.popLast() else { return }
                if container.isMapping {
                    try finishMapping(at: container.index, hasMergeKey: container.hasMergeKey, in: tree)
                }
                tree.cells[container.index].end = UInt32(tree.cells.count)
                if let anchor = container.anchor { remember(anchor, from: container.index, in: tree) }
                completed = container.index
            case .documentStart, .documentEnd, .streamEnd:
                return
            }
            if let completed {
                guard let last = open.indices.last else { return }
                if open[last].isMapping {
                    if open[last].expectsName {
                        let isMergeKey = try checkName(at: completed, in: tree)
                        open[last].hasMergeKey = open[last].hasMergeKey || isMergeKey
                    }
                    open[last].expectsName.toggle()
                }
            }
            kind = try stream.next()
        }
    }

    private func openContainer(isMapping: Bool, in tree: ManifestTree) throws(ManifestError) {
        if let last = open.last, last.isMapping, last.expectsName { try refuseNestedName() }
        guard open.count < limits.nestingDepth else {
            throw stream.error("lists and mappings are nested more than \(limits.nestingDepth) deep")
        }
        let index = try append(isMapping ? .mapping : .sequence, to: tree)
        open.append(
            Container(index: index, isMapping: isMapping, anchor: stream.anchor, expectsName: isMapping))
    }

    /// A list or mapping begins where a field name is expected.
    func refuseNestedName() throws(ManifestError) {
        if stream.source.line(stream.line).contains("{{") {
            throw stream.error(
                "this is a template, not YAML: {{ ... }}",
                hint: "render it first, for example: helm template CHART | podnet ... -f -")
        }
        throw stream.error("a field name must be text, not a list or mapping", hint: "write `name: value`")
    }

    private func append(_ shape: ManifestTree.Shape, to tree: ManifestTree) throws(ManifestError) -> Int {
        guard tree.cells.count < limits.valuesPerObject else {
            throw stream.error("the object has more than \(limits.valuesPerObject) values")
        }
        let index = tree.cells.count
        tree.cells.append(
            ManifestTree.Cell(
                shape: shape, line: UInt32(clamping: stream.line), column: UInt32(clamping: stream.column),
                textStart: UInt32(tree.text.count), textCount: 0, end: UInt32(index + 1)))
        return index
    }

    private func appendScalar(to tree: ManifestTree) throws(ManifestError) -> Int {
        let shape: ManifestTree.Shape =
            switch stream.scalarStyle {
            case .plain: .plain
            case .quoted: .quoted
            case .literal: .literal
            }
        let index = try append(shape, to: tree)
        let text = stream.scalarText
        guard tree.text.count + text.count <= limits.textPerObject else {
            throw stream.error("the object has more than \(limits.textPerObject) octets of text")
        }
        tree.text.append(contentsOf: text)
        tree.cells[index].textCount = UInt32(text.count)
        if let anchor = stream.anchor { remember(anchor, from: index, in: tree) }
        return index
    }

    private func remember(_ anchor: String, from index: Int, in tree: ManifestTree) {
        let textStart = Int(tree.cells[index].textStart)
        var cells = Array(tree.cells[index...])
        for position in cells.indices {
            cells[position].end -= UInt32(index)
            cells[position].textStart -= UInt32(textStart)
        }
        anchors[anchor] = Fragment(cells: cells, text: Array(tree.text[textStart...]))
    }

    private func appendAlias(to tree: ManifestTree) throws(ManifestError) -> Int {
        let name = stream.anchor ?? ""
        guard let fragment = anchors[name] else {
            if open.contains(where: { $0.anchor == name }) {
                throw stream.error("the alias *\(name) stands inside the value it names")
            }
            throw stream.error(
                "unknown alias *\(name)",
                hint: "define it earlier in the same document with &\(name), or put the value in quotes")
        }
        aliasedValues += fragment.cells.count
        guard aliasedValues <= limits.aliasedValues, tree.cells.count + fragment.cells.count <= limits.valuesPerObject,
            tree.text.count + fragment.text.count <= limits.textPerObject
        else {
            throw stream.error(
                "aliases make the document too large (more than \(limits.aliasedValues) values)",
                hint: "write the values out, or use fewer aliases of aliases")
        }
        let index = tree.cells.count
        let textStart = UInt32(tree.text.count)
        for cell in fragment.cells {
            var cell = cell
            cell.end += UInt32(index)
            cell.textStart += textStart
            tree.cells.append(cell)
        }
        tree.text.append(contentsOf: fragment.text)
        return index
    }

    /// Refuses what cannot be a field name; says whether it is the merge key.
    func checkName(at index: Int, in tree: ManifestTree) throws(ManifestError) -> Bool {
        let node = ManifestNode(tree: tree, index: index)
        guard node.isScalar else {
            throw stream.error("a field name must be text, not a list or mapping", hint: "write `name: value`")
        }
        let cell = tree.cells[index]
        guard cell.textCount > 0 || cell.shape != .plain else {
            throw error(at: index, in: tree, "a field without a name", hint: "write `name: value`")
        }
        guard Int(cell.textCount) <= limits.fieldNameLength else {
            throw error(at: index, in: tree, "a field name has more than \(limits.fieldNameLength) octets")
        }
        return cell.shape == .plain && tree.equals(index, "<<")
    }

    private func error(
        at index: Int, in tree: ManifestTree, _ message: String, hint: String? = nil
    ) -> ManifestError {
        let cell = tree.cells[index]
        return ManifestError(
            file: stream.source.name, line: Int(cell.line), column: Int(cell.column), message: message, hint: hint)
    }

    /// Checks the names of a mapping whose values have all been read, and writes merge keys out.
    func finishMapping(at index: Int, hasMergeKey: Bool, in tree: ManifestTree) throws(ManifestError) {
        tree.cells[index].end = UInt32(tree.cells.count)
        try checkDuplicates(in: tree, mapping: index)
        if hasMergeKey { try merge(mapping: index, in: tree) }
    }

    private func checkDuplicates(in tree: ManifestTree, mapping: Int) throws(ManifestError) {
        var names: [Int] = []
        var seen: Set<Int> = []
        var name = mapping + 1
        while name < tree.cells.count {
            let bytes = tree.bytes(of: tree.cells[name])
            // Few names are compared one by one; for many, only those whose hash has been seen.
            var isSuspect = true
            if names.count >= 16 {
                if seen.isEmpty { seen = Set(names.map { hash(tree.bytes(of: tree.cells[$0])) }) }
                isSuspect = !seen.insert(hash(bytes)).inserted
            }
            if isSuspect, let first = names.first(where: { tree.bytes(of: tree.cells[$0]) == bytes }) {
                let line = tree.cells[first].line
                throw error(
                    at: name, in: tree,
                    "the field \(quoted(tree.string(at: name))) is given twice, first in line \(line)",
                    hint: "keep one of the two")
            }
            names.append(name)
            name = Int(tree.cells[name + 1].end)
        }
    }

    private func hash(_ bytes: ArraySlice<UInt8>) -> Int {
        var hasher = Hasher()
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }

    /// Replaces `<<` by the fields of the mapping, or list of mappings, it names; what is given directly or earlier
    /// wins.
    private func merge(mapping: Int, in tree: ManifestTree) throws(ManifestError) {
        let members = ManifestNode(tree: tree, index: mapping).members
        var kept: [(name: ManifestNode, value: ManifestNode)] = []
        var merged: [(name: ManifestNode, value: ManifestNode)] = []
        for member in members {
            guard member.name.shape == .plain, tree.equals(member.name.index, "<<") else {
                kept.append(member)
                continue
            }
            let sources = member.value.isSequence ? member.value.elements : [member.value]
            for source in sources {
                guard source.isMapping else {
                    throw error(
                        at: member.name.index, in: tree, "the merge key << needs a mapping or a list of mappings",
                        hint: "name one with an alias: `<<: *defaults`")
                }
                merged += source.members
            }
        }
        var names = Set(kept.map { $0.name.text })
        for member in merged where names.insert(member.name.text).inserted { kept.append(member) }
        var cells: [ManifestTree.Cell] = []
        for member in kept {
            for part in [member.name.index, member.value.index] {
                let shift = mapping + 1 + cells.count - part
                for cell in tree.cells[part..<Int(tree.cells[part].end)] {
                    var cell = cell
                    cell.end = UInt32(Int(cell.end) + shift)
                    cells.append(cell)
                }
            }
        }
        tree.cells.replaceSubrange((mapping + 1)..., with: cells)
        tree.cells[mapping].end = UInt32(tree.cells.count)
    }
}
