// A match from the options given to its module. Mirrors the parse and check functions of iptables 1.8.9
// extensions/libxt_*.c.

internal import Addressing
internal import Wire

struct MatchReader {
    let module: ModuleUse
    let family: AddressFamily

    func match() throws(RulesetError) -> Match {
        switch module.name {
        case "comment": return .comment(try module.required("--comment").value.text)
        case "tcp": return try transport(.tcp)
        case "udp": return try transport(.udp)
        case "sctp": return try transport(.sctp)
        case "dccp": return try transport(IPProtocol(rawValue: 33))
        case "icmp", "icmp6": return try icmp()
        case "multiport": return try multiport()
        case "conntrack": return try connection()
        case "state": return .state(try states("--state", ConnectionStateSet.printed.dropLast(2)))
        case "mark": return .mark(try required("--mark") { (word) throws(RulesetError) in try word.mark() })
        case "connmark":
            return .connectionMark(try required("--mark") { (word) throws(RulesetError) in try word.mark() })
        case "addrtype": return try addressType()
        case "statistic": return try statistic()
        case "recent": return try recent()
        case "limit": return try limit()
        case "set": return try set()
        case "physdev": return try bridgePort()
        case "iprange": return try addressRange()
        case "owner": return try owner()
        case "length":
            return .length(try required("--length") { (word) throws(RulesetError) in try word.range("length") })
        case "ttl", "hl": return try timeToLive()
        case "dscp": return .codePoint(try codePoint())
        case "tos":
            return .typeOfService(try required("--tos") { (word) throws(RulesetError) in try typeOfService(word) })
        case "mac":
            return .sourceMAC(
                try required("--mac-source") { (word) throws(RulesetError) in
                    guard let address = MACAddress(word.text) else {
                        throw word.error("'\(word.text)' is not a MAC address", hint: "write 02:00:00:00:00:01")
                    }
                    return address
                })
        case "pkttype":
            return .packetType(
                try required("--pkt-type") { (word) throws(RulesetError) in
                    word.text == "host" ? .unicast : try word.one(of: "packet type", PacketTypeWord.self)
                })
        case "rpfilter":
            return .reversePath(
                ReversePathFlags(ReversePathFlags.printed.filter { module.has($0.1) }.map(\.0)))
        case "ipvs": return try virtualService()
        case "nfacct": return .accounting(name: try module.required("--nfacct-name").value.text)
        default: return .unevaluated(module: module.name, text: module.text)
        }
    }

    private func required<Value>(
        _ option: String, _ read: (SavedWord) throws(RulesetError) -> Value
    ) throws(RulesetError) -> Negatable<Value> {
        let use = try module.required(option)
        return Negatable(try read(use.value), isNegated: use.isNegated)
    }

    private func states(
        _ option: String, _ names: some Sequence<(ConnectionStateSet, String)>
    ) throws(RulesetError) -> Negatable<ConnectionStateSet> {
        try required(option) { (word) throws(RulesetError) in try word.flags("connection state", Array(names)) }
    }

    // MARK: transport headers

    private func ports(
        _ option: String, of protocol: IPProtocol
    ) throws(RulesetError) -> Negatable<ClosedRange<UInt16>>? {
        let ports: Negatable<ClosedRange<UInt16>>? = try module.negatable(option) {
            (word) throws(RulesetError) in try word.range("port")
        }
        // Any port is no criterion; of DCCP and SCTP it is printed all the same.
        return ports == Negatable(0...UInt16.max) && [.tcp, .udp].contains(`protocol`) ? nil : ports
    }

    private func transport(_ protocol: IPProtocol) throws(RulesetError) -> Match {
        var match = TransportMatch(
            `protocol`, source: try ports("--sport", of: `protocol`),
            destination: try ports("--dport", of: `protocol`))
        match.option = try module.negatable("--tcp-option") { (word) throws(RulesetError) in
            try word.number("TCP option")
        }
        if let use = module["--tcp-flags"] {
            let flags = TransportMatch.Flags(mask: try tcpFlags(use.values[0]), compared: try tcpFlags(use.values[1]))
            match.flags = Negatable(flags, isNegated: use.isNegated)
        }
        if let use = module["--syn"] {
            if match.flags != nil { throw use.word.error("--syn and --tcp-flags exclude each other") }
            match.flags = Negatable(.syn, isNegated: use.isNegated)
        }
        return .transport(match)
    }

