// The reference pages are complete: every word of podnet's vocabularies is explained where it is promised, every path
// a page names exists, and the tables of targets and files say what Package.swift and the file system say.

import Foundation
import Netstack
import Simulation
import Testing

@Suite struct ReferenceTests {
    /// Words in backticks on a page, and the parts of those that are commands or lists.
    private func words(_ path: String) throws -> Set<String> {
        let words = try Page(path).codeWords
        return Set(words + words.flatMap { $0.split(whereSeparator: { " ,=/".contains($0) }).map(String.init) })
    }

    @Test func `docs/tracing.md explains every drop reason, verdict and step`() throws {
        let known = try words("docs/tracing.md")
        for reason in DropReason.allCases {
            if !known.contains(reason.rawValue) { Issue.record("docs/tracing.md does not explain \(reason.rawValue)") }
        }
        for verdict in TraceVerdict.allCases.map(\.rawValue) {
            if !known.contains(verdict) { Issue.record("docs/tracing.md does not explain \(verdict)") }
        }
        for step in try Self.cases(of: "TraceStep", in: "Sources/Simulation/PacketTrace.swift") {
            if !known.contains(step) { Issue.record("docs/tracing.md does not explain the step \(step)") }
        }
    }

    @Test func `docs/fidelity.md has every match, target, state and setting`() throws {
        let known = try words("docs/fidelity.md")
        for (enumeration, file) in [("Match", "Match.swift"), ("Target", "Target.swift")] {
            for name in try Self.cases(of: enumeration, in: "Sources/Netstack/Netfilter/\(file)") {
                let spelled = try #require(
                    Self.spellings["\(enumeration) \(name)"] ?? Self.spellings[name],
                    "how does iptables spell '\(name)' of \(enumeration)?")
                if !known.contains(spelled) { Issue.record("docs/fidelity.md does not have \(spelled)") }
            }
        }
        let vocabularies: [[String]] = [
            TableName.allCases.map(\.rawValue), Hook.allCases.map(\.chainName), RejectKind.allCases.map(\.rawValue),
            NeighborState.allCases.map(\.rawValue), TCPTrackingState.allCases.map(\.text), Sysctls.names,
        ]
        let page = try Page("docs/fidelity.md").text
        for field in NFTablesField.allCases where !page.contains("`\(field.rawValue)`") {
            Issue.record("docs/fidelity.md does not have \(field.rawValue)")
        }
        for word in vocabularies.joined() {
            if !known.contains(word) { Issue.record("docs/fidelity.md does not have \(word)") }
        }
    }

    /// Cases of Match and Target in the words of iptables.
    private static let spellings = [
        "Target connectionMark": "CONNMARK", "comment": "comment", "transport": "--dport", "icmp": "icmp",
        "multiport": "multiport",
        "connection": "conntrack", "state": "state", "mark": "mark", "connectionMark": "connmark",
        "addressType": "addrtype", "statistic": "statistic", "recent": "recent", "limit": "limit", "set": "set",
        "bridgePort": "physdev", "addressRange": "iprange", "owner": "owner", "length": "length",
        "timeToLive": "ttl", "codePoint": "dscp", "typeOfService": "tos", "sourceMAC": "mac",
        "packetType": "pkttype", "reversePath": "rpfilter", "virtualService": "ipvs", "accounting": "nfacct",
        "laterFragment": "-f", "maskedAddress": "-m", "unevaluated": "hashlimit",
        "accept": "ACCEPT", "drop": "DROP", "return": "RETURN", "jump": "-j", "goto": "-g", "setMark": "MARK",
        "destinationNAT": "DNAT", "sourceNAT": "SNAT", "masquerade": "MASQUERADE", "redirect": "REDIRECT",
        "reject": "REJECT", "log": "LOG", "netlinkLog": "NFLOG", "noTrack": "NOTRACK", "setSegmentSize": "TCPMSS",
        "setCodePoint": "DSCP", "setTypeOfService": "TOS", "setTimeToLive": "TTL",
    ]

    /// The case names of an enumeration, read from its source: not every one has values to list.
    static func cases(of enumeration: String, in path: String) throws -> [String] {
        let lines = try Page(path).lines
        let start = try #require(lines.firstIndex { $0.contains("enum \(enumeration):") }, "no enum in \(path)")
        let body = lines[start...].prefix { $0 != "}" }
        let names = body.flatMap { line -> [String] in
            guard let match = line.wholeMatch(of: #/    (?:indirect )?case (.*)/#) else { return [] }
            // One case to a line where cases carry values.
            if match.1.contains("(") || match.1.hasSuffix(":") {
                return [String(match.1.prefix { $0 != "(" })]
            }
            return match.1.split(separator: ", ").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "`")) }
        }
        #expect(names.count > 3, "the cases of \(enumeration) could not be read")
        return names
    }

    @Test func `what the pages name in the repository is there`() throws {
        let folders = ["Sources/", "Tests/", "docs/", "scripts/", "share/", "topologies/", "captures/", "Benchmarks/"]
        for page in try Page.all() {
            for word in page.codeWords where folders.contains(where: word.hasPrefix) && !word.contains("NAME") {
                // A path may have a command's arguments behind it, or stand for several files.
                let path = word.prefix { $0 != " " && $0 != "*" && $0 != "{" && $0 != "<" }
                let exists = FileManager.default.fileExists(atPath: Page.root.appending(path: String(path)).path)
                #expect(exists, "\(page.path) names \(path), which is not there")
            }
        }
    }

    @Test func `the index of the documents names every page`() throws {
        let index = try Page("docs/README.md").text
        for page in try Page.all() where page.path.hasPrefix("docs/") && page.path != "docs/README.md" {
            let name = page.path.dropFirst("docs/".count)
            #expect(index.contains("(\(name))"), "docs/README.md has no link to \(name)")
        }
    }

    @Test func `the table of targets is that of Package.swift`() throws {
        let manifest = try Page("Package.swift").text
        let rows = try Page("docs/ARCHITECTURE.md").tableRows
        let pattern =
            #/
            layer\( \s* "(\w+)" (?: ,\s*imports:\s \[([^\]]*)\] )?
            | executableTarget\( \s* name:\s "(\w+)" ,\s*dependencies:\s \[([^\]]*)\]
            /#
        var targets = 0
        for match in manifest.matches(of: pattern) {
            let name = String(match.1 ?? match.3 ?? "")
            let list = match.2 ?? match.4 ?? ""
            let imports = list.replacing(/, package: "[^"]*"/, with: "").matches(of: /"(\w+)"/).map { String($0.1) }
            targets += 1
            let found = rows.first { $0.contains("`\(name)`") }
            let row = try #require(found, "docs/ARCHITECTURE.md has no row for \(name)")
            let documented = row[row.count - 1].matches(of: /\w+/).map { String($0.0) }
            #expect(
                documented.sorted() == (imports.isEmpty ? ["none"] : imports.sorted()),
                "the row of \(name) in docs/ARCHITECTURE.md and Package.swift differ")
        }
        #expect(targets == 11, "the targets of Package.swift could not be read")
    }
}
