// Reads one rule of a listing, statement by statement. A statement nft knows and podnet does not evaluate keeps the
// rest of its rule as text, is noted with its line, and keeps the rule from matching. A word nft does not know is an
// error.

internal import Addressing

extension NFTablesReader {
    /// One line of a chain.
    mutating func readRule(of chain: String) throws(RulesetError) -> NFTablesRule {
        guard let first = tokens.next else { throw tokens.unexpected(wanted: "a rule") }
        var rule = NFTablesRule()
        while let token = tokens.next, !token.isEndOfLine {
            if token.text == "comment", tokens.peek(2) == "\n" {
                tokens.advance()
                rule.comment = try readQuoted()
                break
            }
            if case .verdict(let verdict) = rule.statements.last, verdict != .continue {
                throw error(token, "nothing happens behind \(verdict)", "a verdict ends its rule")
            }
            let start = tokens.position
            if let statement = try readStatement(from: .chain(chain)) {
                rule.statements.append(statement)
            } else {
                tokens.rewind(to: start)
                rule.statements.append(try unevaluated(token))
            }
        }
        let text = line(of: first)
        if text != rule.written { rule.asRead = text }
        try tokens.expect("\n")
        return rule
    }

    /// The rule's line without its indentation and without a comment nft does not print (`# handle 4`).
    func line(of first: NFTablesToken) -> String {
        let text = first.text.base
        var begin = first.startOfLine
        for _ in 0..<2 where text.utf8[begin] == UInt8(ascii: "\t") { begin = text.utf8.index(after: begin) }
        let end = tokens.previous.map(\.text.endIndex) ?? first.text.endIndex
        return String(text[begin..<end])
    }

    /// Takes the rest of the rule, up to its comment, as text.
    private mutating func unevaluated(_ first: NFTablesToken) throws(RulesetError) -> NFTablesStatement {
        var last = first
        var depth = 0
        while let token = tokens.next, depth > 0 || !token.isEndOfLine,
            !(token.text == "comment" && tokens.peek(2) == "\n" && depth == 0)
        {
            // A chain without a name has lines of its own: `jump {`.
            if token.text == "{" { depth += 1 }
            if token.text == "}" { depth -= 1 }
            if !token.isEndOfLine { last = token }
            tokens.advance()
        }
        guard depth <= 0 else { throw tokens.error("the listing ends too early", hint: "is it whole?") }
        let text = String(first.text.base[first.text.startIndex..<last.text.endIndex])
        notices.append(NFTablesNotice(line: first.line, message: "not evaluated, so the rule never matches: \(text)"))
        return .unevaluated(text)
    }

    /// The next statement; nil for one that podnet does not evaluate.
    private mutating func readStatement(from caller: NFTablesCalls.Caller) throws(RulesetError)
        -> NFTablesStatement?
    {
        guard let token = tokens.next else { throw tokens.unexpected(wanted: "a statement") }
        switch token.text {
        case _ where tokens.peek(1) == "{" && ["jump", "goto"].contains(token.text): return nil
        case "accept", "drop", "return", "continue", "jump", "goto": return .verdict(try readVerdict(from: caller))
        case "counter": return readCounter()
        case "log": return readLog()
        case "limit": return readLimit()
        case "notrack":
            tokens.advance()
            return .notrack
        case "reject": return readReject()
        case "dnat", "snat", "masquerade", "redirect": return try readTranslation()
        case "add", "update", "delete": return try readUpdate()
        default: break
        }
        let start = tokens.position
        if let left = try readExpression() { return try readComparison(of: left, from: caller) }
        guard nftWords.contains(String(token.text)) || token.text.first == "@" else {
            throw error(token, "'\(token.text)' is no word of nft", "compare with what nft list ruleset prints")
        }
        tokens.rewind(to: start + 1)
        if let fields = nftFields[token.text], let field = tokens.next, !fields.contains(String(field.text)) {
            let found = field.isEndOfLine ? "the end of the line" : "'\(field.text)'"
            throw error(field, "\(found) is nothing of \(token.text)", "one of \(fields.joined(separator: ", "))")
        }
        return nil
    }

