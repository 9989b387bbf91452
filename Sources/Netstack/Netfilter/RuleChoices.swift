// What rules leave to chance: `statistic`, `numgen`, the pick of an IPVS scheduler. A run draws from its seed. A
// question about all that could happen follows a script and gets back which choices there were, so that it can
// visit every branch and give each its exact probability.

internal import Addressing

/// One choice that was made for a packet.
public struct RuleChoice: Hashable, Sendable, BitwiseCopyable {
    /// How many ways there were.
    public var count: Int
    /// The way taken, from 0.
    public var taken: Int
    /// How likely that way was, 0 to 1.
    public var probability: Double
}

/// How the choices of one packet are made.
package struct RuleChoices: Sendable {
    /// Whose choices are scripted; those of all other packets are drawn.
    private enum Scope {
        case nobody
        case packet(UInt32)
        case everybody
    }
    private var scope = Scope.nobody
    /// What to take at the first choices. Behind them the first way is taken.
    package var script: [Int] = []
    /// The scripted choices so far.
    package private(set) var made: [RuleChoice] = []

    package init() {}

    /// A script for one packet.
    package init(packet: UInt32, script: [Int]) {
        scope = .packet(packet)
        self.script = script
    }

    /// A script for all packets there are, in the order of their choices.
    package init(everybody script: [Int]) {
        scope = .everybody
        self.script = script
    }

    /// The way the script takes; nil when the packet's choices are to be drawn.
    fileprivate mutating func take(of count: Int, for packet: UInt32, probability: (Int) -> Double) -> Int? {
        switch scope {
        case .nobody: return nil
        case .packet(let own): guard packet == own else { return nil }
        case .everybody: break
        }
        let taken = made.count < script.count ? min(script[made.count], count - 1) : 0
        made.append(RuleChoice(count: count, taken: taken, probability: probability(taken)))
        return taken
    }

    /// The script of the next branch after one that made these choices; nil when all have been visited.
    package static func next(after made: [RuleChoice]) -> [Int]? {
        guard let last = made.lastIndex(where: { $0.taken + 1 < $0.count }) else { return nil }
        return made[..<last].map(\.taken) + [made[last].taken + 1]
    }
}

extension PathContext {
    /// Whether something of that chance happens, in units of 2^-31 as xt_statistic keeps it.
    mutating func happens(chance: UInt32, for packet: Packet) -> Bool {
        let certain: UInt32 = 1 << 31
        if chance == 0 || chance >= certain { return chance != 0 }
        let share = Double(chance) / Double(certain)
        if let taken = choices.take(of: 2, for: packet.id, probability: { $0 == 0 ? share : 1 - share }) {
            return taken == 0
        }
        return UInt32(truncatingIfNeeded: random.next()) & 0x7fff_ffff < chance
    }

    /// One of `count` equally likely ways, from 0.
    mutating func pick(below count: Int, for packet: Packet) -> Int {
        guard count > 1 else { return 0 }
        return choices.take(of: count, for: packet.id, probability: { _ in 1 / Double(count) })
            ?? random.next(below: count)
    }

    /// One of several ways that are taken in turn (`statistic --mode nth`, `numgen inc`, round robin). `turn` is whose
    /// turn it is; to a question about everything that could happen each way is equally likely.
    mutating func takeTurn(_ turn: Int, of count: Int, for packet: Packet) -> Int {
        guard count > 1 else { return 0 }
        return choices.take(of: count, for: packet.id, probability: { _ in 1 / Double(count) }) ?? turn
    }
}
