// Sets of addresses, ports and networks that rules ask with `-m set`: net/netfilter/ipset of the kernel, the types
// kube-proxy's ipvs mode makes. The text is that of `ipset save` (7.17), entries in order where the kernel's order is
// that of a hash, without `bucketsize` and the random `initval`. Simplified: entries never expire, the hash does not
// grow, and entries for ICMP types do not exist.

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

        /// How many directions a rule must give at least.
        var dimension: Int {
            switch self {
            case .hashIP, .hashNet, .bitmapPort: 1
            case .hashIPPort: 2
            case .hashIPPortIP, .hashIPPortNet: 3
            }
        }
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
    /// The prefix lengths its networks have, longest first: a lookup tries no other (struct net_prefixes).
    private var lengths: [Int] = []

    /// ipset's default: a set takes no entry beyond it.
    static let maximumCount = 65_536

    public init(_ name: String, _ kind: Kind, family: AddressFamily = .ipv4) {
        self.name = name
        self.kind = kind
        self.family = family
    }

    /// `ipset add NAME ENTRY -exist`. A full set stays as it is.
    public mutating func insert(_ entry: Entry) {
        guard entries.count < Self.maximumCount || kind == .bitmapPort else { return }
        entries.insert(entry)
        let network = kind == .hashNet ? entry.address : kind == .hashIPPortNet ? entry.second : nil
        if let network, !lengths.contains(network.length) {
            lengths.append(network.length)
            lengths.sort(by: >)
        }
    }

    /// Whether the set holds what the directions take from a packet (ip_set_test and the types' kadt functions).
    func contains(_ fields: RuleFields, _ directions: [SetDirection]) -> Bool {
        guard directions.count >= kind.dimension, kind == .bitmapPort || fields.source.family == family else {
            return false
        }
        func address(_ position: Int) -> IPAddress {
            directions[position] == .source ? fields.source : fields.destination
        }
        func port(_ position: Int) -> UInt16? {
            if fields.hasPorts { return directions[position] == .source ? fields.sourcePort : fields.destinationPort }
            // What has no ports has port 0; a later fragment of what has them cannot say.
            return fields.protocol.hasPorts || fields.protocol == .icmp ? nil : 0
        }
        switch kind {
        case .hashIP: return entries.contains(Entry(address: IPPrefix(host: address(0))))
        case .hashNet:
            return lengths.contains { entries.contains(Entry(address: IPPrefix(address(0), length: $0))) }
        case .bitmapPort:
            guard fields.protocol == .tcp || fields.protocol == .udp, let port = port(0) else { return false }
            return entries.contains(Entry(port: port))
        case .hashIPPort, .hashIPPortIP, .hashIPPortNet:
            guard let port = port(1) else { return false }
            var entry = Entry(address: IPPrefix(host: address(0)), protocol: fields.protocol, port: port)
            if kind == .hashIPPortNet {
                return lengths.contains { length in
                    entry.second = IPPrefix(address(2), length: length)
                    return entries.contains(entry)
                }
            }
            if kind == .hashIPPortIP { entry.second = IPPrefix(host: address(2)) }
            return entries.contains(entry)
        }
    }
}

extension IPSet.Entry: Comparable, CustomStringConvertible {
    /// Addresses, then protocol and port, each by number.
    public static func < (left: Self, right: Self) -> Bool {
        if left.address != right.address { return precedes(left.address, right.address) }
        if left.protocol != right.protocol { return precedes(left.protocol, right.protocol) }
        if left.port != right.port { return precedes(left.port, right.port) }
        return precedes(left.second, right.second)
    }

    private static func precedes<Value: Comparable>(_ left: Value?, _ right: Value?) -> Bool {
        guard let left, let right else { return left == nil && right != nil }
        return left < right
    }

    /// The entry as `ipset add` takes it: `10.96.0.10,tcp:80,10.244.0.0/16`.
    public var description: String {
        func text(_ prefix: IPPrefix) -> String { prefix.isHost ? "\(prefix.address)" : "\(prefix)" }
        var parts: [String] = []
        if let address { parts.append(text(address)) }
        if let port { parts.append(`protocol`.map { "\($0):\(port)" } ?? "\(port)") }
        if let second { parts.append(text(second)) }
        return parts.joined(separator: ",")
    }
}

extension IPSet {
    /// The set as `ipset save` prints it: how to create it, then each entry.
    public var savedText: String {
        var text = "create \(name) \(kind.rawValue)"
        if kind == .bitmapPort {
            text += " range 0-65535\n"
        } else {
            text += " family \(family == .ipv4 ? "inet" : "inet6") hashsize 1024 maxelem \(Self.maximumCount)\n"
        }
        for entry in entries.sorted() { text += "add \(name) \(entry)\n" }
        return text
    }
}
