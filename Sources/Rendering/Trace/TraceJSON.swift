// A flow's trace as JSON, after docs/schemas/trace.schema.json. Members that do not apply are left out; a change here
// is a change of the schema.

internal import Addressing
internal import Netstack
public import Simulation

/// Turns traces into JSON.
public struct TraceJSON: Sendable {
    /// Also the tables, chains and rules that were tried.
    public var includesRules: Bool

    public init(includesRules: Bool = false) { self.includesRules = includesRules }

    public func value(_ trace: FlowTrace) -> JSONValue {
        .object([
            "apiVersion": .string("podnet.dev/v1alpha1"),
            "kind": .string("Trace"),
            "verdict": .string(trace.verdict.rawValue),
            "headline": .string(trace.headline),
            "protocol": .string(trace.report.request.protocol.description),
            "client": trace.report.local.map { end($0) },
            "destination": destination(trace),
            "server": trace.reached.map { reached in
                .object([
                    "namespace": place(trace.request?.disposition),
                    "address": .string(reached.address.description),
                    "port": .number(Int(reached.port)),
                    "seesAddress": trace.seenSource.map { .string($0.address.description) },
                    "seesPort": trace.seenSource.map { .number(Int($0.port)) },
                ])
            },
            "outcome": outcome(trace),
            "translations": .number(trace.request?.translations ?? 0),
            "nodes": .array((trace.request?.nodes ?? []).map { .string($0) }),
            "encapsulated": .bool(trace.request?.isEncapsulated ?? false),
            "request": trace.request.map { packet($0) },
            "reply": trace.reply.map { packet($0) },
            "packets": .array(trace.packets.map { summary($0) }),
            "faults": trace.faults.isEmpty
                ? nil
                : .array(trace.faults.map { .object(["name": .string($0.name), "text": .string($0.text)]) }),
        ])
    }

    private func end(_ end: SocketAddress) -> JSONValue {
        .object(["address": .string(end.address.description), "port": .number(Int(end.port))])
    }

    private func destination(_ trace: FlowTrace) -> JSONValue {
        .object([
            "address": .string(trace.report.request.destination.description),
            "port": trace.report.request.port.map { .number(Int($0)) },
        ])
    }

    private func outcome(_ trace: FlowTrace) -> JSONValue {
        let report = trace.report
        let error: JSONValue?
        let result: String
        switch report.outcome {
        case .answered: (result, error) = ("answered", nil)
        case .failed(let reason): (result, error) = ("failed", .string(reason.rawValue))
        case .timedOut, nil: (result, error) = ("timedOut", nil)
        }
        let isHTTP = report.request.protocol == .tcp && !report.response.isEmpty
        return .object([
            "result": .string(result),
            "error": error,
            "durationNanoseconds": .number(Int(report.finished - report.started)),
            "status": isHTTP ? trace.responseStatus.map { .string($0) } : nil,
            "headers": isHTTP
                ? .object(trace.responseHeaders.map { JSONValue.Member($0.name, .string($0.value)) }) : nil,
            "body": report.response.isEmpty ? nil : .string(trace.responseBody),
        ])
    }

    private func place(_ disposition: Disposition?) -> JSONValue? {
        if case .delivered(let namespace) = disposition { return .string(namespace) }
        return nil
    }

    private func packet(_ trace: PacketTrace) -> JSONValue {
        .object([
            "packet": .number(Int(trace.packet)),
            "hops": .array(trace.hops.map { hop($0) }),
            "disposition": disposition(trace.disposition, fault: trace.fault),
        ])
    }

    private func disposition(_ disposition: Disposition, fault: String?) -> JSONValue {
        switch disposition {
        case .delivered(let namespace):
            return .object(["kind": .string("delivered"), "namespace": .string(namespace)])
        case .dropped(let reason, let place, let rule):
            return .object([
                "kind": .string("dropped"), "reason": .string(reason.rawValue),
                "explanation": .string(reason.explanation), "place": .string(place), "rule": rule.map { self.rule($0) },
                "fault": fault.map { .string($0) },
            ])
        case .waiting(let place): return .object(["kind": .string("waiting"), "place": .string(place)])
        }
    }

    private func hop(_ hop: TraceHop) -> JSONValue {
        .object([
            "place": .string(hop.place),
            "namespace": .string(hop.namespace),
            "machine": .string(hop.machine.rawValue),
            "interface": hop.link.map { .string($0) },
            "direction": .string(hop.direction == .ingress ? "in" : "out"),
            "timeNanoseconds": .number(Int(hop.time)),
            "headers": hop.headers.map { headers($0) },
            "steps": .array(hop.steps.compactMap { step($0) }),
        ])
    }

