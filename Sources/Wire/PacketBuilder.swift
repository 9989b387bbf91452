// Whole Ethernet frames as arrays, with every length and checksum right: for tests, examples and senders that are not
// on the fast path. The packet path writes headers into its own buffers instead.

public import Addressing

/// Two ends and the network-layer fields of the packets between them.
///
/// The addresses' family decides between IPv4 and IPv6; both must be of one family.
public struct PacketBuilder: Hashable, Sendable {
    public var sourceMAC: MACAddress
    public var destinationMAC: MACAddress
    public var source: IPAddress
    public var destination: IPAddress
    /// Hop limit for IPv6.
    public var timeToLive: UInt8 = 64
    public var trafficClass: UInt8 = 0
    /// IPv4 only.
    public var identification: UInt16 = 0
    /// IPv4 only.
    public var dontFragment = true
    /// IPv6 only.
    public var flowLabel: UInt32 = 0

    public init(
        sourceMAC: MACAddress, destinationMAC: MACAddress, source: IPAddress, destination: IPAddress
    ) {
        precondition(source.family == destination.family, "addresses of two families")
        self.sourceMAC = sourceMAC
        self.destinationMAC = destinationMAC
        self.source = source
        self.destination = destination
    }

    /// The same with both ends exchanged: what the answer starts from.
    public var reversed: PacketBuilder {
        var result = self
        swap(&result.sourceMAC, &result.destinationMAC)
        swap(&result.source, &result.destination)
        return result
    }

    /// Where the transport header starts in the frames built here.
    public var transportOffset: Int {
        EthernetHeader.length + (source.family == .ipv4 ? IPv4Header.length : IPv6Header.length)
    }

    // MARK: Packets

    /// A frame around any transport octets, which are taken as they are.
    public func packet(_ number: IPProtocol, payload: [UInt8]) -> [UInt8] {
        build(number, length: payload.count, checksum: false) { bytes, offset in bytes.store(payload, at: offset) }
    }

    public func tcp(
        from sourcePort: UInt16, to destinationPort: UInt16, flags: TCPFlags, sequence: UInt32 = 1,
        acknowledgment: UInt32 = 0, window: UInt16 = 64860, options: TCPOptions = TCPOptions(), payload: [UInt8] = []
    ) -> [UInt8] {
        let header = TCPHeader(
            sourcePort: sourcePort, destinationPort: destinationPort, sequence: sequence,
            acknowledgment: acknowledgment, flags: flags, window: window, options: options)
        return build(.tcp, length: header.headerLength + payload.count) { bytes, offset in
            header.write(to: &bytes, at: offset)
            bytes.store(payload, at: offset + header.headerLength)
        }
    }

    /// `checksum: false` leaves the checksum zero, as a VXLAN device without `udpcsum` does.
    public func udp(
        from sourcePort: UInt16, to destinationPort: UInt16, payload: [UInt8] = [], checksum: Bool = true
    ) -> [UInt8] {
        let header = UDPHeader(
            sourcePort: sourcePort, destinationPort: destinationPort, payloadLength: payload.count)
        return build(.udp, length: UDPHeader.length + payload.count, checksum: checksum) { bytes, offset in
            header.write(to: &bytes, at: offset)
            bytes.store(payload, at: offset + UDPHeader.length)
        }
    }

    /// `chunks` with their headers and padding.
    public func sctp(
        from sourcePort: UInt16, to destinationPort: UInt16, verificationTag: UInt32, chunks: [UInt8]
    ) -> [UInt8] {
        let header = SCTPHeader(
            sourcePort: sourcePort, destinationPort: destinationPort, verificationTag: verificationTag)
        return build(.sctp, length: SCTPHeader.length + chunks.count) { bytes, offset in
            header.write(to: &bytes, at: offset)
            bytes.store(chunks, at: offset + SCTPHeader.length)
        }
    }

    public func echoRequest(identifier: UInt16, sequence: UInt16, payload: [UInt8] = []) -> [UInt8] {
        let rest = UInt32(identifier) << 16 | UInt32(sequence)
        return source.family == .ipv4
            ? icmp(.echoRequest, restOfHeader: rest, payload: payload)
            : icmpv6(.echoRequest, restOfHeader: rest, payload: payload)
    }

    public func echoReply(identifier: UInt16, sequence: UInt16, payload: [UInt8] = []) -> [UInt8] {
        let rest = UInt32(identifier) << 16 | UInt32(sequence)
        return source.family == .ipv4
            ? icmp(.echoReply, restOfHeader: rest, payload: payload)
            : icmpv6(.echoReply, restOfHeader: rest, payload: payload)
    }

    /// Any ICMP message; an error's payload is the quoted packet from its IP header on.
    public func icmp(_ kind: ICMPv4Kind, restOfHeader: UInt32 = 0, payload: [UInt8] = []) -> [UInt8] {
        let header = ICMPv4Message(kind: kind, restOfHeader: restOfHeader)
        return build(.icmp, length: ICMPv4Message.length + payload.count) { bytes, offset in
            header.write(to: &bytes, at: offset)
            bytes.store(payload, at: offset + ICMPv4Message.length)
        }
    }

