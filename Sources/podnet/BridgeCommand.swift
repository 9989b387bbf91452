// podnet bridge: ports and forwarding entries of a node's bridge and VXLAN device, as iproute2's bridge shows them.
// The words behind NODE are those of bridge(8), as far as podnet has an answer.

import ArgumentParser
import Rendering

struct BridgeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bridge",
        abstract: "Show forwarding entries or bridge ports of a node, as bridge prints them.",
        discussion: """
            OBJECT is fdb or link, and may be followed by show, by dev NAME, and for fdb by br NAME. The cluster is \
            shown before its first packet: the bridge has learned nothing yet.

            Exit code 0: shown. 1: there is no such device. 2: there is no such node, or the input is wrong.
            """)

    @Argument(help: "The node.") var node: String
    @Argument(help: ArgumentHelp("fdb or link.", valueName: "object")) var words: [String]
    @Flag(name: .shortAndLong, help: "Print JSON.") var json = false
    @Flag(name: .shortAndLong, help: "Show the settings of each port too.") var details = false
    @OptionGroup var cluster: ClusterOptions

    func run() throws {
        let question = try BridgeQuestion(words)
        let state = try cluster.state(of: node)
        do throws(NamespaceQuestionError) {
            let answer =
                question.isForwarding
                ? try state.forwardingEntries(bridge: question.bridge, dev: question.device)
                : try state.bridgePorts(dev: question.device, details: details)
            print(json ? answer.json.compactText() + "\n" : answer.text, terminator: "")
        } catch {
            printError(error.message)
            throw ExitCode(1)
        }
    }
}

/// The words behind `bridge`.
private struct BridgeQuestion {
    var isForwarding: Bool
    var bridge: String?
    var device: String?

    init(_ words: [String]) throws {
        guard let first = words.first, first == "fdb" || first == "link" else {
            throw wrongUsage("\"\(words.first ?? "")\" is nothing bridge shows here", hint: "one of fdb, link")
        }
        isForwarding = first == "fdb"
        var rest = words.dropFirst()
        if let verb = rest.first, ["show", "list", "ls", "lst"].contains(verb) { rest.removeFirst() }
        while let word = rest.popFirst() {
            guard word == "dev" || word == "br" && isForwarding, let name = rest.popFirst() else {
                throw wrongUsage("\"\(word)\" means nothing to podnet bridge", hint: "it takes show, dev NAME, br NAME")
            }
            if word == "dev" { device = name } else { bridge = name }
        }
    }
}
