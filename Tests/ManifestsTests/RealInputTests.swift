// Manifests as other projects publish them, read from a folder beside the repository where there is one.

import Addressing
import Kubernetes
import Testing

@testable import Manifests

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite struct RealInputTests {
    /// `../shared` beside the repository; nil where it is missing.
    static let shared: String? = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(4)
        let path = parts.joined(separator: "/") + "/shared"
        return access(path, R_OK) == 0 ? path : nil
    }()

    @Test(.enabled(if: shared != nil))
    func `published manifests are taken as they are`() throws {
        let inputs = try #require(Self.shared) + "/inputs/"
        let boutique = try LoadedManifests.load(paths: [inputs + "online-boutique.yaml"])
        #expect(boutique.objects.deployments.count == 12 && boutique.objects.services.count == 12)
        #expect(boutique.objects.services["default", "frontend-external"]?.spec.type == .loadBalancer)
        #expect(boutique.warnings.count == 1)
        let guestbook = try LoadedManifests.load(paths: [inputs + "guestbook.yaml"])
        #expect(guestbook.objects.deployments.map(\.replicas) == [1, 2, 3] && guestbook.warnings.isEmpty)
        let flannel = try LoadedManifests.load(paths: [inputs + "kube-flannel.yml"])
        #expect(flannel.objects.flannelConfiguration?.network?.description == "10.244.0.0/16")
        #expect(flannel.objects.flannelConfiguration?.ipMasq == true)
        #expect(flannel.objects.daemonSets[0].template.spec.hostNetwork)
        #expect(flannel.warnings.map(\.line) == [10, 38, 54])
    }

    @Test(.enabled(if: shared != nil))
    func `the objects kube-proxy was given are read without a warning`() throws {
        let vectors = try #require(Self.shared) + "/vectors/kube-proxy/"
        for name in ["01-clusterip-counts", "10-terminating", "18-dual-stack", "26-nodeport-all-addrs"] {
            let loaded = try LoadedManifests.load(paths: [vectors + name + "/input.yaml"])
            #expect(loaded.warnings.isEmpty, "\(name)")
            #expect(loaded.objects.nodes.count == 1 && !loaded.objects.services.isEmpty, "\(name)")
            #expect(loaded.objects.kubeProxyConfiguration != nil, "\(name)")
        }
    }
}
