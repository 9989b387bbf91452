// What a machine's kernel changes on the wire: when a SYN is repeated, and the window scale of nodes, pods and hosts.

import Addressing
import Kubernetes
import Netstack
import Testing

@testable import Simulation

@Suite struct KernelProfileTests {
    @Test(
        arguments: [
            ("6.18", "6.18"), ("6.1.0-18-amd64", "6.1"), ("5.15.0-105-generic", "5.15"), ("6.8+", "6.8"), ("5.3", nil),
            ("6", nil), ("six", nil), ("6.x", nil), ("", nil), ("6.1a", nil),
        ] as [(String, String?)])
    func `Versions are read as uname prints them`(text: String, version: String?) {
        #expect(KernelProfile(text)?.description == version)
    }

    /// A node, its pod and a host of one kernel. worker-2 loses every SYN.
    private static func lab(_ kernel: String) throws -> Lab {
        try Lab(
            """
            apiVersion: v1
            kind: Node
            metadata: {name: worker-1, annotations: {podnet.dev/kernel: "\(kernel)"}}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: a}
            spec: {nodeName: worker-1, containers: [{name: c, image: c, ports: [{containerPort: 80}]}]}
            ---
            apiVersion: podnet.dev/v1alpha1
            kind: Host
            metadata: {name: far, annotations: {podnet.dev/kernel: "\(kernel)"}}
            spec: {addresses: [192.168.50.200/24]}
            """)
    }

    @Test(
        "A node, its pods and a host run the kernel they name",
        arguments: [("6.18", 4, 32), ("6.8", 4, 6), ("6.1", 0, 6), ("5.15", 0, 6)])
    func settings(kernel: String, linear: Int, mebibytes: Int) throws {
        var lab = try Self.lab(kernel)
        let owners: [NamespaceOwner] = [
            .node("worker-1"), .pod(ObjectKey(namespace: "default", name: "a")), .host("far"),
        ]
        for owner in owners {
            let place = lab.simulator.namespaceID(of: owner)
            let sysctls = lab.simulator.namespace(try #require(place)).sysctls
            #expect(sysctls.tcpSynLinearTimeouts == linear, "\(owner)")
            #expect(sysctls.tcpReceiveMemory.maximum == mebibytes << 20, "\(owner)")
        }
    }

    @Test("The scale is on the wire", arguments: [("6.18", 10), ("6.1", 7)] as [(String, UInt8)])
    func scale(kernel: String, scale: UInt8) throws {
        var lab = try Self.lab(kernel)
        let trace = try lab.trace("host/far", "node/worker-1:6443")
        #expect(trace.verdict == .rejected)
        let syn = try #require(lab.frames(on: "far/eth0").first { $0.octets.count == 74 }).octets
        // mss, sackOK, TS, nop, wscale
        #expect(syn[71...73] == [3, 3, scale])
    }
}
