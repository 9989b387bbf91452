// Faults as people write them: words with their values, in a line of text behind the place, or as the fields of an
// object. Both are read here, so that they cannot differ.

internal import Addressing

/// What is wrong with a fault's spelling.
public struct FaultError: Error, Hashable, Sendable {
    /// The word to blame; nil when the whole is meant.
    public var word: String?
    public var message: String
    public var hint: String

    public init(_ word: String?, _ message: String, hint: String = "") {
        self.word = word
        self.message = message
        self.hint = hint
    }
}

/// A word with what stands behind it.
public struct FaultClause: Hashable, Sendable, CustomStringConvertible {
    public var word: String
    public var values: [String]

    public init(_ word: String, _ values: [String]) {
        self.word = word
        self.values = values
    }

    public var description: String { ([word] + values).joined(separator: " ") }
}

extension Fault {
    /// The field that says where an object's fault is; in a line the place comes first.
    public static let placeWord = "target"

    /// Reads `PLACE[,PLACE…] WORD VALUE… [WORD VALUE…]`.
    public init(text: String) throws(FaultError) {
        let tokens = text.split { $0 == " " || $0 == "\t" || $0 == "\n" }.map(String.init)
        let first = tokens.firstIndex { FaultWord(rawValue: $0) != nil }
        let places = tokens[..<(first ?? min(1, tokens.count))]
        var clauses: [FaultClause] = []
        for token in tokens[places.endIndex...] {
            if let word = FaultWord(rawValue: token) {
                clauses.append(FaultClause(word.rawValue, []))
            } else if clauses.isEmpty {
                throw Self.unknown(token)
            } else {
                clauses[clauses.count - 1].values.append(token)
            }
        }
        guard places.count <= 1 || places.dropLast().allSatisfy({ $0.hasSuffix(",") }) else {
            throw Self.unknown(places[1])
        }
        try self.init(
            metadata: ObjectMeta(name: tokens.joined(separator: " ")),
            places: places.flatMap { $0.split(separator: ",").map(String.init) }, clauses: clauses)
    }

    /// Reads what an object says.
    public init(metadata: ObjectMeta, places: [String], clauses: [FaultClause]) throws(FaultError) {
        guard !places.isEmpty, places.allSatisfy({ !$0.isEmpty }) else {
            throw FaultError(
                Self.placeWord, "the fault names no link, machine or pod",
                hint: "say where it is, for example worker-1/eth0, default/client/veth, worker-1 or underlay")
        }
        guard !clauses.isEmpty else {
            throw FaultError(nil, "the fault does not say what is wrong", hint: FaultWord.hint)
        }
        var reader = FaultReader()
        for clause in clauses {
            guard let word = FaultWord(rawValue: clause.word) else { throw Self.unknown(clause.word) }
            try reader.read(word, clause.values)
        }
        self.init(metadata: metadata, places: places, effects: try reader.effects(), clauses: clauses)
    }

    private static func unknown(_ word: String) -> FaultError {
        let near = nearest(to: word, among: FaultWord.allCases.map(\.rawValue), limit: 1).first
        return FaultError(
            word, "\"\(word)\" is no fault podnet knows", hint: near.map { "did you mean \($0)?" } ?? FaultWord.hint)
    }
}

/// The words of faults.
enum FaultWord: String, CaseIterable {
    case delay, loss, duplicate, corrupt, reorder, gap, rate, limit
    case link, mtu, hairpin, filter, partition, policy
    case badChecksum = "bad-checksum"
    case bridgeNetfilter = "br_netfilter"
    case wrongVTEPMAC = "wrong-vtep-mac"
    case staleForwardingEntry = "stale-fdb"
    case staleRoute = "stale-route"
    case duplicatePublicIP = "duplicate-public-ip"

    /// What stands behind the word.
    var form: String {
        switch self {
        case .delay: "TIME [JITTER [CORRELATION]], for example 100ms or 100ms 10ms"
        case .loss, .duplicate, .corrupt, .reorder: "PERCENT [CORRELATION], for example 10% or 0.1% 25%"
        case .gap: "a number of packets, for example 5"
        case .rate: "a rate, for example 1mbit, 500kbit or 100kbps"
        case .limit: "a number of packets, for example 1000"
        case .link: "down"
        case .mtu: "a number of octets from 68 to 65535"
        case .hairpin, .bridgeNetfilter: "off"
        case .filter: "PROTOCOL[/PORT] [in|out], for example udp/8472, tcp/80 in, icmp, arp or all"
        case .badChecksum: "PROTOCOL[/PORT], for example udp/8472, tcp or all"
        case .partition: "the other machines, for example worker-2,client, or all"
        case .policy: "INPUT, FORWARD or OUTPUT, and DROP"
        case .wrongVTEPMAC: "PEER [MAC], for example worker-2"
        case .staleForwardingEntry: "PEER ADDRESS, for example worker-2 192.168.50.99"
        case .staleRoute: "PREFIX via ADDRESS [dev DEVICE], for example 10.244.2.0/24 via 192.168.50.99"
        case .duplicatePublicIP: "PEER, for example worker-2"
        }
    }

