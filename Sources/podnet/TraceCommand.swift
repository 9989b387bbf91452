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
    @Option(help: ArgumentHelp("The TTL of what the client sends; its machine's default unless given.", valueName: "n"))
    var ttl: Int?
    @Option(name: .shortAndLong, help: "text or json.") var output = OutputFormat.text

    func validate() throws {
        if let ttl, !(1...255).contains(ttl) { throw ValidationError("--ttl takes a number from 1 to 255.") }
        if traceroute, minimal || detail || allBackends || backend != nil || ttl != nil {
            throw ValidationError(
                "--traceroute goes with none of --minimal, --detail, --all-backends, --backend and --ttl.")
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
        var request = try flow.request(
            from: source, to: destination, in: realised, namespace: cluster.namespace, &simulator)
        request.timeToLive = ttl.map { UInt8(clamping: $0) }
        let level: TraceLevel = minimal ? .minimal : detail ? .detail : .normal
        let text = TraceText(level: level, usesColour: !minimal && usesColour())
        let json = TraceJSON(includesRules: detail)
        if allBackends {
            let backends = simulator.backends(of: request, rules: detail)
            print(output == .text ? text.text(backends) : json.value(backends).text() + "\n", terminator: "")
            if backends.contains(where: { $0.trace.verdict != .delivered }) { throw ExitCode(1) }
            return
        }
        let trace = try trace(request, &simulator)
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

/// How a client asks.
struct FlowOptions: ParsableArguments {
    @Option(help: "tcp, udp or icmp; tcp unless given.") var `protocol`: String?
    @Option(help: "How long the client waits for an answer, for example 4s or 500ms.") var timeout = "4s"

    private var transport: IPProtocol? {
        IPProtocol((`protocol` ?? "tcp").lowercased()).flatMap { [.tcp, .udp, .icmp].contains($0) ? $0 : nil }
    }

    private var wait: Nanoseconds? { nanoseconds(duration: timeout).flatMap { $0 > 0 ? $0 : nil } }

    func validate() throws {
        guard transport != nil else {
            throw ValidationError("--protocol takes tcp, udp or icmp, not '\(`protocol` ?? "")'.")
        }
        guard wait != nil else {
            throw ValidationError("--timeout takes a duration such as 4s or 500ms, not '\(timeout)'.")
        }
    }

    /// The request two spellings stand for. Unknown names end the program.
    func request(
        from source: String, to destination: String, in cluster: Cluster, namespace: String,
        _ simulator: inout Simulator
    ) throws -> FlowRequest {
        guard let transport else { throw ExitCode.validationFailure }
        return try request(from: source, to: destination, by: transport, in: cluster, namespace: namespace, &simulator)
    }

    /// What a traceroute asks. A port that is named is the port of all its probes.
    func tracerouteRequest(
        from source: String, to destination: String, in cluster: Cluster, namespace: String,
        _ simulator: inout Simulator
    ) throws -> FlowRequest {
        guard let transport else { throw ExitCode.validationFailure }
        let probes = `protocol` == nil ? .udp : transport
        let isAddress = IPAddress(destination) != nil || destination.hasPrefix("[") && destination.hasSuffix("]")
        let hasPort = !isAddress && destination.contains(":")
        var request = try request(
            from: source, to: destination, by: hasPort ? probes : .icmp, in: cluster, namespace: namespace, &simulator)
        request.protocol = probes
        if !hasPort { request.port = nil }
        return request
    }

    private func request(
        from source: String, to destination: String, by transport: IPProtocol, in cluster: Cluster,
        namespace: String, _ simulator: inout Simulator
    ) throws -> FlowRequest {
        guard let wait else { throw ExitCode.validationFailure }
        do {
            let ends = FlowEnds(cluster.objects, namespace: namespace)
            let from = try ends.source(source)
            let to = try ends.destination(destination, protocol: transport, from: from)
            if !to.note.isEmpty { printError("podnet: \(to.note)") }
            guard let id = simulator.namespaceID(of: from.owner) else {
                throw wrongInput("\(from) has no network: it is not running", hint: "podnet get pods -o wide shows it")
            }
            let host = to.hostName.isEmpty ? nil : to.hostName
            return FlowRequest(
                from: id, to: to.address, port: to.port, protocol: transport, host: host, timeout: wait)
        } catch let error as FlowEndError {
            throw wrongInput(error.message, hint: error.hint)
        }
    }
}
