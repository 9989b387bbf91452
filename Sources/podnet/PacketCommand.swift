// podnet packet: one packet into one node, and what the node's rules and routes do with it. The question is
// Simulation/NodePacket.swift's, the words are made in Rendering/Trace.

import Addressing
import ArgumentParser
import Netstack
import Rendering
import Simulation

struct PacketCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "packet",
        abstract: "Send one packet into one node and see what it does with it.",
        discussion: """
            The first packet of a connection (a SYN, a datagram, an INIT, an echo request) comes in by an interface, \
            or with --local is sent by the node itself. Every choice the rules leave to chance is followed: each \
            endpoint is listed with its exact probability.

            The outcome is DNAT (sent on to another address), REJECT, DROP, LOCAL (for the node's own sockets) or \
            FORWARD (sent on to the address it was sent to).

            Exit code 0: DNAT, LOCAL or FORWARD. 1: REJECT or DROP. 2: wrong input.
            """)

    @Argument(help: "The node.") var node: String
    @Option(name: .customLong("in"), help: "The interface it comes in by, such as eth0, cni0 or a pod's veth.")
    var ingress: String?
    @Flag(help: "The node itself sends it.") var local = false
    @Option(help: "Who sends it: IP, IP:PORT or [IPv6]:PORT; the port is 40000 unless given.") var source: String
    @Option(help: "Where it goes: IP:PORT or [IPv6]:PORT, for ICMP an IP.") var destination: String
    @Option(help: "tcp, udp, sctp or icmp.") var `protocol` = "tcp"
    @Flag(help: "Print the path of every branch, with every rule that was tried.") var detail = false
    @Option(name: .shortAndLong, help: "text or json.") var output = OutputFormat.text
    @OptionGroup var cluster: ClusterOptions

    private var transport: IPProtocol? {
        IPProtocol(`protocol`.lowercased()).flatMap { [.tcp, .udp, .sctp, .icmp, .icmpv6].contains($0) ? $0 : nil }
    }

    func validate() throws {
        guard let transport else {
            throw ValidationError("--protocol takes tcp, udp, sctp or icmp, not '\(`protocol`)'.")
        }
        if local == (ingress != nil) {
            throw ValidationError("Say where the packet comes from: either --in INTERFACE or --local.")
        }
        if let ingress, ingress.isEmpty || ingress.utf8.count > 15 || ingress.contains(where: { "/ ".contains($0) }) {
            throw ValidationError("--in takes the name of an interface, at most 15 characters, not '\(ingress)'.")
        }
        guard let from = Self.end(source, port: 40_000) else {
            throw ValidationError("--source takes IP, IP:PORT or [IPv6]:PORT, not '\(source)'.")
        }
        guard let to = Self.end(destination, port: transport.hasPorts ? nil : 0) else {
            throw ValidationError("--destination takes IP:PORT or [IPv6]:PORT, not '\(destination)'.")
        }
        if from.address.family != to.address.family {
            throw ValidationError("--source and --destination must be of one address family.")
        }
    }

    /// An address with its port; `port` stands in for one that is not given.
    private static func end(_ text: String, port: UInt16?) -> SocketAddress? {
        let bare = text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
        if let address = IPAddress(bare) { return port.map { SocketAddress(address, $0) } }
        return SocketAddress(text)
    }

    func run() throws {
        guard var transport, let from = Self.end(source, port: 40_000),
            let to = Self.end(destination, port: transport.hasPorts ? nil : 0)
        else { throw ExitCode.validationFailure }
        if transport == .icmp, to.address.family == .ipv6 { transport = .icmpv6 }
        var simulator = Simulator(try cluster.cluster(), seed: cluster.seed)
        let name = node.hasPrefix("node/") ? String(node.dropFirst(5)) : node
        guard let id = simulator.namespaceID(of: .node(name)) else {
            throw wrongInput("there is no node called \"\(name)\"", hint: "podnet get nodes shows them")
        }
        let packet = NodePacket(ingress: ingress, source: from, destination: to, protocol: transport)
        if let ingress, simulator.namespace(id).link(named: ingress) == nil {
            printError("podnet: \(name) has no interface \(ingress): taken as one more, without an address")
        }
        let report = simulator.send(packet, into: id, rules: detail && output == .text)
        switch output {
        case .text:
            let text = TraceText(level: detail ? .detail : .normal, usesColour: usesColour())
            print(text.text(report, node: name), terminator: "")
        case .json: print(TraceJSON(includesRules: detail).value(report, node: name).text())
        }
        if report.outcome == .rejected || report.outcome == .dropped { throw ExitCode(1) }
    }
}
