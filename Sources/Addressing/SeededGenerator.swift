// The one source of chance: SplitMix64 (Steele, Lea, Flood 2014) with bounded draws of our own, because the
// standard library may change how it maps random bits to numbers and outputs must stay the same for a seed.

/// A seeded generator; the same seed gives the same draws on every machine and in every release.
public struct SeededGenerator: Sendable, Hashable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// 64 uniform bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// A number from 0 up to but not including `bound`, which must be positive.
    public mutating func next(below bound: Int) -> Int {
        precondition(bound > 0, "an empty range has no draws")
        // Lemire's multiply-shift; the bias of at most bound / 2^64 is of no consequence here.
        return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// A number within the range.
    public mutating func next(in range: ClosedRange<Int>) -> Int {
        range.lowerBound + next(below: range.count)
    }

    /// A seed that depends on this generator and a number.
    public func seeded(with number: UInt64) -> UInt64 { state ^ number &* 0x9e37_79b9_7f4a_7c15 }

    /// A generator of its own for one purpose, so that draws for one never shift those for another.
    public func stream(_ purpose: String) -> SeededGenerator {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325  // FNV-1a
        for byte in purpose.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        var child = SeededGenerator(seed: state ^ hash)
        return SeededGenerator(seed: child.next())
    }
}
