// The filter language is libpcap's; these tests show that the packet, its two lengths and the errors arrive there.

import Capture
import Testing

struct CaptureFilterTests {
    /// Expression and the sample packets it selects.
    static let selections: [(String, [Int])] = [
        ("", [0, 1, 2, 3]),
        ("tcp port 80", [0]),
        ("tcp dst port 8080 and host 10.244.2.3", [1]),
        ("net 10.244.0.0/16", [0, 1]),
        ("ip6", [2]),
        ("udp port 53", [2]),
        ("ether src 0a:58:0a:f4:01:02", [0, 2]),
        ("tcp[tcpflags] & tcp-syn != 0", [0, 1]),
        ("greater 1000", [2]),  // by the original length
        ("icmp", []),
    ]

    @Test(arguments: selections)
    func `an expression selects packets`(expression: String, selected: [Int]) throws {
        let filter = try CaptureFilter(expression)
        #expect(Sample.packets.indices.filter { filter.matches(Sample.packets[$0]) } == selected)
    }

    @Test func `a packet cut short does not match what is not there`() throws {
        let filter = try CaptureFilter("tcp port 80")
        for length in 0..<Sample.toService.count {
            let isMatch = filter.matches(Array(Sample.toService[..<length]), originalLength: 54)
            #expect(isMatch == (length >= 38), "\(length) octets, the ports end at 38")
        }
    }

    /// Expression and what the error says after repeating it.
    static let invalid: [(String, String)] = [
        ("tcp prot 80", "can't parse filter expression: syntax error"),
        ("port 99999", "illegal port number 99999 > 65535"),
        ("ip and ip6", "expression rejects all packets"),
        ("ip\0", "the expression contains a zero octet"),
    ]

    @Test(arguments: invalid)
    func `an invalid expression is refused in the words of libpcap`(expression: String, message: String) {
        let error = #expect(throws: CaptureFilterError.self) { try CaptureFilter(expression) }
        #expect(error?.expression == expression)
        #expect(error?.message == message)
        #expect(error?.description == "filter '\(expression)': \(message)")
    }

    @Test func `the link type decides where the network header is`() throws {
        let rawIPv4 = Array(Sample.toService.dropFirst(14))
        let filter = try CaptureFilter("tcp port 80", linkType: LinkType(rawValue: 12))
        #expect(filter.matches(rawIPv4, originalLength: rawIPv4.count))
        #expect(!filter.matches(Sample.toService, originalLength: Sample.toService.count))
    }

    @Test func `a filter may be used by many tasks at once`() async throws {
        let filter = try CaptureFilter("tcp port 80")
        let matches = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask { (0..<500).count { filter.matches(Sample.packets[$0 % 2]) } }
            }
            return await group.reduce(0, +)
        }
        #expect(matches == 2000)
    }
}
