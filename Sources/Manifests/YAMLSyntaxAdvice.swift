// libYAML says what its grammar missed; a person wants to know which line to change. This file turns the first into
// the second: it looks at the lines around the problem for what people really get wrong (tabs, a forgotten colon,
// a value that needs quotes, a template that was never rendered). Anything else keeps libYAML's own words.

extension ManifestError {
    /// The text is not text: wrong encoding or control characters.
    static func unreadableText(problem: String, byte: Int, value: Int, source: SourceBuffer) -> ManifestError {
        let place = source.position(ofByte: byte)
        if problem == "control characters are not allowed" {
            let code = value < 0 ? "" : " U+" + hexadecimal(value)
            return ManifestError(
                file: source.name, line: place.line, column: place.column,
                message: "control character\(code) in the text",
                hint: value == 0
                    ? "this does not look like YAML or JSON; is it the right file?"
                    : "remove it, or write it as an escape inside double quotes")
        }
        return ManifestError(
            file: source.name, line: place.line, column: place.column,
            message: "the text is not valid UTF-8 (\(problem))",
            hint: "save the file as UTF-8, or check that it is YAML or JSON at all")
    }

    /// The text breaks the grammar at `line`:`column`, in something that began at the context's place.
    static func syntax(
        problem: String, line: Int, column: Int, context: String?, contextLine: Int, contextColumn: Int,
        source: SourceBuffer
    ) -> ManifestError {
        SyntaxProblem(
            problem: problem, line: line, column: column, context: context ?? "", contextLine: contextLine,
            contextColumn: contextColumn, source: source
        ).error
    }
}

private struct SyntaxProblem {
    var problem: String
    var line: Int
    var column: Int
    var context: String
    var contextLine: Int
    var contextColumn: Int
    var source: SourceBuffer

    var error: ManifestError {
        let text = source.line(line)
        if text.contains("{{") || source.line(contextLine).contains("{{") {
            return at(
                line, column, "this is a template, not YAML: {{ ... }}",
                "render it first, for example: helm template CHART | podnet ... -f -")
        }
        for number in [contextLine, line - 1, line] where number > 0 {
            guard ["<<<<<<<", "=======", ">>>>>>>"].contains(where: source.line(number).hasPrefix) else { continue }
            return at(number, 1, "a merge conflict is left in the file", "resolve it and remove the marker lines")
        }
        switch problem {
        case "found character that cannot start any token": return unexpectedCharacter(in: text)
        case "found a tab character that violates indentation",
            "found a tab character where an indentation space is expected":
            return tab
        case "mapping values are not allowed in this context": return unexpectedColon(in: text)
        case "could not find expected ':'":
            // The problem mark is where the scanner gave up, the context where the lonely word stands.
            return missingColon(contextLine, contextColumn)
        case "did not find expected key", "did not find expected '-' indicator": return unexpectedContent(in: text)
        case "did not find expected <document start>":
            return at(
                line, column, "text after the end of the document",
                "separate objects by a line with three dashes: ---")
        case "block sequence entries are not allowed in this context":
            return at(
                line, column, "a list item cannot begin here",
                "begin each item on a line of its own, below the name of the list")
        case "did not find expected ',' or ']'":
            return at(
                line, column, "`,` or `]` expected: the list opened at \(contextLine):\(contextColumn) goes on",
                isPastEnd ? "the file ends too early" : "add the missing comma or close the list with ]")
        case "did not find expected ',' or '}'":
            return at(
                line, column, "`,` or `}` expected: the mapping opened at \(contextLine):\(contextColumn) goes on",
                isPastEnd ? "the file ends too early" : "add the missing comma or close the mapping with }")
        case "found unexpected end of stream", "found unexpected document indicator":
            return at(
                contextLine, contextColumn, "the quote opened here is never closed",
                "add the closing quote; a quote inside is written '' between ' and \\\" between \"")
        case "found unknown escape character":
            return at(
                line, column, "unknown escape after \\ in double quotes",
                "write \\\\ for a backslash, or use single quotes")
        case "did not find expected alphabetic or numeric character":
            return at(
                contextLine, contextColumn, "a value that begins with * or & needs quotes",
                "write it between quotes; * and & mark aliases and anchors")
        case "found undefined tag handle":
            return at(line, column, "a value that begins with ! needs quotes", "write it between quotes")
        case "exceeded maximum nesting": return at(line, column, "lists and mappings are nested too deep")
        default:
            let origin = context.isEmpty ? "" : " \(context) at \(contextLine):\(contextColumn)"
            return at(line, column, "not valid YAML: \(problem)\(origin)", "check indentation and quotes around here")
        }
    }

