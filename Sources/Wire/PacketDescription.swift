// A frame in the words of `tcpdump -n`, which is how people read packets. Octets that make no sense are described as
// far as they go, never refused. This file has the entry points, Ethernet, ARP and both network layers; transports,
// ICMP and DNS have files of their own.
// Differs from tcpdump: port 8472 is read as VXLAN (flannel's use) and not as OTV; no hex dumps; options and protocols
// no pod network uses are named by number.

import Addressing

/// Describes a frame as `tcpdump -n -S` prints it, or with `showingLinkLayer` as `tcpdump -e -n -S` does. The inner
/// frame of a VXLAN datagram follows on a line of its own.
public func describe(frame: RawSpan, showingLinkLayer: Bool = false) -> String {
    var describer = PacketDescriber(showingLinkLayer: showingLinkLayer, absoluteSequenceNumbers: true)
    return describer.describe(frame: frame)
}

/// Describes a packet that starts with its IP header.
public func describe(packet: RawSpan) -> String {
    var describer = PacketDescriber(absoluteSequenceNumbers: true)
    return describer.describe(packet: packet)
}

/// Describes one packet after the other and prints TCP numbers relative to the first ones of each connection, as
/// `tcpdump -n` does: absolute in the handshake's first two segments, counted from there afterwards.
public struct PacketDescriber: Sendable {
    /// One TCP connection, the same value for both directions.
    struct Conversation: Hashable, Sendable {
        let first: SocketAddress
        let second: SocketAddress
    }

    /// The number before the first octet of each side: what relative numbers count from.
    struct InitialNumbers: Sendable {
        var first: UInt32
        var second: UInt32
    }

    public let showingLinkLayer: Bool
    public let absoluteSequenceNumbers: Bool
    var conversations: [Conversation: InitialNumbers] = [:]

    public init(showingLinkLayer: Bool = false, absoluteSequenceNumbers: Bool = false) {
        self.showingLinkLayer = showingLinkLayer
        self.absoluteSequenceNumbers = absoluteSequenceNumbers
    }

    public mutating func describe(frame: RawSpan) -> String {
        var text = ""
        describeFrame(frame, 0..<frame.byteCount, &text)
        return text.trimmed
    }

    public mutating func describe(packet: RawSpan) -> String {
        var text = ""
        let version = packet.byteCount > 0 ? packet.loadUInt8(at: 0) >> 4 : 0
        text += version == 6 ? "IP6 " : "IP "
        describeNetwork(packet, 0..<packet.byteCount, version == 6 ? .ipv6 : .ipv4, &text)
        return text.trimmed
    }

    // MARK: Ethernet

    mutating func describeFrame(_ bytes: RawSpan, _ range: Range<Int>, _ text: inout String) {
        guard range.count >= EthernetHeader.length,
            let header = try? EthernetHeader(parsing: bytes, at: range.lowerBound)
        else {
            text += "[|ether]"
            return
        }
        let payload = range.lowerBound + EthernetHeader.length..<range.upperBound
        let family: String? =
            switch header.type {
            case .ipv4: "IP"
            case .ipv6: "IP6"
            case .arp: "ARP"
            default: nil
            }
        if showingLinkLayer || family == nil {
            text += "\(header.source) > \(header.destination), ethertype \(header.type.name) "
            text += "(0x\(header.type.rawValue.hexadecimal(4))), length \(range.count)"
            guard family != nil else { return }
            text += ": "
        }
        switch header.type {
        case .arp:
            if !showingLinkLayer { text += "ARP, " }
            describeARP(bytes, payload, &text)
        case .ipv6:
            if !showingLinkLayer { text += "IP6 " }
            describeNetwork(bytes, payload, .ipv6, &text)
        default:
            if !showingLinkLayer { text += "IP " }
            describeNetwork(bytes, payload, .ipv4, &text)
        }
    }

