// One order for two dumps of the same kube-proxy state. kube-proxy walks its Services in random order, so in the chains
// all of them share the order between Services is random; the order of one port's rules there, and of all rules
// elsewhere, is fixed. Tables, and the declarations of chains, have no order that means anything.

/// The dump in canonical order, counters and comment lines removed.
func canonicalRules(_ dump: String) -> [String] {
    let shared: Set<Substring> = ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"]
    var tables: [(name: String, chains: [String], rules: [(chain: Substring, text: String)])] = []
    for line in dump.split(separator: "\n") {
        let words = line.split(separator: " ")
        switch line.first {
        case "*": tables.append((String(line), [], []))
        case ":" where !tables.isEmpty: tables[tables.count - 1].chains.append("\(words[0]) \(words[1])")
        case "-" where !tables.isEmpty: tables[tables.count - 1].rules.append((words[1], String(line)))
        default: break
        }
    }

    var result: [String] = []
    for table in tables.sorted(by: { $0.name < $1.name }) {
        result.append(table.name)
        result += table.chains.sorted()
        for chain in Set(table.rules.map(\.chain)).sorted() {
            var rules = table.rules.filter { $0.chain == chain }.map(\.text)
            // The standard library's sort is stable, which keeps the order of one port's rules.
            if shared.contains(chain) { rules.sort { sortKey($0).lexicographicallyPrecedes(sortKey($1)) } }
            result += rules
        }
    }
    return result
}

/// Service ports by name; the jumps to the node ports behind all of them, by their text.
private func sortKey(_ rule: String) -> [String] {
    if rule.contains("must be the last rule") { return ["1", rule] }
    let quotes = rule.split(separator: "--comment \"", maxSplits: 1)
    let name = quotes.count == 2 ? quotes[1].prefix { $0 != "\"" && $0 != " " } : ""
    return ["0", String(name)]
}

/// The lines only one of the dumps has, each marked with the side it stands on; reads like a small diff.
func difference(expected: [String], actual: [String]) -> [String] {
    actual.difference(from: expected).map { change in
        switch change {
        case .insert(_, let line, _): "+ \(line)"
        case .remove(_, let line, _): "- \(line)"
        }
    }
}
