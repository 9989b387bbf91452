// What `tcpdump -p` sees on all interfaces of one network namespace: a packet socket (packet(7)) that takes every frame
// with its interface and direction. The kernel keeps the frames until they are read.

internal import Clinux
internal import Glibc
internal import Netstack

/// A frame some tap saw.
package struct TappedFrame: Sendable {
    /// `worker-1/cni0`
    package var interface: String
    package var isIngress: Bool
    /// Nanoseconds since the flow began.
    package var time: Int64
    package var octets: [UInt8]
}

/// A packet socket in one namespace with a ring the kernel copies frames into as they pass (TPACKET_V3). A socket that
/// is read would show what a frame has become meanwhile: a bridge puts addresses back behind a tap (bridged DNAT).
struct PacketTap {
    /// The owner's name, as captures write it.
    let owner: String
    private let descriptor: Int32
    private let interfaceNames: [Int32: String]
    private let ring: UnsafeMutableRawPointer
    /// The block the kernel fills next.
    private var block = 0

    private static let blockSize = 1 << 17
    private static let blockCount = 32
    /// After this long a block is handed over although it is not full.
    static let handOver: Int64 = 20_000_000

    /// Listens on every interface of the namespace `name`.
    init(namespace name: String, owner: String) throws(LabError) {
        self.owner = owner
        (descriptor, ring, interfaceNames) = try withNetworkNamespace(name) { () throws(LabError) in
            let socket = socket(AF_PACKET, Int32(SOCK_RAW.rawValue), 0)
            var version = TPACKET_V3.rawValue
            var request = tpacket_req3()
            request.tp_block_size = UInt32(Self.blockSize)
            request.tp_block_nr = UInt32(Self.blockCount)
            request.tp_frame_size = 2048
            request.tp_frame_nr = UInt32(Self.blockSize / 2048 * Self.blockCount)
            request.tp_retire_blk_tov = UInt32(Self.handOver / 2_000_000)
            let sizes = (socklen_t(MemoryLayout.size(ofValue: version)), socklen_t(MemoryLayout.size(ofValue: request)))
            var address = sockaddr_ll()
            address.sll_family = UInt16(AF_PACKET)
            address.sll_protocol = UInt16(ETH_P_ALL).bigEndian
            guard socket >= 0, setsockopt(socket, SOL_PACKET, PACKET_VERSION, &version, sizes.0) == 0,
                setsockopt(socket, SOL_PACKET, PACKET_RX_RING, &request, sizes.1) == 0,
                let ring = mmap(
                    nil, Self.blockSize * Self.blockCount, PROT_READ | PROT_WRITE, MAP_SHARED, socket, 0),
                ring != MAP_FAILED,
                withUnsafePointer(
                    to: &address,
                    { pointer in
                        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                            bind(socket, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
                        }
                    }) == 0
            else { throw LabError("cannot open a packet socket: \(lastError())") }
            return (socket, ring, interfaces())
        }
    }

    func close() {
        munmap(ring, Self.blockSize * Self.blockCount)
        Glibc.close(descriptor)
    }

    /// Takes the blocks that have been handed over. `start` is the realtime clock's nanosecond the flow began at.
    mutating func drain(since start: Int64) -> [TappedFrame] {
        var frames: [TappedFrame] = []
        while true {
            let bytes = UnsafeRawBufferPointer(start: ring + block * Self.blockSize, count: Self.blockSize)
            guard bytes.load(fromByteOffset: 8, as: UInt32.self) & UInt32(TP_STATUS_USER) != 0 else { return frames }
            var position = Int(bytes.load(fromByteOffset: 16, as: UInt32.self))
            for _ in 0..<bytes.load(fromByteOffset: 12, as: UInt32.self) {
                if let frame = frame(bytes, position, since: start) { frames.append(frame) }
                position += Int(bytes.load(fromByteOffset: position, as: UInt32.self))
            }
            ring.storeBytes(
                of: UInt32(TP_STATUS_KERNEL), toByteOffset: block * Self.blockSize + 8, as: UInt32.self)
            block = (block + 1) % Self.blockCount
        }
    }

    /// The frame behind a struct tpacket3_hdr, whose 48 octets a struct sockaddr_ll follows.
    private func frame(_ bytes: UnsafeRawBufferPointer, _ position: Int, since start: Int64) -> TappedFrame? {
        func number(_ offset: Int) -> Int { Int(bytes.load(fromByteOffset: position + offset, as: UInt32.self)) }
        let isEgress = bytes[position + 48 + 10] == UInt8(PACKET_OUTGOING)
        let name = interfaceNames[Int32(truncatingIfNeeded: number(48 + 4))] ?? "?"
        // libpcap shows only the arriving half of loopback.
        if name == "lo", isEgress { return nil }
        let octets = position + Int(bytes.load(fromByteOffset: position + 24, as: UInt16.self))
        return TappedFrame(
            interface: "\(owner)/\(name)", isIngress: !isEgress,
            time: Int64(number(4)) * 1_000_000_000 + Int64(number(8)) - start,
            octets: Array(bytes[octets..<octets + number(12)]))
    }
}

/// Names of the interfaces of the namespace the thread is in, by index.
private func interfaces() -> [Int32: String] {
    var names: [Int32: String] = [:]
    guard let list = if_nameindex() else { return names }
    defer { if_freenameindex(list) }
    var entry = list
    while entry.pointee.if_index != 0 {
        if let name = entry.pointee.if_name {
            names[Int32(entry.pointee.if_index)] = String(cString: name)
        }
        entry += 1
    }
    return names
}
