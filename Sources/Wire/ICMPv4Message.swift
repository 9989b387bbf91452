// ICMP for IPv4 (RFC 792, next-hop MTU RFC 1191): the eight octets every message starts with. Errors quote the packet
// they are about behind them. Numbers and names follow include/uapi/linux/icmp.h.

/// Type and code together: only both say what a message means.
public struct ICMPv4Kind: Hashable, Sendable, BitwiseCopyable {
    public let type: UInt8
    public let code: UInt8

    public init(type: UInt8, code: UInt8 = 0) {
        self.type = type
        self.code = code
    }

    public static let echoReply = ICMPv4Kind(type: 0)
    public static let echoRequest = ICMPv4Kind(type: 8)
    public static let networkUnreachable = ICMPv4Kind(type: 3, code: 0)
    public static let hostUnreachable = ICMPv4Kind(type: 3, code: 1)
    public static let protocolUnreachable = ICMPv4Kind(type: 3, code: 2)
    public static let portUnreachable = ICMPv4Kind(type: 3, code: 3)
    public static let fragmentationNeeded = ICMPv4Kind(type: 3, code: 4)
    public static let sourceRouteFailed = ICMPv4Kind(type: 3, code: 5)
    public static let networkUnknown = ICMPv4Kind(type: 3, code: 6)
    public static let hostUnknown = ICMPv4Kind(type: 3, code: 7)
    /// `icmp-net-prohibited`
    public static let networkProhibited = ICMPv4Kind(type: 3, code: 9)
    /// `icmp-host-prohibited`
    public static let hostProhibited = ICMPv4Kind(type: 3, code: 10)
    /// `icmp-admin-prohibited`
    public static let packetFiltered = ICMPv4Kind(type: 3, code: 13)
    public static let redirectNetwork = ICMPv4Kind(type: 5, code: 0)
    public static let redirectHost = ICMPv4Kind(type: 5, code: 1)
    public static let timeToLiveExceeded = ICMPv4Kind(type: 11, code: 0)
    public static let reassemblyTimeExceeded = ICMPv4Kind(type: 11, code: 1)
    public static let parameterProblem = ICMPv4Kind(type: 12, code: 0)

    /// The message is about another packet and quotes it; no error is ever sent about it.
    public var isError: Bool { type == 3 || type == 4 || type == 5 || type == 11 || type == 12 }
    public var isEcho: Bool { type == 0 || type == 8 }
}

/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |     type      |     code      |           checksum            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |      rest of header: identifier and sequence number (echo),   |
/// |      unused and next-hop MTU (fragmentation needed), gateway  |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |      payload: echo data, or the offending packet from its     |
/// |      network header on                                        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct ICMPv4Message: Hashable, Sendable, BitwiseCopyable {
    public static let length = 8

    package enum Offset {
        package static let type = 0
        package static let code = 1
        package static let checksum = 2
        package static let restOfHeader = 4
        package static let identifier = 4
        package static let sequence = 6
        package static let nextHopMTU = 6
        package static let payload = 8
    }

    public var kind: ICMPv4Kind
    public var checksum: UInt16
    public var restOfHeader: UInt32

    public init(kind: ICMPv4Kind, restOfHeader: UInt32 = 0, checksum: UInt16 = 0) {
        self.kind = kind
        self.restOfHeader = restOfHeader
        self.checksum = checksum
    }

    /// An echo request or reply.
    public init(kind: ICMPv4Kind, identifier: UInt16, sequence: UInt16) {
        self.init(kind: kind, restOfHeader: UInt32(identifier) << 16 | UInt32(sequence))
    }

    public var type: UInt8 { kind.type }
    public var code: UInt8 { kind.code }

    /// Of an echo: which ping it belongs to.
    public var identifier: UInt16 {
        get { UInt16(restOfHeader >> 16) }
        set { restOfHeader = UInt32(newValue) << 16 | restOfHeader & 0xffff }
    }
    /// Of an echo: its number within the ping.
    public var sequence: UInt16 {
        get { UInt16(truncatingIfNeeded: restOfHeader) }
        set { restOfHeader = restOfHeader & 0xffff_0000 | UInt32(newValue) }
    }
    /// Of fragmentation needed: the size that would have fitted.
    public var nextHopMTU: UInt16 {
        get { UInt16(truncatingIfNeeded: restOfHeader) }
        set { restOfHeader = restOfHeader & 0xffff_0000 | UInt32(newValue) }
    }

    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        try bytes.require(Self.length, at: offset, of: .icmpv4)
        kind = ICMPv4Kind(
            type: bytes.loadUInt8(at: offset + Offset.type), code: bytes.loadUInt8(at: offset + Offset.code))
        checksum = bytes.loadUInt16(at: offset + Offset.checksum)
        restOfHeader = bytes.loadUInt32(at: offset + Offset.restOfHeader)
    }

    /// Writes the header with `checksum` as it is; `TransportChecksum.fill` computes it over the payload.
    public func write(to bytes: inout MutableRawSpan, at offset: Int = 0) {
        bytes.storeUInt8(kind.type, at: offset + Offset.type)
        bytes.storeUInt8(kind.code, at: offset + Offset.code)
        bytes.storeUInt16(checksum, at: offset + Offset.checksum)
        bytes.storeUInt32(restOfHeader, at: offset + Offset.restOfHeader)
    }
}
