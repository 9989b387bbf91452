// The connection table of a namespace as `conntrack -L` of conntrack-tools 1.4.7 prints it, both families. Entries come
// in the order of their places in the table, where the kernel's order is that of a hash.

internal import Addressing
internal import Netstack

extension NamespaceState {
    /// `conntrack -L`: the entries, and the line the tool prints to standard error behind them.
    public func connections() -> (text: String, summary: String) {
        let connections = namespace.connections.all(at: now)
        return (
            connections.map { text($0) + "\n" }.joined(),
            "conntrack v1.4.7 (conntrack-tools): \(connections.count) flow entries have been shown."
        )
    }

    private func text(_ connection: TrackedConnection) -> String {
        let transport = connection.original.protocol
        let known: [IPProtocol] = [.tcp, .udp, .icmp, .sctp]
        var name = known.contains(transport) ? transport.description : transport == .icmpv6 ? "icmpv6" : "unknown"
        name += String(repeating: " ", count: max(0, 8 - name.utf8.count))
        var words = ["\(name) \(transport.rawValue) \((connection.expires - now) / 1_000_000_000)"]
        if transport == .tcp { words.append(connection.tcpState.text) }
        if transport == .sctp { words.append(connection.sctpState.text) }
        words.append(text(connection.original))
        if !connection.hasSeenReply { words.append("[UNREPLIED]") }
        words.append(text(connection.reply))
        if connection.isAssured { words.append("[ASSURED]") }
        words.append("mark=\(connection.mark) use=1")
        return words.joined(separator: " ")
    }

    private func text(_ tuple: ConnectionTuple) -> String {
        let addresses = "src=\(tuple.source) dst=\(tuple.destination)"
        if tuple.protocol == .icmp || tuple.protocol == .icmpv6 {
            let (type, code) = (tuple.destinationPort >> 8, tuple.destinationPort & 0xff)
            return "\(addresses) type=\(type) code=\(code) id=\(tuple.sourcePort)"
        }
        guard tuple.protocol.hasPorts else { return addresses }
        return "\(addresses) sport=\(tuple.sourcePort) dport=\(tuple.destinationPort)"
    }
}
