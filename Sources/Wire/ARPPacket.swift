// Address resolution for IPv4 over Ethernet (RFC 826), the only combination a pod network uses; others are refused
// as net/ipv4/arp.c arp_process does.

public import Addressing

/// What an ARP packet wants.
public struct ARPOperation: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let request = ARPOperation(rawValue: 1)
    public static let reply = ARPOperation(rawValue: 2)
}

/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |       hardware type (1)       |    protocol type (0x0800)     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | hw length (6) |pr. length (4) |           operation           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                    sender hardware address                    |
/// +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                               |    sender protocol address    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   (sender protocol address)   |    target hardware address    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                    target protocol address                    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
public struct ARPPacket: Hashable, Sendable, BitwiseCopyable {
    public static let length = 28

    package enum Offset {
        package static let hardwareType = 0
        package static let protocolType = 2
        package static let hardwareLength = 4
        package static let protocolLength = 5
        package static let operation = 6
        package static let senderMAC = 8
        package static let senderIP = 14
        package static let targetMAC = 18
        package static let targetIP = 24
    }

    public var operation: ARPOperation
    public var senderMAC: MACAddress
    public var senderIP: IPv4Address
    /// Zero in a broadcast request, the known address in a unicast probe.
    public var targetMAC: MACAddress
    public var targetIP: IPv4Address

    public init(
        operation: ARPOperation, senderMAC: MACAddress, senderIP: IPv4Address, targetMAC: MACAddress = .zero,
        targetIP: IPv4Address
    ) {
        self.operation = operation
        self.senderMAC = senderMAC
        self.senderIP = senderIP
        self.targetMAC = targetMAC
        self.targetIP = targetIP
    }

    public init(parsing bytes: RawSpan, at offset: Int = 0) throws(ParseError) {
        try bytes.require(Self.length, at: offset, of: .arp)
        func check(_ field: String, _ position: Int, _ value: Int, is expected: Int) throws(ParseError) {
            guard value == expected else {
                throw ParseError(layer: .arp, field: field, offset: offset + position, reason: .unsupported(value))
            }
        }
        let hardware = bytes.loadUInt16(at: offset + Offset.hardwareType)
        try check("hardware type", Offset.hardwareType, Int(hardware), is: 1)
        let network = bytes.loadUInt16(at: offset + Offset.protocolType)
        try check("protocol type", Offset.protocolType, Int(network), is: Int(EtherType.ipv4.rawValue))
        let hardwareLength = bytes.loadUInt8(at: offset + Offset.hardwareLength)
        try check("hardware length", Offset.hardwareLength, Int(hardwareLength), is: 6)
        let protocolLength = bytes.loadUInt8(at: offset + Offset.protocolLength)
        try check("protocol length", Offset.protocolLength, Int(protocolLength), is: 4)
        operation = ARPOperation(rawValue: bytes.loadUInt16(at: offset + Offset.operation))
        senderMAC = bytes.loadMACAddress(at: offset + Offset.senderMAC)
        senderIP = bytes.loadIPv4Address(at: offset + Offset.senderIP)
        targetMAC = bytes.loadMACAddress(at: offset + Offset.targetMAC)
        targetIP = bytes.loadIPv4Address(at: offset + Offset.targetIP)
    }

    public func write(to bytes: inout MutableRawSpan, at offset: Int = 0) {
        bytes.storeUInt16(1, at: offset + Offset.hardwareType)
        bytes.storeUInt16(EtherType.ipv4.rawValue, at: offset + Offset.protocolType)
        bytes.storeUInt8(6, at: offset + Offset.hardwareLength)
        bytes.storeUInt8(4, at: offset + Offset.protocolLength)
        bytes.storeUInt16(operation.rawValue, at: offset + Offset.operation)
        bytes.storeMACAddress(senderMAC, at: offset + Offset.senderMAC)
        bytes.storeIPv4Address(senderIP, at: offset + Offset.senderIP)
        bytes.storeMACAddress(targetMAC, at: offset + Offset.targetMAC)
        bytes.storeIPv4Address(targetIP, at: offset + Offset.targetIP)
    }

    /// `who-has` our own address: sent by arp_notify so that neighbors and bridges learn the new place.
    public var isGratuitous: Bool { senderIP == targetIP }

    /// The answer `owner` gives to this request.
    public func reply(from owner: MACAddress) -> ARPPacket {
        ARPPacket(
            operation: .reply, senderMAC: owner, senderIP: targetIP, targetMAC: senderMAC, targetIP: senderIP)
    }
}
