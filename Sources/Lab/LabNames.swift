// What the network namespaces of a lab are called: the prefix, then the name of the node or host, or for a pod its
// namespace and name with an underscore between, which occurs in neither.

internal import Kubernetes
package import Netstack
internal import Simulation

/// The names of a lab's network namespaces, as `ip netns` shows them.
package struct LabNames: Sendable {
    package static let standardPrefix = "podnet-"

    package let prefix: String
    private var names: [String] = []

    /// Names every node, pod and host. A host that is called like a node has `_host` behind its name.
    init(_ simulator: borrowing Simulator, prefix: String) {
        self.prefix = prefix
        var taken: Set<String> = []
        for id in simulator.everyNamespace {
            var name =
                switch simulator.owner(of: id) {
                case .node(let name), .host(let name): name
                case .pod(let key): "\(key.namespace)_\(key.name)"
                }
            if !taken.insert(name).inserted { name += "_host" }
            names.append(prefix + name)
        }
    }

    package subscript(_ id: NamespaceID) -> String { names[id.index] }

    /// The switches between the machines.
    package var underlay: String { prefix + "_underlay" }

    /// All names, in the order the namespaces are made.
    package var all: [String] { [underlay] + names }
}
