// The text of `nft list ruleset`, to the blank: nft 1.0.6 prints a ruleset back the same way however it was written.
// Mirrors the print functions of src/rule.c, src/statement.c and src/expression.c.

internal import Addressing

extension NFTablesRuleset {
    /// What `nft list ruleset` prints.
    public func listing() -> String { tables.map { $0.listing() }.joined() }
}

extension NFTablesTable {
    /// What `nft list table FAMILY NAME` prints.
    public func listing() -> String {
        var text = heading.map { $0 + "\n" }.joined() + "table \(title) {\n"
        text += attributes.map { "\t\($0)\n" }.joined()
        if let comment { text += "\tcomment \"\(comment)\"\n" }
        var isFirst = attributes.isEmpty
        func separate() {
            if !isFirst { text += "\n" }
            isFirst = false
        }
        for object in objects {
            separate()
            text += object
        }
        for set in sets {
            separate()
            set.write(to: &text)
        }
        for chain in chains {
            separate()
            chain.write(to: &text, in: family)
        }
        return text + "}\n"
    }
}

extension NFTablesSet {
    func write(to text: inout String) {
        if let asRead {
            text += asRead
            return
        }
        text += data == nil ? "\tset \(name) {\n" : "\tmap \(name) {\n"
        if let typeof {
            text += "\t\ttypeof \(typeof)\n"
        } else {
            text += "\t\ttype \(typeNames(key))" + (data.map { " : \(typeNames($0))" } ?? "") + "\n"
        }
        if let policy { text += "\t\tpolicy \(policy)\n" }
        if let size { text += "\t\tsize \(size)\n" }
        if !flags.isEmpty { text += "\t\tflags \(flags.map(\.rawValue).joined(separator: ","))\n" }
        if let statements { text += "\t\t\(statements)\n" }
        if let timeout { text += "\t\ttimeout \(durationText(timeout))\n" }
        if let collectionInterval { text += "\t\tgc-interval \(durationText(collectionInterval))\n" }
        if mergesIntervals { text += "\t\tauto-merge\n" }
        if let comment { text += "\t\tcomment \"\(comment)\"\n" }
        if !elements.isEmpty {
            text += "\t\telements = { "
            let perLine = key.count == 1 ? key[0].elementsPerLine : 1
            for (position, element) in elements.enumerated() {
                if position > 0 { text += position % perLine == 0 ? ",\n\t\t\t     " : ", " }
                text += element.description
            }
            text += " }\n"
        }
        text += "\t}\n"
    }
}

private func typeNames(_ types: [NFTablesDatatype]) -> String { types.map(\.rawValue).joined(separator: " . ") }

extension NFTablesChain {
    func write(to text: inout String, in family: NFTablesFamily) {
        text += "\tchain \(name) {\n"
        if let comment { text += "\t\tcomment \"\(comment)\"\n" }
        if let base { text += "\t\t\(base.asRead ?? base.text(in: family))\n" }
        for rule in rules { text += "\t\t\(rule)\n" }
        text += "\t}\n"
    }
}

extension NFTablesBaseChain {
    func text(in family: NFTablesFamily) -> String {
        let priority = Self.priorityText(priority, at: place, in: family)
        return "type \(kind.rawValue) hook \(place) priority \(priority); policy \(policy.nftablesName);"
    }

    /// The priorities that have names. `dstnat` and `srcnat` are names only where that NAT happens.
    static func priorityNames(at place: String, in family: NFTablesFamily) -> [(name: String, value: Int)] {
        if family == .bridge {
            return [("dstnat", -300), ("filter", -200), ("out", 100), ("srcnat", 300)]
        }
        var names = [("raw", -300), ("mangle", -150), ("filter", 0), ("security", 50)]
        if place == "prerouting" { names.append(("dstnat", -100)) }
        if place == "postrouting" { names.append(("srcnat", 100)) }
        return family == .netdev || family == .arp ? [("filter", 0)] : names
    }

    /// A name, a name and up to ten more or less, or the number.
    static func priorityText(_ priority: Int, at place: String, in family: NFTablesFamily) -> String {
        let names = priorityNames(at: place, in: family)
        if let exact = names.first(where: { $0.value == priority }) { return exact.name }
        guard let near = names.first(where: { ($0.value - 10...$0.value + 10).contains(priority) }) else {
            return String(priority)
        }
        let distance = priority - near.value
        return distance > 0 ? "\(near.name) + \(distance)" : "\(near.name) - \(-distance)"
    }
}

extension ChainPolicy {
    var nftablesName: String { rawValue.lowercased() }
}

/// `1d`, `1h30m`, `9m59s992ms`.
func durationText(_ duration: Nanoseconds) -> String {
    var milliseconds = duration / 1_000_000
    var text = ""
    for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] as [(_, Int64)] {
        let count = milliseconds / length
        if count > 0 { text += "\(count)\(unit)" }
        milliseconds -= count * length
    }
    return text.isEmpty ? "0s" : text
}

extension NFTablesElement: CustomStringConvertible {
    public var description: String {
        var text = key.description
        if let statements { text += " \(statements)" }
        if let timeout { text += " timeout \(durationText(timeout))" }
        if let expires { text += " expires \(durationText(expires))" }
        if let comment { text += " comment \"\(comment)\"" }
        if let data { text += " : \(data)" }
        return text
    }
}

