// kube-proxy's nftables table where the recorded ones do not lead: service networks, other ways to tell local traffic,
// source ranges that touch, names that are cut, and the parts nodes share.

import Addressing
import Kubernetes
import Netstack
import NodeAgents
import Testing

@Suite("nftables rules of kube-proxy")
struct NFTablesRulesTests {
    /// The rules of a chain as nft lists them; nil without the chain.
    private func rules(_ chain: String, of table: NFTablesTable) -> [String]? {
        table.chains.first { $0.name == chain }?.rules.map(\.description)
    }

    private func elements(_ set: String, of table: NFTablesTable) -> [String]? {
        table.sets.first { $0.name == set }?.elements.map(\.description)
    }

    @Test(
        "Known service networks make unallocated addresses a dead end",
        arguments: [
            ([], nil), (["10.96.0.0/12"], "ip daddr 10.96.0.0/12"),
            (["10.112.0.0/16", "10.96.0.0/12", "fd00:96::/112"], "ip daddr 10.96.0.0-10.112.255.255"),
            (["10.128.0.0/16", "10.96.0.0/16"], "ip daddr { 10.96.0.0/16, 10.128.0.0/16 }"),
        ] as [([String], String?)])
    func serviceNetworks(cidrs: [String], match: String?) throws {
        let input = ProxyInput.cluster("10.42.0.0/16", (.demo(), [.at("10.42.2.1")]))
        let table = input.table(serviceCIDRs: cidrs.compactMap { IPPrefix($0) })
        let reject = "ip daddr @cluster-ips reject comment \"Reject traffic to invalid ports of ClusterIPs\""
        // Networks that touch become one range, and a set of one range stays a set.
        let drop = match.map { match in
            let match = match.contains("-10.") ? match.replacing("daddr ", with: "daddr { ") + " }" : match
            return "\(match) drop comment \"Drop traffic to unallocated ClusterIPs\""
        }
        #expect(rules("cluster-ips-check", of: table) == [reject] + [drop].compactMap(\.self))
    }

    @Test func `What tells local traffic is asked in nft's words`() throws {
        func services(_ change: (inout ProxyInput) -> Void) -> [String] {
            var input = ProxyInput.cluster("10.42.0.0/16", (.demo(), [.at("10.42.2.1")]))
            change(&input)
            return rules("services", of: input.table()) ?? []
        }
        let end = " meta mark set meta mark | 0x00004000 comment \"masquerade clusterIP traffic from outside cluster\""
        let bridge = services {
            $0.configuration.detectLocalMode = .bridgeInterface
            $0.configuration.bridgeInterface = "cni0"
        }
        #expect(bridge.first == "ip daddr @cluster-ips iifname != \"cni0\"" + end)
        let prefix = services {
            $0.configuration.detectLocalMode = .interfaceNamePrefix
            $0.configuration.interfaceNamePrefix = "veth"
        }
        #expect(prefix.first == "ip daddr @cluster-ips iifname != \"veth*\"" + end)
        let node = services {
            $0.configuration.detectLocalMode = .nodeCIDR
            $0.node.spec.podCIDRs = [IPPrefix("10.42.1.0/24")].compactMap { $0 }
        }
        #expect(node.first == "ip daddr @cluster-ips ip saddr != 10.42.1.0/24" + end)
        let absent = services { $0.configuration.clusterCIDRs = [] }
        #expect(absent.first == "ip daddr . meta l4proto . th dport vmap @service-ips")
        #expect([bridge.count, prefix.count, node.count, absent.count] == [3, 3, 3, 2])
    }

