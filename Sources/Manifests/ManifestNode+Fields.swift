// Reading typed fields the way the API server's decoder does: a field that is absent or null has its zero value,
// unknown fields are passed over, and a value of another type is an error, because `port: "80"` and `version: 1.0`
// are refused by a real cluster as well. Every error names the path of the field.

import Addressing

extension ManifestNode {
    /// The value of a field; nil when it is absent or null.
    func field(_ name: StaticString) throws(ManifestError) -> ManifestNode? {
        guard isMapping else { throw mismatch("a mapping", hint: "write `\(name): ...` below it, indented") }
        guard let value = self[name], !value.isNull else { return nil }
        return value
    }

    /// The value of a field that must be there.
    func required(_ name: StaticString, hint: String? = nil) throws(ManifestError) -> ManifestNode {
        guard let value = try field(name) else {
            throw error("the field `\(name)` is missing", hint: hint ?? "add `\(name):`")
        }
        return value
    }

    func mismatch(_ expected: String, hint: String? = nil) -> ManifestError {
        error("expected \(expected), found \(typeDescription)", hint: hint)
    }

    /// The value of a field that must be a mapping when it is there.
    func section(_ name: StaticString) throws(ManifestError) -> ManifestNode? {
        guard let value = try field(name) else { return nil }
        guard value.isMapping else { throw value.mismatch("a mapping") }
        return value
    }

    /// The items of a list; none when the field is absent.
    func list(_ name: StaticString) throws(ManifestError) -> [ManifestNode] {
        guard let value = try field(name) else { return [] }
        guard value.isSequence else {
            throw value.mismatch("a list", hint: "begin each item with `- ` on a line of its own")
        }
        return value.elements
    }

    // MARK: Strings

    /// The text of a string.
    func string() throws(ManifestError) -> String {
        guard isScalar, scalar == .string else {
            switch isScalar ? scalar : .null {
            case .integer, .float, .boolean:
                throw mismatch("a string", hint: "put it in quotes: \(quoted(text))")
            default:
                throw mismatch("a string")
            }
        }
        return text
    }

    func string(_ name: StaticString, default fallback: String = "") throws(ManifestError) -> String {
        try field(name)?.string() ?? fallback
    }

    func optionalString(_ name: StaticString) throws(ManifestError) -> String? {
        try field(name)?.string()
    }

    func requiredString(_ name: StaticString) throws(ManifestError) -> String {
        let value = try required(name)
        let text = try value.string()
        guard !text.isEmpty else { throw value.error("must not be empty") }
        return text
    }

    func strings(_ name: StaticString) throws(ManifestError) -> [String] {
        try list(name).map { (item) throws(ManifestError) in try item.string() }
    }

    /// A mapping from strings to strings, such as labels. A null value is the empty string, as it is to Go.
    func stringMap(_ name: StaticString) throws(ManifestError) -> [String: String] {
        guard let value = try section(name) else { return [:] }
        var result: [String: String] = [:]
        for member in value.members { result[member.name.text] = member.value.isNull ? "" : try member.value.string() }
        return result
    }

    // MARK: Numbers and booleans

    /// An integer within bounds; `8e3` and `80.0` are integers too, as they are once YAML has become JSON.
    func integer(in bounds: ClosedRange<Int> = Int(Int32.min)...Int(Int32.max)) throws(ManifestError) -> Int {
        var number: Int?
        if isScalar {
            switch scalar {
            case .integer(let value): number = value
            case .float(let value): number = Int(exactly: value)
            default: break
            }
        }
        guard let number else {
            let isNumberInQuotes = isScalar && shape != .plain && Int(text) != nil
            throw mismatch("an integer", hint: isNumberInQuotes ? "write it without quotes: \(text)" : nil)
        }
        guard bounds.contains(number) else {
            throw error("\(number) must be between \(bounds.lowerBound) and \(bounds.upperBound), inclusive")
        }
        return number
    }

    func integer(
        _ name: StaticString, in bounds: ClosedRange<Int> = Int(Int32.min)...Int(Int32.max)
    ) throws(ManifestError) -> Int? {
        try field(name)?.integer(in: bounds)
    }

    func requiredInteger(
        _ name: StaticString, in bounds: ClosedRange<Int> = Int(Int32.min)...Int(Int32.max)
    ) throws(ManifestError) -> Int {
        try required(name).integer(in: bounds)
    }

    func boolean() throws(ManifestError) -> Bool {
        if isScalar, case .boolean(let value) = scalar { return value }
        let isBooleanInQuotes = isScalar && (text == "true" || text == "false")
        throw mismatch(
            "true or false", hint: isBooleanInQuotes ? "write it without quotes: \(text)" : nil)
    }

    func boolean(_ name: StaticString) throws(ManifestError) -> Bool? { try field(name)?.boolean() }

    // MARK: Addresses

    /// Text that is a value of some type: an address, a duration.
    func value<Value>(
        _ what: String, example: String, _ read: (String) -> Value?
    ) throws(ManifestError) -> Value {
        let text = try string()
        guard let value = read(text) else {
            throw error("\(quoted(text)) is not \(what)", hint: "write it as \(example)")
        }
        return value
    }

    func address() throws(ManifestError) -> IPAddress {
        try value("an IP address", example: "10.244.1.5 or fd00::5") { IPAddress($0) }
    }

    /// A block of addresses. Host bits are cleared, as Kubernetes and flannel do.
    func prefix() throws(ManifestError) -> IPPrefix {
        try value("a CIDR", example: "10.244.0.0/16 or fd00:244::/56") { InterfaceAddress($0)?.prefix }
    }

    /// Blocks separated by commas, at most one of each family; none for empty text.
    func prefixes(_ name: StaticString) throws(ManifestError) -> [IPPrefix] {
        guard let value = try field(name) else { return [] }
        var result: [IPPrefix] = []
        for part in try value.string().split(separator: ",") {
            let text = trimmed(part)
            guard let prefix = InterfaceAddress(text)?.prefix else {
                throw value.error(
                    "\(quoted(text)) is not a CIDR", hint: "write it as 10.244.0.0/16, or 10.244.0.0/16,fd00:244::/56")
            }
            guard !result.contains(where: { $0.family == prefix.family }) else {
                throw value.error(
                    "more than one \(prefix.family == .ipv4 ? "IPv4" : "IPv6") block",
                    hint: "give at most one of each family")
            }
            result.append(prefix)
        }
        return result
    }
}

/// The text without the spaces around it.
func trimmed(_ text: some StringProtocol) -> String {
    let start = text.drop { $0 == " " || $0 == "\t" }
    let end = start.lastIndex { $0 != " " && $0 != "\t" }
    return end.map { String(start[...$0]) } ?? ""
}
