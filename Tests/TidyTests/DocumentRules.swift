// Rules that hold documents to what lies beside them: links lead somewhere, commands exist, dependencies and targets
// are written down, and every topology and capture is explained, mentioned and run.

import Foundation

enum DocumentRules {
    /// Links to files and to headings, outside code. What begins with a scheme is left alone: nothing here goes online.
    static func links(_ file: Repository.TextFile, exists: (String) -> Bool, text: (String) -> String?) -> [Finding] {
        var findings: [Finding] = []
        for (index, line) in withoutCode(file.text).enumerated() {
            for match in line.matches(of: /\]\(([^)\s]+)(?:\s+"[^"]*")?\)/) {
                let link = String(match.1)
                guard link.firstMatch(of: /^[a-z][a-z0-9+.-]*:/) == nil else { continue }
                let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
                let target = parts[0].isEmpty ? file.path : resolve(String(parts[0]), from: file.path)
                guard exists(target) else {
                    findings.append(Finding(file.path, line: index + 1, "links to \(link), which is not there"))
                    continue
                }
                guard parts.count == 2, target.hasSuffix(".md"), let text = text(target) else { continue }
                if !anchors(of: text).contains(String(parts[1])) {
                    findings.append(Finding(file.path, line: index + 1, "links to \(link), but has no such heading"))
                }
            }
        }
        return findings
    }

    /// `../README.md` seen from `docs/a.md` is `README.md`.
    static func resolve(_ link: String, from path: String) -> String {
        var parts = path.split(separator: "/").dropLast().map(String.init)
        for part in link.split(separator: "/") {
            switch part {
            case ".": continue
            case "..": _ = parts.popLast()
            default: parts.append(String(part))
            }
        }
        return parts.joined(separator: "/")
    }

    /// Headings as links name them: lower case, spaces as hyphens, other marks dropped.
    static func anchors(of text: String) -> Set<String> {
        var anchors: Set<String> = []
        for line in withoutFences(text) {
            guard let match = line.wholeMatch(of: /#{1,6}\s+(.*?)\s*#*/) else { continue }
            let kept = match.1.lowercased().filter { $0.isLetter || $0.isNumber || " -_".contains($0) }
            anchors.insert(kept.replacing(" ", with: "-"))
        }
        return anchors
    }

    /// The lines, those inside fenced blocks emptied.
    static func withoutFences(_ text: String) -> [String] {
        var inFence = false
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            if line.trimmingPrefix(while: \.isWhitespace).hasPrefix("```") {
                inFence.toggle()
                return ""
            }
            return inFence ? "" : String(line)
        }
    }

    private static func withoutCode(_ text: String) -> [String] {
        withoutFences(text).map { $0.replacing(/`[^`]*`/, with: "") }
    }

    /// Every `make TARGET` a document names is a target.
    static func makeTargets(_ file: Repository.TextFile, makefile: String) -> [Finding] {
        let targets = Set(makefile.matches(of: /(?m)^([a-z][a-z-]*):/).map { String($0.1) })
        var findings: [Finding] = []
        for (index, line) in file.lines.enumerated() {
            for match in line.matches(of: /(?:`|^\s*(?:\$ )?)make ([a-z][a-z-]*)/)
            where !targets.contains(String(match.1)) {
                findings.append(Finding(file.path, line: index + 1, "'make \(match.1)' is no target of the Makefile"))
            }
        }
        return findings
    }

    /// Every dependency has an exact version, and a row with it in a table of README.md.
    static func dependencies(_ manifest: PackageManifest, readme: String) -> [Finding] {
        let rows = withoutFences(readme).filter { $0.hasPrefix("|") }
        var findings: [Finding] = []
        for package in manifest.packages {
            guard let version = package.version else {
                findings.append(Finding("Package.swift", "\(package.name) has no exact version"))
                continue
            }
            if !rows.contains(where: { $0.contains(package.name) && $0.contains(version) }) {
                findings.append(Finding("README.md", "no table row names \(package.name) with its version \(version)"))
            }
        }
        for library in manifest.systemLibraries where !rows.contains(where: { $0.contains(library) }) {
            findings.append(Finding("README.md", "no table row names the system library \(library)"))
        }
        return findings
    }

    /// The page that explains the layers names every target.
    static func architecture(_ manifest: PackageManifest, document: String) -> [Finding] {
        manifest.imports.keys.sorted().filter { !$0.hasSuffix("Tests") && !document.contains("`\($0)`") }
            .map { Finding("docs/ARCHITECTURE.md", "does not name the target `\($0)`") }
    }

    /// A topology opens with a comment that says what it shows, is mentioned in a document, and is run by a test: a
    /// test's source or a folder's golden names it.
    static func topology(_ file: Repository.TextFile, documents: [String], tests: [Repository.TextFile]) -> [Finding] {
        var findings: [Finding] = []
        let opening = file.lines.first.map { $0.trimmingPrefix("#") } ?? ""
        if !file.text.hasPrefix("#") || opening.split(separator: " ").count < 3 {
            findings.append(Finding(file.path, line: 1, "does not open with a comment that says what it shows"))
        }
        let stem = file.name.replacing(".yaml", with: "")
        if !documents.contains(where: { $0.contains(stem) }) {
            findings.append(Finding(file.path, "is mentioned in no document"))
        }
        let isRun = tests.contains { test in
            test.name.hasPrefix(stem + ".") || test.text.contains("\"\(stem)\"") || test.text.contains("\(stem).yaml")
        }
        if !isRun {
            findings.append(Finding(file.path, "is run by no test: none names it, and no golden is named after it"))
        }
        return findings
    }

    /// A capture that is kept says which command made it.
    static func capture(_ path: String, readme: String) -> [Finding] {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return readme.contains(name)
            ? [] : [Finding(path, "is not named in captures/README.md with the command that made it")]
    }
}
