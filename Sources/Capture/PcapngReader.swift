// Reads pcapng (draft-ietf-opsawg-pcapng): any number of sections, either byte order, timestamps of any resolution.
// Interfaces of several sections are numbered through. Blocks and options this module has no use for are skipped.
// Simplified: a block that contradicts itself ends the reading with an error; nothing is repaired.

struct PcapngReader {
    private var reader: ByteReader
    private var file = CaptureFile(format: .pcapng)
    private var sectionCount = 0
    /// The number of the first interface of the present section.
    private var firstInterface = 0
    private var clocks: [Clock] = []

    /// Nil if `bytes` do not begin with a section header.
    init?(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard (try? reader.integer("block type", as: UInt32.self)) == PcapngFormat.Block.sectionHeader else {
            return nil
        }
        self.reader = ByteReader(bytes)
    }

    consuming func read() throws(CaptureFormatError) -> CaptureFile {
        while reader.remaining > 0 { try readBlock() }
        return file
    }

    private mutating func readBlock() throws(CaptureFormatError) {
        let start = reader.offset
        let type: UInt32 = try reader.integer("block type")
        if type == PcapngFormat.Block.sectionHeader { try readByteOrder() }
        let totalLength: UInt32 = try reader.integer("block length")
        guard totalLength % 4 == 0, totalLength >= PcapngFormat.blockOverhead else {
            throw CaptureFormatError(offset: start, message: "a block cannot be \(totalLength) octets long")
        }
        var body = try reader.part(Int(totalLength) - PcapngFormat.blockOverhead, "block")
        guard try reader.integer("block length", as: UInt32.self) == totalLength else {
            throw CaptureFormatError(offset: start, message: "the two lengths of a block differ")
        }
        switch type {
        case PcapngFormat.Block.sectionHeader: try readSectionHeader(&body)
        case PcapngFormat.Block.interfaceDescription: try readInterface(&body)
        case PcapngFormat.Block.enhancedPacket: try readEnhancedPacket(&body)
        case PcapngFormat.Block.simplePacket: try readSimplePacket(&body)
        case PcapngFormat.Block.obsoletePacket: try readObsoletePacket(&body)
        case PcapngFormat.Block.nameResolution: try readNames(&body)
        default: break
        }
    }

    /// The byte order of a section stands behind the length of its header, so look ahead.
    private mutating func readByteOrder() throws(CaptureFormatError) {
        var ahead = reader
        try ahead.skip(4, "block length")
        let magic: UInt32 = try ahead.networkInteger("byte-order magic")
        switch magic {
        case PcapngFormat.byteOrderMagic: reader.order = .bigEndian
        case PcapngFormat.byteOrderMagic.byteSwapped: reader.order = .littleEndian
        default: throw CaptureFormatError(offset: ahead.offset - 4, message: "the byte-order magic is wrong")
        }
    }

    // MARK: - Section and interfaces

    private mutating func readSectionHeader(_ body: inout ByteReader) throws(CaptureFormatError) {
        typealias Option = PcapngFormat.Option
        try body.skip(4, "byte-order magic")
        let versionOffset = body.offset
        let major: UInt16 = try body.integer("major version")
        let minor: UInt16 = try body.integer("minor version")
        guard major == PcapngFormat.majorVersion else {
            throw CaptureFormatError(offset: versionOffset, message: "pcapng version \(major).\(minor) is not known")
        }
        try body.skip(8, "section length")
        var section = CaptureSection()
        while var option = try body.nextOption() {
            switch option.code {
            case Option.sectionHardware: section.hardware = try option.text()
            case Option.sectionOperatingSystem: section.operatingSystem = try option.text()
            case Option.sectionApplication: section.application = try option.text()
            case Option.comment: section.comments.append(try option.text())
            default: break
            }
        }
        if sectionCount == 0 { file.section = section }
        sectionCount += 1
        firstInterface = file.interfaces.count
    }

    private mutating func readInterface(_ body: inout ByteReader) throws(CaptureFormatError) {
        typealias Option = PcapngFormat.Option
        let linkType: UInt16 = try body.integer("link type")
        try body.skip(2, "reserved")
        let snapshotLength: UInt32 = try body.integer("snapshot length")
        var interface = CaptureInterface(
            name: "", linkType: LinkType(rawValue: linkType), snapshotLength: snapshotLength)
        var clock = Clock()
        while var option = try body.nextOption() {
            switch option.code {
            case Option.interfaceName: interface.name = try option.text()
            case Option.interfaceDescription: interface.description = try option.text()
            case Option.interfaceIPv4Address:
                let address: UInt32 = try option.value.networkInteger("IPv4 address")
                let mask: UInt32 = try option.value.networkInteger("IPv4 network mask")
                interface.addresses.append(
                    CaptureInterfaceAddress(.ipv4(address), prefixLength: (~mask).leadingZeroBitCount))
            case Option.interfaceIPv6Address:
                let address: UInt128 = try option.value.networkInteger("IPv6 address")
                let prefixLength: UInt8 = try option.value.integer("IPv6 prefix length")
                interface.addresses.append(CaptureInterfaceAddress(.ipv6(address), prefixLength: Int(prefixLength)))
            case Option.interfaceHardwareAddress:
                let upper: UInt32 = try option.value.networkInteger("hardware address")
                let lower: UInt16 = try option.value.networkInteger("hardware address")
                interface.hardwareAddress = UInt64(upper) << 16 | UInt64(lower)
            case Option.interfaceTimestampResolution:
                clock.resolution = try option.value.integer("timestamp resolution")
            case Option.interfaceTimestampOffset:
                clock.offset = try option.value.integer("timestamp offset")
            default: break
            }
        }
        file.interfaces.append(interface)
        clocks.append(clock)
    }

