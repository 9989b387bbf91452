// Who answers on a port: listeners, connections, datagram and echo sockets of one namespace. Mirrors the lookups of
// net/ipv4/inet_hashtables.c and udp.c: the full pair of ends first, then the listener on that address, then the one
// on any address.

package import Addressing
internal import Wire

/// A socket of one namespace.
public struct SocketID: Hashable, Sendable, BitwiseCopyable {
    public let rawValue: Int32
    public init(_ rawValue: Int) { self.rawValue = Int32(rawValue) }
    var index: Int { Int(rawValue) }
}

/// One socket.
struct Socket: Sendable {
    enum Kind: Sendable {
        case closed
        case tcpListener
        case tcp
        case udp
        case echo(identifier: UInt16)
    }

    var kind: Kind
    /// The address is `any` for a wildcard bind.
    var local: SocketAddress
    var remote: SocketAddress?
    /// The next IP id, for sockets that count their own (inet_id).
    var identification: UInt16 = 0
    /// Drawn once, as sk_txhash: the VXLAN source port of everything this socket sends follows from it.
    var flowHash: UInt32 = 0
    /// What was sent has arrived; the next packet tells the neighbors on its way (sk_dst_pending_confirm).
    var provesNextHop = false
    /// IP_TTL; nil for the namespace's default.
    var timeToLive: UInt8?
    var pathMTUDiscovery = PathMTUDiscovery.want
    /// For accepted connections, the listener.
    var listener: SocketID?
    /// What the owner calls the socket, for example the name of the pod that listens.
    var label = ""
}

/// All sockets of one namespace.
public struct SocketTable: Sendable {
    private struct Pair: Hashable {
        var local: SocketAddress
        var remote: SocketAddress
    }

    var sockets: [Socket] = []
    /// What TCP sockets remember, by socket, apart from the sockets so that it changes in place.
    private var connections: [TCPConnection?] = []
    /// TCP connections that wait for an acknowledgment or owe one.
    private(set) var unsettled = 0
    private var connected: [Pair: SocketID] = [:]
    private var listeners: [UInt16: [SocketID]] = [:]
    private var connectedUDP: [Pair: SocketID] = [:]
    private var boundUDP: [UInt16: [SocketID]] = [:]
    private var echoes: [UInt16: SocketID] = [:]

    public init() {}

    mutating func add(_ socket: Socket, _ connection: TCPConnection? = nil) -> SocketID {
        let id = SocketID(sockets.count)
        sockets.append(socket)
        connections.append(connection)
        switch socket.kind {
        case .closed: break
        case .tcpListener: listeners[socket.local.port, default: []].append(id)
        case .tcp:
            if connection?.isUnsettled == true { unsettled += 1 }
            if let remote = socket.remote { connected[Pair(local: socket.local, remote: remote)] = id }
        case .udp:
            if let remote = socket.remote {
                connectedUDP[Pair(local: socket.local, remote: remote)] = id
            } else {
                boundUDP[socket.local.port, default: []].append(id)
            }
        case .echo(let identifier): echoes[identifier] = id
        }
        return id
    }

    /// The connection of a TCP socket; nil for other sockets.
    subscript(tcp id: SocketID) -> TCPConnection? {
        _read { yield connections[id.index] }
        _modify {
            let was = connections[id.index]?.isUnsettled == true ? 1 : 0
            defer { unsettled += (connections[id.index]?.isUnsettled == true ? 1 : 0) - was }
            yield &connections[id.index]
        }
    }

    mutating func remove(_ id: SocketID) {
        let socket = sockets[id.index]
        if connections[id.index]?.isUnsettled == true { unsettled -= 1 }
        connections[id.index] = nil
        switch socket.kind {
        case .closed: break
        case .tcpListener: listeners[socket.local.port]?.removeAll { $0 == id }
        case .tcp:
            if let remote = socket.remote { connected[Pair(local: socket.local, remote: remote)] = nil }
        case .udp:
            if let remote = socket.remote {
                connectedUDP[Pair(local: socket.local, remote: remote)] = nil
            } else {
                boundUDP[socket.local.port]?.removeAll { $0 == id }
            }
        case .echo(let identifier): echoes[identifier] = nil
        }
        sockets[id.index].kind = .closed
    }

    func tcpSocket(local: SocketAddress, remote: SocketAddress) -> SocketID? {
        connected[Pair(local: local, remote: remote)]
    }

    func tcpListener(_ local: SocketAddress) -> SocketID? { best(listeners[local.port], local) }

