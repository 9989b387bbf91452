// What an interface sends of its own accord, without a program asking: multicast reports, duplicate address detection
// and router solicitations of IPv6, and IGMP of a bridge that snoops. Octets as net/ipv6/mcast.c, net/ipv6/ndisc.c
// and net/ipv4/igmp.c of Linux 6.18 write them (RFC 3810, 4862, 4861, 3376). The frames meet this host's rules as any
// other. When they are sent is in BringUp.swift.

internal import Addressing
internal import Wire

/// A frame an interface sends of its own accord.
package enum BackgroundFrame: Hashable, Sendable, BitwiseCopyable {
    /// MLDv2: the groups of the link. From `::` while the link-local address may be a duplicate.
    case listenerReport(isTentative: Bool)
    /// A solicitation for the own link-local address.
    case duplicateDetection
    case routerSolicitation
    /// IGMPv3: a snooping bridge listens for other snoopers.
    case membershipReport
}

extension NetworkNamespace {
    mutating func send(_ frame: BackgroundFrame, on link: LinkID, _ context: inout PathContext) {
        let own = IPv6Address(linkLocal: links[link.index].hardwareAddress)
        switch frame {
        case .listenerReport(let isTentative):
            sendListenerReport(own, isTentative: isTentative, on: link, &context)
        case .duplicateDetection:
            let length = NeighborDiscoveryMessage.length + NeighborDiscoveryMessage.optionLength
            let nonce = context.background?.random.next() ?? 0
            sendICMPv6(
                from: .any(.ipv6), to: own.solicitedNodeGroup, timeToLive: 255, length: length, on: link, &context
            ) { bytes, offset in
                NeighborDiscoveryMessage(soliciting: own, from: nil).write(to: &bytes, at: offset)
                // The nonce by which a looped solicitation is known (RFC 7527).
                let option = offset + NeighborDiscoveryMessage.Offset.options
                bytes.storeUInt8(14, at: option)
                bytes.storeUInt8(1, at: option + 1)
                bytes.storeMACAddress(MACAddress(rawValue: nonce & 0xffff_ffff_ffff), at: option + 2)
            }
        case .routerSolicitation:
            let hardwareAddress = links[link.index].hardwareAddress
            let length = ICMPv6Message.length + NeighborDiscoveryMessage.optionLength
            sendICMPv6(
                from: IPAddress(own), to: .allRouters, timeToLive: 255, length: length, on: link, &context
            ) { bytes, offset in
                ICMPv6Message(kind: .routerSolicitation).write(to: &bytes, at: offset)
                let option = offset + ICMPv6Message.length
                bytes.storeUInt8(1, at: option)
                bytes.storeUInt8(1, at: option + 1)
                bytes.storeMACAddress(hardwareAddress, at: option + 2)
            }
        case .membershipReport: sendMembershipReport(on: link, &context)
        }
    }

    /// MLDv2 behind a hop-by-hop header with a router alert.
    private mutating func sendListenerReport(
        _ own: IPv6Address, isTentative: Bool, on link: LinkID, _ context: inout PathContext
    ) {
        var groups = [own.solicitedNodeGroup]
        if case .bridge = links[link.index].kind { groups.append(.allSnoopers) }
        sendICMPv6(
            from: isTentative ? .any(.ipv6) : IPAddress(own), to: .listenerReports, timeToLive: 1,
            options: [0, 5, 2, 0, 0, 1, 0], length: ICMPv6Message.length + groups.count * 20, on: link, &context
        ) { bytes, offset in
            ICMPv6Message(kind: .multicastListenerReport2, restOfHeader: UInt32(groups.count))
                .write(to: &bytes, at: offset)
            for (number, group) in groups.enumerated() {
                let record = offset + ICMPv6Message.length + number * 20
                bytes.storeUInt8(BackgroundFrame.toExclude, at: record)
                bytes.storeIPv6Address(group, at: record + 4)
            }
        }
    }

    /// `options` are a hop-by-hop header's without its first octet, if there is one; `write` writes `length` octets
    /// behind it.
    private mutating func sendICMPv6(
        from source: IPAddress, to group: IPv6Address, timeToLive: UInt8, options: [UInt8] = [], length: Int,
        on link: LinkID, _ context: inout PathContext, _ write: (inout MutableRawSpan, Int) -> Void
    ) {
        let destination = IPAddress(group)
        let extensionLength = options.isEmpty ? 0 : options.count + 1
        let header = LocalHeader(
            protocol: options.isEmpty ? .icmpv6 : .hopByHopOptions, source: source, destination: destination,
            timeToLive: timeToLive)
        let (packet, start) = makePacket(header, length: extensionLength + length, &context)
        context.arena.withMutableBytes(packet) { bytes in
            if !options.isEmpty { bytes.store([IPProtocol.icmpv6.rawValue] + options, at: start) }
            let transport = start + extensionLength
            write(&bytes, transport)
            TransportChecksum.fill(
                .icmpv6, source: source, destination: destination, in: &bytes, segment: transport..<bytes.byteCount)
        }
        emit(packet, to: destination, on: link, &context)
    }

    /// IGMPv3 in an IP header with a router alert.
    private mutating func sendMembershipReport(on link: LinkID, _ context: inout PathContext) {
        let destination = IPAddress(IPv4Address.membershipReports)
        let source = selectAddress(on: link, towards: destination, scope: .link) ?? .any(.ipv4)
        let header = LocalHeader(
            protocol: IPProtocol(rawValue: 2), source: source, destination: destination, timeToLive: 1,
            trafficClass: 0xc0, dontFragment: true)
        let (packet, options) = makePacket(header, length: 4 + 16, &context)
        context.arena.withMutableBytes(packet) { bytes in
            bytes.storeUInt8(0x46, at: networkOffset)
            bytes.store([0x94, 4, 0, 0], at: options)
            let checksum = networkOffset + IPv4Header.Offset.headerChecksum
            bytes.storeUInt16(0, at: checksum)
            bytes.storeUInt16(Checksum.of(bytes.bytes, in: networkOffset..<options + 4), at: checksum)
            let report = options + 4
            bytes.storeUInt8(0x22, at: report)
            bytes.storeUInt16(1, at: report + 6)
            bytes.storeUInt8(BackgroundFrame.toExclude, at: report + 8)
            bytes.storeUInt32(IPv4Address.allSnoopers.rawValue, at: report + 12)
            bytes.storeUInt16(Checksum.of(bytes.bytes, in: report..<report + 16), at: report + 2)
        }
        emit(packet, to: destination, on: link, &context)
    }

    private mutating func emit(
        _ packet: Packet, to group: IPAddress, on link: LinkID, _ context: inout PathContext
    ) {
        context.background?.packets += 1
        originate(packet, parent: 0, &context)
        localOutput(packet, by: routeOnLink(group, link), &context)
    }
}

extension BackgroundFrame {
    /// CHANGE_TO_EXCLUDE_MODE with no source: the group from everyone. The same number in MLDv2 and IGMPv3.
    fileprivate static let toExclude: UInt8 = 4
}

extension IPv6Address {
    /// All MLDv2-capable routers.
    fileprivate static let listenerReports = IPv6Address(high: 0xff02 << 48, low: 0x16)
    fileprivate static let allSnoopers = IPv6Address(high: 0xff02 << 48, low: 0x6a)
}

extension IPv4Address {
    /// All IGMPv3-capable routers.
    fileprivate static let membershipReports = IPv4Address(rawValue: 0xe000_0016)
    fileprivate static let allSnoopers = IPv4Address(rawValue: 0xe000_006a)
}
