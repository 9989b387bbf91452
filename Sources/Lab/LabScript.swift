// A lab as a shell script: the links, addresses, routes, neighbors, forwarding entries, settings and rules of every
// namespace a simulator has computed, in the words of ip, bridge, sysctl, ethtool, iptables-restore and nft.
// `podnet lab script` prints it, `podnet lab up` and `lab compare` run it: what people read is what is built.
// Simplified: the underlay has no delay and loses nothing, IPVS is not built, conntrack's table keeps its size.

internal import Addressing
internal import Kubernetes
package import Netstack
package import Simulation

/// The commands that build and remove a lab.
package struct LabScript: Sendable {
    package let names: LabNames
    /// The servers of each namespace.
    package private(set) var servers: [(namespace: NamespaceID, socket: ServerSocket)] = []
    private var parts: [String] = []
    private let servicePorts: Set<UInt16>
    private var interfaces: Interfaces

    /// More namespaces than this are not built.
    static let namespaceLimit = 1000

    /// Reads off what a simulator has computed for every node, pod and host.
    package init(_ simulator: inout Simulator, prefix: String = LabNames.standardPrefix) throws(LabError) {
        let everyone = simulator.everyNamespace
        guard everyone.count <= Self.namespaceLimit else {
            throw LabError(
                "a lab of \(everyone.count) network namespaces is too large for one machine",
                hint: "take a part of the cluster; \(Self.namespaceLimit) namespaces are the limit")
        }
        if let fault = simulator.faultBeyondState {
            throw LabError(
                "no lab has fault \"\(fault)\"",
                hint:
                    "it builds faults that are state: link, mtu, hairpin, policy, br_netfilter, stale and wrong entries"
            )
        }
        names = LabNames(simulator, prefix: prefix)
        let ports = simulator.cluster.objects.services.flatMap(\.spec.ports)
        servicePorts = Set((ports.map(\.port) + ports.compactMap(\.nodePort)).compactMap { UInt16(exactly: $0) })
        var namespaces: [NetworkNamespace] = []
        for id in everyone {
            let namespace = simulator.namespace(id)
            guard namespace.virtualServers.servers.isEmpty else {
                throw LabError(
                    "the ipvs mode of kube-proxy cannot be built in a lab",
                    hint: "ask with --proxy-mode iptables or --proxy-mode nftables")
            }
            guard namespace.relays.isEmpty else {
                throw LabError(
                    "the tunnels of flannel's backends ipip, udp and wireguard cannot be built in a lab",
                    hint: "use vxlan or host-gw")
            }
            namespaces.append(namespace)
            servers += simulator.servers(in: id).map { (id, $0) }
        }
        interfaces = Interfaces(simulator.underlayNetworks)
        add("network namespaces", "ip -batch -", names.all.map { "netns add \($0)" })
        addSettingsBeforeLinks(namespaces)
        for namespace in namespaces { addLinks(of: namespace) }
        addUnderlay()
        for namespace in namespaces { addAddresses(of: namespace) }
        for namespace in namespaces { addRoutes(of: namespace) }
        for namespace in namespaces { addSettings(of: namespace) }
    }

    /// Ports somebody chose: those of servers, Services and requests.
    package func fixedPorts(_ flows: [LabFlow]) -> Set<UInt16> {
        Set(servers.map(\.socket.local.port)).union(flows.compactMap(\.request.port)).union(servicePorts)
    }

    // MARK: text

    /// Builds the lab. Servers run when `program` is a podnet to run them with. With `guardedBy` it stops when that
    /// process is gone.
    package func text(program: String?, guardedBy process: Int32? = nil) -> String {
        var text = """
            #!/bin/sh
            # A lab that podnet computed: the network of nodes, pods and machines in network namespaces of their own.
            # Run it as root. It stops at the first command that fails; the commands at the end remove everything.
            set -eu


            """
        let check = process.map { "kill -0 \($0) || exit 1\n" } ?? ""
        text += parts.joined(separator: "\n" + check)
        if let program {
            text += "\n# servers\n"
            for command in serverCommands(program: program) { text += command + "\n" }
        }
        return text
    }

    /// Removes the lab: first what runs in it, then the namespaces with all they hold.
    package var removal: String {
        """
        for name in \(names.all.joined(separator: " ")); do
            ip netns pids "$name" 2>/dev/null | xargs -r kill 2>/dev/null || :
            ip netns del "$name" 2>/dev/null || :
        done

        """
    }

    private func serverCommands(program: String) -> [String] {
        var commands: [String] = []
        for id in Set(servers.map(\.namespace)).sorted() {
            let sockets = servers.filter { $0.namespace == id }.map { RealServer($0.socket).description }
            let words = ["ip", "netns", "exec", names[id], program, "lab", "serve"] + sockets
            commands.append(words.map(quoted).joined(separator: " ") + " </dev/null >/dev/null 2>&1 &")
        }
        return commands
    }

    private func quoted(_ word: String) -> String {
        let isPlain = word.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: "="), UInt8(ascii: "@"):
                true
            default: false
            }
        }
        return isPlain && !word.isEmpty ? word : "'" + word.split(separator: "'").joined(separator: "'\\''") + "'"
    }

    private mutating func add(_ comment: String, _ command: String, _ input: [String]) {
        guard !input.isEmpty else { return }
        parts.append("# \(comment)\n\(command) <<'END'\n" + input.map { $0 + "\n" }.joined() + "END\n")
    }

    // MARK: links

    /// Settings that new links take over, so that they must be there before them.
    private mutating func addSettingsBeforeLinks(_ namespaces: [NetworkNamespace]) {
        add(
            "the underlay bridges frames and does nothing else",
            "ip netns exec \(names.underlay) sysctl -q -e -p -",
            ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]
                + ["arp", "ip", "ip6"].map { "net.bridge.bridge-nf-call-\($0)tables=0" })
        for namespace in namespaces {
            let usesIPv6 = namespace.links.contains { link in
                !link.isLoopback && link.addresses.contains { $0.interface.address.family == .ipv6 }
            }
            var settings = ["all", "default"].map { "net.ipv6.conf.\($0).disable_ipv6=\(usesIPv6 ? 0 : 1)" }
            if usesIPv6 {
                for setting in ["accept_dad", "accept_ra", "router_solicitations"] {
                    settings += ["all", "default"].map { "net.ipv6.conf.\($0).\(setting)=0" }
                }
            }
            // What a new namespace takes over from the host, and each link from `default`.
            for (name, value) in namespace.sysctls.listing where name.hasPrefix("net.ipv4.conf.all.") {
                let setting = name.dropFirst("net.ipv4.conf.all.".count)
                settings += ["all", "default", "lo"].map { "net.ipv4.conf.\($0).\(setting)=\(value)" }
            }
            add(
                "\(namespace.name): settings new links take over",
                "ip netns exec \(names[namespace.id]) sysctl -q -p -", settings)
        }
    }

    private mutating func addLinks(of namespace: NetworkNamespace) {
        var commands: [String] = []
        for link in namespace.links {
            let mtu = roomForTunnels(on: link, of: namespace)
            let common = "link add name \(link.name) address \(link.hardwareAddress) mtu \(mtu)"
            switch link.kind {
            case .loopback: break
            case .veth(let peer):
                // The end that is named first makes both.
                guard let other = interfaces.partner(LinkPeer(namespace: namespace.id, link: link.id), peer, link)
                else { continue }
                commands.append(
                    "\(common) type veth peer name \(other.name) address \(other.hardwareAddress) "
                        + "mtu \(other.mtu) netns \(names[peer.namespace])")
            case .ethernet:
                let port = interfaces.port(of: LinkPeer(namespace: namespace.id, link: link.id), mtu: link.mtu)
                commands.append(
                    "\(common) type veth peer name \(port) mtu \(link.mtu) netns \(names.underlay)")
            case .bridge: commands.append("\(common) type bridge")
            case .vxlan(let number):
                let tunnel = namespace.tunnels[number]
                commands.append(
                    "\(common) type vxlan id \(tunnel.vni) local \(tunnel.local) "
                        + "dev \(namespace.links[tunnel.lower.index].name) dstport \(tunnel.port) nolearning")
            case .dummy: commands.append("\(common) type dummy")
            case .tunnel: break
            }
        }
        add("\(namespace.name): links", "ip -n \(names[namespace.id]) -batch -", commands)
    }

    /// The kernel makes no tunnel larger than what is below it, so a link that was made smaller since begins larger.
    private func roomForTunnels(on link: Link, of namespace: NetworkNamespace) -> Int {
        let needs = namespace.tunnels.filter { $0.lower == link.id }.map { namespace.links[$0.link.index].mtu + 50 }
        return max(link.mtu, needs.max() ?? 0)
    }

    /// One bridge for each network, with a port for every machine on it.
    private mutating func addUnderlay() {
        var commands: [String] = []
        for (number, network) in interfaces.networks.enumerated() {
            let mtu = network.compactMap { interfaces.ports[$0]?.mtu }.max() ?? 1500
            commands.append("link add name fabric\(number) mtu \(mtu) type bridge mcast_snooping 0")
            commands.append("link set fabric\(number) up")
            for machine in network {
                guard let port = interfaces.ports[machine] else { continue }
                commands.append("link set \(port.name) master fabric\(number) up")
            }
        }
        add("the wire between the machines", "ip -n \(names.underlay) -batch -", commands)
    }

    /// Addresses, ports of bridges, and which links are up.
    private mutating func addAddresses(of namespace: NetworkNamespace) {
        var commands = ["link set lo up"]
        for link in namespace.links {
            if let bridge = link.bridge {
                commands.append("link set \(link.name) master \(namespace.links[bridge.index].name)")
                if link.isHairpin { commands.append("link set \(link.name) type bridge_slave hairpin on") }
            }
            for address in link.addresses where !isMadeByKernel(address, link) {
                let broadcast = address.broadcast.map { " brd \($0)" } ?? ""
                let scope = address.scope == .host && !link.isLoopback ? " scope host" : ""
                let nodad = address.interface.address.family == .ipv6 ? " nodad" : ""
                commands.append("addr add \(address.interface)\(broadcast)\(scope) dev \(link.name)\(nodad)")
            }
            if link.isPromiscuous { commands.append("link set \(link.name) promisc on") }
            if link.isUp, !link.isLoopback { commands.append("link set \(link.name) up") }
        }
        for link in namespace.links where roomForTunnels(on: link, of: namespace) != link.mtu || isBridge(link) {
            // A bridge goes with its ports until it is told.
            commands.append("link set \(link.name) mtu \(link.mtu)")
        }
        add("\(namespace.name): addresses", "ip -n \(names[namespace.id]) -batch -", commands)
    }

    private func isBridge(_ link: Link) -> Bool {
        if case .bridge = link.kind { return true }
        return false
    }

    /// 127.0.0.1, ::1 and link-local addresses come by themselves.
    private func isMadeByKernel(_ address: Link.Address, _ link: Link) -> Bool {
        let own = address.interface.address
        if own.family == .ipv6 { return link.isLoopback || address.scope == .link }
        return link.isLoopback && own == .v4(127, 0, 0, 1)
    }

    /// Routes, neighbors and forwarding entries that agents wrote; the kernel adds its own, and takes those of a link
    /// that is down.
    private mutating func addRoutes(of namespace: NetworkNamespace) {
        func isUp(_ link: LinkID?) -> Bool { link.map { namespace.links[$0.index].isUp } ?? true }
        var commands: [String] = []
        for neighbor in namespace.neighbors.entries where neighbor.state == .permanent && isUp(neighbor.link) {
            commands.append(
                "neigh replace \(neighbor.address) lladdr \(neighbor.lladdr) "
                    + "dev \(namespace.links[neighbor.link.index].name) nud permanent")
        }
        for route in namespace.mainTable.routes where route.origin != .kernel && isUp(route.link) {
            // The addresses say which family it is; a line of a batch takes no -6.
            let text = route.text { namespace.links[$0.index].name }
            commands.append(
                "route replace \(text.hasSuffix(" pref medium") ? String(text.dropLast(12)) : text)")
        }
        add("\(namespace.name): routes and neighbors", "ip -n \(names[namespace.id]) -batch -", commands)
        let entries = namespace.tunnels.flatMap { tunnel in
            tunnel.forwardingDatabase.sorted { $0.key < $1.key }.map { address, remote in
                "fdb replace \(address) dev \(namespace.links[tunnel.link.index].name) dst \(remote) self permanent"
            }
        }
        add("\(namespace.name): peers behind tunnels", "bridge -n \(names[namespace.id]) -batch -", entries)
    }

    // MARK: settings and rules

    private mutating func addSettings(of namespace: NetworkNamespace) {
        var lines: [String] = []
        let usual = Sysctls()
        let hasBridge = !namespace.bridges.isEmpty
        var settings: [String] = []
        for (own, standard) in zip(namespace.sysctls.listing, usual.listing) {
            let isBridgeSetting = own.name.hasPrefix("net.bridge.") && hasBridge
            let isForwarding = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"].contains(own.name)
            let isElsewhere =
                own.name.hasPrefix("net.ipv4.conf.") || own.name == "net.netfilter.nf_conntrack_max"
                || own.name.hasPrefix("net.ipv4.vs.") || own.name.hasPrefix("net.bridge.")
            guard isBridgeSetting || isForwarding || (own.value != standard.value && !isElsewhere) else { continue }
            settings.append("\(own.name)=\(own.value)")
        }
        let ofAll = namespace.sysctls.ofAllInterfaces.listing
        for link in namespace.links where !link.isLoopback {
            // Each link began with what all have.
            for (own, all) in zip(link.settings.listing, ofAll) where own.value != all.value {
                guard let value = own.value else { continue }
                settings.append("net/ipv4/conf/\(link.name)/\(own.name)=\(value)")
            }
        }
        lines += ["sysctl -q -p - <<'SETTINGS'"] + settings + ["SETTINGS"]
        for link in namespace.links where !link.isLoopback {
            lines.append("ethtool -K \(link.name) tx off rx off gso off gro off tso off >/dev/null 2>&1 || :")
        }
        for (family, tool) in [(RuleSystem.iptables, "iptables-restore"), (.ip6tables, "ip6tables-restore")] {
            let ruleset = namespace.ruleset(of: family)
            guard !ruleset.tables.isEmpty else { continue }
            lines += ["\(tool) <<'RULES'", withoutAccounting(ruleset.savedText()) + "RULES"]
        }
        if !namespace.nftables.tables.isEmpty {
            lines += ["nft -f - <<'RULES'", namespace.nftables.listing() + "RULES"]
        }
        add("\(namespace.name): settings and rules", "ip netns exec \(names[namespace.id]) sh -e", lines)
    }

    /// nfacct counts and matches always; its objects would have to be made first, and many kernels lack it.
    private func withoutAccounting(_ rules: String) -> String {
        let match = " -m nfacct --nfacct-name"
        return rules.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            var words = String(line)
            while let range = words.firstRange(of: match) {
                let name = words[range.upperBound...].drop { $0 == " " }
                words.removeSubrange(range.lowerBound..<(name.firstIndex(of: " ") ?? words.endIndex))
            }
            return words
        }.joined(separator: "\n")
    }
}

/// Which links make a pair, and what the machines' ports on the underlay are called.
private struct Interfaces: Sendable {
    struct Port {
        var name: String
        var mtu: Int
    }

    let networks: [[LinkPeer]]
    private(set) var ports: [LinkPeer: Port] = [:]
    private var waiting: [LinkPeer: Link] = [:]

    init(_ networks: [[LinkPeer]]) { self.networks = networks }

    /// Names the port of a machine's interface.
    mutating func port(of interface: LinkPeer, mtu: Int) -> String {
        let name = "p\(ports.count + 1)"
        ports[interface] = Port(name: name, mtu: mtu)
        return name
    }

    /// The other end of a pair when it has been seen before; nil for the first of the two.
    mutating func partner(_ own: LinkPeer, _ peer: LinkPeer, _ link: Link) -> Link? {
        if let other = waiting.removeValue(forKey: peer) { return other }
        waiting[own] = link
        return nil
    }
}
