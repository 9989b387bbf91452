// One object of the input as a flat array of values in reading order, each knowing its line, its column and where
// its own part of the array ends. Nothing is allocated per value, and the array is reused for the next object.

/// The values of one object, or of one embedded document.
package final class ManifestTree {
    package enum Shape: UInt8 {
        case plain, quoted, literal, sequence, mapping
    }

    struct Cell {
        var shape: Shape
        var line: UInt32
        var column: UInt32
        /// Where a scalar's text begins in `text`, and its length.
        var textStart: UInt32
        var textCount: UInt32
        /// The index behind the last cell inside this one.
        var end: UInt32
    }

    /// Where the text came from, for errors.
    package let source: SourceBuffer
    /// Set when the tree is the text of a field of another object, such as `data[net-conf.json]`.
    package let embedding: Embedding?
    var cells: [Cell] = []
    var text: [UInt8] = []
    /// Where paths begin: the root, or one object of a list inside a list.
    var base = 0

    /// Where a document stands that is the text of a field.
    package struct Embedding {
        /// The field's path.
        var path: String
        /// The field's own place, for text whose lines are no lines of the file; nil when they are.
        var place: (line: Int, column: Int)?
    }

    package init(source: SourceBuffer, embedding: Embedding? = nil) {
        self.source = source
        self.embedding = embedding
    }

    /// Forgets all values, keeps the memory.
    func removeAll() {
        cells.removeAll(keepingCapacity: true)
        text.removeAll(keepingCapacity: true)
        base = 0
    }

    package var root: ManifestNode? { cells.isEmpty ? nil : ManifestNode(tree: self, index: 0) }

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

    /// The way from the root to a value in the form of API server messages: `spec.ports[0].port`.
    func path(to target: Int) -> String {
        var path = embedding.map { $0.path } ?? ""
        var index = base
        while index != target {
            let cell = cells[index]
            var child = index + 1
            var position = 0
            var step = ""
            while child < Int(cell.end) {
                if cell.shape == .mapping {
                    let value = child + 1
                    // A field name stands for the field itself.
                    if child == target { return path + field(string(at: child), after: path) }
                    if target < Int(cells[value].end) {
                        step = field(string(at: child), after: path)
                        child = value
                        break
                    }
                    child = Int(cells[value].end)
                } else {
                    if target < Int(cells[child].end) {
                        step = "[\(position)]"
                        break
                    }
                    child = Int(cells[child].end)
                    position += 1
                }
            }
            guard child < Int(cell.end) else { return path }
            path += step
            index = child
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

/// One value of a tree.
package struct ManifestNode {
    package let tree: ManifestTree
    let index: Int

    package var shape: ManifestTree.Shape { tree.cells[index].shape }
    package var isMapping: Bool { shape == .mapping }
    package var isSequence: Bool { shape == .sequence }
    package var isScalar: Bool { !isMapping && !isSequence }

    /// A scalar's text as a string, whatever its type.
    package var text: String { tree.string(at: index) }

    /// Whether the value is absent in all but name: `key:`, `key: null`, `key: ~`.
    package var isNull: Bool { isScalar && scalar == .null }

    /// What a scalar is, by YAML 1.1 as Kubernetes reads it.
    package var scalar: ScalarValue {
        let cell = tree.cells[index]
        return cell.shape == .plain ? ScalarValue(plain: tree.bytes(of: cell)) : .string
    }

    /// The value of a field, null included; nil when there is no such field.
    package subscript(name: StaticString) -> ManifestNode? {
        let cell = tree.cells[index]
        guard cell.shape == .mapping else { return nil }
        var key = index + 1
        while key < Int(cell.end) {
            if tree.equals(key, name) { return ManifestNode(tree: tree, index: key + 1) }
            key = Int(tree.cells[key + 1].end)
        }
        return nil
    }

    /// The same for a name only known at run time.
    package func member(named name: String) -> ManifestNode? {
        members.first { $0.name.text == name }?.value
    }

    /// The fields of a mapping in the order written; empty for anything else.
    package var members: [(name: ManifestNode, value: ManifestNode)] {
        let cell = tree.cells[index]
        guard cell.shape == .mapping else { return [] }
        var result: [(name: ManifestNode, value: ManifestNode)] = []
        var key = index + 1
        while key < Int(cell.end) {
            result.append((ManifestNode(tree: tree, index: key), ManifestNode(tree: tree, index: key + 1)))
            key = Int(tree.cells[key + 1].end)
        }
        return result
    }

    /// The items of a list; empty for anything else.
    package var elements: [ManifestNode] {
        let cell = tree.cells[index]
        guard cell.shape == .sequence else { return [] }
        var result: [ManifestNode] = []
        var child = index + 1
        while child < Int(cell.end) {
            result.append(ManifestNode(tree: tree, index: child))
            child = Int(tree.cells[child].end)
        }
        return result
    }

    /// The way from the object to this value: `spec.ports[0].port`.
    package var path: String { tree.path(to: index) }

    /// Line and column, from 1, in the file; for text inside a field the nearest place that can be named.
    package var position: (line: Int, column: Int) {
        tree.embedding?.place ?? (Int(tree.cells[index].line), Int(tree.cells[index].column))
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
