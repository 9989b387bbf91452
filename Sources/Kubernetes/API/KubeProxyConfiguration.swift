// kube-proxy's configuration (kubeproxy.config.k8s.io/v1alpha1), every field that changes rules or sysctls, with the
// defaults of SetDefaults_KubeProxyConfiguration. Durations are nanoseconds.

public import Addressing

public enum ProxyMode: String, Hashable, Sendable, CaseIterable {
    case iptables
    case nftables
    case ipvs
}

/// How kube-proxy tells traffic of local pods from other traffic.
public enum DetectLocalMode: String, Hashable, Sendable, CaseIterable {
    case clusterCIDR = "ClusterCIDR"
    case nodeCIDR = "NodeCIDR"
    case bridgeInterface = "BridgeInterface"
    case interfaceNamePrefix = "InterfaceNamePrefix"
}

public struct KubeProxyConfiguration: Hashable, Sendable {
    public struct IPTables: Hashable, Sendable {
        public var masqueradeBit: Int = 14
        public var masqueradeAll: Bool = false
        public var localhostNodePorts: Bool = true
        public var syncPeriod: Int64 = 30_000_000_000
        public var minSyncPeriod: Int64 = 1_000_000_000
        public init(
            masqueradeBit: Int = 14, masqueradeAll: Bool = false, localhostNodePorts: Bool = true,
            syncPeriod: Int64 = 30_000_000_000, minSyncPeriod: Int64 = 1_000_000_000
        ) {
            self.masqueradeBit = masqueradeBit
            self.masqueradeAll = masqueradeAll
            self.localhostNodePorts = localhostNodePorts
            self.syncPeriod = syncPeriod
            self.minSyncPeriod = minSyncPeriod
        }
    }

    public struct NFTables: Hashable, Sendable {
        public var masqueradeBit: Int = 14
        public var masqueradeAll: Bool = false
        public var syncPeriod: Int64 = 30_000_000_000
        public var minSyncPeriod: Int64 = 1_000_000_000
        public init(
            masqueradeBit: Int = 14, masqueradeAll: Bool = false, syncPeriod: Int64 = 30_000_000_000,
            minSyncPeriod: Int64 = 1_000_000_000
        ) {
            self.masqueradeBit = masqueradeBit
            self.masqueradeAll = masqueradeAll
            self.syncPeriod = syncPeriod
            self.minSyncPeriod = minSyncPeriod
        }
    }

    public struct IPVS: Hashable, Sendable {
        /// The schedulers of the kernel.
        public static let schedulers = [
            "rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "sed", "nq", "mh", "twos",
        ]

        /// One of `schedulers`; empty means `rr`.
        public var scheduler: String = ""
        public var strictARP: Bool = false
        public var excludeCIDRs: [String] = []
        public var syncPeriod: Int64 = 30_000_000_000
        public var minSyncPeriod: Int64 = 0
        public var tcpTimeout: Int64 = 0
        public var tcpFinTimeout: Int64 = 0
        public var udpTimeout: Int64 = 0
        public init(
            scheduler: String = "", strictARP: Bool = false, excludeCIDRs: [String] = [],
            syncPeriod: Int64 = 30_000_000_000, minSyncPeriod: Int64 = 0, tcpTimeout: Int64 = 0,
            tcpFinTimeout: Int64 = 0, udpTimeout: Int64 = 0
        ) {
            self.scheduler = scheduler
            self.strictARP = strictARP
            self.excludeCIDRs = excludeCIDRs
            self.syncPeriod = syncPeriod
            self.minSyncPeriod = minSyncPeriod
            self.tcpTimeout = tcpTimeout
            self.tcpFinTimeout = tcpFinTimeout
            self.udpTimeout = udpTimeout
        }
    }

