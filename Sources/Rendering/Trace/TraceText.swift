// A flow's trace as text, at three levels as ovn-trace has them: minimal (stable from run to run, for regression
// tests), default (each hop, each change and who made it), detail (every table, chain and rule tried).

internal import Addressing
internal import Netstack
public import Simulation

/// How much a trace shows.
public enum TraceLevel: String, Sendable, CaseIterable {
    case minimal, normal, detail
}

/// Writes traces as text.
public struct TraceText: Sendable {
    public var level: TraceLevel
    public var usesColour: Bool

    public init(level: TraceLevel = .normal, usesColour: Bool = false) {
        self.level = level
        self.usesColour = usesColour
    }

    /// The whole trace, ending in a newline.
    public func text(_ trace: FlowTrace) -> String {
        var lines: [String] = []
        if level == .minimal {
            lines.append(contentsOf: minimalHeadline(trace))
        } else {
            lines.append(coloured(trace.headline, trace.verdict == .delivered ? .green : .red))
        }
        if let request = trace.request { lines += section("request", request, title: asked(trace)) }
        if let reply = trace.reply { lines += section("reply", reply, title: reply.first) }
        if level != .minimal { lines += ending(trace) }
        return lines.joined(separator: "\n") + "\n"
    }

    // MARK: minimal

    private func minimalHeadline(_ trace: FlowTrace) -> [String] {
        var lines = [trace.verdict.rawValue]
        if let reached = trace.reached, case .delivered(let namespace) = trace.request?.disposition {
            let isEcho = trace.report.request.protocol == .icmp
            lines[0] += " \(namespace) \(isEcho ? reached.address.description : reached.description)"
            if let seen = trace.seenSource { lines[0] += " from \(seen.address)" }
        }
        if case .failed(let error) = trace.report.outcome { lines.append("client \(error.rawValue)") }
        if trace.report.outcome == .timedOut { lines.append("client timed out") }
        return lines
    }

    // MARK: sections

    /// The request as its sender meant it: a node translates what it sends itself before any link shows it.
    private func asked(_ trace: FlowTrace) -> HeaderSummary? {
        guard var headers = trace.request?.first, let local = trace.report.local else { return nil }
        headers.source = local.address
        headers.sourcePort = local.port
        headers.destination = trace.report.request.destination
        headers.destinationPort = trace.report.request.port ?? 0
        return headers
    }

    /// What kind of no a packet is: an ICMP error, a reset; nil for any other packet.
    private func refusal(_ headers: HeaderSummary) -> String? {
        switch headers.protocol {
        case .icmp where headers.detail != 0 && headers.detail != 8, .icmpv6 where headers.detail < 128:
            icmpText(headers)
        case .tcp where headers.detail & 0x04 != 0: "RST"
        default: nil
        }
    }

    private func section(_ name: String, _ trace: PacketTrace, title: HeaderSummary?) -> [String] {
        var lines: [String] = []
        if level == .minimal {
            lines.append(name + (title.flatMap(refusal).map { " " + $0 } ?? ""))
        } else {
            lines.append("")
            lines.append(bold(name) + "  " + (title.map(packetText) ?? "never reached a link"))
        }
        return lines + hopLines(trace)
    }

    /// Where a packet was seen, what was done to it there, and how it ended; `unfinished` stands for an ending that is
    /// not known.
    func hopLines(_ trace: PacketTrace, unfinished: String? = nil) -> [String] {
        var lines: [String] = []
        let width = trace.hops.map(\.place.count).max() ?? 0
        var number = 0
        for hop in trace.hops {
            if let headers = hop.headers {
                number += 1
                lines.append(hopLine(hop, headers, number: number, width: width))
            } else if level != .minimal {
                lines.append("     " + coloured(hop.namespace, .cyan))
            }
            for step in hop.steps { lines += stepLines(step) }
        }
        if let unfinished, case .waiting = trace.disposition { return lines + ["     " + unfinished] }
        lines += dispositionLines(trace)
        return lines
    }

