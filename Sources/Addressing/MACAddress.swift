// 48-bit Ethernet addresses (IEEE 802) as one number, with the colon-separated text form `ip link` prints.
// No EUI-64 and no vendor names.

/// An Ethernet address, for example `02:00:00:00:00:01`.
public struct MACAddress: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// The address as a number in the low 48 bits.
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue & 0xffff_ffff_ffff }

    public static let zero = MACAddress(rawValue: 0)
    public static let broadcast = MACAddress(rawValue: 0xffff_ffff_ffff)

    public var isBroadcast: Bool { self == .broadcast }
    /// The group bit: multicast, broadcast included.
    public var isMulticast: Bool { rawValue >> 40 & 1 == 1 }
    public var isLocallyAdministered: Bool { rawValue >> 41 & 1 == 1 }

    /// A random-looking address as the kernel's `eth_random_addr` makes one from random bits:
    /// group bit clear, locally administered bit set.
    public init(randomBits: UInt64) {
        self.init(rawValue: randomBits & 0xfeff_ffff_ffff | 0x0200_0000_0000)
    }

    /// The Ethernet group address of an IPv4 multicast group, RFC 1112 section 6.4.
    public init(multicast group: IPv4Address) {
        self.init(rawValue: 0x0100_5e00_0000 | UInt64(group.rawValue & 0x7f_ffff))
    }

    public var octets: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: rawValue >> UInt64(40 - 8 * $0)) } }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension MACAddress: LosslessStringConvertible {
    /// Reads six two-digit hexadecimal octets separated by colons.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard bytes.count == 17 else { return nil }
        var value: UInt64 = 0
        for index in 0..<17 {
            if index % 3 == 2 {
                guard bytes[index] == UInt8(ascii: ":") else { return nil }
            } else {
                guard let digit = hexadecimalDigit(bytes[index]) else { return nil }
                value = value << 4 | UInt64(digit)
            }
        }
        rawValue = value
    }

    public var description: String {
        octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
