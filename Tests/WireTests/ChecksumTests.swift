// The internet checksum against published values, against a plain reference, and changed in place.

import Addressing
import Testing

@testable import Wire

@Suite struct ChecksumTests {
    /// RFC 1071 word by word, as slow and plain as it can be.
    static func reference(_ bytes: [UInt8]) -> UInt16 {
        var sum = 0
        for offset in stride(from: 0, to: bytes.count, by: 2) {
            sum += Int(bytes[offset]) << 8 | (offset + 1 < bytes.count ? Int(bytes[offset + 1]) : 0)
            sum = (sum & 0xffff) + sum >> 16
        }
        return ~UInt16(sum)
    }

    static func checksum(_ bytes: [UInt8]) -> UInt16 { Checksum.of(bytes.span.bytes, in: 0..<bytes.count) }

    @Test func `known answers`() {
        let rows: [(String, UInt16)] = [
            ("", 0xffff), ("00", 0xffff), ("01", 0xfeff), ("0001", 0xfffe), ("ffff", 0), ("ff", 0x00ff),
            ("0001f203f4f5f6f7", 0x220d),  // RFC 1071 section 3: the sum is ddf2
            ("45000073000040004011 0000 c0a80001c0a800c7", 0xb861),
            ("ffffffffffffffffff", 0x00ff),
        ]
        for (text, expected) in rows {
            let bytes = octets(text)
            #expect(Self.reference(bytes) == expected, "\(text)")
            #expect(Self.checksum(bytes) == expected, "\(text)")
        }
    }

    @Test func `every length and alignment equals the plain reference`() {
        var random = SeededGenerator()
        for count in 0..<130 {
            let bytes = random.octets(count + 7)
            for start in 0..<4 {
                let part = Array(bytes[start..<start + count])
                let checksum = Checksum.of(bytes.span.bytes, in: start..<start + count)
                #expect(checksum == Self.reference(part), "\(start)+\(count)")
            }
        }
        let ones = [UInt8](repeating: 0xff, count: 65_535)
        #expect(Self.checksum(ones) == Self.reference(ones))
    }

    @Test func `a sum in pieces equals the sum in one, odd pieces included`() {
        var random = SeededGenerator()
        for _ in 0..<200 {
            let bytes = random.octets(60)
            let cuts = [0, Int(random.number(UInt8.self) % 61), Int(random.number(UInt8.self) % 61), 60].sorted()
            var sum = Checksum()
            for (start, end) in zip(cuts, cuts.dropFirst()) { sum.add(bytes.span.bytes, in: start..<end) }
            #expect(sum.value == Self.reference(bytes), "\(cuts)")
        }
    }

    @Test func `words and addresses count like their octets`() {
        var random = SeededGenerator()
        for family in AddressFamily.allCases {
            let address = random.address(family)
            let word: UInt16 = random.number()
            let wide: UInt32 = random.number()
            var sum = Checksum()
            sum.add(address)
            sum.add(word)
            sum.add(wide)
            let width = family.bitWidth / 8
            let bytes = written(width + 6) { span, offset in
                span.storeIPAddress(address, at: offset)
                span.storeUInt16(word, at: offset + width)
                span.storeUInt32(wide, at: offset + width + 2)
            }
            #expect(sum.value == Self.reference(bytes))
        }
    }

