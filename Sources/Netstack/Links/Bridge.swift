// A Linux bridge: learning, forwarding, flooding and hairpin ports, and the handing up of frames for the host itself.
// Mirrors net/bridge/br_input.c, br_forward.c and br_fdb.c without VLANs, STP and multicast snooping; the hooks for
// bridge-nf-call-iptables are in Netfilter/BridgeNetfilter.swift.

public import Addressing
internal import Wire

/// A bridge's ports and forwarding database.
public struct Bridge: Sendable, Hashable {
    /// How long a learned address is believed, 300 s as BR_DEFAULT_AGEING_TIME.
    public static let ageingTime: Nanoseconds = 300_000_000_000

    public struct Entry: Sendable, Hashable {
        public var port: LinkID
        /// The address of the bridge or of a port itself: frames to it are for the host.
        public var isLocal: Bool
        public var updated: Nanoseconds
    }

    /// The bridge device.
    public let link: LinkID
    /// Ports, oldest first.
    public internal(set) var ports: [LinkID] = []
    /// MAC address to port.
    public internal(set) var forwardingDatabase: [MACAddress: Entry] = [:]

    init(link: LinkID, hardwareAddress: MACAddress) {
        self.link = link
        forwardingDatabase[hardwareAddress] = Entry(port: link, isLocal: true, updated: 0)
    }

    /// Remembers where an address was seen. Local entries and group addresses are never learned.
    mutating func learn(_ address: MACAddress, at port: LinkID, now: Nanoseconds) {
        guard !address.isMulticast, address != .zero else { return }
        if let known = forwardingDatabase[address], known.isLocal { return }
        forwardingDatabase[address] = Entry(port: port, isLocal: false, updated: now)
    }

    func lookup(_ address: MACAddress, now: Nanoseconds) -> Entry? {
        guard let entry = forwardingDatabase[address] else { return nil }
        if !entry.isLocal, now - entry.updated >= Bridge.ageingTime { return nil }
        return entry
    }
}

extension NetworkNamespace {
    /// A frame came in by a bridge port (br_handle_frame): bridge netfilter first, then forwarding.
    mutating func bridgeInput(_ packet: Packet, port: LinkID, bridge: LinkID, _ context: inout PathContext) {
        guard links[bridge.index].isUp else {
            // The ports of a bridge that is down are disabled.
            drop(packet, .deviceNotReady, &context)
            return
        }
        if links[port.index].isNewPort {
            links[port.index].isNewPort = false
            drop(packet, .deviceNotReady, &context)
            return
        }
        var packet = packet
        let source = context.arena.loadMAC(packet, 6)
        if source.isMulticast {
            drop(packet, .macInvalidSource, &context)
            return
        }
        packet.type = frameType(packet, for: bridge, context)
        if bridgeCallsRules(for: packet, context) {
            bridgePrerouting(packet, port: port, bridge: bridge, &context)
        } else {
            bridgeForward(packet, port: port, bridge: bridge, &context)
        }
    }

    /// Learns the source and sends the frame where its destination is (br_handle_frame_finish).
    mutating func bridgeForward(_ packet: Packet, port: LinkID, bridge: LinkID, _ context: inout PathContext) {
        guard case .bridge(let number) = links[bridge.index].kind else { return }
        bridges[number].learn(context.arena.loadMAC(packet, 6), at: port, now: context.now)
        let destination = context.arena.loadMAC(packet, 0)
        if destination.isMulticast {
            flood(packet, bridge: number, from: port, handingUp: true, &context)
        } else if let entry = bridges[number].lookup(destination, now: context.now) {
            if entry.isLocal {
                passUp(packet, bridge: bridge, &context)
            } else {
                forward(packet, bridge: number, from: port, to: entry.port, &context)
            }
        } else {
            flood(packet, bridge: number, from: port, handingUp: false, &context)
        }
    }

