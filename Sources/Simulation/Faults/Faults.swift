// Faults at work. What they change in a namespace is changed there, where `podnet ip`, `bridge` and `rules` show it and
// the packet path meets it; queues of links and what goes wrong between machines are applied here. Without faults none
// of this runs.

internal import Addressing
internal import Kubernetes
internal import Netstack

/// The faults of a run.
struct FaultState: Sendable {
    let plan: FaultPlan
    private let seed: UInt64
    /// Numbers of the faults that act now, in the order they began.
    private(set) var active: [Int] = []
    /// What acts between machines now.
    private(set) var wire: [(fault: Int32, what: WireFault)] = []
    /// Queues of links. Looked up, never walked.
    private var queues: [LinkPeer: NetemQueue] = [:]
    /// Queues of the cables of machines, by fault. Looked up, never walked.
    private var cables: [CableEnd: NetemQueue] = [:]
    private var lastSerial = 0

    private struct CableEnd: Hashable {
        var fault: Int32
        var port: UnderlaySwitch.Port
    }

    /// What is wrong from the beginning.
    init(_ plan: FaultPlan, seed: UInt64) {
        self.plan = plan
        self.seed = seed
        for event in plan.events where event.at == 0 {
            if event.isBeginning { begin(event.fault) } else { end(event.fault) }
        }
    }

    mutating func begin(_ number: Int) {
        active.append(number)
        let fault = plan.faults[number]
        wire += fault.wire.map { (Int32(number), $0) }
        for change in fault.changes {
            guard case .queue(let link, let settings) = change.fault else { continue }
            let place = LinkPeer(namespace: change.namespace, link: link)
            queues[place] = queue(settings, Int32(number), "\(change.namespace.rawValue) \(link.rawValue)")
        }
    }

    mutating func end(_ number: Int) {
        active.removeAll { $0 == number }
        wire.removeAll { $0.fault == Int32(number) }
        for change in plan.faults[number].changes {
            guard case .queue(let link, _) = change.fault else { continue }
            queues[LinkPeer(namespace: change.namespace, link: link)] = nil
        }
    }

    private mutating func queue(_ settings: NetemSettings, _ fault: Int32, _ place: String) -> NetemQueue {
        lastSerial += 1
        return NetemQueue(
            settings, fault: fault, serial: lastSerial,
            random: SeededGenerator(seed: seed).stream("netem \(fault) \(place)"))
    }

    /// What becomes of a frame for a link with a queue; nil when the queue is gone. The serial tells the queue.
    mutating func admit(
        _ packet: Packet, to place: LinkPeer, _ context: inout PathContext
    ) -> (serial: Int, outcomes: [NetemQueue.Outcome])? {
        guard var queue = queues[place] else { return nil }
        defer { queues[place] = queue }
        return (queue.serial, queue.admit(packet, from: place.namespace, losing: .queueDrop, &context))
    }

    /// The queue of that serial is still at the link.
    func holds(_ serial: Int, at place: LinkPeer) -> Bool { queues[place]?.serial == serial }

    /// What becomes of a frame at the end of a machine's cable, whose queue is made when the first one comes.
    mutating func admit(
        _ packet: Packet, _ settings: NetemSettings, of fault: Int32, to port: UnderlaySwitch.Port,
        _ context: inout PathContext
    ) -> [NetemQueue.Outcome] {
        let end = CableEnd(fault: fault, port: port)
        var own = cables[end] ?? queue(settings, fault, "cable \(port.namespace.rawValue) \(port.link.rawValue)")
        defer { cables[end] = own }
        return own.admit(packet, from: port.namespace, losing: .underlay, &context)
    }

    /// The partition that lies between two machines.
    func partition(_ one: NamespaceID, _ other: NamespaceID) -> Int32? {
        wire.first { _, what in
            guard case .partition(let here, let there) = what else { return false }
            func separates(_ one: NamespaceID, _ other: NamespaceID) -> Bool {
                here.contains(one) && (there?.contains(other) ?? !here.contains(other))
            }
            return separates(one, other) || separates(other, one)
        }?.fault
    }
}

extension Simulator {
    // MARK: beginning and end

