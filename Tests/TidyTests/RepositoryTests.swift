// The tidy rules applied to this repository.
// What each rule objects to, and that it objects at all, is in RuleTests.

import Foundation
import Testing

@Suite struct RepositoryTests {
    let repository = Repository.here

    /// One message for all findings: the list is what one wants to work through.
    private func expectNone(_ findings: [Finding], sourceLocation: SourceLocation = #_sourceLocation) {
        let list = findings.map(\.description).joined(separator: "\n  ")
        #expect(findings.isEmpty, "\n  \(list)", sourceLocation: sourceLocation)
    }

    private var manifest: PackageManifest {
        PackageManifest(repository.textFile("Package.swift")?.text ?? "")
    }

    @Test func `the walk finds the repository`() {
        #expect(repository.contains("Package.swift"))
        #expect(repository.swiftFiles.count > 100)
        #expect(repository.paths.contains("Tests/TidyTests/Repository.swift"))
        #expect(!repository.paths.contains { $0.hasPrefix(".build") || $0.hasPrefix(".git/") })
    }

    @Test func `every Swift file opens with a header`() {
        expectNone(repository.swiftFiles.flatMap(SourceRules.header))
    }

    @Test func `Swift files keep to 500 lines of 120 columns`() {
        expectNone(repository.swiftFiles.flatMap(SourceRules.size))
    }

    @Test func `the product takes no time, no chance and no crash from outside`() {
        let sources = repository.textFiles(under: ["Sources/"], suffix: ".swift")
        // The lab's sockets live in real time; its clocks are in one file.
        let virtual = sources.filter { $0.path != "Sources/Lab/RealTime.swift" }
        expectNone(virtual.flatMap { SourceRules.bannedCalls($0, SourceRules.bannedInSources) })
    }

    @Test func `tests neither wait nor throw dice`() {
        let tests = repository.textFiles(under: ["Tests/"], suffix: ".swift")
            .filter { !$0.path.hasPrefix("Tests/TidyTests/") }
        expectNone(tests.flatMap { SourceRules.bannedCalls($0, SourceRules.bannedInTests) })
    }

    @Test func `names say what a thing does`() {
        expectNone(repository.swiftFiles.flatMap(SourceRules.emptyNames))
    }

    @Test func `nothing names a folder of one machine or the host of a registry`() {
        let files = repository.textFiles()
        expectNone(files.flatMap(TextRules.machinePaths))
        expectNone(files.flatMap(TextRules.registryHosts))
    }

    @Test func `scripts can be run`() {
        let scripts = repository.textFiles(under: ["scripts/", ".ci/"])
        #expect(scripts.count >= 3)
        expectNone(
            scripts.flatMap { script in
                let path = repository.root.appending(path: script.path).path
                return TextRules.script(script, isExecutable: FileManager.default.isExecutableFile(atPath: path))
            })
    }

    @Test func `every import is one that Package.swift lists for the target`() {
        let manifest = manifest
        #expect(manifest.imports.count > 15, "the targets of Package.swift could not be read")
        expectNone(
            repository.swiftFiles.flatMap { file in
                LayerRules.target(ofPath: file.path).map { LayerRules.imports(of: file, in: $0, manifest) } ?? []
            })
    }

    @Test func `links in documents lead somewhere`() {
        expectNone(
            repository.markdownFiles.flatMap { file in
                DocumentRules.links(file, exists: repository.contains) { repository.textFile($0)?.text }
            })
    }

    @Test func `documents name commands that exist`() {
        let makefile = repository.textFile("Makefile")?.text ?? ""
        expectNone(repository.markdownFiles.flatMap { DocumentRules.makeTargets($0, makefile: makefile) })
    }

    @Test func `the README lists every dependency with its version`() {
        expectNone(DocumentRules.dependencies(manifest, readme: repository.textFile("README.md")?.text ?? ""))
    }

    @Test func `the page on the architecture names every target`() {
        let document = repository.textFile("docs/ARCHITECTURE.md")?.text ?? ""
        expectNone(DocumentRules.architecture(manifest, document: document))
    }

    @Test func `every topology is explained, mentioned and run`() {
        let topologies = repository.textFiles(under: ["topologies/"], suffix: ".yaml")
        #expect(!topologies.isEmpty, "there are no topologies")
        let documents = repository.markdownFiles.map(\.text)
        let tests = repository.textFiles(under: ["Tests/"]).filter { !$0.path.hasPrefix("Tests/TidyTests/") }
        expectNone(topologies.flatMap { DocumentRules.topology($0, documents: documents, tests: tests) })
    }

    @Test func `every capture that is kept says how it was made`() {
        let captures = repository.paths.filter { $0.hasPrefix("captures/") && $0.contains(".pcap") }
        let readme = repository.textFile("captures/README.md")?.text ?? ""
        expectNone(captures.flatMap { DocumentRules.capture($0, readme: readme) })
    }
}
