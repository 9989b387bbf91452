// What happened to a packet, step by step: small plain values, kept only when someone asked. Names and text are
// made from them when they are shown.

public import Addressing
internal import Wire

/// The kernel's two ways to keep packet rules.
public enum RuleSystem: UInt8, Hashable, Sendable, BitwiseCopyable {
    case iptables, ip6tables, nftables
    /// Virtual servers stand for chains, real servers for rules.
    case ipvs
}

/// The rule that decided, by position: `table`, chain position in the table, rule number from 0.
public struct RuleReference: Hashable, Sendable, BitwiseCopyable {
    public var system = RuleSystem.iptables
    /// The place among `TableName.allCases`, or among the nftables tables of the namespace.
    public var table: UInt8
    public var chain: Int32
    /// -1 stands for the chain's policy.
    public var rule: Int32

    public var isPolicy: Bool { rule < 0 }
}

/// The headers of a packet at one place, as far as a trace shows them.
public struct HeaderSummary: Hashable, Sendable, BitwiseCopyable {
    public var etherType: UInt16
    public var sourceMAC: MACAddress
    public var destinationMAC: MACAddress
    /// For ARP the sender and target addresses.
    public var source: IPAddress
    public var destination: IPAddress
    public var `protocol`: IPProtocol
    public var timeToLive: UInt8
    /// The TCP flags, the ICMP type, or the ARP operation.
    public var detail: UInt8
    /// The ICMP code.
    public var code: UInt8
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    /// Octets of the frame.
    public var length: UInt16
    /// A VXLAN datagram; the other fields then describe the inner packet.
    public var isEncapsulated: Bool
    public var outerSource: IPv4Address
    public var outerDestination: IPv4Address
    public var outerTimeToLive: UInt8

    public var isARP: Bool { etherType == 0x0806 }
    /// ICMP of either family.
    public var isICMP: Bool { `protocol` == .icmp || `protocol` == .icmpv6 }
    /// ARP, or what IPv6 has in its place: solicitations and advertisements of neighbors and routers. Also the reports
    /// of group members, MLDv2 and IGMP.
    public var findsNeighbors: Bool {
        isARP || `protocol` == .icmpv6 && ((133...137).contains(detail) || detail == 143) || `protocol`.rawValue == 2
    }
    /// An echo reply of either family.
    public var isEchoReply: Bool { `protocol` == .icmp && detail == 0 || `protocol` == .icmpv6 && detail == 129 }
}

/// One step of one packet.
public struct PathEvent: Sendable, BitwiseCopyable {
    public let time: Nanoseconds
    public let namespace: NamespaceID
    /// The packet's id; stays the same through NAT, bridging and encapsulation.
    public let packet: UInt32
    public let kind: Kind

    public enum Direction: UInt8, Sendable, BitwiseCopyable {
        case ingress, egress
    }

    /// Which address NAT changed.
    public enum Translation: UInt8, Sendable, BitwiseCopyable {
        case source, destination
        /// Undone on the reply.
        case originalSource, originalDestination
    }

    /// What a matching rule did.
    public enum RuleVerdict: UInt8, Sendable, BitwiseCopyable {
        case noMatch, counted, accept, drop, `return`, jump, goto, setMark, destinationNAT, sourceNAT, masquerade,
            reject, redirect, connectionMark, noTrack
        /// LOG or NFLOG.
        case log
        /// Changed fields of the packet: TCPMSS, DSCP, TOS, TTL.
        case rewrite
    }

    /// What a fault did to a packet.
    public enum FaultAction: Hashable, Sendable, BitwiseCopyable {
        case lost
        /// The queue was full.
        case overLimit
        /// By that many nanoseconds.
        case delayed(Int64)
        /// It overtook those that are delayed.
        case sentAhead
        case duplicated
        /// One bit was turned over, in that octet of the frame.
        case corrupted(octet: Int)
        case filtered
        /// It was to cross a partition.
        case cut
        /// It leaves with the checksum nobody filled in.
        case checksumLeft
    }

