// Rules made from shared ones decide as the same rules compiled alone.

import Addressing
import Testing
import Wire

@testable import Netstack

struct SharedRulesetTests {
    private static let address = IPAddress.v4(10, 96, 0, 1)

    /// Chains of two tables with jumps, targets, an index and matches, as many nodes have them.
    private var shared: Ruleset {
        var ruleset = Ruleset()
        for number in 0..<20 {
            let port = UInt16(80 + number)
            ruleset[.nat].append(
                Rule(
                    destination: Negatable(IPPrefix(host: Self.address)), protocol: Negatable(.tcp),
                    matches: [.transport(TransportMatch(.tcp, destination: Negatable(port...port)))],
                    target: .jump("SVC-\(number)")),
                to: "SERVICES")
            ruleset[.nat].append(
                Rule(
                    protocol: Negatable(.tcp), matches: [.connectionState(Negatable([.new, .established]))],
                    target: .setMark(value: UInt32(number) << 8, mask: 0xff00)),
                to: "SVC-\(number)")
        }
        ruleset[.nat].append(Rule(target: .jump("SERVICES")), to: "PREROUTING")
        ruleset[.filter].append(Rule(target: .jump("CHECK")), to: "FORWARD")
        ruleset[.filter].append(
            Rule(ingress: Negatable(InterfacePattern("eth+")), target: .setMark(value: 1, mask: 1)), to: "CHECK")
        return ruleset
    }

    /// What another agent of one node adds: chains before those of the next table, and rules of its own.
    private func added(to ruleset: Ruleset) -> Ruleset {
        var ruleset = ruleset
        ruleset[.nat].append(Rule(target: .jump("OWN")), to: "POSTROUTING")
        ruleset[.nat].append(Rule(source: Negatable(IPPrefix(host: Self.address)), target: .return), to: "OWN")
        ruleset[.nat].insert(Rule(target: .setMark(value: 4, mask: 4)), in: "SVC-3")
        ruleset[.filter].append(
            Rule(matches: [.mark(Negatable(MarkBits(1, mask: 1)))], target: .drop), to: "FORWARD")
        ruleset[.filter].setPolicy(.drop, of: .input)
        return ruleset
    }

    @Test func `Rules made from shared ones decide as rules compiled alone`() {
        let base = SharedRuleset(shared)
        let ruleset = added(to: base.ruleset)
        var alone = NetworkNamespace(id: NamespaceID(0), name: "node")
        alone.addLink("eth0", kind: .ethernet, hardwareAddress: .zero)
        var sharing = alone
        alone.setRuleset(ruleset)
        sharing.setRuleset(ruleset, madeFrom: base)
        for port in UInt16(78)...102 {
            for hook in Hook.allCases {
                for table in TableName.allCases {
                    let expected = decide(&alone, table, at: hook, port: port)
                    #expect(decide(&sharing, table, at: hook, port: port) == expected)
                }
            }
        }
    }

    @Test func `Only the chains that another agent changed are compiled again`() {
        let base = SharedRuleset(shared)
        let compiled = CompiledRuleset(compiling: added(to: base.ruleset), madeFrom: base)
        // PREROUTING has not changed: POSTROUTING 1, OWN 1, SVC-3 2, FORWARD 2.
        #expect(compiled.rules.count == base.compiled.rules.count + 6)
        #expect(compiled.indexes.count == 1)
    }

    /// The verdict, the mark, and every rule that was met, by name.
    private func decide(
        _ namespace: inout NetworkNamespace, _ table: TableName, at hook: Hook, port: UInt16
    ) -> String {
        var context = PathContext(seed: 1)
        context.recording.keepsEvents = true
        let builder = PacketBuilder(
            sourceMAC: .zero, destinationMAC: .zero, source: Self.address, destination: Self.address)
        let frame = builder.tcp(from: 40_000, to: port, flags: .syn)
        var packet = frame.withUnsafeBytes { context.arena.allocate(copying: $0, id: 1) }
        let ingress = hook == .output ? nil : LinkID(1)
        let verdict = namespace.evaluate(table, at: hook, &packet, ingress: ingress, egress: nil, &context)
        let mark = packet.mark
        context.arena.free(packet)
        return "\(verdict) \(mark) \(context.recording.events.map(\.kind))"
    }
}
