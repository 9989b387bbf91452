// What is said about values of the wrong type and about objects a cluster would refuse to read.

import Testing

@testable import Manifests

@Suite struct FieldErrorTests {
    @Test func `values of another type are refused with their path`() {
        let rows: [(String, String)] = [
            (
                pod(spec: "  containers: [{name: a, ports: [{containerPort: \"80\"}]}]"),
                """
                test.yaml:6:50: spec.containers[0].ports[0].containerPort: expected an integer, found a string "80"
                  hint: write it without quotes: 80
                """
            ),
            (
                pod(spec: "  containers: [{name: a, ports: [{containerPort: 70000}]}]"),
                "test.yaml:6:50: spec.containers[0].ports[0].containerPort: "
                    + "70000 must be between 1 and 65535, inclusive"
            ),
            (
                pod(spec: "  containers: [{name: a, ports: [{containerPort: 80, protocol: tcp}]}]"),
                """
                test.yaml:6:64: spec.containers[0].ports[0].protocol: "tcp" is not a protocol
                  hint: one of TCP, UDP, SCTP, in capitals
                """
            ),
            (
                pod(spec: "  containers:\n    name: a"),
                """
                test.yaml:7:5: spec.containers: expected a list, found a mapping
                  hint: begin each item with `- ` on a line of its own
                """
            ),
            (
                pod(spec: "  containers: [a]"),
                """
                test.yaml:6:16: spec.containers[0]: expected a mapping, found a string "a"
                  hint: write `name: ...` below it, indented
                """
            ),
            (
                pod(spec: "  containers: []"),
                """
                test.yaml:6:3: spec: `containers` is missing or empty
                  hint: a pod needs at least one container
                """
            ),
            (
                pod(spec: "  hostNetwork: \"true\"\n  containers: [{name: a}]"),
                """
                test.yaml:6:16: spec.hostNetwork: expected true or false, found a string "true"
                  hint: write it without quotes: true
                """
            ),
            (
                pod(spec: "  containers: [{name: a, resources: {requests: {cpu: lots}}}]"),
                """
                test.yaml:6:54: spec.containers[0].resources.requests.cpu: expected a quantity, found a string "lots"
                  hint: write it as 100m, 2, 64Mi or 1.5Gi
                """
            ),
            (
                pod(spec: "  containers:\n  - name: a\n    env:\n    - {name: PORT, value: 8080}"),
                """
                test.yaml:9:27: spec.containers[0].env[0].value: expected a string, found a number (8080)
                  hint: put it in quotes: "8080"
                """
            ),
            (
                pod(spec: "  containers: [{name: a, args: [-v, 5]}]"),
                """
                test.yaml:6:37: spec.containers[0].args[1]: expected a string, found a number (5)
                  hint: put it in quotes: "5"
                """
            ),
            (
                pod(spec: "  containers: [{image: x}]"),
                """
                test.yaml:6:16: spec.containers[0]: the field `name` is missing
                  hint: add `name:`
                """
            ),
            (
                pod(metadata: "  labels: {version: 1.0}"),
                """
                test.yaml:5:21: metadata.labels.version: expected a string, found a number (1.0)
                  hint: put it in quotes: "1.0"
                """
            ),
            (
                pod(metadata: "  labels: {example.com/on: yes}"),
                """
                test.yaml:5:28: metadata.labels[example.com/on]: expected a string, found a boolean (yes)
                  hint: put it in quotes: "yes"
                """
            ),
            (
                pod(metadata: "  labels: {app: my app}"),
                """
                test.yaml:5:17: metadata.labels.app: "my app" is not a label value
                  hint: up to 63 letters, digits, '-', '_', '.', beginning and ending with a letter or digit
                """
            ),
            (
                pod(metadata: "  labels: {-app: x}"),
                """
                test.yaml:5:12: metadata.labels.-app: "-app" is not a label key
                  hint: up to 63 letters, digits, '-', '_', '.', after an optional prefix such as example.com/
                """
            ),
            (
                pod(metadata: "  namespace: My.Space"),
                """
                test.yaml:5:14: metadata.namespace: "My.Space" is not a valid namespace
                  hint: up to 63 lower-case letters, digits and '-', beginning and ending with a letter or digit
                """
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {name: Web_1}\nspec: {containers: [{name: a}]}\n",
                """
                test.yaml:3:18: metadata.name: "Web_1" is not a valid name
                  hint: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit
                """
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {}\nspec: {containers: [{name: a}]}\n",
                """
                test.yaml:3:11: metadata: the field `name` is missing
                  hint: give the object a name
                """
            ),
            (
                "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}]}\n",
                """
                test.yaml:1:1: the field `metadata` is missing
                  hint: add `metadata:` with a `name:`
                """
            ),
            (
                "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: {podIP: 10.244.1}\n"
                    + "spec: {containers: [{name: a}]}\n",
                """
                test.yaml:4:17: status.podIP: "10.244.1" is not an IP address
                  hint: write it as 10.244.1.5 or fd00::5
                """
            ),
            (
                "apiVersion: v1\nkind: Node\nmetadata: {name: a}\n"
                    + "spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.2.0/24]}\n",
                """
                test.yaml:4:17: spec.podCIDR: podCIDR is 10.244.1.0/24, but podCIDRs begins with 10.244.2.0/24
                  hint: both name the node's first block: make them equal, or give only one
                """
            ),
            (
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: -1}\n",
                "test.yaml:4:18: spec.replicas: -1 must be between 0 and 2147483647, inclusive"
            ),
            (
                "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: http}]}\n",
                "test.yaml:4:23: spec.ports[0].port: expected an integer, found a string \"http\""
            ),
            (
                "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80, targetPort: yes}]}\n",
                "test.yaml:4:39: spec.ports[0].targetPort: expected an integer, found a boolean (yes)"
            ),
        ]
        for (text, error) in rows { #expect(errorText(text) == error) }
    }

