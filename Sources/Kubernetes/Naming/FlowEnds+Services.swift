// Destinations that stand for others: Services, and names that DNS turns into addresses. A pod reaches a Service at its
// cluster IP; a machine outside the cluster has no route there and knocks at a load balancer address or a node port.

internal import Addressing

extension FlowEnds {
    // MARK: Services

    func service(
        _ text: String, _ service: Service, _ port: FlowPort?, _ transport: IPProtocol, _ source: FlowSource?
    ) throws(FlowEndError) -> FlowDestination {
        if service.spec.type == .externalName {
            let target = service.spec.externalName
            var found = try named(text, target.hasSuffix(".") ? target : "\(target).", port, transport, source)
            found.note = "svc/\(service.key) is an alias of \(target)"
            return found
        }
        let servicePort = transport.hasPorts ? try self.port(text, of: service, port, transport) : nil
        let name = "svc/\(service.key)" + (servicePort.map { ":\($0.port)" } ?? "")
        if service.isHeadless {
            return try headless(text, service, servicePort, port, name)
        }
        if case .host(let host) = source, let door = door(of: service, servicePort) {
            return FlowDestination(
                address: door.address, port: door.port, described: name, target: .service(service.key),
                note: "host/\(host) is outside the cluster and takes \(door.name)")
        }
        guard let address = service.clusterAddresses.first else {
            throw FlowEndError(text: text, message: "svc/\(service.key) has no cluster IP")
        }
        return FlowDestination(
            address: address, port: servicePort.map { UInt16(truncatingIfNeeded: $0.port) }, described: name,
            target: .service(service.key))
    }

    /// The port of the Service that is meant, by number, by name, or because there is only one.
    private func port(
        _ text: String, of service: Service, _ port: FlowPort?, _ transport: IPProtocol
    ) throws(FlowEndError) -> ServicePort {
        let spelling = PortProtocol(transport) ?? .tcp
        let list = service.spec.ports.map { "\($0.port)/\($0.protocol)" + ($0.name.isEmpty ? "" : " (\($0.name))") }
        var hint = list.isEmpty ? "it has no ports" : "it has \(list.joined(separator: ", "))"
        let fitting: [ServicePort]
        let wanted: String
        switch port {
        case .number(let number):
            fitting = service.spec.ports.filter { $0.port == Int(number) }
            wanted = "port \(number)/\(spelling)"
        case .name(let name):
            fitting = service.spec.ports.filter { $0.name == name }
            wanted = "\(spelling) port named \"\(name)\""
        case nil:
            fitting = service.spec.ports
            wanted = "\(spelling) port"
        }
        let ofProtocol = fitting.filter { $0.protocol == spelling }
        if ofProtocol.count == 1 { return ofProtocol[0] }
        if ofProtocol.count > 1 { throw needsPort(text, hint) }
        if case .number(let number) = port, service.isHeadless {
            // No rule stands between: the client connects to whatever port of the pod it likes.
            return ServicePort(protocol: spelling, port: Int(number), targetPort: .int(Int(number)))
        }
        if let other = fitting.first?.protocol.ipProtocol { hint += "; try --protocol \(other)" }
        throw FlowEndError(text: text, message: "svc/\(service.key) has no \(wanted)", hint: hint)
    }

    /// The first ready endpoint of a headless Service: its name leads straight to pods, without translation.
    private func headless(
        _ text: String, _ service: Service, _ servicePort: ServicePort?, _ port: FlowPort?, _ name: String
    ) throws(FlowEndError) -> FlowDestination {
        for slice in store.endpointSlices
        where slice.serviceName == service.metadata.name && slice.metadata.namespace == service.metadata.namespace {
            for endpoint in slice.endpoints
            where endpoint.conditions.isReady || service.spec.publishNotReadyAddresses {
                guard let address = endpoint.address else { continue }
                var number = servicePort?.port
                // A number is taken as said; a name, or nothing, means the port the endpoint listens on.
                if let servicePort, !isNumber(port) {
                    let listening = slice.ports.first {
                        $0.name == servicePort.name && $0.protocol == servicePort.protocol
                    }
                    guard let found = listening?.port else { continue }
                    number = found
                }
                return FlowDestination(
                    address: address, port: number.map { UInt16(truncatingIfNeeded: $0) }, described: name,
                    target: .service(service.key), note: "headless: the name leads to its first ready endpoint")
            }
        }
        throw FlowEndError(
            text: text, message: "svc/\(service.key) is headless and has no ready endpoint",
            hint: "its name does not resolve (NXDOMAIN)")
    }

    /// The port an endpoint of that address listens on for a Service port.
    private func endpointPort(of service: Service, _ servicePort: ServicePort, at address: IPAddress) -> UInt16? {
        for slice in store.endpointSlices
        where slice.serviceName == service.metadata.name && slice.metadata.namespace == service.metadata.namespace
            && slice.endpoints.contains(where: { $0.address == address })
        {
            let port = slice.ports.first { $0.name == servicePort.name && $0.protocol == servicePort.protocol }?.port
            if let port { return UInt16(truncatingIfNeeded: port) }
        }
        return nil
    }

