// Expected outputs kept as files. A test that compares writes the file instead when PODNET_UPDATE_GOLDENS is set:
// `make goldens`, or `PODNET_UPDATE_GOLDENS=1 swift test --filter Golden`. Read the difference before you commit it.

import Foundation
import Testing

enum Golden {
    static let isUpdating = ProcessInfo.processInfo.environment["PODNET_UPDATE_GOLDENS"].map { $0 != "0" } ?? false

    /// The folder of this target that holds expectations of one kind.
    static func folder(_ name: String) -> URL {
        Program.repository.appending(path: "Tests/CommandLineTests/\(name)")
    }

    /// Names in such a folder, sorted.
    static func names(in folder: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: Self.folder(folder).path)) ?? []
        return names.filter { !$0.hasPrefix(".") }.sorted()
    }

    /// Compares a text with `FOLDER/NAME`, or writes it there.
    static func expect(
        _ text: String, is name: String, in folder: String, location: SourceLocation = #_sourceLocation
    ) throws {
        let file = Self.folder(folder).appending(path: name)
        if isUpdating {
            try FileManager.default.createDirectory(at: Self.folder(folder), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
            return
        }
        guard let data = try? Data(contentsOf: file) else {
            Issue.record("\(folder)/\(name) is missing: run make goldens and read it", sourceLocation: location)
            return
        }
        let expected = String(decoding: data, as: UTF8.self)
        guard text != expected else { return }
        let said = text.split(separator: "\n", omittingEmptySubsequences: false)
        let wanted = expected.split(separator: "\n", omittingEmptySubsequences: false)
        let line = zip(said, wanted).prefix { $0 == $1 }.count
        Issue.record(
            """
            \(folder)/\(name) differs from line \(line + 1) on (make goldens rewrites it)
            expected: \(line < wanted.count ? wanted[line] : "<end>")
            is:       \(line < said.count ? said[line] : "<end>")
            """, sourceLocation: location)
    }
}
