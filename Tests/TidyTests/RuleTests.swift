// Each tidy rule, shown to object to what it forbids and to let pass what merely looks like it.
// What would itself be a finding in this file is put together from pieces.

import Foundation
import Testing

@Suite struct SourceRuleTests {
    private func file(_ text: String, path: String = "Sources/Wire/Frame.swift") -> Repository.TextFile {
        Repository.TextFile(path: path, text: text)
    }

    @Test(arguments: ["", "import Wire\n", "// One line.\nimport Wire\n", "\n// Late.\n// Later.\n"])
    func `a file without a header is found`(text: String) {
        #expect(SourceRules.header(file(text)).count == 1)
    }

    @Test func `a test needs one line`() {
        #expect(SourceRules.header(file("// One line.\nimport Wire\n", path: "Tests/WireTests/A.swift")) == [])
        #expect(SourceRules.header(file("import Wire\n", path: "Tests/WireTests/A.swift")).count == 1)
    }

    @Test func `two lines of comment are a header`() {
        #expect(SourceRules.header(file("// What it models.\n// What is simplified.\n\nimport Wire\n")).isEmpty)
    }

    @Test func `the line and column limits are exact`() {
        let longest = String(repeating: "x\n", count: 500)
        #expect(SourceRules.size(file(longest)).isEmpty)
        #expect(SourceRules.size(file(longest + "x\n")).map(\.message) == ["has 501 lines; 500 are the limit"])
        // Columns are characters, not bytes.
        let widest = String(repeating: "→", count: 120)
        #expect(SourceRules.size(file("x\n\(widest)\n")).isEmpty)
        #expect(SourceRules.size(file("x\n\(widest)→\n")).map(\.line) == [2])
    }

    @Test func `printed text may be wide where it is expected, comments nowhere`() {
        let wide = String(repeating: "x", count: 121)
        let literal = "let a = \"\"\"\n\(wide)\n\"\"\"\n"
        #expect(SourceRules.size(file(literal)) == [])
        #expect(SourceRules.size(file(literal + wide)).map(\.line) == [4])
        for (line, inProduct, inTests) in [
            ("let a = \"\(wide)\"", 1, 0), ("// \"\(wide)\"", 1, 1), ("let \(wide) = 1", 1, 1),
        ] {
            #expect(SourceRules.size(file(line)).count == inProduct)
            #expect(SourceRules.size(file(line, path: "Tests/WireTests/A.swift")).count == inTests)
        }
    }

    @Test func `every banned call is found`() {
        for entry in SourceRules.bannedInSources {
            let findings = SourceRules.bannedCalls(
                file("let x = 1\nlet y = \(entry.call) 2)\n"), SourceRules.bannedInSources)
            #expect(findings.map(\.line).contains(2), "'\(entry.call)' went unseen")
        }
        for entry in SourceRules.bannedInTests {
            let findings = SourceRules.bannedCalls(file("let y = \(entry.call) 2)\n"), SourceRules.bannedInTests)
            #expect(findings.map(\.line) == [1], "'\(entry.call)' went unseen")
        }
    }

    @Test(
        arguments: [
            "// never try! nor fatalError( in here", "/* Date( */ let a = 1", "invalidDate(x)", "let a = b // UUID()",
            "nextUUID(from: &generator)", "generator.random(below: 3)", "runtime(nil)", "canvas! == other",
        ])
    func `what only looks like a banned call passes`(line: String) {
        #expect(SourceRules.bannedCalls(file(line + "\n"), SourceRules.bannedInSources) == [])
    }

    @Test func `a call after a string with slashes is still found`() {
        let line = "let a = \"https://example.com\"; let b = try! f() // why\n"
        #expect(SourceRules.bannedCalls(file(line), SourceRules.bannedInSources).count == 1)
    }

    @Test func `a comment over several lines ends where it ends`() {
        let text = "/* try!\n try! */ let a = 1\nlet b = try! f()\n"
        #expect(SourceRules.bannedCalls(file(text), SourceRules.bannedInSources).map(\.line) == [3])
    }

    @Test(arguments: ["StringUtils.swift", "Array+Helpers.swift", "PodManager.swift"])
    func `an empty file name is found`(name: String) {
        #expect(SourceRules.emptyNames(file("", path: "Sources/Wire/\(name)")).count == 1)
    }

    @Test(arguments: ["struct PodIP\("Manager") {", "  final class \("Helper"): X {", "package enum Net\("Utils") {"])
    func `an empty type name is found`(line: String) {
        #expect(SourceRules.emptyNames(file("import Wire\n\(line)\n")).map(\.line) == [2])
    }

    @Test(arguments: ["struct Utilization {", "// class Thing\("Helper")", "let manager = FileManager.default"])
    func `a name that only resembles one passes`(line: String) {
        #expect(SourceRules.emptyNames(file(line)) == [])
    }
}