    static var hint: String { "one of \(allCases.map(\.rawValue).joined(separator: ", "))" }
}

/// Takes words one after the other; those of netem make one queue.
private struct FaultReader {
    private var netem = NetemSettings()
    private var seen: [FaultWord] = []
    private var found: [FaultEffect] = []

    mutating func read(_ word: FaultWord, _ values: [String]) throws(FaultError) {
        guard !seen.contains(word) else {
            throw FaultError(word.rawValue, "\(word.rawValue) is said twice", hint: "say it once")
        }
        seen.append(word)
        switch word {
        case .delay, .loss, .duplicate, .corrupt, .reorder, .gap, .rate, .limit:
            try netem.read(word, values)
        case .link:
            try expect(word, values, "down")
            found.append(.linkDown)
        case .hairpin:
            try expectOff(word, values)
            found.append(.hairpinOff)
        case .bridgeNetfilter:
            try expectOff(word, values)
            found.append(.bridgeNetfilterOff)
        case .mtu:
            guard values.count == 1, let mtu = Int(values[0]), (68...65535).contains(mtu) else {
                throw word.error(values)
            }
            found.append(.mtu(mtu))
        case .filter:
            guard (1...2).contains(values.count), let selector = TrafficSelector(values[0]) else {
                throw word.error(values)
            }
            var direction = FilterDirection.both
            if values.count == 2 {
                guard let own = FilterDirection(rawValue: values[1]), own != .both else { throw word.error(values) }
                direction = own
            }
            found.append(.filter(selector, direction))
        case .badChecksum:
            guard values.count == 1, let selector = TrafficSelector(values[0]), selector != .arp else {
                throw word.error(values)
            }
            found.append(.badChecksum(selector))
        case .partition:
            guard !values.isEmpty, values.dropLast().allSatisfy({ $0.hasSuffix(",") }) else { throw word.error(values) }
            let others = values.flatMap { $0.split(separator: ",").map(String.init) }
            guard !others.isEmpty else { throw word.error(values) }
            found.append(.partition(from: others == ["all"] ? [] : others))
        case .policy:
            guard values.count == 2, ["INPUT", "FORWARD", "OUTPUT"].contains(values[0]), values[1] == "DROP" else {
                throw word.error(values)
            }
            found.append(.policyDrop(chain: values[0]))
        case .wrongVTEPMAC:
            guard (1...2).contains(values.count) else { throw word.error(values) }
            var address: MACAddress?
            if values.count == 2 {
                guard let given = MACAddress(values[1]), !given.isMulticast else { throw word.error(values) }
                address = given
            }
            found.append(.wrongVTEPMAC(peer: values[0], address))
        case .staleForwardingEntry:
            guard values.count == 2, let address = IPv4Address(values[1]) else { throw word.error(values) }
            found.append(.staleForwardingEntry(peer: values[0], address))
        case .staleRoute: found.append(try route(values))
        case .duplicatePublicIP:
            guard values.count == 1 else { throw word.error(values) }
            found.append(.duplicatePublicIP(of: values[0]))
        }
    }

    private func expect(_ word: FaultWord, _ values: [String], _ only: String) throws(FaultError) {
        guard values == [only] else { throw word.error(values) }
    }

    /// `off`, which YAML 1.1 calls false.
    private func expectOff(_ word: FaultWord, _ values: [String]) throws(FaultError) {
        guard values == ["off"] || values == ["false"] else { throw word.error(values) }
    }

    private func route(_ values: [String]) throws(FaultError) -> FaultEffect {
        let word = FaultWord.staleRoute
        guard values.count == 3 || values.count == 5, values[1] == "via",
            let prefix = values[0] == "default" ? IPPrefix(.any(.ipv4), length: 0) : IPPrefix(values[0]),
            let gateway = IPAddress(values[2]), gateway.family == prefix.family,
            values.count == 3 || values[3] == "dev"
        else { throw word.error(values) }
        return .staleRoute(prefix, via: gateway, device: values.count == 5 ? values[4] : nil)
    }

    /// All that was read.
    mutating func effects() throws(FaultError) -> [FaultEffect] {
        let isQueue: Set<FaultWord> = [.delay, .loss, .duplicate, .corrupt, .reorder, .gap, .rate, .limit]
        guard seen.contains(where: isQueue.contains) else { return found }
        // What tc refuses.
        if netem.reorder.share > 0 {
            guard netem.delay > 0 else {
                throw FaultError(
                    "reorder", "nothing can be reordered without a delay",
                    hint: "packets overtake those that are delayed: add delay 10ms")
            }
            if netem.gap == 0 { netem.gap = 1 }
        } else if netem.gap > 0 {
            throw FaultError("gap", "gap needs reorder", hint: "add reorder 25%")
        }
        return [.netem(netem)] + found
    }
}

extension FaultWord {
    /// The values are none the word takes.
    func error(_ values: [String], _ because: String? = nil) -> FaultError {
        let given = values.joined(separator: " ")
        let message =
            because
            ?? (values.isEmpty ? "\(rawValue) says nothing more" : "\"\(given)\" is nothing \(rawValue) takes")
        return FaultError(rawValue, message, hint: "\(rawValue) takes \(form)")
    }
}
