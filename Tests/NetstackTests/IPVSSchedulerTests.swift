// Which real server each scheduler of IPVS picks, as the kernel's arithmetic has it.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct IPVSSchedulerTests {
    private static let sockets = ["10.244.1.2:8080", "10.244.1.3:8080", "10.244.2.2:8080"]

    private func server(
        _ scheduler: IPVSScheduler, weights: [Int] = [1, 1, 1], connections: [(Int, Int)] = [(0, 0), (0, 0), (0, 0)],
        address: String = "10.96.0.10:80", hashesPort: Bool = false
    ) -> VirtualServer {
        let servers = zip(zip(Self.sockets, weights), connections).map { first, counts in
            var server = RealServer(end(first.0), weight: first.1)
            (server.activeConnections, server.inactiveConnections) = counts
            return server
        }
        return VirtualServer(
            end(address), .tcp, scheduler: scheduler, hashesPort: hashesPort, realServers: servers)
    }

    /// What is picked for clients one after another, counts aside.
    private func picks(_ server: VirtualServer, for clients: [String]) -> [Int?] {
        let harness = NamespaceHarness()
        let packet = harness.context.arena.allocate(length: 60, id: 1)
        defer { harness.context.arena.free(packet) }
        var server = server
        return clients.map { server.schedule(for: packet, from: end($0), &harness.context) }
    }

    private let sameClient = Array(repeating: "192.0.2.1:40000", count: 8)
    private let addresses = (1...20).map { "192.0.2.\($0):40000" }

    @Test func `rr goes round and leaves out what has no weight`() {
        #expect(picks(server(.roundRobin), for: sameClient) == [0, 1, 2, 0, 1, 2, 0, 1])
        #expect(picks(server(.roundRobin, weights: [2, 0, 5]), for: sameClient) == [0, 2, 0, 2, 0, 2, 0, 2])
    }

    @Test func `wrr serves the heaviest first, as the kernel's passes do`() {
        #expect(picks(server(.weightedRoundRobin), for: sameClient) == [0, 1, 2, 0, 1, 2, 0, 1])
        #expect(
            picks(server(.weightedRoundRobin, weights: [4, 3, 2]), for: sameClient + sameClient).prefix(9)
                == [0, 0, 1, 0, 1, 2, 0, 1, 2])
        #expect(picks(server(.weightedRoundRobin, weights: [20, 0, 10]), for: sameClient) == [0, 0, 2, 0, 0, 2, 0, 0])
    }

    struct Row: CustomTestStringConvertible, Sendable {
        let scheduler: IPVSScheduler
        var weights = [1, 1, 1]
        let connections: [(Int, Int)]
        let picked: Int
        var testDescription: String { "\(scheduler.rawValue) \(weights) \(connections)" }
    }

    @Test(
        "What counts connections picks the least burdened, the first of equals",
        arguments: [
            Row(scheduler: .leastConnection, connections: [(0, 0), (0, 0), (0, 0)], picked: 0),
            // An active connection is worth 256 others.
            Row(scheduler: .leastConnection, connections: [(1, 0), (0, 255), (0, 256)], picked: 1),
            Row(scheduler: .leastConnection, connections: [(1, 0), (0, 257), (0, 258)], picked: 0),
            Row(scheduler: .leastConnection, weights: [0, 1, 9], connections: [(0, 0), (2, 0), (3, 0)], picked: 1),
            Row(
                scheduler: .weightedLeastConnection, weights: [1, 2, 4], connections: [(1, 0), (2, 0), (3, 0)],
                picked: 2),
            Row(scheduler: .weightedLeastConnection, connections: [(2, 0), (1, 3), (1, 2)], picked: 2),
            Row(scheduler: .shortestDelay, weights: [1, 3, 1], connections: [(0, 9), (2, 0), (0, 0)], picked: 0),
            Row(scheduler: .shortestDelay, weights: [1, 4, 1], connections: [(0, 0), (2, 0), (0, 0)], picked: 1),
            // Idle beats fast.
            Row(scheduler: .neverQueue, weights: [1, 4, 1], connections: [(1, 0), (1, 0), (0, 7)], picked: 2),
            Row(scheduler: .neverQueue, weights: [1, 4, 1], connections: [(1, 0), (2, 0), (1, 0)], picked: 1),
            Row(scheduler: .failover, weights: [1, 3, 3], connections: [(0, 0), (9, 0), (0, 0)], picked: 1),
            // Full when it has more active connections than weight.
            Row(scheduler: .overflow, weights: [1, 3, 2], connections: [(0, 0), (4, 0), (2, 0)], picked: 2),
            Row(scheduler: .overflow, weights: [1, 3, 2], connections: [(0, 0), (3, 0), (0, 0)], picked: 1),
            Row(scheduler: .localityBased, connections: [(2, 0), (1, 0), (3, 0)], picked: 1),
            Row(scheduler: .localityBasedReplicated, connections: [(2, 0), (1, 0), (3, 0)], picked: 1),
        ])
    func counting(row: Row) {
        #expect(
            picks(server(row.scheduler, weights: row.weights, connections: row.connections), for: ["192.0.2.1:1"])
                == [row.picked])
    }

    @Test func `lblc keeps its server until that is overloaded and another idle`() {
        var kept = server(.localityBased, connections: [(5, 0), (1, 0), (1, 0)])
        kept.cursor = 0
        #expect(picks(kept, for: sameClient).allSatisfy { $0 == 0 })
        kept.realServers[2].activeConnections = 0
        #expect(picks(kept, for: ["192.0.2.1:1"]) == [2])
    }

    @Test func `twos takes the less burdened of two`() {
        let burdened = server(.powerOfTwo, weights: [1, 1, 1], connections: [(2, 0), (1, 0), (0, 0)])
        let picked = picks(burdened, for: Array(repeating: "192.0.2.1:1", count: 200))
        let counts = (0..<3).map { number in picked.count { $0 == number } }
        // Both draws must be the first server's: four in nine.
        #expect((60...120).contains(counts[0]) && counts[0] + counts[1] == 200, "\(counts)")
    }

    // The numbers come from the kernel's formulas, worked out by another program.

    @Test func `sh hashes the client's address into 256 buckets that servers own in turn`() {
        let equal = [2, 1, 0, 1, 2, 0, 2, 1, 2, 0, 1, 0, 2, 0, 1, 0, 1, 0, 0, 2]
        #expect(picks(server(.sourceHash), for: addresses) == equal)
        let weighted = [1, 0, 1, 0, 0, 2, 0, 2, 0, 1, 0, 1, 0, 1, 2, 0, 2, 0, 1, 0]
        #expect(picks(server(.sourceHash, weights: [2, 1, 1]), for: addresses) == weighted)
        let folded = (1...10).map { "[fd00::\(String($0, radix: 16))]:1" }
        #expect(picks(server(.sourceHash), for: folded) == [2, 1, 2, 1, 1, 0, 2, 0, 2, 0])
        // A server without weight keeps its buckets, and nobody else takes them.
        #expect(picks(server(.sourceHash, weights: [1, 0, 1]), for: ["192.0.2.2:1", "192.0.2.3:1"]) == [nil, 0])
    }

    @Test func `dh hashes the virtual server's address`() {
        let picked = (1...10).map {
            picks(server(.destinationHash, address: "10.96.0.\($0):80"), for: ["192.0.2.1:1"])[0]
        }
        #expect(picked == [1, 0, 0, 2, 0, 2, 1, 1, 0, 2])
    }

    @Test func `mh looks the client up in the table of the Maglev paper`() {
        let byAddress = [2, 0, 1, 0, 0, 2, 1, 2, 0, 0, 1, 2, 0, 2, 2, 1, 2, 0, 1, 0]
        #expect(picks(server(.maglevHash), for: addresses) == byAddress)
        let ports = (0..<20).map { "192.0.2.1:\(40000 + $0)" }
        let byPort = [2, 1, 2, 1, 2, 2, 2, 2, 2, 2, 0, 1, 1, 2, 1, 1, 0, 0, 0, 2]
        #expect(picks(server(.maglevHash, hashesPort: true), for: ports) == byPort)
        #expect(Set(picks(server(.maglevHash), for: ports)).count == 1)
        let weighted = [0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
        #expect(picks(server(.maglevHash, weights: [3, 1, 0]), for: addresses) == weighted)
    }

    @Test("Without a server that takes connections nobody is picked", arguments: IPVSScheduler.allCases)
    func nobody(scheduler: IPVSScheduler) {
        #expect(picks(server(scheduler, weights: [0, 0, 0]), for: ["192.0.2.1:1"]) == [nil])
        #expect(picks(VirtualServer(end("10.96.0.10:80"), .tcp, scheduler: scheduler), for: ["192.0.2.1:1"]) == [nil])
    }

    @Test("A question about everything sees every server a scheduler may pick", arguments: IPVSScheduler.allCases)
    func everything(scheduler: IPVSScheduler) {
        let harness = NamespaceHarness()
        let packet = harness.context.arena.allocate(length: 60, id: 1)
        defer { harness.context.arena.free(packet) }
        var outcomes: [Int: Double] = [:]
        var script: [Int]? = []
        while let next = script {
            harness.context.choices = RuleChoices(packet: 1, script: next)
            var server = server(scheduler)
            guard let picked = server.schedule(for: packet, from: end("192.0.2.1:1"), &harness.context) else { break }
            let made = harness.context.choices.made
            outcomes[picked, default: 0] += made.reduce(1) { $0 * $1.probability }
            script = RuleChoices.next(after: made)
        }
        let alwaysOne: [IPVSScheduler] = [.sourceHash, .destinationHash, .maglevHash, .failover, .overflow]
        // The kernel's draw never ends at the last of equals.
        #expect(outcomes.count == (alwaysOne.contains(scheduler) ? 1 : scheduler == .powerOfTwo ? 2 : 3))
        if scheduler == .powerOfTwo { #expect(abs((outcomes[0] ?? 0) - 2.0 / 3) < 1e-9) }
        #expect(abs(outcomes.values.reduce(0, +) - 1) < 1e-9)
    }

    @Test func `ipvsadm -S -n names scheduler, persistence and flag, IPv6 in brackets, lines in order`() {
        let servers = [
            VirtualServer(
                end("[fd00::1]:53"), .udp, scheduler: .maglevHash, persistence: 10800, hashesPort: true,
                realServers: [RealServer(end("[fd00::9]:53"))]),
            VirtualServer(end("10.0.0.1:9"), .sctp),
            VirtualServer(
                end("10.0.0.1:80"), .tcp,
                realServers: [RealServer(end("10.1.0.9:80")), RealServer(end("10.1.0.10:80"), weight: 3)]),
        ]
        #expect(
            servers.savedText() == """
                -A --sctp-service 10.0.0.1:9 -s rr
                -A -t 10.0.0.1:80 -s rr
                -a -t 10.0.0.1:80 -r 10.1.0.10:80 -m -w 3
                -a -t 10.0.0.1:80 -r 10.1.0.9:80 -m -w 1
                -A -u [fd00::1]:53 -s mh -p 10800 -b flag-1
                -a -u [fd00::1]:53 -r [fd00::9]:53 -m -w 1

                """)
    }
}
