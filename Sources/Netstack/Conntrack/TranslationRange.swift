// What a NAT target asks for: the addresses and ports it may choose from, and how. Mirrors struct nf_nat_range2 and its
// flags; the choice itself is in Conntrack/NATMapping.swift.

public import Addressing

/// Where NAT may move one end of a connection. Nothing given keeps the address, and the port if it is free.
public struct TranslationRange: Hashable, Sendable {
    /// Nil keeps the address (no NF_NAT_RANGE_MAP_IPS).
    public var addresses: ClosedRange<IPAddress>?
    /// Nil keeps the port if it can. For ICMP these are identifiers.
    public var ports: ClosedRange<UInt16>?
    /// `--to-destination :LOW-HIGH/BASE`: the port is moved by as much as it is away from this one.
    public var basePort: UInt16?
    /// `--random`. The kernel draws like `--random-fully` for SNAT, and for DNAT within the ports.
    public var isRandom: Bool
    /// `--random-fully`
    public var isFullyRandom: Bool
    /// `--persistent`: the address depends on the source alone.
    public var isPersistent: Bool

    public init(
        addresses: ClosedRange<IPAddress>? = nil, ports: ClosedRange<UInt16>? = nil, basePort: UInt16? = nil,
        isRandom: Bool = false, isFullyRandom: Bool = false, isPersistent: Bool = false
    ) {
        self.addresses = addresses
        self.ports = ports
        self.basePort = basePort
        self.isRandom = isRandom
        self.isFullyRandom = isFullyRandom
        self.isPersistent = isPersistent
    }

    /// What a target of iptables asks for.
    init(_ target: TranslationTarget) {
        self.init(
            addresses: target.addresses, ports: target.ports, basePort: target.basePort,
            isRandom: target.options.contains(.random), isFullyRandom: target.options.contains(.randomFully),
            isPersistent: target.options.contains(.persistent))
    }

    /// One address, and perhaps one port.
    public init(_ address: IPAddress, port: UInt16? = nil, isFullyRandom: Bool = false) {
        self.init(addresses: address...address, ports: port.map { $0...$0 }, isFullyRandom: isFullyRandom)
    }

    /// The old port does not matter (NF_NAT_RANGE_PROTO_RANDOM_ALL).
    var drawsPort: Bool { isRandom || isFullyRandom }
}
