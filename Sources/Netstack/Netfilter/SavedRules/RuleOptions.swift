// The options iptables 1.8.9 knows, module by module and target by target, and one rule's use of them. What stands here
// decides which words are an error, which are evaluated, and which are only kept. Mirrors the option tables of
// iptables/extensions/libxt_*.c, libipt_*.c and libip6t_*.c.

internal import Addressing

/// An option of a module: how it is written and whether it may be negated.
struct RuleOption {
    var name: String
    var valueCount: Int
    var mayBeNegated: Bool
    var isEvaluated: Bool

    /// From `!--name|--alias/COUNT`: an exclamation mark may stand before it, a tilde means that podnet does not
    /// evaluate it, and one value follows unless a count says otherwise.
    fileprivate static func table(_ text: String) -> [String: RuleOption] {
        var result: [String: RuleOption] = [:]
        for word in text.split(separator: " ") {
            let marks = word.prefix { $0 == "!" || $0 == "~" }
            let parts = word.dropFirst(marks.count).split(separator: "/")
            let names = parts[0].split(separator: "|").map(String.init)
            let option = RuleOption(
                name: names[0], valueCount: parts.count > 1 ? Int(parts[1]) ?? 1 : 1,
                mayBeNegated: marks.contains("!"), isEvaluated: !marks.contains("~"))
            for name in names { result[name] = option }
        }
        return result
    }
}

/// What iptables knows.
enum RuleVocabulary {
    private static let ports = "!--sport|--source-port !--dport|--destination-port"

    /// Modules podnet evaluates, with their options.
    static func matchOptions(_ module: String, _ family: AddressFamily) -> [String: RuleOption]? {
        matches[module] ?? (family == .ipv4 ? matchesIPv4 : matchesIPv6)[module]
    }

    /// Targets podnet carries out, with their options.
    static func targetOptions(_ name: String, _ family: AddressFamily) -> [String: RuleOption]? {
        targets[name] ?? (family == .ipv4 ? targetsIPv4 : targetsIPv6)[name]
    }

    private static let matches = [
        "comment": "--comment",
        "tcp": "\(ports) !--tcp-option !--tcp-flags/2 !--syn/0",
        "udp": ports,
        "sctp": "\(ports) !~--chunk-types/2",
        "dccp": "\(ports) !~--dccp-types !~--dccp-option",
        "multiport": "!--sports|--source-ports !--dports|--destination-ports !--ports",
        "conntrack": """
        !--ctstate !--ctproto !--ctorigsrc !--ctorigdst !--ctreplsrc !--ctrepldst !--ctorigsrcport !--ctorigdstport \
        !--ctreplsrcport !--ctrepldstport !--ctstatus !--ctexpire --ctdir
        """,
        "state": "!--state",
        "mark": "!--mark",
        "connmark": "!--mark",
        "addrtype": "!--src-type !--dst-type --limit-iface-in/0 --limit-iface-out/0",
        "statistic": "--mode !--probability !--every --packet",
        "recent": """
        !--set/0 !--rcheck/0 !--update/0 !--remove/0 --seconds --reap/0 --hitcount --rttl/0 --name --mask \
        --rsource/0 --rdest/0
        """,
        "limit": "--limit --limit-burst",
        "set": """
        !--match-set|--set/2 ~--return-nomatch/0 !~--update-counters/0 !~--update-subcounters/0 !~--packets-eq \
        ~--packets-lt ~--packets-gt !~--bytes-eq ~--bytes-lt ~--bytes-gt
        """,
        "physdev": """
        !--physdev-in !--physdev-out !--physdev-is-in/0 !--physdev-is-out/0 !--physdev-is-bridged/0
        """,
        "iprange": "!--src-range !--dst-range",
        "owner": "!--socket-exists/0 !--uid-owner !--gid-owner --suppl-groups/0",
        "length": "!--length",
        "dscp": "!--dscp !--dscp-class",
        "tos": "!--tos",
        "mac": "!--mac-source",
        "pkttype": "!--pkt-type",
        "rpfilter": "--loose/0 --validmark/0 --accept-local/0 --invert/0",
        "ipvs": "!--ipvs/0 !--vproto !--vaddr !--vport --vdir !--vmethod !--vportctl",
        "nfacct": "--nfacct-name",
    ].mapValues(RuleOption.table)
    private static let matchesIPv4 = [
        "icmp": "!--icmp-type", "ttl": "!--ttl-eq|--ttl --ttl-lt --ttl-gt",
    ].mapValues(RuleOption.table)
    private static let matchesIPv6 = [
        "icmp6": "!--icmpv6-type|--icmp6-type", "hl": "!--hl-eq|--hl --hl-lt --hl-gt",
    ].mapValues(RuleOption.table)

