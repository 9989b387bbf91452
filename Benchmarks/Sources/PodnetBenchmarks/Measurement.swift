// How times are taken: every variant runs once in each round, in turns, so that whatever else the machine does falls on
// all of them alike. The median of the rounds is reported, and variants are compared as ratios within one run.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Seconds on a clock that only ever goes forward.
func wallTime() -> Double {
    seconds(CLOCK_MONOTONIC)
}

/// Seconds of processor time this process has used.
func processorTime() -> Double {
    seconds(CLOCK_PROCESS_CPUTIME_ID)
}

private func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// The samples of one variant, one for each round.
struct Samples {
    private(set) var values: [Double] = []

    mutating func append(_ value: Double) { values.append(value) }

    var median: Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return .nan }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    var lowest: Double { values.min() ?? .nan }
    var highest: Double { values.max() ?? .nan }

    /// The median of the ratios round by round, which a change of the machine's speed between rounds does not touch.
    func ratio(to other: Samples) -> Double {
        var ratios = Samples()
        for (mine, theirs) in zip(values, other.values) { ratios.append(mine / theirs) }
        return ratios.median
    }
}

/// A number with `digits` decimals; thousands are set apart when there are none.
func text(_ value: Double, digits: Int) -> String {
    guard value.isFinite else { return "-" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = Int((value * scale).rounded())
    let unit = Int(scale)
    let fraction = String(scaled % unit + unit).dropFirst()
    var whole = String(scaled / unit)
    if digits > 0 { return "\(whole).\(fraction)" }
    var groups: [Substring] = []
    while whole.count > 3 {
        groups.insert(whole.suffix(3), at: 0)
        whole.removeLast(3)
    }
    return ([whole[...]] + groups).joined(separator: ",")
}
