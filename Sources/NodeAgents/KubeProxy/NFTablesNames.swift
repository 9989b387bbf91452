// What kube-proxy calls the objects of its nftables table: pkg/proxy/nftables/proxier.go of Kubernetes 1.36. A name
// says what it stands for and begins with a piece of a hash, because it may have to be cut.

internal import Addressing
internal import Netstack

/// The sets and maps every table has.
enum NFTablesSetName {
    static let hairpins = "hairpin-connections"
    static let clusterIPs = "cluster-ips"
    static let nodePortIPs = "nodeport-ips"
    static let refusedServices = "no-endpoint-services"
    static let refusedNodePorts = "no-endpoint-nodeports"
    static let firewall = "firewall-ips"
    static let services = "service-ips"
    static let nodePorts = "service-nodeports"
}

/// The chains every table has.
enum NFTablesChainName {
    static let nodePortEndpoints = "nodeport-endpoints-check"
    static let serviceEndpoints = "service-endpoints-check"
    static let firewall = "firewall-check"
    static let services = "services"
    static let masquerading = "masquerading"
    static let clusterIPs = "cluster-ips-check"
    static let reject = "reject-chain"
}

/// The names of one service port's chains and sets.
struct NFTablesPortNames: Sendable {
    let cluster: String
    let local: String
    let external: String
    let firewall: String
    /// `endpoint-` and `affinity-` names have these behind the prefix, one per endpoint; empty without affinity.
    let endpoints: [String]

    init(_ port: ProxiedServicePort) {
        let base = "\(port.service)/\(port.protocol)/\(port.portName)"
        let name = Self.hashed(base)
        cluster = "service-" + name
        local = "local-" + name
        external = "external-" + name
        firewall = "firewall-" + name
        endpoints =
            port.affinitySeconds == nil
            ? []
            : port.endpoints.map { endpoint in
                // A colon cannot stand in a name.
                let address = String(endpoint.address.description.map { $0 == ":" ? "." : $0 })
                return Self.hashed("\(base)__\(address)/\(endpoint.port)")
            }
    }

    /// The base behind eight characters of its hash, cut where nft's names end.
    static func hashed(_ base: String) -> String {
        let name = hashedName(base, length: 8) + "-" + base
        return name.utf8.count > 240 ? String(name.prefix(237)) + "..." : name
    }
}
