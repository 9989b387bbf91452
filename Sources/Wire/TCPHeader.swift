// The TCP header (RFC 9293 section 3.1, ECN bits RFC 3168).
// Options are read and written by TCPOptions.

/// The control bits.
public struct TCPFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let fin = TCPFlags(rawValue: 0x01)
    public static let syn = TCPFlags(rawValue: 0x02)
    public static let rst = TCPFlags(rawValue: 0x04)
    public static let psh = TCPFlags(rawValue: 0x08)
    public static let ack = TCPFlags(rawValue: 0x10)
    public static let urg = TCPFlags(rawValue: 0x20)
    public static let ece = TCPFlags(rawValue: 0x40)
    public static let cwr = TCPFlags(rawValue: 0x80)
}

/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |          source port          |       destination port        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                        sequence number                        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                     acknowledgment number                     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | data  |       |C|E|U|A|P|R|S|F|                               |
/// |offset | rsvd  |W|C|R|C|S|S|Y|I|            window             |
/// |       |       |R|E|G|K|H|T|N|N|                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |           checksum            |        urgent pointer         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |              options, padded with zeros to 32 bits            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct TCPHeader: Hashable, Sendable {
    /// The length without options.
    public static let length = 20
    public static let maximumLength = 60

    package enum Offset {
        package static let sourcePort = 0
        package static let destinationPort = 2
        package static let sequence = 4
        package static let acknowledgment = 8
        package static let dataOffset = 12
        package static let flags = 13
        package static let window = 14
        package static let checksum = 16
        package static let urgentPointer = 18
        package static let options = 20
    }

    public var sourcePort: UInt16
    public var destinationPort: UInt16
    public var sequence: UInt32
    public var acknowledgment: UInt32
    public var flags: TCPFlags
    /// As on the wire: not yet scaled.
    public var window: UInt16
    public var checksum: UInt16
    public var urgentPointer: UInt16
    public var options: TCPOptions { didSet { headerLength = Self.length + options.length } }
    /// 20 to 60, and where the payload starts. A parsed header keeps the length it had, whatever options were skipped.
    public private(set) var headerLength: Int
    /// How many octets `write` writes: `headerLength`, unless a parsed header packed its options tighter than Linux.
    public var writtenLength: Int { max(headerLength, Self.length + options.length) }

    public init(
        sourcePort: UInt16, destinationPort: UInt16, sequence: UInt32, acknowledgment: UInt32 = 0, flags: TCPFlags,
        window: UInt16, options: TCPOptions = TCPOptions(), urgentPointer: UInt16 = 0, checksum: UInt16 = 0
    ) {
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.sequence = sequence
        self.acknowledgment = acknowledgment
        self.flags = flags
        self.window = window
        self.checksum = checksum
        self.urgentPointer = urgentPointer
        self.options = options
        headerLength = Self.length + options.length
    }

    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        let headerLength = try Self.headerLength(of: bytes, at: offset)
        sourcePort = bytes.loadUInt16(at: offset + Offset.sourcePort)
        destinationPort = bytes.loadUInt16(at: offset + Offset.destinationPort)
        sequence = bytes.loadUInt32(at: offset + Offset.sequence)
        acknowledgment = bytes.loadUInt32(at: offset + Offset.acknowledgment)
        let flags = TCPFlags(rawValue: bytes.loadUInt8(at: offset + Offset.flags))
        self.flags = flags
        window = bytes.loadUInt16(at: offset + Offset.window)
        checksum = bytes.loadUInt16(at: offset + Offset.checksum)
        urgentPointer = bytes.loadUInt16(at: offset + Offset.urgentPointer)
        options = TCPOptions(
            parsing: bytes, in: offset + Offset.options..<offset + headerLength, isSynchronize: flags.contains(.syn))
        self.headerLength = headerLength
    }

    /// Checks the data offset and that the whole header is there; gives the header length.
    package static func headerLength(of bytes: RawSpan, at offset: Int = 0) throws(ParseError) -> Int {
        try bytes.require(Self.length, at: offset, of: .tcp)
        let headerLength = Int(bytes.loadUInt8(at: offset + Offset.dataOffset) >> 4) * 4
        guard headerLength >= Self.length else {
            throw ParseError(
                layer: .tcp, field: "data offset", offset: offset + Offset.dataOffset,
                reason: .badLength(headerLength))
        }
        try bytes.require(headerLength, at: offset, of: .tcp, field: "options")
        return headerLength
    }

    /// Writes `writtenLength` octets with `checksum` as it is; `TransportChecksum.fill` computes it.
    public func write(to bytes: inout MutableRawSpan, at offset: Int = 0) {
        let headerLength = writtenLength
        precondition(headerLength <= Self.maximumLength, "TCP options exceed 40 octets")
        bytes.storeUInt16(sourcePort, at: offset + Offset.sourcePort)
        bytes.storeUInt16(destinationPort, at: offset + Offset.destinationPort)
        bytes.storeUInt32(sequence, at: offset + Offset.sequence)
        bytes.storeUInt32(acknowledgment, at: offset + Offset.acknowledgment)
        bytes.storeUInt8(UInt8(headerLength / 4) << 4, at: offset + Offset.dataOffset)
        bytes.storeUInt8(flags.rawValue, at: offset + Offset.flags)
        bytes.storeUInt16(window, at: offset + Offset.window)
        bytes.storeUInt16(checksum, at: offset + Offset.checksum)
        bytes.storeUInt16(urgentPointer, at: offset + Offset.urgentPointer)
        options.write(to: &bytes, at: offset + Offset.options)
        bytes.fill(offset + Self.length + options.length..<offset + headerLength)
    }
}
