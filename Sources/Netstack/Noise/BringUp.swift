// When an interface that comes up with IPv6 on sends what: addrconf_dad_start, addrconf_dad_completed and
// addrconf_rs_timer of net/ipv6/addrconf.c, mld_ifc_event of mcast.c, igmp_ifc_event of igmp.c and arp_notify of
// devinet.c. What differs between interfaces the CNI bridge plugin and flannel have set: pods' addresses are taken for
// unique, and bridges, their ports and VXLAN devices ask for no routers. Simplified: reports name no groups of further
// IPv6 addresses and of routers, and what a bridge sends before it has a port is missing.

package import Addressing

/// What interfaces do of their own accord, and the chance for it, apart from all other so that flows stay the same.
package struct BackgroundTraffic: Sendable {
    package var random: SeededGenerator
    /// Sent so far.
    package var packets = 0

    package init(seed: UInt64) { random = SeededGenerator(seed: seed).stream("background") }
}

/// What an interface does next of its own accord.
package enum BackgroundStep: Hashable, Sendable, BitwiseCopyable {
    /// A report, and so many more of the kind.
    case report(BackgroundFrame, more: Int)
    case duplicateDetection
    /// Nobody else has the link-local address.
    case addressValid
    /// Ask for routers once more, after so long a wait.
    case routerSolicitation(waited: Nanoseconds)
}

extension NetworkNamespace {
    /// All interfaces come up now. A pod's announces itself, which its node's port is still too new to forward.
    package mutating func comeUp(_ context: inout PathContext) {
        for link in links where link.isUp {
            switch link.kind {
            case .loopback, .dummy, .tunnel: continue
            case .veth where link.bridge == nil:
                // accept_dad is 0.
                let own = links[link.id.index].addresses.first { $0.interface.address.family == .ipv4 }
                if let own = own?.interface.address.ipv4 { announceItself(own, on: link.id, &context) }
                becomeValid(link.id, &context)
                schedule(.report(.listenerReport(isTentative: false), more: 1), on: link.id, afterTicks: 0, &context)
            case .veth, .ethernet, .vxlan, .bridge:
                if link.bridge != nil { links[link.id.index].isNewPort = true }
                if case .bridge = link.kind {
                    schedule(.report(.membershipReport, more: 1), on: link.id, afterTicks: 0, &context)
                }
                schedule(.report(.listenerReport(isTentative: true), more: 1), on: link.id, afterTicks: 0, &context)
                schedule(.duplicateDetection, on: link.id, afterTicks: random(&context) - 2, &context)
            }
        }
    }

    mutating func continueBackground(_ step: BackgroundStep, on link: LinkID, _ context: inout PathContext) {
        guard links[link.index].isUp else { return }
        switch step {
        case .report(let report, let more):
            send(report, on: link, &context)
            guard more > 0 else { return }
            schedule(.report(report, more: more - 1), on: link, afterTicks: random(&context), &context)
        case .duplicateDetection:
            send(.duplicateDetection, on: link, &context)
            context.schedule(.background(link, .addressValid), in: id, after: NeighborTable.retransmission)
        case .addressValid: becomeValid(link, &context)
        case .routerSolicitation(let waited):
            send(.routerSolicitation, on: link, &context)
            // About twice as long, but not more than about an hour (rfc3315_s14_backoff_update).
            let doubled = spread(waited, 1_900_000, &context)
            let longest = Self.longestSolicitationInterval
            let interval = doubled > longest ? spread(longest, 900_000, &context) : doubled
            context.schedule(.background(link, .routerSolicitation(waited: interval)), in: id, after: interval)
        }
    }

    /// addrconf_dad_completed
    private mutating func becomeValid(_ link: LinkID, _ context: inout PathContext) {
        let report = BackgroundFrame.listenerReport(isTentative: false)
        continueBackground(.report(report, more: 1), on: link, &context)
        guard asksForRouters(link) else { return }
        send(.routerSolicitation, on: link, &context)
        let interval = spread(4_000_000_000, 900_000, &context)
        context.schedule(.background(link, .routerSolicitation(waited: interval)), in: id, after: interval)
    }

    /// Routers do not. Where there are no IPv6 addresses nobody turns forwarding on, whatever the switch says here.
    private func asksForRouters(_ link: LinkID) -> Bool {
        switch links[link.index].kind {
        case .ethernet, .veth: links[link.index].bridge == nil && !(sysctls.ipv6Forward && hasIPv6)
        default: false
        }
    }

    private var hasIPv6: Bool {
        links.contains { link in
            !link.isLoopback && link.addresses.contains { $0.interface.address.family == .ipv6 && $0.scope != .link }
        }
    }

    private mutating func announceItself(_ own: IPv4Address, on link: LinkID, _ context: inout PathContext) {
        context.background?.packets += 1
        announce(own, on: link, &context)
    }

    // MARK: chance

    /// router_solicitation_max_interval
    private static let longestSolicitationInterval: Nanoseconds = 3_600_000_000_000

    /// Up to a second, in ticks.
    private func random(_ context: inout PathContext) -> Int {
        context.background?.random.next(below: 1_000_000_000 / Int(TimerWheel.tick)) ?? 0
    }

    /// A span times a factor in millionths, or up to a fifth more.
    private func spread(_ span: Nanoseconds, _ millionths: Int64, _ context: inout PathContext) -> Nanoseconds {
        let more = Int64(context.background?.random.next(below: 200_001) ?? 0)
        return span / 1_000_000 * (millionths + more)
    }

    /// Reports come two ticks later than chance says.
    private func schedule(
        _ step: BackgroundStep, on link: LinkID, afterTicks ticks: Int, _ context: inout PathContext
    ) {
        context.schedule(.background(link, step), in: id, after: Nanoseconds(ticks + 2) * TimerWheel.tick)
    }
}
