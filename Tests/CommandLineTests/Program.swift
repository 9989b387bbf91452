// Runs the podnet that was built beside the tests, and other programs, to their end: exact output, exact errors, exit
// code. Nothing of the caller's environment reaches them except the path.

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a program left behind.
struct ProgramResult: Equatable {
    var status: Int32
    var output: String
    var errors: String
}

enum Program {
    /// The repository this test was compiled from.
    static let repository: URL = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// SwiftPM puts programs and test bundles into one folder.
    static let podnet: String = {
        for argument in CommandLine.arguments {
            var folder = URL(filePath: argument).resolvingSymlinksInPath()
            while folder.path != "/", !folder.path.isEmpty {
                folder.deleteLastPathComponent()
                let candidate = folder.appending(path: "podnet").path
                var isFolder: ObjCBool = false
                if FileManager.default.fileExists(atPath: candidate, isDirectory: &isFolder), !isFolder.boolValue {
                    return candidate
                }
            }
        }
        return "podnet: not found beside \(CommandLine.arguments.first ?? "the tests")"
    }()

    /// Runs podnet, by default in the repository's root.
    static func podnet(
        _ arguments: [String], input: String? = nil, in folder: String? = nil, environment: [String: String] = [:]
    ) throws -> ProgramResult {
        try run(podnet, arguments, input: input, in: folder ?? repository.path, environment: environment)
    }

    /// Runs a program to its end. Output goes through files, so that a program that says much cannot block.
    static func run(
        _ program: String, _ arguments: [String], input: String? = nil, in folder: String,
        environment: [String: String] = [:]
    ) throws -> ProgramResult {
        let scratch = try TemporaryFolder()
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.currentDirectoryURL = URL(filePath: folder)
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        process.environment = ["PATH": path, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"].merging(environment) { $1 }
        process.standardInput =
            try input.map { try reader(scratch.write($0, to: "input")) } ?? FileHandle.nullDevice
        process.standardOutput = try writer(scratch.write("", to: "output"))
        process.standardError = try writer(scratch.write("", to: "errors"))
        try process.run()
        process.waitUntilExit()
        // A program ended by a signal has no exit code; shells say 128 and the signal.
        let wasKilled = process.terminationReason == .uncaughtSignal
        return ProgramResult(
            status: process.terminationStatus + (wasKilled ? 128 : 0), output: try text(scratch.file("output")),
            errors: try text(scratch.file("errors")))
    }

    /// Runs podnet with a terminal as its standard output, which script(1) makes; returns what appeared there.
    static func podnetOnTerminal(
        _ arguments: [String], environment: [String: String] = [:]
    ) throws -> (status: Int32, screen: String) {
        #if os(Linux)
            let words = ["-qec", ([podnet] + arguments).joined(separator: " "), "/dev/null"]
        #else
            let words = ["-q", "/dev/null", podnet] + arguments
        #endif
        let result = try run("script", words, in: repository.path, environment: environment)
        return (result.status, result.output.replacing("\r\n", with: "\n"))
    }

    private static func reader(_ path: String) throws -> FileHandle {
        try FileHandle(forReadingFrom: URL(filePath: path))
    }
    private static func writer(_ path: String) throws -> FileHandle {
        try FileHandle(forWritingTo: URL(filePath: path))
    }

    private static func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    }
}

struct ProgramError: Error, CustomStringConvertible {
    let message: String
    var description: String { message }
}

/// An empty folder for one test, removed with all it holds.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/podnet-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ProgramError(message: "no temporary folder") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Names in the folder, sorted.
    var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }

    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: URL(filePath: file(name)))
        return file(name)
    }

    func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: file(name)))) }
}
