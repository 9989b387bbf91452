// When a kernel timer really fires: kernel/time/timer.c keeps timers in a wheel whose slots grow coarser with the
// distance, and never fires early. At 250 ticks a second a timer of one second lands in a slot of 32 ms, so that
// retransmissions come 1.024 s apart, and one of five seconds in a slot of 256 ms.

/// The timer wheel's rounding.
enum TimerWheel {
    /// CONFIG_HZ 250.
    static let tick: Nanoseconds = 4_000_000
    /// Slots per level, and by how many bits each level is coarser than the one before.
    private static let slots: Int64 = 64
    private static let shift: Int64 = 3
    private static let levels: Int64 = 9

    /// The instant at which a timer set now for `delay` fires.
    static func expiry(now: Nanoseconds, delay: Nanoseconds) -> Nanoseconds {
        let clock = now / tick
        let ticks = max((delay + tick - 1) / tick, 1)
        var level: Int64 = 0
        while level < levels - 1, ticks >= (slots - 1) << (level * shift) { level += 1 }
        let grain: Int64 = 1 << (level * shift)
        let slot = (clock + ticks + grain) >> (level * shift)
        return (slot << (level * shift)) * tick
    }
}
