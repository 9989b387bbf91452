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

    /// Loads the objects and realises the cluster. Warnings go to standard error; wrong input ends the program.
    func cluster() throws -> Cluster {
        do {
            let loaded: LoadedManifests
            if paths.isEmpty {
                printError("podnet: no -f given: using the built-in topology (podnet get pods -A shows it)")
                loaded = try LoadedManifests.load(text: builtInTopology, name: "built-in")
            } else {
                loaded = try LoadedManifests.load(paths: paths)
            }
            for warning in loaded.warnings { printError(warning.description) }
            do throws(ObjectError) {
                let cluster = try Cluster(realising: loaded.objects, seed: seed, proxyMode: proxyMode)
                for warning in cluster.warnings { printError(loaded.locate(warning).description) }
                return cluster
            } catch {
                throw loaded.locate(error)
            }
        } catch let error as ManifestError {
            printError("podnet: \(error)")
            throw ExitCode(2)
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
