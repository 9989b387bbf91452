// Criteria on the packet's connection and on marks. Mirrors net/netfilter/xt_conntrack.c, xt_state.c, xt_mark.c and
// xt_connmark.c.

public import Addressing

/// Connection tracking states as `-m conntrack --ctstate` names them.
public struct ConnectionStateSet: OptionSet, Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let invalid = ConnectionStateSet(rawValue: 1)
    public static let new = ConnectionStateSet(rawValue: 2)
    public static let related = ConnectionStateSet(rawValue: 4)
    public static let established = ConnectionStateSet(rawValue: 8)
    public static let untracked = ConnectionStateSet(rawValue: 16)
    public static let sourceTranslated = ConnectionStateSet(rawValue: 32)
    public static let destinationTranslated = ConnectionStateSet(rawValue: 64)

    /// In the order iptables-save prints them.
    static let printed: [(ConnectionStateSet, String)] = [
        (.invalid, "INVALID"), (.new, "NEW"), (.related, "RELATED"), (.established, "ESTABLISHED"),
        (.untracked, "UNTRACKED"), (.sourceTranslated, "SNAT"), (.destinationTranslated, "DNAT"),
    ]

    public var description: String {
        Self.printed.filter { contains($0.0) }.map(\.1).joined(separator: ",")
    }
}

/// What a connection has been through, as `--ctstatus` names it.
public struct ConnectionStatusSet: OptionSet, Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// No connection here is expected: there are no helpers.
    public static let expected = ConnectionStatusSet(rawValue: 1)
    public static let seenReply = ConnectionStatusSet(rawValue: 2)
    public static let assured = ConnectionStatusSet(rawValue: 4)
    public static let confirmed = ConnectionStatusSet(rawValue: 8)

    static let printed: [(ConnectionStatusSet, String)] = [
        (.expected, "EXPECTED"), (.seenReply, "SEEN_REPLY"), (.assured, "ASSURED"), (.confirmed, "CONFIRMED"),
    ]

    public var description: String {
        isEmpty ? "NONE" : Self.printed.filter { contains($0.0) }.map(\.1).joined(separator: ",")
    }
}

/// A mark criterion or change: value under a mask.
public struct MarkBits: Hashable, Sendable, BitwiseCopyable {
    public var value: UInt32
    public var mask: UInt32

    public init(_ value: UInt32, mask: UInt32 = .max) {
        self.value = value
        self.mask = mask
    }

    var text: String { mask == .max ? hexadecimal(value) : fullText }
    /// With the mask, whatever it is.
    var fullText: String { "\(hexadecimal(value))/\(hexadecimal(mask))" }
}

/// `-m conntrack`. Everything but the state asks the connection, which an INVALID or UNTRACKED packet does not have.
public struct ConnectionMatch: Hashable, Sendable, CustomStringConvertible {
    public var states: Negatable<ConnectionStateSet>?
    public var `protocol`: Negatable<IPProtocol>?
    public var originalSource: Negatable<IPPrefix>?
    public var originalDestination: Negatable<IPPrefix>?
    public var replySource: Negatable<IPPrefix>?
    public var replyDestination: Negatable<IPPrefix>?
    public var originalSourcePort: Negatable<ClosedRange<UInt16>>?
    public var originalDestinationPort: Negatable<ClosedRange<UInt16>>?
    public var replySourcePort: Negatable<ClosedRange<UInt16>>?
    public var replyDestinationPort: Negatable<ClosedRange<UInt16>>?
    public var status: Negatable<ConnectionStatusSet>?
    /// Seconds the entry has left.
    public var expires: Negatable<ClosedRange<UInt32>>?
    /// Whether the packet goes the connection's reply direction.
    public var isReply: Bool?

    public init(states: Negatable<ConnectionStateSet>? = nil) { self.states = states }

    /// Only the state is asked.
    var asksStateAlone: Bool { states != nil && self == ConnectionMatch(states: states) }

    public var description: String {
        var text = ""
        func add(_ option: String, _ prefix: Negatable<IPPrefix>?) {
            guard let prefix else { return }
            let value = prefix.value.isHost ? "\(prefix.value.address)" : "\(prefix.value)"
            text += " \(prefix.sign)--\(option) \(value)"
        }
        func add(_ option: String, _ range: Negatable<ClosedRange<some FixedWidthInteger & Sendable>>?) {
            if let range { text += " \(range.sign)--\(option) \(rangeText(range.value, ":"))" }
        }
        if let states { text += " \(states.sign)--ctstate \(states.value)" }
        if let `protocol` { text += " \(`protocol`.sign)--ctproto \(`protocol`.value.rawValue)" }
        add("ctorigsrc", originalSource)
        add("ctorigdst", originalDestination)
        add("ctreplsrc", replySource)
        add("ctrepldst", replyDestination)
        add("ctorigsrcport", originalSourcePort)
        add("ctorigdstport", originalDestinationPort)
        add("ctreplsrcport", replySourcePort)
        add("ctrepldstport", replyDestinationPort)
        if let status { text += " \(status.sign)--ctstatus \(status.value)" }
        add("ctexpire", expires)
        if let isReply { text += " --ctdir \(isReply ? "REPLY" : "ORIGINAL")" }
        return text
    }
}
