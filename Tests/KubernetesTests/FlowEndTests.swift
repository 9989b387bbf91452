// Naming the ends of a flow: every spelling, what it stands for, and what is said when it stands for nothing.

import Addressing
import Kubernetes
import Testing

@Suite struct FlowEndTests {
    static func sample() throws(ObjectError) -> ObjectStore {
        try running {
            $0.pods.insert(pod("client", on: "worker-1", ip: "10.244.1.10"))
            $0.pods.insert(
                pod(
                    "web-1", "shop", labels: ["app": "web"], on: "worker-2", ip: "10.244.2.20",
                    ports: [ContainerPort(name: "http", containerPort: 8080)]))
            $0.pods.insert(
                pod("net", on: "worker-2", ports: [ContainerPort(containerPort: 9), ContainerPort(containerPort: 10)]) {
                    $0.spec.hostNetwork = true
                })
            $0.pods.insert(pod("stuck") { $0.spec.nodeSelector = ["no": "where"] })
            $0.pods.insert(pod("done", on: "worker-1") { $0.status.phase = .succeeded })
            $0.deployments.insert(deployment("api", replicas: 2))
            $0.deployments.insert(deployment("idle", replicas: 0))
            $0.services.insert(
                service(
                    "web", "shop", type: .nodePort, app: "web",
                    ports: [
                        ServicePort(name: "http", port: 80, targetPort: .string("http"), nodePort: 30080),
                        ServicePort(name: "dns", protocol: .udp, port: 53),
                    ]
                ) { $0.spec.clusterIP = "10.96.7.7" })
            $0.services.insert(
                service(
                    "db", "shop", app: "web", ports: [ServicePort(name: "pg", port: 5432, targetPort: .string("http"))]
                ) { $0.spec.clusterIP = "None" })
            $0.services.insert(
                service("ext", "shop", type: .externalName, ports: []) {
                    $0.spec.externalName = "web.shop.svc.cluster.local"
                })
            $0.services.insert(
                service("out", "shop", type: .externalName, ports: []) { $0.spec.externalName = "api.example.com" })
            $0.services.insert(service("empty", "shop", app: "nobody") { $0.spec.clusterIP = "None" })
            $0.hosts.insert(
                Host(
                    metadata: meta("laptop"), addresses: [InterfaceAddress("192.168.50.77/24")].compactMap { $0 },
                    listen: [Listener(protocol: .tcp, port: 8080), Listener(protocol: .udp, port: 7)]))
        }
    }

    @Test(
        "sources",
        arguments: [
            ("client", "pod/default/client"), ("pod/client", "pod/default/client"), ("shop/web-1", "pod/shop/web-1"),
            ("po/shop/web-1", "pod/shop/web-1"), ("node/worker-1", "node/worker-1"), ("host/client", "host/client"),
            ("host/laptop", "host/laptop"), ("Deployment/api", "pod/default/api-"), ("svc/shop/web", "pod/shop/web-1"),
            ("net", "pod/default/net"),
        ])
    func sources(text: String, expected: String) throws {
        let ends = FlowEnds(try Self.sample())
        #expect(try ends.source(text).description.hasPrefix(expected))
    }

    @Test("the namespace option is the default namespace")
    func namespaceOption() throws {
        let ends = FlowEnds(try Self.sample(), namespace: "shop")
        #expect(try ends.source("web-1") == .pod(ObjectKey(namespace: "shop", name: "web-1")))
        #expect(try ends.destination("svc/web:http").address.description == "10.96.7.7")
    }

    @Test("a workload stands for the pod kubectl exec takes: ready before unready, fewer restarts first")
    func execChoice() throws {
        var store = try Self.sample()
        let pods = store.pods.indices.filter { store.pods[$0].metadata.labels["app"] == "api" }
        #expect(pods.count == 2)
        let ends = FlowEnds(store)
        #expect(try ends.source("deploy/api") == .pod(store.pods[pods[0]].key))
        store.pods[pods[0]].status.setCondition(Condition(type: "Ready", status: "False"))
        #expect(try FlowEnds(store).source("deploy/api") == .pod(store.pods[pods[1]].key))
        store.pods[pods[0]].status.setCondition(Condition(type: "Ready", status: "True"))
        store.pods[pods[0]].status.containerStatuses[0].restartCount = 1
        #expect(try FlowEnds(store).source("deploy/api") == .pod(store.pods[pods[1]].key))
    }

