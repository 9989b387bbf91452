// The states of a neighbor entry and their timers (net/core/neighbour.c), and what ARP teaches and answers
// (net/ipv4/arp.c). Times are those of the kernel's timer wheel: a second is 1.024 s, five are 5.12.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct NeighborTests {
    private let gateway = ip("10.0.0.9")

    /// A host with one link, and a socket that sends to 10.0.0.9.
    private func host() throws -> (NamespaceHarness, LinkID, SocketID) {
        let harness = NamespaceHarness()
        let link = harness.addEthernet(address: "10.0.0.1/24")
        let socket = try harness.host.connectUDP(to: end("10.0.0.9:53"), &harness.context)
        return (harness, link, socket)
    }

    private func send(_ harness: NamespaceHarness, _ socket: SocketID) throws {
        try harness.host.sendDatagram(socket, [1, 2, 3], &harness.context)
        harness.settle()
    }

    private func arp(
        _ operation: ARPOperation, from sender: String, _ mac: MACAddress, to target: String,
        destination: MACAddress = .own, targetMAC: MACAddress = .own
    ) -> [UInt8] {
        PacketBuilder.arp(
            ARPPacket(
                operation: operation, senderMAC: mac, senderIP: ipv4(sender), targetMAC: targetMAC,
                targetIP: ipv4(target)), source: mac, destination: destination)
    }

    private func reply(_ mac: MACAddress = .peer) -> [UInt8] { arp(.reply, from: "10.0.0.9", mac, to: "10.0.0.1") }

    private func state(_ harness: NamespaceHarness, _ address: String = "10.0.0.9") -> NeighborState? {
        harness.host.neighbors.lookup(ip(address), on: LinkID(1))?.state
    }

    // MARK: resolution

    @Test func `An unknown neighbor is asked by broadcast and gets the packet when it answers`() throws {
        let (harness, link, socket) = try host()
        try send(harness, socket)
        #expect(harness.sent.map(\.text) == ["eth0 arp who-has 10.0.0.9 tell 10.0.0.1"])
        #expect(harness.sent.map(\.stations) == ["11 > all"])
        #expect(harness.sent[0].arp?.targetMAC == .zero)
        #expect(state(harness) == .incomplete)
        harness.clear()
        harness.receive(reply(), on: link)
        #expect(harness.sent.map(\.stations) == ["11 > 22"])
        #expect(state(harness) == .reachable)
    }

    @Test func `A silent neighbor is asked three times, a second apart, and each parked packet is told`() throws {
        let (harness, _, socket) = try host()
        try send(harness, socket)
        try send(harness, socket)
        harness.advance(seconds(3))
        #expect(harness.sent.map(\.text) == Array(repeating: "eth0 arp who-has 10.0.0.9 tell 10.0.0.1", count: 3))
        #expect(harness.sent.map(\.time) == [0, seconds(1.024), seconds(2.048)])
        #expect(state(harness) == .incomplete)
        harness.clear()
        harness.advance(seconds(0.1))
        #expect(state(harness) == .failed)
        #expect(harness.drops == [.neighborFailed, .neighborFailed])
        // The host tells itself, over loopback.
        let port = harness.host.localEnd(of: socket).port
        let error =
            "lo in 0 > 0 icmp 3/1 10.0.0.1 > 10.0.0.1 ttl 64 about (udp 10.0.0.1:\(port) > 10.0.0.9:53 ttl 64)"
        #expect(harness.taps.map(\.tapText) == [error, error])
    }

    @Test func `A router tells the sender of each packet that waited in vain`() throws {
        let (harness, link, _) = try host()
        let outside = harness.addEthernet("out0", mac: .station(0x12), address: "192.0.2.1/24")
        harness.host.sysctls.ipForward = true
        harness.know("10.0.0.2", on: link)
        for port: UInt16 in 1...3 {
            harness.receive(
                PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.9").udp(from: port, to: 6), on: link)
        }
        #expect(harness.sent.map(\.text) == ["out0 arp who-has 192.0.2.9 tell 192.0.2.1"])
        harness.clear()
        harness.advance(seconds(4))
        _ = outside
        let errors = harness.sent.filter { $0.arp == nil }
        #expect(
            errors.map(\.text)
                == (1...3).map {
                    "eth0 icmp 3/1 10.0.0.1 > 10.0.0.2 ttl 64 about (udp 10.0.0.2:\($0) > 192.0.2.9:6 ttl 63)"
                })
    }

    @Test func `A failed neighbor is asked anew by the next packet`() throws {
        let (harness, link, socket) = try host()
        try send(harness, socket)
        harness.advance(seconds(4))
        harness.clear()
        try send(harness, socket)
        #expect(harness.sent.map(\.text) == ["eth0 arp who-has 10.0.0.9 tell 10.0.0.1"])
        harness.receive(reply(), on: link)
        #expect(harness.sent.count == 2)
        #expect(state(harness) == .reachable)
    }

    @Test func `The queue of a neighbor drops its oldest packet when it is full`() throws {
        let (harness, link, socket) = try host()
        for _ in 0..<NeighborTable.queueLimit + 2 { try send(harness, socket) }
        #expect(harness.drops == [.neighborQueueFull, .neighborQueueFull])
        harness.clear()
        harness.receive(reply(), on: link)
        #expect(harness.sent.count == NeighborTable.queueLimit)
        let numbers = harness.sent.map { Int($0.ipv4.identification &- harness.sent[0].ipv4.identification) }
        #expect(numbers == Array(0..<NeighborTable.queueLimit), "in the order they were sent")
    }

    // MARK: doubt

    /// An entry the host only learned from a request: STALE.
    private func staleHost() throws -> (NamespaceHarness, LinkID, SocketID) {
        let (harness, link, socket) = try host()
        harness.receive(
            arp(.request, from: "10.0.0.9", .peer, to: "10.0.0.1", destination: .broadcast, targetMAC: .zero), on: link)
        harness.clear()
        return (harness, link, socket)
    }

    @Test func `A stale neighbor is used at once and probed by unicast five seconds later`() throws {
        let (harness, link, socket) = try staleHost()
        #expect(state(harness) == .stale)
        try send(harness, socket)
        #expect(harness.sent.map(\.stations) == ["11 > 22"])
        #expect(state(harness) == .delay)
        harness.advance(seconds(5))
        #expect(state(harness) == .delay)
        harness.clear()
        harness.advance(seconds(0.2))
        #expect(state(harness) == .probe)
        #expect(harness.sent.map(\.text) == ["eth0 arp who-has 10.0.0.9 tell 10.0.0.1"])
        #expect(harness.sent.map(\.stations) == ["11 > 22"])
        #expect(harness.sent[0].arp?.targetMAC == .zero)
        #expect(harness.sent[0].time == seconds(5.12))
        harness.receive(reply(), on: link)
        #expect(state(harness) == .reachable)
    }

    @Test func `A neighbor under probe is still used, and fails after three probes`() throws {
        let (harness, _, socket) = try staleHost()
        try send(harness, socket)
        harness.advance(seconds(6))
        harness.clear()
        try send(harness, socket)
        #expect(harness.sent.map(\.stations) == ["11 > 22"])
        harness.advance(seconds(2.5))
        #expect(state(harness) == .failed)
        #expect(harness.sent.count { $0.arp != nil } == 2, "the second and third probe")
        harness.clear()
        try send(harness, socket)
        #expect(harness.sent.map(\.stations) == ["11 > all"])
    }

    @Test func `Progress of a transport within the delay makes a probe needless`() throws {
        let (harness, link, socket) = try staleHost()
        try send(harness, socket)
        harness.advance(seconds(3))
        harness.host.confirmNeighbor(gateway, on: link, &harness.context)
        harness.clear()
        harness.advance(seconds(3))
        #expect(state(harness) == .reachable)
        #expect(harness.sent.isEmpty)
    }

    @Test func `A reachable neighbor becomes stale after 15 to 45 seconds without proof`() throws {
        let (harness, link, socket) = try host()
        try send(harness, socket)
        harness.receive(reply(), on: link)
        harness.advance(seconds(14))
        #expect(state(harness) == .reachable)
        harness.advance(seconds(36))
        #expect(state(harness) == .stale)
    }

    @Test func `Proof extends reachability`() throws {
        let (harness, link, socket) = try host()
        try send(harness, socket)
        harness.receive(reply(), on: link)
        for _ in 0..<12 {
            harness.advance(seconds(10))
            harness.host.confirmNeighbor(gateway, on: link, &harness.context)
            #expect(state(harness) == .reachable, "at \(harness.context.now)")
        }
    }

    @Test func `A reachable neighbor in use is delayed and probed, not forgotten`() throws {
        let (harness, link, socket) = try host()
        try send(harness, socket)
        harness.receive(reply(), on: link)
        var seen: [NeighborState] = []
        for _ in 0..<30 {
            harness.advance(seconds(2))
            try send(harness, socket)
            if let state = state(harness), state != seen.last { seen.append(state) }
        }
        #expect(seen.prefix(3) == [.reachable, .delay, .probe])
    }

    @Test func `A permanent neighbor is never asked and never changed`() throws {
        let (harness, link, socket) = try host()
        harness.know("10.0.0.9", .station(0x44), on: link)
        try send(harness, socket)
        harness.receive(reply(.station(0x66)), on: link)
        harness.receive(arp(.request, from: "10.0.0.9", .station(0x66), to: "10.0.0.9"), on: link)
        harness.advance(seconds(100))
        try send(harness, socket)
        #expect(harness.sent.map(\.stations) == ["11 > 44", "11 > 44"])
        #expect(state(harness) == .permanent)
    }

    // MARK: changes of address

    @Test(
        "Another address overrides the known one after the lock time, or when it is announced",
        arguments: [
            (0.5, "reply", false), (1.5, "reply", true), (0.5, "announcement", true), (0.5, "request", true),
        ])
    func override(after: Double, by kind: String, changes: Bool) throws {
        let (harness, link, socket) = try host()
        try send(harness, socket)
        harness.receive(reply(), on: link)
        // The same answer once more changes nothing, the lock time least of all.
        harness.advance(seconds(after - 0.1))
        harness.receive(reply(), on: link)
        harness.advance(seconds(0.1))
        let other = MACAddress.station(0x66)
        switch kind {
        case "reply": harness.receive(reply(other), on: link)
        case "request":
            harness.receive(arp(.request, from: "10.0.0.9", other, to: "10.0.0.1", destination: .broadcast), on: link)
        default:
            harness.receive(arp(.request, from: "10.0.0.9", other, to: "10.0.0.9", destination: .broadcast), on: link)
        }
        let entry = harness.host.neighbors.lookup(gateway, on: link)
        #expect(entry?.lladdr == (changes ? other : .peer))
        #expect(entry?.state == (changes && kind != "reply" ? .stale : .reachable))
    }

    // MARK: what ARP answers and teaches

    @Test(
        "A request is answered for own addresses only",
        arguments: [
            // target, sender, answered, learned
            ("10.0.0.1", "10.0.0.9", true, NeighborState.stale), ("192.0.2.1", "10.0.0.9", true, .stale),
            ("10.0.0.5", "10.0.0.9", false, nil), ("10.0.0.255", "10.0.0.9", false, nil),
            ("127.0.0.1", "10.0.0.9", false, nil), ("10.0.0.9", "10.0.0.9", false, nil),
            // A duplicate address probe is answered and teaches nothing.
            ("10.0.0.1", "0.0.0.0", true, nil),
        ] as [(String, String, Bool, NeighborState?)])
    func requests(target: String, sender: String, answered: Bool, learned: NeighborState?) throws {
        let (harness, link, _) = try host()
        harness.addEthernet("out0", mac: .station(0x12), address: "192.0.2.1/24")
        harness.receive(
            arp(.request, from: sender, .peer, to: target, destination: .broadcast, targetMAC: .zero), on: link)
        #expect(
            harness.sent.map(\.text)
                == (answered ? ["eth0 arp \(target) is-at \(MACAddress.own) for \(sender)"] : []))
        #expect(harness.sent.map(\.stations) == (answered ? ["11 > 22"] : []))
        #expect(state(harness, sender) == learned)
    }

    @Test func `A frame for another machine is not looked at`() throws {
        let (harness, link, _) = try host()
        harness.receive(
            arp(.request, from: "10.0.0.9", .peer, to: "10.0.0.1", destination: .station(0x77)), on: link)
        #expect(harness.sent.isEmpty)
        #expect(harness.drops == [.otherHost])
    }

    @Test(
        "What is no proof of reachability makes a neighbor usable, but doubted",
        arguments: [
            (ARPOperation.reply, MACAddress.own, NeighborState.reachable), (.reply, .broadcast, .delay),
            (.request, .broadcast, .delay), (ARPOperation(rawValue: 3), .own, .incomplete),
        ])
    func proof(operation: ARPOperation, destination: MACAddress, expected: NeighborState) throws {
        let (harness, link, socket) = try host()
        try send(harness, socket)
        harness.receive(
            arp(operation, from: "10.0.0.9", .peer, to: "10.0.0.3", destination: destination), on: link)
        #expect(state(harness) == expected)
    }

    @Test func `Nothing is learned from an answer nobody asked for`() throws {
        let (harness, link, _) = try host()
        harness.receive(reply(), on: link)
        #expect(state(harness) == nil)
    }

    @Test func `An announcement asks for the own address and is answered by nobody`() throws {
        let (harness, link, _) = try host()
        harness.host.announce(ipv4("10.0.0.1"), on: link, &harness.context)
        harness.settle()
        #expect(harness.sent.map(\.text) == ["eth0 arp who-has 10.0.0.1 tell 10.0.0.1"])
        let announcement = harness.sent[0].octets
        harness.receive(announcement, on: link)
        #expect(harness.sent.count == 1, "its own address in a frame from outside is no question")
    }
}
