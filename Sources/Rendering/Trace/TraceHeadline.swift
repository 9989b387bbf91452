// One line that answers the question: did the request arrive, where, and as what; and if not, what stopped it and whose
// rule or setting that was.

internal import Addressing
internal import Netstack
public import Simulation

extension FlowTrace {
    /// The headline.
    public var headline: String {
        var parts: [String]
        switch verdict {
        case .delivered:
            parts = ["delivered to \(destinationText)"] + viewOfServer + journey
        case .unanswered:
            parts = ["delivered to \(destinationText), but no answer came back"]
            if case .dropped(let reason, let place, let rule) = reply?.disposition {
                parts.append("the answer ended at \(place): \(reason.rawValue), \(blame(reason, rule))")
            }
            parts += viewOfServer + clientView
        case .rejected: parts = rejection + clientView
        case .dropped:
            if case .dropped(let reason, let place, let rule) = request?.disposition {
                parts = ["dropped at \(place)", reason.rawValue, blame(reason, rule)]
            } else {
                parts = ["dropped"]
            }
            parts += clientView
        case .unreachable: parts = unreachability + clientView
        }
        let fault = request?.fault ?? reply?.fault ?? packets.lazy.compactMap(\.fault).first
        if verdict != .delivered, let fault { parts.insert("fault \"\(fault)\"", at: min(parts.count, 2)) }
        return parts.joined(separator: " · ")
    }

    private var destinationText: String {
        guard case .delivered(let namespace) = request?.disposition, let reached else { return "nowhere" }
        return report.request.protocol == .icmp ? "\(namespace) \(reached.address)" : "\(namespace) \(reached)"
    }

    private var viewOfServer: [String] {
        seenSource.map { ["the server sees \($0.address)"] } ?? []
    }

    private var journey: [String] {
        guard let request else { return [] }
        var parts = [
            "\(request.translations) NAT", "\(request.nodes.count) node\(request.nodes.count == 1 ? "" : "s")",
        ]
        if request.isEncapsulated { parts.append("encapsulated") }
        return parts
    }

    private var rejection: [String] {
        guard let reply, let headers = reply.first else { return ["rejected"] }
        let answer =
            headers.isICMP
            ? "\(icmpText(headers)) from \(reply.last?.source ?? headers.source)"
            : "TCP reset from \(reply.last?.source ?? headers.source)"
        switch request?.disposition {
        case .dropped(.noSocket, let place, _):
            let target = request?.last.map { "\(SocketAddress($0.destination, $0.destinationPort))" } ?? place
            return ["refused by \(owner(place)) \(target)", DropReason.noSocket.explanation, answer]
        case .dropped(let reason, let place, let rule):
            return ["rejected at \(place)", answer, blame(reason, rule)]
        default: return ["rejected", answer]
        }
    }

    private var unreachability: [String] {
        guard let request else {
            return ["unreachable: nothing was sent"]
        }
        guard case .dropped(let reason, let place, let rule) = request.disposition else {
            return ["unreachable"]
        }
        var parts = ["unreachable at \(place)", reason.rawValue, blame(reason, rule)]
        if let reply, let headers = reply.first, headers.isICMP {
            parts.append("\(icmpText(headers)) from \(reply.last?.source ?? headers.source)")
        }
        return parts
    }

    private func owner(_ place: String) -> String {
        place.lastIndex(of: "/").map { String(place[..<$0]) } ?? place
    }

    private func blame(_ reason: DropReason, _ rule: TraceRule?) -> String {
        guard let rule else { return reason.explanation }
        if let comment = rule.comment { return comment }
        if rule.table == "ipvs" { return "ipvs \(rule.chain)" }
        if rule.number == nil { return "the policy of \(rule.table) \(rule.chain)" }
        return "\(rule.table) \(rule.chain) rule \(rule.number ?? 0)"
    }

    private var clientView: [String] {
        switch report.outcome {
        case .failed(let error): return ["the client sees \(error.rawValue) (\(error.explanation))"]
        case .timedOut:
            let tries = 1 + retransmissions.count { $0.sender == packets.first?.sender }
            let noun = report.request.protocol == .tcp && !hasReplyFromServer ? "SYN" : "packet"
            let what = "\(tries) \(noun)\(tries == 1 ? "" : "s")"
            return ["the client gave up after \(durationText(report.finished - report.started)), \(what) sent"]
        case .answered, nil: return []
        }
    }

    private var hasReplyFromServer: Bool { reply?.first?.protocol == .tcp }
}

/// `ICMP` or `ICMPv6`.
func icmpName(_ headers: HeaderSummary) -> String { headers.protocol == .icmpv6 ? "ICMPv6" : "ICMP" }

/// An ICMP message of either family with its name.
func icmpText(_ headers: HeaderSummary) -> String {
    let (type, code) = (headers.detail, headers.code)
    return icmpName(headers) + " "
        + (headers.protocol == .icmpv6 ? icmpv6Text(type: type, code: code) : icmpText(type: type, code: code))
}

private func icmpv6Text(type: UInt8, code: UInt8) -> String {
    switch (type, code) {
    case (1, 0): "no route"
    case (1, 1): "admin prohibited"
    case (1, 2): "beyond scope"
    case (1, 3): "address unreachable"
    case (1, 4): "port unreachable"
    case (1, 5): "policy failed"
    case (1, 6): "reject route"
    case (2, _): "packet too big"
    case (3, _): "time exceeded"
    case (4, 1): "unknown next header"
    case (128, _): "echo request"
    case (129, _): "echo reply"
    default: "type \(type) code \(code)"
    }
}

/// tcpdump's and ping's words for an ICMP message.
private func icmpText(type: UInt8, code: UInt8) -> String {
    switch (type, code) {
    case (0, _): "echo reply"
    case (3, 0): "net unreachable"
    case (3, 1): "host unreachable"
    case (3, 2): "protocol unreachable"
    case (3, 3): "port unreachable"
    case (3, 4): "fragmentation needed"
    case (3, 9): "net prohibited"
    case (3, 10): "host prohibited"
    case (3, 13): "admin prohibited"
    case (5, _): "redirect"
    case (8, _): "echo request"
    case (11, _): "time exceeded"
    default: "type \(type) code \(code)"
    }
}

/// A duration with a fitting unit: `4 s`, `1.2 ms`, `30 us`.
func durationText(_ nanoseconds: Nanoseconds) -> String {
    let units: [(Nanoseconds, String)] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")]
    for (size, unit) in units where nanoseconds >= size {
        let tenths = (nanoseconds * 10 + size / 2) / size
        return tenths % 10 == 0 ? "\(tenths / 10) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
    }
    return "\(nanoseconds) ns"
}
