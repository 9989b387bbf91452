// What faults did to a packet and what they are, in words: for traces, captures and JSON. The names are those people
// gave them.

internal import Netstack
internal import Simulation

extension PathEvent.FaultAction {
    /// One word, for JSON.
    var word: String {
        switch self {
        case .lost: "lost"
        case .overLimit: "overLimit"
        case .delayed: "delayed"
        case .sentAhead: "sentAhead"
        case .duplicated: "duplicated"
        case .corrupted: "corrupted"
        case .filtered: "filtered"
        case .cut: "cut"
        case .checksumLeft: "checksumLeft"
        }
    }

    var text: String {
        switch self {
        case .lost: "loses it"
        case .overLimit: "has no room for it"
        case .delayed(let time): "delays it by \(durationText(time))"
        case .sentAhead: "lets it overtake"
        case .duplicated: "sends a copy of it"
        case .corrupted(let octet): "turns over a bit in octet \(octet) of the frame"
        case .filtered: "filters it out"
        case .cut: "cuts it off"
        case .checksumLeft: "leaves its checksum unfinished"
        }
    }
}

/// `fault NAME loses it`, in captures and traces.
func faultText(_ name: String, _ action: PathEvent.FaultAction) -> String { "fault \"\(name)\" \(action.text)" }

extension FlowFault {
    /// The name, and what it stands for unless that is its name.
    var described: String { name == text ? "\"\(name)\"" : "\"\(name)\": \(text)" }
}
