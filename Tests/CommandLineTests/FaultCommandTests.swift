// Faults through the program: the three ways to give one are one, and the commands that look at state show what a fault
// changed there.

import Foundation
import Testing

@Suite struct FaultCommandTests {
    static let remote = "topologies/clusterip-remote.yaml"

    private func podnet(_ arguments: String..., faults: [String], input: String? = nil) throws -> ProgramResult {
        let files = input == nil ? [] : ["-f", "-"]
        return try Program.podnet(
            arguments.flatMap { $0.split(separator: " ").map(String.init) } + ["-f", Self.remote] + files
                + faults.flatMap { ["--fault", $0] }, input: input ?? "")
    }

    @Test func `an option, an object and an event at the beginning are the same fault`() throws {
        let head = "apiVersion: podnet.dev/v1alpha1\nmetadata: {name: cut}\n"
        let fields = "{target: worker-1/eth0, filter: udp/8472 out}"
        let object = "\(head)kind: Fault\nspec: \(fields)\n"
        let event = "\(head)kind: Scenario\nspec: {events: [{at: 0, fault: \(fields)}]}\n"
        let trace = "trace client svc/web:80 --minimal"
        let option = try podnet(trace, faults: ["worker-1/eth0 filter udp/8472 out"])
        #expect(option.status == 1 && option.output.contains("dropped TC_EGRESS"))
        for input in [object, event] {
            let result = try podnet(trace, faults: [], input: input)
            // The name is the object's own.
            #expect(
                result.output.replacing("\"cut\"", with: "\"worker-1/eth0 filter udp/8472 out\"") == option.output)
        }
    }

    @Test(arguments: [
        ("ip worker-1 link", "worker-1/eth0 loss 1%", "mtu 1500 qdisc netem state UP"),
        ("ip worker-1 link", "worker-1/eth0 mtu 1400", "eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400"),
        (
            "ip worker-1 link", "worker-1/eth0 link down",
            "eth0: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN"
        ),
        (
            "ip default/client link", "default/client/veth link down",
            "<NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1450 qdisc noqueue state DOWN"
        ),
        ("ip default/client route", "default/client/veth link down", "default via 10.244.1.1 dev eth0 linkdown"),
        (
            "ip worker-1 neigh", "worker-1 wrong-vtep-mac worker-2 02:00:00:00:00:77",
            "lladdr 02:00:00:00:00:77 PERMANENT"
        ),
        (
            "ip worker-1 route", "worker-1 stale-route 10.244.2.0/24 via 192.168.50.99",
            "10.244.2.0/24 via 192.168.50.99"
        ),
        ("bridge worker-1 fdb", "worker-1 stale-fdb worker-2 192.168.50.99", "dst 192.168.50.99 self permanent"),
        ("bridge worker-1 fdb", "worker-2 duplicate-public-ip control-plane", "dst 192.168.50.10 self permanent"),
        ("bridge -d worker-1 link", "default/client hairpin off", "hairpin off"),
        ("bridge worker-1 link", "default/client/eth0 link down", "state disabled"),
        ("rules worker-1", "worker-1 policy FORWARD DROP", ":FORWARD DROP [0:0]"),
    ])
    func `a state fault is seen by the command that shows the state`(_ command: String, fault: String, line: String)
        throws
    {
        let sound = try podnet(command, faults: [])
        let sick = try podnet(command, faults: [fault])
        #expect(sound.status == 0 && sick.status == 0 && sick.errors == "")
        #expect(sick.output.contains(line), "\(sick.output)")
        #expect(sick.output != sound.output)
    }

    @Test func `the routes and neighbors of a link that is down are gone`() throws {
        let fault = ["worker-1/eth0 link down", "worker-1/flannel.1 link down"]
        #expect(try podnet("ip worker-1 route", faults: fault).output.split(separator: "\n").count == 1)
        #expect(try podnet("ip worker-1 neigh", faults: fault).output == "")
    }

    @Test func `get shows faults, those of the command line too`() throws {
        let result = try podnet("get faults", faults: ["worker-1/eth0,worker-2/eth0 loss 1% 25%"])
        #expect(result.output.contains("worker-1/eth0,worker-2/eth0   loss 1% 25%"), "\(result.output)")
    }

    @Test func `JSON names the fault at the drop, at the step and at the end`() throws {
        let result = try podnet(
            "trace client svc/web:80 -o json", faults: ["worker-1/eth0 delay 1ms", "underlay filter udp/8472"])
        let json = try JSON(result.output)
        #expect(json["faults"]?.all("name") == ["worker-1/eth0 delay 1ms", "underlay filter udp/8472"])
        #expect(json["request"]?["disposition"]?["fault"]?.text == "underlay filter udp/8472")
        #expect(json.all("action").contains("delayed") && json.all("action").contains("filtered"))
        #expect(try JSONSchema(named: "trace.schema.json").errors(in: json) == [])
    }

    @Test func `a capture tells of the fault where the packet ended`() throws {
        let folder = try TemporaryFolder()
        let result = try Program.podnet(
            [
                "capture", "client", "svc/web:80", "-w", folder.file("x.pcapng"), "-f",
                Program.repository.appending(path: Self.remote).path, "--fault", "underlay filter udp/8472",
            ])
        #expect(result.status == 0)
        let octets = try folder.bytes("x.pcapng")
        let wanted = Array("fault \"underlay filter udp/8472\" filters it out".utf8)
        #expect(octets.indices.contains { octets[$0...].starts(with: wanted) })
    }
}
