// podnet lab on this machine's kernel: both worlds are equal, a lab leaves no trace, also when its builder is killed,
// and whatever stands in the way is named. Needs root, as a lab does.

import Foundation
import Testing

@Suite(.serialized) struct LabCommandTests {
    /// The lab's namespaces that are there, and what podnet notes about labs.
    private func traces(of prefix: String) throws -> [String] {
        let namespaces = (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []
        let notes = (try? FileManager.default.contentsOfDirectory(atPath: "/run/podnet")) ?? []
        return (namespaces + notes).filter { $0.hasPrefix(prefix) }
    }

    /// Shell words that wait until a network namespace is there, and a moment longer.
    private func wait(for name: String) -> String {
        "i=0; until [ -e /run/netns/\(name) ] || [ $i -ge 100 ]; do sleep 0.05; i=$((i+1)); done; sleep 0.3; "
    }

    @Test(arguments: [
        ["default/client", "svc/web:80", "--count", "2"], ["host/client", "node/worker-1:30080"],
        ["default/client", "svc/echo:7", "--protocol", "udp"], ["default/web", "svc/web:80"],
        ["node/worker-1", "default/web", "--protocol", "icmp"], ["default/client", "default/web:81"],
    ]) func `every frame of the built-in cluster is the kernel's`(flow: [String]) throws {
        let result = try Program.podnet(["lab", "compare"] + flow + ["--prefix", "test-equal-"])
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        #expect(result.output.hasPrefix("equal: "))
        #expect(try traces(of: "test-equal-").isEmpty)
    }

    @Test func `clusters drawn by chance are equal`() throws {
        let result = try Program.podnet(
            ["lab", "check", "--random", "5", "--flows", "4", "--seed", "7", "--prefix", "test-drawn-"])
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        #expect(result.output.contains("20 flows equal, 0 different"))
        #expect(try traces(of: "test-drawn-").isEmpty)
    }

    @Test func `the flows a topology names are equal`() throws {
        let files = ["clusterip-local", "no-endpoints", "host-gw"].flatMap { ["-f", "topologies/\($0).yaml"] }
        let result = try Program.podnet(["lab", "check", "--prefix", "test-files-"] + files)
        #expect(result.status == 0, "\(result.output)\(result.errors)")
    }

    @Test func `a lab goes up, answers, and goes down without a trace`() throws {
        let prefix = ["--prefix", "test-up-"]
        defer { _ = try? Program.podnet(["lab", "down"] + prefix) }
        let up = try Program.podnet(["lab", "up"] + prefix)
        #expect(up.status == 0, "\(up.errors)")
        #expect(up.output == "up: 9 network namespaces, 2 servers\n")
        let answer = try Program.podnet(
            ["lab", "exec", "default/client"] + prefix + ["--", "curl", "-s", "-m", "5", "http://10.96.0.100/"])
        #expect(answer.status == 0 && answer.output == "web\n", "\(answer)")
        let refused = try Program.podnet(["lab", "exec", "host/client"] + prefix + ["--", "sh", "-c", "exit 7"])
        #expect(refused.status == 7)
        let again = try Program.podnet(["lab", "up"] + prefix)
        #expect(again.status == 2)
        #expect(again.errors.contains("there is already a network namespace called test-up-"))
        #expect(again.errors.contains("podnet lab down"))
        #expect(try Program.podnet(["lab", "down"] + prefix).status == 0)
        #expect(try traces(of: "test-up-").isEmpty)
        let gone = try Program.podnet(["lab", "exec", "default/client"] + prefix + ["--", "true"])
        #expect(gone.status == 2 && gone.errors.contains("podnet lab up"))
    }

    @Test func `the script does by hand what up does`() throws {
        let prefix = ["--prefix", "test-script-"]
        let up = try Program.podnet(["lab", "script"] + prefix)
        let down = try Program.podnet(["lab", "script", "--down"] + prefix)
        #expect(up.status == 0 && down.status == 0)
        let folder = try TemporaryFolder()
        let path = URL(filePath: Program.podnet).deletingLastPathComponent().path
        let environment = ["PATH": "\(path):\(ProcessInfo.processInfo.environment["PATH"] ?? "")"]
        defer { _ = try? Program.run("sh", [folder.file("down.sh")], in: folder.path) }
        try folder.write(down.output, to: "down.sh")
        try folder.write(up.output, to: "up.sh")
        let built = try Program.run("sh", [folder.file("up.sh")], in: folder.path, environment: environment)
        #expect(built.status == 0, "\(built.errors)")
        let answer = try Program.run(
            "ip",
            ["netns", "exec", "test-script-client", "curl", "-s", "--retry-connrefused", "--retry", "3"]
                + ["http://192.168.50.11:30080/"], in: folder.path)
        #expect(answer.output == "web\n", "\(answer)")
        #expect(try Program.run("sh", [folder.file("down.sh")], in: folder.path).status == 0)
        #expect(try traces(of: "test-script-").isEmpty)
    }

    @Test func `the next lab removes one whose builder was killed`() throws {
        let command = "\(Program.podnet) lab compare default/client 10.244.2.77:80 --prefix test-killed- & "
        // Killed while its client waits for an answer.
        let wait =
            "i=0; until [ -e /run/netns/test-killed-gateway ] || [ $i -ge 100 ]; do sleep 0.05; i=$((i+1)); done; "
        _ = try Program.run("sh", ["-c", command + wait + "sleep 0.3; kill -9 $!; wait"], in: "/")
        #expect(!(try traces(of: "test-killed-")).isEmpty, "nothing was left to clean up")
        _ = try Program.podnet(["lab", "down", "--prefix", "test-other-"])
        #expect(try traces(of: "test-killed-").isEmpty)
    }

    @Test(arguments: ["INT", "TERM"]) func `a signal removes the lab`(signal: String) throws {
        let command = "\(Program.podnet) lab compare default/client 10.244.2.77:80 --prefix test-signal- & "
        let wait =
            "i=0; until [ -e /run/netns/test-signal-gateway ] || [ $i -ge 100 ]; do sleep 0.05; i=$((i+1)); done; "
        let result = try Program.run(
            "bash", ["-mc", command + wait + "sleep 0.3; kill -\(signal) $!; wait $!"], in: "/")
        #expect(result.status == (signal == "INT" ? 130 : 143), "\(result.errors)")
        #expect(try traces(of: "test-signal-").isEmpty)
    }

    @Test func `a name that is taken is left alone`() throws {
        #expect(try Program.run("ip", ["netns", "add", "test-taken-worker-2"], in: "/").status == 0)
        defer { _ = try? Program.run("ip", ["netns", "del", "test-taken-worker-2"], in: "/") }
        let result = try Program.podnet(["lab", "up", "--prefix", "test-taken-"])
        #expect(result.status == 2)
        #expect(result.errors.contains("there is already a network namespace called test-taken-worker-2"))
        #expect(try traces(of: "test-taken-") == ["test-taken-worker-2"])
    }

    @Test func `without root a lab says what it takes`() throws {
        let result = try Program.run(
            "setpriv",
            ["--reuid=65534", "--clear-groups", Program.podnet, "lab", "compare", "default/client", "web:80"],
            in: "/")
        #expect(result.status == 2)
        #expect(result.errors.contains("a lab takes root: it makes network namespaces\n  hint: run it with sudo"))
    }

    @Test(
        arguments: [
            (["lab", "compare", "default/nobody", "web:80"], 2), (["lab", "compare", "default/client"], 64),
            (["lab", "up", "--prefix", "A_"], 64), (["lab", "check"], 64),
            (["lab", "check", "--random", "1", "--part", "3/2"], 64),
            (["lab", "up", "--proxy-mode", "ipvs"], 2), (["lab", "serve", "tcp/nowhere"], 2),
            (["lab", "exec", "default/client"], 64),
        ] as [([String], Int32)]) func `what is wrong ends with the exit code of the contract`(
            arguments: [String], status: Int32
        ) throws
    {
        let result = try Program.podnet(arguments)
        #expect(result.status == status, "\(result)")
        #expect(!result.errors.isEmpty)
    }
}
