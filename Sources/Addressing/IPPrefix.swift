// Two ideas that look alike in text and are not: a prefix names a block of addresses, an interface address
// names one address and the block it is on-link in.

/// A block of addresses such as `10.244.0.0/16`. Bits behind the length are zero by construction.
public struct IPPrefix: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// The first address of the block.
    public let address: IPAddress
    /// 0 to 32, or 0 to 128.
    public let length: Int

    /// The block of that length around `address`. The length must fit the family.
    public init(_ address: IPAddress, length: Int) {
        precondition(length >= 0 && length <= address.family.bitWidth, "prefix length out of range")
        let (high, low) = IPPrefix.mask(length: length, family: address.family)
        self.address = IPAddress(high: address.high & high, low: address.low & low, family: address.family)
        self.length = length
    }

    /// The block that holds one address.
    public init(host address: IPAddress) { self.init(address, length: address.family.bitWidth) }

    public var family: AddressFamily { address.family }
    public var isHost: Bool { length == family.bitWidth }

    /// The last address of the block: the broadcast address of an IPv4 subnet.
    public var last: IPAddress {
        let (high, low) = IPPrefix.mask(length: length, family: family)
        if family == .ipv4 {
            return IPAddress(high: 0, low: address.low | (~low & 0xffff_ffff), family: .ipv4)
        }
        return IPAddress(high: address.high | ~high, low: address.low | ~low, family: .ipv6)
    }

    /// How many addresses the block holds, saturating at `Int.max`.
    public var count: Int {
        let bits = family.bitWidth - length
        return bits >= 63 ? Int.max : 1 << bits
    }

    public func contains(_ other: IPAddress) -> Bool {
        guard other.family == family else { return false }
        let (high, low) = IPPrefix.mask(length: length, family: family)
        return other.high & high == address.high && other.low & low == address.low
    }

    public func contains(_ other: IPPrefix) -> Bool { length <= other.length && contains(other.address) }
    public func overlaps(_ other: IPPrefix) -> Bool { contains(other) || other.contains(self) }

    /// The block number `index` when this block is cut into pieces of `length`; nil if there are not that many.
    public func subnet(_ index: Int, length: Int) -> IPPrefix? {
        guard length >= self.length, length <= family.bitWidth, index >= 0 else { return nil }
        let pieces = length - self.length
        guard pieces >= 63 || index < 1 << pieces else { return nil }
        // Shift the index into place across the two halves.
        let shift = family.bitWidth - length
        let value = UInt64(index)
        let low = shift >= 64 ? 0 : value << UInt64(shift)
        let high = shift >= 64 ? value << UInt64(shift - 64) : (shift == 0 ? 0 : value >> UInt64(64 - shift))
        return IPPrefix(
            IPAddress(high: address.high | high, low: address.low | low, family: family), length: length)
    }

    /// The netmask as two halves; IPv4 uses the low 32 bits.
    package static func mask(length: Int, family: AddressFamily) -> (high: UInt64, low: UInt64) {
        func ones(_ count: Int) -> UInt64 { count <= 0 ? 0 : count >= 64 ? .max : ~(.max >> UInt64(count)) }
        if family == .ipv4 { return (0, ones(length) >> 32) }
        return (ones(length), ones(length - 64))
    }

    public static func < (left: Self, right: Self) -> Bool {
        (left.address, left.length) < (right.address, right.length)
    }
}

extension IPPrefix: LosslessStringConvertible {
    /// Reads `ADDRESS/LENGTH`; bits behind the length must be zero, as `ip route` insists.
    public init?(_ text: some StringProtocol) {
        guard let parsed = InterfaceAddress(text), parsed.prefix.address == parsed.address else { return nil }
        self = parsed.prefix
    }

    public var description: String { "\(address)/\(length)" }
}

/// An address configured on an interface together with its subnet, such as `10.244.1.1/24`.
public struct InterfaceAddress: Hashable, Comparable, Sendable, BitwiseCopyable {
    public let address: IPAddress
    public let prefixLength: Int

    public init(_ address: IPAddress, prefixLength: Int) {
        precondition(prefixLength >= 0 && prefixLength <= address.family.bitWidth, "prefix length out of range")
        self.address = address
        self.prefixLength = prefixLength
    }

    /// The subnet the address is on-link in.
    public var prefix: IPPrefix { IPPrefix(address, length: prefixLength) }

    public static func < (left: Self, right: Self) -> Bool {
        (left.address, left.prefixLength) < (right.address, right.prefixLength)
    }
}

extension InterfaceAddress: LosslessStringConvertible {
    /// Reads `ADDRESS/LENGTH`; host bits may be set. The length is plain decimal without sign or leading zero.
    public init?(_ text: some StringProtocol) {
        guard let slash = text.lastIndex(of: "/"), let address = IPAddress(text[..<slash]) else { return nil }
        let digits = text[text.index(after: slash)...]
        guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
            digits.utf8.first != 0x30 || digits.utf8.count == 1,
            let length = Int(digits), length <= address.family.bitWidth
        else { return nil }
        self.init(address, prefixLength: length)
    }

    public var description: String { "\(address)/\(prefixLength)" }
}
