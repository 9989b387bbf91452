// podnet doors and podnet parity: a Service's ways in, seen from every place a client can stand, and what differs
// between kube-proxy modes. The surveys are Simulation/Doors'.

import ArgumentParser
import Kubernetes
import Rendering
import Simulation

struct Doors: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Try every door of a Service from every place a client can stand.",
        discussion: """
            Doors are the ClusterIP, external IPs, load balancer addresses, and the node port at every address of \
            every node and on localhost. Clients are a pod on a node with an endpoint, a pod on a node without, these \
            nodes themselves, and machines outside that enter by them. podnet adds them to the cluster for this.

            Each line says what became of the request, how many endpoints it can reach, which address they see, and \
            the rule that is the reason.

            Exit code 0: shown. 2: there is no such Service, or the input is wrong.
            """)

    @Argument(help: "The Service: [svc/][NAMESPACE/]NAME.") var service: String
    @Option(name: .shortAndLong, help: "text or json.") var output = OutputFormat.text
    @OptionGroup var cluster: ClusterOptions

    func run() throws {
        let realised = try cluster.cluster()
        let key = try cluster.serviceKey(service, in: realised)
        let mode = realised.objects.kubeProxyConfiguration?.mode ?? .iptables
        var survey = try cluster.roomForClients { () throws(ObjectError) in
            try DoorSurvey(realised, services: [key], mode: mode, seed: cluster.seed)
        }
        let results = survey.results()
        let table = DoorTable()
        print(
            output == .text ? table.text(results) : table.json(results, mode: mode.rawValue).text() + "\n",
            terminator: "")
    }
}

struct Parity: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List what clients of Services would notice if kube-proxy's mode changed.",
        discussion: """
            Tries every door of every Service (see podnet help doors) under iptables, nftables and ipvs, and lists \
            each client at each door that is treated differently, with the rules that are the reason. What differs \
            in every cluster, at a port of a ClusterIP that its Service does not have and at a Service address \
            nobody has, is shown on one Service and does not count.

            Exit code 0: nothing differs. 1: something does. 2: wrong input.
            """)

    @Argument(help: "Only these Services; without one, all.") var services: [String] = []
    @Option(name: .shortAndLong, help: "text or json.") var output = OutputFormat.text
    @OptionGroup var cluster: ClusterOptions

    func run() throws {
        let realised = try cluster.cluster()
        let keys = try services.map { try cluster.serviceKey($0, in: realised) }
        let all = realised.objects.services.map(\.key)
        let report = try cluster.roomForClients { () throws(ObjectError) in
            try ParityReport(realised, services: keys.isEmpty ? all : keys, seed: cluster.seed)
        }
        let table = DoorTable()
        print(output == .text ? table.text(report) : table.json(report).text() + "\n", terminator: "")
        if !report.differences.isEmpty { throw ExitCode(1) }
    }
}

extension ClusterOptions {
    /// The Service of a spelling such as `svc/shop/cart`; an unknown one ends the program.
    func serviceKey(_ text: String, in cluster: Cluster) throws -> ObjectKey {
        var parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if parts.count > 1, ["svc", "service", "services"].contains(parts[0]) { parts.removeFirst() }
        guard parts.count <= 2, let name = parts.last, parts.allSatisfy({ !$0.isEmpty }) else {
            throw wrongInput("\"\(text)\" names no Service", hint: "write [svc/][NAMESPACE/]NAME")
        }
        let key = ObjectKey(namespace: parts.count == 2 ? parts[0] : namespace, name: name)
        guard cluster.objects.services[key] != nil else {
            throw wrongInput("there is no Service \"\(key)\"", hint: "podnet get services -A shows them")
        }
        return key
    }

    /// Runs what adds clients to the cluster; a cluster without room for them ends the program.
    func roomForClients<Result: ~Copyable>(_ body: () throws(ObjectError) -> Result) throws -> Result {
        do {
            return try body()
        } catch {
            throw wrongInput("the clients do not fit into the cluster: \(error.message)", hint: error.hint)
        }
    }
}
