// From workloads to pods: names, counts, owners, and pods that a cluster dump brings along.

import Addressing
import Kubernetes
import Testing

@Suite struct WorkloadTests {
    private static let hashLetters = Set("456789bcdf")
    private static let suffixLetters = Set("bcdfghjklmnpqrstvwxz2456789")

    @Test("a Deployment makes a ReplicaSet and its pods, named as upstream names them")
    func deploymentNames() throws {
        var store = store { $0.deployments.insert(deployment("web", "shop", replicas: 3)) }
        try realise(&store)
        let set = try #require(store.replicaSets.first)
        let hash = String(set.metadata.name.dropFirst(4))
        #expect(set.metadata.name.hasPrefix("web-") && (5...10).contains(hash.count))
        #expect(hash.allSatisfy(Self.hashLetters.contains))
        #expect(set.metadata.ownerReferences.map(\.kind) == ["Deployment"])
        #expect(store.pods.count == 3)
        for pod in store.pods {
            let suffix = pod.metadata.name.dropFirst(set.metadata.name.count + 1)
            #expect(pod.metadata.name.hasPrefix("\(set.metadata.name)-"))
            #expect(suffix.count == 5 && suffix.allSatisfy(Self.suffixLetters.contains))
            #expect(pod.metadata.labels == ["app": "web", "pod-template-hash": hash])
            #expect(pod.metadata.namespace == "shop")
            #expect(pod.metadata.ownerReferences.map(\.name) == [set.metadata.name])
            #expect(pod.metadata.ownerReferences[0].uid == set.metadata.uid && !set.metadata.uid.isEmpty)
        }
        #expect(Set(store.pods.map(\.metadata.name)).count == 3)
        #expect(store.namespaces["", "shop"] != nil)
    }

    @Test("replicas default to one, and zero makes none")
    func replicas() throws {
        var store = store {
            $0.deployments.insert(deployment("a"))
            $0.deployments.insert(deployment("b", replicas: 0))
        }
        try realise(&store)
        #expect(store.pods.map { $0.metadata.labels["app"] } == ["a"])
    }

    @Test("names depend on the seed and on nothing else in the input")
    func nameStability() throws {
        func names(_ seed: UInt64, others: Bool) throws -> [String] {
            var filled = store { store in
                if others { store.deployments.insert(deployment("first", replicas: 4)) }
                store.deployments.insert(deployment("web", replicas: 2))
            }
            try realise(&filled, seed: seed)
            return filled.pods.filter { $0.metadata.labels["app"] == "web" }.map(\.metadata.name)
        }
        #expect(try names(1, others: false) == names(1, others: true))
        #expect(try names(1, others: false) != names(2, others: false))
    }

    @Test("the template hash changes with the template")
    func templateHash() throws {
        func hash(_ change: (inout PodSpec) -> Void) throws -> String {
            var filled = store { $0.deployments.insert(deployment("web", "default", change)) }
            try realise(&filled)
            return filled.replicaSets[0].metadata.name
        }
        let plain = try hash { _ in }
        #expect(try hash { _ in } == plain)
        #expect(try hash { $0.containers[0].image = "nginx:2" } != plain)
        #expect(try hash { $0.containers[0].ports = [ContainerPort(containerPort: 80)] } != plain)
        #expect(try hash { $0.nodeSelector = ["a": "b"] } != plain)
    }

    @Test("pods of a dump count, also when their ReplicaSet is missing from it")
    func dump() throws {
        func owned(_ name: String, by set: String, _ node: String) -> Pod {
            pod(name, labels: ["app": "web", "pod-template-hash": "5f6c"], on: node) {
                $0.metadata.ownerReferences = [OwnerReference(kind: "ReplicaSet", name: set)]
                $0.status.phase = .running
            }
        }
        for withSet in [true, false] {
            var store = store {
                $0.pods.insert(owned("web-5f6c-aaaaa", by: "web-5f6c", "worker-1"))
                $0.pods.insert(owned("web-5f6c-bbbbb", by: "web-5f6c", "worker-2"))
                $0.deployments.insert(deployment("web", replicas: 3))
                guard withSet else { return }
                $0.replicaSets.insert(
                    ReplicaSet(
                        metadata: ObjectMeta(
                            name: "web-77", ownerReferences: [OwnerReference(kind: "Deployment", name: "web")]),
                        replicas: 0, selector: LabelSelector(matchLabels: ["app": "web"]),
                        template: template(["app": "web"])))
                $0.replicaSets.insert(
                    ReplicaSet(
                        metadata: ObjectMeta(
                            name: "web-5f6c", annotations: ["deployment.kubernetes.io/revision": "2"],
                            ownerReferences: [OwnerReference(kind: "Deployment", name: "web")]),
                        replicas: 2, selector: LabelSelector(matchLabels: ["app": "web"]),
                        template: template(["app": "web", "pod-template-hash": "5f6c"])))
            }
            try realise(&store)
            #expect(store.pods.count == 3)
            #expect(store.pods.prefix(2).map(\.metadata.name) == ["web-5f6c-aaaaa", "web-5f6c-bbbbb"])
            #expect(store.pods[2].metadata.name.hasPrefix("web-5f6c-"))
            #expect(store.replicaSets.count == (withSet ? 2 : 1))
        }
    }

    @Test("a ReplicaSet adopts orphans it selects, a Deployment's does not")
    func adoption() throws {
        var store = store {
            $0.pods.insert(pod("loose", labels: ["app": "web"]))
            $0.replicaSets.insert(
                ReplicaSet(
                    metadata: meta("bare"), replicas: 2, selector: LabelSelector(matchLabels: ["app": "web"]),
                    template: template(["app": "web"])))
            $0.deployments.insert(deployment("web", replicas: 1))
        }
        try realise(&store)
        #expect(store.pods.count == 3)
        #expect(store.pods[0].metadata.ownerReferences.map(\.name) == ["bare"])
    }

