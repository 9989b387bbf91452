// Rules written by hand, loaded into this kernel by iptables-restore and dumped by iptables-save, must come through
// podnet unchanged. Takes root, a Linux kernel with netfilter, and the programs `scripts/install-dependencies test`
// installs; without one of them these tests fail and say which.

import Addressing
import Foundation
import Testing

@testable import Netstack

@Suite struct IPTablesTests {
    @Test(
        "What iptables-save prints is read and printed back unchanged",
        arguments: [("iptables", AddressFamily.ipv4, ""), ("iptables", .ipv4, "-c"), ("ip6tables", .ipv6, "-c")])
    func roundTrip(program: String, family: AddressFamily, option: String) throws {
        let rules = family == .ipv4 ? HandWrittenRules.ipv4 : HandWrittenRules.ipv6
        let dump = try load(HandWrittenRules.restoreText(rules), program, option)
        #expect(dump.count > rules.count)
        let printed = try Ruleset(saved: dump.joined(separator: "\n"), family: family).savedText()
        compare(printed.split(separator: "\n"), dump)
    }

    @Test func `What people write by hand is printed as iptables-save prints it`() throws {
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
        let ours = try Ruleset(saved: text, family: .ipv4).savedText().split(separator: "\n")
        let theirs = try load(text, "iptables", "")
        func rules(_ lines: [Substring]) -> [Substring] { lines.filter { $0.hasPrefix("-A") }.sorted() }
        #expect(rules(ours).count > 150)
        compare(rules(ours), rules(theirs))
    }

    private func compare(_ ours: [Substring], _ theirs: [Substring]) {
        for (ours, theirs) in zip(ours, theirs) where ours != theirs {
            Issue.record("iptables-save: \(theirs)\n      podnet: \(ours)")
        }
        #expect(ours.count == theirs.count)
    }

    /// The lines iptables-save prints, comments left out, after rules were loaded into a fresh network namespace.
    private func load(_ rules: String, _ program: String, _ option: String) throws -> [Substring] {
        try #require(geteuid() == 0, "tests against the kernel's netfilter must run as root")
        let folder = FileManager.default.temporaryDirectory.appending(path: "podnet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func file(_ name: String, _ text: String = "") throws -> URL {
            try Data(text.utf8).write(to: folder.appending(path: name))
            return folder.appending(path: name)
        }
        let (input, output, errors) = (try file("input", rules), try file("output"), try file("errors"))
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["unshare", "--net", "sh", "-c", "\(program)-restore && \(program)-save \(option)"]
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        process.environment = ["PATH": path + ":/usr/sbin:/sbin", "LC_ALL": "C"]
        process.standardInput = try FileHandle(forReadingFrom: input)
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        process.waitUntilExit()
        let complaint = String(decoding: try Data(contentsOf: errors), as: UTF8.self)
        try #require(process.terminationStatus == 0, "\(program) in a network namespace failed: \(complaint)")
        return String(decoding: try Data(contentsOf: output), as: UTF8.self).split(separator: "\n").filter {
            !$0.hasPrefix("#")
        }
    }
}
