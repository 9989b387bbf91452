// podnet get: the objects of the realised cluster, as kubectl get shows them.
// Thin: which objects and in which words is ObjectListing's, how they look PrintedObject's.

import ArgumentParser
import Rendering

struct Get: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the objects of the cluster, with all that was absent filled in.",
        discussion: """
            KIND is pods (po), services (svc), endpoints (ep), endpointslices, nodes (no), namespaces (ns), \
            deployments (deploy), replicasets (rs), daemonsets (ds), statefulsets (sts), jobs, cronjobs (cj), \
            replicationcontrollers (rc), configmaps (cm), networkpolicies (netpol), hosts, underlays, several of them \
            with commas between, or all for the workloads and Services. KIND/NAME works too.

            What -o yaml and -o json print can be read again with -f. AGE counts to the start of virtual time, or to \
            the newest creationTimestamp of the input when that is later.

            Exit code 0: shown. 1: a name was not found. 2: wrong input. 64: there is no such kind.
            """)

    enum Output: String, ExpressibleByArgument, CaseIterable {
        case wide, name, yaml, json
    }

    @Argument(help: ArgumentHelp("The kind, and the names; no name means all.", valueName: "kind"))
    var words: [String]
    @Flag(name: [.customShort("A"), .long], help: "Look in all namespaces.") var allNamespaces = false
    @Option(name: .shortAndLong, help: "How to print; without it, a table.") var output: Output?
    @Option(name: [.customShort("l"), .long], help: "Only objects with these labels, such as app=web,tier!=cache.")
    var selector: String?
    @Flag(help: "Add a column with the labels.") var showLabels = false
    @Flag(help: "Leave out the headings.") var noHeaders = false
    @OptionGroup var cluster: ClusterOptions

    func run() throws {
        do {
            let question = try ObjectQuestion(words)
            let labels = try selector.map { (text) throws(ObjectQuestionError) in try ObjectQuestion.selector(text) }
            let format = output.flatMap { ObjectListing.Format(rawValue: $0.rawValue) } ?? .table
            var listing = ObjectListing(
                try cluster.cluster(), namespace: allNamespaces ? nil : cluster.namespace, format: format)
            listing.showsHeadings = !noHeaders
            listing.showsLabels = showLabels
            listing.selector = labels
            let answer = try listing.answer(question)
            print(answer.output, terminator: "")
            for message in answer.messages { printError(message) }
            if !answer.isComplete { throw ExitCode(1) }
        } catch let error as ObjectQuestionError {
            throw wrongUsage(error.message, hint: error.hint)
        }
    }
}

/// Ends with exit code 64 and what is wrong with the command line.
func wrongUsage(_ message: String, hint: String = "") -> ExitCode {
    printError("podnet: \(message)")
    if !hint.isEmpty { printError("  hint: \(hint)") }
    return ExitCode(64)
}
