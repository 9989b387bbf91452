// The TCP state machine of connection tracking (net/netfilter/nf_conntrack_proto_tcp.c): which state follows from
// which segment in which direction. Sequence windows are not checked.

internal import Wire

/// The states `conntrack -L` prints.
public enum TCPTrackingState: UInt8, Sendable, CaseIterable {
    case none, synSent, synReceived, established, finWait, closeWait, lastAck, timeWait, close, synSent2

    /// The word conntrack(8) prints.
    public var text: String {
        switch self {
        case .none: "NONE"
        case .synSent: "SYN_SENT"
        case .synReceived: "SYN_RECV"
        case .established: "ESTABLISHED"
        case .finWait: "FIN_WAIT"
        case .closeWait: "CLOSE_WAIT"
        case .lastAck: "LAST_ACK"
        case .timeWait: "TIME_WAIT"
        case .close: "CLOSE"
        case .synSent2: "SYN_SENT2"
        }
    }

    /// Seconds an entry lives in the state, before the sysctls that may change two of them.
    var timeout: Int {
        switch self {
        case .none, .synSent, .synSent2: 120
        case .synReceived: 60
        case .established: 432_000
        case .finWait: 120
        case .closeWait: 60
        case .lastAck: 30
        case .timeWait: 120
        case .close: 10
        }
    }
}

/// What a segment does to a tracked connection.
enum TCPTransition: Equatable {
    case to(TCPTrackingState)
    /// Let through without a change.
    case ignore
    case invalid
}

/// The kinds of segment the state machine tells apart.
enum TCPSegmentKind: Int {
    case syn, synAck, fin, ack, rst, none

    /// PSH and the congestion bits do not count; of the others only sensible combinations do (tcp_valid_flags).
    init(_ flags: TCPFlags) {
        switch flags.intersection([.fin, .syn, .rst, .ack, .urg]) {
        case .syn, [.syn, .urg]: self = .syn
        case [.syn, .ack]: self = .synAck
        case [.fin, .ack], [.fin, .ack, .urg]: self = .fin
        case .ack, [.ack, .urg]: self = .ack
        case .rst, [.rst, .ack]: self = .rst
        default: self = .none
        }
    }
}

/// The next state. Columns are the present state in the enum's order: none, synSent, synReceived, established, finWait,
/// closeWait, lastAck, timeWait, close, synSent2.
func tcpTransition(_ state: TCPTrackingState, _ segment: TCPSegmentKind, isReply: Bool) -> TCPTransition {
    // One letter a state: S synSent, R synReceived, E established, F finWait, C closeWait, L lastAck, T timeWait,
    // X close, 2 synSent2; i ignore, ! invalid.
    let original: [StaticString] = [
        "SSiiiiiSS2", "!!R!!!!!!R", "!!FFLLLTX!", "E!EECCTTX!", "!XXXXXXXXX", "!!!!!!!!!!",
    ]
    let reply: [StaticString] = [
        "!2!!!!!S!2", "!RiiiiiiiR", "!!FFLLLTX!", "!iRECCTTXi", "!XXXXXXXXX", "!!!!!!!!!!",
    ]
    let row = (isReply ? reply : original)[segment.rawValue]
    let letter = row.withUTF8Buffer { $0[Int(state.rawValue)] }
    switch Character(UnicodeScalar(letter)) {
    case "S": return .to(.synSent)
    case "R": return .to(.synReceived)
    case "E": return .to(.established)
    case "F": return .to(.finWait)
    case "C": return .to(.closeWait)
    case "L": return .to(.lastAck)
    case "T": return .to(.timeWait)
    case "X": return .to(.close)
    case "2": return .to(.synSent2)
    case "i": return .ignore
    default: return .invalid
    }
}
