// Drawn clusters: the same seed draws the same, manifests are sound, and over some seeds every kind of thing occurs.

import Kubernetes
import Manifests
import Simulation
import Testing

@testable import Lab

struct RandomClusterTests {
    private static let seeds: Range<UInt64> = 1..<60

    @Test func `the same seed draws the same cluster and flows`() throws {
        for seed in Self.seeds.prefix(5) {
            var (one, other) = (RandomCluster(seed: seed), RandomCluster(seed: seed))
            #expect(one.text == other.text, "seed \(seed)")
            let loaded = try LoadedManifests.load(text: one.text, name: "seed \(seed)")
            let simulator = Simulator(try Cluster(realising: loaded.objects, seed: seed), seed: seed)
            let names = try one.flows(8, in: simulator).map(\.name)
            #expect(try other.flows(8, in: simulator).map(\.name) == names, "seed \(seed)")
        }
    }

    @Test func `every drawn manifest is taken without a remark`() throws {
        for seed in Self.seeds {
            let loaded = try LoadedManifests.load(text: RandomCluster(seed: seed).text, name: "seed \(seed)")
            let cluster = try Cluster(realising: loaded.objects, seed: seed)
            #expect(loaded.warnings.isEmpty && cluster.warnings.isEmpty, "seed \(seed)")
        }
    }

    @Test(arguments: [
        "DirectRouting", "host-gw", "nftables", "hairpinMode\": false", "\"mtu\": 1500", "mtu: 1280",
        "rp_filter: \"1\"",
        "rp_filter: \"2\"", "ip_forward: \"0\"", "bridge-nf-call-iptables: \"0\"", "hostNetwork", "NodePort",
        "LoadBalancer", "externalTrafficPolicy: Local", "internalTrafficPolicy: Local", "sessionAffinity",
        "externalIPs", "hostPort", "EnableNFTables\": true", "protocol: UDP", "app: nobody",
    ]) func `chance draws every kind of thing`(word: String) {
        let drawn = Self.seeds.filter { RandomCluster(seed: $0).text.contains(word) }
        #expect(!drawn.isEmpty && drawn.count < Self.seeds.count)
    }
}