    /// What stands behind a left side: `vmap`, `set`, an operator, or a value.
    private mutating func readComparison(
        of left: NFTablesExpression, from caller: NFTablesCalls.Caller
    ) throws(RulesetError) -> NFTablesStatement? {
        let types = datatypes(of: left)
        if tokens.take("vmap") {
            if case .chain(let chain) = caller, let name = tokens.peek(), name.first == "@" {
                calls.add(.set(String(name.dropFirst())), to: .chain(chain), at: tokens.next)
            }
            return .verdictMap(left, try readReference(key: types, data: [.verdict], from: caller))
        }
        if tokens.take("set") {
            guard case .field(let field) = left, field == .mark || field == .connectionMark,
                let value = try readMark(from: caller)
            else { return nil }
            return .set(field, value)
        }
        var comparison = NFTablesComparison.implicit
        if let word = tokens.peek(), let read = NFTablesComparison(word) {
            comparison = read
            tokens.advance()
        }
        if let word = tokens.peek(), word == "{" || word.first == "@" {
            return .match(left, comparison, .set(try readReference(key: types, data: [], from: caller)))
        }
        if case .fib(let fib) = left, fib.result == .oif, let word = tokens.peek(),
            let value = NFTablesDatatype.boolean.value(word), case .symbol = value
        {
            tokens.advance()
            return .match(left, comparison, .value(value))
        }
        if types == [.mark], let value = tokens.peek().flatMap({ NFTablesValue(maskedMark: $0) }) {
            tokens.advance()
            return .match(left, comparison, .value(value))
        }
        // iptables-nft translates `--ctstatus NONE` to nothing.
        if tokens.peek() == "counter" { return nil }
        var value = try readValue(types)
        if types.first?.isBitmask == true, tokens.take("/") { value = .masked(value, mask: try readValue(types)) }
        return .match(left, comparison, .value(value))
    }

    // MARK: - Expressions

    /// A field, `fib` or `numgen`, joined with others by dots or changed by operators; nil when podnet has no such
    /// thing.
    private mutating func readExpression() throws(RulesetError) -> NFTablesExpression? {
        guard let left = try readTerm() else { return nil }
        if tokens.peek() == "." {
            var parts = [left]
            while tokens.take(".") {
                guard let part = try readTerm() else { return nil }
                parts.append(part)
            }
            return .concatenation(parts)
        }
        return try readOperators(behind: left)
    }

    private mutating func readOperators(
        behind left: NFTablesExpression
    ) throws(RulesetError) -> NFTablesExpression {
        var left = left
        var count = 0
        while let word = tokens.peek(), let `operator` = NFTablesOperator(word) {
            count += 1
            // What is nested that deep nobody wrote.
            guard count <= 32 else { throw tokens.unexpected(wanted: "an end after 32 operators") }
            tokens.advance()
            if let right = try readTerm() {
                left = .bitwise(left, `operator`, right)
            } else {
                left = .bitwise(left, `operator`, .value(try readOperand(datatypes(of: left))))
            }
        }
        return left
    }

    /// A value, or bits in parentheses as nft before 1.0 prints them: `(fin | syn | rst | ack)`.
    private mutating func readOperand(_ types: [NFTablesDatatype]) throws(RulesetError) -> NFTablesValue {
        guard let first = tokens.next, first.text.first == "(", let type = types.first else {
            return try readValue(types)
        }
        var text = ""
        while let word = tokens.peek(), word != "\n", text.last != ")" {
            text += word
            tokens.advance()
        }
        var bits: [NFTablesValue] = []
        for word in text.dropFirst().dropLast().split(separator: "|") {
            guard let bit = type.value(word) else {
                throw error(first, "'\(word)' is no \(type.rawValue)", "write it as nft list ruleset prints it")
            }
            bits.append(bit)
        }
        return .flags(bits)
    }

