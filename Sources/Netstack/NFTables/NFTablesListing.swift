// Reads what `nft list ruleset` printed: tables, sets, maps and chains; rules are read in NFTablesRuleReader.swift.
// What nft knows and podnet does not evaluate is kept as it stands and noted with its line; what nft would not print
// is an error with line and column.

internal import Addressing

extension NFTablesRuleset {
    /// Reads the output of `nft list ruleset`, or of `nft list table`.
    public init(listing text: String) throws(RulesetError) {
        var reader = NFTablesReader(tokens: try NFTablesTokens(listing: text))
        try reader.readTables()
        self.init(reader.tables)
        notices = reader.notices
        noteWhatNeverMatches(reader.ruleLines)
    }

    /// What could be read may still mean something podnet cannot work out.
    private mutating func noteWhatNeverMatches(_ lines: [[[Int]]]) {
        let compiled = CompiledNFTables(compiling: self)
        for (number, table) in tables.enumerated() {
            for (position, chain) in zip(table.chains, compiled.tables[number].chains).enumerated() {
                for (place, (rule, statements)) in zip(chain.0.rules, chain.1.rules).enumerated() {
                    for case (let statement, .never) in zip(rule.statements, statements) {
                        if case .unevaluated = statement { continue }
                        notices.append(
                            NFTablesNotice(
                                line: lines[number][position][place],
                                message: "not evaluated, so the rule never matches: \(statement)"))
                    }
                }
            }
        }
        notices.sort { $0.line < $1.line }
    }
}

/// A listing while it is being read.
struct NFTablesReader {
    var tokens: NFTablesTokens
    var tables: [NFTablesTable] = []
    var notices: [NFTablesNotice] = []
    /// The table being read.
    var table = NFTablesTable(.ip, "")
    /// Who leads where in that table, to look for jumps to nowhere and loops.
    var calls = NFTablesCalls()
    /// The lines of all rules, by table and chain.
    var ruleLines: [[[Int]]] = []
    /// Sets a rule asks, with the word that names them.
    var askedSets: [NFTablesToken] = []

    init(tokens: NFTablesTokens) { self.tokens = tokens }

    mutating func readTables() throws(RulesetError) {
        var heading: [String] = []
        while true {
            tokens.skipEndsOfLines(keepsComments: true)
            guard let token = tokens.next else { return }
            if token.text.first == "#" {
                heading.append(String(token.text))
                tokens.advance()
                continue
            }
            guard tokens.take("table") else { throw tokens.unexpected(wanted: "'table'") }
            let familyToken = try tokens.takeAny()
            guard let family = NFTablesFamily(rawValue: String(familyToken.text)) else {
                throw error(
                    familyToken, "'\(familyToken.text)' is no family of tables", "ip, ip6, inet, arp, bridge or netdev")
            }
            let name = try readName("a table")
            guard !tables.contains(where: { $0.family == family && $0.name == name.text }) else {
                throw error(name, "table \(family.rawValue) \(name.text) stands here twice", "remove one of them")
            }
            table = NFTablesTable(family, String(name.text))
            table.heading = heading
            heading = []
            calls = NFTablesCalls()
            askedSets = []
            ruleLines.append([])
            if family != .ip, family != .ip6, family != .inet {
                notices.append(
                    NFTablesNotice(line: name.line, message: "IP packets do not meet table \(table.title)"))
            }
            try readTable()
            try calls.check(table)
            try checkSets()
            tables.append(table)
        }
    }

    private mutating func readTable() throws(RulesetError) {
        try tokens.expect("{")
        while true {
            tokens.skipEndsOfLines()
            let token = try tokens.takeAny()
            switch token.text {
            case "}": return
            case "comment": table.comment = try readQuoted()
            case "flags":
                let words = tokens.restOfLine().map(\.text)
                if words.contains(where: { $0.contains("dormant") }) { table.isDormant = true }
                table.attributes.append((["flags"] + words).joined(separator: " "))
            case "set", "map": try readSet(token)
            case "chain": try readChain()
            case "counter", "quota", "limit", "ct", "flowtable", "secmark", "synproxy", "meter":
                notices.append(NFTablesNotice(line: token.line, message: "\(token.text) objects are not evaluated"))
                table.objects.append(try readBlock(from: token))
            default:
                throw error(
                    token, "'\(token.text)' is nothing a table holds", "set, map, chain, or an object such as counter")
            }
        }
    }

