// Reads the classic pcap format (draft-ietf-opsawg-pcap): micro- or nanosecond timestamps, either byte order.
// Simplified: the dialects with a magic number of their own (Kuznetzov's, AIX) are refused, and of the link type field
// only the type itself is kept, not the frame check sequence length in its upper bits.

struct PcapReader {
    private var reader: ByteReader
    private let nanosecondsPerUnit: UInt64

    /// Nil if `bytes` do not begin with a magic number of this format.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 4 else { return nil }
        let magic = bytes[..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        switch magic {
        case PcapFormat.microsecondMagic, PcapFormat.nanosecondMagic: reader = ByteReader(bytes, order: .bigEndian)
        case PcapFormat.microsecondMagic.byteSwapped, PcapFormat.nanosecondMagic.byteSwapped:
            reader = ByteReader(bytes, order: .littleEndian)
        default: return nil
        }
        let hasNanoseconds = [magic, magic.byteSwapped].contains(PcapFormat.nanosecondMagic)
        nanosecondsPerUnit = hasNanoseconds ? 1 : 1000
    }

    consuming func read() throws(CaptureFormatError) -> CaptureFile {
        var file = CaptureFile()
        file.interfaces = [try interface()]
        while reader.remaining > 0 { file.packets.append(try record()) }
        return file
    }

    private mutating func interface() throws(CaptureFormatError) -> CaptureInterface {
        try reader.skip(4, "magic number")
        let versionOffset = reader.offset
        let major: UInt16 = try reader.integer("major version")
        let minor: UInt16 = try reader.integer("minor version")
        guard major == PcapFormat.majorVersion else {
            throw CaptureFormatError(offset: versionOffset, message: "pcap version \(major).\(minor) is not known")
        }
        try reader.skip(8, "time zone and accuracy")
        let snapshotLength: UInt32 = try reader.integer("snapshot length")
        let linkType: UInt32 = try reader.integer("link type")
        return CaptureInterface(
            name: "", linkType: LinkType(rawValue: UInt16(truncatingIfNeeded: linkType)),
            snapshotLength: snapshotLength)
    }

    private mutating func record() throws(CaptureFormatError) -> CapturedPacket {
        let seconds: UInt32 = try reader.integer("seconds")
        let fraction: UInt32 = try reader.integer("fraction of the second")
        let capturedLength: UInt32 = try reader.integer("captured length")
        let originalLength: UInt32 = try reader.integer("original length")
        return CapturedPacket(
            interface: 0,
            timestamp: UInt64(seconds) * 1_000_000_000 + UInt64(fraction) * nanosecondsPerUnit,
            bytes: try reader.octets(Int(capturedLength), "packet"), originalLength: Int(originalLength))
    }
}
