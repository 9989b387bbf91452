// host-local's allocation over one range, step by step as the real plugin (containernetworking/plugins 1.1.1) does it.

import Addressing
import NodeAgents
import Testing

@Suite("host-local")
struct HostLocalTests {
    private func range(_ subnet: String) throws -> HostLocalRange {
        try HostLocalRange(subnet: #require(IPPrefix(subnet)))
    }

    private func take(_ count: Int, from range: inout HostLocalRange) throws -> [String] {
        try (0..<count).map { _ in try range.allocate().description }
    }

    private func release(_ addresses: String..., to range: inout HostLocalRange) throws {
        for address in addresses { range.release(try #require(IPAddress(address))) }
    }

    @Test("a /29 gives out five addresses, then goes round")
    func smallRangeGoesRound() throws {
        var range = try range("10.0.0.0/29")
        #expect(try take(5, from: &range) == ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"])
        let exhausted = HostLocalError.exhausted(range: "10.0.0.1-10.0.0.6")
        #expect(throws: exhausted) { try range.allocate() }
        try release("10.0.0.3", "10.0.0.5", to: &range)
        #expect(try take(2, from: &range) == ["10.0.0.3", "10.0.0.5"])
        #expect(throws: exhausted) { try range.allocate() }
        try release("10.0.0.3", "10.0.0.5", to: &range)
        // The search goes on behind .5, finds .6 taken, goes round to .2, taken, and comes to .3.
        #expect(try take(1, from: &range) == ["10.0.0.3"])
    }

    @Test("a freed address comes back only when the search has gone round")
    func freedAddressWaits() throws {
        var range = try range("10.244.1.0/24")
        #expect(try take(3, from: &range) == ["10.244.1.2", "10.244.1.3", "10.244.1.4"])
        try release("10.244.1.2", to: &range)
        #expect(range.lastReserved == IPAddress("10.244.1.4"))
        #expect(try take(1, from: &range) == ["10.244.1.5"])
        #expect(try take(249, from: &range).last == "10.244.1.254")
        #expect(try take(1, from: &range) == ["10.244.1.2"])
        #expect(throws: HostLocalError.self) { try range.allocate() }
    }

    @Test(
        "a default range leaves out network, broadcast and gateway",
        arguments: [
            ("10.1.0.0/30", 1, "10.1.0.2", "10.1.0.2"), ("10.1.0.0/29", 5, "10.1.0.2", "10.1.0.6"),
            ("10.1.0.0/24", 253, "10.1.0.2", "10.1.0.254"), ("10.244.0.0/20", 4093, "10.244.0.2", "10.244.15.254"),
            // IPv6 has no broadcast address.
            ("fd00::/126", 2, "fd00::2", "fd00::3"),
        ])
    func capacity(subnet: String, count: Int, first: String, last: String) throws {
        var range = try range(subnet)
        #expect(range.freeCount == count)
        let addresses = try take(count, from: &range)
        #expect(addresses.first == first)
        #expect(addresses.last == last)
        #expect(Set(addresses).count == count)
        #expect(range.freeCount == 0)
        #expect(throws: HostLocalError.exhausted(range: "\(range.first)-\(range.last)")) { try range.allocate() }
    }

    @Test("a requested address moves the place where the next search begins")
    func requestedAddress() throws {
        var range = try range("10.6.0.0/24")
        #expect(try range.allocate(requested: .v4(10, 6, 0, 7)) == .v4(10, 6, 0, 7))
        #expect(try range.allocate() == .v4(10, 6, 0, 8))
        #expect(range.isAllocated(.v4(10, 6, 0, 7)))
        #expect(!range.isAllocated(.v4(10, 6, 0, 2)))
        #expect(!range.isAllocated(.v4(10, 6, 0, 1)))
        #expect(!range.isAllocated(.v4(10, 7, 0, 7)))
    }

    @Test("the last address of the range is followed by the first")
    func searchWrapsPastTheGateway() throws {
        var range = try range("10.6.0.0/24")
        _ = try range.allocate(requested: .v4(10, 6, 0, 254))
        #expect(try range.allocate() == .v4(10, 6, 0, 2))
    }

    @Test("every refusal is worded as the plugin words it")
    func wording() throws {
        var range = try range("10.6.0.0/24")
        _ = try range.allocate(requested: .v4(10, 6, 0, 7))
        var small = try self.range("10.1.0.0/24")
        _ = try take(253, from: &small)

        func message(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "no error"
            } catch { return "\(error)" }
        }
        #expect(
            message { _ = try small.allocate() }
                == "no IP addresses available in range set: 10.1.0.1-10.1.0.254")
        #expect(
            message { _ = try range.allocate(requested: .v4(10, 6, 0, 7)) }
                == "requested IP address 10.6.0.7 is not available in range set 10.6.0.1-10.6.0.254")
        #expect(
            message { _ = try range.allocate(requested: .v4(10, 6, 0, 1)) }
                == "requested ip 10.6.0.1 is subnet's gateway")
        for outside in [IPAddress.v4(10, 7, 0, 5), .v4(10, 6, 0, 0), .v4(10, 6, 0, 255)] {
            #expect(
                message { _ = try range.allocate(requested: outside) }
                    == "failed to allocate all requested IPs: \(outside)")
        }
        for subnet in ["10.0.0.0/31", "10.0.0.0/32", "fd00::/127"] {
            #expect(
                message { _ = try self.range(subnet) } == "Network \(subnet) too small to allocate from")
        }
        #expect(
            message { _ = try self.range("fd00::/64") } == "Network fd00::/64 is larger than the /104 podnet models")
    }

    @Test("releasing what nobody holds changes nothing")
    func releaseOfTheUnknown() throws {
        var range = try range("10.6.0.0/24")
        let untouched = range
        try release("10.6.0.9", "10.6.0.1", "10.6.0.0", "192.0.2.1", "fd00::1", to: &range)
        #expect(range == untouched)
    }

    @Test("allocation agrees with a plain search, whatever was released before")
    func agreesWithPlainSearch() throws {
        let network = IPAddress.v4(10, 9, 0, 0)
        var range = try range("10.9.0.0/22")
        // Offsets from the network address; 1 is the gateway, 1022 the last one before the broadcast address.
        var held: Set<Int> = [1]
        var last = 0
        // A small generator of our own: the order of requests must be the same in every run.
        var state: UInt32 = 7
        for _ in 0..<6000 {
            state = state &* 1_664_525 &+ 1_013_904_223
            if state >> 30 == 0 {
                let offset = Int((state >> 8) % 1024)
                range.release(try #require(network.advanced(by: offset)))
                if offset != 1 { held.remove(offset) }
                continue
            }
            var expected = last
            repeat { expected = expected % 1022 + 1 } while held.contains(expected) && held.count < 1022
            if held.count == 1022 {
                #expect(throws: HostLocalError.self) { try range.allocate() }
            } else {
                try #require(try range.allocate() == network.advanced(by: expected))
                held.insert(expected)
                last = expected
            }
        }
        #expect(held.count == 1022 - range.freeCount)
        #expect(last > 0)
    }
}
