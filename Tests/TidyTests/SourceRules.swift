// The rules every Swift file keeps: a header that says what it models, a size one can read, no call that brings in the
// clock, chance or a crash, and no name that says nothing.
// Each rule takes a text and returns what it objects to, so that a test can hand it an offending snippet.

import Foundation

enum SourceRules {
    static let maximumLines = 500
    static let maximumColumns = 120

    /// A file opens with at least two lines of comment. One will do for tests, whose names are sentences.
    static func header(_ file: Repository.TextFile) -> [Finding] {
        let wanted = file.path.hasPrefix("Tests/") ? 1 : 2
        let opening = file.text.split(separator: "\n", maxSplits: wanted, omittingEmptySubsequences: false)
            .prefix { $0.hasPrefix("//") }
        guard opening.count < wanted else { return [] }
        let lines = wanted == 1 ? "one line" : "two lines"
        return [Finding(file.path, line: 1, "opens with no comment of \(lines) or more that says what it is")]
    }

    /// The formatter breaks long code, and leaves comments and strings alone. Comments must fit all the same; a text
    /// that podnet or another program prints may be as wide as it is, in a literal of several lines, and in tests.
    static func size(_ file: Repository.TextFile) -> [Finding] {
        var findings: [Finding] = []
        // The newline at the end does not begin another line.
        let count = file.lines.count - (file.text.hasSuffix("\n") ? 1 : 0)
        if count > maximumLines {
            findings.append(Finding(file.path, "has \(count) lines; \(maximumLines) are the limit"))
        }
        let isTest = file.path.hasPrefix("Tests/")
        var isInLiteral = false
        for (index, line) in file.lines.enumerated() {
            let wasInLiteral = isInLiteral
            if line.contains("\"\"\""), line.ranges(of: "\"\"\"").count % 2 == 1 { isInLiteral.toggle() }
            guard line.utf8.count > maximumColumns, line.count > maximumColumns, !wasInLiteral else { continue }
            if isTest, line.contains("\""), !line.trimmingPrefix(while: \.isWhitespace).hasPrefix("//") { continue }
            findings.append(
                Finding(file.path, line: index + 1, "has \(line.count) columns; \(maximumColumns) are the limit"))
        }
        return findings
    }

    /// What product code may not say, with the reason. A name counts only as a whole word.
    static let bannedInSources: [(call: String, reason: String)] = [
        ("Date(", "reads the wall clock; time is virtual"),
        ("Date.now", "reads the wall clock; time is virtual"),
        ("ContinuousClock", "reads the machine's clock; time is virtual"),
        ("SuspendingClock", "reads the machine's clock; time is virtual"),
        ("clock_gettime", "reads the machine's clock; time is virtual"),
        ("gettimeofday", "reads the wall clock; time is virtual"),
        ("time(nil", "reads the wall clock; time is virtual"),
        ("UUID(", "is random; identifiers come from the seed"),
        ("SystemRandomNumberGenerator", "is not seeded; chance comes from the seed"),
        ("arc4random", "is not seeded; chance comes from the seed"),
        ("getrandom", "is not seeded; chance comes from the seed"),
        ("/dev/urandom", "is not seeded; chance comes from the seed"),
        (".random(in:", "may map bits to numbers otherwise in the next release; use the seeded generator's own"),
        (".randomElement(", "may map bits to numbers otherwise in the next release; use the seeded generator's own"),
        (".shuffled(", "may map bits to numbers otherwise in the next release; use the seeded generator's own"),
        (".shuffle(", "may map bits to numbers otherwise in the next release; use the seeded generator's own"),
        (".hashValue", "differs in each run of the program"),
        ("try!", "crashes where an error could be told"),
        ("as!", "crashes where a cast could fail"),
        ("fatalError(", "crashes; wrong input gets an error, a broken invariant a precondition"),
    ]

    static let bannedInTests: [(call: String, reason: String)] = [
        ("sleep(", "waits for real time; tests drive virtual time"),
        ("SystemRandomNumberGenerator", "is not seeded; a failing test could not be repeated"),
        (".random(in:", "is not seeded; a failing test could not be repeated"),
    ]

