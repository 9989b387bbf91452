// Two more ways to print a JSON value: on one line, as iproute2 does behind -j, and as YAML in the layout of
// sigs.k8s.io/yaml, so that what `podnet get -o yaml` prints looks as kubectl prints it and can be read again with -f.

extension JSONValue {
    /// The text without blanks between its parts.
    package func compactText() -> String {
        switch self {
        case .null, .bool, .number, .fraction, .string: return text()
        case .array(let values): return "[" + values.map { $0.compactText() }.joined(separator: ",") + "]"
        case .object(let members):
            let parts = members.map { JSONValue.string($0.name).text() + ":" + $0.value.compactText() }
            return "{" + parts.joined(separator: ",") + "}"
        }
    }

    /// The text as `kubectl -o json` indents it. What YAML takes for a line break or for no text at all is escaped:
    /// one reader reads both.
    package func manifestText() -> String {
        var result = ""
        for scalar in text(indent: 4).unicodeScalars {
            if YAML.isPrintable(scalar) || scalar == "\n" {
                result.unicodeScalars.append(scalar)
            } else {
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
            }
        }
        return result
    }

    /// The value as one YAML document, ending with a newline. Lists stand as deep as the name they belong to.
    package func yamlText() -> String {
        var text = ""
        switch self {
        case .object(let members) where !members.isEmpty: YAML.write(members, to: &text, depth: 0)
        case .array(let values) where !values.isEmpty: YAML.write(values, to: &text, depth: 0)
        default: text = YAML.scalar(self, depth: 0) + "\n"
        }
        return text
    }
}

private enum YAML {
    /// Writes the members of a mapping, the first where the line stands, the others indented by `depth` blanks.
    static func write(_ members: [JSONValue.Member], to text: inout String, depth: Int) {
        for (index, member) in members.enumerated() {
            if index > 0 { text += String(repeating: " ", count: depth) }
            text += YAML.text(member.name, depth: nil) + ":"
            switch member.value {
            case .object(let nested) where !nested.isEmpty:
                text += "\n" + String(repeating: " ", count: depth + 2)
                write(nested, to: &text, depth: depth + 2)
            case .array(let values) where !values.isEmpty:
                text += "\n" + String(repeating: " ", count: depth)
                write(values, to: &text, depth: depth)
            default: text += " " + scalar(member.value, depth: depth + 2) + "\n"
            }
        }
    }

    static func write(_ values: [JSONValue], to text: inout String, depth: Int) {
        for (index, value) in values.enumerated() {
            if index > 0 { text += String(repeating: " ", count: depth) }
            text += "- "
            switch value {
            case .object(let members) where !members.isEmpty: write(members, to: &text, depth: depth + 2)
            case .array(let nested) where !nested.isEmpty: write(nested, to: &text, depth: depth + 2)
            default: text += scalar(value, depth: depth + 2) + "\n"
            }
        }
    }

    static func scalar(_ value: JSONValue, depth: Int) -> String {
        switch value {
        case .string(let text): YAML.text(text, depth: depth)
        case .array: "[]"
        case .object: "{}"
        default: value.text()
        }
    }

    /// A string in the plainest style that reads back as the same string. `depth` is the indentation a block of
    /// lines gets; nil where none may stand.
    static func text(_ string: String, depth: Int?) -> String {
        if string.isEmpty || reads(asOtherThanText: string) { return quoted(string) }
        let scalars = string.unicodeScalars
        if !scalars.allSatisfy({ $0 == "\n" || isPrintable($0) }) { return quoted(string) }
        if scalars.contains("\n") {
            guard let depth else { return quoted(string) }
            return block(string, depth: depth) ?? quoted(string)
        }
        if isPlain(string) { return string }
        return "'" + string.replacing("'", with: "''") + "'"
    }

    /// Lines as they are, behind a bar; nil when blanks at an end of a line would get lost or misread.
    private static func block(_ string: String, depth: Int) -> String? {
        var lines = string.split(separator: "\n", omittingEmptySubsequences: false)
        var trailing = 0
        while lines.last?.isEmpty == true {
            lines.removeLast()
            trailing += 1
        }
        guard let first = lines.first, let letter = first.first, letter != " ", letter != "\t",
            !lines.contains(where: { $0.last == " " || $0.last == "\t" })
        else { return nil }
        let indent = String(repeating: " ", count: depth)
        var text = trailing == 0 ? "|-" : trailing == 1 ? "|" : "|+"
        for line in lines { text += "\n" + (line.isEmpty ? "" : indent + line) }
        // The writer ends the last line itself.
        return text + String(repeating: "\n", count: max(trailing - 1, 0))
    }

    private static func quoted(_ string: String) -> String {
        var text = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where isPrintable(scalar): text.unicodeScalars.append(scalar)
            default:
                let digits = String(scalar.value, radix: 16)
                let width = scalar.value > 0xffff ? 8 : 4
                text += (width == 8 ? "\\U" : "\\u") + String(repeating: "0", count: width - digits.utf8.count) + digits
            }
        }
        return text + "\""
    }

    /// May stand in a document as it is (YAML 1.1 c-printable without the line separators).
    static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x20...0x7e, 0xa0...0x2027, 0x202a...0xd7ff, 0xe000...0xfefe, 0xff00...0xfffd, 0x1_0000...0x10_ffff: true
        default: false
        }
    }

    /// No indicator at the start, none of `: ` and ` #` inside, no blank at an end.
    private static func isPlain(_ string: String) -> Bool {
        let bytes = Array(string.utf8)
        guard let first = bytes.first, let last = bytes.last, first != 0x20, last != 0x20, last != UInt8(ascii: ":")
        else { return false }
        if "-?:,[]{}#&*!|>'\"%@`".utf8.contains(first) {
            guard first == UInt8(ascii: "-"), bytes.count > 1, bytes[1] != 0x20, bytes[1] != UInt8(ascii: "-") else {
                return false
            }
        }
        for (index, byte) in bytes.enumerated().dropLast() {
            if byte == UInt8(ascii: ":"), bytes[index + 1] == 0x20 { return false }
            if byte == 0x20, bytes[index + 1] == UInt8(ascii: "#") { return false }
        }
        return true
    }

    /// Unquoted it would be a null, a boolean, a number or a date to some reader of YAML 1.1.
    private static func reads(asOtherThanText string: String) -> Bool {
        switch string.lowercased() {
        case "~", "null", "y", "n", "yes", "no", "on", "off", "true", "false", "<<", "=": return true
        case ".nan", ".inf", "+.inf", "-.inf": return true
        default: break
        }
        var rest = string.utf8.filter { $0 != UInt8(ascii: "_") }[...]
        if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { rest.removeFirst() }
        guard let first = rest.first, 0x30...0x39 ~= first || first == UInt8(ascii: ".") else { return false }
        if isDate(string) { return true }
        let text = String(decoding: rest, as: UTF8.self).lowercased()
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where text.hasPrefix(prefix) {
            return !text.dropFirst(2).isEmpty
                && text.dropFirst(2).allSatisfy { $0.isASCII && Int(String($0), radix: radix) != nil }
        }
        // Numbers of base 60 too, such as 1:30.
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count > 1 { return parts.allSatisfy { Double($0) != nil } }
        return Double(text) != nil || text.last == "." && Int(text.dropLast()) != nil
    }

    /// `2006-01-02` and longer.
    private static func isDate(_ string: String) -> Bool {
        let digits = string.utf8.prefix(5)
        return digits.count == 5 && digits.last == UInt8(ascii: "-")
            && digits.dropLast().allSatisfy { 0x30...0x39 ~= $0 }
    }
}
