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
    var prefix = LabNames.standardPrefix

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
        // A server outlives whoever started it, and must not hold what it inherited.
        setsid()
        for descriptor in Int32(3)..<1024 { close(descriptor) }
        var loop = TrafficLoop()
        for text in sockets {
            guard let server = RealServer(text) else {
                throw wrongInput("'\(text)' is no socket", hint: "write tcp/0.0.0.0:8080=NAME or udp/0.0.0.0:53")
            }
            do throws(LabError) { try loop.serve(everywhere: server) } catch { throw noLab(error) }
        }
        while !Interruption.isRequested { loop.turn(until: .max) }
    }
}
