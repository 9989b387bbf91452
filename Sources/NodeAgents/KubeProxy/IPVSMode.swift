// kube-proxy's ipvs mode for one family: pkg/proxy/ipvs/proxier.go of Kubernetes 1.36. What it programs on a node is
// worked out here: virtual servers, the addresses of kube-ipvs0, ip sets (IPVSSets.swift), kernel settings and the few
// iptables rules that stay (IPVSRules.swift). Simplified: everything is new, so nothing is deleted gracefully and
// excludeCIDRs, which protect other people's virtual servers from deletion, change nothing; kube-proxy adds real
// servers in random order, here they stand in order of their text.

public import Addressing
public import Kubernetes
public import Netstack

/// What kube-proxy leaves on one node in ipvs mode, rules aside.
public struct IPVSState: Hashable, Sendable {
    /// A kernel setting as it stands below /proc/sys.
    public struct Setting: Hashable, Sendable {
        public let path: String
        public let value: Int
    }

    public var virtualServers: [VirtualServer] = []
    /// In order of their names.
    public var sets: [IPSet] = []
    /// What stands on kube-ipvs0, in order.
    public var addresses: [IPAddress] = []
    /// In order of their paths.
    public var settings: [Setting] = []
    /// The load balancer addresses the node itself may not use, because no source range holds it.
    var closedToNode: [ClosedVirtualServer] = []
    var detector = LocalDetector.absent
}

/// A load balancer's address and port with source ranges that leave the node out.
struct ClosedVirtualServer: Hashable, Sendable {
    let socket: SocketAddress
    let `protocol`: IPProtocol
}

/// The ipvs mode of kube-proxy. Made once for a cluster and family; what most nodes have alike is shared by all.
public struct IPVSProxy: Sendable {
    /// The name of what is made here carries as its agent.
    public static let agent = IPTablesProxy.agent
    /// The dummy device that makes Service addresses local.
    public static let device = "kube-ipvs0"

    public let index: ServiceIndex
    public let configuration: KubeProxyConfiguration

    /// The real servers of a service port, behind its cluster IP and behind everything else.
    private struct Backends {
        var `internal`: [RealServer]
        var external: [RealServer]
    }

    private let nodePortAddresses: NodePortAddresses
    /// As seen from a node that has no endpoint of its own.
    private let commonBackends: [Backends]
    /// Service ports whose hints may lead different nodes to different endpoints.
    private let hinted: [Int]
    /// The others with a Local policy, by the nodes that have endpoints of theirs.
    private let localPositions: [String: [Int]]
    /// Everything in the sets that is the same on all nodes.
    private let commonSets: IPVSSets
    /// Each node's endpoints as KUBE-LOOP-BACK holds them.
    private let loopbackEntries: [String: [IPSet.Entry]]
    private let clusterIPs: Set<IPAddress>
    private let externalAddresses: Set<IPAddress>

    public init(index: ServiceIndex, configuration: KubeProxyConfiguration) {
        let index = index.served(under: configuration)
        self.index = index
        self.configuration = configuration
        nodePortAddresses = NodePortAddresses(configuration, mode: .ipvs, family: index.family)
        // No node has the empty name.
        commonBackends = index.ports.map { Self.backends(of: $0, onNode: "", zone: nil) }
        var hinted: [Int] = []
        var localPositions: [String: [Int]] = [:]
        var loopbackEntries: [String: [IPSet.Entry]] = [:]
        for (position, port) in index.ports.enumerated() {
            if port.followsHints { hinted.append(position) }
            for endpoint in port.endpoints where !endpoint.nodeName.isEmpty {
                let address = IPPrefix(host: endpoint.address)
                loopbackEntries[endpoint.nodeName, default: []].append(
                    IPSet.Entry(
                        address: address, protocol: port.protocol, port: endpoint.port, second: address))
                if port.usesLocalEndpoints, !port.followsHints, localPositions[endpoint.nodeName]?.last != position {
                    localPositions[endpoint.nodeName, default: []].append(position)
                }
            }
        }
        self.hinted = hinted
        self.localPositions = localPositions
        self.loopbackEntries = loopbackEntries
        commonSets = IPVSSets(common: index)
        clusterIPs = Set(index.ports.map(\.clusterIP))
        externalAddresses = Set(index.ports.flatMap { $0.externalIPs + $0.virtualIPs })
    }

