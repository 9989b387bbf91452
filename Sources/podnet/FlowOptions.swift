// The options that say how a client asks: protocol, patience, sizes, repetitions. Shared by every command that runs a
// flow.

import Addressing
public import ArgumentParser
import Kubernetes
public import Netstack
import Simulation

/// How a client asks.
struct FlowOptions: ParsableArguments {
    /// Bodies larger than this are refused: their frames would not fit in memory.
    static let mostBody = 100 << 20
    /// What one datagram, or one echo request, can hold.
    static let mostDatagram = 65_507

    @Option(help: "tcp, udp or icmp; tcp unless given.") var `protocol`: String?
    @Option(help: "How long the client waits for an answer, for example 4s or 500ms.") var timeout = "4s"
    @Option(
        help: ArgumentHelp(
            "How much the client sends, for example 3000, 100k or 10Mi: a request body, a datagram, a ping's octets.",
            valueName: "size"))
    var requestBytes: String?
    @Option(help: ArgumentHelp("How large an answer an HTTP client asks for.", valueName: "size"))
    var responseBytes: String?
    @Option(help: ArgumentHelp("How often to ask, over one connection or from one socket.", valueName: "number"))
    var requests = 1
    @Option(help: ArgumentHelp("From an answer to the next request, 1s unless told.", valueName: "duration"))
    var interval: String?
    @Option(
        help: ArgumentHelp(
            "DF and fragments of datagrams and echo requests, as ping -M takes it: want (unless given), do or dont.",
            valueName: "option"))
    var pmtudisc: PathMTUDiscovery?
    @Option(help: "The TTL of what the client sends; its machine's default unless given.") var ttl: Int?
    @Flag(help: "Probe an idle TCP connection, as SO_KEEPALIVE does.") var keepalive = false

    private var transport: IPProtocol? {
        IPProtocol((`protocol` ?? "tcp").lowercased()).flatMap { [.tcp, .udp, .icmp].contains($0) ? $0 : nil }
    }

    private var wait: Nanoseconds? { nanoseconds(duration: timeout).flatMap { $0 > 0 ? $0 : nil } }

    private var pause: Nanoseconds? {
        nanoseconds(duration: interval ?? "1s").flatMap { (0...7 * 86_400_000_000_000).contains($0) ? $0 : nil }
    }

    func validate() throws {
        guard let transport else {
            throw ValidationError("--protocol takes tcp, udp or icmp, not '\(`protocol` ?? "")'.")
        }
        guard wait != nil else {
            throw ValidationError("--timeout takes a duration such as 4s or 500ms, not '\(timeout)'.")
        }
        if let ttl, !(1...255).contains(ttl) { throw ValidationError("--ttl takes a number from 1 to 255.") }
        guard (1...10_000).contains(requests) else {
            throw ValidationError("--requests takes a number from 1 to 10000, not \(requests).")
        }
        guard let interval, pause == nil || requests == 1 else { return try validateSizes(transport) }
        throw ValidationError(
            pause == nil
                ? "--interval takes a duration from 0 to 168h, not '\(interval)'."
                : "--interval lies between requests: ask for more than one with --requests.")
    }

    private func validateSizes(_ transport: IPProtocol) throws {
        if transport == .tcp, pmtudisc != nil {
            throw ValidationError("--pmtudisc is for UDP and ICMP: TCP learns the path's MTU by itself.")
        }
        if transport != .tcp, responseBytes != nil || keepalive {
            let name = responseBytes != nil ? "--response-bytes" : "--keepalive"
            throw ValidationError("\(name) is for TCP: a UDP or ICMP answer holds what was sent.")
        }
        let most = transport == .tcp ? Self.mostBody : Self.mostDatagram
        for (name, text) in [("--request-bytes", requestBytes), ("--response-bytes", responseBytes)] {
            guard let text else { continue }
            guard let size = octets(text) else {
                throw ValidationError("\(name) takes a size such as 3000, 100k or 10Mi, not '\(text)'.")
            }
            if size > most { throw ValidationError("\(name) takes at most \(most) octets, not \(size).") }
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
        request.requests = 1
        if !hasPort { request.port = nil }
        return request
    }

    private func request(
        from source: String, to destination: String, by transport: IPProtocol, in cluster: Cluster,
        namespace: String, _ simulator: inout Simulator
    ) throws -> FlowRequest {
        guard let wait, let pause else { throw ExitCode.validationFailure }
        do {
            let ends = FlowEnds(cluster.objects, namespace: namespace)
            let from = try ends.source(source)
            let to = try ends.destination(destination, protocol: transport, from: from)
            if !to.note.isEmpty { printError("podnet: \(to.note)") }
            guard let id = simulator.namespaceID(of: from.owner) else {
                throw wrongInput("\(from) has no network: it is not running", hint: "podnet get pods -o wide shows it")
            }
            let host = to.hostName.isEmpty ? nil : to.hostName
            var request = FlowRequest(
                from: id, to: to.address, port: to.port, protocol: transport, host: host, timeout: wait)
            request.timeToLive = ttl.map { UInt8(clamping: $0) }
            request.pathMTUDiscovery = pmtudisc ?? .want
            request.requestOctets = requestBytes.flatMap { octets($0) }
            request.responseOctets = responseBytes.flatMap { octets($0) }
            request.requests = requests
            request.interval = pause
            request.sendsKeepalives = keepalive
            return request
        } catch let error as FlowEndError {
            throw wrongInput(error.message, hint: error.hint)
        }
    }
}

extension PathMTUDiscovery: ExpressibleByArgument {}

/// A number of octets as Kubernetes writes quantities (`3000`, `100k`, `10Mi`), with or without a B at the end.
func octets(_ text: String) -> Int? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int(digits) else { return nil }
    var unit = text.dropFirst(digits.count)
    if unit.hasSuffix("B") { unit = unit.dropLast() }
    let factors = ["": 1, "k": 1000, "M": 1_000_000, "G": 1_000_000_000, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30]
    guard let factor = factors[String(unit)] else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: factor)
    return overflow ? nil : product
}
