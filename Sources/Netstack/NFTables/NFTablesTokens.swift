// The words of a listing with their places. nft prints blanks around everything but commas and semicolons, so words
// are what stands between blanks; a quoted string is one word.

/// One word, or one of `{ } , ;` and the end of a line.
struct NFTablesToken: Hashable, Sendable {
    let text: Substring
    let line: Int
    let column: Int

    var isEndOfLine: Bool { text == "\n" }

    /// Where its line begins in the listing.
    var startOfLine: String.Index {
        let octets = text.base.utf8
        let before = octets[..<text.startIndex].lastIndex(of: UInt8(ascii: "\n"))
        return before.map { octets.index(after: $0) } ?? octets.startIndex
    }
}

/// The words of a text, and the place that is being read.
struct NFTablesTokens {
    private let tokens: [NFTablesToken]
    private(set) var position = 0

    init(_ tokens: some Sequence<NFTablesToken>) { self.tokens = Array(tokens) }

    /// Reads a whole text. A comment ends its line; the lines that hold nothing else are kept as words, because
    /// iptables-nft's warnings are such lines.
    init(listing text: String) throws(RulesetError) {
        var tokens: [NFTablesToken] = []
        var number = 0
        for octets in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            let line = Substring(octets.last == UInt8(ascii: "\r") ? octets.dropLast() : octets)
            try Self.split(line, number, into: &tokens)
            tokens.append(NFTablesToken(text: "\n", line: number, column: line.utf8.count + 1))
        }
        self.tokens = tokens
    }

    private static func split(
        _ line: Substring, _ number: Int, into tokens: inout [NFTablesToken]
    ) throws(RulesetError) {
        let bytes = line.utf8
        var index = bytes.startIndex
        func column(_ index: Substring.Index) -> Int { bytes.distance(from: bytes.startIndex, to: index) + 1 }
        func add(_ range: Range<Substring.Index>) {
            tokens.append(NFTablesToken(text: line[range], line: number, column: column(range.lowerBound)))
        }
        let isEmpty = tokens.count
        while index < bytes.endIndex {
            let start = index
            switch bytes[index] {
            case UInt8(ascii: " "), UInt8(ascii: "\t"):
                index = bytes.index(after: index)
            case UInt8(ascii: "#"):
                // A line of its own keeps its comment; behind a rule (`# handle 4`) it says nothing.
                if tokens.count == isEmpty { add(start..<bytes.endIndex) }
                return
            case UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: ","), UInt8(ascii: ";"):
                index = bytes.index(after: index)
                add(start..<index)
            default:
                var isQuoted = false
                loop: while index < bytes.endIndex {
                    switch bytes[index] {
                    case UInt8(ascii: "\""): isQuoted.toggle()
                    case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: ";"):
                        if !isQuoted { break loop }
                    case UInt8(ascii: ","):
                        // Inside a word it joins flags: `established,related`.
                        let next = bytes.index(after: index)
                        let ends = next == bytes.endIndex || bytes[next] == UInt8(ascii: " ")
                        if !isQuoted, ends { break loop }
                    default: break
                    }
                    index = bytes.index(after: index)
                }
                guard !isQuoted else {
                    throw RulesetError(
                        line: number, column: column(start), "a quoted text does not end on its line",
                        hint: "close it with a quotation mark")
                }
                add(start..<index)
            }
        }
    }

    /// The word that comes next; nil at the end.
    var next: NFTablesToken? { position < tokens.count ? tokens[position] : nil }

    /// The word taken last.
    var previous: NFTablesToken? { position > 0 ? tokens[position - 1] : nil }

    /// The text of the word `offset` places on.
    func peek(_ offset: Int = 0) -> Substring? {
        position + offset < tokens.count ? tokens[position + offset].text : nil
    }

    mutating func advance(by count: Int = 1) { position = min(position + count, tokens.count) }
    mutating func rewind(to position: Int) { self.position = position }

    /// Takes the next word if it is this one.
    mutating func take(_ text: String) -> Bool {
        guard next?.text == text[...] else { return false }
        position += 1
        return true
    }

    mutating func takeAny() throws(RulesetError) -> NFTablesToken {
        guard let token = next else { throw error("the listing ends too early", hint: "is it whole?") }
        position += 1
        return token
    }

    mutating func expect(_ text: String) throws(RulesetError) {
        guard !take(text) else { return }
        throw unexpected(wanted: "'\(text == "\n" ? "end of line" : text)'")
    }

    /// Comment lines go with them: warnings of nft may stand between any two lines of a listing.
    mutating func skipEndsOfLines(keepsComments: Bool = false) {
        while let token = next, token.isEndOfLine || !keepsComments && token.text.first == "#" { position += 1 }
    }

    /// The words up to the end of the line, which stays.
    mutating func restOfLine() -> [NFTablesToken] {
        let start = position
        while let token = next, !token.isEndOfLine {
            _ = token
            position += 1
        }
        return Array(tokens[start..<position])
    }

    /// An error at the next word, or at the last one when none is left.
    func error(_ message: String, hint: String) -> RulesetError {
        let place = next ?? tokens.last
        return RulesetError(
            line: place?.line ?? 1, column: place?.column ?? 1, message, hint: hint)
    }

    func unexpected(wanted: String) -> RulesetError {
        let found = next.map { $0.isEndOfLine ? "the end of the line" : "'\($0.text)'" } ?? "the end"
        return error("\(found) stands where \(wanted) should", hint: "write it as nft list ruleset prints it")
    }
}
