// Addresses as bind(2), connect(2) and sendto(2) take them: a struct sockaddr of the address's family, in network byte
// order.

internal import Addressing
internal import Glibc

extension SocketAddress {
    func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        if let own = address.ipv4 {
            var end = sockaddr_in()
            end.sin_family = sa_family_t(AF_INET)
            end.sin_port = port.bigEndian
            end.sin_addr.s_addr = own.rawValue.bigEndian
            return withUnsafePointer(to: &end) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        var end = sockaddr_in6()
        end.sin6_family = sa_family_t(AF_INET6)
        end.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &end.sin6_addr) { bytes in
            bytes.storeBytes(of: address.high.bigEndian, as: UInt64.self)
            bytes.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return withUnsafePointer(to: &end) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
        }
    }
}
