// What the real kube-proxy v1.36.3 programmed in ipvs mode, compared with ours. Vectors/README.md tells where the files
// come from. What they leave to chance or leave out is said at each comparison.

import Addressing
import Kubernetes
import Netstack
import NodeAgents
import Testing

@Suite("ipvs mode of the real kube-proxy")
struct IPVSVectorTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let name: String
        let family: AddressFamily
        var testDescription: String { "\(name) \(family)" }
        /// The file of the vector, with its mark for IPv6.
        func file(_ stem: String) -> String { "kube-proxy/\(name)/ipvs/\(stem)\(family == .ipv6 ? "6" : "").txt" }
    }

    static let cases =
        KubeProxyVectorTests.names.map { Case(name: $0, family: .ipv4) }
        + [Case(name: "18-dual-stack", family: .ipv6)]

    private func proxy(_ vector: Case) throws -> (IPVSProxy, IPVSState) {
        let input = try ProxyInput(vector: vector.name)
        let index = ServiceIndex(
            services: input.services, endpointSlices: input.endpointSlices, family: vector.family)
        let proxy = IPVSProxy(index: index, configuration: input.configuration)
        let view = NodeView(input.node, interfaceAddresses: try labAddresses(of: input.node))
        return (proxy, proxy.state(of: view))
    }

    @Test("virtual servers and real servers, character by character", arguments: cases)
    func virtualServers(vector: Case) throws {
        let expected = try vectorText(vector.file("virtual-servers"))
        let (_, state) = try proxy(vector)
        #expect(state.virtualServers.savedText() == expected)
    }

    /// The vectors list sets as `ipset list` does, without its statistics.
    @Test("sets, empty ones too", arguments: cases)
    func sets(vector: Case) throws {
        let expected = try vectorText(vector.file("ipset"))
        let (_, state) = try proxy(vector)
        var text = ""
        for set in state.sets {
            let isBitmap = set.kind == .bitmapPort
            text += "# \(set.name)\nType: \(set.kind.rawValue)\n"
            text += isBitmap ? "Header: range 0-65535\n" : "Header: family \(set.family == .ipv4 ? "inet" : "inet6")\n"
            for entry in set.entries.map(\.description).sorted() { text += entry + "\n" }
        }
        #expect(difference(expected: lines(expected), actual: lines(text)) == [])
        #expect(state.sets.count == 17)
    }

    @Test("addresses of kube-ipvs0", arguments: cases)
    func addresses(vector: Case) throws {
        let expected = try vectorText(vector.file("dummy-addrs"))
        let (_, state) = try proxy(vector)
        let lines = state.addresses.map { address in
            "\(address.family == .ipv4 ? "inet" : "inet6") \(IPPrefix(host: address))"
        }
        #expect(lines.sorted() == self.lines(expected).sorted())
    }

    @Test("kernel settings", arguments: cases)
    func settings(vector: Case) throws {
        let expected = try vectorText(vector.file("sysctls"))
        let (_, state) = try proxy(vector)
        #expect(state.settings.map { "\($0.path) = \($0.value)" } == lines(expected))
    }

    /// The kernel that saved the vectors' rules knows no `-m ipvs`, so those stand only in what was fed to it.
    @Test("iptables rules, character by character", arguments: cases)
    func rules(vector: Case) throws {
        let expected = lines(try vectorText(vector.file("iptables-save")))
        let (proxy, state) = try proxy(vector)
        let actual = lines(proxy.ruleset(for: state).savedText())
        #expect(difference(expected: expected, actual: actual.filter { !$0.contains("-m ipvs") }) == [])
        #expect(actual.filter { !$0.contains("-m ipvs") } == expected)
        let fed = lines(try vectorText(vector.file("restore-input"))).filter { $0.contains("-m ipvs") }
        let saved = fed.map(Self.saved).sorted()
        #expect(actual.filter { $0.contains("-m ipvs") }.sorted() == saved)
    }

    /// `-s A -m ipvs --vaddr A --vproto tcp --vport P` as iptables-save would print it.
    private static func saved(_ line: String) -> String {
        var words = line.split(separator: " ").map(String.init)
        if let position = words.firstIndex(of: "-s"), let address = IPAddress(words[position + 1]) {
            words[position + 1] = "\(IPPrefix(host: address))"
        }
        guard let address = words.firstIndex(of: "--vaddr"), let name = words.firstIndex(of: "--vproto") else {
            return line
        }
        let number = IPProtocol(words[name + 1]).map { "\($0.rawValue)" } ?? ""
        words.replaceSubrange(name...(name + 1), with: [])
        words.insert(contentsOf: ["--vproto", number], at: address)
        return words.joined(separator: " ")
    }

    private func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }
}

