// The same cluster and seed give the same octets, events and ends, in every run; another seed changes what chance
// decides, and nothing else.

import Addressing
import Netstack
import Testing

@testable import Simulation

@Suite struct DeterminismTests {
    /// Everything a run leaves behind, as text and octets.
    struct Traces: Equatable {
        var octets: [UInt8] = []
        var frames: [String] = []
        var events: [String] = []
        var traces: [String] = []
    }

    private func traces(seed: UInt64) throws -> Traces {
        var lab = try Lab(LabManifest.plain, seed: seed)
        var result = Traces()
        for (source, destination) in [
            ("a1", "svc/on-b1:80"), ("a1", "svc/on-a1:80"), ("host/client", "node/n3:30080"), ("a2", "svc/nobody:80"),
        ] {
            let trace = try lab.trace(source, destination)
            result.traces.append("\(trace.report.outcome as Any) \(trace.packets) \(trace.request as Any)")
        }
        let recording = lab.simulator.context.recording
        result.octets = recording.octets
        result.frames = recording.frames.map { "\($0.time) \($0.namespace) \($0.link) \($0.direction) \($0.packet)" }
        result.events = recording.events.map { "\($0.time) \($0.namespace) \($0.packet) \($0.kind)" }
        return result
    }

    @Test func `the same seed twice gives the same octets, events and traces`() throws {
        let first = try traces(seed: 7)
        let second = try traces(seed: 7)
        #expect(first.octets == second.octets)
        #expect(first.frames == second.frames)
        #expect(first.events == second.events)
        #expect(first.traces == second.traces)
        #expect(first.octets.count > 10_000)
    }

    @Test func `another seed changes the octets, but not the places packets pass`() throws {
        let first = try traces(seed: 1)
        let second = try traces(seed: 2)
        #expect(first.octets != second.octets)
        // Packet, place and direction are no matter of chance here: every Service has one endpoint.
        #expect(first.frames == second.frames)
        #expect(first.octets.count == second.octets.count)
    }

    @Test func `watching a run does not change it`() throws {
        var watched = try Lab(LabManifest.plain)
        let loud = try watched.trace("a1", "svc/on-b1:80")
        var quiet = Simulator(watched.simulator.cluster)
        let request = try watched.request("a1", "svc/on-b1:80")
        let silent = quiet.run(request)
        #expect(silent.outcome == loud.report.outcome && silent.local == loud.report.local)
        #expect(silent.finished - silent.started == loud.report.finished - loud.report.started)
        #expect(silent.response == loud.report.response)
        #expect(quiet.context.recording.events.isEmpty && quiet.context.recording.octets.isEmpty)
    }

    // MARK: the choice of endpoints

    private static func replicas(_ count: Int) -> String {
        LabManifest.nodes
            + LabManifest.pod("client", "n1", "10.244.0.2", app: "client")
            + (0..<count).map {
                LabManifest.pod("web-\($0)", "n\($0 % 3 + 1)", "10.244.\($0 % 3).\(10 + $0)", app: "web")
            }.joined()
            + LabManifest.service("web", "10.96.0.10", selects: "app: web")
    }

    @Test func `endpoints are chosen evenly, and a connection stays with its own`() throws {
        let replicas = 5
        let asked = 300
        var lab = try Lab(Self.replicas(replicas), seed: 11)
        var counts: [String: Int] = [:]
        for _ in 0..<asked {
            let report = lab.simulator.run(try lab.request("client", "svc/web:80"))
            #expect(report.outcome == .answered)
            let name = String(decoding: HTTP.body(report.response), as: UTF8.self)
            counts[name, default: 0] += 1
        }
        #expect(counts.count == replicas)
        // Pearson's statistic with 4 degrees of freedom exceeds 18.5 once in a thousand draws.
        let expected = Double(asked) / Double(replicas)
        let statistic = counts.values.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
        #expect(statistic < 18.5, "seed 11: \(counts.sorted { $0.key < $1.key })")
    }

    @Test func `over seeds the first choice is even, too`() throws {
        let seeds: ClosedRange<UInt64> = 1...60
        var counts: [String: Int] = [:]
        for seed in seeds {
            var lab = try Lab(Self.replicas(3), seed: seed)
            let trace = try lab.trace("client", "svc/web:80")
            counts[trace.responseBody, default: 0] += 1
        }
        #expect(counts.count == 3)
        // Two degrees of freedom: 13.8 once in a thousand.
        let statistic = counts.values.reduce(0) { $0 + (Double($1) - 20) * (Double($1) - 20) / 20 }
        #expect(statistic < 13.8, "seeds \(seeds): \(counts.sorted { $0.key < $1.key })")
    }
}
