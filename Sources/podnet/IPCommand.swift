// podnet ip: links, addresses, routes, rules and neighbors of a network namespace, as iproute2's ip shows them.
// The words behind OWNER are those of ip(8), as far as podnet has an answer.

import Addressing
import ArgumentParser
import Kubernetes
import Rendering
import Simulation

struct IP: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ip",
        abstract: "Show links, addresses, routes, rules or neighbors of a node, pod or host, as ip prints them.",
        discussion: """
            OWNER is a node, a host, NAMESPACE/POD, or what trace takes as a source: pod/NAME, deploy/NAME, node/NAME, \
            host/NAME. OBJECT is addr, link, route, rule or neigh, and may be followed by show, by dev NAME, and for \
            route by table main, local or all.

            Exit code 0: shown. 1: there is no such device. 2: there is no such owner, or the input is wrong.
            """)

    @Argument(help: "Whose network namespace.") var owner: String
    @Argument(help: ArgumentHelp("addr, link, route, rule or neigh.", valueName: "object")) var words: [String]
    @Flag(name: .customShort("6"), help: "Show the routes of IPv6.") var ipv6 = false
    @Flag(name: .shortAndLong, help: "Print JSON.") var json = false
    @OptionGroup var cluster: ClusterOptions

    func run() throws {
        let question = try IPQuestion(words)
        let state = try cluster.state(of: owner)
        do throws(NamespaceQuestionError) {
            let answer =
                switch question.object {
                case .link: try state.links(dev: question.device)
                case .addr: try state.addresses(dev: question.device)
                case .route:
                    try state.routes(
                        table: question.table, dev: question.device, family: ipv6 ? .ipv6 : .ipv4)
                case .rule: state.rules()
                case .neigh: try state.neighbors(dev: question.device)
                }
            print(json ? answer.json.compactText() + "\n" : answer.text, terminator: "")
        } catch {
            printError(error.message)
            throw ExitCode(1)
        }
    }
}

/// The words behind `ip`, which may be shortened as ip(8) lets them be.
private struct IPQuestion {
    enum Object: String, CaseIterable {
        case addr, link, route, rule, neigh

        /// The words ip(8) knows, in the order it tries their beginnings.
        var spellings: [String] {
            switch self {
            case .addr: ["address"]
            case .link: ["link"]
            case .route: ["route"]
            case .rule: ["rule"]
            case .neigh: ["neighbor", "neighbour"]
            }
        }
    }

    var object: Object
    var device: String?
    var table = NamespaceState.Table.main

    init(_ words: [String]) throws {
        let known = Object.allCases.map(\.rawValue).joined(separator: ", ")
        guard let first = words.first, !first.isEmpty,
            let object = Object.allCases.first(where: { $0.spellings.contains { $0.hasPrefix(first) } })
        else {
            throw wrongUsage("\"\(words.first ?? "")\" is nothing ip shows here", hint: "one of \(known)")
        }
        self.object = object
        var rest = words.dropFirst()
        if let verb = rest.first, ["show", "list", "ls", "lst", "sh", "s", "l"].contains(verb) { rest.removeFirst() }
        while let word = rest.popFirst() {
            switch word {
            case "dev" where object != .rule:
                guard let name = rest.popFirst() else { throw wrongUsage("dev needs the name of a device") }
                device = name
            case "table" where object == .route:
                guard let name = rest.popFirst(), let table = NamespaceState.Table(rawValue: name) else {
                    throw wrongUsage("table takes main, local or all")
                }
                self.table = table
            case _ where object == .link || object == .addr:
                device = word
            default:
                throw wrongUsage("\"\(word)\" means nothing to podnet ip", hint: "it takes show, dev NAME, table NAME")
            }
        }
    }
}

extension ClusterOptions {
    /// The namespace of a node, a pod or a host, as the cluster starts, or as something that happens leaves it.
    func state(
        of owner: String, after happening: (Cluster, inout Simulator) throws -> Void = { _, _ in }
    ) throws -> NamespaceState {
        let realised = try cluster()
        var simulator = Simulator(realised, seed: seed)
        try happening(realised, &simulator)
        do {
            let id: NamespaceOwner
            if simulator.namespaceID(of: .node(owner)) != nil {
                id = .node(owner)
            } else if simulator.namespaceID(of: .host(owner)) != nil {
                id = .host(owner)
                let pod = ObjectKey(namespace: namespace, name: owner)
                if realised.objects.pods[pod] != nil {
                    printError("podnet: this is host/\(owner); the pod of that name is \(pod)")
                }
            } else {
                id = try FlowEnds(realised.objects, namespace: namespace).source(owner).owner
            }
            guard let place = simulator.namespaceID(of: id) else {
                throw wrongInput("\(owner) has no network: it is not running", hint: "podnet get pods -o wide shows it")
            }
            return NamespaceState(simulator.namespace(place), at: simulator.now)
        } catch let error as FlowEndError {
            throw wrongInput(error.message, hint: error.hint)
        }
    }
}
