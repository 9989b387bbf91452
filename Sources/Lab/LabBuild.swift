// Building a lab and removing every trace of it. Before anything is made, a file in /run/podnet notes how to remove it
// and which process is at work, so that whoever comes next can clean up behind one that was killed.

internal import Glibc
package import Netstack
package import Simulation

/// A lab on this machine.
package struct LabBuild {
    static let folder = "/run/podnet"

    private let names: LabNames
    private let removal: String

    /// Builds the lab of a script. It stays when the process ends if `isLasting`. Throws when it cannot be built, and
    /// leaves nothing behind then.
    package init(_ script: LabScript, program: String? = nil, isLasting: Bool = false) throws(LabError) {
        try Self.requireRoot()
        try Self.requirePrograms()
        Self.removeOrphans()
        names = script.names
        removal = script.removal
        mkdir(Self.folder, 0o755)
        for name in names.all where access("\(namespaceFolder)/\(name)", F_OK) == 0 {
            throw LabError(
                "there is already a network namespace called \(name)",
                hint: "podnet lab down removes a lab that is up; ip netns del \(name) removes one podnet did not make")
        }
        try note(owner: Self.ownProcess)
        do throws(LabError) {
            try Self.run(script.text(program: program, guardedBy: getpid()), log: path(".log"))
            if Interruption.isRequested { throw LabError("interrupted") }
            if isLasting { try note(owner: "none") }
        } catch {
            remove()
            throw error
        }
    }

    /// Removes the lab of this process.
    package func remove() { Self.remove(note: path(".down")) }

    /// Removes the lab with a prefix, whoever built it; false when there is none.
    package static func remove(prefix: String) throws(LabError) -> Bool {
        try requireRoot()
        removeOrphans()
        let note = "\(folder)/\(prefix)lab.down"
        guard access(note, F_OK) == 0 else { return false }
        remove(note: note)
        return true
    }

    /// Becomes a command in a namespace of a lab that is up.
    package static func execute(
        _ command: [String], in id: NamespaceID, of simulator: borrowing Simulator, prefix: String
    ) throws(LabError) {
        try requireRoot()
        let name = LabNames(simulator, prefix: prefix)[id]
        guard access("\(namespaceFolder)/\(name)", F_OK) == 0 else {
            throw LabError("no lab is up with \(name) in it", hint: "build it with the same -f: podnet lab up -f FILE")
        }
        let words = ["ip", "netns", "exec", name] + command
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        execvp("ip", &arguments)
        throw LabError("cannot run ip netns exec: \(lastError())")
    }

    // MARK: notes

    private func path(_ ending: String) -> String { "\(Self.folder)/\(names.prefix)lab\(ending)" }

    private func note(owner: String) throws(LabError) {
        try Self.write("# owner \(owner)\n" + removal, to: path(".down"))
    }

    private static func remove(note: String) {
        try? run(read(note) ?? "", log: note + ".log")
        let log = String(note.dropLast(".down".count)) + ".log"
        for file in [note, note + ".log", log, log + ".sh"] { unlink(file) }
    }

    /// Removes labs whose builder is gone without having finished.
    package static func removeOrphans() {
        guard let entries = opendir(folder) else { return }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name.hasSuffix("lab.down"), let text = read("\(folder)/\(name)") else { continue }
            let owner = text.prefix { $0 != "\n" }.dropFirst("# owner ".count)
            let isAtWork = owner == "none" || startTime(of: owner).map { owner.hasSuffix(":\($0)") } == true
            if !isAtWork { remove(note: "\(folder)/\(name)") }
        }
    }

    /// This process, told from a later one with the same number by when it began.
    private static var ownProcess: String {
        let number = String(getpid())
        return "\(number):\(startTime(of: number[...]) ?? "")"
    }

    /// Field 22 of /proc/PID/stat; nil when there is no such process.
    private static func startTime(of process: Substring) -> Substring? {
        let number = process.prefix { $0 != ":" }
        guard let stat = read("/proc/\(number)/stat"), let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[end...].split(separator: " ")
        return fields.count > 20 ? fields[20] : nil
    }

    // MARK: the machine

    private static func requireRoot() throws(LabError) {
        guard geteuid() == 0 else {
            throw LabError(
                "a lab takes root: it makes network namespaces",
                hint: "run it with sudo, or print what it would do: podnet lab script")
        }
    }

    private static func requirePrograms() throws(LabError) {
        let folders = (getenv("PATH").map { String(cString: $0) } ?? "").split(separator: ":")
        for (program, package) in [
            ("ip", "iproute2"), ("bridge", "iproute2"), ("sysctl", "procps"), ("ethtool", "ethtool"),
            ("iptables-restore", "iptables"), ("nft", "nftables"),
        ] where !folders.contains(where: { access("\($0)/\(program)", X_OK) == 0 }) {
            throw LabError("a lab needs the program \(program)", hint: "Debian and Ubuntu have it in \(package)")
        }
    }

    /// Runs a shell script; throws what it complained about.
    static func run(_ script: String, log: String) throws(LabError) {
        let file = log + ".sh"
        try write(script, to: file)
        defer { unlink(file) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sh"), strdup(file), nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let error = posix_spawn(&process, "/bin/sh", &actions, nil, &arguments, environ)
        guard error == 0 else { throw LabError("cannot run /bin/sh: \(String(cString: strerror(error)))") }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else {
            let complaint = (read(log) ?? "").split(separator: "\n").prefix(3).joined(separator: "; ")
            throw LabError("building the lab failed: \(complaint)")
        }
    }

    // MARK: files

    private static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var octets: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let length = Glibc.read(descriptor, &buffer, buffer.count)
            guard length > 0 else { return String(decoding: octets, as: UTF8.self) }
            octets += buffer[..<length]
        }
    }

    private static func write(_ text: String, to path: String) throws(LabError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw LabError("cannot write \(path): \(lastError())") }
        defer { close(descriptor) }
        var octets = Array(text.utf8)[...]
        while !octets.isEmpty {
            let written = octets.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard written > 0 else { throw LabError("cannot write \(path): \(lastError())") }
            octets = octets.dropFirst(written)
        }
    }
}
