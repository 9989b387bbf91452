// podnet packet, trace --all-backends, doors and parity print documents that follow the schemas they publish, and whose
// numbers add up.

import Foundation
import Testing

@Suite struct AnswerSchemaTests {
    static let packets: [[String]] = [
        ["--in", "eth0", "--source", "192.168.50.100", "--destination", "192.168.50.11:30080"],
        ["--in", "eth0", "--source", "192.168.50.100:5000", "--destination", "192.168.50.11:4", "--protocol", "udp"],
        ["--local", "--source", "192.168.50.11", "--destination", "10.96.0.60:80", "--detail"],
        ["--in", "veth00000000", "--source", "10.244.1.2", "--destination", "10.96.0.61:80"],
        ["--in", "eth0", "--source", "192.168.50.100", "--destination", "10.244.1.3", "--protocol", "icmp"],
        ["--in", "eth0", "--source", "192.168.50.100", "--destination", "10.96.0.60:80", "--protocol", "sctp"],
    ]

    private func document(_ arguments: [String]) throws -> JSON {
        try JSON(try Program.podnet(arguments + ["-o", "json"]).output)
    }

    @Test(arguments: packets)
    func `a packet's document follows the schema, and its chances add up to one`(_ packet: [String]) throws {
        let json = try document(["packet", "worker-1"] + packet + ["-f", "topologies/backends.yaml"])
        #expect(try JSONSchema(named: "packet.schema.json").errors(in: json) == [])
        var sum = 0.0
        if case .array(let branches)? = json["branches"] {
            for case .number(let chance)? in branches.map({ $0["probability"] }) { sum += chance }
        }
        #expect(abs(sum - 1) < 1e-9)
    }

    @Test func `a request's backends follow the schema, each with its exact chance`() throws {
        let json = try document(
            ["trace", "client", "svc/web:80", "-f", "topologies/backends.yaml", "--all-backends"])
        #expect(try JSONSchema(named: "backends.schema.json").errors(in: json) == [])
        guard case .array(let backends)? = json["backends"] else {
            Issue.record("no backends")
            return
        }
        #expect(backends.compactMap { $0["address"]?.text } == ["10.244.1.3", "10.244.2.2", "10.244.2.3"])
        // What the kernel makes of a third: 715827883 of 2^31, then a half of the rest.
        let third = 715_827_883.0 / 2_147_483_648
        let chances = [third, (1 - third) / 2, (1 - third) / 2]
        for (backend, chance) in zip(backends, chances) {
            guard case .number(let number)? = backend["probability"] else {
                Issue.record("no probability")
                continue
            }
            #expect(abs(number - chance) < 1e-12)
        }
    }

    @Test func `doors and parity follow their schemas`() throws {
        let doors = try document(["doors", "svc/web", "-f", "topologies/load-balancer.yaml"])
        #expect(try JSONSchema(named: "doors.schema.json").errors(in: doors) == [])
        #expect(Set(doors.all("door")) == ["ClusterIP", "NodePort", "LoadBalancer", "localhost"])
        let parity = try document(["parity", "-f", "topologies/load-balancer.yaml"])
        #expect(try JSONSchema(named: "parity.schema.json").errors(in: parity) == [])
    }

    @Test(arguments: [
        ["worker-1", "--source", "10.0.0.1", "--destination", "10.0.0.2:80"],
        ["worker-1", "--in", "eth0", "--local", "--source", "10.0.0.1", "--destination", "10.0.0.2:80"],
        ["worker-1", "--in", "eth0", "--source", "ten", "--destination", "10.0.0.2:80"],
        ["worker-1", "--in", "eth0", "--source", "10.0.0.1", "--destination", "10.0.0.2"],
        ["worker-1", "--in", "eth0", "--source", "10.0.0.1", "--destination", "[fd00::1]:80"],
        ["worker-1", "--in", "eth0", "--source", "10.0.0.1", "--destination", "10.0.0.2:80", "--protocol", "gre"],
        ["worker-1", "--in", "an-interface-name-too-long", "--source", "10.0.0.1", "--destination", "10.0.0.2:80"],
    ])
    func `a question that makes no sense is wrong usage`(_ arguments: [String]) throws {
        let result = try Program.podnet(["packet"] + arguments + ["-f", "topologies/backends.yaml"])
        #expect(result.status == 64 && result.output == "" && result.errors.hasPrefix("Error: "))
    }
}
