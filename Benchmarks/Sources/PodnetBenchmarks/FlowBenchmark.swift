// Interface crossings a second for HTTP flows from a pod by a ClusterIP to a pod on another node, over VXLAN.
// A crossing is one frame seen at one interface, in or out: what one line of a capture is. Setting up the cluster and
// the first flow, which asks by ARP and builds the namespaces, are not counted.

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
    let flows: Int
    /// How many frames each flow shows on all interfaces together.
    let crossingsPerFlow: Double

    init(topology: String, flows: Int) throws {
        cluster = try Cluster(realising: try LoadedManifests.load(paths: [topology]).objects)
        self.flows = flows
        var (simulator, request) = try Self.warm(cluster)
        simulator.recordFrames()
        let few = 20
        for _ in 0..<few {
            guard simulator.run(request).outcome == .answered else { throw BenchmarkError("the flow gets no answer") }
        }
        crossingsPerFlow = Double(try CaptureExport(simulator, CaptureSelection()).packets.count) / Double(few)
    }

    /// Crossings for each second of processor time.
    func sample(_ recording: Recording, writingTo path: String) throws -> Double {
        var (simulator, request) = try Self.warm(cluster)
        if recording != .nothing { simulator.recordFrames() }
        let start = processorTime()
        for _ in 0..<flows {
            guard simulator.run(request).outcome == .answered else { throw BenchmarkError("the flow gets no answer") }
        }
        if recording == .captureFile { try write(simulator, to: path) }
        return Double(flows) * crossingsPerFlow / (processorTime() - start)
    }

    private func write(_ simulator: borrowing Simulator, to path: String) throws {
        let export = try CaptureExport(simulator, CaptureSelection())
        let output = try CaptureOutput(path: path)
        for interface in export.interfaces { try output.addInterface(interface) }
        output.add(export.names)
        for packet in export.packets { try output.append(packet) }
        try output.commit()
    }

    private static func warm(_ cluster: Cluster) throws -> (Simulator, FlowRequest) {
        var simulator = Simulator(cluster)
        let ends = FlowEnds(cluster.objects)
        let source = try ends.source("client")
        let destination = try ends.destination("svc/web:80", protocol: .tcp, from: source)
        guard case .pod(let key) = source, let client = simulator.namespaceID(of: .pod(key)) else {
            throw BenchmarkError("the topology has no pod 'client'")
        }
        let request = FlowRequest(from: client, to: destination.address, port: destination.port)
        _ = simulator.run(request)
        return (simulator, request)
    }
}

struct BenchmarkError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
