// A flow as a person asks about it: the first packet of the request, the packet that answered it, and in a few words
// what else was exchanged.

public import Addressing
public import Netstack

/// One packet of a flow as its sender put it on the wire.
public struct FlowPacket: Hashable, Sendable {
    public let packet: UInt32
    public let time: Nanoseconds
    /// Who made it.
    public let sender: String
    public let headers: HeaderSummary
    public let isRetransmission: Bool
    public let disposition: Disposition
    /// The fault that made it end, as far as one did.
    public let fault: String?
}

/// A fault that acted while a flow was on its way.
public struct FlowFault: Hashable, Sendable {
    public let name: String
    /// The fault as one line.
    public let text: String
}

/// Everything a trace shows of a flow.
public struct FlowTrace: Sendable {
    public let report: FlowReport
    /// The first packet the client sent; nil when it could send none.
    public let request: PacketTrace?
    /// The first packet that answered it: SYN-ACK, RST, an ICMP error, a datagram.
    public let reply: PacketTrace?
    /// All IP packets of the flow, in order of sending.
    public let packets: [FlowPacket]
    /// What was wrong on purpose while the flow was on its way, in the order it began.
    public let faults: [FlowFault]

    /// The address the server saw the request come from.
    public var seenSource: SocketAddress? {
        guard case .delivered = request?.disposition, let last = request?.last else { return nil }
        return SocketAddress(last.source, last.sourcePort)
    }

    /// Where the request arrived.
    public var reached: SocketAddress? {
        guard case .delivered = request?.disposition, let last = request?.last else { return nil }
        return SocketAddress(last.destination, last.destinationPort)
    }

    /// The first line of the HTTP answer.
    public var responseStatus: String? {
        guard let end = report.response.firstIndex(of: 13) else { return nil }
        return String(decoding: report.response[..<end], as: UTF8.self)
    }

    /// The header fields of the HTTP answer, in order.
    public var responseHeaders: [(name: String, value: String)] { HTTP.headers(report.response) }

    /// The answer's body without the closing newline: the server's name, or the echoed text.
    public var responseBody: String {
        let octets = report.request.protocol == .tcp ? HTTP.body(report.response) : report.response
        return String(decoding: octets.last == 10 ? octets.dropLast() : octets[...], as: UTF8.self)
    }

    /// How many octets the answer's body has.
    public var responseLength: Int {
        guard report.request.protocol == .tcp else { return report.response.count }
        return report.response.count - (HTTP.headLength(report.response) ?? report.response.count)
    }

    /// Retransmissions of the first packet.
    public var retransmissions: [FlowPacket] { packets.filter(\.isRetransmission) }
}

extension Simulator {
    /// Runs a flow and assembles its trace. `recordEvents` must have been called.
    public mutating func trace(_ request: FlowRequest) -> FlowTrace { trace(run(request)) }

    /// The same for a client that asks again and again, so far apart or when the request before has ended.
    public mutating func trace(_ request: FlowRequest, times count: Int, every interval: Nanoseconds) -> [FlowTrace] {
        run(request, times: count, every: interval).map { trace($0) }
    }

    private func trace(_ report: FlowReport) -> FlowTrace {
        let events = eventsByPacket(report.events)
        let packets = packets(of: report, events)
        let client = name(of: report.request.source)
        // Of a request that was sent again and answered, the one that got through.
        let arrived = packets.first { packet in
            guard report.outcome == .answered, packet.sender == client, case .delivered = packet.disposition else {
                return false
            }
            return true
        }
        let first = arrived ?? packets.first { $0.sender == client }
        let request = first.map { trace(of: $0.packet, events[$0.packet] ?? [], at: nil) }
        let reply = packets.first { packet in
            packet.packet != first?.packet && answers(packet, first, seenBy: request?.last, client)
        }
        return FlowTrace(
            report: report, request: request,
            reply: reply.map { trace(of: $0.packet, events[$0.packet] ?? [], at: nil) },
            packets: packets,
            faults: faults.plan.acting(from: report.started, to: report.finished).map {
                FlowFault(name: $0.name, text: $0.text)
            })
    }

    /// The answer is the first packet another end made because of the request, or the client itself: about it (a local
    /// rejection), or as the server it turned out to be (hairpin), where only the ports tell the directions apart.
    private func answers(
        _ packet: FlowPacket, _ first: FlowPacket?, seenBy server: HeaderSummary?, _ client: String
    ) -> Bool {
        guard let first, !packet.isRetransmission else { return false }
        if packet.sender != client { return true }
        let headers = packet.headers
        if headers.isICMP {
            return !first.headers.isICMP || headers.detail != first.headers.detail
        }
        guard let server else { return false }
        return headers.sourcePort == server.destinationPort && headers.destinationPort == server.sourcePort
    }

    /// The IP packets of a flow, without those that find neighbors and without copies.
    private func packets(of report: FlowReport, _ events: [UInt32: [PathEvent]]) -> [FlowPacket] {
        var origins: [UInt32: (sender: NamespaceID, isRetransmission: Bool, time: Nanoseconds)] = [:]
        var order: [UInt32] = []
        var headers: [UInt32: HeaderSummary] = [:]
        for event in context.recording.events[report.events] {
            switch event.kind {
            case .originated(_, let isRetransmission) where origins[event.packet] == nil:
                origins[event.packet] = (event.namespace, isRetransmission, event.time)
                order.append(event.packet)
            case .frame(_, _, let summary, _) where headers[event.packet] == nil:
                headers[event.packet] = summary
            default: break
            }
        }
        return order.compactMap { packet in
            guard let origin = origins[packet], let summary = headers[packet] ?? unsent(report, origin.sender),
                !summary.findsNeighbors
            else { return nil }
            let trace = trace(of: packet, events[packet] ?? [], at: nil, withSteps: false)
            return FlowPacket(
                packet: packet, time: origin.time, sender: name(of: origin.sender), headers: summary,
                isRetransmission: origin.isRetransmission, disposition: trace.disposition, fault: trace.fault)
        }
    }

    /// The headers of a packet that no tap ever saw, as far as the request tells them.
    private func unsent(_ report: FlowReport, _ sender: NamespaceID) -> HeaderSummary? {
        guard sender == report.request.source, let local = report.local else { return nil }
        var summary = HeaderSummary(
            unsent: report.request.protocol == .icmp && local.address.family == .ipv6
                ? .icmpv6 : report.request.protocol, source: local,
            destination: SocketAddress(report.request.destination, report.request.port ?? 0))
        // What a client sends first: a SYN, or an echo request.
        switch report.request.protocol {
        case .tcp: summary.detail = 0x02
        case .icmp: summary.detail = local.address.family == .ipv4 ? 8 : 128
        default: break
        }
        return summary
    }
}
