// The script of a lab: a shell takes it, it says what the simulator computed, and servers come back from their words.

import Addressing
import Kubernetes
import Manifests
import Netstack
import Simulation
import Testing

@testable import Lab

struct LabScriptTests {
    private func script(_ text: String, prefix: String = "podnet-") throws -> String {
        let loaded = try LoadedManifests.load(text: text, name: "test")
        var simulator = Simulator(try Cluster(realising: loaded.objects, seed: 1), seed: 1)
        return try LabScript(&simulator, prefix: prefix).text(program: "podnet")
    }

    @Test(arguments: [
        "netns add podnet-worker-1", "netns add podnet-default_web",
        "type vxlan id 1 local 192.168.50.11 dev eth0 dstport 8472 nolearning",
        "type bridge_slave hairpin on", "addr add 10.244.1.1/24 brd 10.244.1.255 dev cni0",
        "route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
        "dst 192.168.50.12 self permanent", "net.bridge.bridge-nf-call-iptables=1", "net.ipv4.conf.all.rp_filter=0",
        "-A KUBE-SERVICES", "-A FLANNEL-POSTRTG",
        "ip netns exec podnet-default_web podnet lab serve tcp/0.0.0.0:8080=web udp/0.0.0.0:7",
    ]) func `the script holds what the agents wrote`(line: String) throws {
        #expect(try script(Small.cluster).contains(line))
    }

    @Test func `every name begins with the prefix`() throws {
        let text = try script(Small.cluster, prefix: "mine-")
        #expect(text.contains("netns add mine-_underlay"))
        #expect(!text.contains("podnet-"))
    }

    @Test func `IPVS is refused with what to do`() throws {
        let loaded = try LoadedManifests.load(text: Small.cluster, name: "test")
        var simulator = Simulator(try Cluster(realising: loaded.objects, seed: 1, proxyMode: .ipvs), seed: 1)
        let error = #expect(throws: LabError.self) { try LabScript(&simulator) }
        #expect(error?.hint?.contains("--proxy-mode") == true)
    }

    @Test(arguments: ["tcp/0.0.0.0:8080=web", "udp/0.0.0.0:53", "tcp/[::]:80=a b", "tcp/10.0.0.1:80=octets:4f4b"])
    func `a server comes back from its words`(word: String) throws {
        let server = try #require(RealServer(word))
        #expect(server.description == word)
        switch server.answer {
        case .always(let octets): #expect(octets == Array("OK".utf8) && word.hasSuffix("4f4b"))
        case .server(let name): #expect(word.hasSuffix(name))
        }
    }

    @Test(arguments: ["", "tcp", "tcp/8080", "icmp/0.0.0.0:1", "tcp/0.0.0.0:70000=x"])
    func `other words are no server`(word: String) { #expect(RealServer(word) == nil) }
}
