// The type of a plain scalar, by the YAML 1.1 rules of sigs.k8s.io/yaml (goyaml.v2 resolve.go), which every
// Kubernetes tool reads manifests with: y, yes, on and their opposites are booleans, 0x1f, 010, 0o10, 0b1 and 1_000
// are integers, base 60 does not exist, and a date is a string.

/// What a scalar means.
package enum ScalarValue: Equatable, Sendable {
    case null
    case boolean(Bool)
    case integer(Int)
    /// A number that is not an `Int`: a fraction, an exponent, infinity, or too many digits.
    case float(Double)
    case string

    package init(plain bytes: ArraySlice<UInt8>) {
        guard let first = bytes.first else {
            self = .null
            return
        }
        switch first {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
            self = ScalarValue.number(bytes)
        case UInt8(ascii: "~"): self = bytes.count == 1 ? .null : .string
        default:
            // The longest word below has five letters.
            self = bytes.count > 5 ? .string : ScalarValue.word(String(decoding: bytes, as: UTF8.self))
        }
    }

    private static func word(_ text: String) -> ScalarValue {
        switch text {
        case "null", "Null", "NULL": .null
        case "true", "True", "TRUE", "yes", "Yes", "YES", "y", "Y", "on", "On", "ON": .boolean(true)
        case "false", "False", "FALSE", "no", "No", "NO", "n", "N", "off", "Off", "OFF": .boolean(false)
        default: .string
        }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> ScalarValue {
        var text = String(decoding: bytes, as: UTF8.self)
        switch text {
        case ".nan", ".NaN", ".NAN": return .float(.nan)
        case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .float(.infinity)
        case "-.inf", "-.Inf", "-.INF": return .float(-.infinity)
        default: break
        }
        if bytes.first != UInt8(ascii: ".") { text.removeAll { $0 == "_" } }
        if let value = integer(text) { return .integer(value) }
        return isFloat(text) ? .float(Double(text) ?? .infinity) : .string
    }

    /// Reads what Go's ParseInt reads with base 0.
    private static func integer(_ text: String) -> Int? {
        var digits = text[...]
        let sign = digits.first == "-" ? "-" : ""
        if digits.first == "-" || digits.first == "+" { digits = digits.dropFirst() }
        guard let first = digits.utf8.first, 0x30...0x39 ~= first else { return nil }
        var radix = 10
        if first == UInt8(ascii: "0"), digits.count > 1 {
            digits = digits.dropFirst()
            switch digits.first {
            case "x", "X": (radix, digits) = (16, digits.dropFirst())
            case "o", "O": (radix, digits) = (8, digits.dropFirst())
            case "b", "B": (radix, digits) = (2, digits.dropFirst())
            default: radix = 8
            }
            guard let next = digits.first, next != "-", next != "+" else { return nil }
        }
        return Int(sign + digits, radix: radix)
    }

    /// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
    private static func isFloat(_ text: String) -> Bool {
        var rest = text.utf8[...]
        func digits() -> Int {
            let count = rest.prefix { 0x30...0x39 ~= $0 }.count
            rest = rest.dropFirst(count)
            return count
        }
        func take(_ characters: UInt8...) -> Bool {
            guard let first = rest.first, characters.contains(first) else { return false }
            rest = rest.dropFirst()
            return true
        }
        _ = take(UInt8(ascii: "-"), UInt8(ascii: "+"))
        let whole = digits()
        if take(UInt8(ascii: ".")) {
            let fraction = digits()
            guard whole > 0 || fraction > 0 else { return false }
        } else if whole == 0 {
            return false
        }
        if take(UInt8(ascii: "e"), UInt8(ascii: "E")) {
            _ = take(UInt8(ascii: "-"), UInt8(ascii: "+"))
            guard digits() > 0 else { return false }
        }
        return rest.isEmpty
    }
}
