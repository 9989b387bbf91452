// The captures kept in captures/: the commands of captures/README.md write the same octets again, and nothing lies
// there that no command writes. With PODNET_UPDATE_GOLDENS=1 the files are replaced.

import Foundation
import Testing

@Suite struct CaptureGoldenTests {
    @Test func `the commands of captures/README.md write the captures kept there`() throws {
        let terminal = try Terminal()
        for block in try Page("captures/README.md").blocks where block.language == "console" {
            _ = try ConsoleTests.session(block.lines, in: terminal)
        }
        let written = terminal.folder.appending(path: "captures")
        let kept = Page.root.appending(path: "captures")
        let names = try Self.captures(in: written)
        #expect(names.count > 1, "captures/README.md writes no captures")
        if Page.isUpdating {
            for name in try Self.captures(in: kept) {
                try FileManager.default.removeItem(at: kept.appending(path: name))
            }
            for name in names {
                try FileManager.default.copyItem(at: written.appending(path: name), to: kept.appending(path: name))
            }
            return
        }
        let keptNames = try Self.captures(in: kept)
        #expect(keptNames == names, "captures/ holds other files than its README writes; 'make goldens' replaces them")
        for name in names where keptNames.contains(name) {
            let now = try Data(contentsOf: written.appending(path: name))
            let before = try Data(contentsOf: kept.appending(path: name))
            #expect(now == before, "captures/\(name) is not what podnet writes now; 'make goldens' replaces it")
        }
    }

    @Test func `make demo writes captures that are kept`() throws {
        let makefile = try Page("Makefile").text
        var flows: [String: String] = [:]
        for match in makefile.matches(of: /(?m)^(DEMO_\w+) = (.+)$/) { flows[String(match.1)] = String(match.2) }
        let kept = try Page("captures/README.md").lines
        let commands = makefile.matches(of: /\$\(PODNET\) capture \$\((DEMO_\w+)\) -w (captures\/\S+)/)
        #expect(commands.count == 2, "the captures of 'make demo' could not be read")
        for command in commands {
            let shown = "$ podnet capture \(flows[String(command.1)] ?? "") -w \(command.2)"
            #expect(kept.contains(shown), "captures/README.md does not show '\(shown)'")
        }
    }

    private static func captures(in folder: URL) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.contains(".pcap") }.sorted()
    }
}
