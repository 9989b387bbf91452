// The tables flanneld keeps with EnableNFTables: pkg/trafficmngr/nftables of flannel. They say what its iptables rules
// say but for the fourth rule, which lets the source of everything from elsewhere be, so that the last never matches,
// and for the mark, which is compared as a whole.

public import Addressing
public import Netstack

extension FlannelRules {
    /// `ip flannel-ipv4` and `ip6 flannel-ipv6`; a family without a network has an empty table.
    ///
    /// - Parameters:
    ///   - ranges: the overlay and this node's part of it, for each family flannel serves.
    ///   - masquerades: flanneld's `--ip-masq`.
    public static func nftables(
        _ ranges: [(network: IPPrefix, subnet: IPPrefix)], masquerades: Bool
    ) -> [NFTablesTable] {
        AddressFamily.allCases.map { family in
            let name = family == .ipv4 ? "flannel-ipv4" : "flannel-ipv6"
            var table = NFTablesTable(
                family == .ipv4 ? .ip : .ip6, name, comment: "rules for \(name)", agent: agent)
            guard let range = ranges.first(where: { $0.network.family == family }) else { return table }
            let fields =
                family == .ipv4
                ? (NFTablesField.ipSource, NFTablesField.ipDestination) : (.ip6Source, .ip6Destination)
            if masquerades {
                table.chains.append(masqueradeChain(range.network, range.subnet, from: fields.0, to: fields.1))
            }
            table.chains.append(
                NFTablesChain(
                    "forward", base: NFTablesBaseChain(.filter, .forward, priority: 0),
                    comment: "chain to accept flannel traffic",
                    rules: [fields.0, fields.1].map {
                        NFTablesRule(.match($0, .implicit, .network(range.network)), .verdict(.accept))
                    }))
            return table
        }
    }

    private static func masqueradeChain(
        _ network: IPPrefix, _ subnet: IPPrefix, from source: NFTablesField, to destination: NFTablesField
    ) -> NFTablesChain {
        func from(_ prefix: IPPrefix, _ comparison: NFTablesComparison = .implicit) -> NFTablesStatement {
            .match(source, comparison, .network(prefix))
        }
        func to(_ prefix: IPPrefix, _ comparison: NFTablesComparison = .implicit) -> NFTablesStatement {
            .match(destination, comparison, .network(prefix))
        }
        let masquerade = NFTablesStatement.translate(NFTablesTranslation(.masquerade, flags: [.fullyRandom]))
        let keep = NFTablesStatement.verdict(.return)
        return NFTablesChain(
            "postrtg", base: NFTablesBaseChain(.nat, .postrouting, priority: 100),
            comment: "chain to manage traffic masquerading by flannel",
            rules: [
                NFTablesRule(.match(.mark, .implicit, .mark(0x4000)), keep),
                NFTablesRule(from(subnet), to(network), keep),
                NFTablesRule(from(network), to(subnet), keep),
                NFTablesRule(from(subnet, .notEqual), to(network), keep),
                NFTablesRule(from(network), to(.multicast(network.family), .notEqual), masquerade),
                NFTablesRule(from(network, .notEqual), to(network), masquerade),
            ])
    }
}
