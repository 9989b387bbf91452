// What one step of the stack may touch besides its own namespace: the clock's reading, the packets' memory, chance,
// and the effects it returns: frames to carry, timers to set, news for applications, events for whoever watches.

package import Addressing
internal import Wire

/// A frame that leaves a link for the other end of a veth pair or for the underlay.
package struct Transmission: BitwiseCopyable, Sendable {
    package var packet: Packet
    package var source: NamespaceID
    package var link: LinkID
    /// The veth peer; nil when the underlay carries the frame.
    package var peer: LinkPeer?
    /// It waits in the link's queue, and the device has not had it yet.
    package var isQueued = false
}

/// The other end of a veth pair.
public struct LinkPeer: Hashable, Sendable, BitwiseCopyable {
    public var namespace: NamespaceID
    public var link: LinkID

    public init(namespace: NamespaceID, link: LinkID) {
        self.namespace = namespace
        self.link = link
    }
}

/// Work a namespace wants to be called for later.
package enum Timer: Hashable, Sendable, BitwiseCopyable {
    /// A neighbor entry's next step (retransmit, delay, probe, failure).
    case neighbor(LinkID, IPAddress, generation: UInt32)
    /// Retransmission and probes of what a TCP socket has sent and nobody acknowledged.
    case transport(SocketID)
    /// An application that writes to a TCP socket goes on.
    case writing(SocketID)
    /// An application reads what a TCP socket has for it.
    case reading(SocketID)
    /// An acknowledgment a TCP socket owes.
    case delayedAcknowledgment(SocketID)
    /// A TCP connection may have been idle for long.
    case keepalive(SocketID)
    /// The end of TIME-WAIT.
    case timeWait(SocketID, generation: UInt32)
    /// What an interface sends of its own accord.
    case background(LinkID, BackgroundStep)
}

/// A timer with its namespace and time.
package struct ScheduledTimer: Sendable, BitwiseCopyable {
    package var time: Nanoseconds
    package var namespace: NamespaceID
    package var timer: Timer
}

/// News for the application that owns a socket.
package struct SocketEvent: Sendable {
    package enum Kind: Sendable {
        /// A connect() finished.
        case connected
        /// A listener made `socket` for a new connection; its application is the listener's.
        case accepted(listener: SocketID)
        case received([UInt8])
        /// What was sent has been taken: a blocking write returns.
        case written
        /// A datagram with its sender.
        case datagram([UInt8], from: SocketAddress, to: IPAddress)
        /// The peer sent FIN.
        case endOfStream
        /// The connection ended: reset, timed out, or an ICMP error arrived.
        case failed(SocketError)
        /// An ICMP error about something the socket sent, whatever it means for the socket (IP_RECVERR).
        case errorQueued(SocketError)
        /// An echo reply for an echo socket.
        case echoReply(from: IPAddress, sequence: UInt16)
    }
    package var namespace: NamespaceID
    package var socket: SocketID
    package var kind: Kind
    /// The packet that brought the news, and when it came; 0 when a timer did.
    package var packet: UInt32
    package var time: Nanoseconds
}

/// What `errno` an application sees.
public enum SocketError: String, Error, Hashable, Sendable {
    case connectionRefused = "ECONNREFUSED"
    case connectionReset = "ECONNRESET"
    case hostUnreachable = "EHOSTUNREACH"
    case networkUnreachable = "ENETUNREACH"
    case timedOut = "ETIMEDOUT"
    case messageTooLong = "EMSGSIZE"
    case addressInUse = "EADDRINUSE"
    case addressNotAvailable = "EADDRNOTAVAIL"
    case protocolUnreachable = "ENOPROTOOPT"
    case accessDenied = "EACCES"

    public var explanation: String {
        switch self {
        case .connectionRefused: "Connection refused"
        case .connectionReset: "Connection reset by peer"
        case .hostUnreachable: "No route to host"
        case .networkUnreachable: "Network is unreachable"
        case .timedOut: "Connection timed out"
        case .messageTooLong: "Message too long"
        case .addressInUse: "Address already in use"
        case .addressNotAvailable: "Cannot assign requested address"
        case .protocolUnreachable: "Protocol not available"
        case .accessDenied: "Permission denied"
        }
    }
}

