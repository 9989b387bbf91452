// One namespace, or a few joined by veth pairs, with the world around them made small enough for a test: frames go in,
// frames and events come out, time moves when told. Frames that leave by a link without a peer here end in `sent`.
// Every frame a test makes the stack send is checked: right checksums, and no packet's memory is lost.

import Addressing
import Testing
import Wire

@testable import Netstack

/// The time of a test in seconds, as kernel timers are told.
func seconds(_ count: Double) -> Nanoseconds { Nanoseconds(count * 1e9) }

final class NamespaceHarness {
    var namespaces: [NetworkNamespace] = []
    var context: PathContext
    /// Frames that left by links whose other end is not here.
    private(set) var sent: [Frame] = []
    /// What sockets told their applications.
    private(set) var news: [SocketEvent] = []
    /// An application: called for every piece of news, at its time.
    var application: ((NamespaceHarness, SocketEvent) -> Void)?
    /// Says which frames between two namespaces the wire loses.
    var loses: ((Frame) -> Bool)?
    /// Off for tests that put broken frames in.
    var checksChecksums = true
    private var timers: [(timer: ScheduledTimer, number: Int)] = []
    private var timerCount = 0

    init(seed: UInt64 = 1) {
        context = PathContext(seed: seed)
        context.recording.keepsEvents = true
        context.recording.keepsFrames = true
        add("host")
    }

    // MARK: building

    @discardableResult
    func add(_ name: String) -> Int {
        namespaces.append(NetworkNamespace(id: NamespaceID(namespaces.count), name: name))
        return namespaces.count - 1
    }

    /// The first namespace, which most tests are about.
    var host: NetworkNamespace {
        get { namespaces[0] }
        _modify { yield &namespaces[0] }
    }

    /// No interface of the host sends redirects, nor do all.
    func stopRedirects() {
        host.sysctls.sendRedirects = false
        for link in host.links {
            var settings = link.settings
            settings.sendRedirects = false
            host.setInterface(link.id, to: settings)
        }
    }

    /// A link to the underlay, whose frames end in `sent`.
    @discardableResult
    func addEthernet(
        _ name: String = "eth0", mac: MACAddress = .own, address: String? = nil, mtu: Int = 1500, in number: Int = 0
    ) -> LinkID {
        let link = namespaces[number].addLink(name, kind: .ethernet, hardwareAddress: mac, mtu: mtu)
        if let address { namespaces[number].addAddress(interface(address), to: link) }
        return link
    }

    /// A bridge of the first namespace with as many ports, `p0` first, whose frames end in `sent`.
    func addBridge(
        address: String? = "10.1.0.1/24", ports: Int, hairpin: Bool = true, mtu: Int = 1500
    ) -> (bridge: LinkID, ports: [LinkID]) {
        let bridge = host.addBridge("cni0", hardwareAddress: .bridge, mtu: mtu)
        if let address { host.addAddress(interface(address), to: bridge) }
        let links = (0..<ports).map { number in
            let port = host.addLink(
                "p\(number)", kind: .ethernet, hardwareAddress: .station(0xe0 + number), mtu: mtu)
            host.attach(port, to: bridge, hairpin: hairpin)
            return port
        }
        return (bridge, links)
    }

    /// Two namespaces joined by a veth pair `eth0`, with .1 and .2 of 10.0.0.0/24.
    static func pair(seed: UInt64 = 1, mtu: Int = 1500, peerMTU: Int? = nil) -> NamespaceHarness {
        let harness = NamespaceHarness(seed: seed)
        harness.add("peer")
        for number in 0...1 {
            let peer = LinkPeer(namespace: NamespaceID(1 - number), link: LinkID(1))
            let link = harness.namespaces[number].addLink(
                "eth0", kind: .veth(peer: peer), hardwareAddress: .station(number + 1),
                mtu: number == 0 ? mtu : peerMTU ?? mtu)
            harness.namespaces[number].addAddress(interface("10.0.0.\(number + 1)/24"), to: link)
            harness.namespaces[number].addPermanentNeighbor(
                ip("10.0.0.\(2 - number)"), lladdr: .station(2 - number), on: link)
        }
        return harness
    }

    func addRoute(_ prefix: String, via gateway: String? = nil, on link: LinkID?, kind: Route.Kind = .unicast) {
        host.addRoute(Route(IPPrefix(prefix)!, kind: kind, gateway: gateway.map(ip), link: link))
    }

    /// A neighbor that needs no question.
    func know(_ address: String, _ mac: MACAddress = .peer, on link: LinkID) {
        host.addPermanentNeighbor(ip(address), lladdr: mac, on: link)
    }

    // MARK: running

    /// A frame arrives, and everything that follows at once happens.
    func receive(_ octets: [UInt8], on link: LinkID, in number: Int = 0) {
        let packetID = context.newPacketID()
        let packet = octets.withUnsafeBytes { context.arena.allocate(copying: $0, id: packetID) }
        namespaces[number].receive(packet, on: link, &context)
        settle()
    }

