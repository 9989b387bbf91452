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

/// A packet socket in one namespace.
struct PacketTap {
    /// The owner's name, as captures write it.
    let owner: String
    private let descriptor: Int32
    private let interfaceNames: [Int32: String]

    /// Listens on every interface of the namespace `name`.
    init(namespace name: String, owner: String) throws(LabError) {
        self.owner = owner
        (descriptor, interfaceNames) = try withNetworkNamespace(name) { () throws(LabError) in
            let everything = UInt16(ETH_P_ALL).bigEndian
            let socket = socket(AF_PACKET, Int32(SOCK_RAW.rawValue) | Int32(SOCK_NONBLOCK.rawValue), Int32(everything))
            guard socket >= 0 else { throw LabError("cannot open a packet socket: \(lastError())") }
            var size: Int32 = 64 << 20
            setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &size, socklen_t(MemoryLayout<Int32>.size))
            var wantsTime: Int32 = 1
            setsockopt(socket, SOL_SOCKET, SO_TIMESTAMPNS, &wantsTime, socklen_t(MemoryLayout<Int32>.size))
            return (socket, interfaces())
        }
    }

    func close() { Glibc.close(descriptor) }

    /// Takes what has been seen so far. `start` is the realtime clock's nanosecond the flow began at.
    func drain(since start: Int64) -> [TappedFrame] {
        var frames: [TappedFrame] = []
        var buffer = [UInt8](repeating: 0, count: 70_000)
        var control = [UInt8](repeating: 0, count: 64)
        while true {
            var address = sockaddr_ll()
            var length = 0
            buffer.withUnsafeMutableBytes { bytes in
                control.withUnsafeMutableBytes { ancillary in
                    withUnsafeMutablePointer(to: &address) { address in
                        var vector = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                        withUnsafeMutablePointer(to: &vector) { vector in
                            var message = msghdr(
                                msg_name: address, msg_namelen: socklen_t(MemoryLayout<sockaddr_ll>.size),
                                msg_iov: vector, msg_iovlen: 1, msg_control: ancillary.baseAddress,
                                msg_controllen: ancillary.count, msg_flags: 0)
                            length = recvmsg(descriptor, &message, 0)
                        }
                    }
                }
            }
            guard length > 0 else { return frames }
            let isEgress = address.sll_pkttype == UInt8(PACKET_OUTGOING)
            let name = interfaceNames[address.sll_ifindex] ?? "?"
            // libpcap shows only the arriving half of loopback.
            if name == "lo", isEgress { continue }
            frames.append(
                TappedFrame(
                    interface: "\(owner)/\(name)", isIngress: !isEgress, time: time(control) - start,
                    octets: Array(buffer[..<length])))
        }
    }

    /// The time stamp in a control message: 16 octets of header, then seconds and nanoseconds.
    private func time(_ control: [UInt8]) -> Int64 {
        control.withUnsafeBytes { bytes in
            let seconds = bytes.loadUnaligned(fromByteOffset: 16, as: Int64.self)
            let nanoseconds = bytes.loadUnaligned(fromByteOffset: 24, as: Int64.self)
            return seconds &* 1_000_000_000 &+ nanoseconds
        }
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
