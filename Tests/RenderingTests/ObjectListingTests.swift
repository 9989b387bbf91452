// `podnet get` in kubectl's words: tables, names, messages, and which objects a question means.

import Kubernetes
import Rendering
import Simulation
import Testing

@Suite("Object listing")
struct ObjectListingTests {
    static let shop = """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web, labels: {app: web}}
        spec:
          replicas: 2
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {containers: [{name: nginx, image: "nginx:1.29", ports: [{containerPort: 8080}]}]}
        ---
        apiVersion: v1
        kind: Pod
        metadata: {name: client, namespace: tools, creationTimestamp: "2025-12-31T21:30:00Z"}
        spec: {nodeName: worker-2, containers: [{name: shell, image: busybox}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web}
        spec:
          type: NodePort
          clusterIP: 10.96.0.20
          selector: {app: web}
          ports:
          - {name: http, port: 80, targetPort: 8080, nodePort: 30080}
          - {name: admin, port: 9000}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: front}
        spec: {type: LoadBalancer, clusterIP: 10.96.0.21, selector: {app: web}, ports: [{port: 443, nodePort: 30443}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: none}
        spec: {clusterIP: None, selector: {app: nothing}}

        """

    @Test func `all shows workloads and Services as kubectl get all does`() throws {
        #expect(
            try answer("all", in: cluster(Self.shop)).output == """
                NAME                      READY   STATUS    RESTARTS   AGE
                pod/web-bd4cbf4c6-bqj4l   1/1     Running   0          <unknown>
                pod/web-bd4cbf4c6-gh54k   1/1     Running   0          <unknown>

                NAME            TYPE           CLUSTER-IP   EXTERNAL-IP   PORT(S)                       AGE
                service/front   LoadBalancer   10.96.0.21   <pending>     443:30443/TCP                 <unknown>
                service/none    ClusterIP      None         <none>        <none>                        <unknown>
                service/web     NodePort       10.96.0.20   <none>        80:30080/TCP,9000:31817/TCP   <unknown>

                NAME                  READY   UP-TO-DATE   AVAILABLE   AGE
                deployment.apps/web   2/2     2            2           <unknown>

                NAME                            DESIRED   CURRENT   READY   AGE
                replicaset.apps/web-bd4cbf4c6   2         2         2       <unknown>

                """)
    }

    @Test func `wide Services and workloads show selectors, containers and images`() throws {
        #expect(
            try answer("svc/web deploy/web", in: cluster(Self.shop), format: .wide).output == """
                NAME          TYPE       CLUSTER-IP   EXTERNAL-IP   PORT(S)                       AGE         SELECTOR
                service/web   NodePort   10.96.0.20   <none>        80:30080/TCP,9000:31817/TCP   <unknown>   app=web

                NAME                  READY   UP-TO-DATE   AVAILABLE   AGE         CONTAINERS   IMAGES       SELECTOR
                deployment.apps/web   2/2     2            2           <unknown>   nginx        nginx:1.29   app=web

                """)
    }

    @Test func `pods of all namespaces carry theirs, and wide adds four columns`() throws {
        let answer = try answer("po", in: cluster(Self.shop), namespace: nil, format: .wide)
        let lines = answer.output.split(separator: "\n")
        #expect(
            lines.first?.split(separator: " ").joined(separator: " ")
                == "NAMESPACE NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES")
        #expect(
            lines.last?.split(separator: " ").joined(separator: " ")
                == "tools client 1/1 Running 0 150m 10.244.2.2 worker-2 <none> <none>")
        #expect(lines.count == 4)
    }

    @Test func `nodes are ready, with roles and addresses`() throws {
        let answer = try answer("nodes", in: cluster(Self.shop), format: .wide)
        #expect(
            answer.output == """
                NAME            STATUS   ROLES           AGE         VERSION     INTERNAL-IP     EXTERNAL-IP   \
                OS-IMAGE    KERNEL-VERSION   CONTAINER-RUNTIME
                control-plane   Ready    control-plane   <unknown>   <unknown>   192.168.50.10   <none>        \
                <unknown>   <unknown>        <unknown>
                worker-1        Ready    <none>          <unknown>   <unknown>   192.168.50.11   <none>        \
                <unknown>   <unknown>        <unknown>
                worker-2        Ready    <none>          <unknown>   <unknown>   192.168.50.12   <none>        \
                <unknown>   <unknown>        <unknown>

                """)
    }

    @Test func `a question may name kinds with commas, and names with their kind`() throws {
        let cluster = try cluster(Self.shop)
        #expect(
            try answer("svc/web deploy/web", in: cluster, format: .name).output == "service/web\ndeployment.apps/web\n")
        #expect(
            try answer("hosts,underlay", in: cluster, format: .name).output
                == "host.podnet.dev/client\nunderlay.podnet.dev/default\n")
        #expect(
            try answer("hosts", in: cluster).output == """
                NAME     ADDRESSES           LISTEN   FORWARDING   AGE
                client   192.168.50.100/24   <none>   false        <unknown>

                """)
    }

    @Test func `a name that is not there is told, and the others are shown`() throws {
        let answer = try answer("services web nope", in: cluster(Self.shop), format: .name)
        #expect(answer.output == "service/web\n")
        #expect(answer.messages == ["Error from server (NotFound): services \"nope\" not found"])
        #expect(!answer.isComplete)
        let other = try ask("deploy/nope", namespace: "tools")
        #expect(other.messages == ["Error from server (NotFound): deployments.apps \"nope\" not found"])
    }

    private func ask(_ words: String, namespace: String?) throws -> ObjectAnswer {
        try answer(words, in: cluster(Self.shop), namespace: namespace)
    }

    @Test(arguments: [
        ("jobs", "default", "No resources found in default namespace."),
        ("pods", "empty", "No resources found in empty namespace."),
        ("cronjobs", nil, "No resources found"),
    ])
    func `nothing found is no error`(words: String, namespace: String?, message: String) throws {
        let answer = try ask(words, namespace: namespace)
        #expect(answer.output == "")
        #expect(answer.messages == [message])
        #expect(answer.isComplete)
    }

    @Test func `an empty list is still a document`() throws {
        let answer = try answer("jobs", in: cluster(Self.shop), format: .yaml)
        #expect(answer.output == "apiVersion: v1\nitems: []\nkind: List\nmetadata:\n  resourceVersion: \"\"\n")
        #expect(answer.messages == [])
    }

    @Test(arguments: [
        ("foo", "there is no kind of object called \"foo\""),
        ("pods,foo", "there is no kind of object called \"foo\""),
        ("pod/a b", "\"b\" is not of the form KIND/NAME"),
        ("pod/", "\"pod/\" is not of the form KIND/NAME"),
        ("all web", "all kinds have no names"),
        ("", "which kind of object?"),
    ])
    func `a question kubectl would refuse is refused`(words: String, message: String) {
        let error = #expect(throws: ObjectQuestionError.self) {
            try ObjectQuestion(words.split(separator: " ").map(String.init))
        }
        #expect(error?.message == message)
    }

    @Test func `a name across all namespaces is refused`() throws {
        let error = #expect(throws: ObjectQuestionError.self) { try ask("pod client", namespace: nil) }
        #expect(error?.message == "a resource cannot be retrieved by name across all namespaces")
    }

    @Test(arguments: [
        ("app=web", ["front", "web"]), ("app==web,tier", ["web"]), ("app!=web", ["other"]),
        ("!tier", ["front", "other"]),
        ("tier in (a, b)", ["web"]), ("tier notin (b)", ["front", "other"]),
    ])
    func `labels select`(text: String, names: [String]) throws {
        let cluster = try cluster(
            """
            apiVersion: v1
            kind: List
            items:
            - {apiVersion: v1, kind: ConfigMap, metadata: {name: web, labels: {app: web, tier: b}}}
            - {apiVersion: v1, kind: ConfigMap, metadata: {name: front, labels: {app: web}}}
            - {apiVersion: v1, kind: ConfigMap, metadata: {name: other, labels: {app: api}}}
            """)
        var listing = ObjectListing(cluster, namespace: "default", format: .name)
        listing.selector = try ObjectQuestion.selector(text)
        let answer = try listing.answer(ObjectQuestion(["cm"]))
        #expect(answer.output == names.map { "configmap/\($0)\n" }.joined())
    }

    @Test(arguments: ["", "a b", "=x", "a in b", "a in ()", "a=b=c", "a,,b", "!"])
    func `a selector that says nothing is refused`(text: String) {
        #expect(throws: ObjectQuestionError.self) { try ObjectQuestion.selector(text) }
    }

    @Test func `endpoints show three addresses and count the rest`() throws {
        var manifest = """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec: {clusterIP: 10.96.0.9, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}

            """
        for index in 1...5 {
            manifest += """
                ---
                apiVersion: v1
                kind: Pod
                metadata: {name: web-\(index), labels: {app: web}}
                spec: {nodeName: worker-\(index % 2 + 1), containers: [{name: web, ports: [{containerPort: 8080}]}]}

                """
        }
        let cluster = try cluster(manifest)
        #expect(
            try answer("ep", in: cluster).output == """
                NAME   ENDPOINTS                                                     AGE
                web    10.244.1.2:8080,10.244.1.3:8080,10.244.2.2:8080 + 2 more...   <unknown>

                """)
        let slice = try #require(cluster.objects.endpointSlices.first)
        #expect(
            try answer("endpointslices", in: cluster).output == """
                NAME        ADDRESSTYPE   PORTS   ENDPOINTS                                      AGE
                \(slice.metadata.name)   IPv4          8080    10.244.2.2,10.244.1.2,10.244.2.3 + 2 more...   <unknown>

                """)
    }
}
