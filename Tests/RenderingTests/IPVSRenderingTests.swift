// What a node in ipvs mode looks like, and what a trace through it says.

import Addressing
import Kubernetes
import Netstack
import Rendering
import Simulation
import Testing

@Suite struct IPVSRenderingTests {
    private static let manifest = """
        apiVersion: kubeproxy.config.k8s.io/v1alpha1
        kind: KubeProxyConfiguration
        mode: ipvs
        clusterCIDR: 10.244.0.0/16
        ---
        apiVersion: v1
        kind: Node
        metadata: {name: n1}
        spec: {podCIDR: 10.244.0.0/24}
        status: {addresses: [{type: InternalIP, address: 192.168.50.11}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: client}
        spec: {nodeName: n1, containers: [{name: main, image: client}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: web, labels: {app: web}}
        spec: {nodeName: n1, containers: [{name: main, image: web, ports: [{containerPort: 8080}]}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web}
        spec: {clusterIP: 10.96.0.10, sessionAffinity: ClientIP, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: nobody}
        spec: {clusterIP: 10.96.0.13, selector: {app: none}, ports: [{port: 80}]}
        """

    private func simulator() throws -> Simulator {
        var simulator = Simulator(try cluster(Self.manifest))
        simulator.recordEvents(rules: true)
        return simulator
    }

    private func request(_ simulator: borrowing Simulator, _ address: String) throws -> FlowRequest {
        let client = try simulator.place(of: .pod(ObjectKey(namespace: "default", name: "client")))
        return FlowRequest(from: client, to: try #require(IPAddress(address)), port: 80, protocol: .tcp)
    }

    @Test func `A trace tells the scheduler's choice and whose translation it is`() throws {
        var simulator = try simulator()
        let request = try request(simulator, "10.96.0.10")
        let text = TraceText().text(simulator.trace(request))
        #expect(text.contains("       IPVS -t 10.96.0.10:80: rr chose 10.244.0.3:8080\n"))
        #expect(
            text.contains(
                "       DNAT 10.96.0.10:80 → 10.244.0.3:8080\n         by ipvs -t 10.96.0.10:80 of kube-proxy\n"))
        #expect(
            text.contains(
                "       un-DNAT 10.244.0.3:8080 → 10.96.0.10:80\n         by ipvs -t 10.96.0.10:80 of kube-proxy\n"))
        let again = TraceText().text(simulator.trace(request))
        #expect(again.contains("       IPVS -t 10.96.0.10:80: session affinity keeps 10.244.0.3:8080\n"))
        let minimal = TraceText(level: .minimal).text(simulator.trace(request))
        #expect(minimal.contains("DNAT 10.96.0.10:80 → 10.244.0.3:8080") && !minimal.contains("IPVS"))
    }

    @Test func `Without a real server the virtual server is to blame`() throws {
        var simulator = try simulator()
        let trace = simulator.trace(try request(simulator, "10.96.0.13"))
        #expect(trace.verdict == .rejected)
        #expect(trace.headline.contains("ICMP port unreachable from 10.96.0.13 · no real server"), "\(trace.headline)")
        #expect(TraceText().text(trace).contains("by ipvs -A -t 10.96.0.13:80 -s rr\n"))
    }

    @Test func `JSON has the choice as a step`() throws {
        var simulator = try simulator()
        let json = TraceJSON(includesRules: true).value(simulator.trace(try request(simulator, "10.96.0.10"))).text()
        for part in [
            "\"kind\": \"scheduled\"", "\"scheduler\": \"rr\"", "\"remembered\": false", "\"table\": \"ipvs\"",
            "\"chain\": \"-t 10.96.0.10:80\"", "\"text\": \"-A -t 10.96.0.10:80 -s rr -p 10800\"",
        ] {
            #expect(json.contains(part), "\(part)")
        }
    }

    @Test func `kube-ipvs0 is down, answers no ARP and has the Services' addresses`() throws {
        var simulator = try simulator()
        let node = simulator.namespace(try simulator.place(of: .node("n1")))
        let shown = try NamespaceState(node, at: 0).addresses(dev: "kube-ipvs0")
        var lines = shown.text.split(separator: "\n").map(String.init)
        let index = node.link(named: "kube-ipvs0")?.index ?? 0
        #expect(
            lines.removeFirst()
                == "\(index): kube-ipvs0: <BROADCAST,NOARP> mtu 1500 qdisc noop state DOWN group default")
        #expect(
            lines.dropFirst() == [
                "    inet 10.96.0.10/32 scope global kube-ipvs0", "       valid_lft forever preferred_lft forever",
                "    inet 10.96.0.13/32 scope global kube-ipvs0", "       valid_lft forever preferred_lft forever",
            ])
        #expect(shown.json.text().contains("\"operstate\": \"DOWN\""))
        #expect(!shown.json.text().contains("txqlen"))
    }
}
