// Which chains lead to which, by rules and by the verdicts in maps. Like the kernel when it loads a ruleset
// (nf_tables_check_loops), podnet refuses jumps to nowhere, jumps to base chains and loops, and names them.

/// The jumps of one table.
struct NFTablesCalls {
    /// Where a verdict stands, and where one leads: a chain, or a map of the table.
    enum Caller: Hashable {
        case chain(String)
        case set(String)
    }

    private struct Call {
        var callee: Caller
        var token: NFTablesToken
    }

    private var chains: Set<String> = []
    private var baseChains: Set<String> = []
    /// In the order they were read.
    private var callers: [Caller] = []
    private var calls: [Caller: [Call]] = [:]

    /// False when there is a chain of that name already.
    mutating func define(_ chain: String) -> Bool { chains.insert(chain).inserted }
    mutating func markAsBase(_ chain: String) { baseChains.insert(chain) }

    mutating func add(_ callee: Caller, to caller: Caller, at token: NFTablesToken?) {
        guard let token else { return }
        if calls[caller] == nil { callers.append(caller) }
        calls[caller, default: []].append(Call(callee: callee, token: token))
    }

    func check(_ table: NFTablesTable) throws(RulesetError) {
        for caller in callers {
            for call in calls[caller] ?? [] {
                guard case .chain(let name) = call.callee else { continue }
                guard chains.contains(name) else {
                    throw error(call, "\(table.title) has no chain \(name)", "add the chain, or correct its name")
                }
                guard !baseChains.contains(name) else {
                    throw error(call, "\(name) is a base chain: nothing can jump there", "jump to a regular chain")
                }
            }
        }
        try checkLoops()
    }

    /// Walks down from every caller with a stack of its own, so that a long path costs no depth.
    private func checkLoops() throws(RulesetError) {
        var finished: Set<Caller> = []
        for start in callers where !finished.contains(start) {
            var path = [(caller: start, next: 0)]
            var onPath: Set<Caller> = [start]
            while let (caller, next) = path.last {
                let list = calls[caller] ?? []
                guard next < list.count else {
                    path.removeLast()
                    onPath.remove(caller)
                    finished.insert(caller)
                    continue
                }
                path[path.count - 1].next += 1
                let call = list[next]
                if onPath.contains(call.callee) {
                    var names = path.drop { $0.caller != call.callee }.map { Self.name($0.caller) }
                    if names.count > 8 { names.replaceSubrange(4..<names.count - 3, with: ["…"]) }
                    names.append(Self.name(call.callee))
                    throw error(
                        call, "chains call each other in a loop: \(names.joined(separator: ", "))",
                        "the kernel refuses such a ruleset: remove one of the jumps")
                }
                guard !finished.contains(call.callee) else { continue }
                path.append((call.callee, 0))
                onPath.insert(call.callee)
            }
        }
    }

    private static func name(_ caller: Caller) -> String {
        switch caller {
        case .chain(let name): name
        case .set(let name): "@\(name)"
        }
    }

    private func error(_ call: Call, _ message: String, _ hint: String) -> RulesetError {
        RulesetError(line: call.token.line, column: call.token.column, message, hint: hint)
    }
}