    /// The first fault that is more than state of namespaces, which is all there is to build a real network from.
    package var faultBeyondState: String? {
        faults.plan.events.first { $0.at > 0 || !faults.plan.faults[$0.fault].isState }
            .map { faults.plan.faults[$0.fault].name }
    }

    func faultName(_ number: Int32) -> String { faults.plan.faults[Int(number)].name }

    /// Sets a timer for every fault that begins or ends later.
    mutating func scheduleFaults() {
        for (number, event) in faults.plan.events.enumerated() where event.at > 0 {
            queue.schedule(.fault(number), at: event.at)
        }
    }

    mutating func faultEvent(_ number: Int) {
        let event = faults.plan.events[number]
        if event.isBeginning { faults.begin(event.fault) } else { faults.end(event.fault) }
        var concerned: [NamespaceID] = []
        for change in faults.plan.faults[event.fault].changes where !concerned.contains(change.namespace) {
            concerned.append(change.namespace)
        }
        for id in concerned where isBuilt(id) {
            // From the beginning, because one fault may have hidden what another one changed.
            guard let original = original(id) else { continue }
            changeBuilt(id) { $0.restoreConfiguration(of: original) }
            let (plan, active) = (faults.plan, faults.active)
            changeBuilt(id) { namespace in plan.apply(active, to: &namespace) }
        }
    }

    func applyFaults(to namespace: inout NetworkNamespace) {
        faults.plan.apply(faults.active, to: &namespace)
    }

    // MARK: queues of links

    /// A frame for a link with a queue.
    mutating func enqueue(_ packet: Packet, _ id: NamespaceID, _ link: LinkID) {
        guard let (serial, outcomes) = faults.admit(packet, to: LinkPeer(namespace: id, link: link), &context) else {
            dequeue(packet, id, link)
            return
        }
        for (packet, time) in outcomes {
            if let time {
                queue.schedule(.departure(packet, id, link, serial: serial), at: time)
            } else {
                dequeue(packet, id, link)
            }
        }
    }

    /// A frame has waited long enough. One whose queue was taken away meanwhile went with it.
    mutating func depart(_ packet: Packet, _ id: NamespaceID, _ link: LinkID, serial: Int) {
        if faults.holds(serial, at: LinkPeer(namespace: id, link: link)) {
            dequeue(packet, id, link)
        } else {
            context.lose(packet, .queueDrop, in: id)
        }
    }

    private mutating func dequeue(_ packet: Packet, _ id: NamespaceID, _ link: LinkID) {
        withNamespace(id) { namespace, context in namespace.dequeue(packet, on: link, &context) }
    }

    // MARK: between machines

    /// A frame on a wire with faults: filters first, then the queues of the cable, one behind the other.
    mutating func carryFaulty(_ packet: Packet, from source: UnderlaySwitch.Port) {
        var frames: [(packet: Packet, delay: Nanoseconds)] = [(packet, 0)]
        for (fault, what) in faults.wire {
            switch what {
            case .filter(let selector):
                guard context.selects(selector, packet) else { continue }
                for frame in frames {
                    context.note(.filtered, of: fault, on: frame.packet, in: source.namespace)
                    context.lose(frame.packet, in: source.namespace)
                }
                return
            case .netem(let settings):
                var passed: [(packet: Packet, delay: Nanoseconds)] = []
                for frame in frames {
                    for outcome in faults.admit(frame.packet, settings, of: fault, to: source, &context) {
                        passed.append((outcome.packet, frame.delay + (outcome.time.map { $0 - context.now } ?? 0)))
                    }
                }
                frames = passed
            case .partition: continue
            }
        }
        for frame in frames { spread(frame.packet, from: source, after: underlay.delay + frame.delay) }
    }

    /// The targets no partition hides.
    mutating func reachable(
        _ targets: [UnderlaySwitch.Port], from source: UnderlaySwitch.Port, for packet: Packet
    ) -> [UnderlaySwitch.Port] {
        var hiding: Int32?
        let open = targets.filter { target in
            guard let fault = faults.partition(source.namespace, target.namespace) else { return true }
            hiding = fault
            return false
        }
        if open.isEmpty, let hiding { context.note(.cut, of: hiding, on: packet, in: source.namespace) }
        return open
    }
}
