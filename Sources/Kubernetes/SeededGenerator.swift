// All chance in the control plane: SplitMix64 (Steele, Lea and Flood 2014) with bounded draws of our own, because the
// standard library may change how it maps bits to numbers. Each object draws from its own stream, so that adding one
// object does not rename all others.

/// A reproducible source of random numbers.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// The generator of one thing under a seed: equal seed and equal `stream` give equal draws.
    public init(seed: UInt64, stream: String) {
        var hash = FNV1a64()
        hash.combine(stream)
        var mixer = SeededGenerator(seed: seed)
        state = mixer.next() ^ hash.value
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to but excluding `bound`, every one equally likely.
    public mutating func draw(below bound: Int) -> Int {
        precondition(bound > 0, "nothing to draw from")
        let range = UInt64(bound)
        // Draws below 2^64 mod range would favour small results; they are thrown away.
        let threshold = (0 &- range) % range
        while true {
            let value = next()
            if value >= threshold { return Int(value % range) }
        }
    }

    /// `count` characters of the alphabet Kubernetes makes name suffixes from; it has no vowels and no 0, 1 and 3.
    public mutating func nameSuffix(_ count: Int = 5) -> String {
        var bytes: [UInt8] = []
        for _ in 0..<count { bytes.append(nameAlphabet[draw(below: nameAlphabet.count)]) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A version 4 UUID in lower case.
    public mutating func uuid() -> String {
        let high = next() & 0xffff_ffff_ffff_0fff | 0x4000
        let low = next() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000
        let digits = Array("0123456789abcdef".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(36)
        for nibble in 0..<32 {
            if nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20 { bytes.append(UInt8(ascii: "-")) }
            let word = nibble < 16 ? high : low
            bytes.append(digits[Int(word >> UInt64(60 - 4 * (nibble % 16)) & 0xf)])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The 27 characters of k8s.io/apimachinery util/rand.
let nameAlphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)

/// FNV-1a with 64 bits, for stream names.
struct FNV1a64 {
    var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func combine(_ text: String) {
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }
}
