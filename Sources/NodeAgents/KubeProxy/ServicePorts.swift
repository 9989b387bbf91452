// What every mode of kube-proxy works on: service ports with their endpoints, one family at a time, read once from the
// objects and shared by all nodes. Mirrors pkg/proxy/serviceport.go, endpointschangetracker.go and
// endpointslicecache.go of Kubernetes 1.36. Malformed addresses are left out, as kube-proxy leaves them out.

public import Addressing
public import Kubernetes

/// One endpoint of a service port, as an EndpointSlice names it.
public struct ProxiedEndpoint: Hashable, Sendable {
    public let address: IPAddress
    public let port: UInt16
    /// Empty when the endpoint is on no known node.
    public let nodeName: String
    public let isReady: Bool
    public let isServing: Bool
    public let isTerminating: Bool
    /// The zones and nodes this endpoint is meant for.
    public let hintZones: [String]
    public let hintNodes: [String]
    /// `address:port`, IPv6 in brackets: what kube-proxy sorts by, hashes and writes into comments.
    public let text: String

    /// Whether the endpoint may serve when no ready one is left.
    var isDraining: Bool { isServing && isTerminating }

    /// An endpoint on no known node is local to none.
    func isLocal(to node: String) -> Bool { !nodeName.isEmpty && nodeName == node }
}

/// One port of one Service for one family: the unit kube-proxy makes rules for.
public struct ProxiedServicePort: Hashable, Sendable {
    public let service: ObjectKey
    /// Empty for an unnamed port.
    public let portName: String
    public let `protocol`: IPProtocol
    public let clusterIP: IPAddress
    public let port: UInt16
    /// Nil when the port has none.
    public let nodePort: UInt16?
    public internal(set) var externalIPs: [IPAddress]
    /// The load balancer's addresses kube-proxy captures.
    public let virtualIPs: [IPAddress]
    /// Who may use the virtual IPs; empty means everybody.
    public let sourceRanges: [IPPrefix]
    /// Whether anything but the cluster IP is meant to lead here.
    public let isExternallyAccessible: Bool
    /// `externalTrafficPolicy: Local`, where it has a meaning.
    public let isExternalPolicyLocal: Bool
    public let isInternalPolicyLocal: Bool
    /// Nil without `sessionAffinity: ClientIP`.
    public let affinitySeconds: UInt32?
    public let healthCheckNodePort: UInt16?
    /// Sorted by `text`, which puts `10.0.0.10:80` before `10.0.0.9:80`.
    public internal(set) var endpoints: [ProxiedEndpoint]

    /// `namespace/service`, with `:port` behind it if the port has a name. Chains are named after it.
    public var name: String { portName.isEmpty ? service.description : "\(service):\(portName)" }

    /// Whether some traffic may go to endpoints anywhere.
    public var usesClusterEndpoints: Bool { !isInternalPolicyLocal || isExternallyAccessible }
    /// Whether some traffic may go to endpoints on the own node only.
    public var usesLocalEndpoints: Bool {
        isInternalPolicyLocal || (isExternalPolicyLocal && isExternallyAccessible)
    }
}

/// All service ports of one family, parsed once.
public struct ServiceIndex: Hashable, Sendable {
    public let family: AddressFamily
    /// Sorted by namespace, service, port name and protocol, whatever the order of the input was. (kube-proxy
    /// itself walks them in random order.)
    public private(set) var ports: [ProxiedServicePort]
    /// How many endpoints all ports have together, usable or not.
    public let endpointCount: Int

    public init(services: some Sequence<Service>, endpointSlices: some Sequence<EndpointSlice>, family: AddressFamily) {
        var slices: [ObjectKey: [EndpointSlice]] = [:]
        for slice in endpointSlices where slice.family == family {
            // The API server does not send kube-proxy the slices of headless Services.
            guard !slice.serviceName.isEmpty, slice.metadata.labels[Service.headlessLabel] == nil else { continue }
            slices[ObjectKey(namespace: slice.metadata.namespace, name: slice.serviceName), default: []].append(slice)
        }

        var ports: [ProxiedServicePort] = []
        for service in services {
            let serviceSlices = slices[service.key]?.sorted { $0.metadata.name < $1.metadata.name } ?? []
            ports += ProxiedServicePort.all(of: service, slices: serviceSlices, family: family)
        }
        ports.sort {
            ($0.service, $0.portName, $0.protocol) < ($1.service, $1.portName, $1.protocol)
        }
        self.family = family
        self.ports = ports
        endpointCount = ports.reduce(0) { $0 + $1.endpoints.count }
    }

