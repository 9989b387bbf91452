// What `ss -ltun` would show of a namespace: the sockets that wait for anybody, in the order they were opened. Answers
// go out by sockets of their own.

package import Addressing

/// A socket that waits for connections or datagrams from anybody.
package struct ListeningSocket: Sendable {
    package let id: SocketID
    package let `protocol`: IPProtocol
    /// The address is `any` for a wildcard bind.
    package let local: SocketAddress
    /// What the owner calls the socket.
    package let label: String
}

extension NetworkNamespace {
    /// In the order they were opened.
    package var listeningSockets: [ListeningSocket] {
        sockets.sockets.enumerated().compactMap { position, socket in
            let `protocol`: IPProtocol
            switch socket.kind {
            case .tcpListener: `protocol` = .tcp
            case .udp where socket.remote == nil: `protocol` = .udp
            default: return nil
            }
            return ListeningSocket(
                id: SocketID(position), protocol: `protocol`, local: socket.local, label: socket.label)
        }
    }
}
