// The kernel settings podnet models, by the names sysctl(8) knows them by: one table for setting and for listing them.
// Of the settings an interface can have, `all` stands here.

/// What a setting can be.
private enum SysctlKind: Sendable {
    case flag(any WritableKeyPath<Sysctls, Bool> & Sendable)
    case number(any WritableKeyPath<Sysctls, Int> & Sendable, ClosedRange<Int>)
    case receiveMemory
}

extension Sysctls {
    private static let seconds = 1...32_767
    private static let counts = 0...Int(Int32.max)

    private static let table: [(name: String, kind: SysctlKind)] =
        [
            ("net.bridge.bridge-nf-call-ip6tables", .flag(\.bridgeCallsIP6Tables)),
            ("net.bridge.bridge-nf-call-iptables", .flag(\.bridgeCallsIPTables)),
            ("net.ipv4.conf.all.accept_local", .flag(\.acceptLocal)),
            ("net.ipv4.conf.all.accept_redirects", .flag(\.acceptRedirects)),
            ("net.ipv4.conf.all.arp_announce", .number(\.arpAnnounce, 0...2)),
            ("net.ipv4.conf.all.arp_ignore", .number(\.arpIgnore, 0...2)),
            ("net.ipv4.conf.all.forwarding", .flag(\.ipForward)),
            ("net.ipv4.conf.all.route_localnet", .flag(\.routeLocalnet)),
            ("net.ipv4.conf.all.rp_filter", .number(\.reversePathFilter, 0...2)),
            ("net.ipv4.conf.all.send_redirects", .flag(\.sendRedirects)),
            ("net.ipv4.icmp_echo_ignore_all", .flag(\.ignoresEcho)),
            ("net.ipv4.ip_default_ttl", .number(\.defaultTimeToLive, 1...255)),
            ("net.ipv4.ip_forward", .flag(\.ipForward)),
            ("net.ipv4.tcp_keepalive_intvl", .number(\.tcpKeepaliveInterval, seconds)),
            ("net.ipv4.tcp_keepalive_probes", .number(\.tcpKeepaliveProbes, 1...127)),
            ("net.ipv4.tcp_keepalive_time", .number(\.tcpKeepaliveTime, seconds)),
            ("net.ipv4.tcp_retries2", .number(\.tcpRetries2, 0...255)),
            ("net.ipv4.tcp_rmem", .receiveMemory),
            ("net.ipv4.tcp_syn_linear_timeouts", .number(\.tcpSynLinearTimeouts, 0...127)),
            ("net.ipv4.tcp_syn_retries", .number(\.tcpSynRetries, 1...127)),
            ("net.ipv4.vs.conn_reuse_mode", .number(\.virtualServersReuseMode, 0...1)),
            ("net.ipv4.vs.conntrack", .flag(\.virtualServersUseTracking)),
            ("net.ipv4.vs.expire_nodest_conn", .flag(\.virtualServersExpireWithoutServer)),
            ("net.ipv4.vs.expire_quiescent_template", .flag(\.virtualServersExpireQuietTemplates)),
            ("net.ipv6.conf.all.forwarding", .flag(\.ipv6Forward)),
            ("net.ipv6.conf.all.hop_limit", .number(\.defaultHopLimit, 1...255)),
            ("net.netfilter.nf_conntrack_max", .number(\.connectionTrackingMax, counts)),
            ("net.netfilter.nf_conntrack_tcp_be_liberal", .flag(\.connectionTrackingIsLiberal)),
            (
                "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst",
                .flag(\.connectionTrackingIgnoresInvalidReset)
            ),
            ("net.netfilter.nf_conntrack_tcp_loose", .flag(\.connectionTrackingIsLoose)),
            (
                "net.netfilter.nf_conntrack_tcp_max_retrans",
                .number(\.connectionTrackingMaxRetransmissions, 0...255)
            ),
        ]
        + ConnectionTimeouts.names.map { timeout in
            (
                "net.netfilter.nf_conntrack_" + timeout.name,
                .number(timeout.path, counts)
            )
        }

    /// The names podnet knows, in order.
    public static let names = table.map(\.name)

    /// Sets one by its name; false when podnet does not model it, nil when it cannot have that value.
    public mutating func set(_ name: String, to text: String) -> Bool? {
        guard let kind = Self.table.first(where: { $0.name == name })?.kind else { return false }
        switch kind {
        case .flag(let path):
            guard let number = Int(text), number == 0 || number == 1 else { return nil }
            self[keyPath: path] = number == 1
        case .number(let path, let range):
            guard let number = Int(text), range.contains(number) else { return nil }
            self[keyPath: path] = number
        case .receiveMemory:
            let sizes = text.split(whereSeparator: { $0 == " " || $0 == "\t" }).compactMap { Int($0) }
            guard sizes.count == 3, sizes.allSatisfy({ (256...Int(Int32.max)).contains($0) }) else { return nil }
            tcpReceiveMemory = TCPReceiveMemory(minimum: sizes[0], initial: sizes[1], maximum: sizes[2])
        }
        return true
    }

    /// Name and value of every setting, as `sysctl -a` would list them.
    public var listing: [(name: String, value: String)] {
        Self.table.map { name, kind in
            switch kind {
            case .flag(let path): (name, self[keyPath: path] ? "1" : "0")
            case .number(let path, _): (name, String(self[keyPath: path]))
            case .receiveMemory:
                (name, "\(tcpReceiveMemory.minimum) \(tcpReceiveMemory.initial) \(tcpReceiveMemory.maximum)")
            }
        }
    }
}
