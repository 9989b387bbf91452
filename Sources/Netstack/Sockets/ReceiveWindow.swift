// How much a receiver offers: memory, the share of it that is data, and its growth with what arrives and what the
// application reads. Mirrors tcp_select_window and tcp_select_initial_window of net/ipv4/tcp_output.c, and
// tcp_grow_window, tcp_measure_rcv_mss and tcp_rcv_space_adjust of tcp_input.c. Simplified: a segment's memory is its
// payload and one head for those that follow each other; a host never runs short of memory.

/// Memory for what a socket receives (net.ipv4.tcp_rmem).
public struct TCPReceiveMemory: Hashable, Sendable {
    public var minimum: Int
    public var initial: Int
    public var maximum: Int

    public init(minimum: Int, initial: Int, maximum: Int) {
        self.minimum = minimum
        self.initial = initial
        self.maximum = maximum
    }

    /// The shift that lets a window field tell of all of it.
    var windowScale: UInt8 {
        var bits = 0
        while maximum >> bits > 1 { bits += 1 }
        return UInt8(min(max(bits - 15, 0), 14))
    }
}

/// What a connection offers to receive.
struct ReceiveWindow: Sendable {
    /// sk_rcvbuf
    private var buffer: Int
    private let mostBuffer: Int
    /// Of 256 octets of memory, how many are data (scaling_ratio).
    private var share = 128
    /// What the window may become, and what it is meant to be now.
    private var clamp: Int
    private var target: Int
    /// What was last offered, and from where (rcv_wnd, rcv_wup).
    private(set) var offered: Int
    var offeredFrom: UInt32 = 0
    /// Memory of what waits for the application, or for what is missing before it.
    private var held = 0
    /// Segments that share the head of the last one.
    private var joined = 0
    /// The largest segment seen (rcv_mss).
    private(set) var segmentSize: Int
    private let advertised: Int

    // What the application reads in a round trip (dynamic right sizing).
    private var space: Int
    private var read = 0
    private var readSince: Nanoseconds = 0
    private var roundTrip: Nanoseconds = 0

    /// Of a SYN or SYN-ACK: whole segments within the initial buffer's share. A SYN-ACK counts segments without their
    /// time stamps.
    init(segmentSize: UInt16, answersTimestamps: Bool, _ sysctls: Sysctls) {
        let memory = sysctls.tcpReceiveMemory
        buffer = memory.initial
        mostBuffer = memory.maximum
        clamp = memory.initial / 2 - max(Int(segmentSize) - 12, 1)
        let size = max(Int(segmentSize) - (answersTimestamps ? 12 : 0), 1)
        let most = min(memory.initial / 2, 65_535)
        offered = size > most ? most : most / size * size
        // A client begins from what the first segment behind the handshake offers.
        let unit = answersTimestamps ? 1 : 1 << Int(memory.windowScale)
        target = (offered + unit - 1) / unit * unit
        advertised = max(Int(segmentSize) - 12, 1)
        self.segmentSize = max(min(advertised, offered / 2, 536), 88)
        space = min(offered, 10 * advertised)
    }

    private func data(in memory: Int) -> Int { max(memory, 0) * share / 256 }

    /// The memory a segment takes beside its octets; one that joins the segment before it takes none.
    private static let overhead = 832
    /// So many segments share one head (MAX_SKB_FRAGS).
    private static let mostJoined = 17

    // MARK: offering

    /// What could be offered now (__tcp_select_window).
    func available(scale: UInt8) -> Int {
        let free = data(in: buffer - held)
        let full = min(clamp, data(in: buffer))
        guard free >= full / 16, free >= segmentSize || full < segmentSize else { return 0 }
        let unit = 1 << Int(scale)
        return (min(free, target) + unit - 1) / unit * unit
    }

    /// How much of the last offer is left.
    func remaining(expected: UInt32) -> Int {
        max(offered - Int(Int32(bitPattern: expected &- offeredFrom)), 0)
    }

    /// The window field of a segment (tcp_select_window): an offer is never taken back.
    mutating func field(expected: UInt32, scale: UInt8) -> UInt16 {
        let unit = 1 << Int(scale)
        let left = remaining(expected: expected)
        var window = available(scale: scale)
        if window < left { window = (left + unit - 1) / unit * unit }
        window = min(window, 65_535 << Int(scale))
        (offered, offeredFrom) = (window, expected)
        return UInt16(clamping: window >> Int(scale))
    }

    /// The window opens so much by what was read that the peer should hear of it (tcp_cleanup_rbuf).
    func opensMuch(expected: UInt32, scale: UInt8) -> Bool {
        let left = remaining(expected: expected)
        guard 2 * left <= clamp else { return false }
        let window = available(scale: scale)
        return window > 0 && window >= 2 * left
    }

    // MARK: growing

    /// Payload arrived (tcp_measure_rcv_mss, tcp_grow_window), behind another segment that is not read yet when it
    /// `follows`. True when the target grew.
    mutating func arrived(_ payload: Int, isInOrder: Bool, follows: Bool) -> Bool {
        joined = follows && joined < Self.mostJoined ? joined + 1 : 1
        let isFirst = joined == 1
        held += payload + (isFirst ? Self.overhead : 0)
        if payload >= segmentSize {
            if payload != segmentSize {
                share = max(payload * 256 / (payload + Self.overhead), 1)
                clamp = data(in: buffer)
                space = min(space, clamp)
            }
            segmentSize = min(payload, advertised)
        }
        guard payload >= 128 || !isInOrder else { return false }
        let room = min(clamp, data(in: buffer - held)) - target
        guard room > 0 else { return false }
        var step = 2 * advertised
        // What waits for missing octets counts with its head, unless that is shared.
        if !isInOrder, isFirst, data(in: payload + Self.overhead) > payload {
            step = 0
            var size = data(in: payload + Self.overhead) / 2
            var window = data(in: mostBuffer) / 2
            while target <= window {
                if size <= payload {
                    step = 2 * segmentSize
                    break
                }
                size /= 2
                window /= 2
            }
        }
        guard step > 0 else { return false }
        target += min(room, max(step, 2 * payload))
        return true
    }

    /// A lone FIN joined what waits for missing octets: it takes no memory, and the window grows all the same.
    mutating func endJoined() -> Bool {
        let room = min(clamp, data(in: buffer - held)) - target
        guard room > 0 else { return false }
        target += min(room, 2 * advertised)
        return true
    }

    /// The application has read all there was in order; `waiting` segments still miss something before them.
    mutating func wasRead(_ octets: Int, waiting: Int, at now: Nanoseconds) {
        held = waiting > 0 ? waiting * segmentSize + Self.overhead : 0
        joined = 0
        read += octets
        guard roundTrip > 0, now - readSince >= roundTrip else { return }
        if read > space {
            space = read
            let wanted = min(2 * read * 256 / share, mostBuffer)
            if wanted > buffer {
                buffer = wanted
                clamp = data(in: buffer)
            }
        }
        read = 0
        readSince = now
    }

    /// A round trip as time stamps tell it: in whole milliseconds, one at least.
    mutating func measure(_ milliseconds: UInt32) {
        guard milliseconds < 1 << 20 else { return }
        let measured = Nanoseconds(max(milliseconds, 1)) * 1_000_000
        roundTrip = roundTrip == 0 ? measured : min(roundTrip, measured)
    }
}
