// The spellings Kubernetes allows for names (k8s.io/apimachinery util/validation): DNS labels, subdomains and IANA
// service names. Each check answers with the API server's reason, or nil when the name is fine.

enum NameRules {
    /// A DNS-1123 label: namespaces, container and port names.
    static func label(_ name: String) -> String? {
        if name.utf8.count > 63 { return "must be no more than 63 characters" }
        guard isLabel(name.utf8) else {
            return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
                + "and must start and end with an alphanumeric character"
        }
        return nil
    }

    /// A DNS-1035 label: Service names, which must start with a letter.
    static func serviceName(_ name: String) -> String? {
        if name.utf8.count > 63 { return "must be no more than 63 characters" }
        guard isLabel(name.utf8), let first = name.utf8.first, isLetter(first) else {
            return "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
                + "start with an alphabetic character, and end with an alphanumeric character"
        }
        return nil
    }

    /// A DNS-1123 subdomain: the names of most objects.
    static func subdomain(_ name: String) -> String? {
        if name.utf8.count > 253 { return "must be no more than 253 characters" }
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.allSatisfy({ isLabel($0) }) else {
            return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
                + "and must start and end with an alphanumeric character"
        }
        return nil
    }

    /// An IANA service name: what names a container port.
    static func portName(_ name: String) -> String? {
        let bytes = Array(name.utf8)
        if bytes.count > 15 { return "must be no more than 15 characters" }
        guard !bytes.isEmpty, bytes.allSatisfy({ isLetter($0) || isDigit($0) || $0 == hyphen }) else {
            return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
        }
        if !bytes.contains(where: isLetter) { return "must contain at least one letter (a-z)" }
        if zip(bytes, bytes.dropFirst()).contains(where: { $0 == hyphen && $1 == hyphen }) {
            return "must not contain consecutive hyphens"
        }
        if bytes.first == hyphen || bytes.last == hyphen { return "must not begin or end with a hyphen" }
        return nil
    }

    private static let hyphen = UInt8(ascii: "-")
    private static func isLetter(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func isLabel(_ bytes: some BidirectionalCollection<UInt8>) -> Bool {
        guard let first = bytes.first, let last = bytes.last else { return false }
        return first != hyphen && last != hyphen
            && bytes.allSatisfy { isLetter($0) || isDigit($0) || $0 == hyphen }
    }
}

/// The API server's words for a wrong field.
enum FieldMessage {
    static func invalid(_ value: some CustomStringConvertible, _ reason: String) -> String {
        "Invalid value: \(value): \(reason)"
    }
    static func invalid(text: String, _ reason: String) -> String { "Invalid value: \"\(text)\": \(reason)" }
    static func invalid(list: [String], _ reason: String) -> String {
        "Invalid value: [\(list.map { "\"\($0)\"" }.joined(separator: ","))]: \(reason)"
    }
    static func unsupported(_ value: String, _ supported: [String]) -> String {
        "Unsupported value: \"\(value)\": supported values: "
            + supported.map { "\"\($0)\"" }.joined(separator: ", ")
    }
    static func duplicate(_ value: String) -> String { "Duplicate value: \(value)" }
    static func required(_ reason: String = "") -> String {
        reason.isEmpty ? "Required value" : "Required value: \(reason)"
    }
    static func forbidden(_ reason: String) -> String { "Forbidden: \(reason)" }
    static let portRange = "must be between 1 and 65535, inclusive"
}

/// The names nearest to a wrong one, for hints: at most three, none that differ too much.
func nearest<Names: Sequence>(to name: String, among names: Names, limit: Int = 3) -> [String]
where Names.Element == String {
    let allowed = max(2, name.utf8.count / 3)
    var found: [(distance: Int, name: String)] = []
    for candidate in names {
        let contains = name.utf8.count >= 3 && (candidate.hasPrefix(name) || name.hasPrefix(candidate))
        // Far lengths cannot be near, so most of a large cluster costs one comparison each.
        let distance: Int
        if contains {
            distance = 1
        } else {
            guard abs(candidate.utf8.count - name.utf8.count) <= allowed else { continue }
            distance = editDistance(name, candidate)
        }
        guard distance <= allowed else { continue }
        let at = found.firstIndex { $0.distance > distance } ?? found.count
        guard at < limit else { continue }
        found.insert((distance, candidate), at: at)
        if found.count > limit { found.removeLast() }
    }
    return found.map(\.name)
}

private func editDistance(_ left: String, _ right: String) -> Int {
    let right = Array(right.utf8)
    var row = Array(0...right.count)
    for (index, byte) in left.utf8.enumerated() {
        var diagonal = row[0]
        row[0] = index + 1
        for column in 0..<right.count {
            let substitution = diagonal + (byte == right[column] ? 0 : 1)
            diagonal = row[column + 1]
            row[column + 1] = min(substitution, diagonal + 1, row[column] + 1)
        }
    }
    return row[right.count]
}
