// How long a node remembers, and what follows for a client: UDP entries that time out so that the next datagram meets
// another endpoint, and packets conntrack calls INVALID, which reach the client with an address it has never heard of
// unless a rule drops them.

import Addressing
import Kubernetes
import Netstack
import Testing
import Wire

@testable import Simulation

@Suite struct ConnectionAgeTests {
    /// A client on worker-1 and six servers on worker-2 behind one Service.
    private static func cluster(isLiberal: Bool = false, setting: Int? = nil) -> String {
        let name = "podnet.dev/sysctl.net.netfilter.nf_conntrack_tcp_be_liberal"
        var text = """
            apiVersion: kubeproxy.config.k8s.io/v1alpha1
            kind: KubeProxyConfiguration
            conntrack: {tcpBeLiberal: \(isLiberal)}
            ---
            apiVersion: v1
            kind: Node
            metadata: {name: worker-1, annotations: {\(setting.map { "\(name): '\($0)'" } ?? "")}}
            ---
            apiVersion: v1
            kind: Node
            metadata: {name: worker-2}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: client}
            spec: {nodeName: worker-1, containers: [{name: c, image: c}]}
            ---
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              selector: {app: web}
              ports: [{name: udp, protocol: UDP, port: 7}, {name: http, port: 80, targetPort: 8080}]

            """
        for number in 1...6 {
            text += """
                ---
                apiVersion: v1
                kind: Pod
                metadata: {name: web-\(number), labels: {app: web}}
                spec:
                  nodeName: worker-2
                  containers:
                  - {name: s, image: s, ports: [{containerPort: 7, protocol: UDP}, {containerPort: 8080}]}

                """
        }
        return text
    }

    // MARK: UDP

    /// The endpoints a client's datagrams met, one after the other from one socket.
    private func endpoints(every interval: Nanoseconds, count: Int) throws -> [String] {
        var lab = try Lab(Self.cluster())
        var request = try lab.request("client", "svc/web:7", .udp)
        request.requests = count
        request.interval = interval
        let report = lab.simulator.run(request)
        #expect(report.outcome == .answered)
        #expect(report.answered == count)
        return lab.frames(on: "worker-1/flannel.1").filter { $0.direction == .egress }.compactMap {
            $0.octets.count > 34 && $0.octets[23] == 17
                ? $0.octets[30..<34].map(String.init).joined(separator: ".") : nil
        }
    }

    @Test func `Datagrams that follow each other within 30 seconds stay with their endpoint`() throws {
        let met = try endpoints(every: 25_000_000_000, count: 6)
        #expect(met.count == 6)
        #expect(Set(met).count == 1)
    }

    @Test func `A pause of more than 30 seconds after the first answer is a new connection`() throws {
        // Nothing has shown yet that this is a stream: nf_conntrack_udp_timeout.
        let met = try endpoints(every: 31_000_000_000, count: 8)
        #expect(met.count == 8)
        #expect(Set(met).count > 1)
    }

    @Test func `An exchange that has lasted two seconds is a stream and is remembered for 120 seconds`() throws {
        var lab = try Lab(Self.cluster())
        var request = try lab.request("client", "svc/web:7", .udp)
        request.requests = 4
        request.interval = 1_000_000_000
        _ = lab.simulator.run(request)
        let node = lab.simulator.namespaceID(of: .node("worker-1"))
        let id = try #require(node)
        let now = lab.simulator.now
        let entries = lab.simulator.namespace(id).connections.all(at: now)
        let entry = try #require(entries.first { $0.original.destinationPort == 7 })
        #expect(entry.isAssured)
        #expect((118...120).contains((entry.expires - now) / 1_000_000_000))
    }

    // MARK: INVALID

    /// Between two requests over one connection a segment of the server's arrives whose number is far outside the
    /// window. What the client sent because of it, and how the flow ended.
    private func afterLateSegment(
        isLiberal: Bool, setting: Int? = nil
    ) throws -> (answers: [String], outcome: FlowOutcome?) {
        var lab = try Lab(Self.cluster(isLiberal: isLiberal, setting: setting))
        let place = lab.simulator.namespaceID(of: .node("worker-1"))
        let node = try #require(place)
        var request = try lab.request("client", "svc/web:80")
        request.requests = 2
        request.interval = 5_000_000_000
        let flow = lab.simulator.start(request)
        lab.simulator.run(until: 1_000_000_000)
        #expect(lab.simulator.flows[flow].answered == 1)
        let answer = try #require(
            lab.frames(on: "worker-1/flannel.1").last { $0.direction == .ingress && $0.octets.count > 100 })
        let tunnel = lab.simulator.namespace(node).link(named: "flannel.1")
        let link = try #require(tunnel).id
        let before = lab.frames(on: "default/client/eth0").count
        lab.simulator.withNamespace(node) { namespace, context in
            _ = namespace.inject(Self.late(answer.octets), on: link, choosing: [], &context)
        }
        lab.simulator.settle()
        lab.simulator.run(until: 2_000_000_000)
        let answers = lab.frames(on: "default/client/eth0").dropFirst(before).filter { $0.direction == .egress }
        lab.simulator.run(until: 30_000_000_000)
        return (answers.map { Self.summary($0.octets) }, lab.simulator.flows[flow].outcome)
    }

    /// The same segment 2^30 octets later.
    private static func late(_ frame: [UInt8]) -> [UInt8] {
        var frame = frame
        let (sequence, checksum) = (14 + 20 + 4, 14 + 20 + 16)
        func word(_ offset: Int) -> UInt32 { UInt32(frame[offset]) << 8 | UInt32(frame[offset + 1]) }
        let old = word(sequence)
        frame[sequence] &+= 0x40
        // RFC 1624: a checksum follows the word that changed.
        var sum = (~word(checksum) & 0xffff) + (~old & 0xffff) + word(sequence)
        while sum > 0xffff { sum = sum >> 16 + sum & 0xffff }
        (frame[checksum], frame[checksum + 1]) = (UInt8(~sum >> 8 & 0xff), UInt8(~sum & 0xff))
        return frame
    }

    /// Destination and flags of a TCP segment.
    private static func summary(_ frame: [UInt8]) -> String {
        let flags = ["F", "S", "R", "P", "A"].enumerated().filter { frame[47] >> $0.offset & 1 == 1 }.map(\.element)
        return frame[30..<34].map(String.init).joined(separator: ".").prefix(7) + " " + flags.joined()
    }

    @Test func `kube-proxy drops what is INVALID, and nobody notices`() throws {
        let (answers, outcome) = try afterLateSegment(isLiberal: false)
        #expect(answers == [])
        #expect(outcome == .answered)
    }

    @Test func `Without that rule the client meets an address it does not know, and its reset ends the connection`()
        throws
    {
        // tcpBeLiberal leaves the rule out; the node's own setting undoes the rest.
        let (answers, outcome) = try afterLateSegment(isLiberal: true, setting: 0)
        #expect(answers == ["10.244. R"])
        #expect(outcome == .failed(.connectionReset))
    }

    @Test func `nf_conntrack_tcp_be_liberal translates it all the same, and the client says what it expects`() throws {
        let (answers, outcome) = try afterLateSegment(isLiberal: true)
        #expect(answers.map { !$0.hasPrefix("10.244.") && $0.hasSuffix(" A") } == [true])
        #expect(outcome == .answered)
    }
}
