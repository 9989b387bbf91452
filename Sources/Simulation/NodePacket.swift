// One packet into one node, and all that could become of it: every choice the node's rules leave to chance is taken
// once, so that each ending has its exact probability. What `ofproto/trace` is for Open vSwitch. The packet meets a
// copy of the node as it is; nothing here changes the simulation.

public import Addressing
public import Netstack
internal import Wire

/// A packet that enters a node, or that the node itself sends.
public struct NodePacket: Hashable, Sendable {
    /// The link it comes in by; nil when a program of the node sends it.
    public var ingress: String?
    public var source: SocketAddress
    public var destination: SocketAddress
    /// TCP packets are SYNs, SCTP packets INITs, ICMP packets echo requests.
    public var `protocol`: IPProtocol

    public init(ingress: String?, source: SocketAddress, destination: SocketAddress, protocol: IPProtocol) {
        self.ingress = ingress
        self.source = source
        self.destination = destination
        self.protocol = `protocol`
    }
}

/// One thing that can become of it.
public struct NodePacketBranch: Sendable {
    public enum Outcome: String, Hashable, Sendable, CaseIterable {
        /// Sent on to another address.
        case translated = "DNAT"
        case rejected = "REJECT"
        case dropped = "DROP"
        /// The node's own sockets get it, under the address it was sent to.
        case local = "LOCAL"
        /// Sent on to the address it was sent to.
        case forwarded = "FORWARD"
    }

    public let outcome: Outcome
    /// From 0 to 1.
    public let probability: Double
    /// Where it goes.
    public let destination: SocketAddress
    /// Who it seems to come from, when that was changed.
    public let translatedSource: SocketAddress?
    /// How REJECT answered.
    public let reject: RejectKind?
    public let trace: PacketTrace
}

/// All that can become of a packet.
public struct NodePacketReport: Sendable {
    public let packet: NodePacket
    /// In the order the rules choose.
    public let branches: [NodePacketBranch]
    /// There were more branches than anybody would read.
    public let isIncomplete: Bool

    /// The first of the outcomes with an endpoint, else the likeliest.
    public var outcome: NodePacketBranch.Outcome {
        if branches.contains(where: { $0.outcome == .translated }) { return .translated }
        var best: (outcome: NodePacketBranch.Outcome, probability: Double) = (.forwarded, 0)
        for outcome in NodePacketBranch.Outcome.allCases {
            let sum = branches.reduce(0) { $1.outcome == outcome ? $0 + $1.probability : $0 }
            if sum > best.probability { best = (outcome, sum) }
        }
        return best.outcome
    }

    /// An end the packet can be translated to.
    public struct Endpoint: Hashable, Sendable {
        public let address: SocketAddress
        public var probability: Double
        /// The address the endpoint sees, when it is not the packet's own.
        public let source: IPAddress?
    }

    /// The ends the packet can be translated to, in the order the rules choose.
    public var endpoints: [Endpoint] {
        var found: [Endpoint] = []
        var places: [String: Int] = [:]
        for branch in branches where branch.outcome == .translated {
            let source = branch.translatedSource?.address
            let key = "\(branch.destination) \(source?.description ?? "")"
            if let place = places[key] {
                found[place].probability += branch.probability
            } else {
                places[key] = found.count
                found.append(Endpoint(address: branch.destination, probability: branch.probability, source: source))
            }
        }
        return found
    }
}

extension Simulator {
    /// More branches than this are not followed.
    public static let branchLimit = 65_536

