// From trees to the object store: which kinds podnet uses, under which apiVersions, and what happens to the rest. An
// object is identified as the API server does, by group, kind, namespace and name; two of the same are an error here,
// where a server would let the later win, because in a folder of files it is nearly always a mistake.

import Kubernetes

/// Gathers the objects of several inputs.
struct ManifestLoader {
    private var result = LoadedManifests()
    private let limits: ManifestLimits
    /// Kinds passed over in the present file, in order of appearance.
    private var skipped: [(type: String, warning: Int, more: Int)] = []
    /// Where each configuration that may stand only once came from.
    private var configurations: [String: ObjectOrigin] = [:]
    private var flanneldRules: (masquerades: Bool, forwards: Bool)?
    private var objectCount = 0

    init(limits: ManifestLimits) {
        self.limits = limits
        result.limits = limits
    }

    /// Reads all objects of one input.
    mutating func load(_ file: InputFile, buffer: SourceBuffer) throws(ManifestError) {
        result.sources.append(LoadedManifests.Source(file: file, text: nil))
        let source = result.sources.count - 1
        skipped.removeAll()
        var reader = ManifestReader(buffer, limits: limits)
        try reader.forEachObject { (object, list) throws(ManifestError) in
            let position = object.position
            let item = result.sources[source].positions.count
            result.sources[source].positions.append(
                LoadedManifests.Position(
                    line: UInt32(clamping: position.line), column: UInt32(clamping: position.column)))
            objectCount += 1
            try add(object, list: list, origin: ObjectOrigin(source: source, item: item))
            return true
        }
        for entry in skipped where entry.more > 0 {
            result.warnings[entry.warning].message += " (and \(entry.more) more in this file)"
        }
        if !file.isReadableAgain { result.sources[source].text = Array(buffer.bytes) }
    }

    /// The objects of all inputs.
    mutating func finish(askedFor names: [String]) throws(ManifestError) -> LoadedManifests {
        guard objectCount > 0 else {
            throw ManifestError(
                file: names.count == 1 ? (names[0] == "-" ? InputFile.standardInputName : names[0]) : "",
                message: "there is no object in the input",
                hint: "give at least one manifest with `apiVersion:` and `kind:`")
        }
        if let flanneldRules {
            result.objects.flannelConfiguration?.ipMasq = flanneldRules.masquerades
            result.objects.flannelConfiguration?.forwardRules = flanneldRules.forwards
        }
        return result
    }

    private mutating func add(
        _ node: ManifestNode, list: ManifestReader.ListType?, origin: ObjectOrigin
    ) throws(ManifestError) {
        guard node.isMapping else {
            throw node.error(
                "expected an object, found \(node.typeDescription)",
                hint: "a manifest begins with `apiVersion:` and `kind:`")
        }
        let kind = try type("kind", of: node, list: list?.kind, example: "Pod")
        let apiVersion = try type("apiVersion", of: node, list: list?.apiVersion, example: "v1")
        let group = apiVersion.contains("/") ? String(apiVersion.prefix { $0 != "/" }) : ""
        switch (group, kind) {
        case ("", Namespace.kind): try insert(node, origin, \.namespaces, Namespace.init)
        case ("", Node.kind):
            try insert(node, origin, \.nodes, Node.init)
            try checkAnnotations(in: node["metadata"], of: .node, warnings: &result.warnings)
        case ("", Pod.kind):
            try insert(node, origin, \.pods, Pod.init)
            try checkAnnotations(in: node["metadata"], of: .pod, warnings: &result.warnings)
        case ("", Service.kind): try insert(node, origin, \.services, Service.init)
        case ("", Endpoints.kind): try insert(node, origin, \.endpoints, Endpoints.init)
        case ("", ConfigMap.kind):
            try insert(node, origin, \.configMaps, ConfigMap.init)
            try readConfiguration(inConfigMap: node, origin: origin)
        case ("", ReplicationController.kind):
            try insertWorkload(node, origin, \.replicationControllers, ReplicationController.init)
        case ("apps", Deployment.kind), ("extensions", Deployment.kind):
            try insertWorkload(node, origin, \.deployments, Deployment.init)
        case ("apps", ReplicaSet.kind), ("extensions", ReplicaSet.kind):
            try insertWorkload(node, origin, \.replicaSets, ReplicaSet.init)
        case ("apps", DaemonSet.kind), ("extensions", DaemonSet.kind):
            try insertWorkload(node, origin, \.daemonSets, DaemonSet.init)
            flanneldRules = try FlannelConfiguration.ruleArguments(ofDaemonSet: node) ?? flanneldRules
        case ("apps", StatefulSet.kind): try insertWorkload(node, origin, \.statefulSets, StatefulSet.init)
        case ("batch", Job.kind): try insertWorkload(node, origin, \.jobs, Job.init)
        case ("batch", CronJob.kind): try insert(node, origin, \.cronJobs, CronJob.init)
        case ("discovery.k8s.io", EndpointSlice.kind): try insert(node, origin, \.endpointSlices, EndpointSlice.init)
        case ("networking.k8s.io", NetworkPolicy.kind), ("extensions", NetworkPolicy.kind):
            try insert(node, origin, \.networkPolicies, NetworkPolicy.init)
        case ("networking.k8s.io", ServiceCIDR.kind): try insert(node, origin, \.serviceCIDRs, ServiceCIDR.init)
        case ("podnet.dev", Host.kind): try insert(node, origin, \.hosts, Host.init)
        case ("podnet.dev", Fault.kind): try insert(node, origin, \.faults, Fault.init)
        case ("podnet.dev", Scenario.kind): try insert(node, origin, \.scenarios, Scenario.init)
        case ("podnet.dev", Underlay.kind):
            try claim(Underlay.kind, origin, node)
            let metadata = try node.field("metadata") == nil ? nil : ObjectMeta(object: node, origin: origin)
            result.objects.underlay = try Underlay(
                manifest: node, metadata: metadata ?? ObjectMeta(name: "default", origin: origin))
        case ("kubeadm.k8s.io", "ClusterConfiguration"): try readClusterConfiguration(node, node, origin)
        case ("kubeproxy.config.k8s.io", "KubeProxyConfiguration"): try readProxyConfiguration(node, node, origin)
        default: skip(kind: kind, apiVersion: apiVersion, at: node)
        }
    }