@Suite struct TextRuleTests {
    private func file(_ text: String) -> Repository.TextFile {
        Repository.TextFile(path: "docs/page.md", text: text)
    }

    @Test func `folders of one machine are found`() {
        for folder in TextRules.machinePaths {
            #expect(TextRules.machinePaths(file("see\n\(folder)someone/file\n")).map(\.line) == [2])
            #expect(TextRules.machinePaths(file("'\(folder)x' and \"\(folder)y\"")).count == 2)
            #expect(TextRules.machinePaths(file("docs\(folder)page and ..\(folder)page")) == [])
        }
    }

    @Test func `hosts of registries are found`() {
        for host in TextRules.registryHosts {
            #expect(TextRules.registryHosts(file("https://\(host)/x")).count == 1)
            #expect(TextRules.registryHosts(file("my\(host)")) == [])
        }
    }

    @Test func `a script needs its first line and its mode`() {
        #expect(TextRules.script(file("#!/bin/sh\n"), isExecutable: true) == [])
        #expect(TextRules.script(file("echo\n"), isExecutable: true).count == 1)
        #expect(TextRules.script(file("#!/bin/sh\n"), isExecutable: false).count == 1)
    }
}

@Suite struct LayerRuleTests {
    static let manifest = PackageManifest(
        """
        dependencies: [
            .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
            .package(url: "https://github.com/someone/loose.git", from: "1.0.0"),
            // .package(url: "https://github.com/someone/commented", exact: "1.0.0"),
        ],
        targets: [
            .systemLibrary(name: "Clibpcap", pkgConfig: "libpcap", providers: [.apt(["libpcap-dev"])]),
            layer("Addressing"),
            layer("Capture", imports: ["Clibpcap"]),
            layer("Wire", imports: ["Addressing"]),
            layer(
                "Rendering",
                imports: ["Addressing", "Capture",
                    "Wire"]),
            .executableTarget(
                name: "podnet",
                dependencies: ["Rendering", .product(name: "ArgumentParser", package: "swift-argument-parser")]),
            tests(for: "Wire", imports: ["Addressing", "Wire"]),
        ]
        """)

    @Test func `the manifest's targets, packages and libraries are read`() {
        let manifest = Self.manifest
        #expect(manifest.imports["Addressing"] == [])
        #expect(manifest.imports["Capture"] == ["Clibpcap"])
        #expect(manifest.imports["Rendering"] == ["Addressing", "Capture", "Wire"])
        #expect(manifest.imports["podnet"] == ["Rendering", "ArgumentParser"])
        #expect(manifest.imports["WireTests"] == ["Addressing", "Wire"])
        #expect(manifest.imports.count == 6)
        #expect(manifest.packages.map(\.name) == ["swift-argument-parser", "loose"])
        #expect(manifest.packages.map(\.version) == ["1.8.2", nil])
        #expect(manifest.systemLibraries == ["libpcap"])
    }

    struct Row: CustomTestStringConvertible {
        let target: String
        let line: String
        let passes: Bool
        var testDescription: String { "\(target): \(line)" }
    }

    static let rows = [
        Row(target: "Wire", line: "public import Addressing", passes: true),
        Row(target: "Wire", line: "    import Glibc", passes: true),
        Row(target: "Wire", line: "import Capture", passes: false),
        Row(target: "Wire", line: "@_exported public import Capture", passes: false),
        Row(target: "Wire", line: "internal import struct Capture.PcapWriter", passes: false),
        Row(target: "Wire", line: "// import Capture", passes: true),
        Row(target: "Wire", line: "let importCapture = 1", passes: true),
        Row(target: "Wire", line: "import Foundation", passes: false),
        Row(target: "Wire", line: "import FoundationEssentials", passes: false),
        Row(target: "Wire", line: "import Testing", passes: false),
        Row(target: "Rendering", line: "import Foundation", passes: true),
        Row(target: "Rendering", line: "import Clibpcap", passes: false),
        Row(target: "Rendering", line: "import ArgumentParser", passes: false),
        Row(target: "Capture", line: "import Clibpcap", passes: true),
        Row(target: "podnet", line: "import ArgumentParser", passes: true),
        Row(target: "podnet", line: "import Wire", passes: false),
        Row(target: "WireTests", line: "@testable import Wire", passes: true),
        Row(target: "WireTests", line: "import Testing", passes: true),
        Row(target: "WireTests", line: "import Foundation", passes: true),
        Row(target: "WireTests", line: "import Capture", passes: false),
        Row(target: "Unlisted", line: "import Swift", passes: false),
    ]