    public enum Kind: Sendable, BitwiseCopyable {
        /// The namespace made this packet, because of `parent` (0: of its own accord, by an application).
        case originated(parent: UInt32, isRetransmission: Bool)
        /// A tap on the link saw it. `record` is the frame's place in the recording.
        case frame(LinkID, Direction, HeaderSummary, record: Int32)
        /// A chain was entered at a hook.
        case hook(Hook, RuleSystem, table: UInt8)
        /// A rule was tried and did not match, or matched and did this.
        case rule(RuleReference, RuleVerdict)
        /// Connection tracking classified it.
        case tracked(ConnectionStateSet)
        /// NAT rewrote an address; `rule` is nil when an earlier packet of the connection chose.
        case translated(Translation, from: SocketAddress, to: SocketAddress, rule: RuleReference?)
        /// IPVS gave a new connection a real server: its scheduler chose, or the client's template remembered.
        case scheduled(RuleReference, isRemembered: Bool)
        /// A route was chosen.
        case routed(RouteReference, egress: LinkID, nextHop: IPAddress?)
        /// The packet waits while a neighbor is asked.
        case waitsForNeighbor(IPAddress, LinkID)
        case encapsulated(LinkID, remote: IPAddress, vni: UInt32)
        case decapsulated(LinkID, remote: IPAddress, vni: UInt32)
        /// A bridge sent it to one port, or to all.
        case bridged(bridge: LinkID, egress: LinkID)
        case flooded(bridge: LinkID)
        case fragmented(count: UInt16, mtu: UInt16)
        /// A fault acted on it. `fault` is its number in the simulation.
        case fault(Int32, FaultAction)
        /// A local socket or protocol took it.
        case delivered
        /// It did its work (ARP, ICMP errors for a socket) and ended.
        case consumed
        case dropped(DropReason, rule: RuleReference?)
    }
}

/// A route by its place in a table.
public struct RouteReference: Hashable, Sendable, BitwiseCopyable {
    public var isLocalTable: Bool
    public var index: Int32

    /// No table was asked: the destination means something on one link only.
    public static let onLink = RouteReference(isLocalTable: true, index: -2)
}

extension HeaderSummary {
    /// What is known of a packet that never reached a link.
    package init(unsent protocol: IPProtocol, source: SocketAddress, destination: SocketAddress) {
        self.init(
            etherType: EtherType(source.address.family).rawValue, sourceMAC: .zero, destinationMAC: .zero,
            source: source.address,
            destination: destination.address, protocol: `protocol`, timeToLive: 0, detail: 0, code: 0,
            sourcePort: source.port, destinationPort: destination.port, length: 0, isEncapsulated: false,
            outerSource: .any, outerDestination: .any, outerTimeToLive: 0)
    }

    /// Reads what a trace shows from a frame; fields a frame does not have stay zero.
    init(_ packet: Packet, in arena: borrowing PacketArena) {
        self.init(
            etherType: 0, sourceMAC: .zero, destinationMAC: .zero, source: .any(.ipv4), destination: .any(.ipv4),
            protocol: IPProtocol(rawValue: 0), timeToLive: 0, detail: 0, code: 0, sourcePort: 0, destinationPort: 0,
            length: UInt16(clamping: packet.length), isEncapsulated: false, outerSource: .any, outerDestination: .any,
            outerTimeToLive: 0)
        guard packet.length >= networkOffset else { return }
        destinationMAC = arena.loadMAC(packet, 0)
        sourceMAC = arena.loadMAC(packet, 6)
        etherType = arena.load16(packet, 12)
        read(packet, at: networkOffset, in: arena)
    }

    private mutating func read(_ packet: Packet, at offset: Int, in arena: borrowing PacketArena) {
        if isARP, packet.length >= offset + ARPPacket.length {
            detail = UInt8(truncatingIfNeeded: arena.load16(packet, offset + 6))
            source = IPAddress(IPv4Address(rawValue: arena.load32(packet, offset + 14)))
            destination = IPAddress(IPv4Address(rawValue: arena.load32(packet, offset + 24)))
            return
        }
        let isIPv6 = etherType == EtherType.ipv6.rawValue
        guard isIPv6 || etherType == EtherType.ipv4.rawValue, let header = NetworkHeader(packet, at: offset, in: arena),
            isIPv6 == (header.family == .ipv6)
        else { return }
        source = arena.source(packet, at: offset)
        destination = arena.destination(packet, at: offset)
        timeToLive = arena.load8(packet, offset + (isIPv6 ? IPv6Header.Offset.hopLimit : IPv4Header.Offset.timeToLive))
        `protocol` = header.protocol
        let transport = header.transport
        guard packet.length >= transport + 8 else { return }
        if `protocol`.hasPorts {
            sourcePort = arena.load16(packet, transport)
            destinationPort = arena.load16(packet, transport + 2)
        }
        switch `protocol` {
        case .tcp where packet.length >= transport + TCPHeader.length: detail = arena.load8(packet, transport + 13)
        case .icmp, .icmpv6:
            detail = arena.load8(packet, transport)
            code = arena.load8(packet, transport + 1)
        case .udp where destinationPort == VXLANHeader.linuxPort && !isEncapsulated:
            let inner = transport + UDPHeader.length + VXLANHeader.length
            guard packet.length >= inner + EthernetHeader.length else { return }
            isEncapsulated = true
            outerSource = source.ipv4 ?? .any
            outerDestination = destination.ipv4 ?? .any
            outerTimeToLive = timeToLive
            etherType = arena.load16(packet, inner + 12)
            read(packet, at: inner + EthernetHeader.length, in: arena)
        default: break
        }
    }
}
