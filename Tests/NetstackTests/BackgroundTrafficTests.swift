// What interfaces send of their own accord as they come up, against what Linux 6.18 sent: a node with eth0, flannel.1,
// cni0 and one port of it, and a pod, IPv6 on, made by the CNI bridge plugin 1.1.1 and recorded with tcpdump. The MAC
// addresses are those of the recording, so that every octet can be compared but the random nonce of a solicitation.

import Addressing
import Testing
import Wire

@testable import Netstack

@Suite struct BackgroundTrafficTests {
    /// The recording: interface, how often, and the packet behind the Ethernet header. What is asked again for as long
    /// as nobody answers counts once.
    private static let recording = """
        eth0 2 600000000024000100000000000000000000000000000000ff020000000000000000000000000016\
        3a000502000001008f0011280000000104000000ff0200000000000000000001ffad5db5
        eth0 1 6000000000203aff00000000000000000000000000000000ff0200000000000000000001ffad5db5\
        8700681300000000fe8000000000000034eecbfffead5db50e0119ea33fdfc6f
        eth0 2 6000000000240001fe8000000000000034eecbfffead5db5ff020000000000000000000000000016\
        3a000502000001008f00b5550000000104000000ff0200000000000000000001ffad5db5
        eth0 1 6000000000103afffe8000000000000034eecbfffead5db5ff020000000000000000000000000002\
        8500be8b00000000010136eecbad5db5
        flannel.1 2 600000000024000100000000000000000000000000000000ff020000000000000000000000000016\
        3a000502000001008f0060890000000104000000ff0200000000000000000001ff000f01
        flannel.1 1 6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff000f01\
        87008b0500000000fe80000000000000000000fffe000f010e01a95bc3285992
        flannel.1 2 6000000000240001fe80000000000000000000fffe000f01ff020000000000000000000000000016\
        3a000502000001008f0054070000000104000000ff0200000000000000000001ff000f01
        cni0 2 46c00028000040000102f9040af40001e0000016940400002200f9930000000104000000e000006a
        cni0 2 600000000038000100000000000000000000000000000000ff020000000000000000000000000016\
        3a000502000001008f00d2ab0000000204000000ff0200000000000000000001ffc69896\
        04000000ff02000000000000000000000000006a
        cni0 1 6000000000203aff00000000000000000000000000000000ff0200000000000000000001ffc69896\
        87001f1600000000fe800000000000004ceaa5fffec698960e011fff9516764e
        cni0 2 6000000000380001fe800000000000004ceaa5fffec69896ff020000000000000000000000000016\
        3a000502000001008f0049e30000000204000000ff0200000000000000000001ffc69896\
        04000000ff02000000000000000000000000006a
        veth 2 600000000024000100000000000000000000000000000000ff020000000000000000000000000016\
        3a000502000001008f001f910000000104000000ff0200000000000000000001ffef4f0a
        veth 1 6000000000203aff00000000000000000000000000000000ff0200000000000000000001ffef4f0a\
        8700fe6700000000fe8000000000000010eb69fffeef4f0a0e01c05e678e2eeb
        veth 2 6000000000240001fe8000000000000010eb69fffeef4f0aff020000000000000000000000000016\
        3a000502000001008f00582b0000000104000000ff0200000000000000000001ffef4f0a
        pod 1 0001080006040001a651cb91a8c50af400020000000000000af40002
        pod 4 6000000000240001fe80000000000000a451cbfffe91a8c5ff020000000000000000000000000016\
        3a000502000001008f00b0090000000104000000ff0200000000000000000001ff91a8c5
        pod 1 6000000000103afffe80000000000000a451cbfffe91a8c5ff020000000000000000000000000002\
        850049dc000000000101a651cb91a8c5
        """

    private static let stations = [
        "36:ee:cb:ad:5d:b5": "eth0", "02:00:00:00:0f:01": "flannel.1", "4e:ea:a5:c6:98:96": "cni0",
        "12:eb:69:ef:4f:0a": "veth", "a6:51:cb:91:a8:c5": "pod",
    ]

    private func mac(_ name: String) throws -> MACAddress {
        let text = try #require(Self.stations.first { $0.value == name }?.key)
        return try #require(MACAddress(text))
    }

    /// The recorded node with its pod, up since time 0.
    private func node(seed: UInt64 = 1, seconds duration: Double) throws -> NamespaceHarness {
        let harness = NamespaceHarness(seed: seed)
        let pod = harness.add("pod")
        let eth0 = harness.addEthernet(mac: try mac("eth0"), address: "192.168.50.11/24")
        _ = harness.host.addVXLAN(
            "flannel.1", hardwareAddress: try mac("flannel.1"), mtu: 1450, vni: 1, local: ip("192.168.50.11"),
            lower: eth0)
        let bridge = harness.host.addBridge("cni0", hardwareAddress: try mac("cni0"))
        harness.host.addAddress(interface("10.244.0.1/24"), to: bridge)
        let port = harness.host.addLink(
            "veth", kind: .veth(peer: LinkPeer(namespace: NamespaceID(pod), link: LinkID(1))),
            hardwareAddress: try mac("veth"))
        harness.host.attach(port, to: bridge, hairpin: true)
        harness.namespaces[pod].addLink(
            "eth0", kind: .veth(peer: LinkPeer(namespace: NamespaceID(0), link: port)),
            hardwareAddress: try mac("pod"))
        harness.namespaces[pod].addAddress(interface("10.244.0.2/24"), to: LinkID(1))
        harness.context.background = BackgroundTraffic(seed: seed)
        for number in harness.namespaces.indices { harness.namespaces[number].comeUp(&harness.context) }
        harness.settle()
        harness.advance(seconds(duration))
        return harness
    }

