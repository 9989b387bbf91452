// The wire all nodes and hosts hang on: one learning switch with a constant delay, and loss if asked for.
// Learned addresses do not age, and there is neither VLAN nor spanning tree.

internal import Addressing
internal import Netstack

/// The underlay switch.
struct UnderlaySwitch: Sendable {
    struct Port: Hashable, Sendable {
        var namespace: NamespaceID
        var link: LinkID
    }

    /// In order of attachment.
    private(set) var ports: [Port] = []
    private var forwardingDatabase: [MACAddress: Port] = [:]
    let delay: Nanoseconds
    /// Lost frames per million.
    let lossPerMillion: Int

    init(delay: Nanoseconds, lossPerMillion: Int) {
        self.delay = delay
        self.lossPerMillion = lossPerMillion
    }

    mutating func attach(_ namespace: NamespaceID, _ link: LinkID) {
        ports.append(Port(namespace: namespace, link: link))
    }

    /// Where a frame goes: the learned port, or all others, newest first as a Linux bridge floods.
    mutating func targets(from source: Port, sourceMAC: MACAddress, destinationMAC: MACAddress) -> [Port] {
        if !sourceMAC.isMulticast { forwardingDatabase[sourceMAC] = source }
        if !destinationMAC.isMulticast, let port = forwardingDatabase[destinationMAC] {
            return port == source ? [] : [port]
        }
        return ports.reversed().filter { $0 != source }
    }
}