    /// What a kube-proxy of this configuration makes rules of. Without the feature gate `AllowServiceExternalIPs` it
    /// serves no external IP, but still takes a Service that has some for one reached from outside.
    public func served(under configuration: KubeProxyConfiguration) -> ServiceIndex {
        guard configuration.featureGates["AllowServiceExternalIPs"] == false else { return self }
        var served = self
        for position in ports.indices { served.ports[position].externalIPs = [] }
        return served
    }
}

extension ProxiedServicePort {
    /// The ports of a Service that has a cluster IP of the family and that this kube-proxy is responsible for.
    static func all(of service: Service, slices: [EndpointSlice], family: AddressFamily) -> [ProxiedServicePort] {
        guard service.metadata.labels[Service.proxyNameLabel] == nil,
            let clusterIP = service.clusterAddress(family)
        else { return [] }
        let spec = service.spec

        let externalIPs = service.externalAddresses.filter { $0.family == family }
        let virtualIPs = service.loadBalancerAddresses.filter { $0.family == family }
        var sourceRanges = service.loadBalancerSourcePrefixes.filter { $0.family == family }
        // One range that means "everybody" makes the others pointless, and kube-proxy forgets them all.
        if sourceRanges.contains(where: { $0.length == 0 }) { sourceRanges = [] }

        let external = spec.type == .nodePort || spec.type == .loadBalancer
        let isExternalPolicyLocal =
            spec.externalTrafficPolicy == .local
            && (external || (spec.type == .clusterIP && !spec.externalIPs.isEmpty))
        let checksHealth = spec.type == .loadBalancer && isExternalPolicyLocal
        let affinitySeconds =
            spec.sessionAffinity == .clientIP
            ? UInt32(clamping: spec.sessionAffinityTimeoutSeconds ?? defaultAffinitySeconds) : nil

        return spec.ports.compactMap { port in
            guard let number = UInt16(exactly: port.port), number != 0, let `protocol` = port.protocol.ipProtocol
            else { return nil }
            let nodePort = portNumber(port.nodePort)
            return ProxiedServicePort(
                service: service.key, portName: port.name, protocol: `protocol`, clusterIP: clusterIP, port: number,
                nodePort: nodePort, externalIPs: externalIPs, virtualIPs: virtualIPs, sourceRanges: sourceRanges,
                isExternallyAccessible: nodePort != nil || !virtualIPs.isEmpty || !externalIPs.isEmpty,
                isExternalPolicyLocal: isExternalPolicyLocal,
                isInternalPolicyLocal: spec.internalTrafficPolicy == .local, affinitySeconds: affinitySeconds,
                healthCheckNodePort: checksHealth ? portNumber(spec.healthCheckNodePort) : nil,
                endpoints: endpoints(of: port, in: slices, family: family))
        }
    }

    /// The endpoints whose slice has a port of the same name and protocol; the target port is the slices' business.
    private static func endpoints(
        of port: ServicePort, in slices: [EndpointSlice], family: AddressFamily
    ) -> [ProxiedEndpoint] {
        var positions: [String: Int] = [:]
        var endpoints: [ProxiedEndpoint] = []
        for slice in slices {
            for slicePort in slice.ports where slicePort.name == port.name && slicePort.protocol == port.protocol {
                guard let number = portNumber(slicePort.port) else { continue }
                for endpoint in slice.endpoints {
                    guard let address = endpoint.address, address.family == family else { continue }
                    let proxied = ProxiedEndpoint(endpoint, address: address, port: number)
                    // An address may be reused while its last pod is still going away: the living one counts.
                    if let position = positions[proxied.text] {
                        if !proxied.isTerminating { endpoints[position] = proxied }
                    } else {
                        positions[proxied.text] = endpoints.count
                        endpoints.append(proxied)
                    }
                }
            }
        }
        return endpoints.sorted { $0.text < $1.text }
    }

    private static func portNumber(_ number: Int?) -> UInt16? {
        number.flatMap { UInt16(exactly: $0) }.flatMap { $0 == 0 ? nil : $0 }
    }

    /// The API's default: three hours.
    private static let defaultAffinitySeconds = 10_800
}

extension ProxiedEndpoint {
    init(_ endpoint: Endpoint, address: IPAddress, port: UInt16) {
        self.init(
            address: address, port: port, nodeName: endpoint.nodeName, isReady: endpoint.conditions.isReady,
            isServing: endpoint.conditions.isServing, isTerminating: endpoint.conditions.isTerminating,
            hintZones: endpoint.hintZones, hintNodes: endpoint.hintNodes,
            text: SocketAddress(address, port).description)
    }
}