    private static let targets = [
        "ACCEPT": "", "DROP": "", "RETURN": "",
        "MARK": "--set-xmark --set-mark --and-mark --or-mark --xor-mark",
        "CONNMARK": """
        --set-xmark --set-mark --and-mark --or-mark --xor-mark --save-mark/0 --restore-mark/0 --nfmask --ctmask \
        --mask ~--left-shift-mark ~--right-shift-mark
        """,
        "DNAT": "--to-destination --random/0 --persistent/0",
        "SNAT": "--to-source --random/0 --random-fully/0 --persistent/0",
        "MASQUERADE": "--to-ports --random/0 --random-fully/0",
        "REDIRECT": "--to-ports --random/0",
        "REJECT": "--reject-with",
        "LOG": """
        --log-prefix --log-level --log-tcp-sequence/0 --log-tcp-options/0 --log-ip-options/0 --log-uid/0 \
        --log-macdecode/0
        """,
        "NFLOG": "--nflog-group --nflog-prefix --nflog-size --nflog-threshold ~--nflog-range",
        "NOTRACK": "",
        "CT": """
        --notrack/0 ~--zone ~--zone-orig ~--zone-reply ~--helper ~--ctevents ~--expevents ~--timeout
        """,
        "TCPMSS": "--set-mss --clamp-mss-to-pmtu/0",
        "DSCP": "--set-dscp --set-dscp-class",
        "TOS": "--set-tos --and-tos --or-tos --xor-tos",
    ].mapValues(RuleOption.table)
    private static let targetsIPv4 = ["TTL": "--ttl-set --ttl-inc --ttl-dec"].mapValues(RuleOption.table)
    private static let targetsIPv6 = ["HL": "--hl-set --hl-inc --hl-dec"].mapValues(RuleOption.table)

    /// Modules iptables knows and podnet keeps as they are written.
    static func isUnevaluatedMatch(_ name: String, _ family: AddressFamily) -> Bool {
        unevaluatedMatches.contains(name)
            || (family == .ipv4 ? ["realm"] : ["dst", "eui64", "frag", "hbh", "ipv6header", "mh", "rt", "srh"])
                .contains(name)
    }

    static func isUnevaluatedTarget(_ name: String, _ family: AddressFamily) -> Bool {
        unevaluatedTargets.contains(name)
            || (family == .ipv4 ? ["CLUSTERIP", "ECN", "ULOG"] : ["DNPT", "SNPT"]).contains(name)
    }

    private static let unevaluatedMatches: Set = [
        "ah", "bpf", "cgroup", "cluster", "connbytes", "connlabel", "connlimit", "cpu", "devgroup", "ecn", "esp",
        "hashlimit", "helper", "ipcomp", "osf", "policy", "quota", "rateest", "socket", "string", "tcpmss", "time",
        "u32",
        // xtables-addons
        "condition", "fuzzy", "geoip", "iface", "ipp2p", "length2", "lscan", "pknock", "psd", "quota2",
    ]
    private static let unevaluatedTargets: Set = [
        "AUDIT", "CHECKSUM", "CLASSIFY", "CONNSECMARK", "HMARK", "IDLETIMER", "LED", "NETMAP", "NFQUEUE", "QUEUE",
        "RATEEST", "SECMARK", "SET", "SYNPROXY", "TCPOPTSTRIP", "TEE", "TPROXY", "TRACE",
        // xtables-addons, and OpenWrt's
        "ACCOUNT", "CHAOS", "DELUDE", "DHCPMAC", "ECHO", "FLOWOFFLOAD", "IPMARK", "LOGMARK", "PROTO", "SYSRQ", "TARPIT",
    ]

