// Faults on places and in time: what they change where it can be looked at, that healing puts it back, and that a place
// which is not there is an error with its line.

import Addressing
import Kubernetes
import Manifests
import Netstack
import Testing

@testable import Simulation

@Suite struct FaultPlanTests {
    private func scenario(_ events: String) -> String {
        """
        ---
        apiVersion: podnet.dev/v1alpha1
        kind: Scenario
        metadata: {name: story}
        spec: {events: [\(events)]}

        """
    }

    private func namespace(_ lab: inout Lab, _ owner: NamespaceOwner) throws -> NetworkNamespace {
        let id = lab.simulator.namespaceID(of: owner)
        return lab.simulator.namespace(try #require(id))
    }

    /// All that faults change in a namespace.
    private func state(_ namespace: NetworkNamespace) -> String {
        var lines = namespace.links.map {
            "\($0.name) \($0.mtu) \($0.isUp) \($0.hasCarrier) \($0.isHairpin) \($0.trafficControl != nil)"
        }
        lines += namespace.mainTable.routes.map { route in route.text { namespace.links[$0.index].name } }
        lines += namespace.neighbors.entries.filter { $0.state == .permanent }.map { "\($0.address) \($0.lladdr)" }
        lines += namespace.tunnels.flatMap { tunnel in
            tunnel.forwardingDatabase.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        }
        lines.append("\(namespace.sysctls.bridgeCallsIPTables) \(namespace.sysctls.bridgeCallsIP6Tables)")
        lines += namespace.ruleset[.filter].chains.compactMap { chain in
            chain.policy.map { "\(chain.name) \($0.rawValue)" }
        }
        return lines.joined(separator: "\n")
    }

    /// Faults that change the state of n1, and one line of it afterwards.
    static let stateFaults: [(text: String, line: String)] = [
        ("n1/eth0 link down", "eth0 1500 false true false false"),
        ("default/a1/eth0 link down", "false false"),
        ("n1/eth0 mtu 1400", "eth0 1400 true true false false"),
        ("default/a1 mtu 1400", "cni0 1400 true true false false"),
        ("n1 mtu 1500", "cni0 1500 true true false false"),
        ("default/a1/veth hairpin off", "1450 true true false false"),
        ("n1 hairpin off", "1450 true true false false"),
        ("n1/eth0 loss 1%", "eth0 1500 true true false true"),
        ("n1/cni0 filter icmp in", "cni0 1450 true true false true"),
        ("n1/eth0 bad-checksum all", "eth0 1500 true true false true"),
        ("n1 br_netfilter off", "false false"),
        ("n1 policy FORWARD DROP", "FORWARD DROP"),
        ("n1 wrong-vtep-mac n2 02:00:00:00:00:77", "10.244.1.0 02:00:00:00:00:77"),
        ("n1 stale-fdb n2 192.168.50.99", " 192.168.50.99"),
        ("n1 stale-route 10.244.1.0/24 via 192.168.50.13", "10.244.1.0/24 via 192.168.50.13 dev eth0"),
        ("n1 stale-route 10.77.0.0/16 via 192.168.50.13", "10.77.0.0/16 via 192.168.50.13 dev eth0"),
        ("n3 duplicate-public-ip n2", "192.168.50.12\n"),
    ]

    @Test(arguments: stateFaults.indices)
    func `a state fault changes what the tools show, and healing puts it back`(_ number: Int) throws {
        let (text, line) = Self.stateFaults[number]
        var sound = try Lab(LabManifest.plain)
        let before = state(try namespace(&sound, .node("n1")))
        var sick = try Lab(LabManifest.plain + scenario("{at: 0s, fault: \"\(text)\"}"))
        let after = state(try namespace(&sick, .node("n1")))
        #expect(after != before && (after + "\n").contains(line), "\(text)\n\(after)")
        // The same in the middle of a run, and gone again.
        let name = "{name: it, target: \"\(text.split(separator: " ")[0])\", \(field(text))}"
        var lab = try Lab(LabManifest.plain + scenario("{at: 1s, fault: \(name)}, {at: 2s, heal: it}"))
        #expect(state(try namespace(&lab, .node("n1"))) == before)
        lab.simulator.run(until: 1_500_000_000)
        #expect(state(try namespace(&lab, .node("n1"))) == after, "\(text)")
        lab.simulator.run(until: 2_500_000_000)
        #expect(state(try namespace(&lab, .node("n1"))) == before, "\(text)")
        #expect(try lab.trace("a1", "svc/on-b1:80").report.outcome == .answered)
    }

    /// The words of a line as a field of an object.
    private func field(_ text: String) -> String {
        let words = text.split(separator: " ")
        return "\(words[1]): '\(words[2...].joined(separator: " "))'"
    }

    @Test func `healing one of two faults on one thing leaves the other`() throws {
        var lab = try Lab(
            LabManifest.plain
                + scenario(
                    """
                    {at: 0s, fault: {name: one, target: n1/eth0, mtu: 1300}},
                    {at: 1s, fault: {name: two, target: n1/eth0, mtu: 1400}},
                    {at: 2s, heal: two}, {at: 3s, heal: one}
                    """))
        func mtu() throws -> Int? { try namespace(&lab, .node("n1")).link(named: "eth0")?.mtu }
        #expect(try mtu() == 1300)
        for (second, expected) in [(1, 1400), (2, 1300), (3, 1500)] {
            lab.simulator.run(until: Int64(second) * 1_000_000_000)
            #expect(try mtu() == expected)
        }
    }

    @Test func `what waits in a queue goes with it`() throws {
        var lab = try Lab(
            LabManifest.plain
                + scenario("{at: 0s, fault: {name: slow, target: default/a1/eth0, delay: 3s}}, {at: 1s, heal: slow}"))
        // The first question by ARP waits and is lost; the second one, a second later, finds no queue.
        let trace = try lab.trace("a1", "svc/on-b1:80")
        #expect(trace.report.outcome == .answered)
        #expect(lab.story(on: "default/a1/eth0", neighbors: true).first?.hasPrefix("1024 out who-has") == true)
        #expect(lab.simulator.context.arena.packetsInFlight == 0)
    }

    @Test func `an impairment of the underlay is on every cable`() throws {
        func duration(_ more: String) throws -> Nanoseconds {
            var lab = try Lab(LabManifest.plain + more)
            let report = try lab.trace("a1", "b1:8080").report
            #expect(report.outcome == .answered)
            return report.finished - report.started
        }
        let slow = scenario("{at: 0s, fault: underlay delay 10ms}")
        // ARP and three round trips cross it seven times before the client has its answer.
        let difference = try duration(slow) - duration("")
        #expect(difference >= 60_000_000 && difference <= 70_000_000, "\(difference)")
    }

    @Test func `without faults nothing of it is there`() throws {
        var lab = try Lab(LabManifest.plain)
        _ = try lab.trace("a1", "svc/on-b1:80")
        #expect(lab.simulator.faults.plan.faults.isEmpty && lab.simulator.faults.active.isEmpty)
        for id in lab.simulator.builtNamespaces {
            #expect(lab.simulator.built(id).links.allSatisfy { $0.trafficControl == nil && $0.hasCarrier })
        }
    }

    // MARK: wrong places

    /// Text of a fault and what is said of it.
    static let wrong: [(text: String, message: String)] = [
        ("n9/eth0 loss 1%", "there is no link, machine or pod called \"n9/eth0\""),
        ("n1/eth7 loss 1%", "n1 has no link called \"eth7\""),
        ("default/a1/eth7 loss 1%", "default/a1 has no link called \"eth7\""),
        ("n1 loss 1%", "\"n1\" is a machine, and this fault is one of a link"),
        ("underlay mtu 1400", "\"underlay\" is the wire between machines, and this fault is one of a link"),
        ("underlay filter udp/8472 in", "the underlay has no inside"),
        ("n1/eth0 hairpin off", "n1/eth0 is no port of a bridge"),
        ("n3 hairpin off", "\"n3\" has no pod with a network of its own"),
        ("n1/eth0 br_netfilter off", "\"n1/eth0\" is a link, and this fault is one of a node"),
        ("default/a1 policy FORWARD DROP", "\"default/a1\" is a pod, and this fault is one of a node"),
        ("n1 wrong-vtep-mac n9", "there is no node called \"n9\""),
        ("n1 wrong-vtep-mac n1", "n1 has no tunnel to n1"),
        ("n1 stale-fdb n9 192.168.50.99", "there is no node called \"n9\""),
        ("n1 stale-route 10.1.0.0/16 via 172.31.0.1", "n1 has no link towards 172.31.0.1"),
        ("n1 stale-route 10.1.0.0/16 via 172.31.0.1 dev eth7", "n1 has no link called \"eth7\""),
        ("n1 duplicate-public-ip n1", "n1 and n1 are no two nodes with leases of flannel"),
        ("n1/eth0 partition n2", "a partition is between machines, and \"n1/eth0\" is none"),
        ("n1 partition n9", "there is no link, machine or pod called \"n9\""),
        ("n1,n2 partition n2", "n2 is on both sides"),
    ]

    @Test(arguments: wrong.indices)
    func `a place that is not there is named with its line`(_ number: Int) throws {
        let (text, message) = Self.wrong[number]
        let manifest = LabManifest.plain + "---\n" + scenario("{at: 0s, fault: \"\(text)\"}").dropFirst(4)
        let line = LabManifest.plain.split(separator: "\n", omittingEmptySubsequences: false).count + 4
        do {
            _ = try Lab(manifest)
            Issue.record("no error for \(text)")
        } catch let error as ManifestError {
            #expect(error.message.contains(message), "\(error)")
            #expect(error.line == line && error.hint?.isEmpty == false, "\(error)")
        }
    }

    @Test func `two queues on one link and healing nothing are refused`() throws {
        func message(_ events: String) -> String {
            do {
                _ = try Lab(LabManifest.plain + scenario(events))
                return "no error"
            } catch {
                return "\(error)"
            }
        }
        let two = message("{at: 0s, fault: n1/eth0 loss 1%}, {at: 1s, fault: n1/eth0 delay 1ms}")
        #expect(two.contains("\"n1/eth0 loss 1%\" has put a queue on that link already"))
        #expect(message("{at: 0s, heal: nothing}").contains("no fault called \"nothing\" is there to be healed"))
        let early = "{at: 5s, fault: {name: late, target: n1/eth0, loss: 1%}}, {at: 1s, heal: late}"
        #expect(message(early).contains("no fault called \"late\" is there to be healed"))
        let handover =
            "{at: 0s, fault: {name: a, target: n1/eth0, loss: 1%}}, {at: 1s, heal: a}, {at: 1s, fault: n1/eth0 loss 2%}"
        #expect(message(handover) == "no error")
    }
}