    // MARK: - Packets

    private mutating func readEnhancedPacket(_ body: inout ByteReader) throws(CaptureFormatError) {
        let interface = try readInterfaceNumber(UInt32.self, &body)
        try readPacket(on: interface, &body)
    }

    /// The predecessor of the Enhanced Packet Block, with a smaller interface number and a drop counter.
    private mutating func readObsoletePacket(_ body: inout ByteReader) throws(CaptureFormatError) {
        let interface = try readInterfaceNumber(UInt16.self, &body)
        try body.skip(2, "dropped packets")
        try readPacket(on: interface, &body)
    }

    private mutating func readPacket(on interface: Int, _ body: inout ByteReader) throws(CaptureFormatError) {
        typealias Option = PcapngFormat.Option
        let timestampOffset = body.offset
        let upperTimestamp: UInt32 = try body.integer("timestamp")
        let lowerTimestamp: UInt32 = try body.integer("timestamp")
        let units = UInt64(upperTimestamp) << 32 | UInt64(lowerTimestamp)
        guard let timestamp = clocks[interface].nanoseconds(units) else {
            throw CaptureFormatError(offset: timestampOffset, message: "the time is outside the years 1970 to 2554")
        }
        let capturedLength: UInt32 = try body.integer("captured length")
        let originalLength: UInt32 = try body.integer("original length")
        var packet = CapturedPacket(
            interface: interface, timestamp: timestamp, bytes: try body.octets(Int(capturedLength), "packet"),
            originalLength: Int(originalLength))
        try body.skip(padding(after: packet.bytes.count), "padding")
        while var option = try body.nextOption() {
            switch option.code {
            case Option.packetFlags:
                let flags: UInt32 = try option.value.integer("packet flags")
                packet.direction = CapturedPacket.Direction(rawValue: flags & 0b11) ?? .unknown
            case Option.packetID: packet.packetID = try option.value.integer("packet id")
            case Option.comment: packet.comments.append(try option.text())
            default: break
            }
        }
        file.packets.append(packet)
    }

    /// A Simple Packet Block belongs to the first interface and states only the original length.
    private mutating func readSimplePacket(_ body: inout ByteReader) throws(CaptureFormatError) {
        guard firstInterface < file.interfaces.count else {
            throw CaptureFormatError(offset: body.offset, message: "a packet comes before the first interface")
        }
        let originalLength: UInt32 = try body.integer("original length")
        let snapshotLength = file.interfaces[firstInterface].snapshotLength
        let capturedLength = snapshotLength == 0 ? originalLength : min(originalLength, snapshotLength)
        file.packets.append(
            CapturedPacket(
                interface: firstInterface, timestamp: 0, bytes: try body.octets(Int(capturedLength), "packet"),
                originalLength: Int(originalLength)))
    }

    private func readInterfaceNumber<Number: FixedWidthInteger & UnsignedInteger>(
        _ type: Number.Type, _ body: inout ByteReader
    ) throws(CaptureFormatError) -> Int {
        let offset = body.offset
        let number: Number = try body.integer("interface number")
        let interface = firstInterface + Int(number)
        guard interface < file.interfaces.count else {
            throw CaptureFormatError(
                offset: offset,
                message: "interface \(number) of \(file.interfaces.count - firstInterface) is not described")
        }
        return interface
    }

    // MARK: - Names

    private mutating func readNames(_ body: inout ByteReader) throws(CaptureFormatError) {
        typealias Record = PcapngFormat.NameRecord
        while var record = try body.nextOption() {
            let address: CaptureAddress
            switch record.code {
            case Record.ipv4: address = .ipv4(try record.value.networkInteger("IPv4 address"))
            case Record.ipv6: address = .ipv6(try record.value.networkInteger("IPv6 address"))
            default: continue
            }
            let names = try record.value.octets(record.value.remaining, "names").split(separator: 0)
            file.names.append(CaptureNameRecord(address, names: names.map { String(decoding: $0, as: UTF8.self) }))
        }
    }
}

/// An option, or a name record, which has the same layout.
private struct Option {
    let code: UInt16
    var value: ByteReader

    mutating func text() throws(CaptureFormatError) -> String { try value.text(value.remaining, "text") }
}

extension ByteReader {
    /// Nil at the end-of-options mark and at the end of the block, since the mark may be missing.
    fileprivate mutating func nextOption() throws(CaptureFormatError) -> Option? {
        guard remaining > 0 else { return nil }
        let code: UInt16 = try integer("option code")
        let length: UInt16 = try integer("option length")
        guard code != PcapngFormat.Option.end else { return nil }
        let value = try part(Int(length), "option")
        try skip(padding(after: Int(length)), "padding")
        return Option(code: code, value: value)
    }
}

/// How an interface counts time.
private struct Clock {
    /// A negative power of ten, or of two if the upper bit is set; microseconds if the file does not say.
    var resolution: UInt8 = 6
    /// Seconds to add to each timestamp.
    var offset: Int64 = 0

    /// Nil if the time does not fit; finer resolutions are rounded down.
    func nanoseconds(_ units: UInt64) -> UInt64? {
        let exponent = Int(resolution & 0x7f)
        let scaled = UInt128(units) * 1_000_000_000
        var nanoseconds: UInt128
        if resolution & 0x80 != 0 {
            nanoseconds = scaled >> exponent
        } else {
            nanoseconds = scaled
            // 64 bits times 10^9 are gone after 29 divisions by ten, so an absurd exponent costs nothing.
            for _ in 0..<exponent where nanoseconds != 0 { nanoseconds /= 10 }
        }
        return UInt64(exactly: Int128(nanoseconds) + Int128(offset) * 1_000_000_000)
    }
}