    /// Carries frames and news until nothing is under way.
    func settle() {
        var budget = 100_000
        while budget > 0 {
            budget -= 1
            if !context.transmissions.isEmpty {
                carry(context.transmissions.removeFirst())
            } else if !context.socketEvents.isEmpty {
                let event = context.socketEvents.removeFirst()
                news.append(event)
                application?(self, event)
            } else if let reader = context.timers.firstIndex(where: { $0.timer.isReading }) {
                // Applications read at once here.
                let timer = context.timers.remove(at: reader)
                namespaces[timer.namespace.index].timerFired(timer.timer, &context)
            } else {
                break
            }
        }
        #expect(budget > 0, "frames circle for ever")
        for timer in context.timers {
            timers.append((timer, timerCount))
            timerCount += 1
        }
        context.timers.removeAll()
        expectNothingLost()
    }

    private func carry(_ transmission: Transmission) {
        let packet = transmission.packet
        let number = transmission.source.index
        let frame = Frame(
            time: context.now, namespace: number, link: namespaces[number].links[transmission.link.index].name,
            direction: .egress, octets: context.arena.bytes(packet))
        if checksChecksums { frame.expectChecksums() }
        guard let peer = transmission.peer, peer.namespace.index < namespaces.count else {
            sent.append(frame)
            context.arena.free(packet)
            return
        }
        if loses?(frame) == true {
            context.arena.free(packet)
        } else {
            namespaces[peer.namespace.index].receive(packet, on: peer.link, &context)
        }
    }

    /// Lets time pass and timers fire.
    func advance(_ duration: Nanoseconds) {
        let end = context.now + duration
        while let next = timers.min(by: { ($0.timer.time, $0.number) < ($1.timer.time, $1.number) }),
            next.timer.time <= end
        {
            timers.removeAll { $0.number == next.number }
            context.now = max(context.now, next.timer.time)
            namespaces[next.timer.namespace.index].timerFired(next.timer.timer, &context)
            settle()
        }
        context.now = end
    }

    /// Every packet that came to be has ended, but for those that wait for a neighbor or for other fragments.
    func expectNothingLost(sourceLocation: SourceLocation = #_sourceLocation) {
        var held = 0
        for namespace in namespaces {
            held += namespace.neighbors.entries.reduce(0) { $0 + $1.waiting.count }
            held += namespace.reassembly.entries.values.reduce(0) { $0 + $1.fragments.count }
        }
        let inFlight = context.arena.packetsInFlight
        #expect(inFlight == held, "packets without an end, or with two", sourceLocation: sourceLocation)
    }

    // MARK: looking

    func takeSent() -> [Frame] {
        defer { sent = [] }
        return sent
    }

    func takeNews() -> [SocketEvent] {
        defer { news = [] }
        return news
    }

    func clear() {
        sent = []
        news = []
        context.recording.events = []
        context.recording.frames = []
        context.recording.octets = []
    }

    /// What the taps saw, in order.
    var taps: [Frame] {
        context.recording.frames.map { record in
            Frame(
                time: record.time, namespace: record.namespace.index,
                link: namespaces[record.namespace.index].links[record.link.index].name, direction: record.direction,
                octets: Array(context.recording.octets[record.offset..<record.offset + record.length]))
        }
    }

    var steps: [PathEvent.Kind] { context.recording.events.map(\.kind) }

    /// Why packets were dropped, in order.
    var drops: [DropReason] {
        steps.compactMap { if case .dropped(let reason, _) = $0 { reason } else { nil } }
    }

    /// How many packets reached a socket or protocol.
    var deliveries: Int { steps.count { if case .delivered = $0 { true } else { false } } }
}

extension Timer {
    fileprivate var isReading: Bool { if case .reading = self { true } else { false } }
}

extension PacketBuilder {
    /// Between two ends, by MAC addresses and IPv4 addresses in text.
    init(_ sourceMAC: MACAddress, _ source: String, _ destinationMAC: MACAddress, _ destination: String) {
        self.init(
            sourceMAC: sourceMAC, destinationMAC: destinationMAC, source: ip(source), destination: ip(destination))
    }

    func with(timeToLive: UInt8) -> PacketBuilder {
        var result = self
        result.timeToLive = timeToLive
        return result
    }

    func with(dontFragment: Bool) -> PacketBuilder {
        var result = self
        result.dontFragment = dontFragment
        return result
    }
}

func ip(_ text: String) -> IPAddress { IPAddress(text)! }
func ipv4(_ text: String) -> IPv4Address { IPv4Address(text)! }
func end(_ text: String) -> SocketAddress { SocketAddress(text)! }
func interface(_ text: String) -> InterfaceAddress { InterfaceAddress(text)! }

extension MACAddress {
    static func station(_ number: Int) -> MACAddress { MACAddress(rawValue: 0x0200_0000_0000 | UInt64(number)) }
    /// The tested host's.
    static let own = station(0x11)
    static let peer = station(0x22)
    static let bridge = station(0xcc)
}