    @Test func `an object without kind or apiVersion is refused`() {
        #expect(
            errorText("apiVersion: v1\nmetadata: {name: a}\n") == """
                test.yaml:1:1: the object has no `kind`
                  hint: every object begins with `apiVersion:` and `kind:`, for example `kind: Pod`
                """)
        #expect(
            errorText("kind: Pod\n---\n") == """
                test.yaml:1:1: the object has no `apiVersion`
                  hint: every object begins with `apiVersion:` and `kind:`, for example `apiVersion: v1`
                """)
        for (name, words) in [("dir/kustomization.yaml", "kubectl kustomize"), ("values.yaml", "helm template")] {
            let error = #expect(throws: ManifestError.self) {
                try LoadedManifests.load(text: "resources: [a.yaml]\n", name: name)
            }
            #expect(error?.hint?.contains(words) == true)
        }
    }

    @Test func `numbers that JSON would make integers are integers`() throws {
        for port in ["80", "80.0", "8e1", "0x50", "0o120"] {
            #expect(throws: Never.self, "\(port)") {
                try load(pod(spec: "  containers: [{name: a, ports: [{containerPort: \(port)}]}]"))
            }
        }
        #expect(
            errorText(pod(spec: "  containers: [{name: a, ports: [{containerPort: 80.5}]}]")).contains(
                "expected an integer, found a number (80.5)"))
        #expect(
            errorText(pod(spec: "  containers: [{name: a, ports: [{containerPort: 1e300}]}]")).contains(
                "expected an integer, found a number (1e300)"))
    }

    /// An error with its hint, as it is printed.
    private func describe(_ error: String, _ hint: String) -> String {
        hint.isEmpty ? error : "\(error)\n  hint: \(hint)"
    }

    @Test func `podnet's own kinds are read strictly`() {
        func host(_ spec: String) -> String {
            "apiVersion: podnet.dev/v1alpha1\nkind: Host\nmetadata: {name: c}\nspec: {\(spec)}\n"
        }
        func underlay(_ spec: String) -> String {
            "apiVersion: podnet.dev/v1alpha1\nkind: Underlay\nspec: {\(spec)}\n"
        }
        let rows: [(String, String, String)] = [
            (
                host("addresses: [192.168.50.100]"),
                "test.yaml:4:20: spec.addresses[0]: \"192.168.50.100\" is not an address with its prefix length",
                "write it as 192.168.50.100/24"
            ),
            (
                host("addresses: [10.0.0.1/8], listen: [http]"),
                "test.yaml:4:42: spec.listen[0]: \"http\" is not a port to listen on",
                "write it as tcp/8080, udp/7 or sctp/9"
            ),
            (
                host("addresses: [10.0.0.1/8], routes: [{to: 10.96.0.1/12, via: 10.0.0.2}]"),
                "test.yaml:4:47: spec.routes[0].to: \"10.96.0.1/12\" has bits set behind the prefix length",
                "write it as 10.96.0.0/12"
            ),
            (
                host("addresses: [10.0.0.1/8], routes: [{to: \"fd00::/8\", via: 10.0.0.2}]"),
                "test.yaml:4:42: spec.routes[0]: `to` and `via` are of different families",
                "route IPv4 via IPv4, IPv6 via IPv6"
            ),
            (
                underlay("delay: 10"),
                "test.yaml:3:15: spec.delay: expected a duration, found a number (10)",
                "write it as 10us, 1.5ms, 1s or 0"
            ),
            (
                underlay("loss: 101%"),
                "test.yaml:3:14: spec.loss: expected a share of lost packets, found a string \"101%\"",
                "write it as 0%, 0.1% or 100%"
            ),
            (underlay("mtu: 20"), "test.yaml:3:13: spec.mtu: 20 must be between 68 and 65535, inclusive", ""),
            (
                underlay("subnet: 10.0.0.0/24, gateway: 10.0.1.1"),
                "test.yaml:3:38: spec.gateway: 10.0.1.1 is not in the subnet 10.0.0.0/24",
                "name an address of the subnet"
            ),
        ]
        for (text, error, hint) in rows { #expect(errorText(text) == describe(error, hint)) }
    }

    @Test func `podnet's annotations are checked where they stand`() throws {
        func node(_ annotation: String) -> String {
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: a\n  annotations:\n    podnet.dev/\(annotation)\n"
        }
        let good = [
            "listen: tcp/6443,udp/7", "sysctl.net.ipv4.conf.all.rp_filter: \"1\"", "nfacct: \"false\"",
            "sysctl.net.ipv4.ip_local_port_range: 32768 60999", "interfaces: eth0=192.168.77.11/24,eth1=172.31.5.4/20",
            "interfaces: eth0=192.168.77.11/24,fd00::1/64, eth1=10.0.0.1/8",
        ]
        for annotation in good { #expect(try load(node(annotation)).warnings.isEmpty, "\(annotation)") }
        let bad: [(String, String, String)] = [
            (
                "listen: 8080/tcp",
                "24: metadata.annotations[podnet.dev/listen]: \"8080/tcp\" is not a port to listen on",
                "write it as tcp/8080, udp/7 or sctp/9"
            ),
            (
                "nfacct: \"no\"",
                "24: metadata.annotations[podnet.dev/nfacct]: \"no\" is neither \"true\" nor \"false\"", ""
            ),
            (
                "sysctl.ip_forward: \"1\"",
                "5: metadata.annotations[podnet.dev/sysctl.ip_forward]: \"ip_forward\" is not the name of a sysctl",
                "write it with dots, such as podnet.dev/sysctl.net.ipv4.ip_forward"
            ),
            (
                "sysctl.net.ipv4.ip_forward: on please",
                "44: metadata.annotations[podnet.dev/sysctl.net.ipv4.ip_forward]: "
                    + "\"on please\" is not a value for a sysctl",
                "write a number in quotes: \"1\""
            ),
            (
                "sysctl.net.ipv4.ip_forward: 1",
                "44: metadata.annotations[podnet.dev/sysctl.net.ipv4.ip_forward]: "
                    + "expected a string, found a number (1)",
                "put it in quotes: \"1\""
            ),
            (
                "interfaces: 192.168.77.11/24",
                "28: metadata.annotations[podnet.dev/interfaces]: "
                    + "\"192.168.77.11/24\" is not an interface with its address",
                "write it as eth0=192.168.77.11/24"
            ),
            (
                "interfaces: averyveryverylongname=10.0.0.1/8",
                "28: metadata.annotations[podnet.dev/interfaces]: \"averyveryverylongname\" is not an interface name",
                "up to 15 characters, such as eth0"
            ),
        ]
        #expect(try load(node("rules: worker-1.txt")).warnings.isEmpty)
        for (annotation, error, hint) in bad {
            #expect(errorText(node(annotation)) == describe("test.yaml:6:" + error, hint))
        }
        #expect(
            try load(node("lisen: tcp/1")).warnings.map(\.description) == [
                """
                test.yaml:6:5: warning: the annotation podnet.dev/lisen means nothing to podnet on a Node
                  hint: known here: listen, interfaces, rules, nfacct and sysctl.NAME, after podnet.dev/
                """
            ])
        let template = """
            apiVersion: apps/v1
            kind: Deployment
            metadata: {name: a}
            spec:
              template:
                metadata: {annotations: {podnet.dev/listen: tcp/0}}
                spec: {containers: [{name: c}]}
            """
        #expect(
            errorText(template).hasPrefix(
                "test.yaml:6:49: spec.template.metadata.annotations[podnet.dev/listen]: \"tcp/0\" is not a port"))
    }
}
