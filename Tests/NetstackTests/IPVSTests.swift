// IPVS in one namespace, one packet at a time: where it takes requests, how answers come back, what connection
// tracking is told, what a missing real server does (net/netfilter/ipvs/ip_vs_core.c, ip_vs_xmit.c, ip_vs_conn.c).

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct IPVSTests {
    private static let outside = LinkID(2)
    private static let client = PacketBuilder(.peer, "10.0.0.2", .own, "10.96.0.10")
    private static let server = PacketBuilder(.station(0x99), "192.0.2.9", .station(0x12), "10.0.0.2")

    /// A router that is the virtual server 10.96.0.10: TCP 80 to 192.0.2.9 and .10, UDP 53 to itself at 9053, TCP 81 to
    /// nobody.
    private func router(
        _ rules: (inout Ruleset) -> Void = { _ in }, persistence: UInt32? = nil, tracks: Bool = true
    ) -> (NamespaceHarness, inside: LinkID) {
        var ruleset = Ruleset()
        // Something that makes the kernel track connections.
        ruleset[.filter].append(Rule(matches: [.connectionState(Negatable(.invalid))], target: .drop), to: "FORWARD")
        rules(&ruleset)
        let (harness, inside) = filteringRouter(ruleset)
        harness.know("192.0.2.10", .station(0x9a), on: Self.outside)
        let device = harness.host.addLink("kube-ipvs0", kind: .dummy, hardwareAddress: .station(0x77))
        harness.host.setLink(device, up: false)
        harness.host.addAddress(interface("10.96.0.10/32"), to: device)
        harness.host.sysctls.virtualServersUseTracking = tracks
        harness.host.sysctls.virtualServersExpireWithoutServer = true
        harness.host.virtualServers = VirtualServerTable([
            VirtualServer(
                end("10.96.0.10:80"), .tcp, persistence: persistence,
                realServers: [RealServer(end("192.0.2.9:8080")), RealServer(end("192.0.2.10:8080"))]),
            VirtualServer(end("10.96.0.10:53"), .udp, realServers: [RealServer(end("192.0.2.1:9053"))]),
            VirtualServer(end("10.96.0.10:81"), .tcp),
        ])
        return (harness, inside)
    }

    private func masquerade(_ ruleset: inout Ruleset) {
        ruleset[.nat].append(
            Rule(egress: Negatable(InterfacePattern("out0")), target: .masquerade(randomFully: false)),
            to: "POSTROUTING")
    }

    private func syn(from port: UInt16 = 4000, to: UInt16 = 80) -> [UInt8] {
        Self.client.tcp(from: port, to: to, flags: .syn)
    }

    /// The translations and scheduler's choices among the steps, in words.
    private func story(_ harness: NamespaceHarness) -> [String] {
        harness.steps.compactMap { step in
            switch step {
            case .scheduled(let server, let isRemembered):
                "server \(server.chain)/\(server.rule)\(isRemembered ? " again" : "")"
            case .translated(let kind, let from, let to, let rule):
                "\(kind) \(from) → \(to)" + (rule?.system == .ipvs ? " by ipvs" : "")
            case .hook(let hook, _, let table): "\(TableName.allCases[Int(table)].rawValue) \(hook.chainName)"
            default: nil
            }
        }
    }

    // MARK: there and back

    @Test func `A request is taken behind INPUT's filter and leaves by OUTPUT and POSTROUTING`() {
        let (harness, inside) = router { rules in
            masquerade(&rules)
            for (table, hook) in [
                (TableName.mangle, Hook.input), (.filter, .input), (.nat, .input), (.raw, .output), (.mangle, .output),
                (.nat, .output), (.filter, .output), (.mangle, .postrouting),
            ] {
                rules[table].append(Rule(), to: hook.chainName)
            }
        }
        harness.receive(syn(), on: inside)
        #expect(harness.sent.map(\.text) == ["out0 tcp S 192.0.2.1:4000 > 192.0.2.9:8080 ttl 63"])
        #expect(
            story(harness) == [
                "mangle INPUT", "filter INPUT", "server 0/0", "destination 10.96.0.10:80 → 192.0.2.9:8080 by ipvs",
                "raw OUTPUT", "mangle OUTPUT", "filter OUTPUT", "mangle POSTROUTING", "nat POSTROUTING",
                "source 10.0.0.2:4000 → 192.0.2.1:4000",
            ])
    }

    @Test("The answer gets the virtual server's address in FORWARD", arguments: [true, false])
    func answers(masquerades: Bool) {
        let (harness, inside) = router { if masquerades { masquerade(&$0) } }
        harness.receive(syn(), on: inside)
        harness.clear()
        let answer = PacketBuilder(
            .station(0x99), "192.0.2.9", .station(0x12), masquerades ? "192.0.2.1" : "10.0.0.2")
        harness.receive(answer.tcp(from: 8080, to: 4000, flags: [.syn, .ack]), on: Self.outside)
        #expect(harness.sent.map(\.text) == ["in0 tcp SA 10.96.0.10:80 > 10.0.0.2:4000 ttl 63"])
        #expect(
            story(harness).filter { $0.hasPrefix("original") }
                == (masquerades ? ["originalDestination 192.0.2.1:4000 → 10.0.0.2:4000"] : [])
                + ["originalSource 192.0.2.9:8080 → 10.96.0.10:80 by ipvs"])
    }

    @Test func `Connection tracking knows the real server, and calls it no DNAT`() throws {
        let (harness, inside) = router { masquerade(&$0) }
        harness.receive(syn(), on: inside)
        let tracked = try #require(harness.host.connections.all(at: harness.context.now).first)
        #expect(tracked.original.destinationSocket == end("10.96.0.10:80"))
        #expect(tracked.reply.sourceSocket == end("192.0.2.9:8080"))
        #expect(tracked.reply.destinationSocket == end("192.0.2.1:4000"))
        #expect(tracked.status.contains(.sourceNAT) && !tracked.status.contains(.destinationNAT))
    }

    @Test func `Without vs/conntrack the packet is untracked from there on and nobody masquerades it`() {
        let (harness, inside) = router({ masquerade(&$0) }, tracks: false)
        harness.receive(syn(), on: inside)
        #expect(harness.sent.map(\.text) == ["out0 tcp S 10.0.0.2:4000 > 192.0.2.9:8080 ttl 63"])
        #expect(harness.host.connections.all(at: harness.context.now).isEmpty)
    }

    @Test func `A connection stays with its server, the next one goes to the next`() {
        let (harness, inside) = router()
        for port: UInt16 in [4000, 4001, 4000, 4002] { harness.receive(syn(from: port), on: inside) }
        #expect(harness.sent.map { "\($0.ipv4.destination)" } == ["192.0.2.9", "192.0.2.10", "192.0.2.9", "192.0.2.9"])
    }

    @Test func `A server on this machine gets the packet in the rest of INPUT, and its answer the address back`() throws
    {
        let (harness, inside) = router()
        let socket = harness.host.bindUDP(port: 9053, address: ip("192.0.2.1"))
        harness.receive(Self.client.udp(from: 4000, to: 53, payload: [7]), on: inside)
        #expect(harness.deliveries == 1 && harness.sent.isEmpty)
        try harness.host.sendDatagram(socket, [8], to: end("10.0.0.2:4000"), &harness.context)
        harness.settle()
        #expect(harness.sent.map(\.text) == ["in0 udp 10.96.0.10:53 > 10.0.0.2:4000 ttl 64"])
    }

    @Test func `What the machine sends itself is taken in OUTPUT, with a hop less to live`() throws {
        let (harness, _) = router { masquerade(&$0) }
        _ = try harness.host.connectTCP(to: end("10.96.0.10:80"), &harness.context)
        harness.settle()
        // Its source would be the virtual server's address, which is local; masquerading mends that.
        let sent = try #require(harness.takeSent().first)
        #expect("\(sent.ipv4.source)" == "192.0.2.1" && "\(sent.ipv4.destination)" == "192.0.2.9")
        #expect(sent.ipv4.timeToLive == 63)
        let answer = PacketBuilder(.station(0x99), "192.0.2.9", .station(0x12), "192.0.2.1")
        harness.receive(
            answer.tcp(
                from: 8080, to: sent.tcp.sourcePort, flags: [.syn, .ack], sequence: 5,
                acknowledgment: sent.tcp.sequence &+ 1),
            on: Self.outside)
        #expect(harness.news.contains { if case .connected = $0.kind { true } else { false } })
    }

    // MARK: what is not taken

    @Test(
        "Not every packet begins a connection",
        arguments: [
            (TCPFlags.ack, UInt16(80)), ([.syn, .rst] as TCPFlags, UInt16(80)), (TCPFlags.syn, UInt16(82)),
        ])
    func notTaken(flags: TCPFlags, port: UInt16) {
        let (harness, inside) = router()
        harness.receive(Self.client.tcp(from: 4000, to: port, flags: flags), on: inside)
        #expect(!story(harness).contains { $0.hasPrefix("server") })
        #expect(harness.host.virtualServers.connections(at: harness.context.now).isEmpty)
        #expect(harness.drops.contains(.noSocket))
    }

    @Test func `Without a real server the kernel answers port unreachable, and the virtual server is to blame`() {
        let (harness, inside) = router()
        harness.receive(syn(to: 81), on: inside)
        #expect(
            harness.sent.map(\.text)
                == ["in0 icmp 3/3 10.96.0.10 > 10.0.0.2 ttl 64 about (tcp S 10.0.0.2:4000 > 10.96.0.10:81 ttl 64)"])
        let blamed = harness.steps.compactMap { step -> RuleReference? in
            if case .dropped(.netfilterDrop, let rule) = step { rule } else { nil }
        }
        #expect(blamed == [RuleReference(system: .ipvs, table: 0, chain: 2, rule: -1)])
    }

    @Test func `A TTL of one dies here, and a packet too big to pass is answered with the way's MTU`() {
        let (harness, inside) = router()
        harness.receive(Self.client.with(timeToLive: 1).tcp(from: 4000, to: 80, flags: .syn), on: inside)
        #expect(harness.takeSent().map { "\($0.icmp.kind.type)" } == ["11"])
        harness.host.addRoute(Route(IPPrefix("192.0.2.10/32")!, gateway: ip("192.0.2.9"), link: Self.outside))
        harness.host.links[Self.outside.index].mtu = 1000
        let big = Self.client.with(dontFragment: true).tcp(
            from: 4001, to: 80, flags: .syn, payload: [UInt8](repeating: 1, count: 1200))
        harness.receive(big, on: inside)
        let answer = harness.takeSent().first
        #expect(answer?.icmp.kind == .fragmentationNeeded && answer?.icmp.restOfHeader == 1000)
    }

    @Test func `No route to the real server: host unreachable`() {
        let (harness, inside) = router()
        harness.host.removeRoutes { _ in true }
        harness.addRoute("10.0.0.0/24", on: inside)
        harness.receive(syn(), on: inside)
        #expect(harness.sent.map { $0.icmp.kind } == [.hostUnreachable])
        #expect(harness.drops == [.noOutputRoute])
    }

    // MARK: ICMP errors

    @Test func `An error about a request comes from the virtual server, quote and all`() {
        let (harness, inside) = router { masquerade(&$0) }
        harness.receive(syn(), on: inside)
        let sent = harness.takeSent()[0]
        let error = PacketBuilder(.station(0x99), "192.0.2.254", .station(0x12), "192.0.2.1")
        harness.receive(
            error.icmp(.hostUnreachable, payload: Array(sent.octets.dropFirst(14).prefix(28))), on: Self.outside)
        #expect(
            harness.sent.map(\.text)
                == ["in0 icmp 3/1 10.96.0.10 > 10.0.0.2 ttl 63 about (tcp 10.0.0.2:4000 > 10.96.0.10:80 ttl 63)"])
    }

    @Test func `An error about an answer goes on to the real server`() {
        let (harness, inside) = router()
        harness.receive(syn(), on: inside)
        harness.receive(Self.server.tcp(from: 8080, to: 4000, flags: [.syn, .ack]), on: Self.outside)
        let answer = harness.takeSent()[1]
        harness.receive(
            Self.client.icmp(.portUnreachable, payload: Array(answer.octets.dropFirst(14).prefix(28))), on: inside)
        #expect(
            harness.sent.map(\.text)
                == ["out0 icmp 3/3 10.0.0.2 > 192.0.2.9 ttl 63 about (tcp 192.0.2.9:8080 > 10.0.0.2:4000 ttl 63)"])
    }

    // MARK: affinity

    @Test func `A client keeps its server for the time of the persistence, counted from its last connection`() {
        let (harness, inside) = router(persistence: 100)
        func server(_ port: UInt16, from address: String = "10.0.0.2") -> String {
            harness.clear()
            let builder = PacketBuilder(.peer, address, .own, "10.96.0.10")
            harness.receive(builder.tcp(from: port, to: 80, flags: .syn), on: inside)
            return harness.sent.first.map { "\($0.ipv4.destination)" } ?? "none"
        }
        #expect(server(4000) == "192.0.2.9")
        #expect(story(harness).contains("server 0/0"))
        #expect(server(4001, from: "10.0.0.3") == "192.0.2.10")
        harness.advance(seconds(90))
        #expect(server(4002) == "192.0.2.9")
        #expect(story(harness).contains("server 0/0 again"))
        harness.advance(seconds(99))
        #expect(server(4003) == "192.0.2.9")
        // Neither client has been seen for long; turns go on where they stood.
        harness.advance(seconds(400))
        #expect(server(4004) == "192.0.2.9")
        #expect(story(harness).contains("server 0/0"))
        #expect(server(4005, from: "10.0.0.3") == "192.0.2.10")
    }

    @Test func `A template does not go before its connections`() {
        let (harness, inside) = router(persistence: 10)
        harness.receive(syn(), on: inside)
        harness.receive(Self.server.tcp(from: 8080, to: 4000, flags: [.syn, .ack]), on: Self.outside)
        harness.receive(Self.client.tcp(from: 4000, to: 80, flags: .ack), on: inside)
        harness.advance(seconds(800))
        harness.receive(syn(from: 4001), on: inside)
        #expect(harness.sent.last.map { "\($0.ipv4.destination)" } == "192.0.2.9")
        #expect(story(harness).last { $0.hasPrefix("server") } == "server 0/0 again")
    }

    @Test func `A template whose server takes no more is given up, where the setting says so`() {
        for (isQuiet, server) in [(true, "192.0.2.10"), (false, "192.0.2.9")] {
            let (harness, inside) = router(persistence: 100)
            harness.host.sysctls.virtualServersExpireQuietTemplates = isQuiet
            harness.receive(syn(), on: inside)
            harness.host.virtualServers.setWeight(0, of: end("192.0.2.9:8080"), in: end("10.96.0.10:80"), .tcp)
            harness.receive(syn(from: 4001), on: inside)
            #expect(harness.sent.last.map { "\($0.ipv4.destination)" } == server)
        }
    }

    // MARK: lives of connections

    @Test func `States and counts follow the segments`() {
        let (harness, inside) = router()
        func counts() -> [Int] {
            let server = harness.host.virtualServers.servers[0].realServers[0]
            return [server.activeConnections, server.inactiveConnections]
        }
        func state() -> String {
            harness.host.virtualServers.connections(at: harness.context.now).map(\.state.rawValue).joined()
        }
        var seen: [String] = []
        for (isClient, flags) in [
            (true, TCPFlags.syn), (false, [.syn, .ack]), (true, .ack), (true, [.fin, .ack]), (false, [.fin, .ack]),
        ] {
            if isClient {
                harness.receive(Self.client.tcp(from: 4000, to: 80, flags: flags), on: inside)
            } else {
                harness.receive(Self.server.tcp(from: 8080, to: 4000, flags: flags), on: Self.outside)
            }
            seen.append("\(state()) \(counts())")
        }
        #expect(
            seen == [
                "SYN_RECV [0, 1]", "SYN_RECV [0, 1]", "ESTABLISHED [1, 0]", "CLOSE_WAIT [0, 1]", "TIME_WAIT [0, 1]",
            ])
        harness.advance(seconds(121))
        #expect(state() == "")
        harness.receive(syn(from: 4005), on: inside)
        harness.receive(syn(from: 4006), on: inside)
        #expect(counts() == [0, 1])
    }

    @Test(
        "Entries live as long as their state",
        arguments: [
            (IPVSConnectionState.none, 2), (.established, 900), (.synSent, 120), (.synReceived, 60), (.finWait, 120),
            (.timeWait, 120), (.close, 10), (.closeWait, 60), (.lastAck, 30), (.listen, 120), (.synAck, 120),
            (.udp, 300),
        ])
    func lifetimes(state: IPVSConnectionState, seconds: Int) {
        #expect(state.lifetime(IPVSTimeouts()) == seconds)
        let changed = state.lifetime(IPVSTimeouts(tcp: 1, tcpFin: 3, udp: 5))
        #expect(changed == (state == .established ? 1 : state == .finWait ? 3 : state == .udp ? 5 : seconds))
    }

    @Test func `ipvsadm -L -c -n shows connections and templates`() {
        let (harness, inside) = router(persistence: 10800)
        harness.receive(syn(), on: inside)
        harness.receive(Self.server.tcp(from: 8080, to: 4000, flags: [.syn, .ack]), on: Self.outside)
        harness.receive(Self.client.tcp(from: 4000, to: 80, flags: .ack), on: inside)
        harness.advance(seconds(2))
        _ = harness.host.bindUDP(port: 9053)
        harness.receive(Self.client.udp(from: 4000, to: 53), on: inside)
        #expect(
            harness.host.virtualServers.connectionText(at: harness.context.now) == """
                IPVS connection entries
                pro expire state       source             virtual            destination
                TCP 179:58 ASSURED     10.0.0.2:0         10.96.0.10:80      192.0.2.9:8080
                TCP 14:58  ESTABLISHED 10.0.0.2:4000      10.96.0.10:80      192.0.2.9:8080
                UDP 05:00  UDP         10.0.0.2:4000      10.96.0.10:53      192.0.2.1:9053

                """)
    }

    @Test func `A removed server's connections end with their next packet, and a new one is scheduled`() {
        let (harness, inside) = router()
        harness.receive(syn(), on: inside)
        harness.host.virtualServers.removeRealServer(end("192.0.2.9:8080"), from: end("10.96.0.10:80"), .tcp)
        // Connection tracking holds the old way: the packet is dropped, and what comes after it is new.
        harness.receive(syn(), on: inside)
        #expect(harness.drops == [.netfilterDrop])
        harness.receive(syn(from: 4001), on: inside)
        #expect(harness.sent.last.map { "\($0.ipv4.destination)" } == "192.0.2.10")
        // Without the setting the entry stays and swallows what comes.
        let (silent, link) = router()
        silent.host.sysctls.virtualServersExpireWithoutServer = false
        silent.receive(syn(), on: link)
        silent.host.virtualServers.removeRealServer(end("192.0.2.9:8080"), from: end("10.96.0.10:80"), .tcp)
        for _ in 0..<2 { silent.receive(syn(), on: link) }
        #expect(silent.drops == [.netfilterDrop, .netfilterDrop] && silent.sent.count == 1)
    }

    @Test func `A port used again after TIME_WAIT is scheduled anew`() {
        for (mode, server) in [(1, "192.0.2.10"), (0, "192.0.2.9")] {
            let (harness, inside) = router()
            harness.host.sysctls.virtualServersReuseMode = mode
            harness.receive(syn(), on: inside)
            harness.receive(Self.server.tcp(from: 8080, to: 4000, flags: [.syn, .ack]), on: Self.outside)
            harness.receive(Self.client.tcp(from: 4000, to: 80, flags: .ack), on: inside)
            harness.receive(Self.client.tcp(from: 4000, to: 80, flags: [.fin, .ack]), on: inside)
            harness.receive(Self.server.tcp(from: 8080, to: 4000, flags: [.fin, .ack]), on: Self.outside)
            harness.receive(Self.client.tcp(from: 4000, to: 80, flags: .ack), on: inside)
            harness.receive(syn(), on: inside)
            #expect(harness.sent.last.map { "\($0.ipv4.destination)" } == server, "conn_reuse_mode \(mode)")
        }
    }

    // MARK: rules and addresses

    @Test(
        "-m ipvs compares the virtual server of what IPVS sends on",
        arguments: [
            (VirtualServiceMatch(isHandled: Negatable(true)), true),
            (
                VirtualServiceMatch(
                    address: Negatable(IPPrefix("10.96.0.10/32")!), protocol: Negatable(.tcp), port: Negatable(80)),
                true
            ),
            (VirtualServiceMatch(address: Negatable(IPPrefix("10.96.0.0/24")!)), true),
            (VirtualServiceMatch(address: Negatable(IPPrefix("10.96.0.11/32")!)), false),
            (VirtualServiceMatch(address: .not(IPPrefix("10.96.0.10/32")!)), false),
            (VirtualServiceMatch(protocol: Negatable(.udp)), false), (VirtualServiceMatch(protocol: .not(.udp)), true),
            (VirtualServiceMatch(port: Negatable(8080)), false), (VirtualServiceMatch(port: .not(8080)), true),
        ])
    func ipvsMatch(match: VirtualServiceMatch, matches: Bool) {
        let (harness, inside) = router { rules in
            rules[.filter].append(Rule(matches: [.virtualService(match)], target: .drop), to: "OUTPUT")
        }
        harness.receive(syn(), on: inside)
        #expect(harness.sent.isEmpty == matches)
        // What it has not touched never matches.
        harness.clear()
        harness.receive(
            PacketBuilder(.peer, "10.0.0.2", .own, "10.0.0.1").echoRequest(identifier: 1, sequence: 1), on: inside)
        #expect(harness.sent.count == 1)
    }

    @Test func `-m ipvs prints the protocol as a number and a whole address without its length`() {
        let host = IPPrefix("203.0.113.60/32")!
        let all = VirtualServiceMatch(address: Negatable(host), protocol: Negatable(.tcp), port: .not(80))
        #expect("\(Match.virtualService(all))" == "-m ipvs --vproto 6 --vaddr 203.0.113.60 ! --vport 80")
        #expect("\(Match.virtualService(VirtualServiceMatch(isHandled: Negatable(true))))" == "-m ipvs --ipvs")
        #expect("\(Match.bridgePort(BridgePortMatch(comesInByPort: .not(true))))" == "-m physdev ! --physdev-is-in")
    }

    @Test
    func `An address of a link that is down is local: it is answered for, and ARP tells of it unless told not to`() {
        let (harness, inside) = router()
        harness.receive(Self.client.echoRequest(identifier: 1, sequence: 1), on: inside)
        #expect(harness.takeSent().map(\.text) == ["in0 icmp 0/0 10.96.0.10 > 10.0.0.2 ttl 64"])
        for (ignore, answers) in [(0, 1), (1, 0), (2, 0)] {
            harness.host.sysctls.arpIgnore = ignore
            for (target, count) in [("10.96.0.10", answers), ("10.0.0.1", 1)] {
                let question = ARPPacket(
                    operation: .request, senderMAC: .peer, senderIP: ipv4("10.0.0.2"), targetMAC: .zero,
                    targetIP: ipv4(target))
                harness.receive(
                    PacketBuilder.arp(question, source: .peer, destination: .broadcast), on: inside)
                #expect(harness.takeSent().count == count, "arp_ignore \(ignore) \(target)")
            }
        }
    }

    @Test("arp_announce says whose address asks", arguments: [(0, "10.96.0.10"), (1, "192.0.2.1"), (2, "192.0.2.1")])
    func announce(level: Int, sender: String) throws {
        let harness = NamespaceHarness()
        harness.addEthernet(address: "192.0.2.1/24")
        harness.host.addAddress(interface("10.96.0.10/32"), to: LinkID(0))
        harness.host.sysctls.arpAnnounce = level
        let socket = harness.host.bindUDP(port: 53, address: ip("10.96.0.10"))
        try harness.host.sendDatagram(socket, [1], to: end("192.0.2.9:53"), &harness.context)
        harness.settle()
        #expect(harness.takeSent().first?.text == "eth0 arp who-has 192.0.2.9 tell \(sender)")
        harness.advance(seconds(5))
    }
}
