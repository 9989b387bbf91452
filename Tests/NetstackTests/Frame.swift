// A frame a test saw, read field by field, and in one line for tables:
//   eth0 udp 10.0.0.1:1000 > 10.0.0.2:53 ttl 64
//   eth0 arp who-has 10.0.0.2 tell 10.0.0.1
//   eth0 icmp 3/1 10.0.0.1 > 10.0.0.9 ttl 64 about (udp 10.0.0.9:1 > 10.0.0.7:2 ttl 63)

import Addressing
import Testing
import Wire

@testable import Netstack

struct Frame {
    var time: Nanoseconds
    var namespace: Int
    var link: String
    var direction: PathEvent.Direction
    var octets: [UInt8]

    var ethernet: EthernetHeader { try! EthernetHeader(parsing: octets.span.bytes) }
    var arp: ARPPacket? {
        ethernet.type == .arp ? try? ARPPacket(parsing: octets.span.bytes, at: 14) : nil
    }
    var packet: IPv4Packet? {
        ethernet.type == .ipv4 ? IPv4Packet(Array(octets.dropFirst(14))) : nil
    }
    var ipv4: IPv4Header { packet!.header }
    var tcp: TCPHeader { packet!.tcp! }
    var icmp: ICMPv4Message { packet!.icmp! }
    var payload: [UInt8] { packet!.payload }

    /// `SOURCE > DESTINATION`, each the last octet of a MAC address in hexadecimal, `all` for broadcast.
    var stations: String {
        func name(_ mac: MACAddress) -> String {
            mac.isBroadcast ? "all" : String(mac.rawValue & 0xff, radix: 16)
        }
        return "\(name(ethernet.source)) > \(name(ethernet.destination))"
    }

    /// The link and what the frame carries.
    var text: String { "\(link) \(content)" }

    /// The same with link direction and MAC addresses, as a tap's line.
    var tapText: String { "\(link) \(direction == .ingress ? "in" : "out") \(stations) \(content)" }

    var content: String {
        if let arp {
            switch arp.operation {
            case .request: return "arp who-has \(arp.targetIP) tell \(arp.senderIP)"
            case .reply: return "arp \(arp.senderIP) is-at \(arp.senderMAC) for \(arp.targetIP)"
            default: return "arp \(arp.operation.rawValue)"
            }
        }
        return packet?.text ?? "type \(ethernet.type.rawValue)"
    }

    /// Header and transport checksums are right, those of quoted packets' headers too.
    func expectChecksums(sourceLocation: SourceLocation = #_sourceLocation) {
        guard let packet else { return }
        #expect(packet.isIntact, "bad checksum in \(text)", sourceLocation: sourceLocation)
        if let inner = packet.inner { inner.expectChecksums(sourceLocation: sourceLocation) }
        guard let quote = packet.quote else { return }
        #expect(quote.headerIsIntact, "bad header checksum in the quote of \(text)", sourceLocation: sourceLocation)
    }
}

/// An IPv4 packet from its header on.
struct IPv4Packet {
    let octets: [UInt8]
    let header: IPv4Header

    init?(_ octets: [UInt8]) {
        guard let header = try? IPv4Header(parsing: octets.span.bytes) else { return nil }
        self.octets = octets
        self.header = header
    }

    private var start: Int { header.headerLength }
    private var hasTransport: Bool { header.fragmentByteOffset == 0 }
    var tcp: TCPHeader? {
        guard header.protocol == .tcp, hasTransport else { return nil }
        return try? TCPHeader(parsing: octets.span.bytes, at: start)
    }
    var udp: UDPHeader? {
        guard header.protocol == .udp, hasTransport else { return nil }
        return try? UDPHeader(parsing: octets.span.bytes, at: start)
    }
    var icmp: ICMPv4Message? {
        guard header.protocol == .icmp, hasTransport else { return nil }
        return try? ICMPv4Message(parsing: octets.span.bytes, at: start)
    }
    /// What stands behind the transport header, or behind the IP header where there is none known.
    var payload: [UInt8] {
        if let tcp { return Array(octets.dropFirst(start + tcp.headerLength)) }
        if udp != nil || icmp != nil { return Array(octets.dropFirst(start + 8)) }
        return Array(octets.dropFirst(start))
    }
    /// The packet an ICMP error is about.
    var quote: IPv4Packet? {
        guard let icmp, icmp.kind.isError else { return nil }
        return IPv4Packet(payload)
    }
    /// The frame inside a VXLAN datagram.
    var inner: Frame? {
        guard let udp, udp.destinationPort == VXLANHeader.linuxPort, payload.count >= 22 else { return nil }
        return Frame(time: 0, namespace: 0, link: "inner", direction: .egress, octets: Array(payload.dropFirst(8)))
    }

    var headerIsIntact: Bool { IPv4Header.verifyChecksum(octets.span.bytes) }

    var isIntact: Bool {
        guard headerIsIntact else { return false }
        if header.isFragment { return true }
        return TransportChecksum.verify(
            header.protocol, source: IPAddress(header.source), destination: IPAddress(header.destination),
            in: octets.span.bytes, segment: start..<octets.count)
    }

    var text: String {
        let source = "\(header.source)"
        let destination = "\(header.destination)"
        var text: String
        if header.fragmentByteOffset > 0 {
            text = "frag@\(header.fragmentByteOffset) \(source) > \(destination)"
        } else if let inner {
            text = "vxlan \(source) > \(destination) (\(inner.content))"
        } else if let tcp {
            text = "tcp \(tcp.flags.word) \(source):\(tcp.sourcePort) > \(destination):\(tcp.destinationPort)"
        } else if let udp {
            text = "udp \(source):\(udp.sourcePort) > \(destination):\(udp.destinationPort)"
        } else if let icmp {
            text = "icmp \(icmp.type)/\(icmp.code) \(source) > \(destination)"
        } else if [.tcp, .udp].contains(header.protocol), payload.count >= 4 {
            let ports = payload.span.bytes
            text = "\(header.protocol) \(source):\(ports.loadUInt16(at: 0)) > \(destination):\(ports.loadUInt16(at: 2))"
        } else {
            text = "\(header.protocol) \(source) > \(destination)"
        }
        text += " ttl \(header.timeToLive)"
        if let quote { text += " about (\(quote.text))" }
        return text
    }
}

extension TCPFlags {
    /// One letter a flag, in the order people say them: S, F, R, P, A.
    var word: String {
        let letters: [(TCPFlags, String)] = [(.syn, "S"), (.fin, "F"), (.rst, "R"), (.psh, "P"), (.ack, "A")]
        return letters.filter { contains($0.0) }.map(\.1).joined()
    }
}

extension Frame: CustomTestStringConvertible {
    var testDescription: String { tapText }
}
