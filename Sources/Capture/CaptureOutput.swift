// Where captured packets go: what `-w` names. FILE.pcapng takes all interfaces, FILE.pcap takes one, and DIR/ takes one
// classic pcap for each interface. Packets are written as they come, through a buffer, into temporary files; only
// `commit` puts the files in place. An interface may be added at any time, since pods come while packets flow.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A capture being written to a file or to a directory of files.
public final class CaptureOutput {
    public enum Format: Sendable {
        /// `FILE.pcapng`
        case pcapng
        /// `FILE.pcap`, for one interface only.
        case pcap
        /// `DIR/`, which is created if need be.
        case pcapPerInterface

        /// Nil if a path has none of the three forms.
        public init?(path: String) {
            if path.hasSuffix("/") {
                self = .pcapPerInterface
            } else if path.hasSuffix(".pcapng") {
                self = .pcapng
            } else if path.hasSuffix(".pcap") {
                self = .pcap
            } else {
                return nil
            }
        }
    }

    public let path: String
    public let format: Format
    /// Names of the interfaces added so far, at the index their packets refer to them by.
    public private(set) var interfaces: [String] = []

    /// The one file of the pcapng format.
    private var pcapng: BufferedFile<PcapngWriter>?
    /// The files of the classic formats, at the index of their interface.
    private var pcaps: [BufferedFile<PcapWriter>] = []
    private var hasCreatedDirectory = false

    /// Fails early where the path cannot be written. The section is of use in the pcapng format only.
    public init(path: String, section: CaptureSection = CaptureSection()) throws(CaptureFileError) {
        guard let format = Format(path: path) else {
            throw CaptureFileError(
                path, .write, reason: "its name says no capture format",
                hint: "end it with .pcapng, with .pcap for one interface, or with / for one file per interface")
        }
        self.path = path
        self.format = format
        switch format {
        case .pcapng:
            pcapng = BufferedFile(writer: PcapngWriter(section: section), file: try AtomicFile(path), limit: 1 << 20)
        case .pcap:
            pcaps = [BufferedFile(writer: PcapWriter(), file: try AtomicFile(path), limit: 1 << 20)]
        case .pcapPerInterface:
            hasCreatedDirectory = mkdir(path, 0o777) == 0
            guard hasCreatedDirectory || errno == EEXIST else {
                throw CaptureFileError(path, .write, errno: errno, directory: AtomicFile.directory(of: path))
            }
        }
    }

    deinit {
        for pcap in pcaps { pcap.file.discard() }
        // Fails, as it should, if there is anything in it.
        if hasCreatedDirectory { rmdir(path) }
    }

    /// Adds a capture point and returns the number its packets refer to it by.
    @discardableResult
    public func addInterface(_ interface: CaptureInterface) throws(CaptureFileError) -> Int {
        let writer = PcapWriter(linkType: interface.linkType, snapshotLength: interface.snapshotLength)
        switch format {
        case .pcapng: pcapng?.writer.addInterface(interface)
        case .pcap:
            if let first = interfaces.first {
                throw CaptureFileError(
                    path, .write, reason: "a .pcap file holds one interface, not '\(first)' and '\(interface.name)'",
                    hint: "choose one, or write .pcapng")
            }
            pcaps[0].writer = writer
        case .pcapPerInterface:
            let file = path + Self.fileName(forInterface: interface.name)
            if let other = pcaps.firstIndex(where: { $0.file.path == file }) {
                throw CaptureFileError(
                    file, .write, reason: "it would hold both '\(interfaces[other])' and '\(interface.name)'",
                    hint: "choose one, or write .pcapng")
            }
            // Small buffers, as there may be thousands of them.
            pcaps.append(BufferedFile(writer: writer, file: try AtomicFile(file), limit: 1 << 16))
        }
        interfaces.append(interface.name)
        return interfaces.count - 1
    }

    /// Tells the reader of the capture what to call addresses; the classic formats have no place for it.
    public func add(_ names: [CaptureNameRecord]) {
        pcapng?.writer.add(names)
    }

    /// Writes a packet of an interface that was added before.
    public func append(_ packet: CapturedPacket) throws(CaptureFileError) {
        precondition(
            interfaces.indices.contains(packet.interface),
            "interface \(packet.interface) of \(interfaces.count) is not added yet")
        if format == .pcapng {
            try pcapng?.append(packet)
        } else {
            try pcaps[packet.interface].append(packet)
        }
    }

    /// Puts the files in their places. All of them are complete before the first is moved.
    public func commit() throws(CaptureFileError) {
        try pcapng?.flush()
        for index in pcaps.indices { try pcaps[index].flush() }
        try pcapng?.file.commit()
        for pcap in pcaps { try pcap.file.commit() }
        hasCreatedDirectory = false
    }

    /// `worker-1/cni0` becomes `worker-1_cni0.pcap`.
    public static func fileName(forInterface name: String) -> String {
        String(name.map { $0 == "/" ? "_" : $0 }) + ".pcap"
    }
}

private protocol PacketWriter {
    var bytes: [UInt8] { get set }
    mutating func append(_ packet: CapturedPacket)
}

extension PcapWriter: PacketWriter {}
extension PcapngWriter: PacketWriter {}

/// A writer whose octets go to a file whenever there are more than `limit` of them.
private struct BufferedFile<Writer: PacketWriter> {
    var writer: Writer
    let file: AtomicFile
    let limit: Int

    mutating func append(_ packet: CapturedPacket) throws(CaptureFileError) {
        writer.append(packet)
        if writer.bytes.count > limit { try flush() }
    }

    mutating func flush() throws(CaptureFileError) {
        try file.write(writer.bytes)
        writer.bytes.removeAll(keepingCapacity: true)
    }
}