    func udpSocket(local: SocketAddress, remote: SocketAddress) -> SocketID? {
        connectedUDP[Pair(local: local, remote: remote)] ?? best(boundUDP[local.port], local)
    }

    func echoSocket(identifier: UInt16) -> SocketID? { echoes[identifier] }

    private func best(_ candidates: [SocketID]?, _ local: SocketAddress) -> SocketID? {
        guard let candidates else { return nil }
        return candidates.first { sockets[$0.index].local == local }
            ?? candidates.first { sockets[$0.index].local.address.isAny }
    }

    /// A free local port from the ephemeral range, drawn by chance.
    func ephemeralPort(
        _ `protocol`: IPProtocol, local: IPAddress, remote: SocketAddress, range: ClosedRange<UInt16>,
        _ context: inout PathContext
    ) -> UInt16? {
        let count = range.count
        let start = context.random.next(below: count)
        for offset in 0..<count {
            let port = UInt16(Int(range.lowerBound) + (start + offset) % count)
            let pair = Pair(local: SocketAddress(local, port), remote: remote)
            let taken =
                `protocol` == .tcp
                ? connected[pair] != nil || best(listeners[port], pair.local) != nil
                : connectedUDP[pair] != nil || best(boundUDP[port], pair.local) != nil
            if !taken { return port }
        }
        return nil
    }
}

extension NetworkNamespace {
    // MARK: what applications call

    /// Listens for TCP connections on a port, on one address or on all.
    package mutating func listenTCP(
        port: UInt16, address: IPAddress = .any(.ipv4), label: String = ""
    ) -> SocketID {
        sockets.add(Socket(kind: .tcpListener, local: SocketAddress(address, port), label: label))
    }

    /// Receives datagrams on a port, on one address or on all.
    package mutating func bindUDP(
        port: UInt16, address: IPAddress = .any(.ipv4), label: String = ""
    ) -> SocketID {
        sockets.add(Socket(kind: .udp, local: SocketAddress(address, port), label: label))
    }

    /// What the owner called the socket.
    package func label(of id: SocketID) -> String { sockets.sockets[id.index].label }

    /// Forgets a socket without a word to the peer.
    package mutating func abandon(_ id: SocketID) { sockets.remove(id) }

    /// A UDP socket connected to one peer. Throws when there is no route or no port.
    package mutating func connectUDP(
        to remote: SocketAddress, timeToLive: UInt8? = nil, pathMTUDiscovery: PathMTUDiscovery = .want,
        _ context: inout PathContext
    ) throws(SocketError) -> SocketID {
        let local = try localEnd(.udp, for: remote, &context)
        return sockets.add(
            Socket(
                kind: .udp, local: local, remote: remote,
                identification: UInt16(truncatingIfNeeded: context.random.next()),
                flowHash: UInt32(truncatingIfNeeded: context.random.next()) | 1, timeToLive: timeToLive,
                pathMTUDiscovery: pathMTUDiscovery))
    }

    /// The address and ephemeral port a new connection to `remote` gets.
    mutating func localEnd(
        _ `protocol`: IPProtocol, for remote: SocketAddress, _ context: inout PathContext
    ) throws(SocketError) -> SocketAddress {
        guard case .route(let route) = routeOutput(remote.address) else { throw .networkUnreachable }
        let isForMany = isBroadcast(remote.address) || remote.address.ipv4?.isBroadcast == true
        if `protocol` == .tcp, isForMany || remote.address.isMulticast { throw .networkUnreachable }
        // Broadcasts take SO_BROADCAST, which no application here sets.
        if isForMany { throw .accessDenied }
        guard let address = sourceAddress(for: route, to: remote.address) else {
            throw .addressNotAvailable
        }
        let port = sockets.ephemeralPort(
            `protocol`, local: address, remote: remote, range: sysctls.localPortRange, &context)
        guard let port else { throw .addressNotAvailable }
        return SocketAddress(address, port)
    }

