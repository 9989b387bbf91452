// Configuration that stands as text in a ConfigMap: kubeadm's, kube-proxy's and flannel's. When the text is a literal
// block (`|`), its lines are lines of the file, and it is parsed where it stands: with as many empty lines before it
// and as many spaces in front as the file has, so that every error names the right place by itself. Text in quotes has
// no lines of its own; errors then name the field and the line inside the text.

extension ManifestTree {
    /// The document that is the text of `field`; nil when it is empty.
    static func embedded(in field: ManifestNode, limits: ManifestLimits) throws(ManifestError) -> ManifestTree? {
        let path = field.path
        if let source = sourceInPlace(field) {
            do {
                return try onlyDocument(of: source, Embedding(path: path, place: nil), limits: limits)
            } catch {
                throw error.prefixed(path)
            }
        }
        let name = field.tree.source.name
        let place = field.position
        let source = SourceBuffer(name: name, text: field.text)
        do {
            return try onlyDocument(of: source, Embedding(path: path, place: place), limits: limits)
        } catch {
            let message = "\(path): line \(error.line) of the text: \(error.message)"
            throw ManifestError(
                file: name, line: place.line, column: place.column, message: message, hint: error.hint)
        }
    }

    /// Reads the first document that is not empty.
    private static func onlyDocument(
        of source: SourceBuffer, _ embedding: Embedding, limits: ManifestLimits
    ) throws(ManifestError) -> ManifestTree? {
        let stream = YAMLEventStream(source)
        while try stream.next() == .documentStart {
            var builder = ManifestTreeBuilder(stream, limits: limits)
            try builder.readValue(try stream.next())
            _ = try stream.next()
            let tree = ManifestTree(builder.values, source: source, embedding: embedding)
            if let root = tree.root, !root.isNull { return tree }
        }
        return nil
    }

    /// The field's text moved to the line and column it has in the file; nil when that cannot be done.
    private static func sourceInPlace(_ field: ManifestNode) -> SourceBuffer? {
        guard field.shape == .literal, field.tree.embedding == nil else { return nil }
        let lines = field.text.split(separator: "\n", omittingEmptySubsequences: false)
        // Document markers and directives only mean something in column 1.
        guard !lines.contains(where: { $0.hasPrefix("---") || $0.hasPrefix("...") || $0.hasPrefix("%") }),
            let first = lines.firstIndex(where: { !$0.allSatisfy { $0 == " " } })
        else { return nil }
        let source = field.tree.source
        let line = Int(field.tree.values.cells[field.index].line)
        var original = source.line(line + 1 + first)
        if original.hasSuffix("\r") { original.removeLast() }
        guard original.hasSuffix(lines[first]) else { return nil }
        let indentation = original.dropLast(lines[first].count)
        guard indentation.allSatisfy({ $0 == " " }) else { return nil }
        var text = String(repeating: "\n", count: line)
        for content in lines { text += (content.isEmpty ? "" : indentation + content) + "\n" }
        return SourceBuffer(name: source.name, text: text)
    }
}

extension ManifestError {
    /// The same error below a path, unless it names the path already.
    fileprivate func prefixed(_ path: String) -> ManifestError {
        var error = self
        if !message.hasPrefix(path) { error.message = "\(path): \(message)" }
        return error
    }
}
