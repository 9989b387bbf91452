// What DNAT, SNAT, MASQUERADE and REDIRECT may ask for: addresses, ports, and how to choose among them. Mirrors
// struct nf_nat_range2; the choice itself is in Conntrack/NAT.swift.

public import Addressing

/// The range a NAT target gives; what it leaves out stays as it is.
public struct TranslationTarget: Hashable, Sendable {
    public struct Options: OptionSet, Hashable, Sendable, BitwiseCopyable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        public static let random = Options(rawValue: 1)
        public static let randomFully = Options(rawValue: 2)
        /// The same address for all connections of a source.
        public static let persistent = Options(rawValue: 4)

        static let printed: [(Options, String)] = [
            (.random, " --random"), (.randomFully, " --random-fully"), (.persistent, " --persistent"),
        ]
    }

    public var addresses: ClosedRange<IPAddress>?
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
