// What a client experiences at a door, as far as kube-proxy modes can differ in it: whether an answer comes, from which
// endpoints, and which client address those see. And the rule that is the reason.

public import Addressing
internal import Netstack

/// What a client experiences at a door.
public struct DoorBehaviour: Hashable, Sendable {
    /// In order of likelihood; more than one when it depends on the endpoint that is chosen.
    public let verdicts: [TraceVerdict]
    /// Sorted.
    public let endpoints: [SocketAddress]
    /// The client addresses endpoints see, sorted.
    public let sources: [IPAddress]
    /// Whether endpoints see the client's own address.
    public let keepsSource: Bool
}

extension DoorBehaviour {
    init(_ backends: [Backend]) {
        var verdicts: [TraceVerdict] = []
        var endpoints: Set<SocketAddress> = []
        var sources: Set<IPAddress> = []
        var own: Set<IPAddress> = []
        for backend in backends.sorted(by: { $0.probability > $1.probability }) {
            if !verdicts.contains(backend.trace.verdict) { verdicts.append(backend.trace.verdict) }
            if backend.trace.reached != nil { endpoints.insert(backend.address) }
            if let seen = backend.trace.seenSource?.address { sources.insert(seen) }
            if let local = backend.trace.report.local?.address { own.insert(local) }
        }
        self.verdicts = verdicts
        self.endpoints = endpoints.sorted()
        self.sources = sources.sorted()
        keepsSource = !sources.isEmpty && sources.isSubset(of: own)
    }
}

extension [Backend] {
    /// The rules that are the reason for what a client experiences, most likely way first.
    var reasons: [TraceRule] {
        var found: [TraceRule] = []
        for backend in sorted(by: { $0.probability > $1.probability }) {
            guard let rule = backend.trace.reason, !found.contains(rule) else { continue }
            // One rule of each chain is enough: endpoints differ by a rule each.
            if !found.contains(where: { $0.chain == rule.chain }) { found.append(rule) }
        }
        return found
    }

    /// Why the likeliest request ended, when no rule was the reason.
    var ending: DropReason? {
        let likeliest = self.max { $0.probability < $1.probability }
        guard case .dropped(let reason, _, nil)? = likeliest?.trace.request?.disposition else { return nil }
        return reason
    }
}

extension FlowTrace {
    /// The rule that decided what became of the request: the one that ended it; else the one that marked it to lose its
    /// source address; else the one that chose the endpoint. Nil when no rule had a part in it.
    public var reason: TraceRule? {
        guard let request else { return nil }
        if case .dropped(_, _, let rule) = request.disposition, let rule { return rule }
        var hasArrived = false
        if case .delivered = request.disposition { hasArrived = true }
        var jump: TraceRule?
        var marked: TraceRule?
        var chosen: TraceRule?
        var isRouted = false
        for step in request.hops.flatMap(\.steps) {
            switch step {
            case .hook(let hook, _): isRouted = hook == .postrouting
            case .rule(let rule, .jump), .rule(let rule, .goto): jump = rule
            // The mark is cleared, not set, behind the routing decision.
            case .rule(let rule, .setMark) where !isRouted:
                // A chain that does nothing but mark, as KUBE-MARK-MASQ, says less than the rule that jumped there.
                marked = jump.flatMap { $0.text.hasSuffix(" \(rule.chain)") ? $0 : nil } ?? rule
            case .translated(.source, let from, let to, let rule, _) where hasArrived && from.address != to.address:
                return marked ?? rule ?? chosen
            case .translated(.destination, _, _, let rule, _): chosen = rule
            default: break
            }
        }
        return chosen
    }
}
