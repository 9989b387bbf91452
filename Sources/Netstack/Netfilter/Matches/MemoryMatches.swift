// Criteria that remember earlier packets: statistic, recent, limit. Mirrors net/netfilter/xt_statistic.c, xt_recent.c
// and xt_limit.c. What they remember is kept in RuleMemory.swift.

public import Addressing

/// `-m statistic`.
public struct StatisticMatch: Hashable, Sendable, CustomStringConvertible {
    public enum Mode: Hashable, Sendable {
        /// The chance in units of 2^-31, as the kernel keeps it.
        case random(chance: UInt32)
        /// Packet number `packet` of every `count`, from 0.
        case nth(every: UInt32, packet: UInt32)
    }

    public var mode: Mode
    public var isNegated: Bool

    public init(_ mode: Mode, isNegated: Bool = false) {
        self.mode = mode
        self.isNegated = isNegated
    }

    public var description: String {
        let sign = isNegated ? "! " : ""
        switch mode {
        case .random(let chance): return "--mode random \(sign)--probability \(probabilityText(chance))"
        case .nth(let every, let packet): return "--mode nth \(sign)--every \(every) --packet \(packet)"
        }
    }
}

/// Eleven decimals of chance / 2^31, as iptables prints the kernel's number.
private func probabilityText(_ chance: UInt32) -> String {
    let scale: UInt64 = 100_000_000_000
    // Round to nearest, ties to even as printf does on the exact binary fraction.
    let product = UInt64(chance).multipliedFullWidth(by: scale)
    var digits = product.high << 33 | product.low >> 31
    let rest = product.low & 0x7fff_ffff
    if rest > 0x4000_0000 || (rest == 0x4000_0000 && digits & 1 == 1) { digits += 1 }
    let text = String(digits % scale)
    return "\(digits / scale)." + String(repeating: "0", count: 11 - text.utf8.count) + text
}

/// `-m recent`.
public struct RecentMatch: Hashable, Sendable, CustomStringConvertible {
    public enum Action: String, Hashable, Sendable, CaseIterable {
        case set = "--set"
        case check = "--rcheck"
        case update = "--update"
        case remove = "--remove"
    }

    /// XT_RECENT_MAX_NSTAMPS
    public static let mostHits: UInt32 = 65_536

    public var action: Action
    public var isNegated: Bool
    public var name: String
    /// Only times within so many seconds count; 0: all.
    public var seconds: UInt32
    /// Forgets what is older.
    public var reaps: Bool
    /// At least so many times; 0: one.
    public var hitCount: UInt32
    /// Only packets with the TTL of the last one.
    public var comparesTimeToLive: Bool
    public var mask: IPAddress
    public var side: SetDirection

    public init(
        _ action: Action, name: String, family: AddressFamily, isNegated: Bool = false, seconds: UInt32 = 0,
        reaps: Bool = false, hitCount: UInt32 = 0, comparesTimeToLive: Bool = false, mask: IPAddress? = nil,
        side: SetDirection = .source
    ) {
        self.action = action
        self.isNegated = isNegated
        self.name = name
        self.seconds = seconds
        self.reaps = reaps
        self.hitCount = hitCount
        self.comparesTimeToLive = comparesTimeToLive
        self.mask = mask ?? fullMask(family)
        self.side = side
    }

    public var description: String {
        var text = "\(isNegated ? "! " : "")\(action.rawValue)"
        if seconds > 0 { text += " --seconds \(seconds)" }
        if reaps { text += " --reap" }
        if hitCount > 0 { text += " --hitcount \(hitCount)" }
        if comparesTimeToLive { text += " --rttl" }
        text += " --name \(name) --mask \(maskText)"
        return text + (side == .source ? " --rsource" : " --rdest")
    }

    /// All ones are written out; other masks of IPv6 are written as addresses are.
    private var maskText: String {
        mask == fullMask(.ipv6) ? "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" : mask.description
    }
}

/// `-m limit`: a bucket of tokens.
public struct LimitMatch: Hashable, Sendable, CustomStringConvertible {
    /// Time between two packets in units of a ten-thousandth of a second (XT_LIMIT_SCALE).
    public var period: UInt32
    public var burst: UInt32

    public init(period: UInt32, burst: UInt32 = 5) {
        self.period = period
        self.burst = burst
    }

    public var description: String {
        "--limit \(rateText(period))" + (burst == 5 ? "" : " --limit-burst \(burst)")
    }
}
