// Octets nobody should send: every parser and the describer take anything without trapping.

import Addressing
import Testing
import Wire

@Suite struct RobustnessTests {
    static let frames: [[UInt8]] =
        KernelFrames.conversation + [
            KernelFrames.arpRequest, KernelFrames.encapsulatedSynchronize, KernelFrames.datagram,
            KernelFrames.portUnreachable, KernelFrames.echoRequest, KernelFrames.datagram6,
            KernelFrames.neighborSolicitation, KernelFrames.portUnreachable6,
            PacketBuilder.nodes.sctp(
                from: 1, to: 2, verificationTag: 3, chunks: octets("01000014") + [UInt8](repeating: 1, count: 16)),
            PacketBuilder.nodes.udp(
                from: 1, to: 53,
                payload: octets("123485800001000100000000 0377777700 00010001 c00c00010001000000010004 0a600001")),
            PacketBuilder.nodes6.packet(
                .hopByHopOptions, payload: octets("2c00000000000000 1100000100000001 0001000200080000")),
        ]

    static func parseEverything(_ frame: [UInt8], at offset: Int) {
        _ = try? EthernetHeader(frame, at: offset)
        _ = try? ARPPacket(frame, at: offset)
        _ = try? IPv4Header(frame, at: offset)
        _ = try? IPv6UpperLayer(frame, at: offset)
        _ = try? TCPHeader(frame, at: offset)
        _ = try? UDPHeader(frame, at: offset)
        _ = try? ICMPv4Message(frame, at: offset)
        _ = try? NeighborDiscoveryMessage(frame, in: min(offset, frame.count)..<frame.count)
        _ = try? VXLANHeader(frame, at: offset)
        _ = try? SCTPChunkHeader(frame, at: offset)
        _ = try? PacketBuilder.fragments(of: frame, mtu: 576)
    }

    @Test func `frames with changed octets and any length are read without harm`() {
        var random = SeededGenerator()
        for frame in Self.frames {
            for _ in 0..<60 {
                var broken = frame
                for _ in 0..<Int(1 + random.number(UInt8.self) % 4) {
                    broken[Int(random.number(UInt32.self)) % broken.count] = random.number()
                }
                if random.flag() { broken.removeLast(Int(random.number(UInt32.self)) % broken.count) }
                #expect(!describe(frame: broken).isEmpty, "\(broken)")
                for offset in [0, 14, 34, 54, 62] { Self.parseEverything(broken, at: offset) }
            }
        }
    }

    @Test func `every prefix of every frame is described`() {
        for frame in Self.frames {
            for count in 0...frame.count {
                let prefix = Array(frame.prefix(count))
                #expect(!describe(frame: prefix).isEmpty)
                Self.parseEverything(prefix, at: 14)
            }
        }
    }

    @Test func `noise is described`() {
        var random = SeededGenerator()
        for count in 0..<200 {
            var noise = random.octets(count)
            #expect(!describe(frame: noise).isEmpty)
            guard count > 14 else { continue }
            // The same noise, but as a packet.
            (noise[12], noise[13], noise[14]) = random.flag() ? (0x08, 0x00, 0x45) : (0x86, 0xdd, 0x60)
            #expect(!describe(frame: noise).isEmpty)
        }
    }

    private func describe(frame: [UInt8]) -> String { Wire.describe(frame: frame.span.bytes) }
}