    private func tcpFlags(_ word: SavedWord) throws(RulesetError) -> TCPFlags {
        switch word.text.uppercased() {
        case "ALL": [.fin, .syn, .rst, .psh, .ack, .urg]
        case "NONE": []
        default: try word.flags("TCP flag", TransportMatch.Flags.names)
        }
    }

    private func icmp() throws(RulesetError) -> Match {
        let use = try module.required(family == .ipv4 ? "--icmp-type" : "--icmpv6-type")
        let word = use.value
        if word.text == "any" { return .icmp(ICMPTypeMatch(family, type: nil, isNegated: use.isNegated)) }
        if let (_, type, code) = ICMPTypeNames.list(family).first(where: { $0.0 == word.text }) {
            return .icmp(ICMPTypeMatch(family, type: type, code: code, isNegated: use.isNegated))
        }
        let parts = word.text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let type = UInt8(parts[0]), parts.count == 1 || UInt8(parts[1]) != nil else {
            throw word.error("no ICMP type is called '\(word.text)'", hint: "write TYPE or TYPE/CODE in numbers")
        }
        // The kernel keeps "any" as type 255 of ICMP.
        let isAny = family == .ipv4 && type == 255
        return .icmp(
            ICMPTypeMatch(
                family, type: isAny ? nil : type, code: isAny || parts.count == 1 ? nil : UInt8(parts[1]),
                isNegated: use.isNegated))
    }

    private func multiport() throws(RulesetError) -> Match {
        let (name, use) = try module.one(of: ["--sports", "--dports", "--ports"])
        var ranges: [ClosedRange<UInt16>] = []
        for part in use.value.text.split(separator: ",", omittingEmptySubsequences: false) {
            ranges.append(try use.value.range("port", of: part))
        }
        let count = ranges.reduce(0) { $0 + ($1.count == 1 ? 1 : 2) }
        guard count <= MultiportMatch.mostPorts else {
            throw use.value.error(
                "more than \(MultiportMatch.mostPorts) ports, where a range counts twice", hint: "make two rules")
        }
        return .multiport(
            MultiportMatch(
                MultiportMatch.End(rawValue: name) ?? .either, Negatable(ranges, isNegated: use.isNegated)))
    }

    // MARK: connections

    private func connection() throws(RulesetError) -> Match {
        guard !module.options.isEmpty else { throw module.word.error("conntrack needs an option") }
        func prefix(_ word: SavedWord) throws(RulesetError) -> IPPrefix { try word.prefix(family) }
        var match = ConnectionMatch()
        if module.has("--ctstate") { match.states = try states("--ctstate", ConnectionStateSet.printed) }
        match.protocol = try module.negatable("--ctproto") { (word) throws(RulesetError) in try word.protocol() }
        match.originalSource = try module.negatable("--ctorigsrc", prefix)
        match.originalDestination = try module.negatable("--ctorigdst", prefix)
        match.replySource = try module.negatable("--ctreplsrc", prefix)
        match.replyDestination = try module.negatable("--ctrepldst", prefix)
        func range(_ word: SavedWord) throws(RulesetError) -> ClosedRange<UInt16> { try word.range("port") }
        match.originalSourcePort = try module.negatable("--ctorigsrcport", range)
        match.originalDestinationPort = try module.negatable("--ctorigdstport", range)
        match.replySourcePort = try module.negatable("--ctreplsrcport", range)
        match.replyDestinationPort = try module.negatable("--ctrepldstport", range)
        match.status = try module.negatable("--ctstatus") { (word) throws(RulesetError) in
            try word.flags("connection status", ConnectionStatusSet.printed + [([], "NONE")])
        }
        match.expires = try module.negatable("--ctexpire") { (word) throws(RulesetError) in
            try word.range("number of seconds")
        }
        match.isReply = try direction("--ctdir")
        return .connection(match)
    }

    private func direction(_ option: String) throws(RulesetError) -> Bool? {
        guard let word = module[option]?.value else { return nil }
        switch word.text.uppercased() {
        case "ORIGINAL": return false
        case "REPLY": return true
        default: throw word.error("'\(word.text)' is not a direction", hint: "write ORIGINAL or REPLY")
        }
    }

