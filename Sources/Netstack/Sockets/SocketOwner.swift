// An application that writes holds its socket: buffers leave one after the other, acknowledgments that come meanwhile
// wait, and what they allow leaves when the application lets go. Mirrors tcp_sendmsg, tcp_add_backlog and release_sock
// of net/ipv4/tcp.c, tcp_ipv4.c and net/core/sock.c. Simplified: a buffer takes a fixed time, and the send buffer has
// no bound; only a writer of more than a buffer's worth hears later that it may go on.

internal import Wire

/// The pace of a writing application.
enum SocketOwner {
    /// From one buffer to the next. Longer than a round trip in a small network, where answers come before the next
    /// buffer is ready.
    static let pause: Nanoseconds = 24_000
    /// A write of this size returns at once (tcp_sndbuf_expand for ten segments).
    static let sendBuffer = 46_080
}

extension NetworkNamespace {
    /// The application writes: one buffer now, the next one after a pause.
    mutating func sendAsOwner(_ id: SocketID, _ context: inout PathContext) {
        guard sockets[tcp: id]?.isOwned == false else { return }
        if sendOneBuffer(id, &context) { holdByOwner(id, &context) }
        reportWritten(id, &context)
    }

    /// The pause is over: the next buffer, or, when the windows allow none, what waited meanwhile.
    mutating func ownerGoesOn(_ id: SocketID, _ context: inout PathContext) {
        guard sockets[tcp: id]?.isOwned == true else { return }
        sockets[tcp: id]?.isOwned = false
        var hasSent = sendOneBuffer(id, &context)
        while !hasSent, let header = sockets[tcp: id]?.takeParked() {
            sockets[tcp: id]?.isOwned = true
            take(header, [], at: id, &context)
            guard sockets[tcp: id] != nil else { return }
            sockets[tcp: id]?.isOwned = false
            hasSent = sendOneBuffer(id, &context)
        }
        if hasSent { holdByOwner(id, &context) }
        reportWritten(id, &context)
    }

    private mutating func holdByOwner(_ id: SocketID, _ context: inout PathContext) {
        sockets[tcp: id]?.isOwned = true
        context.schedule(.writing(id), in: self.id, at: context.now + SocketOwner.pause)
    }

    /// What is lost first, then new data; false when nothing may leave.
    private mutating func sendOneBuffer(_ id: SocketID, _ context: inout PathContext) -> Bool {
        if let burst = sockets[tcp: id]?.nextLost(at: context.now), !burst.isEmpty {
            sendAgain(burst, id, &context)
            return true
        }
        let segments = sockets[tcp: id]?.nextNew(at: context.now) ?? []
        for segment in segments { sendData(segment, id, isRetransmission: false, &context) }
        armTimer(id, &context)
        return !segments.isEmpty
    }

    /// Something else happens to the socket: what waited for the application is taken first.
    mutating func releaseFromOwner(_ id: SocketID, _ context: inout PathContext) {
        guard sockets[tcp: id]?.isOwned == true else { return }
        sockets[tcp: id]?.isOwned = false
        while let header = sockets[tcp: id]?.takeParked() { take(header, [], at: id, &context) }
    }

    /// A blocking write returns once its octets fit the send buffer.
    mutating func reportWritten(_ id: SocketID, _ context: inout PathContext) {
        guard let connection = sockets[tcp: id], connection.reportsWritten,
            connection.sendBuffer.count <= SocketOwner.sendBuffer
        else { return }
        sockets[tcp: id]?.reportsWritten = false
        context.notify(id, in: self.id, .written)
    }
}

extension TCPConnection {
    /// Keeps an acknowledgment for later; one that only says more than the last takes its place (tcp_add_backlog).
    mutating func park(_ header: TCPHeader) {
        if let last = backlog.last, last.options == header.options, last.flags == header.flags,
            last.sequence == header.sequence
        {
            backlog[backlog.count - 1] = header
        } else {
            backlog.append(header)
        }
    }

    mutating func takeParked() -> TCPHeader? { backlog.isEmpty ? nil : backlog.removeFirst() }
}
