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
    /// The outer source address; its family is that of the tunnel.
    public let local: IPAddress
    /// The device the outer packets leave by.
    public let lower: LinkID
    public let port: UInt16
    /// Inner destination MAC to the peer's underlay address.
    public internal(set) var forwardingDatabase: [MACAddress: IPAddress] = [:]

    /// What is put in front of an inner packet, its Ethernet header included and the outer one not.
    public static let ipv6Overhead = IPv6Header.length + UDPHeader.length + VXLANHeader.length + EthernetHeader.length

    init(link: LinkID, vni: UInt32, local: IPAddress, lower: LinkID, port: UInt16) {
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
        guard case .route(let route) = routeOutput(remote, egress: tunnel.lower) else {
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
        var outer = packet
        if hasPorts { outer.flowHash = hash }
        outer.connection = .none
        outer.connectionState = .none
        outer.bridge = BridgeNetfilterState()
        outer.mark = 0
        outer.ignoresDontFragment = false
        outer.fragmentSize = 0
        let transport = pushOuterHeader(&outer, from: tunnel.local, to: remote, &context)
        let datagramLength = outer.length - transport
        context.arena.withMutableBytes(outer) { bytes in
            UDPHeader(
                sourcePort: flowPort(hash), destinationPort: tunnel.port,
                payloadLength: datagramLength - UDPHeader.length
            ).write(to: &bytes, at: transport)
            VXLANHeader(networkIdentifier: tunnel.vni).write(to: &bytes, at: transport + UDPHeader.length)
            TransportChecksum.fill(
                .udp, source: tunnel.local, destination: remote, in: &bytes, segment: transport..<bytes.byteCount)
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

    /// Makes room for the outer headers and writes those of Ethernet, as far as it is known, and IP; gives the place of
    /// the UDP header.
    private mutating func pushOuterHeader(
        _ outer: inout Packet, from local: IPAddress, to remote: IPAddress, _ context: inout PathContext
    ) -> Int {
        let ip = local.family == .ipv4 ? IPv4Header.length : IPv6Header.length
        context.arena.advance(
            &outer, by: -(EthernetHeader.length + ip + UDPHeader.length + VXLANHeader.length))
        let transport = networkOffset + ip
        if let source = local.ipv4, let destination = remote.ipv4 {
            let header = IPv4Header(
                source: source, destination: destination, protocol: .udp, payloadLength: outer.length - transport,
                timeToLive: UInt8(clamping: sysctls.defaultTimeToLive),
                identification: nextIdentification(from: local, to: remote, .udp, &context))
            context.arena.withMutableBytes(outer) { bytes in
                bytes.storeUInt16(EtherType.ipv4.rawValue, at: 12)
                header.write(to: &bytes, at: networkOffset)
            }
        } else if let source = local.ipv6, let destination = remote.ipv6 {
            let header = IPv6Header(
                source: source, destination: destination, nextHeader: .udp, payloadLength: outer.length - transport,
                hopLimit: UInt8(clamping: sysctls.defaultHopLimit))
            context.arena.withMutableBytes(outer) { bytes in
                bytes.storeUInt16(EtherType.ipv6.rawValue, at: 12)
                header.write(to: &bytes, at: networkOffset)
            }
        }
        return transport
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
        // Each family has a socket of its own, and a device that is down has none.
        let source = sourceAddress(packet, context)
        func hears(_ tunnel: VXLANTunnel) -> Bool {
            tunnel.port == destinationPort && tunnel.local.family == source.family && links[tunnel.link.index].isUp
        }
        guard tunnels.contains(where: hears) else { return false }
        let parsed = context.arena.withBytes(packet) { try? VXLANHeader(parsing: $0, at: transport + UDPHeader.length) }
        guard let header = parsed, packet.length >= transport + UDPHeader.length + VXLANHeader.length + 14 else {
            drop(packet, .vxlanInvalidHeader, &context)
            return true
        }
        guard let tunnel = tunnels.first(where: { $0.vni == header.networkIdentifier && hears($0) })
        else {
            drop(packet, .vxlanNotFound, &context)
            return true
        }
        var inner = packet
        inner.scrub()
        context.arena.advance(&inner, by: transport + UDPHeader.length + VXLANHeader.length)
        context.record(.decapsulated(tunnel.link, remote: source, vni: tunnel.vni), inner, in: id)
        // The device's own queue comes in between (gro_cells_receive).
        context.transmissions.append(
            Transmission(
                packet: inner, source: id, link: tunnel.link, peer: LinkPeer(namespace: id, link: tunnel.link)))
        return true
    }
}