extension NFTablesValue: CustomStringConvertible {
    public var description: String {
        switch self {
        case .address(let address): address.description
        case .prefix(let prefix): prefix.description
        case .number(let number): String(number)
        case .mark(let mark):
            "0x" + String(repeating: "0", count: (mark.leadingZeroBitCount / 4).clamped(to: 0...7))
                + String(mark, radix: 16)
        case .symbol(let word, _): word
        case .name(let name): "\"\(name)\""
        case .flags(let bits): bits.map(\.description).joined(separator: ",")
        // As nft writes a mask of a mark that begins at the highest bit.
        case .masked(let bits, .mark(let mask)): "\(bits)/\((~mask).leadingZeroBitCount)"
        case .masked(let bits, let mask): "\(bits) / \(mask)"
        case .range(let low, let high): "\(low)-\(high)"
        case .concatenation(let parts): parts.map(\.description).joined(separator: " . ")
        case .verdict(let verdict): verdict.description
        case .any: "*"
        }
    }
}

extension Int {
    fileprivate func clamped(to range: ClosedRange<Int>) -> Int {
        Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
    }
}

extension NFTablesVerdict: CustomStringConvertible {
    public var description: String {
        switch self {
        case .accept: "accept"
        case .drop: "drop"
        case .return: "return"
        case .continue: "continue"
        case .jump(let chain): "jump \(chain)"
        case .goto(let chain): "goto \(chain)"
        }
    }
}

extension NFTablesSetReference: CustomStringConvertible {
    public var description: String {
        switch self {
        case .named(let name): "@\(name)"
        case .anonymous(let elements): "{ \(elements.map(\.description).joined(separator: ", ")) }"
        }
    }
}

extension NFTablesExpression: CustomStringConvertible {
    public var description: String {
        switch self {
        case .field(let field): field.rawValue
        case .fib(let fib):
            "fib \(fib.keys.map(\.rawValue).joined(separator: " . ")) \(fib.result.rawValue)"
        case .numgen(let isRandom, let modulus, let offset):
            "numgen \(isRandom ? "random" : "inc") mod \(modulus)" + (offset > 0 ? " offset \(offset)" : "")
        case .concatenation(let parts): parts.map(\.description).joined(separator: " . ")
        case .bitwise(let left, let `operator`, let right): "\(left) \(`operator`.rawValue) \(right)"
        case .map(let key, let map): "\(key) map \(map)"
        case .set(let reference): reference.description
        case .value(let value): value.description
        }
    }
}

extension NFTablesStatement: CustomStringConvertible {
    public var description: String {
        switch self {
        case .match(let left, let comparison, let right):
            comparison == .implicit ? "\(left) \(right)" : "\(left) \(comparison.rawValue) \(right)"
        case .verdict(let verdict): verdict.description
        case .verdictMap(let key, let map): "\(key) vmap \(map)"
        case .set(let field, let value): "\(field.rawValue) set \(value)"
        case .translate(let translation): translation.description
        case .reject(.portUnreachable): "reject"
        case .reject(.tcpReset): "reject with tcp reset"
        case .reject(.icmp(let `protocol`, let code)): "reject with \(`protocol`) \(code)"
        case .counter(let packets, let bytes): "counter packets \(packets) bytes \(bytes)"
        case .log(let options): options.isEmpty ? "log" : "log \(options)"
        case .limit(let limit): limit.description
        case .notrack: "notrack"
        case .update(let update): update.description
        case .unevaluated(let text): text
        }
    }
}

extension NFTablesTranslation: CustomStringConvertible {
    public var description: String {
        var text = kind.rawValue
        if let family { text += family == .ipv4 ? " ip" : " ip6" }
        if address != nil || port != nil { text += " to " }
        if let address {
            // A port behind an IPv6 address needs brackets around that.
            let plain = address.description
            text += port != nil && plain.contains(":") ? "[\(plain)]" : plain
        }
        if let port { text += ":\(port)" }
        if !flags.isEmpty { text += " \(flags.map(\.rawValue).joined(separator: ","))" }
        return text
    }
}

extension NFTablesLimit: CustomStringConvertible {
    public var description: String {
        var text = "limit rate \(isOver ? "over " : "")\(rate)\(unit.map { " \($0)" } ?? "")/\(period)"
        if let burst { text += " burst \(burst) \(burstUnit ?? "packets")" }
        return text
    }
}

extension NFTablesSetUpdate: CustomStringConvertible {
    public var description: String {
        let timeout = timeout.map { " timeout \(durationText($0))" } ?? ""
        return "\(operation.rawValue) @\(set) { \(key)\(timeout) }"
    }
}

extension NFTablesRule: CustomStringConvertible {
    /// The rule as nft lists it.
    public var description: String { asRead ?? written }

    /// What printing the statements gives.
    var written: String {
        let text = statements.map(\.description).joined(separator: " ")
        guard let comment else { return text }
        return text.isEmpty ? "comment \"\(comment)\"" : "\(text) comment \"\(comment)\""
    }
}
