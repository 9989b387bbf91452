// The VXLAN header (RFC 7348 section 5). As drivers/net/vxlan/vxlan_core.c vxlan_rcv: the I flag must be set, and a
// set reserved bit means an extension (GPE, GBP) that a plain device does not speak.

/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |R|R|R|R|I|R|R|R|                   reserved                    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |           VXLAN network identifier            |   reserved    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct VXLANHeader: Hashable, Sendable, BitwiseCopyable {
    public static let length = 8
    /// The IANA port. Flannel and the kernel's default use 8472 instead.
    public static let assignedPort: UInt16 = 4789
    /// The port Linux used before IANA assigned one, and flannel's default to this day.
    public static let linuxPort: UInt16 = 8472
    /// What an encapsulation adds over IPv4: outer Ethernet, IPv4, UDP and VXLAN headers.
    public static let overheadIPv4 =
        EthernetHeader.length + IPv4Header.length + UDPHeader.length + VXLANHeader.length
    public static let overheadIPv6 =
        EthernetHeader.length + IPv6Header.length + UDPHeader.length + VXLANHeader.length

    package enum Offset {
        package static let flags = 0
        package static let networkIdentifier = 4
    }

    /// The I flag and 27 reserved bits.
    static let validFlags: UInt32 = 0x0800_0000

    /// VNI, 24 bits.
    public var networkIdentifier: UInt32

    public init(networkIdentifier: UInt32) {
        precondition(networkIdentifier < 1 << 24, "VNI out of range")
        self.networkIdentifier = networkIdentifier
    }

    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        try bytes.require(Self.length, at: offset, of: .vxlan)
        let flags = bytes.loadUInt32(at: offset + Offset.flags)
        guard flags == Self.validFlags else {
            throw ParseError(
                layer: .vxlan, field: "flags", offset: offset + Offset.flags, reason: .unsupported(Int(flags)))
        }
        let identifier = bytes.loadUInt32(at: offset + Offset.networkIdentifier)
        guard identifier & 0xff == 0 else {
            throw ParseError(
                layer: .vxlan, field: "reserved", offset: offset + Offset.networkIdentifier + 3,
                reason: .unsupported(Int(identifier & 0xff)))
        }
        networkIdentifier = identifier >> 8
    }

    public func write(to bytes: inout MutableRawSpan, at offset: Int = 0) {
        bytes.storeUInt32(Self.validFlags, at: offset + Offset.flags)
        bytes.storeUInt32(networkIdentifier << 8, at: offset + Offset.networkIdentifier)
    }
}
