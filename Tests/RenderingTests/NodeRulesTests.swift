// The rules `podnet rules` shows, from manifest to text: kube-proxy's compared with those the real program wrote for
// the same objects (Tests/NodeAgentsTests/Vectors), and what is kept of them when an agent or a table is named.

import Addressing
import Kubernetes
import Manifests
import Netstack
import Rendering
import Simulation
import Testing

@Suite("Rules of a node")
struct NodeRulesTests {
    static let vectors = [
        "01-clusterip-counts", "03-nodeport", "05-lb-source-ranges", "07-itp-local", "09-session-affinity",
        "10-terminating", "12-masquerade-all-bit", "15-prefix-nolocalhost", "17-tcp-liberal", "18-dual-stack",
        "23-names", "26-nodeport-all-addrs",
    ]

    @Test(arguments: vectors) func `the whole way from manifest to rules gives kube-proxy's`(name: String) throws {
        try compare(name, family: .ipv4, file: "iptables-save.txt")
    }

    @Test func `the IPv6 rules are kube-proxy's too`() throws {
        try compare("18-dual-stack", family: .ipv6, file: "ip6tables-save.txt")
    }

    private func compare(_ name: String, family: AddressFamily, file: String) throws {
        let folder = "../NodeAgentsTests/Vectors/kube-proxy/\(name)"
        // The recordings describe the machine in annotations of their own.
        let lines = try testFile("\(folder)/input.yaml").split(separator: "\n", omittingEmptySubsequences: false)
        let manifest = lines.map { line -> String in
            if let found = line.firstRange(of: "lab/interfaces: ") {
                let interfaces = line[found.upperBound...].replacing(" ", with: ",")
                return line[..<found.lowerBound] + "podnet.dev/interfaces: \(interfaces)"
            }
            if let found = line.firstRange(of: "lab/sysctl: ") {
                let sides = line[found.upperBound...].split(separator: "=")
                return line[..<found.lowerBound] + "podnet.dev/sysctl.\(sides[0]): \"\(sides[1])\""
            }
            return String(line)
        }
        var simulator = Simulator(try cluster(manifest.joined(separator: "\n")))
        let rules = simulator.rules(of: "node-a", family: family)
        let expected = inOneOrder(try testFile("\(folder)/\(file)"))
        let actual = inOneOrder(try #require(rules).kubeProxys.savedText())
        #expect(expected.count > 20)
        #expect(actual.difference(from: expected).map { "\($0)" } == [])
    }

    /// The dump with tables and chains sorted; rules keep their order where it means something. kube-proxy walks its
    /// Services in random order, so in the chains all of them share only the rules themselves are compared.
    private func inOneOrder(_ dump: String) -> [String] {
        let shared = ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"]
        var tables: [String: [String: [String]]] = [:]
        var table = ""
        for line in dump.split(separator: "\n").map(String.init) {
            let words = line.split(separator: " ")
            switch line.first {
            case "*": table = line
            case ":": tables[table, default: [:]][String(words[0].dropFirst()), default: []].append(line)
            case "-": tables[table, default: [:]][String(words[1]), default: []].append(line)
            default: break
            }
        }
        return tables.sorted { $0.key < $1.key }.flatMap { name, chains in
            [name]
                + chains.sorted { $0.key < $1.key }.flatMap { chain, lines in
                    shared.contains(chain) ? lines.sorted() : lines
                }
        }
    }

    private func rules(of node: String = "worker-1", family: AddressFamily = .ipv4) throws -> Ruleset {
        var simulator = Simulator(try cluster(testFile("../../topologies/nodeport-remote.yaml")))
        return try simulator.rules(of: node, family)
    }

    @Test func `flannel wrote two chains and a jump to each`() throws {
        #expect(
            try rules().keeping(agent: "flannel").savedText() == """
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
                -A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" \
                -j MASQUERADE --random-fully
                -A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment "flanneld masq" \
                -j MASQUERADE --random-fully
                COMMIT

                """)
    }

    @Test func `every rule belongs to an agent`() throws {
        let all = try rules().keeping().savedText().split(separator: "\n").filter { $0.hasPrefix("-") }
        let proxy = try rules().keeping(agent: "kube-proxy").savedText().split(separator: "\n")
        let flannel = try rules().keeping(agent: "flannel").savedText().split(separator: "\n")
        #expect(try rules().keeping().savedText() == rules().savedText())
        #expect(all.count > 30)
        let kubelet = try rules().keeping(agent: "kubelet").savedText().split(separator: "\n")
        #expect(Set(proxy + flannel + kubelet).isSuperset(of: all))
        #expect(Set(proxy.filter { $0.hasPrefix("-") }).isDisjoint(with: flannel))
        #expect(try rules().keeping(agent: "nobody").savedText() == "")
    }

