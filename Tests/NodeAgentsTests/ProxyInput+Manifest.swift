// Reads the input of a vector the way podnet reads any manifest.

import Kubernetes
import Manifests
import Testing

extension ProxyInput {
    /// The objects of `Vectors/kube-proxy/NAME/input.yaml`.
    init(vector name: String) throws {
        let path = "kube-proxy/\(name)/input.yaml"
        let objects = try LoadedManifests.load(text: try vectorText(path), name: path).objects
        self.init(
            configuration: try #require(objects.kubeProxyConfiguration), node: try #require(objects.nodes.first),
            services: Array(objects.services), endpointSlices: Array(objects.endpointSlices))
    }
}
