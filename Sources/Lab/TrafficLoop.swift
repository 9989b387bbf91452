// Real sockets that do what podnet's applications do (Simulation/ApplicationLoop.swift): HTTP and echo servers, and the
// client of a flow, all in one poll(2) loop. Sockets may be in different network namespaces.

internal import Addressing
internal import Glibc
internal import Netstack
package import Simulation

/// Servers and at most one client.
package struct TrafficLoop {
    private enum Role {
        case listener(HTTPConnection.Answer)
        case connection(HTTPConnection)
        case echo
        case client(RealClient)
    }

    private struct Entry {
        let descriptor: Int32
        var role: Role
        /// What could not be written yet.
        var pending: ArraySlice<UInt8> = []
        /// Once all is written the connection is closed.
        var isLastAnswer = false

        var client: RealClient? { if case .client(let client) = role { client } else { nil } }
    }

    private var entries: [Entry] = []
    /// The client has its answer or an error, or has given up.
    package private(set) var isClientDone = true

    package init() {}

    /// Closes everything.
    package mutating func shutDown() {
        for entry in entries { close(entry.descriptor) }
        entries = []
    }

    // MARK: servers

    /// Opens a server's socket in the namespace the thread is in, on the wildcard addresses of both families.
    package mutating func serve(everywhere server: RealServer) throws(LabError) {
        try serve(server)
        guard server.local.address.isAny, let other = server.onIPv6 else { return }
        try serve(other)
    }

    /// Opens a server's socket in the namespace the thread is in.
    package mutating func serve(_ server: RealServer) throws(LabError) {
        let isTCP = server.protocol == .tcp
        let descriptor = newSocket(server.local.address.family, isTCP ? SOCK_STREAM : SOCK_DGRAM)
        set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if server.local.address.family == .ipv6 { set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
        let isBound = server.local.withSocketAddress { bind(descriptor, $0, $1) == 0 }
        guard descriptor >= 0, isBound, !isTCP || listen(descriptor, 128) == 0 else {
            throw LabError("cannot listen on \(server): \(lastError())")
        }
        entries.append(Entry(descriptor: descriptor, role: isTCP ? .listener(server.answer) : .echo))
    }

    // MARK: the client

    /// Opens the client's socket in the namespace the thread is in and sends what goes out first.
    package mutating func begin(_ request: FlowRequest) {
        isClientDone = false
        let family = request.destination.family
        let descriptor: Int32
        switch request.protocol {
        case .tcp: descriptor = newSocket(family, SOCK_STREAM)
        case .udp: descriptor = newSocket(family, SOCK_DGRAM)
        default:
            descriptor = newSocket(family, SOCK_RAW, Int32(family == .ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
            // Errors are to be heard at once.
            set(descriptor, Int32(IPPROTO_IP), IP_RECVERR, 1)
        }
        if let hops = request.timeToLive {
            if family == .ipv4 {
                set(descriptor, Int32(IPPROTO_IP), IP_TTL, Int32(hops))
            } else {
                set(descriptor, Int32(IPPROTO_IPV6), IPV6_UNICAST_HOPS, Int32(hops))
            }
        }
        if request.protocol != .tcp, family == .ipv4 {
            let values: [PathMTUDiscovery: Int32] = [
                .dont: IP_PMTUDISC_DONT, .want: IP_PMTUDISC_WANT, .do: IP_PMTUDISC_DO,
            ]
            set(descriptor, Int32(IPPROTO_IP), IP_MTU_DISCOVER, values[request.pathMTUDiscovery] ?? IP_PMTUDISC_WANT)
        }
        if request.sendsKeepalives { set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1) }
        // As ping(8): its socket is connected to nobody, so that its packets have no ids of their own.
        let end = SocketAddress(request.destination, request.port ?? 0)
        let isPing = request.protocol != .tcp && request.protocol != .udp
        let isConnected = isPing || end.withSocketAddress { connect(descriptor, $0, $1) == 0 }
        if !isConnected, errno != EINPROGRESS {
            isClientDone = true
            close(descriptor)
            return
        }
        let client = RealClient(
            request, identifier: UInt16(truncatingIfNeeded: monotonicTime() >> 10) | 1, at: monotonicTime())
        entries.append(Entry(descriptor: descriptor, role: .client(client)))
        if request.protocol != .tcp { ask(descriptor) }
    }

    /// Closes the client's socket.
    package mutating func endClient() {
        for entry in entries where entry.client != nil { close(entry.descriptor) }
        entries.removeAll { $0.client != nil }
    }

    /// Sends the next request.
    private mutating func ask(_ descriptor: Int32) {
        guard var client = entries.first(where: { $0.descriptor == descriptor })?.client else { return }
        let octets = client.nextRequest(at: monotonicTime())
        change(descriptor, to: .client(client))
        guard client.request.port == nil else { return write(descriptor, octets) }
        let target = SocketAddress(client.request.destination, 0)
        let sent = target.withSocketAddress { sendto(descriptor, octets, octets.count, 0, $0, $1) }
        if sent < 0 { fail(descriptor) }
    }

    private mutating func fail(_ descriptor: Int32) {
        isClientDone = true
        forget(descriptor)
    }

    private mutating func forget(_ descriptor: Int32) {
        close(descriptor)
        entries.removeAll { $0.descriptor == descriptor }
    }

    // MARK: the loop

    /// Lets everybody work who can, or waits at most until an instant of the monotonic clock.
    package mutating func turn(until end: Int64) {
        var end = end
        for entry in entries {
            if entry.client?.hasGivenUp(at: monotonicTime()) == true { isClientDone = true }
            guard let time = entry.client?.asksAgain else { continue }
            if time <= monotonicTime() { ask(entry.descriptor) } else { end = min(end, time) }
        }
        var polled = entries.map { entry in
            let writes = entry.client?.isConnecting == true || !entry.pending.isEmpty
            return pollfd(
                fd: entry.descriptor, events: Int16(writes ? POLLOUT : 0) | Int16(POLLIN), revents: 0)
        }
        let wait = end == .max ? 1000 : max(0, min(1000, (end - monotonicTime() + 999_999) / 1_000_000))
        guard poll(&polled, nfds_t(polled.count), Int32(wait)) > 0 else { return }
        for entry in polled where entry.revents != 0 {
            if entry.revents & Int16(POLLOUT) != 0 { writeOn(entry.fd) }
            guard entry.revents & ~Int16(POLLOUT) != 0 || isConnecting(entry.fd),
                let role = entries.first(where: { $0.descriptor == entry.fd })?.role
            else { continue }
            act(entry.fd, role)
        }
    }

    private func isConnecting(_ descriptor: Int32) -> Bool {
        entries.first { $0.descriptor == descriptor }?.client?.isConnecting == true
    }

    private mutating func act(_ descriptor: Int32, _ role: Role) {
        switch role {
        case .listener(let answer):
            let connection = accept(descriptor, nil, nil)
            guard connection >= 0 else { return }
            _ = fcntl(connection, F_SETFL, O_NONBLOCK)
            entries.append(Entry(descriptor: connection, role: .connection(HTTPConnection(answer: answer))))
        case .connection(let connection): serve(connection, on: descriptor)
        case .echo: echo(descriptor)
        case .client(let client): news(for: client, on: descriptor)
        }
    }

    private mutating func change(_ descriptor: Int32, to role: Role) {
        for index in entries.indices where entries[index].descriptor == descriptor { entries[index].role = role }
    }

    private mutating func serve(_ connection: HTTPConnection, on descriptor: Int32) {
        guard let octets = receive(descriptor), !octets.isEmpty else { return forget(descriptor) }
        var connection = connection
        let isComplete = connection.read(octets)
        defer { change(descriptor, to: .connection(connection)) }
        guard isComplete else { return }
        usleep(100)
        let (answer, keepsOpen) = connection.takeAnswer()
        for index in entries.indices where entries[index].descriptor == descriptor {
            entries[index].isLastAnswer = !keepsOpen
        }
        write(descriptor, answer)
    }

    private mutating func news(for client: RealClient, on descriptor: Int32) {
        var client = client
        if client.isConnecting {
            guard option(descriptor, SO_ERROR) == 0 else { return fail(descriptor) }
            usleep(100)
            ask(descriptor)
            return
        }
        guard let octets = receive(descriptor) else { return fail(descriptor) }
        if client.hears(octets, at: monotonicTime()) {
            if client.isDone { isClientDone = true }
            if client.request.protocol == .tcp, client.isDone { usleep(50) }
        } else if octets.isEmpty, client.request.protocol == .tcp {
            return fail(descriptor)
        }
        change(descriptor, to: .client(client))
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

    /// Writes what the kernel takes now, and the rest when it can.
    private mutating func write(_ descriptor: Int32, _ octets: [UInt8]) {
        guard let index = entries.firstIndex(where: { $0.descriptor == descriptor }) else { return }
        entries[index].pending += octets
        writeOn(descriptor)
    }

    private mutating func writeOn(_ descriptor: Int32) {
        guard let index = entries.firstIndex(where: { $0.descriptor == descriptor }), !entries[index].pending.isEmpty
        else { return }
        let written = entries[index].pending.withUnsafeBytes {
            send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        if written < 0 {
            guard errno != EAGAIN else { return }
            if entries[index].client == nil { return forget(descriptor) }
            return fail(descriptor)
        }
        entries[index].pending = entries[index].pending.dropFirst(written)
        if entries[index].pending.isEmpty, entries[index].isLastAnswer {
            usleep(500)
            forget(descriptor)
        }
    }

    private func newSocket(
        _ family: AddressFamily, _ type: __socket_type, _ transport: Int32 = 0
    ) -> Int32 {
        socket(
            family == .ipv4 ? AF_INET : AF_INET6,
            Int32(type.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), transport)
    }

    private func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private func option(_ descriptor: Int32, _ name: Int32) -> Int32 {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, name, &value, &size)
        return value
    }

    /// What there is to read; nil for an error, empty at the end.
    private func receive(_ descriptor: Int32) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let length = recv(descriptor, &buffer, buffer.count, 0)
        return length >= 0 ? Array(buffer[..<length]) : nil
    }
}
