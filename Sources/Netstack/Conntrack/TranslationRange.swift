// What a NAT target asks for: the addresses and ports it may choose from, and how. Mirrors struct nf_nat_range2 and its
// flags; the choice itself is in Conntrack/NATMapping.swift.

public import Addressing

/// Where NAT may move one end of a connection; what is left out stays as it is, the port if it is free.
public struct TranslationRange: Hashable, Sendable {
    public struct Options: OptionSet, Hashable, Sendable, BitwiseCopyable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// For SNAT the kernel draws as with `--random-fully`, for DNAT within the ports.
        public static let random = Options(rawValue: 1)
        public static let randomFully = Options(rawValue: 2)
        /// The same address for all connections of a source.
        public static let persistent = Options(rawValue: 4)

        static let printed: [(Options, String)] = [
            (.random, " --random"), (.randomFully, " --random-fully"), (.persistent, " --persistent"),
        ]
    }

    /// Nil keeps the address (no NF_NAT_RANGE_MAP_IPS).
    public var addresses: ClosedRange<IPAddress>?
    /// For ICMP these are identifiers.
    public var ports: ClosedRange<UInt16>?
    /// Ports keep their distance from this one (`--to-destination ADDRESS:6000-6010/5000`).
    public var basePort: UInt16?
    public var options: Options

    public init(
        addresses: ClosedRange<IPAddress>? = nil, ports: ClosedRange<UInt16>? = nil, basePort: UInt16? = nil,
        options: Options = []
    ) {
        self.addresses = addresses
        self.ports = ports
        self.basePort = basePort
        self.options = options
    }

    /// One address, and perhaps one port.
    public init(_ address: IPAddress, port: UInt16? = nil, options: Options = []) {
        self.init(addresses: address...address, ports: port.map { $0...$0 }, options: options)
    }

    /// The old port does not matter (NF_NAT_RANGE_PROTO_RANDOM_ALL).
    var drawsPort: Bool { !options.isDisjoint(with: [.random, .randomFully]) }

    /// Blank, option and range where there is a range, then the flags.
    func text(_ option: String) -> String {
        var range = ""
        if let addresses {
            let isOne = addresses.lowerBound == addresses.upperBound
            range = isOne ? "\(addresses.lowerBound)" : "\(addresses.lowerBound)-\(addresses.upperBound)"
            if ports != nil, addresses.lowerBound.family == .ipv6 { range = "[\(range)]" }
        }
        if let ports {
            let text = rangeText(ports, "-") + (basePort.map { "/\($0)" } ?? "")
            range += (option == "--to-ports" ? "" : ":") + text
        }
        let flags = Options.printed.filter { options.contains($0.0) }.map(\.1).joined()
        return (range.isEmpty ? "" : " \(option) \(range)") + flags
    }
}