    static func bannedCalls(_ file: Repository.TextFile, _ banned: [(call: String, reason: String)]) -> [Finding] {
        let present = banned.filter { file.mentions($0.call) }
        guard !present.isEmpty else { return [] }
        var findings: [Finding] = []
        for (index, line) in SwiftText.withoutComments(file.text).enumerated() {
            for entry in present where SwiftText.calls(entry.call, in: line) {
                findings.append(Finding(file.path, line: index + 1, "'\(entry.call)' \(entry.reason)"))
            }
        }
        return findings
    }

    static let emptyWords: Set<String> = [
        "Util", "Utils", "Utility", "Utilities", "Helper", "Helpers", "Manager", "Managers",
    ]

    /// No file and no type is named after nothing in particular.
    static func emptyNames(_ file: Repository.TextFile) -> [Finding] {
        var findings: [Finding] = []
        let stem = file.name.replacing(".swift", with: "")
        for word in SwiftText.words(of: stem) where emptyWords.contains(word) {
            findings.append(Finding(file.path, "'\(word)' in a file name says nothing; name what it does"))
        }
        guard emptyWords.contains(where: file.mentions) else { return findings }
        let declaration = /\b(?:class|struct|enum|protocol|actor|typealias)\s+(\w+)/
        for (index, line) in SwiftText.withoutComments(file.text).enumerated() {
            for match in line.matches(of: declaration) {
                for word in SwiftText.words(of: String(match.1)) where emptyWords.contains(word) {
                    let message = "'\(word)' in the type name \(match.1) says nothing; name what it does"
                    findings.append(Finding(file.path, line: index + 1, message))
                }
            }
        }
        return findings
    }
}

/// Just enough reading of Swift for the rules above.
enum SwiftText {
    /// The lines with `// …` and `/* … */` blanked. Knows string literals, so that a URL in one is no comment;
    /// each line of a multi-line literal is read as code, which does no harm here.
    static func withoutComments(_ text: String) -> [String] {
        var blockDepth = 0
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            var kept: [UInt8] = []
            var inString = false
            var rest = line.utf8[...]
            while let byte = rest.popFirst() {
                let next = rest.first
                if blockDepth > 0 {
                    if byte == UInt8(ascii: "*"), next == UInt8(ascii: "/") {
                        blockDepth -= 1
                        rest.removeFirst()
                    }
                } else if inString {
                    kept.append(byte)
                    if byte == UInt8(ascii: "\\"), let escaped = rest.popFirst() {
                        kept.append(escaped)
                    } else if byte == UInt8(ascii: "\"") {
                        inString = false
                    }
                } else if byte == UInt8(ascii: "/"), next == UInt8(ascii: "/") {
                    break
                } else if byte == UInt8(ascii: "/"), next == UInt8(ascii: "*") {
                    blockDepth += 1
                    rest.removeFirst()
                } else {
                    kept.append(byte)
                    inString = byte == UInt8(ascii: "\"")
                }
            }
            return String(decoding: kept, as: UTF8.self)
        }
    }

    /// Whether `call` occurs and is not the end of a longer name: `Date(` is not in `invalidDate(`.
    static func calls(_ call: String, in line: String) -> Bool {
        var rest = line[...]
        while let range = rest.firstRange(of: call) {
            let startsWithName = call.first.map(isNameCharacter) ?? false
            let before = range.lowerBound == line.startIndex ? nil : line[line.index(before: range.lowerBound)]
            if !startsWithName || !(before.map(isNameCharacter) ?? false) { return true }
            rest = line[range.upperBound...]
        }
        return false
    }

    private static func isNameCharacter(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_"
    }

    /// `PodIPManager` → Pod, IP, Manager; `String+Utils` → String, Utils.
    static func words(of name: String) -> [String] {
        name.matches(of: /[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+/).map { String($0.output) }
    }
}
