// Listings the real nft 1.0.6 printed, read and printed back. Vectors/README.md tells where they come from.

import Netstack
import Testing

@Suite("Listings of the real nft")
struct NFTablesListingVectorTests {
    static let listings =
        ["sets", "rules", "families", "iptables-nft", "attributes"].map { "nft-listings/\($0).txt" }
        + KubeProxyVectorTests.names.map { "kube-proxy/\($0)/nft-ruleset.txt" }
        + ["kube-proxy/18-dual-stack/nft-ruleset-ip6.txt"]

    @Test("are printed back unchanged", arguments: listings)
    func printsBack(path: String) throws {
        let text = try vectorText(path)
        let ruleset = try NFTablesRuleset(listing: text)
        #expect(
            difference(
                expected: text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init),
                actual: ruleset.listing().split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
                == [])
    }

    @Test("of kube-proxy hold nothing that is not evaluated", arguments: listings.filter { $0.contains("kube-proxy/") })
    func isEvaluated(path: String) throws {
        #expect(try NFTablesRuleset(listing: vectorText(path)).notices == [])
    }

    @Test("that are not evaluated in full say so line by line")
    func notices() throws {
        let text = try vectorText("nft-listings/rules.txt")
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let notices = try NFTablesRuleset(listing: text).notices
        let named = notices.map { notice in
            (lines[notice.line - 1].trimmingPrefix { $0 == "\t" }, notice.message)
        }
        for (line, message) in named {
            let statement = message.split(separator: ": ", maxSplits: 1).last ?? ""
            #expect(line.hasSuffix(statement) && !statement.isEmpty, "\(line) is said to be \(message)")
        }
        // What no namespace here can tell: the lines of the listing it concerns, by their first words.
        let words = named.map { $0.0.split(separator: " ")[0...1].joined(separator: " ") }
        #expect(
            words == [
                "ip id", "ip frag-off", "ct zone", "ct l3proto", "ct expiration", "ct helper", "add @s", "meta hour",
                "meta day", "meta cpu", "meta priority", "ether saddr", "meta mark", "ip daddr", "ip ttl", "ip dscp",
                "tcp option", "quota over", "ct count", "socket transparent", "meta rtclassid", "rt classid",
                "meta iiftype", "iifgroup 1", "ct bytes", "ct packets", "dup to", "ct label", "meta cgroup", "ipsec in",
            ])
    }
}
