// The rules of hostPorts and of ipMasq, compared as text with what the real plugins wrote for the same pods
// (Vectors/cni), and what of a pod's ports reaches them.

import Addressing
import Foundation
import Kubernetes
import Netstack
import NodeAgents
import Testing

@Suite("portmap and ipMasq")
struct PortmapTests {
    private static let first: [PortMapping] = [
        PortMapping(.tcp, hostPort: 8080, containerPort: 80),
        PortMapping(.udp, hostPort: 53, containerPort: 5353),
        PortMapping(.tcp, hostPort: 9090, containerPort: 90, hostIP: IPAddress("192.168.50.11")),
        PortMapping(.tcp, hostPort: 9091, containerPort: 91, hostIP: IPAddress("127.0.0.1")),
        PortMapping(.tcp, hostPort: 9092, containerPort: 92, hostIP: IPAddress("0.0.0.0")),
        PortMapping(.sctp, hostPort: 7000, containerPort: 7001),
        PortMapping(.tcp, hostPort: 9093, containerPort: 93, hostIP: IPAddress("fd00::5")),
        PortMapping(.tcp, hostPort: 9094, containerPort: 94, hostIP: IPAddress("::")),
    ]
    private static let second = (1...20).map { PortMapping(.tcp, hostPort: 10_000 + $0, containerPort: 100 + $0) }

    @Test(arguments: [
        ("iptables-save.txt", "10.244.0.2/24", "10.244.0.3/24"),
        ("ip6tables-save.txt", "fd00:10:244:1::2/64", "fd00:10:244:1::3/64"),
    ])
    func `two pods get the rules the real plugins write`(file: String, one: String, two: String) throws {
        var ruleset = Ruleset()
        for (letter, address, mappings) in [("a", one, Self.first), ("b", two, Self.second)] {
            let interface = try #require(InterfaceAddress(address))
            let id = String(repeating: letter, count: 64)
            BridgePlugin.installMasquerade(of: interface, network: "cbr0", containerID: id, into: &ruleset)
            PortmapPlugin.install(mappings, network: "cbr0", containerID: id, address: interface, into: &ruleset)
        }
        let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Vectors/cni/\(file)")
        let expected = try String(contentsOf: path, encoding: .utf8)
        #expect(ruleset.savedText() == expected)
        #expect(expected.contains("CNI-DN-e5cdf215392f6931bb77c"))
        for chain in ruleset[.nat].chains where chain.policy == nil {
            let isPortmaps = chain.name.hasPrefix("CNI-DN-") || chain.name.hasPrefix("CNI-HOSTPORT-")
            #expect(chain.agent == (isPortmaps ? "portmap" : "bridge"))
        }
    }

    @Test func `a pod's containers bring their host ports in order, init containers none`() {
        var pod = Pod(metadata: ObjectMeta(name: "p"))
        let web = ContainerPort(containerPort: 80, hostPort: 8080)
        pod.spec.initContainers = [
            Container(name: "side", ports: [ContainerPort(containerPort: 1, hostPort: 1)], restartPolicy: "Always")
        ]
        pod.spec.containers = [
            Container(name: "a", ports: [web, web, ContainerPort(containerPort: 81)]),
            Container(
                name: "b",
                ports: [
                    ContainerPort(containerPort: 53, hostPort: 53, hostIP: "10.0.0.1", protocol: .udp),
                    ContainerPort(containerPort: 70_000, hostPort: 5),
                ]),
        ]
        #expect(
            PortMapping.mappings(of: pod) == [
                PortMapping(.tcp, hostPort: 8080, containerPort: 80),
                PortMapping(.udp, hostPort: 53, containerPort: 53, hostIP: IPAddress("10.0.0.1")),
            ])
    }

    @Test func `the hooks stand behind kube-proxy's and flannel's, but for the new source`() throws {
        var ruleset = KubeletRules.ruleset(.ipv4)
        let proxy = IPTablesProxy(
            index: ServiceIndex(services: [], endpointSlices: [], family: .ipv4),
            configuration: KubeProxyConfiguration())
        proxy.install(for: proxy.profile(of: NodeView(name: "n")), into: &ruleset)
        FlannelRules.install(
            network: try #require(IPPrefix("10.244.0.0/16")), subnet: try #require(IPPrefix("10.244.0.0/24")),
            into: &ruleset)
        PortmapPlugin.install(
            Self.first, network: "cbr0", containerID: "x", address: try #require(InterfaceAddress("10.244.0.2/24")),
            into: &ruleset)
        let jumps = { (chain: String) in ruleset[.nat][chain]?.rules.compactMap(\.target) }
        #expect(jumps("PREROUTING") == [.jump("KUBE-SERVICES"), .jump("CNI-HOSTPORT-DNAT")])
        #expect(jumps("OUTPUT") == [.jump("KUBE-SERVICES"), .jump("CNI-HOSTPORT-DNAT")])
        #expect(
            jumps("POSTROUTING") == [
                .jump("CNI-HOSTPORT-MASQ"), .jump("KUBE-POSTROUTING"), .jump("FLANNEL-POSTRTG"),
            ])
    }
}

@Suite("SHA-512")
struct SHA512Tests {
    @Test(
        "messages hash as published, and lengths around the block size are padded right",
        arguments: [
            (0, "cf83e1357eefb8bdf1542850d66d8007"), (1, "b8244d028981d693af7b456af8efa4ca"),
            (111, "a1a111449b198d9b1f538bad7f3fc102"), (112, "c5fbd731d19d2ae1180f001be72c2c1a"),
            (119, "43e497279c2ce805903a33b54b746ea9"),
            (120, "9636708964c5ff6600510319e07bf3fc"), (127, "eab89674feaa34e27aebeeff3c0a4d70"),
            (128, "1dffd5e3adb71d45d2245939665521ae"), (300, "f758e49e6fca32320310aa1b0b2e3abf"),
        ])
    func lengths(length: Int, beginning: String) {
        let digest = SHA512.digest(of: (0..<length).map { UInt8($0 % 251) })
        #expect(digest.count == 64)
        #expect(digest.prefix(16).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == beginning)
    }
}
