// Services on their way through the API server: defaults, refusals in its words, cluster IPs and node ports.

import Addressing
import Kubernetes
import Testing

@Suite struct ServiceTests {
    private func realised(_ service: Service) throws(ObjectError) -> Service {
        var store = store { $0.services.insert(service) }
        try realise(&store)
        return store.services[0]
    }

    @Test("a plain Service gets the defaults of the API server")
    func defaults() throws {
        let web = try realised(service("web"))
        #expect(web.spec.ports[0].targetPort == .int(80))
        #expect(web.spec.ports[0].nodePort == nil)
        #expect(web.spec.internalTrafficPolicy == .cluster)
        #expect(web.spec.externalTrafficPolicy == nil)
        #expect(web.spec.ipFamilies == [.ipv4])
        #expect(web.spec.ipFamilyPolicy == .singleStack)
        #expect(web.spec.clusterIPs == [web.spec.clusterIP])
        #expect(!web.metadata.uid.isEmpty)
    }

    @Test("defaults depend on the type")
    func defaultsByType() throws {
        let balancer = try realised(
            service("web", type: .loadBalancer) {
                $0.spec.sessionAffinity = .clientIP
                $0.spec.externalTrafficPolicy = .local
                $0.loadBalancerIngress = [LoadBalancerIngress(ip: "203.0.113.9")]
            })
        #expect(balancer.spec.sessionAffinityTimeoutSeconds == 10800)
        #expect(balancer.spec.allocateLoadBalancerNodePorts == true)
        #expect((30086...32767).contains(balancer.spec.ports[0].nodePort ?? 0))
        #expect((30086...32767).contains(balancer.spec.healthCheckNodePort ?? 0))
        #expect(balancer.spec.healthCheckNodePort != balancer.spec.ports[0].nodePort)
        #expect(balancer.loadBalancerAddresses.map(\.description) == ["203.0.113.9"])
        let external = try realised(service("web") { $0.spec.externalIPs = ["198.51.100.7"] })
        #expect(external.spec.externalTrafficPolicy == .cluster)
        let headless = try realised(service("web", app: "x", ports: []) { $0.spec.clusterIP = "None" })
        #expect(headless.isHeadless && headless.clusterAddresses == [])
        #expect(headless.spec.clusterIPs == ["None"] && headless.spec.ipFamilies == [.ipv4])
        let open = try realised(service("web", ports: []) { $0.spec.clusterIP = "None" })
        #expect(open.spec.ipFamilyPolicy == .requireDualStack && open.spec.ipFamilies == [.ipv4, .ipv6])
        let name = try realised(
            service("web", type: .externalName, ports: []) { $0.spec.externalName = "api.example.com." })
        #expect(name.spec.clusterIP == "" && name.spec.internalTrafficPolicy == nil)
        let dropped = try realised(service("web") { $0.spec.sessionAffinityTimeoutSeconds = 5 })
        #expect(dropped.spec.sessionAffinityTimeoutSeconds == nil)
    }

    // MARK: Refusals

    struct Refusal: Sendable, CustomTestStringConvertible {
        let text: String
        let change: @Sendable (inout Service) -> Void
        init(_ text: String, _ change: @escaping @Sendable (inout Service) -> Void) {
            self.text = text
            self.change = change
        }
        var testDescription: String { text }
    }

