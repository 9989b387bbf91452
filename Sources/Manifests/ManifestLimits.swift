// Bounds on what one input may cost. They lie far above what an API server accepts (an object of 1.5 MiB), so that
// only hostile or broken input meets them, and meeting one is an ordinary error with a place.

/// How much of everything one input may contain.
public struct ManifestLimits: Equatable, Sendable {
    /// Lists and mappings inside one another.
    public var nestingDepth = 100
    /// Values that aliases and merge keys may add to one document.
    public var aliasedValues = 100_000
    /// Values of one object.
    public var valuesPerObject = 2_000_000
    /// Octets of text in one object.
    public var textPerObject = 64 << 20
    /// Octets of one file.
    public var fileSize = 4 << 30
    /// Characters of a field name.
    public var fieldNameLength = 1024

    public init() {}
}
