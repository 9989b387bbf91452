// UDP and echo sockets: who gets a datagram, what a closed port says, what ping sends and answers.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct SocketTests {
    private func host() -> (NamespaceHarness, LinkID) {
        let harness = NamespaceHarness()
        let link = harness.addEthernet(address: "10.0.0.1/24")
        harness.know("10.0.0.9", on: link)
        return (harness, link)
    }

    private let from = PacketBuilder(.peer, "10.0.0.9", .own, "10.0.0.1")

    @Test func `A datagram goes to the most particular socket`() throws {
        let (harness, link) = host()
        harness.host.addAddress(interface("10.0.0.5/24"), to: link)
        let anyone = harness.host.bindUDP(port: 53)
        let particular = harness.host.bindUDP(port: 53, address: ip("10.0.0.5"))
        let connected = try harness.host.connectUDP(to: end("10.0.0.9:7"), &harness.context)
        let port = harness.host.localEnd(of: connected).port
        let rows: [(String, UInt16, UInt16, SocketID?)] = [
            ("10.0.0.1", 7, 53, anyone), ("10.0.0.5", 7, 53, particular), ("10.0.0.1", 7, port, connected),
            ("10.0.0.1", 8, port, nil), ("10.0.0.1", 7, 54, nil),
        ]
        for (destination, source, target, socket) in rows {
            harness.clear()
            harness.receive(PacketBuilder(.peer, "10.0.0.9", .own, destination).udp(from: source, to: target), on: link)
            #expect(harness.news.map(\.socket) == (socket.map { [$0] } ?? []), "\(destination) \(target)")
        }
    }

    @Test func `A closed port says so, with the datagram as it came`() {
        let (harness, link) = host()
        harness.receive(from.with(timeToLive: 9).udp(from: 7, to: 54, payload: [1, 2, 3]), on: link)
        #expect(
            harness.sent.map(\.text)
                == ["eth0 icmp 3/3 10.0.0.1 > 10.0.0.9 ttl 64 about (udp 10.0.0.9:7 > 10.0.0.1:54 ttl 9)"])
        #expect(harness.drops == [.noSocket])
        // Not about a broadcast.
        harness.clear()
        harness.receive(PacketBuilder(.peer, "10.0.0.9", .broadcast, "10.0.0.255").udp(from: 7, to: 54), on: link)
        #expect(harness.sent.isEmpty)
    }

    @Test(
        "A damaged datagram is dropped",
        arguments: [("checksum", DropReason.udpChecksum), ("length", .ipHeader), ("header", .ipChecksum)])
    func damage(what: String, reason: DropReason) {
        let (harness, link) = host()
        _ = harness.host.bindUDP(port: 53)
        var frame = from.udp(from: 7, to: 53, payload: [1, 2, 3])
        switch what {
        case "checksum": frame[frame.count - 1] ^= 1
        case "length": frame[39] = 200
        default: frame[22] ^= 1
        }
        harness.receive(frame, on: link)
        #expect(harness.drops == [reason])
        #expect(harness.news.isEmpty)
    }

    @Test func `Padding behind the packet does not count`() {
        let (harness, link) = host()
        _ = harness.host.bindUDP(port: 53)
        harness.receive(from.udp(from: 7, to: 53, payload: [1, 2, 3]) + [UInt8](repeating: 0xee, count: 15), on: link)
        guard case .datagram(let octets, let sender, let own) = harness.news.first?.kind else {
            Issue.record("nothing arrived")
            return
        }
        #expect(octets == [1, 2, 3])
        #expect(sender == end("10.0.0.9:7"))
        #expect(own == ip("10.0.0.1"))
    }

    @Test func `A connected socket numbers its packets and hears that its port is closed`() throws {
        let (harness, link) = host()
        let socket = try harness.host.connectUDP(to: end("10.0.0.9:53"), &harness.context)
        for _ in 0..<3 { try harness.host.sendDatagram(socket, [1], &harness.context) }
        harness.settle()
        let numbers = harness.sent.map(\.ipv4.identification)
        #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $1 == $0 &+ 1 })
        #expect(harness.sent.allSatisfy { $0.ipv4.dontFragment })
        let quote = Array(harness.sent[0].octets.dropFirst(14))
        // Unreachable hosts are soft errors, which only the error queue holds.
        harness.receive(from.icmp(.hostUnreachable, payload: quote), on: link)
        #expect(harness.news.count == 1)
        if case .errorQueued(.hostUnreachable) = harness.news[0].kind {} else { Issue.record("nothing is queued") }
        harness.receive(from.icmp(.portUnreachable, payload: quote), on: link)
        guard case .failed(let error) = harness.news.last?.kind else {
            Issue.record("no error")
            return
        }
        #expect(error == .connectionRefused)
    }

    @Test(
        "Without a way there is an error",
        arguments: [("no route", SocketError.networkUnreachable), ("a rule", .accessDenied)])
    func sendErrors(why: String, error: SocketError) throws {
        let (harness, link) = host()
        harness.addRoute("0.0.0.0/0", via: "10.0.0.9", on: link)
        let socket = try harness.host.connectUDP(to: end("192.0.2.1:53"), &harness.context)
        if why == "no route" {
            harness.host.removeRoutes { $0.prefix.length == 0 }
        } else {
            var rules = Ruleset()
            rules[.filter].append(Rule(target: .drop), to: "OUTPUT")
            harness.host.setRuleset(rules)
        }
        #expect(throws: error) { try harness.host.sendDatagram(socket, [1], &harness.context) }
        harness.settle()
    }

    // MARK: echo

    @Test func `ping sends what ping(8) sends and hears the reply`() throws {
        let (harness, link) = host()
        let socket = try harness.host.ping(ip("10.0.0.9"), sequence: 3, &harness.context)
        harness.settle()
        let request = harness.sent[0]
        #expect(request.text == "eth0 icmp 8/0 10.0.0.1 > 10.0.0.9 ttl 64")
        #expect(request.ipv4.totalLength == 84)
        #expect(request.ipv4.dontFragment)
        #expect(request.ipv4.identification != 0)
        #expect(request.icmp.sequence == 3)
        harness.receive(
            from.echoReply(identifier: request.icmp.identifier, sequence: 3, payload: request.payload), on: link)
        guard case .echoReply(let sender, let sequence) = harness.news.first?.kind else {
            Issue.record("no reply")
            return
        }
        #expect((sender, sequence) == (ip("10.0.0.9"), 3))
        #expect(harness.news.first?.socket == socket)
        // Another ping's reply is nobody's.
        harness.clear()
        harness.receive(from.echoReply(identifier: request.icmp.identifier &+ 1, sequence: 3), on: link)
        #expect(harness.news.isEmpty)
    }

    @Test("A request is answered with its own octets and traffic class", arguments: [0, 1, 2, 55, 56, 1472])
    func echo(length: Int) {
        let (harness, link) = host()
        var request = from
        request.trafficClass = 0xb8
        let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        harness.receive(request.echoRequest(identifier: 77, sequence: 5, payload: payload), on: link)
        let reply = harness.sent[0]
        #expect(reply.text == "eth0 icmp 0/0 10.0.0.1 > 10.0.0.9 ttl 64")
        #expect(reply.payload == payload)
        #expect((reply.icmp.identifier, reply.icmp.sequence) == (77, 5))
        #expect(reply.ipv4.trafficClass == 0xb8)
        #expect(!reply.ipv4.dontFragment)
        #expect(reply.ipv4.identification != 0)
    }

    @Test("Some requests are not answered", arguments: ["broadcast", "icmp_echo_ignore_all", "a bad checksum"])
    func silence(why: String) {
        let (harness, link) = host()
        var frame = from.echoRequest(identifier: 1, sequence: 1, payload: [1])
        switch why {
        case "broadcast":
            frame = PacketBuilder(.peer, "10.0.0.9", .broadcast, "10.0.0.255").echoRequest(identifier: 1, sequence: 1)
        case "icmp_echo_ignore_all": harness.host.sysctls.ignoresEcho = true
        default: frame[frame.count - 1] ^= 1
        }
        harness.receive(frame, on: link)
        #expect(harness.sent.isEmpty)
    }

    @Test("No socket is connected to many machines at once", arguments: ["10.0.0.255", "255.255.255.255", "224.0.0.5"])
    func manyReceivers(address: String) {
        let (harness, link) = host()
        harness.host.addRoute(Route(IPPrefix(.any(.ipv4), length: 0), gateway: ip("10.0.0.9"), link: link))
        #expect(throws: SocketError.networkUnreachable) {
            try harness.host.connectTCP(to: end("\(address):80"), &harness.context)
        }
        // A group may be sent to; a broadcast needs a permission that nobody asks for here.
        if address.hasPrefix("224.") {
            #expect(throws: Never.self) { try harness.host.connectUDP(to: end("\(address):80"), &harness.context) }
        } else {
            #expect(throws: SocketError.accessDenied) {
                try harness.host.connectUDP(to: end("\(address):80"), &harness.context)
            }
        }
    }

    @Test func `Ephemeral ports come from the range, none twice for one peer`() throws {
        let (harness, _) = host()
        harness.host.sysctls.localPortRange = 40_000...40_099
        let ports = try (0..<100).map { _ in
            let socket = try harness.host.connectUDP(to: end("10.0.0.9:53"), &harness.context)
            return harness.host.localEnd(of: socket).port
        }
        #expect(Set(ports) == Set(40_000...40_099))
        #expect(throws: SocketError.addressNotAvailable) {
            _ = try harness.host.connectUDP(to: end("10.0.0.9:53"), &harness.context)
        }
        // Another peer may use the same.
        _ = try harness.host.connectUDP(to: end("10.0.0.9:54"), &harness.context)
    }
}