    /// Sends a packet into a node and takes every choice its rules offer. A link the node does not have is made for the
    /// question, without an address: the veth of a pod that is not there, say. `rules` also keeps the rules that did
    /// not match.
    public mutating func send(_ packet: NodePacket, into id: NamespaceID, rules: Bool = false) -> NodePacketReport {
        var node = namespace(id)
        var link: LinkID?
        if let name = packet.ingress {
            link =
                node.link(named: name)?.id
                ?? node.addLink(name, kind: .ethernet, hardwareAddress: MACAddress(randomBits: 0x0a00_0000_0002))
        }
        let frame = frame(of: packet, to: node, by: link)
        var branches: [NodePacketBranch] = []
        var script: [Int]? = []
        while let path = script, branches.count < Self.branchLimit {
            var copy = node
            var world = PathContext(seed: seed)
            world.now = now
            world.recording.keepsEvents = true
            world.recording.keepsRuleMisses = rules
            let sent =
                link.map { copy.inject(frame, on: $0, choosing: path, &world) }
                ?? copy.sendRaw(frame, choosing: path, &world)
            // What leaves by loopback comes back; everything else is out of the node.
            while let next = world.transmissions.first {
                world.transmissions.removeFirst()
                if next.isQueued {
                    copy.dequeue(next.packet, on: next.link, &world)
                } else if let peer = next.peer, peer.namespace == id {
                    copy.receive(next.packet, on: peer.link, &world)
                }
            }
            branches.append(branch(of: sent, packet, world.recording.events, world.choices.made, in: copy))
            script = RuleChoices.next(after: world.choices.made)
        }
        return NodePacketReport(packet: packet, branches: branches, isIncomplete: script != nil)
    }

    /// The octets of the packet, addressed to the node.
    private func frame(of packet: NodePacket, to node: NetworkNamespace, by link: LinkID?) -> [UInt8] {
        var own = MACAddress.zero
        if let link {
            // A frame on a bridge port is meant for the bridge's own address, as one to a pod's gateway is.
            let bridge = node.links[link.index].bridge
            own = node.links[(bridge ?? link).index].hardwareAddress
        }
        let builder = PacketBuilder(
            sourceMAC: MACAddress(randomBits: 0x0a00_0000_0001), destinationMAC: own, source: packet.source.address,
            destination: packet.destination.address)
        switch packet.protocol {
        case .tcp: return builder.tcp(from: packet.source.port, to: packet.destination.port, flags: .syn)
        case .udp:
            return builder.udp(from: packet.source.port, to: packet.destination.port, payload: Array("podnet\n".utf8))
        case .sctp:
            // INIT: tag, receive window, streams out and in, first TSN (RFC 9260 section 3.3.2).
            let tag: [UInt8] = [0, 0, 0, 1]
            let chunk: [UInt8] = [1, 0, 0, 20] + tag + [0, 1, 0, 0, 0, 10, 255, 255] + tag
            return builder.sctp(
                from: packet.source.port, to: packet.destination.port, verificationTag: 0, chunks: chunk)
        default: return builder.echoRequest(identifier: 1, sequence: 1)
        }
    }

    private func branch(
        of id: UInt32, _ packet: NodePacket, _ events: [PathEvent], _ choices: [RuleChoice],
        in node: NetworkNamespace
    ) -> NodePacketBranch {
        let trace = trace(of: id, events.filter { $0.packet == id }, at: node)
        var destination = packet.destination
        var source: SocketAddress?
        var reject: RejectKind?
        for step in trace.hops.flatMap(\.steps) {
            switch step {
            case .translated(.destination, _, let to, _, _): destination = to
            case .translated(.source, _, let to, _, _): source = to
            case .rule(let rule, .reject): reject = rule.reject
            default: break
            }
        }
        // IPVS refuses without a rule.
        if case .dropped(_, _, let rule?) = trace.disposition { reject = reject ?? rule.reject }
        let outcome: NodePacketBranch.Outcome
        let isTranslated = destination != packet.destination
        switch trace.disposition {
        case .dropped(.noSocket, _, _), .dropped(.unhandledProtocol, _, _), .delivered:
            outcome = isTranslated ? .translated : .local
        case .dropped where reject != nil: outcome = .rejected
        case .dropped: outcome = .dropped
        case .waiting: outcome = isTranslated ? .translated : .forwarded
        }
        return NodePacketBranch(
            outcome: outcome, probability: choices.reduce(1) { $0 * $1.probability }, destination: destination,
            translatedSource: source, reject: reject, trace: trace)
    }
}
