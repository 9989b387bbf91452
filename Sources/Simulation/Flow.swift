// A flow: one client asks one address once or several times, and hears answers, an error or nothing. TCP requests go
// over one connection, UDP and ICMP ones come from one socket.

public import Addressing
public import Netstack

/// What a client is to do.
public struct FlowRequest: Sendable {
    public var source: NamespaceID
    public var destination: IPAddress
    /// Nil for ICMP.
    public var port: UInt16?
    public var `protocol`: IPProtocol
    /// The HTTP Host header.
    public var host: String
    /// The client gives up after this long.
    public var timeout: Nanoseconds
    /// The TTL of what the client sends; nil for its machine's default.
    public var timeToLive: UInt8?
    /// A traceroute's: over with the first answer, be it an ICMP error or a connection.
    var isProbe = false
    /// IP_MTU_DISCOVER of a client that sends datagrams or echo requests.
    public var pathMTUDiscovery = PathMTUDiscovery.want
    /// What a UDP client sends.
    public var payload = Array("podnet\n".utf8)
    /// Octets of the request's body (TCP), of the datagram (UDP) or behind the ICMP header; nil for what clients
    /// usually send.
    public var requestOctets: Int? {
        didSet { if let requestOctets { payload = HTTP.letters(requestOctets) } }
    }
    /// Octets of the answer's body an HTTP client asks for; nil for the server's name.
    public var responseOctets: Int?
    /// How often the client asks.
    public var requests = 1
    /// From an answer to the next request.
    public var interval: Nanoseconds = 1_000_000_000
    /// The client's TCP socket has SO_KEEPALIVE.
    public var sendsKeepalives = false

    /// Four seconds: long enough for three retransmissions of a SYN.
    public static let defaultTimeout: Nanoseconds = 4_000_000_000

    public init(
        from source: NamespaceID, to destination: IPAddress, port: UInt16?, protocol: IPProtocol = .tcp,
        host: String? = nil, timeout: Nanoseconds = FlowRequest.defaultTimeout
    ) {
        self.source = source
        self.destination = destination
        self.port = port
        self.protocol = `protocol`
        self.host = host ?? port.map { SocketAddress(destination, $0).description } ?? destination.description
        self.timeout = timeout
    }
}

/// How a flow ended.
public enum FlowOutcome: Hashable, Sendable {
    /// The client got its answer.
    case answered
    case failed(SocketError)
    /// Nothing was heard in time.
    case timedOut
}

/// What became of a flow.
public struct FlowReport: Sendable {
    public let request: FlowRequest
    public internal(set) var outcome: FlowOutcome?
    /// The client's own end; nil when not even a socket could be had.
    public internal(set) var local: SocketAddress?
    /// The octets of the last answer.
    public internal(set) var response: [UInt8] = []
    /// Requests sent, and answers heard.
    public internal(set) var asked = 0
    public internal(set) var answered = 0
    public internal(set) var started: Nanoseconds = 0
    public internal(set) var finished: Nanoseconds = 0
    /// The packet that ended it; 0 when none did.
    package internal(set) var answer: UInt32 = 0
    /// The path events recorded between start and end.
    package var events: Range<Int> = 0..<0
    var socket: SocketID?

    init(_ request: FlowRequest) { self.request = request }
}
