// The octets of one input, at a fixed address because libYAML reads from a pointer for as long as it parses.
// JSON writes characters beyond U+FFFF as a pair of \u escapes, which YAML does not know; they are rewritten here.

/// The text of one file in memory.
///
/// Never changed once made, and so safe to share.
package final class SourceBuffer: @unchecked Sendable {
    /// The name errors use.
    package let name: String
    private let storage: UnsafeMutableBufferPointer<UInt8>
    private let count: Int

    /// Takes over memory from malloc, of which the first `count` octets are the text.
    init(name: String, adopting memory: UnsafeMutablePointer<UInt8>, count: Int) {
        self.name = name
        storage = UnsafeMutableBufferPointer(start: memory, count: count)
        self.count = SourceBuffer.joinSurrogatePairs(storage)
    }

    package convenience init(name: String, bytes: some Collection<UInt8>) {
        let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(bytes.count, 1))
        _ = memory.initialize(from: bytes)
        self.init(name: name, adopting: memory.baseAddress.unsafelyUnwrapped, count: bytes.count)
    }

    package convenience init(name: String, text: String) { self.init(name: name, bytes: text.utf8) }

    deinit { storage.deallocate() }

    /// The text; valid as long as this object is.
    package var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(rebasing: storage[..<count]) }

    /// Line `number` without its line break, for error texts; empty past the end.
    package func line(_ number: Int) -> String {
        var current = 1
        var start = 0
        let bytes = self.bytes
        while current < number, start < bytes.count {
            let byte = bytes[start]
            start += 1
            if byte == UInt8(ascii: "\n") || (byte == UInt8(ascii: "\r") && !startsWith("\n", at: start)) {
                current += 1
            }
        }
        guard current == number else { return "" }
        var end = start
        while end < bytes.count, bytes[end] != UInt8(ascii: "\n"), bytes[end] != UInt8(ascii: "\r") { end += 1 }
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }

    /// Line and column, both from 1, of the octet at `offset`.
    package func position(ofByte offset: Int) -> (line: Int, column: Int) {
        var (line, column) = (1, 1)
        let bytes = self.bytes
        for index in 0..<min(max(offset, 0), bytes.count) {
            switch bytes[index] {
            case UInt8(ascii: "\n"): (line, column) = (line + 1, 1)
            case 0x80...0xbf: break  // a continuation octet belongs to the character before it
            default: column += 1
            }
        }
        return (line, column)
    }

    private func startsWith(_ character: Unicode.Scalar, at index: Int) -> Bool {
        index < count && storage[index] == UInt8(ascii: character)
    }

    /// Replaces `\ud83d\ude00` by `\U0001F600` and a lone half by `\ufffd`, in place, in text that begins as JSON
    /// does; returns the new length. Later columns of such a line shrink by two for each pair.
    private static func joinSurrogatePairs(_ storage: UnsafeMutableBufferPointer<UInt8>) -> Int {
        guard let first = storage.first(where: { $0 > 0x20 && $0 < 0x80 }),
            first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
        else { return storage.count }
        var source = 0
        var target = 0
        func copy(_ octets: Int) {
            for _ in 0..<octets {
                storage[target] = storage[source]
                target += 1
                source += 1
            }
        }
        while source < storage.count {
            guard storage[source] == UInt8(ascii: "\\"), source + 1 < storage.count else {
                copy(1)
                continue
            }
            guard let unit = escapedUnit(storage, at: source), 0xd800...0xdfff ~= unit else {
                copy(2)
                continue
            }
            if unit < 0xdc00, let low = escapedUnit(storage, at: source + 6), 0xdc00...0xdfff ~= low {
                let scalar = 0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00)
                target = write("\\U", scalar, digits: 8, to: storage, at: target)
                source += 12
            } else {
                target = write("\\u", 0xfffd, digits: 4, to: storage, at: target)
                source += 6
            }
        }
        return target
    }

    /// The number of a `\uXXXX` escape at `index`.
    private static func escapedUnit(_ storage: UnsafeMutableBufferPointer<UInt8>, at index: Int) -> UInt32? {
        guard index + 6 <= storage.count, storage[index] == UInt8(ascii: "\\"), storage[index + 1] == UInt8(ascii: "u")
        else { return nil }
        var value: UInt32 = 0
        for byte in storage[index + 2..<index + 6] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    private static func write(
        _ escape: StaticString, _ value: UInt32, digits: Int, to storage: UnsafeMutableBufferPointer<UInt8>,
        at start: Int
    ) -> Int {
        storage[start] = escape.utf8Start[0]
        storage[start + 1] = escape.utf8Start[1]
        let hexadecimal: StaticString = "0123456789abcdef"
        for place in 0..<digits {
            let nibble = Int(value >> UInt32(4 * (digits - 1 - place)) & 0xf)
            storage[start + 2 + place] = hexadecimal.utf8Start[nibble]
        }
        return start + 2 + digits
    }
}
