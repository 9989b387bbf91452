// Events to trees, one value at a time: anchors are remembered per document, aliases and merge keys (`<<`, YAML 1.1)
// are written out, a field given twice is an error as it is to a strict API server. No recursion, so that nesting
// costs no stack, and bounded by ManifestLimits, so that a few lines of aliases cannot ask for gigabytes.

/// Builds trees from an event stream.
struct ManifestTreeBuilder {
    let stream: YAMLEventStream
    /// What has been built so far.
    var values = ManifestValues()
    private let limits: ManifestLimits
    private var anchors: [String: Fragment] = [:]
    private var aliasedValues = 0
    private var open: [Container] = []

    /// A copy of an anchored value.
    private struct Fragment {
        var cells: [ManifestValues.Cell]
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
    mutating func beginDocument() {
        anchors.removeAll()
        aliasedValues = 0
    }

    /// Appends the value that begins with the event just read, up to and with its last event.
    mutating func readValue(_ first: YAMLEventStream.Kind) throws(ManifestError) {
        open.removeAll(keepingCapacity: true)
        var kind = first
        while true {
            var completed: Int?
            switch kind {
            case .scalar:
                completed = try appendScalar()
            case .alias:
                completed = try appendAlias()
            case .sequenceStart, .mappingStart:
                try openContainer(isMapping: kind == .mappingStart)
            case .sequenceEnd, .mappingEnd:
                guard let container = open.popLast() else { return }
                if container.isMapping {
                    try finishMapping(at: container.index, hasMergeKey: container.hasMergeKey)
                }
                values.cells[container.index].end = UInt32(values.cells.count)
                if let anchor = container.anchor { remember(anchor, from: container.index) }
                completed = container.index
            case .documentStart, .documentEnd, .streamEnd:
                return
            }
            if let completed {
                guard let last = open.indices.last else { return }
                if open[last].isMapping {
                    if open[last].expectsName {
                        let isMergeKey = try checkName(at: completed)
                        open[last].hasMergeKey = open[last].hasMergeKey || isMergeKey
                    }
                    open[last].expectsName.toggle()
                }
            }
            kind = try stream.next()
        }
    }

