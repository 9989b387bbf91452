// Which node a pod goes to, and what the scheduler says when there is none.

import Addressing
import Kubernetes
import Testing

@Suite struct SchedulerTests {
    private func nodes(_ store: ObjectStore, _ app: String) -> [String] {
        store.pods.filter { $0.metadata.labels["app"] == app }.map(\.spec.nodeName)
    }

    @Test("replicas spread over the workers, and pods of others tip the balance")
    func spread() throws {
        var store = store {
            $0.pods.insert(pod("given", on: "worker-1"))
            $0.deployments.insert(deployment("web", replicas: 4))
            $0.deployments.insert(deployment("api", replicas: 1))
        }
        try realise(&store)
        #expect(nodes(store, "web") == ["worker-2", "worker-1", "worker-2", "worker-1"])
        #expect(nodes(store, "api") == ["worker-2"])
        #expect(store.pods[0].spec.nodeName == "worker-1")
    }

    @Test("a pod that comes with an address goes where the address belongs")
    func address() throws {
        var store = store { $0.pods.insert(pod("a", ip: "10.244.2.9")) }
        #expect(try realise(&store) == [])
        #expect(store.pods[0].spec.nodeName == "worker-2")
    }

    @Test("taints, selectors and cordons keep pods away")
    func filters() throws {
        var store = store {
            var a = node("a")
            a.spec.unschedulable = true
            var b = node("b")
            b.spec.taints = [Taint(key: "gpu", value: "yes", effect: .noExecute)]
            var c = node("c")
            c.spec.taints = [Taint(key: "slow", effect: .preferNoSchedule)]
            c.metadata.labels["disk"] = "ssd"
            for node in [a, b, c] { $0.nodes.insert(node) }
            $0.pods.insert(pod("plain", labels: ["app": "plain"]))
            $0.pods.insert(
                pod("gpu", labels: ["app": "gpu"]) {
                    $0.spec.tolerations = [Toleration(key: "gpu", value: "yes")]
                    $0.spec.affinity = Affinity(requiredNodeTerms: [
                        NodeSelectorTerm(matchExpressions: [LabelRequirement(key: "disk", operator: .doesNotExist)])
                    ])
                })
            $0.pods.insert(pod("hdd", labels: ["app": "hdd"]) { $0.spec.nodeSelector = ["disk": "hdd"] })
        }
        let warnings = try realise(&store)
        #expect(nodes(store, "plain") == ["c"])
        #expect(nodes(store, "gpu") == ["b"])
        #expect(nodes(store, "hdd") == [""])
        let text =
            "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
            + "1 node(s) had untolerated taint {gpu: yes}, 1 node(s) were unschedulable. "
            + "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
        let pending = try #require(store.pods["default", "hdd"])
        #expect(pending.status.phase == .pending)
        #expect(
            pending.status.condition("PodScheduled")
                == Condition(type: "PodScheduled", status: "False", reason: "Unschedulable", message: text))
        #expect(warnings == ["Pod default/hdd: stays Pending: \(text)"])
    }

    @Test("cpu, memory and pod counts fill nodes up, and the text names what is short")
    func resources() throws {
        var store = store {
            for name in ["a", "b"] {
                var node = node(name)
                node.status.allocatable = ResourceList(
                    cpu: Quantity("1"), memory: Quantity("1Gi"), pods: Quantity(name == "a" ? "10" : "2"))
                $0.nodes.insert(node)
            }
            $0.deployments.insert(
                deployment("web", replicas: 6) {
                    $0.containers[0].resources.requests = ResourceList(cpu: Quantity("300m"))
                    $0.containers[0].resources.limits = ResourceList(memory: Quantity("100Mi"))
                })
        }
        let warnings = try realise(&store)
        #expect(nodes(store, "web") == ["a", "b", "a", "b", "a", ""])
        #expect(
            store.pods[5].status.condition("PodScheduled")?.message
                == "0/2 nodes are available: 1 Insufficient cpu, 1 Too many pods. "
                + "preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.")
        #expect(warnings.count == 1)
    }

    @Test("init containers count alone, sidecars with the rest")
    func initContainers() throws {
        func fits(_ cpu: String) throws -> Bool {
            var filled = store {
                var node = node("a")
                node.status.allocatable = ResourceList(cpu: Quantity(cpu))
                $0.nodes.insert(node)
                $0.pods.insert(
                    pod("p") {
                        func container(_ name: String, _ cpu: String, _ policy: String? = nil) -> Container {
                            Container(
                                name: name, restartPolicy: policy,
                                resources: ResourceRequirements(requests: ResourceList(cpu: Quantity(cpu))))
                        }
                        $0.spec.initContainers = [container("side", "200m", "Always"), container("init", "700m")]
                        $0.spec.containers = [container("c", "500m")]
                    })
            }
            _ = try realise(&filled)
            return filled.pods[0].isScheduled
        }
        #expect(try fits("900m"))
        #expect(try !fits("899m"))
    }

    @Test("host ports collide on a node, unless address or protocol differ")
    func hostPorts() throws {
        var store = store {
            let port = ContainerPort(containerPort: 80, hostPort: 8080)
            $0.deployments.insert(deployment("web", replicas: 3, ports: [port]))
            $0.pods.insert(
                pod(
                    "udp", labels: ["app": "udp"],
                    ports: [ContainerPort(containerPort: 80, hostPort: 8080, protocol: .udp)]
                ))
            $0.pods.insert(
                pod("net", labels: ["app": "net"], ports: [ContainerPort(containerPort: 8080)]) {
                    $0.spec.hostNetwork = true
                })
        }
        try realise(&store)
        #expect(nodes(store, "udp") == ["worker-1"])
        #expect(nodes(store, "net") == ["worker-2"])
        #expect(nodes(store, "web") == ["worker-1", "", ""])
        let texts = store.pods.compactMap { $0.status.condition("PodScheduled")?.message }
        #expect(texts.count == 2)
        #expect(
            texts.allSatisfy {
                $0.hasPrefix(
                    "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, "
                        + "2 node(s) didn't have free ports for the requested pod ports. preemption: "
                        + "0/3 nodes are available: 1 Preemption is not helpful for scheduling, "
                        + "2 No preemption victims found for incoming pod.")
            })
    }

    @Test("anti-affinity keeps replicas apart, affinity brings pods together")
    func podAffinity() throws {
        var store = store {
            let own = LabelSelector(matchLabels: ["app": "web"])
            let term = PodAffinityTerm(labelSelector: own, topologyKey: "kubernetes.io/hostname")
            $0.pods.insert(pod("cache", labels: ["app": "cache"], on: "worker-2"))
            $0.deployments.insert(
                deployment("web", replicas: 3) { $0.affinity = Affinity(requiredPodAntiTerms: [term]) })
            let cache = PodAffinityTerm(
                labelSelector: LabelSelector(matchLabels: ["app": "cache"]), topologyKey: "kubernetes.io/hostname")
            $0.deployments.insert(
                deployment("near", replicas: 2) { $0.affinity = Affinity(requiredPodTerms: [cache]) })
        }
        try realise(&store)
        #expect(nodes(store, "web") == ["worker-1", "worker-2", ""])
        #expect(nodes(store, "near") == ["worker-2", "worker-2"])
        #expect(
            store.pods.compactMap { $0.status.condition("PodScheduled")?.message }.first?.contains(
                "2 node(s) didn't match pod anti-affinity rules.") == true)
    }

    @Test("the anti-affinity of running pods keeps newcomers away")
    func standingAntiAffinity() throws {
        var store = store {
            let term = PodAffinityTerm(
                labelSelector: LabelSelector(matchLabels: ["app": "web"]), topologyKey: "kubernetes.io/hostname")
            $0.pods.insert(
                pod("hermit", labels: ["app": "hermit"], on: "worker-1") {
                    $0.spec.affinity = Affinity(requiredPodAntiTerms: [term])
                })
            $0.deployments.insert(deployment("web", replicas: 2))
        }
        try realise(&store)
        #expect(nodes(store, "web") == ["worker-2", "worker-2"])
    }

    @Test("a group that wants to be near itself may start anywhere and then stays together")
    func selfAffinity() throws {
        var store = store {
            let term = PodAffinityTerm(
                labelSelector: LabelSelector(matchLabels: ["app": "web"]), topologyKey: "kubernetes.io/hostname")
            $0.deployments.insert(
                deployment("web", replicas: 3) { $0.affinity = Affinity(requiredPodTerms: [term]) })
        }
        try realise(&store)
        #expect(nodes(store, "web") == ["worker-1", "worker-1", "worker-1"])
    }

    @Test("topology spread constraints bound the skew between zones")
    func topologySpread() throws {
        var store = store {
            for (name, zone) in [("a", "east"), ("b", "east"), ("c", "west"), ("d", nil)] as [(String, String?)] {
                var node = node(name)
                if let zone { node.metadata.labels[Node.zoneLabel] = zone }
                if name == "c" { node.status.allocatable = ResourceList(pods: Quantity("1")) }
                $0.nodes.insert(node)
            }
            $0.deployments.insert(
                deployment("web", replicas: 4) {
                    $0.topologySpreadConstraints = [
                        TopologySpreadConstraint(
                            topologyKey: Node.zoneLabel, labelSelector: LabelSelector(matchLabels: ["app": "web"]))
                    ]
                })
        }
        try realise(&store)
        #expect(nodes(store, "web") == ["a", "c", "b", ""])
        #expect(
            store.pods[3].status.condition("PodScheduled")?.message.hasPrefix(
                "0/4 nodes are available: 1 Too many pods, "
                    + "1 node(s) didn't match pod topology spread constraints (missing required label), "
                    + "2 node(s) didn't match pod topology spread constraints. ") == true)
    }

    @Test("critical pods are placed before others")
    func priority() throws {
        var store = store {
            var node = node("a")
            node.status.allocatable = ResourceList(pods: Quantity("1"))
            $0.nodes.insert(node)
            $0.pods.insert(pod("plain"))
            $0.pods.insert(pod("critical") { $0.spec.priorityClassName = "system-node-critical" })
        }
        try realise(&store)
        #expect(store.pods.map(\.isScheduled) == [false, true])
    }

    @Test("finished pods take no room and are not placed")
    func finished() throws {
        var store = store {
            $0.pods.insert(pod("done") { $0.status.phase = .succeeded })
            $0.pods.insert(pod("web", labels: ["app": "web"]))
        }
        #expect(try realise(&store) == [])
        #expect(store.pods.map(\.spec.nodeName) == ["", "worker-1"])
    }

    @Test("a pod of another scheduler is placed with a warning")
    func otherScheduler() throws {
        var store = store { $0.pods.insert(pod("a") { $0.spec.schedulerName = "volcano" }) }
        let warnings = try realise(&store)
        #expect(store.pods[0].isScheduled)
        #expect(
            warnings == [
                "Pod default/a: spec.schedulerName: scheduler \"volcano\" is not modelled; "
                    + "placed as the default one would"
            ])
    }
}
