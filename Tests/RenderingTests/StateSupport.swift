// Clusters and recorded outputs for the tests of what `podnet get`, `ip`, `bridge` and `rules` print.

import Addressing
import Foundation
import Manifests
import Netstack
import Rendering
import Simulation
import Testing

/// The cluster a manifest describes.
func cluster(_ manifest: String, seed: UInt64 = 1) throws -> Cluster {
    try Cluster(realising: try LoadedManifests.load(text: manifest, name: "test.yaml").objects, seed: seed)
}

/// What `podnet get` answers.
func answer(
    _ words: String, in cluster: Cluster, namespace: String? = "default", format: ObjectListing.Format = .table
) throws -> ObjectAnswer {
    let question = try ObjectQuestion(words.split(separator: " ").map(String.init))
    return try ObjectListing(cluster, namespace: namespace, format: format).answer(question)
}

/// A file beside the tests.
func testFile(_ path: String) throws -> String {
    let here = URL(filePath: #filePath).deletingLastPathComponent()
    return try String(contentsOf: here.appending(path: path), encoding: .utf8)
}

/// The recorded output of a command, without the line that names it.
func recorded(_ command: String) throws -> String {
    let parts = try testFile("Data/iproute2.txt").split(separator: "## ")
    let part = try #require(parts.first { $0.hasPrefix(command + "\n") }, "no recording of \(command)")
    return String(part.dropFirst(command.count + 1))
}

extension Simulator {
    /// The namespace of somebody the test knows is there. Macros cannot hold a simulator, so they are kept here.
    func place(of owner: NamespaceOwner) throws -> NamespaceID {
        let place = namespaceID(of: owner)
        return try #require(place)
    }

    mutating func rules(of node: String, _ family: AddressFamily = .ipv4) throws -> Ruleset {
        let ruleset = ruleset(of: node, family: family)
        return try #require(ruleset)
    }
}
