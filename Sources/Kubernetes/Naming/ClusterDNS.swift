// Names in the cluster (CoreDNS plugin/kubernetes and the DNS specification 1.1.0), as far as A and AAAA go, without
// packets: which addresses a name stands for, NODATA or NXDOMAIN. Names outside the zone are known only when a Host of
// that name stands on the underlay. Left out: SRV, PTR, TXT, caching, the random order of answers.

public import Addressing

/// The cluster's DNS over one state of the objects.
public struct ClusterDNS: Sendable {
    /// What a question for one family is answered with.
    public enum Answer: Hashable, Sendable {
        /// The addresses, and the name a CNAME led to if there was one.
        case addresses([IPAddress], canonicalName: String?)
        /// A CNAME to a name nobody here knows.
        case unknownAlias(String)
        /// The name exists, without addresses of this family.
        case noData
        /// NXDOMAIN.
        case nameError
    }

    /// How a name was looked up through a search list.
    public struct Resolution: Hashable, Sendable {
        /// The name that was answered, complete and without a trailing dot.
        public var name: String
        public var addresses: [IPAddress]
        /// Every name asked, in order, the answered one last.
        public var tried: [String]
    }

    private let store: ObjectStore
    private let zone: [Substring]
    private let slices: [ObjectKey: [Int]]

    public init(_ store: ObjectStore) {
        self.store = store
        zone = (store.clusterConfiguration?.dnsDomain ?? "cluster.local").lowercased().split(separator: ".")
        var slices: [ObjectKey: [Int]] = [:]
        for (position, slice) in store.endpointSlices.enumerated() {
            slices[ObjectKey(namespace: slice.metadata.namespace, name: slice.serviceName), default: []]
                .append(position)
        }
        self.slices = slices
    }

    // MARK: One question

    /// The answer to a question for `name`, with or without a trailing dot.
    public func query(_ name: String, _ family: AddressFamily) -> Answer { query(name, family, depth: 0) }

    private func query(_ name: String, _ family: AddressFamily, depth: Int) -> Answer {
        guard let labels = labelsInZone(name) else {
            let plain = name.hasSuffix(".") ? String(name.dropLast()) : name
            guard let host = store.hosts["", plain.lowercased()] else { return .nameError }
            let addresses = host.addresses.map(\.address).filter { $0.family == family }
            return addresses.isEmpty ? .noData : .addresses(addresses, canonicalName: nil)
        }
        guard let kind = labels.last else { return .noData }
        guard kind == "svc" || kind == "pod" else { return .nameError }
        guard labels.count > 1 else { return .noData }
        let namespace = String(labels[labels.count - 2])
        guard store.namespaces["", namespace] != nil else { return .nameError }
        let rest = labels.dropLast(2)
        if rest.isEmpty { return .noData }
        if kind == "pod" { return rest.count == 1 ? podAnswer(String(rest[0]), family) : .nameError }
        guard rest.count <= 3, let name = rest.last,
            let service = store.services[namespace, String(name)]
        else { return .nameError }
        return serviceAnswer(service, Array(rest.dropLast()), family, depth: depth)
    }

    /// The labels left of the zone, or nil for a name outside of it.
    private func labelsInZone(_ name: String) -> [Substring]? {
        var labels = name.lowercased().split(separator: ".", omittingEmptySubsequences: false)
        if labels.last?.isEmpty == true { labels.removeLast() }
        guard labels.count >= zone.count, labels.suffix(zone.count).elementsEqual(zone) else { return nil }
        return Array(labels.dropLast(zone.count))
    }

    /// kubeadm's `pods insecure`: an address spelled with dashes is echoed, whether or not a pod has it.
    private func podAnswer(_ label: String, _ family: AddressFamily) -> Answer {
        let dashes = label.utf8.count { $0 == UInt8(ascii: "-") }
        let separator: Character = dashes == 3 && !label.contains("--") ? "." : ":"
        guard let address = IPAddress(String(label.map { $0 == "-" ? separator : $0 })) else { return .nameError }
        return address.family == family ? .addresses([address], canonicalName: nil) : .noData
    }

