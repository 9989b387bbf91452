// ICMP for IPv6 (RFC 4443): the eight octets every message starts with. Numbers follow include/uapi/linux/icmpv6.h;
// the names are those of the REJECT target and of ip6tables -m icmp6 where these have one.

/// Type and code together.
public struct ICMPv6Kind: Hashable, Sendable, BitwiseCopyable {
    public let type: UInt8
    public let code: UInt8

    public init(type: UInt8, code: UInt8 = 0) {
        self.type = type
        self.code = code
    }

    public static let noRoute = ICMPv6Kind(type: 1, code: 0)
    public static let administrativelyProhibited = ICMPv6Kind(type: 1, code: 1)
    public static let beyondScope = ICMPv6Kind(type: 1, code: 2)
    public static let addressUnreachable = ICMPv6Kind(type: 1, code: 3)
    public static let portUnreachable = ICMPv6Kind(type: 1, code: 4)
    public static let policyFailed = ICMPv6Kind(type: 1, code: 5)
    public static let rejectRoute = ICMPv6Kind(type: 1, code: 6)
    public static let packetTooBig = ICMPv6Kind(type: 2)
    public static let hopLimitExceeded = ICMPv6Kind(type: 3, code: 0)
    public static let reassemblyTimeExceeded = ICMPv6Kind(type: 3, code: 1)
    public static let parameterProblem = ICMPv6Kind(type: 4, code: 0)
    public static let unknownNextHeader = ICMPv6Kind(type: 4, code: 1)
    public static let echoRequest = ICMPv6Kind(type: 128)
    public static let echoReply = ICMPv6Kind(type: 129)
    public static let routerSolicitation = ICMPv6Kind(type: 133)
    public static let routerAdvertisement = ICMPv6Kind(type: 134)
    public static let neighborSolicitation = ICMPv6Kind(type: 135)
    public static let neighborAdvertisement = ICMPv6Kind(type: 136)
    public static let redirect = ICMPv6Kind(type: 137)
    public static let multicastListenerReport2 = ICMPv6Kind(type: 143)

    /// RFC 4443 section 2.1: error messages have the high bit clear.
    public var isError: Bool { type & 0x80 == 0 }
    public var isEcho: Bool { type == 128 || type == 129 }
}

/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |     type      |     code      |           checksum            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |      rest of header: identifier and sequence number (echo),   |
/// |      MTU (packet too big), pointer, flags (advertisement)     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct ICMPv6Message: Hashable, Sendable, BitwiseCopyable {
    public static let length = 8

    package enum Offset {
        package static let type = 0
        package static let code = 1
        package static let checksum = 2
        package static let restOfHeader = 4
        package static let identifier = 4
        package static let sequence = 6
        package static let payload = 8
    }

    public var kind: ICMPv6Kind
    public var checksum: UInt16
    public var restOfHeader: UInt32

    public init(kind: ICMPv6Kind, restOfHeader: UInt32 = 0, checksum: UInt16 = 0) {
        self.kind = kind
        self.restOfHeader = restOfHeader
        self.checksum = checksum
    }

    /// An echo request or reply.
    public init(kind: ICMPv6Kind, identifier: UInt16, sequence: UInt16) {
        self.init(kind: kind, restOfHeader: UInt32(identifier) << 16 | UInt32(sequence))
    }

    public var type: UInt8 { kind.type }
    public var code: UInt8 { kind.code }

    public var identifier: UInt16 {
        get { UInt16(restOfHeader >> 16) }
        set { restOfHeader = UInt32(newValue) << 16 | restOfHeader & 0xffff }
    }
    public var sequence: UInt16 {
        get { UInt16(truncatingIfNeeded: restOfHeader) }
        set { restOfHeader = restOfHeader & 0xffff_0000 | UInt32(newValue) }
    }
    /// Of packet too big: the size that would have fitted, in all 32 bits.
    public var mtu: UInt32 {
        get { restOfHeader }
        set { restOfHeader = newValue }
    }

    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        try bytes.require(Self.length, at: offset, of: .icmpv6)
        kind = ICMPv6Kind(
            type: bytes.loadUInt8(at: offset + Offset.type), code: bytes.loadUInt8(at: offset + Offset.code))
        checksum = bytes.loadUInt16(at: offset + Offset.checksum)
        restOfHeader = bytes.loadUInt32(at: offset + Offset.restOfHeader)
    }

    /// Writes the header with `checksum` as it is; `TransportChecksum.fill` computes it.
    public func write(to bytes: inout MutableRawSpan, at offset: Int = 0) {
        bytes.storeUInt8(kind.type, at: offset + Offset.type)
        bytes.storeUInt8(kind.code, at: offset + Offset.code)
        bytes.storeUInt16(checksum, at: offset + Offset.checksum)
        bytes.storeUInt32(restOfHeader, at: offset + Offset.restOfHeader)
    }
}
