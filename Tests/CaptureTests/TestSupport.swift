// What several tests of this target share: octets written as hexadecimal text, a directory that goes away, a program
// run to its end, and a sample capture that uses everything the formats can hold.

import Capture

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Octets from hexadecimal text; blanks and line ends are for the reader, and so is what follows a `;` in a line.
func octets(_ text: String) -> [UInt8] {
    let digits = text.split(separator: "\n").map { $0.prefix { $0 != ";" } }.joined().compactMap(\.hexDigitValue)
    precondition(digits.count % 2 == 0, "an octet has two digits")
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// An empty directory for one test, removed with all it holds.
final class TemporaryDirectory {
    let path: String

    init() {
        var template = Array("/tmp/CaptureTests.XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "no temporary directory")
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit { Self.remove(path) }

    /// Names in the directory, sorted.
    var names: [String] { Self.names(in: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    private static func remove(_ path: String) {
        if unlink(path) == 0 { return }
        for name in names(in: path) { remove("\(path)/\(name)") }
        rmdir(path)
    }
}

func write(_ bytes: [UInt8], to path: String) throws {
    let file = try AtomicFile(path)
    try file.write(bytes)
    try file.commit()
}

func read(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var content: [UInt8] = []
    while case let octet = getc(file), octet != EOF { content.append(UInt8(octet)) }
    return content
}

/// Runs a program to its end and returns its exit status (127 if it is not there) and what it printed.
func run(_ program: String, _ arguments: [String]) -> (status: Int32, output: String) {
    let directory = TemporaryDirectory()
    let outputPath = directory.file("output")
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    let words = ([program] + arguments).map { (text: String) in strdup(text) } + [nil]
    defer { for word in words { free(word) } }
    // Neither the language nor the settings of the person running the tests may change the output.
    let variables =
        ["LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + directory.path].map { (text: String) in strdup(text) } + [nil]
    defer { for variable in variables { free(variable) } }
    var process = pid_t()
    guard posix_spawn(&process, program, &actions, nil, words, variables) == 0 else { return (127, "") }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    let exitStatus = status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    return (exitStatus, String(decoding: read(outputPath) ?? [], as: UTF8.self))
}

enum Sample {
    /// TCP SYN 10.244.1.2:40000 > 10.96.0.10:80.
    static let toService = octets(
        """
        0a580af40101 0a580af40102 0800
        4500 0028 0001 4000 4006 0000 0af40102 0a60000a
        9c40 0050 00000001 00000000 5002 faf0 0000 0000
        """)
    /// The same after destination NAT, to 10.244.2.3:8080.
    static let toPod = octets(
        """
        0a580af40203 0a580af40201 0800
        4500 0028 0001 4000 3f06 0000 0af40102 0af40203
        9c40 1f90 00000001 00000000 5002 faf0 0000 0000
        """)
    /// UDP datagram fd00::1:5353 > fd00::2:53 with one octet, so the frame needs padding.
    static let datagram = octets(
        """
        0a580af40101 0a580af40102 86dd
        60000000 0009 11 40 fd000000000000000000000000000001 fd000000000000000000000000000002
        14e9 0035 0009 0000 ff
        """)

    static let section = CaptureSection(
        hardware: "virtual", operatingSystem: "Linux 6.12", application: "podnet", comments: ["seed 1"])

    static let interfaces = [
        CaptureInterface(
            name: "default/client/eth0", description: "pod client", hardwareAddress: 0x0a58_0af4_0102,
            addresses: [
                CaptureInterfaceAddress(.ipv4(0x0af4_0102), prefixLength: 24),
                CaptureInterfaceAddress(.ipv6(0xfd00_0000_0000_0000_0000_0000_0000_0001), prefixLength: 64),
            ]),
        CaptureInterface(name: "worker-1/cni0"),
    ]

    static let names = [
        CaptureNameRecord(.ipv4(0x0af4_0102), names: ["client.default.pod"]),
        CaptureNameRecord(.ipv6(0xfd00_0000_0000_0000_0000_0000_0000_0002), names: ["dns.kube-system.svc"]),
    ]

    static let packets = [
        CapturedPacket(
            interface: 0, timestamp: 1_735_689_600_000_000_001, bytes: toService, direction: .outbound, packetID: 7,
            comments: ["POSTROUTING: accepted", "Привет, мир"]),
        CapturedPacket(
            interface: 1, timestamp: 1_735_689_600_999_999_999, bytes: toPod, direction: .inbound,
            packetID: 0x0102_0304_0506_0708),
        CapturedPacket(
            interface: 0, timestamp: 1_735_689_601_000_000_000, bytes: datagram, originalLength: 1500,
            comments: ["cut short"]),
        CapturedPacket(interface: 1, timestamp: 0, bytes: []),
    ]

    static var pcapng: [UInt8] {
        var writer = PcapngWriter(section: section)
        for interface in interfaces { writer.addInterface(interface) }
        writer.add(names)
        for packet in packets { writer.append(packet) }
        return writer.bytes
    }

    static var pcap: [UInt8] {
        var writer = PcapWriter()
        for packet in packets { writer.append(packet) }
        return writer.bytes
    }
}