    @Test func `an update in place equals a full computation`() {
        var random = SeededGenerator()
        for _ in 0..<2000 {
            var bytes = random.octets(40)
            let before = Self.reference(bytes)
            let offset = Int(random.number(UInt8.self) % 12) * 2
            func word(_ at: Int) -> UInt16 { UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1]) }
            let old16 = word(offset)
            let old32 = UInt32(word(offset)) << 16 | UInt32(word(offset + 2))
            let old128 = bytes.span.bytes.loadIPv6Address(at: offset)
            // Zero and all ones are where ones' complement has its corners.
            let choices: [UInt32] = [0, .max, 0xffff, 0xffff_0000, random.number()]
            let new = choices[Int(random.number(UInt8.self) % 5)]
            let new16 = UInt16(truncatingIfNeeded: new)
            let newAddress = random.ipv6()
            var changed = bytes
            changed.replaceSubrange(offset..<offset + 2, with: [UInt8(new16 >> 8), UInt8(new16 & 0xff)])
            #expect(Checksum.update(before, replacing: old16, with: new16) == Self.reference(changed))
            changed = bytes
            let four = (0..<4).map { UInt8(truncatingIfNeeded: new >> UInt32(24 - 8 * $0)) }
            changed.replaceSubrange(offset..<offset + 4, with: four)
            #expect(Checksum.update(before, replacing: old32, with: new) == Self.reference(changed))
            #expect(
                Checksum.update(
                    before, replacing: IPAddress(IPv4Address(rawValue: old32)),
                    with: IPAddress(IPv4Address(rawValue: new)))
                    == Self.reference(changed))
            bytes.replaceSubrange(offset..<offset + 16, with: written(16) { $0.storeIPv6Address(newAddress, at: $1) })
            #expect(
                Checksum.update(before, replacing: IPAddress(old128), with: IPAddress(newAddress))
                    == Self.reference(bytes))
        }
    }

    @Test func `CRC32c known answers`() {
        let rows: [([UInt8], UInt32)] = [
            (Array("123456789".utf8), 0xe306_9283),
            // RFC 3720 appendix B.4
            ([UInt8](repeating: 0, count: 32), 0x8a91_36aa), ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
            (Array(0..<32), 0x46dd_794e), (Array((0..<32).reversed()), 0x113f_db5c),
        ]
        for (bytes, expected) in rows {
            let checksum = CRC32C.checksum(bytes.span.bytes, in: 0..<bytes.count)
            #expect(checksum == expected)
        }
    }
}

@Suite struct TransportChecksumTests {
    static let protocols: [IPProtocol] = [.tcp, .udp, .icmp, .icmpv6, .sctp]

    struct KernelSegment {
        var frame: [UInt8]
        var number: IPProtocol
        var isIPv6 = false
        var start: Int { isIPv6 ? 54 : 34 }
        var source: IPAddress {
            isIPv6
                ? IPAddress(frame.span.bytes.loadIPv6Address(at: 22))
                : IPAddress(frame.span.bytes.loadIPv4Address(at: 26))
        }
        var destination: IPAddress {
            isIPv6
                ? IPAddress(frame.span.bytes.loadIPv6Address(at: 38))
                : IPAddress(frame.span.bytes.loadIPv4Address(at: 30))
        }
        func verify() -> Bool {
            TransportChecksum.verify(
                number, source: source, destination: destination, in: frame.span.bytes, segment: start..<frame.count)
        }
        mutating func fill() {
            let (number, source, destination) = (number, source, destination)
            let segment = start..<frame.count
            var span = frame.mutableSpan
            var bytes = span.mutableBytes
            TransportChecksum.fill(number, source: source, destination: destination, in: &bytes, segment: segment)
        }
    }

    static let segments: [KernelSegment] =
        KernelFrames.conversation.map { KernelSegment(frame: $0, number: .tcp) } + [
            KernelSegment(frame: KernelFrames.reset, number: .tcp),
            KernelSegment(frame: KernelFrames.datagram, number: .udp),
            KernelSegment(frame: KernelFrames.encapsulatedSynchronize, number: .udp),
            KernelSegment(frame: KernelFrames.echoRequest, number: .icmp),
            KernelSegment(frame: KernelFrames.echoReply, number: .icmp),
            KernelSegment(frame: KernelFrames.portUnreachable, number: .icmp),
            KernelSegment(frame: KernelFrames.datagram6, number: .udp, isIPv6: true),
            KernelSegment(frame: KernelFrames.neighborSolicitation, number: .icmpv6, isIPv6: true),
            KernelSegment(frame: KernelFrames.neighborAdvertisement, number: .icmpv6, isIPv6: true),
            KernelSegment(frame: KernelFrames.echoRequest6, number: .icmpv6, isIPv6: true),
            KernelSegment(frame: KernelFrames.portUnreachable6, number: .icmpv6, isIPv6: true),
        ]