    /// The tables a target may stand in; nil for all.
    static func tables(of target: String) -> [TableName]? {
        switch target {
        case "DNAT", "SNAT", "MASQUERADE", "REDIRECT": [.nat]
        case "REJECT": [.filter]
        case "NOTRACK", "CT": [.raw]
        case "DSCP", "TOS", "TTL", "HL": [.mangle]
        default: nil
        }
    }

    /// The protocol whose options may be used without `-m`.
    static func implicitModule(of protocol: IPProtocol) -> String? {
        switch `protocol` {
        case .tcp: "tcp"
        case .udp: "udp"
        case .sctp: "sctp"
        case .icmp: "icmp"
        case .icmpv6: "icmp6"
        case IPProtocol(rawValue: 33): "dccp"
        case IPProtocol(rawValue: 50): "esp"
        case IPProtocol(rawValue: 51): "ah"
        default: nil
        }
    }
}

/// A module or target in a rule with the options given to it.
struct ModuleUse {
    struct Option {
        var isNegated: Bool
        /// The option itself, for errors.
        var word: SavedWord
        var values: [SavedWord]

        var value: SavedWord { values.first ?? word }
    }

    /// The word behind `-m` or `-j`, or the option that loaded the module.
    var word: SavedWord
    var name: String
    var isTarget: Bool
    /// Nil for what is kept as it is written.
    var known: [String: RuleOption]?
    var options: [String: Option] = [:]
    /// The words behind the name as they were written.
    var raw: [String] = []

    /// Whether podnet evaluates all that was asked.
    var isEvaluated: Bool {
        guard let known else { return false }
        return options.keys.allSatisfy { known[$0]?.isEvaluated ?? false } && !asksEmptyRange
    }

    /// Some modules take a range of numbers that ends before it begins. No packet is in one.
    private var asksEmptyRange: Bool {
        guard ["udp", "dccp", "conntrack", "length"].contains(name) else { return false }
        return options.values.contains { option in
            let ends = option.value.text.split(separator: ":").map { UInt32($0) }
            guard ends.count == 2, let low = ends[0], let high = ends[1] else { return false }
            return low > high
        }
    }

    var text: String { ([isTarget ? "-j" : "-m", name] + raw).joined(separator: " ") }

    subscript(_ name: String) -> Option? { options[name] }

    /// The only one of these options that is given.
    func one(of names: [String]) throws(RulesetError) -> (name: String, option: Option) {
        let given = names.filter(has)
        guard let name = given.first, let option = self[name], given.count == 1 else {
            throw word.error(
                "\(self.name) takes one of " + names.joined(separator: ", "),
                hint: given.isEmpty ? "add one" : "leave one of them")
        }
        return (name, option)
    }

    /// The option that a word names, whole or, as getopt takes it, by a beginning that no other has.
    func option(_ word: String, isWhole: Bool) -> RuleOption? {
        guard let known, !isWhole else { return known?[word] }
        guard word.hasPrefix("--"), word.utf8.count > 2 else { return nil }
        var found: RuleOption?
        for (name, option) in known where name.hasPrefix(word) {
            if let found, found.name != option.name { return nil }
            found = option
        }
        return found
    }

    /// An option that must be there.
    func required(_ name: String) throws(RulesetError) -> Option {
        guard let option = options[name] else { throw word.error("\(self.name) needs \(name)") }
        return option
    }

    /// The value of an option, negated or not.
    func negatable<Value>(
        _ name: String, _ read: (SavedWord) throws(RulesetError) -> Value
    ) throws(RulesetError) -> Negatable<Value>? {
        guard let option = options[name] else { return nil }
        return Negatable(try read(option.value), isNegated: option.isNegated)
    }

    func has(_ name: String) -> Bool { options[name] != nil }

    /// A switch that may be negated.
    func flag(_ name: String) -> Negatable<Bool>? {
        options[name].map { Negatable(true, isNegated: $0.isNegated) }
    }
}