    /// `kind` or `apiVersion` of an object, or what its list says of it.
    private func type(
        _ name: StaticString, of node: ManifestNode, list: String?, example: String
    ) throws(ManifestError) -> String {
        if let value = try node.field(name) {
            let text = try value.string()
            if !text.isEmpty { return text }
        } else if let list, !list.isEmpty {
            return list
        }
        var hint = "every object begins with `apiVersion:` and `kind:`, for example `\(name): \(example)`"
        let file = node.tree.source.name.split(separator: "/").last ?? ""
        switch file {
        case "kustomization.yaml", "kustomization.yml":
            hint = "build it first: kubectl kustomize DIRECTORY | podnet ... -f -"
        case "Chart.yaml", "values.yaml":
            hint = "this is part of a Helm chart; render it first: helm template CHART | podnet ... -f -"
        default: break
        }
        throw node.error("the object has no `\(name)`", hint: hint)
    }

    // MARK: Objects

    private mutating func insert<Object: KubernetesObject>(
        _ node: ManifestNode, _ origin: ObjectOrigin, _ table: WritableKeyPath<ObjectStore, ObjectTable<Object>>,
        _ decode: (ManifestNode, ObjectMeta) throws(ManifestError) -> Object
    ) throws(ManifestError) {
        var object = try decode(node, ObjectMeta(object: node, origin: origin))
        if !Object.isNamespaced {
            object.metadata.namespace = ""
        } else if object.metadata.namespace.isEmpty {
            object.metadata.namespace = "default"
        }
        if !object.metadata.name.isEmpty, let first = result.objects[keyPath: table][object.key] {
            throw (node["metadata"]?["name"] ?? node).error(
                "\(Object.kind) \(object.key) is defined twice, first at \(describe(first.metadata.origin))",
                hint: "remove one of the two, or give it another name")
        }
        result.objects[keyPath: table].insert(object)
    }

    private mutating func insertWorkload<Object: KubernetesObject>(
        _ node: ManifestNode, _ origin: ObjectOrigin, _ table: WritableKeyPath<ObjectStore, ObjectTable<Object>>,
        _ decode: (ManifestNode, ObjectMeta) throws(ManifestError) -> Object
    ) throws(ManifestError) {
        try insert(node, origin, table, decode)
        try checkAnnotations(
            in: node["spec"]?["template"]?["metadata"], of: .pod, warnings: &result.warnings)
    }

    private func describe(_ origin: ObjectOrigin?) -> String {
        guard let place = result.place(of: origin) else { return "an unknown place" }
        return "\(place.file):\(place.line):\(place.column)"
    }

