// What rules remember from packet to packet: the lists of -m recent, the buckets of -m limit, the turns of
// -m statistic --mode nth. Mirrors net/netfilter/xt_recent.c, xt_limit.c and xt_statistic.c. Simplified: a list's mask
// is that of the rule at hand, in the kernel that of the rule that made it.

internal import Addressing

/// The memory of one namespace's rules. New rules begin with full buckets and first turns; lists stay.
struct RuleMemory: Sendable {
    var recent: [String: RecentList] = [:]
    /// By the match's place in `CompiledRuleset.matches`.
    private var buckets: [Int32: Bucket] = [:]
    private var turns: [Int32: UInt32] = [:]

    mutating func forgetRules() {
        buckets = [:]
        turns = [:]
    }

    private struct Bucket {
        var credit: UInt64
        var last: Nanoseconds
    }

    /// Takes a token (limit_mt). Credits grow by 128 a tick of 4 ms, as with HZ 250.
    mutating func takeToken(_ limit: LimitMatch, of match: Int32, at now: Nanoseconds) -> Bool {
        let creditsPerTick: UInt64 = 128
        let tick = now / TimerWheel.tick
        let capacity = Self.credits(limit.period &* limit.burst)
        let cost = Self.credits(limit.period)
        var bucket = buckets[match] ?? Bucket(credit: capacity, last: tick)
        bucket.credit = min(bucket.credit + UInt64(tick - bucket.last) * creditsPerTick, capacity)
        bucket.last = tick
        defer { buckets[match] = bucket }
        guard bucket.credit >= cost else { return false }
        bucket.credit -= cost
        return true
    }

    /// user2credits: the order of multiplication and division follows the size, as in 32 bits.
    private static func credits(_ period: UInt32) -> UInt64 {
        let scale: UInt64 = 10_000
        let factor: UInt64 = 250 * 128
        return UInt64(period) > UInt64(UInt32.max) / factor
            ? UInt64(period) / scale * factor : UInt64(period) * factor / scale
    }

    /// The packet's place in its group of `count`, from 0.
    mutating func nextTurn(of match: Int32, count: UInt32) -> UInt32 {
        let turn = turns[match, default: 0]
        turns[match] = turn + 1 < count ? turn + 1 : 0
        return turn
    }
}

/// A list of -m recent: addresses with the times they were seen, the one seen longest ago first.
struct RecentList: Sendable {
    /// ip_list_tot
    static let mostEntries = 100
    /// Times kept of an address, if no rule asks for more.
    static let mostTimes = 32

    struct Entry: Sendable {
        var address: IPAddress
        var timeToLive: UInt8
        /// Oldest first.
        var times: [Nanoseconds]
    }

    private(set) var entries: [Entry] = []

    private func position(of address: IPAddress, timeToLive: UInt8?) -> Int? {
        entries.firstIndex { entry in
            entry.address == address
                && (timeToLive ?? 0 == 0 || entry.timeToLive == 0 || entry.timeToLive == timeToLive)
        }
    }

    /// recent_mt
    mutating func matches(_ match: RecentMatch, _ address: IPAddress, timeToLive: UInt8, at now: Nanoseconds) -> Bool {
        let found = position(of: address, timeToLive: match.comparesTimeToLive ? timeToLive : nil)
        guard let found else {
            guard match.action == .set else { return match.isNegated }
            if entries.count >= Self.mostEntries { entries.removeFirst() }
            entries.append(Entry(address: address, timeToLive: timeToLive, times: [now]))
            return !match.isNegated
        }
        switch match.action {
        case .set:
            update(found, timeToLive, now, match)
            return !match.isNegated
        case .remove:
            entries.remove(at: found)
            return !match.isNegated
        case .check, .update:
            let oldest = now - Nanoseconds(match.seconds) * 1_000_000_000
            let hits = entries[found].times.count { match.seconds == 0 || $0 >= oldest }
            let result = (hits >= max(Int(match.hitCount), 1)) != match.isNegated
            let renews = match.action == .update && result
            let isReaped = match.reaps && reap(before: oldest, butNot: renews ? found : nil)
            if renews { update(isReaped ? found - 1 : found, timeToLive, now, match) }
            return result
        }
    }

    private mutating func update(_ position: Int, _ timeToLive: UInt8, _ now: Nanoseconds, _ match: RecentMatch) {
        var entry = entries.remove(at: position)
        entry.timeToLive = timeToLive
        entry.times.append(now)
        let most = max(Self.mostTimes, Int(match.hitCount))
        if entry.times.count > most { entry.times.removeFirst(entry.times.count - most) }
        entries.append(entry)
    }

    /// Forgets the address seen longest ago, if that was too long ago (recent_entry_reap).
    private mutating func reap(before oldest: Nanoseconds, butNot kept: Int?) -> Bool {
        guard let first = entries.first, kept != 0, (first.times.last ?? 0) < oldest else { return false }
        entries.removeFirst()
        return true
    }
}
