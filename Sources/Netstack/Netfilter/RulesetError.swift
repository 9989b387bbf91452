// What is wrong with a text of rules and where, so that whoever passes the file on can say FILE:LINE:COLUMN. Where
// iptables-restore says one thing about a line, it is said here with the column and a way out.

/// A reason not to take a dump of rules.
public struct RulesetError: Error, Hashable, Sendable {
    /// Counted from 1.
    public var line: Int
    /// In characters, counted from 1.
    public var column: Int
    /// What is wrong.
    public var message: String
    /// What to do about it, or nil when the message says it all.
    public var hint: String?

    public init(line: Int, column: Int, _ message: String, hint: String? = nil) {
        self.line = line
        self.column = column
        self.message = Self.readable(message)
        self.hint = hint
    }
}

extension RulesetError {
    /// Words of the dump stand in messages, and a dump may be anything: short enough for a line, and nothing that a
    /// terminal would obey.
    private static func readable(_ message: String) -> String {
        let scalars = message.unicodeScalars
        var text = ""
        for scalar in scalars.prefix(400) {
            let isControl = scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value)
            text += isControl ? scalar.escaped(asASCII: true) : String(scalar)
        }
        return scalars.dropFirst(400).isEmpty ? text : text + " …"
    }
}

extension RulesetError: CustomStringConvertible {
    /// `LINE:COLUMN: message`, and the hint on a line of its own.
    public var description: String { "\(line):\(column): \(message)" + (hint.map { "\n  hint: \($0)" } ?? "") }
}