/// A frame as a tap saw it.
package struct FrameRecord: Sendable, BitwiseCopyable {
    package var time: Nanoseconds
    package var namespace: NamespaceID
    package var link: LinkID
    package var direction: PathEvent.Direction
    package var packet: UInt32
    /// Where the octets lie in the recording.
    package var offset: Int
    package var length: Int
    /// How many path events had been recorded before this one.
    package var event: Int
}

/// Frames and events, as far as they were asked for.
package struct Recording: Sendable {
    package var keepsEvents = false
    /// Also keep the rules that did not match.
    package var keepsRuleMisses = false
    package var keepsFrames = false

    package var events: [PathEvent] = []
    package var frames: [FrameRecord] = []
    package var octets: [UInt8] = []
    /// Frames taps have seen, kept or not.
    package var crossings = 0
    private var lastFrameTime: Nanoseconds = -1

    package init() {}

    mutating func frame(
        _ packet: Packet, in arena: borrowing PacketArena, on link: LinkID, of namespace: NamespaceID,
        _ direction: PathEvent.Direction, at now: Nanoseconds
    ) -> Int32 {
        guard keepsFrames else { return -1 }
        // Frames of one instant get distinct times in the order they were seen, so that any tool that sorts by
        // time sees them in order.
        lastFrameTime = max(now, lastFrameTime + 1)
        frames.append(
            FrameRecord(
                time: lastFrameTime, namespace: namespace, link: link, direction: direction, packet: packet.id,
                offset: octets.count, length: packet.length, event: events.count))
        arena.withBytes(packet) { bytes in
            unsafe bytes.withUnsafeBytes { octets.append(contentsOf: $0) }
        }
        if packet.lacksChecksum, let checksum = arena.unfinishedChecksum(of: packet) {
            let position = octets.count - packet.length + checksum.offset
            octets[position] = UInt8(checksum.value >> 8)
            octets[position + 1] = UInt8(checksum.value & 0xff)
        }
        return Int32(frames.count - 1)
    }
}

/// The world around one step.
public struct PathContext: ~Copyable {
    package var now: Nanoseconds = 0
    package var arena = PacketArena()
    package var random: SeededGenerator
    /// What numbers that must not be guessed are made from.
    private let secrets: SeededGenerator
    package var recording = Recording()

    /// Frames to carry, in order; the simulator empties it from the front.
    package var transmissions: [Transmission] = []
    package var timers: [ScheduledTimer] = []
    package var socketEvents: [SocketEvent] = []

    /// The packet being worked on, the cause of whatever is sent meanwhile.
    var cause: UInt32 = 0
    private var lastPacketID: UInt32 = 0
    /// What the present hook's rules chose, for the translation event.
    var natRule: RuleReference?
    /// How what rules leave to chance is decided.
    package var choices = RuleChoices()
    /// What interfaces do of their own accord; nil for nothing.
    package var background: BackgroundTraffic?

    public init(seed: UInt64) {
        random = SeededGenerator(seed: seed).stream("path")
        secrets = SeededGenerator(seed: seed).stream("secrets")
    }

    /// A number that depends on the seed and two ends alone.
    func secret(of local: SocketAddress, and remote: SocketAddress, _ purpose: String) -> UInt32 {
        let tuple = ConnectionTuple(
            source: local.address, destination: remote.address, protocol: .tcp, sourcePort: local.port,
            destinationPort: remote.port)
        var generator = SeededGenerator(seed: secrets.stream(purpose).seeded(with: tuple.mixedHash))
        return UInt32(truncatingIfNeeded: generator.next() >> 32)
    }

    mutating func newPacketID() -> UInt32 {
        lastPacketID += 1
        return lastPacketID
    }

