// The three forms of `-w`: what each file holds, and that a run that fails leaves no file.

import Capture
import Testing

struct CaptureOutputTests {
    private let directory = TemporaryDirectory()

    static let formats: [(String, CaptureOutput.Format?)] = [
        ("a.pcapng", .pcapng), ("a.pcap", .pcap), ("a/", .pcapPerInterface), ("a.pcap/", .pcapPerInterface),
        ("a", nil), ("a.cap", nil), ("", nil),
    ]

    @Test(arguments: formats)
    func `the name decides the format`(path: String, format: CaptureOutput.Format?) {
        #expect(CaptureOutput.Format(path: path) == format)
    }

    @Test func `a pcapng file holds all interfaces`() throws {
        let output = try CaptureOutput(path: directory.file("a.pcapng"), section: Sample.section)
        for interface in Sample.interfaces { try output.addInterface(interface) }
        output.add(Sample.names)
        for packet in Sample.packets { try output.append(packet) }
        try output.commit()
        #expect(read(directory.file("a.pcapng")) == Sample.pcapng)
        #expect(directory.names == ["a.pcapng"])
    }

    @Test func `an interface may come after packets of others`() throws {
        let output = try CaptureOutput(path: directory.file("a.pcapng"))
        for (interface, packet) in zip(Sample.interfaces, Sample.packets) {
            try output.addInterface(interface)
            try output.append(packet)
        }
        try output.commit()
        let file = try CaptureFile(contentsOf: directory.file("a.pcapng"))
        #expect(file.interfaces == Sample.interfaces)
        #expect(file.packets == Array(Sample.packets[..<2]))
        #expect(try LibpcapOracle.read(read(directory.file("a.pcapng")) ?? []).count == 2)
    }

    @Test func `a pcap file holds one interface`() throws {
        let output = try CaptureOutput(path: directory.file("a.pcap"))
        try output.addInterface(CaptureInterface(name: "a/eth0", snapshotLength: 96))
        try output.append(Sample.packets[0])
        let error = #expect(throws: CaptureFileError.self) {
            try output.addInterface(CaptureInterface(name: "b/eth0"))
        }
        #expect(error?.reason == "a .pcap file holds one interface, not 'a/eth0' and 'b/eth0'")
        try output.commit()
        var writer = PcapWriter(snapshotLength: 96)
        writer.append(Sample.packets[0])
        #expect(read(directory.file("a.pcap")) == writer.bytes)
    }

    @Test func `a directory gets one pcap file for each interface`() throws {
        let path = directory.file("captures/")
        let output = try CaptureOutput(path: path)
        for name in ["worker-1/cni0", "default/client/eth0", "laptop/eth0"] {
            try output.addInterface(CaptureInterface(name: name))
        }
        for packet in Sample.packets { try output.append(packet) }
        #expect(TemporaryDirectory.names(in: path).allSatisfy { $0.hasPrefix(".") })
        try output.commit()
        let names = ["default_client_eth0.pcap", "laptop_eth0.pcap", "worker-1_cni0.pcap"]
        #expect(TemporaryDirectory.names(in: path) == names)
        let counts = try names.map { try CaptureFile(contentsOf: path + $0).packets.count }
        #expect(counts == [2, 0, 2])
    }

    @Test func `two interfaces that would share a file are refused`() throws {
        let output = try CaptureOutput(path: directory.file("captures/"))
        try output.addInterface(CaptureInterface(name: "a/b_c"))
        let error = #expect(throws: CaptureFileError.self) {
            try output.addInterface(CaptureInterface(name: "a_b/c"))
        }
        #expect(error?.path == directory.file("captures/a_b_c.pcap"))
        #expect(error?.reason == "it would hold both 'a/b_c' and 'a_b/c'")
    }

    @Test(arguments: ["a.pcapng", "a.pcap", "captures/"])
    func `a capture that is given up leaves nothing behind`(name: String) throws {
        do {
            let output = try CaptureOutput(path: directory.file(name))
            try output.addInterface(Sample.interfaces[0])
            try output.append(Sample.packets[0])
            #expect(!directory.names.isEmpty)
        }
        #expect(directory.names.isEmpty)
    }

    @Test func `a directory that was there before stays`() throws {
        let path = directory.file("captures/")
        try CaptureOutput(path: path).commit()
        do {
            let output = try CaptureOutput(path: path)
            try output.addInterface(Sample.interfaces[0])
        }
        #expect(directory.names == ["captures"])
    }

    @Test func `a path that cannot be written is refused before the first packet`() throws {
        let base = directory.path
        for path in ["\(base)/none/a.pcapng", "\(base)/none/a.pcap", "\(base)/none/captures/"] {
            let error = #expect(throws: CaptureFileError.self) { try CaptureOutput(path: path) }
            #expect(error?.hint == "create the directory '\(base)/none' first")
        }
        let error = #expect(throws: CaptureFileError.self) { try CaptureOutput(path: "a.txt") }
        #expect(error?.reason == "its name says no capture format")
    }

    @Test(arguments: ["a.pcapng", "a.pcap", "captures/"])
    func `more packets than the buffer holds arrive complete and in order`(name: String) throws {
        let output = try CaptureOutput(path: directory.file(name))
        let interface = try output.addInterface(CaptureInterface(name: "a"))
        let packets = (0..<300).map { number in
            CapturedPacket(
                interface: interface, timestamp: UInt64(number),
                bytes: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 9000))
        }
        for packet in packets { try output.append(packet) }
        try output.commit()
        let path = directory.file(name == "captures/" ? "captures/a.pcap" : name)
        #expect(try CaptureFile(contentsOf: path).packets == packets)
    }
}
