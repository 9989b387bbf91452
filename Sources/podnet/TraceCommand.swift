// podnet trace: what happens to a request, hop by hop. The texts are made in Rendering/Trace.
// Here stand the arguments, and the exit codes for yes, no and wrong input.

import Addressing
import ArgumentParser
import Kubernetes
import Netstack
import Rendering
import Simulation

struct Trace: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Follow a request from its source to its destination and back.",
        discussion: """
            SOURCE is a pod ([pod/][NAMESPACE/]NAME), deploy/NAME, ds/NAME, sts/NAME, node/NAME or host/NAME. A host \
            named client stands outside the cluster. DESTINATION is the same with :PORT, or svc/[NAMESPACE/]NAME:PORT, \
            IP:PORT, [IPv6]:PORT, node/NAME:NODEPORT, a URL or a DNS name. PORT may be a port name.

            Exit code 0: delivered and answered. 1: dropped, rejected or unreachable. 2: wrong input.
            """)

    @Argument(help: "Where the request starts.") var source: String
    @Argument(help: "What it asks for.") var destination: String
    @OptionGroup var flow: FlowOptions
    @OptionGroup var cluster: ClusterOptions

    @Flag(help: "Print a short form that stays the same from run to run, for regression tests.") var minimal = false
    @Flag(help: "Print every table, chain and rule that was tried.") var detail = false
    @Flag(help: "Follow the request to every endpoint the rules can choose, with its exact probability.")
    var allBackends = false
    @Option(help: ArgumentHelp("Follow it to the endpoint with this address.", valueName: "ip"))
    var backend: String?
    @Flag(help: "Show the hops of the way, as traceroute does: UDP probes with a growing TTL, or those of --protocol.")
    var traceroute = false
    @Flag(help: "Let interfaces come up when the request starts, with what a host sends of its own accord then.")
    var noise = false
    @Option(name: .shortAndLong, help: "text or json.") var output = OutputFormat.text

    func validate() throws {
        if traceroute, minimal || detail || allBackends || backend != nil || flow.ttl != nil {
            throw ValidationError(
                "--traceroute goes with none of --minimal, --detail, --all-backends, --backend and --ttl.")
        }
        if noise, traceroute || allBackends || backend != nil {
            throw ValidationError("--noise goes with none of --traceroute, --all-backends and --backend.")
        }
        if minimal && detail { throw ValidationError("--minimal and --detail exclude each other.") }
        if allBackends && backend != nil { throw ValidationError("--all-backends and --backend exclude each other.") }
        if let backend, IPAddress(backend) == nil {
            throw ValidationError("--backend takes an IP address, not '\(backend)'.")
        }
    }

    func run() throws {
        let realised = try cluster.cluster()
        var simulator = Simulator(realised, seed: cluster.seed)
        if traceroute { return try traceroute(in: realised, &simulator) }
        let request = try flow.request(
            from: source, to: destination, in: realised, namespace: cluster.namespace, &simulator)
        let level: TraceLevel = minimal ? .minimal : detail ? .detail : .normal
        let text = TraceText(level: level, usesColour: !minimal && usesColour())
        let json = TraceJSON(includesRules: detail)
        if allBackends {
            let backends = simulator.backends(of: request, rules: detail)
            print(output == .text ? text.text(backends) : json.value(backends).text() + "\n", terminator: "")
            if backends.contains(where: { $0.trace.verdict != .delivered }) { throw ExitCode(1) }
            return
        }
        if noise { simulator.startBackground() }
        let trace = try trace(request, &simulator)
        if noise {
            printError(
                "podnet: interfaces sent \(simulator.backgroundPackets) packets of their own accord meanwhile; "
                    + "podnet capture --noise shows them")
        }
        print(output == .text ? text.text(trace) : json.value(trace).text() + "\n", terminator: "")
        if trace.verdict != .delivered { throw ExitCode(1) }
    }

    private func traceroute(in realised: Cluster, _ simulator: inout Simulator) throws {
        let request = try flow.tracerouteRequest(
            from: source, to: destination, in: realised, namespace: cluster.namespace, &simulator)
        simulator.recordEvents()
        let answer = simulator.traceroute(request)
        print(output == .text ? answer.text() : answer.json().text() + "\n", terminator: "")
        if !answer.isReached { throw ExitCode(1) }
    }

    /// The trace to the endpoint that was named, else to the one the seed draws.
    private func trace(_ request: FlowRequest, _ simulator: inout Simulator) throws -> FlowTrace {
        guard let backend = backend.flatMap({ IPAddress($0) }) else {
            simulator.recordEvents(rules: detail)
            return simulator.trace(request)
        }
        let backends = simulator.backends(of: request, rules: detail)
        guard let chosen = backends.first(where: { $0.address.address == backend }) else {
            var addresses: [String] = []
            for address in backends.map({ "\($0.address.address)" }) where !addresses.contains(address) {
                addresses.append(address)
            }
            throw wrongInput(
                "the rules never send this request to \(backend)",
                hint: "they send it to \(addresses.prefix(10).joined(separator: ", "))")
        }
        return chosen.trace
    }
}

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json
}
