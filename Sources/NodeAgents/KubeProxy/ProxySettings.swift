// KubeProxyConfiguration applied to one node and family: how a local pod is recognised (pkg/proxy/util/
// localdetector.go) and which addresses take node-port traffic (pkg/proxy/util/nodeport_addresses.go). Unreadable
// entries of nodePortAddresses are left out here; validating the file is the loader's task.

public import Addressing
public import Kubernetes
public import Netstack

/// How kube-proxy tells traffic of this node's pods from other traffic.
public enum LocalDetector: Hashable, Sendable {
    /// No CIDR is known: rules that need the distinction are not written.
    case absent
    case source(IPPrefix)
    case ingress(InterfacePattern)

    public init(_ configuration: KubeProxyConfiguration, podCIDRs: [IPPrefix], family: AddressFamily) {
        let prefix: IPPrefix?
        switch configuration.detectLocalMode {
        case .clusterCIDR: prefix = configuration.clusterCIDR(family)
        case .nodeCIDR: prefix = podCIDRs.first { $0.family == family }
        case .bridgeInterface:
            self = .ingress(InterfacePattern(configuration.bridgeInterface))
            return
        case .interfaceNamePrefix:
            self = .ingress(InterfacePattern(configuration.interfaceNamePrefix + "+"))
            return
        }
        self = prefix.map(LocalDetector.source) ?? .absent
    }

    /// Adds "from a local pod", or its opposite, to a rule; nil when nothing can tell.
    func restrict(_ rule: Rule, toLocal isLocal: Bool) -> Rule? {
        var rule = rule
        switch self {
        case .absent: return nil
        case .source(let prefix): rule.source = Negatable(prefix, isNegated: !isLocal)
        case .ingress(let pattern): rule.ingress = Negatable(pattern, isNegated: !isLocal)
        }
        return rule
    }
}

/// Which of a node's addresses take node-port traffic.
public enum NodePortAddresses: Hashable, Sendable {
    /// Every local address.
    case all
    case primary
    case prefixes([IPPrefix])

    /// What a configuration says for one family; left out it means all, but the primary address in nftables mode.
    init(_ configuration: KubeProxyConfiguration, mode: ProxyMode, family: AddressFamily) {
        let texts = configuration.nodePortAddresses
        self.init(texts.isEmpty && mode == .nftables ? ["primary"] : texts, family: family)
    }

    /// The setting for one family. A list without an entry of the family means all, as does a prefix of length zero.
    public init(_ texts: [String], family: AddressFamily) {
        if texts == ["primary"] {
            self = .primary
            return
        }
        let prefixes = texts.compactMap { InterfaceAddress($0)?.prefix }.filter { $0.family == family }
        self = prefixes.isEmpty || prefixes.contains { $0.length == 0 } ? .all : .prefixes(prefixes)
    }

    /// Whether 127.0.0.0/8, or a part of it, is among them.
    var includesLoopback: Bool {
        switch self {
        case .all: true
        case .primary: false
        case .prefixes(let prefixes): prefixes.contains { $0.overlaps(.ipv4Loopback) }
        }
    }

    /// The addresses, sorted, or nil for all. Loopback is on every node and may match.
    func addresses(of node: NodeView, nodeIP: IPAddress, family: AddressFamily) -> [IPAddress]? {
        let prefixes: [IPPrefix]
        switch self {
        case .all: return nil
        // kube-proxy makes a list of the node's addresses, and one without any of a family means all of that family.
        case .primary where nodeIP.isLoopback: return nil
        case .primary: prefixes = [IPPrefix(host: nodeIP)]
        case .prefixes(let stated): prefixes = stated
        }
        let present = node.interfaceAddresses.map(\.address) + [.loopback(family)]
        let matching = present.filter { address in prefixes.contains { $0.contains(address) } }
        return Set(matching).sorted()
    }
}

extension IPPrefix {
    static let ipv4Loopback = IPPrefix(.v4(127, 0, 0, 0), length: 8)
}

extension IPAddress {
    static func loopback(_ family: AddressFamily) -> IPAddress {
        family == .ipv4 ? IPAddress(IPv4Address.loopback) : IPAddress(IPv6Address.loopback)
    }
}
