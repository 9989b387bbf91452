// What the CNI portmap plugin writes for a pod with hostPorts: plugins/meta/portmap of containernetworking/plugins
// 1.1.1, with its defaults (snat on, mark bit 13, no conditions), and what kubelet and the runtime make of a pod's
// ports before (pkg/kubelet/container/helpers.go of Kubernetes). Simplified: no DEL, because nothing ends here.

public import Addressing
public import Kubernetes
public import Netstack

/// A port of the node that leads to a port of a pod.
public struct PortMapping: Hashable, Sendable {
    public var `protocol`: IPProtocol
    public var hostPort: UInt16
    public var containerPort: UInt16
    /// Nil answers on every address of the node.
    public var hostIP: IPAddress?

    public init(_ protocol: IPProtocol, hostPort: UInt16, containerPort: UInt16, hostIP: IPAddress? = nil) {
        self.protocol = `protocol`
        self.hostPort = hostPort
        self.containerPort = containerPort
        self.hostIP = hostIP
    }

    /// The mappings of a pod in the order the runtime hands them to the plugin. Init containers bring none, sidecars
    /// included.
    public static func mappings(of pod: Pod) -> [PortMapping] {
        pod.spec.containers.flatMap { container in
            var found: [PortMapping] = []
            for port in container.ports {
                guard let hostPort = port.hostPort.flatMap(UInt16.init(exactly:)), hostPort > 0,
                    let containerPort = UInt16(exactly: port.containerPort), let number = port.protocol.ipProtocol
                else { continue }
                let mapping = PortMapping(
                    number, hostPort: hostPort, containerPort: containerPort, hostIP: IPAddress(port.hostIP))
                // Of ports without a name that are alike in everything kubelet keeps one.
                if !found.contains(mapping) { found.append(mapping) }
            }
            return found
        }
    }
}

public enum PortmapPlugin {
    /// The name chains made here carry as their agent.
    public static let agent = "portmap"

    /// Adds the rules of one pod, of the family its address has. The hooks for new destinations go behind those of
    /// others, the one for new sources in front.
    ///
    /// - Parameters:
    ///   - network: the name of the CNI network.
    ///   - containerID: that of the pod's sandbox.
    ///   - address: the pod's, with the length of its node's pod CIDR.
    public static func install(
        _ mappings: [PortMapping], network: String, containerID: String, address: InterfaceAddress,
        into ruleset: inout Ruleset
    ) {
        guard !mappings.isEmpty else { return }
        installShared(into: &ruleset[.nat])
        let chain = CNIChainName.name("DN-", network: network, containerID: containerID)
        ruleset[.nat].create(chain, agent: agent)
        for mapping in mappings {
            for rule in rules(for: mapping, to: address) { ruleset[.nat].ensure(rule, in: chain) }
        }
        let comment = Match.comment("dnat name: \"\(network)\" id: \"\(containerID)\"")
        let protocols = Set(mappings.map(\.protocol)).sorted { "\($0)" < "\($1)" }
        for number in protocols {
            var ports = mappings.filter { $0.protocol == number }.map(\.hostPort)[...]
            while !ports.isEmpty {
                let some = ports.prefix(MultiportMatch.mostPorts).map { $0...$0 }
                ports = ports.dropFirst(some.count)
                ruleset[.nat].ensure(
                    Rule(
                        protocol: Negatable(number),
                        matches: [comment, .multiport(MultiportMatch(.destination, Negatable(some)))],
                        target: .jump(chain)), in: destinationChain)
            }
        }
    }

    /// Lets packets from 127.0.0.1 leave by the bridge, so that hostPorts answer there.
    public static func openLoopback(to bridge: String, on node: inout NetworkNamespace) {
        guard let link = node.link(named: bridge) else { return }
        var settings = link.settings
        settings.routeLocalnet = true
        node.setInterface(link.id, to: settings)
    }

    private static let destinationChain = "CNI-HOSTPORT-DNAT"
    private static let sourceChain = "CNI-HOSTPORT-MASQ"
    private static let markChain = "CNI-HOSTPORT-SETMARK"
    private static let mark: UInt32 = 1 << 13

    /// What all pods with hostPorts have in common.
    private static func installShared(into nat: inout Table) {
        nat.create(markChain, agent: agent)
        nat.ensure(
            Rule(matches: [.comment("CNI portfwd masquerade mark")], target: .setMark(value: mark, mask: mark)),
            in: markChain)
        nat.create(sourceChain, agent: agent)
        nat.ensure(
            Rule(matches: [.mark(Negatable(MarkBits(mark, mask: mark)))], target: .masquerade(randomFully: false)),
            in: sourceChain)
        nat.ensure(
            Rule(matches: [.comment("CNI portfwd requiring masquerade")], target: .jump(sourceChain)),
            in: Hook.postrouting.chainName, atHead: true)
        nat.create(destinationChain, agent: agent)
        for hook in [Hook.prerouting, .output] {
            nat.ensure(
                Rule(
                    matches: [.addressType(destination: Negatable(.local))], target: .jump(destinationChain)),
                in: hook.chainName)
        }
    }

    /// Pods of the node and, in IPv4, its own processes by way of 127.0.0.1 must not keep their source: answers would
    /// not come back this way.
    private static func rules(for mapping: PortMapping, to address: InterfaceAddress) -> [Rule] {
        let family = address.address.family
        if let hostIP = mapping.hostIP, hostIP.family != family { return [] }
        let destination = mapping.hostIP.flatMap { $0.isAny ? nil : Negatable(IPPrefix(host: $0)) }
        func rule(_ source: IPPrefix?, _ target: Target) -> Rule {
            Rule(
                source: source.map { Negatable($0) }, destination: destination, protocol: Negatable(mapping.protocol),
                matches: [
                    .transport(mapping.protocol, destination: Negatable(mapping.hostPort...mapping.hostPort))
                ],
                target: target)
        }
        let marked = Target.jump(markChain)
        let local = family == .ipv4 ? [rule(IPPrefix(host: .loopback(.ipv4)), marked)] : []
        return [rule(address.prefix, marked)] + local
            + [rule(nil, .destinationNAT(address: address.address, port: mapping.containerPort))]
    }
}

/// The chains of one attachment: `CNI-`, what kind of chain it is, and as much of a hash as 28 characters hold.
enum CNIChainName {
    static func name(_ kind: String, network: String, containerID: String) -> String {
        let hash = SHA512.digest(of: (network + containerID).utf8)
            .map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        return "CNI-\(kind)" + hash.prefix(24 - kind.utf8.count)
    }
}