    @inline(__always)
    mutating func record(_ kind: @autoclosure () -> PathEvent.Kind, _ packet: Packet, in namespace: NamespaceID) {
        if recording.keepsEvents {
            recording.events.append(PathEvent(time: now, namespace: namespace, packet: packet.id, kind: kind()))
        }
    }

    /// Ends a packet copy that was dropped.
    mutating func drop(
        _ packet: Packet, _ reason: DropReason, in namespace: NamespaceID, rule: RuleReference? = nil
    ) {
        record(.dropped(reason, rule: rule), packet, in: namespace)
        arena.free(packet)
    }

    /// Ends a packet copy that reached its socket.
    mutating func deliver(_ packet: Packet, in namespace: NamespaceID) {
        record(.delivered, packet, in: namespace)
        arena.free(packet)
    }

    /// Ends a packet copy that did its work.
    mutating func consume(_ packet: Packet, in namespace: NamespaceID) {
        record(.consumed, packet, in: namespace)
        arena.free(packet)
    }

    @discardableResult
    mutating func schedule(_ timer: Timer, in namespace: NamespaceID, after delay: Nanoseconds) -> Nanoseconds {
        let time = TimerWheel.expiry(now: now, delay: delay)
        schedule(timer, in: namespace, at: time)
        return time
    }

    mutating func schedule(_ timer: Timer, in namespace: NamespaceID, at time: Nanoseconds) {
        timers.append(ScheduledTimer(time: time, namespace: namespace, timer: timer))
    }

    // MARK: what the wire between machines needs

    /// Ends a frame that was lost between machines, or in a link's queue.
    package mutating func lose(_ packet: Packet, _ reason: DropReason = .underlay, in namespace: NamespaceID) {
        drop(packet, reason, in: namespace)
    }

    /// Notes what a fault did to a packet.
    package mutating func note(
        _ action: PathEvent.FaultAction, of fault: Int32, on packet: Packet, in namespace: NamespaceID
    ) {
        record(.fault(fault, action), packet, in: namespace)
    }

    /// Turns over one bit of a frame.
    package mutating func flip(bit: Int, ofOctet octet: Int, in packet: inout Packet) {
        arena.flip(bit: bit, ofOctet: octet, in: packet)
        packet.isSuspect = true
    }

    /// Whether a selection takes in the frame.
    package func selects(_ selector: TrafficSelector, _ packet: Packet) -> Bool {
        arena.selects(selector, packet)
    }

    /// A second copy for another port of a switch.
    package mutating func copy(_ packet: Packet) -> Packet { arena.clone(packet) }

    /// The frame's two Ethernet addresses.
    package func addresses(of packet: Packet) -> (source: MACAddress, destination: MACAddress) {
        (arena.loadMAC(packet, 6), arena.loadMAC(packet, 0))
    }

    /// The address an ARP frame or a neighbor solicitation asks for; nil for other frames.
    package func neighborTarget(of packet: Packet) -> IPAddress? {
        let solicitation = EthernetHeader.length + IPv6Header.length
        if packet.length >= solicitation + NeighborDiscoveryMessage.length,
            arena.load16(packet, 12) == EtherType.ipv6.rawValue, arena.load8(packet, 20) == IPProtocol.icmpv6.rawValue,
            arena.load8(packet, solicitation) == ICMPv6Kind.neighborSolicitation.type
        {
            return arena.loadIPv6(packet, solicitation + NeighborDiscoveryMessage.Offset.target)
        }
        guard packet.length >= EthernetHeader.length + ARPPacket.length,
            arena.load16(packet, 12) == EtherType.arp.rawValue
        else { return nil }
        return IPAddress(IPv4Address(rawValue: arena.load32(packet, EthernetHeader.length + 24)))
    }

    /// What applications cause by what they do next; 0 for their own accord.
    package mutating func actBecause(of packet: UInt32) { cause = packet }

    mutating func notify(
        _ socket: SocketID, in namespace: NamespaceID, _ kind: SocketEvent.Kind, at time: Nanoseconds? = nil
    ) {
        socketEvents.append(
            SocketEvent(namespace: namespace, socket: socket, kind: kind, packet: cause, time: time ?? now))
    }
}
