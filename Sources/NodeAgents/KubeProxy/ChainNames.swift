// The names kube-proxy gives to what belongs to one service port: pkg/proxy/iptables/proxier.go of Kubernetes.
// A chain name holds 28 characters, too few for namespace, service and port, so it carries a piece of a hash instead:
// the first characters of the Base32 (RFC 4648 section 6) of the SHA-256 of the name.

package import Addressing

/// The iptables chains of one service port. All four share one hash, so a reader finds them together.
package struct ServiceChainNames: Hashable, Sendable {
    /// `KUBE-SVC-`: spreads over the endpoints of the whole cluster.
    package let cluster: String
    /// `KUBE-SVL-`: spreads over the endpoints on this node.
    package let local: String
    /// `KUBE-EXT-`: what came to an external address, before the traffic policy is applied.
    package let external: String
    /// `KUBE-FW-`: compares the source with the load balancer's source ranges.
    package let firewall: String

    /// The chains of `portName`, written `namespace/service` or `namespace/service:port`.
    package init(portName: String, protocol: IPProtocol) {
        let hash = hashedName(portName + `protocol`.description, length: 16)
        cluster = "KUBE-SVC-" + hash
        local = "KUBE-SVL-" + hash
        external = "KUBE-EXT-" + hash
        firewall = "KUBE-FW-" + hash
    }
}

/// The `KUBE-SEP-` chain of one endpoint of a service port; `endpoint` is `address:port`, IPv6 in brackets.
package func endpointChainName(portName: String, protocol: IPProtocol, endpoint: String) -> String {
    "KUBE-SEP-" + hashedName(portName + `protocol`.description + endpoint, length: 16)
}

/// The first `length` characters of the Base32 of the SHA-256 of the text's UTF-8 octets.
package func hashedName(_ text: String, length: Int) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)
    var characters: [UInt8] = []
    characters.reserveCapacity(length)
    var bits: UInt32 = 0
    var bitCount: UInt32 = 0
    for octet in SHA256.digest(of: text.utf8) {
        bits = bits << 8 | UInt32(octet)
        bitCount += 8
        while bitCount >= 5, characters.count < length {
            bitCount -= 5
            characters.append(alphabet[Int(bits >> bitCount & 31)])
        }
    }
    return String(decoding: characters, as: UTF8.self)
}
