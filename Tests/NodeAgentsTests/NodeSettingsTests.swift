// What is said of annotations and backends podnet cannot follow.
import Addressing
import Kubernetes
import Netstack
import NodeAgents
import Testing

struct NodeSettingsTests {
    private func node(_ annotations: [String: String]) -> Node {
        Node(metadata: ObjectMeta(name: "worker-1", annotations: annotations))
    }

    @Test("A setting podnet does not model is warned about by name")
    func unknownSetting() throws {
        let warnings = try NodeNetwork.checkSettings([
            node(["podnet.dev/sysctl.net.ipv4.ip_forward": "0", "podnet.dev/sysctl.net.ipv4.tcp_ecn": "1"])
        ])
        #expect(warnings.map(\.message) == ["podnet does not model net.ipv4.tcp_ecn, so it changes nothing"])
        #expect(warnings.first?.field.description.contains("net.ipv4.tcp_ecn") == true)
    }

    @Test("A value the kernel would refuse is an error", arguments: ["3", "-1", "on", ""])
    func badValue(value: String) {
        #expect(throws: ObjectError.self) {
            try NodeNetwork.checkSettings([node(["podnet.dev/sysctl.net.ipv4.conf.all.rp_filter": value])])
        }
    }

    @Test(
        "The connection table is as large as kube-proxy makes it for the node's cores",
        arguments: [("2", 131_072), ("8", 262_144), ("64", 1_048_576), (nil, 262_144)] as [(String?, Int)])
    func connectionTable(cores: String?, size: Int) {
        var node = node([:])
        node.status.capacity = cores.map { ResourceList(cpu: Quantity($0)) }
        var namespace = NetworkNamespace(id: NamespaceID(0), name: "worker-1")
        NodeNetwork.applySettings(node, proxy: KubeProxyConfiguration(), to: &namespace)
        #expect(namespace.sysctls.connectionTrackingMax == size)
    }

    @Test("A setting of an interface nobody has is warned about by name")
    func settingOfNoInterface() throws {
        let warnings = try NodeNetwork.checkSettings(
            [
                node([
                    "podnet.dev/sysctl.net.ipv4.conf.eth0.rp_filter": "1",
                    "podnet.dev/sysctl.net.ipv4.conf.flannel.1.rp_filter": "1",
                    "podnet.dev/sysctl.net.ipv4.conf.default.rp_filter": "1",
                    "podnet.dev/sysctl.net.ipv4.conf.eth9.rp_filter": "1",
                    "podnet.dev/sysctl.net.ipv4.conf.eth0.medium_id": "1",
                ])
            ], devices: ["cni0", "flannel.1"])
        #expect(
            warnings.map(\.message) == [
                "podnet does not model net.ipv4.conf.eth0.medium_id, so it changes nothing",
                "the node has no interface eth9, so this changes nothing",
            ])
        #expect(throws: ObjectError.self) {
            try NodeNetwork.checkSettings([node(["podnet.dev/sysctl.net.ipv4.conf.eth0.accept_local": "2"])])
        }
    }

    @Test("Settings reach the interfaces they name, and defaults those that agents make")
    func settingsOfInterfaces() {
        var namespace = NetworkNamespace(id: NamespaceID(0), name: "worker-1")
        namespace.addLink("eth0", kind: .ethernet, hardwareAddress: .zero)
        namespace.addLink("kube-ipvs0", kind: .dummy, hardwareAddress: .zero)
        NodeNetwork.applySettings(
            node([
                "podnet.dev/sysctl.net.ipv4.conf.default.rp_filter": "2",
                "podnet.dev/sysctl.net.ipv4.conf.eth0.rp_filter": "1",
                "podnet.dev/sysctl.net.ipv4.conf.eth0.forwarding": "0",
                "podnet.dev/sysctl.net.ipv4.ip_forward": "1",
            ]), proxy: KubeProxyConfiguration(), to: &namespace)
        #expect(namespace.links.map(\.settings.reversePathFilter) == [0, 1, 2])
        #expect(namespace.links.map(\.settings.forwarding) == [nil, false, nil])
        #expect(namespace.sysctls.reversePathFilter == 0)
    }

    @Test("A backend whose tunnel is not modelled is warned about")
    func backends() {
        var flannel = FlannelConfiguration()
        #expect(FlannelDaemon.warning(about: flannel) == nil)
        flannel.backend.type = .hostGateway
        #expect(FlannelDaemon.warning(about: flannel) == nil)
        flannel.backend.type = .alloc
        #expect(FlannelDaemon.warning(about: flannel) == nil)
        flannel.backend.type = .init(rawValue: "ipsec")
        #expect(FlannelDaemon.warning(about: flannel)?.message.contains("route to each other as with host-gw") == true)
        flannel.backend.type = .wireguard
        #expect(FlannelDaemon.warning(about: flannel)?.message.contains("wireguard tunnel is not modelled") == true)
    }

    @Test("An interface may be named again, and an address without a name belongs to the one before")
    func interfaces() {
        let interfaces = NodeNetwork.interfaces(
            of: node(["podnet.dev/interfaces": "eth0=10.1.0.2/24,eth1=10.2.0.2/24,10.2.0.3/24,eth0=10.1.0.3/24"]),
            underlay: Underlay())
        let texts = interfaces.map { "\($0.name) " + $0.addresses.map(\.description).joined(separator: " ") }
        #expect(texts == ["eth0 10.1.0.2/24 10.1.0.3/24", "eth1 10.2.0.2/24 10.2.0.3/24"])
    }

    @Test("A health check port answers where node ports do in each mode", arguments: ProxyMode.allCases)
    func healthCheckAddresses(mode: ProxyMode) {
        var input = ProxyInput.cluster()
        input.configuration.mode = mode
        input.add(
            .demo {
                $0.spec.type = .loadBalancer
                $0.spec.externalTrafficPolicy = .local
                $0.spec.healthCheckNodePort = 30555
            }, [.at("10.42.1.2", on: "node-a")])
        let index = ServiceIndex(services: input.services, endpointSlices: input.endpointSlices, family: .ipv4)
        let view = NodeView(
            input.node,
            interfaceAddresses: ["192.168.77.11/24", "172.31.5.4/20"].compactMap { InterfaceAddress($0) })
        let health = index.health(on: view, configuration: input.configuration)
        let expected: [IPAddress]? = mode == .nftables ? ["192.168.77.11"].compactMap { IPAddress($0) } : nil
        #expect(health.map(\.addresses) == [expected])
        #expect(health.map(\.localEndpoints) == [1])
    }
}
