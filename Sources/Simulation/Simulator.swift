// The machine that moves packets: it owns the namespaces, the clock, chance and the event queue. Frames on a veth pair
// are carried at once, in order; frames on the underlay and timers wait their time.

internal import Addressing
internal import DequeModule
public import Kubernetes
public import Netstack
internal import NodeAgents

/// Who owns a network namespace.
public enum NamespaceOwner: Hashable, Sendable {
    case node(String)
    case pod(ObjectKey)
    case host(String)
}

/// A cluster in virtual time. Namespaces are built when the first packet or question reaches their node.
public struct Simulator: ~Copyable {
    public let cluster: Cluster
    public let seed: UInt64
    package var context: PathContext
    var queue = EventQueue()
    var underlay: UnderlaySwitch
    /// What has been built, in order of building.
    package private(set) var namespaces: [NetworkNamespace] = []
    /// Namespace id to its place in `namespaces`, -1 until built.
    private var places: [Int32]
    var directory: Directory
    var applications: [ApplicationSocket: Application] = [:]
    /// What listeners answer that do not answer with their name.
    var answers: [ApplicationSocket: [UInt8]] = [:]
    var flows: [FlowReport] = []
    /// Flows without an outcome yet.
    var openFlows = 0
    var proxy: ProxyRules
    var faults: FaultState
    private var transmissions = Deque<Transmission>()
    /// Steps taken, which no run may exceed.
    private var steps = 0
    static let stepLimit = 200_000_000

    /// Prepares a realised cluster. Equal cluster and seed give equal packets.
    public init(_ cluster: Cluster, seed: UInt64 = 1) {
        self.cluster = cluster
        self.seed = seed
        context = PathContext(seed: seed)
        let settings = cluster.objects.underlay ?? Underlay()
        underlay = UnderlaySwitch(delay: settings.delayNanoseconds, lossPerMillion: settings.lossPerMillion)
        directory = Directory(cluster)
        places = Array(repeating: -1, count: directory.owners.count)
        proxy = ProxyRules(cluster)
        faults = FaultState(cluster.faults, seed: seed)
        attachUnderlay()
        scheduleFaults()
    }

    /// The same cluster and seed at the beginning of time, with what `origin` has built. `origin` must not have run.
    package init(again origin: borrowing Simulator) {
        precondition(origin.steps == 0 && origin.flows.isEmpty, "packets have been sent")
        cluster = origin.cluster
        seed = origin.seed
        context = PathContext(seed: origin.seed)
        underlay = origin.underlay
        namespaces = origin.namespaces
        places = origin.places
        directory = origin.directory
        proxy = origin.proxy
        answers = origin.answers
        faults = origin.faults
        scheduleFaults()
    }

    // MARK: namespaces

    public var now: Nanoseconds { context.now }

    /// The namespace of an owner; nil when the cluster has no such node, pod or host. A host-network pod has its
    /// node's.
    public func namespaceID(of owner: NamespaceOwner) -> NamespaceID? { directory.id(of: owner) }

    /// Whose namespace it is.
    public func owner(of id: NamespaceID) -> NamespaceOwner { directory.owners[id.index] }

    /// The name captures and traces use: `worker-1`, `default/client`, `laptop`.
    public func name(of id: NamespaceID) -> String { directory.name(of: id) }

    /// A namespace that has been built.
    package func built(_ id: NamespaceID) -> NetworkNamespace { namespaces[Int(places[id.index])] }

    /// How many times a frame has crossed an interface so far.
    public var crossings: Int { context.recording.crossings }

    /// What has been built, in order of ids.
    package var builtNamespaces: [NamespaceID] { namespaces.map(\.id).sorted() }

    package func isBuilt(_ id: NamespaceID) -> Bool { places[id.index] >= 0 }

    /// A namespace as it is now, built if it was not.
    public mutating func namespace(_ id: NamespaceID) -> NetworkNamespace {
        build(id)
        return namespaces[Int(places[id.index])]
    }

    /// Builds the namespace's node with all its pods, or the host.
    mutating func build(_ id: NamespaceID) {
        guard places[id.index] < 0 else { return }
        for var namespace in makeNamespaces(with: id) {
            if !faults.active.isEmpty { applyFaults(to: &namespace) }
            places[namespace.id.index] = Int32(namespaces.count)
            if context.background != nil { namespace.comeUp(&context) }
            namespaces.append(namespace)
        }
    }

    /// Interfaces come up now, with all they send of their own accord as long as the simulation runs. In a large
    /// cluster those of a machine come up when the first packet reaches it.
    public mutating func startBackground() {
        precondition(namespaces.isEmpty && steps == 0, "packets have been sent")
        context.background = BackgroundTraffic(seed: seed)
        guard underlay.ports.count <= Self.smallCluster else { return }
        for number in directory.owners.indices { build(NamespaceID(number)) }
    }

    /// How many packets interfaces have sent of their own accord.
    public var backgroundPackets: Int { context.background?.packets ?? 0 }

    /// Calls a verb of one namespace.
    mutating func withNamespace<Result, Failure: Error>(
        _ id: NamespaceID, _ body: (inout NetworkNamespace, inout PathContext) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        build(id)
        return try body(&namespaces[Int(places[id.index])], &context)
    }

    /// A built namespace as an empty kernel and the agents would leave it, faults or not.
    mutating func original(_ id: NamespaceID) -> NetworkNamespace? {
        makeNamespaces(with: id).first { $0.id == id }
    }

    /// Changes a namespace that has been built.
    mutating func changeBuilt(_ id: NamespaceID, _ change: (inout NetworkNamespace) -> Void) {
        change(&namespaces[Int(places[id.index])])
    }

