// One listening socket of a real server as a word: `tcp/0.0.0.0:8080=web-1`, `udp/0.0.0.0:53`. What a server answers is
// what podnet's own servers answer (Simulation/Applications.swift).

package import Addressing
package import Simulation

/// A socket a real server listens on.
package struct RealServer: Sendable {
    package let `protocol`: IPProtocol
    package let local: SocketAddress
    /// The octets of an HTTP answer, or what names the server.
    private let says: String

    package init(_ socket: ServerSocket) {
        `protocol` = socket.protocol
        local = socket.local
        says = socket.answer.map { "octets:" + $0.map(Self.hexadecimal).joined() } ?? socket.label
    }

    /// The same on the wildcard address of IPv6.
    var onIPv6: RealServer? {
        local.address.family == .ipv4
            ? RealServer(protocol: self.protocol, local: SocketAddress(.any(.ipv6), local.port), says: says) : nil
    }

    private init(`protocol`: IPProtocol, local: SocketAddress, says: String) {
        self.protocol = `protocol`
        self.local = local
        self.says = says
    }

    /// What a TCP server answers.
    package var answer: HTTPConnection.Answer {
        guard says.hasPrefix("octets:") else { return .server(name: says) }
        let digits = Array(says.utf8.dropFirst("octets:".utf8.count))
        return .always(
            stride(from: 0, to: digits.count - 1, by: 2).map { position in
                UInt8(String(decoding: digits[position...position + 1], as: UTF8.self), radix: 16) ?? 0
            })
    }

    private static func hexadecimal(_ octet: UInt8) -> String {
        (octet < 16 ? "0" : "") + String(octet, radix: 16)
    }
}

extension RealServer: LosslessStringConvertible {
    /// Reads `PROTOCOL/ADDRESS:PORT[=NAME]`.
    package init?(_ text: String) {
        let halves = text.split(separator: "=", maxSplits: 1)
        guard let first = halves.first, let slash = first.firstIndex(of: "/"),
            let transport = IPProtocol(first[..<slash].lowercased()), [.tcp, .udp].contains(transport),
            let local = SocketAddress(String(first[first.index(after: slash)...]))
        else { return nil }
        `protocol` = transport
        self.local = local
        says = halves.count == 2 ? String(halves[1]) : ""
    }

    package var description: String {
        "\(self.protocol)/\(local)" + (self.protocol == .tcp ? "=\(says)" : "")
    }
}