/// What no vector shows.
@Suite struct IPVSModeTests {
    private func made(
        _ input: ProxyInput, addresses: [String] = ["192.168.77.11/24"]
    ) -> (IPVSProxy, IPVSState) {
        let index = ServiceIndex(services: input.services, endpointSlices: input.endpointSlices, family: .ipv4)
        let proxy = IPVSProxy(index: index, configuration: input.configuration)
        let view = NodeView(input.node, interfaceAddresses: addresses.compactMap { InterfaceAddress($0) })
        return (proxy, proxy.state(of: view))
    }

    private func entries(_ state: IPVSState, _ name: String) -> [String] {
        state.sets.first { $0.name == name }.map { $0.entries.sorted().map(\.description) } ?? []
    }

    @Test func `External IPs have their sets and two ways to be accepted; one the node has is not bound again`() {
        let service = Service.demo { $0.spec.externalIPs = ["203.0.113.5", "192.168.77.11"] }
        let local = Service.demo("near", clusterIP: "10.96.0.2") {
            $0.spec.externalIPs = ["203.0.113.6"]
            $0.spec.externalTrafficPolicy = .local
        }
        let (proxy, state) = made(
            .cluster("10.42.0.0/16", (service, [.at("10.42.1.2")]), (local, [.at("10.42.1.3")])))
        #expect(entries(state, "KUBE-EXTERNAL-IP") == ["192.168.77.11,tcp:80", "203.0.113.5,tcp:80"])
        #expect(entries(state, "KUBE-EXTERNAL-IP-LOCAL") == ["203.0.113.6,tcp:80"])
        #expect(state.addresses.map(\.description) == ["10.96.0.1", "10.96.0.2", "203.0.113.5", "203.0.113.6"])
        #expect(entries(state, "KUBE-IPVS-IPS") == state.addresses.map(\.description))
        let comment = "-A KUBE-SERVICES -m comment --comment \"Kubernetes service external ip + port"
        let all = comment + " for masquerade and filter purpose\" -m set --match-set KUBE-EXTERNAL-IP dst,dst"
        let near = comment + " with externalTrafficPolicy=local\" -m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst"
        let foreign = " -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT"
        let own = " -m addrtype --dst-type LOCAL -j ACCEPT"
        let expected: [String] = [all + " -j KUBE-MARK-MASQ", all + foreign, all + own, near + foreign, near + own]
        let rules = proxy.ruleset(for: state).savedText().split(separator: "\n").map(String.init)
        #expect(rules.filter { $0.hasPrefix(comment) } == expected)
    }

    @Test func `Without a detector only what the node itself begins is masqueraded`() {
        var input = ProxyInput.cluster("10.42.0.0/16", (.demo(), [.at("10.42.1.2")]))
        input.configuration.clusterCIDRs = []
        let (proxy, state) = made(input)
        #expect(proxy.ruleset(for: state).savedText().contains("KUBE-CLUSTER-IP src,dst -j KUBE-MARK-MASQ"))
    }

