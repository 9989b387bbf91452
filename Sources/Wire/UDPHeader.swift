// The UDP header (RFC 768; over IPv6 RFC 8200 section 8.1). The checksum covers addresses and payload that this header
// does not know: `TransportChecksum` fills it in.

/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |          source port          |       destination port        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |            length             |           checksum            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct UDPHeader: Hashable, Sendable, BitwiseCopyable {
    public static let length = 8

    package enum Offset {
        package static let sourcePort = 0
        package static let destinationPort = 2
        package static let length = 4
        package static let checksum = 6
    }

    public var sourcePort: UInt16
    public var destinationPort: UInt16
    /// Header and payload.
    public var datagramLength: UInt16
    /// Zero means that the sender computed none, which only IPv4 allows.
    public var checksum: UInt16

    public init(sourcePort: UInt16, destinationPort: UInt16, payloadLength: Int, checksum: UInt16 = 0) {
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.datagramLength = UInt16(Self.length + payloadLength)
        self.checksum = checksum
    }

    public var payloadLength: Int { Int(datagramLength) - Self.length }

    /// Reads the header. Its length field must cover the header; that the payload is there is not asked.
    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        try bytes.require(Self.length, at: offset, of: .udp)
        sourcePort = bytes.loadUInt16(at: offset + Offset.sourcePort)
        destinationPort = bytes.loadUInt16(at: offset + Offset.destinationPort)
        datagramLength = bytes.loadUInt16(at: offset + Offset.length)
        checksum = bytes.loadUInt16(at: offset + Offset.checksum)
        guard datagramLength >= Self.length else {
            throw ParseError(
                layer: .udp, field: "length", offset: offset + Offset.length, reason: .badLength(Int(datagramLength)))
        }
    }

    /// Checks that the whole datagram is among `available` octets that start with this header.
    public func requireComplete(available: Int, at offset: Int = 0) throws(ParseError) {
        guard available >= Int(datagramLength) else {
            throw ParseError(
                layer: .udp, field: "payload", offset: offset + Self.length,
                reason: .truncated(needed: payloadLength, available: max(0, available - Self.length)))
        }
    }

    /// Writes the header with `checksum` as it is.
    public func write(to bytes: inout MutableRawSpan, at offset: Int = 0) {
        bytes.storeUInt16(sourcePort, at: offset + Offset.sourcePort)
        bytes.storeUInt16(destinationPort, at: offset + Offset.destinationPort)
        bytes.storeUInt16(datagramLength, at: offset + Offset.length)
        bytes.storeUInt16(checksum, at: offset + Offset.checksum)
    }
}
