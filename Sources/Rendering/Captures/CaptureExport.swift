// A recording as captures: one interface per link that saw a frame, frames in order of virtual time with direction and
// packet id, comments that name what was done to a packet since it was last seen, and names for addresses.

internal import Addressing
public import Capture
internal import Kubernetes
internal import Netstack
public import Simulation

/// What of a recording goes into a capture.
public struct CaptureSelection: Sendable {
    /// `worker-1/cni0`, or an owner alone (`worker-1`, `default/web`) for all its interfaces; empty for all that saw
    /// a frame.
    public var interfaces: [String]
    /// A libpcap expression.
    public var filter: CaptureFilter?
    /// Nanoseconds since 1970 at which virtual time begins.
    public var startTime: UInt64

    /// Midnight UTC, 1 January 2026.
    public static let defaultStartTime: UInt64 = 1_767_225_600_000_000_000

    public init(
        interfaces: [String] = [], filter: CaptureFilter? = nil, startTime: UInt64 = CaptureSelection.defaultStartTime
    ) {
        self.interfaces = interfaces
        self.filter = filter
        self.startTime = startTime
    }
}

/// A recording ready to be written.
public struct CaptureExport: Sendable {
    public let interfaces: [CaptureInterface]
    public let packets: [CapturedPacket]
    public let names: [CaptureNameRecord]

    /// Collects what the selection asks for. Throws the name of a selected interface that does not exist.
    public init(
        _ simulator: borrowing Simulator, _ selection: CaptureSelection
    ) throws(UnknownInterface) {
        var points: [CapturePoint: Int] = [:]
        var interfaces: [CaptureInterface] = []
        let seen = Set(
            simulator.context.recording.frames.map { CapturePoint(namespace: $0.namespace, link: $0.link) })
        var unmatched = selection.interfaces
        for id in simulator.builtNamespaces {
            let namespace = simulator.built(id)
            for link in namespace.links {
                let point = CapturePoint(namespace: id, link: link.id)
                let name = "\(namespace.name)/\(link.name)"
                if selection.interfaces.isEmpty {
                    guard seen.contains(point) else { continue }
                } else {
                    guard selection.interfaces.contains(name) || selection.interfaces.contains(namespace.name) else {
                        continue
                    }
                    unmatched.removeAll { $0 == name || $0 == namespace.name }
                }
                points[point] = interfaces.count
                interfaces.append(Self.interface(link, name: name))
            }
        }
        if let missing = unmatched.first {
            let known = simulator.builtNamespaces.flatMap { id in
                let namespace = simulator.built(id)
                return namespace.links.map { "\(namespace.name)/\($0.name)" }
            }
            throw UnknownInterface(name: missing, known: known)
        }
        let comments = Self.comments(simulator)
        var packets: [CapturedPacket] = []
        for (number, frame) in simulator.context.recording.frames.enumerated() {
            guard let interface = points[CapturePoint(namespace: frame.namespace, link: frame.link)] else { continue }
            let octets = Array(
                simulator.context.recording.octets[frame.offset..<(frame.offset + frame.length)])
            if let filter = selection.filter, !filter.matches(octets, originalLength: octets.count) { continue }
            packets.append(
                CapturedPacket(
                    interface: interface, timestamp: selection.startTime + UInt64(frame.time), bytes: octets,
                    direction: frame.direction == .ingress ? .inbound : .outbound, packetID: UInt64(frame.packet),
                    comments: comments[number]))
        }
        self.interfaces = interfaces
        self.packets = packets
        names = Self.names(simulator)
    }

    private struct CapturePoint: Hashable {
        var namespace: NamespaceID
        var link: LinkID
    }

    private static func interface(_ link: Link, name: String) -> CaptureInterface {
        CaptureInterface(
            name: name, hardwareAddress: link.isLoopback ? nil : link.hardwareAddress.rawValue,
            addresses: link.addresses.compactMap { address in
                address.interface.address.ipv4.map {
                    CaptureInterfaceAddress(.ipv4($0.rawValue), prefixLength: address.interface.prefixLength)
                }
            })
    }

