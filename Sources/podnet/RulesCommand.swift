// podnet rules: the packet rules of a node as its tools print them, and how the rules of a real node differ from them.
// The rules are those packets meet in the simulation; the texts are Netstack's, the comparison is Rendering's.

import Addressing
import ArgumentParser
import Kubernetes
import Manifests
import Netstack
import Rendering
import Simulation

struct Rules: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the packet rules of a node, as iptables-save, nft or ipvsadm print them.",
        discussion: """
            In iptables mode this is what iptables-save prints, in nftables mode what nft list ruleset prints of the \
            family, in ipvs mode what ipvsadm -S -n, ipset save and iptables-save print. Counters are zero, and \
            comment lines are left out, so that two nodes can be compared with diff.

            --against compares a dump of a real node with what kube-proxy should have written there. Services stand \
            in the order of their names first, because kube-proxy writes them in random order.

            Exit code 0: shown, or equal. 1: the dump differs. 2: there is no such node, or the input is wrong.
            """)

    enum Agent: String, ExpressibleByArgument, CaseIterable {
        case kubeProxy = "kube-proxy"
        case flannel, bridge, portmap, kubelet
    }

    enum Family: String, ExpressibleByArgument, CaseIterable {
        case ipv4, ipv6

        var family: AddressFamily { self == .ipv4 ? .ipv4 : .ipv6 }
    }

    enum Table: String, ExpressibleByArgument, CaseIterable {
        case filter, nat, mangle, raw, security
    }

    @Argument(help: "The node.") var node: String
    @Option(help: "Only what this agent wrote; of kube-proxy, what it would write on a clean node.") var agent: Agent?
    @Option(help: "The rules for packets of this family; ipv4 unless given, or the family of the node's only dump.")
    var family: Family?
    @Option(name: .shortAndLong, help: "Only this iptables table.") var table: Table?
    @Option(
        help: ArgumentHelp("Show how this dump differs from what kube-proxy should have written.", valueName: "file"))
    var against: String?
    @OptionGroup var cluster: ClusterOptions

    func run() throws {
        let realised = try cluster.cluster()
        var simulator = Simulator(realised, seed: cluster.seed)
        let name = node.hasPrefix("node/") ? String(node.dropFirst(5)) : node
        // What a dump is of says which rules it is about.
        let dump = try against.map { try RulesDump(path: $0, family: family?.family) }
        let asked = family?.family ?? dump?.family ?? realised.dumpedFamily(of: name)
        guard let rules = simulator.rules(of: name, family: asked) else {
            throw wrongInput("there is no node called \"\(name)\"", hint: "podnet get nodes shows them")
        }
        if let against, let dump { return try compare(rules, with: dump, from: against) }
        print(text(rules), terminator: "")
    }

    private func text(_ rules: NodeRules) -> String {
        let tableName = table.flatMap { TableName(rawValue: $0.rawValue) }
        let tables = rules.nftables.keeping(agent: agent?.rawValue)
        let isWholeDump = rules.isDump && family == nil
        // All of a dump, as it was; of what agents wrote, the family that is asked for.
        let listing = (isWholeDump ? tables : tables.keeping((family ?? .ipv4).family)).listing()
        let isKubeProxys = agent == nil || agent == .kubeProxy
        var text = ""
        if table == nil, !tables.tables.isEmpty {
            // Beside kube-proxy's iptables rules flannel may have tables alone.
            if agent != nil || tables.tables.contains(where: { $0.agent != "flannel" }) { return listing }
            text += "# nft list ruleset\n\(listing)# iptables-save\n"
        }
        if isKubeProxys, table == nil, !rules.virtualServers.isEmpty || !rules.sets.isEmpty {
            text += "# ipvsadm -S -n\n\(rules.virtualServers.savedText())"
            text += "# ipset save\n" + rules.sets.map(\.savedText).joined()
            text += "# iptables-save\n"
        }
        // kubelet makes one of kube-proxy's chains first, so kube-proxy's rules are shown as on a clean node.
        let written = agent == .kubeProxy ? rules.kubeProxys : rules.iptables
        let isWhole = agent == nil && tableName == nil
        return text + (isWhole ? written : written.keeping(agent: agent?.rawValue, table: tableName)).savedText()
    }

    /// Prints how a dump differs from what kube-proxy should have written.
    private func compare(_ rules: NodeRules, with dump: RulesDump, from path: String) throws {
        let expected: [RuleSection]
        let actual: [RuleSection]
        switch dump.rules {
        case .iptables(let ruleset, _):
            expected = rules.kubeProxys.kubeProxySections()
            actual = ruleset.kubeProxySections(of: rules.kubeProxys)
        case .nftables(let ruleset):
            // `nft list table` prints one family, and says nothing about the other.
            let titles = Set(ruleset.tables.map(\.title))
            let asked = rules.nftables.tables.filter { titles.contains($0.title) }
            expected = NFTablesRuleset(asked.isEmpty ? rules.nftables.tables : asked).kubeProxySections()
            actual = ruleset.kubeProxySections()
        }
        let drifts = RuleDrift.between(expected: expected, actual: actual)
        print(RuleDrift.text(drifts), terminator: "")
        if drifts.isEmpty { return }
        let (missing, extra) = drifts.reduce((0, 0)) { ($0.0 + $1.missing.count, $0.1 + $1.extra.count) }
        let moved = drifts.count { $0.firstMoved != nil }
        printError(
            "podnet: \(path) lacks \(missing) \(missing == 1 ? "line" : "lines") and has \(extra) more than kube-proxy "
                + "would have written" + (moved > 0 ? "; in \(moved) more sections the order differs" : ""))
        if case .nftables = dump.rules, !rules.nftables.tables.contains(where: { $0.name == "kube-proxy" }) {
            printError("  hint: kube-proxy is not in nftables mode here; --proxy-mode nftables makes it so")
        }
        throw ExitCode(1)
    }
}

extension RulesDump {
    /// Reads a dump from a file; what is not evaluated goes to standard error, and what is wrong ends the program.
    init(path: String, family: AddressFamily? = nil) throws {
        let text: String
        do throws(ManifestError) {
            text = try LoadedManifests.text(ofFile: path)
        } catch {
            printError("podnet: \(error)")
            throw ExitCode(2)
        }
        try self.init(text, from: path, family: family)
    }

    init(_ text: String, from source: String, family: AddressFamily? = nil) throws {
        do throws(RulesetError) {
            try self.init(text, family: family)
        } catch {
            throw wrongInput("\(source):\(error.line):\(error.column): \(error.message)", hint: error.hint)
        }
        for notice in notices { printError("\(source):\(notice.line): warning: \(notice.message)") }
    }
}