    private func virtualService() throws(RulesetError) -> Match {
        guard !module.options.isEmpty else { throw module.word.error("ipvs needs an option") }
        var match = VirtualServiceMatch(isHandled: module.flag("--ipvs"))
        match.protocol = try module.negatable("--vproto") { (word) throws(RulesetError) in try word.protocol() }
        match.address = try module.negatable("--vaddr") { (word) throws(RulesetError) in try word.prefix(family) }
        match.port = try module.negatable("--vport") { (word) throws(RulesetError) in try word.port() }
        match.isReply = try direction("--vdir")
        match.method = try module.negatable("--vmethod") { (word) throws(RulesetError) in
            try word.one(of: "forwarding method", VirtualServiceMatch.Method.self)
        }
        match.controlPort = try module.negatable("--vportctl") { (word) throws(RulesetError) in try word.port() }
        return .virtualService(match)
    }

    // MARK: what remembers

    private func statistic() throws(RulesetError) -> Match {
        let mode = try module.required("--mode").value
        switch mode.text {
        case "random":
            let use = try module.required("--probability")
            guard let share = Double(use.value.text), (0...1).contains(share) else {
                throw use.value.error("'\(use.value.text)' is not a probability", hint: "write a number from 0 to 1")
            }
            let chance = UInt32((share * Double(UInt32(1) << 31)).rounded(.toNearestOrEven))
            return .statistic(StatisticMatch(.random(chance: chance), isNegated: use.isNegated))
        case "nth":
            let use = try module.required("--every")
            let every: UInt32 = try use.value.number("count of packets", in: 1...UInt32.max)
            let packet: UInt32 = try module.required("--packet").value.number("packet's number", in: 0...(every - 1))
            return .statistic(StatisticMatch(.nth(every: every, packet: packet), isNegated: use.isNegated))
        default: throw mode.error("'\(mode.text)' is not a mode of statistic", hint: "write random or nth")
        }
    }

    private func recent() throws(RulesetError) -> Match {
        let (name, use) = try module.one(of: ["--set", "--rcheck", "--update", "--remove"])
        let action = RecentMatch.Action(rawValue: name) ?? .set
        let list = module["--name"]?.value.text ?? "DEFAULT"
        var match = RecentMatch(action, name: list, family: family, isNegated: use.isNegated)
        let asksTime = action == .check || action == .update
        for option in ["--seconds", "--hitcount", "--rttl"] {
            if let use = module[option], !asksTime {
                throw use.word.error("\(option) goes with --rcheck and --update alone")
            }
        }
        if let word = module["--seconds"]?.value {
            match.seconds = try word.number("number of seconds", in: 1...UInt32.max)
        }
        if let word = module["--hitcount"]?.value {
            match.hitCount = try word.number("number of packets", in: 1...(RecentMatch.mostHits - 1))
        }
        if let use = module["--reap"] {
            guard match.seconds > 0 else { throw use.word.error("--reap needs --seconds") }
            match.reaps = true
        }
        match.comparesTimeToLive = module.has("--rttl")
        if let word = module["--mask"]?.value { match.mask = try word.address(family) }
        match.side = module.has("--rdest") ? .destination : .source
        return .recent(match)
    }

    private func limit() throws(RulesetError) -> Match {
        var match = LimitMatch(period: 12_000_000)
        if let word = module["--limit"]?.value { match.period = try rate(word) }
        if let word = module["--limit-burst"]?.value {
            match.burst = try word.number("burst", in: 1...10_000)
        }
        return .limit(match)
    }

