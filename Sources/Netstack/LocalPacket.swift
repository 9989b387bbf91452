// Packets made here: room for one with its Ethernet type and network header written, of either family. Mirrors
// ip_build_and_send_pkt and ip6_xmit as far as header fields go. Simplified: an IPv6 flow label follows from the
// socket's hash, or is zero.

internal import Addressing
internal import Wire

/// What the network header of a packet made here says.
struct LocalHeader {
    var `protocol`: IPProtocol
    var source: IPAddress
    var destination: IPAddress
    /// Nil for the namespace's default.
    var timeToLive: UInt8?
    var trafficClass: UInt8 = 0
    /// IPv4 only.
    var identification: UInt16 = 0
    /// IPv4 only.
    var dontFragment = false
    var flowHash: UInt32 = 0
}

extension PacketArena {
    /// What the kernel has in place of a checksum it leaves to the device: the sum over the pseudo header.
    func unfinishedChecksum(of packet: Packet) -> (offset: Int, value: UInt16)? {
        guard let header = NetworkHeader(packet, in: self), let field = TransportChecksum.offset(of: header.protocol)
        else { return nil }
        var sum = Checksum()
        sum.addPseudoHeader(
            source: source(packet), destination: destination(packet), protocol: header.protocol,
            length: packet.length - header.transport)
        return (header.transport + field, ~sum.value)
    }

    /// An IP packet as an error quotes it, at most so many octets.
    func quote(_ packet: Packet, room: Int) -> [UInt8] {
        var octets = bytes(packet, from: networkOffset)
        if packet.lacksChecksum, let checksum = unfinishedChecksum(of: packet) {
            octets[checksum.offset - networkOffset] = UInt8(checksum.value >> 8)
            octets[checksum.offset - networkOffset + 1] = UInt8(checksum.value & 0xff)
        }
        return Array(octets.prefix(room))
    }
}

extension NetworkNamespace {
    /// A packet with that header and room for a transport header and payload, which begin at `transport`. Both
    /// addresses are of one family.
    mutating func makePacket(
        _ header: LocalHeader, length: Int, _ context: inout PathContext
    ) -> (packet: Packet, transport: Int) {
        let headerLength = header.source.family == .ipv4 ? IPv4Header.length : IPv6Header.length
        let transport = networkOffset + headerLength
        var packet = context.arena.allocate(length: transport + length, id: context.newPacketID())
        packet.flowHash = header.flowHash
        packet.isLocal = true
        let defaultHops = header.source.family == .ipv4 ? sysctls.defaultTimeToLive : sysctls.defaultHopLimit
        let timeToLive = header.timeToLive ?? UInt8(defaultHops)
        context.arena.withMutableBytes(packet) { bytes in
            bytes.storeUInt16(EtherType(header.source.family).rawValue, at: 12)
            if let source = header.source.ipv4, let destination = header.destination.ipv4 {
                IPv4Header(
                    source: source, destination: destination, protocol: header.protocol, payloadLength: length,
                    timeToLive: timeToLive, trafficClass: header.trafficClass,
                    identification: header.identification, dontFragment: header.dontFragment
                ).write(to: &bytes, at: networkOffset)
            } else if let source = header.source.ipv6, let destination = header.destination.ipv6 {
                IPv6Header(
                    source: source, destination: destination, nextHeader: header.protocol, payloadLength: length,
                    hopLimit: timeToLive, trafficClass: header.trafficClass,
                    flowLabel: header.flowHash >> 16 | header.flowHash << 16
                ).write(to: &bytes, at: networkOffset)
            }
        }
        return (packet, transport)
    }

    /// Octets of network header in front of what is sent to an address.
    func headerLength(towards destination: IPAddress) -> Int {
        destination.family == .ipv4 ? IPv4Header.length : IPv6Header.length
    }
}
