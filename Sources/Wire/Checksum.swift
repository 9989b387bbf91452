// The internet checksum: RFC 1071 (the sum), RFC 1624 (changing it in place), and the pseudo headers of RFC 9293
// section 3.1 and RFC 8200 section 8.1, as lib/checksum.c and net/core/utils.c have them.
// The ones' complement sum does not care about byte order, so octets are added as the machine reads them, 32 bits at
// a time into 64 bits, and swapped once at the end.

public import Addressing

/// A running internet checksum.
public struct Checksum: Sendable, BitwiseCopyable {
    /// The sum so far in network byte order; carries gather in the upper half.
    private var sum: UInt64 = 0
    /// Whether an odd count of octets was added: the next octet then is the low half of a word.
    private var isOdd = false

    public init() {}

    /// Adds the octets of `range`. A range that follows an odd one continues in the middle of a word.
    public mutating func add(_ bytes: RawSpan, in range: Range<Int>) {
        let folded = Checksum.fold(Checksum.rawSum(bytes.extracting(range)))
        // On a little-endian machine the loads put the first octet low, so the folded sum is swapped here, unless
        // the odd start swaps it back.
        let word = UInt16(bigEndian: folded)
        sum &+= UInt64(isOdd ? word.byteSwapped : word)
        isOdd = isOdd != (range.count & 1 == 1)
    }

    public mutating func add(_ word: UInt16) { sum &+= UInt64(word) }
    public mutating func add(_ word: UInt32) { sum &+= UInt64(word >> 16) &+ UInt64(word & 0xffff) }

    public mutating func add(_ address: IPAddress) {
        if let address = address.ipv4 {
            add(address.rawValue)
        } else if let address = address.ipv6 {
            add(UInt32(truncatingIfNeeded: address.high >> 32))
            add(UInt32(truncatingIfNeeded: address.high))
            add(UInt32(truncatingIfNeeded: address.low >> 32))
            add(UInt32(truncatingIfNeeded: address.low))
        }
    }

    /// Adds the pseudo header of the addresses' family; `length` is that of transport header and data.
    public mutating func addPseudoHeader(
        source: IPAddress, destination: IPAddress, protocol number: IPProtocol, length: Int
    ) {
        add(source)
        add(destination)
        add(UInt16(number.rawValue))
        add(UInt32(truncatingIfNeeded: length))
    }

    /// The checksum to put into a header whose checksum field was zero while it was added. Zero when a header that
    /// holds a right checksum was added whole.
    public var value: UInt16 { ~Checksum.fold(sum) }

    /// The checksum over one range.
    public static func of(_ bytes: RawSpan, in range: Range<Int>) -> UInt16 {
        var checksum = Checksum()
        checksum.add(bytes, in: range)
        return checksum.value
    }

    // MARK: Changing a checksum in place

    /// RFC 1624 equation 3: the checksum after a 16-bit word at an even place of the covered octets changed.
    public static func update(_ checksum: UInt16, replacing old: UInt16, with new: UInt16) -> UInt16 {
        ~fold(UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
    }

    /// The same for 32 bits, for instance an IPv4 address.
    public static func update(_ checksum: UInt16, replacing old: UInt32, with new: UInt32) -> UInt16 {
        let removed = UInt64(~old >> 16) &+ UInt64(~old & 0xffff)
        let added = UInt64(new >> 16) &+ UInt64(new & 0xffff)
        return ~fold(UInt64(~checksum) &+ removed &+ added)
    }

    /// The same for an address of either family; both must be of one family.
    public static func update(_ checksum: UInt16, replacing old: IPAddress, with new: IPAddress) -> UInt16 {
        precondition(old.family == new.family, "addresses of two families")
        var before = Checksum()
        before.add(old)
        var after = Checksum()
        after.add(new)
        // `value` is the complement, which is what has to be added for the words that go away.
        return ~fold(UInt64(~checksum) &+ UInt64(before.value) &+ UInt64(~after.value))
    }

    // MARK: Arithmetic

    /// Folds the carries back in until 16 bits are left.
    static func fold(_ sum: UInt64) -> UInt16 {
        var sum = (sum >> 32) &+ (sum & 0xffff_ffff)
        sum = (sum >> 16) &+ (sum & 0xffff)
        sum = (sum >> 16) &+ (sum & 0xffff)
        sum = (sum >> 16) &+ (sum & 0xffff)
        return UInt16(truncatingIfNeeded: sum)
    }

    /// The unfolded sum in machine byte order. 2^32 loads fit before 64 bits overflow.
    static func rawSum(_ bytes: RawSpan) -> UInt64 {
        var sum: UInt64 = 0
        var offset = 0
        let count = bytes.byteCount
        while count - offset >= 4 {
            sum &+= UInt64(bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt32.self))
            offset += 4
        }
        if count - offset >= 2 {
            sum &+= UInt64(bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt16.self))
            offset += 2
        }
        if offset < count {
            // The missing octet is a zero behind the last one.
            sum &+= UInt64(UInt16(bytes.loadUInt8(at: offset)).littleEndian)
        }
        return sum
    }
}
