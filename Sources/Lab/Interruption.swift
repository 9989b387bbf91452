// SIGINT and SIGTERM ask a lab to end: what is under way stops at its next turn, and the lab is removed on the way
// out.

internal import Glibc
internal import Synchronization

/// Whether the process was asked to stop.
package enum Interruption {
    private static let signal = Atomic<Int32>(0)

    /// From now on SIGINT, SIGTERM and SIGHUP are only noted.
    package static func watch() {
        var watched = sigset_t()
        sigemptyset(&watched)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            Glibc.signal(number) { number in Interruption.signal.store(number, ordering: .relaxed) }
            sigaddset(&watched, number)
        }
        // Whoever started this program may have had them blocked.
        pthread_sigmask(SIG_UNBLOCK, &watched, nil)
    }

    package static var isRequested: Bool { signal.load(ordering: .relaxed) != 0 }

    /// The exit code a shell gives a program that a signal ended.
    package static var exitCode: Int32 { 128 + signal.load(ordering: .relaxed) }
}
