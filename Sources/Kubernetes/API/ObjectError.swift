// What is wrong with an object, in the API server's words: the field as a path, the reason, and what to do about it
// (k8s.io/apimachinery util/validation/field). Manifests turns origin and path into file, line and column.

/// The way to a field: `spec.ports[0].nodePort`.
public struct FieldPath: Hashable, Sendable, CustomStringConvertible, ExpressibleByArrayLiteral {
    public enum Element: Hashable, Sendable {
        case key(String)
        case index(Int)
    }

    public var elements: [Element]

    public init(_ elements: [Element] = []) { self.elements = elements }
    public init(arrayLiteral elements: Element...) { self.elements = elements }

    /// The path of the plain keys given: `FieldPath("spec", "ports")`.
    public init(_ keys: String...) { elements = keys.map(Element.key) }

    public func key(_ name: String) -> FieldPath { FieldPath(elements + [.key(name)]) }
    public func index(_ index: Int) -> FieldPath { FieldPath(elements + [.index(index)]) }

    /// Keys that are no plain words, such as labels, print as `metadata.labels[app.kubernetes.io/name]`.
    public var description: String {
        var text = ""
        for element in elements {
            switch element {
            case .key(let name) where name.utf8.contains(where: { $0 == 0x2e || $0 == 0x2f }):
                text += "[\(name)]"
            case .key(let name):
                text += text.isEmpty ? name : ".\(name)"
            case .index(let index):
                text += "[\(index)]"
            }
        }
        return text
    }
}

/// An object that the control plane would refuse.
public struct ObjectError: Error, Hashable, Sendable, CustomStringConvertible {
    public var kind: String
    public var namespace: String = ""
    public var name: String
    public var origin: ObjectOrigin?
    public var field: FieldPath = []
    /// What is wrong, without the path: `Invalid value: 30080: provided port is already allocated`.
    public var message: String
    /// What to do about it, as a sentence without a capital and full stop; empty if there is nothing to add.
    public var hint: String = ""
    public init(
        kind: String, namespace: String = "", name: String, origin: ObjectOrigin? = nil, field: FieldPath = [],
        message: String, hint: String = ""
    ) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.origin = origin
        self.field = field
        self.message = message
        self.hint = hint
    }

    /// An error about `object`.
    public init<Object: KubernetesObject>(
        _ object: Object, _ field: FieldPath, _ message: String, hint: String = ""
    ) {
        self.init(
            kind: Object.kind, namespace: object.metadata.namespace, name: object.metadata.name,
            origin: object.metadata.origin, field: field, message: message, hint: hint)
    }

    /// `Service default/web: spec.ports[0].nodePort: Invalid value: …`.
    public var description: String {
        describeFinding(kind: kind, namespace: namespace, name: name, field: field, message: message, hint: hint)
    }
}

/// Something in an object that is probably not meant, yet works.
public struct ObjectWarning: Hashable, Sendable, CustomStringConvertible {
    public var kind: String
    public var namespace: String = ""
    public var name: String
    public var origin: ObjectOrigin?
    public var field: FieldPath = []
    public var message: String
    public var hint: String = ""
    public init(
        kind: String, namespace: String = "", name: String, origin: ObjectOrigin? = nil, field: FieldPath = [],
        message: String, hint: String = ""
    ) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.origin = origin
        self.field = field
        self.message = message
        self.hint = hint
    }

    /// A warning about `object`.
    public init<Object: KubernetesObject>(
        _ object: Object, _ field: FieldPath, _ message: String, hint: String = ""
    ) {
        self.init(
            kind: Object.kind, namespace: object.metadata.namespace, name: object.metadata.name,
            origin: object.metadata.origin, field: field, message: message, hint: hint)
    }

    public var description: String {
        describeFinding(kind: kind, namespace: namespace, name: name, field: field, message: message, hint: hint)
    }
}

private func describeFinding(
    kind: String, namespace: String, name: String, field: FieldPath, message: String, hint: String
) -> String {
    var text = kind
    if !name.isEmpty { text += " \(ObjectKey(namespace: namespace, name: name))" }
    if !field.elements.isEmpty { text += ": \(field)" }
    text += ": \(message)"
    if !hint.isEmpty { text += " (\(hint))" }
    return text
}
