// What a node does with one packet, as text and as JSON after docs/schemas/packet.schema.json: the outcome, every end
// it can be translated to with its chance, and the path through the rules.

internal import Addressing
internal import Netstack
public import Simulation

extension TraceText {
    /// The whole answer, ending in a newline. At the normal level the path of the first branch stands for all.
    public func text(_ report: NodePacketReport, node: String) -> String {
        var lines: [String] = []
        let outcome = report.outcome
        let isGood = outcome == .translated || outcome == .local || outcome == .forwarded
        lines.append(coloured(report.headline, isGood ? .green : .red))
        let packet = report.packet
        let ends = "\(end(packet.source, packet.protocol)) → \(end(packet.destination, packet.protocol))"
        let way = packet.ingress.map { "into \(node) by \($0)" } ?? "sent by \(node)"
        lines.append("\(packet.protocol.description.uppercased()) \(ends) \(way)")
        let endpoints = report.endpoints
        if !endpoints.isEmpty {
            var table = ColumnTable(headings: ["ENDPOINT", "CHANCE", "SEES"])
            for endpoint in endpoints {
                let source = endpoint.source.map { "\($0)" } ?? "\(packet.source.address)"
                table.rows.append([
                    end(endpoint.address, packet.protocol), percentText(endpoint.probability), source,
                ])
            }
            lines.append("")
            lines += table.text().split(separator: "\n").map(String.init)
        }
        if report.isIncomplete { lines.append("there are more branches than were followed") }
        let shown = level == .detail ? report.branches[...] : report.branches.prefix(1)
        for (number, branch) in shown.enumerated() {
            lines.append("")
            var title = branch.outcome.rawValue
            if let reject = branch.reject { title += " with \(reject.rawValue)" }
            if branch.outcome == .translated { title += " to \(end(branch.destination, packet.protocol))" }
            let place = report.branches.count > 1 ? " \(number + 1) of \(report.branches.count)" : ""
            lines.append(bold("path\(place)") + "  \(title)  \(percentText(branch.probability))")
            lines += hopLines(branch.trace, unfinished: coloured("leaves \(node)", .green))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func end(_ end: SocketAddress, _ transport: IPProtocol) -> String {
        transport.hasPorts ? end.description : end.address.description
    }
}

extension NodePacketReport {
    /// The answer in one line.
    public var headline: String {
        switch outcome {
        case .translated:
            let count = endpoints.count
            return "DNAT to \(count) endpoint\(count == 1 ? "" : "s")"
        case .rejected:
            let kind = branches.lazy.compactMap(\.reject).first
            return "REJECT" + (kind.map { " with \($0.rawValue)" } ?? "") + blame
        case .dropped: return "DROP" + blame
        case .local:
            if case .delivered? = branches.first?.trace.disposition { return "LOCAL: a socket of the node gets it" }
            return "LOCAL: it is for the node, where nothing listens"
        case .forwarded:
            let source = branches.lazy.compactMap(\.translatedSource).first
            return "FORWARD" + (source.map { ", from \($0.address)" } ?? " unchanged")
        }
    }

    private var blame: String {
        for branch in branches {
            guard case .dropped(let reason, _, let rule) = branch.trace.disposition else { continue }
            guard let rule else { return " · \(reason.rawValue), \(reason.explanation)" }
            let number = rule.number.map { " rule \($0)" } ?? (rule.table == "ipvs" ? "" : " policy")
            return " · \(rule.table) \(rule.chain)\(number)" + (rule.comment.map { " \"\($0)\"" } ?? "")
        }
        return ""
    }
}

extension TraceJSON {
    public func value(_ report: NodePacketReport, node: String) -> JSONValue {
        let packet = report.packet
        let reject = report.outcome == .rejected ? report.branches.lazy.compactMap(\.reject).first : nil
        let dropped = report.branches.lazy.compactMap { branch -> DropReason? in
            guard branch.outcome == .dropped, case .dropped(let reason, _, _) = branch.trace.disposition else {
                return nil
            }
            return reason
        }.first
        return .object([
            "apiVersion": .string("podnet.dev/v1alpha1"),
            "kind": .string("NodePacket"),
            "node": .string(node),
            "in": packet.ingress.map { .string($0) },
            "protocol": .string(packet.protocol.description),
            "source": end(packet.source, packet.protocol),
            "destination": end(packet.destination, packet.protocol),
            "outcome": .string(report.outcome.rawValue),
            "endpoints": .array(
                report.endpoints.map { endpoint in
                    .object([
                        "address": .string(endpoint.address.address.description),
                        "port": packet.protocol.hasPorts ? .number(Int(endpoint.address.port)) : nil,
                        "probability": .fraction(endpoint.probability),
                        "source": endpoint.source.map { .string($0.description) } ?? .null,
                    ])
                }),
            "reject": reject.map { self.reject($0) } ?? .null,
            "drop": dropped.map { .string($0.rawValue) },
            "rules": .array(report.branches.first.map { rules($0) } ?? []),
            "branches": .array(
                report.branches.map { branch in
                    .object([
                        "outcome": .string(branch.outcome.rawValue),
                        "probability": .fraction(branch.probability),
                        "destination": end(branch.destination, packet.protocol),
                        "source": branch.translatedSource.map { .string($0.address.description) } ?? .null,
                        "rules": includesRules ? .array(rules(branch)) : nil,
                    ])
                }),
            "complete": .bool(!report.isIncomplete),
        ])
    }

    private func end(_ end: SocketAddress, _ transport: IPProtocol) -> JSONValue {
        .object([
            "address": .string(end.address.description),
            "port": transport.hasPorts ? .number(Int(end.port)) : nil,
        ])
    }

    private func reject(_ kind: RejectKind) -> JSONValue {
        guard let code = kind.code else { return .string("tcp-reset") }
        return .object(["type": .number(kind.family == .ipv6 ? 1 : 3), "code": .number(Int(code))])
    }

    /// The rules that matched, with what they did.
    private func rules(_ branch: NodePacketBranch) -> [JSONValue] {
        branch.trace.hops.flatMap(\.steps).compactMap { step in
            guard case .rule(let rule, let verdict) = step, verdict != .noMatch,
                case .object(let members) = self.rule(rule)
            else { return nil }
            return .object(members + [JSONValue.Member("verdict", .string(verdict.text))])
        }
    }
}

/// A chance with two decimals where it has any: `50 %`, `33.33 %`.
func percentText(_ probability: Double) -> String {
    let hundredths = Int((probability * 10_000).rounded())
    guard hundredths > 0 || probability <= 0 else { return "<0.01 %" }
    let (whole, rest) = (hundredths / 100, hundredths % 100)
    return rest == 0 ? "\(whole) %" : "\(whole).\(rest < 10 ? "0" : "")\(rest) %"
}