    private mutating func readTerm() throws(RulesetError) -> NFTablesExpression? {
        switch tokens.peek() {
        case "numgen":
            tokens.advance()
            let mode = try tokens.takeAny()
            try tokens.expect("mod")
            let modulus = try readNumber()
            let offset = tokens.take("offset") ? try readNumber() : 0
            guard mode.text == "random" || mode.text == "inc", let modulus = UInt32(exactly: modulus), modulus > 0,
                let offset = UInt32(exactly: offset)
            else {
                throw error(mode, "numgen cannot count so", "numgen random mod 3, or numgen inc mod 3 offset 1")
            }
            return .numgen(isRandom: mode.text == "random", modulus: modulus, offset: offset)
        case "fib":
            tokens.advance()
            var keys: [NFTablesFIB.Key] = []
            repeat {
                guard let key = tokens.peek().flatMap({ NFTablesFIB.Key(rawValue: String($0)) }) else { return nil }
                keys.append(key)
                tokens.advance()
            } while tokens.take(".")
            guard let result = tokens.peek().flatMap({ NFTablesFIB.Result(rawValue: String($0)) }) else { return nil }
            tokens.advance()
            return .fib(NFTablesFIB(keys, result))
        default: break
        }
        if let word = tokens.peek(), let field = shortNames[word] {
            tokens.advance()
            return .field(field)
        }
        // The longest spelling first: `ct original ip saddr` before `ct original`.
        for count in (1...4).reversed() {
            let words = (0..<count).compactMap { tokens.peek($0).map(String.init) }
            if words.count == count, let field = NFTablesField(rawValue: words.joined(separator: " ")) {
                tokens.advance(by: count)
                return .field(field)
            }
        }
        return nil
    }

    func datatypes(of expression: NFTablesExpression) -> [NFTablesDatatype] {
        switch expression {
        case .field(let field): return [field.datatype]
        case .fib(let fib):
            switch fib.result {
            case .type: return [.addressType]
            case .oif: return [.interfaceIndex]
            case .oifname: return [.interfaceName]
            }
        case .numgen: return [.integer]
        case .concatenation(let parts): return parts.flatMap { datatypes(of: $0) }
        case .bitwise(let left, _, _): return datatypes(of: left)
        case .map, .set, .value: return [.integer]
        }
    }

    /// A value of these types, the parts of a concatenation between dots.
    mutating func readValue(
        _ types: [NFTablesDatatype], mayBeShort: Bool = false
    ) throws(RulesetError) -> NFTablesValue {
        var parts: [NFTablesValue] = []
        for type in types {
            if let first = parts.first, !tokens.take(".") {
                if mayBeShort || first == .any { break }
                throw tokens.unexpected(wanted: "'.' and a value of type \(type.rawValue)")
            }
            let token = try tokens.takeAny()
            guard let value = type.value(token.text) else {
                let found = token.isEndOfLine ? "the end of the line" : "'\(token.text)'"
                throw error(token, "\(found) is no \(type.rawValue)", "write it as nft list ruleset prints it")
            }
            parts.append(value)
            // All of these bits.
            while type.isBitmask, tokens.peek() == "|", let bit = tokens.peek(1).flatMap({ type.value($0) }) {
                tokens.advance(by: 2)
                parts[parts.count - 1] = .flags([parts[parts.count - 1], bit])
            }
        }
        guard let first = parts.first else { throw tokens.unexpected(wanted: "a value") }
        return parts.count == 1 ? first : .concatenation(parts)
    }

    /// `@name`, or a set written down in braces.
    private mutating func readReference(
        key: [NFTablesDatatype], data: [NFTablesDatatype], from caller: NFTablesCalls.Caller
    ) throws(RulesetError) -> NFTablesSetReference {
        if let token = tokens.next, token.text.first == "@" {
            tokens.advance()
            askedSets.append(token)
            return .named(String(token.text.dropFirst()))
        }
        return .anonymous(try readElements(key: key, data: data, from: caller))
    }