    @Test func `a kernel's checksums verify, and filling them in gives the same octets`() {
        for segment in Self.segments {
            #expect(segment.verify())
            var copy = segment
            let field = segment.start + TransportChecksum.offset(of: segment.number)!
            copy.frame.replaceSubrange(field..<field + 2, with: [0xa5, 0xa5])
            #expect(!copy.verify())
            copy.fill()
            #expect(copy.frame == segment.frame)
        }
    }

    @Test func `a changed octet or address is noticed`() {
        for segment in Self.segments {
            var copy = segment
            copy.frame[copy.frame.count - 1] ^= 1
            #expect(!copy.verify())
            guard segment.number != .icmp else { continue }
            copy = segment
            copy.frame[copy.start - 1] ^= 1
            #expect(!copy.verify())
        }
    }

    @Test func `a UDP checksum that comes out as zero is sent as all ones`() {
        let builder = PacketBuilder.nodes
        // The two free octets take the value that makes the sum come out even.
        var frame = builder.udp(from: 1, to: 2, payload: [0, 0])
        let sum = frame.word(at: 40)
        frame = builder.udp(from: 1, to: 2, payload: [UInt8(sum >> 8), UInt8(sum & 0xff)])
        #expect(frame.word(at: 40) == 0xffff)
        #expect(KernelSegment(frame: frame, number: .udp).verify())
    }

    @Test func `no UDP checksum is fine over IPv4 and wrong over IPv6`() {
        let four = PacketBuilder.nodes.udp(from: 1, to: 2, payload: [9], checksum: false)
        #expect(KernelSegment(frame: four, number: .udp).verify())
        let six = PacketBuilder.nodes6.udp(from: 1, to: 2, payload: [9], checksum: false)
        #expect(!KernelSegment(frame: six, number: .udp, isIPv6: true).verify())
    }

    @Test func `a segment too short for its checksum is wrong, a protocol without one is right`() {
        let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7]
        for number in Self.protocols {
            let minimum = TransportChecksum.offset(of: number)! + 1
            let segment = 0..<min(minimum, 2)
            #expect(
                !verifies(number, bytes, in: segment)
            )
        }
        #expect(
            verifies(IPProtocol(rawValue: 47), bytes, in: 0..<7))
    }

    @Test func `translating addresses and ports keeps every checksum right`() {
        var random = SeededGenerator()
        for family in AddressFamily.allCases {
            for number in [IPProtocol.tcp, .udp, family == .ipv4 ? .icmp : .icmpv6] {
                for _ in 0..<60 {
                    let payload = random.octets(Int(random.number(UInt8.self) % 40) + 20)
                    let old = (random.address(family), random.address(family))
                    let new = (random.address(family), random.address(family))
                    let port: UInt16 = random.number()
                    let isPort = number != .icmp && number != .icmpv6
                    let position = isPort ? 2 : 4
                    let bytes = written(payload.count) { span, offset in
                        span.store(payload, at: offset)
                        let segment = offset..<offset + payload.count
                        TransportChecksum.fill(number, source: old.0, destination: old.1, in: &span, segment: segment)
                        TransportChecksum.replace(number, address: old.0, with: new.0, in: &span, at: offset)
                        TransportChecksum.replace(number, address: old.1, with: new.1, in: &span, at: offset)
                        TransportChecksum.replaceWord(number, at: position, with: port, in: &span, at: offset)
                    }
                    #expect(bytes.word(at: position) == port)
                    var expected = bytes
                    var span = expected.mutableSpan
                    var raw = span.mutableBytes
                    TransportChecksum.fill(
                        number, source: new.0, destination: new.1, in: &raw, segment: 0..<payload.count)
                    #expect(bytes == expected, "\(number) \(family)")
                }
            }
        }
    }

    @Test func `translation leaves an absent UDP checksum absent`() {
        var frame = PacketBuilder.nodes.udp(from: 1, to: 2, payload: [9], checksum: false)
        var span = frame.mutableSpan
        var bytes = span.mutableBytes
        TransportChecksum.replace(.udp, address: .v4(1, 2, 3, 4), with: .v4(5, 6, 7, 8), in: &bytes, at: 34)
        TransportChecksum.replaceWord(.udp, at: 2, with: 99, in: &bytes, at: 34)
        #expect(bytes.loadUInt16(at: 40) == 0)
        #expect(bytes.loadUInt16(at: 36) == 99)
    }
}
