// IPv4 addresses (RFC 791) as small comparable values in host order, with the strict dotted-quad text form.
// Leading zeros are refused: libc reads them as octal, Go and Kubernetes refuse them, and people mean neither.

/// An IPv4 address, for example `10.244.1.2`.
public struct IPv4Address: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// The address as a number: `10.0.0.1` is `0x0a000001` on every machine.
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        rawValue = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }

    public static let any = IPv4Address(rawValue: 0)
    public static let broadcast = IPv4Address(rawValue: .max)
    public static let loopback = IPv4Address(127, 0, 0, 1)

    /// 127.0.0.0/8, RFC 1122 section 3.2.1.3.
    public var isLoopback: Bool { rawValue >> 24 == 127 }
    /// 224.0.0.0/4, RFC 5771.
    public var isMulticast: Bool { rawValue >> 28 == 0xe }
    /// 169.254.0.0/16, RFC 3927.
    public var isLinkLocal: Bool { rawValue >> 16 == 0xa9fe }
    public var isBroadcast: Bool { rawValue == .max }
    public var isAny: Bool { rawValue == 0 }

    /// The four octets in network order.
    public var octets: (UInt8, UInt8, UInt8, UInt8) {
        (
            UInt8(truncatingIfNeeded: rawValue >> 24), UInt8(truncatingIfNeeded: rawValue >> 16),
            UInt8(truncatingIfNeeded: rawValue >> 8), UInt8(truncatingIfNeeded: rawValue)
        )
    }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension IPv4Address: LosslessStringConvertible {
    /// Reads exactly four decimal numbers from 0 to 255 without leading zeros; anything else is nil.
    public init?(_ text: some StringProtocol) {
        var value: UInt32 = 0
        var parts = 0
        var digits = 0
        var part: UInt32 = 0
        for byte in text.utf8 {
            if byte == UInt8(ascii: ".") {
                guard digits > 0, parts < 3 else { return nil }
                value = value << 8 | part
                (parts, digits, part) = (parts + 1, 0, 0)
                continue
            }
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            if digits > 0 && part == 0 { return nil }
            part = part * 10 + UInt32(byte - UInt8(ascii: "0"))
            digits += 1
            guard part <= 255 else { return nil }
        }
        guard parts == 3, digits > 0 else { return nil }
        rawValue = value << 8 | part
    }

    public var description: String {
        let (a, b, c, d) = octets
        return "\(a).\(b).\(c).\(d)"
    }
}
