// An indexed chain decides as the same chain walked rule by rule.

import Addressing
import Testing
import Wire

@testable import Netstack

struct ChainIndexTests {
    /// What most rules of a chain differ in; the others are exact, wide, negated and without any of it, mixed.
    private enum Kind: CaseIterable {
        case service, destination, destinationPort, source, sourcePort, mark
    }

    private func rule(_ kind: Kind, _ random: inout SeededGenerator) -> Rule {
        var rule = Rule()
        func prefix(_ third: UInt8) -> Negatable<IPPrefix> {
            let address = IPAddress.v4(10, 96, third, UInt8(random.next(below: 12)))
            switch random.next(below: 8) {
            case 0: return .not(IPPrefix(host: address))
            case 1: return Negatable(IPPrefix(address, length: 28))
            default: return Negatable(IPPrefix(host: address))
            }
        }
        func ports() -> Negatable<ClosedRange<UInt16>> {
            let port = UInt16(80 + random.next(below: 6))
            switch random.next(below: 8) {
            case 0: return .not(port...port)
            case 1: return Negatable(port...port + 2)
            default: return Negatable(port...port)
            }
        }
        let isExact = random.next(below: 6) > 0
        if isExact {
            switch kind {
            case .service, .destination: rule.destination = prefix(0)
            case .source: rule.source = prefix(1)
            case .mark:
                let mark = MarkBits(UInt32(random.next(below: 12)), mask: random.next(below: 8) == 0 ? 3 : .max)
                rule.matches = [.mark(Negatable(mark, isNegated: random.next(below: 8) == 0))]
            case .destinationPort, .sourcePort: break
            }
        }
        let asksPort = kind == .service || kind == .destinationPort || kind == .sourcePort
        if asksPort ? isExact : random.next(below: 4) == 0 {
            let isTCP = random.next(below: 4) > 0
            rule.protocol = Negatable(isTCP ? .tcp : .udp)
            let transport =
                kind == .sourcePort
                ? TransportMatch(isTCP ? .tcp : .udp, source: ports())
                : TransportMatch(isTCP ? .tcp : .udp, destination: ports())
            rule.matches.append(.transport(transport))
        }
        return rule
    }

    private func chain(_ kind: Kind, _ random: inout SeededGenerator) -> [Rule] {
        (0..<Int(random.next(in: 10...80))).map { number in
            var rule = rule(kind, &random)
            switch random.next(below: 5) {
            case 0: rule.target = .accept
            case 1: rule.target = .setMark(value: UInt32(number % 12), mask: 0xf)
            case 2: rule.target = .return
            default: rule.target = .jump("C\(number % 7)")
            }
            return rule
        }
    }

    @Test func `An indexed chain decides as the linear walk, on random chains and packets`() throws {
        let seed: UInt64 = 20_261
        var random = SeededGenerator(seed: seed)
        var criteria: Set<ChainIndex.Criterion> = []
        for round in 0..<90 {
            let kind = Kind.allCases[round % Kind.allCases.count]
            var ruleset = Ruleset()
            for rule in chain(kind, &random) { ruleset[.filter].append(rule, to: "LONG") }
            ruleset[.filter].append(Rule(target: .jump("LONG")), to: "FORWARD")
            for number in 0..<7 {
                ruleset[.filter].append(
                    Rule(target: number % 2 == 0 ? .setMark(value: 1 << 25, mask: 1 << 25) : .drop), to: "C\(number)")
            }
            var namespace = NetworkNamespace(id: NamespaceID(0), name: "node")
            namespace.setRuleset(ruleset)
            criteria.formUnion(namespace.compiledRules.indexes.map(\.criterion))
            for _ in 0..<40 {
                let builder = PacketBuilder(
                    sourceMAC: .zero, destinationMAC: .zero,
                    source: .v4(10, 96, 1, UInt8(random.next(below: 14))),
                    destination: .v4(10, 96, 0, UInt8(random.next(below: 14))))
                let (from, to) = (UInt16(79 + random.next(below: 8)), UInt16(79 + random.next(below: 8)))
                let mark = UInt32(random.next(below: 14))
                var frame: [UInt8]
                switch random.next(below: 8) {
                case 0: frame = builder.echoRequest(identifier: 1, sequence: 1)
                case 1, 2: frame = builder.udp(from: from, to: to)
                // Too short for its header, but not for its ports.
                case 3: frame = Array(builder.tcp(from: from, to: to, flags: .syn).dropLast(8))
                default: frame = builder.tcp(from: from, to: to, flags: .syn)
                }
                let fast = decide(&namespace, frame, mark: mark, walking: false)
                let slow = decide(&namespace, frame, mark: mark, walking: true)
                #expect(fast == slow, "seed \(seed), round \(round)")
            }
        }
        #expect(criteria == Set(ChainIndex.Criterion.allCases), "every criterion must have made an index, seed \(seed)")
    }

    /// The verdict and the mark a packet gets.
    private func decide(
        _ namespace: inout NetworkNamespace, _ frame: [UInt8], mark: UInt32, walking: Bool
    ) -> String {
        var context = PathContext(seed: 1)
        context.recording.keepsRuleMisses = walking
        var packet = frame.withUnsafeBytes { context.arena.allocate(copying: $0, id: 1) }
        packet.mark = mark
        let verdict = namespace.evaluate(.filter, at: .forward, &packet, ingress: nil, egress: nil, &context)
        context.arena.free(packet)
        return "\(verdict) \(packet.mark)"
    }
}