    /// The answer for a Service name with up to two labels before it: an endpoint, or a port and a protocol.
    private func serviceAnswer(
        _ service: Service, _ prefix: [Substring], _ family: AddressFamily, depth: Int
    ) -> Answer {
        if service.spec.type == .externalName {
            guard prefix.isEmpty, IPAddress(service.spec.externalName) == nil, depth < 8 else { return .nameError }
            switch query(service.spec.externalName, family, depth: depth + 1) {
            case .addresses(let addresses, let canonical):
                return .addresses(addresses, canonicalName: canonical ?? service.spec.externalName)
            case .nameError where labelsInZone(service.spec.externalName) == nil:
                return .unknownAlias(service.spec.externalName)
            case let other: return other
            }
        }
        func strip(_ label: Substring) -> String { String(label.drop { $0 == "_" }) }
        var addresses: [IPAddress]
        if service.isHeadless || prefix.count == 1 {
            let port = prefix.count == 2 ? (strip(prefix[0]), strip(prefix[1])) : nil
            let endpoint = prefix.count == 1 ? String(prefix[0]) : nil
            addresses = readyAddresses(service, endpoint: endpoint, port: port)
            if addresses.isEmpty { return .nameError }
        } else {
            if prefix.count == 2 {
                let (name, transport) = (strip(prefix[0]), strip(prefix[1]))
                let isKnown = service.spec.ports.contains {
                    $0.name == name && $0.protocol.rawValue.lowercased() == transport
                }
                guard isKnown else { return .nameError }
            }
            addresses = service.clusterAddresses
        }
        addresses.removeAll { $0.family != family }
        return addresses.isEmpty ? .noData : .addresses(addresses, canonicalName: nil)
    }

    /// Addresses of ready endpoints in slice order, each once.
    private func readyAddresses(
        _ service: Service, endpoint label: String?, port: (name: String, transport: String)?
    ) -> [IPAddress] {
        var found: [IPAddress] = []
        var seen: Set<IPAddress> = []
        for position in slices[service.key] ?? [] {
            let slice = store.endpointSlices[position]
            if let port {
                let hasPort = slice.ports.contains {
                    $0.name == port.name && $0.protocol.rawValue.lowercased() == port.transport
                }
                guard hasPort else { continue }
            }
            for endpoint in slice.endpoints
            where endpoint.conditions.isReady || service.spec.publishNotReadyAddresses {
                for text in endpoint.addresses {
                    guard let address = IPAddress(text) else { continue }
                    if let label, Self.endpointLabel(endpoint, address) != label { continue }
                    if seen.insert(address).inserted { found.append(address) }
                }
            }
        }
        return found
    }

    /// The label CoreDNS gives an endpoint: its hostname, or its address with dashes.
    static func endpointLabel(_ endpoint: Endpoint, _ address: IPAddress) -> String {
        if !endpoint.hostname.isEmpty { return endpoint.hostname.lowercased() }
        let label = String(address.description.map { $0 == "." || $0 == ":" ? "-" : $0 })
        return label.hasSuffix("-") ? label + "0" : label
    }

    // MARK: Through a search list

    /// The search domains of a pod with cluster DNS.
    public func searchList(namespace: String) -> [String] {
        let zone = self.zone.joined(separator: ".")
        return ["\(namespace).svc.\(zone)", "svc.\(zone)", zone]
    }

    /// Looks a name up as a resolver with `options ndots:5` does: names with fewer dots go through the search list
    /// first. IPv4 is preferred; nil means that no name tried has an address.
    public func resolve(_ name: String, search: [String]) -> Resolution? {
        var tried: [String] = []
        for candidate in Self.candidates(name, search: search) {
            tried.append(candidate)
            for family in AddressFamily.allCases {
                if case .addresses(let addresses, _) = query(candidate, family) {
                    return Resolution(name: candidate, addresses: addresses, tried: tried)
                }
            }
        }
        return nil
    }

    static func candidates(_ name: String, search: [String]) -> [String] {
        if name.hasSuffix(".") { return [String(name.dropLast())] }
        let dots = name.utf8.count { $0 == UInt8(ascii: ".") }
        let expanded = search.map { "\(name).\($0)" }
        return dots >= 5 ? [name] + expanded : expanded + [name]
    }

    /// The Service a complete name belongs to, following in-cluster aliases.
    public func service(named name: String) -> Service? {
        var name = name
        for _ in 0..<8 {
            guard let labels = labelsInZone(name), labels.count >= 3, labels.last == "svc",
                let service = store.services[String(labels[labels.count - 2]), String(labels[labels.count - 3])]
            else { return nil }
            if service.spec.type != .externalName { return service }
            name = service.spec.externalName
        }
        return nil
    }
}
