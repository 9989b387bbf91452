// Looking up the ends of a flow among the objects: pods as `kubectl exec` chooses them, Services by cluster IP, names
// through the cluster's DNS. A name that leads nowhere is answered with the nearest that would.

public import Addressing

/// Resolves sources and destinations against one state of the objects.
public struct FlowEnds: Sendable {
    let store: ObjectStore
    /// The namespace of names that give none.
    let namespace: String

    public init(_ store: ObjectStore, namespace: String = "default") {
        self.store = store
        self.namespace = namespace
    }

    // MARK: Sources

    /// The pod, node or host a flow starts at: `[pod/][NAMESPACE/]NAME`, `deploy/NAME`, `node/NAME`, `host/NAME`, …
    public func source(_ text: String) throws(FlowEndError) -> FlowSource {
        guard let name = FlowEndName(text, namespace: namespace) else {
            throw FlowEndError(
                text: text, message: "\"\(text)\" names no source",
                hint: "write [NAMESPACE/]POD, deploy/NAME, ds/NAME, sts/NAME, node/NAME or host/NAME")
        }
        switch name.kind ?? .pod {
        case .node:
            guard store.nodes["", name.key.name] != nil else { throw unknown(text, .node, name.key) }
            return .node(name.key.name)
        case .host:
            guard store.hosts["", name.key.name] != nil else { throw unknown(text, .host, name.key) }
            return .host(name.key.name)
        case let kind:
            let pod = try pod(text, kind, name.key, isBare: name.kind == nil)
            if pod.isFinished {
                throw FlowEndError(
                    text: text, message: "pod \"\(pod.key)\" has finished (\(pod.status.phase?.rawValue ?? ""))",
                    hint: "name a running pod")
            }
            guard pod.isScheduled else { throw notPlaced(text, pod) }
            return .pod(pod.key)
        }
    }

    /// The pod of that name, or the one of a workload that kubectl exec would take.
    func pod(
        _ text: String, _ kind: FlowEndKind, _ key: ObjectKey, isBare: Bool = false
    ) throws(FlowEndError) -> Pod {
        if kind == .pod {
            guard let pod = store.pods[key] else { throw unknownPod(text, key, isBare: isBare) }
            return pod
        }
        guard let selector = selector(kind, key) else { throw unknown(text, kind, key) }
        // The best pod comes last in ActivePods' order: placed, running, ready, few restarts; then the older.
        func rank(_ pod: Pod) -> (Int, Int, Int) {
            let phase = pod.status.phase == .pending || !pod.isScheduled ? 0 : pod.status.phase == .unknown ? 1 : 2
            let restarts = pod.status.containerStatuses.map(\.restartCount).max() ?? 0
            return (phase, pod.isReady && !pod.isTerminating ? 1 : 0, -restarts)
        }
        var best: Pod?
        for pod in store.pods
        where pod.metadata.namespace == key.namespace && !pod.isFinished && selector.matches(pod.metadata.labels) {
            if best.map({ rank(pod) > rank($0) }) ?? true { best = pod }
        }
        guard let best else {
            throw FlowEndError(
                text: text, message: "\(kind.short)/\(key) has no pods",
                hint: kind == .service ? "its selector matches none" : "are its replicas 0?")
        }
        return best
    }

    private func selector(_ kind: FlowEndKind, _ key: ObjectKey) -> LabelSelector? {
        switch kind {
        case .deployment: store.deployments[key].map { $0.selector ?? LabelSelector() }
        case .daemonSet: store.daemonSets[key].map { $0.selector ?? LabelSelector() }
        case .statefulSet: store.statefulSets[key].map { $0.selector ?? LabelSelector() }
        case .replicaSet: store.replicaSets[key].map { $0.selector ?? LabelSelector() }
        case .replicationController:
            store.replicationControllers[key].map {
                LabelSelector(matchLabels: $0.selector.isEmpty ? $0.template.metadata.labels : $0.selector)
            }
        case .job:
            store.jobs[key].map { LabelSelector(matchLabels: ["job-name": $0.metadata.name]) }
        case .service:
            store.services[key].flatMap {
                $0.spec.selector.isEmpty ? nil : LabelSelector(matchLabels: $0.spec.selector)
            }
        case .pod, .node, .host: nil
        }
    }

    // MARK: Destinations

