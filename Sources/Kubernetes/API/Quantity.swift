// Amounts of cpu and memory as Kubernetes writes them (k8s.io/apimachinery api/resource): `100m`, `64Mi`, `1.5`, `2e3`.
// Kept as thousandths, rounded up as the real type does for finer parts; beyond Int64 the value sticks at the largest.

/// An amount of a resource.
public struct Quantity: Hashable, Comparable, Sendable {
    /// The amount in thousandths: `100m` is 100, `64Mi` is 67,108,864,000.
    public var milliValue: Int

    public init(milliValue: Int) { self.milliValue = milliValue }

    public static func < (left: Self, right: Self) -> Bool { left.milliValue < right.milliValue }

    /// The amount in whole units, rounded up.
    public var value: Int { milliValue / 1000 + (milliValue % 1000 > 0 ? 1 : 0) }
}

extension Quantity: LosslessStringConvertible {
    /// Reads a decimal number with an optional suffix n, u, m, k, M, G, T, P, E, Ki … Ei or a decimal exponent.
    public init?(_ text: String) {
        var bytes = Array(text.utf8)[...]
        var negative = false
        if let sign = bytes.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
            negative = sign == UInt8(ascii: "-")
            bytes.removeFirst()
        }
        // Digits are gathered as one whole number; `scale` remembers how many stood behind the point.
        var digits: UInt64 = 0
        var scale = 0
        var count = 0
        var pointSeen = false
        while let byte = bytes.first {
            if byte == UInt8(ascii: "."), !pointSeen {
                pointSeen = true
            } else if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
                guard digits < 100_000_000_000_000_000 else { return nil }
                digits = digits * 10 + UInt64(byte - UInt8(ascii: "0"))
                count += 1
                if pointSeen { scale += 1 }
            } else {
                break
            }
            bytes.removeFirst()
        }
        guard count > 0 else { return nil }
        guard let (multiplier, exponent) = Quantity.suffix(String(decoding: bytes, as: UTF8.self)) else { return nil }
        var value = Quantity.saturating(digits, multiplier)
        var power = exponent - scale + 3
        while power > 0 {
            value = Quantity.saturating(value, 10)
            power -= 1
        }
        while power < 0, value > 0 {
            value = value / 10 + (value % 10 > 0 ? 1 : 0)
            power += 1
        }
        let bounded = Int(min(value, UInt64(Int.max)))
        milliValue = negative ? -bounded : bounded
    }

    private static func saturating(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (product, overflow) = left.multipliedReportingOverflow(by: right)
        return overflow ? .max : product
    }

    /// The binary factor and the decimal exponent of a suffix.
    private static func suffix(_ text: String) -> (multiplier: UInt64, exponent: Int)? {
        switch text {
        case "": return (1, 0)
        case "n": return (1, -9)
        case "u": return (1, -6)
        case "m": return (1, -3)
        case "k": return (1, 3)
        case "M": return (1, 6)
        case "G": return (1, 9)
        case "T": return (1, 12)
        case "P": return (1, 15)
        case "E": return (1, 18)
        case "Ki": return (1 << 10, 0)
        case "Mi": return (1 << 20, 0)
        case "Gi": return (1 << 30, 0)
        case "Ti": return (1 << 40, 0)
        case "Pi": return (1 << 50, 0)
        case "Ei": return (1 << 60, 0)
        default:
            guard let first = text.first, first == "e" || first == "E", let exponent = Int(text.dropFirst()),
                (-30...30).contains(exponent)
            else { return nil }
            return (1, exponent)
        }
    }

    public var description: String {
        milliValue % 1000 == 0 ? String(milliValue / 1000) : "\(milliValue)m"
    }
}

/// Amounts by resource name. The three the scheduler weighs most are fields; the rest is a dictionary.
public struct ResourceList: Hashable, Sendable {
    public var cpu: Quantity?
    public var memory: Quantity?
    public var pods: Quantity?
    public var others: [String: Quantity] = [:]
    public init(
        cpu: Quantity? = nil, memory: Quantity? = nil, pods: Quantity? = nil, others: [String: Quantity] = [:]
    ) {
        self.cpu = cpu
        self.memory = memory
        self.pods = pods
        self.others = others
    }

    /// The amount of the resource with that name, for example `cpu` or `nvidia.com/gpu`.
    public subscript(name: String) -> Quantity? {
        get {
            switch name {
            case "cpu": cpu
            case "memory": memory
            case "pods": pods
            default: others[name]
            }
        }
        set {
            switch name {
            case "cpu": cpu = newValue
            case "memory": memory = newValue
            case "pods": pods = newValue
            default: others[name] = newValue
            }
        }
    }
}
