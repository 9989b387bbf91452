// Numbers of the pcapng format (draft-ietf-opsawg-pcapng) that this module writes and reads.
//
//     file    = section*      section = Section Header Block, then any other blocks
//     block   = type, total length, body, total length again; each a multiple of four octets
//     option  = code, length, value, padding; the last one in a block has code 0
//     packets name their interface by its number within the section

enum PcapngFormat {
    static let byteOrderMagic: UInt32 = 0x1a2b_3c4d
    static let majorVersion: UInt16 = 1
    static let minorVersion: UInt16 = 0
    /// Written where the length of a section is not known in advance.
    static let unknownSectionLength = UInt64.max
    /// Type, both total lengths.
    static let blockOverhead = 12

    enum Block {
        static let interfaceDescription: UInt32 = 1
        static let obsoletePacket: UInt32 = 2
        static let simplePacket: UInt32 = 3
        static let nameResolution: UInt32 = 4
        static let enhancedPacket: UInt32 = 6
        /// The same in both byte orders, and in a file damaged by line-end conversion not the same.
        static let sectionHeader: UInt32 = 0x0a0d_0d0a
    }

    enum Option {
        static let end: UInt16 = 0
        static let comment: UInt16 = 1

        static let sectionHardware: UInt16 = 2
        static let sectionOperatingSystem: UInt16 = 3
        static let sectionApplication: UInt16 = 4

        static let interfaceName: UInt16 = 2
        static let interfaceDescription: UInt16 = 3
        static let interfaceIPv4Address: UInt16 = 4
        static let interfaceIPv6Address: UInt16 = 5
        static let interfaceHardwareAddress: UInt16 = 6
        static let interfaceTimestampResolution: UInt16 = 9
        static let interfaceTimestampOffset: UInt16 = 14

        static let packetFlags: UInt16 = 2
        static let packetID: UInt16 = 5
    }

    enum NameRecord {
        static let end: UInt16 = 0
        static let ipv4: UInt16 = 1
        static let ipv6: UInt16 = 2
    }
}
