// The kernel settings podnet models with the values they have, as `sysctl -a` would list them; `Sysctls.set` is the way
// back.

extension Sysctls {
    /// Name and value of every setting `set` knows, in order of names.
    public var listing: [(name: String, value: Int)] {
        Self.names.sorted().map { ($0, value(of: $0)) }
    }

    private func value(of name: String) -> Int {
        func number(_ flag: Bool) -> Int { flag ? 1 : 0 }
        switch name {
        case "net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding": return number(ipForward)
        case "net.ipv6.conf.all.forwarding": return number(ipv6Forward)
        case "net.bridge.bridge-nf-call-iptables": return number(bridgeCallsIPTables)
        case "net.bridge.bridge-nf-call-ip6tables": return number(bridgeCallsIP6Tables)
        case "net.ipv4.conf.all.rp_filter": return reversePathFilter
        case "net.ipv4.conf.all.route_localnet": return number(routeLocalnet)
        case "net.ipv4.conf.all.accept_local": return number(acceptLocal)
        case "net.ipv4.conf.all.send_redirects": return number(sendRedirects)
        case "net.ipv4.conf.all.accept_redirects": return number(acceptRedirects)
        case "net.ipv4.ip_default_ttl": return defaultTimeToLive
        case "net.ipv6.conf.all.hop_limit": return defaultHopLimit
        case "net.ipv4.tcp_syn_retries": return tcpSynRetries
        case "net.ipv4.tcp_syn_linear_timeouts": return tcpSynLinearTimeouts
        case "net.ipv4.tcp_retries2": return tcpRetries2
        case "net.netfilter.nf_conntrack_max": return connectionTrackingMax
        case "net.netfilter.nf_conntrack_tcp_be_liberal": return number(connectionTrackingIsLiberal)
        case "net.netfilter.nf_conntrack_tcp_loose": return number(connectionTrackingIsLoose)
        case "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst": return number(connectionTrackingIgnoresInvalidReset)
        case "net.netfilter.nf_conntrack_tcp_max_retrans": return connectionTrackingMaxRetransmissions
        case "net.ipv4.icmp_echo_ignore_all": return number(ignoresEcho)
        case "net.ipv4.conf.all.arp_ignore": return arpIgnore
        case "net.ipv4.conf.all.arp_announce": return arpAnnounce
        case "net.ipv4.vs.conntrack": return number(virtualServersUseTracking)
        case "net.ipv4.vs.conn_reuse_mode": return virtualServersReuseMode
        case "net.ipv4.vs.expire_nodest_conn": return number(virtualServersExpireWithoutServer)
        case "net.ipv4.vs.expire_quiescent_template": return number(virtualServersExpireQuietTemplates)
        default:
            let timeout = ConnectionTimeouts.names.first { "net.netfilter.nf_conntrack_" + $0.name == name }
            guard let timeout else { preconditionFailure("\(name) is set but not listed") }
            return connectionTimeouts[keyPath: timeout.path]
        }
    }
}
