// How IPVS picks a real server for a new connection: net/netfilter/ipvs/ip_vs_rr.c, ip_vs_wrr.c and their siblings, one
// for each scheduler, their arithmetic included. What depends on turns, counts and chance goes through the choices of
// RuleChoices.swift, so that a question sees every server; a hash or a weight leads to one server. Simplified: lblcr
// keeps one server as lblc does, and neither forgets it after a day.

internal import Addressing

extension VirtualServer {
    /// The place of the real server, or nil when none takes connections.
    mutating func schedule(
        for packet: Packet, from client: SocketAddress, _ context: inout PathContext
    ) -> Int? {
        let candidates = realServers.indices.filter { realServers[$0].takesConnections }
        guard !candidates.isEmpty else { return nil }
        switch scheduler {
        case .roundRobin:
            // The next one behind the last.
            let turn = candidates.firstIndex { $0 > cursor } ?? 0
            cursor = candidates[context.takeTurn(turn, of: candidates.count, for: packet)]
            return cursor
        case .weightedRoundRobin:
            let round = weightedRound()
            guard !round.isEmpty else { return nil }
            cursor = context.takeTurn((cursor + 1) % round.count, of: round.count, for: packet)
            return round[cursor]
        case .leastConnection: return least(candidates, packet, &context) { $0.load < $1.load }
        case .weightedLeastConnection: return leastWeighted(candidates, packet, &context)
        case .shortestDelay: return shortestDelay(candidates, packet, &context)
        case .neverQueue:
            guard let idle = candidates.firstIndex(where: { realServers[$0].activeConnections == 0 }) else {
                return shortestDelay(candidates, packet, &context)
            }
            return candidates[context.takeTurn(idle, of: candidates.count, for: packet)]
        case .failover: return heaviest(candidates)
        case .overflow:
            return heaviest(candidates.filter { realServers[$0].activeConnections <= realServers[$0].weight })
        case .powerOfTwo: return betterOfTwo(candidates, packet, &context)
        case .localityBased, .localityBasedReplicated:
            if candidates.contains(cursor), !isOverloaded(realServers[cursor]) { return cursor }
            cursor = leastWeighted(candidates, packet, &context)
            return cursor
        case .sourceHash: return available(bucketOwner(hash32(client.address.folded, bits: 8)))
        case .destinationHash:
            return available(Int(hash32(socket.address.folded, bits: 8)) % realServers.count)
        case .maglevHash:
            if maglevTable.isEmpty { maglevTable = makeMaglevTable() }
            guard !maglevTable.isEmpty else { return nil }
            let key = maglevHash(client.address, hashesPort ? client.port : 0, .first) % UInt32(maglevTable.count)
            return available(Int(maglevTable[Int(key)]))
        }
    }

    private func available(_ number: Int) -> Int? { realServers[number].takesConnections ? number : nil }

    // MARK: turns

    /// One full round of wrr: servers of the greatest weight alone first, then with those a step lighter, and so on.
    private func weightedRound() -> [Int] {
        let weights = realServers.map { $0.isAvailable ? $0.weight : 0 }
        let step = weights.reduce(0) { $1 > 0 ? greatestCommonDivisor($1, $0) : $0 }
        guard step > 0, let greatest = weights.max() else { return [] }
        return stride(from: greatest, through: step, by: -step).flatMap { threshold in
            weights.indices.filter { weights[$0] >= threshold }
        }
    }

    // MARK: connections

    /// The first of the servers no other beats. A question takes each for as likely: it depends on what was before.
    private func least(
        _ candidates: [Int], _ packet: Packet, _ context: inout PathContext, beats: (RealServer, RealServer) -> Bool
    ) -> Int {
        var best = 0
        for place in candidates.indices.dropFirst()
        where beats(realServers[candidates[place]], realServers[candidates[best]]) {
            best = place
        }
        return candidates[context.takeTurn(best, of: candidates.count, for: packet)]
    }

    private func leastWeighted(_ candidates: [Int], _ packet: Packet, _ context: inout PathContext) -> Int {
        least(candidates, packet, &context) { $1.load * $0.weight > $0.load * $1.weight }
    }

    private func shortestDelay(_ candidates: [Int], _ packet: Packet, _ context: inout PathContext) -> Int {
        least(candidates, packet, &context) {
            ($1.activeConnections + 1) * $0.weight > ($0.activeConnections + 1) * $1.weight
        }
    }

    /// More connections than its weight, while another has less than half of its own.
    private func isOverloaded(_ server: RealServer) -> Bool {
        server.activeConnections > server.weight
            && realServers.contains { $0.isAvailable && $0.activeConnections * 2 < $0.weight }
    }

    private func heaviest(_ candidates: [Int]) -> Int? {
        candidates.reduce(nil) { best, number in
            guard let best else { return number }
            return realServers[number].weight > realServers[best].weight ? number : best
        }
    }