    private mutating func openContainer(isMapping: Bool) throws(ManifestError) {
        if let last = open.last, last.isMapping, last.expectsName { try refuseNestedName() }
        guard open.count < limits.nestingDepth else {
            throw stream.error("lists and mappings are nested more than \(limits.nestingDepth) deep")
        }
        let index = try append(isMapping ? .mapping : .sequence)
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

    private mutating func append(_ shape: ManifestTree.Shape) throws(ManifestError) -> Int {
        guard values.cells.count < limits.valuesPerObject else {
            throw stream.error("the object has more than \(limits.valuesPerObject) values")
        }
        let index = values.cells.count
        values.cells.append(
            ManifestValues.Cell(
                shape: shape, line: UInt32(clamping: stream.line), column: UInt32(clamping: stream.column),
                textStart: UInt32(values.text.count), textCount: 0, end: UInt32(index + 1)))
        return index
    }

    private mutating func appendScalar() throws(ManifestError) -> Int {
        let shape: ManifestTree.Shape =
            switch stream.scalarStyle {
            case .plain: .plain
            case .quoted: .quoted
            case .literal: .literal
            }
        let index = try append(shape)
        let text = stream.scalarText
        guard values.text.count + text.count <= limits.textPerObject else {
            throw stream.error("the object has more than \(limits.textPerObject) octets of text")
        }
        values.text.append(contentsOf: text)
        values.cells[index].textCount = UInt32(text.count)
        if let anchor = stream.anchor { remember(anchor, from: index) }
        return index
    }

    private mutating func remember(_ anchor: String, from index: Int) {
        let textStart = Int(values.cells[index].textStart)
        var cells = Array(values.cells[index...])
        for position in cells.indices {
            cells[position].end -= UInt32(index)
            cells[position].textStart -= UInt32(textStart)
        }
        anchors[anchor] = Fragment(cells: cells, text: Array(values.text[textStart...]))
    }

    private mutating func appendAlias() throws(ManifestError) -> Int {
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
        guard aliasedValues <= limits.aliasedValues,
            values.cells.count + fragment.cells.count <= limits.valuesPerObject,
            values.text.count + fragment.text.count <= limits.textPerObject
        else {
            throw stream.error(
                "aliases make the document too large (more than \(limits.aliasedValues) values)",
                hint: "write the values out, or use fewer aliases of aliases")
        }
        let index = values.cells.count
        let textStart = UInt32(values.text.count)
        for cell in fragment.cells {
            var cell = cell
            cell.end += UInt32(index)
            cell.textStart += textStart
            values.cells.append(cell)
        }
        values.text.append(contentsOf: fragment.text)
        return index
    }

    /// Refuses what cannot be a field name; says whether it is the merge key.
    func checkName(at index: Int) throws(ManifestError) -> Bool {
        let cell = values.cells[index]
        guard cell.shape != .sequence, cell.shape != .mapping else {
            throw error(at: index, "a field name must be text, not a list or mapping", hint: "write `name: value`")
        }
        guard cell.textCount > 0 || cell.shape != .plain else {
            throw error(at: index, "a field without a name", hint: "write `name: value`")
        }
        guard Int(cell.textCount) <= limits.fieldNameLength else {
            throw error(at: index, "a field name has more than \(limits.fieldNameLength) octets")
        }
        return isMergeKey(index)
    }

    private func isMergeKey(_ index: Int) -> Bool {
        values.cells[index].shape == .plain && values.equals(index, "<<")
    }

    private func error(at index: Int, _ message: String, hint: String? = nil) -> ManifestError {
        let cell = values.cells[index]
        return ManifestError(
            file: stream.source.name, line: Int(cell.line), column: Int(cell.column), message: message, hint: hint)
    }

    /// Checks the names of a mapping whose values have all been read, and writes merge keys out.
    mutating func finishMapping(at index: Int, hasMergeKey: Bool) throws(ManifestError) {
        values.cells[index].end = UInt32(values.cells.count)
        try checkDuplicates(mapping: index)
        if hasMergeKey { try merge(mapping: index) }
    }

    private func checkDuplicates(mapping: Int) throws(ManifestError) {
        let names = values.names(ofMapping: mapping)
        var seen: Set<Int> = []
        for (position, name) in names.enumerated() {
            let bytes = values.bytes(of: values.cells[name])
            // Few names are compared one by one; among many, only those whose hash has been seen.
            if names.count > 16, seen.insert(hash(bytes)).inserted { continue }
            let earlier = names[..<position]
            guard let first = earlier.first(where: { values.bytes(of: values.cells[$0]) == bytes }) else { continue }
            let line = values.cells[first].line
            throw error(
                at: name, "the field \(quoted(values.string(at: name))) is given twice, first in line \(line)",
                hint: "keep one of the two")
        }
    }

    private func hash(_ bytes: ArraySlice<UInt8>) -> Int {
        var hasher = Hasher()
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }

    /// Replaces `<<` by the fields of the mapping, or list of mappings, it names; what is given directly or earlier
    /// wins.
    private mutating func merge(mapping: Int) throws(ManifestError) {
        var kept: [Int] = []
        var merged: [Int] = []
        for name in values.names(ofMapping: mapping) {
            guard isMergeKey(name) else {
                kept.append(name)
                continue
            }
            let isList = values.cells[name + 1].shape == .sequence
            for source in isList ? values.items(ofSequence: name + 1) : [name + 1] {
                guard values.cells[source].shape == .mapping else {
                    throw error(
                        at: name, "the merge key << needs a mapping or a list of mappings",
                        hint: "name one with an alias: `<<: *defaults`")
                }
                merged += values.names(ofMapping: source)
            }
        }
        var names = Set(kept.map { values.string(at: $0) })
        for name in merged where names.insert(values.string(at: name)).inserted { kept.append(name) }
        var cells: [ManifestValues.Cell] = []
        for name in kept {
            // The name's cell and those of its value follow one another.
            let shift = mapping + 1 + cells.count - name
            for cell in values.cells[name..<Int(values.cells[name + 1].end)] {
                var cell = cell
                cell.end = UInt32(Int(cell.end) + shift)
                cells.append(cell)
            }
        }
        values.cells.replaceSubrange((mapping + 1)..., with: cells)
        values.cells[mapping].end = UInt32(values.cells.count)
    }
}
