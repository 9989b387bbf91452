// Big-endian loads and stores on raw spans, the only way this target touches octets. Each access checks its bounds:
// one compare is cheap, a read behind a frame is not. Offsets are octets from the start of the span.

package import Addressing

extension RawSpan {
    @inlinable package func loadUInt8(at offset: Int) -> UInt8 {
        unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    @inlinable package func loadUInt16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    @inlinable package func loadUInt32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inlinable package func loadUInt64(at offset: Int) -> UInt64 {
        UInt64(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    package func loadMACAddress(at offset: Int) -> MACAddress {
        MACAddress(rawValue: UInt64(loadUInt16(at: offset)) << 32 | UInt64(loadUInt32(at: offset + 2)))
    }

    package func loadIPv4Address(at offset: Int) -> IPv4Address { IPv4Address(rawValue: loadUInt32(at: offset)) }

    package func loadIPv6Address(at offset: Int) -> IPv6Address {
        IPv6Address(high: loadUInt64(at: offset), low: loadUInt64(at: offset + 8))
    }

    /// A copy of the octets in `range`.
    package func copy(_ range: Range<Int>) -> [UInt8] {
        extracting(range).withUnsafeBytes { Array($0) }
    }
}

extension MutableRawSpan {
    @inlinable package func loadUInt8(at offset: Int) -> UInt8 { bytes.loadUInt8(at: offset) }
    @inlinable package func loadUInt16(at offset: Int) -> UInt16 { bytes.loadUInt16(at: offset) }
    @inlinable package func loadUInt32(at offset: Int) -> UInt32 { bytes.loadUInt32(at: offset) }
    @inlinable package func loadUInt64(at offset: Int) -> UInt64 { bytes.loadUInt64(at: offset) }
    package func loadMACAddress(at offset: Int) -> MACAddress { bytes.loadMACAddress(at: offset) }
    package func loadIPv4Address(at offset: Int) -> IPv4Address { bytes.loadIPv4Address(at: offset) }
    package func loadIPv6Address(at offset: Int) -> IPv6Address { bytes.loadIPv6Address(at: offset) }

    @inlinable package mutating func storeUInt8(_ value: UInt8, at offset: Int) {
        storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }

    @inlinable package mutating func storeUInt16(_ value: UInt16, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    @inlinable package mutating func storeUInt32(_ value: UInt32, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    @inlinable package mutating func storeUInt64(_ value: UInt64, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }

    package mutating func storeMACAddress(_ address: MACAddress, at offset: Int) {
        storeUInt16(UInt16(truncatingIfNeeded: address.rawValue >> 32), at: offset)
        storeUInt32(UInt32(truncatingIfNeeded: address.rawValue), at: offset + 2)
    }

    package mutating func storeIPv4Address(_ address: IPv4Address, at offset: Int) {
        storeUInt32(address.rawValue, at: offset)
    }

    package mutating func storeIPv6Address(_ address: IPv6Address, at offset: Int) {
        storeUInt64(address.high, at: offset)
        storeUInt64(address.low, at: offset + 8)
    }

    /// Stores an address of either family in its own size: 4 or 16 octets.
    package mutating func storeIPAddress(_ address: IPAddress, at offset: Int) {
        if let address = address.ipv4 {
            storeIPv4Address(address, at: offset)
        } else if let address = address.ipv6 {
            storeIPv6Address(address, at: offset)
        }
    }

    /// Copies all of `source` to `offset`.
    package mutating func store(_ source: RawSpan, at offset: Int) {
        precondition(
            offset >= 0 && offset <= byteCount && source.byteCount <= byteCount - offset, "octets do not fit")
        guard source.byteCount > 0 else { return }
        withUnsafeMutableBytes { target in
            source.withUnsafeBytes { target[offset..<offset + $0.count].copyBytes(from: $0) }
        }
    }

    package mutating func store(_ source: [UInt8], at offset: Int) { store(source.span.bytes, at: offset) }

    package mutating func fill(_ range: Range<Int>, with value: UInt8 = 0) {
        for offset in range { storeUInt8(value, at: offset) }
    }
}
