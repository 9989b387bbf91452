// The IPv6 fixed header (RFC 8200 section 3) and the walk over extension headers to the transport header (section 4,
// net/ipv6/exthdrs_core.c ipv6_skip_exthdr). Options inside extension headers are stepped over, never executed.

public import Addressing

/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |version| traffic class |              flow label               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |         payload length        |  next header  |   hop limit   |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       source (128 bits)                       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                    destination (128 bits)                     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct IPv6Header: Hashable, Sendable, BitwiseCopyable {
    public static let length = 40

    package enum Offset {
        package static let versionClassAndLabel = 0
        package static let payloadLength = 4
        package static let nextHeader = 6
        package static let hopLimit = 7
        package static let source = 8
        package static let destination = 24
    }

    public var trafficClass: UInt8
    /// 20 bits.
    public var flowLabel: UInt32
    /// Everything behind the fixed header, extension headers included.
    public var payloadLength: UInt16
    public var nextHeader: IPProtocol
    public var hopLimit: UInt8
    public var source: IPv6Address
    public var destination: IPv6Address

    public init(
        source: IPv6Address, destination: IPv6Address, nextHeader: IPProtocol, payloadLength: Int,
        hopLimit: UInt8 = 64, trafficClass: UInt8 = 0, flowLabel: UInt32 = 0
    ) {
        self.trafficClass = trafficClass
        self.flowLabel = flowLabel & 0xf_ffff
        self.payloadLength = UInt16(payloadLength)
        self.nextHeader = nextHeader
        self.hopLimit = hopLimit
        self.source = source
        self.destination = destination
    }

    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        try bytes.require(Self.length, at: offset, of: .ipv6)
        let first = bytes.loadUInt32(at: offset + Offset.versionClassAndLabel)
        guard first >> 28 == 6 else {
            throw ParseError(layer: .ipv6, field: "version", offset: offset, reason: .badVersion(Int(first >> 28)))
        }
        trafficClass = UInt8(truncatingIfNeeded: first >> 20)
        flowLabel = first & 0xf_ffff
        payloadLength = bytes.loadUInt16(at: offset + Offset.payloadLength)
        nextHeader = IPProtocol(rawValue: bytes.loadUInt8(at: offset + Offset.nextHeader))
        hopLimit = bytes.loadUInt8(at: offset + Offset.hopLimit)
        source = bytes.loadIPv6Address(at: offset + Offset.source)
        destination = bytes.loadIPv6Address(at: offset + Offset.destination)
    }

    /// Checks that the whole packet is among `available` octets that start with this header.
    public func requireComplete(available: Int, at offset: Int = 0) throws(ParseError) {
        guard available - Self.length >= Int(payloadLength) else {
            throw ParseError(
                layer: .ipv6, field: "payload", offset: offset + Self.length,
                reason: .truncated(needed: Int(payloadLength), available: max(0, available - Self.length)))
        }
    }

    public func write(to bytes: inout MutableRawSpan, at offset: Int = 0) {
        let first = 6 << 28 | UInt32(trafficClass) << 20 | flowLabel & 0xf_ffff
        bytes.storeUInt32(first, at: offset + Offset.versionClassAndLabel)
        bytes.storeUInt16(payloadLength, at: offset + Offset.payloadLength)
        bytes.storeUInt8(nextHeader.rawValue, at: offset + Offset.nextHeader)
        bytes.storeUInt8(hopLimit, at: offset + Offset.hopLimit)
        bytes.storeIPv6Address(source, at: offset + Offset.source)
        bytes.storeIPv6Address(destination, at: offset + Offset.destination)
    }
}

extension IPProtocol {
    public static let hopByHopOptions = IPProtocol(rawValue: 0)
    public static let routingHeader = IPProtocol(rawValue: 43)
    public static let fragmentHeader = IPProtocol(rawValue: 44)
    public static let authenticationHeader = IPProtocol(rawValue: 51)
    public static let noNextHeader = IPProtocol(rawValue: 59)
    public static let destinationOptions = IPProtocol(rawValue: 60)