    /// A frame the host itself sends out of the bridge device (br_dev_xmit). The tap on the bridge has seen it.
    mutating func bridgeTransmit(_ packet: Packet, bridge: LinkID, _ context: inout PathContext) {
        guard case .bridge(let number) = links[bridge.index].kind else { return }
        if packet.bridge.bridgedDNAT {
            finishBridgedDNAT(packet, bridge: bridge, &context)
            return
        }
        let destination = context.arena.loadMAC(packet, 0)
        if !destination.isMulticast, let entry = bridges[number].lookup(destination, now: context.now), !entry.isLocal {
            context.record(.bridged(bridge: bridge, egress: entry.port), packet, in: id)
            sendFromPort(packet, entry.port, &context)
        } else if !destination.isMulticast, bridges[number].lookup(destination, now: context.now) != nil {
            drop(packet, .bridgeNoEgressPort, &context)
        } else {
            flood(packet, bridge: number, from: nil, handingUp: false, &context)
        }
    }

    /// Sends a copy to every other port, newest port first, then the host's own copy, if any. A hairpin port gets
    /// back what it sent.
    private mutating func flood(
        _ packet: Packet, bridge number: Int, from port: LinkID?, handingUp: Bool, _ context: inout PathContext
    ) {
        let bridge = bridges[number].link
        context.record(.flooded(bridge: bridge), packet, in: id)
        var remaining = bridges[number].ports.reversed().filter { mayForward(from: port, to: $0) }[...]
        while let target = remaining.popFirst() {
            let isLast = remaining.isEmpty && !handingUp
            let copy = isLast ? packet : context.arena.clone(packet)
            if port == nil {
                sendFromPort(copy, target, &context)
            } else {
                bridgeForwardHook(copy, bridge: bridge, to: target, &context)
            }
            if isLast { return }
        }
        if handingUp {
            passUp(packet, bridge: bridge, &context)
        } else {
            drop(packet, .bridgeNoEgressPort, &context)
        }
    }

    private func mayForward(from port: LinkID?, to target: LinkID) -> Bool {
        links[target.index].isRunning && (target != port || links[target.index].isHairpin)
    }

    private mutating func forward(
        _ packet: Packet, bridge number: Int, from port: LinkID, to target: LinkID, _ context: inout PathContext
    ) {
        guard mayForward(from: port, to: target) else {
            drop(packet, .bridgeNoEgressPort, &context)
            return
        }
        let bridge = bridges[number].link
        let copy = links[bridge.index].isPromiscuous ? context.arena.clone(packet) : nil
        context.record(.bridged(bridge: bridge, egress: target), packet, in: id)
        bridgeForwardHook(packet, bridge: bridge, to: target, &context)
        if let copy { passUpCopy(copy, bridge: bridge, &context) }
    }

    /// A promiscuous bridge hands up what it forwards, too, without its connection (br_nf_local_in since Linux 6.9).
    /// What came for the bridge's own address and was translated to a neighbor is taken for the host's, and has the
    /// route it was given then: nobody is told of a shorter way.
    private mutating func passUpCopy(_ packet: Packet, bridge: LinkID, _ context: inout PathContext) {
        var packet = packet
        packet.connection = .none
        packet.connectionState = .none
        packet.type = packet.bridge.isForBridge ? .host : frameType(packet, for: bridge, context)
        tap(packet, on: bridge, .ingress, &context)
        protocolInput(packet, on: bridge, &context)
    }

    /// Puts the frame out of the port's own device.
    mutating func sendFromPort(_ packet: Packet, _ port: LinkID, _ context: inout PathContext) {
        guard packet.length <= links[port.index].longestFrame else {
            drop(packet, .packetTooBig, &context)
            return
        }
        var packet = packet
        // A clone may have been drawn while the packet was tracked; the wire never shows host metadata.
        packet.bridge = BridgeNetfilterState()
        transmit(packet, on: port, &context)
    }

    /// Hands a frame to the host as received on the bridge device (br_pass_frame_up).
    private mutating func passUp(_ packet: Packet, bridge: LinkID, _ context: inout PathContext) {
        var packet = packet
        packet.type = frameType(packet, for: bridge, context)
        packet.bridge.isForBridge = false
        tap(packet, on: bridge, .ingress, &context)
        protocolInput(packet, on: bridge, &context)
    }
}
