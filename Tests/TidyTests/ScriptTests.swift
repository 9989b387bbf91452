// scripts/install-dependencies on machines that lack things: it says what to install and stops, and never goes on.
// The machines are folders of programs that stand for a path; nothing is installed.

import Foundation
import Testing

@Suite struct ScriptTests {
    private let script = Repository.here.root.appending(path: "scripts/install-dependencies").path

    /// Programs in sbin stay within reach of the script. Where that is the same folder as bin, nothing can be hidden.
    private static var canHidePrograms: Bool {
        URL(filePath: "/usr/sbin").resolvingSymlinksInPath().path == "/usr/sbin"
            && !FileManager.default.fileExists(atPath: "/usr/sbin/apt-get")
    }

    /// A folder with only what a script cannot do without, and a compiler of the given version.
    private func machine(swift version: String?) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for program in ["sh", "sed", "head", "id", "uname"] {
            for place in ["/bin", "/usr/bin"] where FileManager.default.isExecutableFile(atPath: "\(place)/\(program)")
            {
                try FileManager.default.createSymbolicLink(
                    atPath: folder.url.appending(path: program).path, withDestinationPath: "\(place)/\(program)")
                break
            }
        }
        if let version {
            let text = "#!/bin/sh\necho 'Swift version \(version) (swift-\(version)-RELEASE)'\n"
            try folder.write(text, to: "swift", isExecutable: true)
        }
        return folder
    }

    private func run(_ purpose: [String], on machine: TemporaryFolder) throws -> ProgramRun {
        try ProgramRun.of(script, purpose, environment: ["PATH": machine.url.path])
    }

    @Test(.enabled(if: canHidePrograms), arguments: ["build", "test"])
    func `without apt it names every package and stops`(purpose: String) throws {
        let run = try run([purpose], on: machine(swift: "6.3.1"))
        #expect(run.status == 1)
        #expect(run.output == "")
        let names = ["pkg-config", "libpcap-dev", "libyaml-dev", "brew install", "pkgconf", "libyaml"]
        for name in names + (purpose == "test" ? ["tshark", "tcpdump", "wireshark"] : []) {
            #expect(run.errors.contains(name), "\(name) is not named: \(run.errors)")
        }
        #expect(run.errors.contains("tshark") == (purpose == "test"))
    }

    @Test(arguments: [nil, "5.10", "6.2.4"])
    func `without a compiler that is new enough it stops`(version: String?) throws {
        let run = try run(["build"], on: machine(swift: version))
        #expect(run.status == 1)
        #expect(run.errors.contains("podnet needs a Swift 6.3 toolchain"), "\(run.errors)")
    }

    @Test(.enabled(if: canHidePrograms), arguments: ["6.3", "6.4.1", "6.10", "7.0"])
    func `a new enough compiler is taken`(version: String) throws {
        let run = try run(["build"], on: machine(swift: version))
        #expect(!run.errors.contains("toolchain"), "\(run.errors)")
    }

    @Test(arguments: [[], ["everything"], ["build", "test"]])
    func `a wrong word is wrong usage`(purpose: [String]) throws {
        let run = try run(purpose, on: machine(swift: "6.3.1"))
        #expect(run.status == 64)
        #expect(run.errors.hasPrefix("usage:"))
    }
}