    /// What each interface sent itself, with its time: flooded copies are left out.
    private func sent(_ harness: NamespaceHarness) -> [(interface: String, time: Nanoseconds, octets: [UInt8])] {
        harness.taps.compactMap { tap in
            guard tap.direction == .egress,
                let source = tap.octets.withUnsafeBytes({ bytes in
                    Self.stations[MACAddress(rawValue: bytes[6..<12].reduce(0) { $0 << 8 | UInt64($1) }).description]
                }), source == tap.link || source == "pod" && tap.namespace == 1
            else { return nil }
            return (source, tap.time, Array(tap.octets[14...]))
        }
    }

    /// Hexadecimal, without the nonce.
    private func text(_ octets: some Collection<UInt8>) -> String {
        let digits = octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        return digits.contains("0e01") && digits.hasPrefix("6000000000203aff") ? withoutNonce(digits) : digits
    }

    /// Also without the checksum, which covers the nonce.
    private func withoutNonce(_ digits: String) -> String {
        String(digits.dropLast(12).prefix(84)) + String(digits.dropLast(12).dropFirst(88))
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `Each interface sends, octet by octet, what a kernel's sends as it comes up`(_ seed: UInt64) throws {
        var expected: [String] = []
        for line in Self.recording.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            let digits = words[2].hasPrefix("6000000000203aff") ? withoutNonce(words[2]) : words[2]
            for _ in 0..<(try #require(Int(words[1]))) { expected.append("\(words[0]) \(digits)") }
        }
        // All but what is asked again: 3.6 s and more after the first time.
        let frames = sent(try node(seed: seed, seconds: 3.5))
        #expect(frames.map { "\($0.interface) \(text($0.octets))" }.sorted() == expected.sorted())
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `The times are the kernel's`(_ seed: UInt64) throws {
        let frames = sent(try node(seed: seed, seconds: 3.5))
        for name in ["eth0", "flannel.1", "cni0", "veth"] {
            let own = frames.filter { $0.interface == name && $0.octets[0] == 0x60 }
            let tentative = own.filter { $0.octets[6] == 0 && $0.octets[8] == 0 }.map(\.time)
            let valid = own.filter { $0.octets[6] == 0 && $0.octets[8] == 0xfe }.map(\.time)
            let detection = try #require(own.first { $0.octets[6] == 58 && $0.octets[40] == 135 }).time
            #expect(tentative.count == 2 && valid.count == 2)
            // Two ticks; then up to a second more; a second after the solicitation, by the timer wheel.
            #expect(tentative[0] < seconds(0.02) && tentative[1] < seconds(1.05) && detection < seconds(1.05))
            #expect((seconds(1)...seconds(1.06)).contains(valid[0] - detection))
            #expect(valid[1] - valid[0] < seconds(1.05))
        }
        let pod = frames.filter { $0.interface == "pod" }
        #expect(pod.prefix(3).allSatisfy { $0.time < seconds(0.001) } && pod[0].octets[1] == 1)
    }

    @Test func `Routers are asked for again after 4, 8, 16 seconds, by eth0 alone`() throws {
        let frames = sent(try node(seconds: 300)).filter { $0.octets[6] == 58 && $0.octets[40] == 133 }
        #expect(Set(frames.map(\.interface)) == ["eth0", "pod"])
        for name in ["eth0", "pod"] {
            let times = frames.filter { $0.interface == name }.map(\.time)
            try #require(times.count >= 6)
            var interval = 4.0
            for (earlier, later) in zip(times, times.dropFirst()) {
                let waited = Double(later - earlier) / 1e9
                // A tenth of chance each time, and an eighth of the timer wheel.
                #expect((interval * 0.9...interval * 1.24).contains(waited))
                interval = waited * 2 / 1.05
            }
        }
    }

    @Test func `A pod's first frame reaches its node's port and no more, its reports everyone on the bridge`() throws {
        let harness = try node(seconds: 0)
        #expect(
            harness.taps.map { "\($0.namespace) \($0.link) \($0.direction)" } == [
                "1 eth0 egress", "1 eth0 egress", "1 eth0 egress", "0 veth ingress",
                "0 veth ingress", "0 veth egress", "0 cni0 ingress",
                "0 veth ingress", "0 veth egress", "0 cni0 ingress", "1 eth0 ingress", "1 eth0 ingress",
            ])
    }

    @Test func `A router asks for no routers`() throws {
        let harness = NamespaceHarness()
        harness.addEthernet(address: "2001:db8::1/64")
        harness.host.sysctls.ipv6Forward = true
        harness.context.background = BackgroundTraffic(seed: 1)
        harness.host.comeUp(&harness.context)
        harness.settle()
        harness.advance(seconds(20))
        #expect(harness.taps.count == 5)
    }

    @Test func `Nothing that flannel.1 sends is encapsulated, and groups have their Ethernet addresses`() throws {
        let harness = try node(seconds: 3)
        #expect(harness.drops.count { $0 == .vxlanNoRemote } == 5)
        for tap in harness.taps where tap.octets[12] == 0x86 {
            #expect(Array(tap.octets[0..<6]) == [0x33, 0x33] + tap.octets[50..<54])
        }
    }
}
