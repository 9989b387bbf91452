// Why a file could not be read or written: the path as the caller gave it, the reason in the words of the C library,
// and, where there is one, what to do about it.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file that could not be read or written.
public struct CaptureFileError: Error, Hashable, CustomStringConvertible {
    public enum Operation: String, Sendable {
        case read
        case write
    }

    public var path: String
    public var operation: Operation
    public var reason: String
    public var hint: String?

    public var description: String {
        "cannot \(operation.rawValue) '\(path)': \(reason)" + (hint.map { " (\($0))" } ?? "")
    }

    init(_ path: String, _ operation: Operation, reason: String, hint: String? = nil) {
        self.path = path
        self.operation = operation
        self.reason = reason
        self.hint = hint
    }

    /// `directory` is where the file would have been written.
    init(_ path: String, _ operation: Operation, errno code: Int32, directory: String? = nil) {
        let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
        self.init(path, operation, reason: reason, hint: directory.flatMap { Self.hint(for: code, directory: $0) })
    }

    private static func hint(for code: Int32, directory: String) -> String? {
        switch code {
        case ENOENT: "create the directory '\(directory)' first"
        case ENOTDIR: "'\(directory)' is not a directory"
        case EACCES, EPERM, EROFS: "new files are needed in the directory '\(directory)'"
        case ENOSPC, EDQUOT: "make room on the file system of '\(directory)'"
        default: nil
        }
    }
}
