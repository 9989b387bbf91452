// What arrived beyond a gap, and what is told of it: the blocks of the SACK option, newest first, and the one that
// tells of octets that came twice. Mirrors out_of_order_queue and selective_acks of struct tcp_sock, tcp_data_queue_ofo
// and tcp_sack_new_ofo_skb of net/ipv4/tcp_input.c (RFC 2018, RFC 2883).

internal import Wire

struct OutOfOrderQueue: Sendable {
    struct Segment: Sendable {
        var sequence: UInt32
        var octets: [UInt8]
        var fin: Bool
        var end: UInt32 { sequence &+ UInt32(octets.count) &+ (fin ? 1 : 0) }
    }

    /// More segments than this are refused.
    static let limit = 16_384
    private static let blockLimit = 4

    /// In order of their numbers.
    private(set) var segments: [Segment] = []
    /// The last to change comes first.
    private var blocks: [SACKBlock] = []
    /// What came twice, until an acknowledgment has told of it.
    var duplicate: SACKBlock?

    var isEmpty: Bool { segments.isEmpty }

    /// Keeps a segment. False when all of it was here already, or there is no room.
    mutating func insert(_ segment: Segment) -> Bool {
        guard segments.count < Self.limit else { return false }
        var place = segments.count
        while place > 0, isBefore(segment.sequence, segments[place - 1].sequence) { place -= 1 }
        if place > 0, !isBefore(segments[place - 1].end, segment.end) {
            duplicate = SACKBlock(left: segment.sequence, right: segment.end)
            return false
        }
        if place < segments.count, segments[place].sequence == segment.sequence,
            !isBefore(segments[place].end, segment.end)
        {
            duplicate = SACKBlock(left: segment.sequence, right: segment.end)
            return false
        }
        segments.insert(segment, at: place)
        note(segment.sequence, segment.end)
        return true
    }

    private mutating func note(_ left: UInt32, _ right: UInt32) {
        var block = SACKBlock(left: left, right: right)
        blocks.removeAll { other in
            guard !isBefore(other.right, block.left), !isBefore(block.right, other.left) else { return false }
            if isBefore(other.left, block.left) { block.left = other.left }
            if isBefore(block.right, other.right) { block.right = other.right }
            return true
        }
        blocks.insert(block, at: 0)
        if blocks.count > Self.blockLimit { blocks.removeLast() }
    }

    /// Takes out what follows `expected` without a gap, and forgets what lies before.
    mutating func takeContiguous(from expected: inout UInt32) -> (octets: [[UInt8]], fin: Bool) {
        var octets: [[UInt8]] = []
        var fin = false
        var done = 0
        while done < segments.count, !isBefore(expected, segments[done].sequence) {
            let segment = segments[done]
            let end = segment.sequence &+ UInt32(segment.octets.count)
            if isBefore(expected, end) {
                let known = Int(expected &- segment.sequence)
                octets.append(known == 0 ? segment.octets : Array(segment.octets.dropFirst(known)))
                expected = end
            }
            fin = fin || segment.fin
            done += 1
        }
        segments.removeFirst(done)
        let limit = expected
        blocks.removeAll { !isBefore(limit, $0.left) }
        return (octets, fin)
    }

    /// The blocks of the next acknowledgment, at most `limit`.
    mutating func takeBlocks(limit: Int) -> [SACKBlock] {
        guard duplicate != nil || !blocks.isEmpty else { return [] }
        let first = duplicate.map { [$0] } ?? []
        duplicate = nil
        return first + blocks.prefix(limit - first.count)
    }
}
