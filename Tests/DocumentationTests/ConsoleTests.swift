// Every command the documents show in a block marked `console` is run, and must show what the block shows. With
// PODNET_UPDATE_GOLDENS=1 the block is rewritten instead. Blocks marked `sh` are for commands that are not run here:
// make, swift, anything that installs.

import Foundation
import Testing

@Suite struct ConsoleTests {
    static let paths: [String] = (try? Page.all().filter { !Self.shown($0).isEmpty }.map(\.path)) ?? []

    /// The blocks that are made by running something.
    static func shown(_ page: Page) -> [Page.Block] {
        page.blocks.filter { $0.language == "console" || PacketList($0.introduction) != nil }
    }

    @Test func `README and the guides show commands`() {
        for path in ["README.md", "captures/README.md", "docs/captures.md", "docs/tracing.md"] {
            #expect(Self.paths.contains(path), "\(path) has no block marked console")
        }
    }

    /// A page is one session: a later command sees the files an earlier one wrote.
    @Test(arguments: paths)
    func `commands show what the page shows`(path: String) throws {
        let page = try Page(path)
        let terminal = try Terminal()
        var changed: [(block: Page.Block, lines: [String])] = []
        for block in Self.shown(page) {
            let now: [String]
            if let list = PacketList(block.introduction) {
                now = try list.lines(in: terminal)
            } else {
                now = try Self.session(block.lines, in: terminal)
            }
            if now != block.lines { changed.append((block, now)) }
        }
        guard !changed.isEmpty else { return }
        if Page.isUpdating {
            try page.write(replacing: changed)
            return
        }
        for (block, now) in changed {
            let first = zip(block.lines, now).enumerated().first { $0.element.0 != $0.element.1 }
            let line = block.start + (first?.offset ?? min(block.lines.count, now.count)) + 1
            Issue.record(
                """
                \(path):\(line): the page shows
                  \(first?.element.0 ?? "\(block.lines.count) lines")
                and podnet now
                  \(first?.element.1 ?? "\(now.count) lines")
                'make goldens' rewrites the page.
                """)
        }
    }

    /// The block as it would read if its commands were run now.
    static func session(_ lines: [String], in terminal: Terminal) throws -> [String] {
        var session: [String] = []
        var index = 0
        while index < lines.count {
            guard lines[index].hasPrefix("$ ") else {
                // Output of the command before, to be made anew.
                index += 1
                continue
            }
            var command = ""
            while index < lines.count {
                let line = lines[index]
                index += 1
                session.append(line)
                command += command.isEmpty ? String(line.dropFirst(2)) : "\n" + line
                if !line.hasSuffix("\\") { break }
            }
            session += try terminal.show(command)
            // A blank line before the next command is layout, not output.
            let next = lines[index...].firstIndex { $0.hasPrefix("$ ") }
            if let next, lines[next - 1].isEmpty { session.append("") }
        }
        return session
    }
}
