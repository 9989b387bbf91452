// The same flows on real kernels and here, frame by frame on every interface. KernelFlows/README.md tells how the
// kernels' frames were recorded and how to read them.

import Testing

@Suite("Flows recorded on real kernels")
struct KernelFlowTests {
    @Test(
        "podnet's frames are the kernel's",
        arguments: [
            "answer-from-other-address", "asked-again", "broadcast", "closed-port", "datagram-on-loopback",
            "dead-endpoint", "fragments", "host-gw", "host-to-local-node-port", "host-to-local-node-port-elsewhere",
            "host-to-node-port-of-other-node", "loopback", "no-endpoints", "no-endpoints-on-node", "node-to-service",
            "path-mtu", "ping-service", "pod-to-itself-by-service", "pod-to-node-port-of-other-node",
            "pod-to-pod-on-other-node", "pod-to-pod-on-same-node", "pod-to-service-on-other-node",
            "pod-to-service-on-same-node", "redirected", "tcp-answer-of-20-kib", "tcp-answer-of-5-kib",
            "tcp-answer-of-5-kib-mtu-1500",
            "tcp-black-hole", "tcp-keepalive", "tcp-kept-connection", "tcp-lost-answer",
            "tcp-lost-fin", "tcp-lost-first-segment", "tcp-lost-handshake-ack", "tcp-lost-last-ack",
            "tcp-lost-last-segment", "tcp-lost-request", "tcp-lost-second-fin", "tcp-lost-second-segment",
            "tcp-lost-syn", "tcp-reordering-timer", "tcp-upload-of-5-kib", "time-exceeded",
        ])
    func framesAreEqual(name: String) throws {
        let flow = try KernelFlow(parsing: kernelFlowText("\(name).txt"))
        let frames = try flow.run(seed: 1)
        for place in flow.frames.keys.sorted() {
            #expect(frames[place] == flow.frames[place], "\(name) on \(place)")
        }
        #expect(frames.keys.filter { flow.frames[$0] == nil }.sorted() == [])
    }

    @Test func `Chance changes no frame but for ports, ids and sequence numbers`() throws {
        let flow = try KernelFlow(parsing: kernelFlowText("pod-to-node-port-of-other-node.txt"))
        for seed: UInt64 in [2, 3, 4] { #expect(try flow.run(seed: seed) == flow.frames) }
    }

    @Test func `Every difference is seen`() throws {
        let text = try kernelFlowText("no-endpoints.txt")
        for (field, other) in [
            ("ttl 64", "ttl 63"), ("tos 0xc0 ", ""), ("win 64860", "win 64240"), ("  0 in", "  1 in"),
        ] {
            let changed = try KernelFlow(parsing: text.replacing(field, with: other, maxReplacements: 1))
            #expect(changed.frames != (try KernelFlow(parsing: text)).frames)
            #expect(try changed.run(seed: 1) != changed.frames, "\(field)")
        }
    }
}