    private func at(_ line: Int, _ column: Int, _ message: String, _ hint: String? = nil) -> ManifestError {
        ManifestError(file: source.name, line: line, column: column, message: message, hint: hint)
    }

    private var tab: ManifestError {
        at(line, column, "a tab is used for indentation", "indent with spaces; YAML takes no tabs there")
    }

    private var isPastEnd: Bool {
        let (last, _) = source.position(ofByte: source.bytes.count)
        return line > last || (line == last && column > source.line(line).unicodeScalars.count)
    }

    private func unexpectedCharacter(in text: String) -> ManifestError {
        let scalars = Array(text.unicodeScalars)
        guard column - 1 < scalars.count else { return at(line, column, "not valid YAML: \(problem)") }
        let scalar = scalars[column - 1]
        if scalar == "\t" { return tab }
        return at(
            line, column, "a value cannot begin with \(quoted(String(scalar))) outside quotes",
            "write the value between quotes")
    }

    /// A `:` where none may stand: one too many on its line, one too few on the line above, or wrong indentation.
    private func unexpectedColon(in text: String) -> ManifestError {
        let before = String(String.UnicodeScalarView(text.unicodeScalars.prefix(max(column - 1, 0))))
        if hasFieldSeparator(before) {
            return at(
                line, column, "a second `: ` on the line",
                "write the value between quotes, or begin a new line for the next field")
        }
        var above = line - 1
        while above > 0, isBlankOrComment(source.line(above)) { above -= 1 }
        let previous = source.line(above)
        guard above > 0 else { return at(line, column, "a `:` is not expected here", "write the value between quotes") }
        let start = previous.prefix(while: { $0 == " " || $0 == "-" }).count + 1
        if !hasFieldSeparator(previous), !previous.hasSuffix(":") {
            if previous.contains(":") {
                return at(above, start, "a space is missing after the colon", "write `key: value`")
            }
            return missingColon(above, start)
        }
        return at(
            line, indentation(of: text) + 1,
            "the line is indented deeper than line \(above), whose value is complete",
            "align it with the fields it belongs to")
    }

    private func missingColon(_ line: Int, _ column: Int) -> ManifestError {
        let text = source.line(line)
        if text.contains(":") {
            return at(line, column, "a space is missing after the colon", "write `key: value`")
        }
        return at(line, column, "a colon is missing after the field name", "write `key: value`")
    }

    /// Something stands where a field or item of an outer block should: nearly always wrong indentation.
    private func unexpectedContent(in text: String) -> ManifestError {
        let indentation = indentation(of: text)
        if column > indentation + 1 {
            return at(
                line, column, "unexpected text after the value",
                "write the whole value between quotes; a quote inside is written '' between ' and \\\" between \"")
        }
        let what = problem == "did not find expected key" ? "a field" : "a list item (`- `)"
        return at(
            line, column, "\(what) of the block that begins at \(contextLine):\(contextColumn) is expected here",
            "align the line with that block, or indent it as part of the value above")
    }

    private func isBlankOrComment(_ text: String) -> Bool {
        let first = text.first { $0 != " " && $0 != "\t" }
        return first == nil || first == "#"
    }

    private func indentation(of text: String) -> Int { text.prefix { $0 == " " }.count }

    /// Whether a colon followed by a space stands in the text before any comment.
    private func hasFieldSeparator(_ text: String) -> Bool {
        var previous: Character = " "
        for character in text {
            if character == "#", previous == " " { return false }
            if previous == ":", character == " " || character == "\t" { return true }
            previous = character
        }
        return false
    }
}

private func hexadecimal(_ value: Int) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}
