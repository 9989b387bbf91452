// What runs in pods and on hosts: an HTTP server behind every TCP listener, a UDP echo behind every UDP listener, and
// the client of a flow. Applications think for a moment of virtual time before they act, so that the kernels' own
// answers (acknowledgments above all) are on the wire first, as on a real machine.

internal import Addressing
internal import Netstack

/// What an application waits for.
enum ApplicationTimer: Sendable {
    /// A client whose connection is open asks.
    case request(flow: Int, SocketID, cause: UInt32)
    case respond(NamespaceID, SocketID, cause: UInt32)
    case close(NamespaceID, SocketID, cause: UInt32)
    case echo(NamespaceID, SocketID, [UInt8], to: SocketAddress, cause: UInt32)
    /// A client asks again.
    case ask(flow: Int)
}

/// The socket of an application.
struct ApplicationSocket: Hashable, Sendable {
    var namespace: NamespaceID
    var socket: SocketID
}

/// The behaviour behind a connected socket. Listeners need none: their connections answer HTTP, their datagrams are
/// echoed.
enum Application: Sendable {
    case httpConnection(HTTPConnection)
    /// The client end of a flow.
    case client(flow: Int)
}

/// One connection of an HTTP server.
package struct HTTPConnection: Sendable {
    package enum Answer: Sendable {
        /// The server's name, or as many octets as the path asks for.
        case server(name: String)
        case always([UInt8])
    }

    let answer: Answer
    /// What has been read of the request's head, and what is known of it once that is complete.
    private var head: [UInt8] = []
    private(set) var request: HTTP.Request?
    /// Octets of the body yet to come.
    private var missing = 0
    /// Once the answer is written the server closes, because of this packet; nil while it keeps the connection.
    var closesBecauseOf: UInt32?

    package init(answer: Answer) { self.answer = answer }

    /// Reads on. True when a request is complete; what a client sends before it is answered is not read.
    package mutating func read(_ octets: [UInt8]) -> Bool {
        if request != nil {
            guard missing > 0 else { return false }
            missing -= octets.count
            return missing <= 0
        }
        // A request line and headers need no more room than this.
        head = Array((head + octets.prefix(HTTP.mostHead)).suffix(HTTP.mostHead))
        guard let length = HTTP.headLength(head) else { return false }
        let parsed = HTTP.Request(head: head[..<length])
        missing = parsed.contentLength - (head.count - length) - max(octets.count - HTTP.mostHead, 0)
        request = parsed
        return missing <= 0
    }

    /// The answer to the request, which is done with.
    package mutating func takeAnswer() -> (octets: [UInt8], keepsOpen: Bool) {
        let keepsOpen: Bool
        let octets: [UInt8]
        switch answer {
        case .always(let answer): (octets, keepsOpen) = (answer, false)
        case .server(let name):
            keepsOpen = request?.keepsOpen == true
            let body = request?.responseLength.map { HTTP.letters($0) } ?? Array((name + "\n").utf8)
            octets = HTTP.response(
                "200 OK", headers: [("Content-Type", "text/plain")], body: body, keepsOpen: keepsOpen)
        }
        (head, request) = ([], nil)
        return (octets, keepsOpen)
    }
}

/// The pauses applications make.
enum ApplicationDelay {
    /// From an open connection to the request.
    static let request: Nanoseconds = 100_000
    /// From a complete request, once it is read, to the response.
    static let response: Nanoseconds = 50_000
    /// From the last octet written, or the peer's FIN, to close().
    static let close: Nanoseconds = 500_000
    static let serverClose: Nanoseconds = 450_000
    static let clientClose: Nanoseconds = 0
    static let echo: Nanoseconds = 50_000
}

/// The octets of an HTTP exchange. A server answers `GET /bytes/N` with N letters and everything else with its name; it
/// reads a body as long as Content-Length says, and closes unless the request says `Connection: keep-alive`.
package enum HTTP {
    /// A head longer than this is never complete.
    static let mostHead = 65_536
    /// A server makes no larger answer.
    static let mostResponse = 1 << 30

    package static func request(host: String, body: Int? = nil, response: Int? = nil, keepsOpen: Bool = false)
        -> [UInt8]
    {
        let path = response.map { "/bytes/\($0)" } ?? "/"
        var head = "\(body == nil ? "GET" : "POST") \(path) HTTP/1.1\r\nHost: \(host)\r\n"
        head += "User-Agent: podnet\r\nAccept: */*\r\n"
        if keepsOpen { head += "Connection: keep-alive\r\n" }
        if let body { head += "Content-Length: \(body)\r\n" }
        return Array((head + "\r\n").utf8) + letters(body ?? 0)
    }

    static func response(
        _ status: String, headers: [(name: String, value: String)], body: [UInt8], keepsOpen: Bool = false
    ) -> [UInt8] {
        let own = headers.map { "\($0.name): \($0.value)\r\n" }.joined()
        let rest = "Content-Length: \(body.count)\r\nConnection: \(keepsOpen ? "keep-alive" : "close")\r\n\r\n"
        return Array("HTTP/1.1 \(status)\r\n\(own)\(rest)".utf8) + body
    }

    /// `abc...xyzabc...`, as many octets as asked for.
    static func letters(_ count: Int) -> [UInt8] {
        let alphabet = Array(UInt8(ascii: "a")...UInt8(ascii: "z"))
        var result: [UInt8] = []
        result.reserveCapacity(count + alphabet.count)
        while result.count < count { result += alphabet }
        result.removeLast(result.count - count)
        return result
    }

    /// What a server needs to know of a request.
    struct Request: Sendable {
        var contentLength = 0
        var keepsOpen = false
        /// The N of `/bytes/N`.
        var responseLength: Int?

        init(head: ArraySlice<UInt8>) {
            let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
            let path = lines.first?.split(separator: " ").dropFirst().first ?? ""
            if path.hasPrefix("/bytes/"), let count = Int(path.dropFirst(7)), (0...HTTP.mostResponse).contains(count) {
                responseLength = count
            }
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                let value = line[colon...].dropFirst().drop { $0 == " " }
                switch line[..<colon].lowercased() {
                case "content-length": contentLength = max(Int(value) ?? 0, 0)
                case "connection": keepsOpen = value.lowercased() == "keep-alive"
                default: break
                }
            }
        }
    }

    /// The header fields of a response, in order.
    static func headers(_ response: [UInt8]) -> [(name: String, value: String)] {
        let head = String(decoding: response.prefix(headLength(response) ?? 0), as: UTF8.self)
        return head.split(separator: "\r\n").dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            return (String(line[..<colon]), String(line[colon...].dropFirst().drop { $0 == " " }))
        }
    }

    /// How long a head is, with the empty line that ends it; nil when it is not complete.
    static func headLength(_ message: [UInt8]) -> Int? {
        let most = min(message.count, mostHead)
        guard most >= 4 else { return nil }
        for end in 4...most
        where message[end - 1] == 10 && message[end - 2] == 13 && message[end - 3] == 10 && message[end - 4] == 13 {
            return end
        }
        return nil
    }

    /// Whether a response is all there.
    package static func isComplete(_ response: [UInt8]) -> Bool {
        guard let length = headLength(response) else { return false }
        let field = headers(response).first { $0.name.lowercased() == "content-length" }
        return response.count - length >= field.flatMap { Int($0.value) } ?? 0
    }

    /// The body behind the response's head.
    static func body(_ response: [UInt8]) -> [UInt8] {
        headLength(response).map { Array(response[$0...]) } ?? []
    }
}