    /// Two servers drawn by weight, of which the less burdened gets the connection. The kernel's draw favours the first
    /// server by one and cheats the last of one.
    private func betterOfTwo(_ candidates: [Int], _ packet: Packet, _ context: inout PathContext) -> Int {
        let total = candidates.reduce(0) { $0 + realServers[$1].weight }
        let draws = [context.pick(below: total, for: packet), context.pick(below: total, for: packet)]
        let drawn = draws.map { draw in
            var rest = draw
            return candidates.first { number in
                rest -= realServers[number].weight
                return rest <= 0
            } ?? candidates[0]
        }
        let (first, second) = (realServers[drawn[0]], realServers[drawn[1]])
        return second.weight * first.load > first.weight * second.load ? drawn[1] : drawn[0]
    }

    // MARK: hashes

    /// Who owns one of the 256 buckets: servers in turn, each for as many buckets as its weight.
    private func bucketOwner(_ bucket: UInt32) -> Int {
        let shares = realServers.map { max(1, $0.weight) }
        var rest = Int(bucket) % shares.reduce(0, +)
        for (number, share) in shares.enumerated() {
            if rest < share { return number }
            rest -= share
        }
        return 0
    }

    /// The table of the Maglev paper: each server has its own order of places and takes the next free one in its turn.
    private func makeMaglevTable() -> [Int32] {
        let size = 4093
        let weights = realServers.map { $0.isAvailable ? $0.weight : 0 }
        let step = weights.reduce(0) { $1 > 0 ? greatestCommonDivisor($1, $0) : $0 }
        guard step > 0, realServers.count <= size, let greatest = weights.max() else { return [] }
        // Six bits of weight are enough for such a table.
        let occupiedBits = Int.bitWidth - (greatest / step).leadingZeroBitCount
        let shift = max(0, occupiedBits - 6)
        let turns = weights.map { $0 == 0 ? 0 : max(1, ($0 / step) >> shift) }
        let skips = realServers.map {
            Int(maglevHash($0.socket.address, $0.socket.port, .second)) % (size - 1) + 1
        }
        var places = realServers.map { Int(maglevHash($0.socket.address, $0.socket.port, .first)) % size }
        var table = [Int32](repeating: -1, count: size)
        var filled = 0
        while true {
            for number in realServers.indices {
                for _ in 0..<turns[number] {
                    while table[places[number]] >= 0 { places[number] = (places[number] + skips[number]) % size }
                    table[places[number]] = Int32(number)
                    filled += 1
                    if filled == size { return table }
                }
            }
        }
    }
}

extension RealServer {
    /// The load lc and wlc compare: an established connection costs as much as 256 others.
    fileprivate var load: Int { activeConnections << 8 + inactiveConnections }
}

extension IPAddress {
    /// An address as the 32 bits the kernel hashes: IPv6 addresses are folded.
    fileprivate var folded: UInt32 {
        guard family == .ipv6 else { return UInt32(truncatingIfNeeded: low) }
        return UInt32(truncatingIfNeeded: high >> 32 ^ high ^ low >> 32 ^ low)
    }
}

private func greatestCommonDivisor(_ left: Int, _ right: Int) -> Int {
    right == 0 ? left : greatestCommonDivisor(right, left % right)
}

/// hash_32 of include/linux/hash.h.
private func hash32(_ value: UInt32, bits: UInt32) -> UInt32 { (value &* 0x61c8_8647) >> (32 - bits) }

/// The keys of the two hashes mh needs.
private enum MaglevKey: UInt64 {
    case first = 2_654_435_761
    case second = 2_654_446_892
}

/// hsiphash of one 32-bit number on a 64-bit machine: SipHash-1-3, cut to 32 bits.
private func maglevHash(_ address: IPAddress, _ port: UInt16, _ key: MaglevKey) -> UInt32 {
    var v0 = 0x736f_6d65_7073_6575 ^ key.rawValue
    var v1 = 0x646f_7261_6e64_6f6d ^ key.rawValue
    var v2 = 0x6c79_6765_6e65_7261 ^ key.rawValue
    var v3 = 0x7465_6462_7974_6573 ^ key.rawValue
    func rotated(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
    func round() {
        v0 &+= v1
        v1 = rotated(v1, 13) ^ v0
        v0 = rotated(v0, 32)
        v2 &+= v3
        v3 = rotated(v3, 16) ^ v2
        v0 &+= v3
        v3 = rotated(v3, 21) ^ v0
        v2 &+= v1
        v1 = rotated(v1, 17) ^ v2
        v2 = rotated(v2, 32)
    }
    let block = 4 << 56 | UInt64(address.folded &+ UInt32(port))
    v3 ^= block
    round()
    v0 ^= block
    v2 ^= 0xff
    for _ in 0..<3 { round() }
    return UInt32(truncatingIfNeeded: v0 ^ v1 ^ v2 ^ v3)
}
