// A checker for the part of JSON Schema (draft 2020-12) that docs/schemas uses. A keyword it does not know is an error:
// a schema never promises what nobody checks.

import Foundation

/// A JSON document.
enum JSON: Decodable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let values = try? container.decode([JSON].self) {
            self = .array(values)
        } else {
            self = .object(try container.decode([String: JSON].self))
        }
    }

    init(_ text: String) throws { self = try JSONDecoder().decode(JSON.self, from: Data(text.utf8)) }

    subscript(name: String) -> JSON? {
        if case .object(let members) = self { return members[name] }
        return nil
    }

    subscript(index: Int) -> JSON? {
        if case .array(let elements) = self, elements.indices.contains(index) { return elements[index] }
        return nil
    }

    var text: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    /// All strings under a member name, anywhere in the document.
    func all(_ name: String) -> [String] {
        switch self {
        case .object(let members):
            members.flatMap { member, value in (member == name ? [value.text].compactMap(\.self) : []) + value.all(name)
            }
        case .array(let elements): elements.flatMap { $0.all(name) }
        default: []
        }
    }

    var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .number(let value): value == value.rounded() ? "integer" : "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}

struct JSONSchema {
    let root: JSON

    init(named name: String) throws {
        let file = Program.repository.appending(path: "docs/schemas/\(name)")
        root = try JSON(String(contentsOf: file, encoding: .utf8))
    }

    init(_ text: String) throws { root = try JSON(text) }

    /// What is wrong with a document; empty when it follows the schema.
    func errors(in document: JSON) -> [String] { check(document, root, at: "$") }

    private func check(_ value: JSON, _ schema: JSON, at path: String) -> [String] {
        guard case .object(let keywords) = schema else { return ["\(path): the schema is no object"] }
        return keywords.sorted { $0.key < $1.key }.flatMap { keyword, argument in
            check(value, keyword, argument, keywords, at: path)
        }
    }

    private func check(
        _ value: JSON, _ keyword: String, _ argument: JSON, _ siblings: [String: JSON], at path: String
    ) -> [String] {
        switch (keyword, argument) {
        case ("$schema", _), ("$defs", _), ("title", _), ("description", _): return []
        case ("$ref", .string(let reference)) where !reference.hasPrefix("#"):
            // Another file of the folder, or a definition in it.
            let halves = reference.split(separator: "#", maxSplits: 1).map(String.init)
            guard let other = try? JSONSchema(named: halves[0]) else { return ["\(path): there is no \(reference)"] }
            return other.check(
                value, halves.count > 1 ? .object(["$ref": .string("#" + halves[1])]) : other.root, at: path)
        case ("$ref", .string(let reference)):
            let parts = reference.split(separator: "/").map(String.init)
            guard parts.count == 3, parts[0] == "#", let target = root[parts[1]]?[parts[2]] else {
                return ["\(path): the schema has no \(reference)"]
            }
            return check(value, target, at: path)
        case ("type", .string(let type)):
            let isRight = value.typeName == type || (type == "number" && value.typeName == "integer")
            return isRight ? [] : ["\(path): is \(value.typeName), not \(type)"]
        case ("const", let wanted): return value == wanted ? [] : ["\(path): is not \(wanted)"]
        case ("enum", .array(let choices)): return choices.contains(value) ? [] : ["\(path): \(value) is no choice"]
        case ("pattern", .string(let pattern)):
            guard case .string(let text) = value else { return [] }
            guard let expression = try? Regex(pattern) else { return ["\(path): \(pattern) is no pattern"] }
            return text.contains(expression) ? [] : ["\(path): '\(text)' does not match \(pattern)"]
        case ("minimum", .number(let bound)):
            guard case .number(let number) = value else { return [] }
            return number >= bound ? [] : ["\(path): \(number) is below \(bound)"]
        case ("maximum", .number(let bound)):
            guard case .number(let number) = value else { return [] }
            return number <= bound ? [] : ["\(path): \(number) is above \(bound)"]
        case ("required", .array(let names)):
            guard case .object(let members) = value else { return [] }
            return names.compactMap(\.text).filter { members[$0] == nil }.map { "\(path): lacks \($0)" }
        case ("properties", .object(let properties)):
            guard case .object(let members) = value else { return [] }
            return members.sorted { $0.key < $1.key }.flatMap { name, member in
                properties[name].map { check(member, $0, at: "\(path).\(name)") } ?? []
            }
        case ("additionalProperties", .bool(false)):
            guard case .object(let members) = value, case .object(let properties)? = siblings["properties"] else {
                return []
            }
            return members.keys.filter { properties[$0] == nil }.sorted().map { "\(path): \($0) is not described" }
        case ("additionalProperties", .object):
            guard case .object(let members) = value else { return [] }
            var described: [String: JSON] = [:]
            if case .object(let properties)? = siblings["properties"] { described = properties }
            return members.sorted { $0.key < $1.key }.flatMap { name, member in
                described[name] == nil ? check(member, argument, at: "\(path).\(name)") : []
            }
        case ("items", let items):
            guard case .array(let elements) = value else { return [] }
            return elements.enumerated().flatMap { check($1, items, at: "\(path)[\($0)]") }
        case ("oneOf", .array(let choices)):
            let found = choices.map { check(value, $0, at: path) }
            if found.count(where: \.isEmpty) == 1 { return [] }
            // The choice whose `kind` fits says best what is wrong.
            let fitting = zip(choices, found).first { choice, _ in
                choice["properties"]?["kind"]?["const"] == value["kind"]
            }
            return fitting?.1 ?? ["\(path): fits \(found.count(where: \.isEmpty)) of \(choices.count) choices"]
        default: return ["\(path): the checker does not know the keyword \(keyword)"]
        }
    }
}
