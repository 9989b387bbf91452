// flannel's configuration: `net-conf.json` (flannel pkg/subnet/config.go) and the delegate section of `cni-conf.json`,
// both from the kube-flannel-cfg ConfigMap. The defaults are those of the published manifest.

public import Addressing

public struct FlannelBackend: Hashable, Sendable {
    public struct BackendType: OpenEnumeration {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        public static let vxlan = BackendType(rawValue: "vxlan")
        public static let hostGateway = BackendType(rawValue: "host-gw")
        public static let udp = BackendType(rawValue: "udp")
        public static let ipip = BackendType(rawValue: "ipip")
        public static let wireguard = BackendType(rawValue: "wireguard")
        public static let alloc = BackendType(rawValue: "alloc")
    }

    public var type: BackendType = .vxlan
    public var vni: Int = 1
    /// 0 leaves the choice to the kernel: 8472.
    public var port: Int = 0
    /// The underlay's MTU as flannel shall believe it; 0 takes the external interface's.
    public var mtu: Int = 0
    public var directRouting: Bool = false
    public var learning: Bool = false
    public var gbp: Bool = false
    /// Of wireguard: empty or `separate` has a device for each family.
    public var mode: String = ""
    public init(
        type: BackendType = .vxlan, vni: Int = 1, port: Int = 0, mtu: Int = 0, directRouting: Bool = false,
        learning: Bool = false, gbp: Bool = false, mode: String = ""
    ) {
        self.type = type
        self.vni = vni
        self.port = port
        self.mtu = mtu
        self.directRouting = directRouting
        self.learning = learning
        self.gbp = gbp
        self.mode = mode
    }
}

/// What the flannel CNI plugin passes on to the bridge plugin.
public struct FlannelDelegate: Hashable, Sendable {
    public var bridge: String = "cni0"
    public var hairpinMode: Bool = true
    public var isDefaultGateway: Bool = true
    public var isGateway: Bool = true
    public var promiscMode: Bool = false
    public var forceAddress: Bool = false
    /// Nil: not of FLANNEL_IPMASQ.
    public var ipMasq: Bool?
    /// Nil: FLANNEL_MTU.
    public var mtu: Int?
    public init(
        bridge: String = "cni0", hairpinMode: Bool = true, isDefaultGateway: Bool = true, isGateway: Bool = true,
        promiscMode: Bool = false, forceAddress: Bool = false, ipMasq: Bool? = nil, mtu: Int? = nil
    ) {
        self.bridge = bridge
        self.hairpinMode = hairpinMode
        self.isDefaultGateway = isDefaultGateway
        self.isGateway = isGateway
        self.promiscMode = promiscMode
        self.forceAddress = forceAddress
        self.ipMasq = ipMasq
        self.mtu = mtu
    }
}

public struct FlannelConfiguration: Hashable, Sendable {
    public var network: IPPrefix?
    public var ipv6Network: IPPrefix?
    public var enableIPv4: Bool = true
    public var enableIPv6: Bool = false
    public var enableNFTables: Bool = false
    public var backend: FlannelBackend = FlannelBackend()
    /// The conflist's name.
    public var cniName: String = "cbr0"
    public var delegate: FlannelDelegate = FlannelDelegate()
    /// The portmap plugin stands in the conflist.
    public var hasPortmap: Bool = true
    /// flanneld's `--ip-masq`.
    public var ipMasq: Bool = true
    /// flanneld's `--iptables-forward-rules`: it accepts in FORWARD what pods send and receive.
    public var forwardRules: Bool = true
    public var origin: ObjectOrigin?
    public init(
        network: IPPrefix? = nil, ipv6Network: IPPrefix? = nil, enableIPv4: Bool = true, enableIPv6: Bool = false,
        enableNFTables: Bool = false, backend: FlannelBackend = FlannelBackend(), cniName: String = "cbr0",
        delegate: FlannelDelegate = FlannelDelegate(), hasPortmap: Bool = true, ipMasq: Bool = true,
        origin: ObjectOrigin? = nil
    ) {
        self.network = network
        self.ipv6Network = ipv6Network
        self.enableIPv4 = enableIPv4
        self.enableIPv6 = enableIPv6
        self.enableNFTables = enableNFTables
        self.backend = backend
        self.cniName = cniName
        self.delegate = delegate
        self.hasPortmap = hasPortmap
        self.ipMasq = ipMasq
        self.origin = origin
    }

    /// The bridge plugin masquerades what leaves the node's pods, which flannel asks of it when flanneld does not.
    public var masqueradesByBridge: Bool { delegate.ipMasq ?? !ipMasq }

    public func network(_ family: AddressFamily) -> IPPrefix? { family == .ipv4 ? network : ipv6Network }
}
