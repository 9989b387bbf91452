// One rule from its words: the criteria every rule may have, then modules and the target with their options. Mirrors
// do_parse in iptables 1.8.9's libxtables/xtables.c and iptables/xshared.c: options may come in any order, and those of
// the protocol's module load it.

internal import Addressing
internal import Wire

/// Reads the words behind `-A CHAIN`.
struct RuleReader {
    let family: AddressFamily
    let table: TableName
    let chain: String
    /// The chains of the table, which a rule may lead to.
    let isChain: (String) -> Bool

    private var rule = Rule()
    private var modules: [ModuleUse] = []
    private var target: ModuleUse?
    private var seen: Set<String> = []
    private var reading: [SavedWord] = []
    private var position = 0

    init(family: AddressFamily, table: TableName, chain: String, isChain: @escaping (String) -> Bool) {
        self.family = family
        self.table = table
        self.chain = chain
        self.isChain = isChain
    }

    /// The rule, and the word that names the chain it leads to.
    mutating func read(_ words: ArraySlice<SavedWord>) throws(RulesetError) -> (rule: Rule, jump: SavedWord?) {
        reading = Self.modernised(words)
        var negation: SavedWord?
        while position < reading.count {
            let word = reading[position]
            position += 1
            if word.raw == "!" {
                if negation != nil { throw word.error("two exclamation marks in a row", hint: "remove both") }
                negation = word
                continue
            }
            if try !readCriterion(word, negation) { try readOption(word, negation) }
            negation = nil
        }
        if let negation { throw negation.error("an exclamation mark with nothing behind it", hint: "remove it") }
        for module in modules { rule.matches.append(try match(module)) }
        let jump = try readTarget()
        try check()
        return (rule, jump)
    }

    /// Today's order of words: iptables before 1.4.3 wrote `-s ! 10.0.0.0/8`, and getopt takes `--dport=80`.
    private static func modernised(_ words: ArraySlice<SavedWord>) -> [SavedWord] {
        var result: [SavedWord] = []
        for word in words {
            if let mark = result.last, mark.raw == "!", !word.raw.hasPrefix("-"), result.count >= 2,
                result[result.count - 2].raw.hasPrefix("-")
            {
                result.swapAt(result.count - 1, result.count - 2)
            }
            guard word.raw.hasPrefix("--"), let equals = word.raw.firstIndex(of: "="), word.raw == word.text else {
                result.append(word)
                continue
            }
            let (option, value) = (String(word.raw[..<equals]), String(word.raw[equals...].dropFirst()))
            result.append(SavedWord(text: option, raw: option, line: word.line, column: word.column))
            result.append(
                SavedWord(
                    text: value, raw: value, line: word.line,
                    column: word.column + option.unicodeScalars.count + 1))
        }
        return result
    }

    // MARK: what every rule may have

    private mutating func value(of option: SavedWord) throws(RulesetError) -> SavedWord {
        guard position < reading.count else {
            throw option.error("\(option.text) needs a value", hint: "write it behind the option")
        }
        position += 1
        return reading[position - 1]
    }

    private mutating func once(_ option: SavedWord, _ name: String) throws(RulesetError) {
        if !seen.insert(name).inserted {
            throw option.error("\(option.text) stands twice in one rule", hint: "make two rules of it")
        }
    }

    private func refuse(_ negation: SavedWord?, before option: SavedWord) throws(RulesetError) {
        if let negation { throw negation.error("\(option.text) cannot be negated", hint: "remove the !") }
    }

