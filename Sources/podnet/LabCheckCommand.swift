// podnet lab check: many flows through both worlds, those topologies name and those chance draws. Clusters are drawn in
// the Lab target; here stand the arguments, what is printed, and the exit codes.

import ArgumentParser
import Lab
import Manifests
import Simulation

struct LabCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Compare many flows: those that files name, and those of clusters drawn by chance.",
        discussion: """
            Of each file of -f the lines "# Try: podnet trace SOURCE DESTINATION" are run. --random draws clusters \
            and flows from seeds, of which --seed is the first. --show prints them.

            Exit code 0: all frames are equal. 1: some differ. 2: wrong input, or no lab can be built.
            """)
    @Option(name: [.customShort("f"), .customLong("filename")], help: "Topologies whose flows to run. Repeatable.")
    var paths: [String] = []
    @Option(help: "How many clusters to draw.") var random = 0
    @Option(help: "The first seed.") var seed: UInt64 = 1
    @Option(help: "How many flows to send through each drawn cluster.") var flows = 6
    @Option(help: ArgumentHelp("Do every n-th case only: 1/4 to 4/4 share the work.", valueName: "k/n"))
    var part = "1/1"
    @Flag(help: "Where worlds differ, print all frames of both.") var frames = false
    @Flag(help: "Print the drawn clusters and flows instead of running them.") var show = false
    @OptionGroup var lab: LabOptions

    private var share: (number: Int, count: Int)? {
        let numbers = part.split(separator: "/").compactMap { Int($0) }
        guard numbers.count == 2, (1...64).contains(numbers[1]), (1...numbers[1]).contains(numbers[0]) else {
            return nil
        }
        return (numbers[0], numbers[1])
    }

    func validate() throws {
        guard (0...100_000).contains(random), seed <= 1 << 62 else {
            throw ValidationError("--random takes a number up to 100000, --seed one up to \(1 << 62).")
        }
        guard (1...100).contains(flows) else { throw ValidationError("--flows takes a number from 1 to 100.") }
        guard share != nil else { throw ValidationError("--part takes K/N with K from 1 to N, not '\(part)'.") }
        if random == 0, paths.isEmpty { throw ValidationError("Say what to check: --random COUNT or -f FILE.") }
    }

    func run() throws {
        Interruption.watch()
        var cases: [LabCase] = []
        for path in paths { cases += try LabCase.flows(of: path) }
        cases += (seed..<seed + UInt64(random)).map { LabCase.drawn(seed: $0, flows: flows) }
        if let share {
            cases = cases.enumerated().filter { $0.offset % share.count == share.number - 1 }.map(\.element)
        }
        var (equal, different) = (0, 0)
        for item in cases {
            var prepared = try item.prepared()
            if show {
                print(prepared.text + prepared.flows.map { "# \($0.name)\n" }.joined(), terminator: "")
                continue
            }
            if let fault = prepared.simulator.faultBeyondState {
                print("\(item): skipped, because no lab has fault \"\(fault)\"")
                continue
            }
            let result: LabRunner.Result
            do throws(LabError) {
                result = try LabRunner.compare(prepared.flows, in: &prepared.simulator, prefix: lab.prefix)
            } catch {
                throw noLab(error)
            }
            equal += result.equalFlows
            let tries = result.attempts > 1 ? ", at attempt \(result.attempts)" : ""
            if result.comparison.isEqual {
                print("\(item): equal, \(prepared.flows.count) flows, \(result.comparison.frames) frames\(tries)")
            } else {
                different += 1
                print("\(item): different: \(prepared.flows[result.equalFlows].name)")
                print(result.comparison.text(showingFrames: frames), terminator: "")
            }
        }
        if show { return }
        print("\(equal) flows equal, \(different) different")
        if different > 0 { throw ExitCode(1) }
    }
}

/// A cluster with flows through it.
private enum LabCase: CustomStringConvertible {
    case file(String, source: String, destination: String, options: [String])
    case drawn(seed: UInt64, flows: Int)

    struct Prepared: ~Copyable {
        var text: String
        var simulator: Simulator
        var flows: [LabFlow]
    }

    /// The flows a topology's comments say to try. Options that change only what is printed do not count.
    static func flows(of path: String) throws -> [LabCase] {
        let text: String
        do throws(ManifestError) { text = try LoadedManifests.text(ofFile: path) } catch {
            throw wrongInput("\(error)")
        }
        var found: [LabCase] = []
        for line in text.split(separator: "\n") where line.hasPrefix("# Try: podnet trace ") {
            let words = line.split(separator: " ").dropFirst(4).map(String.init)
            guard words.count >= 2 else { continue }
            let options = words.firstIndex(of: "--protocol").map { Array(words[$0...].prefix(2)) } ?? []
            let item = LabCase.file(path, source: words[0], destination: words[1], options: options)
            if !found.contains(where: { $0.description == item.description }) { found.append(item) }
        }
        return found
    }

    var description: String {
        switch self {
        case .file(let path, let source, let destination, let options):
            "\(path): \(([source, destination] + options).joined(separator: " "))"
        case .drawn(let seed, _): "seed \(seed)"
        }
    }

    func prepared() throws -> Prepared {
        switch self {
        case .file(let path, let source, let destination, let options):
            let realised = try ClusterOptions.parse(["-f", path]).cluster()
            var simulator = Simulator(realised, seed: 1)
            let request = try FlowOptions.parse(options).request(
                from: source, to: destination, in: realised, namespace: "default", &simulator)
            return Prepared(text: "", simulator: simulator, flows: [LabFlow(request, name: description)])
        case .drawn(let seed, let count):
            var drawn = RandomCluster(seed: seed)
            let loaded = try LoadedManifests.load(text: drawn.text, name: description)
            let realised: Cluster
            do { realised = try Cluster(realising: loaded.objects, seed: seed) } catch { throw loaded.locate(error) }
            let simulator = Simulator(realised, seed: seed)
            let flows = try drawn.flows(count, in: simulator)
            return Prepared(text: drawn.text, simulator: simulator, flows: flows)
        }
    }
}
