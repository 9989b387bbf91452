// What a capture file is made of, before any file format: interfaces, packets, and names for addresses.
//
// The words are those of the pcapng specification (draft-ietf-opsawg-pcapng); classic pcap knows a part of them.
// Addresses are plain integers here because this module stands below the addressing module and any caller can make
// them: the first octet on the wire is the most significant one.

/// The kind of frame an interface carries, numbered as in the registry of LINKTYPE values.
public struct LinkType: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Ethernet frames without preamble and frame check sequence (`LINKTYPE_ETHERNET`).
    public static let ethernet = LinkType(rawValue: 1)
}

/// An IPv4 or IPv6 address as a capture file stores it.
public enum CaptureAddress: Hashable, Sendable {
    case ipv4(UInt32)
    case ipv6(UInt128)
}

/// An address assigned to an interface, with the length of its on-link prefix.
public struct CaptureInterfaceAddress: Hashable, Sendable {
    public var address: CaptureAddress
    public var prefixLength: Int

    public init(_ address: CaptureAddress, prefixLength: Int) {
        self.address = address
        self.prefixLength = prefixLength
    }
}

/// One capture point of a file.
///
/// libpcap, and with it tcpdump, reads a pcapng file only if all its interfaces have the same link type and the same
/// snapshot length, so leave both at their defaults unless the file is not meant for it.
public struct CaptureInterface: Hashable, Sendable {
    /// The snapshot length tcpdump uses when none is asked for.
    public static let defaultSnapshotLength: UInt32 = 262_144

    /// Empty where the file does not name the interface, as in every classic pcap.
    public var name: String
    public var description: String?
    /// The 48 bits of the MAC address in the lower part of the integer.
    public var hardwareAddress: UInt64?
    public var addresses: [CaptureInterfaceAddress]
    public var linkType: LinkType
    public var snapshotLength: UInt32

    public init(
        name: String, description: String? = nil, hardwareAddress: UInt64? = nil,
        addresses: [CaptureInterfaceAddress] = [], linkType: LinkType = .ethernet,
        snapshotLength: UInt32 = Self.defaultSnapshotLength
    ) {
        self.name = name
        self.description = description
        self.hardwareAddress = hardwareAddress
        self.addresses = addresses
        self.linkType = linkType
        self.snapshotLength = snapshotLength
    }
}

/// One packet as one interface saw it.
public struct CapturedPacket: Hashable, Sendable {
    /// Which way the packet crossed the interface, seen from the namespace that owns the interface.
    public enum Direction: UInt32, Sendable {
        case unknown = 0
        case inbound = 1
        case outbound = 2
    }

    /// Index into the interfaces of the file.
    public var interface: Int
    /// Nanoseconds since 1970-01-01 00:00:00 UTC; zero in a Simple Packet Block, which has no time.
    public var timestamp: UInt64
    public var bytes: [UInt8]
    /// Octets the packet had on the wire; more than `bytes.count` if the capture cut it short.
    public var originalLength: Int
    public var direction: Direction
    /// The same number marks the same packet on every interface it passed.
    public var packetID: UInt64?
    public var comments: [String]

    public init(
        interface: Int, timestamp: UInt64, bytes: [UInt8], originalLength: Int? = nil,
        direction: Direction = .unknown, packetID: UInt64? = nil, comments: [String] = []
    ) {
        self.interface = interface
        self.timestamp = timestamp
        self.bytes = bytes
        self.originalLength = originalLength ?? bytes.count
        self.direction = direction
        self.packetID = packetID
        self.comments = comments
    }
}

/// Names for one address, shown by Wireshark in place of the address.
public struct CaptureNameRecord: Hashable, Sendable {
    public var address: CaptureAddress
    public var names: [String]

    public init(_ address: CaptureAddress, names: [String]) {
        self.address = address
        self.names = names
    }
}

/// What a pcapng section says about its own origin.
public struct CaptureSection: Hashable, Sendable {
    public var hardware: String?
    public var operatingSystem: String?
    public var application: String?
    public var comments: [String]

    public init(
        hardware: String? = nil, operatingSystem: String? = nil, application: String? = nil, comments: [String] = []
    ) {
        self.hardware = hardware
        self.operatingSystem = operatingSystem
        self.application = application
        self.comments = comments
    }
}
