// Runs a command as a reader of the documents would: in a shell, on a terminal, with podnet on the path. A terminal
// puts standard output and standard error into the order a person sees them in, which two pipes do not.

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

final class Terminal {
    /// Where commands run. `topologies` and `share` are there as in the repository; what is written stays here.
    let folder: URL

    init() throws {
        let template = FileManager.default.temporaryDirectory.appending(path: "podnet-documents-XXXXXX").path
        var path = Array(template.utf8CString)
        guard mkdtemp(&path) != nil else { throw CocoaError(.fileWriteUnknown) }
        folder = URL(filePath: String(decoding: path.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self))
        let files = FileManager.default
        for name in ["topologies", "share"] {
            try files.createSymbolicLink(
                at: folder.appending(path: name), withDestinationURL: Page.root.appending(path: name))
        }
        try files.createDirectory(at: folder.appending(path: "captures"), withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    /// Where the programs of this build lie: beside the bundle of tests.
    static let programs: URL = {
        for argument in CommandLine.arguments {
            guard let end = argument.firstRange(of: ".xctest") else { continue }
            return URL(filePath: String(argument[..<end.upperBound])).deletingLastPathComponent()
        }
        return Page.root.appending(path: ".build/debug")
    }()

    /// What a command shows, line by line. Colour is off. Left out are blanks at the ends of lines, which `ip` prints
    /// and editors take away, and tshark's remark about being run as root.
    func show(_ command: String) throws -> [String] {
        var (leader, follower) = (Int32(-1), Int32(-1))
        var size = winsize(ws_row: 50, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0)
        guard openpty(&leader, &follower, nil, nil, &size) == 0 else { throw CocoaError(.fileReadUnknown) }
        defer { close(leader) }
        for end in [leader, follower] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }

        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", command]
        process.currentDirectoryURL = folder
        var environment = ProcessInfo.processInfo.environment
        environment["PATH"] = "\(Self.programs.path):\(environment["PATH"] ?? "/usr/bin:/bin"):/usr/sbin:/sbin"
        environment["NO_COLOR"] = "1"
        environment["LC_ALL"] = "C.UTF-8"
        environment["TZ"] = "UTC"
        environment["HOME"] = folder.path
        process.environment = environment
        let output = FileHandle(fileDescriptor: follower, closeOnDealloc: false)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        do {
            try process.run()
        } catch {
            close(follower)
            throw error
        }
        close(follower)
        var octets: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = read(leader, &buffer, buffer.count), count > 0 { octets += buffer[..<count] }
        process.waitUntilExit()
        var lines = String(decoding: octets, as: UTF8.self).replacing("\r\n", with: "\n")
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        return lines.filter { !$0.hasPrefix("Running as user \"root\"") }.map { line in
            String(line.reversed().drop { $0 == " " }.reversed())
        }
    }
}
