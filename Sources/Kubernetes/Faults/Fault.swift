// What can be wrong with a network, on purpose: `kind: Fault` and `kind: Scenario` of podnet.dev/v1alpha1, and the same
// as one line of text, `worker-1/eth0 loss 10% delay 100ms 10ms`. Impairments have the words and values of tc-netem(8).

public import Addressing

/// One fault: where it is, and what is wrong there.
public struct Fault: KubernetesObject {
    public static let kind = "Fault"
    public static let isNamespaced = false
    public var metadata: ObjectMeta
    /// Links (`worker-1/eth0`), machines and pods, or `underlay`.
    public var places: [String]
    public let effects: [FaultEffect]
    /// The effects as they were written.
    public let clauses: [FaultClause]

    init(metadata: ObjectMeta, places: [String], effects: [FaultEffect], clauses: [FaultClause]) {
        self.metadata = metadata
        self.places = places
        self.effects = effects
        self.clauses = clauses
    }

    public var name: String { metadata.name }

    /// The fault as one line.
    public var text: String {
        ([places.joined(separator: ",")] + clauses.map(\.description)).joined(separator: " ")
    }

    /// The place that stands for every cable between machines.
    public static let underlay = "underlay"
    /// The device name that stands for the node's end of a pod's veth pair.
    public static let hostEnd = "veth"
}

/// What is wrong.
public enum FaultEffect: Hashable, Sendable {
    /// What a link sends passes a queue that loses, delays, repeats and spoils (sch_netem).
    case netem(NetemSettings)
    /// `ip link set DEVICE down`.
    case linkDown
    /// `ip link set DEVICE mtu N`; of a pod or a node, what the CNI plugin gave its pods.
    case mtu(Int)
    /// `bridge link set dev PORT hairpin off`.
    case hairpinOff
    /// Eats what is selected: what a link sends, what it receives, or both.
    case filter(TrafficSelector, FilterDirection)
    /// What a link sends leaves with a transport checksum nobody filled in.
    case badChecksum(TrafficSelector)
    /// Nothing passes between the machines it is on and these; none stands for all others.
    case partition(from: [String])
    /// `sysctl net.bridge.bridge-nf-call-iptables=0`, and the same for IPv6.
    case bridgeNetfilterOff
    /// `iptables -P CHAIN DROP`.
    case policyDrop(chain: String)
    /// The node believes that a peer's VXLAN device has another address; nil for one drawn from the seed.
    case wrongVTEPMAC(peer: String, MACAddress?)
    /// The node's forwarding entry for a peer leads to this address.
    case staleForwardingEntry(peer: String, IPv4Address)
    /// The route to a prefix leads to this next hop.
    case staleRoute(IPPrefix, via: IPAddress, device: String?)
    /// The node's lease announces the address of another.
    case duplicatePublicIP(of: String)
}

/// Which way a filter looks.
public enum FilterDirection: String, Hashable, Sendable, CaseIterable {
    case both
    case ingress = "in"
    case egress = "out"
}

/// A chance between 0 and 1 as the kernel keeps it, in parts of 2^32 - 1, and how much of a draw is the one before.
public struct NetemChance: Hashable, Sendable, BitwiseCopyable {
    public var share: UInt32
    public var correlation: UInt32

    public init(share: UInt32 = 0, correlation: UInt32 = 0) {
        self.share = share
        self.correlation = correlation
    }
}

/// What `tc qdisc add dev DEVICE root netem …` sets.
public struct NetemSettings: Hashable, Sendable {
    public var delay: Int64 = 0
    public var jitter: Int64 = 0
    public var delayCorrelation: UInt32 = 0
    public var loss = NetemChance()
    public var duplicate = NetemChance()
    public var corrupt = NetemChance()
    public var reorder = NetemChance()
    /// Only every so manieth packet may overtake; 0 when nothing does.
    public var gap: UInt32 = 0
    /// Octets a second; 0 for no limit.
    public var rate: Int64 = 0
    /// Packets that may wait.
    public var limit = 1000

    public init() {}
}

/// Faults that come and go.
public struct Scenario: KubernetesObject {
    public static let kind = "Scenario"
    public static let isNamespaced = false
    public var metadata: ObjectMeta
    public var events: [ScenarioEvent]

    public init(metadata: ObjectMeta, events: [ScenarioEvent]) {
        self.metadata = metadata
        self.events = events
    }
}

/// Something that happens at an instant.
public struct ScenarioEvent: Hashable, Sendable {
    public enum Action: Hashable, Sendable {
        case fault(Fault)
        /// The fault of that name is over.
        case heal(String)
    }

    /// Nanoseconds after the beginning of virtual time.
    public var at: Int64
    public var action: Action

    public init(at: Int64, action: Action) {
        self.at = at
        self.action = action
    }
}