    @Test func `The highest bit of a mark is tested the way nft lists it`() {
        var input = ProxyInput.cluster()
        func test(_ bit: Int) -> String? {
            input.configuration.nftables.masqueradeBit = bit
            return rules("masquerading", of: input.table())?.first
        }
        #expect(
            test(31)
                == "meta mark != 0x00000000/1 meta mark set meta mark ^ 0x80000000 masquerade fully-random")
        #expect(
            test(0)
                == "meta mark & 0x00000001 != 0x00000000 meta mark set meta mark ^ 0x00000001 masquerade fully-random")
    }

    @Test func `Node ports answer on the node's own address, if it is known and there`() throws {
        let input = ProxyInput.cluster()
        func addresses(_ family: AddressFamily, _ present: String) throws -> [String]? {
            elements(
                "nodeport-ips",
                of: input.table(family, interfaceAddresses: [try #require(InterfaceAddress(present))]))
        }
        #expect(try addresses(.ipv4, "192.168.77.11/24") == ["192.168.77.11"])
        #expect(try addresses(.ipv4, "192.168.77.12/24") == [])
        // The node has no IPv6 address that kube-proxy knows of, so all of them will do.
        #expect(try addresses(.ipv6, "2001:db8::11/64") == nil)
    }

    @Test(
        "Source ranges are kept as nft keeps them",
        arguments: [
            (["198.51.100.0/25"], "198.51.100.0/25"), (["203.0.113.7/32"], "203.0.113.7"),
            (["198.51.100.0/25", "198.51.100.128/25"], "{ 198.51.100.0/24 }"),
            (["10.0.0.0/24", "10.0.2.0/24", "10.0.1.0/24"], "{ 10.0.0.0-10.0.2.255 }"),
            (["10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8"], "{ 10.0.0.0/8 }"),
            (["192.168.77.0/24", "198.51.100.0/24"], "{ 192.168.77.0/24, 198.51.100.0/24, 203.0.113.20 }"),
        ])
    func sourceRanges(ranges: [String], match: String) throws {
        var input = ProxyInput.cluster()
        input.add(
            .demo {
                $0.spec.type = .loadBalancer
                $0.spec.loadBalancerSourceRanges = ranges
                $0.loadBalancerIngress = [LoadBalancerIngress(ip: "203.0.113.20")]
            }, [.at("10.42.2.1")])
        let table = input.table()
        let firewall = try #require(table.chains.last { $0.name.hasPrefix("firewall-") && $0.name != "firewall-check" })
        #expect(firewall.rules.map(\.description) == ["ip saddr != \(match) drop"])
        #expect(elements("firewall-ips", of: table) == ["203.0.113.20 . tcp . 80 : goto \(firewall.name)"])
    }

    @Test(
        "Node ports answer on the primary address unless a list says otherwise, and never on loopback",
        arguments: [
            ([], ["192.168.77.11"]), (["primary"], ["192.168.77.11"]), (["172.31.0.0/16"], ["172.31.5.4"]),
            (["127.0.0.0/8"], []), (["192.168.0.0/16", "172.31.0.0/16"], ["172.31.5.4", "192.168.77.11"]),
            (["0.0.0.0/0"], nil), (["::/0"], nil),
        ] as [([String], [String]?)])
    func nodePortAddresses(setting: [String], addresses: [String]?) throws {
        var input = ProxyInput.cluster("10.42.0.0/16", (.demo(), [.at("10.42.2.1")]))
        input.configuration.nodePortAddresses = setting
        let table = input.table(
            interfaceAddresses: ["192.168.77.11/24", "172.31.5.4/20"].compactMap { InterfaceAddress($0) })
        #expect(elements("nodeport-ips", of: table) == addresses)
        let isListed = addresses != nil
        #expect(
            rules("nodeport-endpoints-check", of: table) == [
                (isListed ? "ip daddr @nodeport-ips" : "ip daddr != 127.0.0.0/8")
                    + " meta l4proto . th dport vmap @no-endpoint-nodeports"
            ])
        #expect(
            rules("services", of: table)?.last
                == (isListed ? "ip daddr @nodeport-ips" : "fib daddr type local ip daddr != 127.0.0.0/8")
                + " meta l4proto . th dport vmap @service-nodeports")
    }

    @Test func `Session affinity in IPv6 has a set and a chain for each endpoint`() throws {
        var input = ProxyInput.cluster("fd00:42::/56")
        input.add(
            .demo(clusterIP: "fd00:96::1") {
                $0.spec.sessionAffinity = .clientIP
                $0.spec.sessionAffinityTimeoutSeconds = 90
            }, [.at("fd00:42::5"), .at("fd00:42::6")])
        let table = input.table(.ipv6)
        let sets = table.sets.filter { $0.name.hasPrefix("affinity-") }
        #expect(
            sets.map { $0.name.dropFirst(18) } == [
                "demo/web/tcp/http__fd00.42..5/8080", "demo/web/tcp/http__fd00.42..6/8080",
            ])
        #expect(sets.map(\.timeout) == [90_000_000_000, 90_000_000_000])
        let endpoint = try #require(table.chains.first { $0.name.hasPrefix("endpoint-") })
        #expect(
            endpoint.rules.map(\.description) == [
                "update @\(sets[0].name) { ip6 saddr }", "meta l4proto tcp dnat to [fd00:42::5]:8080",
            ])
    }

    @Test func `An endpoint of two services is one hairpin, an address two services claim goes to the first`() throws {
        var input = ProxyInput.cluster()
        for name in ["a", "b"] {
            input.add(
                .demo(name, clusterIP: name == "a" ? "10.96.0.1" : "10.96.0.2") {
                    $0.spec.externalIPs = ["203.0.113.1"]
                }, [.at("10.42.1.1", on: "node-a"), .at("10.42.2.1")])
        }
        let table = input.table()
        #expect(elements("hairpin-connections", of: table) == ["10.42.1.1 . 10.42.1.1 . tcp . 8080"])
        let services = elements("service-ips", of: table) ?? []
        #expect(services.map { $0.split(separator: " ")[0] } == ["10.96.0.1", "203.0.113.1", "10.96.0.2"])
        #expect(services[1].contains("demo/a/tcp"))
    }

    @Test func `A name nft would not take is cut`() throws {
        let long = String(repeating: "n", count: 63)
        var input = ProxyInput.cluster()
        input.add(
            .demo(long) {
                $0.metadata.namespace = long
                $0.spec.ports[0].name = String(repeating: "p", count: 63)
                $0.spec.sessionAffinity = .clientIP
            }, [.at("10.42.2.1")])
        let names = input.table().chains.map(\.name).filter { $0.hasPrefix("endpoint-") || $0.hasPrefix("service-") }
        #expect(names.count == 3)
        #expect(names.allSatisfy { $0.utf8.count <= 249 })
        #expect(names[0] != "service-endpoints-check" || !names.contains { $0.hasSuffix("...") })
    }

    @Test func `External addresses switched off lead nowhere`() throws {
        var input = ProxyInput.cluster()
        input.configuration.featureGates["AllowServiceExternalIPs"] = false
        input.add(.demo { $0.spec.externalIPs = ["203.0.113.1"] }, [.at("10.42.2.1")])
        let table = input.table()
        #expect(elements("service-ips", of: table)?.count == 1)
        #expect(elements("no-endpoint-services", of: table) == [])
    }

    @Test func `A table put together from shared parts is the one made for the node alone`() throws {
        var input = ProxyInput.cluster()
        for number in 1...12 {
            let here = "10.42.1.\(number)"
            input.add(
                .demo("svc-\(number)", clusterIP: "10.96.1.\(number)") {
                    $0.spec.type = .loadBalancer
                    $0.spec.ports[0].nodePort = 30000 + number
                    $0.spec.externalTrafficPolicy = number % 2 == 0 ? .local : .cluster
                    $0.spec.internalTrafficPolicy = number % 3 == 0 ? .local : .cluster
                    $0.spec.sessionAffinity = number % 4 == 0 ? .clientIP : .none
                    $0.spec.loadBalancerSourceRanges = number % 5 == 0 ? ["192.168.77.0/24"] : []
                    $0.loadBalancerIngress = [LoadBalancerIngress(ip: "203.0.113.\(number)")]
                },
                [
                    .at(here, on: number % 2 == 0 ? "node-a" : "node-c", nodes: number % 6 == 1 ? ["node-a"] : []),
                    .at("10.42.2.\(number)", nodes: number % 6 == 1 ? ["node-b"] : []),
                ])
        }
        let index = ServiceIndex(services: input.services, endpointSlices: input.endpointSlices, family: .ipv4)
        let shared = NFTablesProxy(index: index, configuration: input.configuration)
        var views: [NFTablesTable] = []
        for name in ["node-a", "node-b", "node-x"] {
            let node = NodeView(
                name: name, hostAddresses: [.v4(192, 168, 77, name == "node-b" ? 12 : 11)],
                interfaceAddresses: [], podCIDRs: [])
            let table = shared.table(for: shared.profile(of: node))
            // In NodeCIDR mode nothing is shared; the detector is made the same.
            var alone = input.configuration
            alone.detectLocalMode = .nodeCIDR
            var own = node
            own.podCIDRs = alone.clusterCIDRs
            let proxy = NFTablesProxy(index: index, configuration: alone)
            #expect(table == proxy.table(for: proxy.profile(of: own)))
            #expect(try NFTablesRuleset(listing: table.listing()).listing() == table.listing())
            views.append(table)
        }
        #expect(Set(views.map { $0.listing() }).count == 3)
    }
}
