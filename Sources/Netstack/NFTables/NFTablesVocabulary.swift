// The words nft knows, so that what podnet does not evaluate is told apart from what nobody does. Mirrors the keywords
// of src/scanner.l of nft 1.0.6, and the fields of src/proto.c, src/meta.c and src/ct.c for the protocols rules name
// most.

/// Fields of `meta` that versions of nft print without that word.
let shortNames: [Substring: NFTablesField] = [
    "mark": .mark, "pkttype": .packetType, "skgid": .groupID, "skuid": .userID,
]

/// Words statements of nft begin with that podnet does not evaluate, or not in every form.
let nftWords: Set<String> = [
    "ah", "arp", "cgroup", "comp", "cpu", "ct", "dccp", "dst", "dup", "esp", "ether", "exthdr", "fib", "flow", "frag",
    "fwd", "geneve", "goto", "gre", "gretap", "hbh", "icmp", "icmpv6", "igmp", "iif", "iifgroup", "iifkind", "iifname",
    "iiftype", "ip", "ip6", "ipsec", "jhash", "jump", "last", "meta", "meter", "mh", "mpls", "numgen", "oif",
    "oifgroup", "oifkind", "oifname", "oiftype", "osf", "queue", "quota", "reset", "rt", "rtclassid", "sctp", "set",
    "socket", "srh", "symhash", "synproxy", "tcp", "th", "tproxy", "tunnel", "udp", "udplite", "vlan", "vxlan", "xt",
]

/// What may stand behind some of these words.
let nftFields: [Substring: [String]] = [
    "ip": [
        "saddr", "daddr", "protocol", "ttl", "dscp", "ecn", "length", "id", "frag-off", "version", "hdrlength",
        "checksum", "option",
    ],
    "ip6": ["saddr", "daddr", "nexthdr", "hoplimit", "dscp", "ecn", "flowlabel", "length", "version"],
    "tcp": [
        "sport", "dport", "flags", "option", "sequence", "ackseq", "doff", "reserved", "window", "checksum", "urgptr",
    ],
    "udp": ["sport", "dport", "length", "checksum"],
    "sctp": ["sport", "dport", "vtag", "checksum", "chunk"],
    "th": ["sport", "dport"],
    "ether": ["saddr", "daddr", "type"],
    "icmp": ["type", "code", "checksum", "id", "sequence", "gateway", "mtu"],
    "ct": [
        "state", "direction", "status", "mark", "expiration", "helper", "label", "l3proto", "protocol", "original",
        "reply", "bytes", "packets", "avgpkt", "zone", "event", "id", "timeout", "expectation", "count", "secmark",
        "saddr", "daddr", "proto-src", "proto-dst",
    ],
    "meta": [
        "mark", "l4proto", "nfproto", "protocol", "length", "priority", "iif", "iifname", "iiftype", "iifgroup",
        "iifkind", "oif", "oifname", "oiftype", "oifgroup", "oifkind", "skuid", "skgid", "nftrace", "rtclassid",
        "ibrname", "obrname", "ibriport", "obriport", "ibrpvid", "ibrvproto", "ibrhwaddr", "pkttype", "cpu", "cgroup",
        "random", "ipsec", "secpath", "secmark", "time", "hour", "day", "sdif", "sdifname", "broute",
    ],
]

extension NFTablesOperator {
    init?(_ word: Substring) {
        switch word {
        case "and": self = .and
        case "or": self = .or
        case "xor": self = .exclusiveOr
        default: self.init(rawValue: String(word))
        }
    }
}

extension NFTablesComparison {
    init?(_ word: Substring) {
        switch word {
        case "": return nil
        case "eq": self = .equal
        case "ne": self = .notEqual
        case "lt": self = .less
        case "gt": self = .greater
        case "le": self = .lessOrEqual
        case "ge": self = .greaterOrEqual
        default: self.init(rawValue: String(word))
        }
    }
}