    private func hopLine(
        _ hop: TraceHop, _ headers: HeaderSummary, number: Int, width: Int
    ) -> String {
        let direction = hop.direction == .ingress ? "in " : "out"
        guard level != .minimal else {
            return "  \(stablePlace(hop)) \(direction.trimmingBlanks) ttl \(headers.timeToLive)"
        }
        let index = String(repeating: " ", count: max(0, 3 - String(number).count)) + String(number)
        let place = hop.place + String(repeating: " ", count: width - hop.place.count)
        var line = "\(index)  \(coloured(place, .cyan))  \(direction)  ttl \(padded(String(headers.timeToLive), 3))  "
        line += "\(endText(headers, isSource: true)) → \(endText(headers, isSource: false))"
        if headers.isEncapsulated {
            line += dimmed(
                "  in VXLAN \(headers.outerSource) → \(headers.outerDestination) ttl \(headers.outerTimeToLive)")
        }
        if level == .detail { line += dimmed("  \(headers.sourceMAC) > \(headers.destinationMAC)") }
        return line
    }

    /// The place without what chance named: a veth's random suffix.
    private func stablePlace(_ hop: TraceHop) -> String {
        guard hop.machine == .node, let link = hop.link, link.hasPrefix("veth") else { return hop.place }
        return "\(hop.namespace)/veth"
    }

    // MARK: steps

    private func stepLines(_ step: TraceStep) -> [String] {
        let indent = level == .minimal ? "    " : "       "
        switch step {
        case .hook(let hook, let table):
            return level == .detail ? [indent + dimmed("\(table) \(hook.chainName)")] : []
        case .rule(let rule, let verdict):
            guard level == .detail else { return [] }
            let number = rule.number.map { " rule \($0)" } ?? ""
            let text = "\(rule.table) \(rule.chain)\(number): \(verdict.text)  \(rule.text)"
            return [indent + "  " + (verdict == .noMatch ? dimmed(text) : text)]
        case .tracked(let states):
            return level == .detail ? [indent + dimmed("conntrack: \(states)")] : []
        case .translated(let kind, let from, let to, let rule, let chains):
            return translation(kind, from, to, rule, chains).map { indent + $0 }
        case .scheduled(let server, let scheduler, let real, let isRemembered):
            let choice = isRemembered ? "session affinity keeps" : "\(scheduler) chose"
            return level == .minimal ? [] : [indent + coloured("IPVS \(server.chain): \(choice) \(real)", .yellow)]
        case .routed(let route, _):
            guard level != .minimal else { return [] }
            let local = route.hasPrefix("local ") ? "for this machine" : "route \(route)"
            return [indent + dimmed(local)]
        case .waitsForNeighbor(let address, let link):
            return level == .minimal
                ? []
                : [
                    indent
                        + dimmed(
                            "waits: \(address.family == .ipv4 ? "ARP" : "ND") who-has \(address) on \(link)")
                ]
        case .encapsulated(let device, let local, let remote, let vni):
            return [
                indent + coloured("VXLAN \(local) → \(remote) vni \(vni)", .yellow)
                    + (level == .minimal ? "" : " by \(device)")
            ]
        case .decapsulated(let device, let remote, let vni):
            return level == .minimal
                ? [] : [indent + coloured("VXLAN from \(remote) vni \(vni) opened", .yellow) + " by \(device)"]
        case .bridged(let bridge, let egress):
            return level == .detail ? [indent + dimmed("\(bridge) sends it to \(egress)")] : []
        case .flooded(let bridge):
            return level == .minimal ? [] : [indent + dimmed("\(bridge) floods it")]
        case .fragmented(let count, let mtu):
            return [indent + "fragmented into \(count) for MTU \(mtu)"]
        case .fault(let name, let action):
            // Chance has no place in a stable text.
            return level == .minimal ? [] : [indent + coloured(faultText(name, action), .red)]
        }
    }

