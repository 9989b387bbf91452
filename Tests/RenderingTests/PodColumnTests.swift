// The STATUS, READY and RESTARTS columns of pods whose status came with the input, row by row as printPod decides them.

import Rendering
import Simulation
import Testing

@Suite("Pod columns")
struct PodColumnTests {
    /// A container's status in flow style: `c(waiting: CrashLoopBackOff)`.
    private static func container(_ name: String, _ state: String, ready: Bool = false, more: String = "") -> String {
        "{name: \(name), ready: \(ready), state: {\(state)}\(more.isEmpty ? "" : ", " + more)}"
    }

    private static let running = container("a", "running: {}", ready: true)

    /// Fields beside the names, status fields, and the cells READY, STATUS and RESTARTS.
    static let rows: [(name: String, metadata: String, spec: String, status: String, cells: String)] = [
        ("running", "", "", "phase: Running, containerStatuses: [\(running)]", "1/1 Running 0"),
        (
            "crashing", "", "",
            "phase: Running, containerStatuses: ["
                + container(
                    "a", "waiting: {reason: CrashLoopBackOff}",
                    more:
                        "restartCount: 7, lastState: {terminated: {exitCode: 1, finishedAt: \"2025-12-31T23:55:00Z\"}}")
                + "]", "0/1 CrashLoopBackOff 7 (5m ago)"
        ),
        ("evicted", "", "", "phase: Failed, reason: Evicted", "0/1 Evicted 0"),
        (
            "gated", "", "",
            "phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]",
            "0/1 SchedulingGated 0"
        ),
        (
            "completed", "", "",
            "phase: Succeeded, containerStatuses: [\(container("a", "terminated: {reason: Completed, exitCode: 0}"))]",
            "0/1 Completed 0"
        ),
        (
            "killed", "", "",
            "phase: Failed, containerStatuses: [\(container("a", "terminated: {exitCode: 137, signal: 9}"))]",
            "0/1 Signal:9 0"
        ),
        (
            "failed", "", "", "phase: Failed, containerStatuses: [\(container("a", "terminated: {exitCode: 3}"))]",
            "0/1 ExitCode:3 0"
        ),
        (
            "init", "", "initContainers: [{name: i}, {name: j}]",
            "phase: Pending, initContainerStatuses: ["
                + container("i", "terminated: {exitCode: 0}") + ", "
                + container("j", "waiting: {reason: PodInitializing}") + "]", "0/1 Init:1/2 0"
        ),
        (
            "init-crash", "", "initContainers: [{name: i}]",
            "phase: Pending, initContainerStatuses: ["
                + container("i", "waiting: {reason: CrashLoopBackOff}", more: "restartCount: 2") + "]",
            "0/1 Init:CrashLoopBackOff 2"
        ),
        (
            "init-failed", "", "initContainers: [{name: i}]",
            "phase: Pending, initContainerStatuses: [" + container("i", "terminated: {exitCode: 2}") + "]",
            "0/1 Init:ExitCode:2 0"
        ),
        (
            "sidecar", "", "initContainers: [{name: s, restartPolicy: Always}]",
            "phase: Running, initContainerStatuses: ["
                + container("s", "running: {}", ready: true, more: "started: true, restartCount: 1")
                + "], containerStatuses: [\(running)]", "2/2 Running 1"
        ),
        (
            "half", "", "containers: [{name: a}, {name: b}]",
            "phase: Running, conditions: [{type: Ready, status: 'False'}], containerStatuses: ["
                + container("a", "terminated: {reason: Completed, exitCode: 0}") + ", "
                + container("b", "running: {}", ready: true) + "]", "1/2 NotReady 0"
        ),
        (
            "terminating", "deletionTimestamp: '2026-01-01T00:00:00Z'", "",
            "phase: Running, containerStatuses: [\(container("a", "waiting: {reason: CrashLoopBackOff}"))]",
            "0/1 Terminating 0"
        ),
        (
            "lost", "deletionTimestamp: '2026-01-01T00:00:00Z'", "",
            "phase: Running, reason: NodeLost, containerStatuses: [\(running)]", "1/1 Unknown 0"
        ),
        ("unplaced", "", "nodeSelector: {disk: none}", "", "0/1 Pending 0"),
    ]

    @Test func `every row reads as kubectl prints it`() throws {
        var manifest = ""
        for row in Self.rows {
            let metadata = row.metadata.isEmpty ? "" : ", " + row.metadata
            let containers = row.spec.hasPrefix("containers") ? "" : "containers: [{name: a}]"
            let node = row.name == "unplaced" ? "" : ", nodeName: worker-1"
            let spec = [containers, row.spec].filter { !$0.isEmpty }.joined(separator: ", ") + node
            manifest += """
                ---
                apiVersion: v1
                kind: Pod
                metadata: {name: \(row.name)\(metadata)}
                spec: {\(spec)}
                status: {\(row.status)}

                """
        }
        let cluster = try cluster(manifest)
        for row in Self.rows {
            let lines = try answer("pod \(row.name)", in: cluster).output.split(separator: "\n")
            let words = lines.last?.split(separator: " ").dropFirst().dropLast().joined(separator: " ")
            #expect(words == row.cells, "\(row.name)")
        }
    }
}

@Suite("Ages")
struct AgeTests {
    /// The AGE of a pod made so long before the start of virtual time.
    @Test(arguments: [
        ("2025-12-31T23:59:01Z", "59s"), ("2025-12-31T23:58:01Z", "119s"), ("2025-12-31T23:58:00Z", "2m"),
        ("2025-12-31T23:50:30Z", "9m30s"), ("2025-12-31T23:50:00Z", "10m"), ("2025-12-31T21:01:00Z", "179m"),
        ("2025-12-31T21:00:00Z", "3h"), ("2025-12-31T20:30:00Z", "3h30m"), ("2025-12-31T16:00:00Z", "8h"),
        ("2025-12-30T00:00:01Z", "47h"), ("2025-12-29T20:00:00Z", "2d4h"), ("2025-12-24T00:00:00Z", "8d"),
        ("2024-01-03T00:00:00Z", "729d"), ("2024-01-02T00:00:00Z", "2y"), ("2023-12-31T00:00:00Z", "2y2d"),
        ("2017-01-01T00:00:00Z", "9y"),
        ("2025-12-31T23:59:01.5+00:00", "59s"), ("2026-01-01T00:59:01+01:00", "59s"), ("2024-02-29T00:00:00Z", "672d"),
        ("yesterday", "<unknown>"), ("2025-13-01T00:00:00Z", "<unknown>"),
    ])
    func `an age is told in at most two units`(timestamp: String, age: String) throws {
        let cluster = try cluster(
            """
            apiVersion: v1
            kind: Pod
            metadata: {name: a, creationTimestamp: "\(timestamp)"}
            spec: {containers: [{name: a}]}
            """)
        #expect(try answer("pod a", in: cluster).output.split(separator: " ").last == Substring(age + "\n"))
    }

    @Test func `the newest object of a later dump is as old as nothing`() throws {
        let cluster = try cluster(
            """
            apiVersion: v1
            kind: Pod
            metadata: {name: a, creationTimestamp: "2031-05-05T10:00:00Z"}
            spec: {containers: [{name: a}]}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: b, creationTimestamp: "2031-05-05T10:04:00Z"}
            spec: {containers: [{name: a}]}
            """)
        let ages = try answer("pods", in: cluster).output.split(separator: "\n").map { $0.split(separator: " ").last }
        #expect(ages == ["AGE", "4m", "0s"])
    }
}
