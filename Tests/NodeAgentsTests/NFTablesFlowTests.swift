// Packets a real kernel was seen to handle with kube-proxy's nftables rules, handled here by the table podnet writes
// for the same input. Vectors/README.md tells where they come from.

import Addressing
import Kubernetes
import Manifests
import NodeAgents
import Testing
import Wire

@testable import Netstack

/// One line of `flows-nftables.txt`: protocol, link, source, destination, and what became of the packet.
struct ObservedFlow: Sendable {
    let text: String
    let `protocol`: IPProtocol
    let link: String
    let source: IPAddress
    let destination: SocketAddress
    let outcome: String
    /// `ADDRESS:PORT`, and `/ADDRESS` behind it where the source was translated.
    let ends: [String]

    init(_ line: Substring) throws {
        let words = line.split(separator: " ").map(String.init)
        text = String(line)
        `protocol` = try #require(IPProtocol(words[0]))
        link = words[1]
        source = try #require(IPAddress(words[2]))
        destination = try #require(SocketAddress(words[3]))
        outcome = words[4]
        ends = Array(words[5...])
    }
}

@Suite("Packets seen on a real kernel with nftables")
struct NFTablesFlowTests {
    @Test(
        "end as they did there",
        arguments: KubeProxyVectorTests.names.filter { $0 != "17-tcp-liberal" })
    func flows(name: String) throws {
        let input = try ProxyInput(vector: name)
        let addresses = try labAddresses(of: input.node)
        var node = NetworkNamespace(id: NamespaceID(0), name: "node-a")
        let eth0 = node.addLink("eth0", kind: .ethernet, hardwareAddress: Self.own)
        for address in addresses {
            node.addAddress(InterfaceAddress(address.address, prefixLength: address.address.family.bitWidth), to: eth0)
        }
        node.addRoute(Route(IPPrefix(.any(.ipv4), length: 0), link: eth0))
        node.sysctls.ipForward = true
        node.setNFTables(NFTablesRuleset([input.table(.ipv4, interfaceAddresses: addresses)]))
        var links = ["eth0": eth0]
        var count = 0
        for line in try vectorText("kube-proxy/\(name)/flows-nftables.txt").split(separator: "\n") {
            let flow = try ObservedFlow(line)
            guard flow.source.family == .ipv4, flow.destination.address.family == .ipv4 else { continue }
            if links[flow.link] == nil {
                links[flow.link] = node.addLink(flow.link, kind: .ethernet, hardwareAddress: Self.own)
            }
            let seen = Self.follow(flow, into: node, links[flow.link])
            let expected = flow.ends.isEmpty ? [flow.outcome] : flow.ends.map { "\(Self.kind(flow.outcome)) \($0)" }
            #expect(seen == Set(expected), "\(flow.text)")
            count += 1
        }
        #expect(count > 20)
    }

    private static let own = MACAddress(rawValue: 0x0200_0000_0001)

    /// A client that sticks to an endpoint draws it as any other.
    private static func kind(_ outcome: String) -> String { outcome == "sticky" ? "dnat" : outcome }

    /// Everything that can become of the packet.
    private static func follow(_ flow: ObservedFlow, into node: NetworkNamespace, _ link: LinkID?) -> Set<String> {
        let builder = PacketBuilder(
            sourceMAC: MACAddress(rawValue: 0x0200_0000_0002), destinationMAC: own, source: flow.source,
            destination: flow.destination.address)
        let frame =
            switch flow.protocol {
            case .udp: builder.udp(from: 40_000, to: flow.destination.port)
            case .sctp:
                builder.sctp(from: 40_000, to: flow.destination.port, verificationTag: 0, chunks: [1, 0, 0, 4])
            default: builder.tcp(from: 40_000, to: flow.destination.port, flags: .syn)
            }
        var seen: Set<String> = []
        var script: [Int]? = []
        while let path = script {
            var copy = node
            var context = PathContext(seed: 1)
            context.recording.keepsEvents = true
            let sendsItself = copy.isLocal(flow.source)
            let id =
                sendsItself
                ? copy.sendRaw(frame, choosing: path, &context)
                : copy.inject(frame, on: link ?? LinkID(1), choosing: path, &context)
            while let next = context.transmissions.first {
                context.transmissions.removeFirst()
                if next.link == LinkID(0) { copy.receive(next.packet, on: LinkID(0), &context) }
            }
            let outcome = outcome(of: id, context.recording.events)
            // From outside nobody can tell a refusal of the rules from one of a port without a socket.
            seen.insert(outcome == "local" && flow.protocol == .udp ? "reject 3/3" : outcome)
            script = RuleChoices.next(after: context.choices.made)
        }
        return seen
    }

    private static func outcome(of packet: UInt32, _ events: [PathEvent]) -> String {
        var end: SocketAddress?
        var source: IPAddress?
        var isRejected = false
        var drop: DropReason?
        var isDelivered = false
        for event in events where event.packet == packet {
            switch event.kind {
            case .translated(.destination, _, let to, _): end = to
            case .translated(.source, _, let to, _): source = to.address
            case .rule(_, .reject): isRejected = true
            case .dropped(let reason, _): drop = reason
            case .delivered: isDelivered = true
            default: break
            }
        }
        if isRejected { return "reject 3/3" }
        if drop == .netfilterDrop { return "drop" }
        if let end { return "dnat \(end)" + (source.map { "/\($0)" } ?? "") }
        return drop == .noSocket || drop == .unhandledProtocol || isDelivered ? "local" : "forward"
    }
}