    /// `COUNT/UNIT` as the time between two packets, in the kernel's unit.
    private func rate(_ word: SavedWord) throws(RulesetError) -> UInt32 {
        let parts = word.text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let units: [(String, UInt32)] = [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86_400)]
        let unit = parts.count == 1 ? "second" : parts[1].lowercased()
        let seconds = units.first { !unit.isEmpty && $0.0.hasPrefix(unit) }?.1
        guard let seconds, let count = UInt32(parts[0]), count > 0, seconds * 10_000 / count > 0 else {
            throw word.error("'\(word.text)' is not a rate", hint: "write COUNT/second, minute, hour or day")
        }
        return seconds * 10_000 / count
    }

    private func set() throws(RulesetError) -> Match {
        let use = try module.required("--match-set")
        var directions: [SetDirection] = []
        for part in use.values[1].text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let direction = SetDirection(rawValue: String(part)), directions.count < 6 else {
                throw use.values[1].error("'\(part)' is no direction of a set", hint: "write src and dst")
            }
            directions.append(direction)
        }
        return .set(Negatable(use.values[0].text, isNegated: use.isNegated), directions)
    }

    // MARK: addresses, links and headers

    private func addressType() throws(RulesetError) -> Match {
        let names = AddressType.allCases.map { (AddressTypeSet($0), $0.rawValue) }
        func types(_ word: SavedWord) throws(RulesetError) -> AddressTypeSet {
            try word.flags("type of address", names)
        }
        var match = AddressTypeMatch()
        match.source = try module.negatable("--src-type", types)
        match.destination = try module.negatable("--dst-type", types)
        guard match.source != nil || match.destination != nil else {
            throw module.word.error("addrtype needs --src-type or --dst-type")
        }
        if module.has("--limit-iface-in") || module.has("--limit-iface-out") {
            match.limit =
                try module.one(of: ["--limit-iface-in", "--limit-iface-out"]).name == "--limit-iface-in"
                ? .ingress : .egress
        }
        return .addressType(match)
    }

    private func addressRange() throws(RulesetError) -> Match {
        func range(_ word: SavedWord) throws(RulesetError) -> ClosedRange<IPAddress> {
            let parts = word.text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            let first = try word.address(family, parts[0])
            let last = parts.count == 2 ? try word.address(family, parts[1]) : first
            guard first <= last else { throw word.error("the range '\(word.text)' ends before it begins") }
            return first...last
        }
        let match = AddressRangeMatch(
            source: try module.negatable("--src-range", range), destination: try module.negatable("--dst-range", range))
        guard match.source != nil || match.destination != nil else {
            throw module.word.error("iprange needs --src-range or --dst-range")
        }
        return .addressRange(match)
    }

    private func bridgePort() throws(RulesetError) -> Match {
        guard !module.options.isEmpty else { throw module.word.error("physdev needs an option") }
        func link(_ word: SavedWord) throws(RulesetError) -> InterfacePattern { try word.interface() }
        return .bridgePort(
            BridgePortMatch(
                ingress: try module.negatable("--physdev-in", link),
                egress: try module.negatable("--physdev-out", link), comesInByPort: module.flag("--physdev-is-in"),
                leavesByPort: module.flag("--physdev-is-out"), isBridged: module.flag("--physdev-is-bridged")))
    }

    private func owner() throws(RulesetError) -> Match {
        guard !module.options.isEmpty else { throw module.word.error("owner needs an option") }
        func identifiers(_ word: SavedWord) throws(RulesetError) -> ClosedRange<UInt32> {
            word.text == "root" ? 0...0 : try word.range("user or group number", separator: "-")
        }
        return .owner(
            OwnerMatch(
                user: try module.negatable("--uid-owner", identifiers),
                group: try module.negatable("--gid-owner", identifiers), hasSocket: module.flag("--socket-exists"),
                countsSupplementaryGroups: module.has("--suppl-groups")))
    }

    private func timeToLive() throws(RulesetError) -> Match {
        let (name, use) = try module.one(of: ["--\(module.name)-eq", "--\(module.name)-lt", "--\(module.name)-gt"])
        let comparison = TimeToLiveMatch.Comparison(rawValue: String(name.suffix(2))) ?? .equal
        let value: UInt8 = try use.value.number("TTL")
        return .timeToLive(TimeToLiveMatch(comparison, value, isNegated: use.isNegated, family: family))
    }

    private func codePoint() throws(RulesetError) -> Negatable<UInt8> {
        let (name, use) = try module.one(of: ["--dscp", "--dscp-class"])
        let value = try name == "--dscp" ? use.value.number("DSCP", in: 0...63) : codePointClass(use.value)
        return Negatable(value, isNegated: use.isNegated)
    }
}

