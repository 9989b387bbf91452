// What differs between kernel versions, as the settings that carry the difference: podnet is measured against 6.18, and
// an older kernel is one with other defaults. Mirrors the changes of net/ipv4/tcp_timer.c (6.5: the first SYN
// retransmissions a second apart) and tcp.c (6.16: tcp_rmem's maximum of 32 MiB instead of 6, hence a window scale of
// 10 instead of 7). Everything else is taken to be as in 6.18.

/// A kernel by its version.
public struct KernelProfile: Hashable, Sendable, Comparable {
    public var major: Int
    public var minor: Int

    /// The kernel podnet is measured against, and what machines run unless told.
    public static let measured = KernelProfile(major: 6, minor: 18)
    /// The oldest whose differences are known.
    public static let oldest = KernelProfile(major: 5, minor: 4)

    public init(major: Int, minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Reads `6.1`, or what `uname -r` prints, such as `6.1.0-18-amd64`. Nil for anything else, and for kernels older
    /// than `oldest`.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, let major = Int(parts[0]), let minor = Int(parts[1].prefix { $0.isNumber }),
            (0...999).contains(major), (0...999).contains(minor)
        else { return nil }
        let rest = parts[1].drop { $0.isNumber }
        guard rest.isEmpty || rest.hasPrefix("-") || rest.hasPrefix("+") else { return nil }
        self.init(major: major, minor: minor)
        guard self >= Self.oldest else { return nil }
    }

    public static func < (left: KernelProfile, right: KernelProfile) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }

    /// Gives settings the defaults of this kernel.
    public func apply(to sysctls: inout Sysctls) {
        if self < KernelProfile(major: 6, minor: 5) { sysctls.tcpSynLinearTimeouts = 0 }
        if self < KernelProfile(major: 6, minor: 16) { sysctls.tcpReceiveMemory.maximum = 6_291_456 }
    }
}

extension KernelProfile: CustomStringConvertible {
    public var description: String { "\(major).\(minor)" }
}
