// Real sockets that do what podnet's applications do (Simulation/Applications.swift): HTTP and echo servers, and the
// client of a flow, all in one poll(2) loop. Sockets may be in different network namespaces.

package import Addressing
internal import Glibc
internal import Simulation

/// What a real client is to do, in the words of `FlowRequest`.
package struct RealRequest: Sendable {
    package var destination: SocketAddress
    package var `protocol`: IPProtocol
    package var host: String
    package var payload: [UInt8]
    /// IP_TTL; nil for the machine's default.
    package var timeToLive: UInt8?
}

/// How a real flow ended.
package enum RealOutcome: Hashable, Sendable {
    case answered
    /// An errno, in words.
    case failed(String)
    case timedOut
}

/// Servers and at most one client.
package struct TrafficLoop {
    fileprivate enum Role {
        case listener(answer: [UInt8])
        case connection(answer: [UInt8], request: [UInt8], hasAnswered: Bool)
        case echo
        case connecting(RealRequest)
        case client
        case ping(identifier: UInt16)
    }

    private var roles: [(descriptor: Int32, role: Role)] = []
    /// How the client fared; nil while it is at work.
    package private(set) var outcome: RealOutcome?

    package init() {}

    /// Closes everything.
    package mutating func shutDown() {
        for entry in roles { close(entry.descriptor) }
        roles = []
    }

    // MARK: servers

    /// Opens a server's socket in the namespace the thread is in.
    package mutating func serve(_ server: RealServer) throws(LabError) {
        let isTCP = server.protocol == .tcp
        let descriptor = newSocket(server.local.address.family, isTCP ? SOCK_STREAM : SOCK_DGRAM)
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        if server.local.address.family == .ipv6 {
            setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &yes, socklen_t(MemoryLayout<Int32>.size))
        }
        let isBound = server.local.withSocketAddress { bind(descriptor, $0, $1) == 0 }
        guard descriptor >= 0, isBound, !isTCP || listen(descriptor, 128) == 0 else {
            throw LabError("cannot listen on \(server): \(lastError())")
        }
        roles.append((descriptor, isTCP ? .listener(answer: server.answer) : .echo))
    }

    // MARK: the client

    /// Opens the client's socket in the namespace the thread is in and sends what goes out first.
    package mutating func begin(_ request: RealRequest) {
        outcome = nil
        let family = request.destination.address.family
        let descriptor: Int32
        switch request.protocol {
        case .tcp: descriptor = newSocket(family, SOCK_STREAM)
        case .udp: descriptor = newSocket(family, SOCK_DGRAM)
        default:
            let number = family == .ipv4 ? Int32(IPPROTO_ICMP) : Int32(IPPROTO_ICMPV6)
            descriptor = newSocket(family, SOCK_RAW, number)
            // Errors are to be heard at once.
            var yes: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_IP), IP_RECVERR, &yes, socklen_t(MemoryLayout<Int32>.size))
        }
        if let hops = request.timeToLive {
            var number = Int32(hops)
            let (level, option) =
                family == .ipv4
                ? (Int32(IPPROTO_IP), IP_TTL) : (Int32(IPPROTO_IPV6), IPV6_UNICAST_HOPS)
            setsockopt(descriptor, level, option, &number, socklen_t(MemoryLayout<Int32>.size))
        }
        let end = request.protocol == .icmp ? SocketAddress(request.destination.address, 0) : request.destination
        let isConnected = end.withSocketAddress { connect(descriptor, $0, $1) == 0 }
        if !isConnected, errno != EINPROGRESS {
            outcome = .failed(lastError())
            close(descriptor)
            return
        }
        switch request.protocol {
        case .tcp: roles.append((descriptor, .connecting(request)))
        case .udp:
            roles.append((descriptor, .client))
            if send(descriptor, request.payload, request.payload.count, 0) < 0 { fail(descriptor) }
        default:
            let identifier = UInt16(truncatingIfNeeded: monotonicTime() >> 10) | 1
            roles.append((descriptor, .ping(identifier: identifier)))
            let message = echoRequest(identifier, family)
            if send(descriptor, message, message.count, 0) < 0 { fail(descriptor) }
        }
    }

    /// Ends the client and says how it fared; it timed out when it had no outcome yet.
    package mutating func endClient() -> RealOutcome {
        for entry in roles where entry.role.isClient { close(entry.descriptor) }
        roles.removeAll { $0.role.isClient }
        return outcome ?? .timedOut
    }

    private mutating func fail(_ descriptor: Int32) {
        if outcome == nil { outcome = .failed(lastError()) }
        forget(descriptor)
    }

    private mutating func forget(_ descriptor: Int32) {
        close(descriptor)
        roles.removeAll { $0.descriptor == descriptor }
    }

    // MARK: the loop

    /// Lets everybody work who can, or waits at most until an instant of the monotonic clock.
    package mutating func turn(until end: Int64) {
        var polled = roles.map { entry in
            pollfd(fd: entry.descriptor, events: entry.role.isConnecting ? Int16(POLLOUT) : Int16(POLLIN), revents: 0)
        }
        let wait = end == .max ? 1000 : max(0, min(1000, (end - monotonicTime() + 999_999) / 1_000_000))
        guard poll(&polled, nfds_t(polled.count), Int32(wait)) > 0 else { return }
        for entry in polled where entry.revents != 0 {
            guard let role = roles.first(where: { $0.descriptor == entry.fd })?.role else { continue }
            act(entry.fd, role)
        }
    }

    private mutating func act(_ descriptor: Int32, _ role: Role) {
        switch role {
        case .listener(let answer):
            let connection = accept(descriptor, nil, nil)
            guard connection >= 0 else { return }
            _ = fcntl(connection, F_SETFL, O_NONBLOCK)
            roles.append((connection, .connection(answer: answer, request: [], hasAnswered: false)))
        case .connection(let answer, let request, let hasAnswered):
            serveConnection(descriptor, answer: answer, request: request, hasAnswered: hasAnswered)
        case .echo: echo(descriptor)
        case .connecting(let request):
            var error: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size)
            guard error == 0 else {
                errno = error
                return fail(descriptor)
            }
            let octets = HTTP.request(host: request.host)
            guard send(descriptor, octets, octets.count, Int32(MSG_NOSIGNAL)) >= 0 else {
                return fail(descriptor)
            }
            change(descriptor, to: .client)
        case .client: clientReads(descriptor)
        case .ping(let identifier):
            guard let message = receive(descriptor) else { return fail(descriptor) }
            if isReply(message, identifier) { outcome = .answered }
        }
    }

    private mutating func change(_ descriptor: Int32, to role: Role) {
        for index in roles.indices where roles[index].descriptor == descriptor { roles[index].role = role }
    }

    private mutating func serveConnection(
        _ descriptor: Int32, answer: [UInt8], request: [UInt8], hasAnswered: Bool
    ) {
        guard let octets = receive(descriptor), !octets.isEmpty else { return forget(descriptor) }
        let read = Array((request + octets).suffix(65_536))
        let isComplete = HTTP.isComplete(read) && !hasAnswered
        change(descriptor, to: .connection(answer: answer, request: read, hasAnswered: hasAnswered || isComplete))
        guard isComplete else { return }
        usleep(100)
        _ = send(descriptor, answer, answer.count, Int32(MSG_NOSIGNAL))
        usleep(500)
        forget(descriptor)
    }

    private mutating func clientReads(_ descriptor: Int32) {
        guard let octets = receive(descriptor) else { return fail(descriptor) }
        let isDatagram = socketType(descriptor) == Int32(SOCK_DGRAM.rawValue)
        guard octets.isEmpty || isDatagram else { return }
        outcome = .answered
        if !isDatagram { usleep(50) }
    }

    private func echo(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var peer = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        withUnsafeMutablePointer(to: &peer) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let length = recvfrom(descriptor, &buffer, buffer.count, 0, address, &size)
                guard length >= 0 else { return }
                usleep(50)
                sendto(descriptor, buffer, length, 0, address, size)
            }
        }
    }

    // MARK: sockets

    private func newSocket(
        _ family: AddressFamily, _ type: __socket_type, _ transport: Int32 = 0
    ) -> Int32 {
        socket(
            family == .ipv4 ? AF_INET : AF_INET6,
            Int32(type.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), transport)
    }

    private func socketType(_ descriptor: Int32) -> Int32 {
        var type: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size)
        return type
    }

    /// What there is to read; nil for an error, empty at the end.
    private func receive(_ descriptor: Int32) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let length = recv(descriptor, &buffer, buffer.count, 0)
        return length >= 0 ? Array(buffer[..<length]) : nil
    }

    /// What podnet's ping sends: 16 octets of zero where ping(8) puts the time, then a counting pattern.
    private func echoRequest(_ identifier: UInt16, _ family: AddressFamily) -> [UInt8] {
        let type: UInt8 = family == .ipv4 ? 8 : 128
        var octets: [UInt8] = [type, 0, 0, 0, UInt8(identifier >> 8), UInt8(identifier & 255), 0, 1]
        octets += (0..<56).map { $0 < 16 ? 0 : UInt8($0) }
        guard family == .ipv4 else { return octets }
        var sum = stride(from: 0, to: octets.count, by: 2).reduce(0) {
            $0 + Int(octets[$1]) << 8 + Int(octets[$1 + 1])
        }
        while sum > 0xffff { sum = sum >> 16 + sum & 0xffff }
        octets[2] = UInt8(~sum >> 8 & 255)
        octets[3] = UInt8(~sum & 255)
        return octets
    }

    private func isReply(_ message: [UInt8], _ identifier: UInt16) -> Bool {
        // A raw IPv4 socket hands over the IP header, a raw IPv6 socket does not.
        let start = message.first.map { $0 >> 4 == 4 ? Int($0 & 15) * 4 : 0 } ?? 0
        guard message.count >= start + 8, message[start] == 0 || message[start] == 129 else { return false }
        return UInt16(message[start + 4]) << 8 | UInt16(message[start + 5]) == identifier
    }
}

extension TrafficLoop.Role {
    fileprivate var isConnecting: Bool { if case .connecting = self { true } else { false } }
    fileprivate var isClient: Bool {
        switch self {
        case .connecting, .client, .ping: true
        case .listener, .connection, .echo: false
        }
    }
}

extension SocketAddress {
    /// As bind(2) and connect(2) take it.
    func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        if let own = address.ipv4 {
            var end = sockaddr_in()
            end.sin_family = sa_family_t(AF_INET)
            end.sin_port = port.bigEndian
            end.sin_addr.s_addr = own.rawValue.bigEndian
            return withUnsafePointer(to: &end) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        var end = sockaddr_in6()
        end.sin6_family = sa_family_t(AF_INET6)
        end.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &end.sin6_addr) { bytes in
            bytes.storeBytes(of: address.high.bigEndian, as: UInt64.self)
            bytes.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return withUnsafePointer(to: &end) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
    }
}