    /// What a mark is set to; nil when podnet cannot work it out.
    private mutating func readMark(from caller: NFTablesCalls.Caller) throws(RulesetError)
        -> NFTablesExpression?
    {
        guard let token = tokens.next else { return nil }
        if let value = NFTablesDatatype.mark.value(token.text) {
            tokens.advance()
            return .value(value)
        }
        if token.text.utf8.first.map({ 0x30...0x39 ~= $0 }) == true {
            throw error(token, "'\(token.text)' is no mark", "write up to eight hexadecimal digits behind 0x")
        }
        // iptables-nft translates its MARK target in an older spelling.
        if tokens.peek() == "mark" {
            tokens.advance()
            return try readOperators(behind: .field(.mark))
        }
        guard let expression = try readExpression() else { return nil }
        guard tokens.take("map") else { return expression }
        let types = datatypes(of: expression)
        return .map(expression, try readReference(key: types, data: [.mark], from: caller))
    }

    mutating func readVerdict(from caller: NFTablesCalls.Caller) throws(RulesetError) -> NFTablesVerdict {
        let word = try tokens.takeAny()
        switch word.text {
        case "accept": return .accept
        case "drop": return .drop
        case "return": return .return
        case "continue": return .continue
        case "jump", "goto":
            guard let target = tokens.next, !target.isEndOfLine else {
                throw tokens.unexpected(wanted: "the name of a chain")
            }
            tokens.advance()
            calls.add(.chain(String(target.text)), to: caller, at: target)
            return word.text == "jump" ? .jump(String(target.text)) : .goto(String(target.text))
        default:
            throw error(word, "'\(word.text)' is no verdict", "accept, drop, return, continue, jump or goto")
        }
    }

    // MARK: - Statements

    private mutating func readCounter() -> NFTablesStatement? {
        tokens.advance()
        guard tokens.take("packets") else { return tokens.peek() == "name" ? nil : .counter(packets: 0, bytes: 0) }
        guard let packets = takeNumber(), tokens.take("bytes"), let bytes = takeNumber() else { return nil }
        return .counter(packets: packets, bytes: bytes)
    }

    private mutating func takeNumber() -> UInt64? {
        guard let number = tokens.peek().flatMap({ UInt64($0) }) else { return nil }
        tokens.advance()
        return number
    }

    private mutating func readLog() -> NFTablesStatement {
        tokens.advance()
        var words: [String] = []
        while let word = tokens.peek(),
            ["prefix", "level", "flags", "group", "snaplen", "queue-threshold"].contains(word)
        {
            words.append(String(word))
            tokens.advance()
            if let value = tokens.peek() { words.append(String(value)) }
            tokens.advance()
            // `flags tcp sequence,options` and `flags ip options`.
            if word == "flags", words.last == "tcp" || words.last == "ip", let value = tokens.peek() {
                words.append(String(value))
                tokens.advance()
            }
        }
        return .log(words.joined(separator: " "))
    }

    private mutating func readLimit() -> NFTablesStatement? {
        tokens.advance()
        guard tokens.take("rate") else { return nil }
        var limit = NFTablesLimit(isOver: tokens.take("over"), rate: 0, period: "")
        guard let word = tokens.peek() else { return nil }
        tokens.advance()
        var period = word
        if let rate = UInt64(word), let unit = tokens.peek() {
            tokens.advance()
            limit.rate = rate
            limit.unit = String(unit.prefix { $0 != "/" })
            period = unit
        } else {
            guard let rate = UInt64(word.prefix { $0 != "/" }) else { return nil }
            limit.rate = rate
        }
        guard let slash = period.firstIndex(of: "/") else { return nil }
        limit.period = String(period[period.index(after: slash)...])
        if tokens.take("burst") {
            guard let burst = takeNumber(), let unit = tokens.peek() else { return nil }
            limit.burst = burst
            limit.burstUnit = String(unit)
            tokens.advance()
        }
        return limit.isEvaluated ? .limit(limit) : nil
    }

