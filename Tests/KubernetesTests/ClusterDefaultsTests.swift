// What the control plane makes up when the input is silent, what it keeps when the input speaks, and what it refuses:
// nodes, underlay, networks, pod CIDRs.

import Addressing
import Kubernetes
import Testing

@Suite struct ClusterDefaultsTests {
    @Test("an empty input becomes a kubeadm cluster of three nodes and a client")
    func emptyInput() throws {
        var store = ObjectStore()
        let warnings = try realise(&store)
        #expect(warnings == [])
        #expect(store.nodes.map(\.name) == ["control-plane", "worker-1", "worker-2"])
        #expect(
            store.nodes.map { $0.internalIP?.description } == ["192.168.50.10", "192.168.50.11", "192.168.50.12"])
        #expect(
            store.nodes.map { $0.spec.podCIDR?.description } == ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"])
        #expect(store.nodes[0].spec.taints.map(\.description) == ["node-role.kubernetes.io/control-plane:NoSchedule"])
        #expect(store.nodes[0].metadata.labels[Node.controlPlaneLabel] == "")
        #expect(store.nodes[1].spec.taints == [])
        #expect(store.nodes[1].metadata.labels["kubernetes.io/os"] == "linux")
        #expect(store.underlay?.subnet?.description == "192.168.50.0/24")
        #expect(store.underlay?.gateway?.description == "192.168.50.1")
        #expect(store.hosts.map { "\($0.name) \($0.addresses[0])" } == ["client 192.168.50.100/24"])
        #expect(store.clusterConfiguration?.podSubnets.map(\.description) == ["10.244.0.0/16"])
        #expect(store.clusterConfiguration?.serviceSubnets.map(\.description) == ["10.96.0.0/12"])
        #expect(store.kubeProxyConfiguration?.clusterCIDRs.map(\.description) == ["10.244.0.0/16"])
        #expect(store.flannelConfiguration?.network?.description == "10.244.0.0/16")
        #expect(store.namespaces.map(\.metadata.name).prefix(2) == ["default", "kube-node-lease"])
    }

    @Test("realising twice changes nothing")
    func twice() throws {
        var once = store {
            $0.deployments.insert(deployment("web", replicas: 3))
            $0.services.insert(service("web", type: .nodePort, app: "web"))
            $0.daemonSets.insert(
                DaemonSet(
                    metadata: meta("agent"), selector: LabelSelector(matchLabels: ["a": "b"]),
                    template: template(["a": "b"])))
            $0.statefulSets.insert(
                StatefulSet(
                    metadata: meta("db"), replicas: 2, serviceName: "db",
                    selector: LabelSelector(matchLabels: ["app": "db"]), template: template(["app": "db"])))
            $0.jobs.insert(Job(metadata: meta("once"), parallelism: 2, template: template(["j": "k"])))
        }
        try realise(&once)
        #expect(once.pods.count == 3 + 2 + 2 + 2)
        var twice = once
        try realise(&twice)
        #expect(once == twice)
    }

    @Test("nodes without an address get the next free ones of the nodes' subnet")
    func missingAddresses() throws {
        var store = store {
            $0.nodes.insert(node("a", "10.1.2.10"))
            $0.nodes.insert(node("b"))
            $0.nodes.insert(node("c", "10.1.2.11"))
            $0.nodes.insert(node("d"))
            $0.hosts.insert(
                Host(metadata: meta("h"), addresses: [InterfaceAddress("10.1.2.12/24")].compactMap { $0 }))
        }
        try realise(&store)
        #expect(store.nodes.map { $0.internalIP?.description } == ["10.1.2.10", "10.1.2.13", "10.1.2.11", "10.1.2.14"])
        #expect(store.hosts.map { $0.addresses[0].description } == ["10.1.2.12/24", "10.1.2.100/24"])
    }

    @Test("the underlay's subnet widens until every node fits")
    func widening() throws {
        var store = store {
            $0.nodes.insert(node("a", "10.1.2.10"))
            $0.nodes.insert(node("b", "10.1.7.10"))
        }
        try realise(&store)
        #expect(store.underlay?.subnet?.description == "10.1.0.0/21")
        #expect(store.underlay?.gateway?.description == "10.1.0.1")
    }

    @Test("a node on the first address moves the gateway that nobody named")
    func gatewayMoves() throws {
        var store = store { $0.nodes.insert(node("a", "10.1.2.1")) }
        try realise(&store)
        #expect(store.underlay?.gateway?.description == "10.1.2.2")
    }

    @Test("thousands of nodes without addresses find room")
    func manyNodes() throws {
        var store = store { store in
            store.clusterConfiguration = ClusterConfiguration(
                podSubnets: [IPPrefix("100.64.0.0/10")].compactMap { $0 })
            for index in 0..<600 { store.nodes.insert(node("n\(index)")) }
        }
        try realise(&store)
        #expect(Set(store.nodes.compactMap(\.internalIP)).count == 600)
        #expect(store.underlay?.subnet?.description == "192.168.48.0/22")
        #expect(store.nodes[599].spec.podCIDR?.description == "100.66.87.0/24")
        #expect(
            refusal { store in for index in 0..<257 { store.nodes.insert(node("n\(index)")) } }.hasPrefix(
                "Node n256: spec.podCIDR: CIDR allocation failed"))
    }

    @Test("the nodes of a dump without Node objects come from its pods")
    func nodesFromPods() throws {
        var store = store {
            $0.pods.insert(
                pod("a", on: "kind-worker2", ip: "10.244.2.5") { $0.status.hostIP = IPAddress("172.18.0.4") })
            $0.pods.insert(pod("b", on: "kind-control-plane"))
        }
        let warnings = try realise(&store)
        #expect(store.nodes.map(\.name) == ["kind-worker2", "kind-control-plane"])
        #expect(store.nodes[0].internalIP?.description == "172.18.0.4")
        #expect(store.nodes[1].spec.taints.count == 1)
        #expect(warnings.first?.hasPrefix("Node: the input has no Node; made up those its pods run on") == true)
    }

    // MARK: Networks

    @Test("the pod network comes from kubeadm, then flannel, then kube-proxy, then the nodes")
    func podNetworkSources() throws {
        func podSubnet(_ fill: (inout ObjectStore) -> Void) throws -> String {
            var filled = store(fill)
            try realise(&filled)
            return filled.clusterConfiguration?.podSubnets.map(\.description).joined(separator: ",") ?? ""
        }
        let kubeadm = ClusterConfiguration(podSubnets: [IPPrefix("10.1.0.0/16")].compactMap { $0 })
        let flannel = FlannelConfiguration(network: IPPrefix("10.0.0.0/8"))
        let proxy = KubeProxyConfiguration(clusterCIDRs: [IPPrefix("10.3.0.0/16")].compactMap { $0 })
        #expect(
            try podSubnet {
                $0.clusterConfiguration = kubeadm
                $0.flannelConfiguration = flannel
                $0.kubeProxyConfiguration = proxy
            } == "10.1.0.0/16")
        #expect(
            try podSubnet {
                $0.flannelConfiguration = flannel
                $0.kubeProxyConfiguration = proxy
            } == "10.0.0.0/8")
        #expect(try podSubnet { $0.kubeProxyConfiguration = proxy } == "10.3.0.0/16")
        #expect(try podSubnet { $0.nodes.insert(node("a", podCIDR: "10.42.3.0/24")) } == "10.42.0.0/16")
        #expect(try podSubnet { $0.nodes.insert(node("a", podCIDR: "10.244.9.0/24")) } == "10.244.0.0/16")
    }

    @Test("a kube-proxy configuration without clusterCIDR stays without")
    func emptyClusterCIDR() throws {
        var store = store { $0.kubeProxyConfiguration = KubeProxyConfiguration() }
        try realise(&store)
        #expect(store.kubeProxyConfiguration?.clusterCIDRs == [])
        #expect(store.clusterConfiguration?.podSubnets.count == 1)
    }

    @Test("a flannel Network that does not hold the pod subnet is refused")
    func flannelMismatch() {
        let text = refusal {
            $0.clusterConfiguration = ClusterConfiguration(podSubnets: [IPPrefix("10.1.0.0/16")].compactMap { $0 })
            $0.flannelConfiguration = FlannelConfiguration(network: IPPrefix("10.244.0.0/16"))
        }
        #expect(
            text == "ConfigMap kube-flannel/kube-flannel-cfg: data[net-conf.json]: Network 10.244.0.0/16 does not "
                + "contain the cluster's podSubnet 10.1.0.0/16 (set Network to 10.1.0.0/16, or podSubnet to 10.244.0.0/16)"
        )
    }

    @Test("service subnets follow the cluster IPs of a dump only when nothing states them")
    func serviceSubnetInference() throws {
        func with(_ addresses: [String], stated: String? = nil) -> ObjectStore {
            store { store in
                for (index, address) in addresses.enumerated() {
                    store.services.insert(service("s\(index)") { $0.spec.clusterIP = address })
                }
                if let subnet = stated.flatMap({ IPPrefix($0) }) {
                    store.clusterConfiguration = ClusterConfiguration(serviceSubnets: [subnet])
                }
            }
        }
        var usual = with(["10.96.0.10", "10.111.255.3"])
        #expect(try realise(&usual) == [])
        #expect(usual.clusterConfiguration?.serviceSubnets.map(\.description) == ["10.96.0.0/12"])

        var other = with(["172.20.0.10", "172.21.255.3"])
        let warnings = try realise(&other)
        #expect(other.clusterConfiguration?.serviceSubnets.map(\.description) == ["172.20.0.0/15"])
        #expect(warnings.count == 1 && warnings[0].contains("took 172.20.0.0/15 from the Services' cluster IPs"))

        var mixed = with(["10.96.0.10", "172.20.0.1"])
        #expect(throws: ObjectError.self) { try realise(&mixed) }
        var stated = with(["172.20.0.10"], stated: "10.96.0.0/12")
        #expect(throws: ObjectError.self) { try realise(&stated) }
        var kubeadm = with(["172.20.0.10"])
        kubeadm.clusterConfiguration = ClusterConfiguration()
        #expect(throws: ObjectError.self) { try realise(&kubeadm) }
    }

    @Test("dual-stack networks give every node two blocks")
    func dualStack() throws {
        var store = store {
            $0.clusterConfiguration = ClusterConfiguration(
                podSubnets: ["10.244.0.0/16", "fd00:10:244::/56"].compactMap { IPPrefix($0) },
                serviceSubnets: ["10.96.0.0/16", "fd00:10:96::/112"].compactMap { IPPrefix($0) })
            $0.services.insert(service("web") { $0.spec.ipFamilyPolicy = .requireDualStack })
        }
        try realise(&store)
        #expect(store.nodes[1].spec.podCIDRs.map(\.description) == ["10.244.1.0/24", "fd00:10:244:1::/64"])
        #expect(store.services[0].clusterAddresses.map(\.family) == [.ipv4, .ipv6])
        #expect(store.services[0].spec.ipFamilies == [.ipv4, .ipv6])
    }

    @Test(
        "a network that cannot work is refused",
        arguments: [
            (["10.244.0.0/25"], ["10.96.0.0/12"], "is smaller than one node's block of /24"),
            (["10.244.0.0/16", "10.245.0.0/16"], ["10.96.0.0/12"], "expected at most one per IP family"),
            (["fd00::/40"], ["10.96.0.0/12"], "the node CIDR size is too big"),
            (["10.244.0.0/16"], ["10.96.0.0/30"], "must be at least 8 IP addresses"),
            (["10.244.0.0/16"], ["fd00::/48"], "shortest allowed prefix length for service CIDR is 64"),
        ])
    func badNetworks(pods: [String], services: [String], reason: String) {
        let text = refusal {
            $0.clusterConfiguration = ClusterConfiguration(
                podSubnets: pods.compactMap { IPPrefix($0) }, serviceSubnets: services.compactMap { IPPrefix($0) })
        }
        #expect(text.contains(reason), "\(text)")
    }

    // MARK: Pod CIDRs

    @Test("given blocks are kept and the others walk around them")
    func blocks() throws {
        var store = store {
            $0.nodes.insert(node("a"))
            $0.nodes.insert(node("b", podCIDR: "10.244.0.0/24"))
            $0.nodes.insert(node("c"))
            $0.nodes.insert(node("d", podCIDR: "10.244.2.0/23"))
            $0.nodes.insert(node("e"))
        }
        try realise(&store)
        #expect(
            store.nodes.map { $0.spec.podCIDR?.description } == [
                "10.244.1.0/24", "10.244.0.0/24", "10.244.4.0/24", "10.244.2.0/23", "10.244.5.0/24",
            ])
    }

    @Test("blocks the service subnet overlaps are withheld, with a warning")
    func withheld() throws {
        var store = store {
            $0.clusterConfiguration = ClusterConfiguration(
                podSubnets: [IPPrefix("10.0.0.0/16")].compactMap { $0 },
                serviceSubnets: [IPPrefix("10.0.0.0/23")].compactMap { $0 })
        }
        let warnings = try realise(&store)
        #expect(store.nodes[0].spec.podCIDR?.description == "10.0.2.0/24")
        #expect(warnings.contains { $0.contains("the service subnet overlaps the pod subnet") })
    }

    @Test("bad pod CIDRs name the node and what is wrong")
    func badBlocks() {
        #expect(
            refusal {
                $0.nodes.insert(node("a", podCIDR: "10.244.0.0/23"))
                $0.nodes.insert(node("b", podCIDR: "10.244.1.0/24"))
            } == "Node b: spec.podCIDR: Invalid value: \"10.244.1.0/24\": overlaps 10.244.0.0/23 of Node a "
                + "(give every node its own block, or leave podCIDR out to have one chosen)")
        #expect(
            refusal {
                $0.flannelConfiguration = FlannelConfiguration(network: IPPrefix("10.244.0.0/16"))
                $0.nodes.insert(node("a", podCIDR: "10.42.0.0/24"))
            }.contains(
                "spec.podCIDR: Invalid value: \"10.42.0.0/24\": subnet \"10.244.0.0/16\" specified in the flannel net "
                    + "config doesn't contain \"10.42.0.0/24\" PodCIDR of the \"a\" node"))
        #expect(
            refusal {
                $0.clusterConfiguration = ClusterConfiguration(
                    podSubnets: [IPPrefix("10.244.0.0/23")].compactMap { $0 })
            }.hasPrefix(
                "Node worker-2: spec.podCIDR: CIDR allocation failed; there are no remaining CIDRs left to allocate "
                    + "in the accepted range"))
    }

    @Test("two machines on one address are refused")
    func duplicateMachines() {
        #expect(
            refusal {
                $0.nodes.insert(node("a", "10.0.0.5"))
                $0.nodes.insert(node("b", "10.0.0.5"))
            }.hasPrefix(
                "Node b: status.addresses[0].address: Invalid value: \"10.0.0.5\": Node a has this address already"))
        #expect(
            refusal {
                $0.nodes.insert(node("a", "10.0.0.5"))
                $0.hosts.insert(
                    Host(metadata: meta("h"), addresses: [InterfaceAddress("10.0.0.5/24")].compactMap { $0 }))
            }.hasPrefix("Host h: spec.addresses[0]: Invalid value: \"10.0.0.5/24\": Node a has this address already"))
        #expect(
            refusal { $0.nodes.insert(node("a", "10.0.0.300")) }.hasPrefix(
                "Node a: status.addresses[0].address: Invalid value: \"10.0.0.300\": must be a valid IP address"))
        #expect(
            refusal {
                $0.underlay = Underlay(subnet: IPPrefix("10.9.0.0/24"))
                $0.nodes.insert(node("a", "10.0.0.5"))
            }.contains("Invalid value: \"10.0.0.5\": is not in the underlay subnet 10.9.0.0/24"))
    }

    // MARK: Pods that come with addresses

    @Test("two pods on one address are refused, a finished or host network pod does not count")
    func duplicatePods() throws {
        #expect(
            refusal {
                $0.pods.insert(pod("a", on: "worker-1", ip: "10.244.1.5"))
                $0.pods.insert(pod("b", on: "worker-2", ip: "10.244.1.5"))
            } == "Pod default/b: status.podIP: Invalid value: \"10.244.1.5\": Pod default/a has this address already "
                + "(give each pod its own address, or leave podIP out to have one chosen)")
        #expect(
            refusal { $0.pods.insert(pod("a", on: "worker-1", ip: "192.168.50.10")) }.contains(
                "Node control-plane has this address already"))
        #expect(
            refusal {
                $0.pods.insert(pod("a", on: "worker-1", ip: "10.244.1.5") { $0.status.phase = .succeeded })
                $0.pods.insert(pod("b", on: "worker-1", ip: "10.244.1.5"))
                $0.pods.insert(pod("c", on: "worker-1", ip: "192.168.50.11") { $0.spec.hostNetwork = true })
            } == "")
    }

    @Test("a pod address outside its node's block warns")
    func foreignAddress() throws {
        var store = store { $0.pods.insert(pod("a", on: "worker-1", ip: "10.244.2.5")) }
        let warnings = try realise(&store)
        #expect(
            warnings == [
                "Pod default/a: status.podIP: 10.244.2.5 is not in podCIDR 10.244.1.0/24 of its node worker-1 "
                    + "(other nodes will not find it there)"
            ])
    }

    @Test("an unknown node is refused with the nearest name")
    func unknownNode() {
        #expect(
            refusal {
                $0.pods.insert(pod("b", on: "worker-2"))
                $0.pods.insert(pod("a", on: "worker-3"))
            } == "Pod default/a: spec.nodeName: Not found: \"worker-3\" (did you mean worker-1 or worker-2?)")
    }

    @Test("a node whose interfaces are stated is given no address beside them")
    func statedInterfaces() throws {
        var store = store {
            $0.nodes.insert(node("a", "10.1.2.10"))
            var stated = node("b")
            stated.metadata.annotations[Node.interfacesAnnotation] = "eth0=10.1.2.11/24"
            $0.nodes.insert(stated)
        }
        try realise(&store)
        #expect(store.nodes.map(\.internalIPs.count) == [1, 0])
    }
}
