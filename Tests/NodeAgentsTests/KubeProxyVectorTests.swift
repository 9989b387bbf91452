// The rules kube-proxy v1.36.3 really wrote, compared with ours. Vectors/README.md tells where they come from.

import Addressing
import Kubernetes
import Netstack
import NodeAgents
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Rules of the real kube-proxy")
struct KubeProxyVectorTests {
    static let names = [
        "01-clusterip-counts", "03-nodeport", "05-lb-source-ranges", "07-itp-local", "09-session-affinity",
        "10-terminating", "12-masquerade-all-bit", "15-prefix-nolocalhost", "17-tcp-liberal", "18-dual-stack",
        "23-names", "26-nodeport-all-addrs",
    ]

    @Test("iptables mode writes what kube-proxy wrote", arguments: names)
    func iptablesRulesAreEqual(name: String) throws {
        try compare(name, family: .ipv4, file: "iptables-save.txt")
    }

    @Test("ip6tables rules are what kube-proxy wrote")
    func ip6tablesRulesAreEqual() throws {
        try compare("18-dual-stack", family: .ipv6, file: "ip6tables-save.txt")
    }

    @Test("nftables mode writes what kube-proxy wrote", arguments: names)
    func nftablesRulesAreEqual(name: String) throws {
        try compareTables(name, family: .ipv4, file: "nft-ruleset.txt")
    }

    @Test("the IPv6 table is what kube-proxy wrote")
    func nftablesRulesForIPv6AreEqual() throws {
        try compareTables("18-dual-stack", family: .ipv6, file: "nft-ruleset-ip6.txt")
    }

    private func compareTables(_ name: String, family: AddressFamily, file: String) throws {
        let input = try ProxyInput(vector: name)
        let expected = canonicalNFTables(try vectorText("kube-proxy/\(name)/\(file)"))
        let actual = canonicalNFTables(
            input.table(family, interfaceAddresses: try labAddresses(of: input.node)).listing())
        #expect(expected.count > 90)
        #expect(difference(expected: expected, actual: actual) == [])
    }

    @Test("a dump of a real node is read, all of it evaluated, and printed back unchanged", arguments: names)
    func dumpsAreUnchanged(name: String) throws {
        let text = try vectorText("kube-proxy/\(name)/iptables-save.txt")
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
        let saved = try SavedRules(lines.joined(separator: "\n"), family: .ipv4)
        #expect(saved.ruleset.savedText().split(separator: "\n") == lines)
        #expect(saved.unevaluated.isEmpty)
    }

    private func compare(_ name: String, family: AddressFamily, file: String) throws {
        var input = try ProxyInput(vector: name)
        if let setting = input.node.metadata.annotations["lab/sysctl"]?.split(separator: "="), setting.count == 2 {
            input.node.metadata.annotations["podnet.dev/sysctl.\(setting[0])"] = String(setting[1])
        }
        let expected = canonicalRules(try vectorText("kube-proxy/\(name)/\(file)"))
        let actual = canonicalRules(
            input.savedText(family, interfaceAddresses: try labAddresses(of: input.node)))
        #expect(expected.count > 20)
        #expect(difference(expected: expected, actual: actual) == [])
    }
}

/// The addresses in `lab/interfaces: eth0=192.168.77.11/24,2001:db8::1/64 eth1=172.31.5.4/20`.
func labAddresses(of node: Node) throws -> [InterfaceAddress] {
    try (node.metadata.annotations["lab/interfaces"] ?? "").split(separator: " ").flatMap { interface in
        let sides = interface.split(separator: "=")
        return try #require(sides.last).split(separator: ",").map { try #require(InterfaceAddress($0)) }
    }
}

/// The text of a file below `Vectors`.
func vectorText(_ path: String) throws -> String {
    let directory = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    let name = "\(directory)/Vectors/\(path)"
    let file = try #require(fopen(name, "r"), "cannot open \(name)")
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = fread(&buffer, 1, buffer.count, file)
        if count == 0 { break }
        bytes += buffer[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
}
