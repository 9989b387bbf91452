// Label selectors as kubectl -l takes them (k8s.io/apimachinery pkg/labels Parse):
// `app=web,tier!=cache,env in (a,b),!old`.

public import Kubernetes

extension ObjectQuestion {
    /// Reads a selector.
    public static func selector(_ text: String) throws(ObjectQuestionError) -> LabelSelector {
        var selector = LabelSelector()
        for part in parts(of: text) {
            guard let requirement = requirement(part) else {
                throw ObjectQuestionError(
                    message: "\"\(part)\" is no condition on labels",
                    hint: "write app=web, app!=web, \"app in (web,api)\", \"app notin (web)\", app or !app")
            }
            selector.matchExpressions.append(requirement)
        }
        return selector
    }

    /// Splits at the commas outside of brackets.
    private static func parts(of text: String) -> [Substring] {
        var parts: [Substring] = []
        var start = text.startIndex
        var depth = 0
        for index in text.indices {
            switch text[index] {
            case "(": depth += 1
            case ")": depth -= 1
            case "," where depth == 0:
                parts.append(text[start..<index])
                start = text.index(after: index)
            default: break
            }
        }
        return parts + [text[start...]]
    }

    private static func requirement(_ part: Substring) -> LabelRequirement? {
        let words = part.split(separator: " ")
        guard let first = words.first else { return nil }
        if words.count > 1 {
            let list = words.dropFirst(2).joined()
            guard words[1] == "in" || words[1] == "notin", list.first == "(", list.last == ")" else { return nil }
            let values = list.dropFirst().dropLast().split(separator: ",").map(String.init)
            return values.isEmpty || !isKey(first)
                ? nil : LabelRequirement(key: String(first), operator: words[1] == "in" ? .in : .notIn, values: values)
        }
        guard let equals = first.firstIndex(of: "=") else {
            let isAbsent = first.first == "!"
            let key = isAbsent ? first.dropFirst() : first
            return isKey(key) ? LabelRequirement(key: String(key), operator: isAbsent ? .doesNotExist : .exists) : nil
        }
        var (key, value) = (first[..<equals], first[first.index(after: equals)...])
        let isNegated = key.last == "!"
        if isNegated { key = key.dropLast() }
        if value.first == "=" { value = value.dropFirst() }
        guard isKey(key), !value.contains("=") else { return nil }
        return LabelRequirement(key: String(key), operator: isNegated ? .notIn : .in, values: [String(value)])
    }

    private static func isKey(_ key: Substring) -> Bool {
        !key.isEmpty && !key.contains { "=!()".contains($0) }
    }
}