    /// For each frame what happened to its packet since it was last seen; how it ended stands at its last frame.
    private static func comments(_ simulator: borrowing Simulator) -> [[String]] {
        let recording = simulator.context.recording
        var comments = Array(repeating: [String](), count: recording.frames.count)
        var pending: [UInt32: [String]] = [:]
        var lastFrame: [UInt32: Int] = [:]
        var chains: [String] = []
        var faults: [UInt32: String] = [:]
        for event in recording.events {
            if case .frame(_, _, _, let record) = event.kind {
                guard record >= 0 else { continue }
                comments[Int(record)] = pending.removeValue(forKey: event.packet) ?? []
                lastFrame[event.packet] = Int(record)
                continue
            }
            switch event.kind {
            case .hook, .rule, .tracked, .bridged, .flooded, .delivered, .consumed: continue
            default: break
            }
            let namespace = simulator.built(event.namespace)
            switch event.kind {
            case .dropped(let reason, let rule):
                guard reason != .otherHost, let record = lastFrame[event.packet] else { continue }
                var text = "dropped \(reason.rawValue): \(reason.explanation)"
                if let rule { text += " (\(namespace.traceRule(rule).text))" }
                if let fault = faults[event.packet] { text += "; \(fault)" }
                comments[record].append(text)
            case .originated(_, let isRetransmission):
                if isRetransmission { pending[event.packet, default: []].append("sent again") }
            default:
                guard let step = simulator.step(event, in: namespace, chains: &chains), let text = text(step) else {
                    continue
                }
                if case .fault = event.kind { faults[event.packet] = text }
                pending[event.packet, default: []].append(text)
            }
        }
        return comments
    }

    private static func text(_ step: TraceStep) -> String? {
        switch step {
        case .translated(let kind, let from, let to, let rule, _):
            let ends =
                from.port == 0 && to.port == 0 ? "\(from.address) → \(to.address)" : "\(from) → \(to)"
            switch kind {
            case .source: return "SNAT \(ends)" + (rule.map { " by \(ruleText($0))" } ?? "")
            case .destination: return "DNAT \(ends)" + (rule.map { " by \(ruleText($0))" } ?? "")
            case .originalSource: return "un-DNAT \(ends) by \(rule.map(ruleText) ?? "connection tracking")"
            case .originalDestination: return "un-SNAT \(ends) by connection tracking"
            }
        case .encapsulated(let device, let local, let remote, let vni):
            return "VXLAN \(local) → \(remote) vni \(vni) by \(device)"
        case .decapsulated(let device, let remote, let vni):
            return "VXLAN from \(remote) vni \(vni) opened by \(device)"
        case .scheduled(let server, let scheduler, let real, let isRemembered):
            return "IPVS \(server.chain): \(isRemembered ? "session affinity keeps" : "\(scheduler) chose") \(real)"
        case .routed(let route, _): return "route \(route)"
        case .waitsForNeighbor(let address, let link): return "waited for ARP: \(address) on \(link)"
        case .fragmented(let count, let mtu): return "fragmented into \(count) for MTU \(mtu)"
        case .fault(let name, let action): return faultText(name, action)
        case .hook, .rule, .tracked, .bridged, .flooded: return nil
        }
    }

    private static func ruleText(_ rule: TraceRule) -> String {
        "\(rule.table) \(rule.chain)" + (rule.comment.map { " \"\($0)\"" } ?? "")
    }

    /// Names for the addresses that occur: pods, Services, nodes and hosts.
    private static func names(_ simulator: borrowing Simulator) -> [CaptureNameRecord] {
        var occurring: Set<IPAddress> = []
        for event in simulator.context.recording.events {
            guard case .frame(_, _, let headers, _) = event.kind else { continue }
            occurring.insert(headers.source)
            occurring.insert(headers.destination)
            if headers.isEncapsulated {
                occurring.insert(IPAddress(headers.outerSource))
                occurring.insert(IPAddress(headers.outerDestination))
            }
        }
        let objects = simulator.cluster.objects
        let domain = objects.clusterConfiguration?.dnsDomain ?? "cluster.local"
        var names: [IPAddress: [String]] = [:]
        for pod in objects.pods where !pod.spec.hostNetwork {
            for address in pod.status.podIPs where occurring.contains(address) {
                names[address, default: []].append("\(pod.metadata.name).\(pod.metadata.namespace).pod")
            }
        }
        for service in objects.services {
            for address in service.clusterAddresses where occurring.contains(address) {
                names[address, default: []].append(
                    "\(service.metadata.name).\(service.metadata.namespace).svc.\(domain)")
            }
        }
        for node in objects.nodes {
            for address in node.internalIPs where occurring.contains(address) {
                names[address, default: []].append(node.name)
            }
        }
        for host in objects.hosts {
            for address in host.addresses.map(\.address) where occurring.contains(address) {
                names[address, default: []].append(host.name)
            }
        }
        return names.sorted { $0.key < $1.key }.compactMap { address, names in
            address.ipv4.map { CaptureNameRecord(.ipv4($0.rawValue), names: names) }
        }
    }
}

/// An interface name that names nothing.
public struct UnknownInterface: Error, Hashable, Sendable {
    public let name: String
    public let known: [String]
}
