// Wrong input: every file in BadInput/ is refused with the message beside it, and so is every wrong word in a table
// below. Exit code 2, nothing on standard output, nothing written, no trace of a crash.

import Foundation
import Testing

@Suite struct BadInputTests {
    static let folder = "BadInput"
    static let files = Golden.names(in: folder).filter { !$0.hasSuffix(".txt") }
    static let remote = Program.repository.appending(path: "topologies/clusterip-remote.yaml").path

    private func expectRefusal(_ result: ProgramResult, location: SourceLocation = #_sourceLocation) {
        #expect(result.status == 2, sourceLocation: location)
        #expect(result.output == "", sourceLocation: location)
        #expect(result.errors.hasPrefix("podnet: ") && result.errors.hasSuffix("\n"), sourceLocation: location)
        for word in ["Fatal error", "stack", ".swift", "Error:"] {
            #expect(!result.errors.contains(word), sourceLocation: location)
        }
    }

    @Test(arguments: files)
    func `a wrong file is refused with`(_ file: String) throws {
        let place = Golden.folder(Self.folder).path
        let result = try Program.podnet(["trace", "host/client", "192.168.50.11:80", "-f", file], in: place)
        expectRefusal(result)
        #expect(result.errors.hasPrefix("podnet: \(file):"))
        let name = file.split(separator: ".").dropLast().joined(separator: ".")
        try Golden.expect(result.errors, is: "\(name).txt", in: Self.folder)

        // Other commands say the same, and write nothing.
        let scratch = try TemporaryFolder()
        let target = try scratch.write("kept", to: "old.pcapng")
        let flow = ["host/client", "192.168.50.11:80", "-f", file]
        #expect(try Program.podnet(["capture"] + flow + ["-w", target], in: place) == result)
        #expect(try Program.podnet(["capture"] + flow + ["-w", scratch.file("new/")], in: place) == result)
        #expect(try Program.podnet(["get", "pods", "-f", file], in: place) == result)
        #expect(scratch.names == ["old.pcapng"])
        #expect(try scratch.bytes("old.pcapng") == Array("kept".utf8))
    }

    @Test func `every expected message has its file`() {
        let stems = Set(Self.files.map { $0.split(separator: ".").dropLast().joined(separator: ".") })
        let texts = Golden.names(in: Self.folder).filter { $0.hasSuffix(".txt") }.map { String($0.dropLast(4)) }
        #expect(stems == Set(texts).subtracting(["ends", "faults", "targets"]))
        #expect(Self.files.count >= 20)
    }

    /// Wrong ends of a flow. All messages stand in one golden, in this order.
    static let ends: [[String]] = [
        ["client", "svc/nope:80"], ["client", "svc/wep:80"], ["nope", "svc/web:80"], ["client", "svc/web:81"],
        ["client", "svc/web:http"], ["client", "svc/web:80", "--protocol", "udp"], ["client", "web:70000"],
        ["client", "web:http"], ["client", "10.244.2.2"], ["deploy/web", "svc/web:80"], ["host/nobody", "svc/web:80"],
        ["client", "node/worker-9:80"], ["client", "node/worker-1"], ["client", "example.org:80"],
        ["client", "a/b/c:80"], ["client", ""], ["", "web:8080"], ["client", "ftp://web/"],
        ["client", "svc/web:80", "-n", "other"], ["client", "300.1.1.1:80"],
    ]

    @Test func `unknown pods, Services and ports are refused with what would be right`() throws {
        var text = ""
        for end in Self.ends {
            let result = try Program.podnet(["trace"] + end + ["-f", Self.remote])
            expectRefusal(result)
            let words = end.map { $0.isEmpty ? "''" : $0 }.joined(separator: " ")
            text += "$ podnet trace \(words)\n\(result.errors)"
        }
        try Golden.expect(text, is: "ends.txt", in: Self.folder)
    }

    /// Wrong faults on the command line. All messages stand in one golden, in this order.
    static let faults = [
        "", "loss 10%", "worker-1/eth0", "worker-1/eth0 los 10%", "worker-1/eth0 loss", "worker-1/eth0 loss 101%",
        "worker-1/eth0 loss -1%", "worker-1/eth0 rate 0", "worker-1/eth0 delay -5ms", "worker-1/eth0 delay 5",
        "worker-1/eth0 reorder 25%", "worker-1/eth7 loss 10%", "worker-9/eth0 loss 10%", "worker-1 loss 10%",
        "default/client/eth7 link down", "worker-1 wrong-vtep-mac worker-9", "worker-1 stale-route 10.0.0.0/8",
        "worker-1/eth0 br_netfilter off", "worker-1 partition worker-1", "underlay mtu 1400",
    ]