    // MARK: - Sets and maps

    private mutating func readSet(_ keyword: NFTablesToken) throws(RulesetError) {
        let name = try readName("a \(keyword.text)")
        guard !table.sets.contains(where: { $0.name == name.text }) else {
            throw error(name, "\(keyword.text) \(name.text) stands here twice", "remove one of them")
        }
        let start = tokens.position
        try tokens.expect("{")
        var set = NFTablesSet(String(name.text), key: [])
        while true {
            tokens.skipEndsOfLines()
            let token = try tokens.takeAny()
            switch token.text {
            case "}":
                guard !set.key.isEmpty else {
                    throw error(name, "\(keyword.text) \(name.text) has no type", "type ipv4_addr, or another one")
                }
                tokens.rewind(to: start)
                let text = try readBlock(from: keyword)
                var written = ""
                set.write(to: &written)
                // Other versions break the lines elsewhere. What was pasted with blanks gets its tabs back.
                if text != written, text.first == "\t" { set.asRead = text }
                table.sets.append(set)
                return
            case "type", "typeof":
                let words = tokens.restOfLine()
                guard let types = datatypes(words, byExample: token.text == "typeof") else {
                    let text = words.map { String($0.text) }.joined(separator: " ")
                    notices.append(
                        NFTablesNotice(line: token.line, message: "sets of \(token.text) \(text) are not evaluated"))
                    tokens.rewind(to: start)
                    set.asRead = try readBlock(from: keyword)
                    table.sets.append(set)
                    return
                }
                set.key = types.key
                set.data = types.data
                guard (keyword.text == "map") == (types.data != nil) else {
                    throw error(
                        token, "a \(keyword.text) cannot have this type", "only a map gives something for a key")
                }
                if token.text == "typeof" { set.typeof = words.map { String($0.text) }.joined(separator: " ") }
            case "policy": set.policy = String(try tokens.takeAny().text)
            case "size": set.size = try readNumber()
            case "flags": set.flags = try readFlags()
            case "timeout": set.timeout = try readDuration()
            case "gc-interval": set.collectionInterval = try readDuration()
            case "auto-merge": set.mergesIntervals = true
            case "comment": set.comment = try readQuoted()
            case "counter", "quota", "limit", "last", "ct":
                set.statements = ([token.text] + tokens.restOfLine().map(\.text)).joined(separator: " ")
            case "elements":
                try tokens.expect("=")
                set.elements = try readElements(key: set.key, data: set.data ?? [], from: .set(set.name))
            default:
                throw error(
                    token, "'\(token.text)' is nothing a \(keyword.text) has", "type, flags, timeout, size, elements")
            }
        }
    }

    /// The types of `ipv4_addr . inet_service : verdict`; nil when one of them is unknown.
    private func datatypes(
        _ words: [NFTablesToken], byExample: Bool
    ) -> (key: [NFTablesDatatype], data: [NFTablesDatatype]?)? {
        let sides = words.split { $0.text == ":" }
        guard (1...2).contains(sides.count) else { return nil }
        var types: [[NFTablesDatatype]] = []
        for side in sides {
            var side = side
            // `interval verdict` and such qualify the data.
            if side.first?.text == "interval" || side.first?.text == "counter" { return nil }
            if side.last?.text == ";" { side.removeLast() }
            var parts: [NFTablesDatatype] = []
            for part in side.split(omittingEmptySubsequences: false, whereSeparator: { $0.text == "." }) {
                let text = part.map { String($0.text) }.joined(separator: " ")
                let type =
                    byExample
                    ? (text == "verdict" ? .verdict : NFTablesField(rawValue: text)?.datatype)
                    : NFTablesDatatype(rawValue: text)
                guard let type, byExample || type != .integer else { return nil }
                parts.append(type)
            }
            guard !parts.isEmpty else { return nil }
            types.append(parts)
        }
        return (types[0], types.count == 2 ? types[1] : nil)
    }

    private mutating func readFlags() throws(RulesetError) -> [NFTablesSet.Flag] {
        var flags: [NFTablesSet.Flag] = []
        for token in tokens.restOfLine() where token.text != "," && token.text != ";" {
            for word in token.text.split(separator: ",") {
                guard let flag = NFTablesSet.Flag(rawValue: String(word)) else {
                    throw error(token, "'\(word)' is no flag of a set", "constant, dynamic, interval or timeout")
                }
                flags.append(flag)
            }
        }
        return flags
    }

