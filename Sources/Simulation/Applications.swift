// What runs in pods and on hosts: an HTTP server behind every TCP listener, a UDP echo behind every UDP listener, and
// the client of a flow. Applications think for a moment of virtual time before they act, so that the kernels' own
// answers (acknowledgments above all) are on the wire first, as on a real machine.

internal import Addressing
internal import Netstack

/// What an application waits for.
enum ApplicationTimer: Sendable {
    case request(NamespaceID, SocketID, [UInt8], cause: UInt32)
    case respond(NamespaceID, SocketID, cause: UInt32)
    case close(NamespaceID, SocketID, cause: UInt32)
    case echo(NamespaceID, SocketID, [UInt8], to: SocketAddress, cause: UInt32)
}

/// The socket of an application.
struct ApplicationSocket: Hashable, Sendable {
    var namespace: NamespaceID
    var socket: SocketID
}

/// The behaviour behind a connected socket. Listeners need none: their connections answer HTTP, their datagrams are
/// echoed.
enum Application: Sendable {
    /// One connection of an HTTP server, with what it will answer and what has been read of the request.
    case httpConnection(answer: [UInt8], request: [UInt8], hasAnswered: Bool)
    /// The client end of a flow.
    case client(flow: Int)
}

/// The pauses applications make.
enum ApplicationDelay {
    /// From an open connection to the request.
    static let request: Nanoseconds = 100_000
    /// From a complete request to the response.
    static let response: Nanoseconds = 100_000
    /// From the last octet sent, or the peer's FIN, to close().
    static let close: Nanoseconds = 500_000
    static let clientClose: Nanoseconds = 50_000
    static let echo: Nanoseconds = 50_000
}

/// The octets of an HTTP exchange.
package enum HTTP {
    package static func request(host: String) -> [UInt8] {
        Array("GET / HTTP/1.1\r\nHost: \(host)\r\nUser-Agent: podnet\r\nAccept: */*\r\n\r\n".utf8)
    }

    /// The server's answer names who answered.
    package static func response(name: String) -> [UInt8] {
        response("200 OK", headers: [("Content-Type", "text/plain")], body: name + "\n")
    }

    static func response(_ status: String, headers: [(name: String, value: String)], body: String) -> [UInt8] {
        let own = headers.map { "\($0.name): \($0.value)\r\n" }.joined()
        let rest = "Content-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n"
        return Array("HTTP/1.1 \(status)\r\n\(own)\(rest)\(body)".utf8)
    }

    /// The header fields of a response, in order.
    static func headers(_ response: [UInt8]) -> [(name: String, value: String)] {
        let head = String(decoding: response.prefix(response.count - body(response).count), as: UTF8.self)
        return head.split(separator: "\r\n").dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            return (String(line[..<colon]), String(line[colon...].dropFirst().drop { $0 == " " }))
        }
    }

    /// The request's head is complete.
    package static func isComplete(_ request: [UInt8]) -> Bool {
        let end: [UInt8] = [13, 10, 13, 10]
        guard request.count >= 4 else { return false }
        return (0...(request.count - 4)).contains { Array(request[$0..<$0 + 4]) == end }
    }

    /// The body behind the response's head.
    static func body(_ response: [UInt8]) -> [UInt8] {
        let end: [UInt8] = [13, 10, 13, 10]
        guard response.count >= 4 else { return [] }
        let start = (0...(response.count - 4)).first { Array(response[$0..<$0 + 4]) == end }
        return start.map { Array(response[($0 + 4)...]) } ?? []
    }
}
