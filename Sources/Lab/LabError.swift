// What keeps a lab from being built, in words for the person who asked for it. The command line prints them and ends
// with exit code 2.

/// Why there is no lab.
public struct LabError: Error, Hashable, Sendable {
    public var message: String
    public var hint: String?

    public init(_ message: String, hint: String? = nil) {
        self.message = message
        self.hint = hint
    }
}
