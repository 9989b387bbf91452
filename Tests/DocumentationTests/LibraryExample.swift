// The example of README.md, word for word: everything below this comment is its Swift block.

import Kubernetes
import Manifests
import Rendering
import Simulation

/// What happens when the pod `client` calls the Service `web`, in the words of `podnet trace`.
func explain(_ manifests: String) throws -> String {
    let loaded = try LoadedManifests.load(paths: [manifests])
    let cluster = try Cluster(realising: loaded.objects)
    let ends = FlowEnds(cluster.objects)
    let service = try ends.destination("svc/web:80", from: ends.source("client"))

    var simulator = Simulator(cluster)
    simulator.recordEvents()
    guard let client = simulator.namespaceID(of: .pod(ObjectKey(namespace: "default", name: "client"))) else {
        return "there is no pod default/client"
    }
    let trace = simulator.trace(FlowRequest(from: client, to: service.address, port: service.port))
    return TraceText().text(trace)
}
