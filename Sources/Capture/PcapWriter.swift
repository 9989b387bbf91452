// Writes the classic pcap format (draft-ietf-opsawg-pcap) with nanosecond timestamps: a file header of 24 octets, then
// 16 octets and the packet for each record. The octets are those that libpcap's pcap_dump writes on a little-endian
// machine for a handle opened with nanosecond precision.
// Simplified: the format has 32 bits for the seconds, so, as with libpcap, times wrap in the year 2106.

/// Collects a classic pcap file of one interface in `bytes`.
public struct PcapWriter: Sendable {
    /// The file so far. Between two calls a caller may write it out and empty it to keep memory small.
    public var bytes: [UInt8] = []

    public init(linkType: LinkType = .ethernet, snapshotLength: UInt32 = CaptureInterface.defaultSnapshotLength) {
        bytes.append(littleEndian: PcapFormat.nanosecondMagic)
        bytes.append(littleEndian: PcapFormat.majorVersion)
        bytes.append(littleEndian: PcapFormat.minorVersion)
        bytes.append(littleEndian: UInt32(0))  // time zone offset, always UTC
        bytes.append(littleEndian: UInt32(0))  // accuracy of timestamps, never used
        bytes.append(littleEndian: snapshotLength)
        bytes.append(littleEndian: UInt32(linkType.rawValue))
    }

    /// Appends a record; the format has no room for interface, direction, packet id and comments.
    public mutating func append(_ packet: CapturedPacket) {
        let (seconds, nanoseconds) = packet.timestamp.quotientAndRemainder(dividingBy: 1_000_000_000)
        bytes.append(littleEndian: UInt32(truncatingIfNeeded: seconds))
        bytes.append(littleEndian: UInt32(truncatingIfNeeded: nanoseconds))
        bytes.append(littleEndian: UInt32(clamping: packet.bytes.count))
        bytes.append(littleEndian: UInt32(clamping: packet.originalLength))
        bytes.append(contentsOf: packet.bytes)
    }
}

enum PcapFormat {
    static let microsecondMagic: UInt32 = 0xa1b2_c3d4
    static let nanosecondMagic: UInt32 = 0xa1b2_3c4d
    static let majorVersion: UInt16 = 2
    static let minorVersion: UInt16 = 4
}
