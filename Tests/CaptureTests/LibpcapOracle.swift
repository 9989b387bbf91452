// libpcap itself as the judge of what a capture file says: it writes one from packets and reads one to packets, both in
// memory and with nanosecond precision.

import Capture
import Clibpcap

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

enum LibpcapOracle {
    struct Failure: Error, Equatable { var message: String }

    /// What libpcap can say of a packet.
    struct Packet: Equatable {
        var timestamp: UInt64
        var bytes: [UInt8]
        var originalLength: Int

        init(_ packet: CapturedPacket) {
            timestamp = packet.timestamp
            bytes = packet.bytes
            originalLength = packet.originalLength
        }
    }

    static func write(_ packets: [CapturedPacket]) throws -> [UInt8] {
        let handle = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 262_144, u_int(PCAP_TSTAMP_PRECISION_NANO))
        guard let handle else { throw Failure(message: "no handle") }
        defer { pcap_close(handle) }
        var memory: UnsafeMutablePointer<CChar>?
        var size = 0
        guard let file = open_memstream(&memory, &size), let dumper = pcap_dump_fopen(handle, file) else {
            throw Failure(message: "no dumper")
        }
        for packet in packets {
            var header = pcap_pkthdr()
            header.ts.tv_sec = Int(packet.timestamp / 1_000_000_000)
            header.ts.tv_usec = Int(packet.timestamp % 1_000_000_000)
            header.caplen = UInt32(packet.bytes.count)
            header.len = UInt32(packet.originalLength)
            pcap_dump(UnsafeMutableRawPointer(dumper).assumingMemoryBound(to: u_char.self), &header, packet.bytes)
        }
        pcap_dump_close(dumper)
        defer { free(memory) }
        return Array(UnsafeRawBufferPointer(start: memory, count: size))
    }

    static func read(_ bytes: [UInt8]) throws -> [Packet] {
        var bytes = bytes
        return try bytes.withUnsafeMutableBytes { buffer in
            var message = [CChar](repeating: 0, count: Int(PCAP_ERRBUF_SIZE))
            guard let file = fmemopen(buffer.baseAddress, buffer.count, "r") else { throw Failure(message: "no file") }
            let precision = u_int(PCAP_TSTAMP_PRECISION_NANO)
            guard let handle = pcap_fopen_offline_with_tstamp_precision(file, precision, &message) else {
                fclose(file)
                let text = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                throw Failure(message: String(decoding: text, as: UTF8.self))
            }
            defer { pcap_close(handle) }
            var packets: [Packet] = []
            while true {
                var header: UnsafeMutablePointer<pcap_pkthdr>?
                var data: UnsafePointer<u_char>?
                switch pcap_next_ex(handle, &header, &data) {
                case 1:
                    guard let header = header?.pointee else { throw Failure(message: "no header") }
                    let timestamp = UInt64(header.ts.tv_sec) * 1_000_000_000 + UInt64(header.ts.tv_usec)
                    packets.append(
                        Packet(
                            CapturedPacket(
                                interface: 0, timestamp: timestamp,
                                bytes: Array(UnsafeBufferPointer(start: data, count: Int(header.caplen))),
                                originalLength: Int(header.len))))
                case PCAP_ERROR_BREAK: return packets
                default: throw Failure(message: String(cString: pcap_geterr(handle)))
                }
            }
        }
    }
}
