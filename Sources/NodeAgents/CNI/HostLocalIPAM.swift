// The host-local IPAM plugin over one range of addresses, held in memory: plugins/ipam/host-local/backend/allocator
// of containernetworking/plugins. Addresses are given out round robin behind the one given last, so that a pod which
// crashes and comes back does not get the address its peers still talk to. Reservations are kept by address only:
// who holds one is the caller's knowledge; several ranges and ranges beyond 2^24 addresses are not modelled.

public import Addressing

/// Why host-local gave no address, worded as the plugin words it.
public enum HostLocalError: Error, Hashable, Sendable {
    /// Every address of the range but the gateway's is taken.
    case exhausted(range: String)
    /// The address asked for is taken.
    case taken(IPAddress, range: String)
    /// The address asked for is the gateway's.
    case gateway(IPAddress)
    /// The address asked for lies outside the range.
    case outside(IPAddress)
    /// The subnet has no room for a network address, a broadcast address, a gateway and a pod.
    case subnetTooSmall(IPPrefix)
    /// The subnet holds more addresses than this model keeps track of.
    case subnetTooLarge(IPPrefix)
}

extension HostLocalError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .exhausted(let range):
            "no IP addresses available in range set: \(range)"
        case .taken(let address, let range):
            "requested IP address \(address) is not available in range set \(range)"
        case .gateway(let address):
            "requested ip \(address) is subnet's gateway"
        case .outside(let address):
            "failed to allocate all requested IPs: \(address)"
        case .subnetTooSmall(let subnet):
            "Network \(subnet) too small to allocate from"
        case .subnetTooLarge(let subnet):
            "Network \(subnet) is larger than the /\(subnet.family.bitWidth - HostLocalRange.maximumBits) podnet models"
        }
    }
}

/// The addresses of one subnet and which of them are taken.
///
/// ```swift
/// var range = try HostLocalRange(subnet: IPPrefix("10.244.1.0/24")!)
/// try range.allocate()  // 10.244.1.2: the first address is the gateway's
/// ```
public struct HostLocalRange: Hashable, Sendable {
    /// The subnet pods are given addresses of.
    public let subnet: IPPrefix
    /// The first and the last address that may be given out, the gateway's among them.
    public let first, last: IPAddress
    /// The address of the subnet's bridge, never given out.
    public let gateway: IPAddress

    /// The address given out last, where the next search begins. Releasing an address does not move it, hence a
    /// freed address comes back only when the search has gone round.
    public private(set) var lastReserved: IPAddress?

    private var taken: AddressBitmap

    /// The range a CNI configuration gets that names only its subnet: everything between the network address and the
    /// broadcast address (IPv6: up to the very last address), with the first one as gateway.
    public init(subnet: IPPrefix) throws(HostLocalError) {
        guard subnet.family.bitWidth - subnet.length >= 2 else { throw .subnetTooSmall(subnet) }
        guard subnet.family.bitWidth - subnet.length <= Self.maximumBits else { throw .subnetTooLarge(subnet) }
        self.subnet = subnet
        let end = subnet.family == .ipv4 ? subnet.count - 2 : subnet.count - 1
        first = Self.address(1, in: subnet)
        last = Self.address(end, in: subnet)
        gateway = first
        taken = AddressBitmap(count: end)
        taken.insert(0)
    }

    /// Gives out the next free address behind `lastReserved`, going round at the end of the range.
    public mutating func allocate() throws(HostLocalError) -> IPAddress {
        let start = lastReserved.flatMap(index(of:)).map { ($0 + 1) % taken.count } ?? 0
        guard let index = taken.firstAbsent(from: start) else { throw .exhausted(range: rangeText) }
        return take(index)
    }

    /// Gives out the very address asked for, as a `runtimeConfig.ips` entry does.
    public mutating func allocate(requested: IPAddress) throws(HostLocalError) -> IPAddress {
        guard let index = index(of: requested) else { throw .outside(requested) }
        guard requested != gateway else { throw .gateway(requested) }
        guard !taken.contains(index) else { throw .taken(requested, range: rangeText) }
        return take(index)
    }

