// Which files a list of -f arguments means, and their octets. A directory stands for its *.yaml, *.yml and *.json in
// the octet order of their names, without its subdirectories and hidden files; `-` is standard input.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One input to read.
struct InputFile: Hashable, Sendable {
    /// What the user calls it.
    var name: String
    /// Nil for standard input and for text that was handed over.
    var path: String?

    static let standardInputName = "<stdin>"

    /// Whether the file has the same text when it is opened again, which a pipe has not.
    var isReadableAgain: Bool {
        guard let path else { return false }
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// The files the arguments mean, in their order.
    static func files(named paths: [String]) throws(ManifestError) -> [InputFile] {
        var files: [InputFile] = []
        for path in paths {
            if path == "-" {
                guard !files.contains(where: { $0.path == nil }) else {
                    throw ManifestError(
                        file: standardInputName, message: "standard input is given twice",
                        hint: "it can be read only once: give `-f -` once")
                }
                files.append(InputFile(name: standardInputName, path: nil))
                continue
            }
            var status = stat()
            guard stat(path, &status) == 0 else { throw systemError(path, "cannot be read") }
            if status.st_mode & S_IFMT == S_IFDIR {
                files += try manifests(inDirectory: path)
            } else {
                files.append(InputFile(name: path, path: path))
            }
        }
        return files
    }

    private static func manifests(inDirectory path: String) throws(ManifestError) -> [InputFile] {
        guard let directory = opendir(path) else { throw systemError(path, "cannot be listed") }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: $0.pointee)) {
                    String(cString: $0)
                }
            }
            let isManifest = [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) }
            if isManifest, !name.hasPrefix(".") { names.append(name) }
        }
        names.sort { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let prefix = path.hasSuffix("/") ? path : path + "/"
        let files = names.map { InputFile(name: prefix + $0, path: prefix + $0) }.filter { file in
            var status = stat()
            return stat(file.name, &status) != 0 || status.st_mode & S_IFMT != S_IFDIR
        }
        guard !files.isEmpty else {
            throw ManifestError(
                file: path, message: "the directory has no *.yaml, *.yml or *.json file",
                hint: "subdirectories are not searched: name them with -f as well")
        }
        return files
    }

    /// Reads the whole file, or the descriptor when there is no path.
    func read(standardInput: Int32, limits: ManifestLimits) throws(ManifestError) -> SourceBuffer {
        var descriptor = standardInput
        if let path {
            descriptor = open(path, O_RDONLY)
            guard descriptor >= 0 else { throw InputFile.systemError(name, "cannot be opened") }
        }
        defer { if path != nil { close(descriptor) } }
        var capacity = 1 << 16
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG {
            guard Int(status.st_size) <= limits.fileSize else { throw tooLarge(limits) }
            capacity = Int(status.st_size) + 1
        }
        var memory = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        var count = 0
        while true {
            if count == capacity {
                let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity * 2)
                larger.moveInitialize(from: memory, count: count)
                memory.deallocate()
                (memory, capacity) = (larger, capacity * 2)
            }
            let length = readOctets(descriptor, memory + count, capacity - count)
            if length == 0 { break }
            if length < 0, errno == EINTR { continue }
            count += max(length, 0)
            guard length > 0, count <= limits.fileSize else {
                let error = length < 0 ? InputFile.systemError(name, "cannot be read") : tooLarge(limits)
                memory.deallocate()
                throw error
            }
        }
        return SourceBuffer(name: name, adopting: memory, count: count)
    }

    private func tooLarge(_ limits: ManifestLimits) -> ManifestError {
        ManifestError(file: name, message: "the file is larger than \(limits.fileSize) octets", hint: "split it")
    }

    private static func systemError(_ path: String, _ what: String) -> ManifestError {
        let code = errno
        let hint: String
        switch code {
        case ENOENT: hint = "check the path"
        case EACCES, EPERM: hint = "check the permissions of the file and its directories"
        default: hint = "name a readable file or directory, or - for standard input"
        }
        let reason =
            code == ENOENT ? "no such file or directory" : "\(what): \(String(cString: strerror(code)).lowercased())"
        return ManifestError(file: path, message: reason, hint: hint)
    }
}

/// read(2), which has the name of the method that needs it.
private func readOctets(_ descriptor: Int32, _ memory: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(descriptor, memory, count)
}
