// podnet conntrack: the connection table of a node, as conntrack -L shows it.
// The summary goes to standard error, as the tool's does.

import ArgumentParser
import Rendering
import Simulation

struct Conntrack: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the connection table of a node, as conntrack -L prints it.",
        discussion: """
            Before its first packet the tables of a cluster are empty. With a SOURCE and a DESTINATION, spelled as for \
            podnet trace, the table is shown as that request and its answer leave it.

            Exit code 0: shown. 2: there is no such node, or the input is wrong.
            """)

    @Argument(help: "The node.") var node: String
    @Argument(help: "Who sends a request first.") var source: String?
    @Argument(help: "What it asks for.") var destination: String?
    @OptionGroup var flow: FlowOptions
    @OptionGroup var cluster: ClusterOptions

    func validate() throws {
        if source != nil && destination == nil { throw ValidationError("A SOURCE needs a DESTINATION.") }
    }

    func run() throws {
        let state = try cluster.state(of: node) { realised, simulator in
            guard let source, let destination else { return }
            let request = try flow.request(
                from: source, to: destination, in: realised, namespace: cluster.namespace, &simulator)
            _ = simulator.run(request)
        }
        let (text, summary) = state.connections()
        print(text, terminator: "")
        printError(summary)
    }
}
