// Single features of the iptables mode that the dumps of the real program do not show, and the promises a caller
// builds on: equal input gives equal rules, in any order, shared or not.

import Addressing
import Kubernetes
import Netstack
import NodeAgents
import Testing

@Suite("kube-proxy in iptables mode")
struct IPTablesRulesTests {
    /// demo/api with three endpoints, demo/lb with everything a load balancer may have, demo/none with nothing.
    private var example: ProxyInput {
        get throws {
            var input = ProxyInput.cluster("10.200.0.0/16")
            input.node = Node(metadata: ObjectMeta(name: "w1"))
            input.node.status.addresses = [NodeAddress(type: .internalIP, address: "10.1.1.1")]
            input.add(
                .demo("api", clusterIP: "10.80.0.1"),
                [.at("10.200.3.7"), .at("10.200.1.5", on: "w1"), .at("10.200.2.6")])
            let balanced = Service.demo("lb", clusterIP: "10.80.0.2") { service in
                service.spec.type = .loadBalancer
                service.spec.ports = [ServicePort(name: "https", port: 443, nodePort: 30444)]
                service.spec.externalTrafficPolicy = .local
                service.spec.healthCheckNodePort = 30555
                service.spec.loadBalancerSourceRanges = ["198.18.0.0/15", " 10.1.1.0/24 ", "2001:db8::/32"]
                service.spec.sessionAffinity = .clientIP
                service.loadBalancerIngress = [LoadBalancerIngress(ip: "192.0.2.80")]
            }
            input.add(balanced, [.at("10.200.2.9"), .at("10.200.1.8", on: "w1")])
            input.endpointSlices[1].ports[0].port = 8443
            input.services.append(
                .demo("none", clusterIP: "10.80.0.3") { service in
                    service.spec.type = .nodePort
                    service.spec.ports = [ServicePort(port: 7000, nodePort: 30777)]
                })
            return input
        }
    }

    @Test("three Services together give the rules the real program gave")
    func workedExample() throws {
        let everywhere =
            ["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"].map { "-A \($0) " }
            + ["FIREWALL", "FORWARD", "MARK-MASQ", "POSTROUTING"].map { "-A KUBE-\($0) " }
        let lines = try example.savedText().split(separator: "\n").filter { line in
            line.first != ":" && !everywhere.contains { line.hasPrefix($0) }
        }
        // The mangle table has an empty chain only.
        let actual = canonicalRules(lines.joined(separator: "\n")).filter { $0 != "*mangle" }
        let expected = canonicalRules(try vectorText("kube-proxy-example/rules.txt"))
        #expect(expected.count == 41)
        #expect(difference(expected: expected, actual: actual) == [])
    }

    @Test(
        "every endpoint gets the same share, written with the decimals the kernel gives back",
        arguments: zip(
            2...10,
            [
                "0.50000000000", "0.33333333349", "0.25000000000", "0.20000000019", "0.16666666651", "0.14285714272",
                "0.12500000000", "0.11111111101", "0.10000000009",
            ]))
    func probabilities(count: Int, text: String) {
        let endpoints = (1...count).map { Endpoint.at("10.42.1.\($0)") }
        let input = ProxyInput.cluster("10.42.0.0/16", (.demo(), endpoints))
        let rules = input.lines(containing: "demo/web:http -> ")
        #expect(rules.count == count)
        #expect(rules.first?.contains("--mode random --probability \(text) -j") == true)
        #expect(rules.last?.contains("statistic") == false)
    }

