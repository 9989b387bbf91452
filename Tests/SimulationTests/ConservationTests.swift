// No packet vanishes and none is made of nothing: every copy ends in exactly one disposition, over all topologies and
// over random flows, and the memory of all packets has been given back when the network is quiet.

import Addressing
import Foundation
import Kubernetes
import Netstack
import Testing

@testable import Simulation

@Suite struct ConservationTests {
    /// `topologies/` beside Sources and Tests.
    static let topologies: [String] = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(3)
        let folder = parts.joined(separator: "/") + "/topologies"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".yaml") }.sorted().map { "\(folder)/\($0)" }
    }()

    /// Flows between everything a cluster has, drawn from the seed.
    private func randomRequests(_ lab: inout Lab, count: Int, _ generator: inout SeededGenerator) -> [FlowRequest] {
        let objects = lab.simulator.cluster.objects
        var sources: [NamespaceOwner] = objects.nodes.map { .node($0.name) } + objects.hosts.map { .host($0.name) }
        sources += objects.pods.filter { !$0.spec.hostNetwork && !$0.status.podIPs.isEmpty }.map { .pod($0.key) }
        let owners = sources.compactMap { lab.simulator.namespaceID(of: $0) }
        var addresses = objects.pods.flatMap(\.status.podIPs) + objects.services.flatMap(\.clusterAddresses)
        addresses += objects.nodes.flatMap(\.internalIPs) + objects.hosts.flatMap { $0.addresses.map(\.address) }
        // Addresses nobody has: inside a node's block, inside the cluster, outside.
        addresses += ["10.244.1.250", "10.244.99.1", "203.0.113.5", "127.0.0.1", "192.168.50.77"].compactMap(
            IPAddress.init)
        addresses.removeAll { $0.family != .ipv4 }
        let ports: [UInt16] = [80, 8080, 7, 30080, 30081, 443, 6443, 9]
        let transports: [IPProtocol] = [.tcp, .tcp, .udp, .icmp]
        return (0..<count).map { _ in
            let transport = transports[generator.next(below: transports.count)]
            var request = FlowRequest(
                from: owners[generator.next(below: owners.count)],
                to: addresses[generator.next(below: addresses.count)],
                port: transport == .icmp ? nil : ports[generator.next(below: ports.count)], protocol: transport)
            if generator.next(below: 5) == 0 { request.timeToLive = UInt8(1 + generator.next(below: 3)) }
            if transport == .udp, generator.next(below: 3) == 0 {
                request.payload = Array(repeating: 0x61, count: generator.next(below: 4_000))
            }
            return request
        }
    }

    /// Runs the flows to their ends and everything after them to its end, and counts.
    private func check(
        _ lab: inout Lab, _ requests: [FlowRequest], _ what: String, location: SourceLocation = #_sourceLocation
    ) {
        for request in requests { _ = lab.simulator.run(request) }
        // Neighbors fail after 3 seconds, what waits for fragments after 30, TIME-WAIT ends after 60.
        lab.simulator.run(until: lab.simulator.now + 200_000_000_000)
        #expect(lab.simulator.context.arena.packetsInFlight == 0, "\(what)", sourceLocation: location)

        struct Life {
            var origins = 0
            var ends = 0
            var otherHosts = 0
            var isCopied = false
        }
        var lives: [UInt32: Life] = [:]
        for event in lab.simulator.context.recording.events {
            switch event.kind {
            case .originated: lives[event.packet, default: Life()].origins += 1
            case .delivered, .consumed: lives[event.packet, default: Life()].ends += 1
            case .dropped(.otherHost, _): lives[event.packet, default: Life()].otherHosts += 1
            case .dropped: lives[event.packet, default: Life()].ends += 1
            case .flooded, .fragmented, .fault(_, .duplicated): lives[event.packet, default: Life()].isCopied = true
            case .frame(_, _, let headers, _) where headers.isARP:
                // A request is broadcast: one frame becomes many on the underlay.
                if headers.destinationMAC.isMulticast { lives[event.packet, default: Life()].isCopied = true }
            default: break
            }
        }
        #expect(!lives.isEmpty || requests.isEmpty, "\(what)", sourceLocation: location)
        for (packet, life) in lives.sorted(by: { $0.key < $1.key }) {
            #expect(life.origins == 1, "\(what): packet \(packet)", sourceLocation: location)
            if life.isCopied {
                #expect(life.ends + life.otherHosts >= 1, "\(what): packet \(packet)", sourceLocation: location)
            } else {
                #expect(life.ends + life.otherHosts == 1, "\(what): packet \(packet)", sourceLocation: location)
            }
        }
    }

    @Test(arguments: topologies)
    func `every packet copy ends once in`(_ path: String) throws {
        let seed: UInt64 = 3
        var lab = try Lab(path: path, seed: seed)
        var generator = SeededGenerator(seed: seed)
        let requests = randomRequests(&lab, count: 24, &generator)
        check(&lab, requests, "\(path) seed \(seed)")
    }

    @Test(arguments: [UInt64(1), 2, 3, 4, 5, 6])
    func `random flows keep account of every packet with seed`(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let loss = ["0%", "0%", "20%"][generator.next(below: 3)]
        let underlay = """
            ---
            apiVersion: podnet.dev/v1alpha1
            kind: Underlay
            metadata: {name: default}
            spec: {loss: \(loss)}

            """
        let manifest = (generator.next(below: 2) == 0 ? LabManifest.plain : LabManifest.hostGateway) + underlay
        var lab = try Lab(manifest, seed: seed)
        let requests = randomRequests(&lab, count: 40, &generator)
        check(&lab, requests, "seed \(seed) loss \(loss)")
    }

    @Test func `flows that run at the same time keep account, too`() throws {
        var lab = try Lab(LabManifest.plain)
        var generator = SeededGenerator(seed: 9)
        for request in randomRequests(&lab, count: 30, &generator) { _ = lab.simulator.start(request) }
        lab.simulator.runUntilQuiet()
        check(&lab, [], "30 flows at once, seed 9")
        #expect(lab.simulator.flows.allSatisfy { $0.outcome != nil })
    }
}