    /// Another header of the network layer stands behind this number in an IPv6 packet.
    public var isIPv6ExtensionHeader: Bool {
        self == .hopByHopOptions || self == .routingHeader || self == .fragmentHeader
            || self == .authenticationHeader || self == .destinationOptions
    }
}

/// ```
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  next header  |   reserved    |     fragment offset     |res|M|
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                        identification                         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct IPv6FragmentHeader: Hashable, Sendable, BitwiseCopyable {
    public static let length = 8

    package enum Offset {
        package static let nextHeader = 0
        package static let fragmentOffsetAndFlag = 2
        package static let identification = 4
    }

    public var nextHeader: IPProtocol
    /// In octets: always a multiple of eight.
    public var fragmentByteOffset: Int
    public var moreFragments: Bool
    public var identification: UInt32

    public init(nextHeader: IPProtocol, fragmentByteOffset: Int, moreFragments: Bool, identification: UInt32) {
        self.nextHeader = nextHeader
        self.fragmentByteOffset = fragmentByteOffset
        self.moreFragments = moreFragments
        self.identification = identification
    }

    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        try bytes.require(Self.length, at: offset, of: .ipv6, field: "fragment header")
        nextHeader = IPProtocol(rawValue: bytes.loadUInt8(at: offset + Offset.nextHeader))
        let word = bytes.loadUInt16(at: offset + Offset.fragmentOffsetAndFlag)
        fragmentByteOffset = Int(word & 0xfff8)
        moreFragments = word & 1 == 1
        identification = bytes.loadUInt32(at: offset + Offset.identification)
    }

    public func write(to bytes: inout MutableRawSpan, at offset: Int = 0) {
        precondition(fragmentByteOffset & 7 == 0 && fragmentByteOffset < 0x10000, "fragment offset out of range")
        bytes.storeUInt8(nextHeader.rawValue, at: offset + Offset.nextHeader)
        bytes.storeUInt8(0, at: offset + Offset.nextHeader + 1)
        bytes.storeUInt16(
            UInt16(fragmentByteOffset) | (moreFragments ? 1 : 0), at: offset + Offset.fragmentOffsetAndFlag)
        bytes.storeUInt32(identification, at: offset + Offset.identification)
    }
}

/// Where the transport header of an IPv6 packet is.
public struct IPv6UpperLayer: Hashable, Sendable {
    /// The first protocol that is no extension header.
    public var `protocol`: IPProtocol
    /// Where its header starts, counted from the start of the octets.
    public var offset: Int
    /// Present when the packet is a fragment. Behind a fragment that is not the first there is no transport header.
    public var fragment: IPv6FragmentHeader?

    /// More extension headers than this are nobody's honest packet.
    static let maximumHeaders = 16

    /// Walks from the fixed header at `offset` to the transport header.
    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        let fixed = try IPv6Header(parsing: bytes, at: offset)
        try self.init(parsing: bytes, behind: fixed.nextHeader, at: offset + IPv6Header.length)
    }

    /// Walks from the header of protocol `first` at `offset`.
    public init(parsing bytes: RawSpan, behind first: IPProtocol, at offset: Int) throws(ParseError) {
        var next = first
        var position = offset
        var fragment: IPv6FragmentHeader?
        var count = 0
        while next.isIPv6ExtensionHeader {
            count += 1
            guard count <= Self.maximumHeaders else {
                throw ParseError(layer: .ipv6, field: "extension header", offset: position, reason: .badLength(count))
            }
            if next == .fragmentHeader {
                let header = try IPv6FragmentHeader(parsing: bytes, at: position)
                fragment = header
                next = header.nextHeader
                position += IPv6FragmentHeader.length
                if header.fragmentByteOffset != 0 { break }
                continue
            }
            try bytes.require(8, at: position, of: .ipv6, field: "extension header")
            // The authentication header counts in units of four octets less two, the others of eight less one.
            let units = Int(bytes.loadUInt8(at: position + 1))
            let length = next == .authenticationHeader ? (units + 2) * 4 : (units + 1) * 8
            try bytes.require(length, at: position, of: .ipv6, field: "extension header")
            next = IPProtocol(rawValue: bytes.loadUInt8(at: position))
            position += length
        }
        self.protocol = next
        self.offset = position
        self.fragment = fragment
    }
}
