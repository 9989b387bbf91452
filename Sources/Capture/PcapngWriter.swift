// Writes one pcapng section: a Section Header Block, an Interface Description Block for each capture point, Enhanced
// Packet Blocks with direction, packet id and comments, and Name Resolution Blocks (draft-ietf-opsawg-pcapng).
// Simplified: always little-endian, always nanoseconds, and nothing that depends on machine or clock, so that the same
// packets give the same file. libpcap has no interface for writing this format.

/// Collects a pcapng file in `bytes`.
public struct PcapngWriter: Sendable {
    /// The file so far. Between two calls a caller may write it out and empty it to keep memory small.
    public var bytes: [UInt8] = []
    public private(set) var interfaceCount = 0

    public init(section: CaptureSection = CaptureSection()) {
        typealias Option = PcapngFormat.Option
        bytes.appendBlock(PcapngFormat.Block.sectionHeader) { block in
            block.append(littleEndian: PcapngFormat.byteOrderMagic)
            block.append(littleEndian: PcapngFormat.majorVersion)
            block.append(littleEndian: PcapngFormat.minorVersion)
            block.append(littleEndian: PcapngFormat.unknownSectionLength)
            block.appendOption(Option.sectionHardware, text: section.hardware)
            block.appendOption(Option.sectionOperatingSystem, text: section.operatingSystem)
            block.appendOption(Option.sectionApplication, text: section.application)
            for comment in section.comments { block.appendOption(Option.comment, text: comment) }
            block.appendEndOfOptions()
        }
    }

    /// Describes an interface and returns the number its packets refer to it by.
    ///
    /// An interface may be added at any time before its first packet.
    @discardableResult
    public mutating func addInterface(_ interface: CaptureInterface) -> Int {
        typealias Option = PcapngFormat.Option
        bytes.appendBlock(PcapngFormat.Block.interfaceDescription) { block in
            block.append(littleEndian: interface.linkType.rawValue)
            block.append(littleEndian: UInt16(0))  // reserved
            block.append(littleEndian: interface.snapshotLength)
            block.appendOption(Option.interfaceName, text: interface.name.isEmpty ? nil : interface.name)
            block.appendOption(Option.interfaceDescription, text: interface.description)
            for assigned in interface.addresses { block.appendOption(assigned) }
            if let hardwareAddress = interface.hardwareAddress {
                block.appendOption(Option.interfaceHardwareAddress, octets(of: hardwareAddress).dropFirst(2))
            }
            block.appendOption(Option.interfaceTimestampResolution, littleEndian: UInt8(9))  // 10^-9 s
            block.appendEndOfOptions()
        }
        interfaceCount += 1
        return interfaceCount - 1
    }

    /// Tells the reader of the file what to call addresses. Records without a name are left out.
    public mutating func add(_ records: [CaptureNameRecord]) {
        typealias Record = PcapngFormat.NameRecord
        guard !records.isEmpty else { return }
        let longestName = Int(UInt16.max) - 16 - 1  // an IPv6 address before it, a zero octet after it
        bytes.appendBlock(PcapngFormat.Block.nameResolution) { block in
            for record in records {
                // One record for each name keeps every record far below the 65535 octets it may have.
                for name in record.names where !name.isEmpty {
                    // A zero octet ends a name, so none may stand within it.
                    let terminatedName = optionText(name, limit: longestName).prefix { $0 != 0 } + [0]
                    switch record.address {
                    case .ipv4(let address): block.appendOption(Record.ipv4, octets(of: address) + terminatedName)
                    case .ipv6(let address): block.appendOption(Record.ipv6, octets(of: address) + terminatedName)
                    }
                }
            }
            block.appendOption(Record.end, EmptyCollection())
        }
    }

