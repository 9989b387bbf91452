// Which fault made a packet end: the one that acted on it, or one that changed a machine it passed in a way that ends
// packets so. The second is a guess, as good as the drop reason and the way are.

internal import Netstack

/// Looks at the events of one packet, and says whose fault a drop was.
struct FaultBlame {
    private let plan: FaultPlan
    /// Namespaces the packet was in.
    var visited: [NamespaceID] = []
    /// The last fault that can have ended it.
    private var suspect: Int32?
    /// It ends the packet there and then.
    private var isDeadly = false

    init(_ plan: FaultPlan) { self.plan = plan }

    mutating func take(_ event: PathEvent) {
        guard case .fault(let number, let action) = event.kind else {
            isDeadly = false
            return
        }
        switch action {
        case .lost, .overLimit, .filtered, .cut: (suspect, isDeadly) = (number, true)
        case .corrupted, .checksumLeft: (suspect, isDeadly) = (number, false)
        case .delayed, .sentAhead, .duplicated: isDeadly = false
        }
    }

    func blame(_ reason: DropReason, _ rule: TraceRule?) -> String? {
        guard !plan.faults.isEmpty else { return nil }
        if let suspect, isDeadly || reason.mayComeOfSpoiling { return plan.faults[Int(suspect)].name }
        return plan.faults.first { fault in
            reason == .neighborFailed && !fault.wire.isEmpty
                || fault.changes.contains { visited.contains($0.namespace) && $0.fault.explains(reason, rule) }
        }?.name
    }
}

extension DropReason {
    /// A wrong checksum or a spoiled header can end so; connection tracking calls such a packet INVALID, and a rule
    /// drops it.
    fileprivate var mayComeOfSpoiling: Bool {
        switch self {
        case .tcpChecksum, .udpChecksum, .icmpChecksum, .ipChecksum, .ipHeader, .netfilterDrop, .otherHost,
            .unhandledProtocol, .vxlanInvalidHeader, .vxlanNotFound, .macInvalidSource, .noInputRoute, .noSocket,
            .tcpInvalidSequence, .invalidSource, .invalidDestination, .fragmentReassembly:
            true
        default: false
        }
    }
}
