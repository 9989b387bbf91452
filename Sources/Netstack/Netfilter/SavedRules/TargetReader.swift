// A target from the options given to it. Mirrors the parse and check functions of iptables 1.8.9
// extensions/libxt_*.c, libipt_*.c and libip6t_*.c.

internal import Addressing

struct TargetReader {
    let use: ModuleUse
    let family: AddressFamily
    let `protocol`: Negatable<IPProtocol>?

    func target() throws(RulesetError) -> Target {
        switch use.name {
        case "ACCEPT": return .accept
        case "DROP": return .drop
        case "RETURN": return .return
        case "MARK":
            let bits = try mark()
            return .setMark(value: bits.value, mask: bits.mask)
        case "CONNMARK": return .connectionMark(try connectionMark())
        case "DNAT": return .destinationNAT(try translation("--to-destination"))
        case "SNAT": return .sourceNAT(try translation("--to-source"))
        case "MASQUERADE": return .masquerade(try ports())
        case "REDIRECT": return .redirect(try ports())
        case "REJECT": return .reject(try rejection())
        case "LOG": return .log(try log())
        case "NFLOG": return .netlinkLog(try netlinkLog())
        case "NOTRACK": return .noTrack(isCT: false)
        case "CT":
            _ = try use.required("--notrack")
            return .noTrack(isCT: true)
        case "TCPMSS": return .setSegmentSize(try segmentSize())
        case "DSCP":
            let (name, option) = try use.one(of: ["--set-dscp", "--set-dscp-class"])
            return .setCodePoint(
                try name == "--set-dscp" ? option.value.number("DSCP", in: 0...63) : codePointClass(option.value))
        case "TOS": return .setTypeOfService(try typeOfServiceChange())
        case "TTL", "HL": return try timeToLive()
        default: return .unevaluated(name: use.name, text: use.text)
        }
    }

    // MARK: marks

    private static let markOptions = ["--set-xmark", "--set-mark", "--and-mark", "--or-mark", "--xor-mark"]

    private func mark() throws(RulesetError) -> MarkBits {
        let (name, option) = try use.one(of: Self.markOptions)
        return try Self.mark(name, option)
    }

    /// All spellings come down to one: clear the mask's bits, then exclusive-or the value.
    private static func mark(_ name: String, _ option: ModuleUse.Option) throws(RulesetError) -> MarkBits {
        if name == "--set-xmark" || name == "--set-mark" {
            var bits = try option.value.mark()
            if name == "--set-mark" { bits.mask |= bits.value }
            return bits
        }
        let value: UInt32 = try option.value.number("mark")
        switch name {
        case "--and-mark": return MarkBits(0, mask: ~value)
        case "--or-mark": return MarkBits(value, mask: value)
        default: return MarkBits(value, mask: 0)
        }
    }

    private func connectionMark() throws(RulesetError) -> ConnectionMarkChange {
        let (name, option) = try use.one(of: Self.markOptions + ["--save-mark", "--restore-mark"])
        var packet = UInt32.max
        var connection = UInt32.max
        if let word = use["--mask"]?.value {
            packet = try word.number("mask")
            connection = packet
        }
        if let word = use["--nfmask"]?.value { packet = try word.number("mask") }
        if let word = use["--ctmask"]?.value { connection = try word.number("mask") }
        switch name {
        case "--save-mark": return .save(packetMask: packet, connectionMask: connection)
        case "--restore-mark": return .restore(packetMask: packet, connectionMask: connection)
        default: return .set(try Self.mark(name, option))
        }
    }

    // MARK: translation

    private var options: TranslationRange.Options {
        TranslationRange.Options(
            TranslationRange.Options.printed.filter { use.has(String($0.1.dropFirst())) }.map(\.0))
    }

    private func requirePorts(_ word: SavedWord) throws(RulesetError) {
        let numbers: [UInt8] = [1, 6, 17, 33, 58, 132]
        guard let `protocol`, !`protocol`.isNegated, numbers.contains(`protocol`.value.rawValue) else {
            throw word.error(
                "ports need a protocol that has them", hint: "add -p tcp, udp, sctp, dccp or icmp to the rule")
        }
    }

    private func ports() throws(RulesetError) -> TranslationRange {
        var target = TranslationRange(options: options)
        if let word = use["--to-ports"]?.value {
            try requirePorts(word)
            target.ports = try word.range("port", separator: "-")
        }
        return target
    }

