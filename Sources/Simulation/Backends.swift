// Every way a flow can go: what rules leave to chance for its first packet (which endpoint of a Service) is taken each
// way once, and the flow followed to its end. Whatever else chance decides follows the seed, the same for all.

public import Addressing
internal import Netstack

/// One way a flow can go.
public struct Backend: Sendable {
    /// From 0 to 1.
    public internal(set) var probability: Double
    public let trace: FlowTrace

    /// Where the request was sent in the end, translated or not.
    public var address: SocketAddress { trace.lastDestination }
}

extension FlowTrace {
    /// Where the last translation sent the request; what was asked for when none did.
    public var lastDestination: SocketAddress {
        var address = SocketAddress(report.request.destination, report.request.port ?? 0)
        for step in request?.hops.flatMap(\.steps) ?? [] {
            if case .translated(.destination, _, let to, _, _) = step { address = to }
        }
        return address
    }
}

extension Simulator {
    /// More ways than this are not followed.
    public static let backendLimit = 4096

    /// Follows a flow every way it can go, in the order the rules choose. Ways that end at one address, seen to come
    /// from one address, are one. The simulator must not have run; it stays at the beginning of time. `rules` also
    /// keeps the rules that did not match.
    public mutating func backends(of request: FlowRequest, rules: Bool = false) -> [Backend] {
        var first = Simulator(again: self)
        first.recordEvents(rules: rules)
        let drawn = first.trace(request)
        proxy = first.proxy
        for id in first.builtNamespaces { build(id) }
        guard let packet = drawn.request?.packet else { return [Backend(probability: 1, trace: drawn)] }
        var found: [Backend] = []
        var places: [String: Int] = [:]
        var script: [Int]? = []
        var count = 0
        while let path = script, count < Self.backendLimit {
            count += 1
            var run = Simulator(again: self)
            run.recordEvents(rules: rules)
            run.context.choices = RuleChoices(packet: packet, script: path)
            let trace = run.trace(request)
            let made = run.context.choices.made
            script = RuleChoices.next(after: made)
            let probability = made.reduce(1) { $0 * $1.probability }
            let ending = "\(trace.lastDestination) \(trace.seenSource?.address.description ?? "-")"
            let key = "\(ending) \(trace.report.outcome.map { "\($0)" } ?? "-") \(trace.request?.nodes ?? [])"
            if let place = places[key] {
                found[place].probability += probability
            } else {
                places[key] = found.count
                found.append(Backend(probability: probability, trace: trace))
            }
        }
        return found
    }
}
