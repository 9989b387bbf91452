// Entering network namespaces that have a name (`ip netns`), for as long as it takes to open a socket: a socket stays
// in the namespace it was opened in.

internal import Clinux
internal import Glibc

/// Folder of the names `ip netns` gives.
let namespaceFolder = "/run/netns"

/// Runs `body` inside a named network namespace and comes back. The process must not have other threads that count on
/// their namespace meanwhile: the kernel moves only the calling thread.
func withNetworkNamespace<Result>(
    _ name: String, _ body: () throws(LabError) -> Result
) throws(LabError) -> Result {
    let home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    let target = open("\(namespaceFolder)/\(name)", O_RDONLY | O_CLOEXEC)
    defer {
        close(home)
        close(target)
    }
    guard home >= 0, target >= 0, setns(target, 0) == 0 else {
        throw LabError("cannot enter the network namespace \(name): \(lastError())")
    }
    defer { precondition(setns(home, 0) == 0, "cannot leave the network namespace \(name)") }
    return try body()
}

/// What errno says.
func lastError() -> String { String(cString: strerror(errno)) }
