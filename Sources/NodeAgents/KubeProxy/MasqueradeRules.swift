// What kube-proxy's iptables and ipvs modes both write about the packets they marked: pkg/proxy/iptables/proxier.go and
// pkg/proxy/ipvs/proxier.go of Kubernetes 1.36. A chain sets the mark, forwarding lets marked packets pass, and behind
// the routing decision they lose the mark and their source address.

internal import Kubernetes
internal import Netstack

/// The rules around the masquerade mark.
struct MasqueradeRules {
    let mark: UInt32

    init(_ configuration: KubeProxyConfiguration) {
        mark = 1 << UInt32(truncatingIfNeeded: configuration.iptables.masqueradeBit & 31)
    }

    /// KUBE-MARK-MASQ and the end of KUBE-POSTROUTING.
    func install(into nat: inout Table) {
        nat.append(Rule(target: .setMark(value: mark, mask: mark)), to: "KUBE-MARK-MASQ")

        let postrouting = "KUBE-POSTROUTING"
        nat.append(Rule(matches: [.mark(.not(MarkBits(mark, mask: mark)))], target: .return), to: postrouting)
        // An exclusive or: clears the bit, so that a second pass (a tunnel's outer packet) is not masqueraded again.
        nat.append(Rule(target: .setMark(value: mark, mask: 0)), to: postrouting)
        nat.append(
            Rule(
                matches: [.comment("kubernetes service traffic requiring SNAT")],
                target: .masquerade(randomFully: true)),
            to: postrouting)
    }

    /// The end of KUBE-FORWARD.
    func installForward(into filter: inout Table) {
        let forward = "KUBE-FORWARD"
        filter.append(
            Rule(
                matches: [
                    .comment("kubernetes forwarding rules"), .mark(Negatable(MarkBits(mark, mask: mark))),
                ], target: .accept),
            to: forward)
        filter.append(
            Rule(
                matches: [
                    .comment("kubernetes forwarding conntrack rule"),
                    .connectionState(Negatable([.related, .established])),
                ], target: .accept),
            to: forward)
    }
}
