// A VXLAN device (RFC 7348) as flannel sets it up: no learning, one forwarding entry per peer. Mirrors vxlan_xmit_one
// and vxlan_rcv in drivers/net/vxlan. The outer packet is a packet of this host like any other and meets OUTPUT,
// POSTROUTING and the underlay's neighbors.

public import Addressing
internal import Wire

/// A VXLAN device's settings and forwarding database.
public struct VXLANTunnel: Sendable, Hashable {
    /// The VXLAN device.
    public let link: LinkID
    public let vni: UInt32
    /// The outer source address.
    public let local: IPv4Address
    /// The device the outer packets leave by.
    public let lower: LinkID
    public let port: UInt16
    /// Inner destination MAC to the peer's underlay address.
    public internal(set) var forwardingDatabase: [MACAddress: IPv4Address] = [:]

    init(link: LinkID, vni: UInt32, local: IPv4Address, lower: LinkID, port: UInt16) {
        self.link = link
        self.vni = vni
        self.local = local
        self.lower = lower
        self.port = port
    }
}

extension NetworkNamespace {
    /// Wraps an inner frame and sends it to the peer behind its destination MAC.
    mutating func vxlanTransmit(_ packet: Packet, tunnel number: Int, _ context: inout PathContext) {
        let tunnel = tunnels[number]
        guard let remote = tunnel.forwardingDatabase[context.arena.loadMAC(packet, 0)] else {
            drop(packet, .vxlanNoRemote, &context)
            return
        }
        guard case .route(let route) = routeOutput(IPAddress(remote), egress: tunnel.lower) else {
            drop(packet, .noOutputRoute, &context)
            return
        }
        guard route.egress != tunnel.link else {
            drop(packet, .vxlanLoop, &context)
            return
        }
        guard route.kind != .local else {
            bypass(packet, tunnel: tunnel, &context)
            return
        }
        let (hash, hasPorts) = flowHash(packet, context)
        let overhead = EthernetHeader.length + IPv4Header.length + UDPHeader.length + VXLANHeader.length
        var outer = packet
        if hasPorts { outer.flowHash = hash }
        outer.connection = .none
        outer.connectionState = .none
        outer.bridge = BridgeNetfilterState()
        outer.mark = 0
        outer.ignoresDontFragment = false
        outer.fragmentSize = 0
        context.arena.advance(&outer, by: -overhead)
        let transport = networkOffset + IPv4Header.length
        let datagramLength = outer.length - transport
        let header = IPv4Header(
            source: tunnel.local, destination: remote, protocol: .udp, payloadLength: datagramLength,
            timeToLive: UInt8(sysctls.defaultTimeToLive),
            identification: nextIdentification(
                from: IPAddress(tunnel.local), to: IPAddress(remote), .udp, &context))
        context.arena.withMutableBytes(outer) { bytes in
            bytes.storeUInt16(EtherType.ipv4.rawValue, at: 12)
            header.write(to: &bytes, at: networkOffset)
            UDPHeader(
                sourcePort: flowPort(hash), destinationPort: tunnel.port,
                payloadLength: datagramLength - UDPHeader.length
            ).write(to: &bytes, at: transport)
            VXLANHeader(networkIdentifier: tunnel.vni).write(to: &bytes, at: transport + UDPHeader.length)
            TransportChecksum.fill(
                .udp, source: IPAddress(tunnel.local), destination: IPAddress(remote), in: &bytes,
                segment: transport..<bytes.byteCount)
        }
        context.record(.encapsulated(tunnel.link, remote: remote, vni: tunnel.vni), outer, in: id)
        localOutput(outer, by: route, &context)
    }

    /// The peer is this machine: the frame comes in by the device it left by, whoever it was for (vxlan_encap_bypass).
    private mutating func bypass(_ packet: Packet, tunnel: VXLANTunnel, _ context: inout PathContext) {
        var packet = packet
        packet.isLocal = false
        packet.isLoopedBack = true
        context.transmissions.append(
            Transmission(
                packet: packet, source: id, link: tunnel.link, peer: LinkPeer(namespace: id, link: tunnel.link)))
    }

    /// The outer source port of a flow (udp_flow_src_port), so that one flow takes one path.
    private func flowPort(_ hash: UInt32) -> UInt16 {
        let low = UInt32(sysctls.localPortRange.lowerBound)
        let high = UInt32(sysctls.localPortRange.upperBound)
        return UInt16(low + UInt32((UInt64(hash) * UInt64(high - low)) >> 32))
    }

    /// The packet's hash, else what the flow dissector makes of its headers: the same in both directions, from ports
    /// only where a whole packet has some (__flow_hash_consistentify). All nodes share one key here, as namespaces of
    /// one kernel do.
    private func flowHash(_ packet: Packet, _ context: borrowing PathContext) -> (hash: UInt32, hasPorts: Bool) {
        if packet.flowHash != 0 { return (packet.flowHash, true) }
        guard let header = NetworkHeader(packet, in: context.arena) else { return (0, false) }
        let hasPorts =
            header.protocol.hasPorts && !header.isFragment && packet.length >= header.transport + 4
        func port(_ offset: Int) -> UInt16 { hasPorts ? context.arena.load16(packet, header.transport + offset) : 0 }
        let source = SocketAddress(context.arena.source(packet), port(0))
        let destination = SocketAddress(context.arena.destination(packet), port(2))
        let (first, second) = source < destination ? (source, destination) : (destination, source)
        let mixed = ConnectionTuple(
            source: first.address, destination: second.address, protocol: header.protocol, sourcePort: first.port,
            destinationPort: second.port
        ).mixedHash
        return (UInt32(truncatingIfNeeded: mixed ^ mixed >> 32) | 1, hasPorts)
    }

    /// A datagram for the VXLAN port arrived; true when it was taken (or refused) as VXLAN.
    mutating func vxlanInput(
        _ packet: Packet, transport: Int, destinationPort: UInt16, _ context: inout PathContext
    ) -> Bool {
        // A device that is down has no socket.
        guard tunnels.contains(where: { $0.port == destinationPort && links[$0.link.index].isUp }) else { return false }
        let parsed = context.arena.withBytes(packet) { try? VXLANHeader(parsing: $0, at: transport + UDPHeader.length) }
        guard let header = parsed, packet.length >= transport + UDPHeader.length + VXLANHeader.length + 14 else {
            drop(packet, .vxlanInvalidHeader, &context)
            return true
        }
        let device = tunnels.first {
            $0.vni == header.networkIdentifier && $0.port == destinationPort && links[$0.link.index].isUp
        }
        guard let tunnel = device else {
            drop(packet, .vxlanNotFound, &context)
            return true
        }
        let remote = sourceAddress(packet, context).ipv4 ?? .any
        var inner = packet
        inner.scrub()
        context.arena.advance(&inner, by: transport + UDPHeader.length + VXLANHeader.length)
        context.record(.decapsulated(tunnel.link, remote: remote, vni: tunnel.vni), inner, in: id)
        tap(inner, on: tunnel.link, .ingress, &context)
        inner.type = frameType(inner, for: tunnel.link, context)
        protocolInput(inner, on: tunnel.link, &context)
        return true
    }
}
