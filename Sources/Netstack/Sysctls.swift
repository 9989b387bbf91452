// The kernel settings the path reads, by their sysctl names. Defaults are those of a node after kubelet and kube-proxy
// have run (ip_forward, bridge-nf-call-iptables, route_localnet) and of the kernel otherwise.

/// Settings of one network namespace.
public struct Sysctls: Sendable, Hashable {
    /// net.ipv4.ip_forward
    public var ipForward = false
    /// net.ipv6.conf.all.forwarding
    public var ipv6Forward = false
    /// net.bridge.bridge-nf-call-iptables
    public var bridgeCallsIPTables = false
    /// net.bridge.bridge-nf-call-ip6tables
    public var bridgeCallsIP6Tables = false
    /// net.ipv4.conf.all.rp_filter: 0 off, 1 strict, 2 loose.
    public var reversePathFilter = 0
    /// net.ipv4.conf.all.route_localnet
    public var routeLocalnet = false
    /// net.ipv4.conf.all.accept_local
    public var acceptLocal = false
    /// net.ipv4.conf.all.accept_redirects: on a router; a host believes them.
    public var acceptRedirects = false
    /// net.ipv4.conf.all.send_redirects
    public var sendRedirects = true
    /// net.ipv4.ip_default_ttl
    public var defaultTimeToLive = 64
    /// net.ipv6.conf.all.hop_limit
    public var defaultHopLimit = 64
    /// net.ipv4.tcp_syn_retries
    public var tcpSynRetries = 6
    /// net.ipv4.tcp_syn_linear_timeouts
    public var tcpSynLinearTimeouts = 4
    /// net.ipv4.tcp_retries2
    public var tcpRetries2 = 15
    /// net.ipv4.tcp_rmem
    public var tcpReceiveMemory = TCPReceiveMemory(minimum: 4096, initial: 131_072, maximum: 33_554_432)
    /// net.ipv4.tcp_keepalive_time, in seconds
    public var tcpKeepaliveTime = 7200
    /// net.ipv4.tcp_keepalive_intvl, in seconds
    public var tcpKeepaliveInterval = 75
    /// net.ipv4.tcp_keepalive_probes
    public var tcpKeepaliveProbes = 9
    /// net.ipv4.ip_local_port_range
    public var localPortRange: ClosedRange<UInt16> = 32768...60999
    /// net.netfilter.nf_conntrack_max
    public var connectionTrackingMax = 262_144
    /// net.netfilter.nf_conntrack_tcp_be_liberal
    public var connectionTrackingIsLiberal = false
    /// net.netfilter.nf_conntrack_tcp_loose: connections are picked up in the middle.
    public var connectionTrackingIsLoose = true
    /// net.netfilter.nf_conntrack_tcp_ignore_invalid_rst
    public var connectionTrackingIgnoresInvalidReset = false
    /// net.netfilter.nf_conntrack_tcp_max_retrans
    public var connectionTrackingMaxRetransmissions = 3
    /// net.netfilter.nf_conntrack_*_timeout*
    public var connectionTimeouts = ConnectionTimeouts()
    /// net.ipv4.icmp_echo_ignore_all
    public var ignoresEcho = false
    /// net.ipv4.conf.all.arp_ignore: 0 answers for every own address, 1 for those of the link asked on, 2 only to its
    /// subnet.
    public var arpIgnore = 0
    /// net.ipv4.conf.all.arp_announce: which own address asks. 0 the packet's source, 1 if it is in the target's
    /// subnet, 2 always the link's best.
    public var arpAnnounce = 0
    /// net.ipv4.vs.conntrack
    public var virtualServersUseTracking = false
    /// net.ipv4.vs.conn_reuse_mode
    public var virtualServersReuseMode = 1
    /// net.ipv4.vs.expire_nodest_conn
    public var virtualServersExpireWithoutServer = false
    /// net.ipv4.vs.expire_quiescent_template
    public var virtualServersExpireQuietTemplates = false

    public init() {}
}