    @Test func `kubelet came first, so its jumps stand behind kube-proxy's`() throws {
        #expect(
            try rules().keeping(agent: "kubelet").savedText() == """
                *mangle
                :PREROUTING ACCEPT [0:0]
                :INPUT ACCEPT [0:0]
                :FORWARD ACCEPT [0:0]
                :OUTPUT ACCEPT [0:0]
                :POSTROUTING ACCEPT [0:0]
                :KUBE-IPTABLES-HINT - [0:0]
                :KUBE-KUBELET-CANARY - [0:0]
                COMMIT
                *filter
                :INPUT ACCEPT [0:0]
                :FORWARD ACCEPT [0:0]
                :OUTPUT ACCEPT [0:0]
                :KUBE-FIREWALL - [0:0]
                :KUBE-KUBELET-CANARY - [0:0]
                -A INPUT -j KUBE-FIREWALL
                -A OUTPUT -j KUBE-FIREWALL
                -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \
                "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
                COMMIT
                *nat
                :PREROUTING ACCEPT [0:0]
                :INPUT ACCEPT [0:0]
                :OUTPUT ACCEPT [0:0]
                :POSTROUTING ACCEPT [0:0]
                :KUBE-KUBELET-CANARY - [0:0]
                COMMIT

                """)
        let filter = try rules()[.filter]
        let jumps = { (chain: String) in filter[chain]?.rules.compactMap(\.target) }
        #expect(
            jumps("INPUT") == [
                .jump("KUBE-PROXY-FIREWALL"), .jump("KUBE-NODEPORTS"), .jump("KUBE-EXTERNAL-SERVICES"),
                .jump("KUBE-FIREWALL"),
            ])
        #expect(
            jumps("OUTPUT") == [.jump("KUBE-PROXY-FIREWALL"), .jump("KUBE-SERVICES"), .jump("KUBE-FIREWALL")])
        // The guard against martians stands in IPv4 alone.
        #expect(try rules(family: .ipv6).keeping(agent: "kubelet")[.filter]["KUBE-FIREWALL"] == nil)
        #expect(try rules(family: .ipv6).keeping(agent: "kubelet")[.nat]["KUBE-KUBELET-CANARY"] != nil)
    }

    @Test(arguments: ProxyMode.allCases) func `kubelet's chains are there in each mode`(mode: ProxyMode) throws {
        let manifest = try testFile("../../topologies/nodeport-remote.yaml")
        let loaded = try LoadedManifests.load(text: manifest, name: "test.yaml")
        var simulator = Simulator(try Cluster(realising: loaded.objects, proxyMode: mode))
        for family in AddressFamily.allCases {
            let ruleset = try simulator.rules(of: "worker-1", family)
            for table in [TableName.mangle, .nat, .filter] {
                #expect(ruleset[table]["KUBE-KUBELET-CANARY"]?.agent == "kubelet")
            }
        }
    }

    @Test func `one table is shown alone`() throws {
        let text = try rules().keeping(table: .nat).savedText()
        #expect(text.hasPrefix("*nat\n:PREROUTING ACCEPT [0:0]\n"))
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("*") } == ["*nat"])
        #expect(text.contains("-A KUBE-NODEPORTS "))
        #expect(try rules().keeping(table: .security).savedText() == "")
    }

    @Test func `a policy that is not ACCEPT is the administrator's, no agent's`() throws {
        var ruleset = try rules()
        ruleset[.filter].setPolicy(.drop, of: .forward)
        #expect(ruleset.keeping().savedText().contains(":FORWARD DROP [0:0]"))
        #expect(ruleset.keeping(agent: "flannel").savedText().contains(":FORWARD ACCEPT [0:0]"))
    }

    @Test func `a node that is not there has no rules`() throws {
        var simulator = Simulator(try cluster(testFile("../../topologies/same-node.yaml")))
        let rules = (simulator.ruleset(of: "nope", family: .ipv4), simulator.ruleset(of: "nope", family: .ipv6))
        #expect(rules.0 == nil && rules.1 == nil)
    }

    @Test func `flannel writes IPv6 rules when it has an IPv6 network`() throws {
        let manifest = """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
            data:
              net-conf.json: '{"Network": "10.244.0.0/16", "EnableIPv6": true, "IPv6Network": "fd00:10:244::/56"}'
            ---
            apiVersion: v1
            kind: Node
            metadata: {name: node-a}
            spec: {podCIDRs: [10.244.0.0/24, "fd00:10:244:1::/64"]}
            """
        var simulator = Simulator(try cluster(manifest))
        let text = try simulator.rules(of: "node-a", .ipv6).keeping(agent: "flannel").savedText()
        #expect(
            text.contains(
                "-A FLANNEL-POSTRTG -s fd00:10:244:1::/64 -d fd00:10:244::/56 -m comment --comment \"flanneld masq\" "
                    + "-j RETURN"
            ))
    }
}
