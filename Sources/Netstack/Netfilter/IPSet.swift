// Sets of addresses, ports and networks that rules ask with `-m set`: net/netfilter/ipset of the kernel, the types
// kube-proxy's ipvs mode makes. Simplified: entries never expire.

public import Addressing

/// Which end of a packet gives a part of what a set is asked.
public enum SetDirection: String, Hashable, Sendable {
    case source = "src"
    case destination = "dst"
}

/// A set known by its name.
public struct IPSet: Hashable, Sendable {
    /// What an entry is made of, named as ipset(8) names it.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case hashIP = "hash:ip"
        case hashNet = "hash:net"
        case hashIPPort = "hash:ip,port"
        case hashIPPortIP = "hash:ip,port,ip"
        case hashIPPortNet = "hash:ip,port,net"
        case bitmapPort = "bitmap:port"
    }

    /// One entry; what its kind does not have stays nil.
    public struct Entry: Hashable, Sendable {
        public var address: IPPrefix?
        public var `protocol`: IPProtocol?
        public var port: UInt16?
        public var second: IPPrefix?

        public init(
            address: IPPrefix? = nil, protocol: IPProtocol? = nil, port: UInt16? = nil, second: IPPrefix? = nil
        ) {
            self.address = address
            self.protocol = `protocol`
            self.port = port
            self.second = second
        }
    }

    public let name: String
    public let kind: Kind
    public let family: AddressFamily
    public private(set) var entries: Set<Entry> = []

    public init(_ name: String, _ kind: Kind, family: AddressFamily = .ipv4) {
        self.name = name
        self.kind = kind
        self.family = family
    }

    public mutating func insert(_ entry: Entry) { entries.insert(entry) }

    /// Whether the set holds what the directions take from a packet. A network is found by looking for every length.
    func contains(_ fields: RuleFields, _ directions: [SetDirection]) -> Bool {
        func address(_ position: Int) -> IPAddress {
            directions.indices.contains(position) && directions[position] == .source
                ? fields.source : fields.destination
        }
        func port(_ position: Int) -> UInt16 {
            directions.indices.contains(position) && directions[position] == .source
                ? fields.sourcePort : fields.destinationPort
        }
        func lengths() -> ClosedRange<Int> { 0...family.bitWidth }
        guard fields.source.family == family else { return false }
        switch kind {
        case .hashIP: return entries.contains(Entry(address: IPPrefix(host: address(0))))
        case .hashNet:
            return lengths().contains { entries.contains(Entry(address: IPPrefix(address(0), length: $0))) }
        case .hashIPPort:
            guard fields.hasPorts else { return false }
            return entries.contains(
                Entry(address: IPPrefix(host: address(0)), protocol: fields.protocol, port: port(1)))
        case .hashIPPortIP:
            guard fields.hasPorts else { return false }
            return entries.contains(
                Entry(
                    address: IPPrefix(host: address(0)), protocol: fields.protocol, port: port(1),
                    second: IPPrefix(host: address(2))))
        case .hashIPPortNet:
            guard fields.hasPorts else { return false }
            return lengths().contains { length in
                entries.contains(
                    Entry(
                        address: IPPrefix(host: address(0)), protocol: fields.protocol, port: port(1),
                        second: IPPrefix(address(2), length: length)))
            }
        case .bitmapPort: return fields.hasPorts && entries.contains(Entry(port: port(0)))
        }
    }
}
