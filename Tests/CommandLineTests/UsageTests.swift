// Help and wrong usage: the help texts word by word, and exit code 64 with a message on standard error for everything
// the command line cannot mean.

import Testing

@Suite struct UsageTests {
    @Test(arguments: ["", "trace", "capture", "get", "rules", "ip", "bridge", "conntrack"])
    func `the help text is the golden one`(_ command: String) throws {
        let words = command.isEmpty ? [] : [command]
        let result = try Program.podnet(words + ["--help"])
        #expect(result.status == 0 && result.errors == "")
        #expect(try Program.podnet(["help"] + words) == result)
        try Golden.expect(result.output, is: "\(command.isEmpty ? "podnet" : command).txt", in: "Goldens/Help")
    }

    static let wrong: [[String]] = [
        ["bogus"], ["--bogus"], ["trace"], ["trace", "client"], ["trace", "client", "web:80", "more"],
        ["trace", "client", "web:80", "--bogus"], ["trace", "client", "web:80", "--minimal", "--detail"],
        ["trace", "client", "web:80", "-o", "yaml"], ["trace", "client", "web:80", "--seed", "-1"],
        ["trace", "client", "web:80", "--seed", "x"], ["trace", "client", "web:80", "--timeout", "4"],
        ["trace", "client", "web:80", "--timeout", "0s"], ["trace", "client", "web:80", "--protocol", "sctp"],
        ["trace", "client", "web:80", "--request-bytes", "many"],
        ["trace", "client", "web:80", "--response-bytes", "-1"],
        ["trace", "client", "web:80", "--response-bytes", "1Gi"],
        ["trace", "client", "web:80", "--request-bytes", "1.5k"],
        ["trace", "client", "web:80", "--request-bytes", "99999999999999999999"],
        ["trace", "client", "web:7", "--protocol", "udp", "--request-bytes", "65508"],
        ["trace", "client", "web:7", "--protocol", "udp", "--response-bytes", "5"],
        ["trace", "client", "web:7", "--protocol", "udp", "--keepalive"],
        ["trace", "client", "web:80", "--requests", "0"], ["trace", "client", "web:80", "--requests", "10001"],
        ["trace", "client", "web:80", "--interval", "2s"],
        ["trace", "client", "web:80", "--requests", "2", "--interval", "-1s"],
        ["trace", "client", "web:80", "--requests", "2", "--interval", "169h"],
        ["trace", "client", "web:80", "--proxy-mode", "userspace"], ["trace", "client", "web:80", "-f"],
        ["trace", "client", "web:80", "--noise", "--all-backends"],
        ["trace", "client", "web:80", "--noise", "--traceroute"],
        ["capture", "client", "web:80"], ["capture", "client", "web:80", "-w", "x.pcapng", "--count", "0"],
        ["capture", "client", "web:80", "-w", "x.pcapng", "--start-time", "yesterday"],
        ["capture", "client", "web:80", "-w", "x.pcapng", "--start-time", "2026-02-30T00:00:00Z"],
        ["capture", "client", "web:80", "-w", "x.pcapng", "--duration", "10"],
    ]

    @Test(arguments: wrong)
    func `wrong usage ends with exit code 64`(_ words: [String]) throws {
        let folder = try TemporaryFolder()
        let result = try Program.podnet(words, in: folder.path)
        #expect(result.status == 64)
        #expect(result.output == "")
        // The message, then the usage; nothing was read or written before.
        #expect(result.errors.hasPrefix("Error: ") && result.errors.contains("\nUsage: podnet "), "\(result.errors)")
        #expect(folder.names == [])
    }

    @Test func `the version is a line`() throws {
        let result = try Program.podnet(["--version"])
        #expect(result.status == 0 && result.errors == "")
        #expect(result.output.wholeMatch(of: /[0-9]+\.[0-9]+\.[0-9]+\n/) != nil)
    }
}