    /// Any ICMPv6 message.
    public func icmpv6(_ kind: ICMPv6Kind, restOfHeader: UInt32 = 0, payload: [UInt8] = []) -> [UInt8] {
        let header = ICMPv6Message(kind: kind, restOfHeader: restOfHeader)
        return build(.icmpv6, length: ICMPv6Message.length + payload.count) { bytes, offset in
            header.write(to: &bytes, at: offset)
            bytes.store(payload, at: offset + ICMPv6Message.length)
        }
    }

    /// A neighbor solicitation or advertisement, with the hop limit of 255 that proves it was not routed.
    public func neighborDiscovery(_ message: NeighborDiscoveryMessage) -> [UInt8] {
        var builder = self
        builder.timeToLive = 255
        return builder.build(.icmpv6, length: message.messageLength) { bytes, offset in
            message.write(to: &bytes, at: offset)
        }
    }

    /// A VXLAN datagram around a whole inner frame.
    public func vxlan(
        networkIdentifier: UInt32, from sourcePort: UInt16, to destinationPort: UInt16 = VXLANHeader.linuxPort,
        frame: [UInt8], checksum: Bool = true
    ) -> [UInt8] {
        let length = VXLANHeader.length + frame.count
        let header = UDPHeader(sourcePort: sourcePort, destinationPort: destinationPort, payloadLength: length)
        return build(.udp, length: UDPHeader.length + length, checksum: checksum) { bytes, offset in
            header.write(to: &bytes, at: offset)
            VXLANHeader(networkIdentifier: networkIdentifier).write(to: &bytes, at: offset + UDPHeader.length)
            bytes.store(frame, at: offset + UDPHeader.length + VXLANHeader.length)
        }
    }

    /// An ARP frame. Not padded to 60 octets, as nothing inside a Linux host pads.
    public static func arp(_ packet: ARPPacket, source: MACAddress, destination: MACAddress) -> [UInt8] {
        var frame = [UInt8](repeating: 0, count: EthernetHeader.length + ARPPacket.length)
        var span = frame.mutableSpan
        var bytes = span.mutableBytes
        EthernetHeader(destination: destination, source: source, type: .arp).write(to: &bytes)
        packet.write(to: &bytes, at: EthernetHeader.length)
        return frame
    }

    /// Ethernet and network headers, then what `write` puts at the transport offset, then the transport checksum.
    private func build(
        _ number: IPProtocol, length: Int, checksum: Bool = true, write: (inout MutableRawSpan, Int) -> Void
    ) -> [UInt8] {
        let offset = transportOffset
        var frame = [UInt8](repeating: 0, count: offset + length)
        var span = frame.mutableSpan
        var bytes = span.mutableBytes
        EthernetHeader(destination: destinationMAC, source: sourceMAC, type: EtherType(source.family))
            .write(to: &bytes)
        if let source = source.ipv4, let destination = destination.ipv4 {
            IPv4Header(
                source: source, destination: destination, protocol: number, payloadLength: length,
                timeToLive: timeToLive, trafficClass: trafficClass, identification: identification,
                dontFragment: dontFragment
            ).write(to: &bytes, at: EthernetHeader.length)
        } else if let source = source.ipv6, let destination = destination.ipv6 {
            IPv6Header(
                source: source, destination: destination, nextHeader: number, payloadLength: length,
                hopLimit: timeToLive, trafficClass: trafficClass, flowLabel: flowLabel
            ).write(to: &bytes, at: EthernetHeader.length)
        }
        write(&bytes, offset)
        if checksum {
            TransportChecksum.fill(
                number, source: source, destination: destination, in: &bytes, segment: offset..<offset + length)
        }
        return frame
    }

    // MARK: Fragments

    /// Cuts an IPv4 frame as net/ipv4/ip_output.c ip_fragment does: every piece but the last carries as many octets as
    /// fit into `mtu`, rounded down to eight; DF is cleared, all pieces keep the identification. A frame that fits is
    /// returned as it is. Options are repeated in every piece, which is right only for those with the copy bit.
    public static func fragments(of frame: [UInt8], mtu: Int) throws(ParseError) -> [[UInt8]] {
        let header = try IPv4Header(parsing: frame.span.bytes, at: EthernetHeader.length)
        try header.requireComplete(available: frame.count - EthernetHeader.length, at: EthernetHeader.length)
        guard Int(header.totalLength) > mtu else { return [frame] }
        guard header.fragmentByteOffset + header.payloadLength <= Int(UInt16.max) else {
            throw ParseError(
                layer: .ipv4, field: "fragment offset",
                offset: EthernetHeader.length + IPv4Header.Offset.flagsAndFragmentOffset,
                reason: .unsupported(header.fragmentByteOffset))
        }
        let piece = (mtu - header.headerLength) & ~7
        precondition(piece > 0, "the MTU leaves no room for payload")
        let start = EthernetHeader.length + header.headerLength
        return stride(from: 0, to: header.payloadLength, by: piece).map { position in
            let count = min(piece, header.payloadLength - position)
            var part = header
            part.totalLength = UInt16(header.headerLength + count)
            part.dontFragment = false
            part.fragmentByteOffset = header.fragmentByteOffset + position
            part.moreFragments = header.moreFragments || position + count < header.payloadLength
            var result = Array(frame[..<start])
            result += frame[start + position..<start + position + count]
            var span = result.mutableSpan
            var bytes = span.mutableBytes
            part.write(to: &bytes, at: EthernetHeader.length)
            return result
        }
    }
}
