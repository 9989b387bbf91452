// Checksums that cover more than their own header: TCP, UDP and ICMPv6 with the pseudo header, ICMP without, SCTP with
// CRC32c. Filling, verifying, and changing them in place for NAT, as net/netfilter/nf_nat_proto.c does.

public import Addressing

/// Fills, verifies and adjusts the checksums of transport headers.
public enum TransportChecksum {
    /// Where the checksum field lies in the header of a protocol, or nil for one that has none.
    package static func offset(of number: IPProtocol) -> Int? {
        switch number {
        case .tcp: TCPHeader.Offset.checksum
        case .udp: UDPHeader.Offset.checksum
        case .icmp: ICMPv4Message.Offset.checksum
        case .icmpv6: ICMPv6Message.Offset.checksum
        case .sctp: SCTPHeader.Offset.checksum
        default: nil
        }
    }

    /// The internet checksum over the segment and, but for ICMP, its pseudo header.
    private static func compute(
        _ number: IPProtocol, source: IPAddress, destination: IPAddress, _ bytes: RawSpan, _ segment: Range<Int>
    ) -> UInt16 {
        var checksum = Checksum()
        if number != .icmp {
            checksum.addPseudoHeader(
                source: source, destination: destination, protocol: number, length: segment.count)
        }
        checksum.add(bytes, in: segment)
        return checksum.value
    }

    /// Computes and stores the checksum of the TCP, UDP, ICMP, ICMPv6 or SCTP header at the start of `segment`, which
    /// reaches to the end of the payload. A computed UDP checksum of zero is sent as 0xffff.
    public static func fill(
        _ number: IPProtocol, source: IPAddress, destination: IPAddress, in bytes: inout MutableRawSpan,
        segment: Range<Int>
    ) {
        guard let field = offset(of: number) else { return }
        if number == .sctp {
            bytes.storeUInt32(0, at: segment.lowerBound + field)
            let value = CRC32C.checksum(bytes.bytes, in: segment)
            // RFC 9260 appendix A: the only field of the suite that goes out in little-endian order.
            bytes.storeUInt32(value.byteSwapped, at: segment.lowerBound + field)
            return
        }
        bytes.storeUInt16(0, at: segment.lowerBound + field)
        var value = compute(number, source: source, destination: destination, bytes.bytes, segment)
        if number == .udp, value == 0 { value = 0xffff }
        bytes.storeUInt16(value, at: segment.lowerBound + field)
    }

    /// Whether the checksum in `segment` is right. A UDP checksum of zero counts as right over IPv4 (none was
    /// computed) and as wrong over IPv6. A protocol without checksum is always right.
    public static func verify(
        _ number: IPProtocol, source: IPAddress, destination: IPAddress, in bytes: RawSpan, segment: Range<Int>
    ) -> Bool {
        guard let field = offset(of: number) else { return true }
        let width = number == .sctp ? 4 : 2
        guard segment.count >= field + width, segment.lowerBound >= 0, segment.upperBound <= bytes.byteCount else {
            return false
        }
        if number == .sctp {
            var crc = CRC32C()
            let position = segment.lowerBound + field
            crc.add(bytes, in: segment.lowerBound..<position)
            crc.addZeros(4)
            crc.add(bytes, in: position + 4..<segment.upperBound)
            return bytes.loadUInt32(at: position) == crc.value.byteSwapped
        }
        if number == .udp, bytes.loadUInt16(at: segment.lowerBound + field) == 0 {
            return source.family == .ipv4
        }
        return compute(number, source: source, destination: destination, bytes, segment) == 0
    }

    // MARK: In place, for NAT

    /// Adjusts the checksum of the header at `offset` after an address of the pseudo header changed. ICMP and SCTP do
    /// not cover addresses; a UDP checksum of zero stays zero.
    package static func replace(
        _ number: IPProtocol, address old: IPAddress, with new: IPAddress, in bytes: inout MutableRawSpan,
        at offset: Int
    ) {
        guard number == .tcp || number == .udp || number == .icmpv6, let field = self.offset(of: number) else { return }
        let checksum = bytes.loadUInt16(at: offset + field)
        if number == .udp, checksum == 0 { return }
        store(Checksum.update(checksum, replacing: old, with: new), number, &bytes, offset + field)
    }

    /// Stores a port or an echo identifier at `position` of the header at `offset`, and keeps the checksum right.
    /// SCTP's checksum cannot be adjusted: call `fill` afterwards.
    package static func replaceWord(
        _ number: IPProtocol, at position: Int, with new: UInt16, in bytes: inout MutableRawSpan, at offset: Int
    ) {
        let old = bytes.loadUInt16(at: offset + position)
        bytes.storeUInt16(new, at: offset + position)
        guard number != .sctp, let field = self.offset(of: number) else { return }
        let checksum = bytes.loadUInt16(at: offset + field)
        if number == .udp, checksum == 0 { return }
        store(Checksum.update(checksum, replacing: old, with: new), number, &bytes, offset + field)
    }

    private static func store(
        _ checksum: UInt16, _ number: IPProtocol, _ bytes: inout MutableRawSpan, _ position: Int
    ) {
        bytes.storeUInt16(number == .udp && checksum == 0 ? 0xffff : checksum, at: position)
    }
}
