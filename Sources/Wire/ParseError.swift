// Why octets are not the header they should be: which layer, which field, at which octet, and how many are missing.
// The kernel only counts such packets (InHdrErrors, InErrors, drop reasons); a simulator has to point at the octet.

/// Octets that cannot be read as the header they were taken for.
public struct ParseError: Error, Hashable, Sendable {
    /// The protocol whose header was being read.
    public enum Layer: String, Hashable, Sendable, CaseIterable {
        case ethernet = "Ethernet"
        case arp = "ARP"
        case ipv4 = "IPv4"
        case ipv6 = "IPv6"
        case icmpv4 = "ICMP"
        case icmpv6 = "ICMPv6"
        case udp = "UDP"
        case tcp = "TCP"
        case sctp = "SCTP"
        case vxlan = "VXLAN"
    }

    /// What is wrong with the field.
    public enum Reason: Hashable, Sendable {
        /// The octets end too early; both counts start at the error's offset.
        case truncated(needed: Int, available: Int)
        /// A version field holds another version.
        case badVersion(Int)
        /// A length field contradicts the header that carries it.
        case badLength(Int)
        /// A field holds a value this layer cannot be read with.
        case unsupported(Int)
    }

    public let layer: Layer
    /// The field's name as the RFC's picture has it, or `header` when the whole header does not fit.
    public let field: String
    /// Where the field starts, counted from the start of the octets given to the parser.
    public let offset: Int
    public let reason: Reason

    public init(layer: Layer, field: String, offset: Int, reason: Reason) {
        self.layer = layer
        self.field = field
        self.offset = offset
        self.reason = reason
    }
}

extension ParseError: CustomStringConvertible {
    public var description: String {
        let problem =
            switch reason {
            case .truncated(let needed, let available): "needs \(needed) octets, only \(available) are there"
            case .badVersion(let version): "version \(version) does not belong here"
            case .badLength(let length): "length \(length) cannot be right"
            case .unsupported(let value): "value \(value) (0x\(String(value, radix: 16))) is not supported"
            }
        return "\(layer.rawValue) \(field) at octet \(offset): \(problem)"
    }
}

extension RawSpan {
    /// Checks once that a header fits, so that the loads behind it need no own error.
    @inlinable
    package func require(
        _ count: Int, at offset: Int, of layer: ParseError.Layer, field: @autoclosure () -> String = "header"
    ) throws(ParseError) {
        precondition(offset >= 0, "negative offset")
        guard offset <= byteCount, byteCount - offset >= count else {
            throw ParseError(
                layer: layer, field: field(), offset: offset,
                reason: .truncated(needed: count, available: max(0, byteCount - offset)))
        }
    }
}