    @Test(
        "sources that name nothing",
        arguments: [
            ("clint", "pod \"clint\" not found in namespace \"default\" (did you mean client?)"),
            ("api", "pod \"api\" not found in namespace \"default\" (did you mean deploy/api?)"),
            ("laptop", "pod \"laptop\" not found in namespace \"default\" (did you mean host/laptop?)"),
            ("web-1", "pod \"web-1\" not found in namespace \"default\" (did you mean pod/shop/web-1?)"),
            ("node/worker1", "node \"worker1\" not found (did you mean node/worker-1 or node/worker-2?)"),
            ("deploy/apis", "deploy \"apis\" not found in namespace \"default\" (did you mean deploy/api?)"),
            ("deploy/idle", "deploy/default/idle has no pods (are its replicas 0?)"),
            ("host/nobody", "host \"nobody\" not found"),
            ("done", "pod \"default/done\" has finished (Succeeded) (name a running pod)"),
            ("a//b", "\"a//b\" names no source"), ("", "\"\" names no source"),
            ("node/x/y", "\"node/x/y\" names no source"),
            ("stuck", "pod \"default/stuck\" has no address: it is Pending (0/3 nodes are available: "),
        ])
    func unknownSources(text: String, message: String) throws {
        let ends = FlowEnds(try Self.sample())
        let error = try #require(throws: FlowEndError.self) { try ends.source(text) }
        #expect(error.description.hasPrefix(message), "\(error)")
    }

    @Test(
        "destinations",
        arguments: [
            ("10.96.7.7:80", "10.96.7.7:80", "10.96.7.7:80"), ("[fd00::1]:80", "[fd00::1]:80", "[fd00::1]:80"),
            ("client:8080", "10.244.1.10:8080", "pod/default/client:8080"),
            ("shop/web-1:http", "10.244.2.20:8080", "pod/shop/web-1:8080"),
            ("shop/web-1", "10.244.2.20:8080", "pod/shop/web-1:8080"),
            ("net:9", "192.168.50.12:9", "pod/default/net:9"),
            ("node/worker-1:30080", "192.168.50.11:30080", "node/worker-1:30080"),
            ("host/laptop:8080", "192.168.50.77:8080", "host/laptop:8080"),
            ("host/laptop", "192.168.50.77:8080", "host/laptop:8080"),
            ("svc/shop/web:80", "10.96.7.7:80", "svc/shop/web:80"),
            ("svc/shop/web:http", "10.96.7.7:80", "svc/shop/web:80"),
            ("service/shop/web", "10.96.7.7:80", "svc/shop/web:80"),
            ("svc/shop/db:pg", "10.244.2.20:8080", "svc/shop/db:5432"),
            ("svc/shop/db:5432", "10.244.2.20:5432", "svc/shop/db:5432"),
            ("svc/shop/ext:80", "10.96.7.7:80", "web.shop.svc.cluster.local:80"),
            ("web.shop:80", "10.96.7.7:80", "web.shop.svc.cluster.local:80"),
            ("web.shop.svc.cluster.local.:http", "10.96.7.7:80", "web.shop.svc.cluster.local:80"),
            ("db.shop:pg", "10.244.2.20:8080", "db.shop.svc.cluster.local:8080"),
            ("http://web.shop/index.html", "10.96.7.7:80", "web.shop.svc.cluster.local:80"),
            ("https://10.96.7.7", "10.96.7.7:443", "10.96.7.7:443"),
            ("http://[fd00::1]:8080/", "[fd00::1]:8080", "[fd00::1]:8080"),
            ("10-244-2-20.shop.pod:99", "10.244.2.20:99", "10-244-2-20.shop.pod.cluster.local:99"),
            ("laptop:8080", "192.168.50.77:8080", "laptop:8080"),
        ])
    func destinations(text: String, socket: String, described: String) throws {
        let ends = FlowEnds(try Self.sample())
        let found = try ends.destination(text)
        #expect(SocketAddress(found.address, found.port ?? 0).description == socket)
        #expect(found.described == described)
    }

    @Test("a URL brings host name and path along")
    func url() throws {
        let found = try FlowEnds(try Self.sample()).destination("http://web.shop:80/a/b?c=d#e")
        #expect(found.hostName == "web.shop" && found.path == "/a/b?c=d")
        #expect(found.target == .service(ObjectKey(namespace: "shop", name: "web")))
        #expect(try FlowEnds(try Self.sample()).destination("http://10.96.7.7?x").path == "/?x")
    }

    @Test("the protocol decides which port is meant, and ICMP needs none")
    func protocols() throws {
        let ends = FlowEnds(try Self.sample())
        #expect(try ends.destination("svc/shop/web", protocol: .udp).port == 53)
        #expect(try ends.destination("host/laptop", protocol: .udp).port == 7)
        #expect(try ends.destination("client", protocol: .icmp).port == nil)
        #expect(try ends.destination("10.96.7.7", protocol: .icmp).described == "10.96.7.7")
        #expect(try ends.destination("svc/shop/web", protocol: .icmp).address.description == "10.96.7.7")
        #expect(try ends.destination("node/worker-1", protocol: .icmp).port == nil)
    }

