// The time of whole processes, from start to end: what a person waits for.
// Input is empty and output thrown away; how fast a terminal is does not count.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

struct ProcessBenchmark {
    let name: String
    let command: [String]

    /// Milliseconds from start to end. A process that does not succeed has no time worth reporting.
    func sample() throws -> Double {
        let start = wallTime()
        let status = try run()
        guard status == 0 else {
            throw BenchmarkError("'\(command.joined(separator: " "))' ended with exit code \(status)")
        }
        return (wallTime() - start) * 1000
    }

    private func run() throws -> Int32 {
        #if canImport(Glibc)
            var actions = posix_spawn_file_actions_t()
        #else
            var actions: posix_spawn_file_actions_t?
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (descriptor, flags) in [(STDIN_FILENO, O_RDONLY), (STDOUT_FILENO, O_WRONLY), (STDERR_FILENO, O_WRONLY)] {
            posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", flags, 0)
        }
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let failure = posix_spawnp(&process, command[0], &actions, nil, &arguments, environ)
        guard failure == 0 else {
            throw BenchmarkError("'\(command[0])' cannot be started: \(String(cString: strerror(failure)))")
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else { throw BenchmarkError("lost '\(command[0])'") }
        }
        // The low seven bits name a signal, the next eight hold the exit code.
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    }
}
