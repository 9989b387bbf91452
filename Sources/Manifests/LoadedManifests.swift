// What reading the input gives: the objects, what was passed over, and the way back from an object to its line. Lines
// are not kept per field; the one object an error is about is read again instead.

public import Kubernetes

/// The objects of a set of files.
public struct LoadedManifests: Sendable {
    /// The objects, each with its origin, before any defaulting.
    public var objects = ObjectStore()
    /// What was passed over, in reading order.
    public internal(set) var warnings: [ManifestWarning] = []
    var sources: [Source] = []
    var limits = ManifestLimits()

    /// One file and where its objects begin.
    struct Source: Sendable {
        var file: InputFile
        /// The text, kept only when it cannot be read a second time.
        var text: [UInt8]?
        var positions: [Position] = []
    }

    struct Position: Hashable, Sendable {
        var line: UInt32
        var column: UInt32
    }

    /// Reads files, directories and standard input (`-`), in this order.
    public static func load(
        paths: [String], standardInput: Int32 = 0, limits: ManifestLimits = ManifestLimits()
    ) throws(ManifestError) -> LoadedManifests {
        var loader = ManifestLoader(limits: limits)
        let files = try InputFile.files(named: paths)
        for file in files {
            try loader.load(file, buffer: file.read(standardInput: standardInput, limits: limits))
        }
        return try loader.finish(askedFor: paths)
    }

    /// The text of a file that is no manifest, such as a dump of rules; `-` is standard input.
    public static func text(
        ofFile path: String, standardInput: Int32 = 0, limits: ManifestLimits = ManifestLimits()
    ) throws(ManifestError) -> String {
        let file =
            path == "-"
            ? InputFile(name: InputFile.standardInputName, path: nil) : InputFile(name: path, path: path)
        let bytes = try file.read(standardInput: standardInput, limits: limits)
        return String(decoding: bytes.bytes, as: UTF8.self)
    }

    /// Reads one text, for example a built-in topology.
    public static func load(
        text: String, name: String, limits: ManifestLimits = ManifestLimits()
    ) throws(ManifestError) -> LoadedManifests {
        var loader = ManifestLoader(limits: limits)
        try loader.load(InputFile(name: name, path: nil), buffer: SourceBuffer(name: name, text: text))
        return try loader.finish(askedFor: [name])
    }

    /// The error with the line and column of the field it is about, or of the nearest thing that is there.
    public func locate(_ error: ObjectError) -> ManifestError {
        let place = place(of: error.field, in: error.origin, kind: error.kind)
        return ManifestError(
            file: place.file, line: place.line, column: place.column,
            message: describe(error.kind, error.namespace, error.name, error.field, error.message),
            hint: error.hint.isEmpty ? nil : error.hint)
    }

    /// The warning with the line and column of the field it is about, or of the nearest thing that is there.
    public func locate(_ warning: ObjectWarning) -> ManifestWarning {
        let place = place(of: warning.field, in: warning.origin, kind: warning.kind)
        return ManifestWarning(
            file: place.file, line: place.line, column: place.column,
            message: describe(warning.kind, warning.namespace, warning.name, warning.field, warning.message),
            hint: warning.hint.isEmpty ? nil : warning.hint)
    }

    /// Where an object begins; nil for one that was not in the input.
    public func place(of origin: ObjectOrigin?) -> (file: String, line: Int, column: Int)? {
        guard let origin, sources.indices.contains(origin.source),
            sources[origin.source].positions.indices.contains(origin.item)
        else { return nil }
        let source = sources[origin.source]
        let position = source.positions[origin.item]
        return (source.file.name, Int(position.line), Int(position.column))
    }

    private func describe(
        _ kind: String, _ namespace: String, _ name: String, _ field: FieldPath, _ message: String
    ) -> String {
        var text = name.isEmpty ? kind : "\(kind) \(ObjectKey(namespace: namespace, name: name))"
        if !field.elements.isEmpty { text += ": \(field)" }
        return text + ": " + message
    }

    private func place(
        of field: FieldPath, in origin: ObjectOrigin?, kind: String
    ) -> (file: String, line: Int, column: Int) {
        guard let origin, let start = place(of: origin) else { return ("", 0, 0) }
        let source = sources[origin.source]
        var found = start
        // A file that changed or vanished since is no reason to fail a second time: the object's line is known.
        guard let buffer = source.buffer(limits: limits) else { return start }
        var item = 0
        var reader = ManifestReader(buffer, limits: limits)
        try? reader.forEachObject { (object, _) in
            defer { item += 1 }
            guard item == origin.item else { return true }
            let position = nearest(field, in: object, kind: kind).position
            found = (start.file, position.line, position.column)
            return false
        }
        return found
    }

    /// The value at the end of the path, or the last one on the way that exists.
    private func nearest(_ field: FieldPath, in object: ManifestNode, kind: String) -> ManifestNode {
        var node = object
        var path = field.elements[...]
        if object["kind"]?.text == "ConfigMap", kind != ConfigMap.kind, let data = object["data"] {
            // A configuration that came out of a ConfigMap: paths begin inside its text.
            let keys = [
                "ClusterConfiguration", "config.conf", FlannelConfiguration.networkKey, FlannelConfiguration.pluginKey,
            ]
            for key in keys {
                guard let text = data.member(named: key) else { continue }
                node = text
                guard let root = embedded(text), case .key(let name)? = path.first, root.member(named: name) != nil
                else { continue }
                node = root
                break
            }
        }
        while let step = path.popFirst() {
            if node.isScalar, let root = embedded(node) { node = root }
            switch step {
            case .key(let name):
                if let next = node.member(named: name) {
                    node = next
                } else {
                    // Some fields have a singular twin, which is what people write: podCIDR for podCIDRs[0].
                    let twin = name.hasSuffix("s") ? String(name.dropLast()) : name + "s"
                    guard ["clusterIP", "podCIDR", "podIP"].contains(where: twin.hasPrefix),
                        let next = node.member(named: twin)
                    else { return node }
                    return next.elements.first ?? next
                }
            case .index(let index):
                let elements = node.elements
                guard elements.indices.contains(index) else { return node }
                node = elements[index]
            }
        }
        return node
    }

    private func embedded(_ node: ManifestNode) -> ManifestNode? {
        guard node.isScalar, node.shape == .literal else { return nil }
        return (try? ManifestTree.embedded(in: node, limits: limits))?.root
    }
}

extension LoadedManifests.Source {
    fileprivate func buffer(limits: ManifestLimits) -> SourceBuffer? {
        if let text { return SourceBuffer(name: file.name, bytes: text) }
        return try? file.read(standardInput: -1, limits: limits)
    }
}