    @Test("from outside the cluster a Service is reached through a door it has there")
    func doors() throws {
        var store = try Self.sample()
        func door(_ store: ObjectStore) throws -> String {
            let found = try FlowEnds(store).destination("svc/shop/web:80", from: .host("client"))
            return "\(SocketAddress(found.address, found.port ?? 0)) \(found.note)"
        }
        #expect(
            try door(store)
                == "192.168.50.11:30080 host/client is outside the cluster and takes node port 30080 of node/worker-1")
        store.services[0].spec.externalTrafficPolicy = .local
        #expect(try door(store).hasPrefix("192.168.50.12:30080 "))
        store.services[0].spec.type = .loadBalancer
        store.services[0].loadBalancerIngress = [LoadBalancerIngress(ip: "203.0.113.5")]
        #expect(try door(store).hasPrefix("192.168.50.12:30080 "))
        #expect(try door(store).hasSuffix(", where a load balancer at 203.0.113.5 would send it"))
        store.services[0].spec.ports[0].nodePort = nil
        #expect(try door(store).hasPrefix("203.0.113.5:80 "))
        store.services[0].loadBalancerIngress = []
        #expect(try door(store).hasPrefix("10.96.7.7:80 "))
    }

    @Test(
        "destinations that name nothing",
        arguments: [
            (
                "svc/shop/web:81", "tcp",
                "svc/shop/web has no port 81/TCP (it has 80/TCP (http), 53/UDP (dns))"
            ),
            (
                "svc/shop/web:dns", "tcp",
                "svc/shop/web has no TCP port named \"dns\" (it has 80/TCP (http), 53/UDP (dns); try --protocol udp)"
            ),
            ("svc/web:80", "tcp", "svc \"web\" not found in namespace \"default\" (did you mean svc/shop/web?)"),
            ("svc/shop/wep:80", "tcp", "svc \"wep\" not found in namespace \"shop\" (did you mean svc/web?)"),
            ("svc/shop/empty:80", "tcp", "svc/shop/empty is headless and has no ready endpoint"),
            ("svc/shop/out:80", "tcp", "\"api.example.com\" is no pod and no name the cluster's DNS knows"),
            ("net", "tcp", "\"net\" does not say which port (it declares 9/TCP, 10/TCP)"),
            ("client:http", "tcp", "pod \"default/client\" has no TCP port named \"http\" (it declares no"),
            ("10.96.7.7", "tcp", "\"10.96.7.7\" does not say which port (write for example 10.96.7.7:80)"),
            ("10.96.7.7:0", "tcp", "\"0\" in \"10.96.7.7:0\" is no port"),
            ("client:70000", "tcp", "\"70000\" in \"client:70000\" is no port"),
            ("client:", "tcp", "\"\" in \"client:\" is no port"),
            ("node/worker-1", "tcp", "\"node/worker-1\" does not say which port (write node/worker-1:NODEPORT)"),
            ("node/worker-1:http", "tcp", "\"http\" in \"node/worker-1:http\" is no port"),
            ("shop/nope:80", "tcp", "pod \"nope\" not found in namespace \"shop\""),
            ("web:80", "tcp", "\"web\" is no pod and no name the cluster's DNS knows (did you mean svc/shop/web?)"),
            ("ftp://web.shop/", "tcp", "podnet does not speak ftp"),
            ("http:///x", "tcp", "\"http:///x\" names no host"), ("a/b/c/d:1", "tcp", "\"a/b/c/d:1\" names no"),
            ("stuck:80", "tcp", "pod \"default/stuck\" has no address: it is Pending (0/3 nodes"),
        ])
    func unknownDestinations(text: String, transport: String, message: String) throws {
        let ends = FlowEnds(try Self.sample())
        let error = try #require(throws: FlowEndError.self) {
            try ends.destination(text, protocol: try #require(IPProtocol(transport)))
        }
        #expect(error.description.hasPrefix(message), "\(error)")
    }

    @Test("machines and pods on the host network have no search list")
    func searchLists() throws {
        let ends = FlowEnds(try Self.sample())
        let net = FlowSource.pod(ObjectKey(namespace: "default", name: "net"))
        for source in [FlowSource.host("client"), .node("worker-1"), net] {
            #expect(throws: FlowEndError.self) { try ends.destination("web.shop:80", from: source) }
            #expect(try ends.destination("web.shop.svc.cluster.local:80", from: source).port == 80)
        }
        let shop = FlowSource.pod(ObjectKey(namespace: "shop", name: "web-1"))
        #expect(try ends.destination("web:80", from: shop).address.description == "10.96.7.7")
    }
}
