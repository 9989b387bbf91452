// What a link saw, one line a frame, and what became of a flow: enough to tell a fault's symptom frame by frame.

import Addressing
import Foundation
import Manifests
import Netstack

@testable import Simulation

extension Lab {
    /// The cluster of a file in `topologies/`, with more objects behind it.
    init(topology: String, more: String = "", seed: UInt64 = 1) throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../topologies/\(topology).yaml")
        try self.init(String(contentsOf: file, encoding: .utf8) + more, seed: seed)
    }

    /// The frames of a link in order: milliseconds since the beginning, direction, kind, addresses. Neighbors are asked
    /// and answered without a line, unless they are asked for.
    func story(on place: String, neighbors: Bool = false) -> [String] {
        simulator.context.recording.events.compactMap { event in
            guard case .frame(let link, let direction, let headers, _) = event.kind else { return nil }
            let namespace = simulator.built(event.namespace)
            guard "\(namespace.name)/\(namespace.links[link.index].name)" == place else { return nil }
            if headers.findsNeighbors, !neighbors { return nil }
            let time = event.time / 1_000_000
            let way = direction == .ingress ? "in" : "out"
            return "\(time) \(way) \(kind(of: headers)) \(headers.source) > \(headers.destination)"
        }
    }

    private func kind(of headers: HeaderSummary) -> String {
        if headers.isARP { return headers.detail == 1 ? "who-has" : "is-at" }
        switch headers.protocol {
        case .tcp:
            let flags: [(UInt8, String)] = [(2, "S"), (1, "F"), (4, "R"), (8, "P"), (16, ".")]
            return "[" + flags.filter { headers.detail & $0.0 != 0 }.map(\.1).joined() + "]"
        case .icmp: return "icmp \(headers.detail)/\(headers.code)"
        default: return "\(headers.protocol)"
        }
    }

    /// How often each fault did what.
    func faultActions() -> [String] {
        simulator.context.recording.events.compactMap { event in
            guard case .fault(let number, let action) = event.kind else { return nil }
            return "\(simulator.faultName(number)) \(action)"
        }
    }
}
