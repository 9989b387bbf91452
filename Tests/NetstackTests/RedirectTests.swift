// Redirects a host is told (net/ipv4/route.c: __ip_do_redirect). Which frames follow is recorded in
// Tests/SimulationTests/KernelFlows/redirected.txt; here is who believes what.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct RedirectTests {
    /// A host behind the router 10.0.0.1 that has sent a datagram to 192.0.2.9.
    private func asking(forwards: Bool = false, accepts: Bool = false) throws -> (NamespaceHarness, datagram: [UInt8]) {
        let harness = NamespaceHarness()
        let link = harness.addEthernet(address: "10.0.0.5/24")
        harness.addRoute("0.0.0.0/0", via: "10.0.0.1", on: link)
        harness.know("10.0.0.1", .station(1), on: link)
        harness.host.sysctls.ipForward = forwards
        harness.host.sysctls.acceptRedirects = accepts
        let socket = try harness.host.connectUDP(to: SocketAddress(ip("192.0.2.9"), 7), &harness.context)
        try harness.host.sendDatagram(socket, [1], &harness.context)
        harness.settle()
        return (harness, try #require(harness.takeSent().first).octets)
    }

    /// The router says that 10.0.0.2 is nearer.
    private func redirect(
        _ datagram: [UInt8], from router: String = "10.0.0.1", to gateway: String = "10.0.0.2"
    ) -> [UInt8] {
        PacketBuilder(.station(1), router, .own, "10.0.0.5").icmp(
            .redirectHost, restOfHeader: ipv4(gateway).rawValue, payload: Array(datagram.dropFirst(14)))
    }

    private func nextHop(_ harness: NamespaceHarness) -> IPAddress? {
        guard case .route(let route) = harness.host.routeOutput(ip("192.0.2.9")) else { return nil }
        return route.gateway
    }

    @Test func `A host asks for the router it is sent to, and goes there once it knows its MAC`() throws {
        let (harness, datagram) = try asking()
        harness.receive(redirect(datagram), on: LinkID(1))
        #expect(harness.takeSent().map(\.text) == ["eth0 arp who-has 10.0.0.2 tell 10.0.0.5"])
        #expect(nextHop(harness) == ip("10.0.0.1"))
        harness.know("10.0.0.2", .station(2), on: LinkID(1))
        harness.receive(redirect(datagram), on: LinkID(1))
        #expect(nextHop(harness) == ip("10.0.0.2"))
    }

    @Test(arguments: [(false, false, true), (false, true, true), (true, false, false), (true, true, true)])
    func `Who forwards believes redirects only when told to`(forwards: Bool, accepts: Bool, believes: Bool) throws {
        let (harness, datagram) = try asking(forwards: forwards, accepts: accepts)
        harness.know("10.0.0.2", .station(2), on: LinkID(1))
        harness.receive(redirect(datagram), on: LinkID(1))
        #expect((nextHop(harness) == ip("10.0.0.2")) == believes)
    }

    @Test func `Nobody but the present router is believed, and only about what was sent from here`() throws {
        let (harness, datagram) = try asking()
        harness.know("10.0.0.2", .station(2), on: LinkID(1))
        harness.receive(redirect(datagram, from: "10.0.0.3"), on: LinkID(1))
        harness.receive(redirect(datagram, to: "10.0.0.5"), on: LinkID(1))
        harness.receive(redirect(datagram, to: "224.0.0.1"), on: LinkID(1))
        let foreign = PacketBuilder(.own, "10.0.0.5", .station(1), "192.0.2.9").udp(from: 999, to: 7)
        harness.receive(redirect(foreign), on: LinkID(1))
        harness.receive(Array(redirect(datagram).prefix(14 + 20 + 8 + 12)), on: LinkID(1))
        #expect(nextHop(harness) == ip("10.0.0.1"))
    }
}
