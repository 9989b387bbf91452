// Which way packets go: longest prefix, own addresses, types of routes, source addresses, what may not come in.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct RoutingTests {
    /// Two links, a default route, and routes of every kind.
    private func router() -> (NamespaceHarness, inside: LinkID, outside: LinkID) {
        let harness = NamespaceHarness()
        let inside = harness.addEthernet("in0", mac: .own, address: "10.0.0.1/24")
        let outside = harness.addEthernet("out0", mac: .station(0x12), address: "192.0.2.1/24")
        harness.host.sysctls.ipForward = true
        harness.addRoute("0.0.0.0/0", via: "192.0.2.254", on: outside)
        harness.addRoute("172.16.0.0/12", via: "10.0.0.16", on: inside)
        harness.addRoute("172.16.5.0/24", via: "192.0.2.5", on: outside)
        harness.addRoute("172.16.5.7/32", via: "10.0.0.7", on: inside)
        harness.addRoute("198.51.100.0/25", on: nil, kind: .unreachable)
        harness.addRoute("198.51.100.128/26", on: nil, kind: .prohibit)
        harness.addRoute("198.51.100.192/26", on: nil, kind: .blackhole)
        for (number, hop) in ["192.0.2.254", "192.0.2.5", "192.0.2.99"].enumerated() {
            harness.know(hop, .station(0x30 + number), on: outside)
        }
        for (number, hop) in ["10.0.0.16", "10.0.0.7", "10.0.0.2"].enumerated() {
            harness.know(hop, .station(0x40 + number), on: inside)
        }
        return (harness, inside, outside)
    }

    @Test(
        "A packet takes the most specific route",
        arguments: [
            // destination, what leaves, to which station
            ("192.0.2.99", "out0 udp 10.0.0.2:5 > 192.0.2.99:6 ttl 63", "12 > 32"),
            ("8.8.8.8", "out0 udp 10.0.0.2:5 > 8.8.8.8:6 ttl 63", "12 > 30"),
            ("172.16.5.9", "out0 udp 10.0.0.2:5 > 172.16.5.9:6 ttl 63", "12 > 31"),
        ])
    func mostSpecific(destination: String, text: String, stations: String) {
        let (harness, inside, _) = router()
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, destination).udp(from: 5, to: 6), on: inside)
        #expect(harness.sent.map(\.text) == [text])
        #expect(harness.sent.map(\.stations) == [stations])
    }

    @Test(
        "A packet that cannot be forwarded ends with the reason and the answer its route asks for",
        arguments: [
            ("198.51.100.1", "in0 icmp 3/1 10.0.0.1 > 10.0.0.2 ttl 64", DropReason.noInputRoute),
            ("198.51.100.130", "in0 icmp 3/13 10.0.0.1 > 10.0.0.2 ttl 64", .noInputRoute),
            ("198.51.100.200", "", .noInputRoute),
            ("0.0.0.0", "", .invalidDestination),
            ("127.0.0.1", "", .localnet),
        ])
    func unreachable(destination: String, answer: String, reason: DropReason) {
        let (harness, inside, _) = router()
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, destination).udp(from: 5, to: 6), on: inside)
        let quote = " about (udp 10.0.0.2:5 > \(destination):6 ttl 64)"
        #expect(harness.sent.map(\.text) == (answer.isEmpty ? [] : [answer + quote]))
        #expect(harness.drops == [reason])
    }

    @Test func `Without a route the sender hears network unreachable`() {
        let (harness, inside, _) = router()
        harness.host.removeRoutes { $0.prefix.length == 0 }
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "8.8.8.8").udp(from: 5, to: 6), on: inside)
        #expect(
            harness.sent.map(\.text)
                == ["in0 icmp 3/0 10.0.0.1 > 10.0.0.2 ttl 64 about (udp 10.0.0.2:5 > 8.8.8.8:6 ttl 64)"])
        #expect(harness.drops == [.noInputRoute])
    }

    @Test func `A host that does not forward drops without an answer`() {
        let (harness, inside, _) = router()
        harness.host.sysctls.ipForward = false
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "8.8.8.8").udp(from: 5, to: 6), on: inside)
        #expect(harness.sent.isEmpty)
        #expect(harness.drops == [.forwardingDisabled])
    }

    @Test(
        "A source that cannot send is refused",
        arguments: [
            ("224.0.0.5", 0, DropReason.invalidSource), ("255.255.255.255", 0, .invalidSource),
            ("0.0.0.0", 0, .invalidSource), ("127.0.0.5", 0, .localnet), ("10.0.0.1", 0, .localSource),
            ("192.0.2.1", 0, .localSource), ("192.0.2.77", 1, .reversePathFilter),
        ])
    func martianSources(source: String, filter: Int, reason: DropReason) {
        let (harness, inside, _) = router()
        harness.host.sysctls.reversePathFilter = filter
        harness.receive(PacketBuilder(.peer, source, .own, "10.0.0.1").udp(from: 5, to: 6), on: inside)
        #expect(harness.drops == [reason])
        #expect(harness.sent.isEmpty)
    }

    @Test(
        "The reverse path filter lets a source in by its mode",
        arguments: [(0, true), (1, false), (2, true)])
    func reversePath(mode: Int, passes: Bool) {
        let (harness, inside, outside) = router()
        harness.host.sysctls.reversePathFilter = mode
        _ = outside
        // The way back to 192.0.2.77 leaves by the other link.
        harness.receive(PacketBuilder(.peer, "192.0.2.77", .own, "8.8.8.8").udp(from: 5, to: 6), on: inside)
        #expect(harness.sent.isEmpty == !passes)
        #expect(harness.drops == (passes ? [] : [.reversePathFilter]))
    }

    @Test(
        "route_localnet lets loopback addresses cross a link",
        arguments: [false, true])
    func routeLocalnet(on: Bool) {
        let (harness, inside, _) = router()
        harness.host.sysctls.routeLocalnet = on
        _ = harness.host.bindUDP(port: 6)
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "127.0.0.1").udp(from: 5, to: 6), on: inside)
        #expect(harness.deliveries == (on ? 1 : 0))
    }

    @Test(
        "Own addresses and broadcasts are for the host",
        arguments: [
            ("10.0.0.1", MACAddress.own, 1), ("192.0.2.1", .own, 1), ("10.0.0.255", .broadcast, 1),
            ("255.255.255.255", .broadcast, 1), ("127.0.0.1", .own, 0),
            // Another machine's frame.
            ("10.0.0.1", .station(0x77), 0),
        ])
    func delivery(destination: String, mac: MACAddress, deliveries: Int) {
        let (harness, inside, _) = router()
        _ = harness.host.bindUDP(port: 6)
        harness.receive(PacketBuilder(.peer, "10.0.0.2", mac, destination).udp(from: 5, to: 6), on: inside)
        #expect(harness.deliveries == deliveries)
    }

    @Test func `Of two routes to one prefix the lower metric wins until its link is down`() {
        let (harness, inside, outside) = router()
        harness.host.addRoute(
            Route(IPPrefix("203.0.113.0/24")!, gateway: ip("10.0.0.7"), link: inside, metric: 200))
        harness.host.addRoute(
            Route(IPPrefix("203.0.113.0/24")!, gateway: ip("192.0.2.5"), link: outside, metric: 100))
        let frame = PacketBuilder(.peer, "10.0.0.2", .own, "203.0.113.9").udp(from: 5, to: 6)
        harness.stopRedirects()
        harness.receive(frame, on: inside)
        harness.host.setLink(outside, up: false)
        harness.receive(frame, on: inside)
        #expect(harness.sent.map(\.stations) == ["12 > 31", "11 > 41"])
    }

    @Test func `A replaced route is one route, a removed one is gone`() {
        var table = RoutingTable()
        let prefix = IPPrefix("10.9.0.0/16")!
        table.replace(Route(prefix, gateway: ip("10.0.0.2"), link: LinkID(1)))
        table.replace(Route(prefix, gateway: ip("10.0.0.3"), link: LinkID(1)))
        #expect(table.routes.map(\.gateway) == [ip("10.0.0.3")])
        table.removeAll { $0.prefix == prefix }
        #expect(table.routes.isEmpty)
        #expect(table.lookup(ip("10.9.1.1")) == nil)
    }

    @Test("Longest prefix match agrees with a linear search, in tables of every size", arguments: [1, 10, 24, 25, 200])
    func linearSearch(size: Int) {
        var random = SeededGenerator(seed: 20_261_121)
        var table = RoutingTable()
        var routes: [Route] = []
        for number in 0..<size {
            let address = IPAddress(IPv4Address(rawValue: UInt32(truncatingIfNeeded: random.next()) & 0x0fff_ffff))
            let prefix = IPPrefix(address, length: random.next(in: 0...32))
            let route = Route(prefix, link: LinkID(number), metric: random.next(in: 0...2))
            routes.removeAll { $0.prefix == route.prefix && $0.metric == route.metric }
            routes.append(route)
            table.replace(route)
        }
        for _ in 0..<500 {
            let address = IPAddress(IPv4Address(rawValue: UInt32(truncatingIfNeeded: random.next()) & 0x0fff_ffff))
            let expected = routes.filter { $0.prefix.contains(address) }
                .max { ($0.prefix.length, -$0.metric) < ($1.prefix.length, -$1.metric) }
            let found = table.lookup(address).map { table.routes[$0] }
            #expect(found == expected, "seed 20261121, \(address)")
        }
    }

    @Test func `flannel's onlink route needs no route to its gateway`() {
        let (harness, inside, outside) = router()
        harness.host.addRoute(
            Route(IPPrefix("10.244.1.0/24")!, gateway: ip("10.244.1.0"), link: outside, isOnlink: true))
        harness.know("10.244.1.0", .station(0x55), on: outside)
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "10.244.1.9").udp(from: 5, to: 6), on: inside)
        #expect(harness.sent.map(\.stations) == ["12 > 55"])
    }

    @Test(
        "The source address follows from the route",
        arguments: [
            // A route's own source, the gateway's subnet, the link's first address, an own address.
            ("10.0.0.9", "10.0.0.1"), ("8.8.8.8", "192.0.2.1"), ("10.7.0.9", "10.0.0.1"), ("10.8.0.9", "10.0.1.1"),
            ("192.0.2.1", "192.0.2.1"), ("127.0.0.1", "127.0.0.1"), ("127.1.2.3", "127.0.0.1"),
        ])
    func sourceSelection(destination: String, source: String) throws {
        let (harness, inside, _) = router()
        harness.host.addAddress(interface("10.0.1.1/24"), to: inside)
        harness.addRoute("10.7.0.0/16", on: inside)
        harness.addRoute("10.8.0.0/16", via: "10.0.1.9", on: inside)
        let socket = try harness.host.connectUDP(to: SocketAddress(ip(destination), 53), &harness.context)
        #expect(harness.host.localEnd(of: socket).address == ip(source))
    }

    @Test func `A link without an address borrows another link's, never a loopback one`() throws {
        let (harness, _, _) = router()
        let bare = harness.addEthernet("bare0", mac: .station(0x13))
        harness.addRoute("10.9.0.0/16", on: bare)
        let socket = try harness.host.connectUDP(to: end("10.9.0.1:53"), &harness.context)
        #expect(harness.host.localEnd(of: socket).address == ip("10.0.0.1"))
    }

    @Test func `A link that is down takes and gives nothing`() {
        let (harness, inside, outside) = router()
        harness.host.setLink(inside, up: false)
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "8.8.8.8").udp(from: 5, to: 6), on: inside)
        #expect(harness.drops == [.deviceNotReady])
        harness.clear()
        harness.host.setLink(inside, up: true)
        harness.host.setLink(outside, up: false)
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "192.0.2.99").udp(from: 5, to: 6), on: inside)
        #expect(harness.drops == [.noInputRoute])
    }

    @Test(
        "Of rp_filter the larger of all and the interface counts, of switches either is enough",
        arguments: [(0, 0, true), (1, 0, false), (0, 1, false), (1, 2, true), (2, 1, true)])
    func settingsOfOneInterface(all: Int, own: Int, isAccepted: Bool) {
        let (harness, inside, outside) = router()
        harness.host.sysctls.reversePathFilter = all
        #expect(harness.host.setSysctl("net.ipv4.conf.in0.rp_filter", to: "\(own)") == true)
        // The way back leaves by the other link.
        harness.receive(PacketBuilder(.peer, "192.0.2.77", .own, "203.0.113.9").udp(from: 5, to: 6), on: inside)
        #expect(harness.drops.isEmpty == isAccepted)
        harness.clear()
        #expect(harness.host.setSysctl("net.ipv4.conf.in0.forwarding", to: "0") == true)
        harness.receive(PacketBuilder(.peer, "10.0.0.2", .own, "203.0.113.9").udp(from: 5, to: 6), on: inside)
        #expect(harness.drops == [.forwardingDisabled])
        harness.clear()
        let other = PacketBuilder(.station(0x31), "192.0.2.5", .station(0x12), "10.0.0.7")
        harness.receive(other.udp(from: 5, to: 6), on: outside)
        #expect(harness.drops.isEmpty)
        for (setting, value, answer) in [
            ("in0.rp_filter", "3", nil), ("in0.accept_local", "2", nil), ("in9.rp_filter", "1", false),
            ("in0.tag", "1", false), ("default.rp_filter", "1", true),
        ] as [(String, String, Bool?)] {
            #expect(harness.host.setSysctl("net.ipv4.conf.\(setting)", to: value) == answer)
        }
    }

    @Test("Packets from 127.0.0.1 leave by the one link that has route_localnet")
    func routeLocalnetOfOneInterface() {
        let (harness, inside, outside) = router()
        #expect(harness.host.setSysctl("net.ipv4.conf.in0.route_localnet", to: "1") == true)
        for (link, mac, isAccepted) in [(inside, MACAddress.own, true), (outside, .station(0x12), false)] {
            harness.receive(PacketBuilder(.peer, "10.0.0.2", mac, "127.0.0.1").udp(from: 5, to: 6), on: link)
            #expect(harness.drops.contains(.localnet) == !isAccepted)
            harness.clear()
        }
    }
}
