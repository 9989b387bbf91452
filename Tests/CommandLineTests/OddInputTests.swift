// Input that is unusual but right: dumps of clusters, other spellings, kinds and settings people really have. Each file
// in Goldens/OddInput is asked one or more questions; what podnet says, warnings first, is the golden beside it.

import Foundation
import Testing

@Suite struct OddInputTests {
    static let folder = "Goldens/OddInput"

    struct Input: CustomTestStringConvertible, Sendable {
        let file: String
        /// What is asked, after `podnet trace`.
        let questions: [String]
        var testDescription: String { file }

        init(_ file: String, _ questions: String...) {
            self.file = file
            self.questions = questions
        }
    }

    static let inputs = [
        Input("anchors.yaml", "client web:8080"),
        Input("byte-order-mark.yaml", "client web:8080"),
        Input("direct-routing.yaml", "client web:8080"),
        Input("dual-stack.yaml", "client svc/web"),
        Input("external-name.yaml", "client svc/alias:80", "client svc/ext:80"),
        Input("ipvs-mode.yaml", "client svc/web:80"),
        Input("jumbo-frames.yaml", "client web:8080"),
        Input("kubeadm-v1beta3.yaml", "client svc/web", "client http://web.default.svc.corp.internal/"),
        Input("kubeadm-v1beta4.yaml", "client svc/web"),
        Input("kubectl-dump.yaml", "shop/client svc/shop/api:80", "client api:8080 -n shop"),
        Input("list.json", "client svc/web:80"),
        Input(
            "load-balancer.yaml", "client svc/web:80", "client 192.168.50.230:80", "client 192.168.50.240:80"),
        Input("local-load-balancer.yaml", "client svc/lb:80", "host/client svc/lb:80"),
        Input(
            "long-name.yaml", "deploy/a-very-long-deployment-name-that-is-still-legal-in-kubernetes-abc svc/web"),
        Input("no-replicas.yaml", "client svc/idle", "client svc/idleless", "client deploy/idle:80"),
        Input("no-selector.yaml", "client svc/legacy"),
        Input("not-ready.yaml", "client svc/m"),
        Input("pending.yaml", "client 1.2.3.4:80"),
        Input("pod-ip-elsewhere.yaml", "client web:8080"),
        Input("pod-list.yaml", "client web:8080"),
        Input(
            "same-node-port.yaml", "host/client node/worker-1:30053 --protocol udp", "host/client node/worker-1:30053"),
        Input("sidecars.yaml", "svc svc/svc:p", "svc svc/svc:90", "svc svc/svc", "web svc:80", "svc web:1111"),
        Input(
            "two-interfaces.yaml", "host/far 172.31.5.4:30080", "host/client node/n1:30080", "node/n2 172.31.5.4:30080"),
        Input("wide-subnet.yaml", "client web:8080"),
        Input("windows-line-ends.yaml", "client svc/web"),
        Input(
            "workloads.yaml", "db-0 svc/db:5432", "db-0 db-2.db:5432", "sts/db svc/exporter:9100",
            "job/migrate svc/exporter:9100", "ds/exporter svc/db:pg", "host/client node/worker-1:9100"),
    ]

    @Test(arguments: inputs)
    func `what podnet says of`(_ input: Input) throws {
        let place = Golden.folder(Self.folder).path
        var text = ""
        for question in input.questions {
            let words = question.split(separator: " ").map(String.init)
            let result = try Program.podnet(["trace"] + words + ["-f", input.file, "--minimal"], in: place)
            #expect((0...2).contains(result.status))
            #expect(result.status == 2 ? result.output == "" : !result.output.isEmpty)
            text += "$ podnet trace \(question) -f \(input.file) --minimal\n\(result.errors)\(result.output)"
            text += "exit code \(result.status)\n"
        }
        let name = input.file.split(separator: ".").dropLast().joined(separator: ".")
        try Golden.expect(text, is: "\(name).txt", in: Self.folder)
    }

    @Test func `every file is asked something`() {
        let files = Golden.names(in: Self.folder).filter { !$0.hasSuffix(".txt") }
        #expect(files == Self.inputs.map(\.file).sorted())
        #expect(Golden.names(in: Self.folder).count == 2 * files.count)
    }

    @Test(arguments: inputs.map(\.file))
    func `its objects can be shown, and what is shown can be read again`(_ file: String) throws {
        let place = Golden.folder(Self.folder).path
        for kind in ["pods", "services", "endpoints", "nodes"] {
            let table = try Program.podnet(["get", kind, "-A", "-f", file], in: place)
            #expect(table.status == 0, "\(table.errors)")
        }
        let objects = try Program.podnet(["get", "nodes,pods,services", "-A", "-o", "yaml", "-f", file], in: place)
        #expect(objects.status == 0, "\(objects.errors)")
        let again = try Program.podnet(["get", "pods", "-A", "-o", "wide", "-f", "-"], input: objects.output)
        #expect(again.status == 0, "\(again.errors)")
        let before = try Program.podnet(["get", "pods", "-A", "-o", "wide", "-f", file], in: place)
        #expect(again.output == before.output)
    }
}
