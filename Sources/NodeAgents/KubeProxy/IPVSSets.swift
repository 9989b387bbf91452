// The ip sets of kube-proxy's ipvs mode, with their names, types, comments and contents: pkg/proxy/ipvs/ipset.go and
// proxier.go of Kubernetes 1.36. All sets are made, whether they hold anything or not.

internal import Addressing
internal import Netstack

/// kube-proxy's sets, by what they hold.
enum IPVSSetName: String, CaseIterable {
    case loopback = "LOOP-BACK"
    case clusterIP = "CLUSTER-IP"
    case externalIP = "EXTERNAL-IP"
    case externalIPLocal = "EXTERNAL-IP-LOCAL"
    case loadBalancer = "LOAD-BALANCER"
    case loadBalancerLocal = "LOAD-BALANCER-LOCAL"
    case loadBalancerFirewall = "LOAD-BALANCER-FW"
    case loadBalancerSourceIP = "LOAD-BALANCER-SOURCE-IP"
    case loadBalancerSourceCIDR = "LOAD-BALANCER-SOURCE-CIDR"
    case nodePortTCP = "NODE-PORT-TCP"
    case nodePortLocalTCP = "NODE-PORT-LOCAL-TCP"
    case nodePortUDP = "NODE-PORT-UDP"
    case nodePortLocalUDP = "NODE-PORT-LOCAL-UDP"
    case nodePortSCTP = "NODE-PORT-SCTP-HASH"
    case nodePortLocalSCTP = "NODE-PORT-LOCAL-SCTP-HASH"
    case healthCheckNodePort = "HEALTH-CHECK-NODE-PORT"
    case boundAddresses = "IPVS-IPS"

    /// ipset takes no longer names.
    static let maximumLength = 31

    func name(_ family: AddressFamily) -> String {
        String(((family == .ipv4 ? "KUBE-" : "KUBE-6-") + rawValue).prefix(Self.maximumLength))
    }

    var kind: IPSet.Kind {
        switch self {
        case .loopback, .loadBalancerSourceIP: .hashIPPortIP
        case .loadBalancerSourceCIDR: .hashIPPortNet
        case .nodePortTCP, .nodePortLocalTCP, .nodePortUDP, .nodePortLocalUDP, .healthCheckNodePort: .bitmapPort
        case .boundAddresses: .hashIP
        case .clusterIP, .externalIP, .externalIPLocal, .loadBalancer, .loadBalancerLocal, .loadBalancerFirewall,
            .nodePortSCTP, .nodePortLocalSCTP:
            .hashIPPort
        }
    }

    /// What rules that ask the set say of it.
    var comment: String {
        switch self {
        case .loopback: "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose"
        case .clusterIP: "Kubernetes service cluster ip + port for masquerade purpose"
        case .externalIP: "Kubernetes service external ip + port for masquerade and filter purpose"
        case .externalIPLocal: "Kubernetes service external ip + port with externalTrafficPolicy=local"
        case .loadBalancer: "Kubernetes service lb portal"
        case .loadBalancerLocal: "Kubernetes service load balancer ip + port with externalTrafficPolicy=local"
        case .loadBalancerFirewall: "Kubernetes service load balancer ip + port for load balancer with sourceRange"
        case .loadBalancerSourceIP:
            "Kubernetes service load balancer ip + port + source IP for packet filter purpose"
        case .loadBalancerSourceCIDR:
            "Kubernetes service load balancer ip + port + source cidr for packet filter purpose"
        case .nodePortTCP: "Kubernetes nodeport TCP port for masquerade purpose"
        case .nodePortLocalTCP: "Kubernetes nodeport TCP port with externalTrafficPolicy=local"
        case .nodePortUDP: "Kubernetes nodeport UDP port for masquerade purpose"
        case .nodePortLocalUDP: "Kubernetes nodeport UDP port with externalTrafficPolicy=local"
        case .nodePortSCTP: "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'"
        case .nodePortLocalSCTP:
            "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'"
        case .healthCheckNodePort: "Kubernetes health check node port"
        case .boundAddresses: ""
        }
    }
}

/// All sets of one family.
struct IPVSSets: Sendable {
    private var sets: [IPSet]

    /// The sets with everything that does not depend on the node.
    init(common index: ServiceIndex) {
        sets = IPVSSetName.allCases.map { IPSet($0.name(index.family), $0.kind, family: index.family) }
        for port in index.ports {
            func entry(_ address: IPAddress, second: IPPrefix? = nil) -> IPSet.Entry {
                IPSet.Entry(
                    address: IPPrefix(host: address), protocol: port.protocol, port: port.port, second: second)
            }
            insert(entry(port.clusterIP), into: .clusterIP)
            for address in port.externalIPs {
                insert(entry(address), into: port.isExternalPolicyLocal ? .externalIPLocal : .externalIP)
            }
            for address in port.virtualIPs {
                insert(entry(address), into: .loadBalancer)
                if port.isExternalPolicyLocal { insert(entry(address), into: .loadBalancerLocal) }
                guard !port.sourceRanges.isEmpty else { continue }
                insert(entry(address), into: .loadBalancerFirewall)
                for range in port.sourceRanges { insert(entry(address, second: range), into: .loadBalancerSourceCIDR) }
            }
        }
    }

    /// In order of their names.
    var all: [IPSet] { sets.sorted { $0.name < $1.name } }

    mutating func insert(_ entry: IPSet.Entry, into name: IPVSSetName) {
        guard let position = IPVSSetName.allCases.firstIndex(of: name) else { return }
        sets[position].insert(entry)
    }

    /// The node port of a service port on a node that has addresses for it, and its health check port.
    mutating func insertNodePorts(of port: ProxiedServicePort, on addresses: [IPAddress]) {
        if let number = port.nodePort {
            let entry = IPSet.Entry(port: number)
            switch port.protocol {
            case .tcp:
                insert(entry, into: .nodePortTCP)
                if port.isExternalPolicyLocal { insert(entry, into: .nodePortLocalTCP) }
            case .udp:
                insert(entry, into: .nodePortUDP)
                if port.isExternalPolicyLocal { insert(entry, into: .nodePortLocalUDP) }
            default:
                // A bitmap cannot tell SCTP from TCP.
                for address in addresses {
                    let entry = IPSet.Entry(address: IPPrefix(host: address), protocol: port.protocol, port: number)
                    insert(entry, into: .nodePortSCTP)
                    if port.isExternalPolicyLocal { insert(entry, into: .nodePortLocalSCTP) }
                }
            }
        }
        if let number = port.healthCheckNodePort { insert(IPSet.Entry(port: number), into: .healthCheckNodePort) }
    }
}
