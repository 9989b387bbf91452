// The options every command shares: which objects, which namespace, which seed. Warnings and errors about the input are
// printed here, the same for all commands.

public import ArgumentParser
import Glibc
public import Kubernetes
import Manifests
import Simulation

struct ClusterOptions: ParsableArguments {
    @Option(
        name: [.customShort("f"), .customLong("filename")],
        help: ArgumentHelp(
            "A YAML or JSON file, a directory of them, or - for standard input. Without it, a small built-in cluster.",
            valueName: "path"))
    var paths: [String] = []

    @Option(name: .shortAndLong, help: "The namespace of names that give none.")
    var namespace = "default"

    @Option(help: "Fixes all chance: names, addresses, ports, sequence numbers, the choice of endpoints.")
    var seed: UInt64 = 1

    @Option(help: "The kube-proxy mode, whatever the configuration says.")
    var proxyMode: ProxyMode?

    @Option(
        name: .customLong("rules"),
        help: ArgumentHelp(
            "Put a dump of iptables-save, ip6tables-save or nft list ruleset on a node, instead of generated rules.",
            valueName: "node=file"))
    var dumps: [String] = []

    @Option(
        name: .customLong("fault"),
        help: ArgumentHelp(
            "Put something wrong, as 'TARGET WORD VALUE…': 'worker-1/eth0 loss 10%'. Repeatable.",
            discussion: """
                TARGET is a link (OWNER/DEVICE; the device veth is a pod's end on its node), a machine, a pod, or \
                underlay. WORD is one of delay, loss, duplicate, corrupt, reorder, gap, rate, limit (as of tc netem), \
                link, mtu, hairpin, filter, bad-checksum, partition, policy, br_netfilter, wrong-vtep-mac, stale-fdb, \
                stale-route, duplicate-public-ip. docs/faults.md has examples.
                """,
            valueName: "text"))
    var faults: [String] = []

    /// Loads the objects and realises the cluster. Warnings go to standard error; wrong input ends the program.
    func cluster() throws -> Cluster {
        do {
            var loaded: LoadedManifests
            if paths.isEmpty {
                printError("podnet: no -f given: using the built-in topology (podnet get pods -A shows it)")
                loaded = try LoadedManifests.load(text: builtInTopology, name: "built-in")
            } else {
                loaded = try LoadedManifests.load(paths: paths)
            }
            for warning in loaded.warnings { printError(warning.description) }
            try addFaults(to: &loaded.objects)
            var cluster: Cluster
            do throws(ObjectError) {
                cluster = try Cluster(realising: loaded.objects, seed: seed, proxyMode: proxyMode)
            } catch {
                throw loaded.locate(error)
            }
            for warning in cluster.warnings { printError(loaded.locate(warning).description) }
            try useDumps(in: &cluster, loaded)
            return cluster
        } catch let error as ManifestError {
            printError("podnet: \(error)")
            throw ExitCode(2)
        }
    }
}

extension ClusterOptions {
    /// Adds the faults of `--fault` to those of the input.
    private func addFaults(to objects: inout ObjectStore) throws {
        for text in faults {
            do throws(FaultError) {
                objects.faults.insert(try Fault(text: text))
            } catch {
                throw wrongInput("--fault \(text): \(error.message)", hint: error.hint)
            }
        }
    }

    /// Puts dumps on nodes: those that stand in annotations, then those of `--rules`, which come instead of them.
    private func useDumps(in cluster: inout Cluster, _ loaded: LoadedManifests) throws {
        var files: [(node: String, path: String)] = []
        for dump in dumps {
            guard let equals = dump.firstIndex(of: "="), equals > dump.startIndex else {
                throw wrongUsage("--rules takes NODE=FILE, not '\(dump)'")
            }
            let node = String(dump[..<equals])
            guard cluster.objects.nodes["", node] != nil else {
                throw wrongInput("--rules: there is no node called \"\(node)\"", hint: "podnet get nodes shows them")
            }
            files.append((node, String(dump[equals...].dropFirst())))
        }
        for node in cluster.objects.nodes where !files.contains(where: { $0.node == node.name }) {
            guard let value = node.metadata.annotations["podnet.dev/rules"] else { continue }
            if value.contains("\n") {
                cluster.use(try RulesDump(value, from: "Node \(node.name): podnet.dev/rules"), on: node.name)
            } else {
                // Beside the manifest that names it.
                let manifest = loaded.place(of: node.metadata.origin)?.file ?? ""
                let folder = manifest.lastIndex(of: "/").map { manifest[...$0] } ?? ""
                for path in value.split(separator: ",").map({ $0.drop { $0 == " " } }) {
                    files.append((node.name, path.hasPrefix("/") ? String(path) : "\(folder)\(path)"))
                }
            }
        }
        var used: [(node: String, path: String, dump: RulesDump)] = []
        for (node, path) in files {
            let dump: RulesDump
            do {
                dump = try RulesDump(path: path)
            } catch {
                let isAnnotated = !dumps.contains("\(node)=\(path)")
                if isAnnotated, let place = loaded.place(of: cluster.objects.nodes["", node]?.metadata.origin) {
                    printError(
                        "  named by podnet.dev/rules of node \(node), \(place.file):\(place.line):\(place.column)")
                }
                throw error
            }
            if let other = used.first(where: { $0.node == node && dump.replaces($0.dump) }) {
                throw wrongInput(
                    "\(path) replaces all of \(other.path) on node \(node)", hint: "give the node one of the two")
            }
            cluster.use(dump, on: node)
            used.append((node, path, dump))
        }
    }
}

extension ProxyMode: ExpressibleByArgument {}

/// A line on standard error.
func printError(_ line: String) {
    var bytes = Array((line + "\n").utf8)[...]
    while !bytes.isEmpty {
        let written = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
        guard written > 0 else { return }
        bytes = bytes.dropFirst(written)
    }
}

/// Ends with exit code 2 and what is wrong with the input.
func wrongInput(_ message: String, hint: String? = nil) -> ExitCode {
    printError("podnet: \(message)")
    if let hint, !hint.isEmpty { printError("  hint: \(hint)") }
    return ExitCode(2)
}

/// Colour only for a terminal, and never with NO_COLOR.
func usesColour() -> Bool {
    if let value = getenv("NO_COLOR"), value.pointee != 0 { return false }
    return isatty(STDOUT_FILENO) == 1
}