    /// Sends a datagram, to the connected peer or to a given one.
    package mutating func sendDatagram(
        _ id: SocketID, _ payload: [UInt8], to peer: SocketAddress? = nil, _ context: inout PathContext
    ) throws(SocketError) {
        let socket = sockets.sockets[id.index]
        guard let remote = peer ?? socket.remote, payload.count <= 65_507 else { throw .messageTooLong }
        guard case .route(let route) = routeOutput(remote.address) else { throw .networkUnreachable }
        let bound = socket.local.address.isAny ? nil : socket.local.address
        guard let source = bound ?? sourceAddress(for: route, to: remote.address),
            source.family == remote.address.family
        else { throw .addressNotAvailable }
        let identification: UInt16
        if socket.remote != nil {
            identification = socket.identification
            sockets.sockets[id.index].identification &+= 1
        } else {
            identification = nextIdentification(from: source, to: remote.address, .udp, &context)
        }
        let dontFragment = try dontFragment(
            socket, UDPHeader.length + payload.count, to: remote.address, by: route, at: context.now)
        var (packet, start) = makePacket(
            LocalHeader(
                protocol: .udp, source: source, destination: remote.address, timeToLive: socket.timeToLive,
                identification: identification, dontFragment: dontFragment, flowHash: socket.flowHash),
            length: UDPHeader.length + payload.count, &context)
        packet.ignoresDontFragment = socket.pathMTUDiscovery != .do
        packet.lacksChecksum = links[route.egress.index].isLoopback
        context.arena.withMutableBytes(packet) { bytes in
            UDPHeader(sourcePort: socket.local.port, destinationPort: remote.port, payloadLength: payload.count)
                .write(to: &bytes, at: start)
            bytes.store(payload, at: start + UDPHeader.length)
            TransportChecksum.fill(
                .udp, source: source, destination: remote.address, in: &bytes, segment: start..<bytes.byteCount)
        }
        originate(packet, parent: context.cause, &context)
        guard localOutput(packet, by: route, &context) else { throw .accessDenied }
    }

    /// Whether a packet of that many octets behind its network header gets DF (ip_dont_fragment). Throws EMSGSIZE when
    /// it must not be cut and does not fit.
    private func dontFragment(
        _ socket: Socket, _ length: Int, to destination: IPAddress, by route: RouteResult, at now: Nanoseconds
    ) throws(SocketError) -> Bool {
        let fits = length + headerLength(towards: destination) <= pathMTU(to: destination, by: route, at: now)
        switch socket.pathMTUDiscovery {
        case .want: return fits
        case .dont: return false
        case .do: if fits { return true } else { throw .messageTooLong }
        }
    }

    /// Sends an ICMP echo request as ping(8) does, with 56 octets unless told, and returns the socket that hears the
    /// answer.
    package mutating func ping(
        _ target: IPAddress, sequence: UInt16 = 1, octets: Int? = nil, timeToLive: UInt8? = nil,
        pathMTUDiscovery: PathMTUDiscovery = .want, _ context: inout PathContext
    ) throws(SocketError) -> SocketID {
        guard case .route(let route) = routeOutput(target) else { throw .networkUnreachable }
        guard let source = sourceAddress(for: route, to: target) else { throw .addressNotAvailable }
        let identifier = UInt16(truncatingIfNeeded: context.random.next())
        let socket = sockets.add(
            Socket(
                kind: .echo(identifier: identifier), local: SocketAddress(source, identifier),
                pathMTUDiscovery: pathMTUDiscovery))
        try pingAgain(socket, target, sequence: sequence, octets: octets, timeToLive: timeToLive, &context)
        return socket
    }

    /// One more echo request from the same socket.
    package mutating func pingAgain(
        _ id: SocketID, _ target: IPAddress, sequence: UInt16, octets: Int? = nil, timeToLive: UInt8? = nil,
        _ context: inout PathContext
    ) throws(SocketError) {
        guard case .route(let route) = routeOutput(target) else { throw .networkUnreachable }
        let (source, identifier) = (sockets.sockets[id.index].local.address, sockets.sockets[id.index].local.port)
        let payload = pingPayload(octets)
        let length = payload.count
        guard length <= 65_507 else { throw .messageTooLong }
        let isIPv4 = target.family == .ipv4
        let `protocol` = isIPv4 ? IPProtocol.icmp : .icmpv6
        let socket = sockets.sockets[id.index]
        let dontFragment = try dontFragment(socket, 8 + length, to: target, by: route, at: context.now)
        // What may not be cut needs no id (ip_select_ident).
        let needsIdentification = isIPv4 && socket.pathMTUDiscovery != .do
        var (packet, start) = makePacket(
            LocalHeader(
                protocol: `protocol`, source: source, destination: target, timeToLive: timeToLive,
                identification: needsIdentification
                    ? nextIdentification(from: source, to: target, .icmp, &context) : 0,
                dontFragment: dontFragment), length: 8 + payload.count, &context)
        packet.ignoresDontFragment = socket.pathMTUDiscovery != .do
        context.arena.withMutableBytes(packet) { bytes in
            let type = isIPv4 ? ICMPv4Kind.echoRequest.type : ICMPv6Kind.echoRequest.type
            bytes.storeUInt8(type, at: start)
            bytes.storeUInt16(identifier, at: start + 4)
            bytes.storeUInt16(sequence, at: start + 6)
            bytes.store(payload, at: start + 8)
            TransportChecksum.fill(
                `protocol`, source: source, destination: target, in: &bytes, segment: start..<bytes.byteCount)
        }
        originate(packet, parent: context.cause, &context)
        guard localOutput(packet, by: route, &context) else { throw .accessDenied }
    }

