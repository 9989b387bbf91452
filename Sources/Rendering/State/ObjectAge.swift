// How old an object is, in kubectl's words (k8s.io/apimachinery pkg/util/duration HumanDuration). There is no wall
// clock here: an age counts up to the start of virtual time, or to the newest creationTimestamp of the input when that
// is later, so that a dump looks as it did when it was taken.

/// The instant ages are counted to, in seconds since 1970.
struct AgeClock {
    private(set) var now = Int(CaptureSelection.defaultStartTime / 1_000_000_000)

    /// Takes the instant for the present if it is the latest so far.
    mutating func see(_ timestamp: String?) {
        if let timestamp, let seconds = secondsSince1970(timestamp) { now = max(now, seconds) }
    }

    /// The cell of the AGE column.
    func age(since timestamp: String?) -> String {
        guard let timestamp, let seconds = secondsSince1970(timestamp) else { return "<unknown>" }
        return durationText(now - seconds)
    }
}

/// Two units where the first is small enough for the second to matter: `95s`, `3m20s`, `47h`, `3d4h`, `2y30d`.
func durationText(_ seconds: Int) -> String {
    func parts(_ large: Int, _ largeUnit: String, _ small: Int, _ smallUnit: String) -> String {
        "\(large)\(largeUnit)" + (small == 0 ? "" : "\(small)\(smallUnit)")
    }
    let (minutes, hours) = (seconds / 60, seconds / 3600)
    let days = hours / 24
    switch hours {
    case _ where seconds < -1: return "<invalid>"
    case _ where seconds < 0: return "0s"
    case _ where seconds < 120: return "\(seconds)s"
    case _ where minutes < 10: return parts(minutes, "m", seconds % 60, "s")
    case ..<3: return "\(minutes)m"
    case ..<8: return parts(hours, "h", minutes % 60, "m")
    case ..<48: return "\(hours)h"
    case ..<(8 * 24): return parts(days, "d", hours % 24, "h")
    case ..<(2 * 365 * 24): return "\(days)d"
    case ..<(8 * 365 * 24): return parts(days / 365, "y", days % 365, "d")
    default: return "\(days / 365)y"
    }
}

/// Reads an RFC 3339 instant, fractions dropped; nil when it is none.
func secondsSince1970(_ text: String) -> Int? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
        bytes[13] == UInt8(ascii: ":"), bytes[16] == UInt8(ascii: ":")
    else { return nil }
    func number(_ range: Range<Int>) -> Int? {
        guard bytes.indices.contains(range.upperBound - 1) else { return nil }
        return bytes[range].reduce(0) { sum, byte in
            guard let sum, 0x30...0x39 ~= byte else { return nil }
            return sum * 10 + Int(byte - 0x30)
        }
    }
    guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
        let minute = number(14..<16), let second = number(17..<19), (1...12).contains(month), (1...31).contains(day)
    else { return nil }
    var place = 19
    if bytes[place] == UInt8(ascii: ".") {
        place += 1
        while place < bytes.count, 0x30...0x39 ~= bytes[place] { place += 1 }
    }
    var offset = 0
    switch bytes.indices.contains(place) ? bytes[place] : 0 {
    case UInt8(ascii: "Z"), UInt8(ascii: "z"): break
    case UInt8(ascii: "+"), UInt8(ascii: "-"):
        guard let hours = number(place + 1..<place + 3), let minutes = number(place + 4..<place + 6) else { return nil }
        offset = (hours * 60 + minutes) * (bytes[place] == UInt8(ascii: "-") ? -60 : 60)
    default: return nil
    }
    // Days since 1970 by counting years from a March, which puts the leap day last.
    let (marchYear, marchMonth) = month > 2 ? (year, month - 3) : (year - 1, month + 9)
    let dayOfYear = (153 * marchMonth + 2) / 5 + day - 1
    let days = marchYear * 365 + marchYear / 4 - marchYear / 100 + marchYear / 400 + dayOfYear - 719_468
    return days * 86400 + hour * 3600 + minute * 60 + second - offset
}