    // MARK: Configurations

    /// Takes note of a configuration that may stand only once.
    private mutating func claim(_ name: String, _ origin: ObjectOrigin, _ node: ManifestNode) throws(ManifestError) {
        if let first = configurations[name] {
            throw node.error("a second \(name); the first is at \(describe(first))", hint: "keep one of the two")
        }
        configurations[name] = origin
    }

    private mutating func readClusterConfiguration(
        _ node: ManifestNode, _ object: ManifestNode, _ origin: ObjectOrigin
    ) throws(ManifestError) {
        try claim("ClusterConfiguration", origin, object)
        result.objects.clusterConfiguration = try ClusterConfiguration(manifest: node, origin: origin)
    }

    private mutating func readProxyConfiguration(
        _ node: ManifestNode, _ object: ManifestNode, _ origin: ObjectOrigin
    ) throws(ManifestError) {
        try claim("KubeProxyConfiguration", origin, object)
        result.objects.kubeProxyConfiguration = try KubeProxyConfiguration(manifest: node, origin: origin)
    }

    /// Three well-known ConfigMaps hold configuration as text.
    private mutating func readConfiguration(
        inConfigMap node: ManifestNode, origin: ObjectOrigin
    ) throws(ManifestError) {
        guard let data = node["data"], let name = node["metadata"]?["name"]?.text else { return }
        let namespace = node["metadata"]?["namespace"]?.text ?? ""
        switch (namespace, name) {
        case ("kube-system", "kubeadm-config"):
            guard let text = data["ClusterConfiguration"],
                let tree = try ManifestTree.embedded(in: text, limits: limits), let root = tree.root
            else { return }
            try readClusterConfiguration(root, node, origin)
        case ("kube-system", "kube-proxy"):
            guard let text = data["config.conf"], let tree = try ManifestTree.embedded(in: text, limits: limits),
                let root = tree.root
            else { return }
            try readProxyConfiguration(root, node, origin)
        case (_, "kube-flannel-cfg"):
            guard let text = data.member(named: FlannelConfiguration.networkKey) else {
                throw data.error(
                    "the key net-conf.json is missing", hint: "flannel reads its network and backend from it")
            }
            guard let network = try ManifestTree.embedded(in: text, limits: limits), let root = network.root else {
                throw text.error("must not be empty", hint: "write {\"Network\": \"10.244.0.0/16\", ...}")
            }
            let plugin = try data.member(named: FlannelConfiguration.pluginKey)
                .flatMap { (text) throws(ManifestError) in try ManifestTree.embedded(in: text, limits: limits) }
            try claim("kube-flannel-cfg ConfigMap", origin, node)
            result.objects.flannelConfiguration = try FlannelConfiguration(
                network: root, plugin: plugin?.root, origin: origin)
        default: return
        }
    }

    // MARK: What podnet does not use

    /// One warning per kind and file, at the first such object.
    private mutating func skip(kind: String, apiVersion: String, at node: ManifestNode) {
        let type = "\(apiVersion)/\(kind)"
        if let index = skipped.firstIndex(where: { $0.type == type }) {
            skipped[index].more += 1
            return
        }
        let place = (node["kind"] ?? node).position
        skipped.append((type, result.warnings.count, 0))
        result.warnings.append(
            ManifestWarning(
                file: node.tree.source.name, line: place.line, column: place.column,
                message: "kind \(kind) (\(apiVersion)) is not used by podnet and skipped",
                hint: usualVersion(of: kind, insteadOf: apiVersion).map { "\(kind) is known as apiVersion \($0)" }))
    }

    /// The apiVersion under which podnet knows a kind of that name.
    private func usualVersion(of kind: String, insteadOf apiVersion: String) -> String? {
        let isBuiltIn = !apiVersion.contains(".") || apiVersion.contains(".k8s.io/") || apiVersion.contains("podnet")
        guard isBuiltIn else { return nil }
        switch kind {
        case "Namespace", "Node", "Pod", "Service", "Endpoints", "ConfigMap", "ReplicationController": return "v1"
        case "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet": return "apps/v1"
        case "Job", "CronJob": return "batch/v1"
        case "EndpointSlice": return "discovery.k8s.io/v1"
        case "NetworkPolicy", "ServiceCIDR": return "networking.k8s.io/v1"
        case "Host", "Underlay", "Fault", "Scenario": return "podnet.dev/v1alpha1"
        default: return nil
        }
    }
}
