// podnet trace on the command line: the three levels word by word, colour, where the input comes from, and exit codes.

import Foundation
import Testing

@Suite struct TraceCommandTests {
    static let remote = ["client", "svc/web:80", "-f", "topologies/clusterip-remote.yaml"]

    @Test(arguments: ["default", "--minimal", "--detail"])
    func `the golden text of each level`(_ level: String) throws {
        let result = try Program.podnet(["trace"] + Self.remote + (level == "default" ? [] : [level]))
        #expect(result.status == 0 && result.errors == "")
        let name = level.replacing("--", with: "")
        try Golden.expect(result.output, is: "trace-\(name).txt", in: "Goldens/Commands")
    }

    @Test(arguments: [
        ("no-endpoints", ["client", "svc/orders:80"]),
        ("external-policy-local", ["host/client", "node/worker-1:30080"]),
        ("cross-node", ["client", "10.244.2.99:80"]), ("cross-node", ["client", "web:81"]),
        ("hairpin", ["web", "svc/web:80"]), ("udp-echo", ["client", "svc/echo:7", "--protocol", "udp"]),
        ("same-node", ["client", "web", "--protocol", "icmp"]), ("nodeport-remote", ["node/worker-1", "svc/web:80"]),
    ])
    func `the golden default text of other endings`(_ topology: String, _ ends: [String]) throws {
        let result = try Program.podnet(["trace"] + ends + ["-f", "topologies/\(topology).yaml"])
        #expect(result.errors == "")
        #expect(result.status == (result.output.hasPrefix("delivered") ? 0 : 1))
        let name = ([topology] + ends).joined(separator: "_").map { $0.isLetter || $0.isNumber ? $0 : "-" }
        try Golden.expect(result.output, is: "trace-\(String(name)).txt", in: "Goldens/Commands")
    }

    @Test func `exit code 1 says that the request was not answered`() throws {
        let refused = try Program.podnet(["trace", "client", "svc/orders:80", "-f", "topologies/no-endpoints.yaml"])
        #expect(refused.status == 1)
        #expect(refused.output.hasPrefix("rejected at worker-1/cni0 · ICMP port unreachable from 10.244.1.1 · "))
        #expect(refused.output.contains("default/orders has no endpoints"))
    }

    @Test func `without -f the built-in topology is used, and standard error says so`() throws {
        let result = try Program.podnet(["trace", "client", "svc/web:80", "--minimal"])
        #expect(result.status == 0)
        #expect(result.errors == "podnet: no -f given: using the built-in topology (podnet get pods -A shows it)\n")
        #expect(result.output.hasPrefix("delivered default/web 10.244.2.2:8080 from 10.244.1.2\n"))
    }

    @Test func `standard input, a file, a folder and several files give the same trace`() throws {
        let folder = try TemporaryFolder()
        let topology = Program.repository.appending(path: "topologies/clusterip-remote.yaml")
        let text = try String(contentsOf: topology, encoding: .utf8)
        let expected = try Program.podnet(["trace"] + Self.remote)
        #expect(try Program.podnet(["trace", "client", "svc/web:80", "-f", "-"], input: text) == expected)

        // One file per object, taken in the order of names; what is no manifest is passed over.
        let documents = text.split(separator: "\n---\n").map(String.init)
        try #require(documents.count == 3)
        for (number, document) in documents.enumerated() {
            try folder.write(document + "\n", to: "\(number).\(["yaml", "yml", "yaml"][number])")
        }
        try folder.write("not a manifest: [", to: "notes.txt")
        #expect(try Program.podnet(["trace", "client", "svc/web:80", "-f", folder.path]) == expected)
        let files = ["0.yaml", "1.yml", "2.yaml"].flatMap { ["-f", folder.file($0)] }
        #expect(try Program.podnet(["trace", "client", "svc/web:80"] + files) == expected)
    }

    @Test func `two working directories give the same bytes`() throws {
        let folder = try TemporaryFolder()
        let path = Program.repository.appending(path: "topologies/clusterip-remote.yaml").path
        for extra in [[], ["--detail"], ["-o", "json"]] {
            let arguments = ["trace", "client", "svc/web:80", "-f", path] + extra
            #expect(try Program.podnet(arguments) == Program.podnet(arguments, in: folder.path))
        }
    }

