// flannel's rules beside kube-proxy's: the whole text, and the order of the jumps whoever came first.

import Addressing
import Foundation
import Kubernetes
import Netstack
import NodeAgents
import Testing

@Suite("flannel rules")
struct FlannelRulesTests {
    private func install(
        network: String = "10.244.0.0/16", subnet: String = "10.244.1.0/24", into ruleset: inout Ruleset
    ) throws {
        FlannelRules.install(
            network: try #require(IPPrefix(network)), subnet: try #require(IPPrefix(subnet)), into: &ruleset)
    }

    @Test("on a clean node they read as iptables-save prints them")
    func wholeText() throws {
        var ruleset = Ruleset()
        try install(into: &ruleset)
        #expect(
            ruleset.savedText() == """
                *filter
                :INPUT ACCEPT [0:0]
                :FORWARD ACCEPT [0:0]
                :OUTPUT ACCEPT [0:0]
                :FLANNEL-FWD - [0:0]
                -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
                -A FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
                -A FLANNEL-FWD -d 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
                COMMIT
                *nat
                :PREROUTING ACCEPT [0:0]
                :INPUT ACCEPT [0:0]
                :OUTPUT ACCEPT [0:0]
                :POSTROUTING ACCEPT [0:0]
                :FLANNEL-POSTRTG - [0:0]
                -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
                -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
                -A FLANNEL-POSTRTG -s 10.244.1.0/24 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j RETURN
                -A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.1.0/24 -m comment --comment "flanneld masq" -j RETURN
                -A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.1.0/24 -m comment --comment "flanneld masq" -j RETURN
                -A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE \
                --random-fully
                -A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment "flanneld masq" \
                -j MASQUERADE --random-fully
                COMMIT

                """)
        #expect(ruleset[.nat]["FLANNEL-POSTRTG"]?.agent == "flannel")
        #expect(ruleset[.filter]["FLANNEL-FWD"]?.agent == "flannel")
    }

    @Test("IPv6 leaves its own multicast addresses alone")
    func multicastOfIPv6() throws {
        var ruleset = Ruleset()
        try install(network: "fd00:10::/56", subnet: "fd00:10:0:1::/64", into: &ruleset)
        #expect(ruleset.savedText().contains("-s fd00:10::/56 ! -d ff00::/8 -m comment"))
    }

    @Test("kube-proxy's jumps come first, whichever agent came first", arguments: [true, false])
    func jumpsStandBehindKubeProxy(flannelFirst: Bool) throws {
        var ruleset = Ruleset()
        let proxy = IPTablesProxy(
            index: ServiceIndex(services: [], endpointSlices: [], family: .ipv4),
            configuration: KubeProxyConfiguration())
        let profile = proxy.profile(of: NodeView(name: "node-a"))
        if flannelFirst { try install(into: &ruleset) }
        proxy.install(for: profile, into: &ruleset)
        if !flannelFirst { try install(into: &ruleset) }

        func jumps(_ table: TableName, _ chain: String) -> [Target?] {
            ruleset[table][chain]?.rules.map(\.target) ?? []
        }
        #expect(jumps(.nat, "POSTROUTING") == [.jump("KUBE-POSTROUTING"), .jump("FLANNEL-POSTRTG")])
        #expect(
            jumps(.filter, "FORWARD") == [
                .jump("KUBE-PROXY-FIREWALL"), .jump("KUBE-FORWARD"), .jump("KUBE-SERVICES"),
                .jump("KUBE-EXTERNAL-SERVICES"), .jump("FLANNEL-FWD"),
            ])
    }
}

@Suite("flannel's nftables rules")
struct FlannelNFTablesTests {
    private func ranges() throws -> [(network: IPPrefix, subnet: IPPrefix)] {
        [
            (try #require(IPPrefix("10.244.0.0/16")), try #require(IPPrefix("10.244.1.0/24"))),
            (try #require(IPPrefix("fd00:10:244::/56")), try #require(IPPrefix("fd00:10:244:1::/64"))),
        ]
    }

    @Test("they read as nft lists what flanneld feeds it")
    func wholeText() throws {
        let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Vectors/flannel-nft.txt")
        let expected = try String(contentsOf: path, encoding: .utf8)
        #expect(NFTablesRuleset(FlannelRules.nftables(try ranges(), masquerades: true)).listing() == expected)
    }

    @Test("without --ip-masq only forwarding is left, without IPv6 its table is empty")
    func lessText() throws {
        let tables = FlannelRules.nftables([try ranges()[0]], masquerades: false)
        #expect(tables.map { $0.chains.map(\.name) } == [["forward"], []])
        #expect(tables.allSatisfy { $0.agent == "flannel" })
    }
}