    private func isNumber(_ port: FlowPort?) -> Bool {
        if case .number = port { true } else { false }
    }

    /// Where a machine outside the cluster reaches a Service.
    private func door(
        of service: Service, _ port: ServicePort?
    ) -> (address: IPAddress, port: UInt16?, name: String)? {
        let balancer = service.spec.type == .loadBalancer ? service.loadBalancerAddresses.first : nil
        if let nodePort = port?.nodePort, let node = nodeForNodePort(service), let address = node.internalIP {
            let name = "node port \(nodePort) of node/\(node.name)"
            // No load balancer stands on the underlay; it would send the request to a node port.
            let detour = balancer.map { ", where a load balancer at \($0) would send it" } ?? ""
            return (address, UInt16(truncatingIfNeeded: nodePort), name + detour)
        }
        guard let balancer else { return nil }
        return (balancer, port.map { UInt16(truncatingIfNeeded: $0.port) }, "its load balancer address \(balancer)")
    }

    /// The node a person would pick: a worker, and for externalTrafficPolicy Local one that has an endpoint.
    private func nodeForNodePort(_ service: Service) -> Node? {
        if service.spec.externalTrafficPolicy == .local {
            for slice in store.endpointSlices
            where slice.serviceName == service.metadata.name
                && slice.metadata.namespace == service.metadata.namespace
            {
                for endpoint in slice.endpoints where endpoint.conditions.isReady {
                    if let node = store.nodes["", endpoint.nodeName] { return node }
                }
            }
        }
        return store.nodes.first { $0.metadata.labels[Node.controlPlaneLabel] == nil && !$0.spec.unschedulable }
            ?? store.nodes.first
    }

    // MARK: Names

    /// A DNS name with a port, looked up as the source would.
    func named(
        _ text: String, _ name: String, _ port: FlowPort?, _ transport: IPProtocol, _ source: FlowSource?
    ) throws(FlowEndError) -> FlowDestination {
        let dns = ClusterDNS(store)
        let search = searchList(dns, source)
        guard let found = dns.resolve(name, search: search), let address = found.addresses.first else {
            throw unresolved(text, name, dns, search)
        }
        let service = dns.service(named: found.name)
        var number: UInt16?
        if transport.hasPorts {
            switch port {
            case .number(let given): number = given
            case .name, nil:
                guard let service else { throw needsPort(text, "write \(name):PORT") }
                let servicePort = try self.port(text, of: service, port, transport)
                number = UInt16(truncatingIfNeeded: servicePort.port)
                if service.isHeadless {
                    number = endpointPort(of: service, servicePort, at: address) ?? number
                }
            }
        }
        return FlowDestination(
            address: address, port: number, described: found.name + (number.map { ":\($0)" } ?? ""),
            target: service.map { .service($0.key) } ?? .address,
            note: "\(found.name) is \(address)", hostName: name.hasSuffix(".") ? String(name.dropLast()) : name)
    }

    /// Only pods on the pod network have the cluster's search list; machines ask for complete names.
    private func searchList(_ dns: ClusterDNS, _ source: FlowSource?) -> [String] {
        switch source {
        case .pod(let key):
            let pod = store.pods[key]
            let usesNode =
                pod?.spec.dnsPolicy == "Default"
                || (pod?.spec.hostNetwork == true && pod?.spec.dnsPolicy != "ClusterFirstWithHostNet")
            return usesNode ? [] : dns.searchList(namespace: key.namespace)
        case .node, .host: return []
        case nil: return dns.searchList(namespace: namespace)
        }
    }

    private func unresolved(_ text: String, _ name: String, _ dns: ClusterDNS, _ search: [String]) -> FlowEndError {
        let plain = name.hasSuffix(".") ? String(name.dropLast()) : name
        let first = String(plain.prefix { $0 != "." })
        var hint = ""
        if let service = store.services[namespace, first], search.isEmpty {
            let zone = store.clusterConfiguration?.dnsDomain ?? "cluster.local"
            hint = "from there only complete names resolve: \(service.metadata.name).\(namespace).svc.\(zone)"
        } else {
            let suggestions = self.suggestions(for: first)
            if !suggestions.isEmpty { hint = "did you mean \(suggestions.joined(separator: " or "))?" }
        }
        if hint.isEmpty { hint = "names outside the cluster are known only for Host objects" }
        return FlowEndError(
            text: text, message: "\"\(plain)\" is no pod and no name the cluster's DNS knows", hint: hint)
    }

    // MARK: URLs

