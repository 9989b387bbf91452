// Random parts of names, in the alphabet of k8s.io/apimachinery util/rand, and UIDs. Each object draws from a stream of
// its own, so that adding one object does not rename all others.

public import Addressing

extension SeededGenerator {
    /// The generator of one thing under a seed.
    init(seed: UInt64, stream: String) { self = SeededGenerator(seed: seed).stream(stream) }

    /// `count` characters as Kubernetes appends them to generated names; there are no vowels and no 0, 1 and 3.
    public mutating func nameSuffix(_ count: Int = 5) -> String {
        var bytes: [UInt8] = []
        for _ in 0..<count { bytes.append(nameAlphabet[next(below: nameAlphabet.count)]) }
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

/// The 27 characters generated names are made of.
let nameAlphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)