    @Test(arguments: rows)
    func `an import passes or not`(row: Row) {
        let file = Repository.TextFile(path: "Sources/X/Y.swift", text: row.line)
        #expect(LayerRules.imports(of: file, in: row.target, Self.manifest).isEmpty == row.passes)
    }

    @Test func `a path tells its target`() {
        #expect(LayerRules.target(ofPath: "Sources/Wire/DNS/Name.swift") == "Wire")
        #expect(LayerRules.target(ofPath: "Tests/WireTests/A.swift") == "WireTests")
        #expect(LayerRules.target(ofPath: "Package.swift") == nil)
        #expect(LayerRules.target(ofPath: "Benchmarks/Sources/A.swift") == nil)
    }
}

@Suite struct DocumentRuleTests {
    private func links(_ text: String) -> [Finding] {
        let files = [
            "docs/page.md": text, "docs/other.md": "# The Way\n## It's `cni0`, here\n", "README.md": "# podnet\n",
        ]
        return DocumentRules.links(
            Repository.TextFile(path: "docs/page.md", text: text), exists: { files[$0] != nil || $0 == "docs" },
            text: { files[$0] })
    }

    @Test(
        arguments: [
            "[a](other.md)", "[a](./other.md#the-way)", "[a](../README.md)", "[a](../docs)",
            "[a](https://example.com/x)",
            "[a](other.md#its-cni0-here)", "`[a](missing.md)`", "```\n[a](missing.md)\n```", "# Here\n[a](#here)",
            "[a](other.md \"a title\")",
        ])
    func `a good link passes`(text: String) {
        #expect(links(text) == [])
    }

    @Test(
        arguments: [
            "[a](missing.md)", "[a](../other.md)", "[a](other.md#no-way)", "[a](#nowhere)", "![p](picture.png)",
            "```\nx\n```\n[a](missing.md)", "`code` then [a](missing.md)",
        ])
    func `a dead link is found`(text: String) {
        #expect(links(text).count == 1)
    }

    @Test func `a command that does not exist is found`() {
        let makefile = "help: ## x\n\ttrue\nclean-all:\n"
        let good = Repository.TextFile(path: "a.md", text: "`make help`, `make clean-all` and make sense\n")
        #expect(DocumentRules.makeTargets(good, makefile: makefile) == [])
        let bad = Repository.TextFile(path: "a.md", text: "`make tea`\n    make coffee\n$ make cake\n")
        #expect(DocumentRules.makeTargets(bad, makefile: makefile).map(\.line) == [1, 2, 3])
    }

    @Test func `a dependency without a row, a version or an exact version is found`() {
        let manifest = LayerRuleTests.manifest
        let full = "| Package | Version |\n| swift-argument-parser | 1.8.2 |\n| libpcap | any |\n"
        #expect(DocumentRules.dependencies(manifest, readme: full).map(\.message) == ["loose has no exact version"])
        let old = full.replacing("1.8.2", with: "1.8.1")
        #expect(DocumentRules.dependencies(manifest, readme: old).count == 2)
        #expect(DocumentRules.dependencies(manifest, readme: "swift-argument-parser 1.8.2 and libpcap").count == 3)
    }

    @Test func `a target that the architecture page leaves out is found`() {
        let document = "`Addressing` `Capture` `Wire` `Rendering`"
        let findings = DocumentRules.architecture(LayerRuleTests.manifest, document: document)
        #expect(findings.map(\.message) == ["does not name the target `podnet`"])
    }

    @Test func `a topology without comment, mention or test is found`() {
        let test = Repository.TextFile(path: "Tests/ATests/A.swift", text: "trace(\"hairpin\")")
        let golden = Repository.TextFile(path: "Tests/ATests/Goldens/hairpin.trace", text: "")
        let good = Repository.TextFile(path: "topologies/hairpin.yaml", text: "# A pod that calls itself\nkind: Pod\n")
        #expect(DocumentRules.topology(good, documents: ["see hairpin"], tests: [test]) == [])
        #expect(DocumentRules.topology(good, documents: ["see hairpin"], tests: [golden]) == [])
        #expect(DocumentRules.topology(good, documents: ["see"], tests: [test]).count == 1)
        #expect(DocumentRules.topology(good, documents: ["see hairpin"], tests: []).count == 1)
        for text in ["kind: Pod\n", "#\nkind: Pod\n", "---\n# A pod that calls itself\n"] {
            let bad = Repository.TextFile(path: "topologies/hairpin.yaml", text: text)
            #expect(DocumentRules.topology(bad, documents: ["see hairpin"], tests: [test]).map(\.line) == [1])
        }
    }

    @Test func `a capture that nothing explains is found`() {
        #expect(DocumentRules.capture("captures/a.pcapng", readme: "`podnet capture … -w captures/a.pcapng`") == [])
        #expect(DocumentRules.capture("captures/a.pcapng", readme: "").count == 1)
    }
}
