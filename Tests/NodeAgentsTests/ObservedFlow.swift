// One packet sent into a node that holds kube-proxy's rules, as a laboratory sent it through a real kernel: what was
// sent, what became of it, and the same with our stack. `Vectors/README.md` describes the lines and the laboratory.

import Addressing
import Kubernetes
import NodeAgents
import Testing
import Wire

@testable import Netstack

/// A line such as `tcp 198.51.100.7 > 10.96.30.1:80: dnat 10.42.1.40:8080~192.168.77.11`.
struct ObservedFlow {
    enum Verdict: Hashable {
        /// Endpoints, with the source they see when it was translated: `10.42.1.40:8080~192.168.77.11`.
        case translated(Set<String>, isSticky: Bool)
        case rejected
        case dropped
        case local
        case forwarded
    }

    let text: String
    let `protocol`: IPProtocol
    let source: IPAddress
    /// Where it came in, if not on eth0.
    let interface: String?
    let destination: SocketAddress
    let verdict: Verdict

    init(_ line: Substring) throws {
        text = String(line)
        let words = line.split(separator: " ")
        let from = words[1].split(separator: "%")
        `protocol` = try #require(IPProtocol(words[0]))
        source = try #require(IPAddress(from[0]))
        interface = from.count > 1 ? String(from[1]) : nil
        destination = try #require(SocketAddress(words[3].dropLast()))
        let rest = words.dropFirst(5).map(String.init)
        switch words[4] {
        case "dnat": verdict = .translated(Set(rest), isSticky: false)
        case "sticky": verdict = .translated(Set(rest), isSticky: true)
        case "reject":
            try #require(rest == ["icmp", "type", "3", "code", "3"])
            verdict = .rejected
        case "drop": verdict = .dropped
        case "local": verdict = .local
        default:
            try #require(words[4] == "forward")
            verdict = .forwarded
        }
    }
}

/// The laboratory's node: all addresses on eth0 as /32 or /128, the default routes out of it.
struct LaboratoryNode {
    private let namespace: NetworkNamespace
    private let eth0: LinkID
    private let own: [IPAddress]

    init(_ input: ProxyInput, mode: String, podInterface: String?) throws {
        var namespace = NetworkNamespace(id: NamespaceID(0), name: "node-a")
        eth0 = namespace.addLink("eth0", kind: .ethernet, hardwareAddress: MACAddress(rawValue: 0x0200_0000_0001))
        let addresses = try labAddresses(of: input.node)
        own = addresses.map(\.address)
        for address in own {
            namespace.addAddress(InterfaceAddress(address, prefixLength: address.family.bitWidth), to: eth0)
        }
        for family in AddressFamily.allCases {
            namespace.addRoute(Route(IPPrefix(.any(family), length: 0), link: eth0))
            guard mode == "iptables" else { continue }
            namespace.setRuleset(
                KubeProxy.iptablesRuleset(
                    services: input.services, endpointSlices: input.endpointSlices,
                    node: NodeView(input.node, interfaceAddresses: addresses), configuration: input.configuration,
                    family: family), family: family)
        }
        if mode == "nftables" {
            let tables = AddressFamily.allCases.map { input.table($0, interfaceAddresses: addresses) }
            namespace.setNFTables(NFTablesRuleset(tables))
        }
        if let podInterface {
            namespace.addLink(
                podInterface, kind: .ethernet, hardwareAddress: MACAddress(rawValue: 0x0200_0000_0002))
        }
        NodeNetwork.applySettings(input.node, proxy: input.configuration, to: &namespace)
        // What comes in on eth0 and leaves there is no answer.
        namespace.sysctls.sendRedirects = false
        for link in namespace.links {
            var settings = link.settings
            settings.sendRedirects = false
            namespace.setInterface(link.id, to: settings)
        }
        self.namespace = namespace
    }