    func url(
        _ text: String, _ scheme: Substring, _ rest: Substring, _ transport: IPProtocol, _ source: FlowSource?
    ) throws(FlowEndError) -> FlowDestination {
        let defaultPort: UInt16
        switch scheme.lowercased() {
        case "http": defaultPort = 80
        case "https": defaultPort = 443
        default:
            throw FlowEndError(
                text: text, message: "podnet does not speak \(scheme)", hint: "use http, https, or NAME:PORT")
        }
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let path = rest[authority.endIndex...].prefix { $0 != "#" }
        var host = authority
        var port: FlowPort = .number(defaultPort)
        // The last colon separates a port, unless it stands inside an IPv6 address.
        if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
            let portText = authority[authority.index(after: colon)...]
            guard !portText.isEmpty, let given = FlowPort(portText), case .number = given else {
                throw badPort(text, portText)
            }
            port = given
            host = authority[..<colon]
        }
        guard !host.isEmpty, !host.contains("@") else {
            throw FlowEndError(text: text, message: "\"\(text)\" names no host", hint: "write http://NAME[:PORT]/PATH")
        }
        let literal = host.hasPrefix("[") && host.hasSuffix("]") ? host.dropFirst().dropLast() : host
        var found: FlowDestination
        if let address = IPAddress(literal) {
            var number = defaultPort
            if case .number(let given) = port { number = given }
            found = FlowDestination(
                address: address, port: number, described: "\(SocketAddress(address, number))", target: .address)
        } else {
            found = try named(text, String(host), port, transport, source)
        }
        found.hostName = String(host)
        found.path = path.isEmpty ? "/" : path.first == "/" ? String(path) : "/\(path)"
        found.port = transport.hasPorts ? found.port : nil
        return found
    }

    // MARK: Errors

    func notPlaced(_ text: String, _ pod: Pod) -> FlowEndError {
        let reason = pod.status.condition("PodScheduled").flatMap { $0.status == "False" ? $0.message : nil }
        return FlowEndError(
            text: text, message: "pod \"\(pod.key)\" has no address: it is \(pod.isFinished ? "finished" : "Pending")",
            hint: reason ?? "")
    }

    func unknownPod(_ text: String, _ key: ObjectKey, isBare: Bool) -> FlowEndError {
        var suggestions = isBare ? self.suggestions(for: key.name, exactOnly: true) : []
        if suggestions.isEmpty {
            let names = store.pods.lazy.filter { $0.metadata.namespace == key.namespace }.map(\.metadata.name)
            suggestions = nearest(to: key.name, among: names)
        }
        if suggestions.isEmpty { suggestions = self.suggestions(for: key.name, exactOnly: true) }
        if suggestions.isEmpty { suggestions = self.suggestions(for: key.name) }
        return FlowEndError(
            text: text, message: "pod \"\(key.name)\" not found in namespace \"\(key.namespace)\"",
            hint: suggestions.isEmpty
                ? "podnet get pods -A lists them" : "did you mean \(suggestions.joined(separator: " or "))?")
    }

    func unknown(_ text: String, _ kind: FlowEndKind, _ key: ObjectKey) -> FlowEndError {
        func candidates<Object>(_ table: ObjectTable<Object>) -> [String] {
            let near = nearest(
                to: key.name,
                among: table.lazy.filter { $0.metadata.namespace == key.namespace }.map(\.metadata.name))
            let elsewhere = table.filter { $0.metadata.name == key.name && $0.metadata.namespace != key.namespace }
            return near.map { "\(kind.short)/\($0)" } + elsewhere.prefix(3).map { "\(kind.short)/\($0.key)" }
        }
        let near =
            switch kind {
            case .pod: candidates(store.pods)
            case .deployment: candidates(store.deployments)
            case .daemonSet: candidates(store.daemonSets)
            case .statefulSet: candidates(store.statefulSets)
            case .replicaSet: candidates(store.replicaSets)
            case .replicationController: candidates(store.replicationControllers)
            case .job: candidates(store.jobs)
            case .service: candidates(store.services)
            case .node: candidates(store.nodes)
            case .host: candidates(store.hosts)
            }
        let place = kind.isNamespaced ? " in namespace \"\(key.namespace)\"" : ""
        let list = "podnet get \(kind.rawValue.lowercased())s\(kind.isNamespaced ? " -A" : "") lists them"
        return FlowEndError(
            text: text, message: "\(kind.short) \"\(key.name)\" not found\(place)",
            hint: near.isEmpty ? list : "did you mean \(near.joined(separator: " or "))?")
    }

    /// Other things of that name, or of nearly that name, in the spelling that names them.
    private func suggestions(for name: String, exactOnly: Bool = false) -> [String] {
        var found: [String] = []
        func look<Object>(_ table: ObjectTable<Object>, _ kind: FlowEndKind) {
            for object in table where object.metadata.name == name {
                let isNear = !kind.isNamespaced || object.metadata.namespace == namespace
                found.append("\(kind.short)/\(isNear ? name : object.key.description)")
            }
        }
        look(store.pods, .pod)
        look(store.deployments, .deployment)
        look(store.statefulSets, .statefulSet)
        look(store.daemonSets, .daemonSet)
        look(store.services, .service)
        look(store.nodes, .node)
        look(store.hosts, .host)
        if found.isEmpty, !exactOnly {
            found = nearest(to: name, among: store.services.lazy.map(\.metadata.name)).map { "svc/\($0)" }
            if found.isEmpty {
                found = nearest(to: name, among: store.deployments.lazy.map(\.metadata.name)).map { "deploy/\($0)" }
            }
        }
        return Array(found.prefix(3))
    }
}
