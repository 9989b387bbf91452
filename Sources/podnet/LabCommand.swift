// podnet lab: the computed network on this machine's kernel. How it is built and compared is in the Lab target; here
// stand the arguments and the exit codes.

import Addressing
import ArgumentParser
import Glibc
import Kubernetes
import Lab
import Manifests
import Netstack
import Simulation

struct LabCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab",
        abstract: "Build the same network from real network namespaces, and compare the two (Linux, root).",
        discussion: """
            Everything stays in network namespaces podnet makes, named with a prefix (podnet- unless --prefix gives \
            another). The machine's own links, rules and settings are not touched. A lab that was interrupted is \
            removed by the next lab command.
            """,
        subcommands: [
            LabUp.self, LabExec.self, LabDown.self, LabCompare.self, LabScriptCommand.self, LabCheck.self,
            LabServe.self,
        ])
}

struct LabOptions: ParsableArguments {
    @Option(help: "What the names of the lab's network namespaces begin with.")
    var prefix = "podnet-"

    func validate() throws {
        let isSound = prefix.utf8.allSatisfy { byte in
            (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2d
        }
        guard isSound, (1...40).contains(prefix.utf8.count), prefix != "-" else {
            throw ValidationError(
                "--prefix takes up to 40 lower-case letters, digits and hyphens, not '\(prefix)'.")
        }
    }

    /// The path of this program, for servers to be started with.
    static var program: String {
        guard let path = realpath("/proc/self/exe", nil) else { return "podnet" }
        defer { free(path) }
        return String(cString: path)
    }
}

/// Ends with exit code 2 and why there is no lab.
func noLab(_ error: LabError) -> ExitCode {
    if Interruption.isRequested {
        printError("podnet: interrupted; the lab is removed")
        return ExitCode(Interruption.exitCode)
    }
    return wrongInput(error.message, hint: error.hint)
}

struct LabUp: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Build the network in network namespaces, with servers in the pods.")
    @OptionGroup var lab: LabOptions
    @OptionGroup var cluster: ClusterOptions

    func run() throws {
        Interruption.watch()
        let realised = try cluster.cluster()
        var simulator = Simulator(realised, seed: cluster.seed)
        do throws(LabError) {
            let script = try LabScript(&simulator, prefix: lab.prefix)
            _ = try LabBuild(script, program: LabOptions.program, isLasting: true)
            print("up: \(script.names.all.count) network namespaces, \(script.servers.count) servers")
            printError("look inside with: podnet lab exec NAME -- COMMAND; remove it with: podnet lab down")
        } catch {
            throw noLab(error)
        }
    }
}

struct LabDown: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "down", abstract: "Remove every trace of the lab.")
    @OptionGroup var lab: LabOptions

    func run() throws {
        do throws(LabError) {
            guard try LabBuild.remove(prefix: lab.prefix) else {
                printError("podnet: no lab is up")
                return
            }
        } catch {
            throw noLab(error)
        }
    }
}

struct LabExec: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "Run a command in a pod, on a node or on a host of the lab.",
        discussion: "OWNER is what trace takes as a source. The exit code is the command's.")
    @Argument(help: "Whose network namespace.") var owner: String
    @Argument(parsing: .postTerminator, help: "What to run, behind --.") var command: [String]
    @OptionGroup var lab: LabOptions
    @OptionGroup var cluster: ClusterOptions

    func validate() throws {
        if command.isEmpty { throw ValidationError("Say what to run behind --, for example: -- ip addr.") }
    }

    func run() throws {
        let realised = try cluster.cluster()
        let simulator = Simulator(realised, seed: cluster.seed)
        do {
            let source = try FlowEnds(realised.objects, namespace: cluster.namespace).source(owner)
            guard let id = simulator.namespaceID(of: source.owner) else {
                throw wrongInput("\(source) has no network: it is not running")
            }
            try LabBuild.execute(command, in: id, of: simulator, prefix: lab.prefix)
        } catch let error as FlowEndError {
            throw wrongInput(error.message, hint: error.hint)
        } catch let error as LabError {
            throw noLab(error)
        }
    }
}

struct LabScriptCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "script", abstract: "Print a shell script that builds the same network.")
    @Flag(help: "Print the commands that remove it.") var down = false
    @OptionGroup var lab: LabOptions
    @OptionGroup var cluster: ClusterOptions

    func run() throws {
        let realised = try cluster.cluster()
        var simulator = Simulator(realised, seed: cluster.seed)
        do throws(LabError) {
            let script = try LabScript(&simulator, prefix: lab.prefix)
            print(down ? script.removal : script.text(program: "podnet"), terminator: "")
        } catch {
            throw noLab(error)
        }
    }
}

struct LabCompare: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Send a request through both worlds and print the first frame that differs on each interface.",
        discussion: "Exit code 0: all frames are equal. 1: some differ. 2: wrong input, or no lab can be built.")
    @Argument(help: "Where the request starts.") var source: String
    @Argument(help: "What it asks for.") var destination: String
    @Option(help: "How often to ask, one request after the other.") var count = 1
    @Flag(help: "Where worlds differ, print all frames of both.") var frames = false
    @OptionGroup var flow: FlowOptions
    @OptionGroup var lab: LabOptions
    @OptionGroup var cluster: ClusterOptions

    func validate() throws {
        guard (1...100).contains(count) else { throw ValidationError("--count takes a number from 1 to 100.") }
    }

    func run() throws {
        Interruption.watch()
        let realised = try cluster.cluster()
        var simulator = Simulator(realised, seed: cluster.seed)
        let request = try flow.request(
            from: source, to: destination, in: realised, namespace: cluster.namespace, &simulator)
        let flows = Array(repeating: LabFlow(request, name: "\(source) \(destination)"), count: count)
        let comparison: FrameComparison
        do throws(LabError) {
            comparison = try LabRunner.compare(flows, in: &simulator, prefix: lab.prefix).comparison
        } catch {
            throw noLab(error)
        }
        print(comparison.text(showingFrames: frames), terminator: "")
        let verdict = comparison.isEqual ? "equal" : "\(comparison.differences.count) interfaces differ"
        print("\(verdict): \(comparison.frames) frames on \(comparison.interfaces) interfaces")
        if !comparison.isEqual { throw ExitCode(1) }
    }
}