    @Test func `colour is for terminals, and not for those who want none`() throws {
        let arguments = ["trace"] + Self.remote
        let plain = try Program.podnet(arguments)
        #expect(!plain.output.contains("\u{1b}"))
        let screen = try Program.podnetOnTerminal(arguments)
        #expect(screen.status == 0 && screen.screen.hasPrefix("\u{1b}[32mdelivered to default/web"))
        #expect(screen.screen.replacing(/\u{1b}\[[0-9]+m/, with: "") == plain.output)
        #expect(try Program.podnetOnTerminal(arguments, environment: ["NO_COLOR": "1"]).screen == plain.output)
        // An empty NO_COLOR is none.
        #expect(try Program.podnetOnTerminal(arguments, environment: ["NO_COLOR": ""]).screen == screen.screen)
        let json = try Program.podnetOnTerminal(arguments + ["-o", "json"])
        #expect(!json.screen.contains("\u{1b}"))
        #expect(try !Program.podnetOnTerminal(arguments + ["--minimal"]).screen.contains("\u{1b}"))
    }

    @Test func `the seed decides what is chance`() throws {
        let one = try Program.podnet(["trace"] + Self.remote + ["--seed", "1"])
        #expect(try Program.podnet(["trace"] + Self.remote) == one)
        #expect(try Program.podnet(["trace"] + Self.remote + ["--seed", "2"]).output != one.output)
    }

    @Test func `the timeout decides how long the client waits`() throws {
        let arguments = ["trace", "host/client", "node/worker-1:30080", "-f", "topologies/external-policy-local.yaml"]
        let short = try Program.podnet(arguments + ["--timeout", "500ms"])
        #expect(short.status == 1 && short.output.contains("the client gave up after 500 ms, 1 SYN sent"))
        // Five times a second apart, then after two seconds, then after four.
        let long = try Program.podnet(arguments + ["--timeout", "9s"])
        #expect(long.output.contains("the client gave up after 9 s, 7 SYNs sent"), "\(long.output)")
    }

    @Test func `traceroute prints hops as the program of that name does, and why they answer so`() throws {
        let result = try Program.podnet([
            "trace", "default/client", "default/web", "-f", "topologies/cross-node.yaml", "--traceroute",
        ])
        #expect(result.status == 0 && result.errors == "")
        let lines = result.output.split(separator: "\n").map(String.init)
        #expect(lines[0] == "traceroute to 10.244.2.2, 30 hops max, 60 byte packets, udp")
        #expect(lines[1].hasPrefix(" 1  10.244.1.1  0.000 ms  "))
        #expect(lines[2] == "      time exceeded from worker-1/cni0: the TTL ran out at worker-1/cni0")
        #expect(lines[3].hasPrefix(" 2  10.244.2.0  "))
        #expect(lines[5].hasPrefix(" 3  10.244.2.2  "))
        #expect(lines[6] == "      port unreachable from default/web/eth0")
    }

    @Test(arguments: [
        (["default/web"], 0), (["default/web:8080", "--protocol", "tcp"], 0), (["8.8.8.8"], 1),
        (["10.244.2.99", "--protocol", "icmp"], 1),
    ])
    func `a traceroute's document follows its schema`(arguments: [String], status: Int) throws {
        let result = try Program.podnet(
            ["trace", "default/client"] + arguments
                + ["-f", "topologies/cross-node.yaml", "--traceroute", "-o", "json"])
        #expect(Int(result.status) == status)
        #expect(try JSONSchema(named: "traceroute.schema.json").errors(in: JSON(result.output)) == [])
    }

    @Test func `a TTL can be given, in its range`() throws {
        let ends = ["trace", "default/client", "default/web:8080", "-f", "topologies/cross-node.yaml", "--minimal"]
        let short = try Program.podnet(ends + ["--ttl", "1"])
        #expect(short.status == 1 && short.output.contains("  dropped IP_INHDR\nreply ICMP time exceeded\n"))
        #expect(try Program.podnet(ends + ["--ttl", "3"]).status == 0)
        #expect(try Program.podnet(ends + ["--ttl", "0"]).status == 64)
        #expect(try Program.podnet(ends + ["--ttl", "3", "--traceroute"]).status == 64)
    }
}