    /// Keeps every frame that crosses a link from now on, with what captures say about it.
    public mutating func recordFrames() {
        context.recording.keepsFrames = true
        context.recording.keepsEvents = true
    }

    // MARK: the loop

    /// Runs until nothing is under way: no frame, no application about to act, no transport waiting for an answer.
    public mutating func runUntilQuiet(limit: Nanoseconds = 600_000_000_000) {
        let end = context.now + limit
        settle()
        while !isQuiet, step(before: end) {}
    }

    /// Runs until a flow's client has its answer, or has given up.
    mutating func runUntilEnded(_ flow: Int, limit: Nanoseconds) {
        let end = context.now + limit
        while flows[flow].outcome == nil, step(before: end) {}
    }

    /// Runs everything up to and including an instant.
    public mutating func run(until end: Nanoseconds) {
        while step(before: end + 1) {}
        context.now = max(context.now, end)
    }

    private var isQuiet: Bool {
        guard openFlows == 0, queue.framesUnderWay == 0, queue.applicationTimers == 0, transmissions.isEmpty else {
            return false
        }
        return namespaces.areSettled
    }

    /// One event with everything it sets off at once. False when nothing is left before `end`.
    private mutating func step(before end: Nanoseconds) -> Bool {
        settle()
        guard let time = queue.nextTime, time < end, steps < Self.stepLimit, let next = queue.popFirst() else {
            return false
        }
        steps += 1
        context.now = max(context.now, time)
        switch next.event {
        case .timer(let id, let timer):
            namespaces[Int(places[id.index])].timerFired(timer, &context)
            // All timers of a tick run before the frames they send are looked at (TIMER_SOFTIRQ before NET_RX_SOFTIRQ).
            while let (id, timer) = queue.popTimer(at: time) {
                collectEffects()
                namespaces[Int(places[id.index])].timerFired(timer, &context)
            }
        case .arrival(let packet, let id, let link):
            build(id)
            namespaces[Int(places[id.index])].receive(packet, on: link, &context)
            // What arrives together is taken off the wire together, before what it sets off goes on (the backlog).
            while let (packet, id, link) = queue.popArrival(at: time) {
                collectEffects()
                build(id)
                namespaces[Int(places[id.index])].receive(packet, on: link, &context)
            }
        case .application(let timer): applicationTimer(timer)
        case .giveUp(let flow, let request): giveUp(flow: flow, request: request)
        case .departure(let packet, let id, let link, let serial): depart(packet, id, link, serial: serial)
        case .fault(let number): faultEvent(number)
        }
        settle()
        return true
    }

    /// Carries out all effects that take no time.
    mutating func settle() {
        repeat {
            collectEffects()
            while let transmission = transmissions.popFirst() {
                carry(transmission)
                collectEffects()
            }
            deliverSocketEvents()
        } while !context.transmissions.isEmpty || !context.socketEvents.isEmpty
        collectEffects()
    }

    private mutating func collectEffects() {
        if !context.transmissions.isEmpty {
            transmissions.append(contentsOf: context.transmissions)
            context.transmissions.removeAll(keepingCapacity: true)
        }
        if !context.timers.isEmpty {
            for timer in context.timers { queue.schedule(.timer(timer.namespace, timer.timer), at: timer.time) }
            context.timers.removeAll(keepingCapacity: true)
        }
    }

    private mutating func carry(_ transmission: Transmission) {
        if transmission.isQueued {
            enqueue(transmission.packet, transmission.source, transmission.link)
            return
        }
        if let peer = transmission.peer {
            build(peer.namespace)
            namespaces[Int(places[peer.namespace.index])].receive(transmission.packet, on: peer.link, &context)
            return
        }
        let source = UnderlaySwitch.Port(namespace: transmission.source, link: transmission.link)
        let packet = transmission.packet
        if underlay.lossPerMillion > 0, context.random.next(below: 1_000_000) < underlay.lossPerMillion {
            context.lose(packet, in: transmission.source)
            return
        }
        if faults.wire.isEmpty {
            spread(packet, from: source, after: underlay.delay)
        } else {
            carryFaulty(packet, from: source)
        }
    }

    /// Sends a frame to wherever the switch says.
    mutating func spread(_ packet: Packet, from source: UnderlaySwitch.Port, after delay: Nanoseconds) {
        let addresses = context.addresses(of: packet)
        var targets = underlay.targets(
            from: source, sourceMAC: addresses.source, destinationMAC: addresses.destination)
        if targets.count > 1 { targets.removeAll { !wouldNotice(packet, at: $0.namespace) } }
        if !faults.wire.isEmpty { targets = reachable(targets, from: source, for: packet) }
        guard !targets.isEmpty else {
            context.lose(packet, in: source.namespace)
            return
        }
        let time = context.now + delay
        for (index, target) in targets.enumerated() {
            let copy = index == targets.count - 1 ? packet : context.copy(packet)
            let arrival = SimulationEvent.arrival(copy, target.namespace, target.link)
            if queue.laneTakes(time) {
                queue.scheduleInLane(arrival, at: time)
            } else {
                queue.schedule(arrival, at: time)
            }
        }
    }

    /// Clusters up to this many machines get every broadcast on every underlay port.
    static let smallCluster = 100

    /// In a large cluster a machine that was not built yet takes no notice of a broadcast that is not meant for it.
    private func wouldNotice(_ packet: Packet, at id: NamespaceID) -> Bool {
        if isBuilt(id) || underlay.ports.count <= Self.smallCluster { return true }
        guard let target = context.neighborTarget(of: packet) else { return false }
        return directory.underlayAddresses(of: id).contains(target)
    }
}
