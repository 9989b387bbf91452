// podnet rules: what iptables-save prints on a node.
// The rules are those packets meet in the simulation; what iptables would print of them is Ruleset's.

import Addressing
import ArgumentParser
import Netstack
import Rendering
import Simulation

struct Rules: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the packet rules of a node, as iptables-save prints them.",
        discussion: """
            Counters are zero, and comment lines are left out, so that two nodes can be compared with diff.

            Exit code 0: shown. 2: there is no such node, or the input is wrong.
            """)

    enum Agent: String, ExpressibleByArgument, CaseIterable {
        case kubeProxy = "kube-proxy"
        case flannel, portmap, kubelet
    }

    enum Family: String, ExpressibleByArgument, CaseIterable {
        case ipv4, ipv6
    }

    enum Table: String, ExpressibleByArgument, CaseIterable {
        case filter, nat, mangle, raw, security
    }

    @Argument(help: "The node.") var node: String
    @Option(help: "Only what this agent wrote.") var agent: Agent?
    @Option(help: "iptables or ip6tables.") var family = Family.ipv4
    @Option(name: .shortAndLong, help: "Only this table.") var table: Table?
    @OptionGroup var cluster: ClusterOptions

    func run() throws {
        let realised = try cluster.cluster()
        var simulator = Simulator(realised, seed: cluster.seed)
        let name = node.hasPrefix("node/") ? String(node.dropFirst(5)) : node
        guard let ruleset = simulator.ruleset(of: name, family: family == .ipv4 ? .ipv4 : .ipv6) else {
            throw wrongInput("there is no node called \"\(name)\"", hint: "podnet get nodes shows them")
        }
        let tableName = table.flatMap { TableName(rawValue: $0.rawValue) }
        print(ruleset.keeping(agent: agent?.rawValue, table: tableName).savedText(), terminator: "")
    }
}
