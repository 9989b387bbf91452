// Clusters and flows drawn by chance, for the lab to find where podnet and the kernel disagree: a few nodes, pods and
// Services of every kind, one of flannel's backends, MTUs and settings, and flows between all of them. Written as
// manifests, so that one that shows a difference can be kept as a file.

internal import Addressing
package import Kubernetes
internal import Netstack
package import Simulation

/// A cluster drawn from a seed.
package struct RandomCluster {
    /// The manifests.
    package private(set) var text = ""
    private var chance: SeededGenerator
    private var nodes: [String] = []
    private var pods: [(name: String, address: String)] = []
    private var hostPorts: [String] = []
    private var services: [(name: String, address: String, port: Int, nodePort: Int, external: String?, isUDP: Bool)] =
        []

    package init(seed: UInt64) {
        chance = SeededGenerator(seed: seed).stream("random cluster")
        drawFlannel()
        drawNodes()
        drawPods()
        drawServices()
        drawHosts()
    }

    // MARK: drawing

    private mutating func draw(_ percent: Int) -> Bool { chance.next(below: 100) < percent }

    private mutating func draw<Element>(_ elements: [Element]) -> Element {
        elements[chance.next(below: elements.count)]
    }

    private mutating func add(_ document: String) {
        text += (text.isEmpty ? "" : "---\n") + document + "\n"
    }

    private mutating func drawFlannel() {
        let backend = draw([
            #""Type": "vxlan""#, #""Type": "vxlan""#, #""Type": "vxlan", "DirectRouting": true"#, #""Type": "host-gw""#,
        ])
        let mtu = draw(15) ? #", "mtu": 1500"# : ""
        add(
            """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
            data:
              cni-conf.json: |
                {"name": "cbr0", "cniVersion": "0.3.1", "plugins": [
                  {"type": "flannel", "delegate": {"hairpinMode": \(draw(90)), "isDefaultGateway": true\(mtu)}},
                  {"type": "portmap", "capabilities": {"portMappings": true}}]}
              net-conf.json: |
                {"Network": "10.244.0.0/16", "EnableNFTables": \(draw(15)), "Backend": {\(backend)}}
            """)
        add(
            """
            apiVersion: kubeproxy.config.k8s.io/v1alpha1
            kind: KubeProxyConfiguration
            mode: \(draw(["iptables", "iptables", "nftables"]))
            clusterCIDR: 10.244.0.0/16
            """)
        if draw(20) {
            add(
                """
                apiVersion: podnet.dev/v1alpha1
                kind: Underlay
                metadata: {name: default}
                spec: {subnet: 192.168.50.0/24, mtu: \(draw([1400, 9000, 1280]))}
                """)
        }
    }

    private mutating func drawNodes() {
        for number in 1...chance.next(in: 1...5) {
            let name = "n\(number)"
            nodes.append(name)
            var annotations = ["podnet.dev/listen: \"tcp/9100,udp/9\""]
            if draw(15) { annotations.append("podnet.dev/sysctl.net.bridge.bridge-nf-call-iptables: \"0\"") }
            if draw(20) { annotations.append("podnet.dev/sysctl.net.ipv4.conf.all.rp_filter: \"\(draw([1, 2]))\"") }
            if draw(5) { annotations.append("podnet.dev/sysctl.net.ipv4.ip_forward: \"0\"") }
            add(
                """
                apiVersion: v1
                kind: Node
                metadata: {name: \(name), annotations: {\(annotations.joined(separator: ", "))}}
                spec: {podCIDR: 10.244.\(number).0/24}
                status: {addresses: [{type: InternalIP, address: 192.168.50.\(10 + number)}]}
                """)
        }
    }

    private mutating func drawPods() {
        for (number, node) in nodes.enumerated() {
            for place in 0..<chance.next(in: 0...4) {
                let name = "\(node)-\(place)"
                let address = "10.244.\(number + 1).\(2 + place)"
                let hostPort = draw(15) ? ", hostPort: \(8081 + place)" : ""
                if !hostPort.isEmpty { hostPorts.append("192.168.50.\(11 + number):\(8081 + place)") }
                pods.append((name, address))
                add(
                    """
                    apiVersion: v1
                    kind: Pod
                    metadata: {name: \(name), labels: {app: \(draw(["red", "green", "blue"])), pod: \(name)}}
                    spec:
                      nodeName: \(node)
                      containers:
                      - {name: main, image: main, ports: [{containerPort: 8080\(hostPort)}, {containerPort: 7, protocol: UDP}]}
                    status: {podIP: \(address), podIPs: [{ip: \(address)}], phase: Running}
                    """)
            }
        }
        if draw(30) {
            add(
                """
                apiVersion: v1
                kind: Pod
                metadata: {name: on-host, labels: {app: on-host}}
                spec:
                  nodeName: \(draw(nodes))
                  hostNetwork: true
                  containers: [{name: main, image: main, ports: [{containerPort: 9200}]}]
                """)
        }
    }

    private mutating func drawServices() {
        for number in 1...chance.next(in: 1...4) {
            let isUDP = draw(25)
            let type = draw(["ClusterIP", "NodePort", "NodePort", "LoadBalancer"])
            let own = pods.map { "pod: \($0.name)" }
            let selector = draw(["app: red", "app: green", "app: blue", "app: nobody", "app: on-host"] + own)
            let port = number == 1 ? 80 : 80 + number
            let nodePort = 30_080 + number
            let external = draw(20) ? "198.51.100.\(number)" : nil
            var spec = "type: \(type), clusterIP: 10.96.0.\(number * 10), selector: {\(selector)}, "
            let target = selector == "app: on-host" ? 9200 : isUDP ? 7 : 8080
            spec += "ports: [{port: \(port), targetPort: \(target), protocol: \(isUDP ? "UDP" : "TCP")"
            if type != "ClusterIP" { spec += ", nodePort: \(nodePort)" }
            spec += "}]"
            if type != "ClusterIP", draw(30) { spec += ", externalTrafficPolicy: Local" }
            if draw(15) { spec += ", internalTrafficPolicy: Local" }
            if draw(15) { spec += ", sessionAffinity: ClientIP" }
            if let external { spec += ", externalIPs: [\(external)]" }
            services.append(
                ("s\(number)", "10.96.0.\(number * 10)", port, type == "ClusterIP" ? 0 : nodePort, external, isUDP))
            var document = """
                apiVersion: v1
                kind: Service
                metadata: {name: s\(number)}
                spec: {\(spec)}
                """
            if type == "LoadBalancer" {
                document += "\nstatus: {loadBalancer: {ingress: [{ip: 203.0.113.\(number)}]}}"
            }
            add(document)
        }
    }

    private mutating func drawHosts() {
        let by = 10 + chance.next(in: 1...nodes.count)
        add(
            """
            apiVersion: podnet.dev/v1alpha1
            kind: Host
            metadata: {name: client}
            spec: {addresses: [192.168.50.100/24], listen: [tcp/8080, udp/7]}
            ---
            apiVersion: podnet.dev/v1alpha1
            kind: Host
            metadata: {name: ops}
            spec:
              addresses: [192.168.50.101/24]
              listen: [tcp/8080, udp/7]
              routes:
              - {to: 10.96.0.0/12, via: 192.168.50.\(by)}
              - {to: 10.244.0.0/16, via: 192.168.50.\(by)}
              - {to: 198.51.100.0/24, via: 192.168.50.\(by)}
              - {to: 203.0.113.0/24, via: 192.168.50.\(by)}
            """)
    }

    // MARK: flows

    /// Flows through the cluster: who asks what, in the spelling of `podnet trace`.
    package mutating func flows(
        _ count: Int, in simulator: borrowing Simulator
    ) throws(FlowEndError) -> [LabFlow] {
        var flows: [LabFlow] = []
        let ends = FlowEnds(simulator.cluster.objects)
        while flows.count < count {
            let source = drawSource()
            let (destination, transport) = drawDestination(source)
            let from = try ends.source(source)
            let to = try ends.destination(destination, protocol: transport, from: from)
            guard let id = simulator.namespaceID(of: from.owner) else { continue }
            var request = FlowRequest(from: id, to: to.address, port: to.port, protocol: transport)
            request.timeout = draw(20) ? 3_500_000_000 : 1_300_000_000
            var name = "\(source) \(destination) --protocol \(transport)"
            if transport != .tcp, draw(25) {
                request.pathMTUDiscovery = draw([.do, .dont])
                name += " --pmtudisc \(request.pathMTUDiscovery)"
            }
            if draw(8) {
                let hops = UInt8(chance.next(in: 1...4))
                request.timeToLive = hops
                name += " (ttl \(hops))"
            }
            // A machine without latency hears an error between two fragments; on a wire it comes behind them.
            if transport == .udp, source != "host/client", draw(35) {
                let size = draw([1200, 1422, 1423, 1472, 1473, 3000])
                request.payload = (0..<size).map { UInt8(97 + $0 % 26) }
                name += " (\(size) octets)"
            }
            if transport == .tcp, draw(15) {
                let size = draw([1300, 1500, 3000, 5000, 10_000])
                request.responseOctets = size
                name += " --response-bytes \(size)"
            }
            if draw(8) {
                request.requests = 2
                request.interval = 200_000_000
                name += " --requests 2 --interval 200ms"
            }
            flows.append(LabFlow(request, name: name))
            // Warm: the same again.
            if draw(30), flows.count < count { flows.append(LabFlow(request, name: name + ", again")) }
        }
        return flows
    }

    private mutating func drawSource() -> String {
        let kind = chance.next(below: 100)
        if kind < 60, !pods.isEmpty { return draw(pods).name }
        if kind < 80 { return "node/" + draw(nodes) }
        return draw(["host/client", "host/ops"])
    }

    private mutating func drawDestination(_ source: String) -> (String, IPProtocol) {
        let transport: IPProtocol = draw(20) ? .udp : .tcp
        switch chance.next(below: 100) {
        case ..<40:
            let service = draw(services)
            return ("\(service.address):\(service.port)", service.isUDP ? .udp : .tcp)
        case ..<58:
            let service = draw(
                services.filter { $0.nodePort > 0 }.isEmpty ? services : services.filter { $0.nodePort > 0 })
            guard service.nodePort > 0 else {
                return ("\(service.address):\(service.port)", service.isUDP ? .udp : .tcp)
            }
            let node = chance.next(in: 1...nodes.count)
            let isLoopback = source.hasPrefix("node/") && draw(20)
            let address = isLoopback ? "127.0.0.1" : "192.168.50.\(10 + node)"
            return ("\(address):\(service.nodePort)", service.isUDP ? .udp : .tcp)
        case ..<62 where !hostPorts.isEmpty: return (draw(hostPorts), .tcp)
        case ..<72:
            guard !pods.isEmpty else { return ("192.168.50.11:9100", .tcp) }
            return ("\(draw(pods).address):\(transport == .udp ? 7 : 8080)", transport)
        case ..<77:
            guard !pods.isEmpty else { return ("192.168.50.11", .icmp) }
            return (draw(pods).address, .icmp)
        case ..<81:
            let service = draw(services)
            return (service.address, .icmp)
        case ..<85:
            return ("192.168.50.\(10 + chance.next(in: 1...nodes.count)):\(transport == .udp ? 9 : 9100)", transport)
        case ..<88: return ("10.244.\(chance.next(in: 1...nodes.count)).77:8080", transport)
        case ..<91:
            guard !pods.isEmpty else { return ("192.168.50.12:1", transport) }
            return ("\(draw(pods).address):81", transport)
        case ..<94:
            let service = draw(services)
            return ("\(service.external ?? service.address):\(service.port)", service.isUDP ? .udp : .tcp)
        case ..<96: return ("203.0.113.\(chance.next(in: 1...4)):81", .tcp)
        default: return ("192.168.50.\(draw([100, 101])):\(transport == .udp ? 7 : 8080)", transport)
        }
    }
}
