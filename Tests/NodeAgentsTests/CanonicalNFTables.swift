// One order for two listings of the same kube-proxy table. kube-proxy walks its Services in random order, so the order
// in which the chains and affinity sets of service ports were made is random, and nft lists them in that order.
// Everything else is fixed: nft sorts elements itself, and the rules of a chain stand as they were added.

/// The listing with its sets, and then its chains, sorted by name; blank lines removed.
func canonicalNFTables(_ listing: String) -> [String] {
    var head: [String] = []
    var blocks: [[String]] = []
    for line in listing.split(separator: "\n").map(String.init) {
        if line.hasPrefix("\tset ") || line.hasPrefix("\tmap ") || line.hasPrefix("\tchain ") {
            blocks.append([line])
        } else if line == "}" {
            continue
        } else if blocks.isEmpty {
            head.append(line)
        } else {
            blocks[blocks.count - 1].append(line)
        }
    }
    return head + blocks.sorted { $0[0] < $1[0] }.flatMap(\.self)
}