    /// False when the word belongs to a module.
    private mutating func readCriterion(
        _ word: SavedWord, _ negation: SavedWord?
    ) throws(RulesetError) -> Bool {
        let isNegated = negation != nil
        switch word.raw {
        case "-s", "--source", "--src": try readAddress(.source, word, isNegated)
        case "-d", "--destination", "--dst": try readAddress(.destination, word, isNegated)
        case "-i", "--in-interface":
            try once(word, "-i")
            rule.ingress = link(try value(of: word).interface(), isNegated)
        case "-o", "--out-interface":
            try once(word, "-o")
            rule.egress = link(try value(of: word).interface(), isNegated)
        // -m policy has an option of that name.
        case "--proto" where modules.last?.name == "policy": return false
        case "-p", "--protocol", "--proto":
            try once(word, "-p")
            let name = try value(of: word)
            let known = try name.protocol()
            if known.rawValue == 0, isNegated { throw name.error("no packet has another protocol than any") }
            rule.protocol = known.rawValue == 0 ? nil : Negatable(known, isNegated: isNegated)
        case "-f", "--fragment":
            try once(word, "-f")
            if family == .ipv6 { throw word.error("IPv6 rules have no -f", hint: "use -m frag") }
            rule.matches.append(.laterFragment(Negatable(true, isNegated: isNegated)))
        case "-c", "--set-counters":
            try refuse(negation, before: word)
            for _ in 0..<2 { let _: UInt64 = try value(of: word).number("count") }
        case "-m", "--match":
            try refuse(negation, before: word)
            try load(value(of: word))
        case "-j", "--jump", "-g", "--goto":
            try refuse(negation, before: word)
            if target != nil { throw word.error("a rule has one target", hint: "make two rules of it") }
            try loadTarget(value(of: word), goes: word.raw == "-g" || word.raw == "--goto")
        default: return false
        }
        return true
    }

    private mutating func readAddress(
        _ end: SetDirection, _ word: SavedWord, _ isNegated: Bool
    ) throws(RulesetError) {
        try once(word, end.rawValue)
        let (address, mask) = try value(of: word).maskedAddress(family)
        guard let length = mask.prefixLength else {
            rule.matches.append(.maskedAddress(.init(end, address, mask: mask, isNegated: isNegated)))
            return
        }
        // Everything is no criterion.
        if length == 0, !isNegated { return }
        let prefix = Negatable(IPPrefix(address, length: length), isNegated: isNegated)
        if end == .source { rule.source = prefix } else { rule.destination = prefix }
    }

    private func link(_ pattern: InterfacePattern, _ isNegated: Bool) -> Negatable<InterfacePattern>? {
        pattern.text == "+" && !isNegated ? nil : Negatable(pattern, isNegated: isNegated)
    }

    // MARK: modules and their options

    private mutating func load(_ name: SavedWord) throws(RulesetError) {
        let known = RuleVocabulary.matchOptions(name.text, family)
        guard known != nil || RuleVocabulary.isUnevaluatedMatch(name.text, family) else {
            throw name.error(
                "iptables has no match '\(name.text)'", hint: "is the name behind -m spelled as in iptables?")
        }
        modules.append(ModuleUse(word: name, name: name.text, isTarget: false, known: known))
    }

    private mutating func loadTarget(_ name: SavedWord, goes: Bool) throws(RulesetError) {
        if goes {
            guard isChain(name.text) else { throw missing(name) }
            target = ModuleUse(word: name, name: name.text, isTarget: true, known: [:])
            rule.target = .goto(name.text)
            return
        }
        let known = RuleVocabulary.targetOptions(name.text, family)
        if known != nil || RuleVocabulary.isUnevaluatedTarget(name.text, family) {
            target = ModuleUse(word: name, name: name.text, isTarget: true, known: known)
            if let tables = RuleVocabulary.tables(of: name.text), !tables.contains(table) {
                throw name.error(
                    "\(name.text) does not work in table \(table.rawValue)",
                    hint: "it belongs into " + tables.map(\.rawValue).joined(separator: ", "))
            }
        } else if isChain(name.text) {
            target = ModuleUse(word: name, name: name.text, isTarget: true, known: [:])
            rule.target = .jump(name.text)
        } else {
            throw missing(name)
        }
    }

    private func missing(_ name: SavedWord) -> RulesetError {
        name.error(
            "there is no chain '\(name.text)' in table \(table.rawValue), and no such target",
            hint: "declare it with a line ':\(name.text) - [0:0]'")
    }