    /// Everything that can become of the packet, following every choice the rules have.
    func verdict(of flow: ObservedFlow) -> ObservedFlow.Verdict? {
        var endpoints: Set<String> = []
        var others: Set<ObservedFlow.Verdict> = []
        var isSticky = true
        var script: [Int]? = []
        while let next = script {
            var namespace = self.namespace
            var context = PathContext(seed: 1)
            context.recording.keepsEvents = true
            context.choices = RuleChoices(packet: 1, script: next)
            let first = send(flow, port: 40_000, into: &namespace, &context)
            script = RuleChoices.next(after: context.choices.made)
            guard case .translated(let seen, _)? = first else {
                if let first { others.insert(first) }
                continue
            }
            endpoints.formUnion(seen)
            // Four more, as the laboratory sent.
            for port: UInt16 in 40_001...40_004 {
                guard case .translated(seen, _)? = send(flow, port: port, into: &namespace, &context) else {
                    isSticky = false
                    break
                }
            }
        }
        guard endpoints.isEmpty else {
            // One endpoint is no choice.
            return others.isEmpty ? .translated(endpoints, isSticky: isSticky) : nil
        }
        return others.count == 1 ? others.first : nil
    }

    private func send(
        _ flow: ObservedFlow, port: UInt16, into namespace: inout NetworkNamespace, _ context: inout PathContext
    ) -> ObservedFlow.Verdict? {
        let frame = frame(of: flow, port: port)
        let id = context.newPacketID()
        let packet = frame.withUnsafeBytes { context.arena.allocate(copying: $0, id: id) }
        let begin = context.recording.events.count
        if own.contains(flow.source) || flow.source.isLoopback {
            guard case .route(let route) = namespace.routeOutput(flow.destination.address) else { return nil }
            namespace.localOutput(packet, by: route, &context)
        } else {
            let link = flow.interface.flatMap { namespace.link(named: $0)?.id } ?? eth0
            namespace.receive(packet, on: link, &context)
        }
        // What leaves by loopback comes in there.
        while let index = context.transmissions.firstIndex(where: { $0.peer != nil }) {
            let transmission = context.transmissions.remove(at: index)
            namespace.receive(transmission.packet, on: transmission.link, &context)
        }
        return verdict(of: id, flow, context.recording.events[begin...], in: namespace, context)
    }

    private func frame(of flow: ObservedFlow, port: UInt16) -> [UInt8] {
        let builder = PacketBuilder(
            sourceMAC: MACAddress(rawValue: 0x0200_0000_0099),
            destinationMAC: MACAddress(rawValue: 0x0200_0000_0000 | (flow.interface == nil ? 1 : 2)),
            source: flow.source, destination: flow.destination.address)
        switch flow.protocol {
        case .tcp: return builder.tcp(from: port, to: flow.destination.port, flags: .syn)
        case .udp: return builder.udp(from: port, to: flow.destination.port, payload: [1])
        default:
            return builder.sctp(
                from: port, to: flow.destination.port, verificationTag: 0,
                chunks: [1, 0, 0, 20, 0, 0, 0, 5] + [UInt8](repeating: 0, count: 12))
        }
    }

    private func verdict(
        of id: UInt32, _ flow: ObservedFlow, _ events: ArraySlice<PathEvent>, in namespace: NetworkNamespace,
        _ context: borrowing PathContext
    ) -> ObservedFlow.Verdict? {
        // Nobody answers on eth0: what left waits for its neighbor.
        for packet in namespace.neighbors.entries.flatMap(\.waiting) where packet.id == id {
            guard let tuple = ConnectionTuple(packet, at: networkOffset, in: context.arena) else { return nil }
            if tuple.destination == flow.destination.address { return .forwarded }
            let hasOtherSource = events.contains {
                if $0.packet == id, case .translated(.source, _, _, _) = $0.kind { true } else { false }
            }
            let endpoint = SocketAddress(tuple.destination, tuple.destinationPort).description
            return .translated([hasOtherSource ? "\(endpoint)~\(tuple.source)" : endpoint], isSticky: true)
        }
        let wasAnswered = events.contains {
            if case .originated(parent: id, _) = $0.kind { true } else { false }
        }
        for event in events where event.packet == id {
            switch event.kind {
            // From outside nobody can tell a refusal of the rules from one of a UDP port without a socket.
            case .dropped(.noSocket, _) where flow.protocol == .udp: return .rejected
            case .delivered, .dropped(.noSocket, _), .dropped(.unhandledProtocol, _): return .local
            case .dropped(.netfilterDrop, _): return wasAnswered ? .rejected : .dropped
            case .dropped: return nil
            default: break
            }
        }
        return nil
    }
}
