// IP_MTU_DISCOVER of a socket that sends datagrams, in the words of ping -M: who cuts what is too large for the path,
// and whether packets say DF. TCP always behaves as `want`.

/// What a socket does about packets that do not fit.
public enum PathMTUDiscovery: String, Hashable, Sendable, CaseIterable {
    /// The default: DF on what fits, fragments of what does not.
    case want
    /// DF on everything; what does not fit is refused (EMSGSIZE).
    case `do`
    /// Never DF: every machine on the way may cut.
    case dont
}