    @Test("past a thousand endpoints the commonest rules lose their comments", arguments: [1000, 1001])
    func manyEndpoints(count: Int) {
        let endpoints = (0..<count).map { Endpoint.at("10.42.\($0 / 250).\($0 % 250 + 1)", $0 == 0 ? "ready" : "dead") }
        let input = ProxyInput.cluster("10.42.0.0/16", (.demo(), endpoints))
        let comment = count > 1000 ? "" : "-m comment --comment \"demo/web:http\" "
        let arrow = count > 1000 ? "" : "-m comment --comment \"demo/web:http -> 10.42.0.1:8080\" "
        let chain = "KUBE-SEP-ARSW4OAXMGU5ECXM"
        #expect(
            input.lines(containing: chain).filter { $0.hasPrefix("-A") } == [
                "-A \(chain) -s 10.42.0.1/32 \(comment)-j KUBE-MARK-MASQ",
                "-A \(chain) -p tcp \(comment)-m tcp -j DNAT --to-destination 10.42.0.1:8080",
                "-A KUBE-SVC-XRY76EGRC3BSCIIJ \(arrow)-j \(chain)",
            ])
        #expect(input.lines(containing: "demo/web:http cluster IP").count == 2)
    }

    @Test("external IPs serve pods and the node although outsiders are dropped")
    func externalIPsWithLocalPolicy() {
        let service = Service.demo { service in
            service.spec.externalIPs = ["198.51.100.7", "2001:db8::7"]
            service.spec.externalTrafficPolicy = .local
        }
        var input = ProxyInput.cluster("10.42.0.0/16", (service, [.at("10.42.2.1")]))
        let chain = "KUBE-EXT-XRY76EGRC3BSCIIJ"
        #expect(
            input.lines(containing: "-d 198.51.100.7/32") == [
                "-A KUBE-EXTERNAL-SERVICES -d 198.51.100.7/32 -p tcp -m comment --comment "
                    + "\"demo/web:http has no local endpoints\" -m tcp --dport 80 -j DROP",
                "-A KUBE-SERVICES -d 198.51.100.7/32 -p tcp -m comment --comment \"demo/web:http external IP\" "
                    + "-m tcp --dport 80 -j \(chain)",
            ])
        #expect(input.lines(containing: "2001:db8") == [])
        // The chain ends with the node's own traffic: nothing leads outsiders on.
        #expect(input.lines(containing: "-A \(chain)").count == 3)
        #expect(input.lines(containing: "-A \(chain) -j") == [])

        // The gate hides them from the rules, but the port still counts as one reached from outside.
        input.configuration.featureGates["AllowServiceExternalIPs"] = false
        #expect(input.lines(containing: "198.51.100.7") == [])
        #expect(input.lines(containing: "-A \(chain)").count == 3)
    }

    struct Detector: CustomTestStringConvertible, Sendable {
        var mode: DetectLocalMode
        var cluster: String?
        var outside: String?
        var pods: String?
        var testDescription: String { "\(mode)\(cluster == nil ? " without a CIDR" : "")" }
    }

    @Test(
        "local pods are recognised in each of the four ways",
        arguments: [
            Detector(
                mode: .clusterCIDR, cluster: "10.42.0.0/16", outside: "! -s 10.42.0.0/16 ", pods: "-s 10.42.0.0/16 "),
            Detector(mode: .clusterCIDR, cluster: nil, outside: nil, pods: nil),
            Detector(mode: .nodeCIDR, cluster: "", outside: "! -s 10.42.1.0/24 ", pods: "-s 10.42.1.0/24 "),
            Detector(mode: .bridgeInterface, cluster: "", outside: "! -i cni0 ", pods: "-i cni0 "),
            Detector(mode: .interfaceNamePrefix, cluster: "", outside: "! -i veth+ ", pods: "-i veth+ "),
        ])
    func localDetectors(row: Detector) {
        let service = Service.demo { service in
            service.spec.type = .nodePort
            service.spec.ports[0].nodePort = 30080
            service.spec.externalTrafficPolicy = .local
        }
        var input = ProxyInput.cluster(row.cluster ?? "", (service, [.at("10.42.2.1")]))
        input.configuration.detectLocalMode = row.mode
        input.configuration.bridgeInterface = "cni0"
        input.configuration.interfaceNamePrefix = "veth"
        input.node.spec.podCIDRs = [IPPrefix("fd00::/64"), IPPrefix("10.42.1.0/24")].compactMap { $0 }

        let masquerade = input.lines(containing: "-A KUBE-SVC-XRY76EGRC3BSCIIJ").filter {
            $0.hasSuffix("-j KUBE-MARK-MASQ")
        }
        #expect(masquerade.count == (row.outside == nil ? 0 : 1))
        #expect(masquerade.allSatisfy { $0.contains(row.outside ?? "") })
        let pods = input.lines(containing: "pod traffic for")
        #expect(pods.count == (row.pods == nil ? 0 : 1))
        #expect(pods.allSatisfy { $0.contains("GRC3BSCIIJ \(row.pods ?? "")-m comment") })
    }

    @Test("masqueradeAll needs no detector, and the bit can be chosen")
    func masqueradeAll() {
        var input = ProxyInput.cluster("", (.demo(), [.at("10.42.2.1")]))
        input.configuration.iptables.masqueradeAll = true
        input.configuration.iptables.masqueradeBit = 31
        #expect(
            input.lines(containing: "-A KUBE-SVC").first
                == "-A KUBE-SVC-XRY76EGRC3BSCIIJ -d 10.96.0.1/32 -p tcp -m comment --comment \"demo/web:http cluster IP\" "
                + "-m tcp --dport 80 -j KUBE-MARK-MASQ")
        #expect(
            input.lines(containing: "--set-xmark") == [
                "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x80000000/0x80000000",
                "-A KUBE-POSTROUTING -j MARK --set-xmark 0x80000000/0x0",
            ])
    }

    struct NodePorts: CustomTestStringConvertible, Sendable {
        var setting: [String]
        var family: AddressFamily = .ipv4
        var localhost = true
        /// What the jumps to the node ports begin with behind the chain name.
        var jumps: [String]
        var loopbackRules: Int
        var testDescription: String { "\(setting) \(family) localhost \(localhost)" }
    }

    @Test(
        "node ports are open on the addresses the configuration names",
        arguments: [
            NodePorts(setting: [], jumps: [""], loopbackRules: 1),
            NodePorts(setting: [], localhost: false, jumps: ["! -d 127.0.0.0/8 "], loopbackRules: 0),
            NodePorts(setting: ["0.0.0.0/0"], jumps: [""], loopbackRules: 1),
            NodePorts(setting: ["192.168.0.0/16", "::/0"], jumps: ["-d 192.168.77.11/32 "], loopbackRules: 0),
            // Nothing of the family is as good as no list.
            NodePorts(setting: ["2001:db8::/32"], jumps: [""], loopbackRules: 1),
            NodePorts(
                setting: ["172.16.0.0/12", "192.168.77.0/24"], jumps: ["-d 172.31.5.4/32 ", "-d 192.168.77.11/32 "],
                loopbackRules: 0),
            NodePorts(
                setting: ["127.0.0.0/8", "172.16.0.0/12"], jumps: ["-d 127.0.0.1/32 ", "-d 172.31.5.4/32 "],
                loopbackRules: 1),
            NodePorts(
                setting: ["127.0.0.0/8", "172.16.0.0/12"], localhost: false, jumps: ["-d 172.31.5.4/32 "],
                loopbackRules: 0),
            NodePorts(setting: ["primary"], jumps: ["-d 192.168.77.11/32 "], loopbackRules: 0),
            NodePorts(setting: ["203.0.113.0/24"], jumps: [], loopbackRules: 0),
            NodePorts(setting: [], family: .ipv6, jumps: ["! -d ::1/128 "], loopbackRules: 0),
            NodePorts(
                setting: ["::1/128", "2001:db8::/32"], family: .ipv6, jumps: ["-d 2001:db8::11/128 "],
                loopbackRules: 0),
            // An address nobody knows restricts nothing.
            NodePorts(setting: ["primary"], family: .ipv6, jumps: ["! -d ::1/128 "], loopbackRules: 0),
        ])
    func nodePortAddresses(row: NodePorts) throws {
        let isIPv4 = row.family == .ipv4
        let service = Service.demo(clusterIP: isIPv4 ? "10.96.0.1" : "fd00::1") { service in
            service.spec.type = .nodePort
            service.spec.ports[0].nodePort = 30080
        }
        var input = ProxyInput.cluster("", (service, [.at(isIPv4 ? "10.42.2.1" : "fd00::2:1")]))
        input.configuration.nodePortAddresses = row.setting
        input.configuration.iptables.localhostNodePorts = row.localhost
        let addresses = try ["192.168.77.11/24", "172.31.5.4/20", "2001:db8::11/64"].map {
            try #require(InterfaceAddress($0))
        }
        func lines(_ text: String) -> [String] {
            input.lines(row.family, interfaceAddresses: addresses, containing: text)
        }

        let list = !row.jumps.allSatisfy { $0.isEmpty || $0.hasPrefix("!") }
        let comment =
            "-m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" "
        let type = list ? "" : "-m addrtype --dst-type LOCAL "
        #expect(
            lines("must be the last rule")
                == row.jumps.map { "-A KUBE-SERVICES \($0)\(comment)\(type)-j KUBE-NODEPORTS" })
        #expect(lines("localhost_nps_accepted_pkts").count == row.loopbackRules)
        // Whoever may use node ports on loopback needs the guard against martian packets.
        #expect(lines("-A KUBE-FIREWALL").count == row.loopbackRules)
        #expect(lines("-A KUBE-NODEPORTS").count == row.loopbackRules + 1)
    }

    @Test("a kernel without counters gets the rules without them")
    func withoutAccounting() {
        let service = Service.demo { service in
            service.spec.type = .nodePort
            service.spec.ports[0].nodePort = 30080
        }
        var input = ProxyInput.cluster("10.42.0.0/16", (service, [.at("10.42.2.1")]))
        let counted = input.savedText().split(separator: "\n")
        input.node.metadata.annotations["podnet.dev/nfacct"] = "false"
        let uncounted = input.savedText().split(separator: "\n")
        #expect(
            difference(expected: counted.map(String.init), actual: uncounted.map(String.init)).sorted() == [
                "+ -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
                "- -A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts "
                    + "-j DROP",
                "- -A KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m comment --comment \"demo/web:http\" -m tcp --dport 30080 "
                    + "-m nfacct --nfacct-name  localhost_nps_accepted_pkts -j KUBE-EXT-XRY76EGRC3BSCIIJ",
            ])
    }

    @Test("liberal conntrack, by sysctl or by configuration, takes the INVALID rule away")
    func liberalConntrack() {
        var bySysctl = ProxyInput.cluster()
        bySysctl.node.metadata.annotations["podnet.dev/sysctl.net.netfilter.nf_conntrack_tcp_be_liberal"] = "1"
        var byConfiguration = ProxyInput.cluster()
        byConfiguration.configuration.conntrack.tcpBeLiberal = true
        #expect(ProxyInput.cluster().lines(containing: "INVALID").count == 1)
        #expect(bySysctl.lines(containing: "INVALID") == [])
        #expect(byConfiguration.savedText() == bySysctl.savedText())
    }

    @Test("IPv6 affinity lists are keyed by whole IPv6 addresses")
    func affinityOfIPv6() {
        let service = Service.demo(clusterIP: "fd00::1") { service in
            service.spec.sessionAffinity = .clientIP
            service.spec.sessionAffinityTimeoutSeconds = 60
        }
        let input = ProxyInput.cluster("", (service, [.at("fd00::2:1")]))
        let mask = "--mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource"
        let rules = input.lines(.ipv6, containing: "-m recent")
        #expect(rules.count == 2)
        #expect(rules.allSatisfy { $0.contains(mask) })
        #expect(rules.contains { $0.contains("--rcheck --seconds 60 --reap") })
        #expect(rules.contains { $0.contains("-m tcp -j DNAT --to-destination [fd00::2:1]:8080") })
    }

    @Test("IPv6 refuses with its own kind of message")
    func refusalOfIPv6() {
        let input = ProxyInput.cluster("", (.demo(clusterIP: "fd00::1"), []))
        #expect(
            input.lines(.ipv6, containing: "has no endpoints") == [
                "-A KUBE-SERVICES -d fd00::1/128 -p tcp -m comment --comment \"demo/web:http has no endpoints\" -m tcp "
                    + "--dport 80 -j REJECT --reject-with icmp6-port-unreachable"
            ])
    }

    @Test(
        "the node's address counts as inside the source ranges",
        arguments: [
            ("192.168.77.11", "0.0.0.0", 1), ("10.0.0.1", "0.0.0.0", 0), ("10.0.0.1", "192.168.1.1", 1),
            ("192.168.77.11", "10.0.0.1", 0), ("192.168.77.11", "::", 1),
        ])
    func sourceRanges(internalIP: String, bindAddress: String, count: Int) {
        let service = Service.demo { service in
            service.spec.type = .loadBalancer
            service.spec.loadBalancerSourceRanges = ["192.168.0.0/16"]
            service.loadBalancerIngress = [LoadBalancerIngress(ip: "203.0.113.1")]
        }
        var input = ProxyInput.cluster("", (service, [.at("10.42.2.1")]))
        input.node.status.addresses = [NodeAddress(type: .internalIP, address: internalIP)]
        input.configuration.bindAddress = bindAddress
        #expect(input.lines(containing: "-s 203.0.113.1/32").count == count)
    }

    // MARK: - Promises

    @Test("the order of the input does not reach the rules")
    func orderOfInput() throws {
        for name in ["05-lb-source-ranges", "10-terminating", "23-names"] {
            let input = try ProxyInput(vector: name)
            var reversed = input
            reversed.services.reverse()
            reversed.endpointSlices.reverse()
            for index in reversed.endpointSlices.indices { reversed.endpointSlices[index].endpoints.reverse() }
            #expect(reversed.savedText() == input.savedText())
        }
    }

    @Test("reconciling twice gives equal rulesets", arguments: KubeProxyVectorTests.names)
    func reconcilingTwice(name: String) throws {
        let input = try ProxyInput(vector: name)
        let node = NodeView(input.node, interfaceAddresses: try labAddresses(of: input.node))
        func reconcile() -> Ruleset {
            let index = ServiceIndex(services: input.services, endpointSlices: input.endpointSlices, family: .ipv4)
            let proxy = IPTablesProxy(index: index, configuration: input.configuration)
            return proxy.ruleset(for: proxy.profile(of: node))
        }
        #expect(reconcile() == reconcile())
    }

    @Test("rules shared between nodes are those each node would have got alone", arguments: KubeProxyVectorTests.names)
    func sharedRules(name: String) throws {
        var input = try ProxyInput(vector: name)
        let cluster = try #require(IPPrefix("10.42.0.0/16"))
        input.configuration.detectLocalMode = .clusterCIDR
        input.configuration.clusterCIDRs = [cluster]
        let index = ServiceIndex(services: input.services, endpointSlices: input.endpointSlices, family: .ipv4)
        let sharing = IPTablesProxy(index: index, configuration: input.configuration)
        // With node CIDRs nothing is shared; with this one CIDR the rules must come out the same.
        input.configuration.detectLocalMode = .nodeCIDR
        let alone = IPTablesProxy(index: index, configuration: input.configuration)
        for name in ["node-a", "node-b", "node-c", "elsewhere"] {
            for hasAccounting in [true, false] {
                let node = NodeView(
                    name: name, hostAddresses: [.v4(192, 168, 77, 11)], podCIDRs: [cluster],
                    hasAccounting: hasAccounting)
                #expect(sharing.ruleset(for: sharing.profile(of: node)) == alone.ruleset(for: alone.profile(of: node)))
            }
        }
    }

    @Test("nodes have one profile unless a Service looks different from them")
    func profiles() throws {
        let plain = Service.demo("plain") { $0.spec.ports[0].nodePort = 30080 }
        let local = Service.demo("local", clusterIP: "10.96.0.2") { $0.spec.internalTrafficPolicy = .local }
        let endpoints: [Endpoint] = [.at("10.42.1.1", on: "node-a"), .at("10.42.2.1", on: "node-b")]
        func proxy(_ input: ProxyInput) -> IPTablesProxy {
            IPTablesProxy(
                index: ServiceIndex(services: input.services, endpointSlices: input.endpointSlices, family: .ipv4),
                configuration: input.configuration)
        }
        let nodes = ["node-a", "node-b", "node-c", "node-d"].map { NodeView(name: $0) }

        let shared = proxy(.cluster("10.42.0.0/16", (plain, endpoints)))
        #expect(Set(nodes.map { shared.profile(of: $0) }).count == 1)

        // node-a and node-b have an endpoint each; node-c and node-d look alike.
        let different = proxy(.cluster("10.42.0.0/16", (plain, endpoints), (local, endpoints)))
        let profiles = nodes.map { different.profile(of: $0) }
        #expect(Set(profiles).count == 3)
        #expect(profiles[2] == profiles[3])

        // Zones matter only to Services with hints.
        let hinted: [Endpoint] = [.at("10.42.1.1", zones: ["zone-a"]), .at("10.42.2.1", zones: ["zone-b"])]
        let zoned = proxy(.cluster("10.42.0.0/16", (plain, hinted)))
        let inZones = ["zone-a", "zone-b", "zone-c", nil].map { NodeView(name: "node", zone: $0) }
        #expect(Set(inZones.map { zoned.profile(of: $0) }).count == 3)
        #expect(Set(inZones.map { shared.profile(of: $0) }).count == 1)

        // A kernel without counters and the node CIDR are the node's own matter.
        let countless = NodeView(name: "node-c", hasAccounting: false)
        #expect(different.profile(of: countless) != profiles[2])
        var byNode = ProxyInput.cluster("", (plain, endpoints))
        byNode.configuration.detectLocalMode = .nodeCIDR
        let prefixes = try ["10.42.1.0/24", "10.42.2.0/24"].map { try #require(IPPrefix($0)) }
        #expect(Set(prefixes.map { proxy(byNode).profile(of: NodeView(name: "node", podCIDRs: [$0])) }).count == 2)
    }

    @Test("chains say who wrote them")
    func agents() throws {
        let input = try example
        let ruleset = KubeProxy.iptablesRuleset(
            services: input.services, endpointSlices: input.endpointSlices,
            node: NodeView(input.node, interfaceAddresses: []), configuration: input.configuration, family: .ipv4)
        for table in ruleset.tables {
            for chain in table.chains { #expect(chain.agent == (chain.policy == nil ? "kube-proxy" : nil)) }
        }
        #expect(ruleset[.mangle]["KUBE-PROXY-CANARY"]?.rules == [])
    }
}