struct LabServe: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Answer as podnet's servers do, in the network namespace this runs in.",
        discussion: "SOCKET is tcp/ADDRESS:PORT=NAME for an HTTP server that answers its name, or udp/ADDRESS:PORT.")
    @Argument(help: ArgumentHelp("What to listen on.", valueName: "socket")) var sockets: [String]

    func run() throws {
        Interruption.watch()
        setsid()
        var loop = TrafficLoop()
        for text in sockets {
            guard let server = RealServer(text) else {
                throw wrongInput("'\(text)' is no socket", hint: "write tcp/0.0.0.0:8080=NAME or udp/0.0.0.0:53")
            }
            do throws(LabError) { try loop.serve(server) } catch { throw noLab(error) }
        }
        while !Interruption.isRequested { loop.turn(until: .max) }
    }
}

struct LabCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Compare clusters drawn by chance, or the flows the comments of files name.",
        discussion: """
            Of each file of -f the lines "# Try: podnet trace SOURCE DESTINATION" are run. --random draws clusters \
            and flows from seeds, --seed is the first. --show prints the cluster of a seed and its flows.

            Exit code 0: all frames are equal. 1: some differ. 2: wrong input, or no lab can be built.
            """)
    @Option(help: "How many clusters to draw.") var random = 0
    @Option(help: "How many flows to send through each.") var flows = 6
    @Option(help: "The first seed.") var seed: UInt64 = 1
    @Flag(help: "Where worlds differ, print all frames of both.") var frames = false
    @Flag(help: "Print the drawn clusters and flows instead of running them.") var show = false
    @Option(name: [.customShort("f"), .customLong("filename")], help: "Topologies whose flows to run.")
    var paths: [String] = []
    @OptionGroup var lab: LabOptions

    func validate() throws {
        guard (0...100_000).contains(random) else { throw ValidationError("--random takes a number up to 100000.") }
        guard (1...100).contains(flows) else { throw ValidationError("--flows takes a number from 1 to 100.") }
        if random == 0, paths.isEmpty { throw ValidationError("Say what to check: --random COUNT or -f FILE.") }
    }

    func run() throws {
        Interruption.watch()
        var (equal, different) = (0, 0)
        for path in paths {
            for line in try triedFlows(path) {
                let realised = try ClusterOptions.parse(["-f", path]).cluster()
                var simulator = Simulator(realised, seed: 1)
                let request = try line.options.request(
                    from: line.source, to: line.destination, in: realised, namespace: "default", &simulator)
                let flow = LabFlow(request, name: "\(line.source) \(line.destination)")
                report(try compare([flow], &simulator), [flow], "\(path)", &equal, &different)
            }
        }
        for number in seed..<seed + UInt64(random) {
            var drawn = RandomCluster(seed: number)
            let loaded = try LoadedManifests.load(text: drawn.text, name: "seed \(number)")
            let realised: Cluster
            do { realised = try Cluster(realising: loaded.objects, seed: number) } catch { throw loaded.locate(error) }
            var simulator = Simulator(realised, seed: number)
            let chosen = try drawn.flows(flows, in: simulator)
            if show {
                print(drawn.text + chosen.map { "# \($0.name)\n" }.joined(), terminator: "")
                continue
            }
            report(try compare(chosen, &simulator), chosen, "seed \(number)", &equal, &different)
        }
        if show { return }
        print("\(equal) equal, \(different) different")
        if different > 0 { throw ExitCode(1) }
    }

    private func compare(_ flows: [LabFlow], _ simulator: inout Simulator) throws -> LabRunner.Result {
        do throws(LabError) {
            return try LabRunner.compare(flows, in: &simulator, prefix: lab.prefix)
        } catch {
            throw noLab(error)
        }
    }

    private func report(
        _ result: LabRunner.Result, _ flows: [LabFlow], _ place: String, _ equal: inout Int, _ different: inout Int
    ) {
        equal += result.equalFlows
        if result.comparison.isEqual {
            print("\(place): \(flows.count) flows, \(result.comparison.frames) frames equal")
            return
        }
        different += 1
        print("\(place): \(flows[result.equalFlows].name) differs (after \(result.equalFlows) equal flows)")
        print(result.comparison.text(showingFrames: frames), terminator: "")
    }

    /// The flows a topology's comments say to try.
    private func triedFlows(
        _ path: String
    ) throws -> [(source: String, destination: String, options: FlowOptions)] {
        let text: String
        do throws(ManifestError) { text = try LoadedManifests.text(ofFile: path) } catch {
            throw wrongInput("\(error)")
        }
        return try text.split(separator: "\n").filter { $0.hasPrefix("# Try: podnet trace ") }.map { line in
            var words = line.split(separator: " ").dropFirst(4).map(String.init)
            let (source, destination) = (words.removeFirst(), words.removeFirst())
            let known = words.firstIndex(of: "--protocol").map { Array(words[$0...($0 + 1)]) } ?? []
            return (source, destination, try FlowOptions.parse(known))
        }
    }
}