    public struct Conntrack: Hashable, Sendable {
        public var maxPerCore: Int = 32768
        public var min: Int = 131072
        public var tcpEstablishedTimeout: Int64 = 86_400_000_000_000
        public var tcpCloseWaitTimeout: Int64 = 3_600_000_000_000
        public var tcpBeLiberal: Bool = false
        /// 0 leaves the kernel's value alone.
        public var udpTimeout: Int64 = 0
        public var udpStreamTimeout: Int64 = 0
        public init(
            maxPerCore: Int = 32768, min: Int = 131072, tcpEstablishedTimeout: Int64 = 86_400_000_000_000,
            tcpCloseWaitTimeout: Int64 = 3_600_000_000_000, tcpBeLiberal: Bool = false, udpTimeout: Int64 = 0,
            udpStreamTimeout: Int64 = 0
        ) {
            self.maxPerCore = maxPerCore
            self.min = min
            self.tcpEstablishedTimeout = tcpEstablishedTimeout
            self.tcpCloseWaitTimeout = tcpCloseWaitTimeout
            self.tcpBeLiberal = tcpBeLiberal
            self.udpTimeout = udpTimeout
            self.udpStreamTimeout = udpStreamTimeout
        }
    }

    /// An empty mode in the file means iptables.
    public var mode: ProxyMode = .iptables
    /// `clusterCIDR`, a comma list in the file; the first of each family counts.
    public var clusterCIDRs: [IPPrefix] = []
    public var detectLocalMode: DetectLocalMode = .clusterCIDR
    /// `detectLocal.bridgeInterface` and `detectLocal.interfaceNamePrefix`.
    public var bridgeInterface: String = ""
    public var interfaceNamePrefix: String = ""
    /// CIDRs, or the one word `primary`. Empty is the mode's default: all, but `primary` for nftables.
    public var nodePortAddresses: [String] = []
    public var iptables: IPTables = IPTables()
    public var nftables: NFTables = NFTables()
    public var ipvs: IPVS = IPVS()
    public var conntrack: Conntrack = Conntrack()
    public var bindAddress: String = "0.0.0.0"
    public var healthzBindAddress: String = "0.0.0.0:10256"
    public var metricsBindAddress: String = "127.0.0.1:10249"
    public var hostnameOverride: String = ""
    public var configSyncPeriod: Int64 = 900_000_000_000
    public var featureGates: [String: Bool] = [:]
    public var origin: ObjectOrigin?
    public init(
        mode: ProxyMode = .iptables, clusterCIDRs: [IPPrefix] = [], detectLocalMode: DetectLocalMode = .clusterCIDR,
        bridgeInterface: String = "", interfaceNamePrefix: String = "", nodePortAddresses: [String] = [],
        iptables: IPTables = IPTables(), nftables: NFTables = NFTables(), ipvs: IPVS = IPVS(),
        conntrack: Conntrack = Conntrack(), bindAddress: String = "0.0.0.0",
        healthzBindAddress: String = "0.0.0.0:10256", metricsBindAddress: String = "127.0.0.1:10249",
        hostnameOverride: String = "", configSyncPeriod: Int64 = 900_000_000_000, featureGates: [String: Bool] = [:],
        origin: ObjectOrigin? = nil
    ) {
        self.mode = mode
        self.clusterCIDRs = clusterCIDRs
        self.detectLocalMode = detectLocalMode
        self.bridgeInterface = bridgeInterface
        self.interfaceNamePrefix = interfaceNamePrefix
        self.nodePortAddresses = nodePortAddresses
        self.iptables = iptables
        self.nftables = nftables
        self.ipvs = ipvs
        self.conntrack = conntrack
        self.bindAddress = bindAddress
        self.healthzBindAddress = healthzBindAddress
        self.metricsBindAddress = metricsBindAddress
        self.hostnameOverride = hostnameOverride
        self.configSyncPeriod = configSyncPeriod
        self.featureGates = featureGates
        self.origin = origin
    }

    public func clusterCIDR(_ family: AddressFamily) -> IPPrefix? { clusterCIDRs.first { $0.family == family } }
}
