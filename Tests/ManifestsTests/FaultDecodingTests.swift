// kind: Fault and kind: Scenario: the fields are the words of the text form, and nothing else is taken.

import Kubernetes
import Testing

@testable import Manifests

@Suite struct FaultDecodingTests {
    private func fault(_ spec: String) -> String {
        "apiVersion: podnet.dev/v1alpha1\nkind: Fault\nmetadata: {name: it}\nspec: \(spec)\n"
    }

    private func scenario(_ events: String) -> String {
        "apiVersion: podnet.dev/v1alpha1\nkind: Scenario\nmetadata: {name: story}\nspec:\n  events:\n\(events)\n"
    }

    @Test(arguments: [
        ("{target: worker-1/eth0, loss: 10%, delay: 100ms 10ms}", "worker-1/eth0 loss 10% delay 100ms 10ms"),
        ("{target: [worker-1/eth0, worker-2/eth0], mtu: 1400}", "worker-1/eth0,worker-2/eth0 mtu 1400"),
        ("{target: worker-1, partition: [worker-2, client]}", "worker-1 partition worker-2,client"),
        ("{target: worker-1, br_netfilter: off}", "worker-1 br_netfilter off"),
        ("{target: worker-1, br_netfilter: false}", "worker-1 br_netfilter off"),
        ("{target: default/web/veth, hairpin: 'off'}", "default/web/veth hairpin off"),
        ("{target: underlay, filter: udp/8472}", "underlay filter udp/8472"),
        ("{target: worker-1/eth0, loss: 10}", "worker-1/eth0 loss 10%"),
    ])
    func `the fields of an object are the words of a line`(_ spec: String, text: String) throws {
        let object = try #require(try load(fault(spec)).objects.faults["", "it"])
        let line = try Fault(text: text)
        #expect(object.effects == line.effects && object.places == line.places)
        #expect(object.name == "it" && object.metadata.origin != nil)
    }

    @Test func `events come in their order, with faults as fields or as text`() throws {
        let loaded = try load(
            scenario(
                """
                  - {at: 5s, fault: {name: cut, target: worker-1/eth0, link: down}}
                  - {at: 0, fault: worker-1/eth0 loss 1%}
                  - {at: 9s, heal: cut}
                """))
        let events = try #require(loaded.objects.scenarios["", "story"]).events
        #expect(events.map(\.at) == [5_000_000_000, 0, 9_000_000_000])
        guard case .fault(let first) = events[0].action, case .fault(let second) = events[1].action else {
            Issue.record("no faults")
            return
        }
        #expect(first.name == "cut" && first.effects == [.linkDown])
        #expect(second.name == "worker-1/eth0 loss 1%")
        #expect(events[2].action == .heal("cut"))
    }

    @Test(arguments: [
        ("{loss: 10%}", "test.yaml:4:7: spec: the fault names no link, machine or pod"),
        ("{target: '', loss: 10%}", "test.yaml:4:16: spec.target: the fault names no link, machine or pod"),
        ("{target: worker-1/eth0}", "test.yaml:4:7: spec: the fault does not say what is wrong"),
        (
            "{target: worker-1/eth0, lose: 10%}",
            "test.yaml:4:31: spec.lose: \"lose\" is no fault podnet knows\n  hint: did you"
        ),
        ("{target: worker-1/eth0, loss: 110%}", "test.yaml:4:37: spec.loss: 110% is more than 100%"),
        ("{target: worker-1/eth0, rate: 0}", "test.yaml:4:37: spec.rate: 0 is no rate anything passes at"),
        ("{target: worker-1/eth0, delay: -5ms}", "test.yaml:4:38: spec.delay: -5ms is negative"),
        ("{target: worker-1/eth0, delay: 5}", "test.yaml:4:38: spec.delay: 5 has no unit"),
        ("{target: worker-1/eth0, loss: {a: b}}", "test.yaml:4:37: spec.loss: expected a value such as in `loss: 10%`"),
        ("{target: worker-1/eth0, loss: }", "test.yaml:4:37: spec.loss: expected a value such as in `loss: 10%`"),
        ("{target: [[a]], loss: 1%}", "test.yaml:4:17: spec.target[0]: expected a word, found a list"),
        ("5", "test.yaml:4:7: spec: expected a mapping"),
    ])
    func `a wrong fault names line and column`(_ spec: String, message: String) {
        #expect(errorText(fault(spec)).hasPrefix(message), "\(errorText(fault(spec)))")
    }

    @Test(arguments: [
        ("  - {fault: worker-1/eth0 loss 1%}", "test.yaml:6:5: spec.events[0]: the field `at` is missing"),
        ("  - {at: -1s, heal: x}", "test.yaml:6:10: spec.events[0].at: \"-1s\" is no time after the start"),
        ("  - {at: soon, heal: x}", "test.yaml:6:10: spec.events[0].at: \"soon\" is no time after the start"),
        ("  - {at: 1s}", "test.yaml:6:5: spec.events[0]: an event is either a fault or the healing of one"),
        ("  - {at: 1s, heal: x, fault: a loss 1%}", "test.yaml:6:5: spec.events[0]: an event is either a fault or the"),
        ("  - {at: 1s, scale: x}", "test.yaml:6:14: spec.events[0].scale: the field \"scale\" means nothing here"),
        (
            "  - {at: 1s, fault: {target: a, loss: 200%}}",
            "test.yaml:6:39: spec.events[0].fault.loss: 200% is more"
        ),
        ("  - {at: 1s, fault: a lose 1%}", "test.yaml:6:21: spec.events[0].fault: \"lose\" is no fault podnet knows"),
        ("  - 5", "test.yaml:6:5: spec.events[0]: expected a mapping"),
    ])
    func `a wrong event names line and column`(_ events: String, message: String) {
        #expect(errorText(scenario(events)).hasPrefix(message), "\(errorText(scenario(events)))")
    }

    @Test func `fields beside events are refused`() {
        let text =
            "apiVersion: podnet.dev/v1alpha1\nkind: Scenario\nmetadata: {name: s}\nspec: {events: [], loop: true}\n"
        #expect(
            errorText(text).hasPrefix("test.yaml:4:20: spec.loop: the field \"loop\" means nothing here"),
            "\(errorText(text))")
    }

    @Test func `flanneld may run without its forward rules`() throws {
        func rules(_ argument: String) throws -> Bool? {
            try load(
                """
                apiVersion: v1
                kind: ConfigMap
                metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
                data: {net-conf.json: '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'}
                ---
                apiVersion: apps/v1
                kind: DaemonSet
                metadata: {name: kube-flannel-ds, namespace: kube-flannel}
                spec:
                  selector: {matchLabels: {app: flannel}}
                  template:
                    metadata: {labels: {app: flannel}}
                    spec:
                      containers: [{name: f, command: [/opt/bin/flanneld], args: [--ip-masq, \(argument)]}]
                """
            ).objects.flannelConfiguration?.forwardRules
        }
        #expect(try rules("--kube-subnet-mgr") == true)
        #expect(try rules("--iptables-forward-rules=false") == false)
    }
}