    /// What kube-proxy programs on a node. Its interfaces are those without kube-ipvs0.
    public func state(of node: NodeView) -> IPVSState {
        let own = Set(
            node.interfaceAddresses.map(\.address).filter { $0.family == index.family && !$0.isLoopback })
        let nodeIP = nodeIP(of: node)
        let nodePortIPs = nodePortIPs(of: node, own: own, nodeIP: nodeIP)
        var state = IPVSState()
        state.detector = LocalDetector(configuration, podCIDRs: node.podCIDRs, family: index.family)
        state.addresses = clusterIPs.union(externalAddresses.subtracting(own)).sorted()
        state.settings = settings
        state.virtualServers = virtualServers(of: node, nodePortIPs: nodePortIPs)

        var sets = commonSets
        for entry in loopbackEntries[node.name] ?? [] { sets.insert(entry, into: .loopback) }
        for address in state.addresses { sets.insert(.init(address: IPPrefix(host: address)), into: .boundAddresses) }
        for port in index.ports {
            if !nodePortIPs.isEmpty || port.nodePort == nil { sets.insertNodePorts(of: port, on: nodePortIPs) }
            guard !port.sourceRanges.isEmpty, !port.virtualIPs.isEmpty else { continue }
            let admitsNode = port.sourceRanges.contains { $0.contains(nodeIP) }
            for address in port.virtualIPs {
                if admitsNode {
                    let host = IPPrefix(host: address)
                    sets.insert(
                        .init(address: host, protocol: port.protocol, port: port.port, second: host),
                        into: .loadBalancerSourceIP)
                } else {
                    state.closedToNode.append(
                        ClosedVirtualServer(socket: SocketAddress(address, port.port), protocol: port.protocol))
                }
            }
        }
        state.sets = sets.all
        return state
    }

    // MARK: virtual servers

    /// Traffic that should stay on the node goes anywhere when the node has no endpoint for it.
    private static func backends(of port: ProxiedServicePort, onNode name: String, zone: String?) -> Backends {
        let selection = port.selection(onNode: name, zone: zone)
        let cluster = selection.cluster.map { port.realServer($0) }
        let local = selection.local.isEmpty ? cluster : selection.local.map { port.realServer($0) }
        return Backends(
            internal: port.isInternalPolicyLocal ? local : cluster,
            external: port.isExternalPolicyLocal ? local : cluster)
    }

    private func virtualServers(of node: NodeView, nodePortIPs: [IPAddress]) -> [VirtualServer] {
        var differences: [Int: Backends] = [:]
        for position in hinted + (localPositions[node.name] ?? []) {
            differences[position] = Self.backends(of: index.ports[position], onNode: node.name, zone: node.zone)
        }
        let scheduler = IPVSScheduler(rawValue: configuration.ipvs.scheduler) ?? .roundRobin
        var servers: [VirtualServer] = []
        servers.reserveCapacity(index.ports.count)
        for (position, port) in index.ports.enumerated() {
            let backends = differences[position] ?? commonBackends[position]
            func serve(_ address: IPAddress, _ number: UInt16, _ realServers: [RealServer]) {
                servers.append(
                    VirtualServer(
                        SocketAddress(address, number), port.protocol, scheduler: scheduler,
                        persistence: port.affinitySeconds, hashesPort: scheduler == .maglevHash,
                        realServers: realServers))
            }
            serve(port.clusterIP, port.port, backends.internal)
            for address in port.externalIPs + port.virtualIPs { serve(address, port.port, backends.external) }
            if let nodePort = port.nodePort {
                for address in nodePortIPs { serve(address, nodePort, backends.external) }
            }
        }
        return servers
    }

    /// Where node ports answer: all addresses of the node, or those the configuration names; never loopback.
    private func nodePortIPs(of node: NodeView, own: Set<IPAddress>, nodeIP: IPAddress) -> [IPAddress] {
        let named = nodePortAddresses.addresses(of: node, nodeIP: nodeIP, family: index.family)
        return named?.filter { !$0.isLoopback } ?? own.filter { !$0.isLinkLocalIPv6 }.sorted()
    }

    /// The node's own address; a concrete bindAddress takes its place, and loopback that of an unknown one.
    private func nodeIP(of node: NodeView) -> IPAddress {
        if let bound = IPAddress(configuration.bindAddress), bound.family == index.family, !bound.isAny { return bound }
        return node.hostAddresses.first { $0.family == index.family } ?? .loopback(index.family)
    }

    // MARK: settings

    /// The kernel's own timeouts, where the configuration says nothing else.
    public var timeouts: IPVSTimeouts {
        var timeouts = IPVSTimeouts()
        func seconds(_ nanoseconds: Int64) -> Int? {
            nanoseconds >= 1_000_000_000 ? Int(nanoseconds / 1_000_000_000) : nil
        }
        timeouts.tcp = seconds(configuration.ipvs.tcpTimeout) ?? timeouts.tcp
        timeouts.tcpFin = seconds(configuration.ipvs.tcpFinTimeout) ?? timeouts.tcpFin
        timeouts.udp = seconds(configuration.ipvs.udpTimeout) ?? timeouts.udp
        return timeouts
    }

    private var settings: [IPVSState.Setting] {
        let always = [
            ("net/ipv4/ip_forward", 1), ("net/ipv4/vs/conntrack", 1), ("net/ipv4/vs/expire_nodest_conn", 1),
            ("net/ipv4/vs/expire_quiescent_template", 1),
        ]
        let strict = [("net/ipv4/conf/all/arp_announce", 2), ("net/ipv4/conf/all/arp_ignore", 1)]
        return ((configuration.ipvs.strictARP ? strict : []) + always).map { IPVSState.Setting(path: $0, value: $1) }
    }
}

extension ProxiedServicePort {
    fileprivate func realServer(_ position: Int) -> RealServer {
        RealServer(SocketAddress(endpoints[position].address, endpoints[position].port))
    }
}

extension IPAddress {
    /// fe80::/10
    fileprivate var isLinkLocalIPv6: Bool { IPPrefix("fe80::/10")?.contains(self) ?? false }
}
