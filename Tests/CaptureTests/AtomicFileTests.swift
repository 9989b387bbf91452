// Files appear whole or not at all, and every refusal says what to do.

import Capture
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

struct AtomicFileTests {
    private let directory = TemporaryDirectory()

    @Test func `the file appears with commit and not before`() throws {
        let path = directory.file("a.pcap")
        let file = try AtomicFile(path)
        try file.write([1, 2])
        try file.write([])
        try file.write([3])
        #expect(read(path) == nil)
        try file.commit()
        #expect(read(path) == [1, 2, 3])
        #expect(directory.names == ["a.pcap"])
    }

    @Test func `an existing file stays as it is until commit`() throws {
        let path = directory.file("a.pcap")
        try write([1], to: path)
        let file = try AtomicFile(path)
        try file.write([2])
        #expect(read(path) == [1])
        try file.commit()
        #expect(read(path) == [2])
    }

    @Test func `a file that is given up leaves nothing behind`() throws {
        let path = directory.file("a.pcap")
        try write([1], to: path)
        do {
            let file = try AtomicFile(path)
            try file.write([2])
            #expect(directory.names.count == 2)
        }
        #expect(directory.names == ["a.pcap"])
        #expect(read(path) == [1])
    }

    @Test func `two files being written in one directory do not meet`() throws {
        let files = try (0..<3).map { try AtomicFile(directory.file("\($0)")) }
        for (number, file) in files.enumerated() { try file.write([UInt8(number)]) }
        for file in files { try file.commit() }
        #expect((0..<3).map { read(directory.file("\($0)")) } == [[0], [1], [2]])
    }

    @Test func `a symbolic link keeps pointing to the file that is replaced`() throws {
        mkdir(directory.file("sub"), 0o777)
        try write([1], to: directory.file("sub/real"))
        symlink("sub/real", directory.file("link"))
        try write([2], to: directory.file("link"))
        #expect(read(directory.file("sub/real")) == [2])
        var target = [CChar](repeating: 0, count: 16)
        #expect(readlink(directory.file("link"), &target, 16) == 8)
    }

    @Test func `the mode of a new file follows the umask`() throws {
        let path = directory.file("a.pcap")
        try write([], to: path)
        var status = stat()
        #expect(stat(path, &status) == 0)
        let mask = umask(0)
        umask(mask)
        #expect(status.st_mode & 0o777 == 0o666 & ~mask)
    }

    @Test func `what cannot be a target is refused with the reason`() throws {
        let base = directory.path
        try write([], to: directory.file("file"))
        let refusals: [(String, String)] = [
            ("", "cannot write '': not a file name"),
            ("a\0b", "cannot write 'a\0b': not a file name"),
            ("\(base)/", "cannot write '\(base)/': it names a directory"),
            (base, "cannot write '\(base)': it is a directory"),
            ("/dev/null", "cannot write '/dev/null': it is not a regular file (name a file)"),
            (
                "\(base)/none/a.pcap",
                "cannot write '\(base)/none/a.pcap': No such file or directory"
                    + " (create the directory '\(base)/none' first)"
            ),
            (
                "\(base)/file/a.pcap",
                "cannot write '\(base)/file/a.pcap': Not a directory ('\(base)/file' is not a directory)"
            ),
        ]
        for (path, message) in refusals {
            let error = #expect(throws: CaptureFileError.self) { try AtomicFile(path) }
            #expect(error?.description == message)
        }
        #expect(directory.names == ["file"])
    }

    @Test func `a failure to write names the target, not the temporary file`() throws {
        let path = directory.file("a.pcap")
        let file = try AtomicFile(path)
        for name in directory.names { unlink(directory.file(name)) }
        let error = #expect(throws: CaptureFileError.self) { try file.write([1]) }
        #expect(error?.path == path)
        #expect(error?.operation == .write)
        #expect(throws: CaptureFileError.self) { try file.commit() }
        #expect(directory.names.isEmpty)
    }

    @Test func `a write that runs out of room leaves no file`() async {
        // In a process of its own, because the limit holds for a whole process.
        await #expect(processExitsWith: .success) {
            let directory = TemporaryDirectory()
            let path = directory.file("a.pcap")
            var limit = rlimit(rlim_cur: 4096, rlim_max: 4096)
            #if canImport(Glibc)
                setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
            #else
                setrlimit(RLIMIT_FSIZE, &limit)
            #endif
            signal(SIGXFSZ, SIG_IGN)
            do {
                let file = try AtomicFile(path)
                let error = #expect(throws: CaptureFileError.self) {
                    try file.write([UInt8](repeating: 0, count: 8192))
                }
                #expect(error?.description == "cannot write '\(path)': File too large")
            }
            #expect(directory.names.isEmpty)
        }
    }

    @Test func `a capture file is read from disk`() throws {
        let path = directory.file("a.pcapng")
        try write(Sample.pcapng, to: path)
        #expect(try CaptureFile(contentsOf: path) == CaptureFile(parsing: Sample.pcapng))
        let missing = #expect(throws: CaptureFileError.self) { try CaptureFile(contentsOf: directory.file("b")) }
        #expect(missing?.description == "cannot read '\(directory.path)/b': No such file or directory")
        let folder = #expect(throws: CaptureFileError.self) { try CaptureFile(contentsOf: directory.path) }
        #expect(folder?.description == "cannot read '\(directory.path)': Is a directory")
    }
}
