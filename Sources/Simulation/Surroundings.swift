// What somebody needs to know to build the same network elsewhere: who there is, who hangs on which wire, and what
// answers on which port.

package import Addressing
package import Kubernetes
package import Netstack

/// A socket a real server has to stand in for.
package struct ServerSocket: Sendable {
    package let `protocol`: IPProtocol
    package let local: SocketAddress
    /// Who a TCP socket says has answered; what a UDP socket receives it sends back.
    package let label: String
    /// What a TCP socket answers that does not answer with its name.
    package let answer: [UInt8]?
}

extension Simulator {
    /// Every node, pod and host, built or not, in order.
    package var everyNamespace: [NamespaceID] { directory.owners.indices.map { NamespaceID($0) } }

    /// The interfaces on each network of the underlay, in the order they were plugged in.
    package var underlayNetworks: [[LinkPeer]] { underlay.portsByNetwork }

    /// What listens in a namespace.
    package mutating func servers(in id: NamespaceID) -> [ServerSocket] {
        namespace(id).listeningSockets.map { socket in
            ServerSocket(
                protocol: socket.protocol, local: socket.local, label: socket.label,
                answer: answers[ApplicationSocket(namespace: id, socket: socket.id)])
        }
    }
}

extension Simulator {
    /// Starts a flow now, without running it. What rules leave to chance from now on follows the script.
    package mutating func begin(_ request: FlowRequest, choices: [Int]) {
        context.choices = RuleChoices(everybody: choices)
        _ = start(request)
    }

    /// What rules left to chance since the last flow began.
    package var choicesMade: [RuleChoice] { context.choices.made }

    /// Every frame a tap has seen, in order: `OWNER/DEVICE`, direction, time and octets.
    package var recordedFrames: [(interface: String, isIngress: Bool, time: Nanoseconds, octets: [UInt8])] {
        var names: [LinkPeer: String] = [:]
        for id in builtNamespaces {
            let namespace = built(id)
            for link in namespace.links {
                names[LinkPeer(namespace: id, link: link.id)] = "\(namespace.name)/\(link.name)"
            }
        }
        return context.recording.frames.map { frame in
            let octets = context.recording.octets[frame.offset..<frame.offset + frame.length]
            let name = names[LinkPeer(namespace: frame.namespace, link: frame.link)] ?? ""
            return (name, frame.direction == .ingress, frame.time, Array(octets))
        }
    }
}

extension FlowSource {
    /// The namespace a source is in.
    package var owner: NamespaceOwner {
        switch self {
        case .pod(let key): .pod(key)
        case .node(let name): .node(name)
        case .host(let name): .host(name)
        }
    }
}