    @Test func `SCTP node ports stand with their addresses, in both sets with a Local policy`() {
        let service = Service.demo { service in
            service.spec.type = .nodePort
            service.spec.externalTrafficPolicy = .local
            service.spec.ports = [ServicePort(name: "a", protocol: .sctp, port: 9, nodePort: 30009)]
        }
        let (proxy, state) = made(
            .cluster("10.42.0.0/16", (service, [.at("10.42.1.2")])),
            addresses: ["192.168.77.11/24", "172.31.5.4/20", "fe80::1/64"])
        let both = ["172.31.5.4,sctp:30009", "192.168.77.11,sctp:30009"]
        #expect(entries(state, "KUBE-NODE-PORT-SCTP-HASH") == both)
        #expect(entries(state, "KUBE-NODE-PORT-LOCAL-SCTP-HASH") == both)
        let rules = proxy.ruleset(for: state).savedText().split(separator: "\n").filter { $0.contains("-p sctp") }
        #expect(
            rules.map { $0.split(separator: " ").suffix(3).joined(separator: " ") }
                == ["dst,dst -j RETURN", "dst,dst -j KUBE-MARK-MASQ"])
    }

    @Test func `A node with an endpoint of its own uses that for a Local policy, others use them all`() {
        let service = Service.demo { service in
            service.spec.type = .nodePort
            service.spec.externalTrafficPolicy = .local
            service.spec.ports = [ServicePort(name: "http", port: 80, nodePort: 30080)]
        }
        let endpoints = [Endpoint.at("10.42.1.2", on: "node-a"), .at("10.42.2.2", on: "node-b")]
        var input = ProxyInput.cluster("10.42.0.0/16", (service, endpoints))
        func servers(_ node: String) -> [String] {
            input.node.metadata.name = node
            return made(input).1.virtualServers.map {
                $0.realServers.map { "\($0.socket.address)" }.joined(separator: " ")
            }
        }
        let all = "10.42.1.2 10.42.2.2"
        #expect(servers("node-a") == [all, "10.42.1.2"])
        #expect(servers("node-b") == [all, "10.42.2.2"])
        #expect(servers("node-c") == [all, all])
    }

    @Test(
        "The scheduler of the configuration is used, rr without one",
        arguments: [
            ("", "rr"), ("wrr", "wrr"), ("lc", "lc"), ("mh", "mh -b flag-1"),
        ])
    func scheduler(name: String, printed: String) {
        var input = ProxyInput.cluster("10.42.0.0/16", (.demo(), []))
        input.configuration.ipvs.scheduler = name
        #expect(made(input).1.virtualServers.savedText() == "-A -t 10.96.0.1:80 -s \(printed)\n")
    }

    @Test func `A configuration can name every scheduler of the kernel`() {
        #expect(KubeProxyConfiguration.IPVS.schedulers == IPVSScheduler.allCases.map(\.rawValue))
    }

    @Test func `Timeouts come from the configuration where it has some`() {
        var input = ProxyInput.cluster("10.42.0.0/16", (.demo(), []))
        #expect(made(input).0.timeouts == IPVSTimeouts())
        input.configuration.ipvs.tcpTimeout = 60_000_000_000
        input.configuration.ipvs.udpTimeout = 30_500_000_000
        #expect(made(input).0.timeouts == IPVSTimeouts(tcp: 60, tcpFin: 120, udp: 30))
    }

    @Test func `Two runs make the same, and chains carry their author`() {
        let input = ProxyInput.cluster("10.42.0.0/16", (.demo(), [.at("10.42.1.2")]))
        let (proxy, first) = made(input)
        #expect(first == made(input).1)
        let chains = proxy.ruleset(for: first).tables.flatMap(\.chains).filter { $0.policy == nil }
        #expect(chains.count == 11)
        #expect(chains.allSatisfy { $0.agent == "kube-proxy" })
    }

    @Test func `External IPs switched off have neither sets nor servers, and still make the policy count`() {
        let service = Service.demo {
            $0.spec.externalIPs = ["203.0.113.5"]
            $0.spec.internalTrafficPolicy = .local
        }
        var input = ProxyInput.cluster("10.42.0.0/16", (service, [.at("10.42.2.2")]))
        input.configuration.featureGates["AllowServiceExternalIPs"] = false
        let (proxy, state) = made(input)
        #expect(state.addresses.map(\.description) == ["10.96.0.1"])
        #expect(entries(state, "KUBE-EXTERNAL-IP") == [])
        #expect(!proxy.ruleset(for: state).savedText().contains("KUBE-EXTERNAL-IP dst,dst -j KUBE-MARK-MASQ"))
        // A Service reached from outside has cluster endpoints, which stand in for missing local ones.
        #expect(
            state.virtualServers.savedText()
                == "-A -t 10.96.0.1:80 -s rr\n-a -t 10.96.0.1:80 -r 10.42.2.2:8080 -m -w 1\n")
    }
}
