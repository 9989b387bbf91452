// The same flows in both worlds: on the real kernel first, with a tap in every namespace, then in virtual time at the
// instants the real ones began, then frame against frame. What rules leave to chance is asked of the simulator in every
// way there is, until one matches what the kernel drew.

internal import Addressing
internal import Netstack
package import Simulation

/// A flow to run in both worlds.
package struct LabFlow: Sendable {
    package var request: FlowRequest
    /// As a person wrote it.
    package var name: String

    package init(_ request: FlowRequest, name: String) {
        self.request = request
        self.name = name
    }

    /// How long it can take: its client gives every request its time.
    var longest: Int64 {
        request.timeout + Int64(request.requests - 1) * (request.interval + request.timeout)
    }
}

/// What the real world showed.
package struct RealRecording: Sendable {
    package fileprivate(set) var frames: [TappedFrame] = []
    /// When each flow began.
    package fileprivate(set) var starts: [Int64] = []
    package fileprivate(set) var end: Int64 = 0
}

/// Runs flows in a lab that stands.
package struct LabRunner {
    private let script: LabScript
    private var loop = TrafficLoop()
    private var taps: [PacketTap] = []
    private var start: Int64 = 0
    private var frames: [TappedFrame] = []

    /// After a flow has ended the worlds go on for this long, for what is still under way.
    static let grace: Int64 = 120_000_000

    /// Opens the servers and the taps of a lab that was built without servers.
    package init(_ script: LabScript, _ simulator: borrowing Simulator) throws(LabError) {
        self.script = script
        for (namespace, socket) in script.servers {
            try withNetworkNamespace(script.names[namespace]) { () throws(LabError) in
                try loop.serve(everywhere: RealServer(socket))
            }
        }
        for id in simulator.everyNamespace {
            taps.append(try PacketTap(namespace: script.names[id], owner: simulator.name(of: id)))
        }
    }

    /// What a comparison of several flows found.
    package struct Result {
        /// How many flows, from the first, were equal.
        package var equalFlows: Int
        /// Of all flows up to the first that was not.
        package var comparison: FrameComparison
        /// How often the flows were run.
        package var attempts = 1
    }

    /// On a real machine some things race: what differs is looked at this many times before it counts.
    private static let attempts = 3

    /// Builds a lab, runs the flows in both worlds, and removes the lab. The simulator must not have run.
    package static func compare(
        _ flows: [LabFlow], in simulator: inout Simulator, prefix: String
    ) throws(LabError) -> Result {
        let script = try LabScript(&simulator, prefix: prefix)
        var result = try attempt(flows, script, &simulator)
        while !result.comparison.isEqual, result.attempts < attempts {
            let again = try attempt(flows, script, &simulator)
            result = Result(
                equalFlows: again.equalFlows, comparison: again.comparison, attempts: result.attempts + 1)
        }
        return result
    }

    private static func attempt(
        _ flows: [LabFlow], _ script: LabScript, _ simulator: inout Simulator
    ) throws(LabError) -> Result {
        let build = try LabBuild(script)
        defer { build.remove() }
        var runner = try LabRunner(script, simulator)
        defer { runner.shutDown() }
        let real = try runner.run(flows)
        return simulator.compare(flows, with: real, fixedPorts: script.fixedPorts(flows))
    }

    package mutating func shutDown() {
        loop.shutDown()
        for tap in taps { tap.close() }
        taps = []
    }

    /// Runs the flows one after the other. What happened before is not part of it.
    package mutating func run(_ flows: [LabFlow]) throws(LabError) -> RealRecording {
        work(for: PacketTap.handOver)
        waitForTimerWheel()
        start = realTime()
        frames = []
        var recording = RealRecording()
        for flow in flows {
            let began = realTime() - start
            try withNetworkNamespace(script.names[flow.request.source]) { () throws(LabError) in
                loop.begin(flow.request)
            }
            work(for: flow.longest, untilClientIsDone: true)
            loop.endClient()
            recording.starts.append(began)
            work(for: Self.grace)
            if Interruption.isRequested { throw LabError("interrupted") }
        }
        recording.end = realTime() - start
        work(for: PacketTap.handOver)
        recording.frames = frames
        return recording
    }

    /// Lets servers and client work, and takes what the taps have seen: their rings are small.
    private mutating func work(for duration: Int64, untilClientIsDone: Bool = false) {
        let end = monotonicTime() + duration
        while monotonicTime() < end, !Interruption.isRequested, !untilClientIsDone || !loop.isClientDone {
            loop.turn(until: min(end, monotonicTime() + PacketTap.handOver))
            for index in taps.indices { frames += taps[index].drain(since: start) }
        }
    }
}

extension Simulator {
    /// Runs flows at the instants real ones began and compares all frames. The simulator must not have run.
    package mutating func compare(
        _ flows: [LabFlow], with real: RealRecording, fixedPorts: Set<UInt16>
    ) -> LabRunner.Result {
        var chosen: [[Int]] = []
        var best: FrameComparison?
        for number in flows.indices {
            let end = number + 1 < flows.count ? real.starts[number + 1] : real.end
            var script: [Int]? = []
            var bestScript: [Int] = []
            var tries = 0
            best = nil
            while let way = script, tries < 256 {
                tries += 1
                let run = replay(Array(flows[...number]), real, choices: chosen + [way], until: end)
                let comparison = FrameComparison(
                    simulated: run.frames, real: real.frames, until: end, fixedPorts: fixedPorts)
                if best.map({ comparison.parted > $0.parted }) ?? true {
                    best = comparison
                    bestScript = way
                }
                if comparison.isEqual { break }
                script = RuleChoices.next(after: run.made)
            }
            chosen.append(bestScript)
            if let best, !best.isEqual { return LabRunner.Result(equalFlows: number, comparison: best) }
        }
        let all = best ?? FrameComparison(simulated: [], real: [], until: 0, fixedPorts: [])
        return LabRunner.Result(equalFlows: flows.count, comparison: all)
    }

    private mutating func replay(
        _ flows: [LabFlow], _ real: RealRecording, choices: [[Int]], until end: Int64
    ) -> (frames: [TappedFrame], made: [RuleChoice]) {
        var run = Simulator(again: self)
        run.recordFrames()
        for (number, flow) in flows.enumerated() {
            run.run(until: real.starts[number])
            run.begin(flow.request, choices: choices[number])
        }
        run.run(until: end)
        return (run.tappedFrames, run.choicesMade)
    }

    private var tappedFrames: [TappedFrame] {
        recordedFrames.map { frame in
            TappedFrame(
                interface: frame.interface, isIngress: frame.isIngress, time: frame.time, octets: frame.octets)
        }
    }
}
