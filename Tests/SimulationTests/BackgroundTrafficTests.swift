// What machines send of their own accord beside a flow: it reaches every machine on the underlay, and changes nothing
// about the flow.

import Addressing
import Netstack
import Testing

@testable import Simulation

@Suite struct BackgroundTrafficTests {
    /// What every tap saw, in order, with or without what interfaces send of their own accord.
    private func taps(
        background: Bool, to destination: String = "svc/on-b1:80", until end: Nanoseconds = 0
    ) throws -> (own: [String], background: [String]) {
        var lab = try Lab(LabManifest.plain, seed: 3)
        if background { lab.simulator.startBackground() }
        let trace = try lab.trace("a1", destination)
        #expect(trace.report.outcome == .answered)
        // The next report's place in the trace is not taken by what was sent meanwhile.
        #expect(trace.packets.allSatisfy { $0.headers.protocol == .tcp })
        lab.simulator.run(until: end)
        var result: (own: [String], background: [String]) = ([], [])
        let recording = lab.simulator.context.recording
        for frame in recording.frames {
            let octets = Array(recording.octets[frame.offset..<frame.offset + frame.length])
            let namespace = lab.simulator.built(frame.namespace)
            let place = "\(namespace.name)/\(namespace.links[frame.link.index].name) \(frame.direction)"
            let isIPv6 = octets[12] == 0x86
            let isIGMP = octets[12...13] == [8, 0] && octets[23] == 2
            let isAnnouncement = octets[12...13] == [8, 6] && octets[28..<32] == octets[38..<42]
            if isIPv6 || isIGMP || isAnnouncement {
                result.background.append("\(place) \(frame.time) \(octets)")
            } else {
                result.own.append("\(place) \(octets)")
            }
        }
        return result
    }

    @Test(arguments: ["svc/on-b1:80", "svc/on-a1:80", "svc/on-a2:80"])
    func `A flow's frames are the same with and without`(_ destination: String) throws {
        let quiet = try taps(background: false, to: destination, until: 12_000_000_000)
        let noisy = try taps(background: true, to: destination, until: 12_000_000_000)
        #expect(quiet.background.isEmpty)
        #expect(noisy.background.count > 200)
        #expect(noisy.own == quiet.own)
    }

    @Test func `Equal seeds give equal frames at equal times`() throws {
        let first = try taps(background: true, until: 5_000_000_000)
        #expect(try taps(background: true, until: 5_000_000_000) == first)
    }

    @Test func `What a machine sends to a group reaches every other machine once`() throws {
        var lab = try Lab(LabManifest.plain)
        lab.simulator.startBackground()
        lab.simulator.run(until: 3_500_000_000)
        let sent = lab.frames(on: "n1/eth0").filter { $0.direction == .egress }
        // Two reports, a solicitation, two reports, a router solicitation.
        #expect(sent.count == 6)
        for place in ["n2/eth0", "n3/eth0", "client/eth0", "ops/eth0"] {
            let heard = lab.frames(on: place).filter {
                $0.direction == .ingress && $0.octets[6..<12] == sent[0].octets[6..<12]
            }
            #expect(heard.map(\.octets) == sent.map(\.octets))
        }
    }
}
