// Octets an application gave to a connection and the peer has not acknowledged (sk_write_queue). The application's
// arrays are kept as they came and only counted off, so that a copy of the connection copies none of them.

struct SendBuffer: Sendable {
    private var chunks: [[UInt8]] = []
    /// How much of the first chunk is acknowledged.
    private var skipped = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ octets: [UInt8]) {
        guard !octets.isEmpty else { return }
        chunks.append(octets)
        count += octets.count
    }

    /// Forgets acknowledged octets, at most all there are.
    mutating func removeFirst(_ number: Int) {
        let number = min(number, count)
        count -= number
        skipped += number
        var done = 0
        while done < chunks.count, skipped >= chunks[done].count {
            skipped -= chunks[done].count
            done += 1
        }
        chunks.removeFirst(done)
    }

    /// The octets of `range`, which counts from the first unacknowledged one.
    subscript(_ range: Range<Int>) -> ArraySlice<UInt8> {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "octets outside the send buffer")
        var start = range.lowerBound + skipped
        var gathered: [UInt8] = []
        for chunk in chunks {
            if start >= chunk.count {
                start -= chunk.count
                continue
            }
            let missing = range.count - gathered.count
            let piece = chunk[start..<min(start + missing, chunk.count)]
            if piece.count == range.count { return piece }
            gathered += piece
            start = 0
            if gathered.count == range.count { break }
        }
        return gathered[...]
    }
}