    @Test func `wrong faults are refused by every command, with what would be right`() throws {
        var text = ""
        for fault in Self.faults {
            let options = ["-f", Self.remote, "--fault", fault]
            let result = try Program.podnet(["trace", "client", "svc/web:80"] + options)
            expectRefusal(result)
            #expect(try Program.podnet(["ip", "worker-1", "link"] + options) == result)
            text += "$ podnet trace client svc/web:80 --fault '\(fault)'\n"
            text += result.errors.replacing(/veth[0-9a-f]{8}/, with: "vethXXXXXXXX")
        }
        try Golden.expect(text, is: "faults.txt", in: Self.folder)
    }

    /// Wrong targets and selections of a capture. `FOLDER` stands for a scratch folder with a file `old.pcapng`.
    static let targets: [[String]] = [
        ["-w", "FOLDER/missing/x.pcapng"], ["-w", "FOLDER/old.pcapng/x.pcapng"], ["-w", "FOLDER/old.pcapng/"],
        ["-w", "FOLDER/x.txt"], ["-w", "FOLDER/x"], ["-w", "FOLDER/x.pcap"], ["-w", "FOLDER/folder.pcapng"],
        ["-w", "FOLDER/x.pcapng", "-i", "worker-9/eth0"], ["-w", "FOLDER/x.pcapng", "tcp", "prot", "80"],
        ["-w", "FOLDER/x.pcapng", "port"], ["-w", "FOLDER/x.pcapng", "net 10.0.0.0/99"],
    ]

    @Test func `what cannot be written is refused, and nothing is written`() throws {
        let folder = try TemporaryFolder()
        try folder.write("kept", to: "old.pcapng")
        try FileManager.default.createDirectory(
            atPath: folder.file("folder.pcapng"), withIntermediateDirectories: false)
        var text = ""
        for target in Self.targets {
            let words = target.map { $0.replacing("FOLDER", with: folder.path) }
            let result = try Program.podnet(["capture", "client", "svc/web:80", "-f", Self.remote] + words)
            expectRefusal(result)
            // The suffixes of veth names are of no interest here.
            text += "$ podnet capture client svc/web:80 \(target.joined(separator: " "))\n"
            text += result.errors.replacing(folder.path, with: "FOLDER")
            #expect(folder.names == ["folder.pcapng", "old.pcapng"])
        }
        #expect(try folder.bytes("old.pcapng") == Array("kept".utf8))
        try Golden.expect(text, is: "targets.txt", in: Self.folder)
    }

    @Test func `files that cannot be read are named`() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.file("empty"), withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(atPath: folder.file("loop.yaml"), withDestinationPath: "loop.yaml")
        for (path, message) in [
            ("missing.yaml", "podnet: missing.yaml: no such file or directory\n  hint: check the path\n"),
            ("empty", "podnet: empty: the directory has no *.yaml, *.yml or *.json file\n"),
            ("loop.yaml", "podnet: loop.yaml: "),
        ] {
            let result = try Program.podnet(["get", "pods", "-f", path], in: folder.path)
            expectRefusal(result)
            #expect(result.errors.hasPrefix(message), "\(result.errors)")
        }
        let empty = try Program.podnet(["get", "pods", "-f", "-"], input: "", in: folder.path)
        expectRefusal(empty)
        #expect(empty.errors.hasPrefix("podnet: <stdin>: there is no object in the input\n"), "\(empty.errors)")
    }

    @Test func `standard input is named in messages`() throws {
        let result = try Program.podnet(["get", "pods", "-f", "-"], input: "kind: Pod\n\tmetadata: {}\n")
        expectRefusal(result)
        #expect(result.errors.hasPrefix("podnet: <stdin>:2:1: "), "\(result.errors)")
    }

    @Test func `a kind that is not used is skipped with one warning`() throws {
        let widget = "---\napiVersion: example.org/v1\nkind: Widget\nmetadata: {name: one}\n"
        let topology = try String(contentsOf: URL(filePath: Self.remote), encoding: .utf8)
        let lines = topology.split(separator: "\n", omittingEmptySubsequences: false).count
        let result = try Program.podnet(
            ["trace", "client", "svc/web:80", "-f", "-", "--minimal"], input: topology + widget)
        #expect(result.status == 0)
        #expect(
            result.errors
                == "<stdin>:\(lines + 2):7: warning: kind Widget (example.org/v1) is not used by podnet and skipped\n")
    }
}
