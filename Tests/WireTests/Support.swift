// What the tests of this target share: octets as text, dirty buffers, seeded chance, truncation.

import Addressing
import Testing
import Wire

/// Octets written in hexadecimal, blanks and line breaks ignored, everything behind a bar a comment.
func octets(_ text: String) -> [UInt8] {
    var result: [UInt8] = []
    for line in text.split(separator: "\n") {
        let digits = line.prefix { $0 != "|" }.filter { $0.isHexDigit }
        precondition(digits.count % 2 == 0, "half an octet in \(line)")
        var rest = digits[...]
        while !rest.isEmpty {
            result.append(UInt8(rest.prefix(2), radix: 16)!)
            rest = rest.dropFirst(2)
        }
    }
    return result
}

/// Runs `body` on a buffer full of 0xa5 with the place to write at offset 3, and gives what it wrote. Fails when an
/// octet in front of or behind those `count` octets changed.
func written(
    _ count: Int, sourceLocation: SourceLocation = #_sourceLocation, by body: (inout MutableRawSpan, Int) -> Void
) -> [UInt8] {
    let guardLength = 3
    var buffer = [UInt8](repeating: 0xa5, count: count + 2 * guardLength)
    var span = buffer.mutableSpan
    var bytes = span.mutableBytes
    body(&bytes, guardLength)
    #expect(
        buffer.prefix(guardLength) == [0xa5, 0xa5, 0xa5] && buffer.suffix(guardLength) == [0xa5, 0xa5, 0xa5],
        "wrote outside its place", sourceLocation: sourceLocation)
    return Array(buffer[guardLength..<guardLength + count])
}

/// The error `parse` throws for `bytes`, or nil.
func parseError(_ bytes: [UInt8], _ parse: (RawSpan, Int) throws(ParseError) -> Void) -> ParseError? {
    do {
        try parse(bytes.span.bytes, 0)
        return nil
    } catch {
        return error
    }
}

/// Every shorter prefix of `bytes` is refused with a truncation that tells how much is there; the whole is accepted.
func expectTruncations(
    _ bytes: [UInt8], _ layer: ParseError.Layer, sourceLocation: SourceLocation = #_sourceLocation,
    _ parse: (RawSpan, Int) throws(ParseError) -> Void
) {
    let lead = 5
    for count in 0..<bytes.count {
        let shifted = [UInt8](repeating: 0xa5, count: lead) + bytes.prefix(count)
        let error = parseError(shifted) { span, _ throws(ParseError) in try parse(span, lead) }
        guard let error, error.layer == layer, case .truncated(let needed, let available) = error.reason else {
            Issue.record("\(count) octets: \(error?.description ?? "accepted")", sourceLocation: sourceLocation)
            continue
        }
        #expect(needed > available, "\(error)", sourceLocation: sourceLocation)
        #expect(
            error.offset >= lead && error.offset + available == shifted.count, "\(error)",
            sourceLocation: sourceLocation)
    }
    let whole = [UInt8](repeating: 0xa5, count: lead) + bytes
    let error = parseError(whole) { span, _ throws(ParseError) in try parse(span, lead) }
    #expect(error == nil, sourceLocation: sourceLocation)
}

// `#expect` cannot hold a span, so what follows takes arrays.

/// A header that is read from octets.
protocol Parsable {
    init(parsing bytes: RawSpan, at offset: Int) throws(ParseError)
}

extension Parsable {
    init(_ bytes: [UInt8], at offset: Int = 0) throws(ParseError) {
        try self.init(parsing: bytes.span.bytes, at: offset)
    }
}

extension EthernetHeader: Parsable {}
extension ARPPacket: Parsable {}
extension IPv4Header: Parsable {}
extension IPv6Header: Parsable {}
extension IPv6FragmentHeader: Parsable {}
extension IPv6UpperLayer: Parsable {}
extension ICMPv4Message: Parsable {}
extension ICMPv6Message: Parsable {}
extension UDPHeader: Parsable {}
extension TCPHeader: Parsable {}
extension SCTPHeader: Parsable {}
extension SCTPChunkHeader: Parsable {}
extension VXLANHeader: Parsable {}

extension NeighborDiscoveryMessage {
    init(_ bytes: [UInt8], in range: Range<Int>) throws(ParseError) {
        try self.init(parsing: bytes.span.bytes, in: range)
    }
}

extension TCPOptions {
    init(_ bytes: [UInt8], isSynchronize: Bool) {
        self.init(parsing: bytes.span.bytes, in: 0..<bytes.count, isSynchronize: isSynchronize)
    }
}

extension [UInt8] {
    func word(at offset: Int) -> UInt16 { span.bytes.loadUInt16(at: offset) }
}

func headerLength(ofIPv4 bytes: [UInt8]) throws(ParseError) -> Int {
    try IPv4Header.headerLength(of: bytes.span.bytes)
}

func verifies(ipv4Header bytes: [UInt8]) -> Bool { IPv4Header.verifyChecksum(bytes.span.bytes) }

func verifies(_ number: IPProtocol, _ bytes: [UInt8], in segment: Range<Int>) -> Bool {
    let any = IPAddress.any(.ipv4)
    return TransportChecksum.verify(number, source: any, destination: any, in: bytes.span.bytes, segment: segment)
}

/// SplitMix64: the same numbers on every machine.
struct SeededGenerator: RandomNumberGenerator {
    static let seed: UInt64 = 20_261_121
    private var state: UInt64

    init(seed: UInt64 = SeededGenerator.seed) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number {
        Number(truncatingIfNeeded: next())
    }

    mutating func flag() -> Bool { next() & 1 == 1 }
    mutating func octets(_ count: Int) -> [UInt8] { (0..<count).map { _ in number() } }
    mutating func mac() -> MACAddress { MACAddress(rawValue: next()) }
    mutating func ipv4() -> IPv4Address { IPv4Address(rawValue: number()) }
    mutating func ipv6() -> IPv6Address { IPv6Address(high: next(), low: next()) }
    mutating func address(_ family: AddressFamily) -> IPAddress {
        family == .ipv4 ? IPAddress(ipv4()) : IPAddress(ipv6())
    }
}

extension MACAddress {
    static let first = MACAddress(rawValue: 0x0200_0000_320b)
    static let second = MACAddress(rawValue: 0x0200_0000_320c)
    static let firstTunnel = MACAddress(rawValue: 0x0200_000a_f400)
    static let secondTunnel = MACAddress(rawValue: 0x0200_000a_f401)
}

extension PacketBuilder {
    /// Between the two nodes of `KernelFrames`.
    static let nodes = PacketBuilder(
        sourceMAC: .first, destinationMAC: .second, source: .v4(192, 168, 50, 11), destination: .v4(192, 168, 50, 12))
    /// Between the two pods of `KernelFrames`.
    static let pods = PacketBuilder(
        sourceMAC: .firstTunnel, destinationMAC: .secondTunnel, source: .v4(10, 244, 0, 2),
        destination: .v4(10, 244, 1, 2))
    /// Between the two nodes over IPv6.
    static let nodes6 = PacketBuilder(
        sourceMAC: .first, destinationMAC: .second, source: IPAddress("fd00:50::11")!,
        destination: IPAddress("fd00:50::12")!)
}
