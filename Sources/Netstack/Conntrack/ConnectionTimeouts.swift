// How long connection tracking remembers what it has seen: the sysctls net.netfilter.nf_conntrack_*_timeout_*, in
// seconds, with the kernel's defaults (the tables of net/netfilter/nf_conntrack_proto_*.c).

/// The timeouts of one namespace, in seconds.
public struct ConnectionTimeouts: Sendable, Hashable {
    public var tcpSynSent = 120
    public var tcpSynReceived = 60
    public var tcpEstablished = 432_000
    public var tcpFinWait = 120
    public var tcpCloseWait = 60
    public var tcpLastAck = 30
    public var tcpTimeWait = 120
    public var tcpClose = 10
    /// After the same segment has come three times.
    public var tcpRetransmitted = 300
    /// While data waits for its acknowledgment.
    public var tcpUnacknowledged = 300
    public var udp = 30
    public var udpStream = 120
    public var icmp = 30
    public var icmpv6 = 30
    public var generic = 600
    public var sctpClosed = 10
    public var sctpCookieWait = 3
    public var sctpCookieEchoed = 3
    public var sctpEstablished = 210
    public var sctpShutdownSent = 3
    public var sctpShutdownReceived = 3
    public var sctpShutdownAckSent = 3
    public var sctpHeartbeatSent = 30

    public init() {}

    func tcp(_ state: TCPTrackingState) -> Int {
        switch state {
        case .none, .synSent, .synSent2: tcpSynSent
        case .synReceived: tcpSynReceived
        case .established: tcpEstablished
        case .finWait: tcpFinWait
        case .closeWait: tcpCloseWait
        case .lastAck: tcpLastAck
        case .timeWait: tcpTimeWait
        case .close: tcpClose
        }
    }

    func sctp(_ state: SCTPTrackingState) -> Int {
        switch state {
        case .none, .closed: sctpClosed
        case .cookieWait: sctpCookieWait
        case .cookieEchoed: sctpCookieEchoed
        case .established: sctpEstablished
        case .shutdownSent: sctpShutdownSent
        case .shutdownReceived: sctpShutdownReceived
        case .shutdownAckSent: sctpShutdownAckSent
        case .heartbeatSent: sctpHeartbeatSent
        }
    }

    /// The sysctl of each, without `net.netfilter.nf_conntrack_`.
    static let names: [(name: String, path: any WritableKeyPath<Sysctls, Int> & Sendable)] = [
        ("generic_timeout", \.connectionTimeouts.generic), ("icmp_timeout", \.connectionTimeouts.icmp),
        ("icmpv6_timeout", \.connectionTimeouts.icmpv6),
        ("sctp_timeout_closed", \.connectionTimeouts.sctpClosed),
        ("sctp_timeout_cookie_echoed", \.connectionTimeouts.sctpCookieEchoed),
        ("sctp_timeout_cookie_wait", \.connectionTimeouts.sctpCookieWait),
        ("sctp_timeout_established", \.connectionTimeouts.sctpEstablished),
        ("sctp_timeout_heartbeat_sent", \.connectionTimeouts.sctpHeartbeatSent),
        ("sctp_timeout_shutdown_ack_sent", \.connectionTimeouts.sctpShutdownAckSent),
        ("sctp_timeout_shutdown_recd", \.connectionTimeouts.sctpShutdownReceived),
        ("sctp_timeout_shutdown_sent", \.connectionTimeouts.sctpShutdownSent),
        ("tcp_timeout_close", \.connectionTimeouts.tcpClose),
        ("tcp_timeout_close_wait", \.connectionTimeouts.tcpCloseWait),
        ("tcp_timeout_established", \.connectionTimeouts.tcpEstablished),
        ("tcp_timeout_fin_wait", \.connectionTimeouts.tcpFinWait),
        ("tcp_timeout_last_ack", \.connectionTimeouts.tcpLastAck),
        ("tcp_timeout_max_retrans", \.connectionTimeouts.tcpRetransmitted),
        ("tcp_timeout_syn_recv", \.connectionTimeouts.tcpSynReceived),
        ("tcp_timeout_syn_sent", \.connectionTimeouts.tcpSynSent),
        ("tcp_timeout_time_wait", \.connectionTimeouts.tcpTimeWait),
        ("tcp_timeout_unacknowledged", \.connectionTimeouts.tcpUnacknowledged),
        ("udp_timeout", \.connectionTimeouts.udp), ("udp_timeout_stream", \.connectionTimeouts.udpStream),
    ]
}
