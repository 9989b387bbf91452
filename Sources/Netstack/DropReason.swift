// Why a packet ended where it should not: the kernel's own words (include/net/dropreason-core.h, without the
// SKB_DROP_REASON_ prefix), so that a person who has seen them in `dropwatch` or perf knows them at once.

/// The closed vocabulary of endings that are no delivery.
public enum DropReason: String, Hashable, Sendable, CaseIterable, BitwiseCopyable {
    /// No socket listens on the port or holds the connection.
    case noSocket = "NO_SOCKET"
    /// A rule or a chain policy said DROP, or REJECT, which also answers.
    case netfilterDrop = "NETFILTER_DROP"
    /// The frame's destination is another machine's address.
    case otherHost = "OTHERHOST"
    /// A header is too short, has a bad length or version, or its TTL ran out while forwarding.
    case ipHeader = "IP_INHDR"
    case ipChecksum = "IP_CSUM"
    /// Reverse path filter.
    case reversePathFilter = "IP_RPFILTER"
    /// The source is one of the receiver's own addresses.
    case localSource = "IP_LOCAL_SOURCE"
    case invalidSource = "IP_INVALID_SOURCE"
    case invalidDestination = "IP_INVALID_DEST"
    /// A loopback address came from outside and route_localnet is off.
    case localnet = "IP_LOCALNET"
    /// No route for a packet to be forwarded.
    case noInputRoute = "IP_INNOROUTES"
    /// No route for a packet made here.
    case noOutputRoute = "IP_OUTNOROUTES"
    /// Larger than the MTU and not to be fragmented.
    case packetTooBig = "PKT_TOO_BIG"
    /// The neighbor did not answer.
    case neighborFailed = "NEIGH_FAILED"
    /// Too many packets wait for the neighbor.
    case neighborQueueFull = "NEIGH_QUEUEFULL"
    /// The link is down.
    case deviceNotReady = "DEV_READY"
    case tcpChecksum = "TCP_CSUM"
    case udpChecksum = "UDP_CSUM"
    case icmpChecksum = "ICMP_CSUM"
    /// The socket ignores the segment (wrong state or sequence).
    case tcpInvalidSequence = "TCP_INVALID_SEQUENCE"
    case unhandledProtocol = "UNHANDLED_PROTO"
    /// The bridge has no port for the frame.
    case bridgeNoEgressPort = "BRIDGE_NO_EGRESS_PORT"
    /// The frame's source address is the bridge's own.
    case macInvalidSource = "MAC_INVALID_SOURCE"
    case vxlanInvalidHeader = "VXLAN_INVALID_HDR"
    case vxlanNotFound = "VXLAN_VNI_NOT_FOUND"
    /// No forwarding entry says which peer holds the inner destination.
    case vxlanNoRemote = "VXLAN_NO_REMOTE"
    /// The VXLAN device's own route leads back into itself.
    case vxlanLoop = "RECURSION_LIMIT"
    /// The connection table is full.
    case connectionTableFull = "CONNTRACK_TABLE_FULL"
    /// A queue lost it, or had no room (netem).
    case queueDrop = "QDISC_DROP"
    /// A filter on the link (tc) dropped what came in.
    case ingressFilter = "TC_INGRESS"
    /// A filter on the link (tc) dropped what was to leave.
    case egressFilter = "TC_EGRESS"
    /// Lost on the underlay: loss, partition, or a port nobody is behind.
    case underlay = "UNDERLAY"
    /// Forwarding is off (`net.ipv4.ip_forward` 0).
    case forwardingDisabled = "IP_FORWARDING_DISABLED"
    /// A fragment whose siblings never came, or an overlap.
    case fragmentReassembly = "FRAG_REASM_TIMEOUT"

    /// One sentence for a person.
    public var explanation: String {
        switch self {
        case .noSocket: "nothing listens there"
        case .netfilterDrop: "a netfilter rule dropped it"
        case .otherHost: "the frame is addressed to another machine"
        case .ipHeader: "the IP header is bad or the TTL ran out"
        case .ipChecksum: "the IP header checksum is wrong"
        case .reversePathFilter: "the reverse path filter (rp_filter) does not expect this source here"
        case .localSource: "its source is one of the receiver's own addresses"
        case .invalidSource: "its source address cannot be a sender (martian)"
        case .invalidDestination: "its destination address cannot be a receiver (martian)"
        case .localnet: "a loopback address came from outside and route_localnet is off"
        case .noInputRoute: "no route leads to the destination"
        case .noOutputRoute: "no route leads to the destination"
        case .packetTooBig: "it is larger than the MTU and must not be fragmented"
        case .neighborFailed: "the next hop did not answer ARP"
        case .neighborQueueFull: "too many packets wait for ARP"
        case .deviceNotReady: "the link is down"
        case .tcpChecksum: "the TCP checksum is wrong"
        case .udpChecksum: "the UDP checksum is wrong"
        case .icmpChecksum: "the ICMP checksum is wrong"
        case .tcpInvalidSequence: "the connection does not expect this segment"
        case .unhandledProtocol: "no protocol handler"
        case .bridgeNoEgressPort: "the bridge has no port to send it to"
        case .macInvalidSource: "its source MAC is the bridge's own"
        case .vxlanInvalidHeader: "the VXLAN header is not valid"
        case .vxlanNotFound: "no VXLAN device has that VNI"
        case .vxlanNoRemote: "no forwarding entry names the peer behind the inner MAC"
        case .vxlanLoop: "the route to the VXLAN peer leads into the tunnel itself"
        case .connectionTableFull: "the connection tracking table is full"
        case .queueDrop: "the link's queue lost it"
        case .ingressFilter: "a filter on the link dropped it on the way in"
        case .egressFilter: "a filter on the link dropped it on the way out"
        case .underlay: "it was lost on the underlay"
        case .forwardingDisabled: "forwarding is off (ip_forward 0)"
        case .fragmentReassembly: "its fragments could not be put together"
        }
    }
}
