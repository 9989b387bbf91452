// A file that appears whole or not at all: written under a temporary name in the directory of its target, then renamed
// onto the target (rename(2) replaces in one step). Whoever reads the target sees the old content or the new one.
// Simplified: no fsync, so the promise covers failures of the program and not of the machine; a program killed by a
// signal leaves the temporary file behind.

import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file being written. Unless `commit` succeeds, it leaves no trace.
public final class AtomicFile {
    public let path: String
    private let target: String
    private let temporaryPath: String
    private var isTemporary = true

    /// Distinguishes the temporary names of one process.
    private static let sequence = Atomic<Int>(0)

    /// Creates the temporary file, so that a target that cannot be written is known before there is something to write.
    public init(_ path: String) throws(CaptureFileError) {
        self.path = path
        target = try Self.resolve(path)
        let directory = Self.directory(of: target)
        var candidate: String
        var descriptor: Int32
        repeat {
            let number = Self.sequence.wrappingAdd(1, ordering: .relaxed).newValue
            candidate = "\(directory)/.podnet-\(getpid())-\(number).partial"
            descriptor = open(candidate, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        } while descriptor < 0 && (errno == EEXIST || errno == EINTR)
        temporaryPath = candidate
        guard descriptor >= 0 else {
            isTemporary = false
            throw CaptureFileError(path, .write, errno: errno, directory: directory)
        }
        close(descriptor)
    }

    deinit { discard() }

    /// Appends to the file.
    ///
    /// The file is open only while it is written to: a capture of a thousand interfaces does not need a thousand
    /// file descriptors.
    public func write(_ bytes: [UInt8]) throws(CaptureFileError) {
        let descriptor = open(temporaryPath, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure() }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                writeSome(descriptor, UnsafeRawBufferPointer(rebasing: $0[written...]))
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                let error = failure()
                close(descriptor)
                throw error
            }
            written += count
        }
        // A network or quota file system may report only here that there was no room.
        guard close(descriptor) == 0 else { throw failure() }
    }

    /// Moves the finished file to its place.
    public func commit() throws(CaptureFileError) {
        guard rename(temporaryPath, target) == 0 else { throw failure() }
        isTemporary = false
    }

    /// Removes what was written, as losing the last reference also does.
    public func discard() {
        guard isTemporary else { return }
        isTemporary = false
        unlink(temporaryPath)
    }

    private func failure() -> CaptureFileError {
        CaptureFileError(path, .write, errno: errno, directory: Self.directory(of: target))
    }

    /// The path to rename onto: behind symbolic links, and never something that is not a file.
    private static func resolve(_ path: String) throws(CaptureFileError) -> String {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw CaptureFileError(path, .write, reason: "not a file name")
        }
        guard path.utf8.last != UInt8(ascii: "/") else {
            throw CaptureFileError(path, .write, reason: "it names a directory")
        }
        var status = stat()
        // A path that does not exist yet is the usual case; any other obstacle shows when the file is created.
        guard stat(path, &status) == 0 else { return path }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw CaptureFileError(path, .write, reason: "it is a directory")
        default:
            // Renaming onto /dev/null would replace the device by a file.
            throw CaptureFileError(path, .write, reason: "it is not a regular file", hint: "name a file")
        }
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    static func directory(of path: String) -> String {
        let path = path.utf8.last == UInt8(ascii: "/") ? path.dropLast() : path[...]
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

/// write(2), out of reach of the method of that name.
private func writeSome(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    write(descriptor, bytes.baseAddress, bytes.count)
}