    /// Appends a packet; its interface must have been added before.
    public mutating func append(_ packet: CapturedPacket) {
        typealias Option = PcapngFormat.Option
        precondition(
            packet.interface >= 0 && packet.interface < interfaceCount,
            "interface \(packet.interface) of \(interfaceCount) is not described yet")
        bytes.appendBlock(PcapngFormat.Block.enhancedPacket) { block in
            block.append(littleEndian: UInt32(packet.interface))
            block.append(littleEndian: UInt32(truncatingIfNeeded: packet.timestamp >> 32))
            block.append(littleEndian: UInt32(truncatingIfNeeded: packet.timestamp))
            block.append(littleEndian: UInt32(clamping: packet.bytes.count))
            block.append(littleEndian: UInt32(clamping: packet.originalLength))
            block.appendPadded(packet.bytes)
            let hasOptions = packet.direction != .unknown || packet.packetID != nil || !packet.comments.isEmpty
            guard hasOptions else { return }
            if packet.direction != .unknown {
                block.appendOption(Option.packetFlags, littleEndian: packet.direction.rawValue)
            }
            if let packetID = packet.packetID { block.appendOption(Option.packetID, littleEndian: packetID) }
            for comment in packet.comments { block.appendOption(Option.comment, text: comment) }
            block.appendEndOfOptions()
        }
    }
}

extension [UInt8] {
    /// Appends a block around what `writeBody` appends.
    fileprivate mutating func appendBlock(_ type: UInt32, _ writeBody: (inout [UInt8]) -> Void) {
        let start = count
        append(littleEndian: type)
        append(littleEndian: UInt32(0))
        writeBody(&self)
        let totalLength = UInt32(count - start + 4)
        append(littleEndian: totalLength)
        store(littleEndian: totalLength, at: start + 4)
    }

    fileprivate mutating func appendOption(_ code: UInt16, _ value: some Collection<UInt8>) {
        append(littleEndian: code)
        append(littleEndian: UInt16(value.count))
        appendPadded(value)
    }

    fileprivate mutating func appendOption(_ code: UInt16, littleEndian value: some FixedWidthInteger) {
        append(littleEndian: code)
        append(littleEndian: UInt16(value.bitWidth / 8))
        append(littleEndian: value)
        append(contentsOf: repeatElement(0, count: padding(after: value.bitWidth / 8)))
    }

    fileprivate mutating func appendOption(_ code: UInt16, text: String?) {
        if let text { appendOption(code, optionText(text)) }
    }

    fileprivate mutating func appendOption(_ assigned: CaptureInterfaceAddress) {
        let prefixLength = UInt8(clamping: assigned.prefixLength)
        switch assigned.address {
        case .ipv4(let address):
            let mask = ~(UInt32.max >> prefixLength)
            appendOption(PcapngFormat.Option.interfaceIPv4Address, octets(of: address) + octets(of: mask))
        case .ipv6(let address):
            appendOption(PcapngFormat.Option.interfaceIPv6Address, octets(of: address) + [prefixLength])
        }
    }

    fileprivate mutating func appendEndOfOptions() {
        appendOption(PcapngFormat.Option.end, EmptyCollection())
    }

    fileprivate mutating func appendPadded(_ value: some Collection<UInt8>) {
        append(contentsOf: value)
        append(contentsOf: repeatElement(0, count: padding(after: value.count)))
    }
}

private func octets(of value: some FixedWidthInteger) -> [UInt8] {
    var octets: [UInt8] = []
    octets.append(bigEndian: value)
    return octets
}

/// UTF-8 that fits the 16-bit length of an option, cut between characters where it must be cut.
private func optionText(_ text: String, limit: Int = Int(UInt16.max)) -> ArraySlice<UInt8> {
    let utf8 = Array(text.utf8)
    guard utf8.count > limit else { return utf8[...] }
    // An octet 10xxxxxx continues a character; back up to where one begins.
    let end = utf8[...limit].lastIndex { $0 & 0b1100_0000 != 0b1000_0000 }
    return utf8[..<(end ?? 0)]
}
