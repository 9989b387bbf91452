// Each kind from YAML text to its struct, all fields that the Kubernetes target keeps.

import Addressing
import Kubernetes
import Testing

@testable import Manifests

@Suite struct DecodingTests {
    @Test func `metadata`() throws {
        let text = """
            apiVersion: v1
            kind: Namespace
            metadata:
              name: shop
              uid: 1-2
              labels: {app.kubernetes.io/name: shop, empty: null}
              annotations: {example.com/note: "a b"}
              creationTimestamp: 2024-01-01T00:00:00Z
              deletionTimestamp: null
              ownerReferences:
              - {apiVersion: v1, kind: Thing, name: t, uid: u, controller: true}
              - {kind: Other, name: o}
            status: {phase: Terminating}
            """
        #expect(
            try load(text).objects.namespaces.map { $0 } == [
                Namespace(
                    metadata: ObjectMeta(
                        name: "shop", uid: "1-2", labels: ["app.kubernetes.io/name": "shop", "empty": ""],
                        annotations: ["example.com/note": "a b"],
                        ownerReferences: [
                            OwnerReference(kind: "Thing", name: "t", uid: "u", apiVersion: "v1", controller: true),
                            OwnerReference(kind: "Other", name: "o", controller: false),
                        ], creationTimestamp: "2024-01-01T00:00:00Z", origin: ObjectOrigin(source: 0, item: 0)),
                    phase: "Terminating")
            ])
    }

    @Test func `Node`() throws {
        let text = """
            apiVersion: v1
            kind: Node
            metadata: {name: worker-1, namespace: ignored}
            spec:
              podCIDR: 10.244.1.0/24
              podCIDRs: [10.244.1.0/24, "fd00:244:0:1::/64"]
              unschedulable: true
              taints: [{key: k, value: v, effect: NoSchedule}, {key: x, effect: NoExecute}]
              providerID: kind://x
            status:
              addresses: [{type: InternalIP, address: 192.168.50.11}, {type: Hostname, address: worker-1}]
              conditions: [{type: Ready, status: "True", reason: KubeletReady, message: ok}]
              allocatable: {cpu: 4, memory: 8Gi, pods: "110", example.com/gpu: 2}
              nodeInfo: {kubeletVersion: v1.36.0, architecture: amd64}
            """
        let node = try load(text).objects.nodes[0]
        #expect(node.key == ObjectKey(name: "worker-1"))
        #expect(
            node.spec
                == NodeSpec(
                    podCIDRs: [IPPrefix("10.244.1.0/24"), IPPrefix("fd00:244:0:1::/64")].compactMap { $0 },
                    unschedulable: true,
                    taints: [Taint(key: "k", value: "v", effect: .noSchedule), Taint(key: "x", effect: .noExecute)],
                    providerID: "kind://x"))
        #expect(
            node.status
                == NodeStatus(
                    addresses: [
                        NodeAddress(type: .internalIP, address: "192.168.50.11"),
                        NodeAddress(type: .hostname, address: "worker-1"),
                    ],
                    conditions: [Condition(type: "Ready", status: "True", reason: "KubeletReady", message: "ok")],
                    allocatable: ResourceList(
                        cpu: Quantity("4"), memory: Quantity("8Gi"), pods: Quantity("110"),
                        others: ["example.com/gpu": Quantity(milliValue: 2000)]),
                    nodeInfo: NodeInfo(kubeletVersion: "v1.36.0", architecture: "amd64")))
        let short = "apiVersion: v1\nkind: Node\nmetadata: {name: a}\nspec: {podCIDR: 10.244.7.9/24}\n"
        #expect(try load(short).objects.nodes[0].spec.podCIDRs.map(\.description) == ["10.244.7.0/24"])
    }

    @Test func `Pod specification`() throws {
        let text = """
            apiVersion: v1
            kind: Pod
            metadata: {name: web, namespace: shop, generateName: web-}
            spec:
              nodeName: worker-1
              nodeSelector: {disk: ssd}
              hostNetwork: true
              hostname: w
              subdomain: web
              restartPolicy: Never
              priorityClassName: high
              schedulerName: mine
              serviceAccount: old-style
              dnsPolicy: Default
              initContainers:
              - {name: side, restartPolicy: Always, ports: [{containerPort: 9000}]}
              containers:
              - name: web
                image: nginx:1
                ports:
                - {name: http, containerPort: 8080, hostPort: 80, hostIP: 0.0.0.0, protocol: TCP}
                - {containerPort: 53, protocol: UDP, hostPort: 0}
                readinessProbe: {httpGet: {path: /, port: http}}
                resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 1.5}}
                env: [{name: PORT, value: "80"}]
              tolerations:
              - {operator: Exists, effect: NoSchedule}
              - {key: k, operator: Equal, value: v, tolerationSeconds: 300}
              affinity:
                nodeAffinity:
                  requiredDuringSchedulingIgnoredDuringExecution:
                    nodeSelectorTerms:
                    - matchExpressions: [{key: zone, operator: In, values: [a, b]}]
                      matchFields: [{key: metadata.name, operator: In, values: [worker-1]}]
                  preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1}]
                podAffinity:
                  requiredDuringSchedulingIgnoredDuringExecution:
                  - {labelSelector: {matchLabels: {app: a}}, topologyKey: zone, namespaces: [x]}
                podAntiAffinity:
                  requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: host}]
              topologySpreadConstraints:
              - {maxSkew: 2, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {}}
            """
        let pod = try load(text).objects.pods[0]
        #expect(pod.key == ObjectKey(namespace: "shop", name: "web"))
        #expect(
            pod.spec
                == PodSpec(
                    nodeName: "worker-1", nodeSelector: ["disk": "ssd"], hostNetwork: true, hostname: "w",
                    subdomain: "web",
                    containers: [
                        Container(
                            name: "web", image: "nginx:1",
                            ports: [
                                ContainerPort(name: "http", containerPort: 8080, hostPort: 80, hostIP: "0.0.0.0"),
                                ContainerPort(containerPort: 53, protocol: .udp),
                            ],
                            resources: ResourceRequirements(
                                requests: ResourceList(cpu: Quantity("100m"), memory: Quantity("64Mi")),
                                limits: ResourceList(cpu: Quantity("1500m"))),
                            hasReadinessProbe: true)
                    ],
                    initContainers: [
                        Container(name: "side", ports: [ContainerPort(containerPort: 9000)], restartPolicy: "Always")
                    ],
                    restartPolicy: "Never",
                    tolerations: [
                        Toleration(operator: "Exists", effect: .noSchedule),
                        Toleration(key: "k", operator: "Equal", value: "v", tolerationSeconds: 300),
                    ],
                    affinity: Affinity(
                        requiredNodeTerms: [
                            NodeSelectorTerm(
                                matchExpressions: [LabelRequirement(key: "zone", operator: .in, values: ["a", "b"])],
                                matchFields: [
                                    LabelRequirement(key: "metadata.name", operator: .in, values: ["worker-1"])
                                ])
                        ],
                        requiredPodTerms: [
                            PodAffinityTerm(
                                labelSelector: LabelSelector(matchLabels: ["app": "a"]), topologyKey: "zone",
                                namespaces: ["x"])
                        ],
                        requiredPodAntiTerms: [PodAffinityTerm(topologyKey: "host")]),
                    topologySpreadConstraints: [
                        TopologySpreadConstraint(
                            maxSkew: 2, topologyKey: "zone", whenUnsatisfiable: "ScheduleAnyway",
                            labelSelector: LabelSelector())
                    ],
                    priorityClassName: "high", schedulerName: "mine", serviceAccountName: "old-style",
                    dnsPolicy: "Default"))
    }

    @Test func `Pod status`() throws {
        let text = """
            apiVersion: v1
            kind: Pod
            metadata: {name: web}
            spec: {containers: [{name: c}]}
            status:
              phase: Running
              podIP: 10.244.1.5
              podIPs: [{ip: 10.244.1.5}, {ip: "fd00::5"}]
              hostIP: 192.168.50.11
              conditions: [{type: Ready, status: "False", reason: ContainersNotReady}]
              containerStatuses:
              - name: c
                ready: false
                started: true
                restartCount: 3
                state: {waiting: {reason: CrashLoopBackOff}}
                lastState: {terminated: {reason: Error, exitCode: 1, signal: 9, finishedAt: "2024-01-01T00:00:00Z"}}
              initContainerStatuses: [{name: i, ready: true, restartCount: 0, state: {running: {startedAt: now}}}]
              reason: Evicted
              message: gone
              startTime: "2024-01-01T00:00:00Z"
            """
        #expect(
            try load(text).objects.pods[0].status
                == PodStatus(
                    phase: .running, podIPs: [IPAddress("10.244.1.5"), IPAddress("fd00::5")].compactMap { $0 },
                    hostIP: .v4(192, 168, 50, 11),
                    conditions: [Condition(type: "Ready", status: "False", reason: "ContainersNotReady")],
                    containerStatuses: [
                        ContainerStatus(
                            name: "c", ready: false, started: true, restartCount: 3,
                            state: .waiting(reason: "CrashLoopBackOff"),
                            lastState: .terminated(
                                reason: "Error", exitCode: 1, signal: 9, finishedAt: "2024-01-01T00:00:00Z"))
                    ],
                    initContainerStatuses: [ContainerStatus(name: "i", ready: true, state: .running(startedAt: "now"))],
                    reason: "Evicted", message: "gone", startTime: "2024-01-01T00:00:00Z"))
        let single =
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c}]}\nstatus: {podIP: 10.0.0.9}"
        #expect(try load(single).objects.pods[0].status.podIPs == [.v4(10, 0, 0, 9)])
    }

    @Test func `Service`() throws {
        let text = """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec:
              type: LoadBalancer
              selector: {app: web}
              ports:
              - {name: http, protocol: TCP, port: 80, targetPort: http, nodePort: 30080, appProtocol: http}
              - {name: dns, protocol: UDP, port: 53, targetPort: 5353}
              - {name: odd, port: 81, targetPort: "82"}
              clusterIP: 10.96.0.50
              clusterIPs: [10.96.0.50]
              ipFamilies: [IPv4]
              ipFamilyPolicy: SingleStack
              externalIPs: [203.0.113.5]
              externalName: ""
              loadBalancerIP: 203.0.113.9
              loadBalancerSourceRanges: [" 10.0.0.0/8"]
              loadBalancerClass: example.com/lb
              allocateLoadBalancerNodePorts: false
              healthCheckNodePort: 31000
              externalTrafficPolicy: Local
              internalTrafficPolicy: Cluster
              sessionAffinity: ClientIP
              sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
              publishNotReadyAddresses: true
              trafficDistribution: PreferClose
            status: {loadBalancer: {ingress: [{ip: 203.0.113.9, ipMode: VIP}, {hostname: lb.example.com}]}}
            """
        let service = try load(text).objects.services[0]
        #expect(service.key.description == "default/web")
        #expect(
            service.spec
                == ServiceSpec(
                    type: .loadBalancer, selector: ["app": "web"],
                    ports: [
                        ServicePort(
                            name: "http", port: 80, targetPort: .string("http"), nodePort: 30080, appProtocol: "http"),
                        ServicePort(name: "dns", protocol: .udp, port: 53, targetPort: .int(5353)),
                        ServicePort(name: "odd", port: 81, targetPort: .string("82")),
                    ],
                    clusterIP: "10.96.0.50", clusterIPs: ["10.96.0.50"], ipFamilies: [.ipv4],
                    ipFamilyPolicy: .singleStack,
                    externalIPs: ["203.0.113.5"], loadBalancerIP: "203.0.113.9",
                    loadBalancerSourceRanges: [" 10.0.0.0/8"],
                    loadBalancerClass: "example.com/lb", allocateLoadBalancerNodePorts: false,
                    healthCheckNodePort: 31000,
                    externalTrafficPolicy: .local, internalTrafficPolicy: .cluster, sessionAffinity: .clientIP,
                    sessionAffinityTimeoutSeconds: 60, publishNotReadyAddresses: true,
                    trafficDistribution: "PreferClose"))
        #expect(
            service.loadBalancerIngress == [
                LoadBalancerIngress(ip: "203.0.113.9", ipMode: "VIP"), LoadBalancerIngress(hostname: "lb.example.com"),
            ])
        let bare = try load("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}")
        #expect(bare.objects.services[0].spec == ServiceSpec(ports: [ServicePort(port: 80)]))
    }

    @Test func `EndpointSlice in both apiVersions, and Endpoints`() throws {
        let text = """
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
            addressType: IPv4
            ports: [{name: '', port: 80, protocol: TCP, appProtocol: http}, {port: 53, protocol: UDP}]
            endpoints:
            - addresses: [10.244.1.5]
              conditions: {ready: true, serving: true, terminating: false}
              hostname: web-0
              nodeName: worker-1
              zone: a
              targetRef: {kind: Pod, namespace: default, name: web-0, uid: u}
              hints: {forZones: [{name: a}], forNodes: [{name: worker-1}]}
            ---
            apiVersion: discovery.k8s.io/v1beta1
            kind: EndpointSlice
            metadata: {name: web-2}
            addressType: IPv6
            ports: null
            endpoints:
            - addresses: ["fd00::5"]
              topology: {kubernetes.io/hostname: worker-2, topology.kubernetes.io/zone: b}
            ---
            apiVersion: v1
            kind: Endpoints
            metadata: {name: web}
            subsets:
            - addresses: [{ip: 10.244.1.5, hostname: h, nodeName: worker-1, targetRef: {kind: Pod, name: web-0}}]
              notReadyAddresses: [{ip: 10.244.1.6}]
              ports: [{name: http, port: 80}]
            """
        let objects = try load(text).objects
        #expect(objects.endpointSlices[0].serviceName == "web")
        #expect(
            objects.endpointSlices[0].ports == [
                EndpointPort(name: "", port: 80, appProtocol: "http"), EndpointPort(name: "", port: 53, protocol: .udp),
            ])
        #expect(
            objects.endpointSlices[0].endpoints == [
                Endpoint(
                    addresses: ["10.244.1.5"],
                    conditions: EndpointConditions(ready: true, serving: true, terminating: false),
                    hostname: "web-0", nodeName: "worker-1", zone: "a",
                    targetRef: ObjectReference(kind: "Pod", namespace: "default", name: "web-0", uid: "u"),
                    hintZones: ["a"], hintNodes: ["worker-1"])
            ])
        #expect(objects.endpointSlices[1].addressType == "IPv6")
        #expect(objects.endpointSlices[1].ports.isEmpty)
        #expect(
            objects.endpointSlices[1].endpoints == [
                Endpoint(addresses: ["fd00::5"], nodeName: "worker-2", zone: "b")
            ])
        #expect(
            objects.endpoints[0].subsets == [
                EndpointSubset(
                    addresses: [
                        EndpointAddress(
                            ip: "10.244.1.5", hostname: "h", nodeName: "worker-1",
                            targetRef: ObjectReference(kind: "Pod", name: "web-0"))
                    ],
                    notReadyAddresses: [EndpointAddress(ip: "10.244.1.6")],
                    ports: [EndpointPort(name: "http", port: 80)])
            ])
    }

    @Test func `workloads under their present and older apiVersions`() throws {
        let spec =
            "selector: {matchLabels: {app: a}}, "
            + "template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c}]}}"
        func workload(_ apiVersion: String, _ kind: String, _ more: String) -> String {
            "apiVersion: \(apiVersion)\nkind: \(kind)\nmetadata: {name: a}\nspec: {\(more), \(spec)}\n"
        }
        let selector = LabelSelector(matchLabels: ["app": "a"])
        let template = PodTemplateSpec(
            metadata: ObjectMeta(labels: ["app": "a"]), spec: PodSpec(containers: [Container(name: "c")]))
        for apiVersion in ["apps/v1", "apps/v1beta2", "apps/v1beta1", "extensions/v1beta1"] {
            let deployment = try load(workload(apiVersion, "Deployment", "replicas: 3, paused: true"))
                .objects.deployments[0]
            #expect(deployment.replicas == 3 && deployment.paused)
            #expect(deployment.selector == selector && deployment.template == template)
        }
        let replicaSet = try load(workload("apps/v1", "ReplicaSet", "replicas: 0")).objects.replicaSets[0]
        #expect(replicaSet.replicas == 0 && replicaSet.selector == selector && replicaSet.template == template)
        let statefulSet = try load(
            workload("apps/v1", "StatefulSet", "serviceName: db, ordinals: {start: 5}")
        ).objects.statefulSets[0]
        #expect(statefulSet.replicas == nil && statefulSet.serviceName == "db" && statefulSet.firstOrdinal == 5)
        #expect(statefulSet.selector == selector && statefulSet.template == template)
        let daemonSet = try load(workload("extensions/v1beta1", "DaemonSet", "minReadySeconds: 1")).objects.daemonSets[
            0]
        #expect(daemonSet.selector == selector && daemonSet.template == template)
        let job = try load(
            workload("batch/v1", "Job", "completions: 4, parallelism: 2, completionMode: Indexed, suspend: true")
                + "status: {succeeded: 1}"
        ).objects.jobs[0]
        #expect(job.completions == 4 && job.parallelism == 2 && job.completionMode == "Indexed" && job.suspend)
        #expect(job.succeeded == 1 && job.template == template)
        let controller = try load(
            workload("v1", "ReplicationController", "replicas: 2").replacing(
                "{matchLabels: {app: a}}", with: "{app: a}")
        )
        .objects.replicationControllers[0]
        #expect(controller.selector == ["app": "a"] && controller.template == template && controller.replicas == 2)
        let cronJob = try load(
            "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {name: a}\n"
                + "spec: {schedule: '* * * * *', suspend: true}"
        )
        .objects.cronJobs[0]
        #expect(cronJob.schedule == "* * * * *" && cronJob.suspend)
    }

    @Test func `ConfigMap and NetworkPolicy`() throws {
        let text = """
            apiVersion: v1
            kind: ConfigMap
            metadata: {name: c}
            data:
              a: "1"
              b: |
                one
                two
            """
        #expect(try load(text).objects.configMaps[0].data == ["a": "1", "b": "one\ntwo"])
        let policy = """
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {name: p}
            spec: {podSelector: {matchExpressions: [{key: app, operator: Exists}]}, policyTypes: [Ingress]}
            """
        #expect(
            try load(policy).objects.networkPolicies[0].podSelector.matchExpressions == [
                LabelRequirement(key: "app", operator: .exists)
            ])
        #expect(try load(policy).objects.networkPolicies[0].policyTypes == ["Ingress"])
    }

    @Test func `Host and Underlay`() throws {
        let text = """
            apiVersion: podnet.dev/v1alpha1
            kind: Underlay
            spec: {subnet: 192.168.50.0/24, gateway: 192.168.50.1, mtu: 9000, delay: 1.5ms, loss: 0.1%}
            ---
            apiVersion: podnet.dev/v1alpha1
            kind: Host
            metadata: {name: client}
            spec:
              addresses: [192.168.50.100/24, "fd00:50::100/64"]
              routes: [{to: 10.96.0.0/12, via: 192.168.50.11}, {to: default, via: 192.168.50.1}]
              forwarding: true
              listen: [tcp/8080, udp/7]
            """
        let objects = try load(text).objects
        let underlay = try #require(objects.underlay)
        #expect(underlay.subnet == IPPrefix("192.168.50.0/24") && underlay.gateway == .v4(192, 168, 50, 1))
        #expect(underlay.mtu == 9000 && underlay.delayNanoseconds == 1_500_000 && underlay.lossPerMillion == 1000)
        let host = objects.hosts[0]
        #expect(host.key.description == "client")
        #expect(host.addresses.map(\.description) == ["192.168.50.100/24", "fd00:50::100/64"])
        #expect(
            host.routes.map { "\($0.to) via \($0.via)" } == [
                "10.96.0.0/12 via 192.168.50.11", "0.0.0.0/0 via 192.168.50.1",
            ])
        #expect(host.forwarding && host.listen.map(\.description) == ["tcp/8080", "udp/7"])
        let plain = try load(
            "apiVersion: podnet.dev/v1alpha1\nkind: Underlay\nmetadata: {name: lab}\nspec: {delay: 0, loss: 0}")
        #expect(plain.objects.underlay?.delayNanoseconds == 0 && plain.objects.underlay?.metadata.name == "lab")
    }
}
