// Ethernet II framing (IEEE 802.3 clause 3, RFC 894). No 802.3 length form, no VLAN tag, no frame check sequence:
// what a Linux capture of a veth, bridge or vxlan device shows.

public import Addressing

/// The protocol a frame carries.
public struct EtherType: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let ipv4 = EtherType(rawValue: 0x0800)
    public static let arp = EtherType(rawValue: 0x0806)
    public static let ipv6 = EtherType(rawValue: 0x86dd)

    /// The type that carries packets of that family.
    public init(_ family: AddressFamily) { self = family == .ipv4 ? .ipv4 : .ipv6 }
}

/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                      destination                              |
/// +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                               |            source             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |             type              |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct EthernetHeader: Hashable, Sendable, BitwiseCopyable {
    public static let length = 14

    package enum Offset {
        package static let destination = 0
        package static let source = 6
        package static let type = 12
    }

    public var destination: MACAddress
    public var source: MACAddress
    public var type: EtherType

    public init(destination: MACAddress, source: MACAddress, type: EtherType) {
        self.destination = destination
        self.source = source
        self.type = type
    }

    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        try bytes.require(Self.length, at: offset, of: .ethernet)
        destination = bytes.loadMACAddress(at: offset + Offset.destination)
        source = bytes.loadMACAddress(at: offset + Offset.source)
        type = EtherType(rawValue: bytes.loadUInt16(at: offset + Offset.type))
    }

    public func write(to bytes: inout MutableRawSpan, at offset: Int = 0) {
        bytes.storeMACAddress(destination, at: offset + Offset.destination)
        bytes.storeMACAddress(source, at: offset + Offset.source)
        bytes.storeUInt16(type.rawValue, at: offset + Offset.type)
    }
}
