// A whole capture in memory, read from classic pcap or pcapng, whichever the first octets announce.
// The readers take files from anywhere: a damaged or hostile one ends in an error that names the octet, never in a
// trap, and memory stays in proportion to the size of the file.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A capture file as read.
public struct CaptureFile: Hashable, Sendable {
    public enum Format: Sendable {
        case pcap
        case pcapng
    }

    public var format: Format
    /// Of several sections, the first.
    public var section = CaptureSection()
    public var interfaces: [CaptureInterface] = []
    /// In file order.
    public var packets: [CapturedPacket] = []
    public var names: [CaptureNameRecord] = []

    init(format: Format = .pcap) { self.format = format }

    public init(parsing bytes: [UInt8]) throws(CaptureFormatError) {
        if let reader = PcapReader(bytes) {
            self = try reader.read()
        } else if let reader = PcapngReader(bytes) {
            self = try reader.read()
        } else {
            throw CaptureFormatError(offset: 0, message: "neither pcap nor pcapng begins with these octets")
        }
    }

    /// Throws `CaptureFileError` if the file cannot be read, `CaptureFormatError` if it is no capture.
    public init(contentsOf path: String) throws {
        try self.init(parsing: Self.readFile(path))
    }
}

extension CaptureFile {
    private static func readFile(_ path: String) throws(CaptureFileError) -> [UInt8] {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw CaptureFileError(path, .read, reason: "not a file name")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CaptureFileError(path, .read, errno: errno) }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw CaptureFileError(path, .read, errno: errno) }
            guard count > 0 else { return content }
            content += chunk[..<count]
        }
    }
}

/// A file that is not what its format demands.
public struct CaptureFormatError: Error, Hashable, CustomStringConvertible {
    /// Where in the file the reader stood.
    public var offset: Int
    public var message: String

    public var description: String { "octet \(offset): \(message)" }
}