    @Test(
        "the API server's refusals",
        arguments: [
            Refusal("metadata.name: Invalid value: \"1web\": a DNS-1035 label must consist of") {
                $0.metadata.name = "1web"
            },
            Refusal("metadata.name: Required value: name or generateName is required") { $0.metadata.name = "" },
            Refusal("spec.ports: Required value") { $0.spec.ports = [] },
            Refusal("spec.ports[0].name: Required value") { $0.spec.ports.append(ServicePort(name: "b", port: 81)) },
            Refusal("spec.ports[1].name: Duplicate value: \"a\"") {
                $0.spec.ports = [ServicePort(name: "a", port: 80), ServicePort(name: "a", port: 81)]
            },
            Refusal("spec.ports[0].name: Invalid value: \"HTTP\": a lowercase RFC 1123 label") {
                $0.spec.ports[0].name = "HTTP"
            },
            Refusal("spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive") {
                $0.spec.ports[0].port = 0
            },
            Refusal("spec.ports[0].port: Invalid value: 65536: must be between 1 and 65535, inclusive") {
                $0.spec.ports[0].port = 65536
            },
            Refusal("spec.ports[0].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"")
            {
                $0.spec.ports[0].protocol = PortProtocol(rawValue: "tcp")
            },
            Refusal("spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive") {
                $0.spec.ports[0].targetPort = .int(70000)
            },
            Refusal("spec.ports[0].targetPort: Invalid value: \"8080\": must contain at least one letter (a-z)") {
                $0.spec.ports[0].targetPort = .string("8080")
            },
            Refusal("spec.ports[0].targetPort: Invalid value: \"a--b\": must not contain consecutive hyphens") {
                $0.spec.ports[0].targetPort = .string("a--b")
            },
            Refusal("spec.ports[1]: Duplicate value: port 80, protocol TCP") {
                $0.spec.ports = [ServicePort(name: "a", port: 80), ServicePort(name: "b", port: 80)]
            },
            Refusal("spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'") {
                $0.spec.ports[0].nodePort = 30080
            },
            Refusal("spec.ports[1].nodePort: Duplicate value: 30080") {
                $0.spec.type = .nodePort
                $0.spec.ports = [
                    ServicePort(name: "a", port: 80, nodePort: 30080),
                    ServicePort(name: "b", port: 81, nodePort: 30080),
                ]
            },
            Refusal("spec.type: Unsupported value: \"Nodeport\": supported values: \"ClusterIP\", \"ExternalName\"") {
                $0.spec.type = ServiceType(rawValue: "Nodeport")
            },
            Refusal("spec.clusterIP: Invalid value: \"None\": may not be set to 'None' for NodePort services") {
                $0.spec.type = .nodePort
                $0.spec.clusterIP = "None"
            },
            Refusal("spec.clusterIP: Invalid value: \"10.96.0\": must be a valid IP address") {
                $0.spec.clusterIP = "10.96.0"
            },
            Refusal("spec.clusterIPs: Invalid value: [\"10.96.0.2\"]: first value must match `clusterIP`") {
                $0.spec.clusterIP = "10.96.0.1"
                $0.spec.clusterIPs = ["10.96.0.2"]
            },
            Refusal("'None' must be the first and only value") { $0.spec.clusterIPs = ["None", "10.96.0.2"] },
            Refusal("may specify no more than one IP for each IP family") {
                $0.spec.clusterIPs = ["10.96.0.3", "10.96.0.2"]
            },
            Refusal("may only hold up to 2 values") { $0.spec.clusterIPs = ["10.96.0.3", "fd00::1", "10.96.0.4"] },
            Refusal(
                "spec.clusterIP: Invalid value: \"10.96.0.3\": expected an IPv6 value as indicated by `ipFamilies[0]`"
            ) {
                $0.spec.clusterIP = "10.96.0.3"
                $0.spec.ipFamilies = [.ipv6]
            },
            Refusal("spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster") {
                $0.spec.ipFamilies = [.ipv6]
            },
            Refusal("spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured") {
                $0.spec.ipFamilyPolicy = .requireDualStack
            },
            Refusal("spec.ports[0].port: Invalid value: 10250: may not expose port 10250 externally") {
                $0.spec.type = .loadBalancer
                $0.spec.ports[0].port = 10250
            },
            Refusal("spec.externalName: Required value") { $0.spec.type = .externalName },
            Refusal("spec.externalName: Invalid value: \"a_b\": a lowercase RFC 1123 subdomain") {
                $0.spec.type = .externalName
                $0.spec.externalName = "a_b"
            },
            Refusal("spec.sessionAffinity: Unsupported value: \"Client\"") {
                $0.spec.sessionAffinity = SessionAffinity(rawValue: "Client")
            },
            Refusal("spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0") {
                $0.spec.sessionAffinity = .clientIP
                $0.spec.sessionAffinityTimeoutSeconds = 0
            },
            Refusal("spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range") {
                $0.spec.externalIPs = ["127.0.0.1"]
            },
            Refusal("spec.externalIPs[0]: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0)") {
                $0.spec.externalIPs = ["0.0.0.0"]
            },
            Refusal("spec.externalIPs[0]: Invalid value: \"169.254.1.1\": may not be in the link-local range") {
                $0.spec.externalIPs = ["169.254.1.1"]
            },
            Refusal("spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible") {
                $0.spec.externalTrafficPolicy = .local
            },
            Refusal("spec.internalTrafficPolicy: Unsupported value: \"local\"") {
                $0.spec.internalTrafficPolicy = TrafficPolicy(rawValue: "local")
            },
            Refusal("spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer'") {
                $0.spec.healthCheckNodePort = 30000
            },
            Refusal("spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'") {
                $0.spec.loadBalancerSourceRanges = ["10.0.0.0/8"]
            },
            Refusal("spec.loadBalancerSourceRanges[1]: Invalid value: \"10.0.0.0\": must be a valid CIDR value") {
                $0.spec.type = .loadBalancer
                $0.spec.loadBalancerSourceRanges = [" 10.0.0.1/8 ", "10.0.0.0"]
            },
            Refusal("spec.trafficDistribution: Unsupported value: \"Near\"") { $0.spec.trafficDistribution = "Near" },
            Refusal("spec.ports[0].nodePort: Invalid value: 29999: provided port is not in the valid range. The range")
            {
                $0.spec.type = .nodePort
                $0.spec.ports[0].nodePort = 29999
            },
            Refusal(
                "spec.clusterIP: Invalid value: [\"10.112.0.1\"]: failed to allocate IP 10.112.0.1: the provided IP "
                    + "(10.112.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/12"
            ) {
                $0.spec.clusterIP = "10.112.0.1"
            },
            Refusal("failed to allocate IP 10.96.0.0: the provided IP (10.96.0.0) is not in the valid range") {
                $0.spec.clusterIP = "10.96.0.0"
            },
        ])
    func refusals(row: Refusal) {
        let text = refusal {
            $0.clusterConfiguration = ClusterConfiguration()
            $0.services.insert(service("web", "default", row.change))
        }
        #expect(text.contains(row.text), "\(text)")
        #expect(text.hasPrefix("Service"))
    }

    @Test("the loopback of source ranges keeps host bits away")
    func sourceRanges() throws {
        let web = try realised(
            service("web", type: .loadBalancer) { $0.spec.loadBalancerSourceRanges = [" 10.1.2.3/8 "] })
        #expect(web.loadBalancerSourcePrefixes.map(\.description) == ["10.0.0.0/8"])
    }

    @Test("TCP and UDP on one port need names and nothing else")
    func twoProtocols() throws {
        let dns = try realised(
            service(
                "dns", type: .nodePort,
                ports: [
                    ServicePort(name: "dns", protocol: .udp, port: 53), ServicePort(name: "dns-tcp", port: 53),
                    ServicePort(name: "metrics", port: 9153),
                ]))
        #expect(dns.spec.ports[0].nodePort == dns.spec.ports[1].nodePort)
        #expect(dns.spec.ports[0].nodePort != dns.spec.ports[2].nodePort)
    }

    // MARK: Allocation

    @Test("the second user of an address or a node port is refused")
    func taken() {
        #expect(
            refusal {
                $0.services.insert(service("a") { $0.spec.clusterIP = "10.96.0.10" })
                $0.services.insert(service("b", "other") { $0.spec.clusterIP = "10.96.0.10" })
            } == "Service other/b: spec.clusterIP: Invalid value: [\"10.96.0.10\"]: failed to allocate IP 10.96.0.10: "
                + "provided IP is already allocated (Service default/a has it; leave clusterIP out to have one chosen)")
        #expect(
            refusal {
                $0.services.insert(
                    service("a", type: .nodePort, ports: [ServicePort(protocol: .udp, port: 1, nodePort: 30080)]))
                $0.services.insert(service("b", type: .nodePort, ports: [ServicePort(port: 1, nodePort: 30080)]))
            } == "Service default/b: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated "
                + "(Service default/a has it; leave it out to have one chosen)")
    }

    @Test("chosen addresses come from the upper band, given ones may be anywhere")
    func bands() throws {
        var store = store { store in
            store.services.insert(service("given") { $0.spec.clusterIP = "10.96.0.10" })
            for index in 0..<200 { store.services.insert(service("s\(index)", type: .nodePort)) }
        }
        try realise(&store)
        let addresses = store.services.flatMap(\.clusterAddresses)
        #expect(Set(addresses).count == 201)
        let lower = IPPrefix(.v4(10, 96, 0, 0), length: 24)
        #expect(addresses.filter(lower.contains).map(\.description) == ["10.96.0.10"])
        let ports = store.services.compactMap { $0.spec.ports[0].nodePort }
        #expect(Set(ports).count == 200 && ports.allSatisfy { (30086...32767).contains($0) })
    }

    @Test("a small range is used to the last address, and then it is full")
    func fullRange() throws {
        func fill(_ count: Int) -> (inout ObjectStore) -> Void {
            { store in
                store.clusterConfiguration = ClusterConfiguration(
                    serviceSubnets: [IPPrefix("10.96.0.0/27")].compactMap { $0 },
                    serviceNodePortRange: 30000...30019)
                for index in 0..<count { store.services.insert(service("s\(index)")) }
            }
        }
        // 30 usable addresses, of which the first belongs to the API server.
        var full = store(fill(29))
        try realise(&full)
        #expect(Set(full.services.flatMap(\.clusterAddresses)).count == 29)
        // The first 14 come from above the static band of 16.
        let edge = IPAddress.v4(10, 96, 0, 16)
        #expect(full.services.prefix(14).flatMap(\.clusterAddresses).allSatisfy { $0 > edge })
        #expect(refusal(fill(30)).contains("failed to allocate a serviceIP: range is full"))
        #expect(
            refusal { store in
                fill(0)(&store)
                for index in 0..<21 { store.services.insert(service("n\(index)", type: .nodePort)) }
            }.contains("Service default/n20: spec.ports[0].nodePort: failed to allocate a nodePort: range is full"))
    }

    @Test("one seed gives one outcome, and a further Service moves none of the others")
    func seeds() throws {
        func addresses(_ seed: UInt64, _ count: Int) throws -> [String] {
            var filled = store { store in
                for index in 0..<count { store.services.insert(service("s\(index)", type: .nodePort)) }
            }
            try realise(&filled, seed: seed)
            return filled.services.map { "\($0.spec.clusterIP) \($0.spec.ports[0].nodePort ?? 0)" }
        }
        #expect(try addresses(1, 5) == addresses(1, 5))
        #expect(try addresses(1, 5) != addresses(2, 5))
        #expect(try Array(addresses(1, 6).prefix(5)) == addresses(1, 5))
    }

    @Test("a LoadBalancer that declines node ports gets none, yet keeps those it asks for")
    func declinedNodePorts() throws {
        let web = try realised(
            service(
                "web", type: .loadBalancer,
                ports: [ServicePort(name: "a", port: 80), ServicePort(name: "b", port: 81, nodePort: 30081)]
            ) { $0.spec.allocateLoadBalancerNodePorts = false })
        #expect(web.spec.ports.map(\.nodePort) == [nil, 30081])
    }

    @Test("a cluster IP on an ExternalName Service has no effect and says so")
    func externalNameWithAddress() throws {
        var store = store {
            $0.services.insert(
                service("ext", type: .externalName, ports: []) {
                    $0.spec.externalName = "api.example.com"
                    $0.spec.clusterIP = "10.96.3.3"
                })
            $0.services.insert(service("web") { $0.spec.clusterIP = "10.96.3.3" })
        }
        #expect(
            try realise(&store) == [
                "Service default/ext: spec.clusterIP: may not be set for ExternalName services; it has no effect "
                    + "(remove it)"
            ])
        #expect(store.services[0].clusterAddresses == [])
    }

    @Test("a health check port outside a range nobody stated warns, outside a stated one it is refused")
    func healthCheckPort() throws {
        func fill(_ store: inout ObjectStore) {
            store.services.insert(
                service("web", type: .loadBalancer) {
                    $0.spec.externalTrafficPolicy = .local
                    $0.spec.healthCheckNodePort = 32999
                })
        }
        var open = store(fill)
        #expect(
            try realise(&open) == [
                "Service default/web: spec.healthCheckNodePort: 32999 is not in the node port range 30000-32767 "
                    + "(add the ClusterConfiguration with its service-node-port-range)"
            ])
        #expect(open.services[0].spec.healthCheckNodePort == 32999)
        #expect(
            refusal {
                fill(&$0)
                $0.clusterConfiguration = ClusterConfiguration()
            }.contains("spec.healthCheckNodePort: Invalid value: 32999: provided port is not in the valid range"))
    }

    @Test("a node port outside a range nobody stated is kept beside a cluster IP, and refused alone or where stated")
    func dumpedNodePort() throws {
        func fill(_ store: inout ObjectStore, clusterIP: String) {
            store.services.insert(
                service("web", type: .nodePort) {
                    $0.spec.clusterIP = clusterIP
                    $0.spec.ports[0].nodePort = 3001
                })
        }
        var open = store { fill(&$0, clusterIP: "10.96.3.3") }
        #expect(
            try realise(&open) == [
                "Service default/web: spec.ports[0].nodePort: 3001 is not in the node port range 30000-32767 "
                    + "(add the ClusterConfiguration with its service-node-port-range)"
            ])
        #expect(open.services[0].spec.ports[0].nodePort == 3001)
        let refused = "spec.ports[0].nodePort: Invalid value: 3001: provided port is not in the valid range"
        #expect(refusal { fill(&$0, clusterIP: "") }.contains(refused))
        #expect(
            refusal {
                fill(&$0, clusterIP: "10.96.3.3")
                $0.clusterConfiguration = ClusterConfiguration()
            }.contains(refused))
    }

    @Test("what an earlier type left behind in a Service of a cluster is told of, not refused")
    func leftovers() throws {
        var store = store {
            $0.services.insert(
                service("web") {
                    $0.spec.clusterIP = "10.96.3.3"
                    $0.spec.externalTrafficPolicy = .local
                    $0.spec.healthCheckNodePort = 30555
                    $0.spec.loadBalancerSourceRanges = ["10.0.0.0/8"]
                    $0.spec.allocateLoadBalancerNodePorts = true
                    $0.spec.loadBalancerClass = "example.com/metal"
                })
            // Nobody listens on the port above.
            $0.services.insert(
                service("balancer", type: .loadBalancer) {
                    $0.spec.externalTrafficPolicy = .local
                    $0.spec.healthCheckNodePort = 30555
                })
        }
        let balancer = "may only be used when `type` is 'LoadBalancer' (remove it)"
        #expect(
            try realise(&store) == [
                "Service default/web: spec.externalTrafficPolicy: may only be set for externally-accessible services "
                    + "(remove it)",
                "Service default/web: spec.healthCheckNodePort: may only be set when `type` is 'LoadBalancer' and "
                    + "`externalTrafficPolicy` is 'Local' (remove it)",
                "Service default/web: spec.loadBalancerSourceRanges: " + balancer,
                "Service default/web: spec.allocateLoadBalancerNodePorts: " + balancer,
                "Service default/web: spec.loadBalancerClass: " + balancer,
            ])
    }
}