    /// `{ KEY [timeout T] [expires T] [comment "..."] [: DATA], ... }`.
    mutating func readElements(
        key: [NFTablesDatatype], data: [NFTablesDatatype], from caller: NFTablesCalls.Caller
    ) throws(RulesetError) -> [NFTablesElement] {
        try tokens.expect("{")
        var elements: [NFTablesElement] = []
        tokens.skipEndsOfLines()
        if tokens.take("}") { return [] }
        while true {
            tokens.skipEndsOfLines()
            var element = NFTablesElement(try readValue(key))
            var isReading = true
            while isReading {
                switch tokens.peek() {
                case "timeout":
                    tokens.advance()
                    element.timeout = try readDuration()
                case "expires":
                    tokens.advance()
                    element.expires = try readDuration()
                case "comment":
                    tokens.advance()
                    element.comment = try readQuoted()
                case "counter", "quota", "limit", "last", "ct": element.statements = readElementStatements()
                default: isReading = false
                }
            }
            if !data.isEmpty {
                try tokens.expect(":")
                element.data =
                    data == [.verdict] ? .verdict(try readVerdict(from: caller)) : try readValue(data, mayBeShort: true)
            }
            elements.append(element)
            tokens.skipEndsOfLines()
            if tokens.take(",") { continue }
            if tokens.take("}") { return elements }
            throw tokens.unexpected(wanted: "',' or '}'")
        }
    }

    private mutating func readElementStatements() -> String {
        var words: [Substring] = []
        while let word = tokens.peek(), !["timeout", "expires", "comment", ":", ",", "}", "\n"].contains(word) {
            words.append(word)
            tokens.advance()
        }
        return words.joined(separator: " ")
    }

    /// Everything from the line a word stands on to the end of the block it opens, as it was written.
    private mutating func readBlock(from keyword: NFTablesToken) throws(RulesetError) -> String {
        var depth = 0
        while true {
            let token = try tokens.takeAny()
            if token.text == "{" { depth += 1 }
            if token.text == "}" { depth -= 1 }
            if depth == 0, token.text == "}" {
                let text = keyword.text.base
                return text[keyword.startOfLine..<token.text.endIndex] + "\n"
            }
        }
    }

    // MARK: - Chains

    private mutating func readChain() throws(RulesetError) {
        let name = try readName("a chain")
        guard calls.define(String(name.text)) else {
            throw error(name, "chain \(name.text) stands here twice", "remove one of them")
        }
        var chain = NFTablesChain(String(name.text))
        var lines: [Int] = []
        try tokens.expect("{")
        while true {
            tokens.skipEndsOfLines()
            guard let token = tokens.next else {
                throw tokens.error("the listing ends too early", hint: "is it whole?")
            }
            if tokens.take("}") { break }
            if token.text == "comment", chain.comment == nil, chain.base == nil, chain.rules.isEmpty,
                tokens.peek(2) == "\n" || tokens.peek(2) == ";"
            {
                tokens.advance()
                chain.comment = try readQuoted()
                _ = tokens.take(";")
            } else if token.text == "type", chain.rules.isEmpty {
                chain.base = try readBaseChain()
            } else if token.text == "flags", chain.rules.isEmpty {
                throw error(token, "chains with flags are not read", "remove the chain: hardware evaluates it")
            } else {
                lines.append(token.line)
                chain.rules.append(try readRule(of: chain.name))
            }
        }
        if chain.base != nil { calls.markAsBase(chain.name) }
        table.chains.append(chain)
        ruleLines[ruleLines.count - 1].append(lines)
    }

