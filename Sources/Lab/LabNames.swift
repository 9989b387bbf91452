// What the network namespaces of a lab are called: the prefix, then the name of the node or host, which are never the
// same, or for a pod its namespace and name with an underscore between, which occurs in neither.

internal import Kubernetes
package import Netstack
internal import Simulation

/// The names of a lab's network namespaces, as `ip netns` shows them.
package struct LabNames: Sendable {
    package static let standardPrefix = "podnet-"

    package let prefix: String
    private var names: [String] = []

    init(_ simulator: borrowing Simulator, prefix: String) {
        self.prefix = prefix
        for id in simulator.everyNamespace {
            switch simulator.owner(of: id) {
            case .node(let name), .host(let name): names.append(prefix + name)
            case .pod(let key): names.append("\(prefix)\(key.namespace)_\(key.name)")
            }
        }
    }

    package subscript(_ id: NamespaceID) -> String { names[id.index] }

    /// The switches between the machines.
    package var underlay: String { prefix + "_underlay" }

    /// All names, in the order the namespaces are made.
    package var all: [String] { [underlay] + names }
}