    @Test("a StatefulSet numbers its pods and names them for DNS")
    func statefulSet() throws {
        var store = store {
            $0.pods.insert(
                pod("db-1", labels: ["app": "db"], on: "worker-2") {
                    $0.metadata.ownerReferences = [OwnerReference(kind: "StatefulSet", name: "db")]
                })
            $0.statefulSets.insert(
                StatefulSet(
                    metadata: meta("db"), replicas: 3, serviceName: "db",
                    selector: LabelSelector(matchLabels: ["app": "db"]), template: template(["app": "db"])))
        }
        try realise(&store)
        #expect(store.pods.map(\.metadata.name) == ["db-1", "db-0", "db-2"])
        #expect(store.pods[1].spec.hostname == "db-0" && store.pods[1].spec.subdomain == "db")
        #expect(store.pods[2].metadata.labels["statefulset.kubernetes.io/pod-name"] == "db-2")
        #expect(
            refusal {
                $0.pods.insert(pod("db-0"))
                $0.statefulSets.insert(
                    StatefulSet(
                        metadata: meta("db"), selector: LabelSelector(matchLabels: ["app": "db"]),
                        template: template(["app": "db"])))
            }.contains("Pod default/db-0: metadata.name: Duplicate value: \"db-0\" (StatefulSet default/db needs this"))
    }

    @Test("a DaemonSet runs once on every node that admits it")
    func daemonSet() throws {
        func placed(_ change: (inout PodSpec) -> Void) throws -> [String] {
            var filled = store {
                $0.daemonSets.insert(
                    DaemonSet(
                        metadata: meta("agent", "kube-system"),
                        selector: LabelSelector(matchLabels: ["app": "agent"]),
                        template: template(["app": "agent"], change)))
            }
            try realise(&filled)
            return filled.pods.map(\.spec.nodeName)
        }
        #expect(try placed { _ in } == ["worker-1", "worker-2"])
        #expect(
            try placed { $0.tolerations = [Toleration(operator: "Exists", effect: .noSchedule)] } == [
                "control-plane", "worker-1", "worker-2",
            ])
        #expect(try placed { $0.nodeSelector = ["kubernetes.io/hostname": "worker-2"] } == ["worker-2"])
        let linux = LabelRequirement(key: "kubernetes.io/os", operator: .in, values: ["linux"])
        #expect(
            try placed {
                $0.affinity = Affinity(requiredNodeTerms: [NodeSelectorTerm(matchExpressions: [linux])])
            }.count == 2)
    }

    @Test(
        "a Job runs as many pods as may run at once",
        arguments: [(nil, nil, 0, 1), (5, 2, 0, 2), (5, 2, 4, 1), (1, 3, 0, 1), (nil, 3, 0, 3), (2, 2, 2, 0)]
            as [(Int?, Int?, Int, Int)])
    func job(completions: Int?, parallelism: Int?, succeeded: Int, pods: Int) throws {
        var store = store {
            $0.jobs.insert(
                Job(
                    metadata: meta("run"), completions: completions, parallelism: parallelism,
                    completionMode: "Indexed", template: template(["a": "b"]), succeeded: succeeded))
        }
        try realise(&store)
        #expect(store.pods.count == pods)
        if pods > 0 { #expect(store.pods[0].metadata.name.hasPrefix("run-\(succeeded)-")) }
        #expect(store.pods.allSatisfy { $0.metadata.labels["job-name"] == "run" })
    }

    @Test("suspended Jobs and CronJobs run nothing")
    func idle() throws {
        var store = store {
            $0.jobs.insert(Job(metadata: meta("run"), suspend: true, template: template(["a": "b"])))
            $0.cronJobs.insert(CronJob(metadata: meta("nightly"), schedule: "0 0 * * *"))
        }
        try realise(&store)
        #expect(store.pods.isEmpty)
    }

    @Test("long names are cut before the suffix")
    func longNames() throws {
        let name = String(repeating: "a", count: 60)
        var store = store { $0.deployments.insert(deployment(name)) }
        try realise(&store)
        #expect(store.pods[0].metadata.name.utf8.count == 63)
    }

    @Test("what the API server refuses in workloads")
    func refusals() {
        func text(_ change: (inout Deployment) -> Void) -> String {
            refusal {
                var web = deployment("web")
                change(&web)
                $0.deployments.insert(web)
            }
        }
        #expect(text { $0.selector = nil }.hasPrefix("Deployment default/web: spec.selector: Required value"))
        #expect(
            text { $0.template.metadata.labels = ["app": "other"] }.hasPrefix(
                "Deployment default/web: spec.template.metadata.labels: Invalid value: {\"app\":\"other\"}: "
                    + "`selector` does not match template `labels`"))
        #expect(
            text { $0.replicas = -1 }.contains(
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0"))
        #expect(text { $0.template.spec.containers = [] }.contains("spec.template.spec.containers: Required value"))
        #expect(
            text { $0.template.spec.containers[0].ports = [ContainerPort(containerPort: 0)] }.contains(
                "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 0: must be between"))
        #expect(
            text { $0.template.spec.containers.append($0.template.spec.containers[0]) }.contains(
                "spec.template.spec.containers[1].name: Duplicate value: \"c\""))
        #expect(text { $0.metadata.name = "Web" }.contains("metadata.name: Invalid value: \"Web\""))
        #expect(
            refusal { $0.pods.insert(pod("p", ports: [ContainerPort(name: "Bad_name", containerPort: 80)])) }.contains(
                "Pod default/p: spec.containers[0].ports[0].name: Invalid value: \"Bad_name\": must contain only"))
    }
}