    private func describeARP(_ bytes: RawSpan, _ range: Range<Int>, _ text: inout String) {
        let packet: ARPPacket
        do {
            packet = try ARPPacket(parsing: bytes, at: range.lowerBound)
        } catch {
            if case .truncated = error.reason { text += "[|arp]" } else { text += "Unknown (\(error.field))" }
            return
        }
        switch packet.operation {
        case .request:
            text += "Request who-has \(packet.targetIP)"
            if packet.targetMAC != .zero { text += " (\(packet.targetMAC))" }
            text += " tell \(packet.senderIP)"
        case .reply:
            text += "Reply \(packet.senderIP) is-at \(packet.senderMAC)"
        default:
            text += "Unknown (\(packet.operation.rawValue))"
        }
        text += ", length \(range.count)"
    }

    // MARK: Network layer

    /// What a transport needs to know about the packet around it.
    struct Envelope {
        var source: IPAddress
        var destination: IPAddress
        /// How long the transport header and data are according to the network header.
        var length: Int
        /// Behind an extension header the addresses are printed already and only ports are.
        var addressesPrinted = false
        /// The first piece of a larger packet, so that lengths inside may exceed it.
        var isFragment = false

        /// `a > b: `
        func ends() -> String { addressesPrinted ? "" : "\(source) > \(destination): " }

        /// `a.port > b.port: `
        func ends(_ sourcePort: UInt16, _ destinationPort: UInt16) -> String {
            addressesPrinted
                ? "\(sourcePort) > \(destinationPort): "
                : "\(source).\(sourcePort) > \(destination).\(destinationPort): "
        }
    }

    mutating func describeNetwork(
        _ bytes: RawSpan, _ range: Range<Int>, _ family: AddressFamily, _ text: inout String
    ) {
        let version = range.isEmpty ? nil : bytes.loadUInt8(at: range.lowerBound) >> 4
        if family == .ipv4 {
            guard range.count >= IPv4Header.length else {
                text += "[|ip]"
                return
            }
            guard version == 4 else {
                text += "bad-version \(version ?? 0)"
                return
            }
            describeIPv4(bytes, range, &text)
        } else {
            guard range.count >= IPv6Header.length else {
                text += "[|ip6]"
                return
            }
            guard version == 6 else {
                text += "version error: \(version ?? 0) != 6"
                return
            }
            describeIPv6(bytes, range, &text)
        }
    }

    private mutating func describeIPv4(_ bytes: RawSpan, _ range: Range<Int>, _ text: inout String) {
        let start = range.lowerBound
        let headerLength = Int(bytes.loadUInt8(at: start) & 0xf) * 4
        let totalLength = Int(bytes.loadUInt16(at: start + IPv4Header.Offset.totalLength))
        guard headerLength >= IPv4Header.length else {
            text += "bad-hlen \(headerLength)"
            return
        }
        guard totalLength >= headerLength else {
            text += "bad-len \(totalLength)"
            return
        }
        guard range.count >= headerLength, let header = try? IPv4Header(parsing: bytes, at: start) else {
            text += "[|ip]"
            return
        }
        if range.count < totalLength {
            text += "truncated-ip - \(totalLength - range.count) bytes missing! "
        }
        let payload = start + headerLength..<min(range.upperBound, start + totalLength)
        let envelope = Envelope(
            source: IPAddress(header.source), destination: IPAddress(header.destination),
            length: totalLength - headerLength, isFragment: header.moreFragments)
        if header.fragmentByteOffset != 0 {
            text += "\(envelope.ends())ip-proto-\(header.protocol.rawValue)"
            return
        }
        describeTransport(header.protocol, bytes, payload, envelope, &text)
    }

