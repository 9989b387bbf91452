// The wire all nodes and hosts hang on: one learning switch with a constant delay, and loss if asked for. Subnets that
// do not overlap are networks of their own on it, as VLANs are. Learned addresses do not age, and there is no spanning
// tree.

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
    /// The subnets of each network, and the network of each port.
    private var networks: [[IPPrefix]] = []
    private var networkOfPort: [Int] = []
    private var forwardingDatabase: [MACAddress: Port] = [:]
    let delay: Nanoseconds
    /// Lost frames per million.
    let lossPerMillion: Int

    init(delay: Nanoseconds, lossPerMillion: Int) {
        self.delay = delay
        self.lossPerMillion = lossPerMillion
    }

    /// Plugs an interface in. Subnets that do not overlap are different networks, as VLANs of one switch are: a
    /// machine with an interface in each is not asked for one's address on the other.
    mutating func attach(_ namespace: NamespaceID, _ link: LinkID, _ addresses: [InterfaceAddress]) {
        let subnets = addresses.map(\.prefix)
        let own = networks.indices.filter { number in
            subnets.contains { subnet in networks[number].contains(where: subnet.overlaps) }
        }
        let network = own.first ?? networks.count
        if own.isEmpty { networks.append([]) }
        for subnet in subnets where !networks[network].contains(subnet) { networks[network].append(subnet) }
        for other in own.dropFirst() {
            // This interface has an address in both: they are one after all.
            networks[network] += networks[other]
            networks[other] = []
            for index in ports.indices where networkOfPort[index] == other { networkOfPort[index] = network }
        }
        ports.append(Port(namespace: namespace, link: link))
        networkOfPort.append(network)
    }

    /// The ports of each network, in order of attachment.
    var portsByNetwork: [[LinkPeer]] {
        networks.indices.map { network in
            ports.indices.filter { networkOfPort[$0] == network }.map {
                LinkPeer(namespace: ports[$0].namespace, link: ports[$0].link)
            }
        }.filter { !$0.isEmpty }
    }

    /// Where a frame goes: the learned port, or all others of its network, newest first as a Linux bridge floods.
    mutating func targets(from source: Port, sourceMAC: MACAddress, destinationMAC: MACAddress) -> [Port] {
        if !sourceMAC.isMulticast { forwardingDatabase[sourceMAC] = source }
        if !destinationMAC.isMulticast, let port = forwardingDatabase[destinationMAC] {
            return port == source ? [] : [port]
        }
        guard let own = ports.firstIndex(of: source) else { return [] }
        return ports.indices.reversed().filter { $0 != own && networkOfPort[$0] == networkOfPort[own] }.map {
            ports[$0]
        }
    }
}
