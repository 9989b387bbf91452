// podnet conntrack: the connection table of a node, as conntrack -L shows it.
// The summary goes to standard error, as the tool's does.

import ArgumentParser
import Rendering

struct Conntrack: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the connection table of a node, as conntrack -L prints it.",
        discussion: """
            The cluster is shown before its first packet, so its tables are empty; podnet trace tells what each \
            connection becomes.

            Exit code 0: shown. 2: there is no such node, or the input is wrong.
            """)

    @Argument(help: "The node.") var node: String
    @OptionGroup var cluster: ClusterOptions

    func run() throws {
        let (text, summary) = try cluster.state(of: node).connections()
        print(text, terminator: "")
        printError(summary)
    }
}
