// The machine's clocks, and the kernel's timer wheel. Slots for timers some seconds away are 64 ticks wide
// (kernel/time/timer.c), so that when such a timer fires depends on the moment it was set. Virtual time begins at the
// edge of a slot, and so do the flows of a lab.

internal import Glibc

/// The monotonic clock in nanoseconds: real sockets live in real time.
func monotonicTime() -> Int64 { clockTime(CLOCK_MONOTONIC) }

/// The clock packets are stamped with.
func realTime() -> Int64 { clockTime(CLOCK_REALTIME) }

private func clockTime(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// Waits for the edge of a slot of 64 ticks; not at all where /proc/timer_list cannot be read.
func waitForTimerWheel() {
    guard var last = ticks() else { return }
    let missing = 64 - last % 64
    if missing > 4 { usleep(UInt32(missing - 4) * 4000) }
    // Until the count reaches a multiple, at most as long as two slots last.
    for _ in 0..<4096 {
        guard let now = ticks() else { return }
        if now % 64 < last % 64 { return }
        last = now
        usleep(100)
    }
}

/// The kernel's count of ticks.
private func ticks() -> UInt64? {
    guard let file = fopen("/proc/timer_list", "r") else { return nil }
    defer { fclose(file) }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    while getline(&line, &capacity, file) >= 0 {
        guard let line else { return nil }
        let text = String(cString: line)
        if text.hasPrefix("jiffies: ") { return UInt64(text.dropFirst(9).filter(\.isNumber)) }
    }
    return nil
}