    private mutating func readReject() -> NFTablesStatement? {
        tokens.advance()
        guard tokens.take("with") else { return .reject(.portUnreachable) }
        guard let `protocol` = tokens.peek() else { return nil }
        tokens.advance()
        if `protocol` == "tcp" { return tokens.take("reset") ? .reject(.tcpReset) : nil }
        _ = tokens.take("type")
        guard let code = tokens.peek() else { return nil }
        let reject = NFTablesReject.icmp(protocol: String(`protocol`), code: String(code))
        guard reject.answer(.ipv4) != nil || reject.answer(.ipv6) != nil else { return nil }
        tokens.advance()
        return .reject(reject)
    }

    private mutating func readUpdate() throws(RulesetError) -> NFTablesStatement? {
        let word = try tokens.takeAny()
        guard let operation = NFTablesSetUpdate.Operation(rawValue: String(word.text)), let set = tokens.next,
            set.text.first == "@"
        else { return nil }
        tokens.advance()
        try tokens.expect("{")
        guard let key = try readExpression() else { return nil }
        let timeout = tokens.take("timeout") ? try readDuration() : nil
        // An element may carry statements, or data for a map.
        guard tokens.take("}") else { return nil }
        askedSets.append(set)
        return .update(NFTablesSetUpdate(operation, set: String(set.text.dropFirst()), key: key, timeout: timeout))
    }

    // MARK: - Translations

    private mutating func readTranslation() throws(RulesetError) -> NFTablesStatement? {
        let word = try tokens.takeAny()
        guard let kind = NFTablesTranslation.Kind(rawValue: String(word.text)) else { return nil }
        var translation = NFTablesTranslation(kind)
        // Whole networks to whole networks.
        if tokens.peek() == "prefix" || tokens.peek(1) == "prefix" { return nil }
        if tokens.peek(1) == "to", tokens.peek() == "ip" || tokens.peek() == "ip6" {
            translation.family = tokens.peek() == "ip" ? .ipv4 : .ipv6
            tokens.advance()
        }
        if tokens.take("to") {
            guard try readDestination(&translation) else { return nil }
        }
        while let word = tokens.peek() {
            let flags = word.split(separator: ",").map { NFTablesTranslation.Flag(rawValue: String($0)) }
            guard !flags.isEmpty, !flags.contains(nil) else { break }
            translation.flags += flags.compactMap(\.self)
            tokens.advance()
        }
        return .translate(translation)
    }

    /// What stands behind `to`. False when podnet cannot work it out.
    private mutating func readDestination(_ translation: inout NFTablesTranslation) throws(RulesetError) -> Bool {
        let family = translation.family ?? table.family.addresses
        if let expression = try readExpression() {
            guard let family, tokens.take("map") else { return false }
            let types = datatypes(of: expression)
            translation.address = .map(
                expression,
                try readReference(key: types, data: [.address(family), .inetService], from: .chain("")))
            // A second map for the port.
            return tokens.peek()?.first != ":"
        }
        let token = try tokens.takeAny()
        if nftWords.contains(String(token.text)) { return false }
        var address = token.text
        var port: Substring?
        if let bracket = address.firstIndex(of: "]"), address.first == "[" {
            let behind = address[bracket...].dropFirst()
            guard behind.isEmpty || behind.first == ":" else { return false }
            port = behind.isEmpty ? nil : behind.dropFirst()
            address = address[..<bracket].dropFirst()
        } else if address.first == ":" || family == .ipv4, let colon = address.lastIndex(of: ":") {
            port = address[colon...].dropFirst()
            address = address[..<colon]
        }
        if let port {
            guard let value = NFTablesDatatype.inetService.value(port) else { return false }
            translation.port = value
        }
        guard !address.isEmpty else { return true }
        guard let family, let value = NFTablesDatatype.address(family).value(address) else {
            throw error(token, "'\(token.text)' is no address to translate to", "10.0.0.1:80, or [fd00::1]:80")
        }
        translation.address = .value(value)
        return true
    }
}
