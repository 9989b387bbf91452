// The SCTP common header and chunk header (RFC 9260 section 3), enough to carry INIT, INIT ACK and ABORT through NAT,
// and CRC32c (appendix A). Chunk parameters are left to whoever sends them.

/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |          source port          |       destination port        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       verification tag                        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                  checksum (little-endian CRC32c)              |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  chunk type   |  chunk flags  |         chunk length          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct SCTPHeader: Hashable, Sendable, BitwiseCopyable {
    /// The common header alone.
    public static let length = 12

    package enum Offset {
        package static let sourcePort = 0
        package static let destinationPort = 2
        package static let verificationTag = 4
        package static let checksum = 8
        package static let chunks = 12
    }

    public var sourcePort: UInt16
    public var destinationPort: UInt16
    public var verificationTag: UInt32
    /// The four octets as they stand, not swapped.
    public var checksum: UInt32

    public init(sourcePort: UInt16, destinationPort: UInt16, verificationTag: UInt32, checksum: UInt32 = 0) {
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.verificationTag = verificationTag
        self.checksum = checksum
    }

    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        try bytes.require(Self.length, at: offset, of: .sctp)
        sourcePort = bytes.loadUInt16(at: offset + Offset.sourcePort)
        destinationPort = bytes.loadUInt16(at: offset + Offset.destinationPort)
        verificationTag = bytes.loadUInt32(at: offset + Offset.verificationTag)
        checksum = bytes.loadUInt32(at: offset + Offset.checksum)
    }

    /// Writes the header with `checksum` as it is; `TransportChecksum.fill` computes it.
    public func write(to bytes: inout MutableRawSpan, at offset: Int = 0) {
        bytes.storeUInt16(sourcePort, at: offset + Offset.sourcePort)
        bytes.storeUInt16(destinationPort, at: offset + Offset.destinationPort)
        bytes.storeUInt32(verificationTag, at: offset + Offset.verificationTag)
        bytes.storeUInt32(checksum, at: offset + Offset.checksum)
    }
}

/// Type, flags and length in front of every chunk.
public struct SCTPChunkHeader: Hashable, Sendable, BitwiseCopyable {
    public static let length = 4

    public static let data: UInt8 = 0
    public static let initiation: UInt8 = 1
    public static let initiationAcknowledgment: UInt8 = 2
    public static let abort: UInt8 = 6
    public static let shutdown: UInt8 = 7
    public static let cookieEcho: UInt8 = 10
    public static let cookieAcknowledgment: UInt8 = 11

    public var type: UInt8
    public var flags: UInt8
    /// Header and value without the padding to four octets.
    public var chunkLength: UInt16

    public init(type: UInt8, flags: UInt8 = 0, valueLength: Int) {
        self.type = type
        self.flags = flags
        self.chunkLength = UInt16(Self.length + valueLength)
    }

    /// Where the next chunk starts, counted from this one.
    public var paddedLength: Int { (Int(chunkLength) + 3) & ~3 }

    public init(parsing bytes: RawSpan, at offset: Int) throws(ParseError) {
        try bytes.require(Self.length, at: offset, of: .sctp, field: "chunk header")
        type = bytes.loadUInt8(at: offset)
        flags = bytes.loadUInt8(at: offset + 1)
        chunkLength = bytes.loadUInt16(at: offset + 2)
        guard chunkLength >= Self.length else {
            throw ParseError(
                layer: .sctp, field: "chunk length", offset: offset + 2, reason: .badLength(Int(chunkLength)))
        }
    }

    public func write(to bytes: inout MutableRawSpan, at offset: Int) {
        bytes.storeUInt8(type, at: offset)
        bytes.storeUInt8(flags, at: offset + 1)
        bytes.storeUInt16(chunkLength, at: offset + 2)
    }
}

/// The Castagnoli CRC, reflected, as SCTP uses it.
struct CRC32C {
    private var register: UInt32 = .max

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value >> 1 ^ (value & 1 == 1 ? 0x82f6_3b78 : 0) }
    }

    private mutating func add(_ byte: UInt8) {
        register = register >> 8 ^ Self.table[Int(UInt8(truncatingIfNeeded: register) ^ byte)]
    }

    mutating func add(_ bytes: RawSpan, in range: Range<Int>) {
        for offset in range { add(bytes.loadUInt8(at: offset)) }
    }

    mutating func addZeros(_ count: Int) {
        for _ in 0..<count { add(0) }
    }

    var value: UInt32 { ~register }

    static func checksum(_ bytes: RawSpan, in range: Range<Int>) -> UInt32 {
        var crc = CRC32C()
        crc.add(bytes, in: range)
        return crc.value
    }
}
