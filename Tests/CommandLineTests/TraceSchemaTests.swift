// podnet trace -o json follows the schema it publishes, for every verdict and every kind of step.

import Foundation
import Testing

@Suite struct TraceSchemaTests {
    static let flows: [[String]] =
        TopologyCommand.traces.map { Array($0.arguments.dropFirst()).filter { $0 != "--detail" } } + [
            ["client", "10.244.2.99:80", "-f", "topologies/cross-node.yaml"],
            ["client", "10.244.1.99:80", "-f", "topologies/cross-node.yaml"],
            ["client", "web:81", "-f", "topologies/cross-node.yaml"],
            ["client", "web", "--protocol", "icmp", "-f", "topologies/cross-node.yaml"],
            ["client", "web:9", "--protocol", "udp", "-f", "topologies/same-node.yaml"],
            ["node/worker-1", "svc/web:80", "-f", "topologies/clusterip-remote.yaml"],
            ["node/worker-1", "127.0.0.1:30080", "-f", "topologies/nodeport-remote.yaml"],
            ["client", "svc/web:80", "-f", "topologies/clusterip-remote.yaml", "--proxy-mode", "ipvs"],
            ["client", "svc/web:80", "-f", "topologies/clusterip-remote.yaml", "--proxy-mode", "nftables"],
            ["client", "svc/orders:80", "-f", "topologies/no-endpoints.yaml", "--proxy-mode", "ipvs"],
        ]

    private func document(_ flow: [String]) throws -> JSON {
        let result = try Program.podnet(["trace"] + flow + ["-o", "json"])
        #expect(result.errors == "" && result.output.hasSuffix("}\n"))
        return try JSON(result.output)
    }

    @Test(arguments: flows)
    func `the document follows the schema`(_ flow: [String]) throws {
        let schema = try JSONSchema(named: "trace.schema.json")
        for extra in [[], ["--detail"]] {
            #expect(schema.errors(in: try document(flow + extra)) == [])
        }
    }

    @Test func `JSON and text say the same`() throws {
        for flow in Self.flows.prefix(8) {
            let text = try Program.podnet(["trace"] + flow)
            let json = try document(flow)
            #expect(json["headline"]?.text == text.output.split(separator: "\n").first.map(String.init))
            let minimal = try Program.podnet(["trace"] + flow + ["--minimal"])
            #expect(minimal.output.hasPrefix(try #require(json["verdict"]?.text)))
        }
    }

    @Test func `the flows reach verdicts and steps of many kinds`() throws {
        var verdicts: Set<String> = []
        var kinds: Set<String> = []
        for flow in Self.flows {
            let json = try document(flow + ["--detail"])
            verdicts.insert(json["verdict"]?.text ?? "")
            kinds.formUnion(json.all("kind"))
        }
        #expect(verdicts.isSuperset(of: ["delivered", "rejected", "dropped", "unreachable"]))
        let wanted: Set<String> = [
            "translated", "routed", "waitsForNeighbor", "scheduled", "encapsulated", "decapsulated", "bridged", "hook",
            "rule",
            "delivered", "dropped",
        ]
        #expect(kinds.isSuperset(of: wanted), "\(wanted.subtracting(kinds))")
    }

    @Test(arguments: [
        (#"{"kind": "a"}"#, 0), (#"{"kind": "b"}"#, 1), (#"{}"#, 1), (#"{"kind": "a", "more": 1}"#, 1),
        (#"{"kind": "a", "count": 1}"#, 0), (#"{"kind": "a", "count": 0}"#, 1), (#"{"kind": "a", "count": 1.5}"#, 1),
        (#"{"kind": "a", "count": true}"#, 1), (#"{"kind": "a", "list": ["x", "y"]}"#, 0),
        (#"{"kind": "a", "list": ["x", "9", 3]}"#, 2), (#"[]"#, 1),
    ])
    func `the checker finds what is wrong`(_ document: String, _ count: Int) throws {
        let schema = try JSONSchema(
            """
            {"type": "object", "additionalProperties": false, "required": ["kind"], "properties": {
              "kind": {"const": "a"}, "count": {"type": "integer", "minimum": 1, "maximum": 5},
              "list": {"type": "array", "items": {"$ref": "#/$defs/word"}}},
             "$defs": {"word": {"type": "string", "pattern": "^[a-z]+$"}}}
            """)
        #expect(schema.errors(in: try JSON(document)).count == count)
        let unknown = try JSONSchema(#"{"multipleOf": 2}"#)
        #expect(unknown.errors(in: .number(2)) == ["$: the checker does not know the keyword multipleOf"])
    }
}
