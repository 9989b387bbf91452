// Who ends up behind a Service: selectors, named ports, readiness, chunks of a hundred, and slices that were given.

import Addressing
import Kubernetes
import Testing

@Suite struct EndpointSliceTests {
    private static let web = [
        ContainerPort(name: "http", containerPort: 8080),
        ContainerPort(name: "dns", containerPort: 5353, protocol: .udp),
    ]

    private func slices(_ store: ObjectStore, _ name: String) -> [EndpointSlice] {
        store.endpointSlices.filter { $0.serviceName == name }
    }

    @Test("ready pods of the selector stand in a slice with resolved ports")
    func basic() throws {
        let store = try running {
            $0.deployments.insert(deployment("web", replicas: 2, ports: Self.web))
            $0.pods.insert(pod("other", labels: ["app": "other"], on: "worker-1"))
            $0.pods.insert(pod("elsewhere", "shop", labels: ["app": "web"], on: "worker-1"))
            $0.services.insert(
                service(
                    "web", app: "web",
                    ports: [
                        ServicePort(name: "http", port: 80, targetPort: .string("http")),
                        ServicePort(name: "dns", protocol: .udp, port: 53, targetPort: .string("dns")),
                        ServicePort(name: "wrong", port: 54, targetPort: .string("dns")),
                        ServicePort(name: "plain", port: 81),
                    ]))
        }
        let slice = try #require(slices(store, "web").first)
        #expect(slices(store, "web").count == 1)
        #expect(slice.metadata.name.hasPrefix("web-") && slice.metadata.name.utf8.count == 9)
        #expect(slice.metadata.labels[EndpointSlice.managedByLabel] == EndpointSlices.managedBy)
        #expect(slice.metadata.labels[Service.headlessLabel] == nil)
        #expect(
            slice.ports == [
                EndpointPort(name: "http", port: 8080), EndpointPort(name: "dns", port: 5353, protocol: .udp),
                EndpointPort(name: "plain", port: 81),
            ])
        #expect(slice.endpoints.map(\.addresses) == [["10.244.2.2"], ["10.244.1.4"]])
        #expect(slice.endpoints.map(\.nodeName) == ["worker-2", "worker-1"])
        #expect(slice.endpoints.allSatisfy { $0.conditions.isReady && $0.targetRef?.kind == "Pod" })
        #expect(
            slice.endpoints[0].conditions == EndpointConditions(ready: true, serving: true, terminating: false))
    }

    @Test("conditions follow the pod", arguments: [false, true])
    func conditions(publish: Bool) throws {
        let store = try running {
            func add(_ store: inout ObjectStore, _ name: String, _ change: (inout Pod) -> Void) {
                store.pods.insert(pod(name, labels: ["app": "web"], on: "worker-1", change))
            }
            add(&$0, "ready") { $0.status.phase = .running }
            add(&$0, "unready") {
                $0.status.phase = .running
                $0.status.conditions = [Condition(type: "Ready", status: "False")]
            }
            add(&$0, "draining") { $0.metadata.deletionTimestamp = "2024-01-01T00:00:00Z" }
            add(&$0, "finished") { $0.status.phase = .failed }
            add(&$0, "starting") { $0.status.phase = .pending }
            $0.services.insert(service("web", app: "web") { $0.spec.publishNotReadyAddresses = publish })
        }
        let endpoints = slices(store, "web").flatMap(\.endpoints)
        let table = endpoints.map {
            "\($0.targetRef?.name ?? "") \($0.conditions.isReady) \($0.conditions.isServing) "
                + "\($0.conditions.isTerminating)"
        }
        #expect(
            table == [
                "ready true true false", "unready \(publish) false false", "draining \(publish) true true",
                "starting \(publish) false false",
            ])
    }

    @Test("pods that mean different numbers by a name land in different slices")
    func differingPorts() throws {
        let store = try running {
            for (name, port) in [("a", 8080), ("b", 9090), ("c", 8080)] {
                $0.pods.insert(
                    pod(
                        name, labels: ["app": "web"], on: "worker-1",
                        ports: [ContainerPort(name: "http", containerPort: port)]))
            }
            $0.pods.insert(pod("d", labels: ["app": "web"], on: "worker-1"))
            $0.services.insert(
                service("web", app: "web", ports: [ServicePort(port: 80, targetPort: .string("http"))]))
        }
        let found = slices(store, "web").map { slice in
            "\(slice.ports.compactMap(\.port)) \(slice.endpoints.compactMap { $0.targetRef?.name })"
        }
        #expect(found == ["[8080] [\"a\", \"c\"]", "[9090] [\"b\"]", "[] [\"d\"]"])
    }

    @Test("no slice holds more than a hundred endpoints")
    func chunks() throws {
        let store = try running {
            $0.deployments.insert(deployment("web", replicas: 250))
            $0.services.insert(service("web", app: "web"))
        }
        #expect(slices(store, "web").map(\.endpoints.count) == [100, 100, 50])
        #expect(Set(slices(store, "web").map(\.metadata.name)).count == 3)
    }

    @Test("a Service nobody stands behind gets one empty slice; without a selector it gets none")
    func empty() throws {
        let store = try running {
            $0.services.insert(service("none", app: "none"))
            $0.services.insert(service("manual"))
            $0.services.insert(
                service("alias", type: .externalName, app: "x", ports: []) { $0.spec.externalName = "a.b" })
        }
        #expect(slices(store, "none").map(\.endpoints.count) == [0])
        #expect(slices(store, "manual") == [] && slices(store, "alias") == [])
    }

    @Test("headless slices carry the label, and hostnames of a matching subdomain")
    func headless() throws {
        let store = try running {
            $0.statefulSets.insert(
                StatefulSet(
                    metadata: meta("db"), replicas: 2, serviceName: "db",
                    selector: LabelSelector(matchLabels: ["app": "db"]), template: template(["app": "db"])))
            $0.services.insert(service("db", app: "db") { $0.spec.clusterIP = "None" })
            $0.services.insert(service("db-any", app: "db"))
        }
        #expect(slices(store, "db")[0].metadata.labels[Service.headlessLabel] == "")
        #expect(slices(store, "db")[0].endpoints.map(\.hostname) == ["db-0", "db-1"])
        #expect(slices(store, "db-any")[0].endpoints.map(\.hostname) == ["", ""])
    }

    @Test("pods on the host network answer at the node's address")
    func hostNetwork() throws {
        let store = try running {
            $0.pods.insert(pod("a", labels: ["app": "web"], on: "worker-2") { $0.spec.hostNetwork = true })
            $0.services.insert(service("web", app: "web"))
        }
        #expect(slices(store, "web")[0].endpoints.map(\.addresses) == [["192.168.50.12"]])
        #expect(store.pods[0].status.hostIP?.description == "192.168.50.12")
    }

    @Test("given slices and Endpoints are believed")
    func given() throws {
        var store = try running {
            $0.deployments.insert(deployment("web", replicas: 1))
            for name in ["sliced", "legacy", "computed"] { $0.services.insert(service(name, app: "web")) }
            $0.endpointSlices.insert(
                EndpointSlice(
                    metadata: meta("sliced-abc", labels: [EndpointSlice.serviceNameLabel: "sliced"]),
                    ports: [EndpointPort(name: "", port: 1)], endpoints: [Endpoint(addresses: ["10.9.9.9"])]))
            $0.endpoints.insert(
                Endpoints(
                    metadata: meta("legacy"),
                    subsets: [
                        EndpointSubset(
                            addresses: [EndpointAddress(ip: "10.8.8.8", nodeName: "worker-1")],
                            notReadyAddresses: [EndpointAddress(ip: "10.8.8.9")],
                            ports: [EndpointPort(name: nil, port: 5)])
                    ]))
        }
        #expect(slices(store, "sliced").flatMap(\.endpoints).flatMap(\.addresses) == ["10.9.9.9"])
        let legacy = try #require(slices(store, "legacy").first)
        #expect(legacy.endpoints.map(\.addresses) == [["10.8.8.8"], ["10.8.8.9"]])
        #expect(legacy.endpoints.map(\.conditions.isReady) == [true, false])
        #expect(legacy.ports == [EndpointPort(name: "", port: 5)])
        #expect(legacy.metadata.labels[EndpointSlice.managedByLabel] == EndpointSlices.mirroredBy)
        #expect(slices(store, "computed").flatMap(\.endpoints).count == 1)

        // A second round with the same pods gives the same slices; with fewer pods, fewer endpoints.
        let first = store
        EndpointSlices.reconcile(&store)
        #expect(store == first)
        store.pods[0].status.phase = .failed
        EndpointSlices.reconcile(&store)
        #expect(slices(store, "computed").flatMap(\.endpoints).count == 0)
        #expect(slices(store, "sliced").flatMap(\.endpoints).count == 1)
    }

    @Test("running pods show what kubectl shows, given states stay")
    func statuses() throws {
        let store = try running {
            $0.deployments.insert(deployment("web", replicas: 2))
            $0.pods.insert(
                pod("crash", on: "worker-1") {
                    $0.status.phase = .running
                    $0.status.containerStatuses = [
                        ContainerStatus(name: "c", restartCount: 4, state: .waiting(reason: "CrashLoopBackOff"))
                    ]
                })
        }
        let web = try #require(store.pods.first { $0.metadata.name.hasPrefix("web-") })
        #expect(web.status.phase == .running && web.isReady)
        #expect(web.status.containerStatuses.map(\.ready) == [true])
        #expect(web.status.hostIP != nil)
        #expect(store.pods["default", "crash"]?.status.containerStatuses.map(\.restartCount) == [4])
    }

    @Test("trafficDistribution leaves zone hints")
    func hints() throws {
        let store = try running {
            var a = node("a")
            a.metadata.labels[Node.zoneLabel] = "east"
            $0.nodes.insert(a)
            $0.pods.insert(pod("p", labels: ["app": "web"], on: "a"))
            $0.services.insert(service("near", app: "web") { $0.spec.trafficDistribution = "PreferClose" })
            $0.services.insert(service("same", app: "web") { $0.spec.trafficDistribution = "PreferSameNode" })
            $0.services.insert(service("any", app: "web"))
        }
        func hints(_ name: String) -> [[String]] {
            slices(store, name).flatMap(\.endpoints).flatMap { [$0.hintZones, $0.hintNodes] }
        }
        #expect(hints("near") == [["east"], []])
        #expect(hints("same") == [["east"], ["a"]])
        #expect(hints("any") == [[], []])
        #expect(slices(store, "any")[0].endpoints[0].zone == "east")
    }
}
