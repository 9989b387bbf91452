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

    /// Sets one by its name; false when podnet does not model it, nil when the value is not a number in its range.
    /// Of the settings an interface can have, only `all` is modelled.
    public mutating func set(_ name: String, to text: String) -> Bool? {
        guard let number = Int(text) else {
            return Sysctls.names.contains(name) ? nil : false
        }
        func flag(_ path: WritableKeyPath<Sysctls, Bool>) -> Bool? {
            guard number == 0 || number == 1 else { return nil }
            self[keyPath: path] = number == 1
            return true
        }
        func count(_ path: WritableKeyPath<Sysctls, Int>, _ range: ClosedRange<Int>) -> Bool? {
            guard range.contains(number) else { return nil }
            self[keyPath: path] = number
            return true
        }
        switch name {
        case "net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding": return flag(\.ipForward)
        case "net.ipv6.conf.all.forwarding": return flag(\.ipv6Forward)
        case "net.bridge.bridge-nf-call-iptables": return flag(\.bridgeCallsIPTables)
        case "net.bridge.bridge-nf-call-ip6tables": return flag(\.bridgeCallsIP6Tables)
        case "net.ipv4.conf.all.rp_filter": return count(\.reversePathFilter, 0...2)
        case "net.ipv4.conf.all.route_localnet": return flag(\.routeLocalnet)
        case "net.ipv4.conf.all.accept_local": return flag(\.acceptLocal)
        case "net.ipv4.conf.all.accept_redirects": return flag(\.acceptRedirects)
        case "net.ipv4.conf.all.send_redirects": return flag(\.sendRedirects)
        case "net.ipv4.ip_default_ttl": return count(\.defaultTimeToLive, 1...255)
        case "net.ipv6.conf.all.hop_limit": return count(\.defaultHopLimit, 1...255)
        case "net.ipv4.tcp_syn_retries": return count(\.tcpSynRetries, 1...127)
        case "net.ipv4.tcp_syn_linear_timeouts": return count(\.tcpSynLinearTimeouts, 0...127)
        case "net.ipv4.tcp_retries2": return count(\.tcpRetries2, 0...255)
        case "net.netfilter.nf_conntrack_max": return count(\.connectionTrackingMax, 0...Int(Int32.max))
        case "net.netfilter.nf_conntrack_tcp_be_liberal": return flag(\.connectionTrackingIsLiberal)
        case "net.netfilter.nf_conntrack_tcp_loose": return flag(\.connectionTrackingIsLoose)
        case "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst":
            return flag(\.connectionTrackingIgnoresInvalidReset)
        case "net.netfilter.nf_conntrack_tcp_max_retrans":
            return count(\.connectionTrackingMaxRetransmissions, 0...255)
        case "net.ipv4.icmp_echo_ignore_all": return flag(\.ignoresEcho)
        case "net.ipv4.conf.all.arp_ignore": return count(\.arpIgnore, 0...2)
        case "net.ipv4.conf.all.arp_announce": return count(\.arpAnnounce, 0...2)
        case "net.ipv4.vs.conntrack": return flag(\.virtualServersUseTracking)
        case "net.ipv4.vs.conn_reuse_mode": return count(\.virtualServersReuseMode, 0...1)
        case "net.ipv4.vs.expire_nodest_conn": return flag(\.virtualServersExpireWithoutServer)
        case "net.ipv4.vs.expire_quiescent_template": return flag(\.virtualServersExpireQuietTemplates)
        default:
            let timeout = ConnectionTimeouts.names.first { Sysctls.trackingPrefix + $0.name == name }
            guard let timeout else { return false }
            guard (0...Int(Int32.max)).contains(number) else { return nil }
            connectionTimeouts[keyPath: timeout.path] = number
            return true
        }
    }

    private static let trackingPrefix = "net.netfilter.nf_conntrack_"

    /// The names `set` knows.
    public static let names =
        [
            "net.bridge.bridge-nf-call-ip6tables", "net.bridge.bridge-nf-call-iptables",
            "net.ipv4.conf.all.accept_local", "net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.all.arp_announce",
            "net.ipv4.conf.all.arp_ignore",
            "net.ipv4.conf.all.forwarding", "net.ipv4.conf.all.route_localnet",
            "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.all.send_redirects", "net.ipv4.icmp_echo_ignore_all",
            "net.ipv4.ip_default_ttl", "net.ipv4.ip_forward", "net.ipv4.tcp_retries2",
            "net.ipv4.tcp_syn_linear_timeouts", "net.ipv4.tcp_syn_retries", "net.ipv4.vs.conn_reuse_mode",
            "net.ipv4.vs.conntrack", "net.ipv4.vs.expire_nodest_conn", "net.ipv4.vs.expire_quiescent_template",
            "net.ipv6.conf.all.forwarding",
            "net.ipv6.conf.all.hop_limit", "net.netfilter.nf_conntrack_max",
            "net.netfilter.nf_conntrack_tcp_be_liberal", "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst",
            "net.netfilter.nf_conntrack_tcp_loose", "net.netfilter.nf_conntrack_tcp_max_retrans",
        ] + ConnectionTimeouts.names.map { trackingPrefix + $0.name }
}