    /// `type filter hook input priority filter; policy accept;`
    private mutating func readBaseChain() throws(RulesetError) -> NFTablesBaseChain {
        let first = tokens.next
        try tokens.expect("type")
        let word = try tokens.takeAny()
        guard let kind = NFTablesBaseChain.Kind(rawValue: String(word.text)) else {
            throw error(word, "'\(word.text)' is no type of chain", "filter, nat or route")
        }
        try tokens.expect("hook")
        let place = try tokens.takeAny()
        let hook = Hook.allCases.first { $0.nftablesName == place.text }
        guard hook != nil || place.text == "ingress" || place.text == "egress" else {
            throw error(place, "'\(place.text)' is no hook", "prerouting, input, forward, output or postrouting")
        }
        guard kind != .nat || hook != .forward, kind != .route || hook == .output else {
            throw error(place, "no \(kind.rawValue) chain hangs at \(place.text)", "a filter chain may")
        }
        var end = place.text.endIndex
        while let word = tokens.peek(), word != "priority", word != "\n" {
            end = word.endIndex
            tokens.advance()
        }
        let words = place.text.base[place.text.startIndex..<end]
        try tokens.expect("priority")
        let priority = try readPriority(at: String(place.text))
        try tokens.expect(";")
        var policy = ChainPolicy.accept
        if tokens.take("policy") {
            let word = try tokens.takeAny()
            guard let read = ChainPolicy(rawValue: word.text.uppercased()) else {
                throw error(word, "'\(word.text)' is no policy", "accept or drop")
            }
            policy = read
            try tokens.expect(";")
        }
        var base = NFTablesBaseChain(
            kind, words == place.text ? hook : nil, place: String(words), priority: priority, policy: policy)
        let text = first.map(line) ?? ""
        if text != base.text(in: table.family) { base.asRead = text }
        return base
    }

    private mutating func readPriority(at place: String) throws(RulesetError) -> Int {
        let word = try tokens.takeAny()
        let allowed = -Int(Int32.max)...Int(Int32.max)
        if let number = Int(word.text), allowed.contains(number) { return number }
        let names = NFTablesBaseChain.priorityNames(at: place, in: table.family)
        guard let name = names.first(where: { $0.name == word.text }) else {
            throw error(
                word, "'\(word.text)' is no priority at \(place)",
                "a number, or one of \(names.map(\.name).joined(separator: ", "))")
        }
        if tokens.take("+") { return name.value + min(try readNumber(), Int(Int32.max)) }
        if tokens.take("-") { return name.value - min(try readNumber(), Int(Int32.max)) }
        return name.value
    }

    private func checkSets() throws(RulesetError) {
        let names = Set(table.sets.map(\.name))
        for token in askedSets where !names.contains(String(token.text.dropFirst())) {
            throw error(token, "\(table.title) has no set \(token.text)", "add the set, or correct its name")
        }
    }

    // MARK: - Small things

    func error(_ token: NFTablesToken, _ message: String, _ hint: String) -> RulesetError {
        RulesetError(line: token.line, column: token.column, message, hint: hint)
    }

    private mutating func readName(_ what: String) throws(RulesetError) -> NFTablesToken {
        guard let token = tokens.next, !["{", "}", ",", ";", "\n"].contains(token.text) else {
            throw tokens.unexpected(wanted: "the name of \(what)")
        }
        tokens.advance()
        return token
    }

    mutating func readQuoted() throws(RulesetError) -> String {
        guard let token = tokens.next, token.text.first == "\"", token.text.count >= 2, token.text.last == "\"" else {
            throw tokens.unexpected(wanted: "a quoted text")
        }
        tokens.advance()
        return String(token.text.dropFirst().dropLast())
    }

    mutating func readNumber() throws(RulesetError) -> Int {
        guard let number = tokens.peek().flatMap({ Int($0) }), number >= 0 else {
            throw tokens.unexpected(wanted: "a number")
        }
        tokens.advance()
        return number
    }

    /// `1h30m` in nanoseconds.
    mutating func readDuration() throws(RulesetError) -> Nanoseconds {
        guard let text = tokens.peek(), let duration = duration(of: text) else {
            throw tokens.unexpected(wanted: "a time such as 1h30m")
        }
        tokens.advance()
        return duration
    }
}

/// The duration `1d2h3m4s5ms` stands for.
private func duration(of text: Substring) -> Nanoseconds? {
    let units: [Substring: Nanoseconds] = [
        "d": 86_400_000_000_000, "h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000,
    ]
    var rest = text
    var total: Nanoseconds = 0
    guard !rest.isEmpty else { return nil }
    while !rest.isEmpty {
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        rest = rest.dropFirst(digits.count)
        let unit = rest.prefix { !$0.isNumber }
        rest = rest.dropFirst(unit.count)
        guard let count = Nanoseconds(digits), let length = units[unit] else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: length)
        let (sum, overflowOfSum) = total.addingReportingOverflow(product)
        guard !overflow, !overflowOfSum else { return nil }
        total = sum
    }
    return total
}
