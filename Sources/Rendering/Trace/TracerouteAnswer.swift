// A traceroute as text, in the lines of traceroute -n with a line below each that says who answered and why from that
// address, and as JSON after docs/schemas/traceroute.schema.json.

internal import Addressing
internal import Netstack
public import Simulation

extension Traceroute {
    /// The lines of traceroute(8), each hop explained.
    public func text() -> String {
        let ports = request.protocol == .icmp ? "" : ", \(request.protocol)\(request.port.map { " port \($0)" } ?? "")"
        var lines = [
            "traceroute to \(request.destination), 30 hops max, \(length) byte packets\(ports)"
        ]
        for hop in hops {
            let number = String(hop.timeToLive)
            var line = (number.utf8.count < 2 ? " " : "") + number + " "
            var last: IPAddress?
            for probe in hop.probes {
                guard let address = probe.address else {
                    line += " *"
                    continue
                }
                if address != last { line += " \(address)" }
                last = address
                line += "  \(milliseconds(probe.roundTrip)) ms"
                if let sign = probe.sign { line += " \(sign)" }
            }
            lines.append(line)
            var explained: [String] = []
            for probe in hop.probes where !explained.contains(probe.explanation) { explained.append(probe.explanation) }
            lines += explained.map { "      \($0)" }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    public func json() -> JSONValue {
        .object([
            "apiVersion": .string("podnet.dev/v1alpha1"),
            "kind": .string("Traceroute"),
            "protocol": .string(request.protocol.description),
            "destination": .string(request.destination.description),
            "reached": .bool(isReached),
            "hops": .array(
                hops.map { hop in
                    .object([
                        "timeToLive": .number(hop.timeToLive),
                        "probes": .array(hop.probes.map { $0.json() }),
                    ])
                }),
        ])
    }

    private func milliseconds(_ time: Nanoseconds) -> String {
        let microseconds = (time + 500) / 1000
        let rest = String(microseconds % 1000)
        return "\(microseconds / 1000)." + String(repeating: "0", count: 3 - rest.utf8.count) + rest
    }
}

extension TracerouteProbe {
    /// What traceroute prints behind a time: nothing for time exceeded and for an answer of the destination.
    fileprivate var sign: String? {
        guard isFinal, let headers = answer?.last, headers.isICMP, !headers.isEchoReply else { return nil }
        if headers.protocol == .icmp {
            switch headers.code {
            case 0: return "!N"
            case 1: return "!H"
            case 2: return "!P"
            case 3: return nil
            case 4: return "!F"
            case 9, 10, 13: return "!X"
            default: return "!\(headers.code)"
            }
        }
        switch headers.code {
        case 0: return "!N"
        case 1: return "!X"
        case 3: return "!H"
        case 4: return nil
        default: return "!\(headers.code)"
        }
    }

    /// One word for JSON, from the answer itself.
    fileprivate var kind: String {
        guard let headers = answer?.last else { return "none" }
        if isTimeExceeded { return "timeExceeded" }
        if headers.isEchoReply { return "echoReply" }
        if headers.isICMP { return "unreachable" }
        if headers.protocol == .tcp { return headers.detail & 0x04 != 0 ? "reset" : "synAck" }
        return "datagram"
    }

    fileprivate var explanation: String {
        guard let answer, let first = answer.first, let last = answer.last, let responder else {
            return "no answer: \(whyNone)"
        }
        let place = responder.link.map { "\(responder.namespace)/\($0)" } ?? responder.namespace
        var text: String
        switch kind {
        case "timeExceeded":
            text = "time exceeded from \(place): the TTL ran out at \(dropPlace ?? responder.namespace)"
        case "echoReply": text = "echo reply from \(place)"
        case "reset": text = "reset from \(place): the port is closed"
        case "synAck": text = "connection accepted by \(place)"
        case "datagram": text = "answered by \(place)"
        default: text = "\(last.errorName) from \(place)"
        }
        if responder.link == nil {
            text += "; NAT gives an error about a translated connection the address the client asked"
        } else if first.source != last.source {
            text += "; sent from \(first.source), which NAT turns back into \(last.source)"
        }
        return text
    }

    private var dropPlace: String? {
        if case .dropped(_, let place, _) = trace.request?.disposition { return place }
        return nil
    }

    private var whyNone: String {
        switch trace.request?.disposition {
        case .dropped(let reason, let place, let rule):
            return "\(reason.rawValue) at \(place), \(reason.explanation)" + (rule.map { " (\($0.text))" } ?? "")
        case .delivered(let namespace): return "\(namespace) got the probe and said nothing that came back"
        case .waiting(let place): return "the probe waits at \(place)"
        case nil: return "the probe could not be sent"
        }
    }

    fileprivate func json() -> JSONValue {
        let headers = answer?.last
        return .object([
            "port": trace.report.request.port.map { .number(Int($0)) },
            "answer": .string(kind),
            "address": address.map { .string($0.description) },
            "responder": responder.map { .string($0.namespace) },
            "interface": responder?.link.map { .string($0) },
            "sentFrom": answer?.first.map { .string($0.source.description) },
            "icmpType": headers.flatMap { $0.isICMP ? .number(Int($0.detail)) : nil },
            "icmpCode": headers.flatMap { $0.isICMP ? .number(Int($0.code)) : nil },
            "roundTripNanoseconds": answer == nil ? nil : .number(Int(roundTrip)),
            "explanation": .string(explanation),
        ])
    }
}

extension HeaderSummary {
    fileprivate var errorName: String {
        switch (`protocol`, detail, code) {
        case (.icmp, 3, 0), (.icmpv6, 1, 0): "network unreachable"
        case (.icmp, 3, 1), (.icmpv6, 1, 3): "host unreachable"
        case (.icmp, 3, 2): "protocol unreachable"
        case (.icmp, 3, 3), (.icmpv6, 1, 4): "port unreachable"
        case (.icmp, 3, 4), (.icmpv6, 2, _): "fragmentation needed"
        case (.icmp, 3, 9), (.icmp, 3, 10), (.icmp, 3, 13), (.icmpv6, 1, 1): "administratively prohibited"
        default: "ICMP \(detail)/\(code)"
        }
    }
}
