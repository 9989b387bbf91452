// The topologies shipped with podnet: each says what it shows and how to see it, and is accepted without a remark.

import Kubernetes
import Testing

@testable import Manifests

@Suite struct TopologyTests {
    /// `topologies/` beside Sources and Tests.
    static let folder: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(3)
        return parts.joined(separator: "/") + "/topologies"
    }()

    static func files() throws(ManifestError) -> [InputFile] { try InputFile.files(named: [folder]) }

    @Test func `every topology begins by saying what it shows and what to run`() throws {
        for file in try Self.files() {
            let name = try #require(file.name.split(separator: "/").last)
            let source = try file.read(standardInput: -1, limits: ManifestLimits())
            var line = 1
            #expect(source.line(line).hasPrefix("# What it shows: "), "\(name)")
            while source.line(line).hasPrefix("# "), !source.line(line).hasPrefix("# Try: ") { line += 1 }
            #expect(source.line(line).hasPrefix("# Try: "), "\(name)")
            while source.line(line).hasPrefix("# Try: ") {
                #expect(source.line(line).hasPrefix("# Try: podnet "), "\(name)")
                #expect(source.line(line).hasSuffix(" -f topologies/\(name)"), "\(name)")
                line += 1
            }
        }
    }

    @Test func `every topology is accepted without a warning`() throws {
        let files = try Self.files()
        #expect(files.count >= 13)
        for file in files {
            let loaded = try LoadedManifests.load(paths: [file.name])
            #expect(loaded.warnings.isEmpty, "\(file.name)")
            var objects = loaded.objects
            let warnings = try ControlPlane.realiseObjects(&objects, seed: 1)
            #expect(warnings.map { loaded.locate($0).description } == [], "\(file.name)")
            #expect(objects.nodes.map(\.name) == ["control-plane", "worker-1", "worker-2"], "\(file.name)")
        }
    }
}