    /// `ADDRESS[-ADDRESS][:PORT[-PORT][/BASE]]`; IPv6 addresses stand in brackets before a port.
    private func translation(_ option: String) throws(RulesetError) -> TranslationRange {
        let word = try use.required(option).value
        var target = TranslationRange(options: options)
        var addresses = word.text[...]
        var ports: Substring?
        if family == .ipv6 {
            if addresses.hasPrefix("["), let end = addresses.firstIndex(of: "]") {
                let rest = addresses[addresses.index(after: end)...]
                guard rest.isEmpty || rest.hasPrefix(":") else { throw word.error("'\(word.text)' is no address") }
                ports = rest.isEmpty ? nil : rest.dropFirst()
                addresses = addresses[addresses.index(after: addresses.startIndex)..<end]
            } else if addresses.hasPrefix(":"), !addresses.hasPrefix("::") {
                ports = addresses.dropFirst()
                addresses = ""
            }
        } else if let colon = addresses.firstIndex(of: ":") {
            ports = addresses[addresses.index(after: colon)...]
            addresses = addresses[..<colon]
        }
        if !addresses.isEmpty {
            let parts = addresses.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            let first = try word.address(family, parts[0])
            let last = parts.count == 2 ? try word.address(family, parts[1]) : first
            guard first <= last else { throw word.error("the range '\(word.text)' ends before it begins") }
            target.addresses = first...last
        }
        if let ports {
            try requirePorts(word)
            let parts = ports.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard !parts[0].isEmpty, !parts[0].hasPrefix("-"), !parts[0].hasSuffix("-") else {
                throw word.error("'\(word.text)' lacks a port")
            }
            target.ports = try word.range("port", separator: "-", of: parts[0])
            if parts.count == 2 {
                guard option == "--to-destination", let base = UInt16(parts[1]) else {
                    throw word.error("'\(parts[1])' is not a base port")
                }
                target.basePort = base
            }
        }
        return target
    }

    // MARK: the rest

    private func rejection() throws(RulesetError) -> RejectKind {
        guard let word = use["--reject-with"]?.value else {
            return family == .ipv4 ? .portUnreachable : .portUnreachableIPv6
        }
        let short = [
            "net-unreach": "icmp-net-unreachable", "host-unreach": "icmp-host-unreachable",
            "proto-unreach": "icmp-proto-unreachable", "net-prohib": "icmp-net-prohibited",
            "host-prohib": "icmp-host-prohibited", "tcp-rst": "tcp-reset",
            "port-unreach": family == .ipv4 ? "icmp-port-unreachable" : "icmp6-port-unreachable",
            "admin-prohib": "icmp-admin-prohibited", "no-route": "icmp6-no-route",
            "adm-prohibited": "icmp6-adm-prohibited", "addr-unreach": "icmp6-addr-unreachable",
            "policy-fail": "icmp6-policy-fail", "reject-route": "icmp6-reject-route",
        ]
        guard let kind = RejectKind(rawValue: short[word.text] ?? word.text), kind.family != family.other else {
            let known = RejectKind.allCases.filter { $0.family != family.other }
            throw word.error(
                "'\(word.text)' is no way to reject in IPv\(family.rawValue)",
                hint: "known are " + known.map(\.rawValue).joined(separator: ", "))
        }
        if kind == .tcpReset, `protocol` != Negatable(.tcp) {
            throw word.error("tcp-reset answers TCP alone", hint: "add -p tcp to the rule")
        }
        return kind
    }

    private func log() throws(RulesetError) -> LogOptions {
        var options = LogOptions()
        if let word = use["--log-prefix"]?.value {
            guard (1...29).contains(word.text.utf8.count) else {
                throw word.error("the prefix must have 1 to 29 octets")
            }
            options.prefix = word.text
        }
        if let word = use["--log-level"]?.value {
            let names: [String: UInt8] = [
                "emerg": 0, "panic": 0, "alert": 1, "crit": 2, "err": 3, "error": 3, "warn": 4, "warning": 4,
                "notice": 5, "info": 6, "debug": 7,
            ]
            if let known = names[word.text] {
                options.level = known
            } else {
                options.level = try word.number("log level", in: 0...7)
            }
        }
        options.details = LogOptions.Details(
            LogOptions.Details.printed.filter { use.has($0.1) }.map(\.0))
        return options
    }

    private func netlinkLog() throws(RulesetError) -> NetlinkLogOptions {
        var options = NetlinkLogOptions()
        if let word = use["--nflog-prefix"]?.value {
            guard (1...127).contains(word.text.utf8.count) else {
                throw word.error("the prefix must have 1 to 127 octets")
            }
            options.prefix = word.text
        }
        if let word = use["--nflog-group"]?.value { options.group = try word.number("group") }
        if let word = use["--nflog-size"]?.value { options.size = try word.number("size") }
        if let word = use["--nflog-threshold"]?.value { options.threshold = try word.number("threshold") }
        return options
    }

    private func segmentSize() throws(RulesetError) -> UInt16? {
        let (name, option) = try use.one(of: ["--set-mss", "--clamp-mss-to-pmtu"])
        return name == "--set-mss" ? try option.value.number("segment size", in: 0...65_495) : nil
    }

    private func typeOfServiceChange() throws(RulesetError) -> OctetBits {
        let (name, option) = try use.one(of: ["--set-tos", "--and-tos", "--or-tos", "--xor-tos"])
        if name == "--set-tos" { return try typeOfService(option.value) }
        let value: UInt8 = try option.value.number("TOS")
        switch name {
        case "--and-tos": return OctetBits(0, mask: ~value)
        case "--or-tos": return OctetBits(value, mask: value)
        default: return OctetBits(value, mask: 0)
        }
    }

    private func timeToLive() throws(RulesetError) -> Target {
        let module = use.name.lowercased()
        let (name, option) = try use.one(of: ["--\(module)-set", "--\(module)-inc", "--\(module)-dec"])
        let value: UInt8 = try option.value.number("TTL")
        let change: TimeToLiveChange =
            name.hasSuffix("set") ? .set(value) : name.hasSuffix("inc") ? .increase(value) : .decrease(value)
        return .setTimeToLive(change, family: family)
    }
}
