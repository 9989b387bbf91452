// What the real client of a flow sends, and when it has its answer: as podnet's own does, one request after the other
// over one socket.

internal import Addressing
internal import Netstack
internal import Simulation
internal import Wire

/// A client at work.
struct RealClient {
    let request: FlowRequest
    /// Of its echo requests.
    private let identifier: UInt16
    private var asked = 0
    private var answered = 0
    private var response: [UInt8] = []
    /// When it asks the next time, on the monotonic clock.
    private(set) var asksAgain: Int64?
    /// When it loses patience, unless it is answered.
    private var patience: Int64

    init(_ request: FlowRequest, identifier: UInt16, at now: Int64) {
        self.request = request
        patience = now + request.timeout
        self.identifier = identifier
    }

    var isConnecting: Bool { request.protocol == .tcp && asked == 0 }
    var isDone: Bool { answered == request.requests }

    func hasGivenUp(at now: Int64) -> Bool { answered < max(asked, 1) && now >= patience }

    /// The octets of the next request.
    mutating func nextRequest(at now: Int64) -> [UInt8] {
        asked += 1
        if asked > 1 { patience = now + request.timeout }
        asksAgain = nil
        response = []
        switch request.protocol {
        case .tcp:
            return HTTP.request(
                host: request.host, body: request.requestOctets, response: request.responseOctets,
                keepsOpen: asked < request.requests)
        case .udp: return request.payload
        default: return echoRequest()
        }
    }

    /// Takes what was received; true when that was the rest of an answer.
    mutating func hears(_ octets: [UInt8], at now: Int64) -> Bool {
        switch request.protocol {
        case .tcp where asked == request.requests: guard octets.isEmpty else { return false }
        case .tcp:
            response += octets
            guard HTTP.isComplete(response) else { return false }
        case .udp: break
        default: guard isReply(octets) else { return false }
        }
        guard answered < asked else { return false }
        answered += 1
        if !isDone { asksAgain = now + request.interval }
        return true
    }

    private func echoRequest() -> [UInt8] {
        let isIPv4 = request.destination.family == .ipv4
        var octets: [UInt8] = [isIPv4 ? 8 : 128, 0, 0, 0]
        for number in [identifier, UInt16(asked)] { octets += [UInt8(number >> 8), UInt8(number & 255)] }
        octets += pingPayload(request.requestOctets)
        // The kernel fills in the checksum of ICMPv6.
        guard isIPv4 else { return octets }
        let end = octets.count
        var span = octets.mutableSpan
        var bytes = span.mutableBytes
        TransportChecksum.fill(
            .icmp, source: request.destination, destination: request.destination, in: &bytes, segment: 0..<end)
        return octets
    }

    private func isReply(_ message: [UInt8]) -> Bool {
        // A raw IPv4 socket hands over the IP header, a raw IPv6 socket does not.
        let start = message.first.map { $0 >> 4 == 4 ? Int($0 & 15) * 4 : 0 } ?? 0
        guard message.count >= start + 8, message[start] == 0 || message[start] == 129 else { return false }
        return UInt16(message[start + 4]) << 8 | UInt16(message[start + 5]) == identifier
    }
}
