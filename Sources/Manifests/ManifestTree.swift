// One object of the input as a flat array of values in reading order, each knowing its line, its column and where
// its own part of the array ends: nothing is allocated per value.

/// The values of one object or document, as they are built.
struct ManifestValues: Sendable {
    struct Cell {
        var shape: ManifestTree.Shape
        var line: UInt32
        var column: UInt32
        /// Where a scalar's text begins in `text`, and its length.
        var textStart: UInt32
        var textCount: UInt32
        /// The index behind the last cell inside this one.
        var end: UInt32
    }

    var cells: [Cell] = []
    var text: [UInt8] = []

    func bytes(of cell: Cell) -> ArraySlice<UInt8> {
        text[Int(cell.textStart)..<Int(cell.textStart + cell.textCount)]
    }

    func string(at index: Int) -> String { String(decoding: bytes(of: cells[index]), as: UTF8.self) }

    func equals(_ index: Int, _ name: StaticString) -> Bool {
        let cell = cells[index]
        guard Int(cell.textCount) == name.utf8CodeUnitCount else { return false }
        return text.withUnsafeBufferPointer { text in
            for offset in 0..<Int(cell.textCount)
            where text[Int(cell.textStart) + offset] != name.utf8Start[offset] { return false }
            return true
        }
    }

    /// The names of the fields of a mapping; each one's value is the next cell.
    func names(ofMapping index: Int) -> [Int] {
        var names: [Int] = []
        var name = index + 1
        while name < Int(cells[index].end) {
            names.append(name)
            name = Int(cells[name + 1].end)
        }
        return names
    }

    /// The items of a list.
    func items(ofSequence index: Int) -> [Int] {
        var items: [Int] = []
        var item = index + 1
        while item < Int(cells[index].end) {
            items.append(item)
            item = Int(cells[item].end)
        }
        return items
    }

    /// The way from one value to another inside it, in the form of API server messages: `spec.ports[0].port`.
    func path(from base: Int, to target: Int, after prefix: String) -> String {
        var path = prefix
        var index = base
        while index != target {
            if cells[index].shape == .mapping {
                guard let name = names(ofMapping: index).last(where: { $0 <= target }) else { return path }
                path += field(string(at: name), after: path)
                // A field name stands for the field itself.
                if name == target { return path }
                index = name + 1
            } else {
                let items = items(ofSequence: index)
                guard let position = items.lastIndex(where: { $0 <= target }) else { return path }
                path += "[\(position)]"
                index = items[position]
            }
        }
        return path
    }

    /// Names that are no plain words stand in brackets, as in the API server's messages.
    private func field(_ name: String, after path: String) -> String {
        if name.isEmpty || name.utf8.contains(where: { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/") }) {
            return "[\(name)]"
        }
        return path.isEmpty ? name : "." + name
    }
}

/// The values of one object, or of one embedded document.
package final class ManifestTree: Sendable {
    package enum Shape: UInt8, Sendable {
        case plain, quoted, literal, sequence, mapping
    }

    /// Where a document stands that is the text of a field.
    package struct Embedding: Sendable {
        /// The field's path.
        var path: String
        /// The field's own place, for text whose lines are no lines of the file; nil when they are.
        var place: (line: Int, column: Int)?
    }

    /// Where the text came from, for errors.
    let source: SourceBuffer
    /// Set when the tree is the text of a field of another object, such as `data[net-conf.json]`.
    let embedding: Embedding?
    let values: ManifestValues
    /// Where paths begin: the first value, or one object of a list inside a list.
    let base: Int

    init(_ values: ManifestValues, source: SourceBuffer, embedding: Embedding? = nil, base: Int = 0) {
        self.values = values
        self.source = source
        self.embedding = embedding
        self.base = base
    }

    /// The value paths begin at; nil when there is none.
    package var root: ManifestNode? { base < values.cells.count ? ManifestNode(tree: self, index: base) : nil }
}

/// One value of a tree.
package struct ManifestNode {
    package let tree: ManifestTree
    let index: Int

    package var shape: ManifestTree.Shape { tree.values.cells[index].shape }
    package var isMapping: Bool { shape == .mapping }
    package var isSequence: Bool { shape == .sequence }
    package var isScalar: Bool { !isMapping && !isSequence }

    /// A scalar's text as a string, whatever its type.
    package var text: String { tree.values.string(at: index) }

    /// Whether the value is absent in all but name: `key:`, `key: null`, `key: ~`.
    package var isNull: Bool { isScalar && scalar == .null }

    /// What a scalar is, by YAML 1.1 as Kubernetes reads it.
    package var scalar: ScalarValue {
        let cell = tree.values.cells[index]
        return cell.shape == .plain ? ScalarValue(plain: tree.values.bytes(of: cell)) : .string
    }

    /// The value of a field, null included; nil when there is no such field.
    package subscript(name: StaticString) -> ManifestNode? {
        let values = tree.values
        let end = Int(values.cells[index].end)
        guard isMapping else { return nil }
        var key = index + 1
        while key < end {
            if values.equals(key, name) { return ManifestNode(tree: tree, index: key + 1) }
            key = Int(values.cells[key + 1].end)
        }
        return nil
    }

    /// The same for a name only known at run time.
    package func member(named name: String) -> ManifestNode? {
        members.first { $0.name.text == name }?.value
    }

    /// The fields of a mapping in the order written; empty for anything else.
    package var members: [(name: ManifestNode, value: ManifestNode)] {
        guard isMapping else { return [] }
        return tree.values.names(ofMapping: index).map {
            (ManifestNode(tree: tree, index: $0), ManifestNode(tree: tree, index: $0 + 1))
        }
    }

    /// The items of a list; empty for anything else.
    package var elements: [ManifestNode] {
        guard isSequence else { return [] }
        return tree.values.items(ofSequence: index).map { ManifestNode(tree: tree, index: $0) }
    }

    /// The way from the object to this value: `spec.ports[0].port`.
    package var path: String {
        tree.values.path(from: tree.base, to: index, after: tree.embedding?.path ?? "")
    }

    /// Line and column, from 1, in the file; for text inside a field the nearest place that can be named.
    package var position: (line: Int, column: Int) {
        let cell = tree.values.cells[index]
        return tree.embedding?.place ?? (Int(cell.line), Int(cell.column))
    }

    /// What the value is, with its text, for error messages: `a string "http"`.
    package var typeDescription: String {
        switch shape {
        case .sequence: return "a list"
        case .mapping: return "a mapping"
        case .plain, .quoted, .literal:
            switch scalar {
            case .null: return "nothing (null)"
            case .boolean: return "a boolean (\(text))"
            case .integer: return "a number (\(text))"
            case .float: return "a number (\(text))"
            case .string: return "a string \(quoted(text))"
            }
        }
    }

    /// `PATH: message` at this value's place.
    package func error(_ message: String, hint: String? = nil) -> ManifestError {
        let place = position
        let path = self.path
        return ManifestError(
            file: tree.source.name, line: place.line, column: place.column,
            message: path.isEmpty ? message : "\(path): \(message)", hint: hint)
    }
}

/// Text from the input between double quotes, on one line and of bounded length.
package func quoted(_ text: some StringProtocol) -> String {
    var result = "\""
    var count = 0
    for scalar in text.unicodeScalars {
        count += 1
        guard count <= 80 else {
            result += "…"
            break
        }
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        case _ where scalar.value < 0x20 || 0x7f..<0xa0 ~= scalar.value: result += "?"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