    /// Takes an address back. Releasing what nobody holds succeeds, as the plugin's DEL does; the gateway stays taken.
    public mutating func release(_ address: IPAddress) {
        guard address != gateway, let index = index(of: address) else { return }
        taken.remove(index)
    }

    /// Whether the address is given out at this moment.
    public func isAllocated(_ address: IPAddress) -> Bool {
        guard address != gateway, let index = index(of: address) else { return false }
        return taken.contains(index)
    }

    /// How many addresses can still be given out.
    public var freeCount: Int { taken.count - taken.takenCount }

    /// More bits than this in the host part would cost more than 2 MiB of bitmap.
    static let maximumBits = 24

    private var rangeText: String { "\(first)-\(last)" }

    private mutating func take(_ index: Int) -> IPAddress {
        taken.insert(index)
        let address = Self.address(index + 1, in: subnet)
        lastReserved = address
        return address
    }

    /// The position of the address between `first` and `last`, or nil outside.
    private func index(of address: IPAddress) -> Int? {
        guard subnet.contains(address), first <= address, address <= last else { return nil }
        // At most `maximumBits` of the low half differ inside the subnet.
        return Int(address.low - first.low)
    }

    private static func address(_ offset: Int, in subnet: IPPrefix) -> IPAddress {
        IPAddress(high: subnet.address.high, low: subnet.address.low + UInt64(offset), family: subnet.family)
    }
}

/// A set of small numbers with a second level that marks full words, so that a search over a full /16 looks at a
/// handful of words and not at a thousand.
private struct AddressBitmap: Hashable, Sendable {
    let count: Int
    private(set) var takenCount = 0
    /// One bit per number; bits behind `count` are set from the start.
    private var words: [UInt64]
    /// One bit per word: set when the word is full. Bits behind the last word are set.
    private var full: [UInt64]

    init(count: Int) {
        self.count = count
        words = Array(repeating: 0, count: (count + 63) / 64)
        full = Array(repeating: 0, count: (words.count + 63) / 64)
        if count % 64 != 0 { words[words.count - 1] = ~0 << UInt64(count % 64) }
        if words.count % 64 != 0 { full[full.count - 1] = ~0 << UInt64(words.count % 64) }
    }

    func contains(_ number: Int) -> Bool { words[number / 64] >> UInt64(number % 64) & 1 == 1 }

    mutating func insert(_ number: Int) {
        guard !contains(number) else { return }
        takenCount += 1
        let word = number / 64
        words[word] |= 1 << UInt64(number % 64)
        if words[word] == .max { full[word / 64] |= 1 << UInt64(word % 64) }
    }

    mutating func remove(_ number: Int) {
        guard contains(number) else { return }
        takenCount -= 1
        let word = number / 64
        words[word] &= ~(1 << UInt64(number % 64))
        full[word / 64] &= ~(1 << UInt64(word % 64))
    }

    /// The first number not in the set at or behind `start`, going round at the end.
    func firstAbsent(from start: Int) -> Int? {
        absent(from: start) ?? (start > 0 ? absent(from: 0) : nil)
    }

    private func absent(from start: Int) -> Int? {
        var word = start / 64
        var free = ~words[word] & ~0 << UInt64(start % 64)
        if free == 0 {
            guard let next = nonFullWord(from: word + 1) else { return nil }
            word = next
            free = ~words[word]
        }
        return word * 64 + free.trailingZeroBitCount
    }

    private func nonFullWord(from start: Int) -> Int? {
        guard start < words.count else { return nil }
        var group = start / 64
        var candidates = ~full[group] & ~0 << UInt64(start % 64)
        while candidates == 0 {
            group += 1
            guard group < full.count else { return nil }
            candidates = ~full[group]
        }
        return group * 64 + candidates.trailingZeroBitCount
    }
}
