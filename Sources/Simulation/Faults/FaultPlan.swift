// The faults of a cluster with their places found: which namespace, which link, from when until when. Made once, when
// the cluster is realised, so that a place that is not there is an error of the input like any other.

internal import Addressing
internal import Kubernetes
internal import Netstack

/// What a fault changes in one namespace.
enum NamespaceFault: Hashable, Sendable {
    case linkDown(LinkID)
    /// The other end is down.
    case noCarrier(LinkID)
    case mtu(LinkID, Int)
    case hairpinOff(LinkID)
    case queue(LinkID, NetemSettings)
    case filter(LinkID, TrafficSelector, FilterDirection)
    case leftChecksum(LinkID, TrafficSelector)
    case bridgeNetfilterOff
    case policyDrop(chain: String)
    /// A peer's VXLAN device is taken to have another address.
    case peerMAC(MACAddress, wrong: MACAddress)
    /// A peer's VXLAN device is taken to be at another machine.
    case peerAddress(MACAddress, IPv4Address)
    /// A peer is taken to be at another machine, whether a tunnel leads to it or a route.
    case peerLease(MACAddress, IPPrefix, IPv4Address)
    case route(Route)

    /// Whether a drop may be this fault's doing, when the packet passed the namespace.
    func explains(_ reason: DropReason, _ rule: TraceRule?) -> Bool {
        switch self {
        case .linkDown, .noCarrier: [.deviceNotReady, .neighborFailed, .noOutputRoute, .noInputRoute].contains(reason)
        case .mtu: reason == .packetTooBig
        case .hairpinOff: reason == .bridgeNoEgressPort
        case .policyDrop(let chain): reason == .netfilterDrop && rule?.chain == chain && rule?.number == nil
        case .peerMAC: reason == .otherHost
        case .peerAddress, .peerLease: [.otherHost, .neighborFailed, .ipHeader, .vxlanNotFound].contains(reason)
        case .route: [.neighborFailed, .otherHost, .noInputRoute, .ipHeader, .forwardingDisabled].contains(reason)
        case .bridgeNetfilterOff: [.noSocket, .tcpInvalidSequence].contains(reason)
        // What was lost may have been the question, or the answer, of a neighbor.
        case .queue(_, let settings): reason == .neighborFailed && settings.loss.share > 0
        case .filter: reason == .neighborFailed
        case .leftChecksum: false
        }
    }
}

/// What a fault does between machines.
enum WireFault: Hashable, Sendable {
    /// A queue at the end of each machine's cable.
    case netem(NetemSettings)
    case filter(TrafficSelector)
    /// Nothing passes from the one to the other; nil stands for all others.
    case partition([NamespaceID], from: [NamespaceID]?)
}

/// A fault with its places found.
struct PlannedFault: Hashable, Sendable {
    let name: String
    let text: String
    var changes: [Change] = []
    var wire: [WireFault] = []

    /// All of it is in the state of namespaces.
    var isState: Bool {
        wire.isEmpty
            && changes.allSatisfy { change in
                switch change.fault {
                case .queue, .filter, .leftChecksum: false
                default: true
                }
            }
    }

    struct Change: Hashable, Sendable {
        var namespace: NamespaceID
        var fault: NamespaceFault
    }
}

/// All faults of a cluster, and when they begin and end.
struct FaultPlan: Sendable {
    struct Event: Sendable {
        var at: Nanoseconds
        var fault: Int
        var isBeginning: Bool
    }

    private(set) var faults: [PlannedFault] = []
    /// In order of time.
    private(set) var events: [Event] = []

    init() {}

