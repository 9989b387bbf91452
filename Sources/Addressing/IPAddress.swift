// An address of either family in one trivial 17-byte value, so that routes, neighbors, rules and connections
// need no second copy for IPv6. IPv4 stands in the low 32 bits.

/// The two internet protocol families.
public enum AddressFamily: UInt8, Hashable, Comparable, Sendable, CaseIterable, BitwiseCopyable {
    case ipv4 = 4
    case ipv6 = 6

    /// 32 or 128.
    public var bitWidth: Int { self == .ipv4 ? 32 : 128 }
    public var other: AddressFamily { self == .ipv4 ? .ipv6 : .ipv4 }
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// An IPv4 or IPv6 address.
public struct IPAddress: Hashable, Comparable, Sendable, BitwiseCopyable {
    package let high: UInt64
    package let low: UInt64
    public let family: AddressFamily

    package init(high: UInt64, low: UInt64, family: AddressFamily) {
        self.high = high
        self.low = low
        self.family = family
    }

    public init(_ address: IPv4Address) { self.init(high: 0, low: UInt64(address.rawValue), family: .ipv4) }
    public init(_ address: IPv6Address) { self.init(high: address.high, low: address.low, family: .ipv6) }

    public static func v4(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) -> IPAddress {
        IPAddress(IPv4Address(a, b, c, d))
    }

    public static func any(_ family: AddressFamily) -> IPAddress { IPAddress(high: 0, low: 0, family: family) }

    /// The IPv4 address, or nil for IPv6.
    public var ipv4: IPv4Address? {
        family == .ipv4 ? IPv4Address(rawValue: UInt32(truncatingIfNeeded: low)) : nil
    }

    /// The IPv6 address, or nil for IPv4.
    public var ipv6: IPv6Address? { family == .ipv6 ? IPv6Address(high: high, low: low) : nil }

    public var isAny: Bool { high == 0 && low == 0 }
    public var isLoopback: Bool { ipv4?.isLoopback ?? (high == 0 && low == 1) }
    public var isMulticast: Bool { ipv4?.isMulticast ?? (high >> 56 == 0xff) }

    /// The address `offset` places further, or nil past either end of the family's range.
    public func advanced(by offset: Int) -> IPAddress? {
        let magnitude = UInt64(offset.magnitude)
        if family == .ipv4 {
            let (value, overflow) =
                offset >= 0 ? low.addingReportingOverflow(magnitude) : low.subtractingReportingOverflow(magnitude)
            guard !overflow, value <= UInt64(UInt32.max) else { return nil }
            return IPAddress(high: 0, low: value, family: .ipv4)
        }
        let (value, carry) =
            offset >= 0 ? low.addingReportingOverflow(magnitude) : low.subtractingReportingOverflow(magnitude)
        guard carry else { return IPAddress(high: high, low: value, family: .ipv6) }
        let (top, overflow) = offset >= 0 ? high.addingReportingOverflow(1) : high.subtractingReportingOverflow(1)
        return overflow ? nil : IPAddress(high: top, low: value, family: .ipv6)
    }

    /// IPv4 sorts before IPv6; within a family by number.
    public static func < (left: Self, right: Self) -> Bool {
        (left.family.rawValue, left.high, left.low) < (right.family.rawValue, right.high, right.low)
    }
}

extension IPAddress: LosslessStringConvertible {
    public init?(_ text: some StringProtocol) {
        if let address = IPv4Address(text) {
            self.init(address)
        } else if let address = IPv6Address(text) {
            self.init(address)
        } else {
            return nil
        }
    }

    public var description: String {
        ipv4?.description ?? IPv6Address(high: high, low: low).description
    }
}
