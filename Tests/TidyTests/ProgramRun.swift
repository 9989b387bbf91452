// Runs a program and waits for it, for tests of what stands beside the library: scripts, and files made for other
// programs. Output goes through files, so that a program that says much cannot block.

import Foundation

struct ProgramRun {
    let status: Int32
    let output: String
    let errors: String

    /// Runs the program found under `name` on the path, or at `name` when that is a path.
    static func of(_ name: String, _ arguments: [String], environment: [String: String] = [:]) throws -> ProgramRun {
        let folder = try TemporaryFolder()
        let output = folder.url.appending(path: "output")
        let errors = folder.url.appending(path: "errors")
        for file in [output, errors] { try Data().write(to: file) }

        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [name] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        process.waitUntilExit()
        return ProgramRun(
            status: process.terminationStatus,
            output: String(decoding: try Data(contentsOf: output), as: UTF8.self),
            errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
    }
}

/// A folder that goes away with its last reference.
final class TemporaryFolder {
    let url: URL

    init() throws {
        let template = FileManager.default.temporaryDirectory.appending(path: "podnet-tidy-XXXXXX").path
        var path = Array(template.utf8CString)
        guard mkdtemp(&path) != nil else { throw CocoaError(.fileWriteUnknown) }
        url = URL(filePath: String(decoding: path.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self))
    }

    deinit {
        try? FileManager.default.removeItem(at: url)
    }

    @discardableResult
    func write(_ text: String, to name: String, isExecutable: Bool = false) throws -> URL {
        let file = url.appending(path: name)
        try Data(text.utf8).write(to: file)
        if isExecutable {
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
        }
        return file
    }
}
