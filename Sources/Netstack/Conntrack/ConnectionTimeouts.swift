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
    static let names: [(name: String, path: any WritableKeyPath<ConnectionTimeouts, Int> & Sendable)] = [
        ("generic_timeout", \.generic), ("icmp_timeout", \.icmp), ("icmpv6_timeout", \.icmpv6),
        ("sctp_timeout_closed", \.sctpClosed), ("sctp_timeout_cookie_echoed", \.sctpCookieEchoed),
        ("sctp_timeout_cookie_wait", \.sctpCookieWait), ("sctp_timeout_established", \.sctpEstablished),
        ("sctp_timeout_heartbeat_sent", \.sctpHeartbeatSent),
        ("sctp_timeout_shutdown_ack_sent", \.sctpShutdownAckSent),
        ("sctp_timeout_shutdown_recd", \.sctpShutdownReceived), ("sctp_timeout_shutdown_sent", \.sctpShutdownSent),
        ("tcp_timeout_close", \.tcpClose), ("tcp_timeout_close_wait", \.tcpCloseWait),
        ("tcp_timeout_established", \.tcpEstablished), ("tcp_timeout_fin_wait", \.tcpFinWait),
        ("tcp_timeout_last_ack", \.tcpLastAck), ("tcp_timeout_max_retrans", \.tcpRetransmitted),
        ("tcp_timeout_syn_recv", \.tcpSynReceived), ("tcp_timeout_syn_sent", \.tcpSynSent),
        ("tcp_timeout_time_wait", \.tcpTimeWait), ("tcp_timeout_unacknowledged", \.tcpUnacknowledged),
        ("udp_timeout", \.udp), ("udp_timeout_stream", \.udpStream),
    ]
}