    private func translation(
        _ kind: PathEvent.Translation, _ from: SocketAddress, _ to: SocketAddress, _ rule: TraceRule?,
        _ chains: [String]
    ) -> [String] {
        let name: String
        switch kind {
        case .source: name = rule?.text.contains("-j MASQUERADE") == true ? "MASQUERADE" : "SNAT"
        case .destination: name = "DNAT"
        case .originalSource: name = "un-DNAT"
        case .originalDestination: name = "un-SNAT"
        }
        let isRandom = kind == .source || kind == .originalDestination
        guard level != .minimal else {
            // Ports drawn by chance have no place in a stable text.
            let ends = isRandom ? "\(from.address) → \(to.address)" : "\(text(from)) → \(text(to))"
            return [kind == .originalSource ? "\(name) \(text(from)) → \(text(to))" : "\(name) \(ends)"]
        }
        var lines = [coloured("\(name) \(text(from)) → \(text(to))", .yellow)]
        if let rule {
            let comment = rule.comment.map { " \"\($0)\"" } ?? ""
            let agent = rule.agent.map { " of \($0)" } ?? ""
            let number = rule.number.map { " rule \($0)" } ?? ""
            lines.append(dimmed("  by \(rule.table) \(rule.chain)\(number)\(agent)\(comment)"))
            if chains.count > 1 { lines.append(dimmed("  through \(chains.joined(separator: " → "))")) }
        } else if kind == .originalSource || kind == .originalDestination {
            lines.append(dimmed("  by connection tracking"))
        }
        return lines
    }

    private func text(_ end: SocketAddress) -> String {
        end.port == 0 ? end.address.description : end.description
    }

    // MARK: endings

    private func dispositionLines(_ trace: PacketTrace) -> [String] {
        switch trace.disposition {
        case .delivered(let namespace):
            return level == .minimal ? [] : ["     " + coloured("delivered to \(namespace)", .green)]
        case .dropped(let reason, let place, let rule):
            let indent = level == .minimal ? "  " : "     "
            var lines = [indent + coloured("dropped \(reason.rawValue)", .red)]
            if level != .minimal {
                lines[0] += " at \(place): \(reason.explanation)"
                if let rule { lines.append(indent + "  by \(rule.table) \(rule.text)") }
            } else if let rule {
                lines.append(
                    indent + "  \(rule.table) \(rule.chain)" + (rule.comment.map { " \"\($0)\"" } ?? ""))
            }
            if let fault = trace.fault { lines.append(indent + "  because of fault \"\(fault)\"") }
            return lines
        case .waiting(let place):
            return [(level == .minimal ? "  " : "     ") + "still waiting at \(place)"]
        }
    }

    private func ending(_ trace: FlowTrace) -> [String] {
        var lines: [String] = []
        let again = trace.retransmissions
        if !again.isEmpty {
            let start = trace.report.started
            let times = again.prefix(Self.mostListed).map { durationText($0.time - start) }.joined(separator: ", ")
            let rest = again.count - Self.mostListed
            lines.append("")
            lines.append("sent again after \(times)" + (rest > 0 ? ", and \(rest) times more" : ""))
        }
        lines.append("")
        let count = trace.packets.count
        var exchange = "\(count) packet\(count == 1 ? "" : "s")"
        if trace.report.request.protocol == .tcp, count > 1 {
            exchange += ": " + flagsText(trace.packets)
        }
        lines.append(bold("exchange") + "  " + exchange)
        switch trace.report.outcome {
        case .answered where trace.report.request.protocol == .tcp:
            let status = trace.responseStatus ?? "an answer"
            let isLong = trace.responseLength > Self.longestBody
            let text = isLong ? "" : trace.responseBody
            let body = text.split(separator: "\n", omittingEmptySubsequences: false)
            let what = isLong ? "\(trace.responseLength) octets " : body.count > 1 ? "" : quoted(text) + " "
            lines.append(
                bold("answer") + "    \(status) " + what + "after "
                    + durationText(trace.report.finished - trace.report.started))
            if level == .detail { lines += trace.responseHeaders.map { "          \($0.name): \($0.value)" } }
            if body.count > 1 { lines += body.map { "          \($0)" } }
        case .answered:
            lines.append(bold("answer") + "    after " + durationText(trace.report.finished - trace.report.started))
        default: break
        }
        let label = trace.faults.count == 1 ? "fault " : "faults"
        for (number, fault) in trace.faults.enumerated() {
            lines.append((number == 0 ? bold(label) : "      ") + "    " + fault.described)
        }
        return lines
    }

