// A Markdown page as these tests read it: fenced blocks with the words behind the fence, tables, and what stands in
// backticks. A page can be put back with the text of some blocks replaced.

import Foundation

struct Page {
    /// A fenced block.
    struct Block {
        /// `console` of "```console".
        var language: String
        /// The line before the fence, for example a comment that says how the block is made.
        var introduction: String
        /// Where the first line of the content stands, counted from 0.
        var start: Int
        var lines: [String]
    }

    /// From the root of the repository.
    let path: String
    private(set) var lines: [String]

    /// The folder this target was compiled from is two below the root.
    static let root = URL(filePath: #filePath).resolvingSymlinksInPath().appending(path: "../../..").standardizedFileURL

    init(_ path: String) throws {
        self.path = path
        let text = try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// Every page there is.
    static func all() throws -> [Page] {
        var paths: [String] = []
        for folder in ["", "docs/", "captures/", "share/wireshark/"] {
            let names = try FileManager.default.contentsOfDirectory(atPath: root.appending(path: folder).path)
            paths += names.filter { $0.hasSuffix(".md") }.map { folder + $0 }
        }
        let decisions = try FileManager.default.contentsOfDirectory(atPath: root.appending(path: "docs/decisions").path)
        paths += decisions.filter { $0.hasSuffix(".md") }.map { "docs/decisions/" + $0 }
        return try paths.sorted().map { try Page($0) }
    }

    var text: String { lines.joined(separator: "\n") }

    var blocks: [Block] {
        var blocks: [Block] = []
        var open: Block?
        for (index, line) in lines.enumerated() {
            if let block = open {
                if line == "```" {
                    blocks.append(block)
                    open = nil
                } else {
                    open?.lines.append(line)
                }
            } else if line.hasPrefix("```") {
                open = Block(
                    language: String(line.dropFirst(3)), introduction: index == 0 ? "" : lines[index - 1],
                    start: index + 1, lines: [])
            }
        }
        return blocks
    }

    /// The cells of every table row outside blocks, headings and rules included.
    var tableRows: [[String]] {
        var rows: [[String]] = []
        var isInBlock = false
        for line in lines {
            if line.hasPrefix("```") { isInBlock.toggle() }
            guard !isInBlock, line.hasPrefix("|"), line.hasSuffix("|") else { continue }
            // A bar inside backticks would be written `\|`.
            let cells = line.replacing("\\|", with: "\u{1}").dropFirst().dropLast().split(
                separator: "|", omittingEmptySubsequences: false)
            rows.append(cells.map { $0.replacing("\u{1}", with: "|").trimmingCharacters(in: .whitespaces) })
        }
        return rows
    }

    /// What stands in backticks outside blocks.
    var codeWords: [String] {
        var words: [String] = []
        var isInBlock = false
        for line in lines {
            if line.hasPrefix("```") {
                isInBlock.toggle()
            } else if !isInBlock {
                words += line.matches(of: /`([^`]+)`/).map { String($0.1) }
            }
        }
        return words
    }

    /// The page with the lines of some blocks replaced, written where it was read.
    func write(replacing replacements: [(block: Block, lines: [String])]) throws {
        var lines = lines
        for (block, replacement) in replacements.sorted(by: { $0.block.start > $1.block.start }) {
            lines.replaceSubrange(block.start..<block.start + block.lines.count, with: replacement)
        }
        let text = lines.joined(separator: "\n")
        try text.write(to: Self.root.appending(path: path), atomically: true, encoding: .utf8)
    }

    /// Whether expected outputs are to be rewritten from what podnet says now, as `make goldens` asks for.
    static let isUpdating = ProcessInfo.processInfo.environment["PODNET_UPDATE_GOLDENS"] == "1"
}
