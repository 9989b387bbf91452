// What is wrong with the input and where, in the form compilers use: FILE:LINE:COLUMN, so that editors and
// terminals can jump to it. Lines and columns count from 1, columns in characters as libYAML counts them.

/// A reason not to take the input, with its place and what to do about it.
public struct ManifestError: Error, Equatable, Sendable {
    /// The file as the user named it; `<stdin>` for standard input; empty when no file is to blame.
    public var file: String
    /// The line, counted from 1; 0 when the whole file is meant.
    public var line: Int
    /// The column in characters, counted from 1; 0 when the whole file is meant.
    public var column: Int
    /// What is wrong.
    public var message: String
    /// What to do about it, or nil when the message says it all.
    public var hint: String?

    public init(file: String, line: Int = 0, column: Int = 0, message: String, hint: String? = nil) {
        self.file = file
        self.line = line
        self.column = column
        self.message = message
        self.hint = hint
    }
}

extension ManifestError: CustomStringConvertible {
    /// `FILE:LINE:COLUMN: message`, and the hint on a line of its own.
    public var description: String { describe(file: file, line: line, column: column, message: message, hint: hint) }
}

/// Something in the input that podnet passes over, with its place.
public struct ManifestWarning: Equatable, Sendable {
    /// The file as the user named it; `<stdin>` for standard input; empty when no file is to blame.
    public var file: String
    /// The line, counted from 1; 0 when the whole file is meant.
    public var line: Int
    /// The column in characters, counted from 1; 0 when the whole file is meant.
    public var column: Int
    /// What is passed over.
    public var message: String
    /// What to do about it, or nil when nothing needs to be done.
    public var hint: String?

    public init(file: String, line: Int = 0, column: Int = 0, message: String, hint: String? = nil) {
        self.file = file
        self.line = line
        self.column = column
        self.message = message
        self.hint = hint
    }
}

extension ManifestWarning: CustomStringConvertible {
    /// `FILE:LINE:COLUMN: warning: message`, and the hint on a line of its own.
    public var description: String {
        describe(file: file, line: line, column: column, message: "warning: " + message, hint: hint)
    }
}

private func describe(file: String, line: Int, column: Int, message: String, hint: String?) -> String {
    var text = ""
    if !file.isEmpty { text += file + (line > 0 ? ":\(line):\(max(column, 1))" : "") + ": " }
    text += message
    if let hint { text += "\n  hint: " + hint }
    return text
}