    /// The local end of a socket.
    package func localEnd(of id: SocketID) -> SocketAddress { sockets.sockets[id.index].local }

    // MARK: delivery

    /// ip_local_deliver: whole packets meet INPUT, then their protocol.
    mutating func deliverLocally(_ packet: Packet, _ context: inout PathContext) {
        var packet = packet
        if isFragment(packet, context) {
            guard let whole = reassemble(packet, &context) else { return }
            packet = whole
        }
        guard hook(.input, &packet, ingress: packet.ingress, egress: nil, &context) else { return }
        guard let header = NetworkHeader(packet, in: context.arena) else {
            drop(packet, .ipHeader, &context)
            return
        }
        switch header.protocol {
        case .tcp: tcpInput(packet, transport: header.transport, &context)
        case .udp: udpInput(packet, transport: header.transport, &context)
        case .icmp where header.family == .ipv4: icmpInput(packet, transport: header.transport, &context)
        case .icmpv6 where header.family == .ipv6: icmpv6Input(packet, transport: header.transport, &context)
        default:
            if header.family == .ipv4 {
                sendICMPError(about: packet, .protocolUnreachable, &context)
            } else if header.protocol != .noNextHeader {
                // The pointer says where the unknown number stands; without extension headers in the fixed header.
                sendICMPv6Error(
                    about: packet, .unknownNextHeader, restOfHeader: UInt32(IPv6Header.Offset.nextHeader), &context)
            }
            drop(packet, .unhandledProtocol, &context)
        }
    }

    /// udp_rcv: to the tunnel or socket that has the port, else ICMP port unreachable.
    private mutating func udpInput(_ packet: Packet, transport: Int, _ context: inout PathContext) {
        let parsed = context.arena.withBytes(packet) { bytes -> UDPHeader? in
            guard let header = try? UDPHeader(parsing: bytes, at: transport),
                header.datagramLength >= UDPHeader.length,
                transport + Int(header.datagramLength) <= bytes.byteCount
            else { return nil }
            return header
        }
        guard let header = parsed else {
            drop(packet, .ipHeader, &context)
            return
        }
        let source = sourceAddress(packet, context)
        let destination = destinationAddress(packet, context)
        let end = transport + Int(header.datagramLength)
        let intact =
            header.checksum == 0 && source.family == .ipv4
            || context.arena.withBytes(packet) {
                TransportChecksum.verify(
                    .udp, source: source, destination: destination, in: $0, segment: transport..<end)
            }
        guard intact else {
            drop(packet, .udpChecksum, &context)
            return
        }
        if vxlanInput(packet, transport: transport, destinationPort: header.destinationPort, &context) { return }
        let local = SocketAddress(destination, header.destinationPort)
        let remote = SocketAddress(source, header.sourcePort)
        guard let socket = sockets.udpSocket(local: local, remote: remote) else {
            if packet.type == .host {
                if source.family == .ipv4 {
                    sendICMPError(about: packet, .portUnreachable, &context)
                } else {
                    sendICMPv6Error(about: packet, .portUnreachable, &context)
                }
            }
            drop(packet, .noSocket, &context)
            return
        }
        let payload = Array(context.arena.bytes(packet)[(transport + UDPHeader.length)..<end])
        context.notify(socket, in: id, .datagram(payload, from: remote, to: destination))
        context.deliver(packet, in: id)
    }
}

extension [NetworkNamespace] {
    /// Nothing in any of them waits for an answer: no transport, no packet for its neighbor. Asked of all at once,
    /// because other modules would have to copy each.
    package var areSettled: Bool {
        allSatisfy { $0.sockets.unsettled == 0 && !$0.neighbors.holdsPackets }
    }
}

/// What ping(8) sends behind the ICMP header, 56 octets unless told: 16 octets for the time, which stay zero here, then
/// a counting pattern.
package func pingPayload(_ octets: Int? = nil) -> [UInt8] {
    (0..<(octets ?? 56)).map { $0 < 16 ? 0 : UInt8(truncatingIfNeeded: $0) }
}
