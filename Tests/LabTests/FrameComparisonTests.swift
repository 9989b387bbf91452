// Two worlds that differ in one frame, and two that differ only in what a kernel draws. Frames come from a simulation;
// what is changed in them is changed in the octets.

import Addressing
import Kubernetes
import Manifests
import Netstack
import Simulation
import Testing

@testable import Lab

struct FrameComparisonTests {
    /// A cold request from a pod to a Service with its endpoint on another node.
    static func frames(seed: UInt64, _ transport: IPProtocol = .tcp, port: UInt16? = 80) throws -> [TappedFrame] {
        let loaded = try LoadedManifests.load(text: Small.cluster, name: "small")
        var simulator = Simulator(try Cluster(realising: loaded.objects, seed: 1), seed: seed)
        simulator.recordFrames()
        let id = simulator.namespaceID(of: .pod(ObjectKey(namespace: "default", name: "client")))
        let client = try #require(id)
        let target = port == nil ? IPAddress("10.244.2.2") : IPAddress("10.96.0.10")
        _ = simulator.run(
            FlowRequest(from: client, to: try #require(target), port: port, protocol: transport))
        return simulator.recordedFrames.map {
            TappedFrame(interface: $0.interface, isIngress: $0.isIngress, time: $0.time, octets: $0.octets)
        }
    }

    static func compare(_ left: [TappedFrame], _ right: [TappedFrame]) -> FrameComparison {
        FrameComparison(simulated: left, real: right, until: .max, fixedPorts: [80, 8080, 7])
    }

    @Test(arguments: [(IPProtocol.tcp, UInt16?(80)), (.udp, 80), (.icmp, nil)])
    func `worlds with other sequence numbers, clocks, ports and ids are equal`(
        transport: IPProtocol, port: UInt16?
    ) throws {
        let one = try Self.frames(seed: 1, transport, port: port)
        // MAC addresses follow from the seed too, but a lab is given the simulator's.
        let renamed = try Self.withAddresses(of: one, in: try Self.frames(seed: 2, transport, port: port))
        let comparison = Self.compare(one, renamed)
        #expect(comparison.isEqual, "\(comparison.text())")
        #expect(one.map(\.octets) != renamed.map(\.octets))
    }

    /// The frames of another seed with the Ethernet and VTEP addresses and names of the first.
    static func withAddresses(of model: [TappedFrame], in frames: [TappedFrame]) throws -> [TappedFrame] {
        try #require(model.count == frames.count)
        return zip(model, frames).map { model, frame in
            var frame = frame
            frame.interface = model.interface
            frame.octets.replaceSubrange(0..<12, with: model.octets[0..<12])
            if frame.octets.count == 42, frame.octets[13] == 6 {
                frame.octets.replaceSubrange(22..<28, with: model.octets[22..<28])
                frame.octets.replaceSubrange(32..<38, with: model.octets[32..<38])
            }
            let isTunnel = frame.octets.count > 64 && frame.octets[23] == 17 && frame.octets[36...37] == [33, 24]
            if isTunnel {
                frame.octets.replaceSubrange(50..<62, with: model.octets[50..<62])
                // The outer checksum covers them.
                frame.octets.replaceSubrange(40..<42, with: Self.outerChecksum(frame.octets))
            }
            return frame
        }
    }

    private static func outerChecksum(_ octets: [UInt8]) -> [UInt8] {
        var datagram = Array(octets[34...])
        (datagram[6], datagram[7]) = (0, 0)
        let pseudo = Array(octets[26..<34]) + [0, 17, UInt8(datagram.count >> 8), UInt8(datagram.count & 255)]
        var sum = 0
        for (index, octet) in (pseudo + datagram).enumerated() { sum += Int(octet) << (index % 2 == 0 ? 8 : 0) }
        while sum > 0xffff { sum = sum >> 16 + sum & 0xffff }
        return [UInt8(~sum >> 8 & 255), UInt8(~sum & 255)]
    }

    /// What to spoil in which kind of frame, and the field that must tell. Offsets count from the Ethernet header of a
    /// frame without a tunnel.
    static let spoiled: [(field: String, offset: Int, mask: UInt8)] = [
        ("eth.destination", 5, 1), ("eth.source", 11, 1), ("ip.tos", 15, 4), ("ip.id", 19, 64), ("ip.df", 20, 64),
        ("ip.ttl", 22, 1), ("ip.checksum", 25, 1), ("ip.source", 29, 1), ("ip.destination", 33, 1),
        ("destination.port", 37, 1), ("tcp.sequence", 41, 1), ("tcp.acknowledgment", 45, 1), ("tcp.flags", 47, 8),
        ("tcp.window", 49, 1), ("checksum", 51, 1),
    ]

    @Test(arguments: spoiled) func `one bit in one frame is told by its field`(
        field: String, offset: Int, mask: UInt8
    ) throws {
        let one = try Self.frames(seed: 1)
        var other = one
        // The acknowledgment of the response: a plain TCP segment far from the first.
        let place = try #require(
            other.lastIndex { $0.interface == "default/client/eth0" && $0.octets.count == 66 && !$0.isIngress })
        other[place].octets[offset] ^= mask
        let comparison = Self.compare(one, other)
        let difference = try #require(comparison.differences.first, "\(field) was not noticed")
        #expect(comparison.differences.count == 1)
        #expect(difference.interface == "default/client/eth0")
        #expect(difference.fields.contains { $0.name == field }, "\(difference.fields.map(\.name))")
        #expect(comparison.text().contains("  \(field): simulated "))
    }

    @Test func `a missing frame, an additional one, another order and another direction are told`() throws {
        let one = try Self.frames(seed: 1)
        let place = try #require(one.lastIndex { $0.interface == "worker-2/flannel.1" })
        var missing = one
        missing.remove(at: place)
        #expect(Self.compare(one, missing).differences.map(\.real) == [nil])
        #expect(Self.compare(missing, one).differences.map(\.simulated) == [nil])
        var turned = one
        turned[place].isIngress.toggle()
        #expect(Self.compare(one, turned).differences.first?.fields.first?.name == "direction")
        var swapped = one
        let earlier = try #require(one[..<place].lastIndex { $0.interface == "worker-2/flannel.1" })
        swapped.swapAt(place, earlier)
        #expect(!Self.compare(one, swapped).isEqual)
    }

    @Test func `a port that changes from one interface to the next is told`() throws {
        let one = try Self.frames(seed: 1)
        var other = one
        for index in other.indices where other[index].interface == "default/web/eth0" {
            guard other[index].octets[13] == 0, other[index].octets[23] == 6 else { continue }
            // The client's port, on one interface only: no renaming explains it.
            let offset = other[index].isIngress ? 35 : 37
            other[index].octets[offset] ^= 1
        }
        let comparison = Self.compare(one, other)
        let fields = comparison.differences.first?.fields.map(\.name) ?? []
        #expect(fields.contains("source.port") || fields.contains("destination.port"))
    }

    @Test func `what is seen when one world has ended does not count, what is seen before does`() throws {
        let one = try Self.frames(seed: 1)
        let last = try #require(one.map(\.time).max())
        var other = one
        other.removeLast()
        func compare(until end: Int64) -> Bool {
            FrameComparison(simulated: one, real: other, until: end, fixedPorts: [80, 8080]).isEqual
        }
        #expect(compare(until: last + 10_000_000))
        #expect(!compare(until: last + 1_000_000_000))
    }
}

/// Two pods on two nodes and a Service.
enum Small {
    static let cluster = """
        apiVersion: v1
        kind: Pod
        metadata: {name: client}
        spec: {nodeName: worker-1, containers: [{name: main, image: main}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: web, labels: {app: web}}
        spec:
          nodeName: worker-2
          containers: [{name: main, image: main, ports: [{containerPort: 8080}, {containerPort: 7, protocol: UDP}]}]
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web}
        spec:
          clusterIP: 10.96.0.10
          selector: {app: web}
          ports: [{name: http, port: 80, targetPort: 8080}, {name: echo, port: 80, targetPort: 7, protocol: UDP}]
        """
}
