// TCP between two namespaces joined by a veth pair: what a request and its answer look like on the wire, and what
// happens when frames are lost. The client is 10.0.0.1, the server 10.0.0.2, port 80.

import Addressing
import Testing
import Wire

@testable import Netstack

/// A client that sends `request` and a server that answers it with `response` and closes.
final class Exchange {
    let harness: NamespaceHarness
    var request: [UInt8]
    var response: [UInt8]
    var clientSocket: SocketID?
    private(set) var receivedByClient: [UInt8] = []
    private(set) var receivedByServer: [UInt8] = []
    private(set) var errors: [SocketError] = []

    init(_ harness: NamespaceHarness, request: [UInt8], response: [UInt8]) {
        self.harness = harness
        self.request = request
        self.response = response
        harness.application = { [unowned self] in self.hear($0, $1) }
    }

    func start(to server: String = "10.0.0.2:80") throws {
        _ = harness.namespaces[1].listenTCP(port: 80)
        clientSocket = try harness.namespaces[0].connectTCP(to: end(server), &harness.context)
        harness.settle()
    }

    private func hear(_ harness: NamespaceHarness, _ event: SocketEvent) {
        let isClient = event.namespace.index == 0
        switch event.kind {
        case .connected: harness.namespaces[0].send(event.socket, request, &harness.context)
        case .received(let octets) where isClient: receivedByClient += octets
        case .received(let octets):
            receivedByServer += octets
            guard receivedByServer.count == request.count else { return }
            harness.namespaces[1].send(event.socket, response, &harness.context)
            harness.namespaces[1].close(event.socket, &harness.context)
        case .endOfStream: harness.namespaces[event.namespace.index].close(event.socket, &harness.context)
        case .failed(let error): errors.append(error)
        default: break
        }
    }

    /// What both sides sent, in order, as the tap of each own link saw it.
    var segments: [Frame] { harness.taps.filter { $0.direction == .egress && $0.packet?.tcp != nil } }
}

