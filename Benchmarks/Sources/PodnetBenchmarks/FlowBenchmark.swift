// Interface crossings a second for HTTP flows from a pod by a ClusterIP to a pod on another node, over VXLAN.
// A crossing is one frame seen at one interface, in or out: what one line of a capture is. Setting up the cluster and
// the first flow, which asks by ARP and builds the namespaces, are not counted.

import Addressing
import Capture
import Kubernetes
import Manifests
import Netstack
import Rendering
import Simulation

/// What is kept of the packets while they move.
enum Recording: CaseIterable {
    case nothing, frames, captureFile

    var name: String {
        switch self {
        case .nothing: "no capture"
        case .frames: "every frame kept"
        case .captureFile: "kept and written as pcapng"
        }
    }
}

struct FlowBenchmark {
    let cluster: Cluster
    let request: FlowRequest
    let flows: Int
    let together: Int
    /// How many frames all flows show on all interfaces: exact, since the same seed gives the same packets each time.
    private(set) var crossings = 0

    /// Longer than Linux remembers a closed connection: 60 seconds at its socket, 120 in connection tracking.
    private static let pause: Nanoseconds = 130_000_000_000

    /// Takes `flows` flows one after the other; after each `together` of them, old connections are left to expire.
    init(topology: String, flows: Int, together: Int) throws {
        cluster = try Cluster(realising: try LoadedManifests.load(paths: [topology]).objects)
        request = try Self.request(in: cluster)
        self.flows = flows
        self.together = together
        var simulator = Simulator(cluster)
        _ = simulator.run(request)
        simulator.recordFrames()
        try work(&simulator)
        crossings = try CaptureExport(simulator, CaptureSelection()).packets.count
    }

    /// Crossings for each second of processor time.
    func sample(_ recording: Recording, writingTo path: String) throws -> Double {
        var simulator = Simulator(cluster)
        _ = simulator.run(request)
        if recording != .nothing { simulator.recordFrames() }
        let start = processorTime()
        try work(&simulator)
        if recording == .captureFile { try write(simulator, to: path) }
        return Double(crossings) / (processorTime() - start)
    }

    private func work(_ simulator: inout Simulator) throws {
        for number in 0..<flows {
            try Self.expectAnswer(simulator.run(request), number)
            if (number + 1) % together == 0 { simulator.run(until: simulator.now + Self.pause) }
        }
    }

    private func write(_ simulator: borrowing Simulator, to path: String) throws {
        let export = try CaptureExport(simulator, CaptureSelection())
        let output = try CaptureOutput(path: path)
        for interface in export.interfaces { try output.addInterface(interface) }
        output.add(export.names)
        for packet in export.packets { try output.append(packet) }
        try output.commit()
    }

    /// A flow that fails takes another path, and would spoil the figure.
    private static func expectAnswer(_ report: FlowReport, _ number: Int) throws {
        guard report.outcome != .answered else { return }
        let outcome = report.outcome.map { "\($0)" } ?? "unfinished"
        let client = report.local.map { "\($0)" } ?? "no socket"
        throw BenchmarkError(
            "flow \(number) from \(client) is not answered: \(outcome), \(report.response.count) octets")
    }

    private static func request(in cluster: Cluster) throws -> FlowRequest {
        let simulator = Simulator(cluster)
        let ends = FlowEnds(cluster.objects)
        let source = try ends.source("client")
        let destination = try ends.destination("svc/web:80", protocol: .tcp, from: source)
        guard case .pod(let key) = source, let client = simulator.namespaceID(of: .pod(key)) else {
            throw BenchmarkError("the topology has no pod 'client'")
        }
        return FlowRequest(from: client, to: destination.address, port: destination.port)
    }
}

struct BenchmarkError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
