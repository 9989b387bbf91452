// podnet capture: the frames of a flow, as tcpdump on every interface would have seen them. What goes into the file is
// decided in Rendering/Captures; how it is written in the Capture target.

import ArgumentParser
import Capture
import Kubernetes
import Rendering
import Simulation

struct CaptureCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capture",
        abstract: "Write the frames of a request as tcpdump on every interface would see them.",
        discussion: """
            FILE.pcapng holds every interface that saw a frame, named OWNER/DEVICE (worker-1/cni0, \
            default/client/eth0), with directions, comments and packet ids. FILE.pcap holds one interface, named with \
            -i. DIR/ gets one classic pcap per interface. Words at the end are a capture filter as tcpdump takes it.

            Exit code 0: the capture is written, whatever became of the request. 2: wrong input.
            """)

    @Argument(help: "Where the request starts.") var source: String
    @Argument(help: "What it asks for.") var destination: String
    @Argument(help: "A capture filter, for example: tcp port 80.") var filter: [String] = []
    @OptionGroup var flow: FlowOptions
    @OptionGroup var cluster: ClusterOptions

    @Option(name: [.customShort("w"), .customLong("write")], help: "FILE.pcapng, FILE.pcap or DIR/.")
    var path: String
    @Option(
        name: [.customShort("i"), .customLong("interface")],
        help: "Only this interface (OWNER/DEVICE) or this owner's interfaces. Repeatable.")
    var interfaces: [String] = []
    @Option(help: "How often to ask, a second apart at least.") var count = 1
    @Option(help: "Go on capturing for this long after the start, for example 10s.") var duration: String?
    @Flag(
        help: """
            Let interfaces come up when the request starts, with the frames a host sends of its own accord: IPv6 \
            reports and solicitations, IGMP, gratuitous ARP.
            """)
    var noise = false
    @Option(help: "The date of the first packet, in UTC, for example 2026-01-01T00:00:00Z.") var startTime: String?

    func validate() throws {
        guard count >= 1, count <= 10_000 else { throw ValidationError("--count takes a number from 1 to 10000.") }
        if let startTime, date(startTime) == nil {
            throw ValidationError("--start-time takes a date such as 2026-01-01T00:00:00Z, not '\(startTime)'.")
        }
        if let duration, nanoseconds(duration: duration).map({ $0 > 0 }) != true {
            throw ValidationError("--duration takes a time such as 10s, not '\(duration)'.")
        }
    }

    func run() throws {
        guard CaptureOutput.Format(path: path) != nil else {
            throw wrongInput(
                "'\(path)' does not say in which format to write",
                hint: "end it in .pcapng, .pcap (one interface) or / (a folder of .pcap files)")
        }
        var selection = CaptureSelection(interfaces: interfaces)
        if let startTime, let date = date(startTime) { selection.startTime = date }
        if !filter.isEmpty {
            do {
                selection.filter = try CaptureFilter(filter.joined(separator: " "))
            } catch {
                throw wrongInput(
                    "the capture filter '\(error.expression)' is not understood: \(error.message)",
                    hint: "see pcap-filter(7); quote it as one word if the shell takes it apart")
            }
        }
        let realised = try cluster.cluster()
        var simulator = Simulator(realised, seed: cluster.seed)
        let request = try flow.request(
            from: source, to: destination, in: realised, namespace: cluster.namespace, &simulator)
        do {
            // Fail before the work when the target cannot be written.
            let output = try CaptureOutput(path: path, section: CaptureSection(application: "podnet"))
            simulator.recordFrames()
            if noise { simulator.startBackground() }
            let traces = simulator.trace(request, times: count, every: 1_000_000_000)
            if let duration, let span = nanoseconds(duration: duration) { simulator.run(until: span) }
            let export = try CaptureExport(simulator, selection)
            try write(export, to: output)
            for trace in traces { print(trace.headline) }
            report(export)
        } catch let error as CaptureFileError {
            throw wrongInput("cannot \(error.operation.rawValue) '\(error.path)': \(error.reason)", hint: error.hint)
        } catch let error as UnknownInterface {
            throw wrongInput(
                "no interface or owner is named \(error.name)",
                hint: "on the way are \(error.known.joined(separator: ", "))")
        }
    }

    private func write(_ export: CaptureExport, to output: CaptureOutput) throws {
        if output.format == .pcap, export.interfaces.count > 1 {
            throw wrongInput(
                "\(path) can hold one interface, and \(export.interfaces.count) saw frames",
                hint: "name one with -i, or write \(path)ng or a directory: "
                    + export.interfaces.map(\.name).joined(separator: ", "))
        }
        for interface in export.interfaces { _ = try output.addInterface(interface) }
        output.add(export.names)
        for packet in export.packets { try output.append(packet) }
        try output.commit()
    }

    private func report(_ export: CaptureExport) {
        let frames = export.packets.count
        let points = export.interfaces.count
        printError(
            "wrote \(frames) frame\(frames == 1 ? "" : "s") on \(points) interface\(points == 1 ? "" : "s") to \(path)")
        printError("decode VXLAN on port 8472 with: tshark -d udp.port==8472,vxlan -r \(path)")
    }

    private func days(inMonth month: Int, of year: Int) -> Int {
        let isLeapYear = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 ? (isLeapYear ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    /// Nanoseconds since 1970 of a date such as 2026-01-01T00:00:00Z, from 1970 to 2105.
    private func date(_ text: String) -> UInt64? {
        let parts = text.split(whereSeparator: { "-T:Z".contains($0) }).map(String.init)
        guard text.count == 20, text.hasSuffix("Z"), parts.count == 6 else { return nil }
        let numbers = parts.compactMap { Int($0) }
        guard numbers.count == 6, (1970...2105).contains(numbers[0]), (1...12).contains(numbers[1]),
            (1...days(inMonth: numbers[1], of: numbers[0])).contains(numbers[2]), (0...23).contains(numbers[3]),
            (0...59).contains(numbers[4]), (0...59).contains(numbers[5])
        else { return nil }
        // Days from the civil calendar, counted in years that begin in March.
        let year = numbers[1] <= 2 ? numbers[0] - 1 : numbers[0]
        let month = (numbers[1] + 9) % 12
        let dayOfYear = (153 * month + 2) / 5 + numbers[2] - 1
        let days = 365 * year + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
        let seconds = ((days * 24 + numbers[3]) * 60 + numbers[4]) * 60 + numbers[5]
        return UInt64(seconds) * 1_000_000_000
    }
}
