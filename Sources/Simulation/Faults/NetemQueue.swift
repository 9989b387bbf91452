// One netem queue: net/sched/sch_netem.c's netem_enqueue with its order of chances (repeat, lose, spoil, then delay or
// overtake), its correlated draws (get_crandom), its uniform jitter (tabledist without a table) and its rate. The queue
// itself, ordered by the time to send and then by arrival, is the simulator's event queue. Draws come from the seed.

internal import Addressing
internal import HeapModule
internal import Kubernetes
internal import Netstack

/// The state of one queue.
struct NetemQueue: Sendable {
    let settings: NetemSettings
    /// The number of the fault it belongs to.
    let fault: Int32
    /// Tells it from those that were at the same place before.
    let serial: Int
    private var random: SeededGenerator
    private var lastDelay: UInt32 = 0
    private var lastLoss: UInt32 = 0
    private var lastDuplicate: UInt32 = 0
    private var lastReorder: UInt32 = 0
    private var lastCorrupt: UInt32 = 0
    /// Packets since one overtook.
    private var counter: UInt32 = 0
    /// When those that wait will be sent.
    private var waiting = Heap<Nanoseconds>()
    /// When the last of those that wait will be sent.
    private var latest: Nanoseconds = 0

    init(_ settings: NetemSettings, fault: Int32, serial: Int, random: SeededGenerator) {
        self.settings = settings
        self.fault = fault
        self.serial = serial
        self.random = random
    }

    /// A packet with the time it is to be sent at; nil for at once.
    typealias Outcome = (packet: Packet, time: Nanoseconds?)

    /// What becomes of a packet, and of the copies the queue makes of it. Lost ones have ended with `reason`.
    mutating func admit(
        _ packet: Packet, from namespace: NamespaceID, losing reason: DropReason, mayRepeat: Bool = true,
        _ context: inout PathContext
    ) -> [Outcome] {
        var packet = packet
        var copies = 1
        if mayRepeat, settings.duplicate.share > 0,
            settings.duplicate.share >= draw(settings.duplicate.correlation, \.lastDuplicate)
        {
            copies += 1
        }
        if settings.loss.share > 0, settings.loss.share >= draw(settings.loss.correlation, \.lastLoss) { copies -= 1 }
        guard copies > 0 else {
            context.note(.lost, of: fault, on: packet, in: namespace)
            context.lose(packet, reason, in: namespace)
            return []
        }
        let copy = copies > 1 ? context.copy(packet) : nil
        if settings.corrupt.share > 0, settings.corrupt.share >= draw(settings.corrupt.correlation, \.lastCorrupt) {
            let octet = random.next(below: packet.length)
            context.flip(bit: random.next(below: 8), ofOctet: octet, in: &packet)
            context.note(.corrupted(octet: octet), of: fault, on: packet, in: namespace)
        }
        while let next = waiting.min, next <= context.now { waiting.removeMin() }
        guard waiting.count < settings.limit else {
            for packet in [copy, packet].compactMap(\.self) {
                context.note(.overLimit, of: fault, on: packet, in: namespace)
                context.lose(packet, reason, in: namespace)
            }
            return []
        }
        var outcomes: [Outcome] = []
        if let copy {
            // The kernel sends the copy through the whole queue first, without more copies.
            context.note(.duplicated, of: fault, on: copy, in: namespace)
            outcomes = admit(copy, from: namespace, losing: reason, mayRepeat: false, &context)
        }
        outcomes.append((packet, timeToSend(packet, from: namespace, &context)))
        return outcomes
    }

    private mutating func timeToSend(
        _ packet: Packet, from namespace: NamespaceID, _ context: inout PathContext
    ) -> Nanoseconds? {
        let now = context.now
        guard
            settings.gap == 0 || counter < settings.gap - 1
                || settings.reorder.share < draw(settings.reorder.correlation, \.lastReorder)
        else {
            counter = 0
            context.note(.sentAhead, of: fault, on: packet, in: namespace)
            return nil
        }
        var start = now
        var delay = settings.delay
        if settings.jitter > 0 {
            let drawn = draw(settings.delayCorrelation, \.lastDelay)
            delay += Int64(drawn % (2 * UInt32(settings.jitter))) - settings.jitter
        }
        if settings.rate > 0 {
            if !waiting.isEmpty {
                // The time the packets before it still take is no delay of its own.
                delay = max(0, delay - (latest - now))
                start = latest
            }
            let (product, isTooLong) = Int64(packet.length).multipliedReportingOverflow(by: 1_000_000_000)
            delay += isTooLong ? 0 : product / settings.rate
        }
        counter &+= 1
        let time = max(now, start + delay)
        guard time > now else { return nil }
        context.note(.delayed(time - now), of: fault, on: packet, in: namespace)
        latest = waiting.isEmpty ? time : max(latest, time)
        waiting.insert(time)
        return time
    }

    /// A draw of 32 bits, as much like the one before as the correlation says.
    private mutating func draw(_ correlation: UInt32, _ last: WritableKeyPath<NetemQueue, UInt32>) -> UInt32 {
        let value = UInt32(truncatingIfNeeded: random.next() >> 32)
        guard correlation > 0 else { return value }
        let rho = UInt64(correlation) + 1
        let (new, old) = (UInt64(value), UInt64(self[keyPath: last]))
        // Both products fit 64 bits, and so does their sum: the weights add up to 2^32.
        let answer = UInt32(truncatingIfNeeded: (new * ((1 << 32) - rho) + old * rho) >> 32)
        self[keyPath: last] = answer
        return answer
    }
}
