// Rules written by hand, loaded into this kernel by iptables-restore and dumped by iptables-save, must come through
// podnet unchanged. Takes root, a Linux kernel with netfilter, and the programs `scripts/install-dependencies test`
// installs; without one of them these tests fail and say which.

import Addressing
import Foundation
import Testing

@testable import Netstack

@Suite(.serialized) struct IPTablesTests {
    @Test(
        "What iptables-save prints is read and printed back unchanged",
        arguments: [("iptables", AddressFamily.ipv4), ("ip6tables", .ipv6)])
    func roundTrip(program: String, family: AddressFamily) throws {
        let kernel = try ScratchNamespace()
        let rules = family == .ipv4 ? HandWrittenRules.ipv4 : HandWrittenRules.ipv6
        try kernel.run("\(program)-restore", [], input: HandWrittenRules.restoreText(rules))
        for arguments in [[], ["-c"]] {
            let dump = try kernel.run("\(program)-save", arguments)
            let lines = dump.split(separator: "\n").filter { !$0.hasPrefix("#") }
            #expect(lines.count > rules.count)
            let saved = try SavedRules(lines.joined(separator: "\n"), family: family)
            let printed = saved.ruleset.savedText().split(separator: "\n")
            for (ours, theirs) in zip(printed, lines) where ours != theirs {
                Issue.record("iptables-save: \(theirs)\n      podnet: \(ours)")
            }
            #expect(printed.count == lines.count)
        }
    }

    @Test func `What people write by hand is printed as iptables-save prints it`() throws {
        let kernel = try ScratchNamespace()
        // iptables-restore knows the built-in chains; a dump declares all of them.
        var lines = HandWrittenRules.restoreText(HandWrittenRules.ipv4).split(separator: "\n").flatMap { line in
            guard let table = TableName(rawValue: String(line.dropFirst())), line.hasPrefix("*") else { return [line] }
            let chains = table.builtInChains.filter { $0 != .output }
            return [line] + chains.map { ":\($0.chainName) ACCEPT [0:0]" }
        }
        // What is not evaluated is kept in the words it had.
        let kept = try SavedRules(lines.joined(separator: "\n"), family: .ipv4).unevaluated
        for line in kept.map(\.line).sorted(by: >) where lines.indices.contains(line - 1) { lines.remove(at: line - 1) }
        let text = lines.joined(separator: "\n") + "\n"
        try kernel.run("iptables-restore", [], input: text)
        func rules(_ text: String) -> [Substring] { text.split(separator: "\n").filter { $0.hasPrefix("-A") }.sorted() }
        let ours = rules(try Ruleset(saved: text, family: .ipv4).savedText())
        let theirs = rules(try kernel.run("iptables-save", []))
        #expect(ours.count > 150)
        for (ours, theirs) in zip(ours, theirs) where ours != theirs {
            Issue.record("iptables-save: \(theirs)\n      podnet: \(ours)")
        }
        #expect(ours.count == theirs.count)
    }
}

/// A network namespace of this kernel, gone with its last reference.
final class ScratchNamespace {
    let name = "podnet-test-\(ProcessInfo.processInfo.processIdentifier)"

    init() throws {
        try #require(geteuid() == 0, "tests against the kernel's netfilter must run as root")
        _ = try? Self.execute("ip", ["netns", "del", name], input: nil)
        _ = try Self.execute("ip", ["netns", "add", name], input: nil)
    }

    deinit { _ = try? Self.execute("ip", ["netns", "del", name], input: nil) }

    /// Runs a program in the namespace and returns its output; throws what it complained about.
    @discardableResult
    func run(_ program: String, _ arguments: [String], input: String? = nil) throws -> String {
        try Self.execute("ip", ["netns", "exec", name, program] + arguments, input: input)
    }

    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    private static func execute(_ program: String, _ arguments: [String], input: String?) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [program] + arguments
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        process.environment = ["PATH": path + ":/usr/sbin:/sbin", "LC_ALL": "C"]
        let folder = FileManager.default.temporaryDirectory.appending(path: "podnet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let files = ["input", "output", "errors"].map { folder.appending(path: $0) }
        try Data((input ?? "").utf8).write(to: files[0])
        for file in files.dropFirst() { try Data().write(to: file) }
        process.standardInput = try FileHandle(forReadingFrom: files[0])
        process.standardOutput = try FileHandle(forWritingTo: files[1])
        process.standardError = try FileHandle(forWritingTo: files[2])
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let errors = String(decoding: try Data(contentsOf: files[2]), as: UTF8.self)
            throw Failure(
                description: "\(program) \(arguments.joined(separator: " ")) exited \(process.terminationStatus): "
                    + errors)
        }
        return String(decoding: try Data(contentsOf: files[1]), as: UTF8.self)
    }
}
