// The benchmark program: measures everything in turns and prints one table. `make bench` builds and runs it.
// With --check it exits 1 when a figure misses its goal; goals hold for one core of an idle machine.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

struct Options {
    var podnet = ".build/release/podnet"
    var topology = "topologies/clusterip-remote.yaml"
    var rounds = 9
    var flows = 300
    var together = 10
    var check = false

    static let usage = """
        usage: podnet-benchmarks [--podnet PROGRAM] [--topology FILE] [--rounds N] [--flows N]
            [--together N] [--check]
        """

    init?(_ arguments: [String]) {
        var arguments = arguments[...]
        while let option = arguments.popFirst() {
            if option == "--check" {
                check = true
                continue
            }
            guard let value = arguments.popFirst() else { return nil }
            switch option {
            case "--podnet": podnet = value
            case "--topology": topology = value
            case "--rounds":
                guard let number = Int(value), number > 0 else { return nil }
                rounds = number
            case "--flows":
                guard let number = Int(value), number > 0 else { return nil }
                flows = number
            case "--together":
                guard let number = Int(value), number > 0 else { return nil }
                together = number
            default: return nil
            }
        }
    }
}

@main
struct Benchmarks {
    /// Crossings a second without capture, and milliseconds of one trace.
    static let crossingsGoal = 500_000.0
    static let traceGoal = 40.0
    /// Milliseconds to write and compile the rules of a node with 10,000 Services, and how much longer than with 100
    /// Services a first packet may take.
    static let generationGoal = 1000.0
    static let firstPacketGoal = 2.0

    static func main() {
        guard let options = Options(Array(CommandLine.arguments.dropFirst())) else {
            printError(Options.usage)
            exit(64)
        }
        do {
            let meetsGoals = try measure(options)
            exit(options.check && !meetsGoals ? 1 : 0)
        } catch {
            printError("error: \(error)")
            exit(2)
        }
    }

    static func measure(_ options: Options) throws -> Bool {
        let crossings = try crossings(options)
        print("")
        let trace = try processes(options)
        print("")
        let (generation, ratio) = try rules(options)
        let meetsGoals =
            crossings >= crossingsGoal && trace <= traceGoal && generation <= generationGoal && ratio <= firstPacketGoal
        if !meetsGoals { print("\nA goal is missed.") }
        return meetsGoals
    }

    /// Returns the crossings a second without capture.
    static func crossings(_ options: Options) throws -> Double {
        let benchmark = try FlowBenchmark(topology: options.topology, flows: options.flows, together: options.together)
        var template = Array("/tmp/podnet-benchmark-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw BenchmarkError("no temporary folder can be made in /tmp") }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let file = "\(folder)/flows.pcapng"
        defer {
            unlink(file)
            rmdir(folder)
        }
        let variants = Recording.allCases
        var samples = Array(repeating: Samples(), count: variants.count)
        for _ in 0..<options.rounds {
            for (index, variant) in variants.enumerated() {
                samples[index].append(try benchmark.sample(variant, writingTo: file))
            }
        }
        print("Interface crossings for each second of one core: HTTP, pod → ClusterIP → pod on another node, VXLAN")
        let crossings = text(Double(benchmark.crossings), digits: 0)
        print("\(options.flows) flows, \(options.together) at a time, \(crossings) crossings; \(options.rounds) rounds")
        printRow(["", "median", "lowest", "highest", "ratio", "goal"])
        for (index, variant) in variants.enumerated() {
            let mine = samples[index]
            printRow([
                variant.name, text(mine.median, digits: 0), text(mine.lowest, digits: 0),
                text(mine.highest, digits: 0), text(mine.ratio(to: samples[0]), digits: 2),
                index == 0 ? text(crossingsGoal, digits: 0) : "",
            ])
        }
        return samples[0].median
    }

    /// Returns the milliseconds of one trace.
    static func processes(_ options: Options) throws -> Double {
        let trace = ["trace", "default/client", "svc/web:80"]
        let variants = [
            ProcessBenchmark(name: "podnet --version", command: [options.podnet, "--version"]),
            ProcessBenchmark(name: "podnet trace", command: [options.podnet] + trace),
            ProcessBenchmark(name: "podnet trace --detail", command: [options.podnet] + trace + ["--detail"]),
        ]
        var samples = Array(repeating: Samples(), count: variants.count)
        for variant in variants { _ = try variant.sample() }
        for _ in 0..<options.rounds {
            for (index, variant) in variants.enumerated() { samples[index].append(try variant.sample()) }
        }
        print("Milliseconds of a whole process on the built-in topology, \(options.rounds) rounds")
        printRow(["", "median", "lowest", "highest", "ratio", "goal"])
        for (index, variant) in variants.enumerated() {
            let mine = samples[index]
            printRow([
                variant.name, text(mine.median, digits: 1), text(mine.lowest, digits: 1),
                text(mine.highest, digits: 1), text(mine.ratio(to: samples[0]), digits: 2),
                index == 1 ? text(traceGoal, digits: 0) : "",
            ])
        }
        return samples[1].median
    }

    /// Returns the milliseconds to write and compile 10,000 Services' rules, and a first packet's ratio to 100.
    static func rules(_ options: Options) throws -> (generation: Double, ratio: Double) {
        let sizes = try [RuleBenchmark(services: 100), RuleBenchmark(services: 10_000)]
        var generation = sizes.map { _ in Samples() }
        var firstPackets = generation
        for _ in 0..<options.rounds {
            for (index, size) in sizes.enumerated() {
                generation[index].append(size.generation())
                firstPackets[index].append(try size.firstPackets())
            }
        }
        print("Rules for Services of 15 endpoints in iptables mode, \(options.rounds) rounds")
        printRow(["", "median", "lowest", "highest", "ratio", "goal"])
        for (index, size) in sizes.enumerated() {
            let mine = generation[index]
            printRow([
                "ms for \(text(Double(size.services), digits: 0)) Services", text(mine.median, digits: 1),
                text(mine.lowest, digits: 1), text(mine.highest, digits: 1),
                text(mine.ratio(to: generation[0]), digits: 2), index == 1 ? text(generationGoal, digits: 0) : "",
            ])
        }
        for (index, size) in sizes.enumerated() {
            let mine = firstPackets[index]
            printRow([
                "us/flow, \(text(Double(size.services), digits: 0)) Services", text(mine.median, digits: 1),
                text(mine.lowest, digits: 1), text(mine.highest, digits: 1),
                text(mine.ratio(to: firstPackets[0]), digits: 2), index == 1 ? text(firstPacketGoal, digits: 2) : "",
            ])
        }
        return (generation[1].median, firstPackets[1].ratio(to: firstPackets[0]))
    }

    static func printRow(_ columns: [String]) {
        let widths = [28, 12, 12, 12, 8, 10]
        let cells = zip(columns, widths).enumerated().map { index, cell in
            let padding = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
            return index == 0 ? cell.0 + padding : padding + cell.0
        }
        print("  " + cells.joined())
    }
}

func printError(_ line: String) {
    var text = line + "\n"
    text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
