// Criteria on transport headers: ports, TCP flags and options, ICMP types. Mirrors net/netfilter/xt_tcpudp.c,
// xt_sctp.c, xt_dccp.c and xt_multiport.c. SCTP chunk types and DCCP packet types are not evaluated.

public import Addressing
public import Wire

/// `-m tcp`, `-m udp`, `-m sctp`, `-m dccp`.
public struct TransportMatch: Hashable, Sendable, CustomStringConvertible {
    /// `--tcp-flags MASK COMPARED`.
    public struct Flags: Hashable, Sendable, CustomStringConvertible {
        public var mask: TCPFlags
        public var compared: TCPFlags

        public init(mask: TCPFlags, compared: TCPFlags) {
            self.mask = mask
            self.compared = compared
        }

        /// What `--syn` stands for.
        public static let syn = Flags(mask: [.fin, .syn, .rst, .ack], compared: .syn)

        /// In the order of iptables.
        static let names: [(TCPFlags, String)] = [
            (.fin, "FIN"), (.syn, "SYN"), (.rst, "RST"), (.psh, "PSH"), (.ack, "ACK"), (.urg, "URG"),
        ]

        private static func text(_ flags: TCPFlags) -> String {
            flags.isEmpty ? "NONE" : names.filter { flags.contains($0.0) }.map(\.1).joined(separator: ",")
        }

        public var description: String { "\(Self.text(mask)) \(Self.text(compared))" }
    }

    public var `protocol`: IPProtocol
    public var source: Negatable<ClosedRange<UInt16>>?
    public var destination: Negatable<ClosedRange<UInt16>>?
    /// The kind of an option that must be there.
    public var option: Negatable<UInt8>?
    public var flags: Negatable<Flags>?

    public init(
        _ protocol: IPProtocol, source: Negatable<ClosedRange<UInt16>>? = nil,
        destination: Negatable<ClosedRange<UInt16>>? = nil, option: Negatable<UInt8>? = nil,
        flags: Negatable<Flags>? = nil
    ) {
        self.protocol = `protocol`
        self.source = source
        self.destination = destination
        self.option = option
        self.flags = flags
    }

    public var description: String {
        var text = protocolText(`protocol`)
        if let source { text += " \(source.sign)--sport \(portText(source.value))" }
        if let destination { text += " \(destination.sign)--dport \(portText(destination.value))" }
        if let option { text += " \(option.sign)--tcp-option \(option.value)" }
        if let flags { text += " \(flags.sign)--tcp-flags \(flags.value)" }
        return text
    }
}

/// `-m icmp`, `-m icmp6`. Without a type it is any; without a code any code of the type.
public struct ICMPTypeMatch: Hashable, Sendable, CustomStringConvertible {
    public var family: AddressFamily
    public var type: UInt8?
    public var code: UInt8?
    public var isNegated: Bool

    public init(_ family: AddressFamily, type: UInt8?, code: UInt8? = nil, isNegated: Bool = false) {
        self.family = family
        self.type = type
        self.code = code
        self.isNegated = isNegated
    }

    public var description: String {
        let option = family == .ipv4 ? "icmp \(sign)--icmp-type" : "icmp6 \(sign)--icmpv6-type"
        return "\(option) \(type.map(String.init) ?? "any")" + (code.map { "/\($0)" } ?? "")
    }

    private var sign: String { isNegated ? "! " : "" }
}

/// `-m multiport`: fifteen ports at most, a range counts twice.
public struct MultiportMatch: Hashable, Sendable, CustomStringConvertible {
    public enum End: String, Hashable, Sendable, CaseIterable {
        case source = "--sports"
        case destination = "--dports"
        case either = "--ports"
    }

    public static let mostPorts = 15

    public var end: End
    public var ports: Negatable<[ClosedRange<UInt16>]>

    public init(_ end: End, _ ports: Negatable<[ClosedRange<UInt16>]>) {
        self.end = end
        self.ports = ports
    }

    public var description: String {
        "\(ports.sign)\(end.rawValue) " + ports.value.map(portText).joined(separator: ",")
    }
}
