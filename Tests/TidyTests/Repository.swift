// The files of this repository as the tidy rules see them: paths relative to its root, and texts.
// Walks the file system rather than asking git, so that the rules also hold in an unpacked archive; what SwiftPM
// builds, and git's own folder, are left out.

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

struct Repository {
    /// One text file: its path from the root, and what it says.
    struct TextFile {
        let path: String
        let text: String

        var lines: [Substring] {
            text.split(separator: "\n", omittingEmptySubsequences: false)
        }

        /// Whether `word` occurs anywhere: most files hold nothing a rule looks for, and this is the quick way to tell.
        func mentions(_ word: String) -> Bool {
            text.withCString { text in word.withCString { strstr(text, $0) != nil } }
        }

        /// The last component of the path, as `Bridge.swift`.
        var name: String {
            String(path.split(separator: "/").last ?? "")
        }
    }

    let root: URL
    /// Every file's path from the root, sorted.
    let paths: [String]

    /// The repository this test was compiled from.
    static let here = Repository(
        root: URL(filePath: #filePath).resolvingSymlinksInPath().appending(path: "../../..").standardizedFileURL)

    init(root: URL) {
        self.root = root
        var found: [String] = []
        Self.walk(root, prefix: "", into: &found)
        paths = found.sorted()
    }

    private static func walk(_ folder: URL, prefix: String, into found: inout [String]) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        for name in names where !isLeftOut(name) {
            let child = folder.appending(path: name)
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: child.path, isDirectory: &isFolder) else { continue }
            if isFolder.boolValue {
                walk(child, prefix: prefix + name + "/", into: &found)
            } else {
                found.append(prefix + name)
            }
        }
    }

    private static func isLeftOut(_ name: String) -> Bool {
        name == ".git" || name.hasPrefix(".build") || name == ".swiftpm" || name == "Package.resolved"
            || name.hasSuffix(".tmp") || name == ".DS_Store"
    }

    func contains(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appending(path: path).path)
    }

    /// The file as text; `nil` when it is missing, or holds something else than UTF-8 text.
    func textFile(_ path: String) -> TextFile? {
        guard let data = FileManager.default.contents(atPath: root.appending(path: path).path),
            !data.contains(0), let text = String(validating: data, as: UTF8.self)
        else { return nil }
        return TextFile(path: path, text: text)
    }

    func textFiles(under folders: [String] = [""], suffix: String = "") -> [TextFile] {
        paths.filter { path in path.hasSuffix(suffix) && folders.contains { path.hasPrefix($0) } }
            .compactMap(textFile)
    }

    var swiftFiles: [TextFile] { textFiles(suffix: ".swift") }
    var markdownFiles: [TextFile] { textFiles(suffix: ".md") }
}

/// Something a tidy rule objects to.
struct Finding: CustomStringConvertible, Equatable {
    let path: String
    /// Counted from 1; `nil` when the whole file is meant.
    let line: Int?
    let message: String

    init(_ path: String, line: Int? = nil, _ message: String) {
        self.path = path
        self.line = line
        self.message = message
    }

    var description: String {
        line.map { "\(path):\($0): \(message)" } ?? "\(path): \(message)"
    }
}
