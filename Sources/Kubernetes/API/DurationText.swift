// Spans of time and shares as text: Go's duration spelling (`10us`, `1m30s`, time.ParseDuration) and per cent.
// Fractions finer than the result's unit are cut off.

/// The nanoseconds a Go duration stands for, or nil if it is none: `10us`, `1.5s`, `1h30m`, `0`.
public func nanoseconds(duration text: some StringProtocol) -> Int64? {
    if text == "0" { return 0 }
    var rest = text.utf8[...]
    var negative = false
    if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
        negative = sign == UInt8(ascii: "-")
        rest.removeFirst()
    }
    guard !rest.isEmpty else { return nil }
    var total: Int64 = 0
    while !rest.isEmpty {
        guard let (number, scale) = takeNumber(&rest), let unit = takeUnit(&rest) else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow else { return nil }
        let (sum, tooBig) = total.addingReportingOverflow(product / scale)
        guard !tooBig else { return nil }
        total = sum
    }
    return negative ? -total : total
}

/// Lost packets per million for `0%`, `1.5%`, `0.01`; nil outside 0 to 100 per cent.
public func perMillion(share text: some StringProtocol) -> Int? {
    var rest = text.utf8[...]
    guard let (number, scale) = takeNumber(&rest) else { return nil }
    let isPercent = rest.elementsEqual([UInt8(ascii: "%")])
    guard isPercent || rest.isEmpty else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: isPercent ? 10_000 : 1_000_000)
    guard !overflow, product / scale <= 1_000_000 else { return nil }
    return Int(product / scale)
}

/// A decimal number as a whole one and the power of ten to divide it by.
private func takeNumber<Bytes: Collection>(_ rest: inout Bytes) -> (Int64, Int64)?
where Bytes.Element == UInt8, Bytes.SubSequence == Bytes {
    var number: Int64 = 0
    var scale: Int64 = 1
    var digits = 0
    var pointSeen = false
    while let byte = rest.first {
        if byte == UInt8(ascii: "."), !pointSeen {
            pointSeen = true
        } else if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
            digits += 1
            guard digits <= 15 else { return nil }
            number = number * 10 + Int64(byte - UInt8(ascii: "0"))
            if pointSeen { scale *= 10 }
        } else {
            break
        }
        rest = rest.dropFirst()
    }
    return digits > 0 ? (number, scale) : nil
}

private func takeUnit<Bytes: Collection>(_ rest: inout Bytes) -> Int64?
where Bytes.Element == UInt8, Bytes.SubSequence == Bytes {
    let unit = rest.prefix { $0 != UInt8(ascii: ".") && !($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")) }
    rest = rest[unit.endIndex...]
    switch String(decoding: unit, as: UTF8.self) {
    case "ns": return 1
    case "us", "\u{b5}s", "\u{3bc}s": return 1000
    case "ms": return 1_000_000
    case "s": return 1_000_000_000
    case "m": return 60_000_000_000
    case "h": return 3_600_000_000_000
    default: return nil
    }
}