    private func headers(_ headers: HeaderSummary) -> JSONValue {
        .object([
            "sourceMAC": .string(headers.sourceMAC.description),
            "destinationMAC": .string(headers.destinationMAC.description),
            "source": .string(headers.source.description),
            "destination": .string(headers.destination.description),
            "sourcePort": headers.protocol.hasPorts ? .number(Int(headers.sourcePort)) : nil,
            "destinationPort": headers.protocol.hasPorts ? .number(Int(headers.destinationPort)) : nil,
            "protocol": .string(headers.protocol.description),
            "ttl": .number(Int(headers.timeToLive)),
            "length": .number(Int(headers.length)),
            "outer": headers.isEncapsulated
                ? .object([
                    "source": .string(headers.outerSource.description),
                    "destination": .string(headers.outerDestination.description),
                    "ttl": .number(Int(headers.outerTimeToLive)),
                ]) : nil,
        ])
    }

    func rule(_ rule: TraceRule) -> JSONValue {
        .object([
            "table": .string(rule.table),
            "chain": .string(rule.chain),
            "number": rule.number.map { .number($0) },
            "text": .string(rule.text),
            "comment": rule.comment.map { .string($0) },
            "agent": rule.agent.map { .string($0) },
        ])
    }

    private func step(_ step: TraceStep) -> JSONValue? {
        switch step {
        case .hook(let hook, let table):
            guard includesRules else { return nil }
            return .object([
                "kind": .string("hook"), "hook": .string(hook.chainName), "table": .string(table),
            ])
        case .rule(let rule, let verdict):
            guard includesRules else { return nil }
            return .object([
                "kind": .string("rule"), "matched": .bool(verdict != .noMatch),
                "verdict": verdict == .noMatch ? nil : .string(verdict.text), "rule": self.rule(rule),
            ])
        case .tracked: return nil
        case .translated(let kind, let from, let to, let rule, let chains):
            return .object([
                "kind": .string("translated"),
                "what": .string(kind == .source || kind == .originalSource ? "source" : "destination"),
                "undone": .bool(kind == .originalSource || kind == .originalDestination),
                "from": end(from), "to": end(to), "rule": rule.map { self.rule($0) },
                "chains": chains.isEmpty ? nil : .array(chains.map { .string($0) }),
            ])
        case .scheduled(let server, let scheduler, let real, let isRemembered):
            return .object([
                "kind": .string("scheduled"), "scheduler": .string(scheduler), "realServer": end(real),
                "remembered": .bool(isRemembered), "rule": rule(server),
            ])
        case .routed(let route, let egress):
            return .object(["kind": .string("routed"), "route": .string(route), "interface": .string(egress)])
        case .waitsForNeighbor(let address, let link):
            return .object([
                "kind": .string("waitsForNeighbor"), "address": .string(address.description),
                "interface": .string(link),
            ])
        case .encapsulated(let device, let local, let remote, let vni):
            return .object([
                "kind": .string("encapsulated"), "interface": .string(device), "local": .string(local.description),
                "remote": .string(remote.description), "vni": .number(Int(vni)),
            ])
        case .decapsulated(let device, let remote, let vni):
            return .object([
                "kind": .string("decapsulated"), "interface": .string(device), "remote": .string(remote.description),
                "vni": .number(Int(vni)),
            ])
        case .bridged(let bridge, let egress):
            return .object(["kind": .string("bridged"), "bridge": .string(bridge), "interface": .string(egress)])
        case .flooded(let bridge): return .object(["kind": .string("flooded"), "bridge": .string(bridge)])
        case .fragmented(let count, let mtu):
            return .object(["kind": .string("fragmented"), "count": .number(count), "mtu": .number(mtu)])
        case .fault(let name, let action):
            var delay: JSONValue?
            if case .delayed(let time) = action { delay = .number(Int(time)) }
            return .object([
                "kind": .string("fault"), "fault": .string(name), "action": .string(action.word),
                "delayNanoseconds": delay,
            ])
        }
    }

    private func summary(_ packet: FlowPacket) -> JSONValue {
        .object([
            "packet": .number(Int(packet.packet)),
            "timeNanoseconds": .number(Int(packet.time)),
            "sender": .string(packet.sender),
            "retransmission": .bool(packet.isRetransmission),
            "headers": headers(packet.headers),
            "disposition": disposition(packet.disposition, fault: packet.fault),
        ])
    }
}
