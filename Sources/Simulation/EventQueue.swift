// What is to happen when: timers in a heap, frames under way in one queue per constant delay. Ties are broken by the
// order of scheduling, so that a run is the same every time.

internal import Addressing
internal import DequeModule
internal import HeapModule
internal import Netstack

/// An event of the simulation.
enum SimulationEvent: Sendable {
    case timer(NamespaceID, Netstack.Timer)
    case arrival(Packet, NamespaceID, LinkID)
    case application(ApplicationTimer)
    /// A client's patience ends, unless its request was answered before.
    case giveUp(flow: Int, request: Int)
    /// A frame has waited long enough in the queue of a link; `serial` is the queue's.
    case departure(Packet, NamespaceID, LinkID, serial: Int)
    /// A fault begins or ends: its place among the plan's events.
    case fault(Int)
}

/// Events in order of time.
struct EventQueue: Sendable {
    struct Entry: Sendable, Comparable {
        var time: Nanoseconds
        /// Among equals in time: kernel timers first, the youngest before the older, as a slot of the timer wheel is
        /// emptied; then everything else in the order of scheduling.
        var order: Int64
        var event: SimulationEvent

        static func < (left: Entry, right: Entry) -> Bool {
            (left.time, left.order) < (right.time, right.order)
        }

        static func == (left: Entry, right: Entry) -> Bool { left.order == right.order }
    }

    private var heap = Heap<Entry>()
    /// Frames on the underlay all take the same time, so they leave in the order they came.
    private var lane = Deque<Entry>()
    private var sequence: Int64 = 0
    /// Application timers in the heap.
    private(set) var applicationTimers = 0

    /// Frames in the heap: those faults hold back.
    private var framesHeld = 0

    var isEmpty: Bool { heap.isEmpty && lane.isEmpty }
    var framesUnderWay: Int { lane.count + framesHeld }

    mutating func schedule(_ event: SimulationEvent, at time: Nanoseconds) {
        sequence += 1
        var order = sequence
        switch event {
        case .application: applicationTimers += 1
        case .timer: order = -sequence
        case .arrival, .departure: framesHeld += 1
        case .giveUp, .fault: break
        }
        heap.insert(Entry(time: time, order: order, event: event))
    }

    /// Schedules behind everything in the lane; `time` must not lie before the lane's last.
    mutating func scheduleInLane(_ event: SimulationEvent, at time: Nanoseconds) {
        sequence += 1
        precondition(lane.last.map { $0.time <= time } ?? true, "a lane runs in order")
        lane.append(Entry(time: time, order: sequence, event: event))
    }

    /// Whether a frame that arrives then may go behind the lane.
    func laneTakes(_ time: Nanoseconds) -> Bool { lane.last.map { $0.time <= time } ?? true }

    var nextTime: Nanoseconds? {
        switch (heap.min, lane.first) {
        case (let a?, let b?): min(a.time, b.time)
        case (let a?, nil): a.time
        case (nil, let b?): b.time
        case (nil, nil): nil
        }
    }

    mutating func popFirst() -> (time: Nanoseconds, event: SimulationEvent)? {
        let entry: Entry
        if let first = lane.first, heap.min.map({ first < $0 }) ?? true {
            entry = first
            lane.removeFirst()
        } else if let first = heap.popMin() {
            entry = first
            switch first.event {
            case .application: applicationTimers -= 1
            case .arrival, .departure: framesHeld -= 1
            case .timer, .giveUp, .fault: break
            }
        } else {
            return nil
        }
        return (entry.time, entry.event)
    }

    /// The next event, if it is a frame that arrives at that instant in the lane.
    mutating func popArrival(at time: Nanoseconds) -> (Packet, NamespaceID, LinkID)? {
        guard let entry = lane.first, entry.time == time, heap.min.map({ entry < $0 }) ?? true,
            case .arrival(let packet, let namespace, let link) = entry.event
        else { return nil }
        lane.removeFirst()
        return (packet, namespace, link)
    }

    /// The next event, if it is a kernel timer of that instant.
    mutating func popTimer(at time: Nanoseconds) -> (NamespaceID, Netstack.Timer)? {
        guard let entry = heap.min, entry.time == time, case .timer(let namespace, let timer) = entry.event else {
            return nil
        }
        heap.removeMin()
        return (namespace, timer)
    }
}