    /// Longer bodies are counted instead of shown.
    private static let longestBody = 4096
    /// Of more packets only the first and the last are listed.
    private static let mostListed = 40

    private func flagsText(_ packets: [FlowPacket]) -> String {
        let half = Self.mostListed / 2
        guard packets.count > Self.mostListed else {
            return packets.map { flagText($0.headers) }.joined(separator: " ")
        }
        return
            (packets.prefix(half).map { flagText($0.headers) } + ["..."]
            + packets.suffix(half).map { flagText($0.headers) }).joined(separator: " ")
    }

    private func flagText(_ headers: HeaderSummary) -> String {
        guard headers.protocol == .tcp else {
            return headers.isICMP ? icmpName(headers) : headers.protocol.description.uppercased()
        }
        let names: [(UInt8, String)] = [(2, "S"), (1, "F"), (4, "R"), (8, "P"), (16, "A")]
        return names.filter { headers.detail & $0.0 != 0 }.map(\.1).joined()
    }

    private func packetText(_ headers: HeaderSummary) -> String {
        let ends = "\(endText(headers, isSource: true)) → \(endText(headers, isSource: false))"
        switch headers.protocol {
        case .tcp: return "TCP [\(flagText(headers))] \(ends)"
        case .icmp, .icmpv6: return "\(icmpText(headers)) \(ends)"
        default: return "\(headers.protocol.description.uppercased()) \(ends)"
        }
    }

    private func endText(_ headers: HeaderSummary, isSource: Bool) -> String {
        let address = isSource ? headers.source : headers.destination
        guard headers.protocol.hasPorts else { return address.description }
        return SocketAddress(address, isSource ? headers.sourcePort : headers.destinationPort).description
    }

    // MARK: dress

    enum Colour: String {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
        case bold = "1"
        case dim = "2"
    }

    func coloured(_ text: String, _ colour: Colour) -> String {
        usesColour ? "\u{1b}[\(colour.rawValue)m\(text)\u{1b}[0m" : text
    }

    func bold(_ text: String) -> String { coloured(text, .bold) }
    private func dimmed(_ text: String) -> String { coloured(text, .dim) }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private func quoted(_ text: String) -> String { text.isEmpty ? "" : "\"\(text)\"" }
}

extension String {
    fileprivate var trimmingBlanks: String { String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
}

extension PathEvent.RuleVerdict {
    /// What became of the packet at a rule, in iptables' words.
    var text: String {
        switch self {
        case .noMatch: "no match"
        case .counted: "counted"
        case .accept: "ACCEPT"
        case .drop: "DROP"
        case .return: "RETURN"
        case .jump, .goto: "taken"
        case .setMark: "MARK"
        case .destinationNAT: "DNAT"
        case .sourceNAT: "SNAT"
        case .masquerade: "MASQUERADE"
        case .reject: "REJECT"
        case .redirect: "REDIRECT"
        case .connectionMark: "CONNMARK"
        case .noTrack: "NOTRACK"
        case .log: "LOG"
        case .rewrite: "changed"
        }
    }
}
