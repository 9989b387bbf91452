// The layers: which target may import which module. Package.swift is the table; this file reads it as text, and then
// the import lines of every file. The compiler's own check (scripts/check-layers) covers siblings in the product;
// these rules add the test targets, the C libraries, Foundation and every other module from outside.

import Foundation

/// What Package.swift lists: target by target, the modules it may import.
struct PackageManifest {
    var imports: [String: [String]] = [:]
    /// Source packages: name, and version when it is an exact one.
    var packages: [(name: String, version: String?)] = []
    /// System libraries by the name pkg-config knows them by.
    var systemLibraries: [String] = []

    init(_ text: String) {
        let text = SwiftText.withoutComments(text).joined(separator: "\n")
        for match in text.matches(of: /\blayer\(\s*"(\w+)"(?:,\s*imports:\s*\[([^\]]*)\])?/) {
            imports[String(match.1)] = Self.names(in: match.2 ?? "")
        }
        for match in text.matches(of: /\btests\(\s*for:\s*"(\w+)"(?:,\s*imports:\s*\[([^\]]*)\])?/) {
            imports["\(match.1)Tests"] = Self.names(in: match.2 ?? "")
        }
        let written =
            /\.(?:target|executableTarget|testTarget)\(\s*name:\s*"(\w+)"(?:,\s*dependencies:\s*\[([^\]]*)\])?/
        for match in text.matches(of: written) {
            imports[String(match.1)] = Self.names(in: match.2 ?? "")
        }
        for match in text.matches(of: /\.package\(\s*url:\s*"([^"]+)"\s*,([^)]*)\)/) {
            let name = match.1.split(separator: "/").last.map(String.init) ?? String(match.1)
            let version = match.2.firstMatch(of: /exact:\s*"([^"]+)"/).map { String($0.1) }
            packages.append((name: name.replacing(".git", with: ""), version: version))
        }
        for match in text.matches(of: /pkgConfig:\s*"([^"]+)"/) {
            systemLibraries.append(String(match.1))
        }
    }

    /// Target names in quotes; a product counts as its first name: `.product(name: "A", package: "b")` is A.
    private static func names(in list: Substring) -> [String] {
        list.replacing(/package:\s*"[^"]*"/, with: "").matches(of: /"([^"]+)"/).map { String($0.1) }
    }
}

enum LayerRules {
    /// Modules of the platform that any target may import.
    static let platform: Set<String> = ["Swift", "Glibc", "Musl", "Darwin", "Synchronization"]

    /// Modules that stay in one place, with the only target of the product that may import each.
    static let onlyIn: [(module: String, target: String)] = [
        ("Clibpcap", "Capture"), ("Clibyaml", "Manifests"), ("Clinux", "Lab"), ("ArgumentParser", "podnet"),
    ]

    static let foundation: Set<String> = ["Foundation", "FoundationEssentials", "Dispatch"]
    static let mayImportFoundation: Set<String> = ["Manifests", "Rendering", "podnet"]

    static func imports(of file: Repository.TextFile, in target: String, _ manifest: PackageManifest) -> [Finding] {
        guard let listed = manifest.imports[target] else {
            return [Finding(file.path, "belongs to no target of Package.swift that could be read there")]
        }
        let isTest = target.hasSuffix("Tests")
        var findings: [Finding] = []
        for (index, line) in file.lines.enumerated() {
            guard let module = importedModule(line) else { continue }
            var objection: String?
            if let place = onlyIn.first(where: { $0.module == module }), !isTest, place.target != target {
                objection = "only \(place.target) may"
            } else if foundation.contains(module), !isTest {
                objection = mayImportFoundation.contains(target) ? nil : "the layers below Manifests do without"
            } else if !(listed.contains(module) || platform.contains(module) || module == target) {
                let isTool = isTest && (module == "Testing" || foundation.contains(module))
                objection = isTool ? nil : "Package.swift does not list it"
            }
            if let objection {
                findings.append(Finding(file.path, line: index + 1, "\(target) imports \(module): \(objection)"))
            }
        }
        return findings
    }

    /// `@testable public import struct Wire.UDPHeader` → Wire.
    static func importedModule(_ line: Substring) -> String? {
        // A line is looked at closely only when it begins as such a declaration may: with @, i, p or f.
        guard let first = line.utf8.first(where: { $0 != UInt8(ascii: " ") }), "@ipf".utf8.contains(first),
            line.contains("import ")
        else { return nil }
        let pattern =
            #/
            ^\s* (?: @\w+ (?: \([^)]*\) )? \s+ )*
            (?: (?:public|package|internal|fileprivate|private) \s+ )?
            import \s+
            (?: (?:struct|class|enum|protocol|typealias|func|let|var) \s+ )?
            (\w+)
            /#
        return line.firstMatch(of: pattern).map { String($0.1) }
    }

    /// `Sources/Wire/UDPHeader.swift` → Wire; `nil` for a file that belongs to no target.
    static func target(ofPath path: String) -> String? {
        let parts = path.split(separator: "/")
        guard parts.count > 2, parts[0] == "Sources" || parts[0] == "Tests" else { return nil }
        return String(parts[1])
    }
}