/// A class of differentiated services by its name (RFC 2597, RFC 3246): CS0 to CS7, AF11 to AF43, EF.
func codePointClass(_ word: SavedWord) throws(RulesetError) -> UInt8 {
    let name = word.text.uppercased()
    let digits = name.dropFirst(2).compactMap { $0.wholeNumberValue }.map(UInt8.init)
    switch (name.prefix(2), digits.count) {
    case ("EF", 0) where name == "EF": return 46
    case ("BE", 0) where name == "BE": return 0
    case ("CS", 1) where digits[0] < 8: return digits[0] * 8
    case ("AF", 2) where (1...4).contains(digits[0]) && (1...3).contains(digits[1]):
        return digits[0] * 8 + digits[1] * 2
    default: throw word.error("no DSCP class is called '\(word.text)'", hint: "write the number with --dscp")
    }
}

/// A value of the TOS octet, or one of its five old names.
func typeOfService(_ word: SavedWord) throws(RulesetError) -> OctetBits {
    let names: [(String, UInt8)] = [
        ("minimize-delay", 0x10), ("maximize-throughput", 0x08), ("maximize-reliability", 0x04),
        ("minimize-cost", 0x02), ("normal-service", 0),
    ]
    if let (_, value) = names.first(where: { $0.0 == word.text.lowercased() }) { return OctetBits(value, mask: 0x3f) }
    return try word.octetBits("TOS")
}

/// ICMP types by the names iptables has for them.
enum ICMPTypeNames {
    static func list(_ family: AddressFamily) -> [(String, UInt8, UInt8?)] { family == .ipv4 ? ipv4 : ipv6 }

    private static let ipv4: [(String, UInt8, UInt8?)] = [
        ("echo-reply", 0, nil), ("pong", 0, nil), ("destination-unreachable", 3, nil), ("network-unreachable", 3, 0),
        ("host-unreachable", 3, 1), ("protocol-unreachable", 3, 2), ("port-unreachable", 3, 3),
        ("fragmentation-needed", 3, 4), ("source-route-failed", 3, 5), ("network-unknown", 3, 6),
        ("host-unknown", 3, 7), ("network-prohibited", 3, 9), ("host-prohibited", 3, 10),
        ("TOS-network-unreachable", 3, 11), ("TOS-host-unreachable", 3, 12), ("communication-prohibited", 3, 13),
        ("host-precedence-violation", 3, 14), ("precedence-cutoff", 3, 15), ("source-quench", 4, nil),
        ("redirect", 5, nil), ("network-redirect", 5, 0), ("host-redirect", 5, 1), ("TOS-network-redirect", 5, 2),
        ("TOS-host-redirect", 5, 3), ("echo-request", 8, nil), ("ping", 8, nil), ("router-advertisement", 9, nil),
        ("router-solicitation", 10, nil), ("time-exceeded", 11, nil), ("ttl-exceeded", 11, nil),
        ("ttl-zero-during-transit", 11, 0), ("ttl-zero-during-reassembly", 11, 1), ("parameter-problem", 12, nil),
        ("ip-header-bad", 12, 0), ("required-option-missing", 12, 1), ("timestamp-request", 13, nil),
        ("timestamp-reply", 14, nil), ("address-mask-request", 17, nil), ("address-mask-reply", 18, nil),
    ]
    private static let ipv6: [(String, UInt8, UInt8?)] = [
        ("destination-unreachable", 1, nil), ("no-route", 1, 0), ("communication-prohibited", 1, 1),
        ("beyond-scope", 1, 2), ("address-unreachable", 1, 3), ("port-unreachable", 1, 4), ("failed-policy", 1, 5),
        ("reject-route", 1, 6), ("packet-too-big", 2, nil), ("time-exceeded", 3, nil), ("ttl-exceeded", 3, nil),
        ("ttl-zero-during-transit", 3, 0), ("ttl-zero-during-reassembly", 3, 1), ("parameter-problem", 4, nil),
        ("bad-header", 4, 0), ("unknown-header-type", 4, 1), ("unknown-option", 4, 2), ("echo-request", 128, nil),
        ("ping", 128, nil), ("echo-reply", 129, nil), ("pong", 129, nil), ("router-solicitation", 133, nil),
        ("router-advertisement", 134, nil), ("neighbour-solicitation", 135, nil),
        ("neighbor-solicitation", 135, nil), ("neighbour-advertisement", 136, nil),
        ("neighbor-advertisement", 136, nil), ("redirect", 137, nil),
    ]
}
