// The verdict on a flow: whether the request arrived and the answer came back, and if not, who said so. What a person
// asks first, and what doors and modes are compared by.

internal import Addressing
internal import Netstack

/// What became of a flow, in one word.
public enum TraceVerdict: String, Sendable, CaseIterable {
    /// The client got its answer.
    case delivered
    /// Something answered that it will not: RST, or an ICMP error.
    case rejected
    /// Something took the packet and said nothing.
    case dropped
    /// The request arrived, the answer did not.
    case unanswered
    /// No way leads there.
    case unreachable
}

extension FlowTrace {
    public var verdict: TraceVerdict {
        if report.outcome == .answered { return .delivered }
        guard let request else { return .unreachable }
        switch request.disposition {
        case .delivered: return reply.map { isRefusal($0) } == true ? .rejected : .unanswered
        case .waiting: return .unreachable
        case .dropped(let reason, _, _):
            switch reason {
            case .neighborFailed, .noInputRoute, .noOutputRoute, .ipHeader, .packetTooBig, .forwardingDisabled,
                .neighborQueueFull:
                return .unreachable
            default: return reply == nil ? .dropped : .rejected
            }
        }
    }

    private func isRefusal(_ reply: PacketTrace) -> Bool {
        guard let headers = reply.first else { return false }
        if headers.isICMP { return report.request.protocol != .icmp || !headers.isEchoReply }
        return headers.protocol == .tcp && headers.detail & 0x04 != 0
    }
}