    private mutating func describeIPv6(_ bytes: RawSpan, _ range: Range<Int>, _ text: inout String) {
        let start = range.lowerBound
        guard let header = try? IPv6Header(parsing: bytes, at: start) else { return }
        let totalLength = IPv6Header.length + Int(header.payloadLength)
        if range.count < totalLength {
            text += "truncated-ip6 - \(totalLength - range.count) bytes missing!"
        }
        let end = min(range.upperBound, start + totalLength)
        var envelope = Envelope(
            source: IPAddress(header.source), destination: IPAddress(header.destination),
            length: Int(header.payloadLength))
        var next = header.nextHeader
        var position = start + IPv6Header.length
        while next.isIPv6ExtensionHeader {
            text += envelope.ends()
            envelope.addressesPrinted = true
            guard end - position >= 8 else {
                text += "[|\(next.extensionName)]"
                return
            }
            let units = Int(bytes.loadUInt8(at: position + 1))
            var length = (units + 1) * 8
            if next == .fragmentHeader, let fragment = try? IPv6FragmentHeader(parsing: bytes, at: position) {
                length = IPv6FragmentHeader.length
                envelope.isFragment = fragment.moreFragments
                text += "frag (\(fragment.fragmentByteOffset)|\(envelope.length - length)) "
                if fragment.fragmentByteOffset != 0 { return }
            } else if next == .authenticationHeader {
                length = (units + 2) * 4
                text += "AH "
            } else {
                text += next == .hopByHopOptions ? "HBH " : next == .routingHeader ? "srcrt " : "DSTOPT "
            }
            guard end - position >= length else {
                text += "[|\(next.extensionName)]"
                return
            }
            next = IPProtocol(rawValue: bytes.loadUInt8(at: position))
            position += length
            envelope.length -= length
        }
        describeTransport(next, bytes, position..<end, envelope, &text)
    }

    private mutating func describeTransport(
        _ number: IPProtocol, _ bytes: RawSpan, _ range: Range<Int>, _ envelope: Envelope, _ text: inout String
    ) {
        switch (number, envelope.source.family) {
        case (.tcp, _): describeTCP(bytes, range, envelope, &text)
        case (.udp, _): describeUDP(bytes, range, envelope, &text)
        case (.sctp, _): describeSCTP(bytes, range, envelope, &text)
        case (.icmp, .ipv4): describeICMP(bytes, range, envelope, &text)
        case (.icmpv6, .ipv6): describeICMPv6(bytes, range, envelope, &text)
        case (IPProtocol(rawValue: 2), .ipv4): describeIGMP(bytes, range, envelope, &text)
        case (.noNextHeader, .ipv6): text += "\(envelope.ends())no next header"
        default: text += "\(envelope.ends())ip-proto-\(number.rawValue) \(envelope.length)"
        }
    }
}

extension EtherType {
    /// The name `tcpdump -e` gives it.
    fileprivate var name: String {
        switch rawValue {
        case 0x0800: "IPv4"
        case 0x0806: "ARP"
        case 0x86dd: "IPv6"
        case 0x8100: "802.1Q"
        case 0x88cc: "LLDP"
        default: "Unknown"
        }
    }
}

extension IPProtocol {
    /// What stands in `[|...]` when the extension header is cut off.
    fileprivate var extensionName: String {
        switch self {
        case .hopByHopOptions: "hbhopt"
        case .destinationOptions: "dstopt"
        case .fragmentHeader: "frag"
        case .routingHeader: "rthdr"
        default: "ah"
        }
    }
}

extension FixedWidthInteger {
    /// Lower-case hexadecimal, with zeros in front up to `digits`.
    func hexadecimal(_ digits: Int) -> String {
        let text = String(self, radix: 16)
        return String(repeating: "0", count: Swift.max(0, digits - text.utf8.count)) + text
    }
}

extension String {
    /// Without the blanks tcpdump leaves at the end of some lines.
    fileprivate var trimmed: String {
        var end = endIndex
        while end > startIndex, self[index(before: end)] == " " { end = index(before: end) }
        return String(self[..<end])
    }
}
