// TCP options (RFC 9293 section 3.2, RFC 7323, RFC 2018): read as net/ipv4/tcp_input.c tcp_parse_options does, which
// stops quietly at the first malformed one, and written in the order and padding of net/ipv4/tcp_output.c
// tcp_options_write, so that a segment compares equal with a captured one.
// Left out: MD5 and AO signatures, fast open, MPTCP; they are skipped when read.

/// One block of data that arrived beyond a gap: from `left` up to, not including, `right`.
public struct SACKBlock: Hashable, Sendable, BitwiseCopyable {
    public var left: UInt32
    public var right: UInt32

    public init(left: UInt32, right: UInt32) {
        self.left = left
        self.right = right
    }
}

/// The timestamps option.
public struct TCPTimestamps: Hashable, Sendable, BitwiseCopyable {
    /// TSval, the sender's clock.
    public var value: UInt32
    /// TSecr, the other side's value.
    public var echo: UInt32

    public init(value: UInt32, echo: UInt32) {
        self.value = value
        self.echo = echo
    }
}

/// The options of one segment.
public struct TCPOptions: Hashable, Sendable {
    public enum Kind {
        public static let endOfList: UInt8 = 0
        public static let noOperation: UInt8 = 1
        public static let maximumSegmentSize: UInt8 = 2
        public static let windowScale: UInt8 = 3
        public static let sackPermitted: UInt8 = 4
        public static let sack: UInt8 = 5
        public static let timestamps: UInt8 = 8
    }

    /// RFC 7323 section 2.3; Linux reads a larger shift as this one.
    public static let maximumWindowScale: UInt8 = 14

    public var maximumSegmentSize: UInt16?
    public var windowScale: UInt8?
    public var sackPermitted: Bool
    public var timestamps: TCPTimestamps?
    /// Four at most, three beside timestamps.
    public var sackBlocks: [SACKBlock]

    public init(
        maximumSegmentSize: UInt16? = nil, windowScale: UInt8? = nil, sackPermitted: Bool = false,
        timestamps: TCPTimestamps? = nil, sackBlocks: [SACKBlock] = []
    ) {
        self.maximumSegmentSize = maximumSegmentSize
        self.windowScale = windowScale
        self.sackPermitted = sackPermitted
        self.timestamps = timestamps
        self.sackBlocks = sackBlocks
    }

    /// How many octets `write` writes, padding included: a multiple of four.
    public var length: Int {
        var length = 0
        if maximumSegmentSize != nil { length += 4 }
        if timestamps != nil { length += 12 } else if sackPermitted { length += 4 }
        if windowScale != nil { length += 4 }
        if !sackBlocks.isEmpty { length += 4 + 8 * sackBlocks.count }
        return length
    }

    /// Reads the options in `range`. MSS, window scale and SACK-permitted count only on a segment with SYN.
    public init(parsing bytes: RawSpan, in range: Range<Int>, isSynchronize: Bool) {
        self.init()
        var offset = range.lowerBound
        while offset < range.upperBound {
            let kind = bytes.loadUInt8(at: offset)
            if kind == Kind.endOfList { return }
            if kind == Kind.noOperation {
                offset += 1
                continue
            }
            guard range.upperBound - offset >= 2 else { return }
            let length = Int(bytes.loadUInt8(at: offset + 1))
            guard length >= 2, length <= range.upperBound - offset else { return }
            switch (kind, length) {
            case (Kind.maximumSegmentSize, 4) where isSynchronize:
                let size = bytes.loadUInt16(at: offset + 2)
                if size != 0 { maximumSegmentSize = size }
            case (Kind.windowScale, 3) where isSynchronize:
                windowScale = min(bytes.loadUInt8(at: offset + 2), Self.maximumWindowScale)
            case (Kind.sackPermitted, 2) where isSynchronize:
                sackPermitted = true
            case (Kind.timestamps, 10):
                timestamps = TCPTimestamps(
                    value: bytes.loadUInt32(at: offset + 2), echo: bytes.loadUInt32(at: offset + 6))
            case (Kind.sack, 10...) where (length - 2) % 8 == 0:
                sackBlocks = stride(from: offset + 2, to: offset + length, by: 8).map {
                    SACKBlock(left: bytes.loadUInt32(at: $0), right: bytes.loadUInt32(at: $0 + 4))
                }
            default:
                break
            }
            offset += length
        }
    }

    /// Writes `length` octets: `mss, sackOK, TS, nop, wscale` on a SYN, `nop, nop, TS` and then
    /// `nop, nop, sack` on others. SACK-permitted takes the place of the padding in front of the timestamps.
    public func write(to bytes: inout MutableRawSpan, at offset: Int) {
        var offset = offset
        func word(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8, _ bytes: inout MutableRawSpan) {
            bytes.storeUInt8(a, at: offset)
            bytes.storeUInt8(b, at: offset + 1)
            bytes.storeUInt8(c, at: offset + 2)
            bytes.storeUInt8(d, at: offset + 3)
            offset += 4
        }
        let nop = Kind.noOperation
        if let size = maximumSegmentSize {
            word(Kind.maximumSegmentSize, 4, UInt8(size >> 8), UInt8(truncatingIfNeeded: size), &bytes)
        }
        if let timestamps {
            if sackPermitted {
                word(Kind.sackPermitted, 2, Kind.timestamps, 10, &bytes)
            } else {
                word(nop, nop, Kind.timestamps, 10, &bytes)
            }
            bytes.storeUInt32(timestamps.value, at: offset)
            bytes.storeUInt32(timestamps.echo, at: offset + 4)
            offset += 8
        } else if sackPermitted {
            word(nop, nop, Kind.sackPermitted, 2, &bytes)
        }
        if let windowScale {
            word(nop, Kind.windowScale, 3, windowScale, &bytes)
        }
        if !sackBlocks.isEmpty {
            word(nop, nop, Kind.sack, UInt8(2 + 8 * sackBlocks.count), &bytes)
            for block in sackBlocks {
                bytes.storeUInt32(block.left, at: offset)
                bytes.storeUInt32(block.right, at: offset + 4)
                offset += 8
            }
        }
    }
}
