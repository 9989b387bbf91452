// netem as sch_netem.c has it: how its chances combine, in which order packets leave, how a rate spaces them, and when
// the queue is full. A test puts datagrams into one queue and looks at what comes out.

import Addressing
import Kubernetes
import Netstack
import Testing

@testable import Simulation

/// A pod that sends datagrams through a queue, and what its own tap sees of them.
private struct QueueLab: ~Copyable {
    var lab: Lab
    var sent = 0

    init(_ text: String, seed: UInt64 = 1) throws {
        let fault = """
            ---
            apiVersion: podnet.dev/v1alpha1
            kind: Scenario
            metadata: {name: queue}
            spec: {events: [{at: 1s, fault: "default/a1/eth0 \(text)"}]}

            """
        var lab = try Lab(LabManifest.plain + fault, seed: seed)
        // Before the queue is there, the pod finds its gateway.
        _ = try lab.trace("a1", "10.244.0.1:9", .udp)
        lab.simulator.run(until: 1_000_000_000)
        self.lab = lab
    }

    /// Sends datagrams of 100 octets (142 of the frame), so many at once.
    mutating func send(_ count: Int) throws {
        for _ in 0..<count {
            sent += 1
            var request = try lab.request("a1", "10.244.0.1:9", .udp)
            request.payload = Array("\(sent) ".utf8) + Array(repeating: 0x2e, count: 100 - "\(sent) ".utf8.count)
            _ = lab.simulator.start(request)
        }
    }

    /// What left: the number each datagram carries, and its time since the queue is there, in microseconds.
    mutating func left() -> [(number: Int, time: Int)] {
        lab.simulator.run(until: lab.simulator.now + 5_000_000_000)
        return lab.frames(on: "default/a1/eth0").compactMap { frame in
            guard frame.direction == .egress, frame.octets.count == 142, frame.time >= 1_000_000_000 else { return nil }
            let digits = frame.octets[42...].prefix { $0 != 0x20 }
            return (
                Int(String(decoding: digits, as: UTF8.self)) ?? -1, Int((frame.time - 1_000_000_000) / 1_000)
            )
        }
    }
}

@Suite struct NetemTests {
    @Test func `a constant delay keeps the order and holds each packet as long`() throws {
        var queue = try QueueLab("delay 10ms")
        try queue.send(5)
        let left = queue.left()
        #expect(left.map(\.number) == [1, 2, 3, 4, 5])
        #expect(left.allSatisfy { $0.time == 10_000 })
    }

    @Test func `jitter reorders by the time to send`() throws {
        var queue = try QueueLab("delay 10ms 5ms")
        try queue.send(40)
        let left = queue.left()
        #expect(left.count == 40 && Set(left.map(\.number)).count == 40)
        #expect(left.map(\.time) == left.map(\.time).sorted())
        #expect(left.allSatisfy { (5_000..<15_000).contains($0.time) })
        #expect(left.map(\.number) != Array(1...40))
    }

    @Test func `a rate spaces packets by their length, and a delay is no delay behind others`() throws {
        // 142 octets at 1 Mbit/s take 1136 us.
        var queue = try QueueLab("rate 1mbit")
        try queue.send(4)
        #expect(queue.left().map(\.time) == [1136, 2272, 3408, 4544])
        // The first waits 2 ms and its own time, the second for the first and its own: by then its 2 ms are over.
        var both = try QueueLab("delay 2ms rate 1mbit")
        try both.send(3)
        #expect(both.left().map(\.time) == [3136, 4272, 5408])
    }

    @Test func `a full queue drops what comes`() throws {
        var queue = try QueueLab("delay 10ms limit 3")
        try queue.send(5)
        #expect(queue.left().map(\.number) == [1, 2, 3])
        #expect(queue.lab.faultActions().count { $0.hasSuffix("overLimit") } == 2)
    }

    @Test func `every gap-th packet overtakes when reorder is certain`() throws {
        var queue = try QueueLab("delay 10ms reorder 100% gap 3")
        try queue.send(9)
        let left = queue.left()
        #expect(left.filter { $0.time == 0 }.map(\.number) == [3, 6, 9])
        #expect(left.filter { $0.time == 10_000 }.map(\.number) == [1, 2, 4, 5, 7, 8])
    }

    @Test func `chances come out at their rates`() throws {
        var queue = try QueueLab("loss 25% duplicate 20%", seed: 5)
        try queue.send(400)
        let left = queue.left()
        let actions = queue.lab.faultActions()
        // Lost and repeated is sent once: the two chances cancel each other. Copies are lost like others.
        let lost = actions.count { $0.hasSuffix("lost") }
        let repeated = actions.count { $0.hasSuffix("duplicated") }
        #expect((70...120).contains(lost), "\(lost)")
        #expect((40...80).contains(repeated), "\(repeated)")
        #expect(left.count == 400 - lost + repeated)
        // The copy leaves before its original.
        let firsts = Dictionary(grouping: left, by: \.number)
        #expect(firsts.values.allSatisfy { $0.count <= 2 })
    }

    @Test func `correlated losses come in bursts`() throws {
        func runs(_ text: String) throws -> Double {
            var queue = try QueueLab(text, seed: 3)
            try queue.send(400)
            let left = Set(queue.left().map(\.number))
            let lost = (1...400).map { !left.contains($0) }
            let starts = lost.indices.count { lost[$0] && ($0 == 0 || !lost[$0 - 1]) }
            return Double(lost.count(where: \.self)) / Double(max(starts, 1))
        }
        #expect(try runs("loss 50% 60%") > 1.3 * runs("loss 50%"))
    }

    @Test func `corruption turns over one bit`() throws {
        var queue = try QueueLab("corrupt 100%")
        try queue.send(1)
        queue.lab.simulator.run(until: queue.lab.simulator.now + 1_000_000_000)
        let frames = queue.lab.frames(on: "default/a1/eth0").filter {
            $0.octets.count == 142 && $0.time >= 1_000_000_000
        }
        let frame = try #require(frames.first).octets
        var whole = try QueueLab("limit 1000")
        try whole.send(1)
        whole.lab.simulator.run(until: whole.lab.simulator.now + 1_000_000_000)
        let sound = try #require(
            whole.lab.frames(on: "default/a1/eth0").last { $0.octets.count == 142 && $0.time >= 1_000_000_000 }
        ).octets
        let bits = zip(frame, sound).reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount }
        #expect(bits == 1)
    }

    @Test func `the same seed gives the same losses, another seed others`() throws {
        func numbers(_ seed: UInt64) throws -> [Int] {
            var queue = try QueueLab("loss 50%", seed: seed)
            try queue.send(60)
            return queue.left().map(\.number)
        }
        #expect(try numbers(7) == numbers(7))
        #expect(try numbers(7) != numbers(8))
    }
}
