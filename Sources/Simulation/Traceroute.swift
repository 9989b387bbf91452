// traceroute(8) as of traceroute 2.1: three probes for each TTL, one after the other (`-N 1`), until one of them is
// answered by more than a time exceeded. UDP probes are connected sockets of their own towards ports from 33434 on, TCP
// probes connect and close, ICMP probes are echo requests. Simplified: echo requests are ping's, each
// with an identifier of its own, and a probe waits its whole timeout.

public import Addressing
public import Netstack

/// One probe and what was heard of it.
public struct TracerouteProbe: Sendable {
    public let trace: FlowTrace
    /// The packet that answered; nil when nothing did.
    public let answer: PacketTrace?
    /// The interface that has the address the answer was sent from, and its owner.
    public let responder: (namespace: String, link: String?)?

    /// Until the answer.
    public var roundTrip: Nanoseconds { trace.report.finished - trace.report.started }
    /// Who seems to have answered, as the client sees it.
    public var address: IPAddress? { answer?.last?.source }
    /// Something other than a router on the way answered: there is nothing behind.
    public var isFinal: Bool { answer != nil && !isTimeExceeded }

    public var isTimeExceeded: Bool {
        guard let headers = answer?.last, headers.isICMP else { return false }
        return headers.detail == (headers.protocol == .icmp ? 11 : 3)
    }
}

/// The probes of one TTL.
public struct TracerouteHop: Sendable {
    public let timeToLive: Int
    public let probes: [TracerouteProbe]
}

/// All of a traceroute.
public struct Traceroute: Sendable {
    public let request: FlowRequest
    public let hops: [TracerouteHop]
    /// Octets of a probe with its IP header.
    public let length: Int

    /// The destination itself answered.
    public var isReached: Bool {
        hops.last?.probes.contains { probe in
            guard probe.isFinal, let headers = probe.answer?.last else { return false }
            // Of errors only one about the port, or the protocol, comes from where the probe was to go.
            return !headers.isICMP || headers.isEchoReply || probe.trace.report.outcome == .failed(.connectionRefused)
                || probe.trace.report.outcome == .failed(.protocolUnreachable)
        } ?? false
    }
}

extension Simulator {
    /// The first port of UDP probes nobody chose another one for, and that of TCP probes.
    public static var tracerouteUDPPort: UInt16 { 33_434 }
    public static var tracerouteTCPPort: UInt16 { 80 }

    /// Probes the way to a destination. Without a port UDP probes go to one port after the other from 33434 on.
    /// `recordEvents` must have been called.
    public mutating func traceroute(
        _ request: FlowRequest, queries: Int = 3, mostHops: Int = 30
    ) -> Traceroute {
        var hops: [TracerouteHop] = []
        var number: UInt16 = 0
        var length = 0
        for timeToLive in 1...max(mostHops, 1) {
            var probes: [TracerouteProbe] = []
            for _ in 0..<max(queries, 1) {
                var probe = request
                probe.timeToLive = UInt8(clamping: timeToLive)
                probe.isProbe = true
                // 60 octets with both headers.
                probe.payload = (0..<32).map { 0x40 + $0 }
                switch probe.protocol {
                case .udp: probe.port = request.port ?? Self.tracerouteUDPPort &+ number
                case .tcp: probe.port = request.port ?? Self.tracerouteTCPPort
                default: probe.port = nil
                }
                number &+= 1
                probes.append(self.probe(probe))
                if length == 0, let first = probes[0].trace.request?.first { length = max(Int(first.length) - 14, 0) }
            }
            hops.append(TracerouteHop(timeToLive: timeToLive, probes: probes))
            if probes.contains(where: \.isFinal) { break }
        }
        return Traceroute(request: request, hops: hops, length: length)
    }

    private mutating func probe(_ request: FlowRequest) -> TracerouteProbe {
        let trace = trace(request)
        guard trace.report.answer != 0 else { return TracerouteProbe(trace: trace, answer: nil, responder: nil) }
        let events = eventsByPacket(trace.report.events)[trace.report.answer] ?? []
        let answer = self.trace(of: trace.report.answer, events, at: nil)
        return TracerouteProbe(trace: trace, answer: answer, responder: events.first.map { responder($0, answer) })
    }

    private func responder(_ origin: PathEvent, _ answer: PacketTrace) -> (namespace: String, link: String?) {
        let namespace = built(origin.namespace)
        let link = namespace.links.first { link in
            link.addresses.contains { $0.interface.address == answer.first?.source }
        }
        return (name(of: origin.namespace), link?.name)
    }
}
