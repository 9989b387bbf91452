// Label selectors (k8s.io/apimachinery meta/v1 LabelSelector, pkg/labels): what a set of labels must look like.
// Node selectors share the expressions and add Gt and Lt.

/// One condition on a label: `app In (web, api)`.
public struct LabelRequirement: Hashable, Sendable {
    public struct Operator: OpenEnumeration {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        public static let `in` = Operator(rawValue: "In")
        public static let notIn = Operator(rawValue: "NotIn")
        public static let exists = Operator(rawValue: "Exists")
        public static let doesNotExist = Operator(rawValue: "DoesNotExist")
        public static let greaterThan = Operator(rawValue: "Gt")
        public static let lessThan = Operator(rawValue: "Lt")
    }

    public var key: String
    public var `operator`: Operator
    public var values: [String] = []
    public init(key: String, `operator`: Operator, values: [String] = []) {
        self.key = key
        self.operator = `operator`
        self.values = values
    }

    /// A missing key satisfies NotIn and DoesNotExist, as in upstream.
    public func matches(_ labels: [String: String]) -> Bool {
        matches(value: labels[key])
    }

    func matches(value: String?) -> Bool {
        switch self.operator {
        case .in: value.map(values.contains) ?? false
        case .notIn: !(value.map(values.contains) ?? false)
        case .exists: value != nil
        case .doesNotExist: value == nil
        case .greaterThan: compare(value, >)
        case .lessThan: compare(value, <)
        default: false
        }
    }

    private func compare(_ value: String?, _ holds: (Int, Int) -> Bool) -> Bool {
        guard let value, let number = Int(value), let bound = values.first.flatMap({ Int($0) }) else { return false }
        return holds(number, bound)
    }
}

/// A selector over labels. Empty selects everything; where nothing is to be selected the field is nil.
public struct LabelSelector: Hashable, Sendable {
    public var matchLabels: [String: String] = [:]
    public var matchExpressions: [LabelRequirement] = []
    public init(matchLabels: [String: String] = [:], matchExpressions: [LabelRequirement] = []) {
        self.matchLabels = matchLabels
        self.matchExpressions = matchExpressions
    }

    public var isEmpty: Bool { matchLabels.isEmpty && matchExpressions.isEmpty }

    public func matches(_ labels: [String: String]) -> Bool {
        matchLabels.allSatisfy { labels[$0.key] == $0.value } && matchExpressions.allSatisfy { $0.matches(labels) }
    }
}
