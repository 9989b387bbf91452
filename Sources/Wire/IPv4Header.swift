// The IPv4 header (RFC 791, differentiated services RFC 2474). Parsing demands what net/ipv4/ip_input.c ip_rcv_core
// demands of the header itself; whether the packet is complete is a question of its own, because the packet quoted in
// an ICMP error never is. Options are carried as octets and not interpreted.

public import Addressing

/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |version|  IHL  | traffic class |         total length          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |        identification         |0|D|M|     fragment offset     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | time to live  |   protocol    |        header checksum        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                            source                             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                          destination                          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |               options, padded with zeros to 32 bits           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct IPv4Header: Hashable, Sendable {
    /// The length without options.
    public static let length = 20
    public static let maximumLength = 60

    package enum Offset {
        package static let versionAndLength = 0
        package static let trafficClass = 1
        package static let totalLength = 2
        package static let identification = 4
        package static let flagsAndFragmentOffset = 6
        package static let timeToLive = 8
        package static let `protocol` = 9
        package static let headerChecksum = 10
        package static let source = 12
        package static let destination = 16
        package static let options = 20
    }

    package static let dontFragmentBit: UInt16 = 0x4000
    package static let moreFragmentsBit: UInt16 = 0x2000
    package static let fragmentOffsetMask: UInt16 = 0x1fff

    /// Type of service, today six bits DSCP and two bits ECN.
    public var trafficClass: UInt8
    /// Header and payload.
    public var totalLength: UInt16
    public var identification: UInt16
    public var dontFragment: Bool
    public var moreFragments: Bool
    /// Where this fragment's payload belongs, in octets: always a multiple of eight.
    public var fragmentByteOffset: Int
    public var timeToLive: UInt8
    public var `protocol`: IPProtocol
    /// As parsed. Writing computes it anew and ignores this value.
    public var headerChecksum: UInt16
    public var source: IPv4Address
    public var destination: IPv4Address
    /// Options with their padding, 40 octets at most; usually none.
    public var options: [UInt8]

    public init(
        source: IPv4Address, destination: IPv4Address, protocol number: IPProtocol, payloadLength: Int,
        timeToLive: UInt8 = 64, trafficClass: UInt8 = 0, identification: UInt16 = 0, dontFragment: Bool = false,
        moreFragments: Bool = false, fragmentByteOffset: Int = 0, options: [UInt8] = []
    ) {
        self.trafficClass = trafficClass
        self.identification = identification
        self.dontFragment = dontFragment
        self.moreFragments = moreFragments
        self.fragmentByteOffset = fragmentByteOffset
        self.timeToLive = timeToLive
        self.protocol = number
        self.headerChecksum = 0
        self.source = source
        self.destination = destination
        self.options = options
        totalLength = 0
        totalLength = UInt16(headerLength + payloadLength)
    }

    /// 20 to 60.
    public var headerLength: Int { Self.length + (options.count + 3) & ~3 }
    public var payloadLength: Int { Int(totalLength) - headerLength }
    /// Part of a larger packet, the first and the last part included.
    public var isFragment: Bool { moreFragments || fragmentByteOffset != 0 }

    /// Reads the header. The total length must cover the header; that the payload is there is not asked.
    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        let headerLength = try Self.headerLength(of: bytes, at: offset)
        trafficClass = bytes.loadUInt8(at: offset + Offset.trafficClass)
        totalLength = bytes.loadUInt16(at: offset + Offset.totalLength)
        identification = bytes.loadUInt16(at: offset + Offset.identification)
        let fragment = bytes.loadUInt16(at: offset + Offset.flagsAndFragmentOffset)
        dontFragment = fragment & Self.dontFragmentBit != 0
        moreFragments = fragment & Self.moreFragmentsBit != 0
        fragmentByteOffset = Int(fragment & Self.fragmentOffsetMask) * 8
        timeToLive = bytes.loadUInt8(at: offset + Offset.timeToLive)
        `protocol` = IPProtocol(rawValue: bytes.loadUInt8(at: offset + Offset.protocol))
        headerChecksum = bytes.loadUInt16(at: offset + Offset.headerChecksum)
        source = bytes.loadIPv4Address(at: offset + Offset.source)
        destination = bytes.loadIPv4Address(at: offset + Offset.destination)
        options =
            headerLength == Self.length ? [] : bytes.copy(offset + Offset.options..<offset + headerLength)
        guard Int(totalLength) >= headerLength else {
            throw ParseError(
                layer: .ipv4, field: "total length", offset: offset + Offset.totalLength,
                reason: .badLength(Int(totalLength)))
        }
    }

    /// Checks version, length field and that the whole header is there; gives the header length.
    package static func headerLength(of bytes: RawSpan, at offset: Int = 0) throws(ParseError) -> Int {
        try bytes.require(Self.length, at: offset, of: .ipv4)
        let first = bytes.loadUInt8(at: offset)
        guard first >> 4 == 4 else {
            throw ParseError(layer: .ipv4, field: "version", offset: offset, reason: .badVersion(Int(first >> 4)))
        }
        let headerLength = Int(first & 0xf) * 4
        guard headerLength >= Self.length else {
            throw ParseError(layer: .ipv4, field: "IHL", offset: offset, reason: .badLength(headerLength))
        }
        try bytes.require(headerLength, at: offset, of: .ipv4, field: "options")
        return headerLength
    }

    /// Checks that the whole packet is among `available` octets that start with this header, as ip_rcv_core does.
    /// More octets than the total length are Ethernet padding and fine.
    public func requireComplete(available: Int, at offset: Int = 0) throws(ParseError) {
        guard available >= Int(totalLength) else {
            throw ParseError(
                layer: .ipv4, field: "payload", offset: offset + headerLength,
                reason: .truncated(needed: payloadLength, available: max(0, available - headerLength)))
        }
    }

    /// Writes `headerLength` octets with a right checksum.
    public func write(to bytes: inout MutableRawSpan, at offset: Int = 0) {
        precondition(options.count <= Self.maximumLength - Self.length, "IPv4 options exceed 40 octets")
        precondition(fragmentByteOffset & 7 == 0 && fragmentByteOffset < 0x10000, "fragment offset out of range")
        let headerLength = self.headerLength
        var fragment = UInt16(fragmentByteOffset / 8)
        if dontFragment { fragment |= Self.dontFragmentBit }
        if moreFragments { fragment |= Self.moreFragmentsBit }
        bytes.storeUInt8(UInt8(0x40 | headerLength / 4), at: offset + Offset.versionAndLength)
        bytes.storeUInt8(trafficClass, at: offset + Offset.trafficClass)
        bytes.storeUInt16(totalLength, at: offset + Offset.totalLength)
        bytes.storeUInt16(identification, at: offset + Offset.identification)
        bytes.storeUInt16(fragment, at: offset + Offset.flagsAndFragmentOffset)
        bytes.storeUInt8(timeToLive, at: offset + Offset.timeToLive)
        bytes.storeUInt8(`protocol`.rawValue, at: offset + Offset.protocol)
        bytes.storeUInt16(0, at: offset + Offset.headerChecksum)
        bytes.storeIPv4Address(source, at: offset + Offset.source)
        bytes.storeIPv4Address(destination, at: offset + Offset.destination)
        if !options.isEmpty {
            bytes.store(options, at: offset + Offset.options)
            bytes.fill(offset + Offset.options + options.count..<offset + headerLength)
        }
        let checksum = Checksum.of(bytes.bytes, in: offset..<offset + headerLength)
        bytes.storeUInt16(checksum, at: offset + Offset.headerChecksum)
    }

    /// Whether the checksum of the header at `offset` is right. Call it behind a successful parse.
    public static func verifyChecksum(_ bytes: RawSpan, at offset: Int = 0) -> Bool {
        let headerLength = Int(bytes.loadUInt8(at: offset) & 0xf) * 4
        return Checksum.of(bytes, in: offset..<offset + headerLength) == 0
    }

    // MARK: Changes in place

    /// Lowers the time to live and keeps the checksum right, as include/net/ip.h ip_decrease_ttl does.
    package static func decrementTimeToLive(_ bytes: inout MutableRawSpan, at offset: Int = 0) {
        let old = bytes.loadUInt16(at: offset + Offset.timeToLive)
        bytes.storeUInt8(UInt8(truncatingIfNeeded: old >> 8) &- 1, at: offset + Offset.timeToLive)
        let new = bytes.loadUInt16(at: offset + Offset.timeToLive)
        let checksum = bytes.loadUInt16(at: offset + Offset.headerChecksum)
        bytes.storeUInt16(
            Checksum.update(checksum, replacing: old, with: new), at: offset + Offset.headerChecksum)
    }

    /// Replaces the address at `position`, which is `Offset.source` or `Offset.destination`, and keeps the header
    /// checksum right. The transport checksum is the caller's, see `TransportChecksum.replace`.
    package static func replaceAddress(
        _ bytes: inout MutableRawSpan, at offset: Int = 0, position: Int, with address: IPv4Address
    ) {
        let old = bytes.loadUInt32(at: offset + position)
        let checksum = bytes.loadUInt16(at: offset + Offset.headerChecksum)
        bytes.storeUInt32(address.rawValue, at: offset + position)
        bytes.storeUInt16(
            Checksum.update(checksum, replacing: old, with: address.rawValue), at: offset + Offset.headerChecksum)
    }
}