    /// Finds the places of all faults of a cluster that has none yet.
    init(_ cluster: Cluster, seed: UInt64) throws(ObjectError) {
        guard !cluster.objects.faults.isEmpty || !cluster.objects.scenarios.isEmpty else { return }
        var places = FaultPlaces(cluster, seed: seed)
        for fault in cluster.objects.faults {
            let origin = FaultOrigin(fault)
            events.append(Event(at: 0, fault: faults.count, isBeginning: true))
            faults.append(try places.plan(fault, origin))
        }
        var healings: [(at: Nanoseconds, name: String, origin: FaultOrigin)] = []
        for scenario in cluster.objects.scenarios {
            for (number, event) in scenario.events.enumerated() {
                let field = FieldPath("spec", "events").index(number)
                switch event.action {
                case .fault(let fault):
                    events.append(Event(at: event.at, fault: faults.count, isBeginning: true))
                    faults.append(try places.plan(fault, FaultOrigin(scenario, field.key("fault"))))
                case .heal(let name):
                    healings.append((event.at, name, FaultOrigin(scenario, field.key("heal"))))
                }
            }
        }
        for healing in healings {
            // The latest of that name which has begun and is not healed by then.
            let begun = events.filter { $0.isBeginning && $0.at <= healing.at && faults[$0.fault].name == healing.name }
            let open = begun.filter { beginning in
                !events.contains { !$0.isBeginning && $0.fault == beginning.fault }
            }
            guard let last = open.max(by: { $0.at < $1.at }) else {
                throw healing.origin.error(
                    nil, "no fault called \"\(healing.name)\" is there to be healed at that time",
                    hint: "give the fault that name: `fault: {name: \(healing.name), target: …}`")
            }
            events.append(Event(at: healing.at, fault: last.fault, isBeginning: false))
        }
        // What ends at an instant ends before what begins then.
        let order = events.enumerated().sorted { left, right in
            (left.element.at, left.element.isBeginning ? 1 : 0, left.offset)
                < (right.element.at, right.element.isBeginning ? 1 : 0, right.offset)
        }
        events = order.map(\.element)
        try checkQueues(cluster)
    }

    /// The faults that acted at some time of a span.
    func acting(from start: Nanoseconds, to end: Nanoseconds) -> [PlannedFault] {
        events.filter { event in
            event.isBeginning && event.at <= end
                && !events.contains { !$0.isBeginning && $0.fault == event.fault && $0.at <= start }
        }.map { faults[$0.fault] }
    }

    /// A link has one queue at a time, as it has one root qdisc.
    private func checkQueues(_ cluster: Cluster) throws(ObjectError) {
        var owners: [LinkPeer: Int] = [:]
        for event in events {
            for change in faults[event.fault].changes {
                guard case .queue(let link, _) = change.fault else { continue }
                let place = LinkPeer(namespace: change.namespace, link: link)
                guard event.isBeginning else {
                    owners[place] = nil
                    continue
                }
                if let other = owners[place], other != event.fault {
                    throw FaultOrigin(named: faults[event.fault].name, in: cluster.objects).error(
                        nil, "\"\(faults[other].text)\" has put a queue on that link already",
                        hint: "say all of it in one fault, or heal the other before")
                }
                owners[place] = event.fault
            }
        }
    }
}

/// Where a fault was written, to say what is wrong with it.
struct FaultOrigin {
    private var blank: ObjectError
    private var field: FieldPath

    /// An object, or a line of text that stands in no file.
    init(_ fault: Fault) {
        let isObject = fault.metadata.origin != nil
        blank = ObjectError(
            kind: isObject ? Fault.kind : "--fault", name: fault.name, origin: fault.metadata.origin, message: "")
        field = isObject ? FieldPath("spec") : []
    }

    private init(line: String) {
        blank = ObjectError(kind: "--fault", name: line, message: "")
        field = []
    }

    init(_ scenario: Scenario, _ field: FieldPath) {
        blank = ObjectError(
            kind: Scenario.kind, name: scenario.metadata.name, origin: scenario.metadata.origin, message: "")
        self.field = field
    }

    /// Wherever the fault of that name stands.
    init(named name: String, in objects: ObjectStore) {
        if let fault = objects.faults["", name] {
            self.init(fault)
            return
        }
        for scenario in objects.scenarios {
            for (number, event) in scenario.events.enumerated() {
                guard case .fault(let fault) = event.action, fault.name == name else { continue }
                self.init(scenario, FieldPath("spec", "events").index(number).key("fault"))
                return
            }
        }
        self.init(line: name)
    }

    /// An error about a word of the fault; nil for the whole.
    func error(_ word: String?, _ message: String, hint: String = "") -> ObjectError {
        var error = blank
        error.field = blank.origin == nil ? [] : word.map { field.key($0) } ?? field
        error.message = message
        error.hint = hint
        return error
    }
}