@Suite struct TCPTests {
    private static func octets(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) } }

    @Test(
        "A request and its answer are ten segments with the windows of the real kernel",
        arguments: [
            // MTU of client and server, windows of S, SA, later ones of client and server
            (1450, 1450, 64_860, 64_308, 64, 63), (1500, 1500, 64_240, 65_160, 63, 64),
            (1500, 1450, 64_240, 64_308, 63, 63), (1450, 1500, 64_860, 65_160, 64, 64),
        ] as [(Int, Int, UInt16, UInt16, UInt16, UInt16)])
    func exchange(mtu: Int, peerMTU: Int, syn: UInt16, synAck: UInt16, client: UInt16, server: UInt16) throws {
        let exchange = Exchange(
            .pair(mtu: mtu, peerMTU: peerMTU), request: Self.octets(80), response: Self.octets(150))
        try exchange.start()
        exchange.harness.advance(seconds(1))
        let segments = exchange.segments
        #expect(
            segments.map { "\($0.namespace == 0 ? ">" : "<")\($0.tcp.flags.word)" }
                == [">S", "<SA", ">A", ">PA", "<A", "<PA", "<FA", ">A", ">FA", "<A"])
        #expect(
            segments.map(\.tcp.window)
                == [syn, synAck, client, client, server, server, server, client, client, server])
        #expect(segments.map { $0.payload.count } == [0, 0, 0, 80, 0, 150, 0, 0, 0, 0])
        #expect(exchange.receivedByServer == Self.octets(80))
        #expect(exchange.receivedByClient == Self.octets(150))
        #expect(exchange.errors.isEmpty)
        // IP header.
        #expect(segments.allSatisfy { $0.ipv4.dontFragment && $0.ipv4.timeToLive == 64 && $0.ipv4.trafficClass == 0 })
        #expect(segments[1].ipv4.identification == 0)
        for side in 0...1 {
            let numbers = segments.filter { $0.namespace == side && $0.tcp.flags != [.syn, .ack] }
                .map(\.ipv4.identification)
            #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $1 == $0 &+ 1 })
        }
        // Options.
        for segment in segments {
            let options = segment.tcp.options
            let isSYN = segment.tcp.flags.contains(.syn)
            let own = UInt16((segment.namespace == 0 ? mtu : peerMTU) - 40)
            #expect(options.maximumSegmentSize == (isSYN ? own : nil))
            #expect(options.windowScale == (isSYN ? 10 : nil))
            #expect(options.sackPermitted == isSYN)
            #expect(segment.tcp.headerLength == (isSYN ? 40 : 32))
        }
        #expect(segments[0].tcp.options.timestamps?.echo == 0)
        #expect(segments[1].tcp.options.timestamps?.echo == segments[0].tcp.options.timestamps?.value)
        // Numbers.
        let (ours, theirs) = (segments[0].tcp.sequence, segments[1].tcp.sequence)
        #expect(
            segments.filter { $0.namespace == 0 }.map { $0.tcp.sequence &- ours } == [0, 1, 1, 81, 81])
        #expect(
            segments.filter { $0.namespace == 1 }.map { $0.tcp.sequence &- theirs } == [0, 1, 1, 151, 152])
        #expect(segments.last.map { $0.tcp.acknowledgment &- ours } == 82)
    }

    @Test func `Over loopback the window is that of 65535 octets`() throws {
        let harness = NamespaceHarness()
        harness.addEthernet(address: "10.0.0.1/24")
        _ = harness.host.listenTCP(port: 80)
        _ = try harness.host.connectTCP(to: end("10.0.0.1:80"), &harness.context)
        harness.settle()
        #expect(harness.taps.map { $0.tcp.flags.word } == ["S", "SA", "A"])
        #expect(harness.taps.map(\.tcp.window) == [65_495, 65_483, 64])
        #expect(harness.taps.map { $0.tcp.options.maximumSegmentSize } == [65_495, 65_495, nil])
    }

    @Test(
        "A port nobody listens on refuses",
        arguments: [
            // flags, payload, answer flags, sequence, acknowledgment
            (TCPFlags.syn, 0, "RA", 0, 1001), (.syn, 10, "RA", 0, 1011), ([.syn, .fin], 0, "RA", 0, 1002),
            (.ack, 0, "R", 77, 0), ([.psh, .ack], 5, "R", 77, 0), ([.syn, .ack], 0, "R", 77, 0),
            (.fin, 0, "RA", 0, 1001), (.rst, 0, "", 0, 0), ([.rst, .ack], 0, "", 0, 0),
        ] as [(TCPFlags, Int, String, UInt32, UInt32)])
    func refusal(flags: TCPFlags, payload: Int, answer: String, sequence: UInt32, acknowledgment: UInt32) {
        let harness = NamespaceHarness()
        let link = harness.addEthernet(address: "10.0.0.1/24")
        harness.know("10.0.0.9", on: link)
        harness.receive(
            PacketBuilder(.peer, "10.0.0.9", .own, "10.0.0.1").tcp(
                from: 4000, to: 81, flags: flags, sequence: 1000, acknowledgment: 77,
                payload: Self.octets(payload)), on: link)
        #expect(harness.drops == [.noSocket])
        guard !answer.isEmpty else {
            #expect(harness.sent.isEmpty)
            return
        }
        let frame = harness.sent[0]
        #expect(frame.text == "eth0 tcp \(answer) 10.0.0.1:81 > 10.0.0.9:4000 ttl 64")
        #expect(frame.tcp.sequence == sequence)
        #expect(frame.tcp.acknowledgment == acknowledgment)
        #expect(frame.tcp.window == 0)
        #expect(frame.tcp.headerLength == 20)
        #expect(frame.ipv4.identification == 0)
        #expect(frame.ipv4.dontFragment)
    }

    @Test func `A client hears that it was refused`() throws {
        let exchange = Exchange(.pair(), request: [1], response: [2])
        try exchange.start(to: "10.0.0.2:81")
        #expect(exchange.segments.map { $0.tcp.flags.word } == ["S", "RA"])
        #expect(exchange.errors == [.connectionRefused])
    }

    // MARK: loss

    @Test func `An unanswered SYN is repeated after 1, 2, 3, 4, 5, 7, 11, 19, 35 and 67 seconds, then given up`() throws
    {
        let exchange = Exchange(.pair(), request: [1], response: [2])
        exchange.harness.loses = { _ in true }
        try exchange.start()
        exchange.harness.advance(seconds(200))
        let syns = exchange.segments
        #expect(syns.count == 11)
        let nominal: [Double] = [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67]
        for (syn, time) in zip(syns, nominal) {
            // The timer wheel may be up to an eighth late.
            let actual = Double(syn.time) / 1e9
            #expect(actual >= time && actual <= time * 1.13, "\(actual) for \(time)")
        }
        let first = syns[0]
        #expect(syns.allSatisfy { $0.tcp.sequence == first.tcp.sequence && $0.tcp.options.timestamps?.echo == 0 })
        #expect(
            syns.enumerated().allSatisfy { $1.ipv4.identification == first.ipv4.identification &+ UInt16($0) })
        #expect(exchange.errors == [.timedOut])
    }

    @Test(
        "Whatever single frame is lost, the exchange completes and nothing is delivered twice",
        arguments: 0..<10)
    func singleLoss(number: Int) throws {
        let exchange = Exchange(.pair(), request: Self.octets(80), response: Self.octets(150))
        var count = -1
        exchange.harness.loses = { _ in
            count += 1
            return count == number
        }
        try exchange.start()
        exchange.harness.advance(seconds(30))
        #expect(exchange.receivedByServer == Self.octets(80))
        #expect(exchange.receivedByClient == Self.octets(150))
        #expect(exchange.errors.isEmpty)
        exchange.harness.advance(seconds(100))
        #expect(exchange.harness.namespaces.allSatisfy { $0.sockets.sockets.allSatisfy { !$0.isOpenTCP } })
    }

    @Test("A large answer survives random loss, octet by octet", arguments: [1, 2, 3] as [UInt64])
    func randomLoss(seed: UInt64) throws {
        let exchange = Exchange(
            .pair(seed: seed, mtu: 1450), request: Self.octets(5000), response: Self.octets(100_000))
        var random = SeededGenerator(seed: seed)
        exchange.harness.context.recording.keepsEvents = false
        exchange.harness.context.recording.keepsFrames = false
        exchange.harness.loses = { _ in random.next(below: 12) == 0 }
        try exchange.start()
        exchange.harness.advance(seconds(600))
        #expect(exchange.receivedByServer == Self.octets(5000), "seed \(seed)")
        #expect(exchange.receivedByClient == Self.octets(100_000), "seed \(seed)")
        #expect(exchange.errors.isEmpty, "seed \(seed)")
    }

    @Test func `A large answer is cut into full segments, PSH on the last`() throws {
        let exchange = Exchange(.pair(mtu: 1450), request: Self.octets(80), response: Self.octets(10_340))
        try exchange.start()
        let data = exchange.segments.filter { $0.namespace == 1 && !$0.payload.isEmpty }
        #expect(data.map(\.payload.count) == Array(repeating: 1398, count: 7) + [554])
        #expect(data.last?.tcp.flags.contains(.psh) == true)
        #expect(exchange.receivedByClient == Self.octets(10_340))
    }
}

extension Socket {
    fileprivate var isOpenTCP: Bool { if case .tcp = kind { true } else { false } }
}
