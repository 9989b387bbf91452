// Neighbor solicitation and advertisement (RFC 4861 sections 4.3 and 4.4), the IPv6 counterpart of ARP, and the
// solicited-node group they are sent to (RFC 4291 section 2.7.1). Of the options only the link-layer address is read
// and written; an option of length zero spoils the message, as in net/ipv6/ndisc.c ndisc_parse_options.

public import Addressing

/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | type 135, 136 |   code (0)    |           checksum            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |R|S|O|                        reserved                         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       target (128 bits)                       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | option 1 or 2 |  length (1)   |       link-layer address      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct NeighborDiscoveryMessage: Hashable, Sendable, BitwiseCopyable {
    /// The length without options.
    public static let length = 24
    /// The length of the link-layer address option.
    public static let optionLength = 8

    package enum Offset {
        package static let flags = 4
        package static let target = 8
        package static let options = 24
    }

    /// Advertisement: the sender is a router.
    public var isRouter: Bool
    /// Advertisement: the answer to a solicitation.
    public var isSolicited: Bool
    /// Advertisement: replaces a cached link-layer address.
    public var isOverride: Bool
    public var isAdvertisement: Bool
    public var target: IPv6Address
    /// The source's address in a solicitation, the target's in an advertisement; absent in duplicate detection.
    public var linkLayerAddress: MACAddress?

    public init(soliciting target: IPv6Address, from linkLayerAddress: MACAddress?) {
        isRouter = false
        isSolicited = false
        isOverride = false
        isAdvertisement = false
        self.target = target
        self.linkLayerAddress = linkLayerAddress
    }

    public init(
        advertising target: IPv6Address, at linkLayerAddress: MACAddress?, isRouter: Bool, isSolicited: Bool,
        isOverride: Bool
    ) {
        self.isRouter = isRouter
        self.isSolicited = isSolicited
        self.isOverride = isOverride
        isAdvertisement = true
        self.target = target
        self.linkLayerAddress = linkLayerAddress
    }

    public var kind: ICMPv6Kind { isAdvertisement ? .neighborAdvertisement : .neighborSolicitation }
    /// How many octets `write` writes.
    public var messageLength: Int { Self.length + (linkLayerAddress == nil ? 0 : Self.optionLength) }

    /// Reads the ICMPv6 message in `range`.
    public init(parsing bytes: RawSpan, in range: Range<Int>) throws(ParseError) {
        let offset = range.lowerBound
        try bytes.require(range.count, at: offset, of: .icmpv6)
        guard range.count >= Self.length else {
            throw ParseError(
                layer: .icmpv6, field: "header", offset: offset,
                reason: .truncated(needed: Self.length, available: range.count))
        }
        let kind = try ICMPv6Message(parsing: bytes, at: offset).kind
        guard kind == .neighborSolicitation || kind == .neighborAdvertisement else {
            throw ParseError(layer: .icmpv6, field: "type", offset: offset, reason: .unsupported(Int(kind.type)))
        }
        isAdvertisement = kind == .neighborAdvertisement
        let flags = isAdvertisement ? bytes.loadUInt8(at: offset + Offset.flags) : 0
        isRouter = flags & 0x80 != 0
        isSolicited = flags & 0x40 != 0
        isOverride = flags & 0x20 != 0
        target = bytes.loadIPv6Address(at: offset + Offset.target)
        linkLayerAddress = nil
        let wanted: UInt8 = isAdvertisement ? 2 : 1
        var position = offset + Offset.options
        while position < range.upperBound {
            guard range.upperBound - position >= 2 else {
                throw ParseError(
                    layer: .icmpv6, field: "option", offset: position,
                    reason: .truncated(needed: 2, available: range.upperBound - position))
            }
            let length = Int(bytes.loadUInt8(at: position + 1)) * 8
            guard length > 0, length <= range.upperBound - position else {
                throw ParseError(
                    layer: .icmpv6, field: "option length", offset: position + 1, reason: .badLength(length))
            }
            if bytes.loadUInt8(at: position) == wanted, length == Self.optionLength, linkLayerAddress == nil {
                linkLayerAddress = bytes.loadMACAddress(at: position + 2)
            }
            position += length
        }
    }

    /// Writes `messageLength` octets with a zero checksum; `TransportChecksum.fill` computes it.
    public func write(to bytes: inout MutableRawSpan, at offset: Int) {
        var flags: UInt32 = 0
        if isRouter { flags |= 0x8000_0000 }
        if isSolicited { flags |= 0x4000_0000 }
        if isOverride { flags |= 0x2000_0000 }
        ICMPv6Message(kind: kind, restOfHeader: flags).write(to: &bytes, at: offset)
        bytes.storeIPv6Address(target, at: offset + Offset.target)
        guard let linkLayerAddress else { return }
        bytes.storeUInt8(isAdvertisement ? 2 : 1, at: offset + Offset.options)
        bytes.storeUInt8(1, at: offset + Offset.options + 1)
        bytes.storeMACAddress(linkLayerAddress, at: offset + Offset.options + 2)
    }
}

extension IPv6Address {
    /// The group a solicitation for this address is sent to: ff02::1:ff00:0/104 and the last 24 bits.
    public var solicitedNodeGroup: IPv6Address {
        IPv6Address(high: 0xff02_0000_0000_0000, low: 0x1_ff00_0000 | low & 0xff_ffff)
    }
}

extension MACAddress {
    /// The Ethernet group address of an IPv6 multicast group, RFC 2464 section 7.
    public init(multicast group: IPv6Address) {
        self.init(rawValue: 0x3333_0000_0000 | group.low & 0xffff_ffff)
    }
}
