// The iptables rules flanneld keeps so that pods keep their addresses among each other and borrow the node's towards
// the rest of the world: pkg/trafficmngr/iptables of flannel. Written as flanneld writes them on an iptables that
// knows --random-fully. Simplified: no five-second resync, because nobody else deletes the rules here.

public import Addressing
public import Netstack

/// What flanneld on one node knows of the overlay.
public enum FlannelRules {
    /// The name chains made here carry as their agent.
    public static let agent = "flannel"

    /// Adds flannel's rules behind whatever stands in the ruleset already: its jumps are appended, so kube-proxy's,
    /// which are inserted at the head, come first in either order of arrival.
    ///
    /// - Parameters:
    ///   - network: the overlay, such as `10.244.0.0/16`.
    ///   - subnet: this node's part of it, such as `10.244.1.0/24`.
    ///   - masquerades: flanneld's `--ip-masq`.
    ///   - forwards: flanneld accepts what pods send and receive (`--iptables-forward-rules`).
    public static func install(
        network: IPPrefix, subnet: IPPrefix, masquerades: Bool = true, forwards: Bool = true,
        into ruleset: inout Ruleset
    ) {
        precondition(network.family == subnet.family, "network and subnet are of different families")
        if masquerades { installMasquerade(network: network, subnet: subnet, into: &ruleset[.nat]) }
        if forwards { installForward(network: network, into: &ruleset[.filter]) }
    }

    private static func installMasquerade(network: IPPrefix, subnet: IPPrefix, into table: inout Table) {
        let chain = "FLANNEL-POSTRTG"
        let comment = Match.comment("flanneld masq")

        table.create(chain, agent: agent)
        table.append(Rule(matches: [comment], target: .jump(chain)), to: Hook.postrouting.chainName)

        // kube-proxy marked it: KUBE-POSTROUTING masquerades, and clears the mark.
        let marked = Match.mark(Negatable(MarkBits(0x4000, mask: 0x4000)))
        table.append(Rule(matches: [marked, comment], target: .return), to: chain)
        // Among pods, and towards this node's pods from anywhere, the source stays.
        table.append(
            Rule(source: Negatable(subnet), destination: Negatable(network), matches: [comment], target: .return),
            to: chain)
        table.append(
            Rule(source: Negatable(network), destination: Negatable(subnet), matches: [comment], target: .return),
            to: chain)
        table.append(
            Rule(source: .not(network), destination: Negatable(subnet), matches: [comment], target: .return),
            to: chain)
        // Pods leaving the overlay, and the rest of the world entering another node's part of it.
        let masquerade = Target.masquerade(randomFully: true)
        table.append(
            Rule(
                source: Negatable(network), destination: .not(.multicast(network.family)), matches: [comment],
                target: masquerade),
            to: chain)
        table.append(
            Rule(source: .not(network), destination: Negatable(network), matches: [comment], target: masquerade),
            to: chain)
    }

    private static func installForward(network: IPPrefix, into table: inout Table) {
        let chain = "FLANNEL-FWD"
        let comment = Match.comment("flanneld forward")
        table.create(chain, agent: agent)
        table.append(Rule(matches: [comment], target: .jump(chain)), to: Hook.forward.chainName)
        table.append(Rule(source: Negatable(network), matches: [comment], target: .accept), to: chain)
        table.append(Rule(destination: Negatable(network), matches: [comment], target: .accept), to: chain)
    }
}

extension IPPrefix {
    /// All multicast groups of a family.
    static func multicast(_ family: AddressFamily) -> IPPrefix {
        family == .ipv4
            ? IPPrefix(.v4(224, 0, 0, 0), length: 4)
            : IPPrefix(IPAddress(IPv6Address(high: 0xff00 << 48, low: 0)), length: 8)
    }
}