    /// The address and port a flow goes to. `source` decides about search lists, and whether a Service is reached at
    /// its cluster IP or, from outside the cluster, at a door it has there.
    public func destination(
        _ text: String, protocol transport: IPProtocol = .tcp, from source: FlowSource? = nil
    ) throws(FlowEndError) -> FlowDestination {
        if let scheme = text.firstRange(of: "://") {
            return try url(text, text[..<scheme.lowerBound], text[scheme.upperBound...], transport, source)
        }
        if let address = IPAddress(text) ?? bracketed(text) {
            return try plain(text, address, nil, transport)
        }
        if let socket = SocketAddress(text) {
            guard socket.port > 0 else { throw badPort(text, "0") }
            return try plain(text, socket.address, socket.port, transport)
        }
        let (spelled, port) = try splitPort(text)
        guard let name = FlowEndName(spelled, namespace: namespace) else {
            throw FlowEndError(
                text: text, message: "\"\(text)\" names no destination",
                hint: "write [NAMESPACE/]POD:PORT, svc/[NAMESPACE/]NAME:PORT, IP:PORT, node/NAME:NODEPORT or a URL")
        }
        switch name.kind {
        case .node:
            guard let node = store.nodes["", name.key.name] else { throw unknown(text, .node, name.key) }
            return try machine(
                text, .node(node.name), node.internalIP, port, transport,
                hint: "write node/\(node.name):NODEPORT")
        case .host:
            guard let host = store.hosts["", name.key.name] else { throw unknown(text, .host, name.key) }
            let listening = host.listen.filter { $0.protocol == transport }
            let only = listening.count == 1 ? FlowPort.number(listening[0].port) : nil
            return try machine(
                text, .host(host.name), host.addresses.first?.address, port ?? only, transport,
                hint: "write host/\(host.name):PORT")
        case .service:
            guard let service = store.services[name.key] else { throw unknown(text, .service, name.key) }
            return try self.service(text, service, port, transport, source)
        case nil where store.pods[name.key] == nil:
            return try named(text, String(spelled), port, transport, source)
        case let kind:
            let pod = try pod(text, kind ?? .pod, name.key)
            return try self.pod(text, pod, port, transport)
        }
    }

    private func bracketed(_ text: String) -> IPAddress? {
        guard text.hasPrefix("["), text.hasSuffix("]") else { return nil }
        return IPv6Address(text.dropFirst().dropLast()).map { IPAddress($0) }
    }

    private func splitPort(_ text: String) throws(FlowEndError) -> (Substring, FlowPort?) {
        guard let colon = text.lastIndex(of: ":") else { return (text[...], nil) }
        let portText = text[text.index(after: colon)...]
        guard !portText.isEmpty, let port = FlowPort(portText) else { throw badPort(text, portText) }
        return (text[..<colon], port)
    }

    func badPort(_ text: String, _ port: some StringProtocol) -> FlowEndError {
        FlowEndError(
            text: text, message: "\"\(port)\" in \"\(text)\" is no port", hint: "write 1 to 65535 or a port's name")
    }

    func needsPort(_ text: String, _ hint: String) -> FlowEndError {
        FlowEndError(text: text, message: "\"\(text)\" does not say which port", hint: hint)
    }

    private func plain(
        _ text: String, _ address: IPAddress, _ port: UInt16?, _ transport: IPProtocol
    ) throws(FlowEndError) -> FlowDestination {
        guard transport.hasPorts else {
            return FlowDestination(address: address, port: nil, described: "\(address)", target: .address)
        }
        guard let port else {
            let example = SocketAddress(address, 80)
            throw needsPort(text, "write for example \(example)")
        }
        return FlowDestination(
            address: address, port: port, described: "\(SocketAddress(address, port))", target: .address)
    }

    private func machine(
        _ text: String, _ target: FlowSource, _ address: IPAddress?, _ port: FlowPort?, _ transport: IPProtocol,
        hint: String
    ) throws(FlowEndError) -> FlowDestination {
        guard let address else {
            throw FlowEndError(text: text, message: "\(target) has no address", hint: "give it one")
        }
        let flowTarget: FlowTarget
        switch target {
        case .node(let name): flowTarget = .node(name)
        case .host(let name): flowTarget = .host(name)
        case .pod(let key): flowTarget = .pod(key)
        }
        guard transport.hasPorts else {
            return FlowDestination(address: address, port: nil, described: "\(target)", target: flowTarget)
        }
        switch port {
        case .number(let number):
            return FlowDestination(
                address: address, port: number, described: "\(target):\(number)", target: flowTarget)
        case .name(let name): throw badPort(text, name)
        case nil: throw needsPort(text, hint)
        }
    }

    // MARK: Pods

    private func pod(
        _ text: String, _ pod: Pod, _ port: FlowPort?, _ transport: IPProtocol
    ) throws(FlowEndError) -> FlowDestination {
        guard let address = EndpointSlices.addresses(of: pod, in: store).first else { throw notPlaced(text, pod) }
        let name = "pod/\(pod.key)"
        guard transport.hasPorts, let spelling = PortProtocol(transport) else {
            return FlowDestination(address: address, port: nil, described: name, target: .pod(pod.key))
        }
        let declared = (pod.spec.containers + pod.spec.initContainers.filter(\.isSidecar)).flatMap(\.ports)
        let list = declared.map {
            "\($0.containerPort)/\($0.protocol)" + ($0.name.isEmpty ? "" : " (\($0.name))")
        }
        let hint = list.isEmpty ? "it declares no containerPorts" : "it declares \(list.joined(separator: ", "))"
        let number: Int
        switch port {
        case .number(let given): number = Int(given)
        case .name(let portName):
            guard let found = pod.spec.port(named: portName, protocol: spelling) else {
                throw FlowEndError(
                    text: text, message: "pod \"\(pod.key)\" has no \(spelling) port named \"\(portName)\"",
                    hint: hint)
            }
            number = found
        case nil:
            let fitting = declared.filter { $0.protocol == spelling }
            guard fitting.count == 1 else { throw needsPort(text, hint) }
            number = fitting[0].containerPort
        }
        return FlowDestination(
            address: address, port: UInt16(truncatingIfNeeded: number), described: "\(name):\(number)",
            target: .pod(pod.key))
    }
}
