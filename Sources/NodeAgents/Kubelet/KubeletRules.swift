// The iptables chains kubelet keeps on every node, whatever kube-proxy does: pkg/kubelet/kubelet_network_linux.go of
// Kubernetes 1.36 and the canary of pkg/util/iptables/monitor. kubelet starts first, so what it inserts at the head of
// a built-in chain ends up behind what kube-proxy inserts.

public import Addressing
public import Netstack

public enum KubeletRules {
    /// The name chains made here carry as their agent.
    public static let agent = "kubelet"

    /// The rules kubelet alone leaves on a clean node.
    public static func ruleset(_ family: AddressFamily) -> Ruleset {
        var ruleset = Ruleset()
        // Tells other programs whether this node's iptables is the legacy or the nftables one.
        ruleset[.mangle].create("KUBE-IPTABLES-HINT", agent: agent)
        if family == .ipv4 {
            ruleset[.filter].create(firewallChain, agent: agent)
            for hook in [Hook.output, .input] {
                ruleset[.filter].ensure(Rule(target: .jump(firewallChain)), in: hook.chainName, atHead: true)
            }
            ruleset[.filter].ensure(localnetGuard, in: firewallChain)
        }
        // Empty: kubelet looks whether they are still there, to learn whether somebody flushed the rules.
        for table in [TableName.mangle, .nat, .filter] { ruleset[table].create("KUBE-KUBELET-CANARY", agent: agent) }
        return ruleset
    }

    /// kube-proxy's iptables mode makes this chain too.
    static let firewallChain = "KUBE-FIREWALL"

    /// Stops martian packets to loopback addresses, which route_localnet would let in.
    static var localnetGuard: Rule {
        let translated: ConnectionStateSet = [.related, .established, .destinationTranslated]
        return Rule(
            source: .not(.ipv4Loopback), destination: Negatable(.ipv4Loopback),
            matches: [.comment("block incoming localnet connections"), .connectionState(.not(translated))],
            target: .drop)
    }
}
