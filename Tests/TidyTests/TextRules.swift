// Rules for every text file, whatever its language: nothing in it belongs to one machine or to one mirror, and a script
// can be run as it lies there.

import Foundation

enum TextRules {
    /// Folders of one person's or one server's machine. Spelled in two pieces, or this file would be a finding.
    static let machinePaths = ["work", "root", "home", "Users"].map { "/" + $0 + "/" }

    /// Hosts of package registries: which mirror a machine uses is set up on the machine, not here.
    static let registryHosts = [
        ["deb", "debian", "org"], ["archive", "ubuntu", "com"], ["pypi", "org"], ["pythonhosted", "org"],
        ["registry", "npmjs", "org"], ["crates", "io"], ["rubygems", "org"], ["proxy", "golang", "org"],
        ["repo", "maven", "apache", "org"], ["ghcr", "io"],
    ].map { $0.joined(separator: ".") }

    /// Only as the start of a path: a `home` in the middle of one is any folder.
    static func machinePaths(_ file: Repository.TextFile) -> [Finding] {
        find(machinePaths, in: file, "is a folder of one machine") { before in
            !(before.isLetter || before.isNumber || before == "." || before == "-" || before == "_" || before == "~")
        }
    }

    static func registryHosts(_ file: Repository.TextFile) -> [Finding] {
        find(registryHosts, in: file, "is the host of a package registry") { before in
            !(before.isLetter || before.isNumber || before == "-")
        }
    }

    private static func find(
        _ words: [String], in file: Repository.TextFile, _ message: String, mayFollow: (Character) -> Bool
    ) -> [Finding] {
        let present = words.filter(file.mentions)
        guard !present.isEmpty else { return [] }
        var findings: [Finding] = []
        for (index, line) in file.lines.enumerated() {
            for word in present {
                for range in line.ranges(of: word) {
                    let before = range.lowerBound == line.startIndex ? " " : line[line.index(before: range.lowerBound)]
                    guard mayFollow(before) else { continue }
                    findings.append(Finding(file.path, line: index + 1, "'\(word)' \(message)"))
                }
            }
        }
        return findings
    }

    /// A script says what runs it, and may be run.
    static func script(_ file: Repository.TextFile, isExecutable: Bool) -> [Finding] {
        var findings: [Finding] = []
        if !file.text.hasPrefix("#!") { findings.append(Finding(file.path, line: 1, "does not begin with '#!'")) }
        if !isExecutable { findings.append(Finding(file.path, "is not executable")) }
        return findings
    }
}