    /// An option of the target or of a module, the last one loaded first.
    private mutating func readOption(_ word: SavedWord, _ negation: SavedWord?) throws(RulesetError) {
        for isWhole in [true, false] {
            if let known = target?.option(word.text, isWhole: isWhole) {
                try take(known, word, negation) { reader, name, option, raw in
                    reader.target?.options[name] = option
                    reader.target?.raw += raw
                }
                return
            }
            guard let owner = modules.lastIndex(where: { $0.option(word.text, isWhole: isWhole) != nil }),
                let known = modules[owner].option(word.text, isWhole: isWhole)
            else { continue }
            if modules[owner].has(known.name) {
                throw word.error("\(word.text) stands twice", hint: "load the module a second time with -m")
            }
            try take(known, word, negation) { reader, name, option, raw in
                reader.modules[owner].options[name] = option
                reader.modules[owner].raw += raw
            }
            return
        }
        // What is not evaluated takes all words up to the next that begins something else.
        let raw = (negation.map { [$0.raw] } ?? []) + [word.raw]
        if let target, target.known == nil {
            self.target?.raw += raw
            return
        }
        if let last = modules.indices.last, modules[last].known == nil {
            modules[last].raw += raw
            return
        }
        guard let `protocol` = rule.protocol, !`protocol`.isNegated,
            let module = RuleVocabulary.implicitModule(of: `protocol`.value),
            !modules.contains(where: { $0.name == module }), word.text.hasPrefix("-")
        else {
            throw word.error(
                word.text.hasPrefix("-")
                    ? "no match or target of this rule has an option \(word.text)"
                    : "'\(word.text)' belongs to nothing",
                hint: "options stand behind the -m or -j they belong to")
        }
        try load(SavedWord(text: module, raw: module, line: word.line, column: word.column))
        try readOption(word, negation)
    }

    private mutating func take(
        _ known: RuleOption, _ word: SavedWord, _ negation: SavedWord?,
        _ store: (inout RuleReader, String, ModuleUse.Option, [String]) -> Void
    ) throws(RulesetError) {
        if !known.mayBeNegated { try refuse(negation, before: word) }
        if target?.has(known.name) == true {
            throw word.error("\(word.text) stands twice", hint: "keep one of the two")
        }
        var values: [SavedWord] = []
        for _ in 0..<known.valueCount { values.append(try value(of: word)) }
        let option = ModuleUse.Option(isNegated: negation != nil, word: word, values: values)
        store(&self, known.name, option, (negation.map { [$0.raw] } ?? []) + [word.raw] + values.map(\.raw))
    }

    // MARK: matches and targets from their options

    private func match(_ module: ModuleUse) throws(RulesetError) -> Match {
        guard module.isEvaluated else { return .unevaluated(module: module.name, text: module.text) }
        try checkProtocol(of: module)
        return try MatchReader(module: module, family: family).match()
    }

    /// The word that names a chain, when the rule leads to one.
    private mutating func readTarget() throws(RulesetError) -> SavedWord? {
        guard let target else { return nil }
        if rule.target != nil {
            if let extra = target.options.first { throw extra.value.word.error("a chain takes no options") }
            return target.word
        }
        rule.target =
            try target.isEvaluated
            ? TargetReader(use: target, family: family, protocol: rule.protocol).target()
            : .unevaluated(name: target.name, text: target.text)
        return nil
    }

    private func checkProtocol(of module: ModuleUse) throws(RulesetError) {
        let given = rule.protocol.flatMap { $0.isNegated ? nil : $0.value }
        switch module.name {
        case "tcp", "udp", "sctp", "dccp", "icmp", "icmp6":
            guard let given, RuleVocabulary.implicitModule(of: given) == module.name else {
                throw module.word.error(
                    "-m \(module.name) needs -p \(module.name)", hint: "add -p \(module.name) to the rule")
            }
        case "multiport":
            let numbers: [UInt8] = [6, 17, 33, 132, 136]
            guard let given, numbers.contains(given.rawValue) else {
                throw module.word.error(
                    "-m multiport needs a protocol with ports", hint: "add -p tcp, udp, udplite, dccp or sctp")
            }
        default: break
        }
    }

    private func check() throws(RulesetError) {
        let here = reading.first ?? SavedWord(text: "", raw: "", line: 0, column: 1)
        func refuse(_ option: String) throws(RulesetError) {
            throw (reading.first { $0.raw == option } ?? here).error(
                "\(option) says nothing in \(chain)", hint: "packets there have no such link")
        }
        if rule.egress != nil, chain == "PREROUTING" || chain == "INPUT" { try refuse("-o") }
        if rule.ingress != nil, chain == "POSTROUTING" || chain == "OUTPUT" { try refuse("-i") }
        if case .setSegmentSize = rule.target {
            guard rule.protocol == Negatable(.tcp) else {
                throw (target?.word ?? here).error(
                    "TCPMSS works on TCP alone", hint: "add -p tcp --tcp-flags SYN,RST SYN to the rule")
            }
        }
    }
}
