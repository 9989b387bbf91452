// What Kubernetes has no object for (podnet.dev/v1alpha1): machines outside the cluster, the wire between all machines,
// and the annotations that say what listens where.

public import Addressing

/// A port something answers on: `tcp/8080`.
public struct Listener: Hashable, Sendable {
    public var `protocol`: IPProtocol
    public var port: UInt16
    public init(`protocol`: IPProtocol, port: UInt16) {
        self.protocol = `protocol`
        self.port = port
    }
}

extension Listener: LosslessStringConvertible {
    /// Reads `tcp/PORT`, `udp/PORT` or `sctp/PORT`; port 0 is refused.
    public init?(_ text: some StringProtocol) {
        guard let slash = text.firstIndex(of: "/"), let transport = IPProtocol(text[..<slash].lowercased()),
            transport.hasPorts
        else { return nil }
        let digits = text[text.index(after: slash)...]
        guard digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let port = UInt16(digits), port > 0 else {
            return nil
        }
        self.init(protocol: transport, port: port)
    }

    public var description: String { "\(self.protocol)/\(port)" }
}

/// A route of a Host beside its connected ones.
public struct HostRoute: Hashable, Sendable {
    public var to: IPPrefix
    public var via: IPAddress
    public init(to: IPPrefix, via: IPAddress) {
        self.to = to
        self.via = via
    }
}

/// A machine on the underlay, outside the cluster.
public struct Host: KubernetesObject {
    public static let kind = "Host"
    public static let isNamespaced = false
    public var metadata: ObjectMeta
    public var addresses: [InterfaceAddress] = []
    public var routes: [HostRoute] = []
    public var forwarding: Bool = false
    public var listen: [Listener] = []
    public init(
        metadata: ObjectMeta, addresses: [InterfaceAddress] = [], routes: [HostRoute] = [], forwarding: Bool = false,
        listen: [Listener] = []
    ) {
        self.metadata = metadata
        self.addresses = addresses
        self.routes = routes
        self.forwarding = forwarding
        self.listen = listen
    }

    public var name: String { metadata.name }
}

/// The wire all nodes and hosts hang on.
public struct Underlay: KubernetesObject {
    public static let kind = "Underlay"
    public static let isNamespaced = false
    public var metadata: ObjectMeta = ObjectMeta(name: "default")
    /// Nil until defaulted: the subnet around the nodes' InternalIPs.
    public var subnet: IPPrefix?
    /// Nil until defaulted: the first address of the subnet.
    public var gateway: IPAddress?
    public var mtu: Int = 1500
    public var delayNanoseconds: Int64 = 10_000
    /// Lost packets per million.
    public var lossPerMillion: Int = 0
    public init(
        metadata: ObjectMeta = ObjectMeta(name: "default"), subnet: IPPrefix? = nil, gateway: IPAddress? = nil,
        mtu: Int = 1500, delayNanoseconds: Int64 = 10_000, lossPerMillion: Int = 0
    ) {
        self.metadata = metadata
        self.subnet = subnet
        self.gateway = gateway
        self.mtu = mtu
        self.delayNanoseconds = delayNanoseconds
        self.lossPerMillion = lossPerMillion
    }
}

/// The network interfaces a Node has when it has more than its InternalIP: `eth0=192.168.77.11/24,eth1=…`.
public struct NodeInterface: Hashable, Sendable {
    public var name: String
    public var addresses: [InterfaceAddress]
    public init(name: String, addresses: [InterfaceAddress]) {
        self.name = name
        self.addresses = addresses
    }
}
