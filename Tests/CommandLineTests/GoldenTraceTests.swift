// Every `# Try:` command in the head of a topology, run as it stands, with its minimal trace compared with a golden.

import Foundation
import Testing

/// One command a topology invites to try.
struct TopologyCommand: CustomTestStringConvertible, Sendable {
    let topology: String
    /// What follows `podnet`.
    let arguments: [String]
    /// The golden's name: `hairpin.txt`, or `host-gw-2.txt` for the second of several.
    let golden: String
    var testDescription: String { "podnet \(arguments.joined(separator: " "))" }

    static let topologies: [String] = {
        let folder = Program.repository.appending(path: "topologies").path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".yaml") }.sorted().map { String($0.dropLast(5)) }
    }()

    static func commands(of topology: String) -> [TopologyCommand] {
        let file = Program.repository.appending(path: "topologies/\(topology).yaml")
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("# Try: podnet ") }
        let commands = lines.map { line in
            line.dropFirst("# Try: podnet ".count).split(separator: " ").map(String.init)
        }
        let traces = commands.count { $0.first == "trace" && !$0.contains("--all-backends") }
        var number = 0
        return commands.map { arguments in
            number += arguments.first == "trace" ? 1 : 0
            return TopologyCommand(
                topology: topology, arguments: arguments,
                golden: traces == 1 ? "\(topology).txt" : "\(topology)-\(number).txt")
        }
    }

    static let all = topologies.flatMap(commands)
    /// Those that print one trace.
    static let traces = all.filter { $0.arguments.first == "trace" && !$0.arguments.contains("--all-backends") }
}

@Suite struct GoldenTraceTests {
    static let folder = "Goldens/Traces"

    @Test(arguments: TopologyCommand.traces)
    func `the minimal trace is the golden one`(_ command: TopologyCommand) throws {
        let arguments = command.arguments.filter { $0 != "--detail" && $0 != "--minimal" } + ["--minimal"]
        let result = try Program.podnet(arguments)
        #expect(result.errors == "")
        let isDelivered = result.output.hasPrefix("delivered ")
        #expect(result.status == (isDelivered ? 0 : 1))
        try Golden.expect(
            "$ podnet \(arguments.joined(separator: " "))\n\(result.output)", is: command.golden, in: Self.folder)
    }

    @Test(arguments: TopologyCommand.traces)
    func `another seed changes nothing a minimal trace shows`(_ command: TopologyCommand) throws {
        let minimal = command.arguments.filter { $0 != "--detail" } + ["--minimal"]
        #expect(try Program.podnet(minimal) == Program.podnet(minimal + ["--seed", "12345"]))
    }

    @Test(arguments: TopologyCommand.all)
    func `the command runs as it stands`(_ command: TopologyCommand) throws {
        // What it writes shall not lie in the repository.
        let folder = try TemporaryFolder()
        let topologies = Program.repository.appending(path: "topologies").path
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("topologies"), withDestinationPath: topologies)
        let result = try Program.podnet(command.arguments, in: folder.path)
        #expect(result.status == 0 || result.status == 1)
        #expect(!result.output.isEmpty)
        switch command.arguments.first {
        case "capture": #expect(result.status == 0 && folder.names.count == 2 && result.errors.hasPrefix("wrote "))
        default: #expect(result.errors == "" && folder.names.count == 1)
        }
    }

    @Test func `every topology has a command to try, and every golden a command`() {
        #expect(TopologyCommand.topologies.count >= 13)
        for topology in TopologyCommand.topologies {
            #expect(TopologyCommand.traces.contains { $0.topology == topology }, "\(topology)")
        }
        let expected = Set(TopologyCommand.traces.map(\.golden))
        #expect(Set(Golden.names(in: Self.folder)) == expected)
    }
}
