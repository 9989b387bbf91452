// What tc(8) puts between a link's device and the rest of the kernel: filters on both ways (clsact), a queue that is
// held elsewhere (sch_netem), and, not of tc, an offload that fails to fill in checksums. Nothing of it costs a link
// that has none. Simplified: a filter drops or lets pass, nothing else.

public import Addressing
internal import Wire

/// The filters of a link, and whether it has a queue.
public struct TrafficControl: Hashable, Sendable {
    /// A filter, with the number of the fault that put it there.
    public struct Filter: Hashable, Sendable {
        public var fault: Int32
        public var selector: TrafficSelector
        public var ingress: Bool
        public var egress: Bool

        public init(fault: Int32, selector: TrafficSelector, ingress: Bool, egress: Bool) {
            self.fault = fault
            self.selector = selector
            self.ingress = ingress
            self.egress = egress
        }
    }

    /// In the order they are asked.
    public var filters: [Filter] = []
    /// What leaves with a checksum nobody filled in, and by which fault.
    public var leftChecksums: [Filter] = []
    /// Frames wait here before the device has them.
    public var hasQueue = false

    public init() {}

    var isEmpty: Bool { filters.isEmpty && leftChecksums.isEmpty && !hasQueue }
}

extension NetworkNamespace {
    /// Changes what stands in front of a link.
    public mutating func control(_ link: LinkID, _ change: (inout TrafficControl) -> Void) {
        var control = links[link.index].trafficControl ?? TrafficControl()
        change(&control)
        links[link.index].trafficControl = control.isEmpty ? nil : control
    }

    /// Whether a filter takes the frame; then it has ended.
    mutating func isFiltered(
        _ packet: Packet, on link: LinkID, _ direction: PathEvent.Direction, _ context: inout PathContext
    ) -> Bool {
        for filter in links[link.index].trafficControl?.filters ?? []
        where direction == .ingress ? filter.ingress : filter.egress {
            guard context.arena.selects(filter.selector, packet) else { continue }
            context.record(.fault(filter.fault, .filtered), packet, in: id)
            drop(packet, direction == .ingress ? .ingressFilter : .egressFilter, &context)
            return true
        }
        return false
    }

    /// A frame for a link with traffic control: filters come before the queue, and both before the tap.
    mutating func controlledTransmit(_ packet: Packet, on link: LinkID, _ context: inout PathContext) {
        guard let control = links[link.index].trafficControl, !isFiltered(packet, on: link, .egress, &context) else {
            return
        }
        var packet = packet
        for left in control.leftChecksums where context.arena.selects(left.selector, packet) {
            guard context.arena.leaveChecksum(of: packet) else { continue }
            packet.isSuspect = true
            context.record(.fault(left.fault, .checksumLeft), packet, in: id)
        }
        guard control.hasQueue else {
            hardTransmit(packet, on: link, &context)
            return
        }
        keepConnection(of: packet, while: true)
        context.transmissions.append(Transmission(packet: packet, source: id, link: link, peer: nil, isQueued: true))
    }

    /// A frame comes out of the link's queue.
    package mutating func dequeue(_ packet: Packet, on link: LinkID, _ context: inout PathContext) {
        keepConnection(of: packet, while: false)
        guard links[link.index].isRunning else {
            drop(packet, .deviceNotReady, &context)
            return
        }
        hardTransmit(packet, on: link, &context)
    }
}

extension PacketArena {
    /// Whether a selection takes in the frame: its outermost packet.
    func selects(_ selector: TrafficSelector, _ packet: Packet) -> Bool {
        guard packet.length >= EthernetHeader.length else { return false }
        switch selector {
        case .all: return true
        case .arp: return load16(packet, 12) == EtherType.arp.rawValue
        case .ip(let transport, let port):
            guard let header = NetworkHeader(ofFrame: packet, in: self), header.protocol == transport else {
                return false
            }
            guard let port else { return true }
            return !header.isLaterFragment && packet.length >= header.transport + 4
                && load16(packet, header.transport + 2) == port
        }
    }

    /// Puts into the checksum field of TCP or UDP what stands there until the device fills it in (CHECKSUM_PARTIAL).
    /// False when the frame has no such field.
    func leaveChecksum(of packet: Packet) -> Bool {
        guard let header = NetworkHeader(ofFrame: packet, in: self), !header.isLaterFragment,
            header.protocol == .tcp || header.protocol == .udp, let checksum = unfinishedChecksum(of: packet),
            packet.length >= checksum.offset + 2
        else { return false }
        store16(checksum.value, packet, checksum.offset)
        return true
    }

    /// Whether the transport checksum of a packet with a sound IP header is right, where it has one.
    func hasSoundChecksum(_ packet: Packet, _ header: NetworkHeader) -> Bool {
        guard !header.isFragment, let offset = TransportChecksum.offset(of: header.protocol),
            packet.length >= header.transport + offset + 2
        else { return true }
        if header.protocol == .udp, header.family == .ipv4, load16(packet, header.transport + offset) == 0 {
            return true
        }
        return withBytes(packet) {
            TransportChecksum.verify(
                header.protocol, source: source(packet), destination: destination(packet), in: $0,
                segment: header.transport..<packet.length)
        }
    }
}

extension NetworkHeader {
    /// Reads the network header of a frame; nil when it carries no IP.
    init?(ofFrame packet: Packet, in arena: borrowing PacketArena) {
        guard packet.length >= EthernetHeader.length else { return nil }
        let type = arena.load16(packet, 12)
        guard type == EtherType.ipv4.rawValue || type == EtherType.ipv6.rawValue,
            let header = NetworkHeader(packet, in: arena)
        else { return nil }
        self = header
    }
}
