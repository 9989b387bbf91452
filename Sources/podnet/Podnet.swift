// The command line: parse arguments, call the library, print. Results go to standard output, everything else to
// standard error; exit codes are 0 yes, 1 no, 2 wrong input, 64 wrong usage.

import ArgumentParser

@main
struct Podnet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "podnet",
        abstract: "Follows packets through a Kubernetes cluster that exists only as manifests.",
        discussion: """
            podnet builds the Linux network that kubelet, a CNI plugin, flannel and kube-proxy would build from your \
            objects, sends real octets through it in virtual time, and explains every step. It needs no cluster and \
            no root.
            """,
        version: "0.1.0",
        subcommands: [
            Trace.self, CaptureCommand.self, PacketCommand.self, Doors.self, Parity.self, Get.self, Rules.self, IP.self,
            BridgeCommand.self,
            Conntrack.self, LabCommand.self,
        ])
}
