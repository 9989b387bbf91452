// An indexed chain decides as the same chain walked rule by rule.

import Addressing
import Testing
import Wire

@testable import Netstack

struct ChainIndexTests {
    /// A chain as kube-proxy's shared ones, but untidier: exact, wide, negated and portless rules mixed.
    private func chain(_ random: inout SeededGenerator) -> [Rule] {
        (0..<Int(random.next(in: 10...80))).map { number in
            var rule = Rule(target: .jump("C\(number % 7)"))
            let address = IPAddress.v4(10, 96, 0, UInt8(random.next(below: 12)))
            switch random.next(below: 6) {
            case 0: rule.destination = .not(IPPrefix(host: address))
            case 1: rule.destination = Negatable(IPPrefix(address, length: 28))
            case 2: break
            default: rule.destination = Negatable(IPPrefix(host: address))
            }
            if random.next(below: 4) > 0 {
                rule.protocol = Negatable(.tcp)
                let port = UInt16(80 + random.next(below: 6))
                rule.matches = [
                    .transport(
                        .tcp, destination: random.next(below: 5) == 0 ? .not(port...port) : Negatable(port...port))
                ]
            }
            switch random.next(below: 5) {
            case 0: rule.target = .accept
            case 1: rule.target = .setMark(value: UInt32(1 << (number % 20)), mask: UInt32(1 << (number % 20)))
            case 2: rule.target = .return
            default: break
            }
            return rule
        }
    }

    @Test("An indexed chain decides as the linear walk, on random chains and packets")
    func indexEqualsWalk() throws {
        let seed: UInt64 = 20_261
        var random = SeededGenerator(seed: seed)
        var indexed = 0
        for round in 0..<60 {
            var ruleset = Ruleset()
            for rule in chain(&random) { ruleset[.filter].append(rule, to: "LONG") }
            ruleset[.filter].append(Rule(target: .jump("LONG")), to: "FORWARD")
            for number in 0..<7 {
                ruleset[.filter].append(
                    Rule(target: number % 2 == 0 ? .setMark(value: 1 << 25, mask: 1 << 25) : .drop), to: "C\(number)")
            }
            var namespace = NetworkNamespace(id: NamespaceID(0), name: "node")
            namespace.setRuleset(ruleset)
            indexed += namespace.compiledRules.indexes.count
            for _ in 0..<40 {
                let builder = PacketBuilder(
                    sourceMAC: .zero, destinationMAC: .zero, source: .v4(10, 244, 0, 2),
                    destination: .v4(10, 96, 0, UInt8(random.next(below: 14))))
                let port = UInt16(79 + random.next(below: 8))
                let frame =
                    random.next(below: 5) == 0
                    ? builder.udp(from: 1000, to: port) : builder.tcp(from: 1000, to: port, flags: .syn)
                let fast = decide(&namespace, frame, walking: false)
                let slow = decide(&namespace, frame, walking: true)
                #expect(fast == slow, "seed \(seed), round \(round)")
            }
        }
        #expect(indexed > 20, "the chains of this test must be worth an index, seed \(seed)")
    }

    /// The verdict and the mark a packet gets.
    private func decide(_ namespace: inout NetworkNamespace, _ frame: [UInt8], walking: Bool) -> String {
        var context = PathContext(seed: 1)
        context.recording.keepsRuleMisses = walking
        var packet = frame.withUnsafeBytes { context.arena.allocate(copying: $0, id: 1) }
        let verdict = namespace.evaluate(.filter, at: .forward, &packet, ingress: nil, egress: nil, &context)
        context.arena.free(packet)
        return "\(verdict) \(packet.mark)"
    }
}
