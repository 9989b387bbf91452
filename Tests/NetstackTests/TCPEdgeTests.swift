// A TCP server against a peer whose segments the test writes by hand: order, overlap, half-open connections, the ways
// to close, windows.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct TCPEdgeTests {
    /// A server with one connection from 10.0.0.9:4000; `sequence` 1 is the first octet of either side.
    final class Peer {
        let harness = NamespaceHarness()
        let link: LinkID
        private(set) var base: UInt32 = 0
        private let own: UInt32 = 0xffff_ff00

        init(window: UInt16 = 64_000, handshake: Bool = true) {
            link = harness.addEthernet(address: "10.0.0.1/24")
            harness.know("10.0.0.9", on: link)
            _ = harness.host.listenTCP(port: 80)
            send(.syn, sequence: 0, window: window, options: TCPOptions(maximumSegmentSize: 1460))
            base = harness.sent.last?.tcp.sequence ?? 0
            if handshake { send(.ack, sequence: 1, acknowledgment: 1, window: window) }
            harness.clear()
        }

        func send(
            _ flags: TCPFlags, sequence: UInt32, acknowledgment: UInt32 = 0, window: UInt16 = 64_000,
            options: TCPOptions = TCPOptions(), _ payload: [UInt8] = []
        ) {
            harness.receive(
                PacketBuilder(.peer, "10.0.0.9", .own, "10.0.0.1").tcp(
                    from: 4000, to: 80, flags: flags, sequence: own &+ sequence, acknowledgment: base &+ acknowledgment,
                    window: window, options: options, payload: payload), on: link)
        }

        func data(_ sequence: UInt32, _ payload: [UInt8], flags: TCPFlags = [.psh, .ack]) {
            send(flags, sequence: sequence, acknowledgment: 1, payload)
        }

        /// What the server sent: flags, sequence, acknowledgment, length.
        func takeAnswers() -> [String] {
            harness.takeSent().map {
                "\($0.tcp.flags.word) \($0.tcp.sequence &- base) \($0.tcp.acknowledgment &- own) \($0.payload.count)"
            }
        }

        /// What the server's application heard.
        func takeNews() -> [String] {
            harness.takeNews().map {
                switch $0.kind {
                case .accepted: "accepted"
                case .received(let octets): "\(octets)"
                case .endOfStream: "end"
                case .failed(let error): error.rawValue
                default: "other"
                }
            }
        }

        var socket: SocketID { SocketID(1) }
        var state: TCPState? { harness.host.sockets[tcp: socket]?.state }
        func application(_ body: (inout NetworkNamespace, inout PathContext) -> Void) {
            body(&harness.host, &harness.context)
            harness.settle()
        }
    }

    // MARK: order

    @Test(
        "Octets come to the application once and in order",
        arguments: [
            // segments (first octet, count), what is heard
            ([(1, 3), (4, 3)], [3, 3]), ([(4, 3), (1, 3)], [6]), ([(7, 3), (4, 3), (1, 3)], [9]),
            ([(1, 3), (1, 3)], [3]), ([(1, 3), (1, 5)], [3, 2]), ([(1, 3), (2, 1)], [3]),
            ([(1, 5), (3, 5)], [5, 2]), ([(4, 6), (1, 5)], [9]), ([(4, 2), (4, 6), (1, 3)], [9]),
            ([(7, 3), (1, 9)], [9]), ([(2, 1), (1, 1)], [2]),
        ] as [([(UInt32, Int)], [Int])])
    func order(segments: [(UInt32, Int)], heard: [Int]) {
        let peer = Peer()
        for (first, count) in segments {
            peer.data(first, (0..<count).map { UInt8(truncatingIfNeeded: Int(first) + $0) })
        }
        var next: UInt8 = 1
        let expected = heard.map { count -> String in
            defer { next += UInt8(count) }
            return "\(Array(next..<next + UInt8(count)))"
        }
        #expect(peer.takeNews() == expected)
        // Every segment was acknowledged at once, the last with all that came in order.
        let answers = peer.takeAnswers()
        #expect(answers.count == segments.count)
        #expect(answers.last == "A 1 \(1 + heard.reduce(0, +)) 0")
    }

    @Test func `Sequence numbers pass zero`() {
        let peer = Peer()
        // The peer's numbers begin at 0xffffff00, so octet 256 is number 0.
        peer.data(1, [UInt8](repeating: 1, count: 300))
        peer.data(301, [2])
        #expect(peer.takeAnswers().last == "A 1 302 0")
        #expect(peer.takeNews().count == 2)
    }

    // MARK: handshake

    @Test func `Before the handshake is complete nothing is taken`() {
        let peer = Peer(handshake: false)
        // Without ACK, with a wrong one, with data and none of either.
        peer.send([], sequence: 1, [9])
        peer.send(.ack, sequence: 1, acknowledgment: 77, [9])
        #expect(peer.takeNews().isEmpty)
        #expect(peer.state == .synReceived)
        // The acknowledgment may carry data.
        peer.data(1, [7])
        #expect(peer.takeNews() == ["accepted", "[7]"])
    }

    @Test func `A repeated SYN is answered by the same SYN-ACK, a stray one by an acknowledgment`() {
        let peer = Peer(handshake: false)
        peer.send(.syn, sequence: 0)
        #expect(peer.takeAnswers() == ["SA 0 1 0"])
        peer.send(.ack, sequence: 1, acknowledgment: 1)
        peer.send(.syn, sequence: 0)
        #expect(peer.takeAnswers() == ["A 1 1 0"])
    }

    @Test func `An unacknowledged SYN-ACK is repeated at 1, 3, 7, 15 and 31 seconds`() {
        let peer = Peer(handshake: false)
        peer.harness.advance(seconds(80))
        let times = peer.harness.sent.map { Int((Double($0.time) / 1e9 / 1.0625).rounded()) }
        #expect(peer.harness.sent.count == 5)
        #expect(times == [1, 3, 7, 14, 30] || times == [1, 3, 7, 15, 31] || times == [1, 3, 7, 15, 30])
        #expect(peer.state == nil)
    }

    // MARK: closing

    @Test func `FIN with data in one segment is acknowledged as both, a little later`() {
        let peer = Peer()
        peer.data(1, [1, 2], flags: [.fin, .psh, .ack])
        #expect(peer.takeAnswers().isEmpty)
        peer.harness.advance(seconds(0.1))
        #expect(peer.takeAnswers() == ["A 1 4 0"])
        #expect(peer.takeNews() == ["[1, 2]", "end"])
        #expect(peer.state == .closeWait)
    }

    @Test func `FIN that overtakes data waits for it`() {
        let peer = Peer()
        peer.data(3, [3], flags: [.fin, .psh, .ack])
        #expect(peer.takeNews().isEmpty)
        peer.data(1, [1, 2])
        #expect(peer.takeNews() == ["[1, 2, 3]", "end"])
        #expect(peer.takeAnswers() == ["A 1 1 0", "A 1 5 0"])
    }

    @Test func `A FIN alone is acknowledged by the application's own FIN, or a little later`() {
        let closing = Peer()
        closing.send([.fin, .ack], sequence: 1, acknowledgment: 1)
        closing.application { $0.close(closing.socket, &$1) }
        #expect(closing.takeAnswers() == ["FA 1 2 0"])
        closing.send(.ack, sequence: 2, acknowledgment: 2)
        #expect(closing.state == nil)
        let slow = Peer()
        slow.send([.fin, .ack], sequence: 1, acknowledgment: 1)
        #expect(slow.takeAnswers().isEmpty)
        slow.harness.advance(seconds(0.1))
        #expect(slow.takeAnswers() == ["A 1 2 0"])
    }

    @Test func `Both sides may close at once`() {
        let peer = Peer()
        peer.application { $0.close(peer.socket, &$1) }
        #expect(peer.takeAnswers() == ["FA 1 1 0"])
        peer.send([.fin, .ack], sequence: 1, acknowledgment: 1)
        #expect(peer.takeAnswers() == ["A 2 2 0"])
        #expect(peer.state == .closing)
        peer.send(.ack, sequence: 2, acknowledgment: 2)
        #expect(peer.state == .timeWait)
        peer.harness.advance(seconds(70))
        #expect(peer.state == nil)
    }

    @Test func `TIME-WAIT answers a FIN again and makes way for a new connection`() {
        let peer = Peer()
        peer.application { $0.close(peer.socket, &$1) }
        peer.send([.fin, .ack], sequence: 1, acknowledgment: 2)
        #expect(peer.state == .timeWait)
        _ = peer.takeAnswers()
        peer.send([.fin, .ack], sequence: 1, acknowledgment: 2)
        #expect(peer.takeAnswers() == ["A 2 2 0"])
        peer.send(.syn, sequence: 5000)
        #expect(peer.harness.sent.map { $0.tcp.flags.word } == ["SA"])
    }

    @Test func `After its own FIN the server still takes data`() {
        let peer = Peer()
        peer.application { $0.close(peer.socket, &$1) }
        peer.send(.ack, sequence: 1, acknowledgment: 2)
        #expect(peer.state == .finWait2)
        _ = peer.takeAnswers()
        peer.send([.psh, .ack], sequence: 1, acknowledgment: 2, [5])
        #expect(peer.takeNews() == ["[5]"])
        #expect(peer.takeAnswers() == ["A 2 2 0"])
        peer.send([.fin, .ack], sequence: 2, acknowledgment: 2)
        #expect(peer.takeAnswers() == ["A 2 3 0"])
        #expect(peer.state == .timeWait)
    }

    @Test(
        "A reset counts only at the expected number",
        arguments: [(1, true), (0, false), (2, false), (5000, false)] as [(UInt32, Bool)])
    func reset(sequence: UInt32, counts: Bool) {
        let peer = Peer()
        peer.send(.rst, sequence: sequence)
        #expect((peer.state == nil) == counts)
        #expect(peer.takeNews() == (counts ? ["ECONNRESET"] : []))
    }

    @Test func `A segment without ACK is no part of an open connection`() {
        let peer = Peer()
        peer.send(.psh, sequence: 1, [1])
        #expect(peer.takeNews().isEmpty)
    }

    // MARK: windows

    @Test func `The server sends no more than the window allows, and goes on when it opens`() {
        let peer = Peer(window: 1000)
        peer.application { $0.send(peer.socket, [UInt8](repeating: 1, count: 2500), &$1) }
        #expect(peer.takeAnswers() == ["A 1 1 1000"])
        peer.send(.ack, sequence: 1, acknowledgment: 1001, window: 0)
        peer.harness.advance(seconds(0.001))
        #expect(peer.takeAnswers().isEmpty)
        peer.send(.ack, sequence: 1, acknowledgment: 1001, window: 4000)
        #expect(peer.takeAnswers() == ["A 1001 1 1460", "PA 2461 1 40"])
    }

    @Test func `A window that stays shut is probed`() {
        let peer = Peer(window: 1000)
        peer.application { $0.send(peer.socket, [UInt8](repeating: 1, count: 1500), &$1) }
        peer.send(.ack, sequence: 1, acknowledgment: 1001, window: 0)
        _ = peer.takeAnswers()
        peer.harness.advance(seconds(10))
        // An old number, so that the peer must answer with its window (tcp_xmit_probe_skb).
        #expect(peer.takeAnswers().prefix(2) == ["A 1000 1 0", "A 1000 1 0"])
        peer.send(.ack, sequence: 1, acknowledgment: 1001, window: 1000)
        #expect(peer.takeAnswers() == ["PA 1001 1 500"])
    }

    @Test func `An acknowledgment of what was never sent is ignored`() {
        let peer = Peer()
        peer.application { $0.send(peer.socket, [1, 2, 3], &$1) }
        peer.send(.ack, sequence: 1, acknowledgment: 5000)
        peer.harness.clear()
        peer.harness.advance(seconds(1.5))
        #expect(peer.takeAnswers().first == "PA 1 1 3")
    }

    @Test func `A retransmission backs off, and its acknowledgment sets the time back`() {
        let peer = Peer()
        peer.application { $0.send(peer.socket, [1, 2, 3], &$1) }
        _ = peer.takeAnswers()
        peer.harness.advance(seconds(7))
        let times = peer.harness.sent.map { Double($0.time) / 1e9 }
        let pauses = zip(times, times.dropFirst()).map { $1 - $0 }
        #expect(pauses.count >= 3)
        #expect(zip(pauses, pauses.dropFirst()).allSatisfy { (1.7...2.3).contains($1 / $0) })
    }
}
