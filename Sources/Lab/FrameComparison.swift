// The frames of two worlds side by side, interface by interface, and the first difference on each. What hosts say about
// their group memberships (IGMP, MLD, router solicitations) is left out.

internal import Wire

/// One interface on which the worlds differ.
package struct FrameDifference: Sendable {
    /// `worker-1/cni0`
    package var interface: String
    /// The frame's number on the interface, from 1.
    package var number: Int
    /// Fields with another value, and the values there and here; empty when one world has no such frame.
    package var fields: [(name: String, simulated: String, real: String)]
    /// The frames as tcpdump prints them; nil where there is none.
    package var simulated: String?
    package var real: String?
    /// When the first of the two was seen, in nanoseconds.
    package var time: Int64
}

/// What comparing two worlds gave.
package struct FrameComparison: Sendable {
    package private(set) var interfaces = 0
    package private(set) var frames = 0
    private var seen: [(interface: String, simulated: [TappedFrame], real: [TappedFrame])] = []
    /// The first difference on each interface that has one.
    package private(set) var differences: [FrameDifference] = []

    package var isEqual: Bool { differences.isEmpty }
    /// When the worlds parted.
    package var parted: Int64 { differences.map(\.time).min() ?? .max }

    /// A frame that only one world shows may have just missed the end of the other.
    private static let tail: Int64 = 60_000_000

    /// Compares frame by frame what was seen before `end`. `fixedPorts` are the ports somebody chose.
    package init(simulated: [TappedFrame], real: [TappedFrame], until end: Int64, fixedPorts: Set<UInt16>) {
        let there = Self.byInterface(simulated.filter { $0.time < end })
        let here = Self.byInterface(real.filter { $0.time < end })
        var simulatedReader = FrameReader(fixedPorts: fixedPorts)
        var realReader = FrameReader(fixedPorts: fixedPorts)
        for frame in simulated { simulatedReader.learn(frame.octets[...]) }
        for frame in real { realReader.learn(frame.octets[...]) }
        for interface in Set(there.keys).union(here.keys).sorted() {
            interfaces += 1
            let pair = (there[interface] ?? [], here[interface] ?? [])
            seen.append((interface, pair.0, pair.1))
            frames += max(pair.0.count, pair.1.count)
            var isDifferent = false
            for number in 0..<max(pair.0.count, pair.1.count) {
                let left = number < pair.0.count ? pair.0[number] : nil
                let right = number < pair.1.count ? pair.1[number] : nil
                // Read all, also behind a difference, so that names stay in step.
                let own = left.map { simulatedReader.fields(of: $0.octets, isIngress: $0.isIngress, at: interface) }
                let other = right.map { realReader.fields(of: $0.octets, isIngress: $0.isIngress, at: interface) }
                let fields = Self.differingFields(own, other)
                let time = min(left?.time ?? .max, right?.time ?? .max)
                let isMissing = own == nil || other == nil
                guard !isDifferent, isMissing ? time < end - Self.tail : !fields.isEmpty else { continue }
                isDifferent = true
                differences.append(
                    FrameDifference(
                        interface: interface, number: number + 1, fields: isMissing ? [] : fields,
                        simulated: left.map(Self.text), real: right.map(Self.text), time: time))
            }
        }
    }

    private static func byInterface(_ frames: [TappedFrame]) -> [String: [TappedFrame]] {
        Dictionary(grouping: frames.filter { !isNoise($0.octets) }, by: \.interface)
    }

    /// Reports of group membership, which hosts send for themselves (IGMP; MLD and router solicitations).
    private static func isNoise(_ octets: [UInt8]) -> Bool {
        guard octets.count >= 34 else { return false }
        let type = UInt16(octets[12]) << 8 | UInt16(octets[13])
        if type == 0x0800 { return octets[23] == 2 }
        guard type == 0x86dd, octets.count >= 63 else { return false }
        // MLD reports carry a hop-by-hop header in front.
        if octets[20] == 0 { return octets[54] == 58 }
        return octets[20] == 58 && octets[54] == 133
    }

    private static func differingFields(
        _ own: [FrameReader.Field]?, _ other: [FrameReader.Field]?
    ) -> [(name: String, simulated: String, real: String)] {
        guard let own, let other else { return [] }
        let names = own.map(\.name) + other.map(\.name).filter { name in !own.contains { $0.name == name } }
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }.compactMap { name in
            let left = own.filter { $0.name == name }.map(\.value).joined(separator: ",")
            let right = other.filter { $0.name == name }.map(\.value).joined(separator: ",")
            return left == right ? nil : (name, left.isEmpty ? "-" : left, right.isEmpty ? "-" : right)
        }
    }

    private static func listing(_ world: String, _ frames: [TappedFrame]) -> String {
        frames.enumerated().map { number, frame in
            let microseconds = frame.time / 1000
            let fraction = String(1_000_000 + microseconds % 1_000_000).dropFirst()
            return "    \(world) \(number + 1) \(microseconds / 1_000_000).\(fraction) \(text(frame))\n"
        }.joined()
    }

    private static func text(_ frame: TappedFrame) -> String {
        let octets = frame.octets
        return (frame.isIngress ? "in  " : "out ") + describe(frame: octets.span.bytes, showingLinkLayer: true)
    }
}

extension FrameComparison {
    /// The differences for people; empty when there are none. `showingFrames` adds all frames.
    package func text(showingFrames: Bool = false) -> String {
        var text = ""
        for difference in differences {
            text += "\(difference.interface), frame \(difference.number):\n"
            text += "  simulated  \(indented(difference.simulated ?? "no such frame"))\n"
            text += "  real       \(indented(difference.real ?? "no such frame"))\n"
            for field in difference.fields.prefix(8) {
                text += "  \(field.name): simulated \(shortened(field.simulated)), real \(shortened(field.real))\n"
            }
        }
        guard showingFrames else { return text }
        for (interface, simulated, real) in seen {
            text += "\(interface):\n" + Self.listing("simulated", simulated) + Self.listing("real     ", real)
        }
        return text
    }

    private func indented(_ text: String) -> String {
        text.split(separator: "\n").joined(separator: "\n             ")
    }

    private func shortened(_ value: String) -> String {
        value.utf8.count > 60 ? value.prefix(60) + "… (\(value.utf8.count / 2) octets)" : value
    }
}
