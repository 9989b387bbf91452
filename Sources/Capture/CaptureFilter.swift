// Capture filters in the language of tcpdump (pcap-filter(7)): libpcap compiles the expression to a BPF program, and
// its interpreter runs the program on packets. No device is opened, so no privilege is needed.
// As with tcpdump, a host or service name in an expression is looked up in the files and name servers of the machine.

import Clibpcap

/// A compiled filter expression.
public final class CaptureFilter: @unchecked Sendable {
    // Unchecked, because the program holds a pointer; nothing writes to what it points to until deinit frees it.
    private let program: bpf_program

    public let expression: String

    /// Compiles an expression; the empty one matches every packet.
    public init(_ expression: String, linkType: LinkType = .ethernet) throws(CaptureFilterError) {
        self.expression = expression
        guard !expression.utf8.contains(0) else {
            throw CaptureFilterError(expression: expression, message: "the expression contains a zero octet")
        }
        let snapshotLength = Int32(CaptureInterface.defaultSnapshotLength)
        guard let compiler = pcap_open_dead(Int32(linkType.rawValue), snapshotLength) else {
            throw CaptureFilterError(expression: expression, message: "libpcap is out of memory")
        }
        defer { pcap_close(compiler) }
        var program = bpf_program()
        let optimize: Int32 = 1
        guard pcap_compile(compiler, &program, expression, optimize, PCAP_NETMASK_UNKNOWN) == 0 else {
            let message = pcap_geterr(compiler).map { String(cString: $0) } ?? "unknown error"
            throw CaptureFilterError(expression: expression, message: message)
        }
        self.program = program
    }

    deinit {
        var program = program
        pcap_freecode(&program)
    }

    /// Whether the filter selects a packet; `originalLength` is what `len` means in an expression.
    public func matches(_ bytes: [UInt8], originalLength: Int) -> Bool {
        var header = pcap_pkthdr()
        header.caplen = UInt32(clamping: bytes.count)
        header.len = UInt32(clamping: originalLength)
        return withUnsafePointer(to: program) { pcap_offline_filter($0, &header, bytes) } != 0
    }

    public func matches(_ packet: CapturedPacket) -> Bool {
        matches(packet.bytes, originalLength: packet.originalLength)
    }
}

/// An expression libpcap does not accept.
public struct CaptureFilterError: Error, Hashable, CustomStringConvertible {
    public var expression: String
    /// In libpcap's words.
    public var message: String

    public var description: String { "filter '\(expression)': \(message)" }
}
